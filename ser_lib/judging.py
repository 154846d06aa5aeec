"""What a bundle says of itself: figures, temperature and threshold, from speakers never heard."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ser_lib.calibration import cross_fitted, ece, fit_temperature, with_temperature
from ser_lib.confidence import Selection, select_threshold
from ser_lib.metrics import class_table, with_clip_columns
from ser_lib.runs import score_runs
from ser_lib.store import Run

__all__ = ["judge_run", "selected"]


def judge_run(run: Run, clips: pd.DataFrame) -> dict[str, object]:
    """Score a run on speakers never heard, and find temperature and threshold on it.

    Parameters
    ----------
    run : Run
        Its test rows are of speakers that its models did not know.
    clips : pandas.DataFrame
        Clip table.

    Returns
    -------
    dict
        Plain data: `confidence` (the mean), `temperature`, `calibration_error` (before, after; this
        and the first cross-fitted by fold), `selection`, `score`, `recalls`.

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    labels = list(run.labels)
    table = with_clip_columns(run.predictions, clips)
    temperature = fit_temperature(table, labels)
    fair, _ = cross_fitted(table, labels)
    score = score_runs([run], clips)
    recalls = class_table(table["truth"], table["prediction"], labels)["recall"]
    selection = selected(table, labels, temperature)
    sureness = fair[[f"p_{label}" for label in labels]].max(axis=1)
    return {
        "confidence": round(float(sureness.mean()), 4),
        "temperature": round(temperature, 4),
        "calibration_error": {
            "before": round(ece(table, labels)[0], 4),
            "after": round(ece(fair, labels)[0], 4),
        },
        "selection": {key: round(value, 4) for key, value in vars(selection).items()},
        "score": {key: round(value, 4) for key, value in vars(score).items()},
        "recalls": {label: round(float(recalls[label]), 4) for label in labels},
    }


def selected(predictions: pd.DataFrame, labels: Sequence[str], temperature: float) -> Selection:
    """Choose the 'not sure' threshold on predictions of speakers never heard, once calibrated."""
    calibrated = with_temperature(predictions, labels, temperature)
    probabilities = calibrated[[f"p_{label}" for label in labels]].to_numpy(dtype=float)
    return select_threshold(probabilities, predictions["truth"].map(list(labels).index).to_numpy())
