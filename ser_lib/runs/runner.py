"""The run store: a study's model under a protocol with a seed, trained once and kept.

A run lives in `reports/<corpus>/runs/<study>-<model>-<protocol>-s<seed>-<key>/` as `spec.json`,
`predictions.csv`, `history.csv` and `environment.json`. The key is a hash of all that decides the
result. Folds are written one by one, by rename: an interrupted run goes on where it stopped, and a
killed one leaves nothing half-written. Stored runs are read without audio and without training.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from ser_lib import data
from ser_lib.audio.augmentation import AUGMENTATIONS
from ser_lib.data import corpus_of
from ser_lib.data.labels import LabelSet
from ser_lib.data.leakage import check_split
from ser_lib.data.splits import (
    Fold,
    Protocol,
    Split,
    make_split,
    rows_of,
    variants_of,
    with_training_variants,
)
from ser_lib.errors import RunError, StudyError
from ser_lib.evaluation.metrics import (
    Score,
    check_predictions,
    score_predictions,
    with_clip_columns,
)
from ser_lib.features.extraction import extract, feature_shape
from ser_lib.models import family_of, topology
from ser_lib.paths import runs_dir
from ser_lib.runs.store import Run, finish_run, missing_folds, read_run, store_fold
from ser_lib.runtime import progress
from ser_lib.studies.study import ModelSpec, Study
from ser_lib.training.fit import (
    STILL_VALID_VERSIONS,
    TRAINING_VERSION,
    fit_fold,
    gather_fold,
    normalise_fold,
)
from ser_lib.training.settings import TrainingSettings


def load_auxiliary(names: Sequence[str]) -> pd.DataFrame:
    """Load the committed clip tables of corpora that help another one; there is no audio in them.

    Which clips there are to train on is decided by these tables, not by what is on this machine: a
    copy that lacks some must not pass for the whole (`load_audio`).

    Parameters
    ----------
    names : sequence of str
        Keys of `ser_lib.data.CORPORA`.

    Returns
    -------
    pandas.DataFrame
        One table below the other; no rows where there is no name.

    Raises
    ------
    CorpusError
        If no table of one is committed.
    """
    if not names:
        return pd.DataFrame(columns=list(data.CLIP_COLUMNS))
    tables = [data.load_committed_clips(name) for name in names]
    return pd.concat(tables, ignore_index=True)


def load_audio(names: Sequence[str]) -> pd.DataFrame:
    """Load the same clips with the paths of their recordings.

    Parameters
    ----------
    names : sequence of str
        As for `load_auxiliary`.

    Returns
    -------
    pandas.DataFrame
        As `load_auxiliary`, `path` filled.

    Raises
    ------
    CorpusError
        If a corpus is damaged.
    RunError
        If recordings are missing, or are others than those of the committed table.
    """
    if not names:
        return load_auxiliary(())
    found = pd.concat([data.load_corpus(name) for name in names], ignore_index=True)
    if not found["path"].all():
        raise RunError(
            f"clips of {', '.join(names)} are trained on as well, and their audio is not here; "
            "point SER_DATA at the corpora"
        )
    identity = ["clip_id", "audio_sha256", "emotion"]
    if not found[identity].equals(load_auxiliary(names)[identity]):
        raise RunError(
            f"the recordings of {', '.join(names)} that are here are not those of the committed "
            "tables; compare with `ser data`, and fetch them again"
        )
    return found


def with_auxiliary(
    rows: pd.DataFrame,
    folds: Sequence[Fold],
    auxiliary: pd.DataFrame,
    label_set: LabelSet,
    augmentations: Sequence[str],
) -> tuple[pd.DataFrame, tuple[Fold, ...]]:
    """Add auxiliary clips, and their variants, to the training rows of every fold.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `rows_of`.
    folds : sequence of Fold
        Of these rows.
    auxiliary : pandas.DataFrame
        From `load_auxiliary`.
    label_set : LabelSet
        Clips of emotions that it leaves out, or that no row has, are not trained on.
    augmentations : sequence of str
        Variants of each clip, beside the original.

    Returns
    -------
    rows : pandas.DataFrame
        The auxiliary ones at its end.
    folds : tuple of Fold
        Validation and test as they were.
    """
    if auxiliary.empty:
        return rows, tuple(folds)
    added = rows_of(auxiliary, label_set, ("original", *augmentations))
    added = added[added["label"].isin(rows["label"].unique())]
    originals = added.loc[added["variant"] == "original", "row_id"]
    extra = with_training_variants(Fold(tuple(originals), (), ()), augmentations).train
    return (
        pd.concat([rows, added], ignore_index=True),
        tuple(Fold(one.train + extra, one.validation, one.test) for one in folds),
    )


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunPlan:
    """A run before it is trained: who is in which fold, what leaks, where it will be stored."""

    study: Study
    model: ModelSpec
    protocol: Protocol
    seed: int
    corpus: str
    rows: pd.DataFrame
    split: Split
    findings: pd.DataFrame
    """What the audit found; all of it is declared by the protocol."""
    labels: tuple[str, ...]
    auxiliary: tuple[str, ...] = ()
    """Other corpora that are trained on."""

    @property
    def training(self) -> TrainingSettings | None:
        """How the model is trained under this protocol."""
        is_held_to_paper = self.protocol == self.study.published_protocol
        return self.model.training if is_held_to_paper else self.model.honest_settings

    @property
    def leaks(self) -> tuple[str, ...]:
        """Kinds of finding between training or validation rows and test rows."""
        return tuple(self.findings.loc[self.findings["second"] == "test", "kind"].unique())

    def spec(self, input_shape: tuple[int, ...]) -> dict[str, object]:
        """Return all that decides the result, as plain data."""
        model = self.model
        return {
            "study": self.study.name,
            "model": model.name,
            "protocol": self.protocol.full_name,
            "protocol_params": dict(self.protocol.params),
            "seed": self.seed,
            "corpus": self.corpus,
            "labels": list(self.labels),
            "features": model.features.identity(),
            "is_scaled": model.is_scaled,
            "family": family_of(model.config)[0],
            "config": asdict(model.config),
            "topology_sha256": _sha256(topology(model.config, input_shape, len(self.labels))),
            "input_shape": list(input_shape),
            "training": self.training.identity() if self.training else None,
            "rows_sha256": _sha256(
                self.rows[["row_id", "label", "audio_sha256"]].to_csv(index=False)
            ),
            "folds_sha256": _sha256(json.dumps([vars(fold) for fold in self.split.folds])),
            "n_folds": len(self.split.folds),
            "leaks": list(self.leaks),
            "versions": self._versions(),
            # Came later: runs without it keep their keys.
            **({"test_views": list(self.study.test_views)} if self.study.test_views else {}),
            **({"auxiliary": list(self.auxiliary)} if self.auxiliary else {}),
        }

    def _versions(self) -> dict[str, int]:
        """Return the versions of the code that no parameter shows."""
        variants = self.rows["variant"].unique()
        augmentations = {
            name: AUGMENTATIONS[name].version for name in variants if name in AUGMENTATIONS
        }
        family = family_of(self.model.config)[1]
        return {"family": family.version, "training": TRAINING_VERSION} | augmentations


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def plan_run(
    study: Study, model_name: str, protocol: Protocol, seed: int, clips: pd.DataFrame
) -> RunPlan:
    """Divide the clips as the protocol says, and audit the result.

    Parameters
    ----------
    study : Study
        Whose task and whose augmentations.
    model_name : str
        One of its models.
    protocol : Protocol
        A published one makes copies and augmentations first and divides then; any other divides
        the clips and augments the training rows.
    seed : int
        Of the run.
    clips : pandas.DataFrame
        Clip table of one corpus, or of a pool of several.

    Returns
    -------
    RunPlan
        Nothing is trained yet.

    Raises
    ------
    LeakError
        If the split leaks in a way that the protocol does not declare.
    SplitError, StudyError
        If protocol, study and corpus do not fit together.
    """
    if (study.test_views or study.auxiliary_corpora) and protocol.is_published:
        raise StudyError(
            f"{study.name}: views of test clips, and auxiliary corpora, are made inside the fold; "
            "under a protocol that augments first they would be rows to divide"
        )
    clips = _named_by(protocol, clips)
    corpus = corpus_of(clips)
    label_set = study.labels_for(corpus)
    published = variants_of(study.copies, study.augmentations)
    inside = variants_of(1, study.augmentations)
    # A corpus does not help itself, nor a pool that it is part of.
    tested = set(clips["corpus"])
    auxiliary = tuple(one for one in study.auxiliary_corpora if one not in tested)
    rows = rows_of(clips, label_set, published if protocol.is_published else ("original",))
    split = make_split(rows, protocol, seed=seed)
    if not protocol.is_published:
        rows = rows_of(clips, label_set, inside)
        folds = tuple(with_training_variants(fold, study.augmentations) for fold in split.folds)
        added = load_auxiliary(auxiliary)
        rows, folds = with_auxiliary(rows, folds, added, label_set, study.augmentations)
        split = replace(split, folds=folds)
    findings = check_split(rows, split, declared=protocol.leaks)
    model = study.model(model_name)
    present = set(rows["label"])
    labels = tuple(label for label in label_set.labels if label in present)
    return RunPlan(study, model, protocol, seed, corpus, rows, split, findings, labels, auxiliary)


def _named_by(protocol: Protocol, clips: pd.DataFrame) -> pd.DataFrame:
    """Keep the corpora that a protocol names, so that others beside them change nothing."""
    named = [protocol.params[part] for part in ("train", "test") if part in protocol.params]
    return clips[clips["corpus"].isin(named)] if named else clips


def run_study(
    study: Study,
    clips: pd.DataFrame,
    *,
    models: Sequence[str] = (),
    protocols: Sequence[str] = ("published", "honest"),
    n_seeds: int = 0,
    is_fresh: bool | None = None,
) -> list[Run]:
    """Run several models of a study under several protocols, or load what is stored.

    Parameters
    ----------
    study : Study
        What to run.
    clips : pandas.DataFrame
        Clip table of one corpus.
    models : sequence of str
        Names of models; none means all.
    protocols : sequence of str
        "published", "honest" or names of protocols.
    n_seeds : int
        How many of the study's seeds; 0 means all.
    is_fresh : bool, optional
        Whether to train again even where a run is stored; None asks `SER_FRESH`.

    Returns
    -------
    list of Run
        In the order of models, then protocols, then seeds.

    Notes
    -----
    Notebook: 04_cnn_1d_mfcc.ipynb
    """
    names = list(models) or [one.name for one in study.models if not one.is_optional]
    corpus = corpus_of(clips)
    return [
        run_or_load(
            plan_run(study, name, study.protocol(protocol, corpus), seed, clips),
            clips,
            is_fresh=is_fresh,
        )
        for name in names
        for protocol in protocols
        for seed in seeds_of(study, name, protocol, n_seeds)
    ]


def score_runs(runs: Sequence[Run], clips: pd.DataFrame) -> Score:
    """Score the seeds of one model under one protocol, with intervals by speaker.

    Parameters
    ----------
    runs : sequence of Run
        One a seed.
    clips : pandas.DataFrame
        Clip table, for the speakers.

    Returns
    -------
    Score
        See `ser_lib.evaluation.metrics.score_predictions`.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    for run in runs:
        check_predictions(run.predictions, run.labels)
    tables = [with_clip_columns(run.predictions, clips) for run in runs]
    return score_predictions(tables, runs[0].labels)


def seeds_of(study: Study, model_name: str, protocol: str, n_seeds: int) -> tuple[int, ...]:
    """Return as many seeds as are asked for (0: all), and no more than the model is run with."""
    if n_seeds < 0:
        raise StudyError(f"n_seeds={n_seeds} must be 0 (all of the study's) or more")
    limits = [one for one in (n_seeds, study.model(model_name).max_seeds.get(protocol)) if one]
    return study.seeds[: min(limits, default=None)]


def run_or_load(plan: RunPlan, clips: pd.DataFrame, *, is_fresh: bool | None = None) -> Run:
    """Return the stored run of a plan, or train what is missing of it.

    Parameters
    ----------
    plan : RunPlan
        What to run.
    clips : pandas.DataFrame
        The clip table that the plan was made from.
    is_fresh : bool, optional
        Whether to train again even where a run is stored; None asks `SER_FRESH`.

    Returns
    -------
    Run
        Complete.

    Raises
    ------
    RunError
        If it must be trained and the audio is not there, or if what is stored is damaged.
    """
    spec, folder = _stored_or_new(plan, is_fresh=bool(is_fresh))
    name = folder.name
    is_fresh = _is_outdated(folder) if is_fresh is None else is_fresh
    if is_fresh or not (folder / "predictions.csv").is_file():
        if not clips["path"].all():
            state = "is to be trained again" if is_fresh else "is not stored"
            raise RunError(
                f"{name} {state} and the audio of {plan.corpus} is not here; point SER_DATA at "
                "the corpora"
            )
        if is_fresh:
            shutil.rmtree(folder, ignore_errors=True)
        _train_missing_folds(plan, clips, folder)
        finish_run(folder, spec, plan.labels, len(plan.split.folds))
    run = read_run(folder)
    _check_run(run, plan, spec)
    return run


def is_stored(plan: RunPlan) -> bool:
    """Whether the run of a plan is complete in the store."""
    return (_stored_or_new(plan)[1] / "predictions.csv").is_file()


def _stored_or_new(plan: RunPlan, *, is_fresh: bool = False) -> tuple[dict[str, object], Path]:
    """Return spec and folder of the stored run, of this code or one that still stands, or new."""
    specs = [plan.spec(feature_shape(plan.model.features))]
    for version in STILL_VALID_VERSIONS:
        specs.append(specs[0] | {"versions": specs[0]["versions"] | {"training": version}})
    folders = [_folder_of(plan, spec) for spec in specs]
    for spec, folder in zip(specs, folders, strict=True):
        is_whole = (folder / "predictions.csv").is_file()
        if is_whole and not is_fresh and not _is_outdated(folder):
            return spec, folder
    return specs[0], folders[0]


def _folder_of(plan: RunPlan, spec: dict[str, object]) -> Path:
    key = _sha256(json.dumps(spec, sort_keys=True))[:12]
    name = f"{spec['study']}-{spec['model']}-{spec['protocol']}-s{plan.seed}-{key}"
    return runs_dir(plan.corpus) / name


def _is_outdated(folder: Path) -> bool:
    """Whether `SER_FRESH` asks for a stored run anew; within one report, once is enough."""
    since = float(os.environ.get("SER_FRESH_SINCE", "inf"))
    complete = folder / "predictions.csv"
    is_asked = os.environ.get("SER_FRESH") == "1"
    return is_asked and complete.is_file() and complete.stat().st_mtime < since


def _check_run(run: Run, plan: RunPlan, spec: dict[str, object]) -> None:
    """Raise where what is stored is not, row by row, what the plan says."""
    expected = [(row, number) for number, fold in enumerate(plan.split.folds) for row in fold.test]
    stored = list(
        zip(run.predictions.get("clip_id", []), run.predictions.get("fold", []), strict=True)
    )
    folds = set(range(len(plan.split.folds)))
    faults = {
        "its spec.json is not that of its name": run.spec != json.loads(json.dumps(spec)),
        f"it has {len(stored)} predictions, not the {len(expected)} of its test rows":
            sorted(stored) != sorted(expected),
        "its history lacks folds": set(run.history.get("fold", [])) != folds,
    }  # fmt: skip
    found = [fault for fault, is_there in faults.items() if is_there]
    if found:
        raise RunError(
            f"{run.folder}: this stored run is damaged: {'; '.join(found)}. Delete the folder, "
            "take it from git, or set FRESH=1"
        )


def _train_missing_folds(plan: RunPlan, clips: pd.DataFrame, folder: Path) -> None:
    """Fit every fold that is not stored yet; several at once where SER_JOBS says so."""
    missing = missing_folds(folder, len(plan.split.folds))
    variants = [one for one in plan.rows["variant"].unique() if not one.startswith("copy")]
    tables = [clips, load_audio(plan.auxiliary)] if plan.auxiliary else [clips]
    clips = pd.concat(tables, ignore_index=True)
    features = plan.model.features
    parts = {name: [extract(one, features, variant=name) for one in tables] for name in variants}
    # One table is read from the disk as it is; several are joined in memory.
    arrays = {
        name: np.concatenate(many) if len(many) > 1 else many[0] for name, many in parts.items()
    }
    positions = pd.Series(range(len(clips)), index=clips["clip_id"])
    tasks = (delayed(_fit_and_store)(plan, number, arrays, positions, folder) for number in missing)
    done = Parallel(n_jobs=_n_jobs(), return_as="generator_unordered")(tasks)
    what = f"{plan.study.name} {plan.model.name} {plan.protocol.name} seed {plan.seed}"
    for number, duration_s in progress(done, total=len(missing), what=what):
        n_folds = len(plan.split.folds)
        logger.info("%s: fold %d of %d in %.0f s", what, number + 1, n_folds, duration_s)


def _n_jobs() -> int:
    """Read how many folds are trained at once from `SER_JOBS`; one where it is not set."""
    text = os.environ.get("SER_JOBS", "1")
    if not text.isdecimal() or int(text) < 1:
        raise RunError(f"SER_JOBS='{text}' must be a whole number from 1 on")
    return int(text)


def _fit_and_store(
    plan: RunPlan,
    number: int,
    arrays: dict[str, np.ndarray],
    positions: pd.Series,
    folder: Path,
) -> tuple[int, float]:
    fold = plan.split.folds[number]
    table = plan.rows.set_index("row_id")
    class_of = {label: index for index, label in enumerate(plan.labels)}
    classes = table["label"].map(class_of)
    if plan.protocol.normalisation:
        named = (plan.protocol.normalisation, plan.rows, fold, positions)
        arrays = {name: normalise_fold(one, *named) for name, one in arrays.items()}
    inputs = gather_fold(fold, table, classes, arrays, positions, plan.study.test_views)
    result = fit_fold(
        plan.model.config,
        plan.training,
        inputs,
        n_classes=len(plan.labels),
        is_scaled=plan.model.is_scaled,
        seed=plan.seed,
    )
    store_fold(folder, number, table.loc[list(fold.test), "label"], plan.labels, result)
    return number, result.duration_s
