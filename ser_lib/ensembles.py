"""Ensembles of stored runs: probabilities averaged, nothing trained and nothing chosen.

The members are named beforehand and all systems weigh the same, however many seeds of each are
stored: there is nothing that could have been picked on the test speakers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser_lib.errors import RunError
from ser_lib.metrics import Score, score_predictions, with_clip_columns
from ser_lib.store import Run

__all__ = ["average_runs", "score_ensemble"]


def average_runs(runs: Sequence[Run], shares: Sequence[float] = ()) -> pd.DataFrame:
    """Average the probabilities that several runs give to the same test rows.

    Parameters
    ----------
    runs : sequence of Run
        Of any models and seeds, on the same folds with the same classes.
    shares : sequence of float
        What each of them weighs; they sum to 1. None: all the same.

    Returns
    -------
    pandas.DataFrame
        As a run's predictions: `clip_id, fold, truth, prediction` and `p_<label>`, in the order of
        the first run.

    Raises
    ------
    RunError
        If there is no run, or if classes, rows or folds differ.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    if not runs:
        raise RunError("an ensemble needs runs; none is stored")
    first = runs[0]
    keys = ["clip_id", "fold", "truth"]
    names = [f"p_{label}" for label in first.labels]
    rows = first.predictions[keys]
    total = np.zeros((len(rows), len(names)))
    for run, share in zip(runs, shares or [1 / len(runs)] * len(runs), strict=True):
        if run.labels != first.labels:
            raise RunError(f"{run.folder.name} has other classes than {first.folder.name}")
        same = rows.merge(run.predictions, on=keys, how="left", validate="one_to_one")
        if len(run.predictions) != len(rows) or same[names].isna().any(axis=None):
            raise RunError(
                f"{run.folder.name} was tested on other rows, or on other folds, than "
                f"{first.folder.name}: their probabilities cannot be averaged"
            )
        total += share * same[names].to_numpy()
    prediction = np.array(first.labels)[total.argmax(axis=1)]
    table = rows.assign(prediction=prediction)
    return table.join(pd.DataFrame(total, columns=names, index=rows.index))


def score_ensemble(systems: Sequence[Sequence[Run]], clips: pd.DataFrame) -> Score:
    """Score the average of several systems, each the average of its runs, by speaker.

    Parameters
    ----------
    systems : sequence of sequence of Run
        Runs as for `average_runs`: the seeds of one system, of the next, and so on.
    clips : pandas.DataFrame
        Clip table, for the speakers.

    Returns
    -------
    Score
        Of one ensemble: its seeds are inside it.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    runs = [run for system in systems for run in system]
    shares = [1 / (len(systems) * len(system)) for system in systems for _ in system]
    table = average_runs(runs, shares)
    return score_predictions([with_clip_columns(table, clips)], runs[0].labels)
