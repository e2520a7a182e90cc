"""Numbers as the report writes them."""

from __future__ import annotations

import pytest

from bayesgmm.report import numbers


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (-1130.26395, 4, "-1130.2640"),
        (-0.001, 2, "0.00"),
        (float("nan"), 2, "–"),
        (None, 2, "–"),
        (float("inf"), 2, "∞"),
        (1.5e-12, None, "1.5e-12"),
        (2.0, 0, "2"),
    ],
)
def test_fixed(value, places, text):
    assert numbers.fixed(value, places) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00"), (0.001, "<0.01"), (0.0049, "<0.01"), (0.5, "0.50"), (0.996, ">0.99"), (1.0, "1.00")],
)
def test_a_probability_is_never_rounded_to_certainty(value, text):
    assert numbers.probability(value) == text


def test_probability_interval():
    assert numbers.probability_interval(0.001, 0.2) == "<0.01 to 0.20"
    assert numbers.probability_interval(0.999, 0.9999) == ">0.99"


@pytest.mark.parametrize(("spread", "places"), [(0.028, 3), (4.7, 1), (320.0, 0), (1e-9, None), (0.0, 2)])
def test_decimals_show_two_figures_of_the_spread(spread, places):
    assert numbers.decimals(spread) == places


@pytest.mark.parametrize(
    ("value", "text"), [(12345.678, "12346"), (0.0012345, "0.00123"), (0.0, "0"), (1e-9, "1e-09"), (1e12, "1e+12")]
)
def test_significant(value, text):
    assert numbers.significant(value) == text


def test_counts_in_words():
    assert numbers.count(0, "row") == "no rows"
    assert numbers.count(1, "row") == "one row"
    assert numbers.count(13, "row") == "13 rows"


def test_p_values():
    assert numbers.p_value(0.0001) == "<0.001"
    assert numbers.p_value(0.25) == "0.250"
