"""Figures of robustness and explanation: scores over a corruption's strength, maps on the plane.

Nothing is computed here that could be called a result: numbers come in, an Axes goes out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser_lib.labels import colour_of
from ser_lib.plots._base import CHANCE_STYLE, HONEST_COLOUR, axes_or_new

__all__ = ["plot_band_profiles", "plot_condition", "plot_plane"]


def plot_condition(
    scores: pd.DataFrame,
    *,
    clean: tuple[float, float, float],
    chance: float,
    ax: Axes | None = None,
) -> Axes:
    """Draw a score over the strength of one corruption, beside that of clean clips.

    Parameters
    ----------
    scores : pandas.DataFrame
        Columns `value` (the strength), `unit`, and `uar, low, high` in [0, 1], in the order in
        which they are drawn.
    clean : tuple of float
        Score of the clean clips and its interval, in [0, 1]; drawn as a line and a band.
    chance : float
        In [0, 1].
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    ax = axes_or_new(ax, (2.6, 2.4))
    value, low, high = (100 * one for one in clean)
    ax.axhspan(low, high, color="#999999", alpha=0.2, linewidth=0)
    ax.axhline(value, color="#777777", linewidth=1)
    ax.axhline(100 * chance, **CHANCE_STYLE)
    places = np.arange(len(scores))
    ax.vlines(
        places, 100 * scores["low"], 100 * scores["high"], color=HONEST_COLOUR, alpha=0.5, lw=3
    )
    ax.plot(places, 100 * scores["uar"], "o-", color=HONEST_COLOUR, markersize=5, linewidth=1)
    ax.set_xticks(places, [f"{one:g}".replace("-", "−") for one in scores["value"]])
    ax.set(ylim=(0, 100), xlim=(-0.6, max(len(scores) - 0.4, 0.6)), xlabel=scores["unit"].iloc[0])
    return ax


def plot_plane(
    values: np.ndarray,
    duration_s: float,
    *,
    ticks: tuple[tuple[float, str], ...] = (),
    limits: tuple[float, float] = (0.0, 1.0),
    colours: str = "magma",
    ax: Axes | None = None,
) -> Axes:
    """Draw a map over time and mel bands.

    Parameters
    ----------
    values : ndarray, shape (n_steps, n_bands)
        Time first, as networks see it.
    duration_s : float
        What the steps cover, in seconds.
    ticks : tuple of tuple
        Places on the band axis, as a share of its height, and their labels.
    limits : tuple of float
        Values of the darkest and the lightest colour.
    colours : str
        A matplotlib colour map.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    ax = axes_or_new(ax, (3.0, 2.6))
    ax.imshow(
        values.T,
        origin="lower",
        aspect="auto",
        extent=(0.0, duration_s, 0.0, 1.0),
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        interpolation="nearest",
    )
    ax.set_yticks([place for place, _ in ticks], [label for _, label in ticks])
    ax.grid(visible=False)
    ax.set_xlabel("Time (s)")
    return ax


def plot_band_profiles(
    profiles: pd.DataFrame, *, x_label: str, y_label: str, ax: Axes | None = None
) -> Axes:
    """Draw one line an emotion over parts of an axis, each labelled at its end.

    Parameters
    ----------
    profiles : pandas.DataFrame
        One column an emotion; the index names the parts, in their order.
    x_label, y_label : str
        What the parts and the values are.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    ax = axes_or_new(ax)
    places = np.arange(len(profiles))
    for marker, (name, values) in zip("osD^vPX*<>h", profiles.items(), strict=False):
        colour = colour_of(str(name))
        ax.plot(places, values, color=colour, marker=marker, markersize=4.5, label=name)
    ax.axhline(0, color="#333333", linewidth=1)
    ax.set_xticks(places, profiles.index)
    ax.set(xlabel=x_label, ylabel=y_label)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.02))
    return ax
