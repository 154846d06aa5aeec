"""What a prediction costs: numbers and bytes of the model, milliseconds a clip on a named machine.

Times are measured once (`ser costs CORPUS`) and kept in `reports/<corpus>/costs.csv`, so that a
report need not measure again. Numbers are all that must be kept to predict: the weights of a
network; of a classifier every array of the fitted object, for nearest neighbours the training rows
themselves. Time is processor time, all threads together, so that other work on the machine counts
little: of one clip after the other, decoding and the feature, then scaling and the model; the
least of three repeats, the median over clips.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from ser_lib.errors import RunError
from ser_lib.features.acoustic import has_opensmile
from ser_lib.features.encoders.registry import Encoder, get_encoder
from ser_lib.features.extraction import compute, extract, feature_shape
from ser_lib.models import build_keras, build_sklearn, family_of
from ser_lib.paths import atomic_path, report_dir
from ser_lib.runs.results import Result
from ser_lib.runs.runner import plan_run
from ser_lib.runs.store import provenance, require_audio
from ser_lib.runtime import progress
from ser_lib.studies.study import ModelSpec, Study
from ser_lib.training.fit import computing_in
from ser_lib.training.settings import TrainingSettings

SIZES = ("n_numbers", "n_bytes")
COST_COLUMNS = ("study", "model", *SIZES, "feature_ms", "model_ms", "n_clips", "machine", "date")
SCORED_COLUMNS = ("name", "uar", "low", "high", *SIZES, "ms", "machine", "is_on_front")
N_REPEATS = 3


def measure_costs(
    studies: Sequence[Study], clips: pd.DataFrame, *, n_clips: int = 24
) -> pd.DataFrame:
    """Measure what each model of some studies costs, on this number of clips, and store it.

    Of heads on the same features of an encoder the first stands for all; models whose features
    cannot be computed here are left out.
    """
    require_audio(clips, "how long a clip takes is to be measured")
    about = provenance()
    jobs = [(study, model) for study in studies for model in _timed(study)]
    rows: list[dict[str, Any]] = []
    # What several models share is timed once: a machine is not as fast at all times.
    feature_ms: dict[str, float] = {}
    for study, model in progress(iter(jobs), total=len(jobs), what="costs"):
        cost = _cost_of(study, model, clips, n_clips)
        shared = repr((model.features, study.test_views))
        cost["feature_ms"] = feature_ms.setdefault(shared, cost["feature_ms"])
        rows.append(about | {"study": study.name, "model": model.name} | cost)
    table = pd.DataFrame(rows, columns=list(COST_COLUMNS))
    with atomic_path(_path(str(clips["corpus"].iloc[0]))) as temporary:
        table.to_csv(temporary, index=False, float_format="%.3f")
    return table


def _timed(study: Study) -> list[ModelSpec]:
    """Choose the models of a study that are timed."""
    chosen: list[ModelSpec] = []
    for one in study.models:
        encoder = _encoder_of(one)
        is_computable = has_opensmile() if one.features.name == "compare_functionals" else True
        is_head = family_of(one.config)[1].is_nested
        is_known = is_head and one.features in [other.features for other in chosen]
        if is_computable and (encoder is None or encoder.file.is_file()) and not is_known:
            chosen.append(one)
    return chosen


def _encoder_of(model: ModelSpec) -> Encoder | None:
    name = model.features.params.get("encoder")
    return get_encoder(str(name)) if name else None


def _path(corpus: str) -> Path:
    return report_dir(corpus) / "costs.csv"


def read_costs(corpus: str) -> pd.DataFrame:
    """Read the measured costs of a corpus's models, an empty table where none were measured.

    Columns are `COST_COLUMNS`; raises `RunError` if the file has others.
    """
    path = _path(corpus)
    if not path.is_file():
        return pd.DataFrame(columns=list(COST_COLUMNS))
    table = pd.read_csv(path)
    if tuple(table.columns) != COST_COLUMNS:
        raise RunError(f"{path} has the columns {list(table.columns)}; run `ser costs {corpus}`")
    return table


def scored_costs(results: Sequence[Result], names: Sequence[str]) -> pd.DataFrame:
    """Join the measured cost of systems on one corpus with their UAR.

    Parameters
    ----------
    results, names : sequence of Result, sequence of str
        Of one task, and what they are called; those whose cost was not measured are left out.

    Returns
    -------
    pandas.DataFrame
        Columns `SCORED_COLUMNS`: milliseconds of feature and model together, and whether none of
        the others is as fast and better.
    """
    rows = []
    for name, one in zip(names, results, strict=True):
        costs, score = read_costs(one.corpus).set_index(["study", "model"]), one.score
        if (one.study.name, one.model.name) in costs.index:
            cost = costs.loc[(one.study.name, one.model.name)].to_dict()
            cost |= {"name": name, "ms": cost["feature_ms"] + cost["model_ms"]}
            rows.append(cost | {"uar": score.uar, "low": score.uar_low, "high": score.uar_high})
    table = pd.DataFrame(rows, columns=list(SCORED_COLUMNS[:-1]))
    return table.assign(is_on_front=pareto_front(table["ms"], table["uar"]))


def _cost_of(study: Study, model: ModelSpec, clips: pd.DataFrame, n_clips: int) -> dict[str, Any]:
    chosen = clips.sample(min(n_clips, len(clips)), random_state=0)
    inputs = [compute(path, model.features) for path in chosen["path"]]
    feature_s = [_fastest_s(partial(compute, path, model.features)) for path in chosen["path"]]
    n_classes = len(study.labels_for(str(clips["corpus"].iloc[0])).labels)
    if family_of(model.config)[1].is_keras:
        predict, arrays = _network(model, n_classes)
    else:
        predict, arrays = _fitted(study, model, clips)
    model_s = [_fastest_s(partial(predict, one[np.newaxis])) for one in inputs]
    # Each view of a clip goes through feature and network.
    n_views = 1 + len(study.test_views)
    # An encoder's weights are 8-bit numbers, near enough one a byte.
    n_encoder = encoder.n_bytes if (encoder := _encoder_of(model)) else 0
    return {
        "n_numbers": n_encoder + sum(one.size for one in arrays),
        "n_bytes": n_encoder + sum(one.nbytes for one in arrays),
        "feature_ms": 1000 * n_views * float(np.median(feature_s)),
        "model_ms": 1000 * n_views * float(np.median(model_s)),
        "n_clips": len(chosen),
    }


def _fastest_s(work: Callable[[], object]) -> float:
    times_s = []
    for _ in range(N_REPEATS):
        started = time.process_time()
        work()
        times_s.append(time.process_time() - started)
    return min(times_s)


def _network(model: ModelSpec, n_classes: int) -> tuple[Callable, list[np.ndarray]]:
    """Build a network with fresh weights: they take as long as trained ones."""
    training = cast(TrainingSettings, model.training)
    with computing_in(training.precision):
        network = build_keras(model.config, feature_shape(model.features), n_classes)
    return lambda rows: network.predict_on_batch(rows.astype(np.float32)), network.get_weights()


def _fitted(
    study: Study, model: ModelSpec, clips: pd.DataFrame
) -> tuple[Callable, list[np.ndarray]]:
    """Fit a head or classifier on the first honest fold: what it keeps depends on its rows."""
    # Augmented rows are stood in for by their originals: how many there are decides the cost.
    protocol = study.protocol("honest", str(clips["corpus"].iloc[0]))
    plan = plan_run(study, model.name, protocol, study.seeds[0], clips)
    train = plan.rows.set_index("row_id").loc[list(plan.split.folds[0].train)]
    position = pd.Series(range(len(clips)), index=clips["clip_id"])
    features = extract(clips, model.features)[position[train["clip_id"]].to_numpy()]
    fitted = build_sklearn(model.config, seed=study.seeds[0])
    if family_of(model.config)[1].is_nested:
        classes, names = pd.factorize(train["label"])
        speakers = train["speaker"].to_numpy()
        fitted.fit(features.astype(np.float32), classes, speakers, n_classes=len(names))
        arrays = list(fitted.arrays().values())
        return lambda rows: fitted.predict_proba(rows.astype(np.float32)), arrays
    flat = features.reshape(len(train), -1)
    mean, scale = flat.mean(axis=0), flat.std(axis=0)
    scale[scale == 0] = 1

    def scaled(rows: np.ndarray) -> np.ndarray:
        return (rows - mean) / scale if model.is_scaled else rows

    fitted.fit(scaled(flat), train["label"].to_numpy())
    decide = getattr(fitted, "predict_proba", None) or fitted.decision_function
    scaling = [mean, scale] if model.is_scaled else []
    return lambda rows: decide(scaled(rows.reshape(1, -1))), [*scaling, *_arrays_of(fitted)]


def _arrays_of(fitted: object) -> Iterator[np.ndarray]:
    """Find all arrays that a fitted scikit-learn object keeps, in its parts as well."""
    for _, step in getattr(fitted, "steps", ()):
        yield from _arrays_of(step)
    for name, value in vars(fitted).items():
        if isinstance(value, np.ndarray) and value.dtype != object:
            yield value
        elif name == "tree_":
            state = value.__getstate__()
            yield from (one for one in state.values() if isinstance(one, np.ndarray))


def pareto_front(costs: Sequence[float], values: Sequence[float]) -> np.ndarray:
    """Find the systems that no other beats: none is as cheap and better, or cheaper and as good.

    >>> pareto_front([1, 2, 3], [0.5, 0.4, 0.9]).tolist()
    [True, False, True]
    """
    cost, value = np.asarray(costs, dtype=float), np.asarray(values, dtype=float)
    # is_beaten[i, j]: j is at least as good in both and better in one.
    no_dearer, no_worse = cost <= cost[:, np.newaxis], value >= value[:, np.newaxis]
    is_strict = (cost < cost[:, np.newaxis]) | (value > value[:, np.newaxis])
    return np.asarray(~(no_dearer & no_worse & is_strict).any(axis=1))
