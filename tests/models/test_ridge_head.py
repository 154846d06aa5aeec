"""The linear head: its algebra against scikit-learn, its choices against planted ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from ser_lib.errors import StudyError
from ser_lib.models.ridge_head import (
    RidgeHead,
    RidgeHeadConfig,
    apply_linear_head,
    neighbours,
    solve_ridge,
)
from ser_lib.training.fit import FoldArrays, fit_fold

SHAPE = (2, 5, 2, 6)  # views, layers, statistics, values


@pytest.fixture
def planted(rng):
    """Classes show in layer 2 alone; speakers show everywhere. Eight speakers, 30 clips each."""
    classes = np.tile(np.arange(3), 80)
    speakers = np.repeat([f"s{n}" for n in range(8)], 30)
    features = rng.standard_normal((240, *SHAPE))
    features += np.repeat(rng.standard_normal((8, *SHAPE)), 30, axis=0)
    features[:, :, 2] += 1.2 * rng.standard_normal((3, 2, 6))[classes][:, np.newaxis]
    return features.astype(np.float16), classes, speakers


CONFIG = RidgeHeadConfig(((0,), (1,), (2,), (3, 4)), views=(0, 1), n_members=1)


def fitted(planted, config=CONFIG, *, seed=1):
    features, classes, speakers = planted
    return RidgeHead(config, seed).fit(features, classes, speakers, n_classes=3)


def test_the_layer_that_separates_the_classes_is_chosen(planted):
    chosen = fitted(planted).history()
    assert chosen["layers"][0] == "2"
    assert chosen["weight"].tolist() == [1, 0, 0, 0]


def test_several_members_are_averaged_best_first(planted):
    head = fitted(planted, RidgeHeadConfig(CONFIG.layer_sets, n_members=3))
    chosen = head.history()
    assert chosen["weight"].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert chosen["val_accuracy"].is_monotonic_decreasing
    assert chosen["layers"][0] == "2"


def test_dual_weights_are_those_of_ridge_regression(rng):
    """scikit-learn's Ridge, with its own offset, on the same rows."""
    from sklearn.linear_model import Ridge

    rows, targets = rng.standard_normal((40, 7)), rng.standard_normal((40, 2))
    kernel = rows @ rows.T
    ((dual, offset),) = solve_ridge(kernel, targets, (0.5,))
    centred = rows - rows.mean(axis=0)
    penalty = 0.5 * np.trace(centred @ centred.T) / 40
    expected = Ridge(alpha=penalty).fit(rows, targets)
    np.testing.assert_allclose(rows.T @ dual, expected.coef_.T, atol=1e-8)
    np.testing.assert_allclose(offset, expected.intercept_, atol=1e-8)


def test_one_matrix_gives_what_the_kernels_give(planted):
    """The head's arrays, step by step: average views, scale, multiply, softmax."""
    features, _, _ = planted
    head = fitted(planted)
    arrays = head.arrays()
    scaled = (features.astype(float).mean(axis=1) - arrays["mean"]) / arrays["spread"]
    logits = np.einsum("nlsv,lsvc->nc", scaled, arrays["weights"]) + arrays["bias"]
    logits *= arrays["sharpness"]
    np.testing.assert_allclose(head.predict_proba(features), softmax(logits, axis=1), atol=1e-3)
    np.testing.assert_allclose(apply_linear_head(features, arrays).sum(axis=1), 1)


def test_new_speakers_are_recognised_and_shuffled_labels_are_not(planted, rng):
    features, classes, speakers = planted
    is_new = np.isin(speakers, ["s6", "s7"])

    def share(classes):
        parts = features[~is_new], classes[~is_new], speakers[~is_new]
        head = RidgeHead(CONFIG, 1).fit(*parts, n_classes=3)
        return np.mean(head.predict_proba(features[is_new]).argmax(axis=1) == classes[is_new])

    assert share(classes) > 0.7
    assert share(rng.permutation(classes)) < 0.55


def test_an_inner_fold_holds_whole_speakers(planted):
    speakers = planted[2]
    folds = RidgeHead(CONFIG, 1)._inner_folds(speakers)
    assert np.sum(folds, axis=0).tolist() == [1] * len(speakers)
    for held_out in folds:
        assert not set(speakers[held_out]) & set(speakers[~held_out])


def test_the_seed_decides_the_inner_folds_and_nothing_else(planted):
    same = fitted(planted).predict_proba(planted[0])
    np.testing.assert_array_equal(same, fitted(planted).predict_proba(planted[0]))
    masks = [RidgeHead(CONFIG, seed)._inner_folds(planted[2])[0] for seed in (1, 2)]
    assert not np.array_equal(*masks)


def test_probabilities_are_about_as_sure_as_they_are_right(planted):
    features, classes, speakers = planted
    is_new = np.isin(speakers, ["s6", "s7"])
    head = RidgeHead(CONFIG, 1).fit(
        features[~is_new], classes[~is_new], speakers[~is_new], n_classes=3
    )
    probabilities = head.predict_proba(features[is_new])
    is_right = probabilities.argmax(axis=1) == classes[is_new]
    assert probabilities.max(axis=1).mean() == pytest.approx(is_right.mean(), abs=0.12)


def test_a_head_is_fitted_through_the_training_of_folds(planted):
    features, classes, speakers = planted
    parts = [np.isin(speakers, names) for names in (["s0", "s1", "s2", "s3", "s4"], ["s5"])]
    is_test = ~(parts[0] | parts[1])
    arrays = FoldArrays(
        features[parts[0]],
        classes[parts[0]],
        features[parts[1]],
        classes[parts[1]],
        features[is_test],
        speakers[parts[0]],
        speakers[parts[1]],
    )
    result = fit_fold(CONFIG, None, arrays, n_classes=3, is_scaled=False, seed=1)
    joined = parts[0] | parts[1]
    # Validation speakers are training speakers to a head that has inner folds.
    direct = RidgeHead(CONFIG, 1).fit(
        features[joined], classes[joined], speakers[joined], n_classes=3
    )
    np.testing.assert_allclose(result.probabilities, direct.predict_proba(features[is_test]))
    assert result.n_parameters == 1 * 2 * 6 * 3 + 3


def test_a_head_without_speakers_is_refused(planted):
    features, classes, _ = planted
    arrays = FoldArrays(features, classes, features, classes, features)
    with pytest.raises(StudyError, match="RidgeHeadConfig"):
        fit_fold(CONFIG, None, arrays, n_classes=3, is_scaled=False, seed=1)


def test_what_cannot_be_fitted_is_refused(planted):
    features, classes, speakers = planted
    with pytest.raises(StudyError, match=r"\(240, 5, 2, 6\)"):
        RidgeHead(CONFIG, 1).fit(features[:, 0], classes, speakers, n_classes=3)
    with pytest.raises(StudyError, match="layer 9"):
        fitted(planted, RidgeHeadConfig(((9,),)))
    two = np.where(speakers < "s4", "a", "b")
    with pytest.raises(StudyError, match=r"^2 training"):
        RidgeHead(CONFIG, 1).fit(features, classes, two, n_classes=3)
    with pytest.raises(StudyError, match="fitted"):
        RidgeHead(CONFIG, 1).arrays()


def test_neighbours_are_all_runs_of_their_lengths():
    assert neighbours(0, 2, lengths=(1, 3)) == ((0,), (1,), (2,), (0, 1, 2))
