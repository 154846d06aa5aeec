"""Figures of an evaluation: calibration, coverage, differences in pairs, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser_lib.plots.style import (
    CHANCE_STYLE,
    HONEST_COLOUR,
    SQUARE,
    axes_or_new,
    draw_interval,
    name_rows,
    write_right_of,
)

# Systems in one figure: colours for any colour vision, and a line style or marker each.
COLOURS = (HONEST_COLOUR, "#CC79A7", "#009E73", "#E69F00", "#555555", "#56B4E9")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
MARKERS = "osD^vP"
OTHER_COLOUR = "#777777"

# Widths of the figure of costs: score and time; and what a label takes of the latter.
COST_SHARES = (1.0, 1.0)
LABEL_SHARE = 0.35


def plot_reliability(curves: Mapping[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Draw how often predictions are right against how sure they are.

    Parameters
    ----------
    curves : mapping of str to pandas.DataFrame
        Columns `confidence, accuracy, low, high` in [0, 1] and `n_rows`, by the name to show.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, SQUARE)
    ax.plot([0, 100], [0, 100], **CHANCE_STYLE, label="as often as it says")
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        x = 100 * curve["confidence"]
        ax.vlines(x, 100 * curve["low"], 100 * curve["high"], color=colour, alpha=0.4, linewidth=3)
        sizes = 15 + 65 * curve["n_rows"] / curve["n_rows"].max()
        ax.plot(x, 100 * curve["accuracy"], color=colour, linestyle=LINES[number % len(LINES)])
        ax.scatter(
            x,
            100 * curve["accuracy"],
            s=sizes,
            color=colour,
            marker=MARKERS[number % len(MARKERS)],
            label=name,
            zorder=3,
        )
    ax.set(xlim=(0, 102), ylim=(0, 102), xlabel="Confidence (%)", ylabel="Accuracy (%)")
    ax.set_aspect("equal")
    ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), markerscale=0.6)
    return ax


def plot_coverage(curves: Mapping[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of the surest predictions against their share.

    Parameters
    ----------
    curves : mapping of str to pandas.DataFrame
        Columns `coverage, accuracy, low, high` in [0, 1], by the name to show.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, (8.0, 3.8))
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        x = 100 * curve["coverage"]
        ax.fill_between(
            x, 100 * curve["low"], 100 * curve["high"], color=colour, alpha=0.13, linewidth=0
        )
        style = LINES[number % len(LINES)]
        ax.plot(x, 100 * curve["accuracy"], color=colour, linestyle=style, label=name)
    ax.set(
        xlim=(0, 100), ylim=(0, 102), xlabel="Coverage: clips that are answered, surest first (%)"
    )
    ax.set_ylabel("Accuracy (%)")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0))
    return ax


def plot_differences(tests: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the difference of every pair with its interval, one line a pair.

    Parameters
    ----------
    tests : pandas.DataFrame
        Columns `name`, `difference, low, high` (shares) and `is_clear`: whether the pair is
        distinguished after correction.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, (8.0, 0.9 + 0.27 * len(tests)))
    ax.axvline(0, **CHANCE_STYLE)
    for position, row in enumerate(tests.itertuples()):
        values = (100 * row.difference, 100 * row.low, 100 * row.high)
        colour = HONEST_COLOUR if row.is_clear else OTHER_COLOUR
        draw_interval(
            ax, position, values, colour=colour, alpha=0.5, size=6, is_filled=row.is_clear
        )
    for is_clear, name in ((True, "distinguished by both tests"), (False, "not distinguished")):
        colour = HONEST_COLOUR if is_clear else OTHER_COLOUR
        face = colour if is_clear else "white"
        ax.plot([], [], "o", color=colour, markerfacecolor=face, markersize=6, label=name)
    name_rows(ax, tests["name"], size=8)
    ax.set_xlabel("Difference in UAR (points)")
    ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return ax


def plot_costs(costs: pd.DataFrame, *, n_tasks: int = 2) -> Figure:
    """Draw the score and the time of systems, one pair of axes a task.

    Parameters
    ----------
    costs : pandas.DataFrame
        As for `plot_cost`, with `task` and `chance`.
    n_tasks : int
        How many tasks are drawn, from the first.

    Returns
    -------
    Figure
    """
    tasks = dict(list(costs.groupby("task", sort=False))[:n_tasks])
    heights = [_cost_height(len(one)) for one in tasks.values()]
    figure = plt.figure(figsize=(9.0, sum(heights)))
    grid = figure.add_gridspec(len(tasks), 2, width_ratios=COST_SHARES, height_ratios=heights)
    for number, (title, one) in enumerate(tasks.items()):
        axes = [figure.add_subplot(grid[number, side]) for side in (0, 1)]
        plot_cost(one, chance=one["chance"].iloc[0], axes=axes).set_title(title)
    return figure


def _cost_height(n_systems: int) -> float:
    return 1.1 + 0.28 * n_systems


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
        Two, for the score and for the time.

    Returns
    -------
    Axes
        That of the score.
    """
    rows = costs.sort_values("uar", ascending=False, ignore_index=True)
    if axes is None:
        size = (9.0, _cost_height(len(rows)))
        axes = plt.subplots(1, 2, figsize=size, width_ratios=COST_SHARES)[1]
    score, time = axes
    for row in rows.itertuples():
        colour = HONEST_COLOUR if row.is_on_front else OTHER_COLOUR
        values = (100 * row.uar, 100 * row.low, 100 * row.high)
        draw_interval(
            *(score, row.Index, values),
            colour=colour,
            width=1.8,
            alpha=0.5,
            size=6,
            cap="projecting",
        )
        time.plot(row.ms, row.Index, "o", color=colour, markersize=6)
        text = f"{row.ms:.3g} ms, {row.n_bytes / 1e6:.1f} MB"
        write_right_of(time, row.ms, row.Index, text, size=8, colour="#333333")
    score.axvline(100 * chance, **CHANCE_STYLE)
    for name, colour in (("none is both faster and better", HONEST_COLOUR), ("", OTHER_COLOUR)):
        time.plot([], [], "o", color=colour, markersize=6, label=name or "another is")
    time.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1.0))
    name_rows(score, rows["name"], size=8)
    name_rows(time, [""] * len(rows))
    score.set(xlim=(0, 100), xlabel="UAR (%)")
    low, high = rows["ms"].min() / 1.4, rows["ms"].max()
    # The text right of the slowest system needs its share of the width.
    high *= (high / low) ** (LABEL_SHARE / (1 - LABEL_SHARE))
    time.set(xscale="log", xlim=(low, high))
    ticks = [one for one in np.outer(10.0 ** np.arange(-1, 5), (1, 2, 5)).ravel()]
    ticks = [one for one in ticks if low <= one <= high][:: 1 if high / low < 40 else 3]
    time.set_xticks(ticks, [f"{one:g}" for one in ticks])
    time.set_xticks([], minor=True)
    time.set_xlabel("Milliseconds of processor time a clip")
    return score
