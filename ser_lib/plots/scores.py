"""Figures that compare systems: scores with intervals, the step to unseen speakers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser_lib.plots import style

# A small text above the axes, at a value.
ABOVE: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}


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
    _percent_axis(ax, "Unweighted average recall (%)", scores["name"])
    ax.axvline(100 * chance, **style.CHANCE_STYLE)
    ax.annotate("chance", (100 * chance, 1), (3, 3), size=8, color="#777777", **ABOVE)
    return ax


def _percent_axis(ax: Axes, x_label: str, names: pd.Series) -> None:
    style.name_rows(ax, names)
    ax.set(xlim=(0, 104), xlabel=x_label)
    ax.set_xticks(range(0, 101, 20))


def plot_ladder(steps: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw, for every model, the published figure, the same protocol here, and the honest one.

    Parameters
    ----------
    steps : pandas.DataFrame
        One row a model, columns `name`, `published` (NaN where there is none), and
        `leaking`, `leaking_low`, `leaking_high`, `honest`, `honest_low`, `honest_high`, and
        `chance` (the share of the largest class); where people were asked the same, `people_low`
        and `people_high`, drawn as a band behind that row; all WA in [0, 1].
    """
    ax = style.axes_or_new(ax, (6.2, 1.4 + 0.66 * len(steps)))
    _draw_people(ax, steps)
    styles = (
        ("leaking", -0.13, style.LEAKING_COLOUR, "as published, here"),
        ("honest", 0.17, style.HONEST_COLOUR, "unseen speakers"),
    )
    for position, row in enumerate(steps.itertuples()):
        for kind, offset, colour, name in styles:
            value, low, high = (100 * getattr(row, kind + end) for end in ("", "_low", "_high"))
            height = position + offset
            label = name if position == 0 else None
            style.draw_interval(
                ax, height, (value, low, high), colour=colour, width=3.5, label=label
            )
            text = f"{value:.0f}"
            style.write_right_of(ax, high, height, text, distance=6, size=8.5, colour="#333333")
    rows = np.arange(len(steps))
    ax.vlines(
        100 * steps["chance"], rows - 0.3, rows + 0.3, **style.CHANCE_STYLE, label="largest class"
    )
    if steps["published"].notna().any():
        diamond: dict[str, Any] = {"color": style.PUBLISHED_COLOUR, "markeredgecolor": "white"}
        ax.plot(100 * steps["published"], rows - 0.13, "D", ms=7, zorder=4, **diamond)
        ax.plot([], [], "D", label="the authors'", **diamond)
    _percent_axis(ax, "Accuracy (WA, %)", steps["name"])
    ax.set_ylim(len(steps) - 0.45, -0.55)
    ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(-0.02, 1.03))
    return ax


def _draw_people(ax: Axes, steps: pd.DataFrame) -> None:
    """Draw people's accuracy as a band behind the rows whose task they were given."""
    if "people_low" not in steps:
        return
    known = steps.reset_index(drop=True).dropna(subset=["people_low"])
    for position, row in zip(known.index, known.itertuples(), strict=True):
        low, width = 100 * row.people_low, 100 * (row.people_high - row.people_low)
        # At least as wide as can be seen, where one figure is known.
        ax.barh(position, max(width, 0.8), left=low, height=1, color="#009E73", alpha=0.13)
    if len(known):
        first = known.iloc[0]
        middle = 50 * (first["people_low"] + first["people_high"])
        ax.annotate("listeners", (middle, 1), (0, 3), size=8, ha="center", color="#00704F", **ABOVE)


def plot_speakers(scores: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw one column of dots a speaker, one colour and marker a system.

    Parameters
    ----------
    scores : pandas.DataFrame, shape (n_speakers, n_systems)
        Accuracy in [0, 1]; index speakers in the order to draw. Systems may have tasks of their
        own: no line of chance would hold for all.
    """
    ax = style.axes_or_new(ax)
    for (name, values), line in zip(scores.items(), style.SYSTEM_STYLES(), strict=False):
        dots = line | {"linestyle": "none"}
        ax.plot(range(len(values)), 100 * values, label=name, alpha=0.9, **dots)
    ax.set_xticks(range(len(scores)), scores.index, rotation=60, ha="right", fontsize=8)
    ax.set(ylim=(0, 100), ylabel="Accuracy (%)")
    ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return ax


def plot_right_and_wrong(counts: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many clips each system gets right and wrong, one bar a system.

    Parameters
    ----------
    counts : pandas.DataFrame
        Columns `right` and `wrong`, numbers of clips; indexed by the system's name.
    """
    ax = style.axes_or_new(ax, (8.0, 0.9 + 0.42 * len(counts)))
    positions, left = np.arange(len(counts)), np.zeros(len(counts))
    kinds = (("right", style.HONEST_COLOUR, "white"), ("wrong", "#CCCCCC", "black"))
    for column, colour, text_colour in kinds:
        bars = ax.barh(positions, counts[column], left=left, color=colour, label=column)
        ax.bar_label(bars, fmt="{:,.0f}", label_type="center", fontsize=9, color=text_colour)
        left += counts[column].to_numpy()
    ax.set_yticks(positions, counts.index)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("Clips")
    ax.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return ax
