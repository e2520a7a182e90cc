"""One file per family of plots."""
