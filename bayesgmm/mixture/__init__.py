"""What both paths estimate: covariance structures, parameters, and the E-step."""

from .addresses import (
    ADD_TERM,
    LIKELIHOOD,
    add_term,
    address_of,
    call_constrain,
    call_likelihood,
    call_pullback,
    doubles,
    integers,
)
from .correlation import lkj_exponents, pairs_of
from .draws import DrawBlock, draw_responsibilities
from .estep import (
    Statistics,
    block_size,
    expected_statistics,
    log_density,
    log_terms,
    responsibilities,
    terms_of,
    whitening,
)
from .grouped import expect_groups_into
from .groups import Groups, each_pattern, embedded, patterns
from .kernel import BLOCK, exp, expect_into, softmax_block, softmax_mixture
from .key import ModelKey
from .machine import CALLED_BY_COMPILED, apart, multiply_add
from .missing import completed, expected_values
from .mixture import Mixture
from .narrow import narrow_log_terms
from .natural import fill_second, fill_theta, invert_lower
from .parallel import blocks_of, run_parallel, single_threaded_blas
from .relabel import align_labels, labels_by_pivot
from .replicates import drawn_labels, drawn_rows, replicates
from .rotation import coordinates_of, proper
from .rows import Design, Rows
from .structure import (
    COVARIANCE_TYPES,
    FAMILIES,
    Correlations,
    Entry,
    Layout,
    Orientations,
    Part,
    Scales,
    Shapes,
    Structure,
    Volumes,
    contrasts,
    curvature,
    invert_one_plus_skew,
    model_names,
    place_of,
    structure_named,
    structures_named,
    tangent,
)

__all__ = [
    "ADD_TERM",
    "BLOCK",
    "CALLED_BY_COMPILED",
    "COVARIANCE_TYPES",
    "FAMILIES",
    "LIKELIHOOD",
    "Correlations",
    "Design",
    "DrawBlock",
    "Entry",
    "Groups",
    "Layout",
    "Mixture",
    "ModelKey",
    "Orientations",
    "Part",
    "Rows",
    "Scales",
    "Shapes",
    "Statistics",
    "Structure",
    "Volumes",
    "add_term",
    "address_of",
    "align_labels",
    "apart",
    "block_size",
    "blocks_of",
    "call_constrain",
    "call_likelihood",
    "call_pullback",
    "completed",
    "contrasts",
    "coordinates_of",
    "curvature",
    "doubles",
    "draw_responsibilities",
    "drawn_labels",
    "drawn_rows",
    "each_pattern",
    "embedded",
    "exp",
    "expect_groups_into",
    "expect_into",
    "expected_statistics",
    "expected_values",
    "fill_second",
    "fill_theta",
    "integers",
    "invert_lower",
    "invert_one_plus_skew",
    "labels_by_pivot",
    "lkj_exponents",
    "log_density",
    "log_terms",
    "model_names",
    "multiply_add",
    "narrow_log_terms",
    "pairs_of",
    "patterns",
    "place_of",
    "proper",
    "replicates",
    "responsibilities",
    "run_parallel",
    "single_threaded_blas",
    "softmax_block",
    "softmax_mixture",
    "structure_named",
    "structures_named",
    "tangent",
    "terms_of",
    "whitening",
]
