"""One model on one fold: gather its arrays, scale them, train, and predict the test rows.

Nothing of the test rows is used before the prediction. Networks are compiled once for all folds of
a model, and start each fold with fresh weights.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ser_lib.data.corpus import corpora_of
from ser_lib.data.enrolment import NORMALISATIONS, known_clips
from ser_lib.data.splits import Fold
from ser_lib.errors import StudyError
from ser_lib.evaluation.probabilities import softmax
from ser_lib.features.extraction import Rows
from ser_lib.models import build_keras, build_sklearn, family_of
from ser_lib.models.layers import load_keras
from ser_lib.models.ridge_head import choice_history
from ser_lib.seeds import seed_everything
from ser_lib.shown import short
from ser_lib.training.checkpoint import Checkpoint, state_of
from ser_lib.training.loop import compile_network, predict_rows, train_network
from ser_lib.training.settings import TrainingSettings
from ser_lib.training.speaker_normalisation import normalise

if TYPE_CHECKING:
    import keras

# Raised whenever training changes in a way that its settings do not show (the optimiser, the
# scaler, the plateau's factor), so that stored runs are not taken for those of the new code.
TRAINING_VERSION = 2

# Versions whose stored runs are still valid for this code. 1: `model.fit` shuffled the rows, and
# the last batch of an epoch was smaller; since 2 `train_network` shuffles, and fills it up.
STILL_VALID_VERSIONS = (1,)


@dataclass(frozen=True)
class FoldArrays:
    """Inputs and class numbers of one fold; inputs are arrays, or `Rows` gathered when needed."""

    x_train: np.ndarray | Rows
    y_train: np.ndarray
    x_validation: np.ndarray | Rows
    y_validation: np.ndarray
    x_test: np.ndarray | Rows
    speakers_train: np.ndarray | None = None
    """Speaker of each training row; needed by models that choose settings on inner folds."""
    speakers_validation: np.ndarray | None = None
    test_views: tuple[Rows, ...] = ()
    """Other variants of the test rows; a network's predictions are averaged over them."""


@short
@dataclass(frozen=True)
class FitResult:
    """Predictions, history, size and time of one fit."""

    probabilities: np.ndarray
    """Of the test rows, shape (n_test, n_classes); each row sums to 1."""
    history: pd.DataFrame
    """One row an epoch: `epoch, loss, accuracy, val_loss, val_accuracy, learning_rate`."""
    n_parameters: int
    """All weights of a network or a head; 0 for other classifiers."""
    duration_s: float


def gather_fold(
    fold: Fold,
    table: pd.DataFrame,
    classes: pd.Series,
    arrays: Mapping[str, np.ndarray],
    positions: pd.Series,
    test_views: Sequence[str] = (),
) -> FoldArrays:
    """Locate each row of a fold in the arrays of all clips; nothing is copied.

    Parameters
    ----------
    fold : Fold
        Row ids.
    table : pandas.DataFrame
        Rows of `ser_lib.data.splits.rows_of`, by row id.
    classes : pandas.Series
        Class numbers, by row id.
    arrays : mapping of str to ndarray
        A feature of all clips, by variant.
    positions : pandas.Series
        Position of each clip in the arrays, by its id.
    test_views : sequence of str
        Variants of the test clips over which predictions are averaged.

    Returns
    -------
    FoldArrays
    """
    names = list(arrays)

    def gather(row_ids: Sequence[str]) -> Rows:
        part = table.loc[list(row_ids)]
        sources = part["variant"].where(~part["variant"].str.startswith("copy"), "original")
        return Rows(
            tuple(arrays.values()),
            sources.map(names.index).to_numpy(),
            positions[part["clip_id"]].to_numpy(),
        )

    train, validation = list(fold.train), list(fold.validation)
    return FoldArrays(
        gather(train),
        classes[train].to_numpy(),
        gather(validation),
        classes[validation].to_numpy(),
        gather(fold.test),
        table.loc[train, "speaker"].to_numpy(),
        table.loc[validation, "speaker"].to_numpy(),
        tuple(gather([f"{row}#{view}" for row in fold.test]) for view in test_views),
    )


def normalise_fold(
    array: np.ndarray, name: str, rows: pd.DataFrame, fold: Fold, positions: pd.Series
) -> np.ndarray:
    """Normalise a feature of all clips by speaker or room (`NORMALISATIONS[name]`), for one fold.

    `rows` is from `rows_of`; `positions` has the place of each clip in the array, by its id. Clips
    without a row are 0 in the result.
    """
    rule = NORMALISATIONS[name]
    clips = rows.drop_duplicates("clip_id").reset_index(drop=True)
    is_test = clips["clip_id"].isin({one.split("#")[0] for one in fold.test})
    group = corpora_of(clips) if rule.is_room else clips["speaker"]
    where = positions[clips["clip_id"]].to_numpy()
    training_speakers = set(group) - set(group[is_test])
    is_known, is_eligible = known_clips(clips, rule, training_speakers)
    result = np.zeros(array.shape, dtype=np.float32)
    about = (one.to_numpy() for one in (group, is_known, is_eligible))
    result[where] = normalise(
        array[where], *about, normalisation=rule, training_speakers=training_speakers
    )
    return result


def fit_fold(
    config: object,
    settings: TrainingSettings | None,
    arrays: FoldArrays,
    *,
    n_classes: int,
    is_scaled: bool,
    seed: int,
    checkpoint: Checkpoint | None = None,
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
        Whether each value is brought to mean 0 and standard deviation 1 of the training rows.
    seed : int
        Of weights, shuffling and dropout.
    checkpoint : Checkpoint, optional
        Of a network, see `train_network`.

    Returns
    -------
    FitResult
        Probabilities, history, size and time, with that of earlier processes.

    Raises
    ------
    StudyError
        If a network comes without settings, or a model with inner folds without speakers.
    """
    started = time.perf_counter()
    if is_scaled:
        arrays = _scale(arrays)
    if family_of(config)[1].is_keras:
        if settings is None:
            raise StudyError(f"{type(config).__name__} needs training settings")
        result = _fit_keras(config, settings, arrays, n_classes, seed, checkpoint)
    elif family_of(config)[1].is_nested:
        result = _fit_nested(config, arrays, n_classes, seed)
    else:
        result = _fit_sklearn(config, arrays, n_classes, seed)
    earlier_s = checkpoint.earlier_s if checkpoint else 0.0
    return FitResult(*result, duration_s=time.perf_counter() - started + earlier_s)


def scaling_of(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (1 where it is 0) of each value, of the shape of a row.

    Few rows at a time are gathered.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for part in rows.parts():
        scaler.partial_fit(_as_rows(part))
    return scaler.mean_.reshape(rows.shape[1:]), scaler.scale_.reshape(rows.shape[1:])


def _scale(arrays: FoldArrays) -> FoldArrays:
    """Standardise every value on the training rows, whenever rows are gathered."""
    train = Rows.of(arrays.x_train)
    dtype = np.float32 if train.sources[0].dtype == np.float32 else np.float64
    centre, spread = scaling_of(train)
    scaling = centre.astype(dtype), spread.astype(dtype)

    def scaled(part: np.ndarray | Rows) -> Rows:
        return replace(Rows.of(part), scaling=scaling)

    parts = ("x_train", "x_validation", "x_test")
    values: dict[str, Any] = {name: scaled(getattr(arrays, name)) for name in parts}
    return replace(arrays, **values, test_views=tuple(map(scaled, arrays.test_views)))


def _fit_keras(
    config: object,
    settings: TrainingSettings,
    arrays: FoldArrays,
    n_classes: int,
    seed: int,
    checkpoint: Checkpoint | None,
) -> tuple[np.ndarray, pd.DataFrame, int]:
    model, history = fit_network(
        config, settings, arrays, n_classes=n_classes, seed=seed, checkpoint=checkpoint
    )
    views = (Rows.of(arrays.x_test), *arrays.test_views)
    probabilities = np.mean([predict_rows(model, view) for view in views], axis=0)
    return probabilities, history, model.count_params()


def fit_network(
    config: object,
    settings: TrainingSettings,
    arrays: FoldArrays,
    *,
    n_classes: int,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> tuple[keras.Model, pd.DataFrame]:
    """Train a network and return it with its history; the test rows are not used.

    Parameters
    ----------
    config : object
        Of a family of networks.
    settings : TrainingSettings
        How it is trained.
    arrays : FoldArrays
        Inputs as the network gets them.
    n_classes : int
        Number of classes.
    seed : int
        Of weights, shuffling and dropout.
    checkpoint : Checkpoint, optional
        See `train_network`.

    Returns
    -------
    model : keras.Model
        The next call trains this same object again: use or copy it before.
    history : pandas.DataFrame
        As `FitResult.history`.
    """
    train, validation = Rows.of(arrays.x_train), Rows.of(arrays.x_validation)
    classes = arrays.y_train
    if settings.fits_validation:
        train, classes = train.joined(validation), np.concatenate([classes, arrays.y_validation])
    model = _fresh_network(config, settings, train.shape[1:], n_classes, seed)
    start = family_of(config)[1].start
    if start:
        start(model, config, train, classes)
    parts = (train, classes), (validation, arrays.y_validation)
    options: dict[str, Any] = {"n_classes": n_classes, "seed": seed, "checkpoint": checkpoint}
    return model, train_network(model, settings, *parts, **options)


def _fresh_network(
    config: object,
    settings: TrainingSettings,
    input_shape: tuple[int, ...],
    n_classes: int,
    seed: int,
) -> keras.Model:
    """Return the compiled network with the first weights of a seed, as if newly built."""
    model = _compiled(config, settings, input_shape, n_classes)
    seed_everything(seed)
    fresh = build_keras(config, input_shape, n_classes)
    for old, new in zip(state_of(model), state_of(fresh), strict=True):
        old.assign(new)
    for variable in model.optimizer.variables:
        variable.assign(np.zeros(variable.shape))
    model.optimizer.learning_rate = settings.learning_rate
    return model


@lru_cache(maxsize=1)
def _compiled(
    config: object, settings: TrainingSettings, input_shape: tuple[int, ...], n_classes: int
) -> keras.Model:
    """Build and compile a network once for all folds: compiling takes as long as many epochs."""
    # Without this the graphs of all networks of a process stay in memory.
    load_keras().utils.clear_session()
    with computing_in(settings.precision):
        model = build_keras(config, input_shape, n_classes)
    compile_network(model, settings)
    return model


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Set Keras's precision for the layers that are built within, and restore it afterwards."""
    policies = load_keras().config
    before = policies.dtype_policy()
    policies.set_dtype_policy(precision)
    try:
        yield
    finally:
        policies.set_dtype_policy(before)


def _fit_sklearn(
    config: object, arrays: FoldArrays, n_classes: int, seed: int
) -> tuple[np.ndarray, pd.DataFrame, int]:
    model = build_sklearn(config, seed=seed)
    x_train, x_validation = _as_rows(arrays.x_train), _as_rows(arrays.x_validation)
    model.fit(x_train, arrays.y_train)
    accuracy = [model.score(x_train, arrays.y_train)]
    val_accuracy = [model.score(x_validation, arrays.y_validation)]
    history = choice_history(val_accuracy, {"accuracy": accuracy})
    return _probabilities(model, _as_rows(arrays.x_test), n_classes), history, 0


def _probabilities(model: Any, x_test: np.ndarray, n_classes: int) -> np.ndarray:
    """Return class probabilities, or the softmax of margins, in the order of class numbers."""
    if hasattr(model, "predict_proba"):
        raw = model.predict_proba(x_test)
    else:
        margins = model.decision_function(x_test)
        # Of two classes scikit-learn gives the margin of the second only.
        margins = np.column_stack([-margins, margins]) if margins.ndim == 1 else margins
        raw = softmax(margins)
    full = np.zeros((len(x_test), n_classes))
    full[:, model.classes_] = raw
    return full


def _fit_nested(
    config: object, arrays: FoldArrays, n_classes: int, seed: int
) -> tuple[np.ndarray, pd.DataFrame, int]:
    """Fit a model that chooses its settings on inner folds of training and validation speakers."""
    if arrays.speakers_train is None or arrays.speakers_validation is None:
        raise StudyError(f"{type(config).__name__} needs the speaker of each training row")
    head = build_sklearn(config, seed=seed).fit(
        np.concatenate([_as_array(arrays.x_train), _as_array(arrays.x_validation)]),
        np.concatenate([arrays.y_train, arrays.y_validation]),
        np.concatenate([arrays.speakers_train, arrays.speakers_validation]),
        n_classes=n_classes,
    )
    return head.predict_proba(_as_array(arrays.x_test)), head.history(), head.n_parameters()


def _as_array(part: np.ndarray | Rows) -> np.ndarray:
    return part.gather() if isinstance(part, Rows) else part


def _as_rows(part: np.ndarray | Rows) -> np.ndarray:
    # (n_rows, ...) -> (n_rows, n_values)
    return _as_array(part).reshape(len(part), -1)
