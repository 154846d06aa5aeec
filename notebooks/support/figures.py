"""Figures of a search for settings: how it went on, and which settings went with which scores.

Nothing is computed here that could be called a result: numbers come in, an Axes goes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser_lib.data.labels import colour_of
from ser_lib.plots.style import (
    CHANCE_STYLE,
    HONEST_COLOUR,
    LEAKING_COLOUR,
    PUBLISHED_COLOUR,
    axes_or_new,
    hide,
    new_figure,
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


def plot_condition(
    scores: pd.DataFrame,
    *,
    clean: tuple[float, float, float],
    chance: float,
    ax: Axes | None = None,
) -> Axes:
    """Draw a score over the strength of one corruption, beside that of clean clips.

    Parameters
    ----------
    scores : pandas.DataFrame
        Columns `value` (the strength), `unit`, and `uar, low, high` in [0, 1], in the order in
        which they are drawn.
    clean : tuple of float
        Score of the clean clips and its interval, in [0, 1]; drawn as a line and a band.
    chance : float
        In [0, 1].
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
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
    """Draw a map over time and mel bands.

    Parameters
    ----------
    values : ndarray, shape (n_steps, n_bands)
        Time first, as networks see it.
    duration_s : float
        What the steps cover, in seconds.
    ticks : tuple of tuple
        Places on the band axis, as a share of its height, and their labels.
    limits : tuple of float
        Values of the darkest and the lightest colour.
    colours : str
        A matplotlib colour map.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
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
    """Draw one line an emotion over parts of an axis, each labelled at its end.

    Parameters
    ----------
    profiles : pandas.DataFrame
        One column an emotion; the index names the parts, in their order.
    x_label, y_label : str
        What the parts and the values are.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
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


N_COLUMNS = 4
POINT = {"linestyle": "none", "marker": "o", "markersize": 5, "alpha": 0.75}
OWN = {"linestyle": "none", "marker": "D", "markersize": 7, "markeredgecolor": "white", "zorder": 3}


def plot_search(trials: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw the score of every trial in the order of the search, and the best one so far.

    Parameters
    ----------
    trials : pandas.DataFrame
        From `ser_lib.runs.tuning.tune`: `number`, and `uar` in [0, 1], NaN where a trial diverged.
        Number 0, the study's own choice, is drawn as a diamond.
    chance : float
        Drawn as a dashed line, in [0, 1].
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Notes
    -----
    Notebook: 05_cnn_3d_pooled.ipynb
    """
    ax = axes_or_new(ax)
    tried = trials[trials["number"] > 0]
    own = trials[trials["number"] == 0]
    ax.step(
        trials["number"],
        100 * trials["uar"].cummax(),
        where="post",
        color=HONEST_COLOUR,
        label="best so far",
    )
    ax.plot(tried["number"], 100 * tried["uar"], color="#777777", label="a trial", **POINT)
    ax.plot(
        own["number"], 100 * own["uar"], color=PUBLISHED_COLOUR, label="the study's choice", **OWN
    )
    ax.axhline(100 * chance, **CHANCE_STYLE, label="chance")
    ax.set(xlabel="Trial", ylabel="Validation UAR (%)")
    ax.set_ylim(0, _top(trials, chance))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
    return ax


def plot_parameters(
    trials: pd.DataFrame,
    choices: Mapping[str, Sequence[object]],
    *,
    chance: float,
    importances: pd.Series | None = None,
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """Draw one panel a parameter: the scores of the trials against its value.

    Parameters
    ----------
    trials : pandas.DataFrame
        From `ser_lib.runs.tuning.tune`; `uar` in [0, 1].
    choices : mapping of str to sequence
        `ser_lib.runs.tuning.SearchSpace.choices`: what each parameter could be, in order. Those of
        `learning_rate` are the ends of a logarithmic range; the others are strips of points, with
        a line at their median.
    chance : float
        Drawn as a dashed line, in [0, 1].
    importances : pandas.Series, optional
        Share of each parameter in [0, 1], written beside its name; NaN is not written.
    axes : ndarray of Axes, optional
        Where to draw, one a parameter or more.

    Returns
    -------
    ndarray of Axes
        One a parameter.

    Notes
    -----
    Notebook: 05_cnn_3d_pooled.ipynb
    """
    if axes is None:
        n_rows = -(-len(choices) // N_COLUMNS)
        size = (11.0, 2.3 * n_rows)
        _, axes = new_figure(n_rows, N_COLUMNS, size=size, share_y=True)
    hide(axes[len(choices) :])
    for number, (name, values) in enumerate(choices.items()):
        ax = axes[number]
        if name == "learning_rate":
            _points(ax, trials, trials[name])
            ax.set(xscale="log", xlim=(values[0] / 1.3, values[-1] * 1.3))
        else:
            _strips(ax, trials, name, values)
        ax.axhline(100 * chance, **CHANCE_STYLE)
        ax.set_ylim(0, _top(trials, chance))
        ax.set_ylabel("UAR (%)" if number % N_COLUMNS == 0 else "")
        share = np.nan if importances is None else importances.get(name, np.nan)
        words = name.removeprefix("n_").replace("_", " ")
        ax.set_title(words if np.isnan(share) else f"{words}: {100 * share:.0f} %")
    return axes[: len(choices)]


def _strips(ax: Axes, trials: pd.DataFrame, name: str, values: Sequence[object]) -> None:
    for position, value in enumerate(values):
        ours = trials[trials[name] == value]
        # Side by side in their order, so that equal scores do not hide each other.
        spread = np.linspace(-0.22, 0.22, len(ours)) if len(ours) > 1 else np.zeros(len(ours))
        _points(ax, ours, position + spread)
        if ours["uar"].notna().any():
            median = 100 * ours["uar"].median()
            ends = [position - 0.32, position + 0.32]
            ax.plot(ends, [median] * 2, color=HONEST_COLOUR, linewidth=2.4, zorder=1.5)
    ax.set_xticks(range(len(values)), [str(value).replace("_", "\n") for value in values])
    ax.set_xlim(-0.6, len(values) - 0.4)


def _points(ax: Axes, trials: pd.DataFrame, across: pd.Series | np.ndarray) -> None:
    across, is_own = np.asarray(across, dtype=float), (trials["number"] == 0).to_numpy(dtype=bool)
    score = 100 * trials["uar"].to_numpy(dtype=float)
    ax.plot(across[~is_own], score[~is_own], color="#777777", **POINT)
    ax.plot(across[is_own], score[is_own], color=PUBLISHED_COLOUR, **OWN)


def _top(trials: pd.DataFrame, chance: float) -> float:
    """Return the upper end of the axis: all of it is shown where scores are high."""
    highest = np.nanmax([chance, *trials["uar"]])
    return min(104.0, 100 * highest * 1.25)
