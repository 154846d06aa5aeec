"""The training loop of networks: settings, and epochs of batches read straight from arrays.

Batches are gathered from arrays that may lie on the disk (memory-mapped), in one step a batch; no
code runs a sample. `model.fit` is not used: with TensorFlow it ends each epoch with a wait for a
timer of its input pipeline, which took up to half of the time of short epochs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser_lib.errors import StudyError
from ser_lib.models._keras import load_keras
from ser_lib.seeds import generator

if TYPE_CHECKING:
    import keras

__all__ = [
    "HISTORY_COLUMNS",
    "Rows",
    "TrainingSettings",
    "class_alpha",
    "compile_network",
    "predict_rows",
    "scheduled_rate",
    "train_network",
]

HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")

OPTIMIZERS = ("adam", "rmsprop", "sgd")
LOSSES = ("cross_entropy", "focal")
SCHEDULES = ("constant", "step", "restarts")
SAMPLINGS = ("every_row", "balanced")
KEEPS = ("", "val_accuracy")
STOPS = ("val_loss", "val_accuracy")

# Prediction needs no gradients: larger batches fit, and save calls.
PREDICTION_BATCH = 128


def _added(default: object) -> object:
    """Declare a setting that came later: at its default it does not show in a run's key."""
    return field(default=default, metadata={"is_added": True})


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained; classifiers of scikit-learn have none of this."""

    max_epochs: int
    batch_size: int = 32
    learning_rate: float = 1e-3
    """Adam's default, with its other defaults."""
    stop_patience: int | None = None
    """Epochs without a lower validation loss after which training stops, best weights restored."""
    plateau_patience: int | None = None
    """Epochs without a lower validation loss after which the rate is halved."""
    min_learning_rate: float = 1e-6
    optimizer: str = _added("adam")
    """adam, rmsprop, or sgd (with Nesterov's momentum of 0.9)."""
    schedule: str = _added("constant")
    """constant, step (a tenth after each third of the epochs), or restarts (cosine, over 10, 20,
    40 ... epochs)."""
    loss: str = _added("cross_entropy")
    """cross_entropy, or focal: weighted by class, see `class_alpha`."""
    focal_gamma: float = _added(2.0)
    keep: str = _added("")
    """val_accuracy keeps the weights of the epoch with the highest one; nothing keeps the last,
    or those that early stopping restores."""
    stop_on: str = _added("val_loss")
    """What `stop_patience` looks at: val_loss, or val_accuracy."""
    sampling: str = _added("every_row")
    """every_row: an epoch is every training row once. balanced: every clip once, as one of its
    variants, and clips of smaller classes again until all classes are as large as the largest."""

    def __post_init__(self) -> None:
        allowed = {
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "loss": LOSSES,
            "keep": KEEPS,
            "sampling": SAMPLINGS,
            "stop_on": STOPS,
        }
        for name, known in allowed.items():
            if getattr(self, name) not in known:
                raise StudyError(f"{name}='{getattr(self, name)}': known are {', '.join(known)}")
        if self.max_epochs < 1 or self.batch_size < 1:
            raise StudyError(
                f"max_epochs={self.max_epochs}, batch_size={self.batch_size}: 1 is the least"
            )

    def identity(self) -> dict[str, object]:
        """Return the settings that decide a run's key; later ones only where they are set."""
        return {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if not (one.metadata.get("is_added") and getattr(self, one.name) == one.default)
        }


@dataclass(frozen=True)
class Rows:
    """Rows that are gathered when they are needed, from one array a variant."""

    sources: tuple[np.ndarray, ...]
    """Arrays of shape (n_clips, ...), in memory or memory-mapped."""
    source: np.ndarray
    """Which array each row is in, shape (n_rows,)."""
    position: np.ndarray
    """Where in that array, shape (n_rows,); rows of one clip have the same."""

    @classmethod
    def of(cls, array: np.ndarray) -> Rows:
        """Wrap an array whose rows are all wanted, in order."""
        return cls((array,), np.zeros(len(array), int), np.arange(len(array)))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.position)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return what the gathered array would have."""
        return (len(self), *self.sources[0].shape[1:])

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """Gather some rows into a new array, one copy an array that they come from."""
        source, position = self.source[rows], self.position[rows]
        if len(self.sources) == 1:
            return self.sources[0][position]
        gathered = np.empty((len(position), *self.shape[1:]), dtype=self.sources[0].dtype)
        for number in np.unique(source):
            chosen = source == number
            gathered[chosen] = self.sources[number][position[chosen]]
        return gathered

    def gather(self) -> np.ndarray:
        """Gather all rows."""
        return self.take(slice(None))


def train_network(
    model: keras.Model,
    settings: TrainingSettings,
    train: tuple[Rows, np.ndarray],
    validation: tuple[Rows, np.ndarray],
    *,
    n_classes: int,
    seed: int,
) -> pd.DataFrame:
    """Train a network in place.

    Parameters
    ----------
    model : keras.Model
        With fresh weights, from `compile_network`.
    settings : TrainingSettings
        How.
    train, validation : tuple of Rows and ndarray of int
        Inputs and class numbers.
    n_classes : int
        Number of classes.
    seed : int
        Of the order of rows, and of what is drawn to balance classes.

    Returns
    -------
    pandas.DataFrame
        One row an epoch, columns `HISTORY_COLUMNS`.

    Notes
    -----
    Notebook: 05_cnn_3d_pooled.ipynb
    """
    keras = load_keras()
    x_train, y_train = train
    weights = _row_weights(settings, y_train, n_classes)
    targets = _targets(settings, y_train, n_classes)
    rng = generator("epochs", seed)
    records: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="ser-weights-") as folder:
        best = Path(folder) / "best.weights.h5"
        callbacks = keras.callbacks.CallbackList(
            _callbacks(settings, best), model=model, epochs=settings.max_epochs
        )
        model.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(settings.max_epochs):
            callbacks.on_epoch_begin(epoch)
            rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
            order = _epoch_order(settings.sampling, x_train, y_train, rng)
            # Keras tells of each batch alone; all have one size, so their mean is the epoch's.
            steps = pd.DataFrame(
                model.train_on_batch(
                    x_train.take(rows), targets[rows], weights[y_train[rows]], return_dict=True
                )
                for rows in _batches(order, settings.batch_size)
            )
            logs = {name: float(steps[name].mean()) for name in ("loss", "accuracy")}
            logs |= _validate(model, settings, validation, weights)
            records.append({"epoch": epoch + 1, **logs, "learning_rate": rate})
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        callbacks.on_train_end()
        if settings.keep:
            model.load_weights(best)
    return pd.DataFrame(records)[list(HISTORY_COLUMNS)]


def _validate(
    model: keras.Model,
    settings: TrainingSettings,
    validation: tuple[Rows, np.ndarray],
    weights: np.ndarray,
) -> dict[str, float]:
    inputs, classes = validation
    probabilities = predict_rows(model, inputs)
    targets = _targets(settings, classes, len(weights))
    loss = _loss(settings)(targets, probabilities, sample_weight=weights[classes])
    return {
        "val_loss": float(loss),
        "val_accuracy": float(np.mean(probabilities.argmax(axis=1) == classes)),
    }


def _batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Cut rows into batches of one size, for which the network is compiled once.

    What the last one lacks is filled up from the first; no row is left out.
    """
    size = min(size, len(order))
    n_batches = -(-len(order) // size)
    for batch in np.resize(order, n_batches * size).reshape(n_batches, size):
        # Sorted rows are read from the disk in one direction; within a batch order is nothing.
        yield np.sort(batch)


def _epoch_order(
    sampling: str, inputs: Rows, classes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw the rows of one epoch, in the order in which they are fed."""
    if sampling == "every_row":
        return rng.permutation(len(classes))
    clips, first = np.unique(inputs.position, return_index=True)
    class_of = classes[first]
    counts = np.bincount(class_of)
    drawn = [clips]
    for number in np.flatnonzero(counts):
        ours = clips[class_of == number]
        drawn.append(rng.choice(ours, counts.max() - counts[number]))
    chosen = np.concatenate(drawn)
    # One variant of each drawn clip: rows sorted by clip, an offset drawn into each clip's stretch.
    by_clip = np.argsort(inputs.position, kind="stable")
    starts = np.searchsorted(inputs.position[by_clip], chosen)
    n_variants = np.searchsorted(inputs.position[by_clip], chosen, side="right") - starts
    return rng.permutation(by_clip[starts + rng.integers(0, n_variants)])


def class_alpha(classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Weights of the classes in the focal loss: inverse frequencies that sum to 1.

    Parameters
    ----------
    classes : ndarray of int, shape (n_rows,)
        Of the training rows.
    n_classes : int
        Number of classes; one without rows has the weight 0.

    Returns
    -------
    ndarray of float64, shape (n_classes,)
        scikit-learn's balanced class weights, divided by their sum.

    References
    ----------
    fpt2025, section 3.6.

    Notes
    -----
    Notebook: 05_cnn_3d_pooled.ipynb
    """
    from sklearn.utils.class_weight import compute_class_weight

    present = np.unique(classes)
    weights = np.zeros(n_classes)
    weights[present] = compute_class_weight("balanced", classes=present, y=classes)
    return weights / weights.sum()


def _targets(settings: TrainingSettings, classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return what the loss compares with: class numbers, or for the focal loss rows of 0 and 1."""
    return np.eye(n_classes, dtype=np.float32)[classes] if settings.loss == "focal" else classes


def _row_weights(settings: TrainingSettings, classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Weight of a row by its class: the focal loss's alpha; 1 for cross-entropy.

    A factor of the loss, given a row, is the same as alpha within it; and the network need not be
    compiled anew for each fold.
    """
    is_focal = settings.loss == "focal"
    return class_alpha(classes, n_classes) if is_focal else np.ones(n_classes)


def _loss(settings: TrainingSettings) -> keras.losses.Loss:
    losses = load_keras().losses
    if settings.loss == "focal":
        return losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=settings.focal_gamma)
    return losses.SparseCategoricalCrossentropy()


def compile_network(model: keras.Model, settings: TrainingSettings) -> None:
    """Give a network the optimiser and the loss of its settings."""
    optimizers, rate = load_keras().optimizers, settings.learning_rate
    optimizer = {
        "adam": lambda: optimizers.Adam(rate),
        "rmsprop": lambda: optimizers.RMSprop(rate),
        "sgd": lambda: optimizers.SGD(rate, momentum=0.9, nesterov=True),
    }[settings.optimizer]()
    optimizer.build(model.trainable_variables)
    model.compile(optimizer=optimizer, loss=_loss(settings), metrics=["accuracy"])


def scheduled_rate(settings: TrainingSettings, epoch: int) -> float:
    """Learning rate of an epoch, counted from 0, under `step` or `restarts`."""
    if settings.schedule == "step":
        return settings.learning_rate * 0.1 ** (3 * epoch // settings.max_epochs)
    start, length = 0, 10
    while epoch >= start + length:
        start, length = start + length, 2 * length
    share = (epoch - start) / length
    floor = settings.min_learning_rate
    return floor + (settings.learning_rate - floor) * (1 + np.cos(np.pi * share)) / 2


def _callbacks(settings: TrainingSettings, best: Path) -> list:
    callbacks = load_keras().callbacks
    chosen = []
    if settings.schedule != "constant":
        chosen.append(
            callbacks.LearningRateScheduler(lambda epoch: float(scheduled_rate(settings, epoch)))
        )
    if settings.plateau_patience is not None:
        chosen.append(
            callbacks.ReduceLROnPlateau(
                patience=settings.plateau_patience, factor=0.5, min_lr=settings.min_learning_rate
            )
        )
    if settings.keep:
        chosen.append(
            callbacks.ModelCheckpoint(
                best, monitor=settings.keep, mode="max", save_best_only=True, save_weights_only=True
            )
        )
    if settings.stop_patience is not None:
        chosen.append(
            callbacks.EarlyStopping(
                monitor=settings.stop_on,
                mode="min" if settings.stop_on == "val_loss" else "max",
                patience=settings.stop_patience,
                restore_best_weights=not settings.keep,
            )
        )
    return chosen


def predict_rows(model: keras.Model, inputs: Rows) -> np.ndarray:
    """Return the class probabilities of all rows, shape (n_rows, n_classes)."""
    keras = load_keras()
    parts = [
        keras.ops.convert_to_numpy(model.predict_on_batch(inputs.take(rows)))
        for rows in _prediction_batches(len(inputs))
    ]
    return np.concatenate(parts)[: len(inputs)]


def _prediction_batches(n_rows: int) -> Iterator[np.ndarray]:
    """Cut row numbers into batches of one size; the last row fills the last batch up."""
    for start in range(0, n_rows, PREDICTION_BATCH):
        yield np.arange(start, start + PREDICTION_BATCH).clip(max=n_rows - 1)
