"""A bundle on other corpora: what is counted, on which clips, and what is told in its card."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_lib.data.enrolment import ENROLMENT, NORMALISATIONS, UNLABELLED, enrolled
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import rows_of
from ser_lib.errors import BundleError
from ser_lib.export import build as bundling
from ser_lib.export import build as elsewhere
from ser_lib.export.build import evaluate_cross_corpus, fit_bundle
from ser_lib.inference.bundle import default_bundle
from ser_lib.inference.prediction import NOT_SURE
from ser_lib.inference.predictor import Predictor
from ser_lib.paths import PROJECT_DIR
from ser_lib.studies import get_study

EIGHT = LABEL_SETS["ravdess8"]
DATA = Path(os.environ.get("SER_DATA") or PROJECT_DIR.parent / "shared" / "data")


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


def test_of_a_large_corpus_clips_are_asked_in_the_order_of_their_hashes(
    predictor, few_clips, monkeypatch
):
    monkeypatch.setattr(elsewhere, "MAX_CLIPS", 9)
    asked = []
    monkeypatch.setattr(elsewhere, "predict_many", lambda one, paths: map(one.attempt, paths))
    attempt = Predictor.attempt
    monkeypatch.setattr(
        Predictor, "attempt", lambda one, path: asked.append(path) or attempt(one, path)
    )
    assert evaluate_cross_corpus(predictor, few_clips, EIGHT)["n_clips"] == 9
    assert {str(one) for one in asked} == set(few_clips.sort_values("audio_sha256")["path"][:9])


def test_a_voice_is_told_by_clips_that_are_not_counted(adaptable, demo_clips, monkeypatch):
    told = []
    enrol = Predictor.enrolled
    monkeypatch.setattr(
        Predictor,
        "enrolled",
        lambda one, paths, **way: told.append((len(paths), way)) or enrol(one, paths, **way),
    )
    clips = demo_clips[demo_clips["speaker"].isin(["demo-01", "demo-02"])].reset_index(drop=True)
    clips = clips[clips["emotion"].isin(["neutral", "happy", "sad", "angry"])]
    found = evaluate_cross_corpus(adaptable, clips, EIGHT)
    rows = rows_of(clips, EIGHT)
    known = enrolled(rows, NORMALISATIONS[ENROLMENT]) | enrolled(rows, NORMALISATIONS[UNLABELLED])
    assert 2 * 10 < known.sum() <= 2 * 13
    # All three are asked the same: what tells a voice in one way is not counted in another.
    assert found["n_clips"] == len(clips) - known.sum()
    ways = [found[name] for name in ("new_voice", "known_voice", "mixed_known_voice")]
    assert len({one["confidence"] for one in ways}) == 3
    assert told == [(3, {"is_neutral": True})] * 2 + [(10, {"is_neutral": False})] * 2


def test_without_an_answer_no_share_of_them_is_right(predictor, few_clips):
    silent = Predictor(replace(predictor.bundle, threshold=1.0))
    found = evaluate_cross_corpus(silent, few_clips, EIGHT)
    assert found["new_voice"]["answered_accuracy_share"] is None


def test_a_corpus_without_the_classes_is_refused(predictor, few_clips):
    others = replace(predictor.bundle, labels=("surprised", "calm", "disgust", "fearful"))
    with pytest.raises(BundleError, match="has no clip of the classes"):
        evaluate_cross_corpus(Predictor(others), few_clips, EIGHT)


def test_a_clip_that_cannot_be_answered_is_an_error(predictor, few_clips, tmp_path):
    broken = few_clips.assign(path=[str(tmp_path / "gone.wav"), *few_clips["path"][1:]])
    with pytest.raises(BundleError, match=r"could not be answered .*no such file"):
        evaluate_cross_corpus(predictor, broken, EIGHT)


def test_a_bundle_is_not_tried_on_what_it_is_trained_on(few_clips, tmp_path):
    with pytest.raises(BundleError, match="demo: the bundle is trained on it"):
        fit_bundle(get_study("iemocap5"), few_clips, tmp_path / "tiny", cross_corpora=["demo"])
    assert not (tmp_path / "tiny").exists()


def test_a_corpus_without_recordings_is_refused_before_anything_is_trained(
    few_clips, tmp_path, monkeypatch
):
    other = few_clips.assign(corpus="emodb", path="")
    other.attrs["has_audio"] = False
    monkeypatch.setattr(bundling, "load_corpus", lambda name, strict: other)
    with pytest.raises(BundleError, match="emodb: has no recordings here"):
        fit_bundle(get_study("iemocap5"), few_clips, tmp_path / "tiny", cross_corpora=["emodb"])
    assert not (tmp_path / "tiny").exists()


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["moonshine-ravdess", "cnn-ravdess"])
def test_clips_of_the_training_are_like_it_and_those_of_another_corpus_are_not(name):
    if default_bundle().name != "moonshine-ravdess" == name:
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
