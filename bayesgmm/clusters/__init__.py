"""Which rows belong together: memberships, co-clustering, consensus."""

from .clusters import Clusters, GroupDraws, group_draws, number_of
from .consensus import Consensus, with_ball
from .groups import reference_partition
from .losses import LOSSES
from .memberships import memberships_table, summarise_rows
from .modes import Climbs
from .names import checked_names
from .openness import OPEN_BELOW, by_uncertainty, is_open, open_rows
from .rows import ScoredRows, nowhere_empty, obs_index, scored_rows, training_rows
from .words import count, probability, spelled

__all__ = [
    "LOSSES",
    "OPEN_BELOW",
    "Climbs",
    "Clusters",
    "Consensus",
    "GroupDraws",
    "ScoredRows",
    "by_uncertainty",
    "checked_names",
    "count",
    "group_draws",
    "is_open",
    "memberships_table",
    "nowhere_empty",
    "number_of",
    "obs_index",
    "open_rows",
    "probability",
    "reference_partition",
    "scored_rows",
    "spelled",
    "summarise_rows",
    "training_rows",
    "with_ball",
]
