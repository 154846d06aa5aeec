"""Figures of the leak ladder: its steps, what each leak is worth, its controls.

Nothing is computed here that could be called a result: numbers come in, an Axes goes out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser_lib.plots._base import CHANCE_STYLE, HONEST_COLOUR, LEAKING_COLOUR, axes_or_new

__all__ = ["plot_gains", "plot_learning_curve", "plot_permutations", "plot_steps"]

CONTROL_COLOUR = "#555555"
PERMUTED_COLOUR = "#CC79A7"
# The leaking colour, darkened until white can be read on it.
KNOWN_COLOUR = "#A86F00"


def plot_steps(
    steps: pd.DataFrame,
    *,
    known: tuple[str, ...],
    chance: float,
    ax: Axes | None = None,
) -> Axes:
    """Draw the ladder: a score a step, its control, what its labels mean, and what training knows.

    Parameters
    ----------
    steps : pandas.DataFrame
        One row a step, from the top of the ladder down: `name`, `value, low, high` in [0, 1],
        `control, control_low, control_high` and `permuted` (NaN where there is none), and a column
        of shares in [0, 1] for each of `known`.
    known : tuple of str
        What training may know of a test row: columns beside the scores.
    chance : float
        In [0, 1].
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    ax = axes_or_new(ax, (9.2, 1.4 + 0.58 * len(steps)))
    ax.plot(100 * steps["value"], range(len(steps)), color="#BBBBBB", linewidth=1.2, zorder=1)
    for position, row in enumerate(steps.itertuples()):
        is_known = any(getattr(row, one) > 0.5 for one in known if one != "sentence")
        colour = LEAKING_COLOUR if is_known else HONEST_COLOUR
        _interval(ax, position, (row.value, row.low, row.high), colour)
        ax.annotate(
            f"{100 * row.value:.0f}",
            (100 * row.high, position),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
        if np.isfinite(row.control):
            low, high = 100 * row.control_low, 100 * row.control_high
            ax.plot([low, high], [position + 0.27] * 2, color=CONTROL_COLOUR, linewidth=1)
            ax.plot(100 * row.control, position + 0.27, "o", **_HOLLOW)
        if np.isfinite(row.permuted):
            ax.plot(100 * row.permuted, position, "x", **_CROSS)
    for name, marker in (
        ("speaker or clip known", {"marker": "o", "color": LEAKING_COLOUR, "markersize": 7}),
        ("new speakers", {"marker": "o", "color": HONEST_COLOUR, "markersize": 7}),
        ("control", {"marker": "o", **_HOLLOW}),
        ("labels permuted", {"marker": "x", **_CROSS}),
    ):
        ax.plot([], [], linestyle="none", label=name, **marker)
    _known_columns(ax, steps, known)
    ax.axvline(100 * chance, **CHANCE_STYLE)
    ax.set_yticks(range(len(steps)), steps["name"].str.replace(", ", ",\n"))
    ax.set_ylim(len(steps) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.set(xlim=(0, 100), xlabel="Unweighted average recall (%)")
    ax.legend(ncols=4, loc="upper left", bbox_to_anchor=(-0.35, -0.14), columnspacing=1.2)
    return ax


_HOLLOW = {"color": CONTROL_COLOUR, "markerfacecolor": "white", "markersize": 5.5}
_CROSS = {"color": PERMUTED_COLOUR, "markersize": 6.5, "markeredgewidth": 2}


def _interval(ax: Axes, position: float, values: tuple[float, float, float], colour: str) -> None:
    value, low, high = (100 * one for one in values)
    ax.plot(
        *([low, high], [position] * 2),
        color=colour,
        linewidth=3.5,
        alpha=0.45,
        solid_capstyle="round",
    )
    ax.plot(value, position, "o", color=colour, markersize=7)


def _known_columns(ax: Axes, steps: pd.DataFrame, known: tuple[str, ...]) -> None:
    """Write the shares of known test rows beside the axes, marked where most are known."""
    texts = {"textcoords": "offset points", "ha": "center", "va": "center", "fontsize": 8.5}
    for column, what in enumerate(known):
        # In points, whatever the width of the axes.
        right = 44 + 56 * column
        ax.annotate(what, (1, 1), (right, 6), xycoords="axes fraction", **texts)
        for position, share in enumerate(steps[what]):
            is_most = share > 0.5
            ax.annotate(
                f"{100 * share:.0f} %",
                (1, position),
                (right, 0),
                xycoords=ax.get_yaxis_transform(),
                color="white" if is_most else "#333333",
                bbox={
                    "boxstyle": "round,pad=0.35",
                    "facecolor": KNOWN_COLOUR if is_most else "#EEEEEE",
                    "edgecolor": "none",
                },
                **texts,
            )
    middle = 44 + 28 * (len(known) - 1)
    title = {**texts, "color": "#555555"}
    ax.annotate(
        "Training knows of the test rows", (1, 1), (middle, 22), xycoords="axes fraction", **title
    )


def plot_gains(
    differences: pd.DataFrame,
    *,
    x_label: str,
    scale: float = 100.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw values with intervals against zero, one line a row.

    Parameters
    ----------
    differences : pandas.DataFrame
        Columns `name, value, low, high`.
    x_label : str
        What the values are.
    scale : float
        100 draws shares as points, 1 draws values as they are.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    ax = axes_or_new(ax, (7.0, 0.9 + 0.42 * len(differences)))
    for position, row in enumerate(differences.itertuples()):
        is_clear = row.low > 0 or row.high < 0
        colour = LEAKING_COLOUR if is_clear else "#777777"
        ax.plot(
            *([scale * row.low, scale * row.high], [position] * 2),
            color=colour,
            linewidth=3,
            alpha=0.5,
            solid_capstyle="round",
        )
        ax.plot(scale * row.value, position, "o", color=colour, markersize=6.5)
        text = f"{scale * row.value:+.1f}" if scale == 100 else f"{row.value:+.2f}"
        ax.annotate(
            text.replace("-", "−"),
            (scale * row.high, position),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    ax.axvline(0, color="#333333", linewidth=1)
    ax.set_yticks(range(len(differences)), differences["name"])
    ax.set_ylim(len(differences) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.set_xlabel(x_label)
    ax.margins(x=0.12)
    return ax


def plot_permutations(null: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw the score of every permutation of the labels, one row a step.

    Parameters
    ----------
    null : pandas.DataFrame
        One row a permutation: `name` of the step, `uar` in [0, 1].
    chance : float
        In [0, 1].
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    names = list(dict.fromkeys(null["name"]))
    ax = axes_or_new(ax, (7.0, 1.0 + 0.38 * len(names)))
    for position, name in enumerate(names):
        ours = null.loc[null["name"] == name, "uar"]
        # Spread a little, always in the same way, so that equal scores can be counted.
        heights = position + np.linspace(-0.18, 0.18, len(ours)) * (len(ours) > 1)
        ax.plot(100 * ours, heights, "o", color=PERMUTED_COLOUR, alpha=0.7, markersize=5)
    ax.axvline(100 * chance, **CHANCE_STYLE, label="chance")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.set(xlim=(0, None), xlabel="Unweighted average recall on permuted labels (%)")
    ax.legend(loc="lower right")
    return ax


def plot_learning_curve(curve: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw a score over the number of training speakers, with its interval.

    Parameters
    ----------
    curve : pandas.DataFrame
        Columns `n_speakers`, `value, low, high` and `spread`, all in [0, 1] but the first.
    chance : float
        In [0, 1].
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    ax = axes_or_new(ax)
    number, value = curve["n_speakers"], 100 * curve["value"]
    ax.fill_between(
        *(number, 100 * curve["low"], 100 * curve["high"]),
        color=HONEST_COLOUR,
        alpha=0.18,
        linewidth=0,
        label="95 % interval by test speaker",
    )
    ax.errorbar(
        *(number, value),
        yerr=100 * curve["spread"],
        color=HONEST_COLOUR,
        marker="o",
        capsize=3,
        label="mean, and spread over draws of training speakers",
    )
    ax.axhline(100 * chance, **CHANCE_STYLE, label="chance")
    ax.set(xlabel="Training speakers", ylabel="Unweighted average recall (%)")
    ax.set(ylim=(0, None), xlim=(0, number.max() + 1))
    ax.set_xticks(number)
    ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(-0.02, 1.0), columnspacing=1.2)
    return ax
