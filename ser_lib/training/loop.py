"""The training loop of networks: epochs of batches read straight from arrays.

Arrays may be memory-mapped; each batch is gathered in one step. `model.fit` is not used: with
TensorFlow it ends each epoch by waiting for a timer of its input pipeline, which took up to half of
the time of short epochs.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser_lib.features.extraction import Rows
from ser_lib.models.layers import load_keras
from ser_lib.runtime import progress
from ser_lib.seeds import generator
from ser_lib.training.checkpoint import Checkpoint, Position
from ser_lib.training.settings import TrainingSettings, scheduled_rate

if TYPE_CHECKING:
    import keras

HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")

# Prediction needs no gradients, so that larger batches fit into memory.
PREDICTION_BATCH = 128


def train_network(
    model: keras.Model,
    settings: TrainingSettings,
    train: tuple[Rows, np.ndarray],
    validation: tuple[Rows, np.ndarray],
    *,
    n_classes: int,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> pd.DataFrame:
    """Train a network in place.

    Parameters
    ----------
    model : keras.Model
        With fresh weights, from `compile_network`.
    settings : TrainingSettings
        How it is trained.
    train, validation : tuple of Rows and ndarray of int
        Inputs and class numbers.
    n_classes : int
        Number of classes.
    seed : int
        Of the order of rows, and of what is drawn to balance classes.
    checkpoint : Checkpoint, optional
        Where to keep what a killed training needs to go on, and to find what an earlier one kept.

    Returns
    -------
    pandas.DataFrame
        One row an epoch, columns `HISTORY_COLUMNS`.

    Raises
    ------
    TrainingStoppedError
        At the checkpoint's deadline.
    """
    keras = load_keras()
    x_train, y_train = train
    weights = _row_weights(settings, y_train, n_classes)
    targets = _targets(settings, y_train, n_classes)
    rng = generator("epochs", seed)
    callbacks = keras.callbacks.CallbackList(_callbacks(settings), model=model)
    model.stop_training = False
    callbacks.on_train_begin()
    at = Position()
    if checkpoint:
        versions = [version(name) for name in ("numpy", "keras", "tensorflow")]
        identity = repr((settings, n_classes, seed, zlib.crc32(y_train.tobytes()), versions))
        at = checkpoint.restore(identity, model, callbacks.callbacks, rng)
    left = range(len(at.epochs), settings.max_epochs)
    for epoch in progress(left, total=len(left), what="epochs"):
        callbacks.on_epoch_begin(epoch)
        if settings.schedule != "constant":
            model.optimizer.learning_rate = scheduled_rate(settings, epoch)
        rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
        if at.order is None:
            at.order = _epoch_order(settings.sampling, x_train, y_train, rng)
        # Keras reports each batch alone; all have one size, so their mean is the epoch's.
        batches = list(_batches(at.order, settings.batch_size))
        at.n_steps, at.max_epochs = len(batches), settings.max_epochs
        for step in range(len(at.steps), len(batches)):
            if settings.schedule == "cosine":
                share = epoch + step / len(batches)
                model.optimizer.learning_rate = scheduled_rate(settings, share)
            rows = batches[step]
            inputs = _mask_rows(x_train.take(rows), settings.mask_share, rng)
            inputs, wanted = _mix_rows(inputs, targets[rows], settings, rng)
            at.steps.append(
                model.train_on_batch(inputs, wanted, weights[y_train[rows]], return_dict=True)
            )
            if checkpoint:
                checkpoint.keep(at)
        steps = pd.DataFrame(at.steps)
        logs = {name: float(steps[name].mean()) for name in ("loss", "accuracy")}
        logs |= _validate(model, settings, validation, weights)
        at.epochs.append({"epoch": epoch + 1, **logs, "learning_rate": rate})
        at.steps, at.order = [], None
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
        if checkpoint:
            checkpoint.keep(at)
    callbacks.on_train_end()
    return pd.DataFrame(at.epochs)[list(HISTORY_COLUMNS)]


def _mask_rows(inputs: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Set one stretch of each row's frames, and one of its bands, to 0 (SpecAugment)."""
    # Park et al. (2019), Interspeech; the last axis, of channels or values, stays whole.
    if not share:
        return inputs
    masked = inputs.copy()
    for axis, size in enumerate(inputs.shape[1:-1], start=1):
        width = rng.integers(round(share * size), size=len(inputs), endpoint=True)
        start = rng.integers(size - width, endpoint=True)
        distance = np.arange(size) - start[:, np.newaxis]
        is_masked = (distance >= 0) & (distance < width[:, np.newaxis])
        np.moveaxis(masked, axis, 1)[is_masked] = 0
    return masked


def _mix_rows(
    inputs: np.ndarray, targets: np.ndarray, settings: TrainingSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mix each row of a batch with another one, and targets by the same share (mixup)."""
    # Zhang et al. (2018), ICLR; one share a batch, as in their code.
    if not settings.mixup_alpha:
        return inputs, targets
    share = rng.beta(settings.mixup_alpha, settings.mixup_alpha)
    other = rng.permutation(len(inputs))
    values = inputs.astype(np.float32)
    return (
        (share * values + (1 - share) * values[other]).astype(np.float32),
        (share * targets + (1 - share) * targets[other]).astype(np.float32),
    )


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
    """Cut rows into batches of one size, the last filled up from the first rows."""
    # One size, so that the network is compiled once.
    size = min(size, len(order))
    n_batches = -(-len(order) // size)
    for batch in np.resize(order, n_batches * size).reshape(n_batches, size):
        # Sorted rows are read from the disk in one direction; order within a batch has no effect.
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
    """Return weights of the classes in the focal loss: inverse frequencies that sum to 1.

    A class without rows has the weight 0; fpt2025, section 3.6.
    """
    from sklearn.utils.class_weight import compute_class_weight

    present = np.unique(classes)
    weights = np.zeros(n_classes)
    weights[present] = compute_class_weight("balanced", classes=present, y=classes)
    return weights / weights.sum()


def _targets(settings: TrainingSettings, classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return class numbers, or rows of 0 and 1 for losses that need them."""
    return np.eye(n_classes, dtype=np.float32)[classes] if _has_soft_targets(settings) else classes


def _has_soft_targets(settings: TrainingSettings) -> bool:
    return bool(settings.loss == "focal" or settings.label_smoothing or settings.mixup_alpha)


def _row_weights(settings: TrainingSettings, classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the weight of a row by its class: the focal loss's alpha, or 1 for cross-entropy."""
    # As a weight instead of alpha, the network need not be compiled for each fold.
    is_focal = settings.loss == "focal"
    return class_alpha(classes, n_classes) if is_focal else np.ones(n_classes)


def _loss(settings: TrainingSettings) -> keras.losses.Loss:
    losses = load_keras().losses
    if settings.loss == "focal":
        return losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=settings.focal_gamma)
    if _has_soft_targets(settings):
        return losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)
    return losses.SparseCategoricalCrossentropy()


def compile_network(model: keras.Model, settings: TrainingSettings) -> None:
    """Compile a network with the optimiser and the loss of its settings."""
    optimizers, rate = load_keras().optimizers, settings.learning_rate
    name = "adamw" if settings.weight_decay else settings.optimizer
    optimizer = {
        "adam": lambda: optimizers.Adam(rate),
        "adamw": lambda: optimizers.AdamW(rate, weight_decay=settings.weight_decay),
        "rmsprop": lambda: optimizers.RMSprop(rate),
        "sgd": lambda: optimizers.SGD(rate, momentum=0.9, nesterov=True),
    }[name]()
    optimizer.build(model.trainable_variables)
    model.compile(optimizer=optimizer, loss=_loss(settings), metrics=["accuracy"])


def _callbacks(settings: TrainingSettings) -> list:
    callbacks = load_keras().callbacks
    chosen = []
    if settings.plateau_patience is not None:
        chosen.append(
            callbacks.ReduceLROnPlateau(
                patience=settings.plateau_patience, factor=0.5, min_lr=settings.min_learning_rate
            )
        )
    if settings.keep:
        # Never stops: it restores the best weights at the end.
        options = {"patience": settings.max_epochs, "restore_best_weights": True}
        chosen.append(callbacks.EarlyStopping(settings.keep, mode="max", **options))
    if settings.stop_patience is not None:
        mode = "min" if settings.stop_on == "val_loss" else "max"
        options = {"patience": settings.stop_patience, "restore_best_weights": not settings.keep}
        chosen.append(callbacks.EarlyStopping(settings.stop_on, mode=mode, **options))
    return chosen


def predict_rows(model: keras.Model, inputs: Rows) -> np.ndarray:
    """Predict rows batch by batch.

    Parameters
    ----------
    model : keras.Model
        With softmax outputs.
    inputs : Rows
        Rows as the network takes them.

    Returns
    -------
    ndarray, shape (n_rows, n_classes)
        Class probabilities.
    """
    keras, n_rows = load_keras(), len(inputs)
    parts = []
    for start in range(0, n_rows, PREDICTION_BATCH):
        # All batches have one size: in the last one the last row is repeated.
        rows = np.arange(start, start + PREDICTION_BATCH).clip(max=n_rows - 1)
        parts.append(keras.ops.convert_to_numpy(model.predict_on_batch(inputs.take(rows))))
    return np.concatenate(parts)[:n_rows]
