"""The mixture as an ordinary PyMC model, with the labels summed out.

Free variables describe standardised data; `means` and `covariances` are in the units of the data, and so is the
observed variable `x`, whose log density per row counts the Jacobian of the scaling. Correlation matrices have the LKJ
prior through their canonical partial correlations, which are independent (Lewandowski, Kurowicka & Joe 2009):
with 0-based column j, (1 + partial correlation) / 2 ~ Beta(b, b), b = eta + (D - 2 - j) / 2. The Cholesky factor is
their cumulative product.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data import Scaling, Table, checked
from ..mixture import Layout, Structure, pairs_of
from .priors import Priors
from .target import Target
from .terms import terms_of

if TYPE_CHECKING:
    import pymc as pm

    from .coordinates import Coordinates

# PyMC is imported where it is used: the names above must stay light.

__all__ = ["build_model", "from_value_variables", "model_of", "to_value_variables"]

Array = NDArray[np.float64]


@checked
def build_model(
    data: Any,
    n_components: int,
    covariance_type: str | Structure = "full",
    priors: Priors | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    missing: str = "error",
) -> pm.Model:
    """The posterior path's model, to print, draw, sample or extend.

    Parameters
    ----------
    data : table or array (N, D)
        Anything that `data.as_table` reads.
    n_components : int
        Number of components K.
    covariance_type : {"full", "tied", "diag", "spherical"}
    priors : Priors, optional
        By default ``Priors()``, stated on standardised data.
    sample_weight : (N,), optional
        Weight 0 is a row left out, weight 2 a row given twice.
    missing : {"error", "drop", "marginalise"}
        What becomes of rows with a missing value: refused, left out, or kept for what they have: their likelihood is the
        marginal density of what was observed.

    Returns
    -------
    pymc.Model
        Free variables ``weights`` (cluster), ``standard_means`` (cluster, feature), ``standard_scales`` or
        ``standard_variances``, with correlations ``partial_shares`` (... , pair), and with a hyperprior
        ``scale_rate``; where volume or shape is shared, ``standard_volumes`` and ``shape_contrasts`` (... , contrast)
        instead of scales, and where axes are, ``rotation_coordinates`` (... , pair) instead of correlations. Standard means
        are those of standardised data, and with priors in the units of the data those of centred data. Deterministic
        ``means`` (cluster, feature) and ``covariances`` (cluster, feature,
        feature_bis), in the units of the data. Data ``observed`` and observed ``x``, both (obs_id, feature).

    Raises
    ------
    InputError
        For data that is no table of finite numbers, an unknown covariance type, a number of components that is not
        between 1 and N, case weights that do not fit, or priors of another number of features.
    """
    return model_of(Target.of(data, n_components, covariance_type, priors, sample_weight, missing))


def model_of(target: Target) -> pm.Model:
    """The model of a target, in its coordinates."""
    import pymc as pm
    import pytensor.tensor as pt

    structure, table, k, d = target.structure, target.table, target.n_components, target.table.n_features
    with pm.Model(coords=_coords(table, k)) as model:
        values = {term.name: term.variable() for term in target.terms}
        factors = structure.lower_factors(values, d, pt.linalg.cholesky)
        _in_data_units(target.scaling, values["means"], factors)
        _observe(target, (values["weights"], values["means"], factors))
    return model


def _coords(table: Table, n_components: int) -> dict[str, Any]:
    return {
        "cluster": np.arange(n_components),
        "feature": list(table.columns),
        "feature_bis": list(table.columns),
        "obs_id": table.index.to_numpy(),
        "contrast": np.arange(1, table.n_features),
        "pair": [f"{table.columns[i]}:{table.columns[j]}" for i, j in pairs_of(table.n_features)],
    }


def _in_data_units(scaling: Scaling, means: Any, factors: Any) -> None:
    import pymc as pm
    import pytensor.tensor as pt

    pm.Deterministic("means", scaling.location + scaling.scale * means, dims=("cluster", "feature"))
    scaled = scaling.scale[:, None] * _of_each(factors, means)
    covariances = pt.matmul(scaled, scaled.transpose(0, 2, 1))
    pm.Deterministic("covariances", covariances, dims=("cluster", "feature", "feature_bis"))


def _of_each(factors: Any, means: Any) -> Any:
    """Factors (K, D, D) from (G, D, D): one for all serves each."""
    import pytensor.tensor as pt

    return pt.broadcast_to(factors, (means.shape[0], factors.shape[1], factors.shape[2]))


def _observe(target: Target, parameters: tuple[Any, ...]) -> None:
    """Register data and the observed variable.

    Its log density is a function of the value given, not of the table: new data set by `pymc.set_data` counts. Where values are
    missing the patterns are those of the table.
    """
    import pymc as pm
    import pytensor.tensor as pt
    from pymc.distributions.shape_utils import rv_size_is_none

    from . import jax_hook  # noqa: F401

    table, scaling, weight = target.table, target.scaling, target.sample_weight
    dims = ("obs_id", "feature")
    # PyMC would make variables of missing values: they are sent as zeros, and a pattern says that they are none.
    data = pm.Data("observed", np.nan_to_num(table.values), dims=dims)
    sample_weight = pt.zeros(0) if weight is None else pm.Data("sample_weight", weight, dims="obs_id")
    d, seen = table.n_features, ~np.isnan(table.values)
    layout = target.structure.layout(d)

    def log_density(value, weights, means, factors, sample_weight):  # type: ignore[no-untyped-def]
        standard = (value - scaling.location) / scaling.scale
        if not table.is_complete:
            from .grouped_op import SeenLogLikelihood

            own = SeenLogLikelihood(seen)(weights, means, _of_each(factors, means), standard) + scaling.log_jacobians(
                table.values
            )
            return own if weight is None else sample_weight * own
        from .pytensor_op import pointwise_log_likelihood

        design = _design(layout, standard, None if weight is None else sample_weight, d)
        return pointwise_log_likelihood(weights, means, factors, *design, scaling.log_jacobian)

    def draw(weights, means, factors, sample_weight, size):  # type: ignore[no-untyped-def]
        lead = [] if rv_size_is_none(size) else [size[i] for i in range(size.type.shape[0])]
        n_rows = pt.prod(size) if lead else 1
        which = pm.Categorical.dist(weights, size=(n_rows,))
        noise = pm.Normal.dist(size=(n_rows, d))
        # Of every component, then of the one drawn: K x N x D, where a factor per row would be N x D x D.
        each = means[:, None, :] + pt.matmul(noise, _of_each(factors, means).transpose(0, 2, 1))
        standard = each[which, pt.arange(n_rows)].reshape((*lead, d))
        return scaling.location + scaling.scale * standard

    pm.CustomDist(
        "x",
        *parameters,
        sample_weight,
        dist=draw,
        logp=log_density,
        signature="(k),(k,d),(g,p,q),(n)->(d)",
        class_name="GaussianMixture",
        observed=data,
        dims=dims,
    )


def _design(layout: Layout, values: Any, sample_weight: Any, n_features: int) -> tuple[Any, ...]:
    """`mixture.Design` of symbolic values (N, D): rows, pairs, case weights, scatter."""
    import pytensor.tensor as pt

    rows = pt.concatenate([pt.ones((1, values.shape[0])), values.T, (values**2).sum(1)[None]], axis=0)
    scatter = pt.zeros((n_features, n_features))
    if layout.common:
        scatter = pt.dot(values.T if sample_weight is None else values.T * sample_weight, values)
    weight = pt.zeros(0) if sample_weight is None else sample_weight
    return rows[: layout.n_rows(n_features)], layout.pairs, weight, scatter


def _value_variables(model: pm.Model, coordinates: Coordinates) -> dict[str, tuple[str, float, tuple[int, ...]]]:
    """Name, multiple and shape of the value variable of each block that is not empty."""
    c, found = coordinates, {}
    named: dict[str, dict[str, float]] = {}
    for term in terms_of(c.structure, c.n_components, c.n_features, Priors()):
        named |= term.free_variables
    for block, size in c.sizes.items():
        for name, multiple in named.get(block, {}).items():
            if name in model.named_vars:
                lengths = tuple(len(model.coords[dim]) for dim in model.named_vars_to_dims.get(name, ()))
                shape = (size,) if block == "weights" else lengths
                found[block] = (model.rvs_to_values[model[name]].name, multiple, shape)
    return found


def to_value_variables(model: pm.Model, coordinates: Coordinates, x: Array) -> dict[str, Array]:
    """Values of the model's (transformed) value variables at unconstrained points.

    Parameters
    ----------
    model : pymc.Model
        As `build_model` made it, perhaps with variables added.
    coordinates : coordinates.Coordinates
    x : (..., P)

    Returns
    -------
    dict of arrays (..., shape of the value variable)
    """
    blocks = coordinates.split(np.asarray(x, dtype=np.float64))
    return {
        name: multiple * blocks[block].reshape((*blocks[block].shape[:-1], *shape))
        for block, (name, multiple, shape) in _value_variables(model, coordinates).items()
    }


def from_value_variables(model: pm.Model, coordinates: Coordinates, values: dict[str, Any]) -> Array:
    """Unconstrained points (..., P) from values of the model's value variables: inverse of `to_value_variables`."""
    parts = []
    for name, multiple, shape in _value_variables(model, coordinates).values():
        value = np.asarray(values[name], dtype=np.float64) / multiple
        parts.append(value.reshape((*value.shape[: value.ndim - len(shape)], math.prod(shape))))
    return np.concatenate(parts, axis=-1)
