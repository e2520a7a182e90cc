"""Posteriors without sampling, for plots of any shape; and real findings, sampled once, for the page."""

from __future__ import annotations

import json
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesgmm.data import load_dataset
from bayesgmm.posterior import Priors
from bayesgmm.report.findings import Findings

mpl.use("Agg")


def make_posterior(d: int, k: int, n: int = 120, chains: int = 2, draws: int = 40, seed: int = 0) -> xr.DataTree:
    """A tree as `sample_posterior` makes it, of draws scattered about a known mixture: fast for any D and K."""
    rng = np.random.default_rng(seed)
    features = [f"column {j}" for j in range(d)]
    centres = 4 * rng.standard_normal((k, d))
    labels = rng.integers(k, size=n)
    values = centres[labels] + rng.standard_normal((n, d))
    lead = (chains, draws)
    weights = rng.dirichlet(np.full(k, 60.0), size=lead)
    means = centres + 0.1 * rng.standard_normal((*lead, k, d))
    factor = np.eye(d) + 0.05 * np.tril(rng.standard_normal((*lead, k, d, d)))
    covariances = factor @ np.swapaxes(factor, -1, -2)
    axes = {"chain": range(chains), "draw": range(draws)}
    wide = {"cluster": range(k), "feature": features, "feature_bis": features}
    obs = {"obs_id": np.arange(n), "feature": features}
    tree = xr.DataTree.from_dict(
        {
            "/posterior": xr.Dataset(
                {
                    "weights": (("chain", "draw", "cluster"), weights),
                    "means": (("chain", "draw", "cluster", "feature"), means),
                    "covariances": (("chain", "draw", "cluster", "feature", "feature_bis"), covariances),
                },
                coords={**axes, **wide},
            ),
            "/observed_data": xr.Dataset({"x": (("obs_id", "feature"), values)}, coords=obs),
            "/constant_data": xr.Dataset(
                {
                    "location": (("feature",), values.mean(0)),
                    "scale": (("feature",), values.std(0)),
                    "em_weights": (("cluster",), np.full(k, 1 / k)),
                    "em_means": (("cluster", "feature"), centres),
                    "em_covariances": (("cluster", "feature", "feature_bis"), np.tile(np.eye(d), (k, 1, 1))),
                },
                coords=wide,
            ),
        }
    )
    tree.attrs.update({"covariance_type": "full", "n_components": k, "data_name": "stand-in"})
    tree.attrs["priors"] = json.dumps(Priors().describe())
    return tree


@pytest.fixture(scope="session")
def posterior() -> Callable[..., xr.DataTree]:
    """`make_posterior`, each shape made once."""
    made: dict[tuple[int, ...], xr.DataTree] = {}

    def get(d: int, k: int, n: int = 120) -> xr.DataTree:
        if (d, k, n) not in made:
            made[d, k, n] = make_posterior(d, k, n)
        return made[d, k, n]

    return get


HOSTILE = "<script>alert(1)</script>"
AWKWARD = '"waiting" & $x_1$ </style>'


@pytest.fixture(scope="session")
def hostile_data() -> pd.DataFrame:
    """Old Faithful, every third row, under names that a careless page would run."""
    frame = load_dataset("faithful").iloc[::3]
    frame.columns = [HOSTILE, AWKWARD]
    return frame.set_axis([f"<b onmouseover=alert({i})>{i}" for i in range(len(frame))])


def make_findings(data: pd.DataFrame, name: str, ks: tuple[int, ...], headline: str, draws: int = 500) -> Findings:
    """Real results of every step, for the models of full covariance."""
    from bayesgmm.checks.predictive_checks import predictive_checks
    from bayesgmm.checks.verdict import diagnose
    from bayesgmm.clusters.consensus import consensus
    from bayesgmm.clusters.memberships import memberships
    from bayesgmm.contrast.em import em_vs_posterior
    from bayesgmm.contrast.kmeans import kmeans_contrast
    from bayesgmm.data import as_table
    from bayesgmm.em.grid import fit_grid
    from bayesgmm.posterior.target import Target
    from bayesgmm.sampling.settings import Settings
    from bayesgmm.sampling.sweep import sample_many
    from bayesgmm.selection.compare import compare

    table = as_table(data, name=name)
    grid = fit_grid(table, ks, ("full", "diag"), random_state=0, progressbar=False)
    problems = [Target.of(table, k, "full") for k in ks]
    posteriors = sample_many(problems, Settings(draws=draws, random_seed=0, progressbar=False, log_likelihood=True))
    post = posteriors[headline]
    k, structure = headline.split(" ")
    return Findings(
        table=table,
        grid=grid,
        posteriors=posteriors,
        diagnoses={key: diagnose(p) for key, p in posteriors.items()},
        comparison=compare(posteriors, grid=grid, progressbar=False, random_seed=0),
        headline=headline,
        rivals=(),
        reason=f"{headline} has the largest posterior probability.",
        memberships=memberships(post),
        consensus=consensus(post),
        contrast=em_vs_posterior(grid[int(k), structure], post),
        kmeans=kmeans_contrast(post),
        checks=predictive_checks(post, random_seed=0),
        provenance={
            "data": name,
            "rows": table.n_obs,
            "columns": list(table.columns),
            "fingerprint": table.fingerprint,
            "settings": {"draws": draws, "random_seed": 0, "command": f"bayesgmm report {name} -k 1:2"},
            "versions": {"bayesgmm": "0"},
        },
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., Findings]:
    """`make_findings`, for tests that need other data."""
    return make_findings


@pytest.fixture(scope="session")
def findings() -> Findings:
    """Old Faithful, one and two components."""
    return make_findings(load_dataset("faithful"), "faithful", (1, 2), "2 full")


@pytest.fixture(scope="session")
def page(findings: Findings) -> str:
    from bayesgmm.report.page import render_report

    return render_report(findings)


@pytest.fixture(scope="session")
def hostile_page(hostile_data: pd.DataFrame) -> str:
    from bayesgmm.report.page import render_report

    return render_report(make_findings(hostile_data, HOSTILE, (2,), "2 full", draws=120))
