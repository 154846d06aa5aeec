"""Readings of a report: each one decision apart, and never trained by a look at the table."""

from __future__ import annotations

import pandas as pd
import pytest

from ser_lib.runs.runner import plan_run
from ser_lib.studies.boucheta2025 import BOUCHETA2025
from support.readings import (
    MODELS,
    PRINTED,
    READINGS,
    nearest_readings,
    reading_study,
    reading_table,
)


def test_a_table_trains_nothing_and_leaves_out_what_is_not_stored(few_clips, monkeypatch, tmp_path):
    monkeypatch.setenv("SER_REPORTS", str(tmp_path))
    table = reading_table(few_clips)
    assert set(table.columns.get_level_values("model")) == set(MODELS)
    assert len(table) == len(READINGS) + 1
    assert table.drop(PRINTED).isna().all(axis=None)
    assert table.loc[PRINTED].notna().all()


def test_the_nearest_reading_is_near_in_test_and_training():
    columns = pd.MultiIndex.from_product([["knn"], ["test", "training"]], names=["model", "rows"])
    rows = {"a": (0.50, 0.95), "b": (0.52, 0.68), PRINTED: (0.50, 0.67)}
    table = pd.DataFrame.from_dict(rows, orient="index").set_axis(columns, axis=1)
    assert dict(nearest_readings(table)) == {"knn": "b"}


def test_each_reading_is_another_run_than_that_of_the_study(ravdess_table):
    def key(study):
        return plan_run(study, "knn", study.published_protocol, 42, ravdess_table).identity()

    keys = [str(key(reading_study(name))) for name in READINGS]
    assert len(set(keys)) == len(keys)
    assert str(key(BOUCHETA2025)) == keys[0]


@pytest.mark.parametrize("name", ["divided", "whole_divided"])
def test_versions_of_a_clip_are_divided_together(ravdess_table, name):
    study = reading_study(name)
    (fold,) = plan_run(study, "knn", study.published_protocol, 42, ravdess_table).split.folds
    clips = [{one.split("#")[0] for one in part} for part in (fold.train, fold.test)]
    assert not clips[0] & clips[1]
