"""The figure of predictions: a long recording over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser_lib.data.labels import colour_of
from ser_lib.plots.style import CHANCE_STYLE, axes_or_new

# More lines than these cannot be distinguished; the others lie below them.
N_LINES = 4
MINUTES_FROM_S = 180.0


def plot_timeline(
    table: pd.DataFrame,
    labels: Sequence[str],
    *,
    threshold: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the smoothed probabilities of a long recording over time; grey where nobody speaks.

    Parameters
    ----------
    table : pandas.DataFrame
        From `ser_lib.inference.streaming.timeline_table`.
    labels : sequence of str
        The classes; those with the highest mean get a line.
    threshold : float, optional
        Below which a prediction is 'not sure'; drawn as a line.
    """
    ax = axes_or_new(ax)
    is_long = table["end_s"].max() > MINUTES_FROM_S
    unit = 60.0 if is_long else 1.0
    middle = (table["start_s"] + table["end_s"]).to_numpy() / 2 / unit
    columns = table[[f"smooth_{label}" for label in labels]].to_numpy(dtype=float)
    is_silent = np.isnan(columns).all(axis=1)
    edges = np.append(table["start_s"], table["end_s"].iloc[-1:]) / unit
    spans = np.column_stack([edges[:-1], np.diff(edges)])[is_silent]
    ax.broken_barh(spans, (0, 100), color="#e6e6e6", linewidth=0)
    if not is_silent.all():
        means = np.nanmean(columns, axis=0)
        chosen = sorted(np.argsort(-means)[:N_LINES])
        colours = [colour_of(labels[number]) for number in chosen]
        for place, number in enumerate(chosen):
            # The same emotion of another gender has the same colour.
            line = ".--" if colours[place] in colours[:place] else ".-"
            values, label = 100 * columns[:, number], labels[number]
            ax.plot(middle, values, line, color=colours[place], markersize=6, label=label)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=N_LINES, frameon=False)
    if threshold is not None:
        ax.axhline(100 * threshold, **CHANCE_STYLE)
    limits = (0, float(table["end_s"].max()) / unit)
    ax.set(xlim=limits, ylim=(0, 100), xlabel="Time (min)" if is_long else "Time (s)")
    ax.set_ylabel("Probability (%), smoothed")
    return ax
