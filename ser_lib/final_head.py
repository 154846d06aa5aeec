"""The linear head of a bundle: fitted on all speakers, and again for voices that are known.

A head chooses and averages layers; written out it is one matrix on the encoder's features. The
second head is fitted on features from which each speaker's own level was taken, as three neutral
clips tell it: what `Predictor.enrolled` does for a new voice.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ser_lib.calibration import fit_temperature
from ser_lib.domain import Domain, fit_domain
from ser_lib.errors import BundleError
from ser_lib.extraction import extract
from ser_lib.features import FeatureSpec
from ser_lib.final_network import Parts
from ser_lib.judging import selected
from ser_lib.metrics import score_predictions, with_clip_columns
from ser_lib.models import build_sklearn
from ser_lib.normalisation import (
    ENROLMENT,
    NORMALISATIONS,
    UNLABELLED,
    enrolled,
    moods,
    normalise,
)
from ser_lib.runs import RunPlan, plan_run, run_or_load, score_runs
from ser_lib.splits import rows_of
from ser_lib.store import Run

__all__ = ["fit_final_head", "flat_head"]

MAX_FLAT_ERROR = 1e-4


def flat_head(arrays: dict[str, np.ndarray], input_shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Write a fitted head as one matrix on all values of the feature.

    Parameters
    ----------
    arrays : dict of str to ndarray
        From `RidgeHead.arrays`.
    input_shape : tuple of int
        `(n_views, n_layers, n_statistics, n_values)`.

    Returns
    -------
    dict of str to ndarray of float32
        `head_mean, head_scale, head_weights, head_bias`: logits are
        `((x - mean) / scale) @ weights + bias`.

    Notes
    -----
    An average over views is a sum of their parts: each has the same mean and scale, and its share
    of the weights. What the head does not look at has the weight 0.
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


def fit_final_head(plan: RunPlan, run: Run, clips: pd.DataFrame) -> Parts:
    """Fit the head of a run once more, on all speakers, for new and for known voices.

    Parameters
    ----------
    plan : RunPlan
        Of the run: study, model, seed.
    run : Run
        On folds of speakers never heard.
    clips : pandas.DataFrame
        Clip table, with audio or with features in the cache.

    Returns
    -------
    Parts
        With a head for known voices where the study has protocols with `ENROLMENT` and
        `UNLABELLED`.

    Raises
    ------
    BundleError
        If the head written as one matrix says something else than the head itself.
    """
    table = rows_of(clips, plan.study.labels_for(plan.corpus))
    where = pd.Series(range(len(clips)), index=clips["clip_id"])[table["clip_id"]].to_numpy()
    spec, views = _used_features(plan)
    features = extract(clips, plan.model.features)[where][:, views].astype(np.float32)
    classes = table["label"].map(plan.labels.index).to_numpy()
    speakers = table["speaker"].to_numpy()
    arrays = _fitted(plan, features, classes, speakers)
    known, facts, speaker = {}, {}, {}
    ways = {
        kind: plan.study.other_protocols.get(f"{plan.protocol.name}_norm_{name}")
        for kind, name in (("", ENROLMENT), ("mixed_", UNLABELLED))
    }
    if all(ways.values()):
        cloud, adapted = _adapted(table, features)
        head = _fitted(plan, adapted, classes, speakers)
        known = cloud | {f"speaker_{name}": array for name, array in head.items()}
        for kind, protocol in ways.items():
            known_plan = plan_run(plan.study, plan.model.name, protocol, plan.seed, clips)
            known_run = run_or_load(known_plan, clips)
            numbers, told = _judged(known_run, run, clips)
            speaker |= {f"{kind}{name}": number for name, number in numbers.items()}
            told["n_clips"] = NORMALISATIONS[protocol.normalisation].n_clips
            facts[f"{kind}known_voice"] = told
    params = spec.params
    spec, shape, arrays = _without_idle_layers(spec, features.shape[1:], arrays | known)
    return Parts(
        kind="linear",
        input_shape=shape,
        arrays=arrays,
        encoder={"name": str(params["encoder"]), "sha256": str(params["sha256"])},
        speaker=speaker,
        facts=facts,
        features=spec,
        domain=_heard(features, speakers, n_layers=shape[1]),
    )


def _heard(features: np.ndarray, speakers: np.ndarray, *, n_layers: int) -> Domain:
    """Describe the training clips by what `Bundle.domain_values` takes of each."""
    return fit_domain(features[:, 0, n_layers - 1].reshape(len(features), -1), speakers)


def _used_features(plan: RunPlan) -> tuple[FeatureSpec, list[int]]:
    """Return the features without the speeds that the head does not look at, and those it does."""
    spec, views = plan.model.features, list(plan.model.config.views)
    speeds = str(spec.params.get("speeds", "1")).split(",")
    kept = ",".join(speeds[view] for view in views)
    return replace(spec, params={**spec.params, "speeds": kept}), views


def _without_idle_layers(
    spec: FeatureSpec, shape: tuple[int, ...], arrays: dict[str, np.ndarray]
) -> tuple[FeatureSpec, tuple[int, ...], dict[str, np.ndarray]]:
    """Drop the upper layers that no head gives a weight: they need not be computed at all."""
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
    plan: RunPlan, features: np.ndarray, classes: np.ndarray, speakers: np.ndarray
) -> dict[str, np.ndarray]:
    """Fit a head on all rows, and write it as one matrix."""
    n_classes = len(plan.labels)
    # The views that it looks at are all that are here.
    config = replace(plan.model.config, views=tuple(range(features.shape[1])))
    head = build_sklearn(config, seed=plan.seed)
    head.fit(features, classes, speakers, n_classes=n_classes)
    arrays = flat_head(head.arrays(), features.shape[1:])
    rows = features[:64]
    flat = rows.reshape(len(rows), -1)
    logits = ((flat - arrays["head_mean"]) / arrays["head_scale"]) @ arrays["head_weights"]
    powers = np.exp(logits + arrays["head_bias"])
    said = powers / powers.sum(axis=1, keepdims=True)
    error = float(np.abs(said - head.predict_proba(rows)).max())
    if not error <= MAX_FLAT_ERROR:
        raise BundleError(f"the head written as one matrix differs from itself by {error:.2g}")
    return arrays


def _adapted(table: pd.DataFrame, features: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return how speakers differ, and all features without their speakers' own level."""
    rule = NORMALISATIONS[ENROLMENT]
    speakers, is_known = table["speaker"].to_numpy(), enrolled(table, rule).to_numpy()
    is_neutral = table["label"].eq("neutral").to_numpy()
    names = np.unique(speakers)
    adapted = normalise(
        features, speakers, is_known, is_neutral, normalisation=rule, training_speakers=set(names)
    )
    flat = features.reshape(len(features), -1).astype(np.float64)

    def within(rows: np.ndarray) -> np.ndarray:
        return np.mean([flat[rows & (speakers == one)].var(axis=0) for one in names], axis=0)

    means = np.stack([flat[is_known & (speakers == one)].mean(axis=0) for one in names])
    noise = np.maximum(within(is_neutral), np.finfo(np.float32).tiny)
    spread = np.sqrt(within(np.ones(len(flat), bool)))
    least = 1e-3 * float(np.median(spread) or 1.0)
    cloud = {
        "speaker_centre": means.mean(axis=0),
        "speaker_between": np.maximum(means.var(axis=0, ddof=1) - noise / rule.n_clips, 0.0),
        "speaker_noise": noise,
        "speaker_within": np.maximum(spread, least) ** 2,
        "speaker_moods": moods(flat, speakers, is_neutral),
    }
    return {name: array.astype(np.float32) for name, array in cloud.items()}, adapted


def _judged(
    known: Run, new: Run, clips: pd.DataFrame
) -> tuple[dict[str, float], dict[str, object]]:
    """Find temperature and threshold for known voices, and what knowing them gains."""
    labels = list(known.labels)
    predictions = known.predictions
    temperature = fit_temperature(predictions, labels)
    selection = selected(predictions, labels, temperature)
    # Clips that tell about a voice are no test rows: both are compared on the others.
    ours = set(predictions["clip_id"])
    same = new.predictions[new.predictions["clip_id"].isin(ours)]
    without = score_predictions([with_clip_columns(same, clips)], labels)
    score = score_runs([known], clips)
    return (
        {"temperature": round(temperature, 4), "threshold": round(selection.threshold, 4)},
        {
            "run": known.folder.name,
            "uar": round(score.uar, 4),
            "uar_low": round(score.uar_low, 4),
            "uar_high": round(score.uar_high, 4),
            "uar_without": round(without.uar, 4),
            "coverage_share": round(selection.coverage_share, 4),
            "accuracy_share": round(selection.accuracy_share, 4),
        },
    )
