"""Intervals by speaker: confusion counts of every speaker, and resampled speakers.

Whole speakers are drawn, because the clips of one speaker are alike; all scores of the package take
their intervals from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError

N_RESAMPLES = 10_000
INTERVAL_LEVEL = 0.95

# Of five speakers there are 16 patterns of signs, so that no test by speaker reaches 0.05, and a
# percentile interval that is called 95 % covers far less (`tools/simulate_tests.py`).
MIN_SPEAKERS = 6


def class_numbers(names: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Translate class names into positions among the labels; an unknown one raises MetricError."""
    numbers = pd.Index(labels).get_indexer(pd.Index(names))
    if (numbers < 0).any():
        unknown = sorted({str(one) for one in np.asarray(names, dtype=object)[numbers < 0]})
        raise MetricError(f"classes {unknown} are not among the labels {list(labels)}")
    return numbers


def counts_by_speaker(
    tables: Sequence[pd.DataFrame], labels: Sequence[str], *, others: Sequence[str] = ()
) -> tuple[np.ndarray, list[str]]:
    """Count rows by true and predicted class, for every table and speaker.

    Returns counts of shape (n_tables, n_speakers, n_classes, n_classes), truth before prediction,
    and the speakers in order; `others` are speakers without rows. One speaker alone is refused.
    """
    speakers = sorted(set(others).union(*(table["speaker"].unique() for table in tables)))
    if not speakers:
        raise MetricError("there are no predictions to score")
    if len(speakers) < 2:
        raise MetricError(f"one speaker only ({speakers[0]}): no interval by speaker can be given")
    n = len(labels)
    counts = np.zeros((len(tables), len(speakers), n, n), dtype=int)
    for number, table in enumerate(tables):
        cells = pd.Index(speakers).get_indexer(table["speaker"])
        for column in ("truth", "prediction"):
            cells = n * cells + class_numbers(table[column], labels)
        counts[number] = np.bincount(cells, minlength=counts[number].size).reshape(-1, n, n)
    return counts, speakers


@lru_cache(maxsize=8)
def resample_speakers(n_speakers: int, n_resamples: int, seed: int) -> np.ndarray:
    """Draw how often each speaker is in each resample, shape (n_resamples, n_speakers)."""
    rng = np.random.default_rng(seed)
    shares = np.full(n_speakers, 1 / n_speakers)
    drawn = rng.multinomial(n_speakers, shares, size=n_resamples).astype(float)
    drawn.flags.writeable = False  # shared by all who ask for it
    return drawn


def resampled(
    counts: np.ndarray, weights: np.ndarray, metric: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Score every resample of the speakers, averaged over tables (seeds): shape (n_resamples,).

    `counts` is from `counts_by_speaker`, `weights` from `resample_speakers`; `metric` takes right
    and all rows of every class: `mean_recall` or `share_right` of `ser_lib.evaluation.metrics`.
    """
    # A product of floats goes to BLAS; one of integers does not.
    right = np.diagonal(counts, axis1=2, axis2=3).astype(float)
    n_rows = counts.sum(axis=3, dtype=float)
    pairs = zip(right, n_rows, strict=True)
    return np.mean([metric(weights @ one, weights @ rows) for one, rows in pairs], axis=0)


def interval_of(values: np.ndarray, n_speakers: int) -> tuple[float, float]:
    """Return the ends of the 95 % percentile interval of resampled values; NaN ones are left out.

    Below `MIN_SPEAKERS` there is none: both ends are NaN. Efron & Tibshirani (1993), An
    Introduction to the Bootstrap, chapter 13.
    """
    if n_speakers < MIN_SPEAKERS:
        return np.nan, np.nan
    edge = 50 * (1 - INTERVAL_LEVEL)
    low, high = np.nanpercentile(values, [edge, 100 - edge])
    return float(low), float(high)
