"""What both paths estimate: covariance structures, parameters, and the E-step."""

from .estep import Design, Statistics, expected_statistics, log_density, responsibilities, single_threaded_blas
from .parameters import Mixture
from .structures import COVARIANCE_TYPES, Structure, structure_named

__all__ = [
    "COVARIANCE_TYPES",
    "Design",
    "Mixture",
    "Statistics",
    "Structure",
    "expected_statistics",
    "log_density",
    "responsibilities",
    "single_threaded_blas",
    "structure_named",
]
