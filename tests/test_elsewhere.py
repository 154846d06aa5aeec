"""A bundle on other corpora: what is counted, on which clips, and what is told in its card."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser_lib import elsewhere
from ser_lib.answers import NOT_SURE
from ser_lib.bundles import load_bundle
from ser_lib.bundling import fit_bundle
from ser_lib.cards import card_text, elsewhere_figures, elsewhere_table
from ser_lib.elsewhere import judge_elsewhere
from ser_lib.errors import BundleError
from ser_lib.labels import LABEL_SETS
from ser_lib.predict import Predictor
from ser_lib.studies import get_study

EIGHT = LABEL_SETS["ravdess8"]


@pytest.fixture
def predictor(small_bundle):
    return Predictor(replace(small_bundle, labels=("neutral", "happy", "sad", "angry")))


def test_figures_are_those_of_the_answers(predictor, few_clips):
    found = judge_elsewhere(predictor, few_clips, EIGHT)
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
    found = judge_elsewhere(Predictor(near), few_clips, EIGHT)
    assert found["new_voice"]["unlike_share"] == 1.0


def test_of_a_large_corpus_an_even_share_is_asked(predictor, few_clips, monkeypatch):
    monkeypatch.setattr(elsewhere, "MAX_CLIPS", len(few_clips) // 2)
    found = judge_elsewhere(predictor, few_clips, EIGHT)
    assert found["n_clips"] == -(-len(few_clips) // 2)


def test_a_corpus_without_the_classes_is_refused(predictor, few_clips):
    others = replace(predictor.bundle, labels=("surprised", "calm", "disgust", "fearful"))
    with pytest.raises(BundleError, match="has no clip of the classes"):
        judge_elsewhere(Predictor(others), few_clips, EIGHT)


def test_a_clip_that_cannot_be_answered_is_an_error(predictor, few_clips, tmp_path):
    broken = few_clips.assign(path=[str(tmp_path / "gone.wav"), *few_clips["path"][1:]])
    with pytest.raises(BundleError, match=r"could not be answered .*no such file"):
        judge_elsewhere(predictor, broken, EIGHT)


def test_a_bundle_is_not_tried_on_what_it_is_trained_on(few_clips, tmp_path):
    with pytest.raises(BundleError, match="demo: the bundle is trained on it"):
        fit_bundle(get_study("iemocap5"), few_clips, tmp_path / "tiny", elsewhere=["demo"])
    assert not (tmp_path / "tiny").exists()


def test_the_card_of_a_bundle_tells_how_it_does_elsewhere(predictor, few_clips):
    assert elsewhere_table(predictor.bundle).empty
    found = judge_elsewhere(predictor, few_clips, EIGHT)
    known = found | {"known_voice": found["new_voice"] | {"uar": 0.75}, "n_known_clips": 3}
    bundle = replace(predictor.bundle, card={"elsewhere": [known]})
    figures = elsewhere_figures(bundle)
    assert list(figures["voice"]) == ["new", "known by 3 neutral clips"]
    text = card_text(bundle)
    assert "## How well it does elsewhere" in text
    assert f"| {found['title']} | {len(few_clips)}, {found['n_speakers']}, 2 | new | " in text
    assert "| 75.0 % [" in text


@pytest.mark.parametrize("name", ["moonshine-ravdess", "cnn-ravdess"])
def test_the_committed_bundles_tell_how_they_do_elsewhere_and_warn_there(name):
    from ser_lib.installed import find_bundle

    figures = elsewhere_figures(load_bundle(find_bundle(name)))
    new = figures[figures["voice"] == "new"]
    assert list(new["corpus"]) == ["emodb", "tess"]
    assert (new["confidence"] > new["accuracy_share"]).all()
    assert (new["unlike_share"] > 0.9).all()
