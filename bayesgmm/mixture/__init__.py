"""What both paths estimate: covariance structures, parameters, and the E-step."""

from .draws import DrawBlock, draw_responsibilities
from .estep import Statistics, expected_statistics, log_density, responsibilities
from .mixture import Mixture
from .parallel import run_parallel, single_threaded_blas
from .rows import Design, Rows
from .structure import COVARIANCE_TYPES, Structure, model_names, place_of, structure_named

__all__ = [
    "COVARIANCE_TYPES",
    "Design",
    "DrawBlock",
    "Mixture",
    "Rows",
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
