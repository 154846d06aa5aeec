"""Prediction over time: windows of a long recording, and live sound that comes in small pieces.

A recording is read window by window. The state of live prediction is a value: each piece of sound
gives a new one, which holds the last seconds of sound and half a minute of predictions.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser_lib.audio.io import iter_blocks
from ser_lib.audio.signal import mono, resample
from ser_lib.audio.voice_activity import RATE_HZ, inspect_voice
from ser_lib.errors import AudioError
from ser_lib.inference.out_of_domain import MIN_SPEECH_S
from ser_lib.inference.prediction import NOT_SURE, Prediction, as_table
from ser_lib.inference.predictor import Predictor

if TYPE_CHECKING:
    import pandas as pd

WINDOW_S = 4.0  # as long as the clips that the models were trained on
HOP_S = 2.0
NO_SPEECH = "no speech"
MIN_REST_S = 1.0  # less than that at the end gets no window of its own
SMOOTHING = 0.5  # weight of the newest prediction


@dataclass(frozen=True)
class Window:
    """One stretch of a recording and its prediction."""

    start_s: float
    end_s: float
    prediction: Prediction


def iter_windows(
    source: str | Path | tuple[np.ndarray, int],
    *,
    window_s: float = WINDOW_S,
    hop_s: float = HOP_S,
) -> Iterator[tuple[float, np.ndarray, int]]:
    """Cut a recording, or a mono signal with its rate, into windows that overlap.

    Yields the start in seconds, the mono signal and its rate; no more than one window is held, and
    the last may be shorter. AudioError where the recording cannot be used or windows leave gaps.
    """
    if not 0 < hop_s <= window_s:
        raise AudioError(f"hop_s={hop_s} must be above 0 and at most window_s={window_s}")
    held = np.empty(0, np.float32)
    rate, n_cut, n_new = 0, 0, 0
    for block, rate in _blocks(source, hop_s):
        held = np.concatenate([held, block])
        n_new += len(block)
        n_window, n_hop = round(window_s * rate), round(hop_s * rate)
        while len(held) >= n_window:
            yield n_cut / rate, held[:n_window], rate
            held, n_cut = held[n_hop:], n_cut + n_hop
            n_new = max(0, len(held) - (n_window - n_hop))
    if rate == 0:
        name = "the signal" if isinstance(source, tuple) else source
        raise AudioError(f"{name}: holds no samples; export it again")
    if n_cut == 0 or n_new > MIN_REST_S * rate:
        yield n_cut / rate, held, rate


def _blocks(
    source: str | Path | tuple[np.ndarray, int], block_s: float
) -> Iterator[tuple[np.ndarray, int]]:
    if not isinstance(source, tuple):
        yield from iter_blocks(source, block_s=block_s)
        return
    signal, rate = source
    n_block = round(block_s * rate)
    for start in range(0, len(signal), n_block):
        yield signal[start : start + n_block].astype(np.float32), rate


def timeline(
    predictor: Predictor,
    source: str | Path | tuple[np.ndarray, int],
    *,
    window_s: float = WINDOW_S,
    hop_s: float = HOP_S,
) -> Iterator[Window]:
    """Predict window by window where somebody speaks.

    Parameters
    ----------
    predictor : Predictor
    source : str, Path, or tuple of ndarray and int
        A recording of any length, or a mono signal with its rate.
    window_s, hop_s : float
        Length of a window, and from the start of one to that of the next, in seconds.

    Yields
    ------
    Window
        Its emotion is `NO_SPEECH`, with no probabilities, where less than half a second of speech
        is found.

    Raises
    ------
    AudioError
        If the recording cannot be used, or if windows would leave gaps.
    """
    path = "" if isinstance(source, tuple) else str(source)
    for start_s, signal, rate in iter_windows(source, window_s=window_s, hop_s=hop_s):
        duration_s = len(signal) / rate
        voice = inspect_voice(resample(signal, rate, RATE_HZ))
        if voice.speech_s < MIN_SPEECH_S:
            one = Prediction(path, NO_SPEECH, float("nan"), {}, duration_s, voice=voice)
        else:
            one = predictor.predict_signal(signal, rate, path=path)
        yield Window(start_s, start_s + duration_s, one)


def window_intervals(windows: Iterable[Window]) -> list[tuple[float, float, str]]:
    """Give each window's prediction the time until the next begins, the last until its end."""
    windows = list(windows)
    ends_s = [one.start_s for one in windows[1:]] + [one.end_s for one in windows[-1:]]
    return [
        (one.start_s, end_s, one.prediction.emotion)
        for one, end_s in zip(windows, ends_s, strict=True)
    ]


def shared_threshold(windows: Iterable[Window]) -> float | None:
    """Return the confidence from which on windows have an answer; None where they differ in it."""
    found = {one.prediction.threshold for one in windows if one.prediction.probabilities}
    return found.pop() if len(found) == 1 else None


def timeline_table(windows: Iterable[Window], labels: Sequence[str]) -> pd.DataFrame:
    """Return windows as a table, with smoothed probabilities.

    Parameters
    ----------
    windows : iterable of Window
        From `timeline`.
    labels : sequence of str
        The classes.

    Returns
    -------
    pandas.DataFrame
        Columns `start_s, end_s, speech_s, emotion, confidence, p_<label>..., warnings,
        smooth_<label>...`; one row a window. Probabilities are missing where nobody speaks.
    """
    windows = list(windows)
    answers = as_table((one.prediction for one in windows), labels)
    table = answers.drop(columns=["path", "duration_s", "error"])
    voices = [one.prediction.voice for one in windows]
    table.insert(0, "start_s", [round(one.start_s, 3) for one in windows])
    table.insert(1, "end_s", [round(one.end_s, 3) for one in windows])
    table.insert(2, "speech_s", [voice.speech_s if voice else np.nan for voice in voices])
    names = [f"p_{label}" for label in labels]
    table[[f"smooth_{label}" for label in labels]] = smooth(table[names].to_numpy(dtype=float))
    return table


def smooth(probabilities: np.ndarray) -> np.ndarray:
    """Average each row with those before it, the older the less; rows of NaN (pauses) do not count.

    >>> smooth(np.array([[1.0, 0.0], [np.nan, np.nan], [0.0, 1.0]]))[-1]
    array([0.5, 0.5])
    """
    smoothed = np.full(probabilities.shape, np.nan)
    state = None
    for number, row in enumerate(probabilities):
        if np.isfinite(row).all():
            state = row if state is None else (1 - SMOOTHING) * state + SMOOTHING * row
            smoothed[number] = state
    return smoothed


# Sound that the first prediction needs, and that comes between two: browsers send pieces of any
# length.
FIRST_ANSWER_S = 1.5
ANSWER_EVERY_S = 0.5
KEPT_S = 40.0


@dataclass(frozen=True)
class LiveState:
    """The state of live prediction after a piece of sound."""

    sound: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """The last seconds, at their own rate: pieces that are resampled alone do not fit together."""
    sample_rate_hz: int = RATE_HZ
    received_s: float = 0.0
    """How much sound has come in all."""
    times_s: tuple[float, ...] = ()
    smoothed: tuple[tuple[float, ...], ...] = ()
    """Probabilities at these times; NaN where nobody spoke."""
    emotion: str = ""
    """The newest prediction."""
    confidence: float = float("nan")
    latency_ms: float = 0.0
    """From the arrival of the newest piece to its prediction."""


def update_live(
    state: LiveState, samples: np.ndarray, sample_rate_hz: int, predictor: Predictor
) -> LiveState:
    """Add a piece of sound, and predict the last seconds if enough has come since the last time.

    Samples are integers or floats, of shape (n_samples,) or (n_samples, n_channels).
    """
    arrived = time.perf_counter()
    samples = np.asarray(samples)
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples.astype(np.float32) / np.iinfo(samples.dtype).max
    samples = np.nan_to_num(samples.astype(np.float32))
    new = mono(samples) if samples.ndim == 2 else samples
    known = resample(state.sound, state.sample_rate_hz, sample_rate_hz)
    sound = np.concatenate([known, new])[-round(WINDOW_S * sample_rate_hz) :]
    new_s = len(new) / sample_rate_hz
    received_s = state.received_s + new_s
    state = replace(state, sound=sound, sample_rate_hz=sample_rate_hz, received_s=received_s)
    if len(sound) < FIRST_ANSWER_S * sample_rate_hz:
        return replace(state, emotion="listening …")
    if state.times_s and received_s < state.times_s[-1] + ANSWER_EVERY_S - new_s / 2:
        return state
    row, emotion, confidence = np.full(len(predictor.labels), np.nan), NO_SPEECH, float("nan")
    if inspect_voice(resample(sound, sample_rate_hz, RATE_HZ)).speech_s >= MIN_SPEECH_S:
        newest = predictor.predict_signal(sound, sample_rate_hz)
        row = np.array([newest.probabilities.get(label, np.nan) for label in predictor.labels])
        spoken = [one for one in state.smoothed if np.isfinite(one[0])]
        row, emotion = smooth(np.array([*spoken[-1:], row]))[-1], NOT_SURE
        if row.max() >= newest.threshold:
            emotion, confidence = predictor.labels[int(row.argmax())], float(row.max())
    kept = [
        (t, one)
        for t, one in zip(state.times_s, state.smoothed, strict=True)
        if t > received_s - KEPT_S
    ]
    kept.append((received_s, tuple(row.tolist())))
    return replace(
        state,
        times_s=tuple(t for t, _ in kept),
        smoothed=tuple(one for _, one in kept),
        emotion=emotion,
        confidence=confidence,
        latency_ms=1000 * (time.perf_counter() - arrived),
    )
