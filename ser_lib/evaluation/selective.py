"""Selective prediction: how accurate a system is if it may abstain where it is not sure.

Predictions are sorted by confidence; the coverage is the share that is answered, the most confident
first. Of predictions of the same confidence each is taken in equal part, so that the order of the
rows never matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.evaluation.bootstrap import (
    N_RESAMPLES,
    class_numbers,
    interval_of,
    resample_speakers,
)
from ser_lib.evaluation.calibration import confidence_of

# Coverages of a curve, in steps of 1/50.
GRID = np.arange(1, 51) / 50

# Resamples that are held in memory at once.
BATCH = 500

COVERAGE = 0.9  # of answer sets


def coverage_curve(
    predictions: pd.DataFrame,
    labels: Sequence[str],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Accuracy of the most confident predictions, for every share of them.

    Parameters
    ----------
    predictions : pandas.DataFrame
        With `speaker, truth, prediction` and `p_<label>`.
    labels : sequence of str
        All classes.
    n_resamples, seed : int
        Of the bootstrap over speakers.

    Returns
    -------
    pandas.DataFrame, shape (50, 4)
        Columns `coverage, accuracy`, and `low, high`, its 95 % interval by speaker.

    Raises
    ------
    MetricError
        If there is no row, or one speaker only.

    References
    ----------
    El-Yaniv & Wiener (2010), JMLR 11; Geifman & El-Yaniv (2017), NeurIPS.
    """
    if predictions.empty:
        raise MetricError("there are no predictions to select from")
    confidence, is_right = confidence_of(predictions, labels)
    speakers, codes = np.unique(predictions["speaker"], return_inverse=True)
    if len(speakers) < 2:
        raise MetricError(f"one speaker only ({speakers[0]}): no interval by speaker can be given")
    # One column a distinct confidence, the highest first.
    levels, columns = np.unique(-confidence, return_inverse=True)
    sums = np.zeros((2, len(speakers), len(levels)))
    for number, value in enumerate((np.ones(len(codes)), is_right)):
        np.add.at(sums[number], (codes, columns), value)
    sums = sums.cumsum(axis=2)
    weights = resample_speakers(len(speakers), n_resamples, seed)
    drawn = [
        _hits_at(rows, hits)
        for start in range(0, n_resamples, BATCH)
        for rows, hits in zip(*(weights[start : start + BATCH] @ one for one in sums), strict=True)
    ]
    values = np.array(drawn) / GRID
    observed = _hits_at(*sums.sum(axis=1)) / GRID
    ends = np.array([interval_of(column, len(speakers)) for column in values.T])
    return pd.DataFrame(
        {"coverage": GRID, "accuracy": observed, "low": ends[:, 0], "high": ends[:, 1]}
    )


def _hits_at(rows: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Share of all rows that is answered and right; `rows`, `hits` cumulate over confidence."""
    # A group of equal confidence, between two levels, is taken in part.
    n_rows = rows[-1]
    return np.interp(GRID * n_rows, np.append(0, rows), np.append(0, hits)) / n_rows


def accuracy_at(curve: pd.DataFrame, coverage: float) -> tuple[float, float, float]:
    """Read accuracy and the ends of its interval from a `coverage_curve`, at the nearest coverage.

    MetricError where the coverage is not in (0, 1].
    """
    if not 0 < coverage <= 1:
        raise MetricError(f"coverage={coverage} must be above 0 and at most 1")
    row = curve.iloc[int((curve["coverage"] - coverage).abs().argmin())]
    return float(row["accuracy"]), float(row["low"]), float(row["high"])


@dataclass(frozen=True)
class Selection:
    """A threshold of confidence, and the coverage and accuracy that it gives."""

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

    They may be wrong `error_ratio` times as often as if every clip were answered; the share
    `min_coverage_share` is answered in any case. Probabilities must be calibrated.
    """
    if len(probabilities) != len(classes) or not len(classes):
        raise MetricError(
            f"{len(probabilities)} rows of probabilities for {len(classes)} true classes; equally "
            "many of both are needed, and at least one"
        )
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


def answer_limit(predictions: pd.DataFrame, labels: Sequence[str], *, by: str) -> float:
    """Find the probability that the true class reaches in `COVERAGE` of clips.

    A set of all answers of at least this probability holds the truth in that share of clips of a
    new group, on average over groups like these: split conformal prediction with pooled groups. Of
    one new group, nothing is guaranteed.

    Parameters
    ----------
    predictions : pandas.DataFrame
        With `truth`, `p_<label>` and the column `by`, of groups that were not trained on.
    labels : sequence of str
        All classes.
    by : str
        Whose values are exchangeable, and weigh the same: corpora, or speakers.

    References
    ----------
    Dunn, Wasserman & Ramdas (2023), JASA 118(544), section 3.1.
    """
    if predictions.empty:
        raise MetricError("there are no predictions to set a limit on")
    weights = 1 / predictions.groupby(by)[by].transform("size")
    reached = _probability_of_truth(predictions, labels)
    return float(np.quantile(reached, 1 - COVERAGE, weights=weights, method="inverted_cdf"))


def answer_sets(predictions: pd.DataFrame, labels: Sequence[str], limit: float) -> dict[str, float]:
    """Measure sets of all answers of at least `limit`, and the likeliest in any case.

    Returns `set_coverage_share`, of the sets that hold the truth, and `set_size`, their mean.
    """
    probabilities = predictions[[f"p_{label}" for label in labels]].to_numpy(dtype=float)
    least = np.minimum(limit, probabilities.max(axis=1))
    is_in = _probability_of_truth(predictions, labels) >= least
    sizes = (probabilities >= least[:, np.newaxis]).sum(axis=1)
    return {"set_coverage_share": float(is_in.mean()), "set_size": float(sizes.mean())}


def _probability_of_truth(predictions: pd.DataFrame, labels: Sequence[str]) -> np.ndarray:
    probabilities = predictions[[f"p_{label}" for label in labels]].to_numpy(dtype=float)
    return probabilities[np.arange(len(probabilities)), class_numbers(predictions["truth"], labels)]
