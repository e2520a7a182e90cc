"""Numbers as the report writes them. The minus is the keyboard's, so that what is read can be searched and copied."""

from __future__ import annotations

from math import floor, isfinite, log10
from typing import Any

from ..clusters import count, spelled
from ..clusters import probability as _probability

__all__ = [
    "MISSING",
    "count",
    "decimals",
    "fixed",
    "interval",
    "p_value",
    "probability",
    "probability_interval",
    "significant",
    "spelled",
]

MISSING = "–"
_MOST_DECIMALS = 6


def decimals(spread: float) -> int | None:
    """Decimals that show two figures of ``spread``; None where only exponents are readable."""
    if not isfinite(spread) or spread <= 0:
        return 2
    places = 1 - floor(log10(spread))
    return max(places, 0) if -6 <= places <= _MOST_DECIMALS else None


def fixed(value: Any, places: int | None = 2) -> str:
    """With so many decimals, or in exponents for ``places=None``."""
    value = _float(value)
    if not isfinite(value):
        return MISSING if value != value else ("∞" if value > 0 else "-∞")
    text = f"{value:.3g}" if places is None else f"{value:.{places}f}"
    # -0.00 says a sign that the number shown does not have.
    return text.removeprefix("-") if not any(c in "123456789" for c in text) else text


def significant(value: Any, digits: int = 3) -> str:
    """With so many significant digits, never fewer before the point than the number has."""
    value = _float(value)
    if not isfinite(value) or value == 0:
        return fixed(value, 0)
    places = digits - 1 - floor(log10(abs(value)))
    return (
        fixed(value, min(max(places, 0), _MOST_DECIMALS)) if -9 <= places <= _MOST_DECIMALS else f"{value:.{digits}g}"
    )


def probability(value: Any) -> str:
    """Two decimals, and never 0.00 or 1.00 for what is merely near."""
    value = _float(value)
    if not isfinite(value):
        return MISSING
    return _probability(value)


def interval(lb: Any, ub: Any, places: int | None = 2) -> str:
    """A pair of bounds."""
    return f"{fixed(lb, places)} to {fixed(ub, places)}"


def probability_interval(lb: Any, ub: Any) -> str:
    """A pair of bounds of a probability; one of them where they read the same."""
    first, last = probability(lb), probability(ub)
    return first if first == last else f"{first} to {last}"


def p_value(value: Any) -> str:
    """Three decimals."""
    value = _float(value)
    return "<0.001" if 0 <= value < 0.0005 else fixed(value, 3)


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)
