"""Figures of predictions: one clip's ranked probabilities, and a long recording over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser_lib.data.labels import colour_of
from ser_lib.plots.style import CHANCE_STYLE, HONEST_COLOUR, axes_or_new, name_rows

# More lines than these cannot be distinguished; the others lie below them.
N_LINES = 4
MINUTES_FROM_S = 180.0


def plot_ranked(
    probabilities: Mapping[str, float], *, threshold: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw one clip's probabilities as bars, the likeliest on top.

    Parameters
    ----------
    probabilities : mapping of str to float
        By class, in [0, 1].
    threshold : float, optional
        Below which the prediction is 'not sure'; drawn as a line.
    """
    ax = axes_or_new(ax)
    ranked = sorted(probabilities.items(), key=lambda item: item[1])
    labels, shares = [one for one, _ in ranked], [100 * share for _, share in ranked]
    ax.barh(labels, shares, color=[colour_of(one) for one in labels], height=0.7)
    for row, share in enumerate(shares):
        ax.text(share + 1, row, f"{share:.0f} %", va="center", fontsize=9)
    if threshold is not None:
        ax.axvline(100 * threshold, **CHANCE_STYLE)
        centred: dict[str, Any] = {"ha": "center", "va": "bottom", "backgroundcolor": "w"}
        ax.text(100 * threshold, len(labels) - 0.3, "not sure below", size=8, **centred)
    ax.set(xlim=(0, 108), xlabel="Probability (%)")
    ax.grid(visible=False, axis="y")
    return ax


def plot_sureness(predictions: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw mean confidence and accuracy of predictions, one line a kind of recording.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Columns `name`, `sure` (mean confidence) and `right` (accuracy), both shares.
    """
    ax = axes_or_new(ax, (8.0, 1.2 + 0.42 * len(predictions)))
    rows = range(len(predictions))
    right, sure = 100 * predictions["right"], 100 * predictions["sure"]
    ax.hlines(rows, right, sure, "#999999", linewidth=3, alpha=0.6, capstyle="projecting", zorder=1)
    diamond: dict[str, Any] = {"color": "#CC79A7", "markerfacecolor": "w", "markersize": 8}
    handles = [
        *ax.plot(sure, rows, "D", **diamond, label="sure"),
        *ax.plot(right, rows, "o", color=HONEST_COLOUR, markersize=8, label="right"),
    ]
    name_rows(ax, predictions["name"])
    ax.set(xlim=(0, 100), xlabel="Share of the clips; mean confidence (%)")
    ax.legend(handles=handles[::-1], ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return ax


def plot_timeline(
    table: pd.DataFrame,
    labels: Sequence[str],
    *,
    threshold: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the smoothed probabilities of a long recording over time; grey where nobody speaks.

    Parameters
    ----------
    table : pandas.DataFrame
        From `ser_lib.inference.streaming.timeline_table`.
    labels : sequence of str
        The classes; those with the highest mean get a line.
    threshold : float, optional
        Below which a prediction is 'not sure'; drawn as a line.
    """
    ax = axes_or_new(ax)
    is_long = table["end_s"].max() > MINUTES_FROM_S
    unit = 60.0 if is_long else 1.0
    middle = (table["start_s"] + table["end_s"]).to_numpy() / 2 / unit
    columns = table[[f"smooth_{label}" for label in labels]].to_numpy(dtype=float)
    is_silent = np.isnan(columns).all(axis=1)
    edges = np.append(table["start_s"], table["end_s"].iloc[-1:]) / unit
    for start, stop in zip(edges[:-1][is_silent], edges[1:][is_silent], strict=True):
        ax.axvspan(start, stop, color="#e6e6e6", linewidth=0)
    if not is_silent.all():
        means = np.nanmean(columns, axis=0)
        chosen = sorted(np.argsort(-means)[:N_LINES])
        colours = [colour_of(labels[number]) for number in chosen]
        for place, number in enumerate(chosen):
            # The same emotion of another gender has the same colour.
            line = ".--" if colours[place] in colours[:place] else ".-"
            values, label = 100 * columns[:, number], labels[number]
            ax.plot(middle, values, line, color=colours[place], markersize=4, label=label)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=N_LINES, frameon=False)
    if threshold is not None:
        ax.axhline(100 * threshold, **CHANCE_STYLE)
    limits = (0, float(table["end_s"].max()) / unit)
    ax.set(xlim=limits, ylim=(0, 100), xlabel="Time (min)" if is_long else "Time (s)")
    ax.set_ylabel("Probability (%), smoothed")
    return ax
