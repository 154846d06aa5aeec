"""Heads on frames of a frozen encoder: pooling, mixing and the weights to start from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser_lib.errors import StudyError
from ser_lib.features.extraction import Rows
from ser_lib.models import build_keras
from ser_lib.models.frame_head import FrameHeadConfig, start_frame_head
from ser_lib.training.fit import FoldArrays, fit_network
from ser_lib.training.settings import TrainingSettings

PLAIN = FrameHeadConfig(dropout_rate=0.0, frame_dropout_rate=0.0)
SHAPE = (10, 12)


@pytest.fixture
def frames(rng):
    """Return forty clips far from mean 0 and deviation 1; every second one is short."""
    values = 5 + 3 * rng.standard_normal((40, *SHAPE)).astype(np.float32)
    values[1::2, 6:] = 0
    return values


def built(config, frames):
    """Return a network that is scaled and started on the frames."""
    model = build_keras(config, frames.shape[1:], 3)
    start_frame_head(model, config, Rows.of(frames), np.arange(len(frames)) % 3)
    return model


def pooled_by(model, frames):
    import keras

    return keras.Model(model.inputs, model.get_layer("pooled").output).predict(frames, verbose=0)


def scaled(frames):
    there = frames[frames.any(axis=-1)]
    return (frames - there.mean(axis=0)) / there.std(axis=0)


def test_pooling_is_the_mean_and_the_spread_of_the_scaled_frames_that_are_there(frames):
    pooled = pooled_by(built(PLAIN, frames), frames)
    np.testing.assert_allclose(pooled[1, :12], scaled(frames)[1, :6].mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(pooled[1, 12:], scaled(frames)[1, :6].std(axis=0), atol=1e-3)


@pytest.mark.parametrize("config", [PLAIN, replace(PLAIN, n_attention=4, n_filters=(5,))])
def test_frames_of_zeros_change_nothing(frames, config):
    model, longer = built(config, frames), build_keras(config, (16, 12), 3)
    longer.set_weights(model.get_weights())
    padded = np.pad(frames, ((0, 0), (0, 6), (0, 0)))
    expected = np.asarray(model(frames))
    np.testing.assert_allclose(np.asarray(longer(padded)), expected, atol=1e-5)
    padded[:, -1] = 1.0
    assert np.abs(np.asarray(longer(padded)) - expected).max() > 1e-3


def test_very_large_values_are_clipped(frames):
    model = built(PLAIN, frames)
    larger = [frames.copy(), frames.copy()]
    larger[0][:, 0, 0], larger[1][:, 0, 0] = 1e3, 1e6
    np.testing.assert_allclose(*(np.asarray(model(one)) for one in larger), atol=1e-6)


def test_attention_begins_with_the_same_weight_for_every_frame(frames):
    plain, attentive = built(PLAIN, frames), built(replace(PLAIN, n_attention=4), frames)
    expected = pooled_by(plain, frames)
    np.testing.assert_allclose(pooled_by(attentive, frames), expected, atol=1e-4)
    kernel, offset = attentive.get_layer("layers_look2").get_weights()
    attentive.get_layer("layers_look2").set_weights([kernel + 1.0, offset])
    assert np.abs(pooled_by(attentive, frames) - expected).max() > 1e-2


def test_a_mixture_of_layers_begins_as_their_mean(frames):
    mixed = pooled_by(built(replace(PLAIN, n_mixed=3), frames), frames)
    # Three layers of four values, side by side.
    mean = scaled(frames)[0].reshape(10, 3, 4).mean(axis=1)
    np.testing.assert_allclose(mixed[0, :4], mean.mean(axis=0), atol=1e-3)
    assert mixed.shape == (40, 8)


def test_what_cannot_be_divided_into_layers_is_refused():
    with pytest.raises(StudyError, match=r"\b12\b.*\b5\b"):
        build_keras(replace(PLAIN, n_mixed=5), SHAPE, 3)


def test_convolutions_are_pooled_too(frames):
    pooled = pooled_by(built(replace(PLAIN, n_filters=(5, 7)), frames), frames)
    assert pooled.shape == (40, 2 * (12 + 5 + 7))


@pytest.mark.parametrize("more", [{}, {"n_attention": 4}, {"n_filters": (5,)}, {"n_mixed": 2}])
def test_training_starts_where_ridge_regression_ends(rng, more):
    """Classes that differ in their mean are recognised before the first step."""
    classes = np.arange(60) % 3
    frames = rng.standard_normal((60, *SHAPE)).astype(np.float32)
    frames[np.arange(60), :, classes] += 2.0
    config = replace(PLAIN, strength=0.1, **more)
    still = TrainingSettings(max_epochs=1, learning_rate=1e-9, label_smoothing=0.1)
    arrays = FoldArrays(frames, classes, frames[:6], classes[:6], frames[:6])
    before = build_keras(config, SHAPE, 3).predict(frames, verbose=0).argmax(axis=1) == classes
    if more:
        model = build_keras(config, SHAPE, 3)
        start_frame_head(model, config, Rows.of(frames), classes)
    else:
        # And a fit goes on from there.
        model, _ = fit_network(config, still, arrays, n_classes=3, seed=1)
    after = np.asarray(model(frames)).argmax(axis=1) == classes
    assert after.mean() > 0.95 > before.mean()


def test_frames_are_left_out_in_training_only(frames):
    config = replace(PLAIN, frame_dropout_rate=0.5)
    model = built(config, frames)
    trained = [np.asarray(model(frames, training=True)) for _ in range(2)]
    assert np.abs(trained[0] - trained[1]).max() > 1e-3
    twice = [np.asarray(model(frames)) for _ in range(2)]
    np.testing.assert_array_equal(*twice)
