"""Readings of a report: each one decision apart, and never trained by a look at the table."""

from __future__ import annotations

import pandas as pd
import pytest

from ser_lib.data import load_committed_clips
from ser_lib.paths import PROJECT_DIR
from ser_lib.runs.runner import plan_run
from ser_lib.studies import STUDIES
from support.readings import (
    MODELS,
    PRINTED,
    READINGS,
    nearest_readings,
    nearest_text,
    reading_study,
    reading_table,
)


@pytest.mark.parametrize("name", READINGS)
def test_a_table_trains_nothing_and_leaves_out_what_is_not_stored(few_clips, name):
    table = reading_table(STUDIES[name], few_clips)
    assert set(table.columns.get_level_values("model")) == set(MODELS[name])
    assert len(table) == len(READINGS[name]) + 1
    assert table.drop(PRINTED).isna().all(axis=None)
    assert table.loc[PRINTED].xs("test", level="rows").notna().all()
    assert nearest_readings(table).empty
    assert "no run is stored" in nearest_text(table, {})


def test_the_repository_holds_what_chapter_04_shows(monkeypatch):
    monkeypatch.setenv("SER_REPORTS", str(PROJECT_DIR / "reports"))
    table = reading_table(STUDIES["boucheta2025"], load_committed_clips("ravdess"))
    assert table.notna().all(axis=None)
    assert len(nearest_readings(table)) == len(MODELS["boucheta2025"])


def test_the_nearest_reading_is_near_in_test_and_training():
    columns = pd.MultiIndex.from_product([["knn"], ["test", "training"]], names=["model", "rows"])
    rows = {"a": (0.50, 0.95), "b": (0.52, 0.68), PRINTED: (0.50, 0.67)}
    table = pd.DataFrame.from_dict(rows, orient="index").set_axis(columns, axis=1)
    assert dict(nearest_readings(table)) == {"knn": "b"}


def test_where_one_figure_is_printed_it_alone_counts():
    columns = pd.MultiIndex.from_product([["small"], ["test", "training"]], names=["model", "rows"])
    rows = {"a": (0.80, 0.95), "b": (0.85, 0.60), "c": (None, None), PRINTED: (0.86, None)}
    table = pd.DataFrame.from_dict(rows, orient="index").set_axis(columns, axis=1).astype(float)
    assert dict(nearest_readings(table)) == {"small": "b"}
    assert "B, b (−1.0 points)" in nearest_text(table, {"small": "B"})


@pytest.mark.parametrize("name", READINGS)
def test_each_reading_is_another_run_than_that_of_the_study(ravdess_table, name):
    def key(study):
        model = MODELS[name][-1]
        return plan_run(study, model, study.published_protocol, 42, ravdess_table).identity()

    keys = [str(key(reading_study(STUDIES[name], one))) for one in READINGS[name]]
    assert len(set(keys)) == len(keys)
    assert str(key(STUDIES[name])) == keys[0]


@pytest.mark.parametrize("name", ["divided", "whole_divided"])
def test_versions_of_a_clip_are_divided_together(ravdess_table, name):
    study = reading_study(STUDIES["boucheta2025"], name)
    (fold,) = plan_run(study, "knn", study.published_protocol, 42, ravdess_table).split.folds
    clips = [{one.split("#")[0] for one in part} for part in (fold.train, fold.test)]
    assert not clips[0] & clips[1]
