"""Where the scatter of a score comes from: speakers, seeds, or neither by itself.

The score of speaker i under seed j is taken as

    y_ij = mean + a_i + b_j + e_ij

with independent effects of the speaker, of the seed, and a rest: how a speaker fares under one
start of the training and not under another, and the chance of few clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser_lib.errors import MetricError

__all__ = ["VarianceParts", "variance_parts"]


@dataclass(frozen=True)
class VarianceParts:
    """Variances of a score, and how many speakers and seeds they were estimated from."""

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
    """Divide the variance of scores between speakers and seeds.

    Parameters
    ----------
    scores : ndarray, shape (n_speakers, n_seeds)
        A score of every speaker under every seed; none may be missing.

    Returns
    -------
    VarianceParts
        Estimates from the mean squares of a two-way table with one value a cell,

            rest = MS_rest,  speaker = (MS_speaker - MS_rest) / n_seeds,
            seed = (MS_seed - MS_rest) / n_speakers,

        each 0 where the formula is negative.

    Raises
    ------
    MetricError
        If there are fewer than two speakers or seeds, or a score is missing.

    References
    ----------
    Searle, Casella & McCulloch (1992), Variance Components, section 4.7.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or min(scores.shape) < 2:
        raise MetricError(
            f"scores of shape {scores.shape}: variance over speakers and over seeds is told apart "
            "from two speakers and two seeds on"
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
