"""leave_corpus_out: who is where, how corpora are balanced, and that one corpus is no two."""

from __future__ import annotations

from itertools import product

import pandas as pd
import pytest

from ser_lib.data import corpus_of
from ser_lib.data.corpus import CLIP_COLUMNS, corpora_of
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.leakage import check_split
from ser_lib.data.splits import (
    Fold,
    Protocol,
    Split,
    clips_of,
    each_left_out,
    make_split,
    plain_protocol,
    rows_of,
)
from ser_lib.errors import LeakError, SplitError

SEVEN = LABEL_SETS["seven"]
CORPORA = {
    "ravdess": ("calm", "happy", "sad", "surprised"),
    "tess": ("neutral", "happy", "sad", "surprised", "disgust"),
    "nemo": ("neutral", "happy", "sad", "surprised"),
    "turev": ("calm", "happy", "sad"),
}


def table(corpora=CORPORA, *, n_each: int = 5) -> pd.DataFrame:
    """A clip table: three speakers a corpus, so many clips of each emotion."""
    rows = [
        {
            "clip_id": f"{corpus}/{speaker}-{emotion}-{take}",
            "corpus": corpus,
            "speaker": f"{'emodb' if corpus == 'emodb2' else corpus}-{speaker}",
            "gender": "unknown",
            "emotion": emotion,
            "statement": "s",
            "audio_sha256": f"{corpus}{speaker}{emotion}{take}",
        }
        for corpus, emotions in corpora.items()
        for speaker, emotion, take in product(range(3), emotions, range(n_each))
    ]
    return pd.DataFrame(rows).reindex(columns=list(CLIP_COLUMNS), fill_value="")


def divide(test: str, clips: pd.DataFrame, seed: int = 1, **params: object):
    protocol = Protocol("leave_corpus_out", {"test": test, **params})
    rows = rows_of(clips_of(clips, protocol, SEVEN), SEVEN)
    (fold,) = make_split(rows, protocol, seed=seed).folds
    return rows, fold


def part(rows: pd.DataFrame, ids: tuple[str, ...]) -> pd.DataFrame:
    found = rows.set_index("row_id").loc[list(ids)].reset_index()
    return found.assign(corpus=corpora_of(found))


@pytest.mark.parametrize("test", CORPORA)
def test_a_corpus_is_in_one_part_alone_and_the_tested_one_is_whole(test):
    rows, fold = divide(test, table())
    names = [set(part(rows, ids)["corpus"]) for ids in (fold.train, fold.validation, fold.test)]
    assert names[2] == {test}
    assert len(names[1]) == 1
    assert names[0] | names[1] == set(CORPORA) - {test}
    assert len(fold.test) == (corpora_of(rows) == test).sum()
    assert check_split(rows, Split("leave_corpus_out", (fold,))).empty


def test_classes_are_those_that_training_and_test_share():
    rows, _ = divide("turev", table())
    # Calm counts as neutral; surprise and disgust are not tested, hence not learned.
    assert set(rows["label"]) == {"neutral", "happy", "sad"}
    rows, _ = divide("tess", table())
    assert "disgust" not in set(rows["label"])


def test_no_corpus_outweighs_the_others_and_classes_are_drawn_in_turn():
    clips = pd.concat([table(), table({"tess": CORPORA["tess"][:1]}, n_each=90)])
    clips = clips.drop_duplicates("clip_id", ignore_index=True)
    rows, fold = divide("nemo", clips, n_clips=20)
    counts = part(rows, fold.train + fold.validation).groupby("corpus")["label"].value_counts()
    assert counts.groupby("corpus").sum().to_dict() == {"ravdess": 20, "tess": 20, "turev": 20}
    assert set(counts["tess"]) == {5}
    assert counts["turev"].max() - counts["turev"].min() <= 1


def test_a_seed_draws_the_same_clips_again_and_another_one_others():
    first, again, other = (divide("nemo", table(), seed, n_clips=9)[1] for seed in (1, 1, 2))
    assert first == again
    assert set(first.train) != set(other.train)
    assert first.test == other.test


def test_a_class_of_one_corpus_alone_is_not_validated_away():
    only_two = {"a": ("happy", "sad"), "b": ("happy", "sad"), "c": ("happy",), "d": ("happy",)}
    for seed in range(8):
        rows, fold = divide("a", table({**only_two}), seed)
        assert set(part(rows, fold.train)["label"]) == {"happy", "sad"}
        assert set(part(rows, fold.validation)["corpus"]) != {"b"}


@pytest.mark.parametrize(
    ("test", "corpora"), [("savee", CORPORA), ("tess", {"tess": ("sad",), "nemo": ("sad",)})]
)
def test_what_cannot_be_left_out_is_refused(test, corpora):
    with pytest.raises(SplitError, match=f"clips of '{test}' and of two other corpora"):
        divide(test, table(corpora))


def test_a_name_says_which_corpus_is_left_out():
    assert plain_protocol("leave_crema_d_out").params == {"test": "crema_d"}
    assert plain_protocol("leave_corpus_out").params == {}
    with pytest.raises(SplitError, match="'test'"):
        make_split(rows_of(table(), SEVEN), plain_protocol("leave_corpus_out"), seed=1)


# --- EmoDB and EmoDB 2.0 are one

BOTH = {**CORPORA, "emodb": ("neutral", "sad"), "emodb2": ("neutral", "sad")}


def test_emodb_2_is_tested_with_emodb_and_trained_on_with_it():
    rows, fold = divide("emodb", table(BOTH))
    assert {one.split("/")[0] for one in fold.test} == {"emodb", "emodb2"}
    rows, fold = divide("nemo", table(BOTH), n_clips=10)
    assert (part(rows, fold.train + fold.validation)["corpus"] == "emodb").sum() == 10


def test_the_guard_refuses_emodb_2_in_training_where_emodb_is_tested():
    rows = rows_of(table(BOTH), SEVEN)
    ids = {
        name: tuple(rows.loc[rows["row_id"].str.startswith(f"{name}/"), "row_id"]) for name in BOTH
    }
    clean = Fold(ids["ravdess"], ids["tess"], ids["emodb"] + ids["emodb2"])
    assert check_split(rows, Split("leave_corpus_out", (clean,))).empty
    leaking = Fold(ids["ravdess"] + ids["emodb2"], ids["tess"], ids["emodb"])
    with pytest.raises(LeakError, match="the same speaker in two parts"):
        check_split(rows, Split("leave_corpus_out", (leaking,)))


def test_what_is_known_beforehand_is_part_of_the_protocol_and_not_tested():
    clips = table()
    assert (
        each_left_out(["leave_corpus_out_norm_room10"], clips)[1] == "leave_ravdess_out_norm_room10"
    )
    new, known = (plain_protocol(f"leave_nemo_out{one}") for one in ("", "_norm_room10"))
    assert known.full_name == "leave_corpus_out_norm_room10"
    rows = rows_of(clips_of(clips, known, SEVEN), SEVEN)
    tested = [set(make_split(rows, one, seed=1).folds[0].test) for one in (new, known)]
    assert tested[1] < tested[0]
    assert len(tested[0] - tested[1]) == 10
    with pytest.raises(SplitError, match="room100"):
        make_split(rows, plain_protocol("leave_nemo_out_norm_room100"), seed=1)


def test_as_folds_every_corpus_is_tested_once_on_all_classes():
    corpora = {one: (*emotions, "disgust") for one, emotions in CORPORA.items()}
    rows = rows_of(table(corpora), SEVEN)
    folds = make_split(rows, plain_protocol("corpus_folds"), seed=1).folds
    tested = [set(part(rows, one.test)["corpus"]) for one in folds]
    assert tested == [{one} for one in sorted(CORPORA)]
    for one in folds:
        assert {one for (one,) in tested} - set(part(rows, one.test)["corpus"]) == set(
            part(rows, one.train + one.validation)["corpus"]
        )
        # TurEV lacks surprise, which it may be taken for all the same.
        assert "surprised" in set(part(rows, one.train)["label"])
    # Nothing of a class is learned where the one corpus that has it is left out.
    with pytest.raises(SplitError):
        make_split(rows_of(table(), SEVEN), plain_protocol("corpus_folds"), seed=1)


def test_four_corpora_whose_licences_allow_it_are_a_pool_of_their_own():
    clips = pd.DataFrame({"corpus": ["emodb", "emospeech_in", "nemo", "ravdess"]})
    assert corpus_of(clips) == "languages_open"
    assert corpus_of(clips[:3]) == "languages"


def test_a_row_without_a_speaker_is_of_no_corpus():
    found = corpora_of(pd.DataFrame({"speaker": ["emodb-03", "my-own-1", None]}))
    assert found.iloc[:2].tolist() == ["emodb", "my-own"]
    assert found.isna().tolist() == [False, False, True]
