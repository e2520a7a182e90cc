"""Whether components may be taken for groups: reasons to doubt it, from EM's fits alone.

A component is a piece of a density. Two of them draw two groups where the data are Gaussian in each; one skewed or
heavy-tailed group takes two or three as well, and no probability of K says so. What gives it away:

- overlap: ICL, which charges for rows that no component has to itself (Biernacki, Celeux & Govaert 2000), prefers fewer
  components, or the density has fewer peaks than components (`clusters`);
- shape: a monotone transformation of some columns makes the mixture simpler by more than ten points of BIC, Jacobian
  included, so that part of the components draws a skew (`em.suggest_transforms`);
- misfit: the density that the model gives its own rows is not what it gives rows drawn from it (a joint check in all columns,
  the probability integral transform of the density: Gelfand & Dey; Hyndman 1996).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..clusters.modes import climb
from ..data import Transform
from ..em import suggest_transforms
from ..mixture import Mixture, ModelKey, drawn_rows, log_density

if TYPE_CHECKING:
    from ..data import Table
    from ..em import Grid

__all__ = ["Doubts", "density_transform", "doubts"]

Array = NDArray[np.float64]
_SIMULATED = 20_000
# Below this a fit whose parameters were estimated from the same rows does not go by chance: the test is conservative then.
_MISFIT = 0.01
# Difference of ICL that speaks, as with BIC's "positive" evidence.
_ICL_MARGIN = 2.0
_MOST_ROWS = 2_000


@dataclass(frozen=True)
class Doubts:
    """Why components need not be groups.

    Attributes
    ----------
    reasons : tuple of str
        Empty where nothing speaks against it.
    icl_components : int
        K of the lowest ICL over the grid.
    misfit : float
        p-value of the joint check.
    transforms : dict of str to Transform
        Suggested, by column.
    """

    reasons: tuple[str, ...]
    icl_components: int
    misfit: float
    transforms: dict[str, Transform] = field(default_factory=dict)

    @property
    def banner(self) -> bool:
        """Whether the report says so before anything else."""
        return bool(self.reasons)


def doubts(table: Table, grid: Grid, key: str, random_seed: int = 0) -> Doubts:
    """Reasons to doubt that the components of one model of a grid are groups."""
    k, _ = ModelKey.parse(key)
    fit = grid.fits[grid.cell(key)]
    icl_k = _icl_components(grid, fit.icl, k)
    misfit = density_transform(fit.mixture, table.values, random_seed)[1]
    transforms = suggest_transforms(table, random_seed)
    reasons = []
    if icl_k < k:
        reasons.append(f"{k} components overlap: a criterion that asks for separate groups (ICL) prefers {icl_k}")
    elif k > 1 and (peaks := _peaks(fit.mixture, table.values)) < k:
        told = "one peak" if peaks == 1 else f"{peaks} peaks"
        reasons.append(f"{k} components overlap: together they draw {told}")
    if transforms:
        named = ", ".join(f"{column}={transform}" for column, transform in transforms.items())
        reasons.append(f"a transformation makes the mixture simpler ({named})")
    if misfit < _MISFIT:
        reasons.append(f"the rows are not distributed as the model says (p = {misfit:.2g})")
    return Doubts(tuple(reasons), icl_k, misfit, transforms)


def _icl_components(grid: Grid, own: float, k: int) -> int:
    """K of the lowest ICL; the model's own where that is not lower by more than chance."""
    table = grid.table[np.isfinite(grid.table["icl"])]
    best = table.loc[table["icl"].idxmin()]
    return int(best["n_components"]) if own - float(best["icl"]) > _ICL_MARGIN else k


def _peaks(mixture: Mixture, values: Array) -> int:
    """Modes of the density whose bumps hold some rows."""
    step = max(1, len(values) // _MOST_ROWS)
    one = Mixture(mixture.structure, mixture.weights[None], mixture.means[None], mixture.covariances[None])
    return int(climb(one, values[::step], min_rows=1.0).n_modes[0])


def density_transform(mixture: Mixture, values: Array, random_seed: int = 0) -> tuple[Array, float]:
    """The share of rows drawn from a mixture that have a lower density than each row (N,), and how uniform they are.

    Returns
    -------
    shares : (N,)
        Uniform for rows of the mixture.
    p_value : float
        Of Kolmogorov and Smirnov's two-sample test against the drawn rows.
    """
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(random_seed)
    which = (rng.choice(mixture.n_components, size=_SIMULATED, p=mixture.weights / mixture.weights.sum()),)
    drawn = np.sort(log_density(mixture, drawn_rows(mixture, which, rng)))
    own = log_density(mixture, values)
    return np.searchsorted(drawn, own) / len(drawn), float(ks_2samp(own, drawn).pvalue)
