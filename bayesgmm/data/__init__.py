"""Data in: read and check a table, standardise it, bundled sets. Light to import, and knows no other part."""

from .account import Account
from .arguments import (
    RULES,
    check_arguments,
    check_choice,
    check_counts,
    check_path,
    check_switch,
    check_whole,
    checked,
    checked_with,
)
from .checks import check_components, checked_weight
from .chunks import read_chunks
from .datasets import bundled_names, list_datasets, load_dataset
from .errors import InputError
from .frames import MOST_COLUMNS, as_pandas, check_finite
from .holdout import framed, set_aside
from .intervals import CI_PROB, check_ci_prob, equal_tailed, tails
from .memory import available_memory, refuse_if_too_large, size
from .read import read_table
from .scaling import Scaling
from .table import Table, as_table, rows_to_score
from .transforms import Transform, parse_transforms, transformed
from .writing import digest_of, disk_trouble, inert, sync, write_bytes, write_text, written_beside

__all__ = [
    "CI_PROB",
    "MOST_COLUMNS",
    "RULES",
    "Account",
    "InputError",
    "Scaling",
    "Table",
    "Transform",
    "as_pandas",
    "as_table",
    "available_memory",
    "bundled_names",
    "check_arguments",
    "check_choice",
    "check_ci_prob",
    "check_components",
    "check_counts",
    "check_finite",
    "check_path",
    "check_switch",
    "check_whole",
    "checked",
    "checked_weight",
    "checked_with",
    "digest_of",
    "disk_trouble",
    "equal_tailed",
    "framed",
    "inert",
    "list_datasets",
    "load_dataset",
    "parse_transforms",
    "read_chunks",
    "read_table",
    "refuse_if_too_large",
    "rows_to_score",
    "set_aside",
    "size",
    "sync",
    "tails",
    "transformed",
    "write_bytes",
    "write_text",
    "written_beside",
]
