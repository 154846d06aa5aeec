"""A study's model under a protocol with a seed: planned, looked up, trained where it is not stored.

A run lives in `reports/<corpus>/runs/<study>-<model>-<protocol>-s<seed>-<key>/`; the key is a hash
of all that decides the result (`RunPlan.spec`). Which run is stored is read from the `spec.json`
files, without building a network: what the code would build from the same data is part of the
stored spec, and a test compares it for every committed run. Stored runs are read without audio.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser_lib import data
from ser_lib.audio.augmentation import AUGMENTATIONS
from ser_lib.data import corpus_of, splits
from ser_lib.data.corpus import corpora_of
from ser_lib.data.labels import LabelSet
from ser_lib.data.leakage import check_split
from ser_lib.errors import RunError, StudyError, TrainingStoppedError
from ser_lib.evaluation import metrics
from ser_lib.features.extraction import extract, feature_shape
from ser_lib.models import family_of, topology
from ser_lib.paths import cache_dir, locked, runs_dir
from ser_lib.runs import store
from ser_lib.runtime import progress, whole_number
from ser_lib.shown import short
from ser_lib.studies.study import ModelSpec, Study
from ser_lib.training.checkpoint import DEADLINE, Checkpoint
from ser_lib.training.fit import (
    STILL_VALID_VERSIONS,
    TRAINING_VERSION,
    fit_fold,
    gather_fold,
    normalise_fold,
)
from ser_lib.training.settings import TrainingSettings
from ser_lib.workers import map_tasks

logger = logging.getLogger(__name__)


@short
@dataclass(frozen=True)
class Division:
    """The rows of a task in their folds, and what leaks between them; models share it."""

    rows: pd.DataFrame
    split: splits.Split
    findings: pd.DataFrame

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Hashes of the rows and of the folds."""
        folds = json.dumps([vars(fold) for fold in self.split.folds])
        rows = splits.csv_of_rows(self.rows)
        return {"rows_sha256": _sha256(rows), "folds_sha256": _sha256(folds)}

    @cached_property
    def test_rows(self) -> list[tuple[str, int]]:
        """Every test row with the number of its fold, sorted."""
        folds = enumerate(self.split.folds)
        return sorted((row, number) for number, fold in folds for row in fold.test)


@short
@dataclass(frozen=True)
class RunPlan:
    """A run before it is trained: who is in which fold, what leaks, where it will be stored."""

    study: Study
    model: ModelSpec
    protocol: splits.Protocol
    seed: int
    corpus: str
    division: Division
    labels: tuple[str, ...]
    auxiliary: tuple[str, ...] = ()
    """Other corpora that are trained on."""

    @property
    def rows(self) -> pd.DataFrame:
        """All rows of the task, see `ser_lib.data.splits.rows_of`."""
        return self.division.rows

    @property
    def split(self) -> splits.Split:
        """The folds."""
        return self.division.split

    @property
    def findings(self) -> pd.DataFrame:
        """What the leak guard found; all of it is declared by the protocol."""
        return self.division.findings

    @property
    def training(self) -> TrainingSettings | None:
        """How the model is trained under this protocol."""
        is_held_to_paper = self.protocol == self.study.published_protocol
        return self.model.training if is_held_to_paper else self.model.honest_settings

    @property
    def leaks(self) -> tuple[str, ...]:
        """Kinds of finding between training or validation rows and test rows."""
        return tuple(self.findings.loc[self.findings["second"] == "test", "kind"].unique())

    @property
    def name(self) -> str:
        """What the folders of such runs begin with, whatever their settings."""
        return _folder_name(self.study, self.model, self.protocol) + str(self.seed)

    @property
    def command(self) -> str:
        """What trains this run, or goes on with it, with those of the seeds before."""
        study, name = self.study, self.protocol.full_name
        named = ("published", "honest", *study.other_protocols)
        asked = [one for one in named if study.protocol(one, self.corpus) == self.protocol]
        n_seeds = 1 + [*study.seeds, self.seed].index(self.seed)
        return (
            f"ser run {study.name} --corpus {self.corpus} --model {self.model.name} "
            f"--protocol {(asked or [name])[0]} --n-seeds {n_seeds}"
        )

    def identity(self) -> dict[str, Any]:
        """Return all that decides the result but what the code builds from it, as plain data."""
        model = self.model
        family_name, family = family_of(model.config)
        # Versions of the code that no parameter shows.
        versions = {"family": family.version, "training": TRAINING_VERSION} | {
            name: AUGMENTATIONS[name].version
            for name in self.rows["variant"].unique()
            if name in AUGMENTATIONS
        }
        identity = {
            "study": self.study.name,
            "model": model.name,
            "protocol": self.protocol.full_name,
            "protocol_params": dict(self.protocol.params),
            "seed": self.seed,
            "corpus": self.corpus,
            "labels": list(self.labels),
            "features": model.features.identity(),
            "is_scaled": model.is_scaled,
            "family": family_name,
            "config": asdict(model.config),
            "training": self.training.identity() if self.training else None,
            **self.division.hashes,
            "n_folds": len(self.split.folds),
            "leaks": list(self.leaks),
            "versions": versions,
            # Came later: runs without it keep their keys.
            **({"test_views": list(self.study.test_views)} if self.study.test_views else {}),
            **({"auxiliary": list(self.auxiliary)} if self.auxiliary else {}),
        }
        return json.loads(json.dumps(identity))

    def spec(self) -> dict[str, Any]:
        """Return the identity and what the code builds from it, with Keras, in seconds."""
        shape = feature_shape(self.model.features)
        built = topology(self.model.config, shape, len(self.labels))
        return self.identity() | {"input_shape": list(shape), "topology_sha256": _sha256(built)}

    def folder(self, spec: dict[str, Any]) -> Path:
        """Return where the run of this spec lives."""
        return runs_dir(self.corpus) / f"{self.name}-{store.key_of(spec)}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _folder_name(study: Study, model: ModelSpec, protocol: splits.Protocol) -> str:
    return f"{study.name}-{model.name}-{protocol.full_name}-s"


def plan_run(
    study: Study, model_name: str, protocol: splits.Protocol, seed: int, clips: pd.DataFrame
) -> RunPlan:
    """Divide the clips as the protocol says, and check the result for leaks; nothing is trained.

    A published protocol makes copies and augmentations first and divides then; any other divides
    the clips and augments the training rows.

    Parameters
    ----------
    study, model_name : Study, str
        One of its models, for its task and with its augmentations.
    protocol, seed : Protocol, int
        How the clips are divided.
    clips : pandas.DataFrame
        Clip table of one corpus, or of a pool of several.

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
    clips = splits.clips_of(clips, protocol, study.labels_for(corpus_of(clips)))
    corpus = corpus_of(clips)
    # A corpus does not help itself, nor a pool that it is part of.
    tested = set(clips["corpus"].unique())
    auxiliary = tuple(one for one in study.auxiliary_corpora if one not in tested)
    division = _divide(study, protocol, seed, clips, load_auxiliary(auxiliary))
    present = set(division.rows["label"].unique())
    labels = tuple(label for label in study.labels_for(corpus).labels if label in present)
    model = study.model(model_name)
    return RunPlan(study, model, protocol, seed, corpus, division, labels, auxiliary)


_DIVISIONS: dict[str, Division] = {}
N_DIVISIONS = 64


def _divide(
    study: Study, protocol: splits.Protocol, seed: int, clips: pd.DataFrame, auxiliary: pd.DataFrame
) -> Division:
    """Divide and audit the clips; the last divisions are kept, as models share them."""
    label_set, augmentations = study.labels_for(corpus_of(clips)), study.augmentations
    key = repr((label_set, study.copies, augmentations, protocol, seed))
    for table in (clips, auxiliary):
        digest = hashlib.sha256()
        for name in table.columns.drop("path"):
            values = table[name].to_numpy()
            digest.update(f"\0{name}\0".encode())
            is_text = values.dtype == object
            digest.update("\n".join(map(str, values)).encode() if is_text else values.tobytes())
        key += digest.hexdigest()
    if key in _DIVISIONS:
        return _DIVISIONS[key]
    if protocol.is_published:
        rows = splits.rows_of(clips, label_set, splits.variants_of(study.copies, augmentations))
        split = splits.make_split(rows, protocol, seed=seed)
    else:
        split = splits.make_split(
            splits.rows_of(clips, label_set, ("original",)), protocol, seed=seed
        )
        rows = splits.rows_of(clips, label_set, splits.variants_of(1, augmentations))
        folds = tuple(splits.with_training_variants(fold, augmentations) for fold in split.folds)
        rows, folds = with_auxiliary(rows, folds, auxiliary, label_set, augmentations)
        split = replace(split, folds=folds)
    while len(_DIVISIONS) >= N_DIVISIONS:
        del _DIVISIONS[next(iter(_DIVISIONS))]
    _DIVISIONS[key] = Division(rows, split, check_split(rows, split, declared=protocol.leaks))
    return _DIVISIONS[key]


def plan_runs(
    study: Study,
    clips: pd.DataFrame,
    *,
    models: Sequence[str],
    protocols: Sequence[str],
    n_seeds: int = 0,
) -> Iterator[tuple[str, RunPlan]]:
    """Plan the runs of several models, protocols and seeds, each with the protocol as asked for."""
    if n_seeds < 0:
        raise StudyError(f"n_seeds={n_seeds} must be 0 (all of the study's) or more")
    for name in models:
        for asked in protocols:
            protocol = study.protocol(asked, corpus_of(clips))
            for seed in study.seeds[: n_seeds or study.model(name).max_seeds.get(asked)]:
                yield asked, plan_run(study, name, protocol, seed, clips)


def load_auxiliary(names: Sequence[str]) -> pd.DataFrame:
    """Load the committed clip tables of corpora that are trained on as well, without audio."""
    # They decide which clips there are: an incomplete copy must not pass for the whole.
    if not names:
        return pd.DataFrame(columns=list(data.CLIP_COLUMNS))
    return pd.concat([data.load_committed_clips(name) for name in names], ignore_index=True)


def load_audio(names: Sequence[str]) -> pd.DataFrame:
    """Load the same clips with their recordings, which must be those of the committed tables."""
    found = pd.concat([data.load_corpus(name) for name in names], ignore_index=True)
    store.require_audio(found, f"clips of {', '.join(names)} are trained on as well")
    identity = ["clip_id", "audio_sha256", "emotion"]
    if not found[identity].equals(load_auxiliary(names)[identity]):
        raise RunError(
            f"the recordings of {', '.join(names)} that are here are not those of the committed "
            "tables; compare with `ser data`, and fetch them again"
        )
    return found


def with_auxiliary(
    rows: pd.DataFrame,
    folds: Sequence[splits.Fold],
    auxiliary: pd.DataFrame,
    label_set: LabelSet,
    augmentations: Sequence[str],
) -> tuple[pd.DataFrame, tuple[splits.Fold, ...]]:
    """Add auxiliary clips and their variants to the training rows of every fold.

    Clips of emotions that the label set leaves out, or that no row has, are not trained on.
    """
    if auxiliary.empty:
        return rows, tuple(folds)
    added = splits.rows_of(auxiliary, label_set, ("original", *augmentations))
    added = added[added["label"].isin(rows["label"].unique())]
    originals = added.loc[added["variant"] == "original", "row_id"]
    extra = splits.with_training_variants(
        splits.Fold(tuple(originals), (), ()), augmentations
    ).train
    return (
        pd.concat([rows, added], ignore_index=True),
        tuple(splits.Fold(one.train + extra, one.validation, one.test) for one in folds),
    )


def run_study(
    study: Study,
    clips: pd.DataFrame,
    *,
    models: Sequence[str] = (),
    protocols: Sequence[str] = ("published", "honest"),
    n_seeds: int = 0,
    is_fresh: bool | None = None,
) -> list[store.Run]:
    """Run several models of a study under several protocols, or load what is stored.

    Parameters
    ----------
    study, clips : Study, pandas.DataFrame
        What to run, on the clip table of one corpus.
    models : sequence of str
        Names of models; none means all that are not optional.
    protocols : sequence of str
        "published", "honest" or names of protocols.
    n_seeds : int
        How many of the study's seeds; 0 means those of the model (`ModelSpec.max_seeds`).
    is_fresh : bool, optional
        Whether to train again even where a run is stored; None asks `SER_FRESH`.

    Returns
    -------
    list of Run
        By models, then protocols, then seeds; raises as `plan_run` and `run_or_load`.
    """
    names = list(models) or [one.name for one in study.models if not one.is_optional]
    plans = plan_runs(study, clips, models=names, protocols=protocols, n_seeds=n_seeds)
    return [run_or_load(plan, clips, is_fresh=is_fresh) for _, plan in plans]


def run_or_load(plan: RunPlan, clips: pd.DataFrame, *, is_fresh: bool | None = None) -> store.Run:
    """Return the stored run of a plan, or train what is missing of it.

    Parameters
    ----------
    plan, clips : RunPlan, pandas.DataFrame
        What to run, and the clip table that the plan was made from.
    is_fresh : bool, optional
        Whether to train again even where a run is stored; None asks `SER_FRESH`.

    Raises
    ------
    RunError
        If it must be trained and the audio is not there, or if what is stored is damaged.
    """
    stored = load_stored(plan, is_fresh=is_fresh)
    if stored is not None:
        # What a call left that was killed at its very end.
        shutil.rmtree(stored.folder / "folds", ignore_errors=True)
        return stored
    if not clips["path"].all():
        store.require_audio(
            clips, f"{plan.name} is not stored, or is to be trained again{_nearest_text(plan)}"
        )
    spec = plan.spec()
    folder = plan.folder(spec)
    with locked(folder) as has_waited:
        stored = load_stored(plan, is_fresh=False if has_waited else is_fresh)
        if stored is not None:  # trained meanwhile by another process
            return stored
        if is_fresh or (folder / "predictions.csv").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(checkpoints_dir(folder), ignore_errors=True)
        _train_missing_folds(plan, clips, folder)
        store.finish_run(folder, spec, plan.labels, len(plan.split.folds))
        shutil.rmtree(checkpoints_dir(folder), ignore_errors=True)
    return _read_checked(folder, plan)


def _nearest_text(plan: RunPlan) -> str:
    """Name the stored run of the model that differs in the fewest settings, and what to type.

    A variant and what it was made from count as one model.
    """
    nearest = ""
    wanted: dict[str, Any] = {}
    stored: dict[str, Any] = {}
    study = plan.study.name.partition("+")[0]
    for folder in sorted(runs_dir(plan.corpus).glob(f"{study}[-+]*")):
        spec = store.read_spec(folder) or {}
        if spec.get("model") == plan.model.name:
            for asked in _valid_versions(plan.identity() | {"study": spec["study"]}):
                found = store.differences([asked, spec])
                if not nearest or len(found[0]) < len(stored):
                    nearest, (wanted, stored) = folder.name, found
    if not nearest:
        return " (no other run of this model is, either)"
    return (
        f" (the nearest stored run is {nearest}, with {store.settings_text(stored)} instead of "
        f"{store.settings_text(wanted)}: type those)"
        if stored
        else f" ({nearest} has the same settings, but other clips or folds)"
    )


def is_stored(plan: RunPlan) -> bool:
    """Whether the run of a plan is complete in the store."""
    return _stored_folder(plan) is not None


def load_stored(plan: RunPlan, *, is_fresh: bool | None = None) -> store.Run | None:
    """Read the stored run of a plan, of this code or of a version that is still valid."""
    folder = _stored_folder(plan, is_fresh=is_fresh)
    return None if folder is None else _read_checked(folder, plan)


def _stored_folder(plan: RunPlan, *, is_fresh: bool | None = None) -> Path | None:
    is_asked = os.environ.get("SER_FRESH") == "1" if is_fresh is None else is_fresh
    # Runs that are not older stay: within one report, training again once is enough.
    since = os.environ.get("SER_FRESH_SINCE", "inf") if is_fresh is None else "inf"
    folders = [
        complete.parent
        for complete in sorted(runs_dir(plan.corpus).glob(f"{plan.name}-*/predictions.csv"))
        if not (is_asked and complete.stat().st_mtime < float(since))
    ]
    if not folders:
        return None
    for identity in _valid_versions(plan.identity()):
        same = store.folders_like(folders, identity)
        if len(same) == 1:
            return same[0]
        if same:
            break
    else:
        if all(store.read_spec(folder) for folder in folders):
            return None
    # A spec is damaged, or two differ in what was built from the same plan: the key decides.
    named = (plan.folder(spec) for spec in _valid_versions(plan.spec()))
    return next((folder for folder in named if folder in folders), None)


def _valid_versions(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a spec as it is, and as versions of the training that are still valid had it."""
    yield spec
    for version in STILL_VALID_VERSIONS:
        yield spec | {"versions": spec["versions"] | {"training": version}}


def has_folders(study: Study, model: ModelSpec, corpus: str, protocols: Sequence[str]) -> bool:
    """Whether there are complete runs of a model under each protocol, whatever their settings."""
    names = [_folder_name(study, model, study.protocol(one, corpus)) for one in protocols]
    return all(any(runs_dir(corpus).glob(f"{one}*/predictions.csv")) for one in names)


def _read_checked(folder: Path, plan: RunPlan) -> store.Run:
    """Read a run, and raise where it is not, row by row, what the plan says."""
    run = store.read_run(folder)
    expected = plan.division.test_rows
    columns = run.predictions.reindex(columns=["clip_id", "fold"])
    stored = list(zip(*(columns[name].tolist() for name in columns), strict=True))
    faults = {
        "its spec.json is not that of its name": store.read_spec(folder) is None,
        f"it has {len(stored)} predictions, not the {len(expected)} of its test rows":
            sorted(stored) != expected,
        "its history lacks folds":
            set(run.history.get("fold", [])) != set(range(len(plan.split.folds))),
    }  # fmt: skip
    found = [fault for fault, is_there in faults.items() if is_there]
    if found:
        raise RunError(
            f"{run.folder}: this stored run is damaged: {'; '.join(found)}. Delete the folder, "
            "take it from git, or set FRESH=1"
        )
    return run


def _train_missing_folds(plan: RunPlan, clips: pd.DataFrame, folder: Path) -> None:
    """Fit every fold that is not stored yet; several at once where SER_JOBS says so."""
    n_jobs = whole_number("SER_JOBS", 1)
    n_folds = len(plan.split.folds)
    missing = store.missing_folds(folder, n_folds)
    variants = [one for one in plan.rows["variant"].unique() if not one.startswith("copy")]
    # By corpus, as each has its features in the cache.
    tables = [one for _, one in clips.groupby("corpus", sort=False)]
    tables += [load_audio(plan.auxiliary)] if plan.auxiliary else []
    clips = pd.concat(tables, ignore_index=True)
    features = plan.model.features
    # Workers, who may be elsewhere, read the files.
    files = {
        name: tuple(str(extract(one, features, variant=name).filename) for one in tables)
        for name in variants
    }
    positions = pd.Series(range(len(clips)), index=clips["clip_id"])
    # One begins whatever the deadline, so that each call gets on.
    begun = takewhile(lambda one: one == missing[0] or time.time() < DEADLINE.get(), missing)
    tasks = ((number, _checkpoint(plan, folder, number, missing)) for number in begun)
    fit = partial(_fit_and_store, plan, files, positions, folder)
    done = map_tasks(fit, tasks, n_jobs=n_jobs, needs=[str(folder.parent)], is_seeded=True)
    what = f"{plan.study.name} {plan.model.name} {plan.protocol.name} seed {plan.seed}"
    for number, duration_s in progress(done, total=len(missing), what=what):
        logger.info("%s: fold %d of %d in %.0f s", what, number + 1, n_folds, duration_s)
    _joined.cache_clear()
    if left := store.missing_folds(folder, n_folds):
        raise TrainingStoppedError(f"{plan.name}: {len(left)} of {n_folds} folds have not begun")


def checkpoints_dir(folder: Path) -> Path:
    """Return where the trainings of a run keep what they need to go on."""
    return cache_dir() / "checkpoints" / folder.name


def _checkpoint(plan: RunPlan, folder: Path, number: int, missing: Sequence[int]) -> Checkpoint:
    n_folds = len(plan.split.folds)
    about = {
        "name": f"{plan.name}: fold {number + 1} of {n_folds}",
        "command": plan.command,
        "n_folds": n_folds,
        "n_folds_waiting": sum(other > number for other in missing),
    }
    path, record = checkpoints_dir(folder) / f"{number:02d}.npz", store.record_file(folder, number)
    return Checkpoint(path, DEADLINE.get(), record, about)


@lru_cache(maxsize=8)
def _joined(files: tuple[str, ...]) -> np.ndarray:
    """Map the feature of one table from the disk, or join those of several in memory."""
    parts = [np.load(one, mmap_mode="r") for one in files]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _fit_and_store(
    plan: RunPlan,
    files: dict[str, tuple[str, ...]],
    positions: pd.Series,
    folder: Path,
    task: tuple[int, Checkpoint],
) -> tuple[int, float]:
    number, checkpoint = task
    arrays = {name: _joined(of_variant) for name, of_variant in files.items()}
    fold, table = plan.split.folds[number], plan.rows.set_index("row_id")
    classes = table["label"].map({label: index for index, label in enumerate(plan.labels)})
    if plan.protocol.normalisation:
        named = (plan.protocol.normalisation, plan.rows, fold, positions)
        arrays = {name: normalise_fold(one, *named) for name, one in arrays.items()}
    if plan.protocol.name in splits.BY_CORPUS:
        table = table.assign(speaker=corpora_of(table))
    inputs = gather_fold(fold, table, classes, arrays, positions, plan.study.test_views)
    config, n_classes, is_scaled = plan.model.config, len(plan.labels), plan.model.is_scaled
    options: dict[str, Any] = {"n_classes": n_classes, "is_scaled": is_scaled, "seed": plan.seed}
    result = fit_fold(config, plan.training, inputs, **options, checkpoint=checkpoint)
    store.store_fold(folder, number, table.loc[list(fold.test), "label"], plan.labels, result)
    checkpoint.remove()
    return number, result.duration_s


def score_runs(runs: Sequence[store.Run], clips: pd.DataFrame) -> metrics.Score:
    """Score the runs of one model under one protocol, one a seed, with intervals by speaker."""
    for run in runs:
        metrics.check_predictions(run.predictions, run.labels)
    tables = [metrics.with_clip_columns(run.predictions, clips) for run in runs]
    return metrics.score_predictions(tables, runs[0].labels)
