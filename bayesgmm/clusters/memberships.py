"""Which cluster each row belongs to, and how sure that is: posterior memberships with their uncertainty."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..data import CI_PROB, check_choice, check_ci_prob, checked, tails
from ..mixture import blocks_of, draw_responsibilities, run_parallel, single_threaded_blas
from ..progress import progress_display
from ..sampling import Posterior
from .rows import ScoredRows, scored_rows

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["memberships", "memberships_table", "summarise_rows"]

Array = NDArray[np.float64]
# Bytes of one block of responsibilities; each core holds two (as drawn, and draws last).
_BLOCK = 2**23
# Blocks that a core works through between two reports of progress.
_BLOCKS_PER_TASK = 16
_TILE = 32


@njit(nogil=True, cache=True, error_model="numpy")
def _reduce_draws(responsibilities, series, total, modal, entropy):  # type: ignore[no-untyped-def]
    """Sums over draws, and the same numbers with the draws last.

    ``responsibilities`` is (S, K, B); ``series`` (K, B, S), ``total`` (K, B), ``modal`` (K, B; draws in which k is the
    most probable) and ``entropy`` (B,; sum over draws) are written.
    """
    n_draws, k_all, n_rows = responsibilities.shape
    total[:] = 0.0
    modal[:] = 0
    entropy[:] = 0.0
    best = np.empty(n_rows)
    label = np.empty(n_rows, dtype=np.int64)
    for s in range(n_draws):
        best[:] = -1.0
        for k in range(k_all):
            r = responsibilities[s, k]
            for i in range(n_rows):
                p = r[i]
                total[k, i] += p
                if p > 0.0:
                    entropy[i] -= p * np.log(p)
                if p > best[i]:
                    best[i] = p
                    label[i] = k
        for i in range(n_rows):
            modal[label[i], i] += 1
    # Transposed tile by tile: along either axis alone every access would miss the cache.
    for k in range(k_all):
        for s0 in range(0, n_draws, _TILE):
            for i0 in range(0, n_rows, _TILE):
                for s in range(s0, min(s0 + _TILE, n_draws)):
                    for i in range(i0, min(i0 + _TILE, n_rows)):
                        series[k, i, s] = responsibilities[s, k, i]


def _entropy(p: Array) -> Array:
    """Of distributions along the last axis, in nats."""
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(-1)


def _sorted_quantile(ordered: Array, level: float) -> Array:
    """Quantile along the last, sorted, axis, interpolated as NumPy does by default."""
    at = level * (ordered.shape[-1] - 1)
    low = int(at)
    high = min(low + 1, ordered.shape[-1] - 1)
    return ordered[..., low] + (at - low) * (ordered[..., high] - ordered[..., low])


def _room_for(n: int, k: int) -> dict[str, Array]:
    """The arrays of `summarise_rows`, empty."""
    of_both = (*(f"probability{end}" for end in ("", "_lb", "_ub")), "leading")
    of_rows = ("assignment_probability", "entropy", "entropy_allocation")
    out = {name: np.empty((n, k)) for name in of_both} | {name: np.empty(n) for name in of_rows}
    return {**out, "assignment": np.empty(n, dtype=np.int64)}


def _summarise_part(
    rows: ScoredRows, part: slice, ci_prob: float, out: dict[str, Array], block_bytes: int, union: Array | None
) -> None:
    """Write the summaries of some rows into ``out``."""
    n_draws = rows.n_draws
    for block in draw_responsibilities(rows.draws, rows.values[part], block_bytes):
        shares = block.responsibilities if union is None else np.matmul(union, block.responsibilities)
        _, k, size = shares.shape
        series = np.empty((k, size, n_draws))
        total, modal, entropy = np.empty((k, size)), np.empty((k, size)), np.empty(size)
        _reduce_draws(shares, series, total, modal, entropy)
        at = slice(part.start + block.rows.start, part.start + block.rows.stop)
        probability = (total / total.sum(0)).T
        assignment = probability.argmax(1)
        out["probability"][at] = probability
        out["assignment"][at] = assignment
        out["assignment_probability"][at] = modal[assignment, np.arange(size)] / n_draws
        out["leading"][at] = modal.T / n_draws
        out["entropy"][at] = _entropy(probability)
        out["entropy_allocation"][at] = entropy / n_draws
        series.sort(axis=-1)
        for end, level in zip(("lb", "ub"), tails(ci_prob), strict=True):
            out[f"probability_{end}"][at] = _sorted_quantile(series, level).T


def summarise_rows(
    rows: ScoredRows,
    ci_prob: float,
    progressbar: bool = False,
    block_bytes: int = _BLOCK,
    union: Array | None = None,
) -> dict[str, Array]:
    """The arrays of `memberships`, (N, K) and (N,), in blocks of rows on all cores.

    ``leading`` (N, K) is the share of draws in which each cluster is the most probable. With ``union`` (S, G, K), zeros
    and ones, everything is of the G unions of components that they name draw by draw.
    """
    n, k = len(rows.values), rows.n_components if union is None else union.shape[1]
    out = _room_for(n, k)
    size = max(1, block_bytes // (8 * rows.n_draws * rows.n_components)) * _BLOCKS_PER_TASK
    parts = blocks_of(n, size)
    # Workers enter and leave the BLAS limit on their own; held here, it outlasts them all.
    with single_threaded_blas(), progress_display(progressbar) as display:
        task = display.add_task("Memberships", total=n, detail="rows")
        step = 2 * (os.cpu_count() or 1)
        for first in range(0, len(parts), step):
            batch = parts[first : first + step]
            run_parallel(lambda part: _summarise_part(rows, part, ci_prob, out, block_bytes, union), batch)
            display.update(task, completed=batch[-1].stop)
    # Entropy is concave, so that the difference can be negative by rounding only.
    out["entropy_parameter"] = np.maximum(out["entropy"] - out["entropy_allocation"], 0.0)
    return out


@checked
def memberships(
    post: xr.DataTree,
    new_data: Any = None,
    *,
    ci_prob: float = CI_PROB,
    progressbar: bool = False,
    missing: str = "error",
) -> xr.Dataset:
    """Posterior probability that each row belongs to each cluster, and how sure that probability is.

    Parameters
    ----------
    post : DataTree
        From `sample_posterior`.
    new_data : table, optional
        Rows to score, with the columns that the posterior was sampled from; one row is enough. By default those rows
        themselves.
    ci_prob : float
        Mass of the equal-tailed intervals.
    progressbar : bool
    missing : {"error", "marginalise"}
        What becomes of new rows with a missing value: refused, or judged by what they have.

    Returns
    -------
    Dataset
        Over ``obs_id x cluster``: ``probability`` (mean of the responsibility over draws), ``probability_lb`` and
        ``probability_ub``. Over ``obs_id``: ``assignment`` (most probable cluster), ``assignment_probability`` (share
        of draws in which that cluster is the most probable), and in nats ``entropy`` (of ``probability``),
        ``entropy_allocation`` (mean over draws of the entropy of the responsibilities: what would remain if the
        parameters were known) and ``entropy_parameter`` (the rest: what more data would remove).

    Raises
    ------
    InputError
        ``new_data`` or ``ci_prob`` is not fit for use, or ``post`` is not a posterior of this package.

    Notes
    -----
    The split of the entropy is that of the mutual information between allocation and parameters (Depeweg et al. 2018,
    Decomposition of uncertainty in Bayesian deep learning, eq. 3-4).
    """
    import xarray as xr

    check_ci_prob(ci_prob)
    check_choice("missing", missing, ("error", "marginalise"))
    rows = scored_rows(Posterior.read(post), new_data, missing)
    found = summarise_rows(rows, ci_prob, progressbar)
    interval = {"interval": "equal-tailed", "ci_prob": ci_prob}
    described = {
        "probability": {"long_name": "posterior mean of the responsibility"},
        "probability_lb": {"long_name": "lower end of the interval of the responsibility", **interval},
        "probability_ub": {"long_name": "upper end of the interval of the responsibility", **interval},
        "assignment": {"long_name": "most probable cluster"},
        "assignment_probability": {"long_name": "share of draws in which the assignment is the most probable cluster"},
        "entropy": {"long_name": "entropy of the probabilities", "units": "nats"},
        "entropy_allocation": {"long_name": "entropy that known parameters would leave", "units": "nats"},
        "entropy_parameter": {"long_name": "entropy due to unknown parameters", "units": "nats"},
    }
    variables = {
        name: (("obs_id", "cluster") if found[name].ndim == 2 else ("obs_id",), found[name], attrs)
        for name, attrs in described.items()
    }
    attrs: dict[str, Any] = {
        **interval,
        "entropy_units": "nats",
        "n_draws": rows.n_draws,
        **{name: post.attrs[name] for name in ("covariance_type", "data_name") if name in post.attrs},
    }
    return xr.Dataset(variables, {"obs_id": rows.obs_id, "cluster": np.arange(rows.n_components)}, attrs)


@checked
def memberships_table(ds: xr.Dataset) -> pd.DataFrame:
    """The memberships as a table with one row per observation.

    Parameters
    ----------
    ds : Dataset
        From `memberships`.

    Returns
    -------
    DataFrame
        Index ``obs_id``; columns ``assignment``, ``assignment_probability``, then ``probability[k]``,
        ``probability_lb[k]`` and ``probability_ub[k]`` for each cluster k, then the entropies.
    """
    import pandas as pd

    columns: dict[str, Any] = {name: ds[name].values for name in ("assignment", "assignment_probability")}
    for k in ds["cluster"].values:
        for name in ("probability", "probability_lb", "probability_ub"):
            columns[f"{name}[{k}]"] = ds[name].sel(cluster=k).values
    for name in ("entropy", "entropy_allocation", "entropy_parameter"):
        columns[name] = ds[name].values
    return pd.DataFrame(columns, index=pd.Index(ds["obs_id"].values, name="obs_id"))
