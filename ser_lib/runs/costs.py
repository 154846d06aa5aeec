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
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from ser_lib.errors import RunError
from ser_lib.features.acoustic import has_opensmile
from ser_lib.features.encoders.registry import Encoder, get_encoder
from ser_lib.features.extraction import compute, extract, feature_shape
from ser_lib.models import build_keras, build_sklearn, family_of, n_parameters
from ser_lib.paths import atomic_path, cache_dir, report_dir
from ser_lib.runs.results import Result
from ser_lib.runs.runner import plan_run
from ser_lib.runs.store import cached_result, provenance
from ser_lib.runtime import progress
from ser_lib.studies.study import ModelSpec, Study
from ser_lib.training.fit import computing_in
from ser_lib.training.settings import TrainingSettings

COST_COLUMNS = (
    "study",
    "model",
    "n_numbers",
    "n_bytes",
    "feature_ms",
    "model_ms",
    "n_clips",
    "machine",
    "date",
)
SCORED_COLUMNS = (
    "name",
    "uar",
    "low",
    "high",
    "n_numbers",
    "n_bytes",
    "ms",
    "machine",
    "is_on_front",
)
N_CLIPS = 24
N_REPEATS = 3


def measure_costs(
    studies: Sequence[Study], clips: pd.DataFrame, *, n_clips: int = N_CLIPS
) -> pd.DataFrame:
    """Measure what each model of some studies costs, and keep it with the corpus's runs.

    Parameters
    ----------
    studies : sequence of Study
        Whose models; optional ones as well. Of heads on the same features of an encoder the first
        stands for all; an encoder whose weights are not here is left out.
    clips : pandas.DataFrame
        Clip table of one corpus, with audio.
    n_clips : int
        How many clips are timed.

    Returns
    -------
    pandas.DataFrame
        Columns `COST_COLUMNS`, one row a model.

    Raises
    ------
    RunError
        If there is no audio.
    """
    if not clips["path"].all():
        raise RunError(
            "time a clip takes can be measured only where audio is; point SER_DATA at it"
        )
    about = provenance()
    jobs = [(study, model) for study in studies for model in _timed(study)]
    rows = []
    # What several models share is timed once: a machine is not as fast at all times.
    feature_ms: dict[str, float] = {}
    for study, model in progress(iter(jobs), total=len(jobs), what="costs"):
        cost = _cost_of(study, model, clips, n_clips)
        cost["feature_ms"] = feature_ms.setdefault(
            repr((model.features, study.test_views)), cost["feature_ms"]
        )
        rows.append(
            {"study": study.name, "model": model.name}
            | cost
            | {"machine": about["machine"], "date": about["date"]}
        )
    table = pd.DataFrame(rows, columns=list(COST_COLUMNS))
    with atomic_path(_path(str(clips["corpus"].iloc[0]))) as temporary:
        table.to_csv(temporary, index=False, float_format="%.3f")
    return table


def _timed(study: Study) -> list[ModelSpec]:
    """Choose the models of a study that are timed."""
    chosen: list[ModelSpec] = []
    for one in study.models:
        is_head = family_of(one.config)[1].is_nested
        is_known = is_head and one.features in [other.features for other in chosen]
        if _is_computable(one) and not is_known:
            chosen.append(one)
    return chosen


def _is_computable(model: ModelSpec) -> bool:
    """Whether what the model's features need is here: an encoder's weights, or openSMILE."""
    if model.features.name == "compare_functionals":
        return has_opensmile()
    encoder = _encoder_of(model)
    return encoder is None or encoder.file.is_file()


def _encoder_of(model: ModelSpec) -> Encoder | None:
    name = model.features.params.get("encoder")
    return get_encoder(str(name)) if name else None


def _path(corpus: str) -> Path:
    return report_dir(corpus) / "costs.csv"


def read_costs(corpus: str) -> pd.DataFrame:
    """Read the measured costs of a corpus's models; an empty table where none were measured.

    Returns
    -------
    pandas.DataFrame
        Columns `COST_COLUMNS`.

    Raises
    ------
    RunError
        If the file has other columns.
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
    results : sequence of Result
        Of one task; those whose cost was not measured are left out.
    names : sequence of str
        What they are called.

    Returns
    -------
    pandas.DataFrame
        Columns `SCORED_COLUMNS`: milliseconds of feature and model together, and whether none of
        the others is as fast and better.
    """
    rows = []
    for name, one in zip(names, results, strict=True):
        costs = read_costs(one.corpus).set_index(["study", "model"])
        if (one.study.name, one.model.name) not in costs.index:
            continue
        cost, score = costs.loc[(one.study.name, one.model.name)], one.score
        rows.append(
            {
                "name": name,
                "uar": score.uar,
                "low": score.uar_low,
                "high": score.uar_high,
                "n_numbers": int(cost["n_numbers"]),
                "n_bytes": int(cost["n_bytes"]),
                "ms": float(cost["feature_ms"] + cost["model_ms"]),
                "machine": cost["machine"],
            }
        )
    table = pd.DataFrame(rows, columns=list(SCORED_COLUMNS[:-1]))
    return table.assign(is_on_front=pareto_front(table["ms"], table["uar"]))


def _cost_of(study: Study, model: ModelSpec, clips: pd.DataFrame, n_clips: int) -> dict[str, Any]:
    chosen = clips.sample(min(n_clips, len(clips)), random_state=0)
    inputs = [compute(path, model.features) for path in chosen["path"]]
    feature_s = [_fastest_s(partial(compute, path, model.features)) for path in chosen["path"]]
    n_classes = len(study.labels_for(str(clips["corpus"].iloc[0])).labels)
    if family_of(model.config)[1].is_keras:
        predict, arrays = _network(model, n_classes)
    elif family_of(model.config)[1].is_nested:
        predict, arrays = _head(study, model, clips)
    else:
        predict, arrays = _classifier(study, model, clips)
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
    arrays = [np.asarray(one) for one in network.get_weights()]

    def predict(rows: np.ndarray) -> object:
        return network.predict_on_batch(rows.astype(np.float32))

    return predict, arrays


def _head(study: Study, model: ModelSpec, clips: pd.DataFrame) -> tuple[Callable, list[np.ndarray]]:
    """Fit a head on the first honest fold."""
    train = _training_rows(study, model, clips)
    position = pd.Series(range(len(clips)), index=clips["clip_id"])
    features = extract(clips, model.features)[position[train["clip_id"]].to_numpy()]
    classes, names = pd.factorize(train["label"])
    head = build_sklearn(model.config, seed=study.seeds[0])
    speakers = train["speaker"].to_numpy()
    head.fit(features.astype(np.float32), classes, speakers, n_classes=len(names))
    return lambda rows: head.predict_proba(rows.astype(np.float32)), list(head.arrays().values())


def _training_rows(study: Study, model: ModelSpec, clips: pd.DataFrame) -> pd.DataFrame:
    corpus = str(clips["corpus"].iloc[0])
    plan = plan_run(study, model.name, study.protocol("honest", corpus), study.seeds[0], clips)
    return plan.rows.set_index("row_id").loc[list(plan.split.folds[0].train)]


def _classifier(
    study: Study, model: ModelSpec, clips: pd.DataFrame
) -> tuple[Callable, list[np.ndarray]]:
    """Fit a classifier on the first honest fold: what it keeps depends on what it is fitted on.

    Augmented rows are stood in for by their originals: how many there are decides the cost.
    """
    train = _training_rows(study, model, clips)
    position = pd.Series(range(len(clips)), index=clips["clip_id"])
    original = extract(clips, model.features)
    x_train = original[position[train["clip_id"]].to_numpy()].reshape(len(train), -1)
    labels = train["label"].to_numpy()
    mean, scale = x_train.mean(axis=0), x_train.std(axis=0)
    scale[scale == 0] = 1
    fitted = build_sklearn(model.config, seed=study.seeds[0])
    fitted.fit((x_train - mean) / scale if model.is_scaled else x_train, labels)
    decide = getattr(fitted, "predict_proba", None) or fitted.decision_function

    def predict(rows: np.ndarray) -> object:
        flat = rows.reshape(1, -1)
        return decide((flat - mean) / scale if model.is_scaled else flat)

    scaling = [mean, scale] if model.is_scaled else []
    return predict, [*scaling, *_arrays_of(fitted)]


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


def count_weights(model: ModelSpec, n_classes: int) -> int:
    """Count the weights of a network, trainable or not, as Keras's summary does.

    The count is kept in the cache: building the network loads Keras, which takes seconds.
    """
    name, family = family_of(model.config)
    config, features = asdict(cast(Any, model.config)), model.features
    return int(
        cached_result(
            cache_dir() / "weights",
            [name, family.version, config, features.identity(), n_classes],
            lambda: n_parameters(model.config, feature_shape(features), n_classes),
        )
    )


def pareto_front(costs: Sequence[float], values: Sequence[float]) -> np.ndarray:
    """Find the systems that no other beats: none is as cheap and better, or cheaper and as good.

    Parameters
    ----------
    costs : sequence of float, shape (n_systems,)
        Less is better.
    values : sequence of float, shape (n_systems,)
        More is better.

    Returns
    -------
    ndarray of bool, shape (n_systems,)

    Examples
    --------
    >>> pareto_front([1, 2, 3], [0.5, 0.4, 0.9]).tolist()
    [True, False, True]
    """
    cost, value = np.asarray(costs, dtype=float), np.asarray(values, dtype=float)
    # is_beaten[i, j]: j is at least as good in both and better in one.
    no_dearer, no_worse = cost <= cost[:, np.newaxis], value >= value[:, np.newaxis]
    is_strict = (cost < cost[:, np.newaxis]) | (value > value[:, np.newaxis])
    return np.asarray(~(no_dearer & no_worse & is_strict).any(axis=1))
