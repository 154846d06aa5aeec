"""Epochs: which rows are fed when, what the losses weigh, and weights that are kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser_lib.errors import StudyError
from ser_lib.features.extraction import Rows
from ser_lib.seeds import seed_everything
from ser_lib.training.loop import (
    HISTORY_COLUMNS,
    _mask_rows,
    _mix_rows,
    class_alpha,
    compile_network,
    predict_rows,
    train_network,
)
from ser_lib.training.settings import TrainingSettings, scheduled_rate

PLAIN = TrainingSettings(max_epochs=3, batch_size=4)
FOCAL = replace(PLAIN, loss="focal")
BALANCED = replace(PLAIN, sampling="balanced")
# Number of rows that are predicted at once; sizes around it are the edge cases.
PREDICTION_BATCH = 128


# --- a network that records what it is fed


class Optimizer:
    learning_rate = 1e-3


class Recorder:
    """Stands in for a network whose inputs are row numbers; its accuracies are given."""

    n_classes = 2

    def __init__(self, accuracies: tuple[float, ...] = (), losses: tuple[float, ...] = ()) -> None:
        self.optimizer = Optimizer()
        self.accuracies, self.losses = accuracies, losses
        self.epochs: list[list[np.ndarray]] = []
        self.targets: dict[int, np.ndarray] = {}
        self.weights: dict[int, float] = {}
        self.predicted: list[np.ndarray] = []
        self.loaded = ""
        self.is_in_epoch = False
        self.reported: list[tuple[float, float]] = []

    def reset_metrics(self) -> None:
        """Do nothing: an epoch ends with the prediction of the validation rows."""

    def train_on_batch(self, inputs, targets, weights, *, return_dict: bool) -> dict[str, float]:
        if not self.is_in_epoch:
            self.epochs.append([])
            self.is_in_epoch = True
        rows = inputs[:, 0].astype(int)
        self.epochs[-1].append(rows)
        self.targets.update(zip(rows.tolist(), targets, strict=True))
        self.weights.update(zip(rows.tolist(), weights.tolist(), strict=True))
        # As Keras does, of this batch alone.
        self.reported.append((rows.mean(), 0.1 * len(self.epochs[-1])))
        return dict(zip(("loss", "accuracy"), self.reported[-1], strict=True))

    def predict_on_batch(self, inputs: np.ndarray) -> np.ndarray:
        """Call the first rows class 0, so that the given share of ten rows of class 0 is right."""
        self.predicted.append(inputs)
        self.is_in_epoch = False
        number = len(self.epochs) - 1
        share = self.accuracies[number] if self.accuracies else 0.5
        sure = self.losses[number] if self.losses else 0.9
        is_right = inputs[:, 0] < 1000 + round(10 * share)
        two = np.where(is_right[:, None], [[sure, 1 - sure]], [[1 - sure, sure]])
        return np.pad(two, ((0, 0), (0, self.n_classes - 2)))

    def save_weights(self, path: Path, **_options: object) -> None:
        Path(path).write_text(f"epoch {len(self.epochs)}")

    def load_weights(self, path: Path) -> None:
        self.loaded = Path(path).read_text()

    def get_weights(self) -> list[np.ndarray]:
        return [np.array(len(self.epochs))]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.loaded = f"epoch {weights[0]}"


def numbered(n_rows: int, first: int = 0) -> Rows:
    return Rows.of(np.arange(first, first + n_rows, dtype=float)[:, None])


def record(
    settings: TrainingSettings,
    rows: Rows,
    classes: np.ndarray,
    *,
    seed: int = 1,
    n_classes: int = 2,
    recorder: Recorder | None = None,
) -> tuple[Recorder, pd.DataFrame]:
    """Train a recorder; its validation rows are numbered from 1000, ten of class 0."""
    recorder = recorder or Recorder()
    recorder.n_classes = n_classes
    validation = (numbered(10, first=1000), np.zeros(10, int))
    history = train_network(
        recorder, settings, (rows, classes), validation, n_classes=n_classes, seed=seed
    )
    return recorder, history


CLASSES = np.array([0, 1] * 50)


# --- which rows are fed


@pytest.mark.parametrize("n_rows", [1, 3, 4, 5, 11, 12, 13, 100])
@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_an_epoch_is_every_row_once_and_the_last_batch_is_filled_from_the_first(n_rows, batch_size):
    settings = replace(PLAIN, batch_size=batch_size)
    recorder, _ = record(settings, numbered(n_rows), CLASSES[:n_rows])
    assert len(recorder.epochs) == 3
    size = min(batch_size, n_rows)
    for batches in recorder.epochs:
        # One size for all: the network is compiled once.
        assert {len(batch) for batch in batches} == {size}
        assert len(batches) == -(-n_rows // size)
        counts = Counter(np.concatenate(batches).tolist())
        assert set(counts) == set(range(n_rows))
        n_missing = len(batches) * size - n_rows
        assert sum(counts.values()) == n_rows + n_missing
        twice = {row for row, count in counts.items() if count > 1}
        assert set(counts.values()) <= {1, 2}
        assert len(twice) == n_missing
        assert twice <= set(batches[0].tolist())


def test_rows_of_a_batch_are_read_in_one_direction():
    recorder, _ = record(PLAIN, numbered(50), CLASSES[:50])
    assert all((np.diff(batch) > 0).all() for epoch in recorder.epochs for batch in epoch)


def order_of(recorder: Recorder) -> list[list[int]]:
    return [np.concatenate(batches).tolist() for batches in recorder.epochs]


@pytest.mark.parametrize("settings", [PLAIN, BALANCED])
def test_the_seed_decides_the_order_and_each_epoch_has_its_own(settings):
    first, same, other = (
        order_of(record(settings, numbered(48), CLASSES[:48], seed=seed)[0]) for seed in (1, 1, 2)
    )
    assert first == same
    assert first != other
    assert first[0] != first[1] != first[2]


def test_batches_are_shuffled_and_not_only_reordered():
    recorder, _ = record(replace(PLAIN, max_epochs=50), numbered(40), CLASSES[:40])
    together = sum(any({0, 1} <= set(batch) for batch in epoch) for epoch in recorder.epochs)
    # Two of forty rows meet in a batch of four once in thirteen epochs; 50 epochs, six errors.
    assert together < 50 / 13 + 6 * np.sqrt(50 / 13)


@pytest.mark.parametrize("settings", [PLAIN, FOCAL, BALANCED])
def test_every_row_comes_with_its_own_class_and_weight(settings, rng):
    classes = rng.integers(0, 3, 50)
    recorder, _ = record(settings, numbered(50), classes, n_classes=3)
    alpha = class_alpha(classes, 3)
    for row, target in recorder.targets.items():
        if settings.loss == "focal":
            assert target.tolist() == np.eye(3)[classes[row]].tolist()
            assert recorder.weights[row] == alpha[classes[row]]
        else:
            assert target == classes[row]
            assert recorder.weights[row] == 1


def test_validation_rows_are_predicted_and_never_trained_on():
    recorder, _ = record(PLAIN, numbered(50), CLASSES[:50])
    assert max(recorder.targets) < 1000
    assert all((seen >= 1000).all() for seen in recorder.predicted)
    assert len(recorder.predicted) == 3


# --- balanced classes


def variants(n_clips: int, n_sources: int, rng: np.random.Generator) -> Rows:
    """Rows of every clip in every source, shuffled; a row's number is 1000 * source + clip."""
    sources = tuple(
        1000.0 * number + np.arange(n_clips, dtype=float)[:, None] for number in range(n_sources)
    )
    order = rng.permutation(n_clips * n_sources)
    return Rows(sources, order // n_clips, order % n_clips)


def test_balanced_feeds_every_clip_and_as_many_of_each_class(rng):
    class_of = np.repeat([0, 1, 2], [12, 5, 3])
    rows = variants(20, 2, rng)
    recorder, _ = record(
        replace(BALANCED, batch_size=6), rows, class_of[rows.position], n_classes=3
    )
    for batches in recorder.epochs:
        clips = np.concatenate(batches) % 1000
        # Three classes of twelve: 36 rows, six whole batches.
        assert len(clips) == 36
        assert set(clips) == set(range(20))
        assert np.bincount(class_of[clips]).tolist() == [12, 12, 12]
        # The largest class is not drawn from: each of its clips is there once.
        assert Counter(clips[class_of[clips] == 0].tolist()) == dict.fromkeys(range(12), 1)


def test_every_row_feeds_unequal_classes_and_both_variants(rng):
    # The twin: without balance an epoch is as unequal as the corpus, and has every variant.
    class_of = np.repeat([0, 1, 2], [12, 5, 3])
    rows = variants(20, 2, rng)
    recorder, _ = record(replace(PLAIN, batch_size=5), rows, class_of[rows.position], n_classes=3)
    fed = np.concatenate(recorder.epochs[0])
    assert np.bincount(class_of[fed % 1000]).tolist() == [24, 10, 6]
    assert len(set(fed.tolist())) == 40


def test_each_variant_of_a_clip_is_fed_equally_often(rng):
    rows = variants(30, 3, rng)
    class_of = np.zeros(30, int)
    settings = replace(BALANCED, max_epochs=200, batch_size=30)
    recorder, _ = record(settings, rows, class_of[rows.position])
    fed = np.concatenate([np.concatenate(batches) for batches in recorder.epochs])
    assert len(fed) == 200 * 30
    counts = np.zeros((3, 30))
    np.add.at(counts, (fed // 1000, fed % 1000), 1)
    # One of three, 200 times: 66.7, deviation 6.7; five of them over 90 counts.
    assert np.abs(counts - 200 / 3).max() < 5 * np.sqrt(200 * 2 / 9)
    # The variant of one clip says nothing of that of the next: all three differ in an epoch.
    assert all(
        len(set((np.concatenate(batches) // 1000).tolist())) == 3 for batches in recorder.epochs[:9]
    )


def test_clips_of_a_small_class_are_drawn_equally_often(rng):
    class_of = np.repeat([0, 1], [20, 4])
    rows = variants(24, 1, rng)
    settings = replace(BALANCED, max_epochs=100, batch_size=40)
    recorder, _ = record(settings, rows, class_of[rows.position])
    fed = np.concatenate([np.concatenate(batches) for batches in recorder.epochs])
    counts = np.bincount(fed, minlength=24)
    assert (counts[:20] == 100).all()
    # Once each epoch, and 16 more of four at random: 100 + 400, deviation 17.3.
    assert np.abs(counts[20:] - 500).max() < 5 * 17.3


def test_clips_with_more_variants_than_others_are_fed_as_often(rng):
    # A published split may leave a clip's copies on the other side: not all have all variants.
    sources = (np.arange(4.0)[:, None], 1000 + np.arange(4.0)[:, None])
    rows = Rows(sources, np.array([1, 0, 0, 0, 1]), np.array([2, 0, 1, 2, 3]))
    recorder, _ = record(replace(BALANCED, max_epochs=60), rows, np.zeros(5, int))
    for batches in recorder.epochs:
        assert sorted((np.concatenate(batches) % 1000).tolist()) == [0, 1, 2, 3]
    fed = np.concatenate([np.concatenate(batches) for batches in recorder.epochs])
    assert set(fed.tolist()) == {0, 1, 2, 1002, 1003}


def test_a_class_without_clips_is_no_hindrance_to_balance(rng):
    class_of = np.repeat([0, 2], [6, 2])
    rows = variants(8, 1, rng)
    recorder, _ = record(BALANCED, rows, class_of[rows.position], n_classes=4)
    fed = np.concatenate(recorder.epochs[0])
    assert np.bincount(class_of[fed]).tolist() == [6, 0, 6]


# --- rows


@pytest.fixture(params=["memory", "disk"])
def sources(request, rng, tmp_path) -> tuple[np.ndarray, ...]:
    arrays = [rng.normal(size=(9, 4, 2)).astype(np.float32) for _ in range(3)]
    if request.param == "memory":
        return tuple(arrays)
    for number, array in enumerate(arrays):
        np.save(tmp_path / f"{number}.npy", array)
    return tuple(np.load(tmp_path / f"{number}.npy", mmap_mode="r") for number in range(3))


@pytest.mark.parametrize("n_sources", [1, 2, 3])
def test_taking_rows_is_plain_indexing(sources, n_sources, rng):
    source, position = rng.integers(0, n_sources, 40), rng.integers(0, 9, 40)
    rows = Rows(sources[:n_sources], source, position)
    plain = np.stack([sources[s][p] for s, p in zip(source, position, strict=True)])
    assert len(rows) == 40
    assert rows.shape == (40, 4, 2)
    np.testing.assert_array_equal(rows.gather(), plain)
    for chosen in (
        np.array([3]),
        np.array([5, 5, 0, 39]),
        np.arange(40)[::-1],
        rng.permutation(40)[:17],
        slice(4, 31, 3),
        slice(0, 0),
    ):
        taken = rows.take(chosen)
        np.testing.assert_array_equal(taken, plain[chosen])
        assert taken.dtype == np.float32


def test_what_is_taken_is_a_copy_in_memory(sources):
    rows = Rows(sources, np.array([0, 1, 2]), np.array([4, 4, 4]))
    for one in (rows, Rows.of(sources[0])):
        taken = one.take(np.array([0]))
        assert not isinstance(taken, np.memmap)
        before = np.array(sources[0])
        taken[:] = 7
        np.testing.assert_array_equal(sources[0], before)


def test_an_array_is_all_its_rows_in_order(sources):
    rows = Rows.of(sources[1])
    assert rows.shape == sources[1].shape
    np.testing.assert_array_equal(rows.gather(), sources[1])


# --- prediction


class Sums:
    """A network that returns the sum of each row, and records the batch sizes."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def predict_on_batch(self, inputs: np.ndarray) -> np.ndarray:
        self.sizes.append(len(inputs))
        total = inputs.sum(axis=1)
        return np.stack([total, 1 - total], axis=1)


@pytest.mark.parametrize("n_rows", [1, 2, 127, 128, 129, 255, 256, 257])
def test_prediction_pads_the_last_batch_and_cuts_it_again(n_rows, rng):
    inputs = rng.normal(size=(n_rows, 3))
    model = Sums()
    predicted = predict_rows(model, Rows.of(inputs))
    assert predicted.shape == (n_rows, 2)
    np.testing.assert_array_equal(predicted[:, 0], inputs.sum(axis=1))
    assert set(model.sizes) == {PREDICTION_BATCH}
    assert len(model.sizes) == -(-n_rows // PREDICTION_BATCH)


@pytest.fixture
def make_dense(eager):
    """Return a function that makes the smallest network there is: three inputs, three classes."""
    import keras

    def make(settings: TrainingSettings, *, seed: int = 1):
        seed_everything(seed)
        inputs = keras.Input((3,))
        outputs = keras.layers.Dense(3, activation="softmax", name="out")(inputs)
        model = keras.Model(inputs, outputs)
        compile_network(model, settings)
        return model

    return make


def test_rows_are_predicted_as_keras_predicts_them(make_dense, rng):
    model = make_dense(PLAIN)
    inputs = rng.normal(size=(131, 3)).astype(np.float32)
    expected = np.asarray(model(inputs))
    np.testing.assert_allclose(predict_rows(model, Rows.of(inputs)), expected, atol=1e-6)


# --- the weights of classes


@pytest.mark.parametrize("counts", [[5, 5, 5], [10, 1, 3], [1, 100, 10, 7]])
def test_alpha_sums_to_one_and_is_the_inverse_of_the_frequency(counts):
    from sklearn.utils.class_weight import compute_class_weight

    classes = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    alpha = class_alpha(classes, len(counts))
    assert alpha.sum() == pytest.approx(1)
    inverse = 1 / np.array(counts)
    np.testing.assert_allclose(alpha, inverse / inverse.sum())
    balanced = compute_class_weight("balanced", classes=np.arange(len(counts)), y=classes)
    np.testing.assert_allclose(alpha, balanced / balanced.sum())


def test_a_class_without_rows_weighs_nothing():
    alpha = class_alpha(np.array([0, 0, 3]), 5)
    np.testing.assert_allclose(alpha, [1 / 3, 0, 0, 2 / 3, 0])


# --- losses


@pytest.fixture
def unequal(rng):
    """Twelve rows of three classes: eight, three and one."""
    return rng.normal(size=(12, 3)).astype(np.float32), np.repeat([0, 1, 2], [8, 3, 1])


def one_step(make_dense, settings: TrainingSettings, inputs, classes) -> tuple[float, list]:
    """Train one epoch of one batch; return its loss, which is that of the first weights."""
    model = make_dense(settings)
    rows = (Rows.of(inputs), classes)
    history = train_network(model, settings, rows, rows, n_classes=3, seed=1)
    return float(history["loss"][0]), [weight.copy() for weight in model.get_weights()]


SGD = TrainingSettings(max_epochs=1, batch_size=12, learning_rate=0.1, optimizer="sgd")


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 5.0])
def test_the_focal_loss_is_keras_s_with_alpha_within(make_dense, unequal, gamma):
    import keras

    inputs, classes = unequal
    settings = replace(SGD, loss="focal", focal_gamma=gamma)
    loss, weights = one_step(make_dense, settings, inputs, classes)

    twin = make_dense(settings)
    alpha = class_alpha(classes, 3).tolist()
    twin.compile(
        optimizer=keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        loss=keras.losses.CategoricalFocalCrossentropy(alpha=alpha, gamma=gamma),
    )
    targets = np.eye(3, dtype=np.float32)[classes]
    expected = twin.train_on_batch(inputs, targets)
    # Float32: six digits of the loss, and of the step that its gradient makes.
    assert loss == pytest.approx(float(np.ravel(expected)[0]), rel=1e-5)
    for mine, theirs in zip(weights, twin.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_focal_loss_is_its_formula(make_dense, unequal, gamma):
    inputs, classes = unequal
    settings = replace(SGD, loss="focal", focal_gamma=gamma)
    loss, _ = one_step(make_dense, settings, inputs, classes)
    probabilities = make_dense(settings).predict(inputs, verbose=0).astype(float)
    alpha = class_alpha(classes, 3)
    expected = 0.0
    for row, number in zip(probabilities, classes, strict=True):
        expected -= alpha[number] * (1 - row[number]) ** gamma * np.log(row[number])
    assert loss == pytest.approx(expected / len(classes), rel=1e-5)


def test_without_gamma_and_with_equal_classes_it_is_a_share_of_cross_entropy(make_dense, rng):
    inputs, classes = rng.normal(size=(12, 3)).astype(np.float32), np.arange(12) % 3
    focal = replace(SGD, loss="focal", focal_gamma=0.0, learning_rate=0.3)
    loss, weights = one_step(make_dense, focal, inputs, classes)
    plain_loss, plain_weights = one_step(make_dense, SGD, inputs, classes)
    # Alpha is a third: three times the rate makes the same step.
    assert 3 * loss == pytest.approx(plain_loss, rel=1e-5)
    for mine, theirs in zip(weights, plain_weights, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    # The twin: with gamma it is not.
    bent, _ = one_step(make_dense, replace(focal, focal_gamma=2.0), inputs, classes)
    assert 3 * bent != pytest.approx(plain_loss, rel=0.05)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_the_validation_loss_is_the_training_loss_on_other_rows(make_dense, unequal, loss):
    inputs, classes = unequal
    settings = replace(SGD, loss=loss, learning_rate=1e-12)
    model = make_dense(settings)
    rows = (Rows.of(inputs), classes)
    history = train_network(model, settings, rows, rows, n_classes=3, seed=1)
    assert history["val_loss"][0] == pytest.approx(history["loss"][0], rel=1e-5)
    assert history["val_accuracy"][0] == pytest.approx(history["accuracy"][0])


# --- optimisers


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_an_optimiser_is_keras_s_with_its_defaults(make_dense, unequal, name):
    import keras

    inputs, classes = unequal
    _, weights = one_step(make_dense, replace(SGD, optimizer=name), inputs, classes)
    twin = make_dense(SGD)
    optimizers = {
        "adam": keras.optimizers.Adam(0.1),
        "rmsprop": keras.optimizers.RMSprop(0.1),
        "sgd": keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    }
    twin.compile(optimizer=optimizers[name], loss="sparse_categorical_crossentropy")
    twin.train_on_batch(inputs, classes)
    for mine, theirs in zip(weights, twin.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_the_loop_is_that_of_keras_fed_batch_by_batch(make_dense, rng):
    """Three epochs of ours are `fit`'s without shuffling, given the same order of rows."""
    inputs, classes = rng.normal(size=(12, 3)).astype(np.float32), np.arange(12) % 3
    model = make_dense(PLAIN)
    fed: list[np.ndarray] = []
    step = model.train_on_batch

    def watched(x, y, w, **options):
        fed.append(x)
        return step(x, y, w, **options)

    model.train_on_batch = watched
    rows = (Rows.of(inputs), classes)
    history = train_network(model, PLAIN, rows, rows, n_classes=3, seed=1)
    twin = make_dense(PLAIN)
    number_of = {row.tobytes(): number for number, row in enumerate(inputs)}
    for epoch in range(3):
        order = [
            number_of[row.tobytes()] for batch in fed[3 * epoch : 3 * epoch + 3] for row in batch
        ]
        done = twin.fit(inputs[order], classes[order], batch_size=4, shuffle=False, verbose=0)
        assert history["loss"][epoch] == pytest.approx(done.history["loss"][0], rel=1e-5)
        assert history["accuracy"][epoch] == pytest.approx(done.history["accuracy"][0])
    for mine, theirs in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


# --- learning rates


def rates_seen_by(model) -> list[float]:
    """Return a list that grows by the optimiser's rate at each step."""
    rates = []
    step = model.train_on_batch

    def watched(*given, **options):
        rates.append(float(model.optimizer.learning_rate.numpy()))
        return step(*given, **options)

    model.train_on_batch = watched
    return rates


STEP = TrainingSettings(max_epochs=30, schedule="step", learning_rate=0.01)
RESTARTS = TrainingSettings(max_epochs=75, schedule="restarts", learning_rate=0.01)


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 1e-2), (9, 1e-2), (10, 1e-3), (19, 1e-3), (20, 1e-4), (29, 1e-4)]
)
def test_step_is_a_tenth_after_each_third(epoch, rate):
    assert scheduled_rate(STEP, epoch) == pytest.approx(rate)


@pytest.mark.parametrize("max_epochs", [1, 2, 3, 4, 5, 10, 50, 100, 125])
def test_there_are_at_most_three_steps_and_no_fourth_third(max_epochs):
    settings = replace(STEP, max_epochs=max_epochs)
    rates = np.array([scheduled_rate(settings, epoch) for epoch in range(max_epochs)])
    steps = np.round(np.log10(0.01 / rates)).astype(int)
    assert steps[0] == 0
    assert (np.diff(steps) >= 0).all()
    assert steps.max() <= 2
    # Thirds are equal but for an epoch.
    lengths = np.bincount(steps, minlength=3)
    assert lengths.max() - lengths.min() <= 1


@pytest.mark.parametrize(
    ("epoch", "share"),
    [
        *((0, 1.0), (5, 0.5), (10, 1.0), (20, 0.5), (30, 1.0), (50, 0.5), (70, 1.0)),
        (3, (1 + np.cos(0.3 * np.pi)) / 2),
        (9, (1 + np.cos(0.9 * np.pi)) / 2),
        (29, (1 + np.cos(0.95 * np.pi)) / 2),
    ],
)
def test_restarts_are_cosines_over_10_20_and_40_epochs(epoch, share):
    expected = 1e-6 + share * (0.01 - 1e-6)
    assert scheduled_rate(RESTARTS, epoch) == pytest.approx(expected)


def test_a_rate_never_falls_below_its_floor_nor_rises_above_its_start():
    rates = [scheduled_rate(RESTARTS, epoch) for epoch in range(200)]
    assert min(rates) > 1e-6
    assert max(rates) == pytest.approx(0.01)


@pytest.mark.parametrize("schedule", ["constant", "step", "restarts", "cosine"])
def test_the_history_has_the_rate_of_each_epoch(schedule):
    settings = TrainingSettings(max_epochs=12, schedule=schedule, learning_rate=1e-3)
    _, history = record(settings, numbered(6), CLASSES[:6])
    expected = (
        [1e-3] * 12
        if schedule == "constant"
        else [scheduled_rate(settings, epoch) for epoch in range(12)]
    )
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-6)


def test_a_scheduled_rate_reaches_the_optimiser(make_dense, unequal):
    inputs, classes = unequal
    settings = replace(SGD, max_epochs=3, schedule="step")
    model = make_dense(settings)
    rates = rates_seen_by(model)
    rows = (Rows.of(inputs), classes)
    train_network(model, settings, rows, rows, n_classes=3, seed=1)
    np.testing.assert_allclose(rates, [0.1, 0.01, 0.001], rtol=1e-6)


# --- which weights are kept


def test_the_weights_of_the_highest_validation_accuracy_are_kept():
    given = (0.3, 0.7, 0.5, 0.9, 0.9, 0.2)
    settings = TrainingSettings(max_epochs=6, keep="val_accuracy")
    recorder, history = record(
        settings, numbered(8), CLASSES[:8], recorder=Recorder(accuracies=given)
    )
    np.testing.assert_allclose(history["val_accuracy"], given)
    # Of equal ones the first.
    assert recorder.loaded == "epoch 4"


def test_without_keep_the_last_weights_stay():
    recorder, _ = record(
        PLAIN, numbered(8), CLASSES[:8], recorder=Recorder(accuracies=(0.3, 0.7, 0.5))
    )
    assert recorder.loaded == ""


def test_a_kept_epoch_is_not_that_of_the_lowest_loss():
    # Sure of the wrong ones: the second epoch has the higher accuracy and the higher loss.
    given, sure = (0.6, 0.8, 0.5, 0.5, 0.5), (0.6, 0.999, 0.7, 0.7, 0.7)
    settings = TrainingSettings(max_epochs=5, keep="val_accuracy", stop_patience=2)
    recorder, history = record(
        settings, numbered(8), CLASSES[:8], recorder=Recorder(accuracies=given, losses=sure)
    )
    assert history["val_loss"].idxmin() == 0
    assert recorder.loaded == "epoch 2"
    # Stopping still goes by the loss: two epochs without a lower one.
    assert len(history) == 3
    # The twin: without keep, stopping gives back the epoch of the lowest loss.
    twin, _ = record(
        replace(settings, keep=""),
        numbered(8),
        CLASSES[:8],
        recorder=Recorder(accuracies=given, losses=sure),
    )
    assert twin.loaded == "epoch 1"


def test_stopping_can_go_by_the_accuracy():
    # The loss falls throughout; the accuracy has its best in the second epoch.
    given, sure = (0.6, 0.8, 0.7, 0.7, 0.7, 0.7), (0.9, 0.97, 0.85, 0.8, 0.75, 0.7)
    settings = TrainingSettings(max_epochs=6, stop_patience=2, stop_on="val_accuracy")

    def stopped(settings: TrainingSettings) -> tuple[int, str]:
        recorder, history = record(
            settings, numbered(8), CLASSES[:8], recorder=Recorder(accuracies=given, losses=sure)
        )
        return len(history), recorder.loaded

    assert stopped(settings) == (4, "epoch 2")
    # The twin: by the loss it goes on to the end, with the last weights the best.
    n_epochs, _ = stopped(replace(settings, stop_on="val_loss"))
    assert n_epochs == 6


def test_a_real_network_is_that_of_its_best_epoch(make_dense, rng):
    inputs = rng.normal(size=(30, 3)).astype(np.float32)
    classes = rng.integers(0, 3, 30)
    settings = TrainingSettings(
        max_epochs=8, batch_size=8, learning_rate=0.5, keep="val_accuracy", optimizer="sgd"
    )
    train, validation = (
        (Rows.of(inputs[part]), classes[part]) for part in (slice(0, 20), slice(20, 30))
    )
    model = make_dense(settings)
    history = train_network(model, settings, train, validation, n_classes=3, seed=1)
    best = int(history["val_accuracy"].argmax())
    assert history["val_accuracy"].nunique() > 1
    assert best < 7
    # Training again for this number of epochs gives the very same weights.
    short = replace(settings, max_epochs=best + 1, keep="")
    again = make_dense(short)
    train_network(again, short, train, validation, n_classes=3, seed=1)
    for mine, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_kept_weights_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    record(TrainingSettings(max_epochs=2, keep="val_accuracy"), numbered(8), CLASSES[:8])
    assert list(tmp_path.iterdir()) == []


# --- the history


def test_the_history_has_one_row_an_epoch_and_its_columns_in_order():
    _, history = record(PLAIN, numbered(8), CLASSES[:8])
    assert tuple(history.columns) == HISTORY_COLUMNS
    assert HISTORY_COLUMNS == (
        *("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"),
    )
    assert list(history["epoch"]) == [1, 2, 3]


def test_the_training_figures_are_the_means_over_the_batches_of_an_epoch():
    recorder, history = record(PLAIN, numbered(12), CLASSES[:12])
    given = np.array(recorder.reported).reshape(3, 3, 2)
    np.testing.assert_allclose(history[["loss", "accuracy"]], given.mean(axis=1))
    # The twin: the last batch alone says something else.
    assert not np.allclose(history[["loss", "accuracy"]], given[:, -1])


def test_the_training_figures_are_the_means_of_their_own_epoch(make_dense, rng):
    # 12 rows in three batches; nothing is carried over from the epoch before.
    inputs, classes = rng.normal(size=(12, 3)).astype(np.float32), np.arange(12) % 3
    settings = replace(PLAIN, learning_rate=1e-12)
    rows = (Rows.of(inputs), classes)
    history = train_network(make_dense(settings), settings, rows, rows, n_classes=3, seed=1)
    np.testing.assert_allclose(history["loss"], history["val_loss"], rtol=1e-5)
    np.testing.assert_allclose(history["accuracy"], history["val_accuracy"], rtol=1e-6)


# --- settings


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("optimizer", "adam, rmsprop, sgd"),
        ("schedule", "constant, step, restarts"),
        ("loss", "cross_entropy, focal"),
        ("keep", ", val_accuracy"),
        ("sampling", "every_row, balanced"),
        ("stop_on", "val_loss, val_accuracy"),
    ],
)
def test_a_setting_that_is_unknown_is_refused_and_the_known_are_named(name, known):
    with pytest.raises(StudyError, match=f"{name}='foo'.*{known}"):
        TrainingSettings(max_epochs=1, **{name: "foo"})


@pytest.mark.parametrize(("max_epochs", "batch_size"), [(0, 32), (-1, 32), (3, 0)])
def test_no_epochs_and_no_rows_a_batch_are_refused(max_epochs, batch_size):
    message = f"max_epochs={max_epochs}, batch_size={batch_size}"
    with pytest.raises(StudyError, match=message):
        TrainingSettings(max_epochs=max_epochs, batch_size=batch_size)


ADDED = {
    "optimizer": "sgd",
    "schedule": "step",
    "loss": "focal",
    "focal_gamma": 1.0,
    "keep": "val_accuracy",
    "sampling": "balanced",
    "stop_on": "val_accuracy",
    "weight_decay": 0.01,
    "label_smoothing": 0.1,
    "mixup_alpha": 0.3,
    "mask_share": 0.2,
    "fits_validation": True,
    "precision": "mixed_bfloat16",
}


def test_settings_that_came_later_do_not_show_at_their_defaults():
    # These are the keys of runs that were stored before.
    assert TrainingSettings(max_epochs=20).identity() == {
        "max_epochs": 20,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "stop_patience": None,
        "plateau_patience": None,
        "min_learning_rate": 1e-6,
    }


@pytest.mark.parametrize(("name", "value"), ADDED.items())
def test_settings_that_came_later_show_when_they_are_set(name, value):
    settings = TrainingSettings(max_epochs=20, **{name: value})
    plain = TrainingSettings(max_epochs=20).identity()
    assert settings.identity() == plain | {name: value}


def test_every_setting_shows_or_came_later():
    shown = {}
    for name, value in ADDED.items():
        shown |= TrainingSettings(max_epochs=20, **{name: value}).identity()
    assert set(shown) == set(vars(TrainingSettings(max_epochs=20)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "focal", "mixup_alpha": 0.3}, "focal"),
        ({"loss": "focal", "label_smoothing": 0.1}, "focal"),
        ({"weight_decay": 0.1, "optimizer": "sgd"}, "weight_decay=0.1"),
        ({"mask_share": 1.5}, "mask_share=1.5"),
        ({"mask_share": float("nan")}, "mask_share=nan"),
        ({"fits_validation": True, "keep": "val_accuracy"}, "fits_validation"),
        ({"fits_validation": True, "stop_patience": 3}, "fits_validation"),
        ({"fits_validation": True, "plateau_patience": 3}, "fits_validation"),
        ({"precision": "int4"}, "precision='int4'.*float32, mixed_bfloat16"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(StudyError, match=message):
        TrainingSettings(max_epochs=1, **settings)


# --- smoothed labels, mixed rows, decaying weights


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_the_smoothed_loss_is_its_formula(make_dense, unequal, smoothing):
    inputs, classes = unequal
    settings = replace(SGD, label_smoothing=smoothing)
    loss, _ = one_step(make_dense, settings, inputs, classes)
    probabilities = make_dense(settings).predict(inputs, verbose=0).astype(float)
    targets = (1 - smoothing) * np.eye(3)[classes] + smoothing / 3
    expected = -(targets * np.log(probabilities)).sum(axis=1).mean()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_mixed_rows_are_shares_of_two_rows_and_so_are_their_targets():
    inputs, targets = np.eye(6, dtype=np.float32), np.eye(6, dtype=np.float32)
    settings = replace(PLAIN, mixup_alpha=0.5)
    seen = set()
    for seed in range(20):
        mixed, wanted = _mix_rows(inputs, targets, settings, np.random.default_rng(seed))
        np.testing.assert_array_equal(mixed, wanted)  # the same partner, the same share
        np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-6)
        assert (np.count_nonzero(mixed, axis=1) <= 2).all()
        seen.add(round(float(mixed[0, 0]), 3))
    assert len(seen) > 10
    plain = _mix_rows(inputs, targets, PLAIN, np.random.default_rng(0))
    assert plain[0] is inputs
    assert plain[1] is targets


def test_a_stretch_of_each_axis_but_the_last_is_masked():
    inputs = np.ones((200, 20, 10, 1), np.float32)
    masked = _mask_rows(inputs, 0.3, np.random.default_rng(0))[..., 0]
    assert inputs.all()
    frames, bands = (~masked.any(axis=axis) for axis in (2, 1))
    for is_masked, most in ((frames, 6), (bands, 3)):
        widths = is_masked.sum(axis=1)
        assert set(widths) == set(range(most + 1))
        # One stretch, anywhere: it begins once, and each place is masked in some row.
        begins = np.diff(is_masked.astype(int), axis=1, prepend=0) == 1
        np.testing.assert_array_equal(begins.sum(axis=1), widths > 0)
        assert is_masked.any(axis=0).all()
    np.testing.assert_array_equal(masked == 0, frames[:, :, np.newaxis] | bands[:, np.newaxis])


def test_without_a_share_no_row_is_masked_and_nothing_drawn():
    rng = np.random.default_rng(0)
    inputs = np.ones((4, 3, 2), np.float32)
    assert _mask_rows(inputs, 0.0, rng) is inputs
    assert rng.random() == np.random.default_rng(0).random()


def test_training_on_mixed_rows_learns_and_is_repeated_by_its_seed(make_dense, unequal):
    inputs, classes = unequal
    settings = replace(SGD, max_epochs=3, mixup_alpha=0.5, label_smoothing=0.1)
    found = [one_step(make_dense, settings, inputs, classes)[1] for _ in range(2)]
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    plain = one_step(make_dense, replace(settings, mixup_alpha=0.0), inputs, classes)[1]
    assert any(not np.array_equal(a, b) for a, b in zip(found[0], plain, strict=True))


def test_weights_decay_only_where_it_is_asked_for(make_dense, unequal):
    inputs, classes = unequal
    adam = replace(SGD, optimizer="adam", learning_rate=0.1)
    plain = one_step(make_dense, adam, inputs, classes)[1]
    decayed = one_step(make_dense, replace(adam, weight_decay=0.5), inputs, classes)[1]
    start = make_dense(adam).get_weights()
    # AdamW: the step of Adam, from weights that are 1 - rate * decay of what they were.
    for first, mine, theirs in zip(start, plain, decayed, strict=True):
        np.testing.assert_allclose(theirs, mine - 0.1 * 0.5 * first, atol=1e-5)


COSINE = TrainingSettings(max_epochs=20, schedule="cosine", learning_rate=0.01)


def test_a_cosine_rises_for_a_tenth_and_falls_to_its_floor():
    rates = np.array([scheduled_rate(COSINE, epoch) for epoch in np.arange(0, 20, 0.01)])
    assert rates.argmax() == pytest.approx(200, abs=25)
    assert rates.max() == pytest.approx(0.01, rel=0.01)
    assert rates[0] < 0.0015
    assert rates[-1] == pytest.approx(1e-6, rel=0.1)
    # Half way down half way through.
    assert scheduled_rate(COSINE, 11) == pytest.approx(0.005, rel=0.01)


def test_a_cosine_changes_from_batch_to_batch(make_dense, unequal):
    inputs, classes = unequal
    settings = replace(SGD, max_epochs=2, batch_size=4, schedule="cosine")
    model = make_dense(settings)
    rates = rates_seen_by(model)
    rows = (Rows.of(inputs), classes)
    train_network(model, settings, rows, rows, n_classes=3, seed=1)
    expected = [scheduled_rate(settings, at) for at in np.arange(6) / 3]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


# --- rows


def test_rows_of_the_same_arrays_are_joined_without_a_copy(rng):
    source = rng.random((6, 2))
    first, second = (
        Rows((source,), np.zeros(len(where), int), where)
        for where in (np.array([4, 0]), np.array([2]))
    )
    joined = first.joined(second)
    assert joined.sources[0] is source
    np.testing.assert_array_equal(joined.gather(), source[[4, 0, 2]])


def test_rows_of_other_arrays_are_joined_by_value(rng):
    one, other = rng.random((2, 3, 4))
    np.testing.assert_array_equal(
        Rows.of(one).joined(Rows.of(other)).gather(), np.concatenate([one, other])
    )


# --- how fast
