"""Probabilities as arrays: softmax, temperatures, and the floor that keeps logarithms finite.

NumPy only: prediction, which has to start quickly, loads no tables. Temperatures are found by
`ser_lib.evaluation.calibration`, on validation speakers.
"""

from __future__ import annotations

import numpy as np

from ser_lib.errors import MetricError

# Stored probabilities have four decimals: what was rounded to 0 is taken as half the last one.
MIN_PROBABILITY = 5e-5


def check_probabilities(probabilities: np.ndarray, classes: np.ndarray) -> None:
    """Raise where there is not one row of probabilities for each true class."""
    if len(probabilities) != len(classes) or not len(classes):
        raise MetricError(
            f"{len(probabilities)} rows of probabilities for {len(classes)} true classes; as many "
            "of both are needed, and at least one"
        )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits of shape (..., n_classes) into probabilities; each row sums to 1."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Soften (above 1) or sharpen (below 1) probabilities; their order stays.

    Parameters
    ----------
    probabilities : ndarray, shape (..., n_classes)
        Each row sums to 1.
    temperature : float
        Above 0; 1 changes nothing but rounds zeros up.

    Returns
    -------
    ndarray of float64, shape (..., n_classes)
        Each row sums to 1.

    Raises
    ------
    MetricError
        If the temperature is not a number above 0.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger (2017), "On calibration of modern neural networks", section 4.2.

    Examples
    --------
    >>> apply_temperature(np.array([0.8, 0.2]), 2.0).round(3)
    array([0.667, 0.333])

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    if not 0 < temperature < np.inf:
        raise MetricError(f"temperature={temperature} must be a number above 0")
    return softmax(np.log(np.maximum(probabilities, MIN_PROBABILITY)) / temperature)
