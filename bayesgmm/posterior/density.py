"""The log posterior density on the unconstrained scale, compiled once for every structure, K, D and N.

The same density as the PyMC model's (`pymc_model.build_model`; the tests assert it, value and gradient), with the transforms,
the priors and the likelihood fused into one function that samplers call through a C pointer.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..mixture import Design, Mixture, run_parallel, single_threaded_blas
from .coordinates import Coordinates
from .gradient import likelihood_and_gradient
from .priors import InverseGammaScale, Priors

__all__ = ["Density", "log_density_and_gradient"]

Array = NDArray[np.float64]


@njit(nogil=True, cache=True, error_model="numpy")
def _correlation_factor(z, factor, partial):
    """Cholesky factor (D, D) of the correlation matrix whose canonical partial correlations are tanh(z / 2)."""
    n_features = factor.shape[0]
    m = 0
    for i in range(n_features):
        for j in range(i + 1, n_features):
            factor[i, j] = 0.0
        remaining = 1.0
        for j in range(i):
            rho = np.tanh(0.5 * z[m])
            partial[m] = rho
            factor[i, j] = rho * remaining
            # sqrt(1 - tanh(z/2)^2) without cancellation near one
            remaining /= np.cosh(0.5 * z[m])
            m += 1
        factor[i, i] = remaining


@njit(nogil=True, cache=True, error_model="numpy")
def _correlation_pullback(z, factor, partial, d_factor, d_z):
    """Add the gradient with respect to z, from the gradient with respect to the factor."""
    n_features = factor.shape[0]
    m = 0
    for i in range(n_features):
        later = 0.0
        start = m
        for j in range(i, 0, -1):
            later += d_factor[i, j] * factor[i, j]
            rho = partial[start + j - 1]
            remaining = 1.0
            for q in range(j - 1):
                remaining /= np.cosh(0.5 * z[start + q])
            squared = 1.0 / np.cosh(0.5 * z[start + j - 1]) ** 2
            d_z[start + j - 1] += 0.5 * (squared * d_factor[i, j - 1] * remaining - rho * later)
        m += i


@njit(nogil=True, cache=True, error_model="numpy")
def log_density_and_gradient(
    x, gradient, n_components, scale_shape, correlated, rows, pairs, row_weight, scatter, prior
):
    """Log posterior density at the unconstrained point ``x`` (P,); its gradient is written into ``gradient`` (P,).

    ``prior`` is the vector that `Density.of` lays out. Returns nan where the density is not finite.
    """
    k_all, d_all = n_components, scatter.shape[0]
    groups, width = scale_shape
    n_pairs = d_all * (d_all - 1) // 2 if correlated else 0
    concentration, eta, hyper_shape, hyper_rate, constant = prior[0], prior[1], prior[2], prior[3], prior[4]
    c1, c2, c3, c4 = prior[5], prior[6], prior[7], prior[8]
    location = prior[9 : 9 + d_all]
    precision = prior[9 + d_all : 9 + 2 * d_all]
    inverse_gamma_shape = prior[9 + 2 * d_all]
    at_means = k_all - 1
    at_scales = at_means + k_all * d_all
    at_correlations = at_scales + groups * width
    at_rate = at_correlations + groups * n_pairs

    # Weights: softmax of [y, -sum(y)].
    weights = np.empty(k_all)
    last = 0.0
    for k in range(k_all - 1):
        weights[k] = x[k]
        last -= x[k]
    weights[k_all - 1] = last
    top = weights[0]
    for k in range(1, k_all):
        top = max(top, weights[k])
    norm = 0.0
    for k in range(k_all):
        norm += np.exp(weights[k] - top)
    value = constant
    for k in range(k_all):
        log_weight = weights[k] - top - np.log(norm)
        # Dirichlet density times the Jacobian of the simplex transform.
        value += concentration * log_weight
        weights[k] = np.exp(log_weight)

    means = x[at_means:at_scales].reshape((k_all, d_all))
    scales = np.empty((groups, width))
    for g in range(groups):
        for e in range(width):
            scales[g, e] = np.exp(x[at_scales + g * width + e])
    correlation = np.empty((groups if correlated else 0, d_all, d_all))
    partial = np.empty((groups, n_pairs))
    if correlated:
        for g in range(groups):
            z = x[at_correlations + g * n_pairs : at_correlations + (g + 1) * n_pairs]
            _correlation_factor(z, correlation[g], partial[g])

    log_likelihood, counts, d_means, d_log_scales, d_correlation = likelihood_and_gradient(
        weights, means, scales, correlation, rows, pairs, row_weight, scatter
    )
    value += log_likelihood

    total = 0.0
    for k in range(k_all):
        total += counts[k] + concentration
    pulled_last = counts[k_all - 1] + concentration - total * weights[k_all - 1]
    for k in range(k_all - 1):
        gradient[k] = counts[k] + concentration - total * weights[k] - pulled_last

    for k in range(k_all):
        for i in range(d_all):
            off = means[k, i] - location[i]
            value -= 0.5 * precision[i] * off * off
            gradient[at_means + k * d_all + i] = d_means[k, i] - precision[i] * off

    rate = 0.0
    if hyper_shape > 0.0:
        log_rate = x[at_rate]
        rate = np.exp(log_rate)
        power = hyper_shape + inverse_gamma_shape * groups * width
        value += power * log_rate - hyper_rate * rate
        gradient[at_rate] = power - hyper_rate * rate
    for g in range(groups):
        for e in range(width):
            at = at_scales + g * width + e
            s = x[at]
            grow = c3 * np.exp(2.0 * s)
            shrink = (c4 - rate) * np.exp(-2.0 * s)
            value += c1 * s + c2 * s * s + grow + shrink
            gradient[at] = d_log_scales[g, e] + c1 + 2.0 * (c2 * s + grow - shrink)
            if hyper_shape > 0.0:
                gradient[at_rate] -= rate * np.exp(-2.0 * s)

    if correlated:
        for g in range(groups):
            start = at_correlations + g * n_pairs
            m = start
            for i in range(d_all):
                for j in range(i):
                    b = eta + 0.5 * (d_all - 2 - j)
                    # b log p + b log(1 - p) with p = 1 / (1 + exp(-z)): symmetric in z.
                    value -= (
                        2.0 * b * (np.log(np.cosh(0.5 * x[m])) if abs(x[m]) < 300 else 0.5 * abs(x[m]) - np.log(2.0))
                    )
                    gradient[m] = -b * np.tanh(0.5 * x[m])
                    m += 1
            z = x[start : start + n_pairs]
            _correlation_pullback(z, correlation[g], partial[g], d_correlation[g], gradient[start : start + n_pairs])
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def _log_densities(points, values, n_components, scale_shape, correlated, rows, pairs, row_weight, scatter, prior):
    gradient = np.empty(points.shape[1])
    for s in range(points.shape[0]):
        values[s] = log_density_and_gradient(
            points[s],
            gradient,
            n_components,
            scale_shape,
            correlated,
            rows,
            pairs,
            row_weight,
            scatter,
            prior,
        )


@dataclass(frozen=True)
class Density:
    """The log posterior density of one table under one model, ready to evaluate.

    Attributes
    ----------
    coordinates : Coordinates
    design : Design
    prior : (10 + 2 D,)
        Numbers of the prior, in the order the compiled code reads them.
    """

    coordinates: Coordinates
    design: Design
    prior: Array

    @classmethod
    def of(cls, design: Design, n_components: int, priors: Priors, jacobian: bool = True) -> Density:
        """For a laid-out table, K components and priors.

        Without ``jacobian`` it is the density of the parameters themselves, as a function of the coordinates: its
        maximum is what PyMC's ``find_MAP`` looks for. The transforms' Jacobians are powers that the priors have too, so
        that leaving them out lowers exponents and changes nothing else.
        """
        d = design.n_features
        structure = design.structure
        scale = priors.scale
        hyper = scale.hyper if isinstance(scale, InverseGammaScale) else None
        coordinates = Coordinates(structure, n_components, d, hyper is not None)
        location, spread = priors.mean_vectors(d)
        c0, c1, c2, c3, c4 = scale.coefficients(n_components, d)
        sizes = coordinates.sizes
        a, eta = priors.weight_concentration, priors.correlation_eta
        constant = lgamma(n_components * a) - n_components * lgamma(a)
        left_out = 0.0 if jacobian else 1.0
        if jacobian:
            constant += log(n_components)
        else:
            log_factor, power = scale.jacobian
            c0, c1 = c0 - log_factor, c1 - power
        constant -= n_components * (np.log(spread) + 0.5 * log(2 * np.pi)).sum()
        constant += c0 * sizes["scales"]
        free = structure.free(n_components, d)
        if free.correlated:
            for i in range(d):
                for j in range(i):
                    b = eta + 0.5 * (d - 2 - j)
                    # log p + log(1 - p) = -2 log(2 cosh(z / 2))
                    constant += free.groups * (lgamma(2 * b) - 2 * lgamma(b) - 2 * (b - left_out) * log(2))
        g, h = hyper or (0.0, 0.0)
        if hyper is not None:
            constant += g * log(h) - lgamma(g)
        shape = scale.shape - left_out / sizes["scales"] if isinstance(scale, InverseGammaScale) else 0.0
        numbers = [a - left_out, eta - left_out, g, h, constant, c1, c2, c3, c4]
        prior = np.concatenate([numbers, location, spread**-2.0, [shape]])
        return cls(coordinates, design, np.ascontiguousarray(prior))

    @property
    def size(self) -> int:
        """Number of coordinates P."""
        return self.coordinates.size

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What `log_density_and_gradient` takes after the point and the slope."""
        c, design = self.coordinates, self.design
        free = c.structure.free(c.n_components, c.n_features)
        return (
            c.n_components,
            (free.groups, free.width),
            free.correlated,
            design.rows,
            design.pairs,
            design.row_weight,
            design.scatter,
            self.prior,
        )

    def start_at(self, mixture: Mixture) -> Array:
        """The point (P,) to start from for a mixture of the design's rows: a place where the density is finite."""
        dense = mixture.dense_covariances + 1e-6 * np.eye(mixture.n_features)
        # A component that EM has emptied still needs a weight.
        weights = np.maximum(mixture.weights, 1e-3 / mixture.n_components)
        return self.coordinates.unconstrain(weights / weights.sum(), mixture.means, dense)

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Log density and gradient (P,) at an unconstrained point (P,)."""
        gradient = np.empty(self.size)
        value = log_density_and_gradient(np.ascontiguousarray(x, dtype=float), gradient, *self.arguments)
        return value, gradient

    def many(self, points: Array) -> Array:
        """Log densities (S,) at points (S, P), on all cores."""
        points = np.ascontiguousarray(points, dtype=float)
        values = np.empty(len(points))
        arguments = self.arguments

        def over(part: slice) -> None:
            _log_densities(points[part], values[part], *arguments)

        with single_threaded_blas():
            run_parallel(over, [slice(a, a + 256) for a in range(0, len(points), 256)])
        return values
