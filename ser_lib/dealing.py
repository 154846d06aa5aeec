"""Dealing: a step of the leak ladder turned into folds, and audited before anything is trained.

Rows are dealt into folds by what may not be on two sides: the row, the clip, the speaker, the
sentence. A step's folds pass through the same audit as any run's, and its use of test rows for
scaling through `check_reading`: what a step does not own up to raises.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import pandas as pd

from ser_lib.audit import FINDINGS, check_split
from ser_lib.corpora import corpus_of, get_corpus
from ser_lib.errors import LeakError, SplitError
from ser_lib.labels import LABEL_SETS
from ser_lib.ladder import STEPS, Step
from ser_lib.seeds import generator
from ser_lib.splits import Fold, Split, rows_of, with_training_variants

__all__ = ["KNOWN", "Plan", "check_reading", "deal", "n_training_speakers", "plan_step"]

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


def deal(
    rows: pd.DataFrame, by: Sequence[str], *, n_folds: int = N_FOLDS, seed: int = 0
) -> list[tuple[pd.Series, pd.Series]]:
    """Deal the values of one or more columns into groups, and cross the groups into folds.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `ser_lib.splits.rows_of`.
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
    for number, (is_test, is_free) in enumerate(deal(dealt, step.by, seed=seed)):
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
