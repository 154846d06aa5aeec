"""The rules: published folds, statements that never cross, and what each cannot or must avoid."""

from __future__ import annotations

import re
from dataclasses import asdict, replace

import pandas as pd
import pytest

from ser_lib.data import splits
from ser_lib.data import splits as protocols
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.leakage import audit_split, check_split, observe_split
from ser_lib.data.splits import (
    EMOBOX6_TEST,
    INHERENT_LEAKS,
    PROMISES,
    PROTOCOLS,
    Fold,
    Split,
    make_split,
    plain_protocol,
    rows_of,
)
from ser_lib.errors import LeakError, SplitError

NEW = ("emobox6", "sentence", "speaker+sentence")
SEEDED = pytest.mark.parametrize("seed", [0, 1, 42])


@pytest.fixture(scope="module")
def rows(ravdess_table):
    return rows_of(ravdess_table, LABEL_SETS["ravdess8"])


def values_of(rows: pd.DataFrame, column: str, ids: tuple[str, ...]) -> set[str]:
    return set(rows.set_index("row_id").loc[list(ids), column])


def text_rows(speakers: int, statements: int) -> pd.DataFrame:
    """Rows of a corpus where everybody says every statement in three emotions."""
    records = [
        {"speaker": f"made-{s:02d}", "gender": "female", "statement": f"t{t:02d}", "label": label}
        for s in range(speakers)
        for t in range(statements)
        for label in ("sad", "angry", "neutral")
    ]
    table = pd.DataFrame(records)
    names = table["speaker"] + "/" + table["statement"] + "/" + table["label"]
    return table.assign(row_id=names, clip_id=names, variant="original", audio_sha256=names)


def test_names_that_were_in_splits_are_still_there():
    for name in ("PROTOCOLS", "Fold", "LUNA5_TEST", "LUNA5_VALIDATION"):
        assert getattr(splits, name) is getattr(protocols, name)


@pytest.mark.parametrize("name", NEW)
@SEEDED
def test_every_row_of_ravdess_is_tested_once_and_no_row_stands_twice(rows, name, seed):
    folds = make_split(rows, plain_protocol(name), seed=seed).folds
    tested = [row for fold in folds for row in fold.test]
    assert sorted(tested) == sorted(rows["row_id"])
    for fold in folds:
        every = fold.train + fold.validation + fold.test
        assert len(set(every)) == len(every)


@pytest.mark.parametrize("name", NEW)
def test_the_same_seed_gives_the_same_folds_and_another_one_other_validation(rows, name):
    first, same, other = (make_split(rows, plain_protocol(name), seed=s) for s in (1, 1, 2))
    assert first == same
    assert [fold.test for fold in first.folds] == [fold.test for fold in other.folds]
    assert [fold.validation for fold in first.folds] != [fold.validation for fold in other.folds]


@pytest.mark.parametrize("name", NEW)
def test_nothing_but_the_declared_is_found(rows, name):
    protocol = plain_protocol(name)
    found = check_split(rows, make_split(rows, protocol, seed=1), declared=protocol.leaks)
    assert set(found["kind"]) == set(protocol.leaks)


# --- emobox6


def test_emobox6_tests_each_of_24_actors_once():
    assert sorted(actor for fold in EMOBOX6_TEST for actor in fold) == list(range(1, 25))


@SEEDED
def test_emobox6_holds_the_published_actors_and_validates_on_two_women_and_two_men(rows, seed):
    folds = make_split(rows, plain_protocol("emobox6"), seed=seed).folds
    for fold, actors in zip(folds, EMOBOX6_TEST, strict=True):
        parts = [values_of(rows, "speaker", part) for part in asdict(fold).values()]
        assert parts[2] == {f"ravdess-{n:02d}" for n in actors}
        assert [len(one) for one in parts] == [16, 4, 4]
        assert not parts[0] & parts[1]
        assert sum(int(one[-2:]) % 2 for one in parts[1]) == 2


def test_emobox6_refuses_speakers_who_are_not_the_actors_of_ravdess():
    with pytest.raises(SplitError, match=r"emobox6 names the 24 actors.*first: made-00.*'loso'"):
        make_split(text_rows(30, 2), plain_protocol("emobox6"), seed=0)


# --- sentence


def test_sentence_leaves_each_of_two_statements_out(rows):
    first, second = make_split(rows, plain_protocol("sentence"), seed=1).folds
    assert values_of(rows, "statement", first.test) == {"dogs"}
    assert values_of(rows, "statement", second.test) == {"kids"}
    for fold in (first, second):
        validating = values_of(rows, "speaker", fold.validation)
        assert len(validating) == 4
        assert not validating & values_of(rows, "speaker", fold.train)
        tested = values_of(rows, "statement", fold.test)
        assert not tested & values_of(rows, "statement", fold.train + fold.validation)
        assert len(values_of(rows, "speaker", fold.test)) == 24


def test_sentence_declares_that_its_speakers_are_shared(rows):
    split = make_split(rows, plain_protocol("sentence"), seed=1)
    found = audit_split(rows, split)
    assert {(one.kind, one.first, one.second) for one in found.itertuples()} == {
        ("same_speaker", "train", "test"),
        ("same_speaker", "validation", "test"),
    }
    with pytest.raises(LeakError, match="the same speaker in two parts"):
        check_split(rows, split)


def test_many_statements_are_dealt_into_as_many_folds_as_asked_for():
    rows = text_rows(8, 25)
    split = make_split(rows, plain_protocol("sentence"), seed=1)
    assert len(split.folds) == 10
    fewer = replace(plain_protocol("sentence"), params={"n_folds": 4})
    folds = make_split(rows, fewer, seed=1).folds
    assert sorted(len(values_of(rows, "statement", one.test)) for one in folds) == [6, 6, 6, 7]


# --- speaker+sentence


def test_speaker_and_sentence_hears_neither_the_voice_nor_the_words_before(rows):
    folds = make_split(rows, plain_protocol("speaker+sentence"), seed=1).folds
    assert len(folds) == 10
    for fold in folds:
        heard = fold.train + fold.validation
        for column in ("speaker", "statement"):
            assert not values_of(rows, column, fold.test) & values_of(rows, column, heard)
        validating = values_of(rows, "speaker", fold.validation)
        assert not validating & values_of(rows, "speaker", fold.train)


def test_rows_that_share_one_of_the_two_are_left_out(rows):
    table = rows.set_index("row_id")
    for fold in make_split(rows, plain_protocol("speaker+sentence"), seed=1).folds:
        speakers = values_of(rows, "speaker", fold.test)
        statements = values_of(rows, "statement", fold.test)
        shared = table["speaker"].isin(speakers).astype(int) + table["statement"].isin(statements)
        used = set(fold.train + fold.validation)
        assert used == set(table.index[shared == 0])
        assert set(fold.test) == set(table.index[shared == 2])


def test_speaker_and_sentence_takes_shares_of_many_statements():
    rows = text_rows(10, 10)
    folds = make_split(rows, plain_protocol("speaker+sentence"), seed=1).folds
    assert len(folds) == 10
    assert {len(values_of(rows, "statement", one.test)) for one in folds} == {5}


# --- what does not fit


@pytest.mark.parametrize("name", ["sentence", "speaker+sentence"])
def test_a_corpus_of_one_statement_is_refused(name):
    message = rf"{re.escape(name)} needs two statements.*there are 1 statements \(t00\).*'loso'"
    with pytest.raises(SplitError, match=message):
        make_split(text_rows(12, 1), plain_protocol(name), seed=0)


@pytest.mark.parametrize("name", ["sentence", "speaker+sentence"])
def test_too_few_speakers_are_refused(name):
    with pytest.raises(SplitError, match=r"no row for validation|2 speakers fill 2 of 5 folds"):
        make_split(text_rows(2, 4), plain_protocol(name), seed=0)


def test_folds_that_cannot_be_filled_name_the_protocol():
    with pytest.raises(SplitError, match=r"speaker\+sentence: 3 speakers fill 3 of 5 folds"):
        make_split(text_rows(3, 4), plain_protocol("speaker+sentence"), seed=0)


# --- inherent leaks and promises


def test_what_protocols_declare_and_promise_are_protocols():
    assert set(INHERENT_LEAKS) <= set(PROTOCOLS)
    assert set(PROMISES) <= set(PROTOCOLS)


@pytest.mark.parametrize("name", sorted(PROMISES))
def test_a_statement_that_crosses_is_refused_where_the_protocol_promises_that_none_does(rows, name):
    protocol = plain_protocol(name)
    split = make_split(rows, protocol, seed=1)
    fold = split.folds[0]
    table = rows.set_index("row_id")
    word = table.loc[fold.test[0], "statement"]
    speaker = table.loc[fold.train[0], "speaker"]
    same = table.index[(table["statement"] == word) & (table["speaker"] == speaker)][0]
    test = tuple(row for row in fold.test if row != same)
    broken = Split(name, (Fold((*fold.train, same), fold.validation, test),))
    declared = ("same_speaker",)
    with pytest.raises(LeakError, match=r"the same statement in two parts: \d+ rows of test"):
        check_split(rows, broken, declared=declared)
    # The same rows under a protocol that promises nothing are fine.
    assert set(check_split(rows, replace(broken, protocol="loso"), declared=declared)["kind"]) <= {
        "same_speaker"
    }


def test_a_shared_statement_is_an_observation_and_no_finding(rows):
    split = make_split(rows, plain_protocol("luna5"), seed=1)
    assert audit_split(rows, split).empty
    assert check_split(rows, split).empty
    seen = observe_split(rows, split)
    assert set(seen["kind"]) == {"same_statement"}
    assert len(seen) == 3
    assert seen["share"].eq(1.0).all()
