"""What it would cost SQUAREM to move in the posterior's coordinates, beside log-Cholesky factors: prints a table.

    python tests/benchmarks/squarem.py

Each cycle maps three batches of mixtures to coordinates and one back: CPU microseconds of that for 26 starts side by side. A
run: CPU milliseconds and E-steps of all of them until they have converged.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
from harness import number, table

from bayesgmm import load_dataset
from bayesgmm.em.algorithm import squarem
from bayesgmm.em.algorithm.iterate import run_em
from bayesgmm.em.search.moves import batch_of
from bayesgmm.em.search.starts import Rows, make_starts
from bayesgmm.mixture import Design, Mixture, structure_named

CASES = [("faithful", 2, "full"), ("iris", 3, "full"), ("iris", 3, "tied"), ("made, 10 columns", 3, "full")]
STARTS, REPEATS = 26, 200


def rows_of(name: str) -> np.ndarray:
    if name.startswith("made"):
        rng = np.random.default_rng(0)
        values = rng.normal(size=(400, 10)) + 1.5 * rng.integers(0, 3, (400, 1)) * rng.normal(size=10)
    else:
        values = load_dataset(name).select_dtypes("number").to_numpy(float)
    return (values - values.mean(0)) / values.std(0)


def own_coordinates(mixture: Mixture) -> np.ndarray:
    """As `squarem._coordinates`, in the posterior's: log standard deviations, log odds of partial correlations."""
    structure, (k, d) = mixture.structure, mixture.means.shape[1:]
    values = structure.disassemble(mixture.dense_covariances)
    parts = [part.unconstrain(values[part.name]) for part in structure.parts(k, d)]
    s = len(mixture.weights)
    return np.concatenate([np.log(mixture.weights), mixture.means.reshape(s, -1), *parts], axis=1)


def from_own_coordinates(flat: np.ndarray, like: Mixture) -> Mixture:
    structure, (k, d) = like.structure, like.means.shape[1:]
    weights = np.exp(flat[:, :k] - flat[:, :k].max(1, keepdims=True))
    means, at, values = flat[:, k : k + k * d].reshape(like.means.shape), k + k * d, {}
    for part in structure.parts(k, d):
        values[part.name] = part.constrain(flat[:, at : at + part.length])
        at += part.length
    factors = structure.assemble(values, d)
    dense = np.broadcast_to(factors @ np.swapaxes(factors, -1, -2), (len(flat), k, d, d))
    return Mixture(structure, weights / weights.sum(1, keepdims=True), means, structure.compact(dense))


def microseconds(function: Callable[[], Any]) -> float:
    function()
    each = []
    for _ in range(REPEATS):
        begun = time.process_time()
        function()
        each.append(time.process_time() - begun)
    return 1e6 * float(np.median(each))


def measured(name: str, k: int, structure_name: str) -> list[Any]:
    structure, values = structure_named(structure_name), rows_of(name)
    design = Design.of(values, structure)
    start = batch_of(make_starts(structure, Rows(values), k, STARTS, np.random.default_rng(0)))
    row: list[Any] = [f"{name}, K={k}, {structure_name}"]
    for there, back in ((squarem._coordinates, squarem._from_coordinates), (own_coordinates, from_own_coordinates)):
        flat = there(start)
        np.testing.assert_allclose(back(flat, start).dense_covariances, start.dense_covariances, rtol=1e-6, atol=1e-9)
        maps = 3 * microseconds(lambda there=there: there(start)) + microseconds(
            lambda back=back, flat=flat: back(flat, start)
        )
        with patch.object(squarem, "_coordinates", there), patch.object(squarem, "_from_coordinates", back):
            seconds = []
            for _ in range(5):
                begun = time.process_time()
                run = run_em(design, start, max_iter=3000)
                seconds.append(time.process_time() - begun)
        row += [number(maps), number(1e3 * float(np.median(seconds))), f"{int(run.n_iter.sum()):,}"]
    return row


def main() -> None:
    header = [
        "data",
        *(f"{what}, {which}" for which in ("log-Cholesky", "shared") for what in ("maps, us", "run, ms", "E-steps")),
    ]
    print(table(header, [measured(*case) for case in CASES]))


if __name__ == "__main__":
    main()
