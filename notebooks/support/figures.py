"""Figures of single chapters: leakage (08), robustness and maps (11), transfer (07), layers.

Then cues (01), pictures (02), ROC (03), tallies (06) and confidence (10); those of 09 are in
`support.evaluation_figures`. All take tables of numbers, scores in [0, 1], and return Axes; no
result is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser_lib.data.labels import colour_of
from ser_lib.plots.style import (
    CHANCE_STYLE,
    HONEST_COLOUR,
    LEAKING_COLOUR,
    SQUARE,
    axes_or_new,
    draw_interval,
    name_rows,
    write_right_of,
)

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
    """Draw the ladder: each step's score, control and permuted score, and its `known` shares.

    `steps` is from `support.leakage.with_controls`; `known` names its columns of shares of test
    rows of which something is in training.
    """
    ax = axes_or_new(ax, (9.2, 1.4 + 0.58 * len(steps)))
    ax.plot(100 * steps["value"], range(len(steps)), color="#BBBBBB", linewidth=1.2, zorder=1)
    for position, row in enumerate(steps.itertuples()):
        is_known = any(getattr(row, one) > 0.5 for one in known if one != "sentence")
        colour = LEAKING_COLOUR if is_known else HONEST_COLOUR
        values = (100 * row.value, 100 * row.low, 100 * row.high)
        draw_interval(ax, position, values, colour=colour, width=3.5)
        write_right_of(ax, 100 * row.high, position, f"{100 * row.value:.0f}", distance=6)
        if np.isfinite(row.control):
            low, high = 100 * row.control_low, 100 * row.control_high
            ax.plot([low, high], [position + 0.27] * 2, color=CONTROL_COLOUR, linewidth=1)
            ax.plot(100 * row.control, position + 0.27, "o", **_HOLLOW)
        if np.isfinite(row.permuted):
            ax.plot(100 * row.permuted, position, "x", **_CROSS)
    for name, marker in (
        ("speaker or clip known", {"marker": "o", "color": LEAKING_COLOUR, "markersize": 7}),
        ("unseen speakers", {"marker": "o", "color": HONEST_COLOUR, "markersize": 7}),
        ("control", {"marker": "o", **_HOLLOW}),
        ("labels permuted", {"marker": "x", **_CROSS}),
    ):
        ax.plot([], [], linestyle="none", label=name, **marker)
    _known_columns(ax, steps, known)
    ax.axvline(100 * chance, **CHANCE_STYLE)
    name_rows(ax, steps["name"].str.replace(", ", ",\n"))
    ax.set(xlim=(0, 100), xlabel="Unweighted average recall (%)")
    ax.legend(ncols=4, loc="upper left", bbox_to_anchor=(-0.35, -0.14), columnspacing=1.2)
    return ax


_HOLLOW = {"color": CONTROL_COLOUR, "markerfacecolor": "white", "markersize": 5.5}
_CROSS = {"color": PERMUTED_COLOUR, "markersize": 6.5, "markeredgewidth": 2}


def _known_columns(ax: Axes, steps: pd.DataFrame, known: tuple[str, ...]) -> None:
    """Write the shares of known test rows to the right of the axes, marked above one half."""
    texts = {"textcoords": "offset points", "ha": "center", "va": "center", "fontsize": 8.5}
    for column, what in enumerate(known):
        # In points, independent of the width of the axes.
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
        "Test rows known from training", (1, 1), (middle, 22), xycoords="axes fraction", **title
    )


def plot_gains(
    differences: pd.DataFrame,
    *,
    x_label: str,
    scale: float = 100.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw values with intervals against zero, one row each; a scale of 100 draws points."""
    ax = axes_or_new(ax, (7.0, 0.9 + 0.42 * len(differences)))
    for position, row in enumerate(differences.itertuples()):
        is_clear = row.low > 0 or row.high < 0
        colour = LEAKING_COLOUR if is_clear else "#777777"
        values = (scale * row.value, scale * row.low, scale * row.high)
        draw_interval(ax, position, values, colour=colour, alpha=0.5, size=6.5)
        text = f"{values[0]:+.1f}" if scale == 100 else f"{row.value:+.2f}"
        write_right_of(ax, values[2], position, text.replace("-", "−"))
    ax.axvline(0, color="#333333", linewidth=1)
    name_rows(ax, differences["name"])
    ax.set_xlabel(x_label)
    ax.margins(x=0.12)
    return ax


def plot_permutations(null: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw the score of every permutation of the labels, one row per step."""
    names = list(dict.fromkeys(null["name"]))
    ax = axes_or_new(ax, (7.0, 1.0 + 0.38 * len(names)))
    for position, name in enumerate(names):
        ours = null.loc[null["name"] == name, "uar"]
        # Spread a little, always in the same way, so that equal scores can be counted.
        heights = position + np.linspace(-0.18, 0.18, len(ours)) * (len(ours) > 1)
        ax.plot(100 * ours, heights, "o", color=PERMUTED_COLOUR, alpha=0.7, markersize=5)
    ax.axvline(100 * chance, **CHANCE_STYLE, label="chance")
    name_rows(ax, names)
    ax.set(xlim=(0, None), xlabel="Unweighted average recall on permuted labels (%)")
    ax.legend(loc="lower right")
    return ax


def plot_learning_curve(curve: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw a score over the number of training speakers, with its interval."""
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
        label="mean, and standard deviation over samples of training speakers",
    )
    ax.axhline(100 * chance, **CHANCE_STYLE, label="chance")
    ax.set(xlabel="Training speakers", ylabel="Unweighted average recall (%)")
    ax.set(ylim=(0, None), xlim=(0, number.max() + 1))
    ax.set_xticks(number)
    ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(-0.02, 1.0), columnspacing=1.2)
    return ax


def plot_condition(
    scores: pd.DataFrame,
    *,
    clean: tuple[float, float, float],
    chance: float,
    ax: Axes | None = None,
) -> Axes:
    """Draw a score over the strength of one corruption; the clean clips' as a line and a band."""
    ax = axes_or_new(ax, (2.6, 2.4))
    value, low, high = (100 * one for one in clean)
    ax.axhspan(low, high, color="#999999", alpha=0.2, linewidth=0)
    ax.axhline(value, color="#777777", linewidth=1)
    ax.axhline(100 * chance, **CHANCE_STYLE)
    places = np.arange(len(scores))
    ax.vlines(
        places, 100 * scores["low"], 100 * scores["high"], color=HONEST_COLOUR, alpha=0.5, lw=3
    )
    ax.plot(places, 100 * scores["uar"], "o-", color=HONEST_COLOUR, markersize=5, linewidth=1)
    ax.set_xticks(places, [f"{one:g}".replace("-", "−") for one in scores["value"]])
    ax.set(ylim=(0, 100), xlim=(-0.6, max(len(scores) - 0.4, 0.6)), xlabel=scores["unit"].iloc[0])
    return ax


def plot_plane(
    values: np.ndarray,
    duration_s: float,
    *,
    ticks: tuple[tuple[float, str], ...] = (),
    limits: tuple[float, float] = (0.0, 1.0),
    colours: str = "magma",
    ax: Axes | None = None,
) -> Axes:
    """Draw a map of shape (n_steps, n_bands) over time and mel bands.

    `ticks` are positions on the band axis, as a share of its height, with their labels.
    """
    ax = axes_or_new(ax, (3.0, 2.6))
    ax.imshow(
        values.T,
        origin="lower",
        aspect="auto",
        extent=(0.0, duration_s, 0.0, 1.0),
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        interpolation="nearest",
    )
    ax.set_yticks([place for place, _ in ticks], [label for _, label in ticks])
    ax.grid(visible=False)
    ax.set_xlabel("Time (s)")
    return ax


def plot_band_profiles(
    profiles: pd.DataFrame, *, x_label: str, y_label: str, ax: Axes | None = None
) -> Axes:
    """Draw one line per emotion (column) over the parts of an axis (index)."""
    ax = axes_or_new(ax)
    places = np.arange(len(profiles))
    for marker, (name, values) in zip("osD^vPX*<>h", profiles.items(), strict=False):
        colour = colour_of(str(name))
        ax.plot(places, values, color=colour, marker=marker, markersize=4.5, label=name)
    ax.axhline(0, color="#333333", linewidth=1)
    ax.set_xticks(places, profiles.index)
    ax.set(xlabel=x_label, ylabel=y_label)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.02))
    return ax


def plot_layers(curve: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw the score of each layer of an encoder, with its range over folds."""
    ax = axes_or_new(ax)
    ax.fill_between(
        curve["layer"], 100 * curve["low"], 100 * curve["high"], color=HONEST_COLOUR, alpha=0.18
    )
    ax.plot(curve["layer"], 100 * curve["uar"], "o-", color=HONEST_COLOUR)
    ax.axhline(100 * chance, **CHANCE_STYLE)
    ax.set_xticks(curve["layer"], ["front\nend", *map(str, curve["layer"][1:])])
    ax.set(xlabel="Layer", ylabel="UAR on inner folds (%)", ylim=(0, 100))
    return ax


def plot_normalisations(tables: Mapping[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Draw scores by what is known of a new speaker in advance, a row each, one series a table."""
    names = list(dict.fromkeys(name for table in tables.values() for name in table["name"]))
    ax = axes_or_new(ax, (8.0, 1.2 + 0.42 * len(names)))
    for number, (corpus, table) in enumerate(tables.items()):
        colour = HONEST_COLOUR if number == 0 else CONTROL_COLOUR
        for place, row in enumerate(table.itertuples()):
            height = names.index(row.name) + 0.24 * (number - (len(tables) - 1) / 2)
            values = (100 * row.value, 100 * row.low, 100 * row.high)
            label = None if place else corpus
            draw_interval(ax, height, values, colour=colour, size=6, label=label)
    name_rows(ax, [one.replace(", ", ",\n") for one in names])
    ax.set(xlim=(0, 100), xlabel="UAR (%)", ylabel="Known of the speaker in advance")
    if tables:
        ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
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
    box |= {"linecolor": "#555555"}
    colours = [colour_of(one) for one in order]
    sns.boxplot(x=x, y=y, order=order, hue=x, hue_order=order, palette=colours, ax=ax, **box)
    ax.set(xlabel="", ylabel=label)
    ax.set_xticks(range(len(order)), order, rotation=60, ha="right", rotation_mode="anchor")
    return ax


def plot_picture(picture: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Show an array of shape (height, width, 3) or (height, width, 1) as a network sees it."""
    ax = axes_or_new(ax, SQUARE)
    is_grey = picture.shape[-1] == 1
    # Arrays have the lowest band first, pictures the highest.
    shown, origin = (picture[..., 0], "lower") if is_grey else (picture, "upper")
    ax.imshow(shown, aspect="equal", origin=origin, interpolation="nearest")
    ax.set_axis_off()
    return ax


def plot_roc(curves: Mapping[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Draw one-against-rest ROC curves, the area below each in the legend.

    Parameters
    ----------
    curves : mapping of str to pandas.DataFrame
        Columns `false_positive_rate, true_positive_rate` by class; `attrs["auc"]` is the area.
    """
    ax = axes_or_new(ax, SQUARE)
    # Colours that some eyes confuse differ in their line as well.
    lines = cycle(("-", "--", "-.", ":"))
    for (label, curve), line in zip(curves.items(), lines, strict=False):
        x, y = 100 * curve["false_positive_rate"], 100 * curve["true_positive_rate"]
        name = f"{label}  {curve.attrs['auc']:.2f}"
        ax.plot(x, y, line, color=colour_of(label), linewidth=1.5, label=name)
    ax.plot([0, 100], [0, 100], **CHANCE_STYLE)
    ax.set(xlim=(0, 100), ylim=(0, 100.5), aspect="equal")
    ax.set(xlabel="False positive rate (%)", ylabel="True positive rate (%)")
    ax.legend(title="Area under the curve", title_fontsize=9, loc="lower right")
    return ax


def plot_right_and_wrong(counts: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many clips each system gets right and wrong, one bar a system.

    Parameters
    ----------
    counts : pandas.DataFrame
        Columns `right` and `wrong`, numbers of clips; indexed by the system's name.
    """
    ax = axes_or_new(ax, (8.0, 0.9 + 0.42 * len(counts)))
    positions, left = np.arange(len(counts)), np.zeros(len(counts))
    kinds = (("right", HONEST_COLOUR, "white"), ("wrong", "#CCCCCC", "#1c1e21"))
    for column, colour, text_colour in kinds:
        bars = ax.barh(positions, counts[column], left=left, color=colour, label=column)
        ax.bar_label(bars, fmt="{:,.0f}", label_type="center", fontsize=9, color=text_colour)
        left += counts[column].to_numpy()
    ax.set_yticks(positions, counts.index)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("Clips")
    ax.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return ax


def plot_sureness(predictions: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw mean confidence and accuracy of predictions, one line a kind of recording.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Columns `name`, `sure` (mean confidence) and `right` (accuracy), both shares.
    """
    ax = axes_or_new(ax, (8.0, 1.2 + 0.42 * len(predictions)))
    rows = range(len(predictions))
    right, sure = 100 * predictions["right"], 100 * predictions["sure"]
    ax.hlines(rows, right, sure, "#999999", linewidth=3, alpha=0.6, capstyle="projecting", zorder=1)
    # Hollow: where both are equal, the dot shows in it.
    diamond: dict[str, Any] = {"color": "#CC79A7", "markerfacecolor": "none", "markersize": 9}
    handles = [
        *ax.plot(right, rows, "o", color=HONEST_COLOUR, markersize=6, label="right"),
        *ax.plot(sure, rows, "D", **diamond, label="sure"),
    ]
    name_rows(ax, predictions["name"])
    ax.set(xlim=(0, 100), xlabel="Share of the clips; mean confidence (%)")
    ax.legend(handles=handles, ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return ax
