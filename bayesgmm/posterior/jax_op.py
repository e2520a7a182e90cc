"""The Ops of `pytensor_op` for JAX: NumPyro, and GPUs. Imported only when a graph is compiled for JAX.

Written with Cholesky factors and without the expanded form of the E-step, in a few array operations that XLA fuses; the
gradient is JAX's own. Double precision is switched on by PyTensor.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp
from pytensor.link.jax.dispatch import jax_funcify

from .pytensor_op import MarginalLogLikelihood, PointwiseLogLikelihood

__all__: list[str] = []


def _log_densities(log_weights: Any, means: Any, scales: Any, correlation: Any, values: Any) -> Any:
    """Log density of each row (N,); ``values`` is (D, N)."""
    n_components, n_features = means.shape
    sd = jnp.broadcast_to(scales, (scales.shape[0], n_features))
    centred = values[None] - means[:, :, None]
    if correlation.shape[0] > 0:
        factor = sd[:, :, None] * jnp.tril(correlation)
        inverse = solve_triangular(factor, jnp.broadcast_to(jnp.eye(n_features), factor.shape), lower=True)
        whitened = jnp.broadcast_to(inverse, (n_components, n_features, n_features)) @ centred
        half_log_det = jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)
    else:
        whitened = centred / sd[:, :, None]
        half_log_det = jnp.log(sd).sum(-1)
    normaliser = log_weights - half_log_det - 0.5 * n_features * jnp.log(2 * jnp.pi)
    return logsumexp(normaliser[:, None] - 0.5 * (whitened**2).sum(1), axis=0)


def _weighted(densities: Any, row_weight: Any) -> Any:
    return densities * row_weight if row_weight.shape[0] > 0 else densities


@jax_funcify.register(MarginalLogLikelihood)
def _jax_marginal(op: MarginalLogLikelihood, **kwargs: Any) -> Any:
    def marginal(weights, means, scales, correlation, rows, pairs, row_weight, scatter):  # type: ignore[no-untyped-def]
        def log_likelihood(log_weights, means, log_scales, correlation):  # type: ignore[no-untyped-def]
            values = rows[1 : 1 + means.shape[1]]
            densities = _log_densities(log_weights, means, jnp.exp(log_scales), correlation, values)
            return _weighted(densities, row_weight).sum()

        arguments = (jnp.log(weights), means, jnp.log(scales), correlation)
        value, slopes = jax.value_and_grad(log_likelihood, argnums=(0, 1, 2, 3))(*arguments)
        return value, *slopes

    return marginal


@jax_funcify.register(PointwiseLogLikelihood)
def _jax_pointwise(op: PointwiseLogLikelihood, **kwargs: Any) -> Any:
    def pointwise(weights, means, scales, correlation, rows, pairs, row_weight, scatter, constant):  # type: ignore[no-untyped-def]
        values = rows[1 : 1 + means.shape[1]]
        densities = _log_densities(jnp.log(weights), means, scales, correlation, values) + constant
        return _weighted(densities, row_weight)

    return pointwise
