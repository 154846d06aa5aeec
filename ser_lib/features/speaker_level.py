"""A speaker's own level in features, estimated from a few clips.

Training, the export of a bundle and prediction share these functions; they need NumPy alone.
"""

from __future__ import annotations

import numpy as np

# Spreads are at least this share of the typical one: a value that hardly varies is not amplified.
MIN_SPREAD_SHARE = 1e-3


def shrunken_mean(
    mean: np.ndarray, *, centre: np.ndarray, between: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Return the most probable level of a speaker, given the mean of some clips.

    It is shrunk towards `centre`, the mean of all speakers, by between / (between + noise): the
    variance of speakers' levels, and that of the mean by the choice of clips.
    """
    # Robbins (1956); Efron & Morris (1973), JASA 68:117.
    trust = between / np.maximum(between + noise, np.finfo(np.float32).tiny)
    return centre + trust * (mean - centre)


def variance_between(means: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the variance of speakers' means, less that which they would have by noise alone."""
    return np.maximum(means.var(axis=0, ddof=1) - noise, 0.0)


def variance_within(features: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Return the mean over speakers of the variance over a speaker's clips."""
    return np.mean([features[speakers == one].var(axis=0) for one in np.unique(speakers)], axis=0)


def safe_spread(variance: np.ndarray) -> np.ndarray:
    """Return standard deviations to divide by, none below `MIN_SPREAD_SHARE` of the median."""
    spread = np.sqrt(variance)
    return np.maximum(spread, MIN_SPREAD_SHARE * (np.median(spread) or 1.0))
