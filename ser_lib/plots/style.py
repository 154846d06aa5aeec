"""What all figures share: the style sheet, two sizes, the colours with a meaning, where to draw.

Figures of rows (a system, a pair or a step a line) are drawn by `draw_interval` and `name_rows`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# For `matplotlib.style.use` or `matplotlib.rc_context`.
STYLE_FILE = Path(__file__).with_name("ser.mplstyle")

# Two sizes only, in inches: a figure across the text, and one for square things.
WIDE = (8.0, 3.2)
SQUARE = (6.2, 5.6)
CHANCE_STYLE: dict[str, Any] = {"color": "#888888", "linestyle": (0, (4, 3)), "linewidth": 1.2}
INK = "#1c1e21"
PUBLISHED_COLOUR = "#D55E00"
LEAKING_COLOUR = "#E69F00"
HONEST_COLOUR = "#0072B2"
CELL_COLOUR = "#08306B"
# Of systems in one figure: colours without another meaning, for any colour vision.
SYSTEM_COLOURS = (HONEST_COLOUR, "#56B4E9", "#333333", "#CC79A7")


def new_figure(
    n_rows: int = 1,
    n_columns: int = 1,
    *,
    size: tuple[float, float] = WIDE,
    share_x: bool = False,
    share_y: bool = False,
) -> tuple[Figure, np.ndarray]:
    """Make a figure and its axes, as an array of shape (n_rows * n_columns,)."""
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=size, sharex=share_x, sharey=share_y, squeeze=False
    )
    return figure, axes.ravel()


def hide(axes: np.ndarray) -> None:
    """Hide axes until something is drawn on them: a grid may have more places than clips."""
    for ax in axes:
        ax.set_visible(False)


def axes_or_new(ax: Axes | None, size: tuple[float, float] = WIDE) -> Axes:
    """Return the given axes, or those of a new figure."""
    if ax is None:
        return plt.subplots(figsize=size)[1]
    ax.set_visible(True)
    return ax


def draw_interval(
    ax: Axes,
    height: float,
    values: tuple[float, float, float],
    *,
    colour: str,
    width: float = 3.0,
    alpha: float = 0.45,
    size: float = 7.0,
    cap: str = "round",
    is_filled: bool = True,
    label: str | None = None,
) -> None:
    """Draw a value as a dot on the line from the lower to the upper end of its interval.

    `values` are the value, the lower and the upper end, in units of the horizontal axis.
    """
    value, low, high = values
    ax.plot(
        [low, high], [height] * 2, color=colour, linewidth=width, alpha=alpha, solid_capstyle=cap
    )
    face = colour if is_filled else "white"
    ax.plot(value, height, "o", color=colour, markerfacecolor=face, markersize=size, label=label)


def write_right_of(
    ax: Axes,
    x: float,
    height: float,
    text: str,
    *,
    distance: float = 7,
    size: float = 9,
    colour: str = INK,
) -> None:
    """Write a text right of a point; `distance` and `size` in points."""
    place = (x, height), (distance, 0)
    ax.annotate(text, *place, textcoords="offset points", va="center", size=size, color=colour)


def name_rows(ax: Axes, names: Iterable[str], *, size: float | None = None) -> None:
    """Name the rows of a figure from the top down, and keep only the grid that they cross."""
    names = list(names)
    ax.set_yticks(range(len(names)), names)
    if size is not None:
        ax.tick_params(axis="y", labelsize=size)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
