"""From a study to a bundle: fit on all speakers, calibrate on speakers left out, write it down.

How good the bundle is, its temperature and its 'not sure' threshold come from the study's run on
folds of speakers never heard, which is loaded from the store or trained first. The network that is
shipped is then trained once more, on everybody, for as many epochs as were best in those folds.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from ser_lib.audio import load_signal
from ser_lib.bundles import Bundle, write_bundle
from ser_lib.calibration import (
    apply_temperature,
    calibration_error,
    cross_fitted,
    fit_temperature,
    select_threshold,
)
from ser_lib.cards import card_text
from ser_lib.corpora import get_corpus
from ser_lib.domain import Domain, fit_domain
from ser_lib.epochs import Rows, TrainingSettings, predict_rows
from ser_lib.errors import BundleError
from ser_lib.extraction import extract
from ser_lib.metrics import class_table
from ser_lib.models import build_keras, family_of
from ser_lib.models._keras import load_keras
from ser_lib.predict import Predictor, with_probe
from ser_lib.runs import RunPlan, plan_run, run_or_load, score_runs
from ser_lib.splits import rows_of, variants_of
from ser_lib.store import Run, provenance
from ser_lib.studies import Study
from ser_lib.training import FoldArrays, fit_network
from ser_lib.voice import RATE_HZ, inspect_voice

if TYPE_CHECKING:
    import keras

__all__ = ["fit_bundle", "judge_run", "kept_epochs"]

logger = logging.getLogger(__name__)

# Keras and onnxruntime add up in another order: float32 leaves differences of this size.
MAX_EXPORT_ERROR = 1e-5


def fit_bundle(
    study: Study,
    clips: pd.DataFrame,
    folder: str | Path,
    *,
    model: str = "",
    protocol: str = "honest",
    name: str = "",
) -> Path:
    """Fit one model of a study on all speakers of a corpus, and write it as a bundle.

    Parameters
    ----------
    study : Study
        Whose model, with its first seed.
    clips : pandas.DataFrame
        Clip table, with audio.
    folder : str or Path
        Where to write; new, empty, or a bundle to replace.
    model : str
        One of the study's models; the first where nothing is named.
    protocol : str
        Folds on which the bundle's figures, temperature and threshold are found.
    name : str
        Of the bundle; else the folder's.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        If the model is neither a network nor linear, or if its folds share speakers.
    """
    spec = study.model(model or study.models[0].name)
    if not family_of(spec.config)[1].is_keras:
        raise BundleError(f"{study.name} {spec.name} is no network: no bundle can hold it yet")
    corpus = str(clips["corpus"].iloc[0])
    plan = plan_run(study, spec.name, study.protocol(protocol, corpus), study.seeds[0], clips)
    if plan.leaks:
        raise BundleError(
            f"the protocol '{plan.protocol.name}' tests on what was trained on "
            f"({', '.join(plan.leaks)}): what a bundle says of itself must come from speakers "
            "never heard; choose another with --protocol"
        )
    run = run_or_load(plan, clips)
    judged = judge_run(run, clips)
    arrays, classes, scaling = _all_rows(plan, clips)
    settings = _final_settings(plan, run)
    logger.info("fitting %s %s on all speakers, %d epochs", study.name, spec.name,
                settings.max_epochs)  # fmt: skip
    fold = FoldArrays(arrays, classes, _originals(arrays), classes[arrays.source == 0], arrays)
    network, _ = fit_network(
        spec.config, settings, fold, n_classes=len(plan.labels), seed=plan.seed
    )
    domain = _domain_of(clips)
    bundle = Bundle(
        name=name or Path(folder).name,
        title=f"{spec.title} ({study.name}), trained on {get_corpus(corpus).title}",
        kind="network",
        labels=plan.labels,
        features=spec.features,
        input_shape=arrays.shape[1:],
        temperature=judged["temperature"],
        threshold=judged["selection"]["threshold"],
        domain_limit=domain.limit,
        arrays={"domain_mean": domain.mean, "domain_precision": domain.precision} | scaling,
        card=judged | _facts(plan, run, clips, settings),
    )
    plain = _uncompiled(network, spec.config, bundle)
    bundle = replace(bundle, graph=_as_onnx(plain))
    _check_export(plain, bundle, _originals(arrays))
    bundle = with_probe(bundle)
    return write_bundle(bundle, folder, card=card_text(bundle), keras_file=_as_keras_file(plain))


def judge_run(run: Run, clips: pd.DataFrame) -> dict[str, object]:
    """Score a run on speakers never heard, and find temperature and threshold on it.

    Parameters
    ----------
    run : Run
        Its test rows are of speakers that its models did not know.
    clips : pandas.DataFrame
        Clip table.

    Returns
    -------
    dict
        Plain data: `temperature`, `calibration_error` (before, after; the latter cross-fitted by
        fold), `selection`, `score`, `recalls`.

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    labels = list(run.labels)
    table = run.predictions
    probabilities = table[[f"p_{label}" for label in labels]].to_numpy(dtype=float)
    classes = table["truth"].map(labels.index).to_numpy()
    temperature = fit_temperature(probabilities, classes)
    fair = cross_fitted(probabilities, classes, table["fold"].to_numpy())
    score = score_runs([run], clips)
    recalls = class_table(table["truth"], table["prediction"], labels)["recall"]
    selection = select_threshold(apply_temperature(probabilities, temperature), classes)
    return {
        "temperature": round(temperature, 4),
        "calibration_error": {
            "before": round(calibration_error(probabilities, classes), 4),
            "after": round(calibration_error(fair, classes), 4),
        },
        "selection": {key: round(value, 4) for key, value in vars(selection).items()},
        "score": {key: round(value, 4) for key, value in vars(score).items()},
        "recalls": {label: round(float(recalls[label]), 4) for label in labels},
    }


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
    return replace(
        plan.training, max_epochs=n_epochs, stop_patience=None, keep="", plateau_patience=None
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


def _domain_of(clips: pd.DataFrame) -> Domain:
    """Describe voices and recordings of all clips in which speech is found."""
    found = Parallel(n_jobs=-1)(delayed(_statistics)(path) for path in clips["path"])
    has_speech = np.array([one is not None for one in found])
    rows = np.array([one for one in found if one is not None])
    return fit_domain(rows, clips["speaker"].to_numpy()[has_speech])


def _statistics(path: str) -> np.ndarray | None:
    signal, _ = load_signal(path, sample_rate_hz=RATE_HZ)
    voice = inspect_voice(signal)
    return voice.statistics() if voice.has_speech else None


def _uncompiled(network: keras.Model, config: object, bundle: Bundle) -> keras.Model:
    """Copy a network without its optimiser, which is two thirds of the file."""
    plain = build_keras(config, bundle.input_shape, len(bundle.labels))
    plain.set_weights(network.get_weights())
    # Keras exports what was called once.
    plain(np.zeros((1, *bundle.input_shape), np.float32))
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


def _check_export(network: keras.Model, bundle: Bundle, rows: Rows) -> None:
    """Raise where the exported network does not give what Keras gives, on real rows."""
    chosen = Rows(rows.sources, rows.source[:64], rows.position[:64])
    expected = predict_rows(network, chosen)
    # Rows are scaled already.
    plain = replace(bundle, probe=(), arrays={}, domain_limit=0.0)
    predictor = Predictor(plain)
    exported = np.array([predictor.raw_probabilities(row) for row in chosen.gather()])
    error = float(np.abs(exported - expected).max())
    if not error <= MAX_EXPORT_ERROR:
        raise BundleError(f"the exported network differs from Keras's by {error:.2g}")


def _facts(
    plan: RunPlan, run: Run, clips: pd.DataFrame, settings: TrainingSettings
) -> dict[str, object]:
    corpus = get_corpus(plan.corpus)
    parts: Sequence[object] = getattr(corpus, "members", (corpus,))
    rows = rows_of(clips, plan.study.labels_for(plan.corpus))
    return {
        "study": plan.study.name,
        "model": plan.model.name,
        "source": plan.study.source,
        "corpus": plan.corpus,
        "corpora": [
            {"title": one.title, "licence": one.licence, "citation": one.citation} for one in parts
        ],
        "is_embedded": bool(getattr(corpus, "is_embedded", False)),
        "n_clips": len(rows),
        "n_speakers": int(rows["speaker"].nunique()),
        "n_epochs": settings.max_epochs,
        "seed": plan.seed,
        "protocol": plan.protocol.name,
        "run": run.folder.name,
        "made_with": provenance(),
    }
