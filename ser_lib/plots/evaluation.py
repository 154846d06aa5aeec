"""Figures of an evaluation: calibration, coverage, differences in pairs, cost.

Numbers come in, an Axes goes out; nothing is scored here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser_lib.plots._base import (
    CHANCE_STYLE,
    HONEST_COLOUR,
    PUBLISHED_COLOUR,
    SQUARE,
    axes_or_new,
    new_figure,
)

__all__ = ["plot_cost", "plot_costs", "plot_coverage", "plot_differences", "plot_reliability"]

# Systems in one figure: colours told apart with any colour vision, and a line style or marker each.
COLOURS = (HONEST_COLOUR, "#CC79A7", "#009E73", "#E69F00", "#555555", "#56B4E9")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
MARKERS = "osD^vP"
# Points of UAR that a line of text takes in the figure of costs, and its share of the width.
LABEL_STEP, LABEL_WIDTH = 6, 0.5


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

    Notes
    -----
    Notebook: 09_evaluation.ipynb
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

    Notes
    -----
    Notebook: 09_evaluation.ipynb
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
        Columns `name`, `difference, low, high` (shares) and `is_clear`: whether the pair is told
        apart after correction.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    ax = axes_or_new(ax, (8.0, 0.9 + 0.27 * len(tests)))
    ax.axvline(0, **CHANCE_STYLE)
    for position, row in enumerate(tests.itertuples()):
        colour = HONEST_COLOUR if row.is_clear else "#777777"
        ends = [100 * row.low, 100 * row.high]
        ax.plot(ends, [position] * 2, color=colour, linewidth=3, alpha=0.5, solid_capstyle="round")
        face = colour if row.is_clear else "white"
        ax.plot(
            100 * row.difference, position, "o", color=colour, markerfacecolor=face, markersize=6
        )
    for is_clear, name in ((True, "told apart by both tests"), (False, "not told apart")):
        colour = HONEST_COLOUR if is_clear else "#777777"
        face = colour if is_clear else "white"
        ax.plot([], [], "o", color=colour, markerfacecolor=face, markersize=6, label=name)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.set_yticks(range(len(tests)), tests["name"], fontsize=8)
    ax.set_ylim(len(tests) - 0.4, -0.6)
    ax.set_xlabel("Difference in UAR (points)")
    ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return ax


def plot_costs(costs: pd.DataFrame, *, n_tasks: int = 2) -> Figure:
    """Draw the score of systems against their time, one plot a task.

    Parameters
    ----------
    costs : pandas.DataFrame
        As for `plot_cost`, with `task` and `chance`.
    n_tasks : int
        So many tasks are drawn, the first ones.

    Returns
    -------
    Figure

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    tasks = dict(list(costs.groupby("task", sort=False))[:n_tasks])
    figure, axes = new_figure(len(tasks), 1, size=(8.0, 4.2 * len(tasks)))
    for ax, (title, one) in zip(axes, tasks.items(), strict=True):
        plot_cost(one, chance=one["chance"].iloc[0], ax=ax).set_title(title)
    return figure


def plot_cost(costs: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw the score of the systems of one task against their time, and the Pareto front.

    Parameters
    ----------
    costs : pandas.DataFrame
        Columns `name, uar, low, high` in [0, 1], `ms` a clip, `n_numbers`, `n_bytes` and
        `is_on_front`.
    chance : float
        Drawn as a dashed line, in [0, 1].
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    ax = axes_or_new(ax, (8.0, 4.2))
    front = costs[costs["is_on_front"]].sort_values("ms")
    ax.plot(
        front["ms"],
        100 * front["uar"],
        color=PUBLISHED_COLOUR,
        drawstyle="steps-post",
        linewidth=1.2,
        label="Pareto front",
    )
    for row in costs.itertuples():
        colour = HONEST_COLOUR if row.is_on_front else "#777777"
        interval = [100 * row.low, 100 * row.high]
        ax.plot([row.ms] * 2, interval, color=colour, alpha=0.4, linewidth=3, zorder=4)
        ax.plot(row.ms, 100 * row.uar, "o", color=colour, markersize=7, zorder=5)
    # Labels are pushed to where there is room, until none lies on the one before: downwards from
    # the best of good systems, upwards from the worst of others.
    sign = -1 if costs["uar"].mean() > 0.5 else 1
    height = 0.0 if sign > 0 else 100.0
    for row in costs.sort_values("uar", ascending=sign > 0).itertuples():
        beside = 100 * row.uar + sign * LABEL_STEP / 2
        height = sign * max(sign * beside, sign * (height + sign * LABEL_STEP))
        ax.annotate(
            f"{row.name}, {row.n_bytes / 1e6:.1f} MB",
            (row.ms, 100 * row.uar),
            (row.ms * 1.25, height),
            va="center",
            fontsize=8,
            color="#333333",
            arrowprops={"arrowstyle": "-", "color": "#BBBBBB", "linewidth": 0.7},
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1},
        )
    ax.axhline(100 * chance, **CHANCE_STYLE)
    ax.set_xscale("log")
    low, high = costs["ms"].min() / 1.6, costs["ms"].max()
    # The label of the slowest system needs its share of the width.
    high *= 1.25 * (high / low) ** (LABEL_WIDTH / (1 - LABEL_WIDTH))
    ax.set_xlim(low, high)
    ticks = [one for one in np.outer(10.0 ** np.arange(-1, 5), (1, 2, 5)).ravel()]
    ticks = [one for one in ticks if low <= one <= high]
    ax.set_xticks(ticks, [f"{one:g}" for one in ticks])
    ax.set_xticks([], minor=True)
    ax.set(ylim=(0, 100), xlabel="Milliseconds of processor time a clip (decoding, feature, model)")
    ax.set_ylabel("UAR (%)")
    ax.legend(loc="upper left")
    return ax
