"""Probabilities of models, of K and of structures: against Bayes' rule, the delta method, and what is known of their errors."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from bayesgmm.selection.probabilities import model_probabilities, prior_of, probabilities


def test_probabilities_of_far_apart_evidences():
    np.testing.assert_allclose(model_probabilities(np.array([-5000.0, -5000.0, -9000.0])), [0.5, 0.5, 0.0])
    np.testing.assert_allclose(model_probabilities(np.array([np.nan, 1.0, 1.0])), [np.nan, 0.5, 0.5])
    assert np.isnan(model_probabilities(np.array([np.nan, np.nan]))).all()


def test_a_second_structure_gives_its_k_no_more_prior():
    """Two models of one evidence at K=2 beside one at K=1: p(K=2 | y) is one half, not two thirds."""
    prior = prior_of([1, 2, 2], {1: 1, 2: 2})
    np.testing.assert_allclose(prior, [0.5, 0.25, 0.25])
    p = probabilities(np.zeros(3), np.zeros(3), [1, 2, 2], prior)
    np.testing.assert_allclose(p.k, [0.5, 0.5, 0.5])
    np.testing.assert_allclose(p.structure, [1.0, 0.5, 0.5])
    np.testing.assert_allclose(p.model, [0.5, 0.25, 0.25])


def test_errors_are_those_of_the_delta_method_where_they_are_small():
    """p = softmax(log Z + log prior): dp_m / d log Z_j = p_m (1[m = j] - p_j), so that var p_m = p_m^2 sum_j (...)^2 s_j^2;

    for p(K) the same with p_K in place of p_m and 1[j has K], and for p(s | K) with everything conditional on K.
    """
    log_z, se, counts = np.array([-10.0, -9.5, -11.0, -9.0]), np.array([0.02, 0.01, 0.03, 0.02]), [1, 2, 2, 3]
    prior = prior_of(counts, {1: 1, 2: 2, 3: 1})
    found = probabilities(log_z, se, counts, prior)
    p, own = found.model, np.eye(4)
    same = np.equal.outer(counts, counts).astype(float)
    np.testing.assert_allclose(found.model_se, p * np.sqrt((own - p) ** 2 @ se**2), rtol=0.06)
    np.testing.assert_allclose(found.k_se, found.k * np.sqrt((same * p / found.k[:, None] - p) ** 2 @ se**2), rtol=0.06)
    within = same * found.structure
    expected = found.structure * np.sqrt((own - within) ** 2 @ se**2)
    np.testing.assert_allclose(found.structure_se, expected, rtol=0.06, atol=1e-12)


def test_a_nat_of_error_shows():
    """Two models 2.2 nats apart, one known to within a nat: 0.9, and anything from 0.55 to 0.985 within 1.96 errors of it."""
    p = probabilities(np.array([0.0, -2.197]), np.array([1.0, 0.0]), [2, 3], np.array([0.5, 0.5]))
    assert p.k[0] == pytest.approx(0.9, abs=1e-3)
    z = np.random.default_rng(3).standard_normal(400_000)
    assert p.k_se[0] == pytest.approx((1 / (1 + exp(-2.197) * np.exp(-z))).std(), rel=0.05)


def test_a_model_without_an_evidence_has_no_probability():
    p = probabilities(
        np.array([0.0, np.nan, 0.0]), np.array([0.1, np.nan, 0.1]), [1, 2, 2], prior_of([1, 2, 2], {1: 1, 2: 2})
    )
    np.testing.assert_allclose(p.model, [2 / 3, np.nan, 1 / 3])
    np.testing.assert_allclose(p.k, [2 / 3, np.nan, 1 / 3])
    assert np.isnan(p.k_se[1])
    alone = probabilities(np.array([0.0, np.nan]), np.array([0.1, np.nan]), [1, 2], np.array([0.5, 0.5]))
    np.testing.assert_allclose(alone.k, [1.0, np.nan])


def test_structures_far_down_are_told_apart_still():
    """A K whose own probability underflows has structures nonetheless."""
    p = probabilities(np.array([0.0, -2000.0, -2000.0 + np.log(3)]), np.zeros(3), [1, 2, 2], np.full(3, 1 / 3))
    np.testing.assert_allclose(p.structure, [1.0, 0.25, 0.75])


def test_prior_on_k_is_checked():
    with pytest.raises(ValueError, match="prior_k gives K=2"):
        prior_of([1, 2], {1: 1, 2: 1}, {1: 1.0})
    np.testing.assert_allclose(prior_of([1, 2, 2], {1: 1, 2: 4}, lambda k: 1 / k), np.array([1, 1 / 8, 1 / 8]) / 1.25)
