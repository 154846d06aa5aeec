"""Figures of an evaluation (09): the step to unseen speakers, calibration, coverage, pairs, cost.

They take tables of numbers, scores in [0, 1], and return Axes; no result is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser_lib.plots import style

OTHER_COLOUR = "#777777"
# Two curves in one figure: colours for any colour vision, and a line and marker each. The second
# is hollow: it hides no mark of the first.
CURVES: tuple[dict[str, Any], ...] = (
    {"color": style.HONEST_COLOUR, "linestyle": "-", "marker": "o"},
    {"color": "#CC79A7", "linestyle": "--", "marker": "s", "markerfacecolor": "none"},
)

# A small text above the axes, at a value.
ABOVE: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
# What the text right of the slowest system takes of the width of the axis of time.
LABEL_SHARE = 0.35


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
    ax = style.axes_or_new(ax, (7.2, 1.2 + 0.5 * len(steps)))
    _draw_people(ax, steps)
    styles = (
        ("leaking", 0.0, style.LEAKING_COLOUR, "as published, here"),
        ("honest", 0.27, style.HONEST_COLOUR, "unseen speakers"),
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
        ax.plot(100 * steps["published"], rows - 0.27, "D", ms=7, zorder=4, **diamond)
        ax.plot([], [], "D", label="the authors'", **diamond)
    style.name_rows(ax, steps["name"])
    ax.set(xlim=(0, 104), xlabel="Accuracy (WA, %)")
    ax.set_xticks(range(0, 101, 20))
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


def plot_speakers(scores: pd.DataFrame) -> Figure:
    """Draw the accuracy of each speaker, lowest first, one pair of axes a system.

    Parameters
    ----------
    scores : pandas.DataFrame, shape (n_speakers, n_systems)
        Accuracy in [0, 1] by speaker; systems may have tasks of their own, so each has its axes.
    """
    figure, axes = _grid(len(scores.columns))
    for ax, (name, values) in zip(axes, scores.items(), strict=False):
        ranked = values.dropna().sort_values()
        ax.plot(range(len(ranked)), 100 * ranked, "o", color=style.HONEST_COLOUR, markersize=6)
        short = ranked.index.str.rsplit("-", n=1).str[-1]
        # Speakers of a pool are named with their corpus.
        names = short if short.is_unique else ranked.index
        ax.set_xticks(range(len(ranked)), names, rotation=90, fontsize=8)
        ax.set(ylim=(0, 100), ylabel="Accuracy (%)", xlabel="Speaker")
        ax.set_title(str(name), fontsize=9)
    return figure


def _grid(n_panels: int) -> tuple[Figure, np.ndarray]:
    """Make so many axes, two a row where there are several."""
    n_columns = 2 if n_panels > 1 else 1
    n_rows = max(-(-n_panels // n_columns), 1)
    figure, axes = style.new_figure(n_rows, n_columns, size=(9.0, 2.9 * n_rows))
    style.hide(axes[n_panels:])
    return figure, axes


def plot_reliability(curves: Mapping[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Draw how often predictions are right against how sure they are.

    Parameters
    ----------
    curves : mapping of str to pandas.DataFrame
        Columns `confidence, accuracy, low, high` in [0, 1] and `n_rows`, by the name to show.
    """
    ax = style.axes_or_new(ax, style.SQUARE)
    ax.plot([0, 100], [0, 100], **style.CHANCE_STYLE, label="as often as it says")
    for (name, curve), line in zip(curves.items(), CURVES, strict=False):
        x, y, ends = (100 * curve[one] for one in ("confidence", "accuracy", ["low", "high"]))
        ax.vlines(x, ends["low"], ends["high"], color=line["color"], alpha=0.4, linewidth=3)
        ax.plot(x, y, **line, markersize=7, label=name)
    ax.set(xlim=(0, 102), ylim=(0, 102), xlabel="Confidence (%)", ylabel="Accuracy (%)")
    ax.set_aspect("equal")
    ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0))
    return ax


def plot_coverage(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the accuracy of the surest predictions against their share, one pair of axes a curve.

    Parameters
    ----------
    curves : mapping of str to pandas.DataFrame
        Columns `coverage, accuracy, low, high` in [0, 1], by the name to show.
    """
    figure, axes = _grid(len(curves))
    colour = style.HONEST_COLOUR
    for ax, (name, curve) in zip(axes, curves.items(), strict=False):
        shown = 100 * curve
        x = shown["coverage"]
        ax.fill_between(x, shown["low"], shown["high"], color=colour, alpha=0.2, linewidth=0)
        ax.plot(x, shown["accuracy"], color=colour)
        ax.set(xlim=(0, 100), xlabel="Clips that are answered, surest first (%)")
        ax.set(ylim=(0, 102), ylabel="Accuracy (%)")
        ax.set_title(name.replace(" (", "\n("), fontsize=9)
    return figure


def plot_differences(tests: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the difference of every pair with its interval, one line a pair.

    Parameters
    ----------
    tests : pandas.DataFrame
        Columns `name`, `difference, low, high` (shares) and `is_clear`: whether the pair is
        distinguished after correction.
    """
    ax = style.axes_or_new(ax, (8.0, 0.9 + 0.27 * len(tests)))
    ax.axvline(0, **style.CHANCE_STYLE)
    for position, row in enumerate(tests.itertuples()):
        values = (100 * row.difference, 100 * row.low, 100 * row.high)
        colour = style.HONEST_COLOUR if row.is_clear else OTHER_COLOUR
        style.draw_interval(
            ax, position, values, colour=colour, alpha=0.5, size=6, is_filled=row.is_clear
        )
    for is_clear, name in ((True, "distinguished"), (False, "not distinguished")):
        colour = style.HONEST_COLOUR if is_clear else OTHER_COLOUR
        face = colour if is_clear else "white"
        ax.plot([], [], "o", color=colour, markerfacecolor=face, markersize=6, label=name)
    style.name_rows(ax, tests["name"], size=8)
    ax.set_xlabel("Difference in UAR (points)")
    ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return ax


def plot_costs(costs: pd.DataFrame) -> Figure:
    """Draw the score and the time of systems, one pair of axes for each of the first two tasks.

    Parameters
    ----------
    costs : pandas.DataFrame
        As for `plot_cost`, with `task` and `chance`.
    """
    tasks = list(costs.groupby("task", sort=False))[:2]
    heights = [_cost_height(one) for _, one in tasks]
    size = (9.0, sum(heights))
    figure, grid = plt.subplots(len(tasks), 2, figsize=size, height_ratios=heights, squeeze=False)
    for (title, one), axes in zip(tasks, grid, strict=True):
        plot_cost(one, chance=one["chance"].iloc[0], axes=axes).set_title(title)
    return figure


def _cost_height(costs: pd.DataFrame) -> float:
    return 1.1 + 0.28 * len(costs)


def plot_cost(costs: pd.DataFrame, *, chance: float, axes: Sequence[Axes] | None = None) -> Axes:
    """Draw systems of one task in rows, the best first: score on the left, time on the right.

    Parameters
    ----------
    costs : pandas.DataFrame
        Columns `name, uar, low, high` in [0, 1], `ms` a clip, `n_bytes` and `is_on_front`: no
        other is both faster and better.
    chance : float
        Drawn as a dashed line, in [0, 1].
    axes : sequence of Axes, optional
        Two, for the score and for the time; the first is returned.
    """
    rows = costs.sort_values("uar", ascending=False, ignore_index=True)
    if axes is None:
        axes = plt.subplots(1, 2, figsize=(9.0, _cost_height(rows)))[1]
    score, time = axes
    options: dict[str, Any] = {"width": 1.8, "alpha": 0.5, "size": 6, "cap": "projecting"}
    for row in rows.itertuples():
        colour = style.HONEST_COLOUR if row.is_on_front else OTHER_COLOUR
        values = (100 * row.uar, 100 * row.low, 100 * row.high)
        style.draw_interval(score, row.Index, values, colour=colour, **options)
        time.plot(row.ms, row.Index, "o", color=colour, markersize=6)
        text = f"{row.ms:.3g} ms, {row.n_bytes / 1e6:.1f} MB"
        style.write_right_of(time, row.ms, row.Index, text, size=8, colour="#333333")
    score.axvline(100 * chance, **style.CHANCE_STYLE)
    names = {
        style.HONEST_COLOUR: "none is both faster and better",
        OTHER_COLOUR: "another is",
    }
    for colour, name in names.items():
        time.plot([], [], "o", color=colour, markersize=6, label=name)
    time.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1.0))
    style.name_rows(score, rows["name"], size=8)
    style.name_rows(time, [""] * len(rows))
    score.set(xlim=(0, 100), xlabel="UAR (%)")
    low, high = rows["ms"].min() / 1.4, rows["ms"].max()
    high *= (high / low) ** (LABEL_SHARE / (1 - LABEL_SHARE))
    time.set(xscale="log", xlim=(low, high))
    ticks = np.outer(10.0 ** np.arange(-1, 5), (1, 2, 5)).ravel()
    ticks = ticks[(low <= ticks) & (ticks <= high)][:: 1 if high / low < 40 else 3]
    time.set_xticks(ticks, [f"{one:g}" for one in ticks])
    time.minorticks_off()
    time.set_xlabel("Milliseconds of processor time a clip")
    return score
