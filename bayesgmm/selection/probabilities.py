"""Posterior probabilities of models, of numbers of components, and of structures, with the error of the evidences in them.

A model is a pair of a number of components K and a covariance structure s. The prior is uniform on K and, within K, on the
structures compared, so that

    p(K, s | y) = p(K) p(s | K) Z(K, s) / sum,    p(K | y) = sum_s p(K, s | y),    p(s | K, y) = p(K, s | y) / p(K | y):

a second structure that is looked at for one K gives that K no more prior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ..data import InputError

__all__ = ["PriorOnK", "Probabilities", "model_probabilities", "prior_of", "probabilities"]

Array = NDArray[np.float64]
PriorOnK = Mapping[int, float] | Callable[[int], float]
# Draws of the evidences within their errors.
_DRAWS = 4000


@dataclass(frozen=True, eq=False)
class Probabilities:
    """Of M models, in their order; NaN for models without an evidence, which the others' leave out.

    Attributes
    ----------
    model, model_se : (M,)
        p(K, s | y), and its Monte Carlo standard error.
    k, k_se : (M,)
        p(K | y) for each model's K.
    structure, structure_se : (M,)
        p(s | K, y).
    """

    model: Array
    model_se: Array
    k: Array
    k_se: Array
    structure: Array
    structure_se: Array


def prior_of(counts: Sequence[int], structures: Mapping[int, int], prior_k: PriorOnK | None = None) -> Array:
    """Prior probability of each model (M,).

    Parameters
    ----------
    counts : sequence of int
        K of each model.
    structures : mapping of int to int
        How many structures share each K's prior.
    prior_k : mapping or function from K to a positive weight, optional
        Uniform by default.

    Raises
    ------
    InputError
        If ``prior_k`` gives a K no weight.
    """
    weights = []
    for k in counts:
        value = 1.0 if prior_k is None else prior_k(k) if callable(prior_k) else prior_k.get(k, 0.0)
        if not value > 0:
            raise InputError(f"prior_k gives K={k} the weight {value!r}: give every K compared a positive weight")
        weights.append(value / structures[k])
    prior = np.array(weights, dtype=float)
    return prior / prior.sum()


def model_probabilities(log_evidences: Array, prior: Array | None = None) -> Array:
    """Posterior probabilities (..., M) of models with log evidences (..., M), under prior probabilities (M,), equal by default.

    A model whose evidence is NaN has the probability NaN, and the others' are theirs among themselves.
    """
    log_evidences = np.asarray(log_evidences, dtype=float)
    prior = np.ones(log_evidences.shape[-1]) if prior is None else np.asarray(prior, dtype=float)
    known = ~np.isnan(log_evidences)
    mass = np.where(known, np.log(prior) + log_evidences, -np.inf)
    total = logsumexp(mass, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(known, np.exp(mass - total), np.nan)


def probabilities(
    log_evidences: Array, errors: Array, counts: Sequence[int], prior: Array, random_seed: int = 0
) -> Probabilities:
    """Probabilities of models (M,), and how far the evidences' Monte Carlo errors (M,) carry into them.

    The errors are independent, the models having been sampled apart; what they do to a probability is simulated, since it is
    no small change where an error is near one nat.
    """
    counts_ = np.asarray(counts)
    same = (counts_[:, None] == counts_).astype(float)
    spread = np.where(np.isfinite(errors), errors, 0.0)
    noise = np.random.default_rng(random_seed).standard_normal((_DRAWS // 2, len(counts_)))
    near = log_evidences + spread * np.concatenate([noise, -noise])

    def shares(log_z: Array) -> tuple[Array, Array, Array]:
        p = model_probabilities(log_z, prior)
        k = np.nan_to_num(p) @ same
        with np.errstate(divide="ignore", invalid="ignore"):
            # Within a K from the evidences themselves: far down in the tail its own probability may be zero.
            top = np.where(same > 0, np.nan_to_num(np.log(prior) + log_z, nan=-np.inf)[..., None, :], -np.inf)
            return p, np.where(np.isnan(p), np.nan, k), np.exp(np.log(prior) + log_z - logsumexp(top, axis=-1))

    values, simulated = shares(log_evidences), shares(near)
    ses = [np.where(np.isnan(v), np.nan, np.nan_to_num(s).std(0)) for v, s in zip(values, simulated, strict=True)]
    return Probabilities(values[0], ses[0], values[1], ses[1], values[2], ses[2])
