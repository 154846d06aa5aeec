"""The run store: keys that know everything, runs that resume, files that are whole or not there."""

from __future__ import annotations

import getpass
import hashlib
import json
import logging
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from multiprocessing import Process
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser_lib import data, models
from ser_lib.data.enrolment import NORMALISATIONS
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import BY_CORPUS, Protocol, each_left_out
from ser_lib.errors import (
    CorpusError,
    LeakError,
    RunError,
    SplitError,
    StudyError,
    TrainingStoppedError,
)
from ser_lib.evaluation.metrics import check_predictions, score_predictions, with_clip_columns
from ser_lib.features import registry
from ser_lib.features.extraction import extract
from ser_lib.features.registry import FEATURES, FeatureSpec
from ser_lib.models.baselines import DummyConfig, KnnConfig
from ser_lib.models.cnn import Cnn1dConfig
from ser_lib.paths import PROJECT_DIR, cache_dir
from ser_lib.runs import runner as runs
from ser_lib.runs.runner import plan_run, run_or_load, run_study, score_runs
from ser_lib.runs.store import RECORDED_LIBRARIES, Run, provenance
from ser_lib.runs.store import key_of as store_key_of
from ser_lib.studies import STUDIES, get_study
from ser_lib.studies.study import ModelSpec, Study
from ser_lib.training import checkpoint
from ser_lib.training.fit import STILL_VALID_VERSIONS, TRAINING_VERSION
from ser_lib.training.settings import TrainingSettings
from support.readings import reading_study

FILES = ["environment.json", "history.csv", "predictions.csv", "spec.json"]
QUICK = FeatureSpec("mfcc_zcr_rms", params={"duration_s": 0.3, "n_mfcc": 4})
TINY = Study(
    name="tiny2025",
    title="Tiny",
    source="Nobody (2025)",
    corpora=("demo",),
    label_set=LABEL_SETS["ravdess8"],
    models=(
        ModelSpec("knn", "KNN", KnnConfig(n_neighbors=2), QUICK, is_scaled=True),
        ModelSpec("dummy", "Majority", DummyConfig(), QUICK),
        ModelSpec(
            *("net", "1D CNN", Cnn1dConfig(n_filters=(2,), n_dense=2), QUICK),
            training=TrainingSettings(max_epochs=2),
            is_scaled=True,
        ),
    ),
    copies=2,
    augmentations=("noise",),
    published_protocol=Protocol(
        "random",
        params={"test_share": 0.25, "validation_share": 0.25, "is_stratified": True},
        leaks=("same_audio", "same_parent", "same_speaker"),
        is_published=True,
    ),
    honest_protocol=Protocol("loso"),
    seeds=(1, 2),
)


@pytest.fixture(scope="module")
def features_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture(autouse=True)
def shared_features(own_folders, features_folder, monkeypatch):
    """Let the tests of this file share features: what they store is what is tested."""
    monkeypatch.setenv("SER_CACHE", str(features_folder))


def go(clips, model="knn", protocol="honest", *, study=TINY, **options) -> Run:
    (run,) = run_study(study, clips, models=[model], protocols=[protocol], n_seeds=1, **options)
    return run


@pytest.fixture
def fitted(monkeypatch):
    """A list that grows by the arguments of every fit."""
    calls = []
    fit = runs.fit_fold

    def count(config, settings, arrays, **options):
        calls.append((config, settings, arrays, options))
        return fit(config, settings, arrays, **options)

    monkeypatch.setattr(runs, "fit_fold", count)
    return calls


def stop_at(monkeypatch, number: int, error: type[BaseException] = KeyboardInterrupt) -> None:
    """Interrupt the fit of that number, counted from 0."""
    fit, done = runs.fit_fold, []

    def interrupted(*args, **options):
        if len(done) == number:
            raise error("stopped by the test")
        done.append(1)
        return fit(*args, **options)

    monkeypatch.setattr(runs, "fit_fold", interrupted)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# --- what a run is


def test_a_run_is_four_files_in_a_folder_that_says_what_it_is(few_clips, tmp_path):
    run = go(few_clips)
    assert run.folder.parent == tmp_path / "reports" / "demo" / "runs"
    assert re.fullmatch(r"tiny2025-knn-loso-s1-[0-9a-f]{12}", run.folder.name)
    assert listing(run.folder) == FILES


def test_the_key_is_the_hash_of_the_stored_spec(few_clips):
    run = go(few_clips)
    stored = json.loads((run.folder / "spec.json").read_text())
    assert stored == run.spec
    digest = hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()
    assert run.folder.name.endswith(f"-{digest[:12]}")


def test_every_clip_is_predicted_once_with_its_true_class(few_clips):
    predictions = go(few_clips).predictions
    check_predictions(predictions, ("neutral", "angry"))
    truth = predictions.set_index("clip_id")["truth"]
    expected = few_clips.set_index("clip_id")["emotion"]
    pd.testing.assert_series_equal(truth.sort_index(), expected.sort_index(), check_names=False)
    assert sorted(predictions["fold"].unique()) == list(range(6))
    speaker = with_clip_columns(predictions, few_clips)["speaker"]
    assert (speaker.groupby(predictions["fold"]).nunique() == 1).all()


def test_predictions_have_the_documented_columns_and_four_decimals(few_clips):
    run = go(few_clips)
    lines = (run.folder / "predictions.csv").read_text().splitlines()
    assert lines[0] == "clip_id,fold,truth,prediction,p_neutral,p_angry"
    assert len(lines) == 1 + 24
    row = r"demo/[\d-]{20},\d,(neutral|angry),(neutral|angry),[01]\.\d{4},[01]\.\d{4}"
    assert all(re.fullmatch(row, line) for line in lines[1:])


def test_the_prediction_is_the_class_of_the_largest_probability(few_clips):
    predictions = go(few_clips).predictions
    chosen = predictions[["p_neutral", "p_angry"]].idxmax(axis=1).str.removeprefix("p_")
    is_tied = predictions["p_neutral"] == predictions["p_angry"]
    assert (chosen == predictions["prediction"])[~is_tied].all()


def test_labels_are_those_that_occur_in_the_order_of_the_label_set(few_clips):
    assert go(few_clips).labels == ("neutral", "angry")


def test_the_history_tells_every_fold(few_clips):
    history = go(few_clips).history
    assert list(history["fold"]) == list(range(6))
    assert {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"} < set(history.columns)


def test_provenance_names_libraries_and_neither_person_nor_machine(few_clips):
    environment = go(few_clips).environment
    assert set(provenance()) < set(environment)
    assert len(environment["duration_s"]) == 6
    assert environment["libraries"]["numpy"] == np.__version__
    assert set(environment["libraries"]) == set(RECORDED_LIBRARIES)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", environment["date"])
    text = json.dumps(environment)
    assert platform.node() not in text
    assert str(PROJECT_DIR) not in text
    assert re.search(rf"\b{getpass.getuser()}\b", text) is None


def test_a_network_is_stored_like_a_classifier(few_clips):
    run = go(few_clips, "net", "published")
    check_predictions(run.predictions, run.labels)
    assert list(run.history["epoch"]) == [1, 2]
    # (3 * 6 + 1) * 2 of the kernels, (5 * 2 + 1) * 2 of the dense layer, (2 + 1) * 2.
    assert run.environment["n_parameters"] == 38 + 22 + 6
    assert run.spec["training"]["max_epochs"] == 2
    assert run.spec["input_shape"] == [13, 6]


# --- who is trained on what


def test_honest_runs_augment_training_rows_and_test_originals(few_clips, fitted):
    run = go(few_clips)
    assert len(fitted) == 6
    for _, _, arrays, _ in fitted:
        # Six speakers of four clips: three train (each clip twice), two validate, one is tested.
        assert (len(arrays.x_train), len(arrays.x_validation), len(arrays.x_test)) == (24, 8, 4)
    assert not run.predictions["clip_id"].str.contains("#").any()
    assert run.spec["leaks"] == []


def test_test_views_are_the_test_clips_otherwise_played(few_clips, fitted):
    viewed = replace(TINY, augmentations=("faster",), test_views=("faster",))
    go(few_clips, "net", study=viewed)
    _, _, arrays, _ = fitted[0]
    (view,) = arrays.test_views
    faster = extract(few_clips, QUICK, variant="faster")
    np.testing.assert_array_equal(view.gather(), faster[arrays.x_test.position])
    assert not np.array_equal(view.gather(), arrays.x_test.gather())
    # They stand in the key, and studies without them keep theirs.
    names = {go(few_clips, "net", study=one).folder.name for one in (viewed, TINY)}
    assert len(names) == 2
    assert "test_views" not in go(few_clips, "net").spec
    with pytest.raises(StudyError, match="tiny2025"):
        go(few_clips, "net", "published", study=viewed)


def test_published_runs_copy_and_augment_before_the_split_and_say_that_they_leak(few_clips, fitted):
    run = go(few_clips, protocol="published")
    ((_, _, arrays, _),) = fitted
    # 24 clips, their copies and their noisy versions: 72 rows.
    assert [len(part) for part in (arrays.x_train, arrays.x_validation, arrays.x_test)] == [
        *(40, 14, 18),
    ]
    variants = run.predictions["clip_id"].str.extract("#(.*)$")[0].dropna()
    assert set(variants) == {"copy", "noise"}
    assert set(run.spec["leaks"]) == {"same_audio", "same_parent", "same_speaker"}


@pytest.mark.parametrize("protocol", ["honest", "published"])
def test_every_row_gets_the_features_of_its_own_clip_and_variant(few_clips, fitted, protocol):
    # Turned round, so that no position is right by chance.
    clips = few_clips.iloc[::-1].reset_index(drop=True)
    go(clips, "dummy", protocol)
    plan = plan_run(TINY, "dummy", TINY.protocol(protocol, "demo"), 1, clips)
    stored = {
        name: dict(zip(clips["clip_id"], extract(clips, QUICK, variant=name), strict=True))
        for name in ("original", "noise")
    }
    classes = {"neutral": 0, "angry": 1}
    emotion = dict(zip(clips["clip_id"], clips["emotion"], strict=True))
    for fold, (_, _, arrays, _) in zip(plan.split.folds, fitted, strict=True):
        for part in ("train", "validation", "test"):
            inputs = getattr(arrays, f"x_{part}")
            for row, values in zip(getattr(fold, part), inputs.gather(), strict=True):
                clip, _, variant = row.partition("#")
                source = "noise" if variant == "noise" else "original"
                np.testing.assert_array_equal(values, stored[source][clip])
        for part in ("train", "validation"):
            truth = [classes[emotion[row.partition("#")[0]]] for row in getattr(fold, part)]
            assert list(getattr(arrays, f"y_{part}")) == truth


def test_the_fit_gets_the_models_settings_and_the_runs_seed(few_clips, fitted):
    run_study(TINY, few_clips, models=["net"], protocols=["published"], n_seeds=2)
    model = TINY.model("net")
    assert [options["seed"] for *_, options in fitted] == [1, 2]
    for config, settings, _, options in fitted:
        assert (config, settings) == (model.config, model.training)
        assert (options["n_classes"], options["is_scaled"]) == (2, True)


def test_runs_come_in_the_order_of_models_protocols_and_seeds(few_clips):
    found = run_study(TINY, few_clips, models=["knn", "dummy"], protocols=["honest", "published"])
    assert [(run.spec["model"], run.spec["protocol"], run.spec["seed"]) for run in found] == [
        (model, protocol, seed)
        for model in ("knn", "dummy")
        for protocol in ("loso", "random")
        for seed in (1, 2)
    ]


def test_runs_are_scored_by_speaker(few_clips):
    found = run_study(TINY, few_clips, models=["knn"], protocols=["honest"])
    score = score_runs(found, few_clips)
    tables = [with_clip_columns(run.predictions, few_clips) for run in found]
    assert score == score_predictions(tables, ("neutral", "angry"))
    assert (score.n_speakers, score.n_seeds, score.n_rows) == (6, 2, 24)


# --- stored runs


def test_a_stored_run_is_not_trained_again(few_clips, fitted):
    first = go(few_clips)
    assert len(fitted) == 6
    second = go(few_clips)
    assert len(fitted) == 6
    pd.testing.assert_frame_equal(first.predictions, second.predictions)
    assert first.spec == second.spec


def test_a_stored_run_is_read_without_audio(few_clips, fitted):
    stored = go(few_clips)
    without = go(few_clips.assign(path=""))
    assert len(fitted) == 6
    pd.testing.assert_frame_equal(stored.predictions, without.predictions)


def test_without_audio_a_run_that_is_not_stored_is_told(few_clips, tmp_path):
    with pytest.raises(RunError, match=r"tiny2025-knn-loso-s1 .*SER_DATA"):
        go(few_clips.assign(path=""))
    assert not (tmp_path / "reports").exists()


def test_without_audio_the_nearest_stored_run_is_named_with_what_to_type(few_clips):
    usual = TINY.models[0].config.n_neighbors
    stored = {k: go(few_clips, study=with_model_knn(n_neighbors=k)) for k in (3, usual)}
    # Whichever of the two comes first in the store.
    for k, run in stored.items():
        nearest = f"{run.folder.name}, with metric = 'euclidean' instead of metric = 'cosine'"
        with pytest.raises(RunError, match=re.escape(nearest)):
            go(few_clips.assign(path=""), study=with_model_knn(n_neighbors=k, metric="cosine"))


def test_the_run_nearest_to_a_variant_is_that_which_it_was_made_from(few_clips):
    stored = go(few_clips)
    variant = TINY.variant("knn", model={"n_neighbors": 9})
    usual = TINY.models[0].config.n_neighbors
    nearest = f"{stored.folder.name}, with n_neighbors = {usual} instead of n_neighbors = 9"
    with pytest.raises(RunError, match=re.escape(nearest)):
        go(few_clips.assign(path=""), study=variant)


def with_model_knn(**changes: object) -> Study:
    return replace(TINY, models=(replace(TINY.models[0], config=KnnConfig(**changes)),))


@pytest.mark.parametrize("way", ["variable", "argument"])
def test_fresh_trains_again(few_clips, fitted, monkeypatch, way):
    first = go(few_clips)
    if way == "variable":
        monkeypatch.setenv("SER_FRESH", "1")
    again = go(few_clips, is_fresh=True if way == "argument" else None)
    assert len(fitted) == 12
    pd.testing.assert_frame_equal(first.predictions, again.predictions)


def test_fresh_can_be_denied(few_clips, fitted, monkeypatch):
    go(few_clips)
    monkeypatch.setenv("SER_FRESH", "1")
    go(few_clips, is_fresh=False)
    assert len(fitted) == 6


def test_fresh_without_audio_does_not_delete_what_is_stored(few_clips):
    run = go(few_clips)
    with pytest.raises(RunError, match="audio"):
        go(few_clips.assign(path=""), is_fresh=True)
    assert listing(run.folder) == FILES


# --- which run is stored is read from the specs


@pytest.fixture
def unbuilt(monkeypatch):
    """Return a function that forbids to build a network or to compute a feature from then on."""

    def forbid() -> None:
        def refuse(*_arguments: object) -> None:
            raise AssertionError("built only to look a run up")

        monkeypatch.setattr(runs, "topology", refuse)
        monkeypatch.setattr(runs, "feature_shape", refuse)

    return forbid


def planned(clips, study=TINY) -> runs.RunPlan:
    return plan_run(study, "net", study.protocol("published", "demo"), 1, clips)


def test_a_stored_network_is_found_without_building_it(few_clips, unbuilt):
    run = go(few_clips, "net", "published")
    unbuilt()
    found = go(few_clips.assign(path=""), "net", "published")
    assert (found.folder, found.spec) == (run.folder, run.spec)


STALE = {
    "config": lambda: with_model(config=replace(NET.config, n_dense=3)),
    "feature": lambda: with_model(features=replace(QUICK, offset_s=0.01)),
    "training": lambda: with_model(training=TrainingSettings(max_epochs=1)),
    "protocol": lambda: replace(
        TINY,
        published_protocol=replace(
            TINY.published_protocol,
            params=TINY.published_protocol.params | {"is_stratified": False},
        ),
    ),
}


@pytest.mark.parametrize("change", STALE.values(), ids=STALE)
def test_a_stale_run_is_noticed_without_building_its_network(few_clips, unbuilt, change):
    go(few_clips, "net", "published")
    unbuilt()
    assert runs.is_stored(planned(few_clips))
    assert not runs.is_stored(planned(few_clips, change()))


@pytest.mark.parametrize("part", ["family", "feature", "augmentation", "fold"])
def test_a_run_of_other_code_is_noticed(few_clips, unbuilt, monkeypatch, part):
    go(few_clips, "net", "published")
    unbuilt()
    plan = planned(few_clips)
    if part == "family":
        newer = replace(models.FAMILIES["cnn1d"], version=99)
        monkeypatch.setitem(models.FAMILIES, "cnn1d", newer)
    elif part == "feature":
        newer = replace(FEATURES[QUICK.name], version=99)
        monkeypatch.setitem(registry.FEATURES, QUICK.name, newer)
    elif part == "augmentation":
        newer = replace(runs.AUGMENTATIONS["noise"], version=99)
        monkeypatch.setitem(runs.AUGMENTATIONS, "noise", newer)
    else:
        (fold,) = plan.split.folds
        other = replace(fold, train=fold.train[::-1])
        split = replace(plan.split, folds=(other,))
        plan = replace(plan, division=replace(plan.division, split=split))
    assert not runs.is_stored(plan)


def test_of_two_builders_for_one_plan_the_key_decides(few_clips, monkeypatch):
    first = go(few_clips, "net", "published")
    spec = first.spec | {"topology_sha256": "of another builder"}
    other = first.folder.with_name(f"{first.folder.name[:-12]}{store_key_of(spec)}")
    shutil.copytree(first.folder, other)
    (other / "spec.json").write_text(json.dumps(spec))
    assert go(few_clips, "net", "published").folder == first.folder
    monkeypatch.setattr(runs, "topology", lambda *_arguments: "a third one")
    assert not runs.is_stored(planned(few_clips))


# --- runs of former versions of the training


def as_version(run: Run, version: int) -> Path:
    """Turn a stored run into what another version of the training would have stored."""
    spec = run.spec | {"versions": run.spec["versions"] | {"training": version}}
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
    other = run.folder.with_name(f"{run.folder.name[:-12]}{digest[:12]}")
    run.folder.rename(other)
    (other / "spec.json").write_text(json.dumps(spec))
    return other


def test_this_version_is_none_of_the_former_ones():
    assert TRAINING_VERSION not in STILL_VALID_VERSIONS
    assert all(version < TRAINING_VERSION for version in STILL_VALID_VERSIONS)


@pytest.mark.parametrize("version", STILL_VALID_VERSIONS)
def test_a_run_of_a_version_that_still_stands_is_found(few_clips, fitted, version):
    first = go(few_clips)
    former = as_version(first, version)
    again = go(few_clips.assign(path=""))
    assert len(fitted) == 6
    assert again.folder == former
    assert again.spec["versions"]["training"] == version
    pd.testing.assert_frame_equal(again.predictions, first.predictions)


@pytest.mark.parametrize("version", [0, TRAINING_VERSION + 1])
def test_a_run_of_a_version_that_does_not_stand_is_trained_again(few_clips, fitted, version):
    former = as_version(go(few_clips), version)
    again = go(few_clips)
    assert len(fitted) == 12
    assert again.folder != former
    assert again.spec["versions"]["training"] == TRAINING_VERSION


def test_of_two_versions_that_stand_the_newer_is_read(few_clips, fitted, tmp_path, monkeypatch):
    former = as_version(go(few_clips), STILL_VALID_VERSIONS[0])
    monkeypatch.setenv("SER_REPORTS", str(tmp_path / "other"))
    newer = go(few_clips)
    newer.folder.rename(former.parent / newer.folder.name)
    monkeypatch.setenv("SER_REPORTS", str(tmp_path / "reports"))
    assert go(few_clips).folder == former.parent / newer.folder.name


@pytest.mark.parametrize("way", ["variable", "argument"])
def test_a_former_run_that_is_trained_again_is_stored_as_what_it_then_is(
    few_clips, fitted, monkeypatch, way
):
    as_version(go(few_clips), STILL_VALID_VERSIONS[0])
    if way == "variable":
        monkeypatch.setenv("SER_FRESH", "1")
    again = go(few_clips, is_fresh=True if way == "argument" else None)
    assert len(fitted) == 12
    assert again.spec["versions"]["training"] == TRAINING_VERSION


def test_a_former_run_that_is_damaged_is_named_and_not_taken(few_clips):
    former = as_version(go(few_clips), STILL_VALID_VERSIONS[0])
    lines = (former / "predictions.csv").read_text().splitlines()
    (former / "predictions.csv").write_text("\n".join(lines[:-3]) + "\n")
    with pytest.raises(RunError, match=r"21 .* 24"):
        go(few_clips)


# --- interruptions


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_run_goes_on_where_it_stopped(few_clips, tmp_path, monkeypatch, error):
    whole = go(few_clips)
    monkeypatch.setenv("SER_REPORTS", str(tmp_path / "other"))
    with monkeypatch.context() as patch:
        stop_at(patch, 2, error)
        with pytest.raises(error):
            go(few_clips)
    (folder,) = (tmp_path / "other" / "demo" / "runs").iterdir()
    assert listing(folder) == ["folds/00.json", "folds/01.json"]
    calls = []
    fit = runs.fit_fold
    monkeypatch.setattr(runs, "fit_fold", lambda *a, **k: calls.append(1) or fit(*a, **k))
    resumed = go(few_clips)
    assert len(calls) == 4
    assert listing(folder) == FILES
    pd.testing.assert_frame_equal(resumed.predictions, whole.predictions)
    pd.testing.assert_frame_equal(resumed.history, whole.history)


def test_a_network_goes_on_within_a_fold_and_leaves_no_checkpoint(
    few_clips, tmp_path, monkeypatch, caplog
):
    whole = go(few_clips, "net")
    monkeypatch.setenv("SER_REPORTS", str(tmp_path / "other"))
    caplog.set_level(logging.INFO)

    class Stopped(checkpoint.Checkpoint):
        def keep(self, position) -> None:
            self.deadline = 0.0
            super().keep(position)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "Checkpoint", Stopped)
        with pytest.raises(TrainingStoppedError, match=r"fold 1 of 6.* of at most 2 epochs"):
            go(few_clips, "net")
    (folder,) = (tmp_path / "other" / "demo" / "runs").iterdir()
    assert listing(folder) == ["folds/00.progress.json"]
    record = json.loads((folder / "folds" / "00.progress.json").read_text())
    asked = "--protocol honest --n-seeds 1"
    assert record["command"] == f"ser run tiny2025 --corpus demo --model net {asked}"
    assert (record["n_folds"], record["n_folds_waiting"]) == (6, 5)
    wanted = (TINY, TINY.model("net"), "demo", ["honest"])
    assert not runs.has_folders(*wanted)
    resumed = go(few_clips, "net")
    assert runs.has_folders(*wanted)
    assert "fold 1 of 6: goes on at epoch" in caplog.text
    assert listing(folder) == FILES
    assert not list((cache_dir() / "checkpoints").iterdir())
    pd.testing.assert_frame_equal(resumed.predictions, whole.predictions)
    pd.testing.assert_frame_equal(resumed.history, whole.history)


def test_after_the_deadline_one_fold_begins_so_that_each_call_gets_on(few_clips, fitted):
    token = checkpoint.DEADLINE.set(1.0)
    for n_left in (5, 4, 3, 2, 1):
        with pytest.raises(TrainingStoppedError, match=f"{n_left} of 6 folds have not begun"):
            go(few_clips)
    assert len(go(few_clips).predictions) == 24
    checkpoint.DEADLINE.reset(token)
    assert len(fitted) == 6


@pytest.mark.parametrize("is_fresh", [None, True])
@pytest.mark.parametrize("has_waited", [True, False])
def test_what_another_process_trains_meanwhile_is_read(
    few_clips, fitted, monkeypatch, is_fresh, has_waited
):
    """And its twin: who has not waited and asks for a fresh run trains it."""

    @contextmanager
    def after_another(_: Path) -> Iterator[bool]:
        monkeypatch.setattr(runs, "locked", lambda _: nullcontext(False))
        go(few_clips, is_fresh=is_fresh)
        yield has_waited

    monkeypatch.setattr(runs, "locked", after_another)
    run = go(few_clips, is_fresh=is_fresh)
    assert listing(run.folder) == FILES
    assert len(fitted) == (12 if is_fresh and not has_waited else 6)


@pytest.mark.slow
def test_of_three_processes_on_one_run_one_trains_and_a_killed_one_holds_nobody(
    few_clips, tmp_path, forked, monkeypatch
):
    # Each process says what it does in a file of its own: a line is written at once.
    def start(name: str, duration_s: float) -> Process:
        fit, seconds = runs.fit_fold, iter([0, *[duration_s] * 5])

        def slow(*arguments, **options):
            say("fold")
            time.sleep(next(seconds))
            return fit(*arguments, **options)

        def say(word: object) -> None:
            with (tmp_path / name).open("a") as file:
                print(word, file=file)

        def run() -> None:
            monkeypatch.setattr(runs, "fit_fold", slow)
            logging.basicConfig(filename=tmp_path / f"{name}.log", force=True)
            say(len(go(few_clips).predictions))

        return forked(run)

    def said(name: str, n_lines: int = 0) -> list[str]:
        ends = time.monotonic() + 60
        while True:
            path = tmp_path / name
            lines = path.read_text().splitlines() if path.exists() else []
            if len(lines) >= n_lines or time.monotonic() > ends:
                return lines
            time.sleep(0.02)

    killed = start("killed", 600)
    assert said("killed", 2) == ["fold"] * 2
    others = [start(name, 0) for name in "ab"]
    waited_for = [said(f"{name}.log", 1) for name in "ab"]
    killed.kill()
    for one in (killed, *others):
        one.join(60)
    assert all(f"waiting for process {killed.pid}" in lines[0] for lines in waited_for)
    n_rows = str(len(few_clips))
    # The killed one had finished its first fold of six.
    assert sorted(map(said, "ab")) == [[n_rows], ["fold"] * 5 + [n_rows]]
    (folder,) = (tmp_path / "reports" / "demo" / "runs").iterdir()
    assert listing(folder) == FILES


def test_a_call_killed_at_its_very_end_leaves_nothing(few_clips, fitted):
    run = go(few_clips)
    (run.folder / "folds").mkdir()
    (run.folder / "folds" / "05.json").write_text("{}")
    go(few_clips)
    assert listing(run.folder) == FILES
    assert len(fitted) == 6


def test_a_killed_write_of_a_fold_leaves_no_half(few_clips, tmp_path, monkeypatch):
    write = Path.write_text

    def write_half(path: Path, text: str, **options: object) -> None:
        write(path, text[: len(text) // 2], **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_half)
        with pytest.raises(KeyboardInterrupt):
            go(few_clips)
    assert listing(tmp_path / "reports") == []
    assert len(go(few_clips).predictions) == 24


def test_a_killed_merge_keeps_the_folds_and_is_not_a_run(few_clips, tmp_path, monkeypatch, fitted):
    def write_half(_frame, path, **_options) -> None:
        Path(path).write_text("clip_id,fo")
        raise KeyboardInterrupt

    # The hashes of the plan are made with to_csv as well: before anything is killed.
    plan = plan_run(TINY, "knn", TINY.honest_protocol, 1, few_clips)
    spec = plan.spec()
    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", write_half)
        patch.setattr(runs.RunPlan, "spec", lambda _plan: spec)
        with pytest.raises(KeyboardInterrupt):
            go(few_clips)
    found = [Path(one).name for one in listing(tmp_path / "reports")]
    assert "predictions.csv" not in found
    assert sum(name.endswith(".json") for name in found) >= 6
    assert not any(name.startswith(".") for name in found)
    assert len(fitted) == 6
    assert listing(go(few_clips).folder) == FILES
    assert len(fitted) == 6


# --- damage


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["gone", "empty", "half"])
def test_a_damaged_run_is_named_with_a_remedy(few_clips, name, damage):
    run = go(few_clips)
    path = run.folder / name
    content = path.read_text()
    if damage == "gone":
        path.unlink()
    else:
        path.write_text(content[: len(content) // 2] if damage == "half" else "")
    if (name, damage) == ("predictions.csv", "gone"):
        # Predictions mark a run as complete: without them it is trained again.
        assert len(go(few_clips).predictions) == 24
        return
    with pytest.raises(RunError, match=r"damaged|incomplete|contradicts") as caught:
        go(few_clips)
    assert str(run.folder) in str(caught.value)
    assert re.search("delete the folder|FRESH=1", str(caught.value))


@pytest.mark.parametrize("lost", [[0], [3, 4, 5]])
def test_predictions_that_lack_rows_are_not_taken_for_the_run(few_clips, lost):
    run = go(few_clips)
    run.predictions.drop(index=lost).to_csv(run.folder / "predictions.csv", index=False)
    with pytest.raises(RunError):
        go(few_clips)


def test_a_run_that_contradicts_its_key_is_refused(few_clips):
    run = go(few_clips)
    changed = dict(run.spec) | {"leaks": [], "seed": 99}
    (run.folder / "spec.json").write_text(json.dumps(changed))
    with pytest.raises(RunError):
        go(few_clips)


# --- the key


def key_of(study=TINY, model="net", protocol=None, seed=1, clips=None) -> str:
    plan = plan_run(study, model, protocol or study.honest_protocol, seed, clips)
    spec = plan.spec()
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def with_model(**changes: object) -> Study:
    changed = tuple(replace(one, **changes) if one.name == "net" else one for one in TINY.models)
    return replace(TINY, models=changed)


NET = TINY.model("net")
OTHERS = {
    "seed": lambda clips: {"seed": 2},
    "model": lambda clips: {"model": "knn"},
    "study's name": lambda clips: {"study": replace(TINY, name="other2025")},
    "feature": lambda clips: {
        "study": with_model(features=FeatureSpec("log_mel", params={"duration_s": 0.3}))
    },
    "feature's parameter": lambda clips: {
        "study": with_model(features=replace(QUICK, params={"duration_s": 0.3, "n_mfcc": 5}))
    },
    "feature's rate": lambda clips: {
        "study": with_model(features=replace(QUICK, sample_rate_hz=16_000))
    },
    "feature's part": lambda clips: {"study": with_model(features=replace(QUICK, offset_s=0.1))},
    "config": lambda clips: {"study": with_model(config=replace(NET.config, dropout_rate=0.31))},
    "epochs": lambda clips: {"study": with_model(training=replace(NET.training, max_epochs=3))},
    "rate": lambda clips: {"study": with_model(training=replace(NET.training, learning_rate=1.0))},
    "scaling": lambda clips: {"study": with_model(is_scaled=False)},
    "augmentations": lambda clips: {"study": replace(TINY, augmentations=("noise", "shift"))},
    "protocol": lambda clips: {"protocol": TINY.published_protocol},
    "protocol's parameter": lambda clips: {"protocol": Protocol("loso", {"n_validation": 3})},
    "a clip's audio": lambda clips: {
        "clips": clips.assign(audio_sha256=["0" * 64, *clips["audio_sha256"][1:]])
    },
    "a clip's emotion": lambda clips: {
        "clips": clips.assign(
            emotion=["angry" if one == "neutral" else one for one in clips["emotion"][:1]]
            + list(clips["emotion"][1:])
        )
    },
    "a clip more or less": lambda clips: {"clips": clips[1:]},
    "a clip's speaker": lambda clips: {
        "clips": clips.assign(speaker=[clips["speaker"].iloc[-1], *clips["speaker"][1:]])
    },
    "the labels": lambda clips: {
        "clips": clips.assign(emotion=clips["emotion"].replace("neutral", "calm"))
    },
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_the_key_knows(few_clips, change):
    other = {"clips": few_clips} | change(few_clips)
    assert key_of(**other) != key_of(clips=few_clips)


SAME = {
    "where the clips are": lambda clips: {"clips": clips.assign(path="/elsewhere/x.wav")},
    "no audio": lambda clips: {"clips": clips.assign(path="")},
    "clips' rate and duration": lambda clips: {
        "clips": clips.assign(sample_rate_hz=48_000, duration_s=9.9)
    },
    "titles": lambda clips: {"study": replace(TINY, title="Another", source="Others (2026)")},
    "the model's title": lambda clips: {"study": with_model(title="Another", is_ours=True)},
    "the study's other models": lambda clips: {"study": replace(TINY, models=(NET,))},
    "departures": lambda clips: {"study": replace(TINY, departures=("none",))},
    "clips outside the task": lambda clips: {
        "clips": pd.concat(
            [clips, clips[:2].assign(clip_id=["demo/a", "demo/b"], emotion="boredom")],
            ignore_index=True,
        )
    },
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_the_key_does_not_care_about(few_clips, change):
    other = {"clips": few_clips} | change(few_clips)
    assert key_of(**other) == key_of(clips=few_clips)


PARTS = {
    # What the folds hide where a protocol draws nothing, or draws the same.
    "seed": {"seed": 2},
    "protocol": {"protocol": Protocol("other")},
    "protocol_params": {"protocol": Protocol("loso", {"n_validation": 3})},
    "corpus": {"corpus": "ravdess"},
    "labels": {"labels": ("angry", "neutral")},
    "model": {"model": replace(NET, name="other")},
}


@pytest.mark.parametrize(("part", "change"), PARTS.items(), ids=PARTS)
def test_each_part_of_a_plan_stands_in_the_key_by_itself(few_clips, part, change):
    plan = plan_run(TINY, "net", TINY.honest_protocol, 1, few_clips)
    spec, other = plan.identity(), replace(plan, **change).identity()
    assert spec[part] != other[part]


def test_the_key_knows_the_config_of_a_classifier(few_clips):
    more = replace(TINY.model("knn"), config=KnnConfig(n_neighbors=3))
    other = key_of(replace(TINY, models=(more,)), "knn", clips=few_clips)
    assert other != key_of(model="knn", clips=few_clips)


def test_the_key_knows_what_the_builder_builds(few_clips, monkeypatch):
    # A builder that was changed gives another network for the same config.
    before = key_of(clips=few_clips)
    monkeypatch.setattr(runs, "topology", lambda config, shape, n_classes: "another network")
    assert key_of(clips=few_clips) != before


def test_the_key_knows_the_version_of_the_feature(few_clips, monkeypatch):
    before = key_of(clips=few_clips)
    newer = replace(FEATURES[QUICK.name], version=99)
    monkeypatch.setitem(registry.FEATURES, QUICK.name, newer)
    assert key_of(clips=few_clips) != before


# --- what is refused before training


def test_an_undeclared_leak_is_refused_before_anything_is_trained(few_clips, tmp_path, fitted):
    silent = replace(TINY.published_protocol, leaks=())
    with pytest.raises(LeakError, match="random"):
        go(few_clips, protocol="published", study=replace(TINY, published_protocol=silent))
    assert fitted == []
    assert not (tmp_path / "reports").exists()


def test_clips_of_two_corpora_are_a_pool(few_clips, tmp_path):
    two = few_clips.assign(corpus=["demo", "ravdess"] * 12)
    run = go(two, "dummy")
    assert run.spec["corpus"] == "pooled"
    assert run.folder.parent == tmp_path / "reports" / "pooled" / "runs"


def test_clips_without_a_class_of_the_task_are_refused(few_clips):
    bored = few_clips.assign(emotion="boredom")
    with pytest.raises(SplitError, match="'ravdess8'"):
        go(bored)


def test_no_clips_at_all_are_refused(few_clips):
    with pytest.raises(CorpusError, match="no clips"):
        go(few_clips[:0])


# --- protocols that name corpora

TWO = Protocol("cross_corpus", {"train": "demo", "test": "other", "n_validation": 2})


def with_foreign(clips: pd.DataFrame, name: str, first: int) -> pd.DataFrame:
    """The clips of two speakers as those of another corpus, of whom nobody is the same."""
    other = clips[clips["speaker"].isin(["demo-01", "demo-02"])].copy()
    other["clip_id"] = other["clip_id"].str.replace("demo/", f"{name}/")
    other["speaker"] = other["speaker"].str.replace("demo", name)
    other["corpus"] = name
    digests = [hashlib.sha256(f"{name}{first + n}".encode()).hexdigest() for n in range(len(other))]
    return pd.concat([clips, other.assign(audio_sha256=digests)], ignore_index=True)


def test_a_protocol_that_names_corpora_ignores_others(few_clips):
    two = with_foreign(few_clips, "other", 0)
    three = with_foreign(two, "third", 100)
    plans = [plan_run(TINY, "dummy", TWO, 1, clips) for clips in (two, three)]
    first, second = (plan.identity() for plan in plans)
    assert first == second
    assert plans[1].corpus == "pooled"
    tested = {row.partition("/")[0] for row in plans[1].split.folds[0].test}
    trained = {row.partition("/")[0] for row in plans[1].split.folds[0].train}
    assert (tested, trained) == ({"other"}, {"demo"})
    # The twin: a protocol that names none sees them all.
    plain = [
        plan_run(TINY, "dummy", TINY.honest_protocol, 1, one).identity() for one in (two, three)
    ]
    assert plain[0] != plain[1]


def test_a_corpus_that_is_named_and_not_there_is_told(few_clips):
    with pytest.raises(SplitError, match="'other'"):
        plan_run(TINY, "dummy", TWO, 1, few_clips)
    with pytest.raises(CorpusError, match="no clips"):
        plan_run(TINY, "dummy", TWO, 1, few_clips.assign(corpus="third"))


# --- training that depends on the protocol


def test_an_honest_training_is_used_and_stored_under_honest_protocols_only(few_clips, fitted):
    longer = replace(NET.training, max_epochs=3)
    study = with_model(honest_training=longer)
    go(few_clips, "net", "published", study=study)
    honest = go(few_clips, "net", "honest", study=study)
    assert [settings.max_epochs for _, settings, _, _ in fitted] == [2] + [3] * 6
    assert honest.spec["training"]["max_epochs"] == 3
    # It does not touch the keys of published runs.
    published = {"protocol": TINY.published_protocol, "clips": few_clips}
    assert key_of(study=study, **published) == key_of(**published)
    assert key_of(study=study, clips=few_clips) != key_of(clips=few_clips)


# --- several at once


@pytest.mark.slow
def test_two_jobs_give_what_one_gives(few_clips, tmp_path, monkeypatch):
    alone = go(few_clips)
    monkeypatch.setenv("SER_JOBS", "2")
    monkeypatch.setenv("SER_REPORTS", str(tmp_path / "other"))
    together = go(few_clips)
    assert together.folder != alone.folder
    pd.testing.assert_frame_equal(alone.predictions, together.predictions)


def test_a_plan_and_its_run_agree(few_clips):
    plan = plan_run(TINY, "knn", TINY.honest_protocol, 1, few_clips)
    run = run_or_load(plan, few_clips)
    assert plan.leaks == ()
    assert run.labels == plan.labels
    for number, fold in enumerate(plan.split.folds):
        stored = run.predictions[run.predictions["fold"] == number]
        assert tuple(stored["clip_id"]) == fold.test


# --- what the repository holds

REPORTS = PROJECT_DIR / "reports"


def _tracked_folders() -> set:
    listed = subprocess.run(
        ["git", "ls-files", "reports"], cwd=PROJECT_DIR, capture_output=True, text=True, check=False
    )
    return {(PROJECT_DIR / name).parent for name in listed.stdout.split()}


def _stored_runs() -> list:
    """Runs that git holds, others are somebody's own; without git, all of real corpora."""
    tracked = _tracked_folders()
    # Of one that is not finished git holds how far it is, in a folder of its own.
    known = tracked or {path.parent for path in REPORTS.glob("*/runs/*/predictions.csv")}
    return [
        pytest.param(folder, id=f"{folder.parts[-3]}/{folder.name}")
        for folder in sorted(REPORTS.glob("*/runs/*"))
        if folder in known and (tracked or folder.parts[-3] != "demo")
    ]


STORED = pytest.mark.parametrize("folder", _stored_runs())


@STORED
def test_a_committed_run_is_whole_and_valid(folder):
    assert listing(folder) == FILES
    spec = json.loads((folder / "spec.json").read_text())
    environment = json.loads((folder / "environment.json").read_text())
    history = pd.read_csv(folder / "history.csv")
    predictions = pd.read_csv(folder / "predictions.csv")
    labels = spec["labels"]
    check_predictions(predictions, labels)
    shares = predictions[[f"p_{label}" for label in labels]]
    assert shares.min(axis=None) >= 0
    assert shares.max(axis=None) <= 1
    assert set(predictions["truth"]) == set(labels)
    assert set(predictions["prediction"]) <= set(labels)
    assert set(predictions["fold"]) == set(range(spec["n_folds"])) == set(history["fold"])
    assert len(environment["duration_s"]) == spec["n_folds"]
    assert set(environment["libraries"]) == set(RECORDED_LIBRARIES)
    best = shares.to_numpy().max(axis=1)
    own = shares.to_numpy()[
        np.arange(len(shares)), [labels.index(one) for one in predictions["prediction"]]
    ]
    # Equal but for the four decimals that are stored.
    np.testing.assert_allclose(own, best, atol=1.01e-4)


@STORED
def test_a_committed_run_has_the_key_of_its_spec(folder):
    spec = json.loads((folder / "spec.json").read_text())
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
    name = f"{spec['study']}-{spec['model']}-{spec['protocol']}-s{spec['seed']}-{digest[:12]}"
    assert folder.name == name
    assert folder.parts[-3] == spec["corpus"]


@cache
def _table_of(corpus: str) -> pd.DataFrame | None:
    """The clip table as committed, else from the audio where it is, else none."""
    shared = PROJECT_DIR.parent / "shared" / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SER_REPORTS", raising=False)
        for folder in (PROJECT_DIR / "no such folder", PROJECT_DIR / "data", shared):
            patch.setenv("SER_DATA", str(folder))
            try:
                return data.load_corpus(corpus)
            except CorpusError:
                continue
    return None


@cache
def _plan_today(corpus: str, study: str, protocol: str, params: str, seed: int) -> runs.RunPlan:
    name, _, reading = study.partition("+")
    chosen = reading_study(get_study(name), reading) if reading else get_study(name)
    by_corpus = [*BY_CORPUS, *(f"{one}_norm_{way}" for one in BY_CORPUS for way in NORMALISATIONS)]
    asked = each_left_out(
        ["published", *chosen.other_protocols, "honest", *by_corpus], _table_of(corpus)
    )
    known = [chosen.protocol(name, corpus) for name in asked]
    named = [one for one in known if one.full_name == protocol]
    exact = [one for one in named if json.dumps(dict(one.params), sort_keys=True) == params]
    plain = next(iter([*exact, *named]), chosen.protocol(protocol, corpus))
    with pytest.MonkeyPatch.context() as patch:
        # Tables of auxiliary corpora are those that are committed, too.
        patch.delenv("SER_REPORTS", raising=False)
        return plan_run(chosen, chosen.models[0].name, plain, seed, _table_of(corpus))


@STORED
def test_a_committed_run_is_what_its_study_would_run_today(folder):
    spec = json.loads((folder / "spec.json").read_text())
    if _table_of(spec["corpus"]) is None:
        pytest.skip(f"NOT CHECKED: neither table nor audio of {spec['corpus']} is here")
    params = json.dumps(spec["protocol_params"], sort_keys=True)
    plan = _plan_today(spec["corpus"], spec["study"], spec["protocol"], params, spec["seed"])
    plan = replace(plan, model=plan.study.model(spec["model"]))
    today = json.loads(json.dumps(plan.spec()))
    version = spec["versions"].pop("training")
    assert version in (today["versions"].pop("training"), *STILL_VALID_VERSIONS)
    # Compared part by part, so that a failure says what has changed since.
    assert today == spec


# Trained before it was asked for, and too long to be trained again for it.
WITHOUT_COMMIT = {
    "fpt2025-cnn3d_lstm-speaker_folds-s42",
    "fpt2025-cnn3d_transformer-random-s42",
    "fpt2025-cnn3d_transformer-speaker_folds-s42",
    "moonshine-base-luna5_norm_mixed10-s44",
    "moonshine-base-luna5_norm_neutral3-s42",
    "moonshine-base_one_speed-leave_corpus_out-s42",
    "moonshine-base_one_speed-luna5-s42",
    "moonshine-base_one_speed-luna5-s43",
    "moonshine-base_one_speed-luna5_norm_all-s42",
    "moonshine-base_one_speed-luna5_norm_any3-s42",
    "moonshine-base_one_speed-luna5_norm_neutral3-s44",
    "penumajji2025-cnn-cross_corpus-s42",
    *(f"penumajji2025-cnn-last_speaker_out-s{seed}" for seed in (43, 44)),
    *(f"penumajji2025-cnn-luna5-s{seed}" for seed in (43, 44)),
    "tuned-blocks2-luna5-s42",
    "tuned-frozen-luna5-s42",
}


def test_committed_runs_name_a_commit_of_this_repository():
    """One that a rebase leaves behind names nothing any more."""
    git = ["git", "-C", str(PROJECT_DIR)]
    listed = subprocess.run([*git, "rev-list", "--all"], capture_output=True, text=True)
    if listed.returncode or (PROJECT_DIR / ".git" / "shallow").exists():
        pytest.skip("NOT CHECKED: this is no clone with its history")
    known = {one[:12] for one in listed.stdout.split()}
    lost = {
        folder.name.rpartition("-")[0]
        for param in _stored_runs()
        for folder in param.values
        if json.loads((folder / "environment.json").read_text())["commit"] not in known
    }
    assert lost == WITHOUT_COMMIT


def test_the_repository_holds_runs_of_every_study_on_its_own_corpus():
    names = {one.id for one in _stored_runs()}
    wanted = [
        f"{corpus}/{study.name}-{model.name}-{study.protocol(protocol, corpus).name}-s"
        for study in STUDIES.values()
        for corpus in ((study.stand_in,) if study.stand_in else study.corpora)
        for model in study.models
        for protocol in ("published", "honest")
        if not model.is_optional
    ]
    lacking = [one for one in wanted if not any(name.startswith(one) for name in names)]
    assert lacking == []
