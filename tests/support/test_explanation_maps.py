"""Maps: a planted patch is found, and is lost with the weights that found it."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.errors import StudyError
from ser_lib.models import build_keras
from ser_lib.models.conv_blocks import ConvBlocksConfig
from ser_lib.seeds import seed_everything
from support.explanation import (
    ablation_maps,
    agreement,
    coarse,
    evidence,
    occlusion_maps,
    randomised,
)

SIDE = 16
TINY = ConvBlocksConfig(
    n_filters=(4,), kernel_sizes=(3,), block_dropout_rate=0.0, n_dense=(8,), dropout_rate=0.0
)


def build(seed: int):
    seed_everything(seed)
    return build_keras(TINY, (SIDE, SIDE, 1), 2)


@pytest.fixture(scope="module")
def found():
    """A network that has learned to look for a bright patch, with clips that have it."""
    rng = np.random.default_rng(5)
    inputs = rng.uniform(0.0, 0.5, (96, SIDE, SIDE, 1)).astype(np.float32)
    classes = np.arange(96) % 2
    inputs[classes == 1, 4:8, 8:12] += 0.8
    model = build(1)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.optimizer.learning_rate = 0.01
    for _ in range(40):
        model.train_on_batch(inputs, classes)
    with_patch = inputs[classes == 1]
    return model, with_patch, np.ones(len(with_patch), int), inputs.mean(axis=0)


def test_evidence_is_the_log_odds_of_the_named_class(found):
    model, inputs, classes, _ = found
    p = model.predict_on_batch(inputs)[:, 1].astype(float).clip(1e-6, 1 - 1e-6)
    expected = np.log(p) - np.log(1 - p)
    np.testing.assert_allclose(evidence(model, inputs, classes), expected, atol=0.01)
    assert np.median(expected) > 2


def test_both_maps_find_a_planted_patch(found):
    model, inputs, classes, fill = found
    maps = ablation_maps(model, inputs, classes, layer="block1_conv")
    assert maps.shape == inputs.shape[:3]
    assert maps.max() == pytest.approx(1.0)
    mean = maps.mean(axis=0)
    outside = np.ones((SIDE, SIDE), bool)
    outside[3:9, 7:13] = False
    assert mean[4:8, 8:12].mean() > 2 * mean[outside].mean()
    covered = occlusion_maps(model, inputs, classes, fill=fill, n_steps=4, n_bands=4)
    average = covered.mean(axis=0)
    assert np.unravel_index(average.argmax(), average.shape) == (1, 2)


def test_random_weights_lose_the_evidence_and_the_trained_model_is_left_alone(found):
    model, inputs, classes, fill = found
    before = [one.copy() for one in model.get_weights()]
    n_layers = len([one for one in model.layers if one.weights])
    other = randomised(model, build(9), n_layers=n_layers)
    ours = occlusion_maps(model, inputs, classes, fill=fill, n_steps=4, n_bands=4)[:, 1, 2]
    theirs = occlusion_maps(other, inputs, classes, fill=fill, n_steps=4, n_bands=4)[:, 1, 2]
    assert abs(theirs.mean()) < 0.2 * ours.mean()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_randomising_no_layer_changes_nothing_and_the_last_one_only_that(found):
    model, fresh = found[0], build(9)
    same, last = (randomised(model, fresh, n_layers=n) for n in (0, 1))
    for name in ("block1_conv", "dense1", "probabilities"):
        ours, untrained = (one.get_layer(name).get_weights()[0] for one in (model, fresh))
        np.testing.assert_array_equal(same.get_layer(name).get_weights()[0], ours)
        expected = untrained if name == "probabilities" else ours
        np.testing.assert_array_equal(last.get_layer(name).get_weights()[0], expected)
    with pytest.raises(StudyError, match="99"):
        randomised(model, fresh, n_layers=99)


def test_a_layer_without_maps_is_refused(found):
    model, inputs, classes, _ = found
    with pytest.raises(StudyError, match="dense1"):
        ablation_maps(model, inputs, classes, layer="dense1")


def test_agreement_is_spearmans_correlation(rng):
    from scipy.stats import spearmanr

    first, second = rng.standard_normal((2, 3, 4, 5)).round(1)
    expected = [
        spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(agreement(first, second), expected)
    assert np.isnan(agreement(np.zeros((1, 2, 2)), first[:1, :2, :2])).all()


def test_coarse_maps_are_block_means(rng):
    maps = rng.standard_normal((2, 8, 6))
    np.testing.assert_allclose(
        coarse(maps, 4, 3), maps.reshape(2, 4, 2, 3, 2).mean(axis=(2, 4)), atol=1e-12
    )
