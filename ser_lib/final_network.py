"""The network of a bundle: trained on all speakers, and exported.

There is nobody left out who could stop the training, so it lasts as many epochs as were best in the
folds of speakers never heard: their median. What is exported must say what Keras says.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser_lib.domain import Domain
from ser_lib.epochs import predict_rows
from ser_lib.errors import BundleError
from ser_lib.extraction import extract
from ser_lib.features import FeatureSpec
from ser_lib.models import build_keras
from ser_lib.models._keras import load_keras
from ser_lib.predict import open_graph
from ser_lib.rows import Rows
from ser_lib.runs import RunPlan
from ser_lib.splits import rows_of, variants_of
from ser_lib.store import Run
from ser_lib.training import FoldArrays, fit_network
from ser_lib.training_settings import TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras

__all__ = ["Parts", "fit_final_network", "kept_epochs"]

logger = logging.getLogger(__name__)

# Keras and onnxruntime add up in another order: float32 leaves differences of this size.
MAX_EXPORT_ERROR = 1e-5


@dataclass(frozen=True)
class Parts:
    """What a fitted model adds to a bundle."""

    kind: str
    input_shape: tuple[int, ...]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    graph: bytes = b""
    keras_file: bytes = b""
    encoder: Mapping[str, str] = field(default_factory=dict)
    speaker: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    """For the model card."""
    features: FeatureSpec | None = None
    """What of the study's features is used; None: all."""
    domain: Domain | None = None
    """The training clips as a head hears them; None: as the features have them."""


def fit_final_network(plan: RunPlan, run: Run, clips: pd.DataFrame) -> Parts:
    """Train the network of a run once more, on all speakers.

    Parameters
    ----------
    plan : RunPlan
        Of the run: study, model, seed.
    run : Run
        On folds of speakers never heard; says after how many epochs to stop.
    clips : pandas.DataFrame
        Clip table, with audio.

    Returns
    -------
    Parts

    Raises
    ------
    BundleError
        If the exported network does not say what Keras says.
    """
    arrays, classes, scaling = _all_rows(plan, clips)
    settings = _final_settings(plan, run)
    logger.info(
        "fitting %s %s on all speakers, %d epochs",
        plan.study.name,
        plan.model.name,
        settings.max_epochs,
    )
    originals = _originals(arrays)
    fold = FoldArrays(arrays, classes, originals, classes[arrays.source == 0], originals)
    network, _ = fit_network(
        plan.model.config, settings, fold, n_classes=len(plan.labels), seed=plan.seed
    )
    plain = _uncompiled(network, plan.model.config, arrays.shape[1:], len(plan.labels))
    graph = _as_onnx(plain)
    _check_export(plain, graph, originals)
    return Parts(
        kind="network",
        input_shape=arrays.shape[1:],
        arrays=scaling,
        graph=graph,
        keras_file=_as_keras_file(plain),
        facts={"n_epochs": settings.max_epochs, "n_weights": plain.count_params()},
    )


def kept_epochs(run: Run, settings: TrainingSettings) -> list[int]:
    """Tell after which epoch each fold's weights were kept.

    Parameters
    ----------
    run : Run
        With its history.
    settings : TrainingSettings
        How it was trained.

    Returns
    -------
    list of int
        One a fold, counted from 1.
    """
    kept = []
    for _, history in run.history.groupby("fold"):
        if settings.keep:
            row = history[settings.keep].argmax()
        elif settings.stop_patience is not None:
            column = history[settings.stop_on]
            row = column.argmin() if settings.stop_on == "val_loss" else column.argmax()
        else:
            row = len(history) - 1
        kept.append(int(history["epoch"].iloc[row]))
    return kept


def _final_settings(plan: RunPlan, run: Run) -> TrainingSettings:
    """Train for the median of the folds' best epochs; nobody is left out who could stop it."""
    n_epochs = max(1, round(float(np.median(kept_epochs(run, plan.training)))))
    # What stands for validation rows here are training rows.
    return replace(
        plan.training,
        max_epochs=n_epochs,
        stop_patience=None,
        keep="",
        plateau_patience=None,
        fits_validation=False,
    )


def _all_rows(plan: RunPlan, clips: pd.DataFrame) -> tuple[Rows, np.ndarray, dict[str, np.ndarray]]:
    """Gather all clips of the task with their variants, their classes, and the scaling."""
    study = plan.study
    names = variants_of(1, study.augmentations)
    sources = tuple(extract(clips, plan.model.features, variant=name) for name in names)
    rows = rows_of(clips, study.labels_for(plan.corpus), names)
    position = pd.Series(range(len(clips)), index=clips["clip_id"])
    classes = rows["label"].map(plan.labels.index).to_numpy()
    source, where = rows["variant"].map(names.index), position[rows["clip_id"]]
    gathered = Rows(sources, source.to_numpy(), where.to_numpy())
    if not plan.model.is_scaled:
        return gathered, classes, {}
    values = gathered.gather().astype(np.float64)
    spread = values.std(axis=0)
    scaling = {"input_mean": values.mean(axis=0), "input_scale": np.where(spread > 0, spread, 1.0)}
    scaled = tuple(
        ((one - scaling["input_mean"]) / scaling["input_scale"]).astype(np.float32)
        for one in sources
    )
    return replace(gathered, sources=scaled), classes, scaling


def _originals(rows: Rows) -> Rows:
    is_original = rows.source == 0
    return Rows(rows.sources, rows.source[is_original], rows.position[is_original])


def _uncompiled(
    network: keras.Model, config: object, input_shape: tuple[int, ...], n_classes: int
) -> keras.Model:
    """Copy a network without its optimiser, which is two thirds of the file."""
    plain = build_keras(config, input_shape, n_classes)
    plain.set_weights(network.get_weights())
    # Keras exports what was called once.
    plain(np.zeros((1, *input_shape), np.float32))
    return plain


def _as_onnx(network: keras.Model) -> bytes:
    with tempfile.TemporaryDirectory(prefix="ser-export-") as folder:
        target = Path(folder) / "model.onnx"
        with warnings.catch_warnings():
            # tf2onnx 1.16 asks NumPy for names that it will no longer know.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            network.export(target, format="onnx", verbose=False)
        return target.read_bytes()


def _as_keras_file(network: keras.Model) -> bytes:
    with tempfile.TemporaryDirectory(prefix="ser-export-") as folder:
        target = Path(folder) / "model.keras"
        load_keras().saving.save_model(network, target)
        return target.read_bytes()


def _check_export(network: keras.Model, graph: bytes, rows: Rows) -> None:
    """Raise where the exported network does not give what Keras gives, on real rows."""
    chosen = Rows(rows.sources, rows.source[:64], rows.position[:64])
    session = open_graph(graph)
    values = chosen.gather().astype(np.float32)
    exported = session.run(None, {session.get_inputs()[0].name: values})[0]
    error = float(np.abs(exported - predict_rows(network, chosen)).max())
    if not error <= MAX_EXPORT_ERROR:
        raise BundleError(f"the exported network differs from Keras's by {error:.2g}")
