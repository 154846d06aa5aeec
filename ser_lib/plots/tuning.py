"""Figures of a search for settings: how it went on, and which settings went with which scores.

Nothing is computed here that could be called a result: numbers come in, an Axes goes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser_lib.plots._base import (
    CHANCE_STYLE,
    HONEST_COLOUR,
    PUBLISHED_COLOUR,
    axes_or_new,
    hide,
    new_figure,
)

__all__ = ["plot_parameters", "plot_search"]

N_COLUMNS = 4
POINT = {"linestyle": "none", "marker": "o", "markersize": 5, "alpha": 0.75}
OWN = {"linestyle": "none", "marker": "D", "markersize": 7, "markeredgecolor": "white", "zorder": 3}


def plot_search(trials: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Draw the score of every trial in the order of the search, and the best one so far.

    Parameters
    ----------
    trials : pandas.DataFrame
        From `ser_lib.tuning.tune`: `number`, and `uar` in [0, 1], NaN where a trial diverged.
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
        From `ser_lib.tuning.tune`; `uar` in [0, 1].
    choices : mapping of str to sequence
        `ser_lib.search.SearchSpace.choices`: what each parameter could be, in order. Those of
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
