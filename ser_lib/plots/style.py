"""What all figures share: two sizes, the colours with a meaning, and where to draw."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Two sizes only, in inches: a figure across the text, and one for square things.
WIDE = (8.0, 3.2)
SQUARE = (6.2, 5.6)
CHANCE_STYLE = {"color": "#888888", "linestyle": (0, (4, 3)), "linewidth": 1.2}
PUBLISHED_COLOUR = "#D55E00"
LEAKING_COLOUR = "#E69F00"
HONEST_COLOUR = "#0072B2"


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
