"""Figures that compare systems: scores with intervals."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from ser_lib.plots import style


def plot_scores(scores: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw a score with its interval for every row, one line a row.

    Parameters
    ----------
    scores : pandas.DataFrame
        Columns `name, value, low, high` in [0, 1] and `colour`.
    chance : float
        Drawn as a dashed line, in [0, 1].
    """
    ax = style.axes_or_new(ax, (8.0, 0.7 + 0.42 * len(scores)))
    for position, row in enumerate(scores.itertuples()):
        value, low, high = 100 * row.value, 100 * row.low, 100 * row.high
        style.draw_interval(ax, position, (value, low, high), colour=row.colour)
        style.write_right_of(ax, high, position, f"{value:.1f}")
    style.name_rows(ax, scores["name"])
    ax.set(xlim=(0, 104), xlabel="Unweighted average recall (%)")
    ax.set_xticks(range(0, 101, 20))
    ax.axvline(100 * chance, **style.CHANCE_STYLE)
    place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    ax.annotate("chance", (100 * chance, 1), (3, 3), size=8, color="#777777", **place)
    return ax
