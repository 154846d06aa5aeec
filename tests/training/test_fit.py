"""Training: the test fold stays unseen, seeds decide, early stopping gives back the best."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from functools import cache, lru_cache

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from ser_lib.errors import StudyError
from ser_lib.features import extraction
from ser_lib.features.extraction import Rows, extract
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.baselines import DecisionTreeConfig, DummyConfig, KnnConfig, LogisticConfig
from ser_lib.models.cnn import Cnn1dConfig
from ser_lib.models.conv_blocks import ConvBlocksConfig
from ser_lib.training import fit as training
from ser_lib.training.fit import FoldArrays, fit_fold
from ser_lib.training.settings import TrainingSettings

NET = Cnn1dConfig(n_filters=(4,), n_dense=8, dropout_rate=0.2)
THREE_EPOCHS = TrainingSettings(max_epochs=3, batch_size=16)
PARTS = ("x_train", "x_validation", "x_test")
COMPILED = training._compiled
HISTORY = {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}


@pytest.fixture(scope="module")
def arrays() -> FoldArrays:
    """Three classes that differ by their mean; features far from mean 0 and deviation 1."""
    classes = np.arange(90) % 3
    inputs = 50 + 20 * (np.random.default_rng(3).normal(size=(90, 12, 2)) + classes[:, None, None])
    inputs = inputs.astype(np.float32)
    return FoldArrays(inputs[:48], classes[:48], inputs[48:66], classes[48:66], inputs[66:])


@pytest.fixture(scope="module")
def clean(arrays):
    """A small network fitted for three epochs, to compare others with: a fit costs a second."""
    return fit(NET, arrays, THREE_EPOCHS)


def fit(config, arrays, settings=None, **options):
    options = {"n_classes": 3, "is_scaled": True, "seed": 1} | options
    return fit_fold(config, settings, arrays, **options)


def poisoned(arrays: FoldArrays, *parts: str) -> FoldArrays:
    return replace(arrays, **{part: getattr(arrays, part) * 1e6 for part in parts})


@pytest.fixture(autouse=True, scope="module")
def compiled_once():
    """Compile once what differs in its epochs alone: compiling takes as long as many of them."""
    networks = lru_cache(maxsize=8)(COMPILED.__wrapped__)

    def find(config, settings, input_shape, n_classes):
        plain = {name: None for name in ("stop_patience", "plateau_patience")}
        plain |= {"max_epochs": 1, "sampling": "every_row", "fits_validation": False}
        return networks(config, replace(settings, **plain), input_shape, n_classes)

    find.cache_clear = networks.cache_clear
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_compiled", find)
        yield


class Witness:
    """Stands in for a classifier and records its calls."""

    classes_ = np.arange(3)

    def __init__(self) -> None:
        self.calls: list[tuple[str, np.ndarray]] = []

    def fit(self, inputs: np.ndarray, classes: np.ndarray) -> None:
        self.calls.append(("fit", inputs))

    def score(self, inputs: np.ndarray, classes: np.ndarray) -> float:
        self.calls.append(("score", inputs))
        return 0.5

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        self.calls.append(("predict_proba", inputs))
        return np.full((len(inputs), 3), 1 / 3)


@pytest.fixture
def witness(monkeypatch) -> Witness:
    one = Witness()
    monkeypatch.setattr(training, "build_sklearn", lambda config, *, seed: one)
    return one


# --- what the scaler sees


def test_training_rows_are_brought_to_mean_0_and_deviation_1(arrays, witness):
    fit(KnnConfig(), arrays)
    (_, seen), *_ = witness.calls
    # Sums of 48 float32 values.
    assert seen.shape == (48, 24)
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(seen.std(axis=0), 1, atol=1e-5)


def test_poison_in_test_and_validation_does_not_reach_the_scaler(arrays, witness):
    fit(KnnConfig(), arrays)
    fit(KnnConfig(), poisoned(arrays, "x_test", "x_validation"))
    clean, poison = (inputs for call, inputs in witness.calls if call == "fit")
    np.testing.assert_array_equal(clean, poison)


def test_the_test_rows_are_scaled_by_the_training_rows(arrays, witness):
    fit(KnnConfig(), arrays)
    _, (_, validation), (_, test) = witness.calls[1:]
    mean, deviation = arrays.x_train.mean(axis=0), arrays.x_train.std(axis=0)
    for seen, raw in ((validation, arrays.x_validation), (test, arrays.x_test)):
        np.testing.assert_allclose(seen.reshape(raw.shape), (raw - mean) / deviation, atol=1e-4)


def test_without_scaling_the_rows_are_as_they_came(arrays, witness):
    fit(KnnConfig(), arrays, is_scaled=False)
    np.testing.assert_array_equal(witness.calls[0][1], arrays.x_train.reshape(48, 24))
    np.testing.assert_array_equal(witness.calls[-1][1], arrays.x_test.reshape(24, 24))


# --- what is looked at when


def test_a_classifier_sees_the_test_rows_once_and_last(arrays, witness):
    fit(KnnConfig(), arrays, is_scaled=False)
    assert [call for call, _ in witness.calls] == ["fit", "score", "score", "predict_proba"]
    sizes = [len(inputs) for _, inputs in witness.calls]
    assert sizes == [len(arrays.x_train), len(arrays.x_train), len(arrays.x_validation), 24]


def test_a_network_does_not_see_the_test_rows_before_it_predicts(arrays, clean):
    blind = fit(NET, replace(arrays, x_test=arrays.x_test * np.nan), THREE_EPOCHS)
    assert np.isnan(blind.probabilities).all()
    pd.testing.assert_frame_equal(blind.history, clean.history)


def test_a_network_does_not_learn_from_validation_rows(arrays, clean):
    other = fit(NET, poisoned(arrays, "x_validation"), THREE_EPOCHS)
    np.testing.assert_array_equal(other.history["loss"], clean.history["loss"])
    np.testing.assert_array_equal(other.probabilities, clean.probabilities)
    assert (other.history["val_loss"] > clean.history["val_loss"]).all()


# --- seeds


def test_the_same_seed_gives_the_same_network(arrays, clean):
    again = fit(NET, arrays, THREE_EPOCHS)
    np.testing.assert_array_equal(again.probabilities, clean.probabilities)
    pd.testing.assert_frame_equal(again.history, clean.history)


def test_another_seed_gives_another_network(arrays, clean):
    other = fit(NET, arrays, THREE_EPOCHS, seed=2)
    assert np.abs(other.probabilities - clean.probabilities).max() > 1e-3


def test_the_seed_decides_a_tree(arrays):
    first, same = (fit(DecisionTreeConfig(max_depth=2), arrays) for _ in range(2))
    np.testing.assert_array_equal(first.probabilities, same.probabilities)


# --- stopping


@pytest.fixture
def misleading(arrays) -> FoldArrays:
    """Validation rows whose classes are wrong: the more is learned, the higher their loss."""
    return replace(arrays, y_validation=(arrays.y_validation + 1) % 3)


FAST = TrainingSettings(max_epochs=12, batch_size=16, learning_rate=0.05)


def test_early_stopping_gives_back_the_best_weights(misleading):
    stopped = fit(NET, misleading, replace(FAST, stop_patience=2))
    best = int(stopped.history["val_loss"].idxmin()) + 1
    assert len(stopped.history) == best + 2 < FAST.max_epochs
    # Training again for this number of epochs gives the very same network.
    short = fit(NET, misleading, replace(FAST, max_epochs=best))
    np.testing.assert_allclose(stopped.probabilities, short.probabilities, atol=1e-6)
    # The twin: the weights at the stop are others.
    last = fit(NET, misleading, replace(FAST, max_epochs=best + 2))
    assert np.abs(stopped.probabilities - last.probabilities).max() > 0.01
    assert len(last.history) == best + 2


def test_a_plateau_halves_the_learning_rate_down_to_its_floor(misleading):
    settings = replace(FAST, plateau_patience=1, min_learning_rate=0.01)
    rates = fit(NET, misleading, settings).history["learning_rate"].to_numpy()
    assert rates[0] == pytest.approx(0.05)
    steps = rates[1:] / rates[:-1]
    assert rates.min() == pytest.approx(0.01)
    # 0.05, 0.025, 0.0125, then the floor 0.01; float32.
    assert {round(float(step), 2) for step in steps} == {1.0, 0.5, 0.8}


# --- what is returned


def test_the_history_has_one_row_an_epoch_and_the_documented_columns(arrays, clean):
    tree = fit(DecisionTreeConfig(), arrays)
    assert set(clean.history.columns) == HISTORY == set(tree.history.columns)
    assert list(clean.history["epoch"]) == [1, 2, 3]
    assert list(tree.history["epoch"]) == [0]
    assert np.isfinite(clean.history).all(axis=None)
    # A constant rate is written down as well: Adam's default.
    np.testing.assert_allclose(clean.history["learning_rate"], 1e-3)


def test_the_history_of_a_tree_is_its_accuracy(arrays):
    history = fit(DecisionTreeConfig(), arrays).history
    assert history["accuracy"][0] == 1.0
    assert 0.4 < history["val_accuracy"][0] <= 1.0
    assert history[["loss", "val_loss", "learning_rate"]].isna().all(axis=None)


def test_a_fit_reports_its_size_and_time(arrays, clean):
    tree = fit(DecisionTreeConfig(), arrays)
    # (3 * 2 + 1) * 4 of the kernels, (5 * 4 + 1) * 8 of the dense layer, (8 + 1) * 3 of the output.
    assert clean.n_parameters == 28 + 168 + 27
    assert tree.n_parameters == 0
    assert clean.duration_s > tree.duration_s > 0


def test_a_class_without_training_rows_has_probability_0(arrays):
    is_kept = arrays.y_train != 1
    fewer = replace(arrays, x_train=arrays.x_train[is_kept], y_train=arrays.y_train[is_kept])
    probabilities = fit(KnnConfig(), fewer).probabilities
    assert probabilities.shape == (24, 3)
    assert not probabilities[:, 1].any()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_the_majority_class_is_the_floor(arrays):
    classes = np.where(np.arange(48) < 30, 2, arrays.y_train)
    probabilities = fit(DummyConfig(), replace(arrays, y_train=classes)).probabilities
    np.testing.assert_array_equal(probabilities, np.tile([0, 0, 1], (24, 1)))


def test_every_value_is_scaled_on_its_own_and_networks_keep_their_shape(arrays, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "_fit_keras", lambda *given: seen.append(given[2]) or (0, 0, 0))
    fit(NET, arrays, THREE_EPOCHS)
    assert seen[0].x_train.shape == (48, 12, 2)
    scaled = seen[0].x_train.gather()
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("part_values", [1, 700, 2**20])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8])
def test_rows_are_scaled_as_scikit_learn_scales_all_of_them(rng, monkeypatch, part_values, kind):
    """To the last digit, in one part, else nearly; one value is constant."""
    monkeypatch.setattr(extraction, "PART_VALUES", part_values)
    values = (100 + 40 * rng.normal(size=(503, 7, 5))).astype(kind)
    values[:, 3, 2] = 77.7
    train, validation, test = np.split(values, [400, 450])
    found = training._scale(FoldArrays(train, None, validation, None, test, None, None, (test,)))
    scaler = StandardScaler().fit(train.reshape(400, 35))
    pairs = zip((train, validation, test, test), parts_of(found), strict=True)
    for plain, scaled in pairs:
        expected = scaler.transform(plain.reshape(len(plain), 35)).reshape(plain.shape)
        assert scaled.gather().dtype == np.float32
        atol = 0 if part_values == 2**20 else 1e-6
        np.testing.assert_allclose(scaled.gather(), expected.astype(np.float32), rtol=0, atol=atol)
    joined = found.x_train.joined(found.x_validation)
    both = np.concatenate([found.x_train.gather(), found.x_validation.gather()])
    np.testing.assert_array_equal(joined.gather(), both)


def parts_of(arrays: FoldArrays) -> tuple[Rows, ...]:
    return (arrays.x_train, arrays.x_validation, arrays.x_test, *arrays.test_views)


def test_pictures_are_flattened_for_classifiers(rng):
    pictures = rng.normal(size=(12, 4, 5, 1))
    classes = np.arange(12) % 3
    arrays = FoldArrays(pictures, classes, pictures, classes, pictures)
    assert fit(KnnConfig(n_neighbors=1), arrays, is_scaled=False).probabilities.max() == 1


# --- errors


def test_a_network_without_settings_is_refused(arrays):
    with pytest.raises(StudyError, match="Cnn1dConfig"):
        fit(NET, arrays)


def test_an_unknown_config_is_refused(arrays):
    with pytest.raises(StudyError, match=r"\bstr\b"):
        fit("cnn", arrays)


# --- the permutation control


@pytest.fixture(scope="module")
def squares(demo_clips, tmp_path_factory):
    """The first takes of the demo, 192 clips, and their small spectrograms laid flat."""
    clips = demo_clips[demo_clips["repetition"] == 1]
    spec = FeatureSpec("mel_square", sample_rate_hz=16_000, params={"side_px": 16})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_CACHE", str(tmp_path_factory.mktemp("squares")))
        return clips, np.array(extract(clips, spec, n_jobs=1)).reshape(len(clips), -1)


@pytest.mark.parametrize("is_shuffled", [False, True])
def test_shuffled_labels_score_at_chance_and_true_ones_above(squares, rng, is_shuffled):
    clips, inputs = squares
    emotions = clips["emotion"].astype("category").cat.codes.to_numpy().astype(int)
    if is_shuffled:
        emotions = rng.permutation(emotions)
    number = clips["speaker"].str[-2:].astype(int).to_numpy()
    hits = []
    for tested in ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12)):
        is_test = np.isin(number, tested)
        x, y = inputs[~is_test], emotions[~is_test]
        arrays = FoldArrays(x, y, x, y, inputs[is_test])
        config = LogisticConfig(n_components=30)
        result = fit_fold(config, None, arrays, n_classes=8, is_scaled=True, seed=1)
        hits.extend(result.probabilities.argmax(axis=1) == emotions[is_test])
    assert len(hits) == 192
    # Chance is 1 in 8; four standard errors over 192 clips are 9.5 points.
    if is_shuffled:
        assert np.mean(hits) == pytest.approx(0.125, abs=0.095)
    else:
        assert np.mean(hits) > 0.3


# --- one compiled network for all folds


NORMED = ConvBlocksConfig(
    n_filters=(3,), kernel_sizes=(3,), n_dense=(4,), block_dropout_rate=0.3, dropout_rate=0.3
)
# A plateau after every epoch: the rate ends lower than it began.
HALVED = TrainingSettings(
    max_epochs=3, batch_size=16, learning_rate=0.02, plateau_patience=1, min_learning_rate=1e-5
)


def maps(seed: int) -> FoldArrays:
    """Three classes of small pictures; validation rows mislead, so that the plateau comes."""
    rng = np.random.default_rng(seed)
    classes = np.arange(60) % 3
    inputs = (rng.normal(size=(60, 8, 6, 1)) + classes[:, None, None, None]).astype(np.float32)
    return FoldArrays(
        inputs[:40], classes[:40], inputs[40:50], (classes[40:50] + 1) % 3, inputs[50:]
    )


def fit_maps(data: int, settings: TrainingSettings = HALVED, config=NORMED, **options):
    return fit(config, maps(data), settings, is_scaled=False, **options)


@cache
def trained_alone(settings: TrainingSettings):
    """Fit a network that was not trained before."""
    training._compiled.cache_clear()
    return fit_maps(2, settings)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_a_second_fold_is_trained_as_if_it_were_the_first(optimizer):
    settings = replace(HALVED, optimizer=optimizer)
    alone = trained_alone(settings)
    first = fit_maps(1, settings)
    second = fit_maps(2, settings)
    # The first fold has left its mark on everything: weights, moments, means, rate, dropout.
    assert first.history["learning_rate"].iloc[-1] < 0.02
    assert np.abs(first.probabilities - second.probabilities).max() > 0.01
    np.testing.assert_array_equal(second.probabilities, alone.probabilities)
    pd.testing.assert_frame_equal(second.history, alone.history)


def test_the_network_between_two_folds_is_as_newly_built():
    from ser_lib.models import build_keras
    from ser_lib.seeds import seed_everything

    fit_maps(1)
    model = training._fresh_network(NORMED, HALVED, (8, 6, 1), 3, 7)
    seed_everything(7)
    fresh = build_keras(NORMED, (8, 6, 1), 3)
    assert len(training.state_of(model)) > len(model.weights)  # dropout's generators too
    for ours, new in zip(training.state_of(model), training.state_of(fresh), strict=True):
        assert ours.name == new.name
        np.testing.assert_array_equal(ours.numpy(), new.numpy())
    for variable in model.optimizer.variables:
        is_rate = "learning_rate" in variable.path
        np.testing.assert_allclose(variable.numpy(), 0.02 if is_rate else 0, rtol=1e-6)
    assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(0.02)


@pytest.mark.parametrize("lost", ["weights and generators", "generators", "optimiser"])
def test_whatever_a_fold_leaves_behind_would_be_noticed(monkeypatch, lost):
    alone = trained_alone(HALVED)
    fit_maps(1)
    if lost == "weights and generators":
        monkeypatch.setattr(training, "state_of", lambda model: [])
    elif lost == "generators":
        monkeypatch.setattr(training, "state_of", lambda model: model.weights)
    else:
        kept = training._compiled(NORMED, HALVED, (8, 6, 1), 3)
        for variable in kept.optimizer.variables:
            monkeypatch.setattr(variable, "assign", lambda value: None)
    second = fit_maps(2)
    assert np.abs(second.probabilities - alone.probabilities).max() > 1e-4
    monkeypatch.undo()
    # Nothing of it is left: all is set again before the next fold.
    np.testing.assert_array_equal(fit_maps(2).probabilities, alone.probabilities)


def test_folds_of_one_model_are_compiled_once_and_other_models_again(monkeypatch):
    compiled = []
    compile_network = training.compile_network

    def count(model, settings):
        compiled.append(settings)
        compile_network(model, settings)

    monkeypatch.setattr(training, "compile_network", count)
    # Only compiling is counted: tracing the steps of four networks would take most of the time.
    monkeypatch.setattr(training, "train_network", lambda *given, **options: pd.DataFrame())
    monkeypatch.setattr(training, "predict_rows", lambda model, rows: np.ones((len(rows), 4)))
    monkeypatch.setattr(training, "_compiled", COMPILED)
    COMPILED.cache_clear()
    for seed in (1, 2, 3):
        fit_maps(seed, seed=seed)
    assert compiled == [HALVED]
    other = replace(HALVED, loss="focal", max_epochs=1)
    fit_maps(1, other)
    fit_maps(1, replace(other, max_epochs=2), replace(NORMED, n_dense=(5,)))
    assert compiled == [HALVED, other, replace(other, max_epochs=2)]
    # Of another number of classes as well.
    fit_maps(1, other, n_classes=4)
    assert len(compiled) == 4


# --- rows that are gathered when they are needed


def test_gathered_rows_are_trained_on_as_arrays_are(tmp_path):
    plain = maps(3)
    np.save(tmp_path / "all.npy", np.concatenate([plain.x_train, plain.x_validation, plain.x_test]))
    mapped = np.load(tmp_path / "all.npy", mmap_mode="r")

    def rows(first: int, last: int) -> Rows:
        return Rows((mapped,), np.zeros(last - first, int), np.arange(first, last))

    gathered = replace(plain, x_train=rows(0, 40), x_validation=rows(40, 50), x_test=rows(50, 60))
    for config, settings in ((NORMED, HALVED), (KnnConfig(), None)):
        for is_scaled in (False, True):
            expected = fit(config, plain, settings, is_scaled=is_scaled)
            found = fit(config, gathered, settings, is_scaled=is_scaled)
            np.testing.assert_array_equal(found.probabilities, expected.probabilities)
            pd.testing.assert_frame_equal(found.history, expected.history)


@pytest.mark.parametrize("is_gathered", [False, True])
def test_memory_does_not_grow_with_the_rows_that_are_scaled(tmp_path, monkeypatch, is_gathered):
    """The twin gathers all of them before."""
    monkeypatch.setattr(extraction, "PART_VALUES", 2**16)
    peaks = []
    for n in (1_000, 8_000):
        path = tmp_path / f"{n}.npy"
        np.save(path, np.arange(n * 256, dtype=np.float32).reshape(n, 256))
        train, rest = np.split(np.arange(n), [n - 200])
        mapped = Rows((np.load(path, mmap_mode="r"),), np.zeros(n, int), np.arange(n))
        tracemalloc.start()
        rows = Rows.of(mapped.gather()) if is_gathered else mapped
        one, other = rows.select(train), rows.select(rest)
        found = training._scale(FoldArrays(one, None, other, None, other))
        for batch in np.array_split(train, n // 32):
            found.x_train.joined(found.x_validation).take(batch)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] < 1.2 * peaks[0]) != is_gathered


@pytest.mark.parametrize("sampling", ["every_row", "balanced"])
def test_poison_in_test_and_validation_rows_does_not_reach_the_weights(sampling):
    clean = maps(4)
    settings = replace(HALVED, plateau_patience=None, sampling=sampling, loss="focal")
    expected = fit(NORMED, clean, settings, is_scaled=False)
    # Not NaN: some processors' convolutions make zeros of it.
    found = fit(NORMED, poisoned(clean, "x_validation"), settings, is_scaled=False)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    np.testing.assert_array_equal(found.history["loss"], expected.history["loss"])
    assert (found.history["val_loss"] != expected.history["val_loss"]).all()
    # The twin: poison in a training row reaches everything.
    one_row = clean.x_train.copy()
    one_row[7] *= 1e6
    one_row = replace(clean, x_train=one_row)
    other = fit(NORMED, one_row, settings, is_scaled=False)
    assert (other.probabilities != expected.probabilities).all()


# --- validation rows that are trained on, and several views of the test rows


def test_validation_rows_are_trained_on_where_it_is_asked_for(arrays):
    """Poisoned validation rows change a fit that trains on them, and no other."""
    plain = replace(THREE_EPOCHS, learning_rate=0.01)
    both = replace(plain, fits_validation=True)
    spoiled = poisoned(arrays, "x_validation")
    for settings, is_same in ((plain, True), (both, False)):
        first, second = (
            fit(NET, one, settings, is_scaled=False).probabilities for one in (arrays, spoiled)
        )
        assert np.array_equal(first, second) == is_same


@pytest.mark.parametrize("is_scaled", [True, False])
def test_predictions_are_the_mean_over_all_views(arrays, is_scaled):
    """Scaled like the test rows themselves, where there is scaling."""
    factor = 1 if is_scaled else 0.01
    near = replace(arrays, **{part: factor * getattr(arrays, part) for part in PARTS})
    other = near.x_test[::-1].copy()

    def predicted(one):
        return fit(NET, one, THREE_EPOCHS, is_scaled=is_scaled).probabilities

    alone, turned = predicted(near), predicted(replace(near, x_test=other))
    together = predicted(replace(near, test_views=(Rows.of(other),)))
    np.testing.assert_allclose(together, (alone + turned) / 2, atol=1e-6)
    assert np.abs(together - alone).max() > 1e-3


def test_a_precision_holds_for_one_network_and_not_for_the_next(arrays):
    import keras

    fit(NET, arrays, replace(THREE_EPOCHS, precision="mixed_bfloat16", max_epochs=1))
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(ZeroDivisionError), training.computing_in("mixed_bfloat16"):
        raise ZeroDivisionError
    assert keras.config.dtype_policy().name == "float32"
