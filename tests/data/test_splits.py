"""Protocols: the published sizes and folds, and speakers and statements that never cross."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.leakage import (
    FINDINGS,
    OBSERVATIONS,
    audit_split,
    check_split,
)
from ser_lib.data.splits import (
    EMOBOX6_TEST,
    INHERENT_LEAKS,
    LUNA5_TEST,
    LUNA5_VALIDATION,
    PROMISES,
    PROTOCOLS,
    Fold,
    Protocol,
    Split,
    csv_of_rows,
    make_split,
    plain_protocol,
    rows_of,
    variants_of,
    with_training_variants,
)
from ser_lib.errors import LeakError, SplitError
from ser_lib.studies import STUDIES

RANDOM = Protocol(
    "random", params={"test_share": 0.2, "validation_share": 0.2, "is_stratified": True}
)
HONEST = pytest.mark.parametrize("name", ["luna5", "loso", "speaker_folds"])
SEEDED = pytest.mark.parametrize("seed", [0, 1, 2**31])
STATED = pytest.mark.parametrize("name", ["emobox6", "sentence", "speaker+sentence"])


@pytest.fixture(scope="module")
def ravdess_rows(ravdess_table):
    return rows_of(ravdess_table, LABEL_SETS["ravdess8"])


@pytest.fixture
def small_rows(few_clips):
    return rows_of(few_clips, LABEL_SETS["ravdess8"])


def values_of(rows: pd.DataFrame, column: str, ids: tuple[str, ...]) -> set[str]:
    return set(rows.set_index("row_id").loc[list(ids), column])


def speakers_of(rows: pd.DataFrame, ids: tuple[str, ...]) -> set[str]:
    return values_of(rows, "speaker", ids)


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


def test_a_random_split_by_clip_keeps_the_versions_of_a_clip_together(ravdess_table):
    rows = rows_of(ravdess_table, LABEL_SETS["seven"], ("original", "noise", "pitch"))
    protocol = Protocol("random", params={"by": "clip_id"}, leaks=("same_speaker",))
    (fold,) = make_split(rows, protocol, seed=1).folds
    parts = [
        {one.split("#")[0] for one in part} for part in (fold.train, fold.validation, fold.test)
    ]
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    assert len(fold.train) + len(fold.validation) + len(fold.test) == len(rows)


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
    with pytest.raises(SplitError, match=r"luna5 .*24 actors.*'loso'"):
        make_split(small_rows.assign(speaker=names), Protocol("luna5"), seed=0)


def test_luna5_refuses_emodb_although_its_numbers_look_like_actors(small_rows):
    names = ["03", "08", "09", "10", "11", "12", "13", "14", "15", "16"]
    speakers = [f"emodb-{names[number % 10]}" for number in range(len(small_rows))]
    with pytest.raises(SplitError, match=r"luna5.*emodb-03"):
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
    with pytest.raises(SplitError, match=r"4 speakers, .*3"):
        make_split(few, Protocol("loso"), seed=0)
    enough = small_rows[small_rows["speaker"] < "demo-05"]
    assert len(make_split(enough, Protocol("loso"), seed=0).folds) == 4


# --- speaker_folds


def speakers_table(names: dict[str, str], n_each: int = 16) -> pd.DataFrame:
    """Rows of made-up speakers, by name and gender; each says four emotions in four sentences."""
    rows = [
        {
            "row_id": f"{name}/{number}",
            "clip_id": f"{name}/{number}",
            "variant": "original",
            "label": ("neutral", "happy", "sad", "angry")[number % 4],
            "speaker": name,
            "gender": gender,
            "statement": f"s{number // 4}",
            "audio_sha256": f"{name}/{number}",
        }
        for name, gender in names.items()
        for number in range(n_each)
    ]
    return pd.DataFrame(rows).sample(frac=1.0, random_state=3).reset_index(drop=True)


RAVDESS_LIKE = {f"ravdess-{n:02d}": ("male" if n % 2 else "female") for n in range(1, 25)}
EMODB_LIKE = {
    f"emodb-{n:02d}": ("male" if n in (3, 10, 11, 12, 15) else "female")
    for n in (3, 8, 9, 10, 11, 12, 13, 14, 15, 16)
}
TESS_LIKE = {"tess-OAF": "female", "tess-YAF": "female"}
SAVEE_LIKE = {f"savee-{name}": "male" for name in ("DC", "JE", "JK", "KL")}
FOLDS = Protocol("speaker_folds")


@pytest.fixture(scope="module")
def pool_rows() -> pd.DataFrame:
    """Speakers like those of the pool of fpt2025: 24, 10, 2 and 4."""
    return speakers_table(RAVDESS_LIKE | EMODB_LIKE | TESS_LIKE | SAVEE_LIKE)


def of_corpus(speakers: set[str], corpus: str) -> set[str]:
    return {one for one in speakers if one.startswith(f"{corpus}-")}


@SEEDED
def test_no_speaker_of_any_corpus_is_on_both_sides_and_each_is_tested_once(pool_rows, seed):
    folds = make_split(pool_rows, FOLDS, seed=seed).folds
    assert len(folds) == 5
    tested = Counter()
    for fold in folds:
        parts = [speakers_of(pool_rows, part) for part in asdict(fold).values()]
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]
        # A speaker is in a part whole.
        assert sum(map(len, parts)) == pool_rows["speaker"].nunique()
        assert sum(len(part) for part in asdict(fold).values()) == len(pool_rows)
        tested.update(parts[2])
    assert set(tested) == set(pool_rows["speaker"])
    assert set(tested.values()) == {1}


def test_speakers_of_ravdess_keep_their_published_folds_in_a_pool(pool_rows):
    folds = make_split(pool_rows, FOLDS, seed=4).folds
    for fold, actors in zip(folds, LUNA5_TEST, strict=True):
        tested = of_corpus(speakers_of(pool_rows, fold.test), "ravdess")
        assert tested == {f"ravdess-{actor:02d}" for actor in actors}


def test_with_another_number_of_folds_speakers_of_ravdess_are_assigned_like_others(pool_rows):
    folds = make_split(pool_rows, Protocol("speaker_folds", {"n_folds": 4}), seed=4).folds
    sizes = [len(of_corpus(speakers_of(pool_rows, fold.test), "ravdess")) for fold in folds]
    assert sizes == [6, 6, 6, 6]
    assert speakers_of(pool_rows, folds[0].test) != {f"ravdess-{n:02d}" for n in LUNA5_TEST[0]}


def test_folds_are_alike_in_gender_in_every_corpus(pool_rows):
    gender_of = RAVDESS_LIKE | EMODB_LIKE | TESS_LIKE | SAVEE_LIKE
    for fold in make_split(pool_rows, FOLDS, seed=4).folds:
        tested = speakers_of(pool_rows, fold.test)
        for corpus in ("ravdess", "emodb"):
            women = sum(gender_of[one] == "female" for one in of_corpus(tested, corpus))
            assert abs(2 * women - len(of_corpus(tested, corpus))) <= 1
        assert Counter(gender_of[one] for one in of_corpus(tested, "emodb")) == {
            "female": 1,
            "male": 1,
        }
        assert len(of_corpus(tested, "tess")) <= 1
        assert len(of_corpus(tested, "savee")) <= 1


@SEEDED
def test_corpora_of_few_speakers_spare_none_to_validate_on(pool_rows, seed):
    for fold in make_split(pool_rows, FOLDS, seed=seed).folds:
        validating = speakers_of(pool_rows, fold.validation)
        counts = Counter(one.partition("-")[0] for one in validating)
        # One in six, and at least one, of a corpus with four speakers or more.
        assert counts == {"ravdess": 4, "emodb": 1, "savee": 1}


def test_validation_speakers_are_drawn_for_each_seed_and_fold(pool_rows):
    def validating(seed: int) -> list[frozenset[str]]:
        folds = make_split(pool_rows, FOLDS, seed=seed).folds
        return [frozenset(speakers_of(pool_rows, fold.validation)) for fold in folds]

    assert validating(1) == validating(1)
    assert validating(1) != validating(2)
    assert len(set(validating(1))) == 5


def test_who_else_is_in_the_pool_does_not_move_a_speaker(pool_rows):
    whole = make_split(pool_rows, FOLDS, seed=1).folds
    fewer = pool_rows[~pool_rows["speaker"].str.startswith("savee")]
    for fold, other in zip(whole, make_split(fewer, FOLDS, seed=1).folds, strict=True):
        for part in ("train", "validation", "test"):
            ours = speakers_of(pool_rows, getattr(fold, part)) - set(SAVEE_LIKE)
            assert ours == speakers_of(fewer, getattr(other, part))


def test_emodb_alone_tests_a_woman_and_a_man_a_fold():
    rows = speakers_table(EMODB_LIKE)
    for fold in make_split(rows, FOLDS, seed=1).folds:
        assert sorted(EMODB_LIKE[one] for one in speakers_of(rows, fold.test)) == [
            *("female", "male"),
        ]
        assert len(speakers_of(rows, fold.validation)) == 1


def test_sessions_of_iemocap_stay_together():
    # Its two speakers talk with each other: they must be tested together.
    names = {f"iemocap-{n:02d}{g}": ("female" if g == "F" else "male")
             for n in range(1, 6) for g in "FM"}  # fmt: skip
    rows = speakers_table(names)
    for fold in make_split(rows, FOLDS, seed=1).folds:
        assert len({one[:-1] for one in speakers_of(rows, fold.test)}) == 1


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (TESS_LIKE, "2 speakers .*2 of 5 .*'loso'"),
        (SAVEE_LIKE, "4 speakers .*4 of 5 "),
        (dict(list(RAVDESS_LIKE.items())[:6]), "6 speakers .*3 of 5 "),
    ],
)
def test_too_few_speakers_to_fill_the_folds_are_counted(names, message):
    with pytest.raises(SplitError, match=rf"speaker_folds: {message}"):
        make_split(speakers_table(names), FOLDS, seed=0)


def test_a_pool_of_corpora_of_three_speakers_cannot_be_validated():
    names = {f"{corpus}-{n}": "female" for corpus in ("a", "b", "c") for n in range(3)}
    with pytest.raises(SplitError, match=r"speaker_folds, fold 0: .*validation"):
        make_split(speakers_table(names), Protocol("speaker_folds", params={"n_folds": 3}), seed=0)


def test_a_corpus_whose_speakers_are_all_tested_in_one_fold_is_no_crash():
    # Four of the actors of luna5's last fold, and no others: nobody is left to validate on there.
    some = {f"ravdess-{n:02d}": ("male" if n % 2 else "female") for n in LUNA5_TEST[4]}
    rows = speakers_table(some | EMODB_LIKE)
    folds = make_split(rows, FOLDS, seed=0).folds
    assert of_corpus(speakers_of(rows, folds[4].test), "ravdess") == set(some)
    assert not of_corpus(speakers_of(rows, folds[4].validation), "ravdess")


# --- loso_few


FEW = Protocol("loso_few")


@pytest.fixture(scope="module")
def few_rows() -> pd.DataFrame:
    """Two speakers and forty statements, as TESS has them (200)."""
    rows = speakers_table(TESS_LIKE, n_each=160)
    assert rows["statement"].nunique() == 40
    return rows


def statements_of(rows: pd.DataFrame, ids: tuple[str, ...]) -> set[str]:
    return values_of(rows, "statement", ids)


@SEEDED
def test_each_of_few_speakers_is_tested_unseen(few_rows, seed):
    folds = make_split(few_rows, FEW, seed=seed).folds
    assert [speakers_of(few_rows, fold.test) for fold in folds] == [{"tess-OAF"}, {"tess-YAF"}]
    for fold in folds:
        seen = speakers_of(few_rows, fold.train + fold.validation)
        assert not seen & speakers_of(few_rows, fold.test)
        assert len(fold.test) == 160


@SEEDED
def test_validation_statements_are_not_in_training(few_rows, seed):
    for fold in make_split(few_rows, FEW, seed=seed).folds:
        training, validating = (
            statements_of(few_rows, part) for part in (fold.train, fold.validation)
        )
        assert not training & validating
        # 15 % of 40 statements, four clips each.
        assert (len(validating), len(training)) == (6, 34)
        assert (len(fold.validation), len(fold.train)) == (24, 136)


def test_the_share_of_statements_can_be_set(few_rows):
    split = make_split(few_rows, Protocol("loso_few", {"validation_share": 0.5}), seed=1)
    assert {len(statements_of(few_rows, fold.validation)) for fold in split.folds} == {20}


def test_other_statements_are_drawn_for_another_seed_and_speaker(few_rows):
    def drawn(seed: int) -> list[frozenset[str]]:
        folds = make_split(few_rows, FEW, seed=seed).folds
        return [frozenset(statements_of(few_rows, fold.validation)) for fold in folds]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) == 2


@pytest.mark.parametrize(
    ("n_speakers", "n_statements", "share"), [(1, 40, 0.15), (2, 2, 0.15), (2, 40, 0.0), (2, 40, 1)]
)
def test_what_loso_few_cannot_divide_is_reported_with_its_numbers(
    few_rows, n_speakers, n_statements, share
):
    kept = few_rows[
        few_rows["speaker"].isin(sorted(TESS_LIKE)[:n_speakers])
        & few_rows["statement"].isin([f"s{n}" for n in range(n_statements)])
    ]
    message = rf"loso_few .*{n_statements} statements.* {n_speakers} speakers.* {share}"
    with pytest.raises(SplitError, match=message):
        make_split(kept, Protocol("loso_few", {"validation_share": share}), seed=0)


# --- last_speaker_out

LAST_OUT = Protocol("last_speaker_out", {"test_share": 0.125})


@pytest.fixture(scope="module")
def six_rows(ravdess_table):
    return rows_of(ravdess_table, LABEL_SETS["six_by_gender"])


@SEEDED
def test_penumajji_tests_on_180_of_1440_with_all_60_of_actor_24(six_rows, seed):
    (fold,) = make_split(six_rows, LAST_OUT, seed=seed).folds
    assert len(six_rows) == 1440
    # A tenth of 1,260 validates.
    assert [len(part) for part in asdict(fold).values()] == [1134, 126, 180]
    last = six_rows.loc[six_rows["speaker"] == "ravdess-24", "row_id"]
    assert set(last) <= set(fold.test)
    assert len(last) == 60
    # The other 120 are of speakers who are trained on.
    others = speakers_of(six_rows, fold.test) - {"ravdess-24"}
    assert others <= speakers_of(six_rows, fold.train)
    assert len(others) > 20
    assert "ravdess-24" not in speakers_of(six_rows, fold.train + fold.validation)
    assert sorted(fold.train + fold.validation + fold.test) == sorted(six_rows["row_id"])


def test_the_committed_table_of_ravdess_is_divided_so(monkeypatch, tmp_path):
    from ser_lib import data
    from ser_lib.paths import PROJECT_DIR

    monkeypatch.setenv("SER_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("SER_REPORTS", str(PROJECT_DIR / "reports"))
    study = STUDIES["penumajji2025"]
    rows = rows_of(data.load_corpus("ravdess"), study.label_set)
    (fold,) = make_split(rows, study.published_protocol, seed=study.seeds[0]).folds
    speaker_of = rows.set_index("row_id")["speaker"]
    counts = speaker_of[list(fold.test)].value_counts()
    assert len(fold.test) == 180
    assert counts["ravdess-24"] == 60
    assert "ravdess-24" not in set(speaker_of[[*fold.train, *fold.validation]])


def test_the_random_rows_keep_the_shares_of_the_classes(six_rows):
    (fold,) = make_split(six_rows, LAST_OUT, seed=42).folds
    table = six_rows.set_index("row_id")
    drawn = table.loc[list(fold.test)].query("speaker != 'ravdess-24'")
    whole = table.query("speaker != 'ravdess-24'")["label"].value_counts(normalize=True)
    shares = drawn["label"].value_counts(normalize=True)
    assert (shares - whole).abs().max() < 1 / len(drawn)


def test_another_seed_draws_others_than_the_last_speaker(six_rows):
    first, same, other = (
        set(make_split(six_rows, LAST_OUT, seed=seed).folds[0].test) for seed in (1, 1, 2)
    )
    assert first == same
    assert first != other
    assert len(first & other) >= 60


@pytest.mark.parametrize("share", [0.01, 60 / 1440])
def test_a_share_that_the_last_speaker_alone_fills_is_refused(six_rows, share):
    message = rf"last_speaker_out: ravdess-24 .* 60 of 1440 .*{share}"
    with pytest.raises(SplitError, match=message):
        make_split(six_rows, Protocol("last_speaker_out", {"test_share": share}), seed=1)


def test_a_corpus_of_one_speaker_has_no_others(six_rows):
    alone = six_rows[six_rows["speaker"] == "ravdess-24"]
    with pytest.raises(SplitError, match=r"ravdess-24 .* 60 of 60"):
        make_split(alone, Protocol("last_speaker_out", {"test_share": 2.0}), seed=1)


def test_rows_that_cannot_be_divided_by_class_are_refused(six_rows):
    few = six_rows[six_rows["speaker"] >= "ravdess-23"]
    with pytest.raises(SplitError, match=r"last_speaker_out: 60 rows"):
        # Four rows besides the 60: fewer than there are classes.
        make_split(few, Protocol("last_speaker_out", {"test_share": 64 / 120}), seed=1)


# --- cross_corpus

GERMAN = STUDIES["penumajji2025"].other_protocols["german"]


@SEEDED
def test_no_clip_of_the_tested_corpus_is_trained_or_validated_on(pool_rows, seed):
    (fold,) = make_split(pool_rows, GERMAN, seed=seed).folds
    assert speakers_of(pool_rows, fold.test) == set(EMODB_LIKE)
    seen, validating = (speakers_of(pool_rows, part) for part in (fold.train, fold.validation))
    # Other corpora of the pool are neither trained on nor tested.
    assert seen | validating == set(RAVDESS_LIKE)
    assert not seen & validating
    assert (len(seen), len(validating)) == (20, 4)


def test_german_tests_all_of_emodb_but_boredom_on_classes_that_were_learned(six_rows):
    rows = pd.concat([six_rows, german_rows()], ignore_index=True)
    (fold,) = make_split(rows, GERMAN, seed=1).folds
    label_of = rows.set_index("row_id")["label"]
    assert set(label_of[list(fold.test)]) <= set(label_of[list(fold.train)])
    assert set(label_of[list(fold.train)]) == set(LABEL_SETS["six_by_gender"].labels)
    assert not label_of.str.contains("boredom").any()
    assert len(fold.test) == 10 * 6


def german_rows() -> pd.DataFrame:
    """Rows of EmoDB-like clips, one of each of its seven emotions a speaker."""
    emotions = LABEL_SETS["emodb7"].labels
    clips = pd.DataFrame(
        [
            {
                "clip_id": f"{speaker}/{emotion}",
                "speaker": speaker,
                "gender": gender,
                "statement": "a01",
                "audio_sha256": f"{speaker}/{emotion}",
                "emotion": emotion,
            }
            for speaker, gender in EMODB_LIKE.items()
            for emotion in emotions
        ]
    )
    assert len(clips) == 70
    return rows_of(clips, LABEL_SETS["six_by_gender"])


def test_a_class_that_only_the_tested_corpus_has_is_refused(pool_rows):
    foreign = pool_rows.copy()
    is_german = foreign["speaker"].str.startswith("emodb")
    foreign.loc[is_german & (foreign["label"] == "sad"), "label"] = "boredom"
    with pytest.raises(SplitError, match=r"cross_corpus, fold 0: .*\['boredom'\]"):
        make_split(foreign, GERMAN, seed=1)


def test_other_speakers_validate_for_another_seed(pool_rows):
    first, same, other = (
        speakers_of(pool_rows, make_split(pool_rows, GERMAN, seed=seed).folds[0].validation)
        for seed in (1, 1, 2)
    )
    assert first == same
    assert first != other


@pytest.mark.parametrize(
    ("params", "n_clips", "n_speakers"),
    [
        ({"train": "ravdess", "test": "crema_d"}, 0, 24),
        ({"train": "crema_d", "test": "emodb"}, 160, 0),
        ({"train": "savee", "test": "emodb"}, 160, 4),
    ],
)
def test_corpora_that_are_missing_are_reported_with_numbers(pool_rows, params, n_clips, n_speakers):
    message = (
        rf"cross_corpus: .*'{params['test']}'.*'{params['train']}'.* {n_clips} and {n_speakers}"
    )
    with pytest.raises(SplitError, match=message):
        make_split(pool_rows, Protocol("cross_corpus", params), seed=1)


def test_a_corpus_tested_against_itself_leaves_nothing_to_train_on(pool_rows):
    itself = Protocol("cross_corpus", {"train": "emodb", "test": "emodb"})
    with pytest.raises(SplitError, match=r"cross_corpus, fold 0: .* train"):
        make_split(pool_rows, itself, seed=1)


# --- emobox6, sentence, speaker+sentence


@STATED
@SEEDED
def test_every_row_of_ravdess_is_tested_once_and_no_row_is_in_two_parts(ravdess_rows, name, seed):
    folds = make_split(ravdess_rows, plain_protocol(name), seed=seed).folds
    tested = [row for fold in folds for row in fold.test]
    assert sorted(tested) == sorted(ravdess_rows["row_id"])
    for fold in folds:
        every = fold.train + fold.validation + fold.test
        assert len(set(every)) == len(every)


@STATED
def test_the_same_seed_gives_the_same_folds_and_another_one_other_validation(ravdess_rows, name):
    first, same, other = (make_split(ravdess_rows, plain_protocol(name), seed=s) for s in (1, 1, 2))
    assert first == same
    assert [fold.test for fold in first.folds] == [fold.test for fold in other.folds]
    assert [fold.validation for fold in first.folds] != [fold.validation for fold in other.folds]


@STATED
def test_nothing_but_the_declared_is_found(ravdess_rows, name):
    protocol = plain_protocol(name)
    found = check_split(
        ravdess_rows, make_split(ravdess_rows, protocol, seed=1), declared=protocol.leaks
    )
    assert set(found["kind"]) == set(protocol.leaks)


# --- emobox6


def test_emobox6_tests_each_of_24_actors_once():
    assert sorted(actor for fold in EMOBOX6_TEST for actor in fold) == list(range(1, 25))


@SEEDED
def test_emobox6_holds_the_published_actors_and_validates_on_two_women_and_two_men(
    ravdess_rows, seed
):
    folds = make_split(ravdess_rows, plain_protocol("emobox6"), seed=seed).folds
    for fold, actors in zip(folds, EMOBOX6_TEST, strict=True):
        parts = [values_of(ravdess_rows, "speaker", part) for part in asdict(fold).values()]
        assert parts[2] == {f"ravdess-{n:02d}" for n in actors}
        assert [len(one) for one in parts] == [16, 4, 4]
        assert not parts[0] & parts[1]
        assert sum(int(one[-2:]) % 2 for one in parts[1]) == 2


def test_emobox6_refuses_speakers_who_are_not_the_actors_of_ravdess():
    with pytest.raises(SplitError, match=r"emobox6 .*made-00.*'loso'"):
        make_split(text_rows(30, 2), plain_protocol("emobox6"), seed=0)


# --- sentence


def test_sentence_leaves_each_of_two_statements_out(ravdess_rows):
    first, second = make_split(ravdess_rows, plain_protocol("sentence"), seed=1).folds
    assert values_of(ravdess_rows, "statement", first.test) == {"dogs"}
    assert values_of(ravdess_rows, "statement", second.test) == {"kids"}
    for fold in (first, second):
        validating = values_of(ravdess_rows, "speaker", fold.validation)
        assert len(validating) == 4
        assert not validating & values_of(ravdess_rows, "speaker", fold.train)
        tested = values_of(ravdess_rows, "statement", fold.test)
        assert not tested & values_of(ravdess_rows, "statement", fold.train + fold.validation)
        assert len(values_of(ravdess_rows, "speaker", fold.test)) == 24


def test_sentence_declares_that_its_speakers_are_shared(ravdess_rows):
    split = make_split(ravdess_rows, plain_protocol("sentence"), seed=1)
    found = audit_split(ravdess_rows, split)
    assert {(one.kind, one.first, one.second) for one in found.itertuples()} == {
        ("same_speaker", "train", "test"),
        ("same_speaker", "validation", "test"),
    }
    with pytest.raises(LeakError, match=FINDINGS["same_speaker"][0]):
        check_split(ravdess_rows, split)


def test_many_statements_are_assigned_to_as_many_folds_as_asked_for():
    rows = text_rows(8, 25)
    split = make_split(rows, plain_protocol("sentence"), seed=1)
    assert len(split.folds) == 10
    fewer = replace(plain_protocol("sentence"), params={"n_folds": 4})
    folds = make_split(rows, fewer, seed=1).folds
    assert sorted(len(values_of(rows, "statement", one.test)) for one in folds) == [6, 6, 6, 7]


# --- speaker+sentence


def test_speaker_and_sentence_tests_unseen_voices_and_unseen_words(ravdess_rows):
    folds = make_split(ravdess_rows, plain_protocol("speaker+sentence"), seed=1).folds
    assert len(folds) == 10
    for fold in folds:
        seen = fold.train + fold.validation
        for column in ("speaker", "statement"):
            assert not values_of(ravdess_rows, column, fold.test) & values_of(
                ravdess_rows, column, seen
            )
        validating = values_of(ravdess_rows, "speaker", fold.validation)
        assert not validating & values_of(ravdess_rows, "speaker", fold.train)


def test_rows_that_share_one_of_the_two_are_left_out(ravdess_rows):
    table = ravdess_rows.set_index("row_id")
    for fold in make_split(ravdess_rows, plain_protocol("speaker+sentence"), seed=1).folds:
        speakers = values_of(ravdess_rows, "speaker", fold.test)
        statements = values_of(ravdess_rows, "statement", fold.test)
        shared = table["speaker"].isin(speakers).astype(int) + table["statement"].isin(statements)
        used = set(fold.train + fold.validation)
        assert used == set(table.index[shared == 0])
        assert set(fold.test) == set(table.index[shared == 2])


def test_speaker_and_sentence_takes_shares_of_many_statements():
    rows = text_rows(10, 10)
    folds = make_split(rows, plain_protocol("speaker+sentence"), seed=1).folds
    assert len(folds) == 10
    assert {len(values_of(rows, "statement", one.test)) for one in folds} == {5}


# --- statements that do not fit


@pytest.mark.parametrize("name", ["sentence", "speaker+sentence"])
def test_a_corpus_of_one_statement_is_refused(name):
    message = rf"{re.escape(name)} .*1 statements \(t00\).*'loso'"
    with pytest.raises(SplitError, match=message):
        make_split(text_rows(12, 1), plain_protocol(name), seed=0)


@pytest.mark.parametrize("name", ["sentence", "speaker+sentence"])
def test_too_few_speakers_are_refused(name):
    with pytest.raises(SplitError, match=r"for validation|2 speakers .*2 of 5"):
        make_split(text_rows(2, 4), plain_protocol(name), seed=0)


def test_folds_that_cannot_be_filled_name_the_protocol():
    with pytest.raises(SplitError, match=r"speaker\+sentence: 3 speakers .*3 of 5"):
        make_split(text_rows(3, 4), plain_protocol("speaker+sentence"), seed=0)


# --- inherent leaks and promises


def test_what_protocols_declare_and_promise_are_protocols():
    assert set(INHERENT_LEAKS) <= set(PROTOCOLS)
    assert set(PROMISES) <= set(PROTOCOLS)


@pytest.mark.parametrize("name", sorted(PROMISES))
def test_a_statement_that_crosses_is_refused_where_the_protocol_promises_that_none_does(
    ravdess_rows, name
):
    protocol = plain_protocol(name)
    split = make_split(ravdess_rows, protocol, seed=1)
    fold = split.folds[0]
    table = ravdess_rows.set_index("row_id")
    word = table.loc[fold.test[0], "statement"]
    speaker = table.loc[fold.train[0], "speaker"]
    same = table.index[(table["statement"] == word) & (table["speaker"] == speaker)][0]
    test = tuple(row for row in fold.test if row != same)
    broken = Split(name, (Fold((*fold.train, same), fold.validation, test),))
    declared = ("same_speaker",)
    with pytest.raises(LeakError, match=OBSERVATIONS["same_statement"][0]):
        check_split(ravdess_rows, broken, declared=declared)
    # The same rows under a protocol that promises nothing are fine.
    assert set(
        check_split(ravdess_rows, replace(broken, protocol="loso"), declared=declared)["kind"]
    ) <= {"same_speaker"}


def test_a_shared_statement_is_an_observation_and_no_finding(ravdess_rows):
    split = make_split(ravdess_rows, plain_protocol("luna5"), seed=1)
    assert audit_split(ravdess_rows, split).empty
    assert check_split(ravdess_rows, split).empty
    shared = audit_split(ravdess_rows, split, OBSERVATIONS)
    assert set(shared["kind"]) == {"same_statement"}
    assert len(shared) == 3
    assert shared["share"].eq(1.0).all()


# --- what a protocol needs


@pytest.mark.parametrize(
    ("name", "lacks"), [("last_speaker_out", "test_share"), ("cross_corpus", "train")]
)
def test_a_protocol_with_required_parameters_names_them(small_rows, name, lacks):
    with pytest.raises(SplitError, match=f"'{name}' .*'{lacks}'"):
        make_split(small_rows, Protocol(name), seed=0)


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
    # Six speakers do not fill five folds of several corpora.
    params = {"n_folds": 3} if name == "speaker_folds" else {}
    with pytest.raises(SplitError, match=r"\['disgust'\].*speakers"):
        make_split(lonely, Protocol(name, params), seed=0)


def test_a_fold_without_validation_speakers_is_refused(small_rows):
    # Actors 8, 17, 21, 23 and 24 are missing: nobody is left for fold 3.
    with pytest.raises(SplitError, match=r"luna5, fold \d: .*speakers"):
        make_split(small_rows, Protocol("luna5"), seed=0)


# --- what does not fit


def test_who_divides_clips_is_told_how_rows_are_made(few_clips):
    with pytest.raises(SplitError, match="rows_of"):
        make_split(few_clips, Protocol("loso"), seed=1)


def test_an_unknown_protocol_names_the_known_ones(small_rows):
    with pytest.raises(SplitError, match=r"'kfold'.*random.*luna5.*loso"):
        make_split(small_rows, Protocol("kfold"), seed=0)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_unknown_parameter_is_named(small_rows, name):
    params = dict(RANDOM.params) if name == "random" else {}
    with pytest.raises(SplitError, match="n_repeats"):
        make_split(small_rows, Protocol(name, params=params | {"n_repeats": 7}), seed=0)


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


def test_rows_are_written_as_pandas_writes_them():
    """Stored runs are named by it: whatever a name holds, the text stays."""
    columns = ["row_id", "label", "audio_sha256"]
    cells = [["a,b", "sad", "0"], ['say "x"', "", "1"], ["c\nd", "angry", "ü"]]
    rows = pd.DataFrame(cells, columns=columns).assign(other=1)
    assert csv_of_rows(rows) == rows[columns].to_csv(index=False)
