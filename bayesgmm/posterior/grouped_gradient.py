"""The log likelihood of rows that do not all see the same features, and its gradient: `gradient` for `mixture.Groups`.

The moments that an E-step over groups completes are the expected statistics of the whole features given what was observed,
so that by Fisher's identity the chain rule is the same as for complete rows.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from ..mixture import LIKELIHOOD, Design, address_of, doubles, expect_groups_into, integers, invert_lower
from .gradient import fill_factor_gradient, fill_precision

__all__ = ["grouped_rows"]


def _of_groups(data_, k, d, g, weights_, means_, factors_, counts_, d_means_, d_factors_):
    data = carray(integers(data_), (19,))
    kind, n_groups, n_tasks, n_terms = data[1], data[2], data[3], data[4]
    features, n_seen = carray(integers(data[9]), (n_groups, d)), carray(integers(data[10]), (n_groups,))
    members, n_members = carray(integers(data[11]), (n_groups, n_terms)), carray(integers(data[12]), (n_groups,))
    uniform, values = carray(doubles(data[13]), (data[5],)), carray(doubles(data[14]), (data[6],))
    sample_weight, tasks = carray(doubles(data[15]), (data[7],)), carray(integers(data[16]), (n_tasks, 4))
    scatter = carray(doubles(data[17]), (data[8], data[18], data[18]))
    weights, means = carray(doubles(weights_), (1, n_terms)), carray(doubles(means_), (1, k, d))
    factors, d_factors = carray(doubles(factors_), (g, d, d)), carray(doubles(d_factors_), (g, d, d))
    counts, d_means = carray(doubles(counts_), (1, n_terms)), carray(doubles(d_means_), (1, k, d))

    covariances = np.zeros((1, g, d, d))
    for c in range(g):
        for i in range(d):
            for j in range(i + 1):
                for m in range(j + 1):
                    covariances[0, c, i, j] += factors[c, i, m] * factors[c, j, m]
                covariances[0, c, j, i] = covariances[0, c, i, j]
    value, first, second = np.zeros(1), np.zeros((1, k, d)), np.zeros((1, k, d, d))
    for c in range(n_terms):
        counts[0, c] = 0.0
    expect_groups_into(
        weights, means, covariances, kind, False, features, n_seen, members, n_members, uniform, values, sample_weight, tasks,
        scatter, 0, n_tasks, value, counts, first, second,
    )  # fmt: skip

    along_axes = 1 <= kind <= 2
    inverse, precision, half = np.empty((g, d, d)), np.empty((g, d, d)), np.empty((d, d))
    for c in range(g):
        invert_lower(factors, c, inverse)
        fill_precision(inverse, c, precision)
    total, own = 0.0, np.zeros((d, d))
    for c in range(k):
        p = c if g > 1 else 0
        total = counts[0, c] if g > 1 else total + counts[0, c]
        for i in range(d):
            d_means[0, c, i] = 0.0
            for j in range(d):
                d_means[0, c, i] += precision[p, i, j] * first[0, c, j]
                own[i, j] = second[0, c, i, j] + (0.0 if g > 1 else own[i, j])
        if g > 1 or c == k - 1:
            fill_factor_gradient(inverse, p, own, total, along_axes, half, d_factors)
    return value[0]


def grouped_rows(design: Design, n_terms: int) -> tuple[int, list[int], tuple[np.ndarray, ...]]:
    """The compiled likelihood, what it reads of the rows (sizes, then addresses), and arrays to keep while it is used.

    ``n_terms`` is the number of components, noise counted.
    """
    groups = design.groups
    assert groups is not None
    tables, arrays = groups.tables(n_terms), groups.arrays
    uniform, (values, weight, tasks, scatter) = tables[-1], arrays
    sizes = [
        design.layout.kind,
        len(groups.n_seen),
        len(tasks),
        n_terms,
        uniform.size,
        values.size,
        weight.size,
        len(scatter),
    ]
    kept = (*tables, *arrays)
    addresses = [a.ctypes.data for a in kept]
    return address_of(_of_groups, LIKELIHOOD), [*sizes, *addresses, scatter.shape[-1]], kept
