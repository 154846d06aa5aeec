"""Softmax and temperatures of arrays: against SciPy and the formula, and what they keep."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import special

from ser_lib.errors import MetricError
from ser_lib.evaluation.probabilities import MIN_PROBABILITY, apply_temperature, softmax


@pytest.mark.parametrize("shape", [(5,), (40, 5), (3, 4, 5)])
def test_softmax_is_that_of_scipy(rng, shape):
    logits = 200 * rng.standard_normal(shape)
    np.testing.assert_allclose(softmax(logits), special.softmax(logits, axis=-1), atol=1e-15)


def test_a_temperature_divides_the_logits(rng):
    logits = rng.standard_normal((50, 4))
    scaled = apply_temperature(softmax(logits), 3.0)
    np.testing.assert_allclose(scaled, softmax(logits / 3.0), atol=1e-12)
    np.testing.assert_array_equal(scaled.argmax(axis=1), logits.argmax(axis=1))


def test_a_probability_of_zero_counts_as_half_of_the_last_stored_decimal():
    found = apply_temperature(np.array([1.0, 0.0]), 2.0)
    powers = np.sqrt([1.0, MIN_PROBABILITY])
    np.testing.assert_allclose(found, powers / powers.sum(), atol=1e-12)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(MetricError, match=f"={temperature} "):
        apply_temperature(np.array([0.5, 0.5]), temperature)


def test_arrays_of_probabilities_need_no_tables():
    code = (
        "import sys, ser_lib.evaluation.probabilities, ser_lib.evaluation.formatting;"
        "print([name for name in ('pandas', 'scipy', 'sklearn') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
