"""The Ops of `pytensor_op` for JAX: NumPyro, and GPUs. Imported only when a graph is compiled for JAX.

Written with Cholesky factors and without the expanded form of the E-step, in a few array operations that XLA fuses; the
gradient is JAX's own. Double precision is switched on by PyTensor.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp
from pytensor.link.jax.dispatch import jax_funcify

from ..mixture import patterns
from .grouped_op import SeenGradient, SeenLogLikelihood
from .pytensor_op import MarginalLogLikelihood, PointwiseLogLikelihood

__all__: list[str] = []


def _log_densities(log_weights: Any, means: Any, factors: Any, values: Any) -> Any:
    """Log density of each row (N,); ``values`` is (D, N), factors (G, D, D)."""
    n_components, n_features = means.shape
    lower = jnp.tril(factors)
    inverse = solve_triangular(lower, jnp.broadcast_to(jnp.eye(n_features), lower.shape), lower=True)
    centred = values[None] - means[:, :, None]
    whitened = jnp.broadcast_to(inverse, (n_components, n_features, n_features)) @ centred
    half_log_det = jnp.log(jnp.diagonal(lower, axis1=-2, axis2=-1)).sum(-1)
    normaliser = log_weights - half_log_det - 0.5 * n_features * jnp.log(2 * jnp.pi)
    return logsumexp(normaliser[:, None] - 0.5 * (whitened**2).sum(1), axis=0)


def _weighted(densities: Any, sample_weight: Any) -> Any:
    return densities * sample_weight if sample_weight.shape[0] > 0 else densities


@jax_funcify.register(MarginalLogLikelihood)
def _jax_marginal(op: MarginalLogLikelihood, **kwargs: Any) -> Any:
    def marginal(weights, means, factors, rows, pairs, sample_weight, scatter):  # type: ignore[no-untyped-def]
        def log_likelihood(log_weights, means, factors):  # type: ignore[no-untyped-def]
            values = rows[1 : 1 + means.shape[1]]
            return _weighted(_log_densities(log_weights, means, factors, values), sample_weight).sum()

        value, gradient = jax.value_and_grad(log_likelihood, argnums=(0, 1, 2))(jnp.log(weights), means, factors)
        return value, *gradient

    return marginal


@jax_funcify.register(PointwiseLogLikelihood)
def _jax_pointwise(op: PointwiseLogLikelihood, **kwargs: Any) -> Any:
    def pointwise(weights, means, factors, rows, pairs, sample_weight, scatter, constant):  # type: ignore[no-untyped-def]
        values = rows[1 : 1 + means.shape[1]]
        densities = _log_densities(jnp.log(weights), means, factors, values) + constant
        return _weighted(densities, sample_weight)

    return pointwise


def _seen_log_densities(op: SeenLogLikelihood | SeenGradient) -> Any:
    """Log density of what each row has: that of a row whose other entries are independent and standard normal, less theirs.

    With s the 0-1 vector of what is there, S~ = s s' * S + diag(1 - s) and y~ = s * (x - mu) have the log determinant and the
    square of x_o.
    """
    seen, which = patterns(np.where(op.seen, 0.0, np.nan))
    s = jnp.asarray(seen, dtype=float)

    def log_densities(weights, means, factors, values):  # type: ignore[no-untyped-def]
        lower = jnp.tril(factors)
        covariances = lower @ jnp.swapaxes(lower, -1, -2)
        masked = (s[:, :, None] * s[:, None, :])[:, None] * covariances
        own = jnp.linalg.cholesky(masked + (jnp.eye(s.shape[1]) * (1.0 - s)[:, :, None])[:, None])
        half_log_det = jnp.log(jnp.diagonal(own, axis1=-2, axis2=-1)).sum(-1)
        y = s[which][:, None] * (values[:, None] - means)
        z = solve_triangular(own[which], y[..., None], lower=True)[..., 0]
        constant = -half_log_det[which] - 0.5 * s.sum(1)[which][:, None] * jnp.log(2 * jnp.pi)
        return logsumexp(jnp.log(weights) + constant - 0.5 * (z**2).sum(-1), axis=-1)

    return log_densities


@jax_funcify.register(SeenLogLikelihood)
def _jax_seen(op: SeenLogLikelihood, **kwargs: Any) -> Any:
    return _seen_log_densities(op)


@jax_funcify.register(SeenGradient)
def _jax_seen_gradient(op: SeenGradient, **kwargs: Any) -> Any:
    log_densities = _seen_log_densities(op)

    def gradient(weights, means, factors, values, factor):  # type: ignore[no-untyped-def]
        def total(*parameters):  # type: ignore[no-untyped-def]
            return (factor * log_densities(*parameters, values)).sum()

        return jax.grad(total, argnums=(0, 1, 2))(weights, means, factors)

    return gradient
