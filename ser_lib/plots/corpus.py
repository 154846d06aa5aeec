"""Figures of a corpus: how many clips, and how their measurements spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser_lib.data.labels import colour_of
from ser_lib.plots.style import axes_or_new


def plot_class_balance(counts: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many clips each emotion has, split by the columns (gender, for example).

    Parameters
    ----------
    counts : pandas.DataFrame, shape (n_emotions, n_groups)
        Number of clips; index emotions in canonical order.
    """
    ax = axes_or_new(ax)
    positions, base = np.arange(len(counts)), np.zeros(len(counts))
    colours = [colour_of(emotion) for emotion in counts.index]
    for number, group in enumerate(counts.columns):
        values = counts[group].to_numpy()
        alpha = 1.0 if number == 0 else 0.55
        bars = ax.bar(positions, values, 0.72, base, color=colours, alpha=alpha, edgecolor="white")
        texts = [f"{value}" if value else "" for value in values]
        ax.bar_label(bars, texts, label_type="center", color="white", fontsize=8)
        base = base + values
    for position, total in zip(positions, base, strict=True):
        ax.annotate(
            f"{total:.0f}", (position, total), (0, 3), textcoords="offset points", ha="center"
        )
    ax.set_xticks(positions, counts.index)
    ax.set_ylabel("Clips")
    ax.margins(y=0.12)
    legend = " below, ".join(map(str, counts.columns)) + " above"
    ax.text(1.0, 1.02, legend, transform=ax.transAxes, ha="right", color="#555555", fontsize=9)
    return ax


def plot_distribution(
    values: pd.Series,
    groups: pd.Series,
    order: Sequence[str],
    *,
    label: str,
    ax: Axes | None = None,
) -> Axes:
    """Draw one box a group, each point behind it.

    Parameters
    ----------
    values : pandas.Series of float, shape (n_clips,)
        What is compared, in the unit that `label` names.
    groups : pandas.Series of str, shape (n_clips,)
        The emotion of each clip.
    order : sequence of str
        Groups from left to right.
    label : str
        Of the vertical axis, with its unit.
    """
    import seaborn as sns

    ax = axes_or_new(ax)
    x, y, order = groups.to_numpy(), values.to_numpy(), list(order)
    box = {"width": 0.6, "fliersize": 1.5, "linewidth": 0.8, "legend": False}
    colours = [colour_of(one) for one in order]
    sns.boxplot(x=x, y=y, order=order, hue=x, hue_order=order, palette=colours, ax=ax, **box)
    ax.set(xlabel="", ylabel=label)
    ax.set_xticks(range(len(order)), order, rotation=40, ha="right")
    return ax
