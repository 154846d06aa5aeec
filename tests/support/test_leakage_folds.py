"""Fold assignment: every step divides as its name says, and undeclared leaks are refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import rows_of
from ser_lib.errors import LeakError, SplitError
from support.leakage import assign_folds, check_scaling, n_training_speakers, plan_step
from support.leakage_steps import (
    CONTROLS,
    DECLARED_LEAKS,
    ENCODER_LEAKS,
    LADDER,
    STEPS,
    learning_steps,
    permuted,
)

EVERY = (*LADDER, *CONTROLS, *DECLARED_LEAKS, *ENCODER_LEAKS)


@pytest.fixture(scope="module")
def clips(ravdess_table):
    """480 clips of 8 speakers: enough to divide, few enough to be quick."""
    few = [f"ravdess-{number:02d}" for number in range(1, 9)]
    return ravdess_table[ravdess_table["speaker"].isin(few)].reset_index(drop=True)


@pytest.mark.parametrize("step", EVERY, ids=lambda one: one.name)
def test_a_step_tests_every_row_once_and_passes_the_audit_with_what_it_declares(step, clips):
    plan = plan_step(step, clips, 1)
    tested = [row for fold in plan.split.folds for row in fold.test]
    assert len(tested) == len(set(tested))
    rows = plan.rows if step.is_made_before else plan.rows[plan.rows["variant"] == "original"]
    assert set(tested) == set(rows["row_id"])
    for fold in plan.split.folds:
        assert not set(fold.train) & {*fold.test, *fold.validation}


@pytest.mark.parametrize("step", [one for one in EVERY if one.leaks], ids=lambda one: one.name)
def test_a_step_with_undeclared_leaks_is_refused(step, clips):
    with pytest.raises(LeakError):
        plan_step(replace(step, leaks=()), clips, 1)


def test_each_step_of_the_ladder_removes_something_that_training_shares_with_test(clips):
    known = {one.name: plan_step(one, clips, 1).known for one in LADDER}
    assert known["twice"]["audio"] > 0.7
    assert known["augmented"]["audio"] == 0 < 0.9 < known["augmented"]["clip"]
    assert known["clips"] == {"audio": 0, "clip": 0, "speaker": 1, "sentence": 1}
    assert known["speakers"] == {"audio": 0, "clip": 0, "speaker": 0, "sentence": 1}
    assert known["sentences"] == {"audio": 0, "clip": 0, "speaker": 1, "sentence": 0}
    assert known["both"] == {"audio": 0, "clip": 0, "speaker": 0, "sentence": 0}


def test_selection_on_the_test_fold_leaves_the_training_rows_alone(clips):
    leaking, honest = (plan_step(STEPS[one], clips, 7) for one in ("stopped_on_test", "stopped"))
    for ours, theirs in zip(leaking.split.folds, honest.split.folds, strict=True):
        assert ours.train == theirs.train
        assert ours.test == theirs.test == ours.validation
        assert not set(theirs.validation) & set(theirs.test)


def test_the_controls_have_the_size_of_the_last_step(clips):
    smallest = min(len(fold.train) for fold in plan_step(STEPS["both"], clips, 3).split.folds)
    for name in ("clips_few", "speakers_few", "sentences_few"):
        sizes = {len(fold.train) for fold in plan_step(STEPS[name], clips, 3).split.folds}
        assert sizes == {smallest}, name


def test_variants_made_after_the_division_are_in_training_only(clips):
    plan = plan_step(STEPS["augmented_inside"], clips, 1)
    for fold in plan.split.folds:
        assert not any("#" in row for row in fold.test)
        assert sum("#" in row for row in fold.train) == 4 * len(fold.train) / 5


def test_smaller_sets_of_training_speakers_are_part_of_larger_ones(clips):
    speaker_of = dict(zip(clips["clip_id"], clips["speaker"], strict=True))
    chosen, tested = [], []
    for step in learning_steps(n_training_speakers(clips)):
        fold = plan_step(step, clips, 5).split.folds[0]
        chosen.append({speaker_of[row] for row in fold.train})
        tested.append(fold.test)
        assert len(chosen[-1]) == step.n_speakers
    assert all(few < many for few, many in pairwise(chosen))
    assert len(set(tested)) == 1


def test_more_training_speakers_than_there_are_is_refused(clips):
    with pytest.raises(SplitError, match="19"):
        plan_step(learning_steps(19)[-1], clips, 1)


def test_permuted_labels_keep_their_counts_and_lose_their_clips(clips):
    plain = plan_step(STEPS["speakers"], clips, 1).rows
    changed = plan_step(permuted(STEPS["speakers"]), clips, 1).rows
    counts = [one.groupby("label").size() for one in (plain, changed)]
    pd.testing.assert_series_equal(*counts)
    assert np.mean(plain["label"].to_numpy() == changed["label"].to_numpy()) < 0.25


def test_copies_of_a_clip_share_its_permuted_label(clips):
    rows = plan_step(permuted(STEPS["twice"]), clips, 1).rows
    assert (rows.groupby("clip_id")["label"].nunique() == 1).all()


def test_folds_depend_on_the_seed_alone(clips):
    first, again, other = (plan_step(STEPS["speakers"], clips, seed) for seed in (1, 1, 2))
    assert first.folds_sha256 == again.folds_sha256 != other.folds_sha256


def test_folds_are_alike_in_gender(clips):
    rows = rows_of(clips, LABEL_SETS["ravdess8"])
    shares = [
        (rows.loc[is_test, "gender"] == "female").mean()
        for is_test, _ in assign_folds(rows, ["speaker"])
    ]
    # Eight speakers in five folds: some folds have one speaker, none has two of one gender.
    pairs = [
        rows.loc[is_test, "speaker"].nunique() for is_test, _ in assign_folds(rows, ["speaker"])
    ]
    assert all(share == 0.5 for share, n in zip(shares, pairs, strict=True) if n == 2)


def test_one_value_cannot_be_on_two_sides(clips):
    one = clips[clips["speaker"] == "ravdess-01"]
    with pytest.raises(SplitError, match="ravdess-01"):
        plan_step(STEPS["speakers"], one, 1)


@pytest.mark.parametrize("wrong", [{"scaled_on": "test"}, {"selected_on": "nobody"}])
def test_a_step_with_an_unknown_setting_is_refused(wrong):
    with pytest.raises(SplitError, match=next(iter(wrong.values()))):
        check_scaling(replace(STEPS["speakers"], **wrong))
