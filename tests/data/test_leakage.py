"""The audit: every kind of planted leak is found and counted, and a clean split passes."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest

from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.leakage import COLUMNS, FINDINGS, audit_split, check_split
from ser_lib.data.splits import Fold, Protocol, Split, make_split, rows_of, variants_of
from ser_lib.errors import LeakError, SplitError
from ser_lib.studies import STUDIES

PARTS = ("train", "validation", "test")


def _rows() -> pd.DataFrame:
    """Twelve clips of six speakers, each clip also copied and augmented: 36 rows."""
    records = []
    for speaker in "ABCDEF":
        for number in (1, 2):
            clip = f"{speaker}{number}"
            for variant in ("original", "copy", "noise"):
                records.append(
                    {
                        "row_id": clip if variant == "original" else f"{clip}#{variant}",
                        "clip_id": clip,
                        "variant": variant,
                        "label": "sad" if number == 1 else "angry",
                        "speaker": speaker,
                        "gender": "female",
                        "statement": "dogs",
                        "audio_sha256": f"sound of {clip}",
                    }
                )
    return pd.DataFrame(records)


ROWS = _rows()
CLEAN = Fold(("A1", "A2", "B1", "B2"), ("C1", "C2"), ("D1", "D2", "E1", "E2"))
# What a row of each kind, moved into another part, gives away: kinds that must be found.
PLANTED = {
    "the row itself": ("D1", {"same_row", "same_audio", "same_parent", "same_speaker"}),
    "its copy": ("D1#copy", {"same_audio", "same_parent", "same_speaker"}),
    "its noisy version": ("D1#noise", {"same_parent", "same_speaker"}),
}


def audit(rows: pd.DataFrame, fold: Fold) -> pd.DataFrame:
    return audit_split(rows, Split("x", (fold,)))


def kinds(rows: pd.DataFrame, fold: Fold) -> dict[tuple[str, str, str], int]:
    return {(one.kind, one.first, one.second): one.n_rows for one in audit(rows, fold).itertuples()}


def test_a_clean_fold_has_no_finding():
    table = audit(ROWS, CLEAN)
    assert table.empty
    assert list(table.columns) == COLUMNS


@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize(("row", "expected"), PLANTED.values(), ids=PLANTED)
def test_a_planted_leak_into_the_test_is_found(part, row, expected):
    fold = replace(CLEAN, **{part: (*getattr(CLEAN, part), row)})
    found = kinds(ROWS, fold)
    assert {kind for kind, first, second in found if (first, second) == (part, "test")} == expected
    # Speaker D said D1 and D2; everything else is about D1 alone.
    assert found.pop(("same_speaker", part, "test")) == 2
    assert set(found.values()) == {1}
    assert all(second == "test" for _, _, second in found)


@pytest.mark.parametrize(("row", "expected"), PLANTED.values(), ids=PLANTED)
def test_a_planted_leak_into_the_validation_is_found(row, expected):
    fold = replace(CLEAN, train=(*CLEAN.train, row.replace("D", "C")))
    found = kinds(ROWS, fold)
    assert {one[1:] for one in found} == {("train", "validation")}
    assert {one[0] for one in found} == expected


def test_a_speaker_alone_is_a_leak_with_other_clips():
    fold = Fold(("A1", "B1", "B2"), ("C1", "C2"), ("A2", "D1", "D2", "E1"))
    (found,) = audit(ROWS, fold).itertuples()
    assert (found.kind, found.first, found.second) == ("same_speaker", "train", "test")
    assert (found.n_rows, found.share, found.example) == (1, 0.25, "A2")


def test_validation_equal_to_test_is_found_in_every_row():
    fold = Fold(("A1", "A2"), ("D1", "D2"), ("D1", "D2"))
    (found,) = [one for one in audit(ROWS, fold).itertuples() if one.kind == "same_row"]
    assert (found.first, found.second) == ("validation", "test")
    assert (found.n_rows, found.share) == (2, 1.0)


def test_two_copies_in_different_parts_are_the_same_audio():
    rows = ROWS.assign(variant=ROWS["variant"].replace("noise", "copy3"))
    rows["row_id"] = rows["row_id"].str.replace("noise", "copy3")
    fold = Fold(("A1#copy",), ("C1",), ("A1#copy3",))
    assert ("same_audio", "train", "test") in kinds(rows, fold)


def test_the_same_noise_twice_is_the_same_audio_but_two_augmentations_are_not():
    # Drawn by the clip's audio, an augmentation of equal clips is equal as well.
    rows = ROWS.replace({"audio_sha256": {"sound of F1": "sound of A1"}})
    assert ("same_audio", "train", "test") in kinds(
        rows, Fold(("A1#noise",), ("C1",), ("F1#noise",))
    )
    other = kinds(rows, Fold(("A1",), ("C1",), ("F1#noise",)))
    assert set(other) == {("same_parent", "train", "test")}


def test_one_sound_under_two_names_and_speakers_is_found():
    rows = ROWS.replace({"audio_sha256": {"sound of E2": "sound of A1"}})
    found = kinds(rows, CLEAN)
    assert found == {("same_audio", "train", "test"): 1, ("same_parent", "train", "test"): 1}


@pytest.mark.parametrize("part", PARTS)
def test_rows_that_are_not_there_are_all_listed(part):
    fold = replace(CLEAN, **{part: (*getattr(CLEAN, part), "X1", "X2")})
    with pytest.raises(SplitError, match=r"2 unknown rows:\n  X1\n  X2"):
        audit(ROWS, fold)


# --- tables over folds


def test_counts_are_summed_and_shares_averaged_over_folds():
    leaking = Fold(("A1",), ("C1",), ("A2", "D1"))
    worse = Fold(("A1", "D1"), ("C1",), ("A2", "D2"))
    table = audit_split(ROWS, Split("x", (leaking, worse, CLEAN)))
    (row,) = table.itertuples()
    assert (row.kind, row.first, row.second) == ("same_speaker", "train", "test")
    assert row.n_rows == 3
    assert row.share == pytest.approx((0.5 + 1.0) / 2)
    assert row.describes == FINDINGS["same_speaker"][0]


# --- the gate


def test_an_undeclared_leak_is_refused_with_its_rows(lists_problem):
    split = Split("mine", (replace(CLEAN, train=(*CLEAN.train, "D1#noise")),))
    with pytest.raises(LeakError) as caught:
        check_split(ROWS, split)
    assert str(caught.value).startswith("mine: ")
    assert lists_problem(caught, FINDINGS["same_parent"][0], "1 rows of test", "train", "D1)")
    assert lists_problem(caught, FINDINGS["same_speaker"][0], "2 rows of test")


def test_a_declared_leak_passes_and_is_reported():
    split = Split("mine", (replace(CLEAN, train=(*CLEAN.train, "D1#noise")),))
    table = check_split(ROWS, split, declared=("same_parent", "same_speaker"))
    assert set(table["kind"]) == {"same_parent", "same_speaker"}


def test_a_leak_beyond_the_declared_ones_is_still_refused():
    split = Split("mine", (replace(CLEAN, train=(*CLEAN.train, "D1#noise")),))
    with pytest.raises(LeakError, match=re.escape(FINDINGS["same_parent"][0])) as caught:
        check_split(ROWS, split, declared=("same_speaker",))
    assert FINDINGS["same_speaker"][0] not in str(caught.value)


def test_a_clean_split_passes_without_declarations():
    assert check_split(ROWS, Split("clean", (CLEAN,))).empty


# --- the protocols and studies that we have


@pytest.mark.parametrize("name", ["luna5", "loso"])
def test_honest_protocols_are_clean_on_ravdess(ravdess_table, name):
    rows = rows_of(ravdess_table, LABEL_SETS["ravdess8"])
    assert check_split(rows, make_split(rows, Protocol(name), seed=1)).empty


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_published_protocols_leak_just_as_declared(ravdess_table, study):
    rows = rows_of(ravdess_table, study.label_set, variants_of(study.copies, study.augmentations))
    split = make_split(rows, study.published_protocol, seed=study.seeds[0])
    declared = study.published_protocol.leaks
    found = check_split(rows, split, declared=declared)
    assert set(found["kind"]) <= set(declared)
    with pytest.raises(LeakError, match=study.published_protocol.name):
        check_split(rows, split)


def test_most_pictures_of_swart_have_their_twin_in_training(ravdess_table):
    study = STUDIES["swart2025"]
    rows = rows_of(ravdess_table, study.label_set, variants_of(2, ()))
    table = audit_split(rows, make_split(rows, study.published_protocol, seed=42))
    row = table.query("kind == 'same_audio' and first == 'train' and second == 'test'").iloc[0]
    # The twin is one of the other 2,879 rows, of which 1,843 are trained on: 64 %; the standard
    # error over 576 rows is 2 points.
    assert row["share"] == pytest.approx(1843 / 2879, abs=0.06)
