"""Recordings that a predictor should warn of, and long ones: made from clips, for chapter 10."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ser_lib.audio.signal import resample
from ser_lib.errors import FeatureError

TELEPHONE_HZ = 7_000  # the sample rate of a bad line: nothing above 3.5 kHz is left


def degraded_versions(
    signal: np.ndarray, sample_rate_hz: int, *, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Degrade a recording in several ways, each of which a predictor should warn of.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono speech.
    sample_rate_hz : int
    rng : numpy.random.Generator
        Of the noise.

    Returns
    -------
    dict of str to ndarray of float32
        By the kind of degradation; the recording itself is the first.

    Raises
    ------
    FeatureError
        If the signal is silent.
    """
    power = float(np.mean(np.square(signal, dtype=np.float64)))
    if not power > 0:
        raise FeatureError("a silent recording cannot be degraded")
    noise = rng.normal(0, np.sqrt(power), len(signal))
    peak = float(np.abs(signal).max())
    narrow = resample(signal.astype(np.float32), sample_rate_hz, TELEPHONE_HZ)
    middle = len(signal) // 2
    versions = {
        "as it is": signal,
        "noise 20 dB below": signal + 0.1 * noise,
        "noise as loud as the voice": signal + noise,
        "clipped": np.clip(signal, -0.2 * peak, 0.2 * peak),
        "telephone": resample(narrow, TELEPHONE_HZ, sample_rate_hz),
        "a third of a second": signal[middle : middle + sample_rate_hz // 3],
        "noise alone": noise,
    }
    return {name: version.astype(np.float32) for name, version in versions.items()}


def join_with_pauses(
    signals: Sequence[np.ndarray], sample_rate_hz: int, *, pause_s: float = 2.0
) -> np.ndarray:
    """Join clips into one long recording, with silence between them.

    Parameters
    ----------
    signals : sequence of ndarray
        Mono, all at one rate.
    sample_rate_hz : int
    pause_s : float
    """
    pause = np.zeros(round(pause_s * sample_rate_hz))
    parts = [part for signal in signals for part in (signal, pause)]
    return np.concatenate(parts).astype(np.float32)
