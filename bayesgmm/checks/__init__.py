"""Whether draws and model may be believed."""

from .until import sampled_until_settled
from .verdict import APART_R_HAT, Diagnosis, diagnose, label_free

__all__ = [
    "APART_R_HAT",
    "Diagnosis",
    "diagnose",
    "label_free",
    "sampled_until_settled",
]
