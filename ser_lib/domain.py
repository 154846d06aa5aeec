"""What a recording has against it: warnings before an answer is believed.

A warning is one phrase for people, with its value. Limits of the recording (too short, clipped,
noisy) are fixed; how far a voice lies from those that a model was trained on is measured against
a `Domain`, which is made of the training clips' own statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser_lib.errors import FeatureError
from ser_lib.voice import STATISTICS, VoiceFacts

__all__ = ["MIN_SPEECH_S", "Domain", "fit_domain", "recording_warnings"]

MIN_SPEECH_S = 0.5  # two syllables; the shortest clips of the corpora hold about one second
MAX_CLIPPED_SHARE = 1e-3
MIN_SNR_DB = 10.0  # the quietest training clips have 14 dB
MIN_LEVEL_DB = -55.0  # the quietest training clips reach -49
MIN_RATE_HZ = 16_000  # below, consonants are missing
# One training clip in a hundred would be called unlike the others.
DOMAIN_QUANTILE = 0.99
# Keeps the covariance invertible where a statistic hardly varies.
SHRINKAGE = 0.05


@dataclass(frozen=True)
class Domain:
    """The training clips, as a cloud of simple statistics of recording and voice."""

    mean: np.ndarray
    """Shape (n_statistics,)."""
    precision: np.ndarray
    """Inverse covariance, shape (n_statistics, n_statistics)."""
    limit: float
    """Distance that one clip in a hundred of speakers left out exceeds."""

    def distance(self, statistics: np.ndarray) -> float:
        """Mahalanobis distance of a clip from the middle of the training clips.

        Parameters
        ----------
        statistics : ndarray, shape (n_statistics,)
            From `VoiceFacts.statistics`.

        Returns
        -------
        float
            In standard deviations; NaN where the clip has no statistics.
        """
        off = statistics - self.mean
        return float(np.sqrt(off @ self.precision @ off))

    def farthest(self, statistics: np.ndarray) -> str:
        """Name the statistic in which a clip differs most from the training clips."""
        spread = np.sqrt(np.diag(np.linalg.inv(self.precision)))
        scores = (statistics - self.mean) / spread
        worst = int(np.abs(scores).argmax())
        return f"{STATISTICS[worst]} {'above' if scores[worst] > 0 else 'below'} theirs"


def _cloud(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    covariance = np.cov(rows, rowvar=False)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance))
    return rows.mean(axis=0), np.linalg.inv(covariance)


def fit_domain(statistics: np.ndarray, speakers: np.ndarray) -> Domain:
    """Describe the training clips, and how far a voice that is not among them usually lies.

    Parameters
    ----------
    statistics : ndarray, shape (n_clips, n_statistics)
        From `VoiceFacts.statistics`; clips without speech have none and are left out beforehand.
    speakers : ndarray of str, shape (n_clips,)
        Each speaker's distances are taken from the cloud of the others.

    Returns
    -------
    Domain

    Raises
    ------
    FeatureError
        If there are fewer than two speakers, or values that are not finite.

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    if len(np.unique(speakers)) < 2 or not np.isfinite(statistics).all():
        raise FeatureError(
            f"{len(np.unique(speakers))} speaker(s), {len(statistics)} clips: at least two "
            "speakers and finite statistics are needed to know what is far from them"
        )
    distances = []
    for speaker in np.unique(speakers):
        others = Domain(*_cloud(statistics[speakers != speaker]), limit=np.inf)
        distances += [others.distance(row) for row in statistics[speakers == speaker]]
    return Domain(*_cloud(statistics), limit=float(np.quantile(distances, DOMAIN_QUANTILE)))


def recording_warnings(
    voice: VoiceFacts,
    *,
    sample_rate_hz: int,
    clipped_share: float = 0.0,
    domain: Domain | None = None,
) -> list[str]:
    """Say what there is against believing an answer about a recording.

    Parameters
    ----------
    voice : VoiceFacts
        Of the recording.
    sample_rate_hz : int
        Of the file, before resampling.
    clipped_share : float
        From `ser_lib.voice.clipped_share`.
    domain : Domain, optional
        Of the model's training clips.

    Returns
    -------
    list of str
        One phrase a warning; empty for a recording like those of the training.

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    found = []
    if sample_rate_hz < MIN_RATE_HZ:
        found.append(f"low sample rate ({sample_rate_hz} Hz)")
    if clipped_share > MAX_CLIPPED_SHARE:
        found.append(f"clipped ({100 * clipped_share:.1f} % of the samples)")
    if not voice.has_speech:
        return [*found, "no speech found"]
    if voice.speech_s < MIN_SPEECH_S:
        found.append(f"too short ({voice.speech_s:.1f} s of speech)")
    if voice.level_db < MIN_LEVEL_DB:
        found.append(f"very quiet ({voice.level_db:.0f} dB)")
    if voice.snr_db < MIN_SNR_DB:
        found.append(f"noisy (speech {voice.snr_db:.0f} dB above the noise)")
    if domain is not None:
        statistics = voice.statistics()
        if domain.distance(statistics) > domain.limit:
            found.append(f"unlike the training clips ({domain.farthest(statistics)})")
    return found
