"""The leakage ladder of chapter 08: fold assignment, trials and their tables.

A `Plan` is a step of `support.leakage_steps` with a seed, divided and audited; a `Trial` holds the
confusion counts of its seeds, stored as `reports/<corpus>/ladder/<step>-<key>.json`. All scores
and shares here are in [0, 1]; `ser_lib.evaluation.formatting` turns them into percent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from ser_lib.audio.augmentation import AUGMENTATIONS
from ser_lib.data import corpus_of, get_corpus
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.leakage import FINDINGS, check_split
from ser_lib.data.splits import Fold, Split, csv_of_rows, rows_of, with_training_variants
from ser_lib.errors import EncoderError, LeakError, RunError, SplitError
from ser_lib.evaluation.metrics import (
    Score,
    confusion_counts,
    score_predictions,
    uar,
)
from ser_lib.evaluation.significance import compare_tables
from ser_lib.features.extraction import Rows, extract
from ser_lib.models import family_of
from ser_lib.paths import duplicates_table_path, locked, report_dir, reports_dir
from ser_lib.runs.store import note_read, provenance, write_json
from ser_lib.runtime import progress
from ser_lib.seeds import generator
from ser_lib.training.fit import TRAINING_VERSION, FitResult, FoldArrays, fit_fold
from support.leakage_steps import CONTROL_OF, ENCODER_LEAKS, STEPS, Candidate, Step, permuted

N_FOLDS = 5

# Where something is selected, one training speaker in this number validates.
SPEAKERS_A_VALIDATION = 6

# What a test row may share with training rows, from what gives most away to what gives least.
KNOWN = {
    "audio": FINDINGS["same_audio"][1],
    "clip": FINDINGS["same_parent"][1],
    "speaker": FINDINGS["same_speaker"][1],
    "sentence": lambda rows: rows["statement"],
}


@dataclass(frozen=True)
class Plan:
    """A step with a seed, before training."""

    step: Step
    seed: int
    rows: pd.DataFrame
    split: Split
    labels: tuple[str, ...]

    @cached_property
    def known(self) -> dict[str, float]:
        """By name in `KNOWN`: the share of test rows that have it in common with training rows."""
        table = self.rows.set_index("row_id", drop=False)
        shares = {}
        for what, key_of in KNOWN.items():
            keys = key_of(table)
            is_known = [
                keys[list(fold.test)].isin(set(keys[list(fold.train)])) for fold in self.split.folds
            ]
            shares[what] = round(float(pd.concat(is_known).mean()), 4)
        return shares

    @cached_property
    def folds_sha256(self) -> str:
        """Hash of folds, labels and audio."""
        folds = json.dumps([vars(fold) for fold in self.split.folds])
        return hashlib.sha256((folds + csv_of_rows(self.rows)).encode()).hexdigest()


def assign_folds(
    rows: pd.DataFrame, by: Sequence[str], *, n_folds: int = N_FOLDS, seed: int = 0
) -> list[tuple[pd.Series, pd.Series]]:
    """Assign the values of one or more columns to groups, and cross the groups into folds.

    Returns for every fold which rows are test rows, and which may be trained on: those that share
    no value with them in any of the columns. Every row is tested once. Speakers are stratified by
    gender, all other columns by label.
    """
    groups = []
    for column in by:
        stratum = "gender" if column == "speaker" else "label"
        values = rows.drop_duplicates(column)[[column, stratum]]
        if len(values) < 2:
            raise SplitError(
                f"all rows have the {column} '{values[column].iloc[0]}': none is left to test on; "
                "use a corpus of several"
            )
        order = generator("deal", column, seed).permutation(len(values))
        values = values.iloc[order].sort_values(stratum, kind="stable")[column]
        group_of = dict(zip(values, np.arange(len(values)) % n_folds, strict=True))
        groups.append(rows[column].map(group_of))
    folds = []
    for numbers in product(*(sorted(group.unique()) for group in groups)):
        pairs = list(zip(groups, numbers, strict=True))
        is_test = np.logical_and.reduce([group == number for group, number in pairs])
        is_free = np.logical_and.reduce([group != number for group, number in pairs])
        folds.append((pd.Series(is_test, rows.index), pd.Series(is_free, rows.index)))
    return folds


def check_scaling(step: Step) -> None:
    """Raise `LeakError` where the scaler is fitted on test rows and the step does not declare it.

    Leaks that the folds show, such as selection on the test rows, are found by `check_split`.
    """
    is_known = step.selected_on in ("", "validation", "test")
    if step.scaled_on not in ("train", "all") or not is_known:
        raise SplitError(
            f"{step.name}: scaled_on='{step.scaled_on}', selected_on='{step.selected_on}': known "
            "are train and all, and validation, test or nothing"
        )
    if step.scaled_on == "all" and "scaled_on_test" not in step.leaks:
        raise LeakError(
            f"{step.name}: features are standardised on the test rows as well; scale on the "
            "training rows, or declare 'scaled_on_test'"
        )


def plan_step(step: Step, clips: pd.DataFrame, seed: int) -> Plan:
    """Divide the clips of one corpus as a step says; `LeakError` if it leaks undeclared."""
    check_scaling(step)
    label_set = LABEL_SETS[get_corpus(corpus_of(clips)).label_set]
    if step.is_permuted:
        clips = clips.assign(emotion=_permuted(clips, seed))
    rows = rows_of(clips, label_set, step.variants)
    originals = rows[rows["variant"] == "original"].reset_index(drop=True)
    divided = rows if step.is_made_before else originals
    n_train = _size_of(step, clips, seed)
    folds = []
    for number, (is_test, is_free) in enumerate(assign_folds(divided, step.by, seed=seed)):
        rng = generator("trial", seed, number)
        fold = _fold_of(step, divided[is_test], divided[is_free], n_train, rng)
        if not step.is_made_before:
            fold = with_training_variants(fold, step.variants[1:])
        folds.append(fold)
    split = Split(step.name, tuple(folds))
    check_split(rows, split, declared=step.leaks)
    present = set(originals["label"].unique())
    labels = tuple(label for label in label_set.labels if label in present)
    return Plan(step, seed, rows, split, labels)


def n_training_speakers(clips: pd.DataFrame) -> int:
    """Return the number of training speakers that every fold of the step `speakers` has."""
    plan = plan_step(STEPS["speakers"], clips, 0)
    speaker_of = plan.rows.set_index("row_id")["speaker"]
    return min(speaker_of[list(fold.train)].nunique() for fold in plan.split.folds)


def _permuted(clips: pd.DataFrame, seed: int) -> np.ndarray:
    """Permute the emotions among all clips.

    Not within each speaker: a test clip would then take its label away from the speaker's training
    clips, and scores would fall below chance.
    """
    return generator("permuted", seed).permutation(clips["emotion"].to_numpy())


def _size_of(step: Step, clips: pd.DataFrame, seed: int) -> int:
    """Return the smallest training fold of the step `step.size_of`, or 0."""
    if not step.size_of:
        return 0
    other = plan_step(STEPS[step.size_of], clips, seed)
    return min(len(fold.train) for fold in other.split.folds)


def _fold_of(
    step: Step, test: pd.DataFrame, free: pd.DataFrame, n_train: int, rng: np.random.Generator
) -> Fold:
    speakers = rng.permutation(sorted(free["speaker"].unique()))
    validation = free.iloc[:0]
    if step.selected_on:
        n_validation = max(1, len(speakers) // SPEAKERS_A_VALIDATION)
        is_validation = free["speaker"].isin(speakers[:n_validation])
        validation, free = free[is_validation], free[~is_validation]
    if step.n_speakers:
        if len(speakers) < step.n_speakers:
            raise SplitError(
                f"{step.name}: a fold has {len(speakers)} training speakers, fewer than the "
                f"{step.n_speakers} required"
            )
        free = free[free["speaker"].isin(speakers[: step.n_speakers])]
    if n_train:
        free = free.iloc[np.sort(rng.choice(len(free), min(n_train, len(free)), replace=False))]
    selection = test if step.selected_on == "test" else validation
    return Fold(*(tuple(part["row_id"].tolist()) for part in (free, selection, test)))


TWIN_COLUMNS = [
    *("step", "twin", "name", "twin_name"),
    *("with_leak", "without"),
]

# Raised when a trial changes in a way that neither its step nor its folds show.
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
        """Columns `speaker, truth, prediction`, one row per test row, one table per seed."""
        return tuple(_table_of(one["counts"], self.labels) for one in self.entries)

    @property
    def uar_by_seed(self) -> list[float]:
        """UAR of each seed alone."""
        totals = [np.sum(list(one["counts"].values()), axis=0) for one in self.entries]
        return [float(uar(one)) for one in totals]

    @cached_property
    def score(self) -> Score:
        """UAR and WA over all seeds, with intervals by speaker."""
        return score_predictions(self.tables, self.labels)

    def known(self, what: str) -> float:
        """Share of test rows whose audio, clip, speaker or sentence is in training."""
        return float(np.mean([one["known"][what] for one in self.entries]))

    @property
    def n_train(self) -> float:
        """Training rows per fold, mean over folds and seeds."""
        return float(np.mean([one["n_train"] for one in self.entries]))


def run_step(step: Step, clips: pd.DataFrame, *, n_seeds: int = 0, max_epochs: int = 0) -> Trial:
    """Return a step's trial, training the seeds that are not stored; 0 takes all seeds or epochs.

    Raises `RunError` if something must be trained and the audio is missing.
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
            "missing; point SER_DATA at the corpora"
        )
    for plan in progress(missing, total=len(missing), what=f"ladder, {step.name}"):
        with locked(target):
            if target.is_file():  # with what another process has trained meanwhile
                stored = json.loads(target.read_text(encoding="utf-8"))
            if not _is_stored(stored, plan):
                stored[str(plan.seed)] = _train(plan, clips)
                write_json(target, stored)
    note_read(target)
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
        "judge": step.selected_on,
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
        # The accuracy on the selection rows: of equally good candidates the first is taken.
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
    """What the fits of a plan share: rows, their classes, and the features of all clips."""

    plan: Plan
    table: pd.DataFrame
    classes: pd.Series
    position: pd.Series
    arrays: dict[str, tuple[np.ndarray, ...]]
    """By feature: one array for each variant that is no mere copy."""
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
        # Of an encoder: (row, view, layer, statistic, value), half precision; view 0 is unchanged.
        if candidate.layer is None:
            return found
        return found[:, 0, candidate.layer].astype(np.float32)

    def fit(self, candidate: Candidate, fold: Fold) -> FitResult:
        """Train a candidate on a fold; its history ends with the accuracy on the selection rows."""
        # Where nothing is selected, the second part has no effect.
        parts = (fold.train, fold.validation or fold.train, fold.test)
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


def count_by_speaker(predicted: pd.DataFrame, labels: Sequence[str]) -> dict[str, list[list[int]]]:
    """Count the classes of each speaker's rows (`label` by row, `prediction` by column)."""
    return {
        speaker: confusion_counts(part["label"], part["prediction"], labels).tolist()
        for speaker, part in predicted.groupby("speaker")
    }


def _scaled_like(everything: Sequence[np.ndarray], part: np.ndarray) -> np.ndarray:
    """Standardise a part on all rows: a leak, see `check_scaling`."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(np.concatenate(list(everything)))
    return scaler.transform(part).astype(np.float32)


def _table_of(counts: dict[str, list[list[int]]], labels: Sequence[str]) -> pd.DataFrame:
    """Turn counts by speaker into rows `speaker, truth, prediction` again, in no given order."""
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


def run_steps(
    steps: Iterable[Step], clips: pd.DataFrame, *, n_seeds: int = 0, max_epochs: int = 0
) -> dict[str, Trial]:
    """Return the trials of several steps by name, as `run_step`."""
    steps = list(steps)
    # Bars of the steps themselves are words at the end of this one.
    shown = progress(steps, total=len(steps), what="steps of the ladder")
    return {one.name: run_step(one, clips, n_seeds=n_seeds, max_epochs=max_epochs) for one in shown}


def run_encoder_steps(
    clips: pd.DataFrame, *, n_seeds: int = 0, max_epochs: int = 0
) -> tuple[dict[str, Trial], str]:
    """Run the steps that need a pretrained encoder; without its weights, say how to get them.

    Empty for the embedded corpus, which is tested without an encoder.
    """
    if get_corpus(corpus_of(clips)).is_embedded:
        return {}, ""
    try:
        return run_steps(ENCODER_LEAKS, clips, n_seeds=n_seeds, max_epochs=max_epochs), ""
    except EncoderError as error:
        return {}, " ".join(str(error).split())


def step_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Tabulate trials, one row per step: UAR (`value, low, high`), sizes, and shares of `KNOWN`."""
    return pd.DataFrame(
        {
            "step": name,
            "name": one.step.title,
            "value": one.score.uar,
            "low": one.score.uar_low,
            "high": one.score.uar_high,
            "wa": one.score.wa,
            "n_train": one.n_train,
            "n_test": one.score.n_rows,
            "n_seeds": one.score.n_seeds,
            **{what: one.known(what) for what in KNOWN},
        }
        for name, one in trials.items()
    )


def with_controls(steps: pd.DataFrame, trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Add the scores of each step's control and of its permuted labels; NaN where there is none."""
    controls = [trials.get(CONTROL_OF.get(one, "")) for one in steps["step"]]
    nulls = [trials.get(permuted(STEPS[one]).name) for one in steps["step"]]
    return steps.assign(
        control=[one.score.uar if one else np.nan for one in controls],
        control_low=[one.score.uar_low if one else np.nan for one in controls],
        control_high=[one.score.uar_high if one else np.nan for one in controls],
        permuted=[one.score.uar if one else np.nan for one in nulls],
    )


def twin_table(
    trials: Mapping[str, Trial],
    *,
    further: Sequence[tuple[str, str]] = (),
    best_of: str = "",
) -> pd.DataFrame:
    """Compare steps with their twins: `value, low, high` are the UAR that the leak is worth.

    All rows are one family of `compare_tables`, paired by speaker over the seeds that both have;
    `further` are pairs of steps as well, `best_of` a step whose best seed on the test speakers is
    compared with the mean of all.
    """
    twins = [(name, one.step.twin) for name, one in trials.items() if one.step.twin]
    rows, pairs = [], []
    for name, twin_name in (*twins, *further):
        one, twin = trials[name], trials[twin_name]
        n_seeds = min(len(one.entries), len(twin.entries))
        titles = (one.step.title, twin.step.title)
        rows.append((one.step.name, twin.step.name, *titles, one.score.uar, twin.score.uar))
        pairs.append((one.tables[:n_seeds], twin.tables[:n_seeds]))
    if best_of and len(trials[best_of].tables) > 1:
        trial = trials[best_of]
        scores = trial.uar_by_seed
        titles = (f"Best of {len(scores)} seeds reported", f"Mean of {len(scores)} seeds")
        rows.append(("best_seed", best_of, *titles, max(scores), float(np.mean(scores))))
        pairs.append(([trial.tables[int(np.argmax(scores))]], trial.tables))
    labels = next(iter(trials.values())).labels
    worth = compare_tables(pairs, labels).rename(columns={"difference": "value"})
    return pd.DataFrame(rows, columns=TWIN_COLUMNS).join(worth)


def null_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """List the UAR of every permutation of the labels."""
    return pd.DataFrame(
        {"step": name, "name": one.step.title, "uar": value}
        for name, one in trials.items()
        for value in one.uar_by_seed
    )


def curve_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Tabulate the learning curve; `spread` is the standard deviation over training speakers."""
    return pd.DataFrame(
        {
            "n_speakers": one.step.n_speakers,
            "n_train": one.n_train,
            "value": one.score.uar,
            "low": one.score.uar_low,
            "high": one.score.uar_high,
            "spread": one.score.uar_seed_spread,
        }
        for one in trials.values()
    )


def recall_table() -> pd.DataFrame:
    """Tabulate the share of each kind of copy that `ser audit` finds, one column per corpus.

    Read from `reports/audit/fingerprint.csv`, which `tools.evaluate_duplicates` writes; no row
    where it is missing. The attribute `n_false` counts pairs of different recordings that were
    called copies, `n_copies` the copies of each kind.
    """
    path = duplicates_table_path()
    if not path.is_file():
        return pd.DataFrame(columns=["kind"])
    shipped = pd.read_csv(path).query("chosen_on == 'shipped'")
    made = shipped[shipped["n_copies"] > 0]
    wide = made.pivot(index="kind", columns="corpus", values="recall")
    table = wide.reindex(made["kind"].unique()).rename_axis(columns=None).reset_index()
    table.attrs.update(
        n_false=int(shipped["n_false"].sum()), n_copies=int(made["n_copies"].iloc[0])
    )
    return table


def read_reports() -> pd.DataFrame:
    """Read the findings of all committed reports of `ser audit`, without any audio.

    From `reports/audit/*.json`; columns `corpus, level, kind, describes, n_clips, share, detail`.
    """
    findings = [
        {"corpus": path.stem, **finding}
        for path in sorted((reports_dir() / "audit").glob("*.json"))
        for finding in json.loads(path.read_text(encoding="utf-8"))["findings"]
    ]
    columns = ["corpus", "level", "kind", "describes", "n_clips", "share", "detail"]
    return pd.DataFrame(findings, columns=columns)
