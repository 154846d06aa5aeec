"""Studies: each is complete, its figures are figures, and short cuts are other studies."""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import replace

import pandas as pd
import pytest

from ser_lib import studies
from ser_lib.data import CORPORA
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import BY_CORPUS, PROTOCOLS, Protocol, make_split, rows_of, variants_of
from ser_lib.errors import FeatureError, SerError, StudyError
from ser_lib.features.extraction import feature_shape
from ser_lib.features.registry import FeatureSpec
from ser_lib.models import family_of
from ser_lib.paths import PROJECT_DIR
from ser_lib.runs.runner import RunPlan, plan_run, run_study
from ser_lib.studies import OURS, STUDIES, get_study
from ser_lib.studies.study import Study

EACH = pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)


def test_every_file_of_the_folder_is_registered_under_its_name():
    registered = STUDIES | OURS
    assert not set(STUDIES) & set(OURS)
    found = {}
    for info in pkgutil.iter_modules(studies.__path__):
        module = importlib.import_module(f"ser_lib.studies.{info.name}")
        values = {name: one for name, one in vars(module).items() if isinstance(one, Study)}
        assert all(name == one.name.upper() for name, one in values.items())
        # A published system has a file of its own.
        assert not set(STUDIES) & {one.name for one in values.values()} - {info.name}
        found |= {one.name: one for one in values.values()}
    assert found == registered


def test_an_unknown_study_names_the_known_ones():
    with pytest.raises(StudyError, match=r"'swart'.* swart2025"):
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


# Models that the authors tried without printing a figure.
WITHOUT_FIGURES = {("fpt2025", "cnn3d_lstm"), ("fpt2025", "cnn3d_transformer")}


@EACH
def test_a_study_has_models_of_its_authors_and_says_which_are_ours(study):
    published = {one.model for one in study.published_figures}
    silent = {model for name, model in WITHOUT_FIGURES if name == study.name}
    assert published | silent == {one.name for one in study.models if not one.is_ours}
    assert not published & silent


@EACH
def test_networks_have_training_settings_and_classifiers_have_none(study):
    for model in study.models:
        assert (model.training is not None) == family_of(model.config)[1].is_keras


@EACH
def test_published_figures_are_rates_of_known_metrics_and_classes(study):
    for one in study.published_figures:
        assert one.where
        if one.metric == "n_parameters":
            assert one.value == int(one.value) > 1000
            assert not one.label
            continue
        assert 0 < one.value <= 1
        is_of_class = one.metric in ("auc", "precision", "recall", "f1")
        assert is_of_class or one.metric in ("wa", "train_wa")
        assert (one.label in study.label_set.labels) == is_of_class
    seen = {(one.model, one.metric, one.label) for one in study.published_figures}
    assert len(seen) == len(study.published_figures)


# Rows of which precision, recall and F1 are all printed; iemocap5 prints one or two of them.
N_WHOLE_ROWS = {
    "swart2025": 8,
    "boucheta2025": 7,
    "penumajji2025": 0,
    "fpt2025": 14,
    "iemocap5": 0,
}


@EACH
def test_published_f1_is_the_harmonic_mean_of_what_is_printed_beside_it(study):
    table = study.published_table()
    table = table[table["metric"].isin(["precision", "recall", "f1"])]
    wide = table.pivot(index=["model", "label"], columns="metric", values="value")
    wide = wide.reindex(columns=["precision", "recall", "f1"]).dropna()
    assert len(wide) == N_WHOLE_ROWS[study.name]
    if wide.empty:
        return
    harmonic = 2 * wide["precision"] * wide["recall"] / (wide["precision"] + wide["recall"])
    # Printed to two decimals, from factors that are printed to two or three.
    assert (wide["f1"] - harmonic).abs().max() < 0.011


@EACH
def test_the_honest_protocol_declares_no_leak_and_the_published_one_does(study):
    assert study.honest_protocol.leaks == ()
    assert not study.honest_protocol.is_published
    assert set(study.published_protocol.leaks) == {"same_audio", "same_parent", "same_speaker"}


@EACH
def test_only_two_studies_copy_or_augment_before_they_divide(study):
    # fpt2025 augments as well, inside the training part as its report says.
    is_before = study.name in ("swart2025", "boucheta2025")
    assert study.published_protocol.is_published == is_before
    assert is_before <= bool(study.copies > 1 or study.augmentations)


# Protocols that need more than a name: corpora or shares, or a corpus of few speakers.
NEEDS_MORE = ("loso_few", "last_speaker_out", "cross_corpus", *BY_CORPUS)
PLAIN = [name for name in PROTOCOLS if name not in NEEDS_MORE]


@EACH
@pytest.mark.parametrize("name", ["published", "honest", *PLAIN])
def test_every_protocol_that_can_be_asked_for_can_be_applied(study, name, ravdess_table):
    protocol = study.protocol(name, "ravdess")
    variants = variants_of(study.copies, study.augmentations)
    rows = rows_of(
        ravdess_table, study.label_set, variants if protocol.is_published else ("original",)
    )
    assert make_split(rows, protocol, seed=study.seeds[0]).folds


@EACH
def test_honest_means_leave_one_speaker_out_on_corpora_without_published_folds(study):
    named = study.other_protocols.get("emodb")
    assert study.protocol("honest", "emodb") == (named or Protocol("loso"))
    assert study.protocol("honest", "crema_d") == Protocol("loso")
    assert study.protocol("honest", "demo") == study.honest_protocol
    for corpus in study.corpora:
        assert study.protocol("honest", corpus) == study.honest_protocol


@EACH
def test_an_unknown_protocol_is_told(study, few_clips):
    with pytest.raises(SerError, match="'kfold'"):
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
    expected = {"swart2025": "emodb7", "boucheta2025": "emodb7", "iemocap5": "iemocap5"}
    assert study.labels_for("emodb").name == expected.get(study.name, study.label_set.name)


@EACH
def test_fewer_epochs_are_another_study_and_none_the_same(study):
    assert study.with_max_epochs(0) is study
    shorter = study.with_max_epochs(2)
    networks = [one.training.max_epochs for one in shorter.models if one.training]
    assert set(networks) == {2}
    longest = study.with_max_epochs(10_000)
    assert longest == study
    with pytest.raises(StudyError, match="max_epochs=-1"):
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


@EACH
def test_fewer_bands_are_another_study_and_0_the_same(study):
    assert study.with_bands(0) is study
    for before, after in zip(study.models, study.with_bands(24).models, strict=True):
        has_frames = before.features.name in ("mel_frames", "mel_chunks")
        expected = 24 if has_frames else before.features.params.get("n_mels")
        assert after.features.params.get("n_mels") == expected
        assert replace(after, features=before.features) == before
        if has_frames:
            assert feature_shape(after.features) != feature_shape(before.features)
    with pytest.raises(StudyError, match="n_mels=8"):
        study.with_bands(8)


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


def test_a_model_that_takes_hours_is_run_with_fewer_seeds_unless_asked(demo_clips, monkeypatch):
    planned = []
    monkeypatch.setattr(
        "ser_lib.runs.runner.run_or_load", lambda plan, clips, is_fresh: planned.append(plan.seed)
    )
    slow = STUDIES["swart2025"]
    asked = [("published", 0), ("honest", 0), ("honest", 2), ("published", 3)]
    for protocol, n_seeds in asked:
        run_study(slow, demo_clips, models=["cnn_array"], protocols=[protocol], n_seeds=n_seeds)
    assert planned == [42, 42, 43, 44, 42, 43, 42, 43, 44]


# --- what the five reports print


@pytest.mark.parametrize(
    ("study", "model", "value"),
    [
        ("penumajji2025", "cnn", 0.6888),  # 68.88 % of 180 predictions, section V-E
        ("fpt2025", "cnn3d", 0.86),  # 667 of 777, section 6.2
        ("iemocap5", "cnn", 0.56),
        ("iemocap5", "cnn_bilstm", 0.57),
        ("iemocap5", "cnn_bigru", 0.61),
    ],
)
def test_the_printed_accuracies_are_those_of_the_reports(study, model, value):
    assert STUDIES[study].published_value(model) == value


def test_the_class_table_of_fpt2025_is_that_of_its_section_6_2():
    # precision, recall, F1 and support as printed.
    printed = {
        "angry": (0.89, 0.90, 0.89, 117),
        "disgust": (0.79, 0.89, 0.84, 105),
        "fearful": (0.84, 0.86, 0.85, 108),
        "happy": (0.95, 0.75, 0.84, 109),
        "neutral": (0.84, 0.92, 0.88, 133),
        "sad": (0.86, 0.78, 0.81, 107),
        "surprised": (0.92, 0.95, 0.93, 98),
    }
    study = STUDIES["fpt2025"]
    assert set(printed) == set(study.label_set.labels)
    for label, values in printed.items():
        for metric, value in zip(("precision", "recall", "f1"), values[:3], strict=True):
            assert study.published_value("cnn3d", metric, label) == value
    # The supports sum to 777, and the recalls make the accuracy of 0.86 up to their rounding; the
    # 667 hits of its text are one or two fewer than the printed recalls allow.
    supports = [values[3] for values in printed.values()]
    hits = sum(values[1] * values[3] for values in printed.values())
    assert sum(supports) == 777
    assert hits / 777 == pytest.approx(0.86, abs=0.01)


@pytest.mark.parametrize(
    ("model", "metric", "label", "value"),
    [
        ("cnn", "precision", "angry", 0.77),
        ("cnn", "recall", "frustrated", 0.82),
        ("cnn", "precision", "frustrated", 0.43),
        ("cnn", "recall", "neutral", 0.24),
        ("cnn", "f1", "neutral", 0.34),
        ("cnn", "f1", "sad", 0.65),
        ("cnn", "f1", "happy", 0.62),
        ("cnn_bilstm", "recall", "sad", 0.74),
        ("cnn_bilstm", "f1", "frustrated", 0.51),
        ("cnn_bigru", "precision", "happy", 0.79),
        ("cnn_bigru", "f1", "sad", 0.67),
        ("cnn_bigru", "f1", "frustrated", 0.55),
    ],
)
def test_the_class_figures_of_iemocap5_are_those_of_its_report(model, metric, label, value):
    assert STUDIES["iemocap5"].published_value(model, metric, label) == value


SEEDS = PROJECT_DIR.parent / "shared" / "seeds"


@pytest.mark.parametrize(
    ("study", "number", "words"),
    [
        (
            "penumajji2025",
            "002",
            (r"68\.88\s*%", r"125 epochs with a batch size of 16", r"180 predictions"),
        ),
        (
            "fpt2025",
            "003",
            (
                r"667 out of 777",
                r"Conv3D \(64, 1×5×5\)",
                r"3, 128, 60, 1",
                r"50 epochs",
                r"LeakyReLU",
                r"70:15:15",
            ),
        ),
        ("iemocap5", "004", (r"1\.93 million", r"1,234,309", r"579,781", r"accuracy of 61%")),
    ],
)
def test_the_reports_say_so_themselves(study, number, words):
    texts = sorted(SEEDS.glob(f"{number}_*.txt"))
    if not texts:
        pytest.skip(f"NOT CHECKED: the report of {study} is not here")
    text = texts[0].read_text(encoding="utf-8")
    assert [one for one in words if re.search(one, text) is None] == []


def test_penumajji_trains_as_the_report_says_and_stops_early_only_when_honest():
    model = STUDIES["penumajji2025"].model("cnn")
    assert (model.training.max_epochs, model.training.batch_size) == (125, 16)
    assert model.training.stop_patience is None
    assert model.honest_settings.stop_patience is not None
    assert model.honest_settings.max_epochs == 125


def test_fpt_trains_as_the_report_says():
    for model in STUDIES["fpt2025"].models:
        training = model.training
        assert training.max_epochs == 50
        assert 8 <= training.batch_size <= 32
        assert (training.loss, training.sampling, training.keep) == (
            *("focal", "balanced", "val_accuracy"),
        )
        assert training.stop_patience
        assert training.plateau_patience
    assert STUDIES["fpt2025"].model("cnn3d").features.params == {}
    assert STUDIES["fpt2025"].augmentations == ("mixed",)


def test_fpt_divides_the_pool_70_15_15():
    params = STUDIES["fpt2025"].published_protocol.params
    assert params["test_share"] == 0.15
    assert (1 - params["test_share"]) * params["validation_share"] == pytest.approx(0.15)


# --- where a study is at home, and what is honest there


@pytest.mark.parametrize(
    ("study", "corpus", "expected"),
    [
        ("penumajji2025", "ravdess", "ravdess"),
        ("penumajji2025", "demo", "demo"),
        ("penumajji2025", "pooled", "ravdess"),
        ("fpt2025", "pooled", "pooled"),
        ("fpt2025", "tess", "tess"),
        ("fpt2025", "demo", "demo"),
        ("fpt2025", "ravdess", "pooled"),
        ("iemocap5", "iemocap", "iemocap"),
        ("iemocap5", "emodb", "emodb"),
        ("iemocap5", "ravdess", "ravdess"),
        ("iemocap5", "tess", "ravdess"),  # IEMOCAP itself cannot be had
        ("swart2025", "ravdess", "ravdess"),
        ("swart2025", "emodb", "emodb"),
        ("swart2025", "pooled", "ravdess"),
    ],
)
def test_a_study_is_shown_where_it_is_known_else_at_its_home(study, corpus, expected):
    assert STUDIES[study].home(corpus) == expected


@pytest.mark.parametrize(
    ("study", "corpus", "expected"),
    [
        ("penumajji2025", "ravdess", "luna5"),
        ("penumajji2025", "crema_d", "loso"),
        ("fpt2025", "pooled", "speaker_folds"),
        ("fpt2025", "tess", "loso_few"),
        ("fpt2025", "demo", "speaker_folds"),
        ("iemocap5", "iemocap", "speaker_folds"),
        ("iemocap5", "ravdess", "luna5"),
        ("iemocap5", "emodb", "speaker_folds"),
        ("iemocap5", "savee", "loso"),
    ],
)
def test_what_is_honest_depends_on_the_corpus(study, corpus, expected):
    protocol = STUDIES[study].protocol("honest", corpus)
    assert protocol.name == expected
    # Only where two speakers leave none to validate on is one heard in training.
    assert protocol.leaks == (("same_speaker",) if expected == "loso_few" else ())


def test_a_named_test_of_a_study_is_found_on_every_corpus():
    study = STUDIES["penumajji2025"]
    for corpus in ("pooled", "ravdess"):
        german = study.protocol("german", corpus)
        assert german == study.other_protocols["german"]
        assert german.params == {"train": "ravdess", "test": "emodb"}
    assert STUDIES["swart2025"].protocol("german", "pooled") == Protocol("german")


# --- shorter training


def test_fewer_epochs_shorten_both_trainings():
    shorter = STUDIES["penumajji2025"].with_max_epochs(3).model("cnn")
    before = STUDIES["penumajji2025"].model("cnn")
    assert shorter.training == replace(before.training, max_epochs=3)
    assert shorter.honest_training == replace(before.honest_training, max_epochs=3)


@EACH
def test_a_model_without_an_honest_training_of_its_own_has_none_after_shortening(study):
    for before, after in zip(study.models, study.with_max_epochs(2).models, strict=True):
        assert (after.honest_training is None) == (before.honest_training is None)
        assert after.honest_settings == (after.honest_training or after.training)


@pytest.mark.parametrize(
    ("protocol", "is_honest"),
    [("published", False), ("honest", True), ("german", True), ("loso", True), ("random", True)],
)
def test_honest_training_is_for_any_protocol_but_the_published_one(protocol, is_honest):
    study = STUDIES["penumajji2025"]
    chosen = study.protocol(protocol, "ravdess")
    plan = RunPlan(
        *(study, study.model("cnn"), chosen, 42, "ravdess", None, ()),
    )
    model = study.model("cnn")
    assert plan.training == (model.honest_training if is_honest else model.training)


@EACH
def test_a_model_without_honest_training_is_trained_alike_everywhere(study):
    for model in study.models:
        if model.honest_training is not None:
            continue
        for protocol in (study.published_protocol, study.honest_protocol):
            plan = RunPlan(
                *(study, model, protocol, 42, "ravdess", None, ()),
            )
            assert plan.training is model.training


# --- models that are trained on request


def test_only_3d_networks_that_take_hours_are_trained_on_request():
    optional = [
        (study.name, model.name)
        for study in STUDIES.values()
        for model in study.models
        if model.is_optional
    ]
    hours = ("cnn3d", "cnn3d_lstm", "cnn3d_transformer")
    assert optional == [("fpt2025", name) for name in hours]


def test_a_model_on_request_is_left_out_unless_it_is_named(few_clips, monkeypatch):
    planned = []
    monkeypatch.setattr(
        "ser_lib.runs.runner.run_or_load",
        lambda plan, clips, is_fresh: planned.append(plan.model.name),
    )
    study = replace(STUDIES["fpt2025"], honest_protocol=Protocol("loso"))
    run_study(study, few_clips, protocols=["honest"], n_seeds=1)
    assert planned == ["cnn3d_small"]
    planned.clear()
    run_study(study, few_clips, models=["cnn3d"], protocols=["honest"], n_seeds=1)
    assert planned == ["cnn3d"]


# --- our own systems


@pytest.mark.parametrize("study", OURS.values(), ids=OURS)
def test_our_own_system_claims_no_published_figure_and_no_leak(study):
    assert get_study(study.name) is study
    assert study.published_figures == ()
    assert all(one.is_ours for one in study.models)
    assert len(set(study.seeds)) == len(study.seeds) >= 3
    protocols = [study.honest_protocol, study.published_protocol, *study.other_protocols.values()]
    assert all(one.leaks == () and not one.is_published for one in protocols)


def test_a_protocol_with_normalisation_is_asked_for_by_its_full_name():
    protocols = OURS["moonshine"].other_protocols
    named = {name: one for name, one in protocols.items() if one.normalisation}
    assert named
    assert [one.full_name for one in named.values()] == list(named)
    assert all("_norm_" in name for name in named)


def test_a_block_reads_the_layer_of_its_number():
    model = OURS["tuned"].model("blocks2")
    with pytest.raises(StudyError, match="block 4 of moonshine-base"):
        replace(model, config=replace(model.config, first_block=4))
    with pytest.raises(StudyError, match="moonshine-tiny"):
        replace(model, config=replace(model.config, encoder="moonshine-tiny"))


@pytest.mark.parametrize("change", [{"augmentations": ()}, {"test_views": ("noise",)}])
def test_views_of_test_clips_are_augmentations_of_the_study(change):
    with pytest.raises(StudyError, match="test_views"):
        replace(OURS["tuned"], **change)


# --- variants

KNN = STUDIES["boucheta2025"]


def test_a_variant_is_one_model_with_a_name_and_title_of_its_own():
    variant = KNN.variant("knn", model={"n_neighbors": 5}, feature={"n_mfcc": 13}, protocol="loso")
    (model,) = variant.models
    assert variant.name == "boucheta2025+n_neighbors=5+n_mfcc=13+protocol=loso"
    assert model.title.endswith(" with n_neighbors = 5, n_mfcc = 13, protocol = loso")
    assert variant.departures[:-1] == KNN.departures
    assert model.config.n_neighbors == 5
    assert model.features.params == {**KNN.model("knn").features.params, "n_mfcc": 13}
    assert [variant.protocol("honest", one).name for one in ("ravdess", "demo")] == ["loso", "loso"]
    assert variant.published_value("knn") is None
    assert KNN.model("knn").config.n_neighbors != 5


def test_a_variant_of_a_network_changes_both_trainings_and_may_take_another_feature():
    spec = FeatureSpec("log_mel", duration_s=2.0, params={"n_mels": 32})
    (model,) = KNN.variant("cnn", training={"max_epochs": 3}, feature=spec).models
    assert {one.max_epochs for one in (model.training, model.honest_settings)} == {3}
    assert model.features == spec


@pytest.mark.parametrize(
    ("name", "changes", "known"),
    [
        ("knn", {"model": {"k": 5}}, "n_neighbors"),
        ("knn", {"feature": {"n_mfc": 5}}, "n_mfcc"),
        ("knn", {"feature": {"sample_rate_hz": 8000}}, "n_mfcc"),
        ("cnn", {"training": {"epochs": 5}}, "max_epochs"),
        ("knn", {"training": {"max_epochs": 5}}, "no training"),
        ("knn", {"protocol": "losso"}, "loso"),
        ("kn", {"model": {"n_neighbors": 5}}, "knn"),
        ("knn", {}, "changed"),
        ("knn", {"model": {"n_neighbors": "5"}}, "n_neighbors='5'.*int"),
        ("knn", {"model": {"n_neighbors": True}}, "int"),
        ("knn", {"feature": {"n_mfcc": 2.5}}, "n_mfcc=2.5.*int"),
        ("cnn", {"training": {"learning_rate": float("nan")}}, "learning_rate=nan"),
        ("cnn", {"training": {"stop_patience": "a"}}, "NoneType or int"),
        ("cnn", {"model": {"n_filters": [8]}}, "tuple"),
    ],
)
def test_what_is_misspelt_in_a_variant_is_answered_with_what_is_known(name, changes, known):
    with pytest.raises((StudyError, FeatureError), match=known):
        KNN.variant(name, **changes)
