"""Which part of a score's variance is speakers', which is seeds': for chapter 09."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser_lib.errors import MetricError


@dataclass(frozen=True)
class VarianceParts:
    """Variance components of a score, and the numbers of speakers and seeds behind them."""

    speaker: float
    seed: float
    rest: float
    n_speakers: int
    n_seeds: int

    @property
    def of_mean(self) -> dict[str, float]:
        """Variance that each source leaves in the mean over all speakers and seeds."""
        return {
            "speaker": self.speaker / self.n_speakers,
            "seed": self.seed / self.n_seeds,
            "rest": self.rest / (self.n_speakers * self.n_seeds),
        }


def variance_parts(scores: np.ndarray) -> VarianceParts:
    """Divide the variance of scores, shape (n_speakers, n_seeds), between speakers and seeds.

    Estimates are from the mean squares of a two-way table with one value a cell, 0 where negative
    (Searle, Casella & McCulloch 1992, Variance Components, section 4.7).
    """
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or min(scores.shape) < 2:
        raise MetricError(
            f"scores of shape {scores.shape}: variance components need at least two speakers and "
            "two seeds"
        )
    if not np.isfinite(scores).all():
        raise MetricError("a speaker has no score under some seed")
    n_speakers, n_seeds = scores.shape
    of_speaker, of_seed = scores.mean(axis=1), scores.mean(axis=0)
    rest = scores - of_speaker[:, np.newaxis] - of_seed + scores.mean()
    ms_rest = (rest**2).sum() / ((n_speakers - 1) * (n_seeds - 1))
    ms_speaker = n_seeds * of_speaker.var(ddof=1)
    ms_seed = n_speakers * of_seed.var(ddof=1)
    return VarianceParts(
        speaker=max(0.0, float(ms_speaker - ms_rest) / n_seeds),
        seed=max(0.0, float(ms_seed - ms_rest) / n_speakers),
        rest=float(ms_rest),
        n_speakers=n_speakers,
        n_seeds=n_seeds,
    )
