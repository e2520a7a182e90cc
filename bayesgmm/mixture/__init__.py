"""What both paths estimate: covariance structures, parameters, and the E-step."""

from .draws import DrawBlock, draw_responsibilities
from .equivalence import model_names
from .estep import (
    Design,
    Statistics,
    expected_statistics,
    log_density,
    responsibilities,
    run_parallel,
    single_threaded_blas,
)
from .mixture import Mixture
from .structure import COVARIANCE_TYPES, Structure, place_of, structure_named

__all__ = [
    "COVARIANCE_TYPES",
    "Design",
    "DrawBlock",
    "Mixture",
    "Statistics",
    "Structure",
    "draw_responsibilities",
    "expected_statistics",
    "log_density",
    "model_names",
    "place_of",
    "responsibilities",
    "run_parallel",
    "single_threaded_blas",
    "structure_named",
]
