"""Mel spectrograms without importing librosa, whose compiler takes over a second to load.

The same numbers as `librosa.feature.melspectrogram` and `librosa.power_to_db`, to the rounding of
float32: a test compares them. Prediction on one recording would else spend most of its time on
imports. Everything but mel spectrograms is left to librosa.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = ["mel_matrix", "mel_power", "power_to_db"]

# Slaney's scale (1998, Auditory Toolbox): linear below 1 kHz, logarithmic above.
LINEAR_HZ_PER_MEL = 200.0 / 3
LOG_FROM_HZ = 1000.0
LOG_FROM_MEL = LOG_FROM_HZ / LINEAR_HZ_PER_MEL
LOG_STEP = np.log(6.4) / 27.0
MIN_POWER = 1e-10  # librosa's amin: what is less is taken as this
# Frames that are transformed at once: half a MB stays in the processor's cache, and the system need
# not be asked for new memory, which takes longer than the arithmetic.
N_BLOCK_FRAMES = 32


def _mel_edges_hz(n_edges: int, f_max_hz: float) -> np.ndarray:
    """Return frequencies that are equally spaced in mel, from 0 to `f_max_hz`."""
    top = f_max_hz / LINEAR_HZ_PER_MEL
    if f_max_hz >= LOG_FROM_HZ:
        top = LOG_FROM_MEL + np.log(f_max_hz / LOG_FROM_HZ) / LOG_STEP
    mels = np.linspace(0.0, top, n_edges)
    log_hz = LOG_FROM_HZ * np.exp(LOG_STEP * (mels - LOG_FROM_MEL))
    return np.where(mels >= LOG_FROM_MEL, log_hz, mels * LINEAR_HZ_PER_MEL)


@lru_cache(maxsize=16)
def mel_matrix(sample_rate_hz: int, n_fft: int, n_mels: int, f_max_hz: float) -> np.ndarray:
    """Triangular mel filters of equal area.

    Parameters
    ----------
    sample_rate_hz : int
        Of the signal.
    n_fft : int
        Samples of a frame.
    n_mels : int
        Number of bands.
    f_max_hz : float
        Upper edge of the highest band.

    Returns
    -------
    ndarray of float32, shape (n_mels, 1 + n_fft // 2)
        Read only: it is kept for the next call.

    References
    ----------
    Slaney (1998), Auditory Toolbox, version 2, as `librosa.filters.mel`.
    """
    bins_hz = np.fft.rfftfreq(n_fft, 1.0 / sample_rate_hz)
    edges_hz = _mel_edges_hz(n_mels + 2, f_max_hz)
    ramps = edges_hz[:, np.newaxis] - bins_hz
    widths = np.diff(edges_hz)[:, np.newaxis]
    rising, falling = -ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]
    filters = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    filters *= (2.0 / (edges_hz[2:] - edges_hz[:-2]))[:, np.newaxis]
    filters.flags.writeable = False
    return filters


@lru_cache(maxsize=16)
def _hann(n_fft: int) -> np.ndarray:
    """Return a periodic window, as scipy.signal.get_window gives it for spectra; read only."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    window.flags.writeable = False
    return window


def mel_power(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    n_mels: int,
    n_fft: int,
    hop_samples: int,
    f_max_hz: float,
) -> np.ndarray:
    """Power in mel bands of frames that are centred on multiples of the hop.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono; zeros are assumed before and after it.
    sample_rate_hz : int
        Its rate.
    n_mels : int
        Number of bands.
    n_fft : int
        Samples of a frame, under a Hann window.
    hop_samples : int
        Samples from frame to frame.
    f_max_hz : float
        Upper edge of the highest band.

    Returns
    -------
    ndarray of the signal's precision, shape (n_mels, n_frames)
        `n_frames` is 1 + n_samples // hop_samples.
    """
    window = _hann(n_fft)
    padded = np.pad(signal, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_samples]
    precision = np.complex64 if signal.dtype == np.float32 else np.complex128
    filters = mel_matrix(sample_rate_hz, n_fft, n_mels, f_max_hz)
    blocks = []
    for start in range(0, len(frames), N_BLOCK_FRAMES):
        # Transformed at double precision and then rounded, as librosa does.
        spectrum = np.fft.rfft(frames[start : start + N_BLOCK_FRAMES] * window)
        power = np.abs(spectrum.astype(precision)) ** 2
        blocks.append(filters @ power.T)
    return np.concatenate(blocks, axis=1)


def power_to_db(power: np.ndarray, *, range_db: float) -> np.ndarray:
    """Levels in dB below the largest power, cut at `range_db` below it.

    Parameters
    ----------
    power : ndarray
        Not negative.
    range_db : float
        What lies further below is set to this distance.

    Returns
    -------
    ndarray, of the shape of `power`
        In [-range_db, 0].
    """
    level_db = 10.0 * np.log10(np.maximum(MIN_POWER, power))
    level_db -= 10.0 * np.log10(np.maximum(MIN_POWER, power.max()))
    return np.maximum(level_db, level_db.max() - range_db)
