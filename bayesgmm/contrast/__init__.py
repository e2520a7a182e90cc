"""What a point answer, EM or k-means, would have got wrong."""

from .claims import MATTERS
from .em import em_vs_posterior
from .kmeans import KMeansContrast, kmeans_contrast
from .matching import em_mixture
from .prediction import log_predictive
from .result import Contrast

__all__ = [
    "MATTERS",
    "Contrast",
    "KMeansContrast",
    "em_mixture",
    "em_vs_posterior",
    "kmeans_contrast",
    "log_predictive",
]
