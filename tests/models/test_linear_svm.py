"""The linear SVM: scikit-learn's machine, with its regularisation chosen by speaker."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ser_lib.errors import BundleError, StudyError
from ser_lib.models.linear_svm import LinearSvm, LinearSvmConfig

CONFIG = LinearSvmConfig((1e-4, 1e-2, 1.0))


@pytest.fixture
def planted(rng):
    """Two values depend on the class, twenty on the speaker. Eight speakers, 24 clips each."""
    classes = np.tile(np.arange(3), 64)
    speakers = np.repeat([f"s{n}" for n in range(8)], 24)
    features = rng.standard_normal((192, 22))
    features[:, 2:] += 3 * np.repeat(rng.standard_normal((8, 20)), 24, axis=0)
    features[:, :2] += 2 * np.array([[1, 0], [0, 1], [-1, -1]])[classes]
    return features, classes, speakers


def fitted(planted, config=CONFIG):
    features, classes, speakers = planted
    return LinearSvm(config, 1).fit(features, classes, speakers, n_classes=3)


def test_it_is_scikit_learns_machine_at_the_chosen_regularisation(planted):
    features, classes, _ = planted
    machine = fitted(planted)
    history = machine.history()
    (chosen,) = 10 ** history.loc[history["weight"] == 1, "log10_c"]
    direct = make_pipeline(StandardScaler(), SVC(kernel="linear", C=chosen, break_ties=True))
    expected = direct.fit(features, classes).predict(features)
    np.testing.assert_array_equal(machine.predict_proba(features).argmax(axis=1), expected)


def test_the_best_of_the_inner_folds_is_chosen(planted):
    history = fitted(planted).history()
    assert history["log10_c"].tolist() == pytest.approx([-4, -2, 0])
    assert history["weight"].sum() == 1
    assert history["val_accuracy"][history["weight"].argmax()] == history["val_accuracy"].max()


def test_the_fast_kernel_is_the_linear_one(planted):
    """The machines of the search and the one that is kept are the same."""
    from sklearn.metrics.pairwise import linear_kernel

    from ser_lib.models.linear_svm import _machine

    features, classes, _ = planted
    both = [_machine(kernel).fit(features, classes) for kernel in (linear_kernel, "linear")]
    margins = [one.decision_function(features) for one in both]
    np.testing.assert_allclose(*margins, atol=1e-2)


def test_inner_folds_hold_whole_speakers(planted):
    """Classes that depend on the speaker alone: at chance by speaker, but not by clip."""
    features, _, speakers = planted
    classes = np.unique(speakers, return_inverse=True)[1] % 3
    by_speaker = fitted((features, classes, speakers)).history()["val_accuracy"].max()
    by_clip = fitted((features, classes, np.arange(192).astype(str))).history()
    assert by_clip["val_accuracy"].max() > 0.9 > 0.6 > by_speaker


def test_a_class_without_rows_has_no_probability(planted):
    features, classes, speakers = planted
    kept = classes != 1
    machine = LinearSvm(CONFIG, 1)
    machine.fit(features[kept], classes[kept], speakers[kept], n_classes=3)
    probabilities = machine.predict_proba(features)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_probabilities_are_as_sure_as_the_inner_folds_allow(planted):
    """On speakers that were not fitted: as sure on average as the inner folds were right."""
    features, classes, speakers = planted
    known = speakers < "s5"
    machine = LinearSvm(CONFIG, 1)
    machine.fit(features[known], classes[known], speakers[known], n_classes=3)
    sureness = machine.predict_proba(features[~known]).max(axis=1).mean()
    assert sureness == pytest.approx(machine.history()["val_accuracy"].max(), abs=0.1)


def test_its_size_is_that_of_its_weights_and_offsets(planted):
    machine = fitted(planted)
    assert machine.n_parameters() == 3 * (22 + 1)  # three pairs of three classes
    assert machine.arrays()["mean"].shape == (22,)


def test_too_few_speakers_are_refused(planted):
    features, classes, speakers = planted
    two = np.where(speakers < "s4", "a", "b")
    with pytest.raises(StudyError, match=r"^2 training"):
        LinearSvm(CONFIG, 1).fit(features, classes, two, n_classes=3)


def test_no_bundle_is_made_of_it(few_clips, tmp_path):
    from ser_lib.export.build import fit_bundle
    from ser_lib.studies import OURS

    with pytest.raises(BundleError, match="compare2016"):
        fit_bundle(OURS["compare2016"], few_clips, tmp_path / "bundle")
