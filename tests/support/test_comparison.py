"""Tasks and pairs over results; every table against what it is made from."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import Protocol
from ser_lib.errors import StudyError
from ser_lib.evaluation.calibration import brier, ece
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.baselines import DummyConfig, KnnConfig
from ser_lib.runs.results import Results, collect
from ser_lib.studies import STUDIES
from ser_lib.studies.study import ModelSpec
from support import comparison

ROW = FeatureSpec("waveform_envelope", params={"duration_s": 0.5, "n_points": 16})
KNN = ModelSpec("knn", "KNN", KnnConfig(), ROW, is_scaled=True)
DUMMY = ModelSpec("dummy", "Dummy", DummyConfig(), ROW, is_ours=True)
STUDY = replace(
    STUDIES["boucheta2025"],
    models=(KNN, DUMMY),
    augmentations=(),
    seeds=(1, 2),
    honest_protocol=Protocol("loso"),
)
EIGHT = replace(STUDY, name="eight", label_set=LABEL_SETS["ravdess8"], label_sets={})


@pytest.fixture(scope="module")
def results(demo_clips, tmp_path_factory):
    """Two studies of different classes, collected once."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("SER_CACHE", "SER_REPORTS"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable.lower())))
        yield collect(STUDY, demo_clips) + collect(EIGHT, demo_clips, models=["knn"])


@pytest.fixture(scope="module")
def tasks(results):
    return comparison.tasks_of(results)


@pytest.fixture(scope="module")
def tests(tasks):
    return comparison.all_tests(tasks)


@pytest.fixture(scope="module")
def calibration(tasks):
    return comparison.calibration_table(tasks)


def test_results_of_other_classes_are_another_task(tasks):
    assert [len(one.results) for one in tasks] == [2, 1]
    assert [len(one.labels) for one in tasks] == [7, 8]
    assert "7 classes" in tasks[0].title


def test_other_clips_or_another_protocol_make_another_task(results):
    assert len(comparison.tasks_of(results, protocol="published")) == 2
    one, other = results.get("knn", "honest"), results.get("dummy", "honest")
    fewer = replace(other, runs=tuple(
        replace(run, predictions=run.predictions.iloc[1:]) for run in other.runs
    ))  # fmt: skip
    assert len(comparison.tasks_of(Results((one, fewer)))) == 2


def test_the_best_is_the_best_of_its_task(tasks):
    assert tasks[0].best.model.name == "knn"
    assert set(tasks[0].systems) == {"KNN", "Dummy"}


def test_a_system_at_chance_has_no_vote(tasks):
    assert set(tasks[0].votes) == {"KNN"}


def test_pairs_are_tested_within_a_task_only_and_the_dummy_is_below(tests):
    assert len(tests) == 1
    row = tests.iloc[0]
    assert (row["first"], row["second"], row["verdict"]) == ("KNN", "Dummy", "clearly above")
    text = comparison.pair_table(tests).iloc[0]
    assert text["the first is"] == "clearly above"


def test_a_chapter_and_the_last_say_the_same_of_a_pair(results, tests):
    knn, dummy = (results.get(name, "honest") for name in ("knn", "dummy"))
    said = results.difference(knn, dummy)
    for name in ("difference", "low", "high", "p", "verdict"):
        assert said[name] == tests.iloc[0][name]
    assert results.claims[-1]["second"] == "boucheta2025/dummy"
    assert results.claims[-1]["verdict"] == said["verdict"]


def test_rivals_are_those_of_the_same_task(results, monkeypatch):
    part = Results(tuple(one for one in results.all if one.study.name != "eight"))
    others = {one: replace(STUDY, name=one, corpora=("demo",)) for one in ("more", "eight")}
    others["eight"] = replace(EIGHT, corpora=("demo",))
    monkeypatch.setattr(comparison, "STUDIES", others)
    monkeypatch.setattr(comparison, "OURS", {})
    monkeypatch.setattr(
        comparison,
        "collect",
        lambda study, *_, **__: Results(tuple(replace(one, study=study) for one in part.all)),
    )
    found = comparison.with_rivals(part)
    assert {one.study.name for one in found.all} == {STUDY.name, "more"}
    assert {one.task for one in found.protocol("honest")} == {part.get("knn", "honest").task}


def test_steps_say_what_changes_along_with_the_leak(results):
    text = comparison.side_effects(results)
    rows = [
        comparison.training_rows(results.partner(one)) / comparison.training_rows(one) - 1
        for one in results.protocol("published")
        if not one.model.is_ours
    ]
    assert comparison.points(min(rows)) in text
    assert "seeds" not in text
    one = results.get("knn", "published")
    fewer = Results((replace(one, runs=one.runs[:1]), results.get("knn", "honest")))
    assert "seeds in 1 of 1" in comparison.side_effects(fewer)


def test_steps_are_counted_by_their_verdicts():
    steps = pd.DataFrame({"name": ["a\nb", "c"], "verdict": ["not distinguishable from", "x"]})
    assert "1 not distinguishable from it (a, b)" in comparison.steps_text(steps)
    fallen = steps.assign(verdict=["clearly below", "x"])
    assert comparison.steps_text(fallen).startswith("1 of 2 is clearly below")


def test_a_p_value_is_a_number_that_is_never_too_small(tests):
    for p in (2e-5, 0.0421, 0.05, 1.0):
        shown = comparison.pair_table(tests.head(1).assign(p=p))["p, at most"].iloc[0]
        assert p <= float(shown) < p + 0.001
    untested = comparison.pair_table(tests.head(1).assign(p=np.nan))
    assert untested["p, at most"].iloc[0] == "–"


def test_a_task_without_pairs_gives_an_empty_table(tasks):
    assert comparison.all_tests(tasks[1:]).empty


def test_systems_that_are_level_with_the_highest_are_counted_and_the_cheapest_named():
    task = SimpleNamespace(
        title="t", best="a", results=("a", "b", "c"), name_of=lambda one: one, score=None
    )
    task.best = SimpleNamespace(
        score=SimpleNamespace(uar=0.8, uar_low=0.7, uar_high=0.9, n_speakers=9)
    )
    task.name_of = lambda one: "a"
    row = {"task": "t", "first": "a", "difference": 0.1, "low": 0.0, "high": 0.2, "p": 0.5}
    tests = pd.DataFrame(
        [
            row | {"second": "b", "verdict": "not distinguishable from"},
            row | {"second": "c", "verdict": "clearly above"},
        ]
    )
    costs = pd.DataFrame(
        {"task": "t", "name": ["a", "b", "c"], "n_bytes": [3e6, 2e6, 1e6], "ms": [5.0, 9.0, 1.0]}
    )
    text = comparison.level_text(task, tests, costs)
    # c is the smallest and the fastest, and clearly below.
    assert "1 of the others" in text
    assert "smallest is b (2.0 MB)" in text
    assert "fastest a (5 ms" in text
    assert "smallest" not in comparison.level_text(task, tests, costs.iloc[:0])
    slow_a = costs.assign(ms=costs["ms"].where(costs["name"] != "a", 1e3))
    assert "smallest and fastest is b (2.0 MB" in comparison.level_text(task, tests, slow_a)


def test_seeds_and_speakers_are_divided_where_there_are_seeds(results):
    table = comparison.variance_table(results).set_index("model")
    # Nearest neighbours draw nothing: two seeds are the same run, and speakers are all there is.
    assert (table.loc["KNN", "over seeds"] == "0.0").all()
    assert (table["seeds"] == 2).all()


# --- beyond the score


def test_calibration_has_a_row_for_every_result(tasks, calibration):
    assert list(calibration["model"]) == ["KNN", "Dummy", "KNN"]
    pooled = tasks[0].results[0].pooled
    assert calibration.loc[0, "ece"] == pytest.approx(ece(pooled, tasks[0].labels)[0])
    assert calibration.loc[0, "brier"] == pytest.approx(brier(pooled, tasks[0].labels))
    assert (calibration["log_loss_after"] <= calibration["log_loss"] + 1e-6).all()
    assert "→" in comparison.calibration_text(calibration)["log loss"].iloc[0]


def test_folds_that_share_speakers_are_not_calibrated(results):
    leaking = results.get("knn", "published")
    if len(leaking.tables[0]["fold"].unique()) == 1:
        assert comparison.calibrated_tables(leaking) is None


def test_coverage_ends_at_the_accuracy(tasks):
    curves = comparison.coverage_curves(tasks)
    assert len(curves) == 2
    curve = next(iter(curves.values()))
    assert curve["accuracy"].iloc[-1] == pytest.approx(tasks[0].best.score.wa)


def test_fairness_has_the_groups_of_the_corpus(tasks):
    table = comparison.fairness_table(tasks)
    assert set(table["by"]) <= {"gender", "intensity", "statement"}
    assert {"gender", "statement"} <= set(table["by"])
    assert len(comparison.fairness_text(table)) == len(table)


def test_divisions_into_very_many_groups_are_left_out(tasks, monkeypatch):
    monkeypatch.setattr(comparison, "MAX_GROUPS", 2)
    assert set(comparison.fairness_table(tasks)["by"]) <= {"gender", "intensity", "statement"}
    monkeypatch.setattr(comparison, "MAX_GROUPS", 1)
    assert comparison.fairness_table(tasks).empty


def test_costs_that_were_not_measured_are_left_out(tasks):
    assert comparison.cost_table(tasks).empty


def test_measured_costs_are_joined_with_the_score(tasks, tmp_path):
    folder = tmp_path / "reports" / "demo"
    folder.mkdir(parents=True)
    pd.DataFrame(
        {
            "study": "boucheta2025",
            "model": ["knn", "dummy"],
            "n_numbers": [100, 1],
            "n_bytes": [800, 8],
            "feature_ms": [2.0, 2.0],
            "model_ms": [3.0, 0.1],
            "n_clips": 5,
            "machine": "a",
            "date": "today",
        }
    ).to_csv(folder / "costs.csv", index=False)
    known = replace(tasks[0], results=tuple(
        replace(one, study=replace(one.study, name="boucheta2025")) for one in tasks[0].results
    ))  # fmt: skip
    table = comparison.cost_table([known])
    shortened = [one.is_shortened for one in known.results]
    assert len(table) == len(shortened) - sum(shortened)


def test_records_say_more_of_honest_results(tasks, tests, calibration):
    extras = comparison.record_extras(tasks, tests, calibration)
    own = extras["boucheta2025", "knn", "demo"]
    assert own["task"] == tasks[0].title
    assert own["tests"][0]["against"] == "Dummy"
    assert own["calibration"]["ece"] == pytest.approx(calibration.loc[0, "ece"], rel=1e-3)
    assert all(np.isfinite(v) or v is None for v in own["calibration"].values())


# --- stored runs only


def test_only_stored_runs_are_gathered_where_nothing_may_be_trained(
    results, demo_clips, monkeypatch
):
    folder = results.all[0].runs[0].folder.parents[2]
    monkeypatch.setenv("SER_REPORTS", str(folder))
    more = replace(STUDY, models=(*STUDY.models, replace(KNN, name="new")), seeds=(1, 2, 3))
    found = collect(more, demo_clips, stored_only=True)
    assert [(one.model.name, len(one.runs)) for one in found.all] == [
        ("knn", 2), ("knn", 2), ("dummy", 2), ("dummy", 2),
    ]  # fmt: skip
    assert "boucheta2025 knn loso seed 3" in found.missing
    assert sum("new" in one for one in found.missing) == 6


def test_a_negative_number_of_seeds_is_refused(demo_clips):
    with pytest.raises(StudyError, match="n_seeds=-1"):
        collect(STUDY, demo_clips, n_seeds=-1)


def test_differences_of_one_system_have_its_own_sign():
    tests = pd.DataFrame(
        {
            "first": ["a", "b", "a"],
            "second": ["b", "c", "c"],
            "difference": [0.1, -0.3, -0.2],
            "low": [0.0, -0.4, -0.3],
            "high": [0.2, -0.2, -0.1],
            "p": [0.06, 0.01, 0.02],
            "verdict": ["not distinguishable from", "clearly below", "clearly below"],
        }
    )
    beside = comparison.differences_of(tests, "b")
    assert beside["name"].tolist() == ["c", "a"]
    np.testing.assert_allclose(beside["difference"], [-0.3, -0.1])
    np.testing.assert_allclose(beside["low"], [-0.4, -0.2])
    np.testing.assert_allclose(beside["high"], [-0.2, 0.0])
    assert comparison.differences_of(tests, "d").empty
