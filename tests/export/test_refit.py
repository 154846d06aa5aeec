"""A head that is written as one matrix: the same predictions, and no layer without a weight."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ser_lib.data.enrolment import ENROLMENT, NORMALISATIONS, VOICE, enrolled
from ser_lib.evaluation.probabilities import softmax
from ser_lib.evaluation.selective import select_threshold
from ser_lib.export.refit import _adapted, _calibrated, _without_idle_layers, flat_head
from ser_lib.features.registry import FeatureSpec
from ser_lib.features.speaker_level import shrunken_mean
from ser_lib.models.corpus_head import CorpusHead, CorpusHeadConfig
from ser_lib.models.ridge_head import RidgeHead, RidgeHeadConfig

SHAPE = (3, 5, 2, 6)  # views, layers, statistics, values


@pytest.mark.parametrize(
    "config",
    [
        RidgeHeadConfig(((0,), (1,), (3, 4)), views=(0, 1, 2), n_members=2),
        RidgeHeadConfig(((2,), (1, 2)), views=(1,), statistics=(1,), n_members=1),
    ],
    ids=["all views", "one view and statistic"],
)
def test_a_head_as_one_matrix_predicts_the_same(rng, config):
    classes, speakers = np.tile(np.arange(3), 40), np.repeat([f"s{n}" for n in range(8)], 15)
    features = rng.standard_normal((120, *SHAPE), dtype=np.float32)
    features += 0.3 * rng.standard_normal((3, *SHAPE), dtype=np.float32)[classes]
    head = RidgeHead(config, 1).fit(features, classes, speakers, n_classes=3)
    flat = flat_head(head.arrays(), SHAPE)
    rows = features.reshape(len(features), -1)
    logits = (rows - flat["head_mean"]) / flat["head_scale"] @ flat["head_weights"]
    expected = head.predict_proba(features)
    np.testing.assert_allclose(softmax(logits + flat["head_bias"]), expected, atol=1e-5)
    assert expected.max(axis=1).mean() > 0.4  # it has something to say


def test_a_head_for_strangers_as_one_matrix_predicts_the_same(rng):
    classes, corpora = np.tile(np.arange(3), 40), np.repeat(["a", "b", "c", "d"], 30)
    features = rng.standard_normal((120, 1, 5, 2, 6), dtype=np.float32)
    features += rng.standard_normal((3, 1, 5, 2, 6), dtype=np.float32)[classes]
    head = CorpusHead(CorpusHeadConfig((1, 3), n_components=8), 1)
    head.fit(features, classes, corpora, n_classes=3)
    flat = flat_head(head.arrays(), features.shape[1:])
    logits = features.reshape(120, -1) @ (flat["head_weights"] / flat["head_scale"][:, np.newaxis])
    expected = head.predict_proba(features)
    np.testing.assert_allclose(softmax(logits + flat["head_bias"]), expected, atol=1e-5)
    assert expected.max(axis=1).mean() > 0.4


def test_layers_without_a_weight_are_dropped_and_no_prediction_moves(rng):
    shape, n_classes = (2, 5, 3, 4), 3
    n_flat = int(np.prod(shape))
    weights = rng.standard_normal((*shape, n_classes))
    weights[:, 3:] = 0
    arrays = {
        "head_weights": weights.reshape(n_flat, n_classes),
        "speaker_head_weights": np.zeros((n_flat, n_classes)),
        "head_mean": rng.standard_normal(n_flat),
        "head_bias": rng.standard_normal(n_classes),
    }
    spec = FeatureSpec("encoder_views", params={"encoder": "moonshine-base"})
    cut_spec, cut_shape, cut = _without_idle_layers(spec, shape, arrays)
    assert cut_shape == (2, 3, 3, 4)
    assert cut_spec.params["n_layers"] == 3
    values = rng.standard_normal(shape)
    whole = (values.ravel() - arrays["head_mean"]) @ arrays["head_weights"]
    fewer = (values[:, :3].ravel() - cut["head_mean"]) @ cut["head_weights"]
    np.testing.assert_allclose(fewer, whole)
    assert cut["head_bias"] is arrays["head_bias"]
    # A layer that only the head for known voices uses is kept.
    arrays["speaker_head_weights"].reshape(*shape, n_classes)[0, 3, 0, 0, 0] = 1.0
    assert _without_idle_layers(spec, shape, arrays)[1] == (2, 4, 3, 4)


@pytest.fixture
def voices(rng):
    """Twelve speakers, ten of whose 40 clips are neutral; other emotions add 5."""
    speakers = np.repeat([f"s{n:02d}" for n in range(12)], 40)
    is_neutral = np.tile(np.arange(40) < 10, 12)
    features = 10 * np.repeat(rng.standard_normal((12, 3)), 40, axis=0)
    features += rng.standard_normal((480, 3)) + 5 * ~is_neutral[:, np.newaxis]
    names = [f"{number:03d}" for number in rng.permutation(480)]
    label = np.where(is_neutral, "neutral", "angry")
    columns = {"speaker": speakers, "label": label, "clip_id": names, "audio_sha256": names}
    return pd.DataFrame(columns), features[:, np.newaxis, np.newaxis, :]


def test_a_bundle_subtracts_what_emotions_add_to_its_training_clips(voices):
    cloud, _, shift = _adapted(*voices, ENROLMENT)
    np.testing.assert_allclose(cloud["speaker_moods"], 3.75, atol=0.3)
    # Neutral clips vary by 1; all of them by their emotions as well.
    np.testing.assert_allclose(cloud["speaker_noise"], 1, atol=0.3)
    np.testing.assert_allclose(cloud["speaker_within"], 1 + 25 * 0.75 * 0.25, rtol=0.2)
    assert not shift.any()


def test_unlabelled_clips_give_the_level_that_a_head_for_them_was_trained_with(voices):
    """The bundle's level is that of neutral speech, whatever clips the head was trained with."""
    table, features = voices
    cloud, adapted, shift = _adapted(table, features, VOICE)
    known = enrolled(table, NORMALISATIONS[VOICE]).to_numpy()
    flat, level = features.reshape(480, 3), cloud["speaker_moods"]
    for one in table["speaker"].unique():
        ours = (table["speaker"] == one).to_numpy()
        voice = shrunken_mean(
            flat[ours & known].mean(axis=0) - level,
            centre=cloud["speaker_centre"],
            between=cloud["speaker_between"],
            noise=cloud["speaker_within"] / 10,
        )
        heard = (flat[ours] - voice) / np.sqrt(cloud["speaker_within"]) - shift
        np.testing.assert_allclose(heard, adapted[ours].reshape(-1, 3), atol=1e-4)
        # The level is near that of ten neutral clips.
        neutral = flat[ours & (table["label"] == "neutral").to_numpy()].mean(axis=0)
        assert np.abs(voice - neutral).max() < 4


def test_what_a_threshold_gives_is_measured_on_folds_that_did_not_set_it(rng):
    # Confidence says nothing here: whatever a threshold promises on its own clips is luck.
    promised, kept = [], []
    for _ in range(40):
        logits = rng.normal(size=(60, 3))
        probabilities = softmax(logits)
        truth = rng.integers(0, 3, 60)
        table = pd.DataFrame(probabilities, columns=["p_a", "p_b", "p_c"]).assign(
            fold=np.arange(60) % 5,
            speaker=(np.arange(60) % 5).astype(str),
            truth=np.array(list("abc"))[truth],
            prediction=np.array(list("abc"))[probabilities.argmax(axis=1)],
        )
        promised.append(select_threshold(probabilities, truth).accuracy_share)
        kept.append(_calibrated(table, ["a", "b", "c"])[1].accuracy_share)
    assert np.mean(promised) > np.nanmean(kept) + 0.05
    assert np.nanmean(kept) < 1 / 3 + 0.05


def test_a_corpus_in_which_confidence_says_nothing_does_not_set_the_threshold(rng):
    """Three corpora are sure where they are right, the fourth is sure and wrong."""
    probabilities = softmax(3 * rng.standard_normal((800, 3)))
    truth = np.array([rng.choice(3, p=one) for one in probabilities])
    fold = np.repeat(["a", "b", "c", "d"], 200)
    truth[fold == "d"] = (probabilities.argmax(axis=1)[fold == "d"] + 1) % 3
    table = pd.DataFrame(probabilities, columns=["p_a", "p_b", "p_c"]).assign(
        fold=fold,
        speaker=fold,
        truth=np.array(list("abc"))[truth],
        prediction=np.array(list("abc"))[probabilities.argmax(axis=1)],
    )
    robust, pooled = (_calibrated(table, list("abc"), is_by_corpus=one)[1] for one in (True, False))
    assert robust.threshold < pooled.threshold
    # Means over corpora, one of which has no right answer.
    assert robust.accuracy_share == pytest.approx(0.75 * 0.92, abs=0.06)
