"""Ensembles: probabilities are averaged over the same rows, and over nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import Protocol
from ser_lib.errors import RunError
from ser_lib.evaluation.metrics import score_predictions, with_clip_columns
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.baselines import KnnConfig
from ser_lib.runs.results import average_runs, score_ensemble
from ser_lib.runs.runner import run_study
from ser_lib.studies.study import ModelSpec, Study

QUICK = FeatureSpec("mfcc_zcr_rms", params={"duration_s": 0.3, "n_mfcc": 4})
STUDY = Study(
    name="tiny2026",
    title="Tiny",
    source="Nobody (2026)",
    corpora=("demo",),
    label_set=LABEL_SETS["ravdess8"],
    models=tuple(
        ModelSpec(f"knn{n}", f"{n} neighbours", KnnConfig(n_neighbors=n), QUICK) for n in (1, 3)
    ),
    published_protocol=Protocol("loso"),
    honest_protocol=Protocol("loso"),
    seeds=(1, 2),
)


@pytest.fixture(scope="module")
def runs(few_clips, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SER_CACHE", "SER_REPORTS"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        return run_study(STUDY, few_clips, protocols=["honest"], n_seeds=1)


def test_probabilities_are_averaged_row_by_row(runs):
    first, second = (run.predictions.set_index("clip_id") for run in runs)
    names = [f"p_{label}" for label in runs[0].labels]
    # Another order of rows is the same run.
    shuffled = replace(runs[1], predictions=runs[1].predictions.sample(frac=1, random_state=1))
    table = average_runs([runs[0], shuffled]).set_index("clip_id")
    expected = (first[names] + second.loc[first.index, names]) / 2
    np.testing.assert_allclose(table[names], expected)
    assert (table["prediction"] == expected.idxmax(axis=1).str.removeprefix("p_")).all()
    pd.testing.assert_series_equal(table["truth"], first["truth"])


def test_one_run_alone_is_itself(runs, few_clips):
    (alone,) = (run.predictions for run in runs[:1])
    pd.testing.assert_frame_equal(average_runs(runs[:1])[alone.columns], alone)
    expected = score_predictions([with_clip_columns(alone, few_clips)], runs[0].labels)
    assert score_ensemble([runs[:1]], few_clips) == expected


def test_systems_weigh_the_same_however_many_runs_they_have(runs, few_clips):
    first, second = runs
    names = [f"p_{label}" for label in first.labels]
    shares = [0.25, 0.25, 0.5]
    table = average_runs([first, first, second], shares)
    expected = (first.predictions[names] + second.predictions[names]) / 2
    np.testing.assert_allclose(table[names], expected)
    lone = score_ensemble([[first], [second]], few_clips)
    assert score_ensemble([[first, first], [second]], few_clips) == lone


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table: table.iloc[1:], "was tested on other rows"),
        (lambda table: table.assign(fold=table["fold"] + 1), "on other folds"),
        (lambda table: table.assign(truth=table["truth"].iloc[::-1].to_numpy()), "other rows"),
    ],
)
def test_other_rows_cannot_be_averaged(runs, spoil, message):
    other = replace(runs[1], predictions=spoil(runs[1].predictions))
    with pytest.raises(RunError, match=message):
        average_runs([runs[0], other])


def test_nothing_cannot_be_averaged():
    with pytest.raises(RunError, match="needs runs"):
        average_runs([])
