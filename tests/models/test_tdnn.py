"""The network from scratch: padding, scaling, and what it can learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser_lib.features.extraction import Rows
from ser_lib.models import build_keras
from ser_lib.models.tdnn import TdnnConfig, start_tdnn
from ser_lib.training.fit import FoldArrays, fit_fold, fit_network
from ser_lib.training.loop import predict_rows
from ser_lib.training.settings import TrainingSettings

# Arithmetic on small inputs; that compiled networks learn is tested in tests/training.
pytestmark = pytest.mark.usefixtures("eager")

SMALL = TdnnConfig(n_filters=8, n_blocks=1, n_attention=4)
SHAPE = (24, 5)
QUICK = TrainingSettings(max_epochs=1)


@pytest.fixture
def frames(rng):
    """Return forty clips far from mean 0 and deviation 1; each ends before its array does."""
    values = 50 + 20 * rng.standard_normal((40, *SHAPE)).astype(np.float32)
    values[:, 18:] = 0
    return values


def test_it_is_as_small_as_the_issue_asks():
    assert build_keras(TdnnConfig(), (160, 86), 8).count_params() < 500_000


def test_inputs_are_scaled_by_the_training_rows_frames_alone(frames):
    model = build_keras(SMALL, SHAPE, 3)
    start_tdnn(model, SMALL, Rows.of(frames), np.zeros(40))
    mean, variance = model.get_layer("scale").get_weights()
    np.testing.assert_allclose(mean, frames[:, :18].mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(variance, frames[:, :18].var(axis=(0, 1)), rtol=1e-4)


def test_scaling_is_that_of_the_fold_and_not_of_the_fold_before(frames):
    """The network is compiled once for all folds: nothing of one may stay for the next."""
    classes = np.arange(40) % 3
    predicted = []
    for factor in (1.0, 3.0):
        scaled = factor * frames
        arrays = FoldArrays(scaled, classes, scaled[:4], classes[:4], scaled)
        model, _ = fit_network(SMALL, QUICK, arrays, n_classes=3, seed=1)
        mean, _ = model.get_layer("scale").get_weights()
        np.testing.assert_allclose(mean, scaled[:, :18].mean(axis=(0, 1)), rtol=1e-5)
        predicted.append(predict_rows(model, Rows.of(scaled)))
    # And predictions follow: the same clips, three times as large, are the same clips.
    np.testing.assert_allclose(*predicted, atol=1e-3)


def test_frames_of_zeros_are_neither_scaled_nor_convolved_nor_pooled(frames, rng):
    """With weights as after training, a frame of zeros does not give zeros without a mask."""
    model, longer = build_keras(SMALL, SHAPE, 3), build_keras(SMALL, (40, 5), 3)
    trained = [one + 0.3 * rng.random(one.shape).astype(np.float32) for one in model.get_weights()]
    model.set_weights(trained)
    start_tdnn(model, SMALL, Rows.of(frames), np.zeros(40))
    longer.set_weights(model.get_weights())
    padded = np.pad(frames, ((0, 0), (0, 16), (0, 0)))
    expected = np.asarray(model(frames))
    np.testing.assert_allclose(np.asarray(longer(padded)), expected, atol=1e-5)
    padded[:, -4:] = 60.0
    assert np.abs(np.asarray(longer(padded)) - expected).max() > 1e-3


def test_padding_counts_in_no_mean_of_a_batch(frames):
    """Training on longer padding leaves the same running means behind."""
    still = replace(SMALL, dropout_rate=0.0, value_dropout_rate=0.0, stretch_dropout_rate=0.0)
    still = replace(still, noise=0.0)
    classes = np.arange(40) % 3
    states = []
    for n_more in (0, 16):
        longer = np.pad(frames, ((0, 0), (0, n_more), (0, 0)))
        arrays = FoldArrays(longer, classes, longer[:4], classes[:4], longer[:4])
        model, _ = fit_network(still, QUICK, arrays, n_classes=3, seed=1)
        norms = [one for one in model.layers if one.name.endswith("_norm")]
        states.append([np.asarray(norm.moving_mean) for norm in norms])
    for short, long in zip(*states, strict=True):
        np.testing.assert_allclose(short, long, atol=1e-5)


def test_half_precision_predicts_nearly_the_same_with_weights_in_single(frames):
    single = TrainingSettings(max_epochs=1, learning_rate=1e-9)
    classes = np.arange(40) % 3
    arrays = FoldArrays(frames, classes, frames[:4], classes[:4], frames[:4])
    answers = []
    for settings in (single, replace(single, precision="mixed_bfloat16")):
        model, _ = fit_network(SMALL, settings, arrays, n_classes=3, seed=1)
        assert {str(one.dtype) for one in model.weights} <= {"float32", "uint32", "int64"}
        answers.append(np.asarray(model(frames)))
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.05


def test_it_learns_classes_that_show_in_some_frames_only(rng):
    """A class that shows in one stretch of frames, anywhere, on values of any level."""
    import tensorflow as tf

    # Of sixty steps the first alone is slow.
    tf.config.run_functions_eagerly(False)
    classes = np.arange(120) % 2
    frames = rng.standard_normal((120, *SHAPE)).astype(np.float32)
    for row, number in enumerate(classes):
        start = rng.integers(0, 16)
        frames[row, start : start + 6, 0] += 3.0 if number else -3.0
    config = replace(SMALL, value_dropout_rate=0.0, stretch_dropout_rate=0.0, noise=0.0)
    settings = TrainingSettings(max_epochs=15, learning_rate=0.01)
    arrays = FoldArrays(frames[:90], classes[:90], frames[90:], classes[90:], frames[90:])
    fitted = fit_fold(config, settings, arrays, n_classes=2, is_scaled=False, seed=1)
    assert (fitted.probabilities.argmax(axis=1) == classes[90:]).mean() > 0.9
