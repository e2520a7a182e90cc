"""Posteriors made by hand: Laplace draws round a maximum-likelihood fit, without a sampler."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.data import as_table
from bayesgmm.em import EMFit, fit_mixture
from bayesgmm.mixture import structure_named
from bayesgmm.mixture.relabel import align_labels
from bayesgmm.posterior.modes import find_mode, sample_laplace
from bayesgmm.posterior.priors import Priors
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.schema import to_datatree


def laplace_posterior(
    data: Any,
    n_components: int,
    covariance_type: str = "full",
    *,
    chains: int = 2,
    draws: int = 100,
    seed: int = 0,
    shuffled: bool = False,
    fit: EMFit | None = None,
) -> Any:
    """A tree as `sample_posterior` makes it; ``shuffled`` permutes the labels of every draw before the alignment."""
    table = as_table(data)
    structure = structure_named(covariance_type)
    fit = fit or fit_mixture(table, n_components, structure, random_state=0)
    scaling = structure.scaling(table.values)
    values = scaling.standardise(table.values)
    density = Target.of_rows(values, n_components, structure, Priors())
    c = density.coordinates
    em = fit.mixture.standardised(scaling)
    mode = find_mode(density, c.unconstrain(em.weights, em.means, em.dense_covariances))
    u = sample_laplace(density, mode, chains * draws, seed).unconstrained
    mixtures = c.mixture(u)
    if shuffled:
        rng = np.random.default_rng(seed + 1)
        order = np.argsort(rng.uniform(size=mixtures.weights.shape), axis=1)
        mixtures = mixtures.reordered(order)
        u = c.unconstrain(mixtures.weights, mixtures.means, mixtures.dense_covariances)
    alignment = align_labels(mixtures, values, em)
    return to_datatree(
        u.reshape(chains, draws, -1),
        {"lp": density.many(u).reshape(chains, draws)},
        table=table,
        scaling=scaling,
        coordinates=c,
        priors=Priors(),
        order=alignment.order,
        moved=alignment.moved,
        em=fit.mixture,
        attrs={"ambiguity": alignment.ambiguity},
    )


def two_groups(n: int = 60, gap: float = 2.5, seed: int = 3) -> np.ndarray:
    """Two overlapping groups in the plane (n, 2)."""
    rng = np.random.default_rng(seed)
    labels = rng.uniform(size=n) < 0.4
    return rng.standard_normal((n, 2)) + gap * labels[:, None] * np.array([1.0, 0.3])
