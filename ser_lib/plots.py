"""Figures: draw numbers on an Axes and return it.

Nothing is computed here that could be called a result: scores, counts and spectrograms come in.
Axes are labelled with units, emotions have their fixed colours and are always named as well,
scores start at 0 with chance drawn, intervals are drawn and never bare bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser_lib.labels import colour_of

__all__ = [
    "SQUARE",
    "WIDE",
    "new_figure",
    "plot_class_balance",
    "plot_confusion",
    "plot_distribution",
    "plot_envelope",
    "plot_history",
    "plot_ladder",
    "plot_log_mel",
    "plot_picture",
    "plot_recalls",
    "plot_roc",
    "plot_scores",
    "plot_speakers",
]

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


def _axes(ax: Axes | None, size: tuple[float, float] = WIDE) -> Axes:
    return ax if ax is not None else plt.subplots(figsize=size)[1]


def plot_class_balance(counts: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many clips each emotion has, split by the columns (gender, for example).

    Parameters
    ----------
    counts : pandas.DataFrame, shape (n_emotions, n_groups)
        Number of clips; index emotions in canonical order.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 01_eda.ipynb
    """
    ax = _axes(ax)
    positions, base = np.arange(len(counts)), np.zeros(len(counts))
    for number, group in enumerate(counts.columns):
        values = counts[group].to_numpy()
        bars = ax.bar(
            positions,
            values,
            bottom=base,
            width=0.72,
            color=[colour_of(emotion) for emotion in counts.index],
            alpha=1.0 if number == 0 else 0.55,
            edgecolor="white",
        )
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
    ax.text(
        1.0,
        1.02,
        " below, ".join(map(str, counts.columns)) + " above",
        transform=ax.transAxes,
        ha="right",
        color="#555555",
        fontsize=9,
    )
    return ax


def plot_envelope(
    envelope: np.ndarray, duration_s: float, *, colour: str = "#333333", ax: Axes | None = None
) -> Axes:
    """Draw a waveform from its minima and maxima.

    Parameters
    ----------
    envelope : ndarray, shape (2, n_points)
        Minima and maxima, in [-1, 1].
    duration_s : float
        Time that it covers.
    colour : str
        Of the area.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 01_eda.ipynb
    """
    ax = _axes(ax)
    time_s = np.linspace(0, duration_s, envelope.shape[1])
    ax.fill_between(time_s, envelope[0], envelope[1], color=colour, linewidth=0)
    ax.set(xlim=(0, duration_s), xlabel="Time (s)", ylabel="Amplitude")
    ax.grid(visible=False)
    return ax


def plot_log_mel(
    level_db: np.ndarray,
    duration_s: float,
    *,
    f_max_hz: float,
    with_colour_bar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a log-mel spectrogram with time in seconds and mel bands labelled in Hz.

    Parameters
    ----------
    level_db : ndarray, shape (n_mels, n_frames)
        In dB below the maximum.
    duration_s : float
        Time that the frames cover.
    f_max_hz : float
        Upper edge of the highest band.
    with_colour_bar : bool
        Whether to draw the scale in dB.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 02_spectrograms.ipynb
    """
    import librosa

    ax = _axes(ax)
    image = ax.imshow(
        level_db,
        origin="lower",
        extent=(0, duration_s, 0, len(level_db)),
        vmin=-80,
        vmax=0,
        interpolation="nearest",
    )
    edges_hz = librosa.mel_frequencies(n_mels=len(level_db) + 2, fmax=f_max_hz)[1:-1]
    ticks_hz = [hz for hz in (250, 500, 1000, 2000, 4000, 8000) if hz <= f_max_hz]
    ax.set_yticks([np.searchsorted(edges_hz, hz) for hz in ticks_hz], [f"{t}" for t in ticks_hz])
    ax.set(xlabel="Time (s)", ylabel="Frequency (Hz, mel)")
    ax.grid(visible=False)
    if with_colour_bar:
        ax.figure.colorbar(image, ax=ax, label="Level (dB)", pad=0.01)
    return ax


def plot_picture(picture: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Show an array of shape (height, width, 3) or (height, width, 1) as a network sees it."""
    ax = _axes(ax, SQUARE)
    is_grey = picture.shape[-1] == 1
    # Arrays have the lowest band first, pictures the highest.
    ax.imshow(
        picture[..., 0] if is_grey else picture,
        origin="lower" if is_grey else "upper",
        aspect="equal",
        interpolation="nearest",
    )
    ax.set_axis_off()
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
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 01_eda.ipynb
    """
    import seaborn as sns

    ax = _axes(ax)
    sns.boxplot(
        x=groups.to_numpy(),
        y=values.to_numpy(),
        order=list(order),
        hue=groups.to_numpy(),
        hue_order=list(order),
        palette=[colour_of(one) for one in order],
        legend=False,
        width=0.6,
        fliersize=1.5,
        linewidth=0.8,
        ax=ax,
    )
    ax.set(xlabel="", ylabel=label)
    ax.tick_params(axis="x", rotation=40)
    for tick in ax.get_xticklabels():
        tick.set_horizontalalignment("right")
    return ax


def plot_confusion(counts: np.ndarray, labels: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Draw a confusion matrix: share of the true class in percent, number of clips beneath.

    Parameters
    ----------
    counts : ndarray, shape (n_classes, n_classes)
        Truth by row. Means over seeds may be fractions.
    labels : sequence of str
        The classes.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 03_cnn_2d.ipynb
    """
    ax = _axes(ax, SQUARE)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else "#333333"
        if counts[row, column] > 0:
            ax.text(
                column,
                row - 0.1,
                f"{100 * share:.0f} %",
                ha="center",
                va="center",
                color=colour,
                fontsize=8,
                fontweight="bold" if row == column else "normal",
            )
            ax.text(
                column,
                row + 0.24,
                f"{counts[row, column]:.0f}",
                ha="center",
                va="center",
                color=colour,
                fontsize=6.5,
            )
    ax.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
    ax.set_yticks(range(len(labels)), labels)
    ax.set(xlabel="Predicted", ylabel="Acted")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return ax


def plot_history(history: pd.DataFrame, *, quantity: str, ax: Axes | None = None) -> Axes:
    """Draw learning curves: one thin line a fold or seed, training and validation apart.

    Parameters
    ----------
    history : pandas.DataFrame
        Columns `epoch`, `curve` (which line a row belongs to), `<quantity>`, `val_<quantity>`.
    quantity : str
        "accuracy" or "loss".
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 03_cnn_2d.ipynb
    """
    ax = _axes(ax)
    for number, (_, curve) in enumerate(history.groupby("curve", sort=False)):
        first = number == 0
        ax.plot(
            curve["epoch"],
            curve[quantity],
            color="#888888",
            alpha=0.8,
            linewidth=1.2,
            label="training" if first else None,
        )
        ax.plot(
            curve["epoch"],
            curve[f"val_{quantity}"],
            color=HONEST_COLOUR,
            alpha=0.8,
            linewidth=1.2,
            label="validation" if first else None,
        )
    ax.set(xlabel="Epoch", ylabel=quantity.capitalize())
    ax.set_ylim(bottom=0)
    if quantity == "accuracy":
        ax.set_ylim(0, 1)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax


def plot_roc(curves: Mapping[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Draw one-against-rest ROC curves, the area below each in the legend.

    Parameters
    ----------
    curves : mapping of str to pandas.DataFrame
        From `ser_lib.metrics.roc_curves`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 03_cnn_2d.ipynb
    """
    ax = _axes(ax, SQUARE)
    for label, curve in curves.items():
        ax.plot(
            curve["false_positive_rate"],
            curve["true_positive_rate"],
            color=colour_of(label),
            linewidth=1.5,
            label=f"{label}  {curve.attrs['auc']:.2f}",
        )
    ax.plot([0, 1], [0, 1], **CHANCE_STYLE)
    ax.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    ax.set(xlabel="False positive rate", ylabel="True positive rate")
    ax.legend(title="Area under the curve", title_fontsize=9, loc="lower right")
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
        From `ser_lib.metrics.class_table`, by the name in the legend.
    chance : float
        One over the number of classes.
    published : pandas.Series, optional
        The authors' recalls by class, drawn as marks.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 03_cnn_2d.ipynb
    """
    ax = _axes(ax)
    first = next(iter(tables.values()))
    positions, width = np.arange(len(first)), 0.8 / len(tables)
    colours = (LEAKING_COLOUR, HONEST_COLOUR, "#009E73", "#CC79A7")
    for number, (name, table) in enumerate(tables.items()):
        offset = (number - (len(tables) - 1) / 2) * width
        ax.bar(
            positions + offset, table["recall"], width * 0.92, color=colours[number % 4], label=name
        )
    if published is not None:
        known = published.reindex(first.index)
        ax.scatter(
            positions - width / 2,
            known,
            marker="D",
            s=26,
            color=PUBLISHED_COLOUR,
            edgecolor="white",
            linewidth=0.7,
            zorder=3,
            label="published",
        )
    ax.axhline(chance, **CHANCE_STYLE)
    ax.set_xticks(positions, first.index)
    ax.set(ylim=(0, 1.02), ylabel="Recall")
    ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
    return ax


def plot_scores(
    scores: pd.DataFrame,
    *,
    chance: float,
    x_label: str = "Unweighted average recall (%)",
    ax: Axes | None = None,
) -> Axes:
    """Draw a score with its interval for every row, one line a row.

    Parameters
    ----------
    scores : pandas.DataFrame
        Columns `name, value, low, high` in [0, 1] and `colour`.
    chance : float
        Drawn as a dashed line, in [0, 1].
    x_label : str
        What the score is.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 04_cnn_1d_mfcc.ipynb
    """
    ax = _axes(ax, (8.0, 0.7 + 0.42 * len(scores)))
    for position, row in enumerate(scores.itertuples()):
        ax.plot(
            [100 * row.low, 100 * row.high],
            [position] * 2,
            color=row.colour,
            linewidth=3,
            alpha=0.45,
            solid_capstyle="round",
        )
        ax.plot(100 * row.value, position, "o", color=row.colour, markersize=7)
        ax.annotate(
            f"{100 * row.value:.1f}",
            (100 * row.high, position),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    _percent_axis(ax, chance, x_label)
    ax.set_yticks(range(len(scores)), scores["name"])
    ax.set_ylim(len(scores) - 0.4, -0.6)
    return ax


def _percent_axis(ax: Axes, chance: float, x_label: str) -> None:
    ax.axvline(100 * chance, **CHANCE_STYLE)
    ax.annotate(
        "chance",
        (100 * chance, 1),
        (3, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        color="#777777",
        fontsize=8,
    )
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.set(xlim=(0, 104), xlabel=x_label)
    ax.set_xticks(range(0, 101, 20))


def plot_ladder(
    steps: pd.DataFrame,
    *,
    chance: float,
    listeners: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw, for every model, the published figure, the same protocol here, and the honest one.

    Parameters
    ----------
    steps : pandas.DataFrame
        One row a model, columns `name`, `published` (NaN where there is none), and
        `leaking`, `leaking_low`, `leaking_high`, `honest`, `honest_low`, `honest_high`; all WA
        in [0, 1].
    chance : float
        In [0, 1].
    listeners : tuple of float, optional
        Range of people's accuracy on the same task, drawn as a band.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    ax = _axes(ax, (8.0, 1.3 + 0.62 * len(steps)))
    if listeners is not None:
        low, high = (100 * one for one in listeners)
        ax.axvspan(low, high, color="#009E73", alpha=0.13, linewidth=0)
        ax.annotate(
            "listeners",
            ((low + high) / 2, 1),
            (0, 3),
            ha="center",
            color="#00704F",
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=8,
        )
    styles = (
        ("leaking", -0.13, LEAKING_COLOUR, "as published, here"),
        ("honest", 0.17, HONEST_COLOUR, "speakers never heard"),
    )
    for position, row in enumerate(steps.itertuples()):
        for kind, offset, colour, name in styles:
            value, low, high = (getattr(row, kind + end) for end in ("", "_low", "_high"))
            height = position + offset
            ax.plot(
                [100 * low, 100 * high],
                [height] * 2,
                color=colour,
                linewidth=3.5,
                alpha=0.45,
                solid_capstyle="round",
            )
            ax.plot(
                100 * value,
                height,
                "o",
                color=colour,
                markersize=7,
                label=name if position == 0 else None,
            )
            ax.annotate(
                f"{100 * value:.0f}",
                (100 * high, height),
                (6, 0),
                va="center",
                textcoords="offset points",
                fontsize=8.5,
                color="#333333",
            )
        if np.isfinite(row.published):
            ax.plot(
                100 * row.published,
                position - 0.13,
                "D",
                color=PUBLISHED_COLOUR,
                markersize=7,
                markeredgecolor="white",
                zorder=4,
            )
    if steps["published"].notna().any():
        ax.plot([], [], "D", color=PUBLISHED_COLOUR, markeredgecolor="white", label="the authors'")
    _percent_axis(ax, chance, "Accuracy (WA, %)")
    ax.set_yticks(range(len(steps)), steps["name"])
    ax.set_ylim(len(steps) - 0.45, -0.55)
    ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, -0.02 - 1.05 / (1 + len(steps))))
    return ax


def plot_speakers(scores: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw one column of dots a speaker, one colour and marker a system.

    Parameters
    ----------
    scores : pandas.DataFrame, shape (n_speakers, n_systems)
        Accuracy in [0, 1]; index speakers in the order to draw.
    chance : float
        In [0, 1].
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    ax = _axes(ax)
    styles = zip(
        "osD^v", (HONEST_COLOUR, "#CC79A7", "#009E73", LEAKING_COLOUR, "#555555"), strict=True
    )
    for (name, values), (marker, colour) in zip(scores.items(), styles, strict=False):
        ax.plot(range(len(values)), 100 * values, marker, color=colour, label=name, alpha=0.9)
    ax.axhline(100 * chance, **CHANCE_STYLE)
    ax.set_xticks(range(len(scores)), scores.index, rotation=60, ha="right", fontsize=8)
    ax.set(ylim=(0, 100), ylabel="Accuracy (%)")
    ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    return ax
