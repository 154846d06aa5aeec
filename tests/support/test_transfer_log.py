"""The log of trials: lines are added, never lost, and tell what they must."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from ser_lib.errors import RunError
from ser_lib.paths import report_dir
from support.transfer import TRIAL_COLUMNS, read_trials, record_trial


def test_a_log_that_is_not_there_is_empty():
    table = read_trials("demo")
    assert table.empty
    assert tuple(table.columns) == TRIAL_COLUMNS


def test_lines_are_added_and_those_before_stay_as_they_were():
    record_trial("demo", "one, with commas", protocol="luna5", inner_uar=0.7512)
    before = (report_dir("demo") / "transfer" / "trials.csv").read_text(encoding="utf-8")
    table = record_trial(
        "demo", "two", protocol="loso", inner_uar=None, normalisation="all", is_tested=True
    )
    after = (report_dir("demo") / "transfer" / "trials.csv").read_text(encoding="utf-8")
    assert after.startswith(before)
    pd.testing.assert_frame_equal(read_trials("demo"), table)
    assert list(table["tried"]) == ["one, with commas", "two"]
    assert list(table["inner_uar"]) == ["75.1", ""]
    assert list(table["is_tested"]) == ["False", "True"]
    assert list(table["normalisation"]) == ["none", "all"]
    assert table["date"].str.fullmatch(r"\d{4}-\d\d-\d\d").all()


def test_lines_that_are_added_at_once_are_all_there():
    def add(number: int) -> None:
        record_trial("demo", f"trial {number}", protocol="luna5", inner_uar=0.5)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    assert set(read_trials("demo")["tried"]) == {f"trial {number}" for number in range(12)}


@pytest.mark.parametrize("uar", [-0.1, 1.01, 75.0])
def test_a_score_that_is_no_share_is_refused_and_nothing_is_written(uar):
    with pytest.raises(RunError, match="is no share"):
        record_trial("demo", "one", protocol="luna5", inner_uar=uar)
    assert read_trials("demo").empty


@pytest.mark.parametrize(("tried", "protocol"), [("", "luna5"), ("one", " ")])
def test_a_trial_without_words_is_refused(tried, protocol):
    with pytest.raises(RunError, match="needs words"):
        record_trial("demo", tried, protocol=protocol, inner_uar=0.5)


def test_another_table_is_not_taken_for_the_log():
    path = report_dir("demo") / "transfer" / "trials.csv"
    path.parent.mkdir(parents=True)
    path.write_text("date,what\n2026-01-01,x\n", encoding="utf-8")
    with pytest.raises(RunError, match=r"has the columns \['date', 'what'\].*from git"):
        record_trial("demo", "one", protocol="luna5", inner_uar=0.5)
    assert path.read_text(encoding="utf-8").count("\n") == 2
