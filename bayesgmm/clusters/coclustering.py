"""Which rows belong together: posterior probability that two rows are of one cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, checked
from ..mixture import Mixture, draw_responsibilities
from ..sampling import Posterior
from .rows import obs_index, training_rows

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MAX_ROWS", "coclustering", "pair_probabilities"]

Array = NDArray[np.float64]
# The matrix of 5,000 rows takes 200 MB.
MAX_ROWS = 5000
_BLOCK = 2**26


def pair_probabilities(draws: Mixture, values: Array) -> Array:
    """Expected product of responsibilities E[sum_k r_ik r_jk] over draws (N, N), the diagonal set to one.

    Parameters
    ----------
    draws : Mixture
        One leading axis of S draws, in the units of ``values``.
    values : (N, D)
    """
    n, (n_draws, k) = len(values), draws.weights.shape
    total = np.zeros((n, n))
    size = max(1, _BLOCK // (8 * n * k))
    for first in range(0, n_draws, size):
        part = draws[first : first + size]
        # One block holds all rows: sums over draws and components are then one matrix product.
        (block,) = draw_responsibilities(part, values, max_bytes=8 * n * k * len(part.weights))
        flat = block.responsibilities.reshape(-1, n)
        total += flat.T @ flat
    total /= n_draws
    np.fill_diagonal(total, 1.0)
    return total


@checked
def coclustering(
    post: xr.DataTree, rows: Sequence[Any] | None = None, *, max_rows: int = MAX_ROWS, random_seed: int = 0
) -> xr.DataArray:
    """Posterior probability that two rows belong to the same cluster.

    Labels are integrated out row by row (Rao-Blackwellised): E[sum_k r_ik r_jk] over draws, with far less Monte Carlo
    error than counting sampled labels. It does not depend on how the components are numbered.

    Parameters
    ----------
    post : DataTree
        From `sample_posterior`.
    rows : sequence of obs_id, optional
        The rows wanted, by label. By default all, or a random ``max_rows`` of them, in the order of the data, if there
        are more; ``attrs["rows"]`` says which.
    max_rows : int
        Largest matrix made without being asked for by ``rows``.
    random_seed : int
        Of the subsample.

    Returns
    -------
    DataArray
        ``obs_id x obs_id_bis``. The diagonal is one by convention: a row is always with itself.

    Raises
    ------
    InputError
        A row asked for does not exist, or fewer than two are.
    """
    import xarray as xr

    scored = training_rows(Posterior.read(post))
    n = len(scored.values)
    if rows is not None:
        chosen = _positions(scored.obs_id, rows)
        said = f"{len(chosen)} of {n} rows, as asked for"
    else:
        chosen, said = _some_of(n, max_rows, random_seed)
    matrix = pair_probabilities(scored.draws, scored.values[chosen])
    labels = scored.obs_id[chosen]
    attrs = {
        "long_name": "posterior probability of being in the same cluster",
        "diagonal": "1 by convention",
        "rows": said,
        "n_draws": scored.n_draws,
    }
    coords = {"obs_id": labels, "obs_id_bis": labels}
    return xr.DataArray(matrix, coords, ("obs_id", "obs_id_bis"), name="coclustering", attrs=attrs)


def _some_of(n: int, max_rows: int, random_seed: int) -> tuple[Any, str]:
    """At most ``max_rows`` of ``n`` rows, in order, and which they are in words."""
    if n <= max_rows:
        return np.arange(n), f"all {n} rows"
    chosen = np.sort(np.random.default_rng(random_seed).choice(n, max_rows, replace=False))
    return chosen, f"a random {max_rows} of {n} rows (seed {random_seed})"


def _positions(obs_id: NDArray[Any], rows: Sequence[Any]) -> NDArray[np.intp]:
    wanted = list(rows)
    if len(wanted) < 2:
        raise InputError(f"rows={wanted!r} names {len(wanted)} row; coclustering needs at least two")
    found = obs_index(obs_id).get_indexer(wanted)
    if (found < 0).any():
        lacking = wanted[int(np.flatnonzero(found < 0)[0])]
        raise InputError(f"rows names {lacking!r}, which is no row of the data; give labels of obs_id")
    return found
