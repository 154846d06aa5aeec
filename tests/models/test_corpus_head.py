"""The head for other corpora: their level is estimated as planted; what is chosen, and when."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.errors import StudyError
from ser_lib.models.corpus_head import CorpusHead, CorpusHeadConfig, corpus_levels
from ser_lib.models.ridge_head import apply_linear_head

CONFIG = CorpusHeadConfig(layers=(1, 2), n_components=6, strengths=(1.0, 0.1))


@pytest.fixture
def planted(rng):
    """Three classes; four corpora, each with a level of its own, and of classes unlike often."""
    corpora = np.repeat(list("abcd"), 60)
    classes = np.array([n % 3 if n % 4 else n // 60 % 3 for n in range(240)])
    features = 0.5 * rng.standard_normal((240, 1, 4, 2, 5))
    features += 6 * np.repeat(rng.standard_normal((4, 1, 1, 1, 5)), 60, axis=0)
    features[:, 0, :, 0] += 2 * rng.standard_normal((3, 5))[classes][:, np.newaxis]
    return features.astype(np.float32), classes, corpora


def test_the_level_of_a_corpus_is_what_its_classes_do_not_explain(rng):
    levels, effects = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    effects -= effects.mean(axis=0)
    corpora, classes = np.repeat([0, 1, 2], 8), np.array([0, 1, 2, 0, 0, 0, 1, 1] * 3)
    classes[8:16] = [0, 0, 1, 1, 1, 1, 0, 1]  # has no clip of the third class
    rows = levels[corpora] + effects[classes]
    np.testing.assert_allclose(corpus_levels(rows, classes, corpora), levels[corpora], atol=1e-12)
    # The twin: means take the emotion for the corpus.
    assert np.abs(rows[8:16].mean(axis=0) - levels[1]).max() > 0.05


def test_a_corpus_that_was_left_out_is_recognised_once_its_level_is_known(planted):
    features, classes, corpora = planted
    out = corpora == "d"
    head = CorpusHead(CONFIG, 1).fit(features[~out], classes[~out], corpora[~out], n_classes=3)
    levels = corpus_levels(features.reshape(240, -1), classes, corpora).reshape(features.shape)
    known = features[out] - levels[out] + levels[~out].mean(axis=0)
    right = [
        np.mean(head.predict_proba(x).argmax(1) == classes[out]) for x in (known, features[out])
    ]
    assert right[0] > 0.9
    assert right[0] > right[1]


def test_what_is_chosen_is_judged_on_corpora_that_are_left_out(rng):
    """Each corpus shows its classes in directions of its own: nothing is learned of another."""
    corpora, classes = np.repeat(list("abcd"), 60), np.tile([0, 1, 2], 80)
    features = 0.1 * rng.standard_normal((240, 1, 4, 2, 12)).astype(np.float32)
    for number, one in enumerate("abcd"):
        where = np.flatnonzero(corpora == one)
        features[where, 0, 1, 0, 3 * number + classes[where]] += 3
    config = CorpusHeadConfig(layers=(1,), n_components=12, strengths=(1.0,))
    head = CorpusHead(config, 1).fit(features, classes, corpora, n_classes=3)
    assert np.mean(head.predict_proba(features).argmax(1) == classes) > 0.9
    assert head.history()["val_accuracy"].max() < 0.6


def test_one_matrix_is_the_head_and_other_layers_have_no_weight(planted):
    features, classes, corpora = planted
    head = CorpusHead(CONFIG, 1).fit(features, classes, corpora, n_classes=3)
    arrays = head.arrays()
    assert not arrays["weights"][[0, 3]].any()
    assert not arrays["weights"][:, 1].any()
    found = head.predict_proba(features)
    np.testing.assert_allclose(found, apply_linear_head(features, arrays))
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_the_first_setting_stays_unless_another_one_is_clearly_better(planted, monkeypatch):
    features, classes, corpora = planted
    uars = {}

    def uar(truth, scores):
        return uars.setdefault(len(uars), 0.5 + next(gains))

    monkeypatch.setattr("ser_lib.models.corpus_head._uar", uar)
    for better, chosen in (([0.1, -0.1, 0.1, -0.05], 0), ([0.1, 0.09, 0.1, 0.11], 3)):
        uars.clear()
        gains = iter([0.0] * 12 + better)  # four corpora a setting, and the last setting gains
        tried = CorpusHead(CONFIG, 1).fit(features, classes, corpora, n_classes=3).history()
        assert tried["weight"].tolist() == [float(n == chosen) for n in range(4)]
        assert tried["limit_a"].notna().tolist() == (tried["weight"] > 0).tolist()


def test_a_class_of_one_corpus_alone_is_learned_and_spoils_no_temperature(planted):
    features, classes, corpora = planted
    features = features - corpus_levels(features.reshape(240, -1), classes, corpora).reshape(
        features.shape
    )
    classes = np.where((corpora == "a") & (classes == 1), 3, classes)
    head = CorpusHead(CONFIG, 1).fit(features, classes, corpora, n_classes=4)
    assert head.arrays()["weights"][..., 3].any()
    # Scores of a class that was not learned would make every answer as good as chance.
    assert head.arrays()["sharpness"] > 0.1


def test_fewer_than_three_corpora_cannot_be_left_out(planted):
    features, classes, corpora = planted
    few = corpora < "c"
    with pytest.raises(StudyError, match="a, b"):
        CorpusHead(CONFIG, 1).fit(features[few], classes[few], corpora[few], n_classes=3)
    with pytest.raises(StudyError, match="fit"):
        CorpusHead(CONFIG, 1).arrays()
