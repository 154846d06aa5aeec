"""Acoustic fingerprints: find copies of a recording, however they were made.

A fingerprint is a small picture of a clip's harmonics: the level over pitch (logarithmic, 96 bands)
and time (64 steps), from long windows, which resolve the course of the pitch, in which two takes
differ. Gain changes nothing in it, a shift in time or pitch shifts it, and time is in units of the
clip's own spread, so that a copy at another tempo is nearly the same. The magnitudes of its 2D
spectrum do not change when it is shifted: as vectors they show which clips may be copies. Two
pictures are aligned and compared quarter by quarter; the worst counts, since a copy agrees
throughout.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter1d

from ser_lib.audio.signal import resample

FINGERPRINT_RATE_HZ = 8_000
"""What telephone speech and the lowest bit rates keep."""
THRESHOLD = 0.95
"""Similarity from which two clips are called copies; see `tools.evaluate_duplicates`."""
N_BANDS = 96
N_STEPS = 64
LOWEST_HZ, HIGHEST_HZ = 100.0, 3_400.0
WINDOW, HOP, N_FFT = 1_024, 160, 2_048

# Half the width of the picture in standard deviations of the clip's loudness over time.
HALF_WIDTH = 2.4
FLOOR = 10**-2.5

# Bands over which the spectral envelope is smoothed away: the vowel stays out, the pitch stays in.
ENVELOPE_BANDS = 5.0

# How far a copy may be displaced, in bands (3.2 semitones) and steps, and in tempo in addition to
# the ratio of the spreads.
MAX_BANDS, MAX_STEPS = 5, 10
TEMPI = (1.0, 0.98, 1.02, 0.96, 1.04, 0.94, 1.06, 0.92, 1.08)
SHAPE = (108, 80)  # of padded pictures; lengths that the FFT likes
N_PARTS = 4

# What the search keeps of the 2D spectrum.
N_RATES, N_SCALES = 16, 40
N_VALUES = N_RATES * N_SCALES


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of many clips."""

    pictures: np.ndarray
    """Shape (n_clips, 96, 64), int8; all zeros for a clip without sound."""
    vectors: np.ndarray
    """Shape (n_clips, n_values), float32: what `find_copies` searches with."""

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Moments:
    """Where a clip's loudness lies in time."""

    centre: float
    """Mean, in frames."""
    spread: float
    """Standard deviation, in frames; at least one frame of `HOP` samples."""


@cache
def _bank() -> np.ndarray:
    """Return triangular bands, logarithmic and rising in weight, shape (n_bands, n_bins)."""
    bins_hz = scipy.fft.rfftfreq(N_FFT, 1 / FINGERPRINT_RATE_HZ)
    centres_hz = np.geomspace(LOWEST_HZ, HIGHEST_HZ, N_BANDS)
    # A band is never narrower than two bins.
    widths = np.maximum(np.log(centres_hz[1] / centres_hz[0]), 8.0 / centres_hz)
    distances = np.abs(np.log(np.maximum(bins_hz, 1.0)) - np.log(centres_hz)[:, None])
    bank = np.maximum(0.0, 1.0 - distances / widths[:, None])
    return (bank / bank.sum(axis=1, keepdims=True) * centres_hz[:, None]).astype(np.float32)


def fingerprint(signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the picture of a mono clip's harmonics, int8 of shape (96, 64); zeros if silent."""
    levels = _levels(resample(signal, sample_rate_hz, FINGERPRINT_RATE_HZ))
    if levels is None:
        return np.zeros((N_BANDS, N_STEPS), dtype=np.int8)
    picture = _in_own_time(levels)
    picture -= gaussian_filter1d(picture, ENVELOPE_BANDS, axis=0, mode="nearest", truncate=2.5)
    scale = np.abs(picture).max()
    return np.round(127.0 / scale * picture if scale > 0 else picture).astype(np.int8)


def _levels(signal: np.ndarray) -> np.ndarray | None:
    """Return log levels above the floor, bands by frames; None for a clip without sound."""
    if not np.abs(signal).max(initial=0.0) > 0:
        return None
    n_after = max(0, WINDOW - len(signal))
    levels = _bank() @ power_spectrogram(signal, hop=HOP, n_fft=N_FFT, n_after=n_after)
    return np.log(levels / levels.max() + FLOOR) - np.log(FLOOR)


def power_spectrogram(signal: np.ndarray, *, hop: int, n_fft: int, n_after: int) -> np.ndarray:
    """Return the power of a clip at a peak of one, shape (n_fft // 2 + 1, n_frames).

    Frames have `WINDOW` samples and begin half a window before the clip; `n_after` zeros more than
    half a window follow it.
    """
    peak = max(float(np.abs(signal).max(initial=0.0)), 1e-9)
    padded = np.pad(signal / peak, (WINDOW // 2, WINDOW // 2 + n_after))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::hop]
    spectrum = scipy.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), n_fft, axis=1)
    return (spectrum.real**2 + spectrum.imag**2).T


def loudness_moments(signal: np.ndarray, *, hop: int = HOP) -> Moments:
    """Measure where in time the loudness of a mono signal at `FINGERPRINT_RATE_HZ` lies."""
    levels = _levels(signal)
    moments = _moments(levels) if levels is not None else Moments(0.0, 1.0)
    return Moments(moments.centre * HOP / hop, moments.spread * HOP / hop)


def _moments(levels: np.ndarray) -> Moments:
    weights = levels.mean(axis=0) ** 2
    weights = np.where(weights > 0.02 * weights.max(), weights, 0.0)
    weights = weights / weights.sum()
    time = np.arange(len(weights))
    centre = (weights * time).sum()
    return Moments(centre, max(1.0, np.sqrt((weights * (time - centre) ** 2).sum())))


def _in_own_time(levels: np.ndarray) -> np.ndarray:
    """Resample frames to steps around the clip's centre of loudness, in units of its spread."""
    moments = _moments(levels)
    step = 2 * HALF_WIDTH * moments.spread / (N_STEPS - 1)
    # Against aliasing where a step is longer than a frame.
    smooth = gaussian_filter1d(levels, max(0.3, 0.35 * step), axis=1, truncate=3.0)
    return _sample(smooth, moments.centre + step * (np.arange(N_STEPS) - (N_STEPS - 1) / 2))


def _sample(picture: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Interpolate the columns of a picture linearly; zero outside of it."""
    padded = np.pad(picture, ((0, 0), (1, 2)))
    left = np.clip(np.floor(positions).astype(int) + 1, 0, padded.shape[1] - 2)
    share = np.clip(positions + 1 - left, 0.0, 1.0)
    return ((1 - share) * padded[:, left] + share * padded[:, left + 1]).astype(np.float32)


def unit(pictures: np.ndarray) -> np.ndarray:
    """Scale pictures, shape (..., 96, 64), to length one as float32; empty ones stay empty."""
    pictures = pictures.astype(np.float32)
    lengths = np.sqrt((pictures**2).sum(axis=(-2, -1), keepdims=True))
    return pictures / np.maximum(lengths, 1e-9)


def gather(pictures: Iterable[np.ndarray], *, out: Fingerprints | None = None) -> Fingerprints:
    """Collect pictures and compute their vectors; `out` holds very many, as memory maps."""
    kept: list[np.ndarray] = []
    vectors: list[np.ndarray] = []
    n = 0
    for n, picture in enumerate(pictures, start=1):
        if out is None:
            kept.append(picture)
            vectors.append(_vector(picture))
        else:
            out.pictures[n - 1], out.vectors[n - 1] = picture, _vector(picture)
    if out is not None:
        return Fingerprints(out.pictures[:n], out.vectors[:n])
    return Fingerprints(
        np.array(kept, dtype=np.int8).reshape(n, N_BANDS, N_STEPS),
        np.array(vectors, dtype=np.float32).reshape(n, N_VALUES),
    )


def _vector(picture: np.ndarray) -> np.ndarray:
    """Return magnitudes of the 2D spectrum, which a shift does not change."""
    spectrum = np.abs(scipy.fft.rfft2(unit(picture), SHAPE))[:, :N_RATES]
    kept = np.concatenate([spectrum[1 : N_SCALES // 2 + 1], spectrum[-N_SCALES // 2 :]])
    return np.sqrt(kept).ravel()


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Correlate the worst of four parts of two pictures, at the best lag, pitch and tempo.

    In [-1, 1]; 0 where one has no sound.
    """
    return AtTempi(second).similarity(first)


class AtTempi:
    """A picture at each of `TEMPI`, with which any number of others are compared."""

    def __init__(self, picture: np.ndarray) -> None:
        middle = (N_STEPS - 1) / 2
        positions = middle + np.outer(TEMPI, np.arange(N_STEPS) - middle)
        sampled = _sample(picture.astype(np.float32), positions.ravel())
        moved = sampled.reshape(N_BANDS, len(TEMPI), N_STEPS).transpose(1, 0, 2)
        self.units = unit(np.ascontiguousarray(moved))
        self.spectra = scipy.fft.rfft2(self.units, SHAPE)

    def similarity(self, first: np.ndarray) -> float:
        """Return `similarity` of another picture and this one."""
        tempo, bands, steps = self.best_displacement(first)
        return worst_part(unit(first), _shift(self.units[tempo], bands, steps))

    def best_displacement(self, first: np.ndarray) -> tuple[int, int, int]:
        """Find on a grid how this is to be moved to agree best: tempo's place, bands up, steps."""
        near = _near(np.conj(scipy.fft.rfft2(unit(first), SHAPE)) * self.spectra)
        tempo, band, step = np.unravel_index(near.argmax(), near.shape)
        return int(tempo), MAX_BANDS - int(band), MAX_STEPS - int(step)


def _near(products: np.ndarray) -> np.ndarray:
    """Return circular correlations of spectra's products as far as displaced; zero is amid."""
    rows = np.r_[-MAX_BANDS : MAX_BANDS + 1]
    columns = np.r_[-MAX_STEPS : MAX_STEPS + 1]
    return scipy.fft.irfft(scipy.fft.ifft(products, axis=-2)[..., rows, :], SHAPE[1])[..., columns]


def _shift(picture: np.ndarray, bands: int, steps: int) -> np.ndarray:
    """Move a picture by whole bands and steps; what enters is empty."""
    moved = np.zeros_like(picture)
    up, down = max(bands, 0), max(-bands, 0)
    right, left = max(steps, 0), max(-steps, 0)
    height, width = picture.shape
    moved[up : height - down, right : width - left] = picture[
        down : height - up, left : width - right
    ]
    return moved


def worst_part(first: np.ndarray, second: np.ndarray) -> float:
    """Return the lowest correlation over four parts of equal energy; 0 where a picture is empty."""
    energy = (first**2 + second**2).sum(axis=0)
    if not energy.sum() > 0:
        return 0.0
    part = np.minimum(N_PARTS * np.cumsum(energy) / energy.sum(), N_PARTS - 1).astype(int)
    products = [
        np.bincount(part, (one * other).sum(axis=0), minlength=N_PARTS)
        for one, other in ((first, second), (first, first), (second, second))
    ]
    return float((products[0] / np.sqrt(np.maximum(products[1] * products[2], 1e-12))).min())


def coarse_similarity(pictures: np.ndarray, pairs: np.ndarray, *, block: int = 512) -> np.ndarray:
    """Compare many pairs quickly: the best correlation of whole pictures over lag and pitch."""
    best = [np.empty(0, dtype=np.float32)]
    for start in range(0, len(pairs), block):
        clips, places = np.unique(pairs[start : start + block], return_inverse=True)
        first, second = scipy.fft.rfft2(unit(pictures[clips]), SHAPE)[places.reshape(-1, 2).T]
        best.append(_near(np.conj(first) * second).max(axis=(1, 2)))
    return np.concatenate(best)
