"""Warnings about a recording, and how far it lies from the clips that a model was trained on.

A warning is one phrase for people, with its value. Limits of the recording (too short, clipped,
noisy) are fixed; how unlike the training it is, is measured against a `Domain`, which is made of
the training clips themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser_lib.audio.voice_activity import VoiceFacts
from ser_lib.errors import FeatureError
from ser_lib.inference.prediction import UNLIKE

MIN_SPEECH_S = 0.5  # two syllables; the shortest clips of the corpora hold about one second
MAX_CLIPPED_SHARE = 1e-3
# One clip in twenty of EmoDB and TESS is below 22, one in a hundred of RAVDESS 38.
MIN_SNR_DB = 20.0
MIN_LEVEL_DB = -55.0  # the quietest training clips reach -49
MIN_RATE_HZ = 16_000  # below, consonants are missing

# Times a domain's limit, beyond which there is no answer, by the kind of bundle. Speech of seven
# corpora lies up to 1.5 from moonshine-ravdess, in white noise of 5 dB up to 1.6; tones, clicks,
# melodies and noise from 1.8. To cnn-ravdess, which knows them worse apart, speech lies up to 2.1.
# The limit of one for strangers is that of corpora left out: those it had never seen lie up to 0.9,
# melodies and clicks from 1.
MAX_UNLIKE = {"linear": 1.6, "network": 2.2, "strangers": 1.0}

# One training clip in a hundred is taken for unlike the others.
DOMAIN_QUANTILE = 0.99

# In which clips are compared. Of 8 to 32, 16 did best at distinguishing EmoDB and TESS from RAVDESS
# for both bundles; trained on EmoDB, they distinguish RAVDESS, and TESS hardly.
N_DIRECTIONS = 16

# A direction in which the training clips hardly differ says nothing about others.
MIN_SPREAD = 1e-3


@dataclass(frozen=True)
class Domain:
    """The training clips as a cloud, in the directions in which they differ most."""

    centre: np.ndarray
    """Shape (n_values,)."""
    whitening: np.ndarray
    """Projects onto independent directions of unit spread; shape (n_values, n_directions)."""
    limit: float
    """Distance that one clip in a hundred of held-out speakers exceeds."""

    def distance(self, values: np.ndarray) -> float:
        """Mahalanobis distance of a clip's `Bundle.domain_values` from the middle of the cloud."""
        return float(np.linalg.norm((values - self.centre) @ self.whitening))


def over_time(values: np.ndarray, time_axes: tuple[int, ...]) -> np.ndarray:
    """Summarise one row of features by the means, then the spreads, of each of its bands.

    >>> over_time(np.array([[1.0, 5.0], [3.0, 5.0]]), (0,))
    array([2., 5., 1., 0.])
    """
    return np.concatenate([values.mean(time_axes).ravel(), values.std(time_axes).ravel()])


def _cloud(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle of the rows, and what gives their main directions unit spread."""
    centre, spread = rows.mean(axis=0), rows.std(axis=0)
    if not (spread > 0).any():
        raise FeatureError("all clips are the same: no distance from them can be measured")
    spread = np.maximum(spread, MIN_SPREAD * np.median(spread[spread > 0]))
    _, sizes, directions = np.linalg.svd((rows - centre) / spread, full_matrices=False)
    n_kept = min(N_DIRECTIONS, int((sizes > MIN_SPREAD * sizes[0]).sum()))
    deviations = sizes[:n_kept] / np.sqrt(len(rows) - 1)
    return centre, directions[:n_kept].T / deviations / spread[:, np.newaxis]


def fit_domain(values: np.ndarray, speakers: np.ndarray) -> Domain:
    """Fit the cloud of the training clips; its limit is set by speakers that are left out in turn.

    The values, shape (n_clips, n_values), must be finite and of two speakers or more.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(np.unique(speakers)) < 2 or not np.isfinite(values).all():
        raise FeatureError(
            f"{len(np.unique(speakers))} speaker(s), {len(values)} clips: at least two speakers "
            "and finite values are needed to measure distances from them"
        )
    distances = []
    for speaker in np.unique(speakers):
        others = Domain(*_cloud(values[speakers != speaker]), limit=np.inf)
        distances += [others.distance(row) for row in values[speakers == speaker]]
    limit = float(np.quantile(distances, DOMAIN_QUANTILE))
    if not limit > 0:
        raise FeatureError("speakers do not differ: no distance from them can be measured")
    return Domain(*_cloud(values), limit=limit)


def recording_warnings(
    voice: VoiceFacts,
    *,
    sample_rate_hz: int,
    clipped_share: float = 0.0,
    unlike: float = 0.0,
    farthest: float = np.inf,
) -> list[str]:
    """List what makes a prediction doubtful, a phrase each.

    `unlike` is the distance from the training in limits, `farthest` that which still has an answer.
    """
    found = []
    if sample_rate_hz < MIN_RATE_HZ:
        found.append(f"low sample rate ({sample_rate_hz} Hz)")
    if clipped_share > MAX_CLIPPED_SHARE:
        found.append(f"clipped ({100 * clipped_share:.1f} % of the samples)")
    if unlike > 1:
        so = "too far for an answer" if unlike > farthest else "its confidence is lowered"
        found.append(f"{UNLIKE} ({unlike:.1f} times their limit): {so}")
    if not voice.has_speech:
        return [*found, "no speech found"]
    if voice.speech_s < MIN_SPEECH_S:
        found.append(f"too short ({voice.speech_s:.1f} s of speech)")
    if voice.level_db < MIN_LEVEL_DB:
        found.append(f"very quiet ({voice.level_db:.0f} dB)")
    if voice.snr_db < MIN_SNR_DB:
        found.append(f"noisy (speech {voice.snr_db:.0f} dB above the noise)")
    return found
