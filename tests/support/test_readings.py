"""Readings of a report: each one decision apart, and never trained by a look at the table."""

from __future__ import annotations

import pytest

from ser_lib.runs.runner import plan_run
from ser_lib.studies.boucheta2025 import BOUCHETA2025
from support.readings import MODELS, READINGS, reading_study, reading_table


def test_a_table_trains_nothing_and_leaves_out_what_is_not_stored(few_clips, monkeypatch, tmp_path):
    monkeypatch.setenv("SER_REPORTS", str(tmp_path))
    table = reading_table(few_clips)
    assert list(table) == list(MODELS)
    assert len(table) == len(READINGS)
    assert table.isna().all(axis=None)


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
