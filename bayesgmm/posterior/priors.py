"""Priors of the posterior path, and what the fused log density needs to know of them.

By default they are stated on standardised data (`Priors.units`): one prior serves every table. Every scale prior
is, as a density of s = log(standard deviation), a combination of five functions,

    log p(s) = c0 + c1 s + c2 s^2 + c3 exp(2 s) + c4 exp(-2 s),

which is all the compiled log density has to know: log-normal, half-normal and inverse-gamma scales run the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf, isfinite, lgamma, log, pi, sqrt
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data import InputError, Scaling

__all__ = ["HalfNormalScale", "InverseGammaScale", "LogNormalScale", "Priors", "ScalePrior"]

Array = NDArray[np.float64]


def _require_positive(owner: object, **values: float) -> None:
    for name, value in values.items():
        if not 0 < value < inf:
            raise InputError(f"{type(owner).__name__}({name}={value!r}): {name} must be positive and finite")


def _doubles(*values: float) -> list[Any]:
    """Numbers for PyTensor, which otherwise turns 1.5 into single precision and takes its logarithm there."""
    return [np.asarray(value, dtype=np.float64) for value in values]


@dataclass(frozen=True)
class ScalePrior:
    """Prior of each component's standard deviations, independent over components and features.

    Attributes
    ----------
    jacobian : (float, float)
        Log factor and power of exp(s) in the derivative of the model's own variable with respect to s = log sd.
    """

    jacobian: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def coefficients(self, n_components: int, n_features: int) -> tuple[float, float, float, float, float]:
        """c0..c4 of the log density of the log standard deviation, Jacobian included."""
        raise NotImplementedError

    def log_moments(self, n_components: int, n_features: int) -> tuple[float, float]:
        """Mean and standard deviation of the log standard deviation."""
        raise NotImplementedError

    def standard_deviation(self, dims: tuple[str, ...], n_components: int, n_features: int) -> Any:
        """The standard deviations as a variable of the PyMC model in context, with the dims given."""
        raise NotImplementedError

    def log_density(self, log_sd: ArrayLike, n_components: int, n_features: int) -> Array:
        """Log density of log standard deviations, elementwise."""
        s = np.asarray(log_sd, dtype=float)
        c0, c1, c2, c3, c4 = self.coefficients(n_components, n_features)
        return c0 + c1 * s + c2 * s**2 + c3 * np.exp(2 * s) + c4 * np.exp(-2 * s)


@dataclass(frozen=True)
class LogNormalScale(ScalePrior):
    """sd ~ LogNormal(location, sigma). ``location=None`` is log K^(-1/D): K components share the volume of the data."""

    location: float | None = None
    sigma: float = 0.6

    def __post_init__(self) -> None:
        _require_positive(self, sigma=self.sigma)
        if self.location is not None and not isfinite(self.location):
            raise InputError(f"LogNormalScale(location={self.location!r}): location must be finite or None")

    def resolved(self, n_components: int, n_features: int) -> float:
        """The location for K components in D features."""
        return -log(n_components) / n_features if self.location is None else float(self.location)

    def coefficients(self, n_components: int, n_features: int) -> tuple[float, float, float, float, float]:
        m, v = self.resolved(n_components, n_features), self.sigma**2
        return -0.5 * log(2 * pi * v) - 0.5 * m**2 / v, m / v, -0.5 / v, 0.0, 0.0

    def log_moments(self, n_components: int, n_features: int) -> tuple[float, float]:
        return self.resolved(n_components, n_features), self.sigma

    def standard_deviation(self, dims: tuple[str, ...], n_components: int, n_features: int) -> Any:
        import pymc as pm

        location = self.resolved(n_components, n_features)
        return pm.LogNormal("standard_scales", *_doubles(location, self.sigma), dims=dims)


@dataclass(frozen=True)
class HalfNormalScale(ScalePrior):
    """sd ~ HalfNormal(sigma)."""

    sigma: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(self, sigma=self.sigma)

    def coefficients(self, n_components: int, n_features: int) -> tuple[float, float, float, float, float]:
        return 0.5 * log(2 / (pi * self.sigma**2)), 1.0, 0.0, -0.5 / self.sigma**2, 0.0

    def log_moments(self, n_components: int, n_features: int) -> tuple[float, float]:
        # log Z^2 of a standard normal Z has mean -gamma - log 2 and variance pi^2 / 2.
        return log(self.sigma) - 0.5 * (float(np.euler_gamma) + log(2)), pi / sqrt(8)

    def standard_deviation(self, dims: tuple[str, ...], n_components: int, n_features: int) -> Any:
        import pymc as pm

        return pm.HalfNormal("standard_scales", *_doubles(self.sigma), dims=dims)


@dataclass(frozen=True)
class InverseGammaScale(ScalePrior):
    """variance ~ InverseGamma(shape, rate).

    With ``hyper=(g, h)`` the rate is itself unknown, rate ~ Gamma(g, h) common to all components (Richardson & Green
    1997), and ``rate`` is not used.
    """

    shape: float = 2.0
    rate: float = 1.0
    hyper: tuple[float, float] | None = None
    jacobian: ClassVar[tuple[float, float]] = (log(2), 2.0)  # the variable is the variance: 2 exp(2 s)

    def __post_init__(self) -> None:
        _require_positive(self, shape=self.shape, rate=self.rate)
        if self.hyper is not None:
            _require_positive(self, hyper_shape=self.hyper[0], hyper_rate=self.hyper[1])

    def coefficients(self, n_components: int, n_features: int) -> tuple[float, float, float, float, float]:
        # With a hyperprior c0 lacks shape * log(rate) and c4 is -rate: `density` adds them.
        c0 = log(2) - lgamma(self.shape)
        if self.hyper is not None:
            return c0, -2 * self.shape, 0.0, 0.0, 0.0
        return c0 + self.shape * log(self.rate), -2 * self.shape, 0.0, 0.0, -self.rate

    def log_moments(self, n_components: int, n_features: int) -> tuple[float, float]:
        from scipy.special import polygamma

        if self.hyper is not None:
            raise InputError(
                "InverseGammaScale(hyper=...) has no prior for volumes and shapes: give LogNormalScale, or a structure "
                "of scales such as full, tied, diag or spherical"
            )
        return 0.5 * (log(self.rate) - float(polygamma(0, self.shape))), 0.5 * sqrt(float(polygamma(1, self.shape)))

    def standard_deviation(self, dims: tuple[str, ...], n_components: int, n_features: int) -> Any:
        import pymc as pm

        shape, rate = _doubles(self.shape, self.rate)
        if self.hyper is not None:
            rate = pm.Gamma("scale_rate", *_doubles(*self.hyper))
        return pm.InverseGamma("standard_variances", shape, rate, dims=dims) ** 0.5


@dataclass(frozen=True)
class Priors:
    """Priors of weights, means, scales and correlations.

    Attributes
    ----------
    mean_location, mean_scale : float or sequence of D floats
        means ~ Normal(mean_location, mean_scale), each coordinate.
    scale : ScalePrior
        Of the standard deviations.
    correlation_eta : float
        Correlation matrices ~ LKJ(eta) (Lewandowski, Kurowicka & Joe 2009).
    weight_concentration : float
        weights ~ Dirichlet(concentration, ..., concentration).
    units : {"standardised", "data"}
        The scale on which means and scales are stated.

    Raises
    ------
    InputError
        For a scale, concentration or eta that is not positive, naming it.
    """

    mean_location: float | tuple[float, ...] = 0.0
    mean_scale: float | tuple[float, ...] = 2.0
    scale: ScalePrior = field(default_factory=LogNormalScale)
    correlation_eta: float = 2.0
    weight_concentration: float = 4.0
    units: Literal["standardised", "data"] = "standardised"

    def __post_init__(self) -> None:
        for name in ("mean_location", "mean_scale"):
            value = getattr(self, name)
            if np.ndim(value) > 1:
                raise InputError(
                    f"Priors({name}=...): give one number or one per feature, not an array of shape {np.shape(value)}"
                )
            if np.ndim(value) == 1:
                object.__setattr__(self, name, tuple(float(v) for v in value))
        if not np.all(np.isfinite(self.mean_location)):
            raise InputError(f"Priors(mean_location={self.mean_location!r}): must be finite")
        if not np.all((np.asarray(self.mean_scale) > 0) & np.isfinite(self.mean_scale)):
            raise InputError(f"Priors(mean_scale={self.mean_scale!r}): must be positive and finite")
        _require_positive(self, correlation_eta=self.correlation_eta, weight_concentration=self.weight_concentration)
        if not isinstance(self.scale, ScalePrior):
            raise InputError(f"Priors(scale={self.scale!r}): give LogNormalScale, HalfNormalScale or InverseGammaScale")
        if self.units not in ("standardised", "data"):
            raise InputError(f"Priors(units={self.units!r}): choose 'standardised' or 'data'")

    @classmethod
    def richardson_green(cls, y: ArrayLike) -> Priors:
        """The priors of Richardson & Green (1997) for univariate data, in the units of the data.

        With R the range of ``y``: mean ~ N(midrange, R^2), variance ~ InverseGamma(2, C0), C0 ~ Gamma(0.2, 10 / R^2),
        weights ~ Dirichlet(1).

        Raises
        ------
        InputError
            If ``y`` has more than one column or no spread.
        """
        y = np.asarray(y, dtype=float)
        if y.ndim > 1 and y.shape[1] != 1:
            raise InputError(f"Priors.richardson_green is for one column; y has {y.shape[1]}: use Priors() instead")
        low, high = float(y.min()), float(y.max())
        spread = high - low
        if not spread > 0:
            raise InputError("Priors.richardson_green: all values of y are equal, so they have no range")
        return cls(
            mean_location=(low + high) / 2,
            mean_scale=spread,
            scale=InverseGammaScale(shape=2.0, hyper=(0.2, 10 / spread**2)),
            weight_concentration=1.0,
            units="data",
        )

    def mean_vectors(self, n_features: int) -> tuple[Array, Array]:
        """Location and scale of the means, each (D,).

        Raises
        ------
        InputError
            If either has another length than the number of features.
        """
        vectors = []
        for name in ("mean_location", "mean_scale"):
            value = np.atleast_1d(np.asarray(getattr(self, name), dtype=float))
            if value.size not in (1, n_features):
                raise InputError(
                    f"Priors({name}=...) has {value.size} values for {n_features} features: give 1 or {n_features}"
                )
            vectors.append(np.ascontiguousarray(np.broadcast_to(value, (n_features,))))
        return vectors[0], vectors[1]

    @classmethod
    def from_description(cls, described: Mapping[str, Any]) -> Priors:
        """Priors from plain values: the inverse of `describe`, defaults where a field is missing.

        Raises
        ------
        InputError
            For a field that priors do not have, or a value not fit for it.
        """
        values = dict(described)
        _require_known(values, cls, "Priors")
        try:
            if "scale" in values:
                values["scale"] = _scale_from(values["scale"])
            return cls(**values)
        except TypeError as error:
            raise InputError(f"priors {dict(described)!r}: a value is of the wrong type ({error})") from None

    def on_scale_of(self, scaling: Scaling) -> Priors:
        """The same priors, stated on the scale to which ``scaling`` brings the data.

        Priors in the units of the data go with a scaling that only centres: it keeps all digits of data far from zero.
        """
        if self.units == "standardised":
            return self
        location, _ = self.mean_vectors(scaling.location.size)
        return replace(self, mean_location=tuple((location - scaling.location).tolist()), units="standardised")

    def describe(self) -> dict[str, Any]:
        """As a dictionary of plain values, for provenance."""
        return {**asdict(self), "scale": {"family": type(self.scale).__name__, **asdict(self.scale)}}


def _require_known(values: Mapping[str, Any], owner: type[Any], name: str) -> None:
    known = [f.name for f in fields(owner)]
    for key in values:
        if key not in known:
            raise InputError(f"{name} has no field {key!r}: choose among {', '.join(known)}")


def _scale_from(described: Any) -> ScalePrior:
    """A scale prior from its family's name and its fields."""
    families = {family.__name__: family for family in (LogNormalScale, HalfNormalScale, InverseGammaScale)}
    values = {"family": described} if isinstance(described, str) else dict(described)
    name = values.pop("family", "LogNormalScale")
    if name not in families:
        raise InputError(f"Priors: scale family {name!r} is unknown: choose among {', '.join(families)}")
    _require_known(values, families[name], name)
    if values.get("hyper") is not None:
        values["hyper"] = tuple(values["hyper"])
    return families[name](**values)
