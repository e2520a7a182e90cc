"""Which model: evidence, leave-one-out, comparison, filled components."""
