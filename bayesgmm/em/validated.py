"""What estimators take: any table, checked as scikit-learn checks it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import validate_data

from ..data import as_pandas, check_finite

__all__ = ["MembershipTransformer", "TableInput"]


class TableInput:
    """An estimator whose rows come from any table."""

    def _values(self, X: Any, reset: bool) -> NDArray[np.float64]:
        """Checked values (N, D) of any table."""
        minimum = 2 if reset else 1
        with np.errstate(over="ignore", invalid="ignore"):  # scikit-learn adds all values up
            return validate_data(self, _known(X), reset=reset, dtype=np.float64, ensure_min_samples=minimum)

    def _names(self, n_features: int) -> tuple[str, ...]:
        """Names of the columns of the fit."""
        return tuple(map(str, getattr(self, "feature_names_in_", [f"x{j}" for j in range(n_features)])))


class MembershipTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """A step of a pipeline that turns rows into their membership probabilities."""

    def transform(self, X: Any) -> NDArray[np.float64]:
        """As ``predict_proba``; with ``set_output`` the columns have names."""
        return self.predict_proba(X)

    @property
    def _n_features_out(self) -> int:
        return len(self.weights_)


def _known(X: Any) -> Any:
    """Tables that scikit-learn does not know, as pandas frames; anything else as it is.

    Raises
    ------
    InputError
        A mask hides a value: scikit-learn would take what lies under it.
    """
    if isinstance(X, np.ma.MaskedArray):
        frame = as_pandas(X)
        check_finite(frame.to_numpy(), frame)
        return frame.to_numpy()
    if isinstance(X, np.ndarray | list) or hasattr(X, "iloc"):
        return X
    import narwhals.stable.v2 as nw

    table = nw.from_native(X, pass_through=True)
    if isinstance(table, nw.LazyFrame):
        table = table.collect()
    return table.to_pandas() if isinstance(table, nw.DataFrame) else X
