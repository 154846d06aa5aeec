"""Fit one model on one fold: scale, train, predict.

Scaling is fitted on the training rows, validation rows stop the training, test rows are seen once,
at the end, by `predict`. The backend is whatever Keras was given.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ser_lib.errors import StudyError
from ser_lib.models import build_keras, build_sklearn, family_of
from ser_lib.models._keras import load_keras
from ser_lib.seeds import seed_everything

__all__ = ["TRAINING_VERSION", "FitResult", "FoldArrays", "TrainingSettings", "fit_fold"]


# Raised whenever training changes in a way that its settings do not show (the optimiser, the
# scaler, the plateau's factor): stored runs then differ.
TRAINING_VERSION = 1

HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


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


@dataclass(frozen=True)
class FoldArrays:
    """Inputs and class numbers of one fold's parts."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray


@dataclass(frozen=True)
class FitResult:
    """What a fit gives."""

    probabilities: np.ndarray
    """Of the test rows, shape (n_test, n_classes); each row sums to 1."""
    history: pd.DataFrame
    """One row an epoch: `epoch, loss, accuracy, val_loss, val_accuracy, learning_rate`."""
    n_parameters: int
    """Trainable weights; 0 where the notion does not apply."""
    duration_s: float


def fit_fold(
    config: object,
    settings: TrainingSettings | None,
    arrays: FoldArrays,
    *,
    n_classes: int,
    is_scaled: bool,
    seed: int,
) -> FitResult:
    """Fit a model and predict the test rows.

    Parameters
    ----------
    config : object
        A config of one of `ser_lib.models.FAMILIES`.
    settings : TrainingSettings or None
        Needed for a network.
    arrays : FoldArrays
        One fold.
    n_classes : int
        Number of classes; class numbers run below it.
    is_scaled : bool
        Whether each feature is brought to mean 0 and standard deviation 1 of the training rows.
    seed : int
        Of weights, shuffling and dropout.

    Returns
    -------
    FitResult
        Probabilities, history, size and time.

    Raises
    ------
    StudyError
        If a network comes without settings.

    Notes
    -----
    Notebook: 04_cnn_1d_mfcc.ipynb
    """
    started = time.perf_counter()
    if is_scaled:
        arrays = _scale(arrays)
    if family_of(config)[1].is_keras:
        if settings is None:
            raise StudyError(f"{type(config).__name__} needs training settings")
        result = _fit_keras(config, settings, arrays, n_classes, seed)
    else:
        result = _fit_sklearn(config, arrays, n_classes, seed)
    return FitResult(*result, duration_s=time.perf_counter() - started)


def _scale(arrays: FoldArrays) -> FoldArrays:
    """Standardise every value on the training rows; shapes stay as they are."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(_as_rows(arrays.x_train))

    def scaled(part: np.ndarray) -> np.ndarray:
        return scaler.transform(_as_rows(part)).astype(np.float32).reshape(part.shape)

    return replace(
        arrays,
        x_train=scaled(arrays.x_train),
        x_validation=scaled(arrays.x_validation),
        x_test=scaled(arrays.x_test),
    )


def _as_rows(part: np.ndarray) -> np.ndarray:
    # (n_rows, ...) -> (n_rows, n_values)
    return part.reshape(len(part), -1)


def _fit_keras(
    config: object, settings: TrainingSettings, arrays: FoldArrays, n_classes: int, seed: int
) -> tuple[np.ndarray, pd.DataFrame, int]:
    keras = load_keras()
    # A notebook trains dozens of networks; without this their graphs pile up.
    keras.utils.clear_session()
    seed_everything(seed)
    model = build_keras(config, arrays.x_train.shape[1:], n_classes)
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    fitted = model.fit(
        arrays.x_train,
        arrays.y_train,
        validation_data=(arrays.x_validation, arrays.y_validation),
        batch_size=settings.batch_size,
        epochs=settings.max_epochs,
        callbacks=_callbacks(settings),
        verbose=0,
    )
    history = pd.DataFrame({"learning_rate": settings.learning_rate} | fitted.history)
    history["epoch"] = np.arange(1, len(history) + 1)
    probabilities = model.predict(arrays.x_test, batch_size=settings.batch_size, verbose=0)
    return probabilities, history[list(HISTORY_COLUMNS)], model.count_params()


def _callbacks(settings: TrainingSettings) -> list:
    callbacks = load_keras().callbacks
    chosen = []
    if settings.plateau_patience is not None:
        chosen.append(
            callbacks.ReduceLROnPlateau(
                patience=settings.plateau_patience, factor=0.5, min_lr=settings.min_learning_rate
            )
        )
    if settings.stop_patience is not None:
        chosen.append(
            callbacks.EarlyStopping(patience=settings.stop_patience, restore_best_weights=True)
        )
    return chosen


def _fit_sklearn(
    config: object, arrays: FoldArrays, n_classes: int, seed: int
) -> tuple[np.ndarray, pd.DataFrame, int]:
    model = build_sklearn(config, seed=seed)
    x_train, x_validation = _as_rows(arrays.x_train), _as_rows(arrays.x_validation)
    model.fit(x_train, arrays.y_train)
    history = pd.DataFrame(
        {
            "epoch": [0],
            "loss": [np.nan],
            "accuracy": [model.score(x_train, arrays.y_train)],
            "val_loss": [np.nan],
            "val_accuracy": [model.score(x_validation, arrays.y_validation)],
            "learning_rate": [np.nan],
        }
    )
    return _probabilities(model, _as_rows(arrays.x_test), n_classes), history, 0


def _probabilities(model: object, x_test: np.ndarray, n_classes: int) -> np.ndarray:
    """Return class probabilities in the order of class numbers, whatever the model offers."""
    from scipy.special import softmax

    if hasattr(model, "predict_proba"):
        raw = model.predict_proba(x_test)
    else:
        margins = model.decision_function(x_test)
        # Of two classes scikit-learn gives the margin of the second only.
        margins = np.column_stack([-margins, margins]) if margins.ndim == 1 else margins
        raw = softmax(margins, axis=1)
    full = np.zeros((len(x_test), n_classes))
    full[:, model.classes_] = raw
    return full
