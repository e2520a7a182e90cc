"""Which model: evidence, leave-one-out, comparison, filled components."""

from .assessment import is_assessment
from .further import LEFT_OUT, at_the_edge, best_model
from .search import Search
from .sensitivity import Sensitivity, prior_sensitivity

__all__ = [
    "LEFT_OUT",
    "Search",
    "Sensitivity",
    "at_the_edge",
    "best_model",
    "is_assessment",
    "prior_sensitivity",
]
