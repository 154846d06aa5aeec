"""Protocols: the published sizes and folds, and speakers that never cross."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from ser_lib.errors import SplitError
from ser_lib.labels import LABEL_SETS
from ser_lib.splits import (
    LUNA5_TEST,
    LUNA5_VALIDATION,
    PROTOCOLS,
    Fold,
    Protocol,
    make_split,
    rows_of,
    variants_of,
    with_training_variants,
)
from ser_lib.studies import STUDIES

RANDOM = Protocol(
    "random", params={"test_share": 0.2, "validation_share": 0.2, "is_stratified": True}
)
HONEST = pytest.mark.parametrize("name", ["luna5", "loso"])
SEEDED = pytest.mark.parametrize("seed", [0, 1, 42, 2**31])


@pytest.fixture(scope="module")
def ravdess_rows(ravdess_table):
    return rows_of(ravdess_table, LABEL_SETS["ravdess8"])


@pytest.fixture
def small_rows(few_clips):
    return rows_of(few_clips, LABEL_SETS["ravdess8"])


def speakers_of(rows: pd.DataFrame, ids: tuple[str, ...]) -> set[str]:
    return set(rows.set_index("row_id").loc[list(ids), "speaker"])


# --- rows


def test_rows_are_clips_with_the_tasks_labels(few_clips, small_rows):
    assert list(small_rows["row_id"]) == list(few_clips["clip_id"])
    assert list(small_rows["label"]) == list(few_clips["emotion"])
    assert (small_rows["variant"] == "original").all()
    assert list(small_rows["audio_sha256"]) == list(few_clips["audio_sha256"])


def test_variants_follow_their_clip_and_have_their_own_names(few_clips):
    rows = rows_of(few_clips[:2], LABEL_SETS["ravdess8"], ("original", "copy", "noise"))
    first, second = few_clips["clip_id"][:2]
    assert list(rows["row_id"]) == [
        *(first, f"{first}#copy", f"{first}#noise"),
        *(second, f"{second}#copy", f"{second}#noise"),
    ]
    assert rows["row_id"].is_unique
    assert list(rows["clip_id"]) == [first] * 3 + [second] * 3


def test_clips_of_emotions_outside_the_task_give_no_rows(ravdess_table):
    rows = rows_of(ravdess_table, LABEL_SETS["emodb7"])
    # Without calm and surprised, 192 clips each, 1,056 of 1,440 are left.
    assert len(rows) == 1056
    assert rows["label"].notna().all()


def test_calm_counts_as_neutral_among_seven(ravdess_table):
    counts = Counter(rows_of(ravdess_table, LABEL_SETS["seven"])["label"])
    assert counts.pop("neutral") == 288
    assert set(counts.values()) == {192}


@pytest.mark.parametrize(
    ("copies", "augmentations", "expected"),
    [
        (1, (), ("original",)),
        (2, (), ("original", "copy")),
        (3, (), ("original", "copy", "copy3")),
        (1, ("noise", "pitch"), ("original", "noise", "pitch")),
    ],
)
def test_variants_are_named(copies, augmentations, expected):
    assert variants_of(copies, augmentations) == expected


# --- random


def test_swart_divides_2880_pictures_as_published(ravdess_table):
    study = STUDIES["swart2025"]
    variants = variants_of(study.copies, study.augmentations)
    rows = rows_of(ravdess_table, study.label_set, variants)
    (fold,) = make_split(rows, study.published_protocol, seed=42).folds
    assert len(rows) == 2880
    assert [len(part) for part in asdict(fold).values()] == [1843, 461, 576]


def test_boucheta_tests_on_1440_of_7200_rows_as_published(ravdess_table):
    study = STUDIES["boucheta2025"]
    rows = rows_of(ravdess_table, study.label_set, variants_of(1, study.augmentations))
    (fold,) = make_split(rows, study.published_protocol, seed=42).folds
    assert len(rows) == 7200
    assert len(fold.test) == 1440


@SEEDED
def test_a_stratified_split_keeps_the_shares_of_the_classes(ravdess_rows, seed):
    (fold,) = make_split(ravdess_rows, RANDOM, seed=seed).folds
    label_of = ravdess_rows.set_index("row_id")["label"]
    whole = label_of.value_counts(normalize=True)
    for part in asdict(fold).values():
        shares = label_of[list(part)].value_counts(normalize=True)
        # Rounded to whole rows: less than one row a class.
        assert (shares - whole).abs().max() < 1 / len(part)


def test_a_split_that_is_not_stratified_does_not(ravdess_rows):
    loose = Protocol("random", params=dict(RANDOM.params) | {"is_stratified": False})
    (fold,) = make_split(ravdess_rows, loose, seed=42).folds
    label_of = ravdess_rows.set_index("row_id")["label"]
    shares = label_of[list(fold.test)].value_counts(normalize=True)
    assert (shares - label_of.value_counts(normalize=True)).abs().max() > 1 / len(fold.test)


def test_a_random_split_is_that_of_scikit_learn(ravdess_rows):
    from sklearn.model_selection import train_test_split

    ids, labels = ravdess_rows["row_id"].to_numpy(), ravdess_rows["label"].to_numpy()
    rest, test = train_test_split(ids, test_size=0.2, random_state=42, stratify=labels)
    (fold,) = make_split(ravdess_rows, RANDOM, seed=42).folds
    assert fold.test == tuple(test)
    assert set(fold.train) | set(fold.validation) == set(rest)


@SEEDED
def test_a_random_split_uses_each_row_once(ravdess_rows, seed):
    (fold,) = make_split(ravdess_rows, RANDOM, seed=seed).folds
    assert sorted(fold.train + fold.validation + fold.test) == sorted(ravdess_rows["row_id"])


def test_another_seed_is_another_random_split(ravdess_rows):
    first, same, other = (make_split(ravdess_rows, RANDOM, seed=seed) for seed in (1, 1, 2))
    assert first == same
    assert set(first.folds[0].test) != set(other.folds[0].test)


# --- luna5


def test_luna5_tests_each_of_24_actors_once():
    assert sorted(actor for fold in LUNA5_TEST for actor in fold) == list(range(1, 25))


@pytest.mark.parametrize("fold", LUNA5_TEST)
def test_luna5_balances_the_genders_of_each_test_fold(fold):
    women = sum(actor % 2 == 0 for actor in fold)
    assert abs(2 * women - len(fold)) <= 1


@pytest.mark.parametrize("number", range(5))
def test_luna5_validates_on_a_man_and_a_woman_who_are_not_tested(number):
    validation = LUNA5_VALIDATION[number]
    assert sorted(actor % 2 for actor in validation) == [0, 1]
    assert not set(validation) & set(LUNA5_TEST[number])


def test_luna5_sizes_are_those_of_the_actors(ravdess_rows):
    sizes = [
        tuple(len(part) // 60 for part in asdict(fold).values())
        for fold in make_split(ravdess_rows, Protocol("luna5"), seed=0).folds
    ]
    assert sizes == [(17, 2, 5)] * 4 + [(18, 2, 4)]


def test_luna5_folds_hold_exactly_the_published_actors(ravdess_rows):
    folds = make_split(ravdess_rows, Protocol("luna5"), seed=0).folds
    for fold, test, validation in zip(folds, LUNA5_TEST, LUNA5_VALIDATION, strict=True):
        assert speakers_of(ravdess_rows, fold.test) == {f"ravdess-{n:02d}" for n in test}
        assert speakers_of(ravdess_rows, fold.validation) == {
            f"ravdess-{n:02d}" for n in validation
        }


def test_luna5_draws_nothing(ravdess_rows):
    first, second = (make_split(ravdess_rows, Protocol("luna5"), seed=s) for s in (1, 2))
    assert first == second


@pytest.mark.parametrize(
    "speakers", [["emodb-03", "emodb-16"], ["anna", "bert"], ["ravdess-01", "ravdess-25"]]
)
def test_luna5_refuses_speakers_who_are_not_the_actors_of_ravdess(small_rows, speakers):
    names = [speakers[number % 2] for number in range(len(small_rows))]
    if speakers[0].startswith("emodb"):
        names[0] = "tess-26"  # numbers beyond 24, or two corpora at once
    with pytest.raises(SplitError, match=r"luna5 names the 24 actors.*'loso'"):
        make_split(small_rows.assign(speaker=names), Protocol("luna5"), seed=0)


def test_luna5_refuses_emodb_although_its_numbers_look_like_actors(small_rows):
    names = ["03", "08", "09", "10", "11", "12", "13", "14", "15", "16"]
    speakers = [f"emodb-{names[number % 10]}" for number in range(len(small_rows))]
    with pytest.raises(SplitError, match=r"luna5.*first: emodb-03"):
        make_split(small_rows.assign(speaker=speakers), Protocol("luna5"), seed=0)


# --- loso


def test_loso_tests_each_speaker_alone(ravdess_rows):
    folds = make_split(ravdess_rows, Protocol("loso"), seed=3).folds
    assert [speakers_of(ravdess_rows, fold.test) for fold in folds] == [
        {speaker} for speaker in sorted(ravdess_rows["speaker"].unique())
    ]
    assert {len(speakers_of(ravdess_rows, fold.validation)) for fold in folds} == {2}


def test_loso_takes_as_many_validation_speakers_as_asked_for(ravdess_rows):
    split = make_split(ravdess_rows, Protocol("loso", params={"n_validation": 5}), seed=3)
    assert {len(speakers_of(ravdess_rows, fold.validation)) for fold in split.folds} == {5}


def test_loso_draws_other_validation_speakers_with_another_seed(ravdess_rows):
    first, same, other = (
        [fold.validation for fold in make_split(ravdess_rows, Protocol("loso"), seed=s).folds]
        for s in (1, 1, 2)
    )
    assert first == same
    assert first != other


def test_loso_validation_speakers_differ_from_fold_to_fold(ravdess_rows):
    folds = make_split(ravdess_rows, Protocol("loso"), seed=1).folds
    chosen = {frozenset(speakers_of(ravdess_rows, fold.validation)) for fold in folds}
    assert len(chosen) > 12


def test_loso_says_how_many_speakers_it_needs(small_rows):
    few = small_rows[small_rows["speaker"] < "demo-04"]
    with pytest.raises(SplitError, match="needs at least 4 speakers, there are 3"):
        make_split(few, Protocol("loso"), seed=0)
    enough = small_rows[small_rows["speaker"] < "demo-05"]
    assert len(make_split(enough, Protocol("loso"), seed=0).folds) == 4


# --- honest protocols


@HONEST
@SEEDED
def test_speakers_never_cross_and_every_row_is_tested_once(ravdess_rows, name, seed):
    folds = make_split(ravdess_rows, Protocol(name), seed=seed).folds
    for fold in folds:
        train, validation, test = (
            speakers_of(ravdess_rows, part) for part in asdict(fold).values()
        )
        assert not train & validation
        assert not train & test
        assert not validation & test
        assert sum(len(part) for part in asdict(fold).values()) == len(ravdess_rows)
    tested = Counter(row for fold in folds for row in fold.test)
    assert set(tested) == set(ravdess_rows["row_id"])
    assert set(tested.values()) == {1}


@HONEST
def test_the_order_of_the_rows_does_not_matter_for_who_is_where(ravdess_rows, name):
    shuffled = ravdess_rows.sample(frac=1.0, random_state=1)
    for fold, other in zip(
        make_split(ravdess_rows, Protocol(name), seed=5).folds,
        make_split(shuffled, Protocol(name), seed=5).folds,
        strict=True,
    ):
        assert set(fold.test) == set(other.test)
        assert set(fold.validation) == set(other.validation)


@HONEST
def test_a_class_that_one_speaker_alone_has_is_refused(small_rows, name):
    lonely = small_rows.copy()
    lonely.loc[lonely["speaker"] == "demo-02", "label"] = "disgust"
    with pytest.raises(SplitError, match=r"no training row of \['disgust'\].*several speakers"):
        make_split(lonely, Protocol(name), seed=0)


def test_a_fold_without_validation_speakers_is_refused(small_rows):
    # Actors 8, 17, 21, 23 and 24 are missing: nobody is left for fold 3.
    with pytest.raises(SplitError, match=r"luna5, fold \d: no row for .*too few speakers"):
        make_split(small_rows, Protocol("luna5"), seed=0)


# --- what does not fit


def test_an_unknown_protocol_names_the_known_ones(small_rows):
    with pytest.raises(SplitError, match=r"unknown protocol 'kfold'.*random.*luna5.*loso"):
        make_split(small_rows, Protocol("kfold"), seed=0)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_unknown_parameter_is_named(small_rows, name):
    params = dict(RANDOM.params) if name == "random" else {}
    with pytest.raises(SplitError, match="n_folds"):
        make_split(small_rows, Protocol(name, params=params | {"n_folds": 7}), seed=0)


def test_a_parameter_that_a_protocol_does_not_have_is_named(small_rows):
    with pytest.raises(SplitError, match="test_part"):
        make_split(small_rows, Protocol("random", {"test_part": 0.2}), seed=0)


def test_the_plain_random_protocol_takes_a_fifth_for_the_test(demo_clips):
    rows = rows_of(demo_clips, LABEL_SETS["ravdess8"])
    fold = make_split(rows, Protocol("random"), seed=0).folds[0]
    assert len(fold.test) == -(-len(rows) // 5)


@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_too_few_rows_for_a_random_split_give_a_clear_error(small_rows, n_rows):
    with pytest.raises(SplitError):
        make_split(small_rows[:n_rows], RANDOM, seed=0)


def test_a_class_of_one_row_cannot_be_stratified(small_rows):
    lonely = small_rows.copy()
    lonely.loc[0, "label"] = "disgust"
    with pytest.raises(SplitError, match="disgust"):
        make_split(lonely, RANDOM, seed=0)


# --- variants inside the fold


def test_only_training_rows_are_augmented_inside_a_fold():
    fold = Fold(("a", "b"), ("c",), ("d",))
    augmented = with_training_variants(fold, ("noise", "pitch"))
    assert augmented.train == ("a", "a#noise", "a#pitch", "b", "b#noise", "b#pitch")
    assert augmented.validation == ("c",)
    assert augmented.test == ("d",)


def test_no_variants_change_nothing():
    fold = Fold(("a", "b"), ("c",), ("d",))
    assert with_training_variants(fold, ()) == fold


@HONEST
def test_augmented_rows_are_rows_of_the_table(few_clips, demo_clips, name):
    augmentations = ("noise", "pitch")
    rows = rows_of(demo_clips, LABEL_SETS["ravdess8"])
    every = set(
        rows_of(demo_clips, LABEL_SETS["ravdess8"], variants_of(1, augmentations))["row_id"]
    )
    for fold in make_split(rows, Protocol(name), seed=0).folds:
        train = with_training_variants(fold, augmentations).train
        assert set(train) <= every
        assert len(np.unique(train)) == 3 * len(fold.train)
