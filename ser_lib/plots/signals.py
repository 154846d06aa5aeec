"""Figures of single clips: waveform, spectrogram."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ser_lib.features.spectral import mel_edges_hz
from ser_lib.plots.style import axes_or_new

PIXELS: dict[str, Any] = {"origin": "lower", "interpolation": "nearest"}


def plot_envelope(
    envelope: np.ndarray, duration_s: float, *, colour: str = "#333333", ax: Axes | None = None
) -> Axes:
    """Draw a waveform from its minima and maxima.

    Parameters
    ----------
    envelope : ndarray, shape (2, n_points)
        Minima and maxima, in [-1, 1].
    duration_s : float
        Time that it covers.
    colour : str
        Of the area.
    """
    ax = axes_or_new(ax)
    time_s = np.linspace(0, duration_s, envelope.shape[1])
    ax.fill_between(time_s, envelope[0], envelope[1], color=colour, linewidth=0)
    ax.set(xlim=(0, duration_s), xlabel="Time (s)", ylabel="Amplitude")
    ax.grid(visible=False)
    return ax


def plot_log_mel(
    level_db: np.ndarray,
    duration_s: float,
    *,
    f_max_hz: float,
    with_colour_bar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a log-mel spectrogram with time in seconds and mel bands labelled in Hz.

    Parameters
    ----------
    level_db : ndarray, shape (n_mels, n_frames)
        In dB below the maximum.
    duration_s : float
        Time that the frames cover.
    f_max_hz : float
        Upper edge of the highest band.
    with_colour_bar : bool
        Whether to draw the scale in dB.
    """
    ax = axes_or_new(ax)
    extent = (0, duration_s, 0, len(level_db))
    image = ax.imshow(level_db, extent=extent, vmin=-80, vmax=0, **PIXELS)
    edges_hz = mel_edges_hz(len(level_db) + 2, f_max_hz)[1:-1]
    ticks_hz = [hz for hz in (250, 500, 1000, 2000, 4000, 8000) if hz <= f_max_hz]
    ax.set_yticks([np.searchsorted(edges_hz, hz) for hz in ticks_hz], [f"{t}" for t in ticks_hz])
    ax.set(xlabel="Time (s)", ylabel="Frequency (Hz, mel)")
    ax.grid(visible=False)
    if with_colour_bar:
        ax.figure.colorbar(image, ax=ax, label="Level (dB)", pad=0.01)
    return ax
