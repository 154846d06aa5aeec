"""Confidence at prediction: a temperature applied, and the threshold below which nothing is said.

Arrays only: prediction loads no tables. Temperatures are found by `ser_lib.calibration`, on
predictions of speakers that the predicting model did not know; so is the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser_lib.errors import MetricError

__all__ = ["Selection", "apply_temperature", "select_threshold"]

# Stored probabilities have four decimals: what was rounded to 0 is taken as half the last one.
MIN_PROBABILITY = 5e-5


def _check(probabilities: np.ndarray, classes: np.ndarray) -> None:
    if len(probabilities) != len(classes) or not len(classes):
        raise MetricError(
            f"{len(probabilities)} rows of probabilities for {len(classes)} true classes; as many "
            "of both are needed, and at least one"
        )


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
        If the temperature is not above 0.

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
    if not temperature > 0:
        raise MetricError(f"temperature={temperature} must be above 0")
    logits = np.log(np.maximum(probabilities, MIN_PROBABILITY)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class Selection:
    """From which confidence on an answer is given, and what that costs."""

    threshold: float
    coverage_share: float
    """Of clips that get an answer."""
    accuracy_share: float
    """Of these answers that are right."""
    accuracy_of_all_share: float
    """Were every clip answered."""


def select_threshold(
    probabilities: np.ndarray,
    classes: np.ndarray,
    *,
    error_ratio: float = 0.5,
    min_coverage_share: float = 0.2,
) -> Selection:
    """Choose the lowest confidence from which on answers are right often enough.

    Parameters
    ----------
    probabilities : ndarray, shape (n_rows, n_classes)
        Calibrated, of clips whose speakers the model did not know.
    classes : ndarray of int, shape (n_rows,)
        True class numbers.
    error_ratio : float
        How often answers may be wrong, as a share of how often they were if all were given.
    min_coverage_share : float
        Where that would leave fewer answers than this, so many are given nonetheless.

    Returns
    -------
    Selection
        The threshold, and what is observed with it on the same rows.

    References
    ----------
    El-Yaniv & Wiener (2010), "On the foundations of noise-free selective classification";
    Geifman & El-Yaniv (2017), "Selective classification for deep neural networks".

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    _check(probabilities, classes)
    confidence = probabilities.max(axis=1)
    is_right = (probabilities.argmax(axis=1) == classes).astype(float)
    order = np.argsort(-confidence, kind="stable")
    n_answers = np.arange(1, len(order) + 1)
    accuracy = np.cumsum(is_right[order]) / n_answers
    # Clips of equal confidence are answered together.
    is_end = np.append(np.diff(confidence[order]) != 0, True)
    least = max(1, int(np.ceil(min_coverage_share * len(order))))
    allowed = is_end & (n_answers >= least)
    target_share = 1 - error_ratio * (1 - is_right.mean())
    good = np.flatnonzero(allowed & (accuracy >= target_share))
    last = good[-1] if len(good) else np.flatnonzero(allowed)[0]
    return Selection(
        threshold=float(confidence[order][last]),
        coverage_share=float(n_answers[last] / len(order)),
        accuracy_share=float(accuracy[last]),
        accuracy_of_all_share=float(is_right.mean()),
    )
