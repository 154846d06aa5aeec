"""Figures of heads on a pretrained encoder: layers, and what is known of a new speaker.

Nothing is computed here that could be called a result: numbers come in, an Axes goes out.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from ser_lib.plots._base import CHANCE_STYLE, HONEST_COLOUR, PUBLISHED_COLOUR, axes_or_new

__all__ = ["plot_layers", "plot_normalisations"]

# A corpus has a marker, not a colour: those have meanings already.
MARKERS = ("o", "s", "^", "D")


def plot_layers(curve: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw the score of each layer of an encoder, with its range over folds.

    Parameters
    ----------
    curve : pandas.DataFrame
        Columns `layer, uar, low, high`, scores in [0, 1]; layer 0 is the front end.
    chance : float
        Drawn as a dashed line, in [0, 1].
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    ax = axes_or_new(ax)
    ax.fill_between(
        curve["layer"], 100 * curve["low"], 100 * curve["high"], color=HONEST_COLOUR, alpha=0.18
    )
    ax.plot(curve["layer"], 100 * curve["uar"], "o-", color=HONEST_COLOUR)
    ax.axhline(100 * chance, **CHANCE_STYLE)
    ax.set_xticks(curve["layer"], ["front\nend", *map(str, curve["layer"][1:])])
    ax.set(xlabel="Layer", ylabel="UAR on inner folds (%)", ylim=(0, 100))
    return ax


def plot_normalisations(
    tables: Mapping[str, pd.DataFrame], *, references: Mapping[str, float], ax: Axes | None = None
) -> Axes:
    """Draw scores by what is known of a new speaker beforehand, one series a corpus.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Corpus to a table with `name, value, low, high`, in [0, 1]; all with the same names or
        fewer, in one order.
    references : mapping of str to float
        Figures of others, in [0, 1], drawn as dashed lines with their names.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    ax = axes_or_new(ax, (9.0, 4.2))
    names = list(dict.fromkeys(name for table in tables.values() for name in table["name"]))
    for number, (corpus, table) in enumerate(tables.items()):
        across = [
            names.index(one) + 0.16 * (number - (len(tables) - 1) / 2) for one in table["name"]
        ]
        values = 100 * table["value"]
        ax.errorbar(
            across,
            values,
            [values - 100 * table["low"], 100 * table["high"] - values],
            fmt=MARKERS[number % len(MARKERS)],
            color=HONEST_COLOUR if number == 0 else "#444444",
            capsize=3,
            label=corpus,
        )
    for name, value in references.items():
        ax.axhline(100 * value, color=PUBLISHED_COLOUR, linestyle=(0, (4, 3)), linewidth=1.2)
        ax.annotate(
            name,
            (1, 100 * value),
            (-3, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=PUBLISHED_COLOUR,
        )
    ax.set_xticks(range(len(names)), [one.replace(" of ", "\nof ") for one in names])
    ax.set(xlabel="Known of the speaker beforehand", ylabel="UAR (%)", ylim=(0, 100))
    if tables:
        ax.legend(loc="lower right")
    return ax
