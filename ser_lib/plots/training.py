"""Figures of models: learning curves, confusions, recall of each class, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from ser_lib.plots import style


def plot_confusion(counts: np.ndarray, labels: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Draw a confusion matrix: share of the true class in percent, number of clips beneath.

    Parameters
    ----------
    counts : ndarray, shape (n_classes, n_classes)
        Truth by row. Means over seeds may be fractions.
    labels : sequence of str
        The classes.
    """
    ax = style.axes_or_new(ax, style.SQUARE)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # The paper shines through as far as the share is small: legible on light and dark paper.
    places = np.arange(len(labels))
    map_of_one = ListedColormap([style.CELL_COLOUR])
    ax.pcolormesh(places, places, counts, cmap=map_of_one, alpha=shares, antialiased=False)
    ax.set(aspect="equal", ylim=(len(labels) - 0.5, -0.5))
    for row, column in np.argwhere(counts > 0):
        share = shares[row, column]
        colour = "#ffffff" if share > 0.6 else style.INK
        write = partial(ax.text, ha="center", va="center", color=colour)
        weight = "bold" if row == column else "normal"
        write(column, row - 0.1, f"{_whole(100 * share)} %", size=8, weight=weight)
        write(column, row + 0.24, _whole(counts[row, column]), size=6.5)
    ax.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
    ax.set_yticks(range(len(labels)), labels)
    ax.set(xlabel="Predicted", ylabel="Acted")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return ax


def _whole(number: float) -> str:
    return "<1" if number < 0.5 else f"{number:.0f}"


def plot_history(history: pd.DataFrame, *, quantity: str, ax: Axes | None = None) -> Axes:
    """Draw learning curves: one thin line a fold or seed, training and validation apart.

    Parameters
    ----------
    history : pandas.DataFrame
        Columns `epoch`, `curve` (which line a row belongs to), `<quantity>`, `val_<quantity>`.
    quantity : str
        "accuracy" or "loss".
    """
    ax = style.axes_or_new(ax)
    look: dict[str, Any] = {"alpha": 0.8, "linewidth": 1.2}
    is_share = quantity == "accuracy"
    scale = 100 if is_share else 1
    for _, curve in history.groupby("curve", sort=False):
        lines = [
            *ax.plot(curve["epoch"], scale * curve[quantity], color="#888888", **look),
            *ax.plot(
                curve["epoch"], scale * curve[f"val_{quantity}"], color=style.HONEST_COLOUR, **look
            ),
        ]
    ax.set(xlabel="Epoch", ylabel=quantity.capitalize() + (" (%)" if is_share else ""))
    ax.set_ylim(0, 100 if is_share else None)
    ax.locator_params(axis="x", integer=True)
    ax.legend(lines, ["training", "validation"])
    return ax


def plot_recalls(
    tables: Mapping[str, pd.DataFrame],
    *,
    chance: float,
    published: pd.Series | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the recall of every class for several results, side by side.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        From `ser_lib.evaluation.metrics.class_table`, by the name in the legend.
    chance : float
        One over the number of classes.
    published : pandas.Series, optional
        The authors' recalls by class, drawn as marks.
    """
    ax = style.axes_or_new(ax)
    first = next(iter(tables.values()))
    positions, width = np.arange(len(first)), 0.8 / len(tables)
    # Two are the protocols, whose colours have a meaning; others are systems.
    is_pair = len(tables) == 2
    colours = (style.LEAKING_COLOUR, style.HONEST_COLOUR) if is_pair else style.SYSTEM_COLOURS
    for number, (name, table) in enumerate(tables.items()):
        offset = (number - (len(tables) - 1) / 2) * width
        ax.bar(
            positions + offset,
            100 * table["recall"],
            width * 0.92,
            color=colours[number % len(colours)],
            label=name,
        )
    if published is not None:
        known, place = 100 * published.reindex(first.index), positions - width / 2
        mark: dict[str, Any] = {"marker": "D", "edgecolor": "white", "lw": 0.7, "zorder": 3}
        ax.scatter(place, known, 26, style.PUBLISHED_COLOUR, label="published", **mark)
    ax.axhline(100 * chance, **style.CHANCE_STYLE)
    ax.set_xticks(positions, first.index)
    ax.set(ylim=(0, 102), ylabel="Recall (%)")
    ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
    return ax
