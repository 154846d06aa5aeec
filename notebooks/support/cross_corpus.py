"""Strangers: each corpus left out in turn, and every corpus trained on and tested by every other.

`left_out_table` reads stored runs under `leave_corpus_out`. `transfer_matrix` trains one linear
head a pair, of which nothing is chosen: mean and spread of layers 1 to 6, one penalty.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ser_lib.data.enrolment import corpora_of
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import csv_of_rows, each_left_out, rows_of
from ser_lib.evaluation.metrics import confusion_counts, uar
from ser_lib.features.extraction import extract
from ser_lib.models.ridge_head import MIN_SPREAD, solve_ridge
from ser_lib.paths import report_dir
from ser_lib.runs.results import collect
from ser_lib.runs.store import cached_result, require_audio
from ser_lib.studies.moonshine import BASE_ONE_SPEED, MOONSHINE

LAYERS = slice(1, 7)
PENALTY = 1.0


def left_out_table(clips: pd.DataFrame, model: str = "base_one_speed") -> pd.DataFrame:
    """Tabulate the stored runs of a model under `leave_corpus_out`, one row a corpus left out.

    Columns: how many classes, clips and speakers are tested; UAR and accuracy with intervals by
    speaker, and `overconfidence`, mean confidence less accuracy, all in [0, 1]. Empty unless every
    corpus of the clips was left out.
    """
    protocols = each_left_out(["leave_corpus_out"], clips)
    found = collect(MOONSHINE, clips, models=[model], protocols=protocols, stored_only=True)
    rows = []
    for one in found.all:
        score, sure = one.score, one.pooled[[f"p_{label}" for label in one.labels]].max(axis=1)
        rows.append(
            {
                "corpus": one.runs[0].spec["protocol_params"]["test"],
                "n_classes": len(one.labels),
                "n_clips": score.n_rows,
                "n_speakers": score.n_speakers,
                "n_seeds": score.n_seeds,
                **{name: getattr(score, name) for name in ("uar", "uar_low", "uar_high", "wa")},
                "overconfidence": float(sure.mean()) - score.wa,
            }
        )
    return pd.DataFrame(rows)


def transfer_matrix(clips: pd.DataFrame, *, is_room_known: bool = False) -> pd.DataFrame:
    """Train on each corpus alone and test on every other one; UAR in [0, 1] over shared classes.

    Parameters
    ----------
    clips : pandas.DataFrame
        Of several corpora.
    is_room_known : bool
        Whether the mean of each corpus's own clips is taken out first, without their labels.

    Returns
    -------
    pandas.DataFrame
        Trained on by row, tested on by column; NaN on the diagonal, and where fewer than two
        classes are shared.
    """
    rows = rows_of(clips, LABEL_SETS["seven"])
    identity = {
        "features": BASE_ONE_SPEED.identity(),
        "rows": csv_of_rows(rows),
        "is_room_known": is_room_known,
        "penalty": PENALTY,
    }

    def compute() -> dict[str, dict[str, float]]:
        require_audio(clips, "the matrix is not stored")
        tables = [one for _, one in clips.groupby("corpus", sort=False)]
        arrays = np.concatenate([extract(one, BASE_ONE_SPEED)[:, 0, LAYERS] for one in tables])
        place = pd.Series(range(len(clips)), index=pd.concat(tables)["clip_id"])
        flat = arrays.reshape(len(arrays), -1).astype(np.float32)[place[rows["clip_id"]]]
        corpora = corpora_of(rows)
        if is_room_known:
            for one in corpora.unique():
                flat[corpora == one] -= flat[corpora == one].mean(axis=0)
        names = sorted(corpora.unique())
        return {
            train: {
                test: _transfer(flat, rows["label"], corpora == train, corpora == test)
                for test in names
                if test != train
            }
            for train in names
        }

    stored = cached_result(report_dir("languages") / "transfer", identity, compute, name="matrix")
    return pd.DataFrame(stored, dtype=float).T.sort_index().sort_index(axis=1)


def _transfer(
    flat: np.ndarray, labels: pd.Series, is_train: pd.Series, is_test: pd.Series
) -> float | None:
    """Train a linear head on some rows and return its UAR on others, over the shared classes."""
    shared = sorted(set(labels[is_train]) & set(labels[is_test]))
    if len(shared) < 2:
        return None
    train, test = (flat[one & labels.isin(shared)] for one in (is_train, is_test))
    truth = labels[is_train & labels.isin(shared)]
    mean, spread = train.mean(axis=0), np.maximum(train.std(axis=0), MIN_SPREAD)
    train, test = (train - mean) / spread, (test - mean) / spread
    targets = (truth.to_numpy()[:, np.newaxis] == np.array(shared)).astype(np.float32)
    ((dual, offset),) = solve_ridge(train @ train.T, targets, (PENALTY,))
    said = np.array(shared)[(test @ (train.T @ dual) + offset).argmax(axis=1)]
    return float(uar(confusion_counts(labels[is_test & labels.isin(shared)], said, shared)))
