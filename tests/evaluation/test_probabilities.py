"""Confidence: temperatures keep the order, and thresholds hold what they say."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.errors import MetricError
from ser_lib.evaluation.probabilities import apply_temperature
from ser_lib.evaluation.selective import select_threshold


@pytest.fixture
def honest(rng):
    """Probabilities that mean what they say: classes are drawn from them."""
    logits = rng.normal(0, 1.5, (4000, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = np.array([rng.choice(5, p=row) for row in probabilities])
    return probabilities, classes


def test_a_temperature_keeps_the_order_and_the_sum(honest):
    scaled = apply_temperature(honest[0], 3.0)
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    np.testing.assert_array_equal(scaled.argmax(axis=1), honest[0].argmax(axis=1))


def test_answers_above_the_threshold_are_right_as_often_as_asked(honest):
    probabilities, classes = honest
    chosen = select_threshold(probabilities, classes)
    answered = probabilities.max(axis=1) >= chosen.threshold
    is_right = probabilities.argmax(axis=1) == classes
    assert answered.mean() == pytest.approx(chosen.coverage_share)
    assert is_right[answered].mean() == pytest.approx(chosen.accuracy_share)
    assert 1 - chosen.accuracy_share <= (1 - chosen.accuracy_of_all_share) / 2
    stricter = select_threshold(probabilities, classes, error_ratio=0.3)
    assert stricter.threshold > chosen.threshold


def test_some_answers_are_given_even_by_a_model_that_knows_nothing(rng):
    probabilities = rng.dirichlet(np.ones(4), 500)
    chosen = select_threshold(probabilities, rng.integers(0, 4, 500), min_coverage_share=0.3)
    assert chosen.coverage_share == pytest.approx(0.3, abs=0.01)
    assert chosen.accuracy_share < 0.5


def test_a_model_that_is_always_right_answers_always():
    chosen = select_threshold(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 0]))
    assert (chosen.threshold, chosen.coverage_share) == (0.6, 1.0)


def test_what_cannot_be_calibrated_is_refused():
    with pytest.raises(MetricError, match="above 0"):
        apply_temperature(np.array([0.5, 0.5]), 0.0)
    with pytest.raises(MetricError, match="at least one"):
        select_threshold(np.empty((0, 2)), np.empty(0, int))
    with pytest.raises(MetricError, match="2 rows"):
        select_threshold(np.full((2, 2), 0.5), np.zeros(3, int))
