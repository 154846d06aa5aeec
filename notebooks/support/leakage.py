"""The ladder's trials as tables of numbers: steps, what each leak is worth, the learning curve.

Numbers here are shares in [0, 1]; `ser_lib.evaluation.formatting` turns them into percent.
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
from ser_lib.data.splits import Fold, Split, rows_of, with_training_variants
from ser_lib.errors import AuditError, EncoderError, LeakError, RunError, SplitError
from ser_lib.evaluation.metrics import (
    Score,
    confusion_counts,
    difference_interval,
    score_predictions,
)
from ser_lib.features.extraction import Rows, extract
from ser_lib.models import family_of
from ser_lib.paths import atomic_path, duplicates_table_path, report_dir
from ser_lib.runs.store import provenance
from ser_lib.runtime import progress
from ser_lib.seeds import generator
from ser_lib.training.fit import TRAINING_VERSION, FitResult, FoldArrays, fit_fold
from support.leakage_steps import CONTROL_OF, ENCODER_LEAKS, STEPS, Candidate, Step, permuted

N_FOLDS = 5

# Of the training speakers, one in so many validates, where a step has a judge.
SPEAKERS_A_VALIDATION = 6

# What training rows may know of a test row, in the order in which it gives less away.
KNOWN = {
    "audio": FINDINGS["same_audio"][1],
    "clip": FINDINGS["same_parent"][1],
    "speaker": FINDINGS["same_speaker"][1],
    "sentence": lambda rows: rows["statement"],
}


@dataclass(frozen=True)
class Plan:
    """A step with a seed before it is trained."""

    step: Step
    seed: int
    rows: pd.DataFrame
    split: Split
    labels: tuple[str, ...]
    known: dict[str, float]
    """Share of the test rows of which something in `KNOWN` is in training, in [0, 1]."""

    @property
    def folds_sha256(self) -> str:
        """Hash of folds and labels."""
        folds = json.dumps([asdict(fold) for fold in self.split.folds])
        labels = self.rows[["row_id", "label", "audio_sha256"]].to_csv(index=False)
        return hashlib.sha256((folds + labels).encode()).hexdigest()


def assign_folds(
    rows: pd.DataFrame, by: Sequence[str], *, n_folds: int = N_FOLDS, seed: int = 0
) -> list[tuple[pd.Series, pd.Series]]:
    """Deal the values of one or more columns into groups, and cross the groups into folds.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `ser_lib.data.splits.rows_of`.
    by : sequence of str
        Columns; rows with one value stay together. Speakers are dealt by gender in turn, rows and
        clips by label.
    n_folds : int
        Groups of a column, or as many as it has values.
    seed : int
        Of the order in which values are dealt.

    Returns
    -------
    list of tuple of pandas.Series of bool
        For every fold which rows are its test rows, and which may be trained on: those that share
        no value with them in any of the columns. Every row is tested once.

    Raises
    ------
    SplitError
        If a column has a single value, which cannot be on two sides.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    groups = []
    for column in by:
        stratum = "gender" if column == "speaker" else "label"
        values = rows.drop_duplicates(column)[[column, stratum]]
        if len(values) < 2:
            raise SplitError(
                f"all rows have the {column} '{values[column].iloc[0]}': there is none to test on "
                "that training has not; use a corpus of several"
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


def check_reading(step: Step) -> None:
    """Raise where a step lets the scaler see test rows and does not say so.

    What its folds show, a judge that is the test part for instance, is the audit's to find.

    Raises
    ------
    LeakError
        If the scaler sees all rows and the step does not declare `scaled_on_test`.
    """
    if step.scaled_on not in ("train", "all") or step.judge not in ("", "validation", "test"):
        raise SplitError(
            f"{step.name}: scaled_on='{step.scaled_on}', judge='{step.judge}': known are train and "
            "all, and validation, test or nothing"
        )
    if step.scaled_on == "all" and "scaled_on_test" not in step.leaks:
        raise LeakError(
            f"{step.name}: features are standardised on the test rows as well; scale on the "
            "training rows, or declare 'scaled_on_test'"
        )


def plan_step(step: Step, clips: pd.DataFrame, seed: int) -> Plan:
    """Divide the clips as a step says, and audit the result.

    Parameters
    ----------
    step : Step
        What to do.
    clips : pandas.DataFrame
        Clip table of one corpus.
    seed : int
        Of the division, and of what is permuted.

    Returns
    -------
    Plan
        Nothing is trained yet.

    Raises
    ------
    LeakError
        If the step leaks in a way that it does not declare.
    SplitError
        If the corpus has too few speakers or sentences for it.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    check_reading(step)
    label_set = LABEL_SETS[get_corpus(corpus_of(clips)).label_set]
    if step.is_permuted:
        clips = clips.assign(emotion=_permuted(clips, seed))
    originals = rows_of(clips, label_set)
    rows = rows_of(clips, label_set, step.variants)
    dealt = rows if step.is_made_before else originals
    n_train = _size_of(step, clips, seed)
    folds = []
    for number, (is_test, is_free) in enumerate(assign_folds(dealt, step.by, seed=seed)):
        rng = generator("trial", seed, number)
        fold = _fold_of(step, dealt[is_test], dealt[is_free], n_train, rng)
        if not step.is_made_before:
            fold = with_training_variants(fold, step.variants[1:])
        folds.append(fold)
    split = Split(step.name, tuple(folds))
    check_split(rows, split, declared=step.leaks)
    present = set(originals["label"])
    labels = tuple(label for label in label_set.labels if label in present)
    return Plan(step, seed, rows, split, labels, _known_shares(rows, split))


def n_training_speakers(clips: pd.DataFrame) -> int:
    """Count the speakers that every fold of the step `speakers` has to train on.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    plan = plan_step(STEPS["speakers"], clips, 0)
    speaker_of = plan.rows.set_index("row_id")["speaker"]
    return min(speaker_of[list(fold.train)].nunique() for fold in plan.split.folds)


def _permuted(clips: pd.DataFrame, seed: int) -> np.ndarray:
    """Deal the emotions anew among all clips.

    Not within each speaker: a clip that is tested would then take its label away from the speaker's
    training clips, and scores would fall below chance.
    """
    return generator("permuted", seed).permutation(clips["emotion"].to_numpy())


def _size_of(step: Step, clips: pd.DataFrame, seed: int) -> int:
    """Return the smallest number of training clips of the step whose size is asked for, or 0."""
    if not step.size_of:
        return 0
    other = plan_step(STEPS[step.size_of], clips, seed)
    return min(len(fold.train) for fold in other.split.folds)


def _fold_of(
    step: Step, test: pd.DataFrame, free: pd.DataFrame, n_train: int, rng: np.random.Generator
) -> Fold:
    speakers = rng.permutation(sorted(free["speaker"].unique()))
    validation = free.iloc[:0]
    if step.judge:
        n_validation = max(1, len(speakers) // SPEAKERS_A_VALIDATION)
        is_validation = free["speaker"].isin(speakers[:n_validation])
        validation, free = free[is_validation], free[~is_validation]
    if step.n_speakers:
        if len(speakers) < step.n_speakers:
            raise SplitError(
                f"{step.name}: a fold has {len(speakers)} training speakers, fewer than the "
                f"{step.n_speakers} asked for"
            )
        free = free[free["speaker"].isin(speakers[: step.n_speakers])]
    if n_train:
        free = free.iloc[np.sort(rng.choice(len(free), min(n_train, len(free)), replace=False))]
    judge = test if step.judge == "test" else validation
    return Fold(*(tuple(part["row_id"]) for part in (free, judge, test)))


def _known_shares(rows: pd.DataFrame, split: Split) -> dict[str, float]:
    table = rows.set_index("row_id", drop=False)
    shares = {}
    for what, key_of in KNOWN.items():
        keys = key_of(table)
        is_known = [keys[list(fold.test)].isin(set(keys[list(fold.train)])) for fold in split.folds]
        shares[what] = round(float(pd.concat(is_known).mean()), 4)
    return shares


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
    """Standardise a part on all rows there are: a sin, see `support.leakage.check_reading`."""
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


def run_steps(
    steps: Iterable[Step], clips: pd.DataFrame, *, n_seeds: int = 0, max_epochs: int = 0
) -> dict[str, Trial]:
    """Run several steps, or load what is stored of them.

    Parameters
    ----------
    steps : iterable of Step
        Which.
    clips, n_seeds, max_epochs
        As `support.leakage.run_step`.

    Returns
    -------
    dict of str to Trial
        By the steps' names, in their order.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    return {one.name: run_step(one, clips, n_seeds=n_seeds, max_epochs=max_epochs) for one in steps}


def run_encoder_steps(
    clips: pd.DataFrame, *, n_seeds: int = 0, max_epochs: int = 0
) -> tuple[dict[str, Trial], str]:
    """Run the steps that need a pretrained encoder, or say what they lack.

    Parameters
    ----------
    clips, n_seeds, max_epochs
        As `support.leakage.run_step`.

    Returns
    -------
    dict of str to Trial
        As `run_steps`; empty where weights are missing and nothing is stored, and on the embedded
        corpus, which does without an encoder.
    str
        What is missing and how to get it; empty where nothing is.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    if get_corpus(corpus_of(clips)).is_embedded:
        return {}, ""
    try:
        return run_steps(ENCODER_LEAKS, clips, n_seeds=n_seeds, max_epochs=max_epochs), ""
    except EncoderError as error:
        return {}, " ".join(str(error).split())


def step_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Lay trials out: one row a step.

    Parameters
    ----------
    trials : mapping of str to Trial
        From `run_steps`.

    Returns
    -------
    pandas.DataFrame
        Columns `step`, `name`, `value, low, high` (UAR with its 95 % interval by speaker), `wa`,
        `n_train` (training rows a fold), `n_test` (test rows a seed), `n_seeds`, and for each of
        `support.leakage.KNOWN` the share of the test rows of which training knows it.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
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
    """Set a step's control and its permuted labels beside its score, for the figure.

    Parameters
    ----------
    steps : pandas.DataFrame
        Rows of `step_table`.
    trials : mapping of str to Trial
        Controls and permuted steps; those that are not there are left empty.

    Returns
    -------
    pandas.DataFrame
        With the columns `control, control_low, control_high` and `permuted`, NaN where empty.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    controls = [trials.get(CONTROL_OF.get(one, "")) for one in steps["step"]]
    nulls = [trials.get(permuted(STEPS[one]).name) for one in steps["step"]]
    return steps.assign(
        control=[one.score.uar if one else np.nan for one in controls],
        control_low=[one.score.uar_low if one else np.nan for one in controls],
        control_high=[one.score.uar_high if one else np.nan for one in controls],
        permuted=[one.score.uar if one else np.nan for one in nulls],
    )


def twin_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Tell what each leak is worth: a step's UAR minus that of its twin without the leak.

    Parameters
    ----------
    trials : mapping of str to Trial
        Steps and their twins; steps without a twin are left out.

    Returns
    -------
    pandas.DataFrame
        Columns `step, twin`, their titles `name, twin_name`, their UAR `with_leak, without`, and
        `value, low, high`: the difference with its 95 % interval, paired by speaker and over the
        seeds that both have.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    rows = []
    for name, one in trials.items():
        if not one.step.twin:
            continue
        twin = trials[one.step.twin]
        n_seeds = min(len(one.tables), len(twin.tables))
        value, low, high = difference_interval(
            one.tables[:n_seeds], twin.tables[:n_seeds], one.labels
        )
        rows.append(
            {
                "step": name,
                "twin": one.step.twin,
                "name": one.step.title,
                "twin_name": twin.step.title,
                "with_leak": one.score.uar,
                "without": twin.score.uar,
                "value": value,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def best_of_seeds(trial: Trial) -> dict[str, object]:
    """Tell what is gained by reporting the best of several seeds, chosen on the test speakers.

    Parameters
    ----------
    trial : Trial
        Of an honest step with several seeds.

    Returns
    -------
    dict
        A row as of `twin_table`: the best seed against the mean of all.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    scores = [_uar_of(table) for table in trial.tables]
    best = trial.tables[int(np.argmax(scores))]
    value, low, high = difference_interval([best], trial.tables, trial.labels)
    n_seeds = len(scores)
    return {
        "step": "best_seed",
        "twin": trial.step.name,
        "name": f"Best of {n_seeds} seeds reported",
        "twin_name": f"Mean of {n_seeds} seeds",
        "with_leak": max(scores),
        "without": float(np.mean(scores)),
        "value": value,
        "low": low,
        "high": high,
    }


def _uar_of(table: pd.DataFrame) -> float:
    is_right = table["truth"] == table["prediction"]
    return float(is_right.groupby(table["truth"]).mean().mean())


def null_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """List the UAR of every permutation of the labels.

    Parameters
    ----------
    trials : mapping of str to Trial
        Of permuted steps.

    Returns
    -------
    pandas.DataFrame
        One row a permutation: `step`, `name`, `uar`; and the step's `value, low, high` over all of
        them, with an interval by speaker.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    return pd.DataFrame(
        {
            "step": name,
            "name": one.step.title,
            "uar": _uar_of(table),
            "value": one.score.uar,
            "low": one.score.uar_low,
            "high": one.score.uar_high,
        }
        for name, one in trials.items()
        for table in one.tables
    )


def curve_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Lay the learning curve out: one row a number of training speakers.

    Parameters
    ----------
    trials : mapping of str to Trial
        Of `support.leakage_steps.learning_steps`.

    Returns
    -------
    pandas.DataFrame
        Columns `n_speakers`, `n_train`, `value, low, high` (UAR, interval by test speaker) and
        `spread`: the standard deviation over draws of the training speakers.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
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


def read_trial() -> pd.DataFrame:
    """Read the committed measurement, `reports/audit/fingerprint.csv`; no audio is needed.

    Returns
    -------
    pandas.DataFrame
        As `score_trial`.

    Raises
    ------
    AuditError
        If it is not there.
    """
    path = duplicates_table_path()
    if not path.is_file():
        raise AuditError(
            f"{path}: no measurement; make it with python -m tools.evaluate_duplicates"
        )
    return pd.read_csv(path)


def recall_table() -> pd.DataFrame:
    """Lay the committed measurement out: which share of each kind of copy the default finds.

    Returns
    -------
    pandas.DataFrame
        Column `kind` and one a corpus, shares in [0, 1]; attrs `n_false` counts the pairs of
        different recordings that were called copies, and `n_copies` the copies of each kind. No row
        where no measurement is there.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    if not duplicates_table_path().is_file():
        return pd.DataFrame(columns=["kind"])
    shipped = read_trial().query("chosen_on == 'shipped'")
    made = shipped[shipped["n_copies"] > 0]
    wide = made.pivot(index="kind", columns="corpus", values="recall")
    table = wide.reindex(made["kind"].unique()).rename_axis(columns=None).reset_index()
    table.attrs.update(
        n_false=int(shipped["n_false"].sum()), n_copies=int(made["n_copies"].iloc[0])
    )
    return table
