"""Bundles from studies: what can be one, what cannot, and that it answers as it was trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import Protocol
from ser_lib.errors import BundleError
from ser_lib.export import build as bundling
from ser_lib.export.build import fit_bundle
from ser_lib.features.registry import FeatureSpec
from ser_lib.inference.bundle import load_bundle
from ser_lib.inference.predictor import Predictor
from ser_lib.models.baselines import KnnConfig
from ser_lib.models.cnn1d import Cnn1dConfig
from ser_lib.studies.study import ModelSpec, Study
from ser_lib.training.settings import TrainingSettings

QUICK = FeatureSpec("mfcc_zcr_rms", params={"duration_s": 0.3, "n_mfcc": 4})
STUDY = Study(
    name="tiny2026",
    title="Tiny",
    source="Nobody (2026)",
    corpora=("demo",),
    label_set=LABEL_SETS["ravdess8"],
    models=(
        ModelSpec(
            *("net", "1D CNN", Cnn1dConfig(n_filters=(2,), n_dense=2), QUICK),
            training=TrainingSettings(max_epochs=2),
            is_scaled=True,
        ),
        ModelSpec("knn", "KNN", KnnConfig(n_neighbors=2), QUICK),
    ),
    published_protocol=Protocol("random", leaks=("same_speaker",)),
    honest_protocol=Protocol("loso"),
    seeds=(1,),
)


def test_a_network_becomes_a_bundle_that_answers(few_clips, tmp_path):
    folder = fit_bundle(STUDY, few_clips, tmp_path / "tiny")
    bundle = load_bundle(folder)
    assert bundle.labels == ("neutral", "angry")
    assert bundle.name == "tiny"
    assert 0.5 <= bundle.card["confidence"] <= 1.0
    assert bundle.domain.unlike(bundle.domain_values(1e6 + np.ones(bundle.input_shape))) != ""
    table = Predictor(bundle).predict(list(few_clips["path"][:3]))
    names = [f"p_{label}" for label in bundle.labels]
    np.testing.assert_allclose(table[names].sum(axis=1), 1, atol=1e-5)


def test_a_bundle_is_tried_elsewhere_as_it_is(few_clips, tmp_path, monkeypatch):
    other = few_clips.assign(corpus="emodb")
    monkeypatch.setattr(bundling, "load_corpus", lambda name, strict: other)
    folder = fit_bundle(STUDY, few_clips, tmp_path / "tiny", cross_corpora=["emodb", "emodb"])
    bundle = load_bundle(folder)
    (tried,) = bundle.card["elsewhere"]
    answers = Predictor(bundle).predict(list(other["path"]))
    likeliest = answers[[f"p_{one}" for one in bundle.labels]].idxmax(axis=1).str[2:]
    is_right = (likeliest == other["emotion"]).mean()
    assert tried["new_voice"]["accuracy_share"] == pytest.approx(is_right, abs=1e-4)
    assert "| emodb |" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("study", "options", "message"),
    [
        (STUDY, {"model": "knn"}, "neither a network nor a linear head"),
        (STUDY, {"protocol": "published"}, r"tests on what was trained on \(same_speaker\)"),
        (
            replace(STUDY, augmentations=("faster",), test_views=("faster",)),
            {},
            "mean over several speeds of a clip",
        ),
        (replace(STUDY, auxiliary_corpora=("emodb",)), {}, "trained on clips of emodb as well"),
    ],
)
def test_what_cannot_be_a_bundle_is_refused_and_nothing_is_written(
    few_clips, tmp_path, study, options, message
):
    with pytest.raises(BundleError, match=message):
        fit_bundle(study, few_clips, tmp_path / "tiny", **options)
    assert not (tmp_path / "tiny").exists()
