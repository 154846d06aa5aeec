"""Bundles from studies: what can be one, and that it is trained and tested as its card says."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_lib.data.enrolment import ENROLMENT, NORMALISATIONS, UNLABELLED, enrolled
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import Protocol, rows_of
from ser_lib.errors import BundleError
from ser_lib.export import build
from ser_lib.export.build import evaluate_cross_corpus, fit_bundle
from ser_lib.features.registry import FeatureSpec
from ser_lib.inference.bundle import default_bundle, load_bundle
from ser_lib.inference.prediction import NOT_SURE
from ser_lib.inference.predictor import Predictor
from ser_lib.models.baselines import KnnConfig
from ser_lib.models.cnn import Cnn1dConfig
from ser_lib.paths import PROJECT_DIR
from ser_lib.studies.study import ModelSpec, Study
from ser_lib.training.settings import TrainingSettings

EIGHT = LABEL_SETS["ravdess8"]
DATA = Path(os.environ.get("SER_DATA") or PROJECT_DIR.parent / "shared" / "data")
QUICK = FeatureSpec("mfcc_zcr_rms", params={"duration_s": 0.3, "n_mfcc": 4})
STUDY = Study(
    name="tiny2026",
    title="Tiny",
    source="Nobody (2026)",
    corpora=("demo",),
    label_set=EIGHT,
    models=(
        ModelSpec(
            *("net", "1D CNN", Cnn1dConfig(n_filters=(2,), n_dense=2), QUICK),
            training=TrainingSettings(max_epochs=2),
            is_scaled=True,
        ),
        ModelSpec("knn", "KNN", KnnConfig(n_neighbors=2), QUICK),
    ),
    published_protocol=Protocol("random", leaks=("same_speaker",)),
    honest_protocol=Protocol("speaker_folds", params={"n_folds": 2}),
    seeds=(1,),
)


@pytest.fixture(scope="module")
def tiny(few_clips, tmp_path_factory) -> Path:
    """A bundle that was trained on a few clips, and tested on the same under another name."""
    other = few_clips.assign(corpus="emodb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SER_REPORTS", str(tmp_path_factory.mktemp("reports")))
        patch.setattr(build, "load_corpus", lambda name, strict: other)
        target = tmp_path_factory.mktemp("bundles") / "tiny"
        return fit_bundle(STUDY, few_clips, target, cross_corpora=["emodb", "emodb"])


def test_a_network_becomes_a_bundle_that_predicts(tiny, few_clips):
    bundle = load_bundle(tiny)
    assert bundle.labels == ("neutral", "angry")
    assert bundle.name == "tiny"
    assert 0.5 <= bundle.card["confidence"] <= 1.0
    far = bundle.domain_values(1e6 + np.ones(bundle.input_shape))
    assert bundle.domain.distance(far) > bundle.domain.limit
    table = Predictor(bundle).predict(list(few_clips["path"][:3]))
    names = [f"p_{label}" for label in bundle.labels]
    np.testing.assert_allclose(table[names].sum(axis=1), 1, atol=1e-5)
    assert (tiny / "model.keras").is_file()


def test_a_bundle_is_tested_on_another_corpus_as_it_is(tiny, few_clips):
    bundle = load_bundle(tiny)
    (tested,) = bundle.card["elsewhere"]
    answers = Predictor(bundle).predict(list(few_clips["path"]))
    likeliest = answers[[f"p_{one}" for one in bundle.labels]].idxmax(axis=1).str[2:]
    is_right = (likeliest == few_clips["emotion"]).mean()
    assert tested["new_voice"]["accuracy_share"] == pytest.approx(is_right, abs=1e-4)
    assert "| emodb |" in (tiny / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("study", "options", "message"),
    [
        (STUDY, {"model": "knn"}, "knn .* can hold net$"),
        (STUDY, {"protocol": "published"}, "same_speaker"),
        (
            replace(STUDY, augmentations=("faster",), test_views=("faster",)),
            {},
            "speeds",
        ),
        (replace(STUDY, auxiliary_corpora=("emodb",)), {}, "emodb"),
    ],
)
def test_what_cannot_be_a_bundle_is_refused_and_nothing_is_written(
    few_clips, tmp_path, study, options, message
):
    with pytest.raises(BundleError, match=message):
        fit_bundle(study, few_clips, tmp_path / "tiny", **options)
    assert not (tmp_path / "tiny").exists()


# --- other corpora


@pytest.fixture
def predictor(small_bundle):
    return Predictor(replace(small_bundle, labels=("neutral", "happy", "sad", "angry")))


def test_figures_are_those_of_the_answers(predictor, few_clips):
    found = evaluate_cross_corpus(predictor, few_clips, EIGHT)
    answers = [predictor.predict_file(path) for path in few_clips["path"]]
    likeliest = np.array([next(iter(one.probabilities)) for one in answers])
    is_right = likeliest == few_clips["emotion"].to_numpy()
    voice = found["new_voice"]
    assert found["n_clips"] == len(few_clips)
    assert found["labels"] == ["neutral", "angry"]
    assert voice["accuracy_share"] == pytest.approx(is_right.mean(), abs=1e-4)
    assert voice["confidence"] == pytest.approx(np.mean([a.confidence for a in answers]), abs=1e-4)
    answered = np.mean([one.emotion != NOT_SURE for one in answers])
    assert voice["coverage_share"] == pytest.approx(answered, abs=1e-4)
    assert voice["unlike_share"] == 0.0
    assert voice["uar_low"] <= voice["uar"] <= voice["uar_high"]
    assert "known_voice" not in found


def test_clips_far_from_the_training_are_counted(predictor, few_clips):
    near = replace(predictor.bundle, domain_limit=1e-6)
    found = evaluate_cross_corpus(Predictor(near), few_clips, EIGHT)
    assert found["new_voice"]["unlike_share"] == 1.0


def test_of_a_large_corpus_clips_are_taken_in_the_order_of_their_hashes(
    predictor, few_clips, monkeypatch
):
    monkeypatch.setattr(build, "MAX_CLIPS", 9)
    tested = []
    monkeypatch.setattr(build, "predict_many", lambda one, paths: map(one.attempt, paths))
    attempt = Predictor.attempt
    monkeypatch.setattr(
        Predictor, "attempt", lambda one, path: tested.append(path) or attempt(one, path)
    )
    assert evaluate_cross_corpus(predictor, few_clips, EIGHT)["n_clips"] == 9
    assert {str(one) for one in tested} == set(few_clips.sort_values("audio_sha256")["path"][:9])


def test_a_voice_is_known_by_clips_that_are_not_counted(adaptable, demo_clips, monkeypatch):
    enrolled_by = []
    enrol = Predictor.enrolled
    monkeypatch.setattr(
        Predictor,
        "enrolled",
        lambda one, paths, **way: enrolled_by.append((len(paths), way)) or enrol(one, paths, **way),
    )
    clips = demo_clips[demo_clips["speaker"].isin(["demo-01", "demo-02"])].reset_index(drop=True)
    clips = clips[clips["emotion"].isin(["neutral", "happy", "sad", "angry"])]
    found = evaluate_cross_corpus(adaptable, clips, EIGHT)
    rows = rows_of(clips, EIGHT)
    known = enrolled(rows, NORMALISATIONS[ENROLMENT]) | enrolled(rows, NORMALISATIONS[UNLABELLED])
    assert 2 * 10 < known.sum() <= 2 * 13
    # All three are of the same clips: what a voice is known by in one way counts in none.
    assert found["n_clips"] == len(clips) - known.sum()
    ways = [found[name] for name in ("new_voice", "known_voice", "mixed_known_voice")]
    assert len({one["confidence"] for one in ways}) == 3
    assert enrolled_by == [(3, {"is_neutral": True})] * 2 + [(10, {"is_neutral": False})] * 2


def test_without_an_answer_no_share_of_them_is_right(predictor, few_clips):
    silent = Predictor(replace(predictor.bundle, threshold=1.0))
    found = evaluate_cross_corpus(silent, few_clips, EIGHT)
    assert found["new_voice"]["answered_accuracy_share"] is None


def test_a_corpus_without_the_classes_is_refused(predictor, few_clips):
    others = replace(predictor.bundle, labels=("surprised", "calm", "disgust", "fearful"))
    with pytest.raises(BundleError, match="surprised, calm"):
        evaluate_cross_corpus(Predictor(others), few_clips, EIGHT)


def test_a_clip_that_cannot_be_used_is_an_error(predictor, few_clips, tmp_path):
    broken = few_clips.assign(path=[str(tmp_path / "gone.wav"), *few_clips["path"][1:]])
    with pytest.raises(BundleError, match=r"gone\.wav|no such file"):
        evaluate_cross_corpus(predictor, broken, EIGHT)


def test_a_bundle_is_not_tested_on_what_it_is_trained_on(few_clips, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "load_corpus", lambda name, strict: few_clips)
    with pytest.raises(BundleError, match="demo"):
        fit_bundle(STUDY, few_clips, tmp_path / "tiny", cross_corpora=["demo"])
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize("holder", ["another model", "a file"])
def test_what_a_folder_holds_is_kept_and_nothing_is_trained(
    few_clips, tmp_path, monkeypatch, small_folder, holder
):
    if holder == "another model":
        folder = shutil.copytree(small_folder, tmp_path / "kept")
    else:
        (folder := tmp_path / "kept").mkdir()
        (folder / "README.md").write_text("Mine")
    held = {one.name: one.read_bytes() for one in folder.iterdir()}
    monkeypatch.setattr(build, "run_or_load", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(BundleError, match="kept"):
        fit_bundle(STUDY, few_clips, folder)
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == held


def test_a_bundle_of_the_same_model_is_replaced(tiny, few_clips, monkeypatch):
    monkeypatch.setattr(build, "run_or_load", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit_bundle(STUDY, few_clips, tiny)


def test_a_corpus_without_recordings_is_refused_before_anything_is_trained(
    few_clips, tmp_path, monkeypatch
):
    other = few_clips.assign(corpus="emodb", path="")
    other.attrs["has_audio"] = False
    monkeypatch.setattr(build, "load_corpus", lambda name, strict: other)
    with pytest.raises(BundleError, match="emodb"):
        fit_bundle(STUDY, few_clips, tmp_path / "tiny", cross_corpora=["emodb"])
    assert not (tmp_path / "tiny").exists()


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["moonshine-ravdess", "cnn-ravdess"])
def test_clips_of_the_training_are_like_it_and_those_of_another_corpus_are_not(name):
    if default_bundle().name == "cnn-ravdess" != name:
        pytest.skip("NOT CHECKED: no encoder is here; `ser data moonshine-base` fetches it")
    predictor = Predictor.load(name)
    shares = {}
    for pattern in ("ravdess/Actor_*/*", "emodb/wav/*", "tess/*/*"):
        clips = sorted(DATA.glob(pattern))
        if not clips:
            pytest.skip(f"NOT CHECKED: no {pattern} under {DATA}; point SER_DATA at the corpora")
        answers = [predictor.attempt(path) for path in clips[:: max(1, len(clips) // 60)]]
        shares[pattern] = np.mean([one.is_unlike for one in answers])
    assert shares.pop("ravdess/Actor_*/*") < 0.05
    assert min(shares.values()) > 0.9
