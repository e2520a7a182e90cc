"""Data in: read and check a table, standardise it, bundled sets. Light to import, and knows no other part."""

from bayesgmm.data.datasets import list_datasets, load_dataset
from bayesgmm.data.errors import InputError
from bayesgmm.data.read import read_table
from bayesgmm.data.scaling import Scaling
from bayesgmm.data.table import Table, as_table

__all__ = ["InputError", "Scaling", "Table", "as_table", "list_datasets", "load_dataset", "read_table"]
