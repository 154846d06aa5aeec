"""The model of a bundle, fitted again on all speakers; its calibration on held-out speakers.

A network is trained once more and exported to ONNX. A linear head chooses and averages layers;
written out it is one matrix on the encoder's features. A second head is fitted on features from
which each speaker's own level was taken, as three neutral clips give it: what `Predictor.enrolled`
does for a new voice. Temperature and 'not sure' threshold come from the study's run on folds.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from ser_lib.data.corpus import corpora_of
from ser_lib.data.enrolment import (
    ENROLMENT,
    NORMALISATIONS,
    ROOM,
    UNLABELLED,
    VOICE,
    enrolled,
)
from ser_lib.data.splits import BY_CORPUS, is_drawn_evenly, rows_of, variants_of
from ser_lib.errors import BundleError
from ser_lib.evaluation.calibration import cross_fitted, ece, fit_temperature, with_temperature
from ser_lib.evaluation.metrics import class_table, score_predictions, with_clip_columns
from ser_lib.evaluation.probabilities import softmax
from ser_lib.evaluation.selective import (
    Selection,
    answer_limit,
    answer_sets,
    select_threshold,
)
from ser_lib.features.extraction import Rows, extract
from ser_lib.features.registry import FEATURES, FeatureSpec
from ser_lib.features.speaker_level import safe_spread, variance_between, variance_within
from ser_lib.inference.bundle import SCALING
from ser_lib.inference.out_of_domain import Domain, fit_domain, over_time
from ser_lib.inference.predictor import open_graph, told_nats
from ser_lib.models import build_keras, build_sklearn
from ser_lib.models.corpus_head import CorpusHead
from ser_lib.models.layers import load_keras
from ser_lib.models.ridge_head import RidgeHeadConfig
from ser_lib.runs.results import kept_epochs
from ser_lib.runs.runner import RunPlan, checkpoints_dir, plan_run, run_or_load, score_runs
from ser_lib.runs.store import Run
from ser_lib.seeds import generator
from ser_lib.studies.study import ModelSpec
from ser_lib.training.checkpoint import Checkpoint
from ser_lib.training.fit import FoldArrays, fit_network, scaling_of
from ser_lib.training.loop import predict_rows
from ser_lib.training.settings import TrainingSettings
from ser_lib.training.speaker_normalisation import emotion_offsets, normalise

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)

# Keras and onnxruntime add up in another order: float32 leaves differences of this size.
MAX_EXPORT_ERROR = 1e-5
MAX_FLAT_ERROR = 1e-4

# How a voice or a room may be known: the prefix in `Bundle.speaker`, the card's key, and by what.
WAYS = (
    ("", "known_voice", ENROLMENT),
    ("mixed_", "mixed_known_voice", UNLABELLED),
    ("mixed_", "mixed_known_voice", VOICE),
    ("room_", "known_room", ROOM),
)


@dataclass(frozen=True)
class FittedParts:
    """What a fitted model adds to a bundle."""

    kind: str
    input_shape: tuple[int, ...]
    features: FeatureSpec
    """What of the study's features is used."""
    domain: Domain
    """The training clips as `Bundle.domain_values` summarises them."""
    arrays: Mapping[str, np.ndarray]
    graph: bytes = b""
    keras_file: bytes = b""
    encoder: Mapping[str, str] = field(default_factory=dict)
    speaker: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For the model card."""
    left_out: pd.DataFrame | None = None
    """Of a head for strangers: predictions of training clips, each by a head without its corpus."""


def fit_final_network(plan: RunPlan, run: Run, clips: pd.DataFrame) -> FittedParts:
    """Train the network of a run once more, on all speakers, and export it.

    BundleError where the exported network does not predict what Keras predicts.
    """
    arrays, classes, scaling = _all_rows(plan, clips)
    settings = _final_settings(plan, run)
    names = (plan.study.name, plan.model.name)
    logger.info("fitting %s %s on all speakers, %d epochs", *names, settings.max_epochs)
    is_original = arrays.source == 0
    originals = arrays.select(is_original)
    fold = FoldArrays(arrays, classes, originals, classes[is_original], originals)
    kept = Checkpoint(checkpoints_dir(run.folder) / "all-speakers.npz")
    options: dict[str, Any] = {"n_classes": len(plan.labels), "seed": plan.seed}
    network, _ = fit_network(plan.model.config, settings, fold, **options, checkpoint=kept)
    kept.remove()
    # Without the optimiser, which is two thirds of the file.
    plain = build_keras(plan.model.config, arrays.shape[1:], len(plan.labels))
    plain.set_weights(network.get_weights())
    # Keras exports what was called once.
    plain(np.zeros((1, *arrays.shape[1:]), np.float32))
    graph, keras_file = _saved(plain)
    _check_export(plain, graph, originals)
    axes = FEATURES[plan.model.features.name].time_axes
    rows = [over_time(row.astype(np.float64), axes) for row in extract(clips, plan.model.features)]
    return FittedParts(
        kind="network",
        input_shape=arrays.shape[1:],
        features=plan.model.features,
        domain=fit_domain(np.stack(rows), clips["speaker"].to_numpy()),
        arrays=scaling,
        graph=graph,
        keras_file=keras_file,
        facts={"n_epochs": settings.max_epochs, "n_weights": plain.count_params()},
    )


def _final_settings(plan: RunPlan, run: Run) -> TrainingSettings:
    """Train for the median of the folds' best epochs; nobody is left out who could stop it."""
    settings = cast(TrainingSettings, plan.training)
    n_epochs = max(1, round(kept_epochs(run.history, settings)["epoch"].median()))
    # What stands for validation rows here are training rows.
    return replace(
        settings,
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
    scaling = scaling_of(gathered)
    return replace(gathered, scaling=scaling), classes, dict(zip(SCALING, scaling, strict=True))


def _saved(network: keras.Model) -> tuple[bytes, bytes]:
    """Return a network as ONNX, and as Keras saves it."""
    with tempfile.TemporaryDirectory(prefix="ser-export-") as folder:
        graph, keras_file = Path(folder, "model.onnx"), Path(folder, "model.keras")
        with warnings.catch_warnings():
            # tf2onnx 1.16 asks NumPy for names that it will no longer know.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            network.export(graph, format="onnx", verbose=False)
        load_keras().saving.save_model(network, keras_file)
        return graph.read_bytes(), keras_file.read_bytes()


def _check_export(network: keras.Model, graph: bytes, rows: Rows) -> None:
    """Raise where the exported network differs from Keras's, on real rows."""
    chosen = rows.select(slice(64))
    session = open_graph(graph)
    values = chosen.gather().astype(np.float32)
    exported = session.run(None, {session.get_inputs()[0].name: values})[0]
    error = float(np.abs(exported - predict_rows(network, chosen)).max())
    if not error <= MAX_EXPORT_ERROR:
        raise BundleError(f"the exported network differs from Keras's by {error:.2g}")


def summarise_run(
    run: Run, clips: pd.DataFrame, left_out: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Score a run on unseen speakers, and find temperature and threshold.

    Parameters
    ----------
    run : Run
        Its models were not trained on the speakers of their test rows.
    clips : pandas.DataFrame
        Clip table.
    left_out : pandas.DataFrame, optional
        Predictions of a head for strangers (`FittedParts.left_out`), on which temperature and
        threshold are found; else on those of the run.

    Returns
    -------
    dict
        Plain data: `confidence` (mean; cross-fitted by fold), `temperature`, `calibration_error`
        (before, and after, cross-fitted), `selection`, `score`, `recalls`; of a head for strangers
        also `answer_limit` and `left_out`, one row a corpus.
    """
    labels = list(run.labels)
    tested = with_clip_columns(run.predictions, clips)
    table = tested if left_out is None else left_out
    temperature, selection = _calibrated(table, labels, is_by_corpus=left_out is not None)
    fair, _ = cross_fitted(table, labels)
    score = score_runs([run], clips)
    recalls = class_table(tested["truth"], tested["prediction"], labels)["recall"]
    confidence = fair[[f"p_{label}" for label in labels]].max(axis=1)
    return {
        "confidence": round(float(confidence.mean()), 4),
        "temperature": round(temperature, 4),
        "calibration_error": {
            "before": round(ece(table, labels)[0], 4),
            "after": round(ece(fair, labels)[0], 4),
        },
        "selection": {key: round(value, 4) for key, value in vars(selection).items()},
        "score": {
            key: None if pd.isna(value) else round(value, 4) for key, value in vars(score).items()
        },
        "recalls": {label: round(float(recalls[label]), 4) for label in labels},
        **({} if left_out is None else _left_out(left_out, labels, temperature)),
    }


def _left_out(table: pd.DataFrame, labels: Sequence[str], temperature: float) -> dict[str, Any]:
    """Find the limit of answer sets, and what temperature and limit of the others give a corpus."""
    whole = answer_limit(with_temperature(table, labels, temperature), labels, by="fold")
    fair, temperatures = cross_fitted(table, labels)
    rows = []
    for corpus, ours in fair.groupby("fold"):
        others = with_temperature(table[table["fold"] != corpus], labels, temperatures[corpus])
        found = answer_sets(ours, labels, answer_limit(others, labels, by="fold"))
        score = score_predictions([ours], labels)
        sure = float(ours[[f"p_{label}" for label in labels]].max(axis=1).mean())
        found |= {"uar": score.uar, "accuracy_share": score.wa, "confidence": sure}
        found = {name: round(one, 4) for name, one in found.items()}
        rows.append({"corpus": corpus, "n_clips": len(ours)} | found)
    return {"answer_limit": round(whole, 4), "left_out": rows}


def _calibrated(
    predictions: pd.DataFrame, labels: Sequence[str], *, is_by_corpus: bool = False
) -> tuple[float, Selection]:
    """Find temperature and 'not sure' threshold on predictions of unseen speakers.

    What the threshold gives is measured on the clips of each fold with temperature and threshold of
    the others. Where folds are corpora, it is the median of theirs: one in which confidence says
    nothing does not set it; and shares are means over corpora.
    """
    names = [f"p_{label}" for label in labels]

    def select(table: pd.DataFrame) -> Selection:
        truth = table["truth"].map(list(labels).index).to_numpy()
        return select_threshold(table[names].to_numpy(dtype=float), truth)

    def threshold(table: pd.DataFrame) -> float:
        parts = [one for _, one in table.groupby("fold")] if is_by_corpus else [table]
        return float(np.median([select(one).threshold for one in parts]))

    temperature = fit_temperature(predictions, labels)
    whole = with_temperature(predictions, labels, temperature)
    fair, _ = cross_fitted(predictions, labels)
    least = {fold: threshold(fair[fair["fold"] != fold]) for fold in fair["fold"].unique()}
    is_answered = fair[names].max(axis=1) >= fair["fold"].map(least)
    is_right = fair["truth"] == fair["prediction"]
    part = fair["fold"] if is_by_corpus else pd.Series(0, index=fair.index)
    shares = [is_answered, is_right[is_answered], is_right]
    coverage, of_answers, of_all = (one.groupby(part).mean().mean() for one in shares)
    return temperature, Selection(threshold(whole), coverage, of_answers, of_all)


def flat_head(arrays: dict[str, np.ndarray], input_shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Write a head's arrays as one matrix on x of `input_shape`, flat; what is not used weighs 0.

    Logits are `((x - head_mean) / head_scale) @ head_weights + head_bias`. An average over views is
    a sum of their parts: each has the same mean and scale, and its share of the weights.
    """
    views, statistics = arrays["views"], arrays["statistics"]
    n_classes = arrays["weights"].shape[-1]
    mean, scale = np.zeros(input_shape), np.ones(input_shape)
    weights = np.zeros((*input_shape, n_classes))
    sharpness = float(arrays["sharpness"])
    for view in views:
        mean[view][:, statistics] = arrays["mean"]
        scale[view][:, statistics] = arrays["spread"]
        weights[view][:, statistics] += sharpness * arrays["weights"] / len(views)
    return {
        "head_mean": mean.ravel().astype(np.float32),
        "head_scale": scale.ravel().astype(np.float32),
        "head_weights": weights.reshape(-1, n_classes).astype(np.float32),
        "head_bias": (sharpness * arrays["bias"]).astype(np.float32),
    }


def fit_final_head(plan: RunPlan, run: Run, clips: pd.DataFrame) -> FittedParts:
    """Fit the head of a run once more, on all speakers, for new and for known voices.

    A head for strangers is fitted on as many clips of each corpus as in its run. Known voices and
    rooms get one where the study has protocols with `WAYS`: of the model `<name>_known`, if there
    is one. BundleError where a head written as one matrix predicts something else than the head.
    """
    table = rows_of(clips, plan.study.labels_for(plan.corpus))
    # By corpus, as each has its features in the cache.
    tables = [one for _, one in clips.groupby("corpus", sort=False)]
    ids = pd.concat([one["clip_id"] for one in tables])
    where = pd.Series(range(len(clips)), index=ids)[table["clip_id"]].to_numpy()
    # The features with the speeds that the head uses only.
    spec, views = plan.model.features, list(getattr(plan.model.config, "views", (0,)))
    speeds = str(spec.params.get("speeds", "1")).split(",")
    spec = replace(spec, params={**spec.params, "speeds": ",".join(speeds[one] for one in views)})
    features = np.concatenate([extract(one, plan.model.features) for one in tables])
    features = features[where][:, views].astype(np.float32)
    is_by_corpus = plan.protocol.name in BY_CORPUS
    is_used, groups = np.full(len(table), True), table["speaker"]
    if is_by_corpus:
        is_used = is_drawn_evenly(table, generator("final_head", plan.seed))
        groups = corpora_of(table)
    used = table[is_used].assign(fold=groups[is_used]).rename(columns={"label": "truth"})
    arrays, left_out = _fitted(plan, plan.model, features[is_used], used)
    known: dict[str, np.ndarray] = {}
    facts: dict[str, Any] = {}
    speaker: dict[str, float] = {}
    ways = {
        (kind, fact): protocol
        for kind, fact, name in WAYS
        if (protocol := plan.study.other_protocols.get(f"{plan.protocol.name}_norm_{name}"))
    }
    if len(ways) > 1:
        models = {one.name: one for one in plan.study.models}
        model = models.get(f"{plan.model.name}_known", plan.model)
        cloud, adapted, shift = _adapted(table, features, VOICE if is_by_corpus else ENROLMENT)
        head, by_voice = _fitted(plan, model, adapted[is_used], used)
        head["head_mean"] += shift.astype(np.float32)
        known = cloud | {f"speaker_{name}": array for name, array in head.items()}
        for (kind, fact), protocol in ways.items():
            known_plan = plan_run(plan.study, model.name, protocol, plan.seed, clips)
            known_run = run_or_load(known_plan, clips)
            others = by_voice
            if protocol.normalisation == ROOM:  # sure as a head for rooms, which is not kept
                rows = _adapted(table, features, ROOM)[1][is_used]
                _, others = _fitted(plan, model, rows, used)
            settings, summary = _summarise_known(known_run, run, clips, others)
            speaker |= {f"{kind}{name}": value for name, value in settings.items()}
            if kind == "room_" and others is not None:
                answers = others.filter(regex="^p_").groupby(others["fold"])
                told = [told_nats(one.to_numpy()) for _, one in answers]
                speaker["room_told_nats"] = round(float(np.median(told)), 4)
            summary["n_clips"] = NORMALISATIONS[protocol.normalisation].n_clips
            facts[fact] = summary
        # Of voices that are known by neutral clips there is no run where some have none.
        for name in ("temperature", "threshold"):
            speaker.setdefault(name, speaker[f"mixed_{name}"])
    params = spec.params
    spec, shape, arrays = _without_idle_layers(spec, features.shape[1:], arrays | known)
    # The values that `Bundle.domain_values` takes: the highest layer, at the first speed.
    highest = features[:, 0, shape[1] - 1].reshape(len(features), -1)
    return FittedParts(
        kind="linear",
        input_shape=shape,
        features=spec,
        domain=fit_domain(highest[is_used], groups[is_used].to_numpy()),
        arrays=arrays,
        encoder={"name": str(params["encoder"]), "sha256": str(params["sha256"])},
        speaker=speaker,
        facts=facts,
        left_out=left_out,
    )


def _without_idle_layers(
    spec: FeatureSpec, shape: tuple[int, ...], arrays: dict[str, np.ndarray]
) -> tuple[FeatureSpec, tuple[int, ...], dict[str, np.ndarray]]:
    """Drop the upper layers that have no weight in any head: they need not be computed at all."""
    n_flat = int(np.prod(shape))
    weights = [one for name, one in arrays.items() if name.endswith("head_weights")]
    is_used = np.any([one.any(axis=1) for one in weights], axis=0).reshape(shape)
    n_layers = 1 + int(np.flatnonzero(is_used.any(axis=(0, 2, 3))).max())
    cut = {
        name: one.reshape(*shape, *one.shape[1:])[:, :n_layers].reshape(-1, *one.shape[1:])
        if len(one) == n_flat
        else one
        for name, one in arrays.items()
    }
    params = {**spec.params, "n_layers": n_layers}
    return replace(spec, params=params), (shape[0], n_layers, *shape[2:]), cut


def _fitted(
    plan: RunPlan, model: ModelSpec, features: np.ndarray, rows: pd.DataFrame
) -> tuple[dict[str, np.ndarray], pd.DataFrame | None]:
    """Fit a head on rows with `truth` and `fold`; return it as one matrix, and its `left_out`."""
    classes = rows["truth"].map(plan.labels.index).to_numpy()
    # The features hold the views that it uses and no others.
    config = model.config
    if isinstance(config, RidgeHeadConfig):
        config = replace(config, views=tuple(range(features.shape[1])))
    head = build_sklearn(config, seed=plan.seed)
    head.fit(features, classes, rows["fold"].to_numpy(), n_classes=len(plan.labels))
    arrays = flat_head(head.arrays(), features.shape[1:])
    flat = features[:64].reshape(len(features[:64]), -1)
    logits = ((flat - arrays["head_mean"]) / arrays["head_scale"]) @ arrays["head_weights"]
    probabilities = softmax(logits + arrays["head_bias"])
    error = float(np.abs(probabilities - head.predict_proba(features[:64])).max())
    if not error <= MAX_FLAT_ERROR:
        raise BundleError(f"the head written as one matrix differs from the head by {error:.2g}")
    if not isinstance(head, CorpusHead):
        return arrays, None
    columns = [f"p_{label}" for label in plan.labels]
    found = pd.DataFrame(head.left_out, index=rows.index, columns=columns)
    said = np.array(plan.labels)[head.left_out.argmax(axis=1)]
    return arrays, rows.join(found).assign(prediction=said)


def _adapted(
    table: pd.DataFrame, features: np.ndarray, name: str
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return how speakers differ, and all features without their speakers' own level.

    The level in the bundle is that of neutral speech. Where a rule takes clips of all emotions, the
    third value is what that adds to all features.
    """
    rule = NORMALISATIONS[name]
    speakers = (corpora_of(table) if rule.is_room else table["speaker"]).to_numpy()
    is_known = enrolled(table, rule).to_numpy()
    is_neutral = table["label"].eq("neutral").to_numpy()
    is_eligible = is_neutral | (not rule.is_neutral)
    names = np.unique(speakers)
    adapted = normalise(
        features, speakers, is_known, is_eligible, normalisation=rule, training_speakers=set(names)
    )
    flat = features.reshape(len(features), -1).astype(np.float64)
    means = [
        flat[is_known & (speakers == one)].mean(axis=0) for one in np.unique(speakers[is_known])
    ]
    noises = [variance_within(flat[one], speakers[one]) for one in (is_eligible, is_neutral)]
    shown, noise = np.maximum(noises, np.finfo(np.float32).tiny)
    within = safe_spread(variance_within(flat, speakers))
    with_neutral = np.isin(speakers, speakers[is_neutral])
    moods = emotion_offsets(flat[with_neutral], speakers[with_neutral], is_neutral[with_neutral])
    added = np.zeros_like(moods) if rule.is_neutral else moods
    cloud = {
        "speaker_centre": np.mean(means, axis=0) - added,
        "speaker_between": variance_between(np.stack(means), shown / rule.n_clips),
        "speaker_noise": noise,
        "speaker_within": within**2,
        "speaker_moods": moods,
    }
    cloud = {name: array.astype(np.float32) for name, array in cloud.items()}
    return cloud, adapted, added / within


def _summarise_known(
    known: Run, new: Run, clips: pd.DataFrame, left_out: pd.DataFrame | None
) -> tuple[dict[str, float], dict[str, Any]]:
    """Find temperature and threshold for known voices or rooms, and what knowing them gains."""
    summary = summarise_run(known, clips, left_out)
    # Clips by which a voice is known are no test rows: both are compared on the others.
    same = new.predictions[new.predictions["clip_id"].isin(known.predictions["clip_id"])]
    without = score_predictions([with_clip_columns(same, clips)], list(known.labels))
    score, selection = summary["score"], summary["selection"]
    return (
        {"temperature": summary["temperature"], "threshold": selection["threshold"]},
        {
            "run": known.folder.name,
            **{one: score[one] for one in ("uar", "uar_low", "uar_high")},
            "uar_without": round(without.uar, 4),
            **{one: selection[one] for one in ("coverage_share", "accuracy_share")},
            **{one: summary[one] for one in ("answer_limit", "left_out") if one in summary},
        },
    )
