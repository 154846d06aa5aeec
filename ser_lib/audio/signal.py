"""Signals as arrays: mix to mono, resample, cut, crop or pad, check.

A signal is a float32 array of shape (n_samples,) in [-1, 1], mono.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soxr

from ser_lib.errors import AudioError, FeatureError

# Correlation from which one channel is the other's inverse, with noise or an echo of its own.
MIN_OPPOSITION = 0.5
# Of the loudest channel's power; what is below takes nothing away from it, and may be rounding.
MIN_RELATED_POWER = 1e-3

# Of a signal's standard deviation; the clips of RAVDESS, EmoDB and TESS have 0.04 at most.
MAX_OFFSET = 0.1


def check_signal(signal: np.ndarray) -> None:
    """Raise FeatureError where an array is no signal: not mono, empty, or not finite."""
    if signal.ndim != 1 or len(signal) == 0:
        raise FeatureError(f"a signal must be mono and not empty, not of shape {signal.shape}")
    if not np.isfinite(signal).all():
        raise FeatureError("the signal holds NaN or infinite samples")


def mono(samples: np.ndarray) -> np.ndarray:
    """Average the channels of samples of shape (n_samples, n_channels); one is taken as it is.

    Channels in opposite phase to the loudest are inverted first, or nothing but noise were left.
    """
    if samples.shape[1] == 1 or not len(samples):
        return samples[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):
        centred = samples - samples.mean(axis=0)  # an offset is no sound
        products = centred.T @ centred
        powers = np.diag(products)
        loudest = powers.argmax()
        least = MIN_OPPOSITION * np.sqrt(powers) * np.sqrt(powers[loudest])
        related = np.where(powers > MIN_RELATED_POWER * powers[loudest], products[loudest], 0)
        is_related, is_opposite = np.abs(related) > least, related < -least
    if not is_opposite.any():
        return samples.mean(axis=1)
    # All as the first of them is, so that a recording in blocks keeps its polarity.
    is_inverted = is_opposite ^ is_opposite[is_related.argmax()] & is_related
    return (samples * np.where(is_inverted, -1, 1).astype(samples.dtype)).mean(axis=1)


def check_decoded(path: str | Path, signal: np.ndarray) -> None:
    """Raise AudioError where a decoded file holds no samples, or some that are not finite."""
    if len(signal) == 0:
        raise AudioError(f"{path}: holds no samples; export it again")
    if not np.isfinite(signal).all():
        raise AudioError(f"{path}: holds NaN or infinite samples; export it again")


def without_offset(signal: np.ndarray) -> np.ndarray:
    """Return a mono signal less its mean, which is no sound; where that is small, as it is."""
    offset = signal.mean(dtype=np.float64)
    if abs(offset) <= MAX_OFFSET * signal.std(dtype=np.float64):
        return signal
    return (signal - offset).astype(np.float32)


def cut_signal(
    signal: np.ndarray,
    from_hz: int,
    *,
    to_hz: int | None = None,
    offset_s: float = 0.0,
    duration_s: float | None = None,
) -> np.ndarray:
    """Resample a signal and cut out a part: what `load_signal` does after decoding.

    A part that is longer than the rest of the signal ends with it; it is empty where it would begin
    after the end.
    """
    rate = from_hz if to_hz is None else to_hz
    signal = resample(signal, from_hz, rate)
    start = round(offset_s * rate)
    stop = None if duration_s is None else start + round(duration_s * rate)
    return signal[start:stop]


def resample(signal: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Resample a mono signal with soxr at high quality.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    from_hz, to_hz : int
        Its sample rate, and the wanted one; equal rates return the signal unchanged.

    Returns
    -------
    ndarray of float32, shape (about n_samples * to_hz / from_hz,)
    """
    if from_hz == to_hz:
        return signal
    return soxr.resample(signal, from_hz, to_hz, quality="HQ").astype(np.float32, copy=False)


def crop_or_pad(signal: np.ndarray, n_samples: int) -> np.ndarray:
    """Cut off a signal's end, or append zeros, so that it has `n_samples` samples.

    Parameters
    ----------
    signal : ndarray, shape (n,)
        Mono.
    n_samples : int
        The wanted length.

    Returns
    -------
    ndarray, shape (n_samples,)

    Examples
    --------
    >>> crop_or_pad(np.array([1.0, 2.0, 3.0]), 5)
    array([1., 2., 3., 0., 0.])
    """
    if len(signal) >= n_samples:
        return signal[:n_samples]
    return np.pad(signal, (0, n_samples - len(signal)))


def checked_mono(signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return a caller's signal as float32 mono, or raise AudioError where there is nothing to hear.

    Samples are floats in [-1, 1] of shape (n_samples,) or (n_samples, n_channels).
    """
    if not 1000 <= sample_rate_hz <= 768_000:
        raise AudioError(f"{sample_rate_hz} Hz is no sample rate of a recording of speech")
    if signal.ndim == 2 and signal.shape[0] >= signal.shape[1]:
        signal = mono(signal)
    if signal.ndim != 1 or not np.issubdtype(signal.dtype, np.floating):
        raise AudioError(
            f"a signal is floats of shape (n_samples,) or (n_samples, n_channels), not "
            f"{signal.dtype} of shape {signal.shape}"
        )
    if len(signal) == 0:
        raise AudioError("holds no samples")
    if not np.isfinite(signal).all():
        raise AudioError("holds NaN or infinite samples; export it again")
    if not signal.any():
        raise AudioError("all samples are zero; was the microphone on?")
    return np.ascontiguousarray(signal, dtype=np.float32)
