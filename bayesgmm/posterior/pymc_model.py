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

from ..data import Scaling, Table
from ..mixture import Structure
from .priors import Priors
from .target import Problem

if TYPE_CHECKING:
    import pymc as pm

    from .coordinates import Coordinates

# PyMC is imported where it is used: the names above must stay light.

__all__ = ["build_model", "from_value_variables", "to_value_variables"]

Array = NDArray[np.float64]


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
    missing : {"error", "drop"}
        What becomes of rows with a missing value: refused, or left out.

    Returns
    -------
    pymc.Model
        Free variables ``weights`` (cluster), ``standard_means`` (cluster, feature), ``standard_scales`` or
        ``standard_variances``, with correlations ``partial_shares`` (... , pair), and with a hyperprior
        ``scale_rate``. Standard means are those of standardised data, and with priors in the units of the data those of
        centred data. Deterministic ``means`` (cluster, feature) and ``covariances`` (cluster, feature,
        feature_bis), in the units of the data. Data ``observed`` and observed ``x``, both (obs_id, feature).

    Raises
    ------
    InputError
        For data that is no table of finite numbers, an unknown covariance type, a number of components that is not
        between 1 and N, case weights that do not fit, or priors of another number of features.
    """
    import pymc as pm

    problem = Problem.of(data, n_components, covariance_type, priors, sample_weight, missing)
    structure, priors, table = problem.structure, problem.own_priors, problem.table
    k = problem.n_components
    location, spread = priors.mean_vectors(table.n_features)
    with pm.Model(coords=_coords(table, k)) as model:
        weights = pm.Dirichlet("weights", np.full(k, priors.weight_concentration), dims="cluster")
        means = pm.Normal("standard_means", location, spread, dims=("cluster", "feature"))
        scales = _scales(structure, priors, k, table.n_features)
        correlation = _correlation_factors(structure, priors, k, table)
        _in_data_units(structure, problem.scaling, means, scales, correlation)
        _observe(problem, (weights, means, scales, correlation))
    return model


def _pairs(n_features: int) -> list[tuple[int, int]]:
    """Strict lower triangle by rows, the order of the partial correlations."""
    return [(i, j) for i in range(n_features) for j in range(i)]


def _coords(table: Table, n_components: int) -> dict[str, Any]:
    return {
        "cluster": np.arange(n_components),
        "feature": list(table.columns),
        "feature_bis": list(table.columns),
        "obs_id": table.index.to_numpy(),
    }


def _group_dims(structure: Structure) -> tuple[str, ...]:
    return ("cluster",) if structure.free(2, 2).groups > 1 else ()


def _scales(structure: Structure, priors: Priors, n_components: int, n_features: int) -> Any:
    """Standard deviations (G, E) on the standardised scale."""
    free = structure.free(n_components, n_features)
    dims = _group_dims(structure) + (("feature",) if structure.free(2, 2).width > 1 else ())
    scales = priors.scale.standard_deviation(dims, n_components, n_features)
    return scales.reshape((free.groups, free.width))


def _correlation_factors(structure: Structure, priors: Priors, n_components: int, table: Table) -> Any:
    """Lower Cholesky factors (G, D, D) of the correlation matrices, or (0, D, D)."""
    import pymc as pm
    import pytensor.tensor as pt

    d = table.n_features
    free = structure.free(n_components, d)
    if not free.correlated:
        return pt.zeros((0, d, d))
    pairs = _pairs(d)
    if not pairs:
        return pt.ones((free.groups, 1, 1))
    columns = table.columns
    model = pm.modelcontext(None)
    model.add_coord("pair", [f"{columns[i]}:{columns[j]}" for i, j in pairs])
    b = np.array([priors.correlation_eta + (d - 2 - j) / 2 for _, j in pairs])
    share = pm.Beta("partial_shares", b, b, dims=(*_group_dims(structure), "pair"))
    share = share.reshape((free.groups, len(pairs)))

    i, j = np.array(pairs).T
    partial = pt.tile(pt.eye(d), (free.groups, 1, 1))[:, i, j].set(2 * share - 1)
    # sqrt(1 - partial^2) = 2 sqrt(share (1 - share)), whose logarithm PyTensor keeps exact near zero and one.
    log_left = pt.zeros((free.groups, d, d))[:, i, j].set(np.log(2) + 0.5 * (pt.log(share) + pt.log1p(-share)))
    return partial * pt.exp(pt.cumsum(log_left, axis=-1) - log_left)


def _factors(scales: Any, correlation: Any, n_components: int, n_features: int, correlated: bool) -> Any:
    """Cholesky factors (K, D, D) of the standardised covariances."""
    import pytensor.tensor as pt

    sd = pt.broadcast_to(scales, (scales.shape[0], n_features))
    factor = sd[:, :, None] * (correlation if correlated else pt.eye(n_features)[None])
    return pt.broadcast_to(factor, (n_components, n_features, n_features))


def _in_data_units(structure: Structure, scaling: Scaling, means: Any, scales: Any, correlation: Any) -> None:
    import pymc as pm
    import pytensor.tensor as pt

    correlated = structure.free(1, 2).correlated
    pm.Deterministic("means", scaling.location + scaling.scale * means, dims=("cluster", "feature"))
    factor = _factors(scales, correlation, means.shape[0], scaling.scale.size, correlated)
    factor = scaling.scale[:, None] * factor
    covariances = pt.matmul(factor, factor.transpose(0, 2, 1))
    pm.Deterministic("covariances", covariances, dims=("cluster", "feature", "feature_bis"))


def _observe(problem: Problem, parameters: tuple[Any, ...]) -> None:
    """Register data and the observed variable.

    Its log density is a function of the value given, not of the table: new data set by `pymc.set_data` counts.
    """
    import pymc as pm
    import pytensor.tensor as pt
    from pymc.distributions.shape_utils import rv_size_is_none

    from .pytensor_op import pointwise_log_likelihood

    structure, table, scaling, weight = problem.structure, problem.table, problem.scaling, problem.row_weight
    dims = ("obs_id", "feature")
    data = pm.Data("observed", table.values, dims=dims)
    case_weight = pt.zeros(0) if weight is None else pm.Data("sample_weight", weight, dims="obs_id")
    d = table.n_features

    def log_density(value, weights, means, scales, correlation, case_weight):  # type: ignore[no-untyped-def]
        standard = (value - scaling.location) / scaling.scale
        design = _design(structure, standard, None if weight is None else case_weight, d)
        return pointwise_log_likelihood(weights, means, scales, correlation, *design, scaling.log_jacobian)

    def draw(weights, means, scales, correlation, case_weight, size):  # type: ignore[no-untyped-def]
        lead = [] if rv_size_is_none(size) else [size[i] for i in range(size.type.shape[0])]
        n_rows = pt.prod(size) if lead else 1
        which = pm.Categorical.dist(weights, size=(n_rows,))
        noise = pm.Normal.dist(size=(n_rows, d))
        factor = _factors(scales, correlation, weights.shape[0], d, structure.free(1, 2).correlated)
        # Of every component, then of the one drawn: K x N x D, where a factor per row would be N x D x D.
        each = means[:, None, :] + pt.matmul(noise, factor.transpose(0, 2, 1))
        standard = each[which, pt.arange(n_rows)].reshape((*lead, d))
        return scaling.location + scaling.scale * standard

    pm.CustomDist(
        "x",
        *parameters,
        case_weight,
        dist=draw,
        logp=log_density,
        signature="(k),(k,d),(g,e),(c,p,q),(n)->(d)",
        class_name="GaussianMixture",
        observed=data,
        dims=dims,
    )


def _design(structure: Structure, values: Any, case_weight: Any, n_features: int) -> tuple[Any, ...]:
    """`mixture.Design` of symbolic values (N, D): rows, pairs, case weights, scatter."""
    import pytensor.tensor as pt

    rows = [pt.ones((1, values.shape[0])), values.T]
    if structure.rows(np.zeros((1, n_features))).shape[0] > 1 + n_features:
        rows.append((values**2).sum(1)[None])
    pairs = structure.pairs(n_features)
    scatter = pt.zeros((n_features, n_features))
    if structure.free(1, n_features).correlated and not len(pairs):
        # Only a matrix common to all components needs the scatter of the data.
        scatter = pt.dot(values.T if case_weight is None else values.T * case_weight, values)
    return pt.concatenate(rows, axis=0), pairs, pt.zeros(0) if case_weight is None else case_weight, scatter


# Free variable of each block of `coordinates.Coordinates`, and its value variable in multiples of the coordinate: where
# the prior is one of variances, log variance = 2 log sd.
_FREE_VARIABLES = {
    "weights": {"weights": 1.0},
    "means": {"standard_means": 1.0},
    "scales": {"standard_scales": 1.0, "standard_variances": 2.0},
    "correlations": {"partial_shares": 1.0},
    "rate": {"scale_rate": 1.0},
}


def _value_variables(model: pm.Model, coordinates: Coordinates) -> dict[str, tuple[str, float, tuple[int, ...]]]:
    """Name, multiple and shape of the value variable of each block that is not empty."""
    found = {}
    for block, size in coordinates.sizes.items():
        for name, multiple in _FREE_VARIABLES[block].items():
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
