"""Which model: evidence, leave-one-out, comparison, filled components."""

from .assessment import is_assessment
from .further import LEFT_OUT, at_the_edge, best_model
from .search import Search

__all__ = [
    "LEFT_OUT",
    "Search",
    "at_the_edge",
    "best_model",
    "is_assessment",
]
