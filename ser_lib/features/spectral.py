"""Spectral features: log-mel spectrograms in several forms, and MFCC.

A signal is float32 mono of shape (n_samples,); axes are (n_bands, n_frames); levels are in dB;
bands are on the mel scale up to `f_max_hz`. The mel filters are computed here and not by librosa,
whose first call takes seconds: prediction needs nothing but NumPy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ser_lib.audio.signal import check_signal, crop_or_pad
from ser_lib.audio.voice_activity import MARGIN_S, speech_span_s

N_FFT = 2048  # librosa's default, 93 ms at 22,050 Hz, which all five studies leave unchanged
HOP_SAMPLES = 512  # likewise, 23 ms at 22,050 Hz
RANGE_DB = 80.0  # librosa.power_to_db's default: what lies further below the loudest band is cut
MIN_POWER = 1e-10  # librosa's amin: less is taken as this

# Slaney's scale (1998, Auditory Toolbox): linear below 1 kHz, logarithmic above.
HZ_PER_MEL = 200.0 / 3
MEL_LOG_FROM_HZ = 1000.0
MEL_LOG_FROM = MEL_LOG_FROM_HZ / HZ_PER_MEL
MEL_LOG_STEP = np.log(6.4) / 27.0

# Frames that are transformed at once: half a MB stays in the processor's cache; allocating more
# memory takes longer than the arithmetic.
N_BLOCK_FRAMES = 32


def mel_edges_hz(n_edges: int, f_max_hz: float) -> np.ndarray:
    """Return frequencies that are equally spaced in mel, from 0 to `f_max_hz`."""
    top = f_max_hz / HZ_PER_MEL
    if f_max_hz >= MEL_LOG_FROM_HZ:
        top = MEL_LOG_FROM + np.log(f_max_hz / MEL_LOG_FROM_HZ) / MEL_LOG_STEP
    mels = np.linspace(0.0, top, n_edges)
    log_hz = MEL_LOG_FROM_HZ * np.exp(MEL_LOG_STEP * (mels - MEL_LOG_FROM))
    return np.where(mels >= MEL_LOG_FROM, log_hz, mels * HZ_PER_MEL)


@lru_cache(maxsize=16)
def _mel_matrix(sample_rate_hz: int, n_fft: int, n_mels: int, f_max_hz: float) -> np.ndarray:
    """Return triangular filters of equal area, shape (n_mels, 1 + n_fft // 2), read only."""
    # The same as `librosa.filters.mel`: Slaney (1998), Auditory Toolbox, version 2.
    bins_hz = np.fft.rfftfreq(n_fft, 1.0 / sample_rate_hz)
    edges_hz = mel_edges_hz(n_mels + 2, f_max_hz)
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


def _mel_power(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    n_mels: int,
    n_fft: int,
    hop_samples: int,
    f_max_hz: float,
) -> np.ndarray:
    """Return the power in mel bands, shape (n_mels, 1 + n_samples // hop_samples)."""
    # Frames are centred on multiples of the hop; the result has the signal's precision.
    window = _hann(n_fft)
    padded = np.pad(signal, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_samples]
    precision = np.complex64 if signal.dtype == np.float32 else np.complex128
    filters = _mel_matrix(sample_rate_hz, n_fft, n_mels, f_max_hz)
    blocks = []
    for start in range(0, len(frames), N_BLOCK_FRAMES):
        # Transformed at double precision and then rounded, as librosa does.
        spectrum = np.fft.rfft(frames[start : start + N_BLOCK_FRAMES] * window)
        power = np.abs(spectrum.astype(precision)) ** 2
        blocks.append(filters @ power.T)
    return np.concatenate(blocks, axis=1)


def _power_to_db(power: np.ndarray) -> np.ndarray:
    """Return levels in dB below the largest power, cut at `RANGE_DB` below it."""
    level_db = 10.0 * np.log10(np.maximum(MIN_POWER, power))
    level_db -= 10.0 * np.log10(np.maximum(MIN_POWER, power.max()))
    return np.maximum(level_db, level_db.max() - RANGE_DB)


def log_mel(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    n_mels: int = 128,
    f_max_hz: float | None = None,
    hop_samples: int = HOP_SAMPLES,
    duration_s: float | None = None,
) -> np.ndarray:
    """Mel spectrogram in dB below its own maximum.

    Parameters
    ----------
    signal, sample_rate_hz : ndarray of shape (n_samples,), int
        Mono, and its rate.
    n_mels : int
        Number of mel bands.
    f_max_hz : float, optional
        Upper edge of the highest band; None takes half the rate.
    hop_samples : int
        Samples from frame to frame.
    duration_s : float, optional
        The signal is cropped or padded to this length first; None takes it as it is.

    Returns
    -------
    ndarray of float32, shape (n_mels, 1 + n_samples // hop_samples)
        In [-80, 0] dB.

    Raises
    ------
    FeatureError
        If the signal is empty, not mono, or holds samples that are not finite.

    Examples
    --------
    >>> log_mel(np.sin(np.arange(22050.0)), 22050).shape
    (128, 44)
    """
    check_signal(signal)
    if duration_s is not None:
        signal = crop_or_pad(signal, round(duration_s * sample_rate_hz))
    top_hz = sample_rate_hz / 2 if f_max_hz is None else f_max_hz
    framing = {"n_fft": N_FFT, "hop_samples": hop_samples}
    power = _mel_power(signal, sample_rate_hz, n_mels=n_mels, f_max_hz=top_hz, **framing)
    return _power_to_db(power).astype(np.float32)


def mel_square(
    signal: np.ndarray, sample_rate_hz: int, *, side_px: int = 128, n_mels: int = 128
) -> np.ndarray:
    """Log-mel array resized to a square in [0, 1]: what `mel_picture` shows, without the picture.

    Shape (side_px, side_px, 1); row 0 is the lowest band. The whole clip fills the width, whatever
    its length, as in the published pictures.
    """
    from scipy.ndimage import zoom

    level_db = log_mel(signal, sample_rate_hz, n_mels=n_mels)
    factors = (side_px / level_db.shape[0], side_px / level_db.shape[1])
    square = zoom(level_db, factors, order=1, grid_mode=True, mode="nearest")
    return (square[..., np.newaxis] / RANGE_DB + 1.0).clip(0.0, 1.0).astype(np.float32)


def mel_frames(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    n_frames: int = 130,
    n_mels: int = 60,
    hop_samples: int = HOP_SAMPLES,
) -> np.ndarray:
    """Log-mel spectrogram in [0, 1] (0 is -80 dB) as frames, shape (n_frames, n_mels, 1).

    Longer clips are cut at their end, shorter ones filled up with silence (0).
    """
    level_db = log_mel(signal, sample_rate_hz, n_mels=n_mels, hop_samples=hop_samples)
    # (n_mels, n_frames of the clip) -> (n_frames, n_mels, 1)
    frames = (level_db.T[:n_frames, :, np.newaxis] / RANGE_DB + 1.0).clip(0.0, 1.0)
    missing = n_frames - len(frames)
    return np.pad(frames, ((0, missing), (0, 0), (0, 0))).astype(np.float32)


def mel_chunks(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    n_chunks: int = 3,
    n_frames: int = 60,
    n_mels: int = 128,
) -> np.ndarray:
    """Log-mel spectrogram cut into chunks, shape (n_chunks, n_mels, n_frames, 1).

    The clip's own lowest level is 0, its highest 1; longer clips are cut at their end, shorter ones
    filled up with silence (0). fpt2025, sections 2.2.1 and 5.
    """
    level_db = log_mel(signal, sample_rate_hz, n_mels=n_mels)[:, : n_chunks * n_frames]
    low, high = level_db.min(), level_db.max()
    # One level everywhere has no range to be scaled by: it is the loudest there is.
    scaled = (level_db - low) / (high - low) if high > low else np.ones_like(level_db)
    filled = np.pad(scaled, ((0, 0), (0, n_chunks * n_frames - scaled.shape[1])))
    # (n_mels, n_chunks * n_frames) -> (n_chunks, n_mels, n_frames, 1)
    chunks = filled.reshape(n_mels, n_chunks, n_frames).transpose(1, 0, 2)
    return chunks[..., np.newaxis].astype(np.float32)


def mel_picture(
    signal: np.ndarray, sample_rate_hz: int, *, side_px: int = 224, n_mels: int = 128
) -> np.ndarray:
    """Log-mel spectrogram as the picture of `swart2025`: `specshow`, default colours, no axes.

    Red, green, blue in uint8, shape (side_px, side_px, 3); row 0 is the highest band. The same
    pixels as the PNG file that the study saves and reads again (Swart 2025, section 3.3), without
    drawing: cells are coloured, and their edges go to the nearest pixel as matplotlib computes it.
    """
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    level_db = log_mel(signal, sample_rate_hz, n_mels=n_mels)
    n_frames = level_db.shape[1]
    if n_frames == 1:
        return np.full((side_px, side_px, 3), 255, np.uint8)  # `specshow` draws no single frame
    colours = colormaps["magma"](Normalize()(level_db))[..., :3]
    coloured = np.floor(colours * 255 + 0.5).astype(np.uint8)
    pixels = np.arange(side_px)
    columns = np.searchsorted(_edges_px(n_frames, side_px), pixels, side="right") - 1
    # Bands begin at the bottom, and edges that are half way go up the picture.
    rows = np.searchsorted(-_edges_px(n_mels, side_px, is_upward=True), -pixels - 1, side="right")
    return coloured[rows - 1][:, columns]


def _edges_px(n_cells: int, side_px: int, *, is_upward: bool = False) -> np.ndarray:
    """Return the pixel at which each of so many cells begins, and where the last one ends.

    The same operations on floats as matplotlib's: which pixel is the nearest one is decided by
    the last digit where an edge is half way between two.
    """
    length = side_px / 100 * 100  # inches, of so many dots
    scale, first = length * (1 / n_cells), length * (0.5 / n_cells)
    edges = np.arange(n_cells + 1) - 0.5
    exact = -scale * edges + (side_px - first) if is_upward else scale * edges + first
    return np.floor(exact + 0.5)


def mfcc_zcr_rms(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    duration_s: float = 2.5,
    n_mfcc: int = 40,
    is_muted: bool = False,
) -> np.ndarray:
    """Zero-crossing rate, RMS and MFCC of every frame.

    Parameters
    ----------
    signal, sample_rate_hz : ndarray of shape (n_samples,), int
        Mono, and its rate.
    duration_s : float
        The signal is cropped or padded with zeros to this length, so that all clips are alike.
    n_mfcc : int
        Number of cepstral coefficients.
    is_muted : bool
        Whether zeros replace what is heard before the first speech and after the last.

    Returns
    -------
    ndarray of float32, shape (n_frames, 2 + n_mfcc)
        Column 0 the zero-crossing rate in [0, 1], column 1 the RMS (linear), then the coefficients.
        Values that are not finite become 0.

    References
    ----------
    Boucheta & Roubache (2025), section 2.4.2.
    """
    import librosa

    check_signal(signal)
    if is_muted and (span_s := speech_span_s(signal, sample_rate_hz)):
        signal = signal.copy()
        signal[: max(0, round((span_s[0] - MARGIN_S) * sample_rate_hz))] = 0
        signal[round((span_s[1] + MARGIN_S) * sample_rate_hz) :] = 0
    fixed = crop_or_pad(signal, round(duration_s * sample_rate_hz))
    framing: dict[str, Any] = {"hop_length": HOP_SAMPLES}
    zcr = librosa.feature.zero_crossing_rate(fixed, frame_length=N_FFT, **framing)
    rms = librosa.feature.rms(y=fixed, frame_length=N_FFT, **framing)
    mfcc = librosa.feature.mfcc(y=fixed, sr=sample_rate_hz, n_mfcc=n_mfcc, n_fft=N_FFT, **framing)
    # three times (n_values, n_frames) -> (n_frames, n_values)
    frames = np.vstack([zcr, rms, mfcc]).T
    return np.nan_to_num(frames, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
