"""Recordings made worse on purpose: what a predictor should warn of, to see whether it does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ser_lib.audio import resample
from ser_lib.errors import FeatureError

__all__ = ["join_with_pauses", "spoiled_versions"]

TELEPHONE_HZ = 7_000  # the sample rate of a bad line: nothing above 3.5 kHz is left


def spoiled_versions(
    signal: np.ndarray, sample_rate_hz: int, *, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Make a recording worse in several ways.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono speech.
    sample_rate_hz : int
        Its rate.
    rng : numpy.random.Generator
        Of the noise.

    Returns
    -------
    dict of str to ndarray of float32
        By what was done to it; the recording itself is the first.

    Raises
    ------
    FeatureError
        If the signal is silent.

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    power = float(np.mean(np.square(signal, dtype=np.float64)))
    if not power > 0:
        raise FeatureError("a silent recording cannot be made worse")
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
        That rate.
    pause_s : float
        Length of each pause in seconds.

    Returns
    -------
    ndarray of float32, shape (n_samples,)

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    pause = np.zeros(round(pause_s * sample_rate_hz))
    parts = [part for signal in signals for part in (signal, pause)]
    return np.concatenate(parts).astype(np.float32)
