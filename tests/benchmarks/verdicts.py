"""Situations with a known right verdict, and what `diagnose` says of them: ``python -m tests.benchmarks.verdicts``.

Writes ``reports/verdicts.md``. A situation is a sampled posterior and the set of verdicts that are right for it. Where more
components are fitted than there are groups the labels must not stay put, so that `converged` is wrong, and whether chains get
everywhere is a matter of fact: a verdict that lets results be shown must then agree with tempered SMC, which starts from the
prior and knows nothing of the chains.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.checks.verdict import VERDICTS, diagnose
from bayesgmm.data import as_table
from bayesgmm.mixture import Mixture
from bayesgmm.mixture.relabel import align_labels
from bayesgmm.posterior.priors import Priors
from bayesgmm.sampling.posterior import Posterior
from bayesgmm.sampling.sample import sample_posterior
from bayesgmm.sampling.schema import to_datatree
from bayesgmm.selection.smc import smc_log_evidence

REPORT = Path(__file__).resolve().parents[2] / "reports" / "verdicts.md"
CONVERGED = frozenset({"converged"})
EITHER = frozenset({"converged", "label switching"})
SWITCHING = frozenset({"label switching"})
NOT_CONVERGED = frozenset({"not converged"})
MULTIMODAL = frozenset({"multimodal"})
DEGENERATE = frozenset({"degenerate"})
STUCK = (
    "one chain at a point", "all chains at points", "all chains at one point", "one chain creeps", "all chains creep",
    "one chain freezes half way", "few different draws", "one draw in 20 diverges",
)  # fmt: skip
TOO_MANY = frozenset({"label switching", "not converged", "multimodal"})
# Means over draws and over particles that differ by less than this share of the posterior's sd are the same.
_AGREE = 0.25


@dataclass(frozen=True)
class Situation:
    """A posterior and what is right to say of it."""

    group: str
    name: str
    right: frozenset[str]
    sample: Callable[[], xr.DataTree]
    check: bool = False


def realigned(post: xr.DataTree, unconstrained: np.ndarray, diverging: np.ndarray | None = None) -> xr.DataTree:
    """The tree that `sample_posterior` would have made of other draws (chain, draw, P)."""
    view = Posterior.read(post)
    target = Posterior.read(post).target
    flat = unconstrained.reshape(-1, unconstrained.shape[-1])
    values = view.scaling.standardise(view.values)
    alignment = align_labels(target.mixtures(flat), values, view.em.standardised(view.scaling))
    lead = unconstrained.shape[:2]
    stats = {
        "lp": target.many(flat).reshape(lead),
        "diverging": np.zeros(lead, dtype=bool) if diverging is None else diverging,
    }
    return to_datatree(
        unconstrained,
        stats,
        table=as_table(view.values),
        scaling=view.scaling,
        coordinates=target.coordinates,
        priors=Posterior.read(post).target.priors,
        order=alignment.order,
        moved=alignment.moved,
        em=view.em,
        attrs={"relabelling_ambiguity": alignment.ambiguity},
    )


def blobs(
    centres: Any, n: int, sd: float | tuple[float, ...] = 1.0, weights: tuple[float, ...] | None = None, seed: int = 0
) -> np.ndarray:
    """Rows (N, D) around centres (K, D)."""
    centres = np.atleast_2d(np.asarray(centres, dtype=float))
    rng = np.random.default_rng(seed)
    k = len(centres)
    sizes = np.diff(np.round(n * np.cumsum(np.concatenate([[0], weights or np.full(k, 1 / k)]))).astype(int))
    spread = np.broadcast_to(sd, k)
    parts = zip(centres, spread, sizes, strict=True)
    return np.vstack([c + s * rng.standard_normal((m, centres.shape[1])) for c, s, m in parts])


def line(*points: float) -> np.ndarray:
    return np.array(points)[:, None]


def corners(side: float) -> np.ndarray:
    return side * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def sampled(values: np.ndarray, k: int, structure: str = "full", **settings: Any) -> xr.DataTree:
    settings = {"random_seed": 1, "progressbar": False, **settings}
    return sample_posterior(values, k, structure, **settings)


def orders_mixed(values: np.ndarray, k: int, structure: str, draws: int) -> xr.DataTree:
    """Short chains, each in another order of the labels."""
    post = sampled(values, k, structure, draws=draws)
    view = Posterior.read(post)
    target = view.target
    u = post["unconstrained_posterior"]["u"].values.copy()
    rng = np.random.default_rng(0)
    for c in range(len(u)):
        order = np.roll(np.arange(k), c) if c < k else rng.permutation(k)
        u[c] = target.coordinates.permuted(u[c], np.tile(order, (view.n_draws, 1)))
    return realigned(post, u)


def stuck(values: np.ndarray, k: int, how: str) -> xr.DataTree:
    """Chains that do not move as they should."""
    post = sampled(values, k)
    u = post["unconstrained_posterior"]["u"].values.copy()
    rng = np.random.default_rng(0)
    sd = u.std((0, 1))
    diverging = np.zeros(u.shape[:2], dtype=bool)
    if how == "one chain at a point":
        u[0] = u[0, 0]
    elif how == "all chains at points":
        u[:] = u[:, :1]
    elif how == "all chains at one point":
        u[:] = u[0, 0]
    elif how == "one chain creeps":
        steps = rng.standard_normal(u[0].shape) * 0.02 * sd
        u[0] = u[0, 0] + np.cumsum(steps, axis=0)
    elif how == "all chains creep":
        u = u[:, :1] + np.cumsum(rng.standard_normal(u.shape) * 0.02 * sd, axis=1)
    elif how == "one chain freezes half way":
        u[0, 500:] = u[0, 500]
    elif how == "few different draws":
        u = np.repeat(u[:, ::40], 40, axis=1)[:, : u.shape[1]]
    else:
        diverging = rng.uniform(size=diverging.shape) < 0.05
    return realigned(post, u, diverging)


def with_duplicates(values: np.ndarray, copies: int) -> np.ndarray:
    """The rows, with the first one ``copies`` times more."""
    return np.vstack([values, np.repeat(values[:1], copies, axis=0)])


def student(n: int, d: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) / np.sqrt(rng.chisquare(3, (n, 1)) / 3)


def situations() -> Iterator[Situation]:
    """All of them."""

    def of(group: str, name: str, right: frozenset[str], make: Callable[..., xr.DataTree], *args: Any, **settings: Any):
        return Situation(group, name, right, partial(make, *args, **settings), right is TOO_MANY)

    two, three = blobs([[0, 0], [7, 0]], 300), blobs([[0, 0], [8, 0], [0, 9]], 450, weights=(0.5, 0.3, 0.2))
    for structure in ("full", "tied", "diag", "spherical"):
        yield of("well separated", f"two groups, {structure}", CONVERGED, sampled, two, 2, structure)
    yield of("well separated", "three groups, full", CONVERGED, sampled, three, 3)
    yield of("well separated", "three groups on a line", CONVERGED, sampled, blobs(line(0, 7, 15), 300), 3)
    yield of(
        "well separated", "unequal sizes and scales", CONVERGED, sampled, blobs(line(0, 12), 300, (1, 2), (0.9, 0.1)), 2
    )
    yield of("one component", "one column", CONVERGED, sampled, blobs([[0]], 100), 1)
    yield of("one component", "three columns, full", CONVERGED, sampled, blobs([[0, 1, 2]], 200), 1)
    yield of("one component", "three columns, diag", CONVERGED, sampled, blobs([[0, 1, 2]], 200), 1, "diag")
    yield of("overlapping", "three sd apart, full", EITHER, sampled, blobs([[0, 0], [3, 0]], 600), 2)
    yield of(
        "overlapping", "two and a half sd apart, tied", EITHER, sampled, blobs([[0, 0], [2.5, 0]], 1000), 2, "tied"
    )
    yield of("overlapping", "same centre, two scales", EITHER, sampled, blobs([[0, 0], [0, 0]], 1000, (1, 4)), 2)
    yield of(
        "overlapping", "on a line, three sd apart", EITHER, sampled, blobs(line(0, 3), 1000, weights=(0.7, 0.3)), 2
    )
    yield of("K too small", "three groups, K=1", CONVERGED, sampled, three, 1)
    yield of("K too small", "three groups on a line, K=2", CONVERGED, sampled, blobs(line(0, 4, 14), 300), 2)
    yield of("K too small", "four groups, K=3", CONVERGED, sampled, blobs([[0, 0], [3, 0], [15, 0], [0, 20]], 400), 3)
    for k, extra in ((2, 1), (2, 3), (3, 1)):
        values = two if k == 2 else three
        yield of("K too large", f"{k} groups, K={k + extra}", TOO_MANY, sampled, values, k + extra)
    yield of("K too large", "one group, K=2", TOO_MANY, sampled, blobs([[0]], 200), 2)
    yield of("K too large", "two groups on a line, K=5", TOO_MANY, sampled, blobs(line(0, 7), 200), 5, "tied")
    sparse = Priors(weight_concentration=0.3)
    yield of("empty component", "one group, K=2, sparse", TOO_MANY, sampled, blobs([[0]], 200), 2, priors=sparse)
    yield of("empty component", "two groups, K=3, sparse", TOO_MANY, sampled, blobs(line(0, 8), 200), 3, priors=sparse)
    one, plane = blobs(line(0, 6), 100), blobs([[0, 0], [6, 0]], 100)
    yield of("duplicated rows", "40 copies, one column", DEGENERATE, sampled, with_duplicates(one, 40), 3)
    yield of("duplicated rows", "40 copies, two columns", DEGENERATE, sampled, with_duplicates(plane, 40), 3)
    yield of("duplicated rows", "60 copies, spherical", DEGENERATE, sampled, with_duplicates(plane, 60), 3, "spherical")
    yield of("duplicated rows", "every row twice", CONVERGED, sampled, np.vstack([two, two]), 2)
    yield of("labels in different orders", "two groups", SWITCHING, orders_mixed, two, 2, "full", 500)
    yield of("labels in different orders", "three groups", SWITCHING, orders_mixed, three, 3, "full", 500)
    yield of("labels in different orders", "tied", SWITCHING, orders_mixed, three, 3, "tied", 500)
    yield of("labels in different orders", "spherical", SWITCHING, orders_mixed, three, 3, "spherical", 500)
    # Exchanging the columns changes nothing: a mode and its mirror image have the same mass. One more row makes them differ a
    # little.
    square = blobs(corners(6), 100)
    square = np.vstack([square, square[:, ::-1]])
    yield of("two genuine modes", "square, exact mirror images", MULTIMODAL, sampled, square, 2, "diag")
    yield of("two genuine modes", "square, exact mirror images, tied", MULTIMODAL, sampled, square, 2, "tied")
    square = np.vstack([square, [[1.0, 6.0]]])
    yield of("two genuine modes", "square, K=2, tied", MULTIMODAL, sampled, square, 2, "tied")
    yield of("two genuine modes", "square, K=2, diag", MULTIMODAL, sampled, square, 2, "diag")
    triangle = 8 * np.array([[0, 0], [1, 0], [0.5, 0.866]])
    yield of("two genuine modes", "triangle, K=2", MULTIMODAL, sampled, blobs(triangle, 210), 2, "full")
    yield of("heavy tails", "Student t, one column, K=2", EITHER, sampled, student(500, 1, 0), 2)
    yield of("heavy tails", "Student t, two columns, K=2", EITHER, sampled, student(500, 2, 0), 2)
    yield of("few rows", "30 rows, two groups", CONVERGED, sampled, blobs([[0, 0], [8, 0]], 30), 2)
    yield of("few rows", "30 rows, one component", CONVERGED, sampled, blobs([[0, 0]], 30), 1)
    wide = np.vstack([np.zeros(20), np.full(20, 3.0)])
    for structure in ("diag", "tied", "spherical"):
        yield of("20 columns", structure, CONVERGED, sampled, blobs(wide, 400), 2, structure)
    for how in STUCK:
        yield of("chains stuck", how, NOT_CONVERGED, stuck, two, 2, how)
    yield of("chains too short", "20 draws", NOT_CONVERGED, sampled, three, 3, draws=20)


def agrees_with_smc(post: xr.DataTree) -> bool:
    """Whether the means of the label-free parameters agree with those of particles tempered from the prior."""
    view = Posterior.read(post)
    target = view.target
    _, cloud = smc_log_evidence(target, particles=1000, repeats=2, sweeps=4)
    chains, particles = _label_free(view.draws.standardised(view.scaling)), _label_free(target.mixtures(cloud))
    gap = np.abs(chains.mean(0) - particles.mean(0)) / particles.std(0)
    return bool((gap < _AGREE).all())


def _label_free(mixture: Mixture) -> np.ndarray:
    weights = np.sort(mixture.weights, axis=1)
    log_det = np.sort(np.linalg.slogdet(mixture.dense_covariances)[1], axis=1)
    mean = np.einsum("sk,skd->sd", mixture.weights, mixture.means)
    return np.column_stack([weights, log_det, mean])


def main() -> None:
    rows, counts, wrong = [], {}, []
    columns = list(VERDICTS)
    begun = time.perf_counter()
    for situation in situations():
        post = situation.sample()
        diagnosis = diagnose(post)
        verdict = diagnosis.verdict
        right, remark = verdict in situation.right, ""
        if right and situation.check and diagnosis.ok:
            right = agrees_with_smc(post)
            remark = "agrees with SMC" if right else "disagrees with SMC"
        expected = " or ".join(sorted(situation.right))
        counts.setdefault(expected, dict.fromkeys(columns, 0))[verdict] += 1
        if not right:
            wrong.append(f"{situation.group}: {situation.name}: {verdict}, right would be {expected} {remark}")
        table = diagnosis.table
        ess = table[["ess_bulk", "ess_tail"]].to_numpy().min()
        rows.append(
            f"| {situation.group} | {situation.name} | {expected} | {verdict} | {'yes' if right else '**no**'} "
            f"| {table['r_hat'].max():.3f} | {ess:.0f} | {diagnosis.n_divergent} | {diagnosis.moved:.1%} | {remark} |"
        )
        print(rows[-1], flush=True)
    n_right = len(rows) - len(wrong)
    confusion = [f"| {expected} | " + " | ".join(str(c[v]) for v in columns) + " |" for expected, c in counts.items()]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(
        "\n".join(
            [
                "# Verdicts on situations with a known right answer",
                "",
                "`python -m tests.benchmarks.verdicts`, seeds fixed, "
                f"{time.perf_counter() - begun:.0f} s. Settings of `sample_posterior` are the defaults but where said.",
                "",
                f"**{n_right} of {len(rows)} right.** Wrong ones that say `converged`: "
                f"{sum(': converged, right' in w for w in wrong)}.",
                "",
                *(["Wrong:", "", *(f"- {w}" for w in wrong), ""] if wrong else []),
                "## Confusion matrix",
                "",
                "Rows: the verdicts that are right. Columns: the verdict given.",
                "",
                "| right | " + " | ".join(columns) + " |",
                "|---|" + "---|" * len(columns),
                *confusion,
                "",
                "## Situations",
                "",
                "ESS: smallest of bulk and tail over label-free quantities; moved: share of draws relabelled.",
                "",
                "| group | situation | right | verdict | right? | R-hat | ESS | divergent | moved | remark |",
                "|---|---|---|---|---|---|---|---|---|---|",
                *rows,
                "",
            ]
        )
    )
    print(f"{n_right} of {len(rows)} right: {REPORT}")


if __name__ == "__main__":
    main()
