"""Studies: each is complete, its figures are figures, and short cuts are other studies."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace

import pandas as pd
import pytest

from ser_lib import studies
from ser_lib.corpora import CORPORA
from ser_lib.errors import SerError, StudyError
from ser_lib.labels import LABEL_SETS
from ser_lib.models import family_of
from ser_lib.runs import plan_run, run_study
from ser_lib.splits import PROTOCOLS, make_split, rows_of, variants_of
from ser_lib.studies import STUDIES, Study, get_study

EACH = pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)


def test_every_file_of_the_folder_is_registered_under_its_name():
    modules = {info.name for info in pkgutil.iter_modules(studies.__path__) if info.name[0] != "_"}
    assert modules == set(STUDIES)
    for name in modules:
        module = importlib.import_module(f"ser_lib.studies.{name}")
        (value,) = [one for one in vars(module).values() if isinstance(one, Study)]
        assert STUDIES[name] is value
        assert value.name == name
        assert module.__all__ == [name.upper()]


def test_an_unknown_study_names_the_known_ones():
    with pytest.raises(StudyError, match=r"unknown study 'swart'; known are swart2025, "):
        get_study("swart")


@EACH
def test_a_study_is_complete(study):
    assert get_study(study.name) is study
    assert study.title
    assert "(20" in study.source
    assert study.models
    assert study.departures
    assert set(study.corpora) <= set(CORPORA)
    assert set(study.label_sets) <= set(CORPORA)
    assert set(study.label_sets.values()) <= set(LABEL_SETS)
    assert len({one.name for one in study.models}) == len(study.models)
    assert len(set(study.seeds)) == len(study.seeds) >= 3


@EACH
def test_a_study_has_models_of_its_authors_and_says_which_are_ours(study):
    published = {one.model for one in study.published_figures}
    assert published == {one.name for one in study.models if not one.is_ours}


@EACH
def test_networks_have_training_settings_and_classifiers_have_none(study):
    for model in study.models:
        assert (model.training is not None) == family_of(model.config)[1].is_keras


@EACH
def test_published_figures_are_rates_of_known_metrics_and_classes(study):
    seen = set()
    for one in study.published_figures:
        assert 0 < one.value <= 1
        assert one.where
        is_of_class = one.metric in ("auc", "precision", "recall", "f1")
        assert is_of_class or one.metric in ("wa", "train_wa")
        assert (one.label in study.label_set.labels) == is_of_class
        seen.add((one.model, one.metric, one.label))
    assert len(seen) == len(study.published_figures)


@EACH
def test_published_f1_is_the_harmonic_mean_of_what_is_printed_beside_it(study):
    table = study.published_table()
    table = table[table["metric"].isin(["precision", "recall", "f1"])]
    wide = table.pivot(index="label", columns="metric", values="value")
    harmonic = 2 * wide["precision"] * wide["recall"] / (wide["precision"] + wide["recall"])
    # Printed to two decimals, from factors that are printed to two or three.
    assert (wide["f1"] - harmonic).abs().max() < 0.011


@EACH
def test_the_honest_protocol_declares_no_leak_and_the_published_one_does(study):
    assert study.honest_protocol.leaks == ()
    assert not study.honest_protocol.is_published
    assert study.published_protocol.is_published


@EACH
@pytest.mark.parametrize("name", ["published", "honest", *PROTOCOLS])
def test_every_protocol_that_can_be_asked_for_can_be_applied(study, name, ravdess_table):
    protocol = study.protocol(name, "ravdess")
    variants = variants_of(study.copies, study.augmentations)
    rows = rows_of(
        ravdess_table, study.label_set, variants if protocol.is_published else ("original",)
    )
    assert make_split(rows, protocol, seed=study.seeds[0]).folds


@EACH
def test_honest_means_leave_one_speaker_out_on_corpora_without_published_folds(study):
    assert study.protocol("honest", "emodb").name == "loso"
    assert study.protocol("honest", "demo") == study.honest_protocol
    for corpus in study.corpora:
        assert study.protocol("honest", corpus) == study.honest_protocol


@EACH
def test_an_unknown_protocol_is_told(study, few_clips):
    with pytest.raises(SerError, match="unknown protocol 'kfold'"):
        plan_run(study, study.models[0].name, study.protocol("kfold", "demo"), 1, few_clips)


@EACH
def test_an_unknown_model_names_the_known_ones(study):
    with pytest.raises(StudyError, match=rf"{study.name} has no model 'vgg'; it has \w+"):
        study.model("vgg")
    assert study.model(study.models[0].name) is study.models[0]


@EACH
def test_labels_are_those_of_the_corpus(study):
    assert study.labels_for("ravdess") is study.label_set
    assert study.labels_for("demo") is study.label_set
    assert study.labels_for("emodb").name == "emodb7"


@EACH
def test_fewer_epochs_are_another_study_and_none_the_same(study):
    assert study.with_max_epochs(0) is study
    shorter = study.with_max_epochs(2)
    networks = [one.training.max_epochs for one in shorter.models if one.training]
    assert set(networks) == {2}
    longest = study.with_max_epochs(10_000)
    assert longest == study
    with pytest.raises(StudyError, match="max_epochs=-1 must be 0"):
        study.with_max_epochs(-1)


@EACH
def test_smaller_pictures_are_another_study_and_0_the_same(study):
    assert study.with_side(0) is study
    for before, after in zip(study.models, study.with_side(64).models, strict=True):
        is_square = "side_px" in before.features.params
        assert after.features.params.get("side_px") == (64 if is_square else None)
        assert replace(after, features=before.features) == before
    with pytest.raises(StudyError, match="side_px=8"):
        study.with_side(8)


def test_published_values_are_found_or_none():
    swart = STUDIES["swart2025"]
    assert swart.published_value("cnn_picture") == 0.87
    assert swart.published_value("cnn_picture", "f1", "neutral") == 0.044
    assert swart.published_value("cnn_array") is None
    assert STUDIES["boucheta2025"].published_value("cnn") == 0.725
    assert STUDIES["boucheta2025"].published_value("knn", "train_wa") == 0.673


@EACH
def test_the_published_table_has_one_row_a_figure(study):
    table = study.published_table()
    assert isinstance(table, pd.DataFrame)
    assert len(table) == len(study.published_figures)
    assert list(table.columns) == ["model", "metric", "value", "where", "label"]


def test_swart_trains_as_the_report_says():
    training = STUDIES["swart2025"].model("cnn_picture").training
    assert (training.max_epochs, training.batch_size) == (20, 32)
    assert (training.stop_patience, training.plateau_patience) == (5, 3)
    assert training.min_learning_rate == 1e-6


def test_boucheta_trains_as_the_report_says():
    training = STUDIES["boucheta2025"].model("cnn").training
    assert (training.max_epochs, training.batch_size, training.learning_rate) == (50, 32, 1e-3)
    assert all(one.is_scaled for one in STUDIES["boucheta2025"].models)


def test_a_model_that_takes_hours_is_run_with_fewer_seeds_and_never_more(demo_clips, monkeypatch):
    planned = []
    monkeypatch.setattr(
        "ser_lib.runs.run_or_load", lambda plan, clips, is_fresh: planned.append(plan.seed)
    )
    slow = STUDIES["swart2025"]
    for protocol, n_seeds in (("published", 0), ("honest", 0), ("honest", 2)):
        run_study(slow, demo_clips, models=["cnn_array"], protocols=[protocol], n_seeds=n_seeds)
    assert planned == [42, 42, 43, 44, 42, 43]
