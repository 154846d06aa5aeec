"""Trials: the steps of the leak ladder, trained, and kept as counts a speaker.

What is kept is the confusion of each speaker's rows, all that scores and intervals need: one small
file a step, `reports/<corpus>/ladder/<step>-<key>.json`, written by rename after each seed, so that
an interrupted ladder goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ser_lib.augment import AUGMENTATIONS
from ser_lib.corpora import corpus_of
from ser_lib.dealing import Plan, plan_step
from ser_lib.errors import RunError
from ser_lib.extraction import extract
from ser_lib.ladder import Candidate, Step
from ser_lib.metrics import Score, confusion_counts, score_predictions
from ser_lib.models import family_of
from ser_lib.paths import atomic_path, report_dir
from ser_lib.progress import progress
from ser_lib.rows import Rows
from ser_lib.splits import Fold
from ser_lib.store import provenance
from ser_lib.training import TRAINING_VERSION, FitResult, FoldArrays, fit_fold

__all__ = ["FIRST_SEED", "Trial", "count_by_speaker", "fit_and_predict", "run_step"]

# Raised whenever a trial changes in a way that neither its step nor its folds show.
TRIAL_VERSION = 1
FIRST_SEED = 42


@dataclass(frozen=True)
class Trial:
    """A step's results, one entry a seed."""

    step: Step
    labels: tuple[str, ...]
    entries: tuple[dict[str, object], ...]

    @cached_property
    def tables(self) -> tuple[pd.DataFrame, ...]:
        """Columns `speaker, truth, prediction`, one row a test row, one table a seed."""
        return tuple(_table_of(one["counts"], self.labels) for one in self.entries)

    @cached_property
    def score(self) -> Score:
        """UAR and WA over all seeds, with intervals by speaker."""
        return score_predictions(self.tables, self.labels)

    def known(self, what: str) -> float:
        """Share of the test rows of which training knows the audio, clip, speaker or sentence."""
        return float(np.mean([one["known"][what] for one in self.entries]))

    @property
    def n_train(self) -> float:
        """Training rows a fold, mean over folds and seeds."""
        return float(np.mean([one["n_train"] for one in self.entries]))


def run_step(step: Step, clips: pd.DataFrame, *, n_seeds: int = 0, max_epochs: int = 0) -> Trial:
    """Return what is stored of a step, after training what is missing of it.

    Parameters
    ----------
    step : Step
        Which.
    clips : pandas.DataFrame
        Clip table of one corpus.
    n_seeds : int
        At most so many of the step's seeds; 0 takes all.
    max_epochs : int
        Upper limit of the training of networks; 0 leaves the step's. Such trials are others.

    Returns
    -------
    Trial
        Complete.

    Raises
    ------
    RunError
        If something must be trained and the audio is not here.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    step = _shortened(step, max_epochs)
    target = _file_of(step, clips)
    stored = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {}
    wanted = range(FIRST_SEED, FIRST_SEED + min(n_seeds or step.n_seeds, step.n_seeds))
    plans = [plan_step(step, clips, seed) for seed in wanted]
    missing = [one for one in plans if not _is_stored(stored, one)]
    if missing and not clips["path"].all():
        raise RunError(
            f"{target.name}: {len(missing)} of {len(plans)} seeds are not stored, and the audio is "
            "not here; point SER_DATA at the corpora"
        )
    for plan in progress(missing, total=len(missing), what=f"ladder, {step.name}"):
        stored[str(plan.seed)] = _train(plan, clips)
        with atomic_path(target) as temporary:
            temporary.write_text(json.dumps(stored, sort_keys=True) + "\n", encoding="utf-8")
    return Trial(step, plans[0].labels, tuple(stored[str(seed)] for seed in wanted))


def _is_stored(stored: dict[str, dict[str, object]], plan: Plan) -> bool:
    entry = stored.get(str(plan.seed), {})
    return entry.get("folds_sha256") == plan.folds_sha256


def _shortened(step: Step, max_epochs: int) -> Step:
    if not max_epochs:
        return step

    def shorten(one: Candidate) -> Candidate:
        if one.training is None:
            return one
        epochs = min(one.training.max_epochs, max_epochs)
        return replace(one, training=replace(one.training, max_epochs=epochs))

    return replace(step, candidates=tuple(map(shorten, step.candidates)))


def _file_of(step: Step, clips: pd.DataFrame) -> Path:
    """Name a step's file by what decides its results; the clips are in each entry's folds."""
    spec = {
        "candidates": [
            {
                "family": family_of(one.config)[0],
                "version": family_of(one.config)[1].version,
                "config": asdict(one.config),
                "features": one.features.identity(),
                "training": one.training.identity() if one.training else None,
            }
            | ({} if one.layer is None else {"layer": one.layer})
            for one in step.candidates
        ],
        "scaled_on": step.scaled_on,
        "judge": step.judge,
        "variants": {
            name: AUGMENTATIONS[name].version for name in step.variants if name in AUGMENTATIONS
        },
        "versions": [TRIAL_VERSION, TRAINING_VERSION],
    }
    key = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]
    return report_dir(corpus_of(clips)) / "ladder" / f"{step.name}-{key}.json"


def _train(plan: Plan, clips: pd.DataFrame) -> dict[str, object]:
    """Train and test all folds of a plan, and return its entry."""
    table = plan.rows.set_index("row_id")
    data = _Data.of(plan, clips)
    predicted = []
    for fold in plan.split.folds:
        fits = [data.fit(one, fold) for one in plan.step.candidates]
        # The judge's accuracy: of several candidates the first best is taken.
        best = fits[int(np.argmax([one.history["val_accuracy"].iloc[-1] for one in fits]))]
        names = np.array(plan.labels)[best.probabilities.argmax(axis=1)]
        part = table.loc[list(fold.test), ["speaker", "label"]]
        predicted.append(part.assign(prediction=names))
    about = provenance()
    return {
        "counts": count_by_speaker(pd.concat(predicted), plan.labels),
        "known": plan.known,
        "n_train": round(float(np.mean([len(fold.train) for fold in plan.split.folds])), 1),
        "folds_sha256": plan.folds_sha256,
        "environment": {name: about[name] for name in ("commit", "date", "libraries")},
    }


@dataclass(frozen=True)
class _Data:
    """What the fits of a plan share: its rows, their classes, and the features of all clips."""

    plan: Plan
    table: pd.DataFrame
    classes: pd.Series
    position: pd.Series
    arrays: dict[str, tuple[np.ndarray, ...]]
    """By feature: one array a variant that does not merely copy."""
    variants: list[str]

    @classmethod
    def of(cls, plan: Plan, clips: pd.DataFrame) -> _Data:
        table = plan.rows.set_index("row_id")
        class_of = {label: number for number, label in enumerate(plan.labels)}
        variants = [one for one in plan.step.variants if not one.startswith("copy")]
        arrays = {
            one.features.name: tuple(extract(clips, one.features, variant=v) for v in variants)
            for one in plan.step.candidates
        }
        position = pd.Series(range(len(clips)), index=clips["clip_id"])
        return cls(plan, table, table["label"].map(class_of), position, arrays, variants)

    def rows(self, candidate: Candidate, row_ids: Sequence[str]) -> np.ndarray:
        """Gather the features of some rows."""
        part = self.table.loc[list(row_ids)]
        names = part["variant"].where(~part["variant"].str.startswith("copy"), "original")
        found = Rows(
            self.arrays[candidate.features.name],
            names.map(self.variants.index).to_numpy(),
            self.position[part["clip_id"]].to_numpy(),
        ).gather()
        # Of an encoder: (row, view, layer, statistic, value), half precision; as it was heard.
        if candidate.layer is None:
            return found
        return found[:, 0, candidate.layer].astype(np.float32)

    def fit(self, candidate: Candidate, fold: Fold) -> FitResult:
        """Train a candidate on a fold; its history ends with the judge's accuracy."""
        # Where there is no judge, nothing is chosen, and what is judged does not matter.
        judge = fold.validation or fold.train
        parts = (fold.train, judge, fold.test)
        train, validation, test = (self.rows(candidate, part) for part in parts)
        if self.plan.step.scaled_on == "all":
            everything = [train, validation, test] if fold.validation else [train, test]
            train, validation, test = (
                _scaled_like(everything, part) for part in (train, validation, test)
            )
        y_train, y_validation = (self.classes[list(part)].to_numpy() for part in parts[:2])
        return fit_fold(
            candidate.config,
            candidate.training,
            FoldArrays(train, y_train, validation, y_validation, test),
            n_classes=len(self.plan.labels),
            is_scaled=self.plan.step.scaled_on == "train",
            seed=self.plan.seed,
        )


def fit_and_predict(
    plan: Plan, candidate: Candidate, train: tuple[np.ndarray, pd.Series], x_test: np.ndarray
) -> np.ndarray:
    """Train a classifier on some rows and name the classes of others; nothing is chosen.

    Parameters
    ----------
    plan : Plan
        Whose labels and seed.
    candidate : Candidate
        Of scikit-learn.
    train : tuple of ndarray and pandas.Series of str
        Features and labels of the training rows.
    x_test : ndarray, shape (n_test, ...)
        Features of the others.

    Returns
    -------
    ndarray of str, shape (n_test,)

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    class_of = {label: number for number, label in enumerate(plan.labels)}
    x_train, y_train = train[0], train[1].map(class_of).to_numpy()
    result = fit_fold(
        candidate.config,
        candidate.training,
        FoldArrays(x_train, y_train, x_train, y_train, x_test),
        n_classes=len(plan.labels),
        is_scaled=True,
        seed=plan.seed,
    )
    return np.array(plan.labels)[result.probabilities.argmax(axis=1)]


def count_by_speaker(predicted: pd.DataFrame, labels: Sequence[str]) -> dict[str, list[list[int]]]:
    """Count true and predicted classes of each speaker's rows, as plain data.

    Parameters
    ----------
    predicted : pandas.DataFrame
        Columns `speaker, label, prediction`.
    labels : sequence of str
        The classes, in the order of the counts.

    Returns
    -------
    dict of str to list
        By speaker; truth by row, prediction by column.
    """
    return {
        speaker: confusion_counts(part["label"], part["prediction"], labels).tolist()
        for speaker, part in predicted.groupby("speaker")
    }


def _scaled_like(everything: Sequence[np.ndarray], part: np.ndarray) -> np.ndarray:
    """Standardise a part on all rows there are: a sin, see `ser_lib.dealing.check_reading`."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(np.concatenate(list(everything)))
    return scaler.transform(part).astype(np.float32)


def _table_of(counts: dict[str, list[list[int]]], labels: Sequence[str]) -> pd.DataFrame:
    """Lay counts a speaker out as rows again, in no order that means anything."""
    speakers, matrices = list(counts), np.array(list(counts.values()))
    where = np.argwhere(matrices > 0)
    names = np.array(labels)
    table = pd.DataFrame(
        {
            "speaker": np.array(speakers)[where[:, 0]],
            "truth": names[where[:, 1]],
            "prediction": names[where[:, 2]],
        }
    )
    return table.loc[table.index.repeat(matrices[tuple(where.T)])].reset_index(drop=True)
