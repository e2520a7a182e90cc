"""Groups in words."""

from __future__ import annotations

__all__ = ["count", "probability", "spelled"]

_SPELLED = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def spelled(number: int) -> str:
    """Small numbers in words."""
    return _SPELLED[number] if 0 <= number < len(_SPELLED) else str(number)


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "no rows", "one row", "12 rows"; numbers above twelve in digits."""
    return f"{spelled(number)} {one if number == 1 else many or one + 's'}"


def probability(value: float) -> str:
    """Two decimals, and never 0.00 or 1.00 for what is merely near."""
    if 0 < value < 0.005:
        return "<0.01"
    return ">0.99" if 0.995 <= value < 1 else f"{value:.2f}"
