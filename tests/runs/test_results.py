"""Results: runs gathered, scored and laid out; the published figure stays with its own corpus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser_lib.errors import RunError
from ser_lib.evaluation.metrics import confusion_counts, uar, wa
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.baselines import DummyConfig, KnnConfig
from ser_lib.report.tables import headline_table, score_table
from ser_lib.runs.results import Result, collect, collect_cross_corpus, compare, kept_epochs
from ser_lib.runs.store import Run
from ser_lib.studies import OURS, STUDIES
from ser_lib.studies.study import ModelSpec
from ser_lib.training.settings import TrainingSettings

ROW = FeatureSpec("waveform_envelope", params={"duration_s": 0.5, "n_points": 16})
KNN = ModelSpec("knn", "KNN", KnnConfig(), ROW, is_scaled=True)
DUMMY = ModelSpec("dummy", "Dummy", DummyConfig(), ROW, is_ours=True)
STUDY = replace(
    STUDIES["boucheta2025"], models=(KNN, DUMMY), augmentations=("shift",), seeds=(1, 2)
)


@pytest.fixture(scope="module")
def results(demo_clips, tmp_path_factory):
    """Collected once, in folders of their own: training is what takes time here."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("SER_CACHE", "SER_REPORTS"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable.lower())))
        yield collect(STUDY, demo_clips)


def test_there_is_one_result_a_model_and_protocol_in_their_order(results):
    names = [(one.model.name, one.protocol) for one in results.all]
    expected = [
        ("knn", "published"),
        ("knn", "honest"),
        ("dummy", "published"),
        ("dummy", "honest"),
    ]
    assert names == expected
    assert [len(one.runs) for one in results.all] == [2, 2, 2, 2]


def test_a_record_holds_the_score_of_its_runs(results):
    one = results.get("knn", "honest")
    record = one.record()
    per_seed = [
        confusion_counts(run.predictions["truth"], run.predictions["prediction"], run.labels)
        for run in one.runs
    ]
    # Records are rounded to four decimals.
    assert record["uar"] == pytest.approx(np.mean([uar(c) for c in per_seed]), abs=5e-5)
    assert record["wa"] == pytest.approx(np.mean([wa(c) for c in per_seed]), abs=5e-5)
    assert record["uar_low"] <= record["uar"] <= record["uar_high"]
    assert (record["seeds"], record["leaks"], record["n_speakers"]) == ([1, 2], [], 12)
    assert record["runs"] == [run.folder.name for run in one.runs]


def test_a_leaking_record_says_how_it_leaks(results):
    assert {"same_parent", "same_speaker"} <= set(results.get("knn", "published").record()["leaks"])


def test_the_published_figure_is_not_shown_beside_another_corpus(results):
    assert STUDY.published_value("knn") is not None
    assert results.get("knn", "published").record()["published"] is None
    at_home = collect(replace(STUDY, corpora=("demo",)), results.all[0].clips, models=["knn"])
    assert at_home.get("knn", "published").record()["published"] == STUDY.published_value("knn")


def test_the_ladder_steps_from_leaking_to_honest(results):
    ladder = results.ladder("demo").set_index("model")
    for name in ("knn", "dummy"):
        leaking, honest = (results.get(name, p).score.wa for p in ("published", "honest"))
        assert ladder.loc[name, "step"] == pytest.approx(honest - leaking)
    assert ladder["published"].isna().all()
    assert not ladder["name"].str.contains(", demo").any()
    # In another corpus's report each row says where it is from.
    assert results.ladder("pooled")["name"].str.endswith(", demo").all()


def test_what_training_knows_of_test_rows_is_told_in_words(results):
    published, honest, *_ = score_table(results)["test rows known by"]
    assert {"clip", "speaker"} <= set(published.split(", ")) <= {"sound", "clip", "speaker"}
    assert honest == "nothing"


def test_counts_are_means_over_seeds(results):
    one = results.get("knn", "honest")
    assert one.counts().sum() == pytest.approx(len(one.runs[0].predictions))
    assert one.class_table()["support"].sum() == len(one.runs[0].predictions)


def test_a_model_is_not_distinguishable_from_itself_and_above_the_dummy(results):
    knn, dummy = (results.get(name, "honest") for name in ("knn", "dummy"))
    assert results.compare(knn, knn) == "not distinguishable from"
    assert results.compare(knn, dummy) == "clearly above"
    assert results.compare(dummy, knn) == "clearly below"


def test_a_result_that_is_not_there_is_named_with_those_that_are(results):
    with pytest.raises(RunError, match=r"svm .*knn/published"):
        results.get("svm", "honest")


def test_results_of_two_studies_are_joined_and_told_apart(results):
    other = collect(replace(STUDY, name="other"), results.all[0].clips, models=["knn"])
    both = results + other
    assert {one.study.name for one in both.all} == {STUDY.name, "other"}
    assert len(both.ladder("demo")) == 3


def test_a_study_of_ours_is_gathered_elsewhere_by_its_own_protocol(monkeypatch):
    monkeypatch.delenv("SER_REPORTS")
    monkeypatch.setenv("SER_DATA", "/nowhere")
    there = collect_cross_corpus(OURS["moonshine"], "ravdess")
    assert {one.corpus for one in there.all} == {"emodb"}
    assert {(one.protocol, one.protocol_name) for one in there.all} == {("honest", "loso")}
    assert there.missing == ()
    assert {one.corpus for one in collect_cross_corpus(STUDIES["iemocap5"], "ravdess").all} == {
        "emodb"
    }
    assert collect_cross_corpus(STUDIES["swart2025"], "ravdess").all == ()


HISTORY = pd.DataFrame(
    {
        "fold": [0, 0, 0, 1, 1, 1],
        "epoch": [1, 2, 3, 1, 2, 3],
        "val_loss": [0.5, 0.4, 0.6, 0.3, 0.5, 0.4],
        "val_accuracy": [0.7, 0.5, 0.7, 0.2, 0.3, 0.4],
    }
)


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ({}, [3, 3]),
        ({"stop_patience": 1}, [2, 1]),
        ({"stop_patience": 1, "stop_on": "val_accuracy"}, [1, 3]),
        ({"stop_patience": 1, "keep": "val_accuracy"}, [1, 3]),
        ({"keep": "val_accuracy"}, [1, 3]),
    ],
)
def test_the_epoch_that_is_kept_is_what_training_restores(settings, epochs):
    kept = kept_epochs(HISTORY, TrainingSettings(max_epochs=3, **settings))
    assert list(kept["epoch"]) == epochs


def test_a_result_shows_the_epochs_that_refitting_trains_to(results, demo_clips):
    settings = TrainingSettings(max_epochs=3, stop_patience=1, stop_on="val_accuracy")
    run = Run({"seed": 1}, pd.DataFrame(), HISTORY, {}, Path())
    one = Result(STUDY, replace(KNN, training=settings), "honest", (run,), demo_clips)
    assert list(one.kept_epochs()["epoch"]) == list(kept_epochs(HISTORY, settings)["epoch"])


# --- variants and comparisons


def test_a_variant_is_a_row_of_every_table_and_is_compared(results, demo_clips):
    variant = collect(STUDY.variant("knn", model={"n_neighbors": 9}), demo_clips)
    both = replace(results, all=results.all[:2]) + variant
    assert list(score_table(both)["model"]) == ["KNN"] * 2 + ["KNN with n_neighbors = 9"] * 2
    assert len(headline_table(both)) == 2
    assert {one.runs[0].folder.name.split("-")[0] for one in variant.all} == {
        "boucheta2025+n_neighbors=9"
    }
    tests = compare(both)
    assert list(tests["first"]) == ["boucheta2025/knn"]
    assert list(tests["second"]) == ["boucheta2025+n_neighbors=9/knn"]
    one, other = both.protocol("honest")
    assert tests["verdict"].item() == both.compare(one, other)


def test_what_is_no_pair_of_one_task_is_not_compared(results):
    with pytest.raises(RunError, match="two systems"):
        compare(results.all[1])
    with pytest.raises(RunError, match="not str, DataFrame"):
        compare("knn", pd.DataFrame())
    with pytest.raises(RunError, match="demo random, demo luna5"):
        compare(*results.all[:2])
