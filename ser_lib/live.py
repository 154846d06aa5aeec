"""Live prediction: sound comes in small pieces, answers for the last seconds go out.

The state is a value: each piece of sound gives a new one. Nothing is kept but the last seconds of
sound and the answers of the last half minute.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np

from ser_lib.answers import NOT_SURE
from ser_lib.audio import resample
from ser_lib.domain import MIN_SPEECH_S
from ser_lib.predict import Predictor
from ser_lib.timeline import NO_SPEECH, SMOOTHING, WINDOW_S
from ser_lib.voice import RATE_HZ, inspect_voice

__all__ = ["ANSWER_EVERY_S", "LiveState", "hear"]

# An answer needs that much sound at least, and so much more for the next: browsers send sound in
# pieces of any length.
FIRST_ANSWER_S = 1.5
ANSWER_EVERY_S = 0.5
KEPT_S = 40.0


@dataclass(frozen=True)
class LiveState:
    """What is known after the last piece of sound."""

    sound: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """The last seconds, at `RATE_HZ`."""
    heard_s: float = 0.0
    """How much has come in all."""
    times_s: tuple[float, ...] = ()
    smoothed: tuple[tuple[float, ...], ...] = ()
    """Probabilities at these times; NaN where nobody spoke."""
    emotion: str = ""
    """The newest answer."""
    confidence: float = 0.0
    latency_ms: float = 0.0
    """From the arrival of the newest piece to its answer."""


def _as_float(samples: np.ndarray) -> np.ndarray:
    """Bring samples of any type to float32 mono in [-1, 1]."""
    samples = np.asarray(samples)
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples.astype(np.float32) / np.iinfo(samples.dtype).max
    samples = samples.mean(axis=1) if samples.ndim == 2 else samples
    return np.nan_to_num(samples.astype(np.float32))


def hear(
    state: LiveState, samples: np.ndarray, sample_rate_hz: int, predictor: Predictor
) -> LiveState:
    """Take a piece of sound, and answer for the last seconds.

    Parameters
    ----------
    state : LiveState
        After the piece before.
    samples : ndarray, shape (n_samples,) or (n_samples, n_channels)
        Integers or floats.
    sample_rate_hz : int
        Their rate.
    predictor : Predictor
        Of a bundle.

    Returns
    -------
    LiveState
    """
    arrived = time.perf_counter()
    new = resample(_as_float(samples), sample_rate_hz, RATE_HZ)
    sound = np.concatenate([state.sound, new])[-round(WINDOW_S * RATE_HZ) :]
    heard_s = state.heard_s + len(new) / RATE_HZ
    state = replace(state, sound=sound, heard_s=heard_s)
    if len(sound) < FIRST_ANSWER_S * RATE_HZ:
        return replace(state, emotion="listening …")
    if state.times_s and heard_s < state.times_s[-1] + ANSWER_EVERY_S - len(new) / RATE_HZ / 2:
        return state
    if inspect_voice(sound).speech_s < MIN_SPEECH_S:
        row = np.full(len(predictor.labels), np.nan)
        emotion, confidence = NO_SPEECH, 0.0
    else:
        answer = predictor.predict_signal(sound, RATE_HZ)
        row = np.array([answer.probabilities[label] for label in predictor.labels])
        earlier = next((np.array(one) for one in reversed(state.smoothed) if one[0] == one[0]), row)
        row = (1 - SMOOTHING) * earlier + SMOOTHING * row
        confidence = float(row.max())
        is_sure = confidence >= predictor.threshold
        emotion = predictor.labels[int(row.argmax())] if is_sure else NOT_SURE
    kept = [
        (t, one)
        for t, one in zip(state.times_s, state.smoothed, strict=True)
        if t > heard_s - KEPT_S
    ]
    kept.append((heard_s, tuple(row.tolist())))
    return replace(
        state,
        times_s=tuple(t for t, _ in kept),
        smoothed=tuple(one for _, one in kept),
        emotion=emotion,
        confidence=confidence,
        latency_ms=1000 * (time.perf_counter() - arrived),
    )
