"""The upper blocks of an encoder in Keras: what they compute, mask and start from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser_lib.errors import EncoderError, StudyError
from ser_lib.features.encoders.features import block_weights
from ser_lib.features.encoders.registry import get_encoder
from ser_lib.features.encoders.runtime import encode
from ser_lib.features.extraction import Rows
from ser_lib.models import build_keras
from ser_lib.models.encoder_finetune import (
    EncoderTopConfig,
    _rotate,
    _rotation,
    start_from_encoder,
)
from ser_lib.training.fit import FoldArrays, fit_network
from ser_lib.training.settings import TrainingSettings

SMALL = EncoderTopConfig(n_heads=2, n_rotary=4, n_blocks=1)
SHAPE = (10, 12)


@pytest.fixture
def base(real_cache):
    encoder = get_encoder("moonshine-base")
    if not encoder.file.is_file():
        pytest.skip(f"NOT CHECKED: {encoder.file} is not here; `ser data moonshine-base`")
    return encoder


@pytest.fixture
def frames(rng):
    """Return four clips of frames; the second is short."""
    values = rng.standard_normal((4, *SHAPE)).astype(np.float32)
    values[1, 6:] = 0
    return values


def pooled_by(model, frames):
    import keras

    return keras.Model(model.inputs, model.get_layer("pooled").output).predict(frames, verbose=0)


def test_a_blocks_numbers_are_those_of_the_published_encoder(base, rng):
    """8-bit weights in single precision: what differs is the rounding of what they multiply."""
    signal = (0.1 * rng.standard_normal(24_000) * np.hanning(24_000)).astype(np.float32)
    layers = encode(signal, 16_000, encoder=base)
    config = EncoderTopConfig()
    frames = np.pad(layers[3], ((0, 5), (0, 0)))[np.newaxis]
    model = build_keras(config, frames.shape[1:], 2)
    start_from_encoder(model, config, Rows.of(np.concatenate([frames, 1.1 * frames])), [0, 1])
    parts = pooled_by(model, frames)[0].reshape(3, 2, 416)
    for number, (mean, spread) in zip((3, 4, 5), parts, strict=True):
        expected = layers[number]
        assert np.corrcoef(mean, expected.mean(axis=0))[0, 1] > 0.9999
        assert np.corrcoef(spread, expected.std(axis=0))[0, 1] > 0.999
    other = pooled_by(build_keras(config, frames.shape[1:], 2), frames)[0].reshape(3, 2, 416)
    assert abs(np.corrcoef(other[2, 0], layers[5].mean(axis=0))[0, 1]) < 0.999


def test_a_block_that_the_encoder_has_not_is_refused(base):
    with pytest.raises(EncoderError, match=r"8.*moonshine-tiny"):
        block_weights(base, 8)


def test_frames_of_zeros_change_nothing(frames):
    model = build_keras(SMALL, SHAPE, 3)
    longer = build_keras(SMALL, (16, 12), 3)
    longer.set_weights(model.get_weights())
    padded = np.pad(frames, ((0, 0), (0, 6), (0, 0)))
    np.testing.assert_allclose(np.asarray(longer(padded)), np.asarray(model(frames)), atol=1e-5)
    # A frame of anything else does.
    padded[:, -1] = 1.0
    assert np.abs(np.asarray(longer(padded)) - np.asarray(model(frames))).max() > 1e-3


def test_pooling_is_the_mean_and_the_spread_of_the_frames_that_are_there(frames):
    pooled = pooled_by(build_keras(replace(SMALL, n_blocks=0), SHAPE, 3), frames)
    np.testing.assert_allclose(pooled[1, :12], frames[1, :6].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(pooled[1, 12:], frames[1, :6].std(axis=0), atol=1e-5)


def test_rotation_keeps_lengths_and_depends_only_on_the_distance(rng):
    """The mathematics of rotary positions: scores depend on how far apart two frames are."""
    rotation = _rotation(9, 4)
    query, key = rng.standard_normal((2, 1, 1, 1, 6)).astype(np.float32)
    rotated = [
        np.asarray(_rotate(np.repeat(one, 9, axis=1), rotation))[0, :, 0] for one in (query, key)
    ]
    np.testing.assert_allclose(np.linalg.norm(rotated[0], axis=1), np.linalg.norm(query), rtol=1e-5)
    scores = rotated[0] @ rotated[1].T
    for distance in range(-4, 5):
        np.testing.assert_allclose(np.diag(scores, distance), scores[4, 4 + distance], atol=1e-5)
    np.testing.assert_array_equal(rotated[0][:, 4:], np.repeat(query[0, 0, :, 4:], 9, axis=0))


def test_training_starts_where_the_linear_head_ends(rng):
    """Classes that differ in their mean are recognised before the first step."""
    classes = np.arange(60) % 3
    frames = rng.standard_normal((60, *SHAPE)).astype(np.float32)
    frames[np.arange(60), :, classes] += 2.0
    config = replace(SMALL, n_blocks=0, strength=0.1)
    model = build_keras(config, SHAPE, 3)
    before = (np.asarray(model(frames)).argmax(axis=1) == classes).mean()
    start_from_encoder(model, config, Rows.of(frames), classes)
    said = np.asarray(model(frames))
    assert (said.argmax(axis=1) == classes).mean() > 0.95 > before
    # And a fit goes on from there: a rate of nearly 0 leaves the outputs as they were.
    still = TrainingSettings(max_epochs=1, learning_rate=1e-9, label_smoothing=0.1)
    arrays = FoldArrays(frames, classes, frames[:6], classes[:6], frames[:6])
    fitted, history = fit_network(config, still, arrays, n_classes=3, seed=1)
    np.testing.assert_allclose(np.asarray(fitted(frames)), said, atol=1e-3)
    assert history["val_accuracy"].iloc[0] > 0.8


def test_an_unknown_encoder_is_refused():
    with pytest.raises(StudyError, match="'x'"):
        replace(SMALL, encoder="x")
