"""Probabilities as arrays: softmax, temperatures, and the floor that keeps logarithms finite.

NumPy only: prediction, which has to start quickly, loads neither pandas nor SciPy. Temperatures are
fitted by `ser_lib.evaluation.calibration`.
"""

from __future__ import annotations

import numpy as np

from ser_lib.errors import MetricError

# Stored probabilities have four decimals: what was rounded to 0 counts as half of the last one.
MIN_PROBABILITY = 5e-5


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits of shape (..., n_classes) into probabilities; each row sums to 1."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Soften (above 1) or sharpen (below 1) probabilities, shape (..., n_classes); the order stays.

    Those below `MIN_PROBABILITY` are raised to it first. Guo et al. (2017), ICML, section 4.2.

    >>> apply_temperature(np.array([0.8, 0.2]), 2.0).round(3)
    array([0.667, 0.333])
    """
    if not 0 < temperature < np.inf:
        raise MetricError(f"temperature={temperature} must be a number above 0")
    return softmax(np.log(np.maximum(probabilities, MIN_PROBABILITY)) / temperature)
