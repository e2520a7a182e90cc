"""What a report is made from: the results of every step, in order, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..clusters import Clusters
from ..clusters.clusters import clusters
from ..selection import Sensitivity, prior_sensitivity

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ..checks import Diagnosis
    from ..clusters import Consensus
    from ..contrast import Contrast, KMeansContrast
    from ..data import Table
    from ..em import Grid

__all__ = ["Findings"]


@dataclass(frozen=True)
class Findings:
    """Everything an analysis found.

    Attributes
    ----------
    table : Table
        The data.
    grid : Grid
        EM over component counts and covariance types.
    posteriors : dict of str to DataTree
        Sampled models; keys read "2 full".
    diagnoses : dict of str to Diagnosis
        The verdict on each.
    comparison : DataFrame
        One row per sampled model, the index is the key.
    headline : str
        Key of the model that the comparison supports and that the rest of the report is about.
    rivals : tuple of str
        Other models that the comparison does not rule out.
    reason : str
        In words: why the headline model, and what was sampled and why.
    memberships : Dataset
        Of the headline model.
    consensus : Consensus
    contrast : Contrast
        EM against the posterior, headline model.
    kmeans : KMeansContrast
    checks : DataFrame
        Posterior predictive checks of the headline model.
    provenance : dict
        Versions, seeds, priors, fingerprint, the command, times.
    holdout : Table or None
        Rows that nothing was fitted to.
    """

    table: Table
    grid: Grid
    posteriors: dict[str, xr.DataTree]
    diagnoses: dict[str, Diagnosis]
    comparison: pd.DataFrame
    headline: str
    rivals: tuple[str, ...]
    reason: str
    memberships: xr.Dataset
    consensus: Consensus
    contrast: Contrast
    kmeans: KMeansContrast
    checks: pd.DataFrame
    provenance: dict[str, Any]
    holdout: Table | None = None

    @property
    def posterior(self) -> xr.DataTree:
        """The headline model's draws."""
        return self.posteriors[self.headline]

    @property
    def diagnosis(self) -> Diagnosis:
        """The verdict on the headline model."""
        return self.diagnoses[self.headline]

    @cached_property
    def groups(self) -> Clusters:
        """Groups of the headline model."""
        return clusters(self.posterior)

    @cached_property
    def sensitivity(self) -> Sensitivity:
        """What other priors would have said, as far as the draws at hand can tell."""
        return prior_sensitivity(self, refit=False)
