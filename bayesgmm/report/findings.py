"""What a report is made from: the results of every step, in order, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..clusters import Clusters, count, probability
from ..clusters.clusters import clusters
from ..selection import Sensitivity, prior_sensitivity
from ..selection.average import average
from ..selection.gate import Doubts, doubts

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ..checks import Diagnosis
    from ..clusters import Consensus
    from ..contrast import Contrast, KMeansContrast
    from ..data import Table
    from ..em import Grid
    from ..selection.average import Average

__all__ = ["Findings"]

# Rows that climb under every model to average their groups; of more a random sample does.
_AVERAGED_ROWS = 1000


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
    names : tuple of str
        What the user calls the groups, in their order.
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
    names: tuple[str, ...] = ()

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
    def average(self) -> Average | None:
        """Groups averaged over the models, by their probability; None where that is not known for any."""
        known = self.comparison["p_model"].dropna()
        posteriors = {str(key): self.posteriors[str(key)] for key in known.index if str(key) in self.posteriors}
        if not posteriors or not known.sum() > 0:
            return None
        return average(posteriors, self.comparison, max_rows=_AVERAGED_ROWS)

    @cached_property
    def group_names(self) -> list[str]:
        """What the groups of the headline model are called: the names given, as far as they go, otherwise numbers."""
        n = self.groups.components.sizes["group"]
        return [self.names[g] if g < len(self.names) else str(g) for g in range(n)]

    @property
    def group_headline(self) -> str:
        """How many groups, averaged over the models, and with how many Gaussians the headline model draws them."""
        if self.average is None or int((self.average.weights > 0).sum()) < 2:
            return self.groups.headline
        number = self.average.number_of_clusters
        said = f"{count(self.average.n_groups, 'group')} (probability {probability(float(number.max()))})"
        drawn = f", drawn with {count(self.groups.n_components, 'Gaussian')}"
        if self.groups.n_groups != self.average.n_groups:
            drawn = f"; by the most probable model {count(self.groups.n_groups, 'group')}{drawn}"
        return said[0].upper() + said[1:] + drawn

    @cached_property
    def doubts(self) -> Doubts:
        """Why the headline's components need not be groups."""
        return doubts(
            self.table, self.grid, self.headline, int(self.provenance.get("settings", {}).get("random_seed") or 0)
        )

    @cached_property
    def sensitivity(self) -> Sensitivity:
        """What other priors would have said, as far as the draws at hand can tell."""
        return prior_sensitivity(self, refit=False)
