"""Data in: read and check a table, standardise it, bundled sets. Light to import, and knows no other part."""

from bayesgmm.tables.datasets import list_datasets, load_dataset
from bayesgmm.tables.errors import InputError
from bayesgmm.tables.read import read_table
from bayesgmm.tables.scaling import Scaling
from bayesgmm.tables.table import Table, as_table

__all__ = ["InputError", "Scaling", "Table", "as_table", "list_datasets", "load_dataset", "read_table"]
