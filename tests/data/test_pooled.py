"""The pool: whichever of its corpora are there, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ser_lib import data
from ser_lib.data import CORPORA, corpus_of, load_corpus, write_committed_clips
from ser_lib.data.corpus import CLIP_COLUMNS
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.pooled import POOLED, Pool
from ser_lib.errors import CorpusError

EMODB_STEMS = ("03a01Fa", "03a01Nc", "08b02Tc", "16b10Wb")


@pytest.fixture
def small_pool(tmp_path, monkeypatch, make_ravdess, write_clip) -> Pool:
    """A pool of two small corpora under `SER_DATA`, RAVDESS and EmoDB; TESS is not there."""
    monkeypatch.setenv("SER_DATA", str(tmp_path / "data"))
    make_ravdess(tmp_path / "data" / "ravdess")
    for stem in EMODB_STEMS:
        write_clip(tmp_path / "data" / "emodb" / f"{stem}.wav")
    members = (
        replace(CORPORA["ravdess"], n_clips=16, n_speakers=4),
        replace(CORPORA["emodb"], n_clips=4, n_speakers=3),
        CORPORA["tess"],
    )
    pool = replace(POOLED, members=members)
    monkeypatch.setitem(data.CORPORA, "pooled", pool)
    return pool


def hide(tmp_path: Path, member: str) -> None:
    folder = tmp_path / "data" / member
    folder.rename(tmp_path / f"hidden-{member}")


# --- what is there


def test_the_pool_is_that_of_fpt2025():
    assert CORPORA["pooled"] is POOLED
    assert [one.name for one in POOLED.members] == ["ravdess", "tess", "savee", "emodb"]
    # 5,174: EmoDB's 81 clips of boredom are no part of the task.
    assert sum(one.n_clips for one in POOLED.members) == 1440 + 2800 + 480 + 535
    assert POOLED.label_set in LABEL_SETS


def test_members_that_are_there_are_one_table(tmp_path, small_pool):
    table = load_corpus("pooled")
    assert list(table.columns) == list(CLIP_COLUMNS)
    assert len(table) == 20
    assert list(table["clip_id"]) == sorted(table["clip_id"])
    assert table["corpus"].value_counts().to_dict() == {"ravdess": 16, "emodb": 4}
    assert all(Path(path).is_file() for path in table["path"])
    assert table.attrs == {"left_out": [], "n_copies": 0, "missing": ["tess"], "has_audio": True}
    # Each clip as its own corpus reads it.
    for member in small_pool.members[:2]:
        alone = member.load()
        ours = table[table["corpus"] == member.name].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours, alone, check_dtype=False)


def test_without_any_member_all_places_and_sources_are_named(tmp_path, small_pool):
    for member in ("ravdess", "emodb"):
        hide(tmp_path, member)
    with pytest.raises(CorpusError, match="pooled: ") as caught:
        load_corpus("pooled")
    for member in small_pool.members:
        assert f"{member.root()}: {member.download}" in str(caught.value)


# --- what is only in the committed table


def test_a_member_without_audio_takes_part_through_the_committed_table(tmp_path, small_pool):
    whole = load_corpus("pooled")
    write_committed_clips(whole, "pooled")
    hide(tmp_path, "emodb")
    table = load_corpus("pooled")
    assert list(table["clip_id"]) == list(whole["clip_id"])
    has_audio = table["path"] != ""
    assert has_audio.groupby(table["corpus"]).all().to_dict() == {"ravdess": True, "emodb": False}
    assert table.attrs["has_audio"] is False
    assert table.attrs["missing"] == ["tess"]
    # Durations are written to the microsecond; all else is the same, hence the runs' keys.
    pd.testing.assert_frame_equal(
        table.drop(columns="path"), whole.drop(columns="path"), check_dtype=False, atol=1e-6
    )


def test_without_any_audio_the_whole_pool_is_read_from_the_committed_table(tmp_path, small_pool):
    whole = load_corpus("pooled")
    write_committed_clips(whole, "pooled")
    hide(tmp_path, "emodb")
    hide(tmp_path, "ravdess")
    table = load_corpus("pooled")
    assert list(table["audio_sha256"]) == list(whole["audio_sha256"])
    assert (table["path"] == "").all()
    assert table.attrs["has_audio"] is False
    assert table.attrs["missing"] == ["tess"]


def test_audio_counts_more_than_the_committed_table(tmp_path, small_pool):
    whole = load_corpus("pooled")
    write_committed_clips(whole.assign(emotion="disgust"), "pooled")
    assert set(load_corpus("pooled")["emotion"]) == set(whole["emotion"])


def test_statements_that_are_numbers_stay_names(tmp_path, small_pool):
    whole = load_corpus("pooled").assign(statement="01")
    write_committed_clips(whole, "pooled")
    assert set(data.load_committed_clips("pooled")["statement"]) == {"01"}


def test_a_member_that_the_pool_s_table_lacks_takes_part_through_its_own(tmp_path, small_pool):
    whole = load_corpus("pooled")
    write_committed_clips(whole[whole["corpus"] == "ravdess"].iloc[:5], "pooled")
    for member in ("ravdess", "emodb"):
        write_committed_clips(whole[whole["corpus"] == member].reset_index(drop=True), member)
        hide(tmp_path, member)
    assert load_corpus("pooled")["corpus"].value_counts().to_dict() == {"ravdess": 5, "emodb": 4}


# --- disorder


def test_a_member_that_lacks_clips_takes_part_and_says_so(tmp_path, small_pool):
    (tmp_path / "data" / "emodb" / "03a01Fa.wav").unlink()
    table = load_corpus("pooled")
    assert len(table) == 19
    (problem,) = table.attrs["left_out"]
    assert problem.startswith("emodb: 1 of 4 ")


def test_a_damaged_clip_of_a_member_is_refused_unless_it_may_be_left_out(tmp_path, small_pool):
    path = tmp_path / "data" / "emodb" / "03a01Fa.wav"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(CorpusError, match="emodb: 1 problem") as caught:
        load_corpus("pooled")
    assert "03a01Fa.wav" in str(caught.value)
    table = load_corpus("pooled", strict=False)
    assert len(table) == 19
    # The damaged one, and that the corpus is therefore not whole.
    assert [one[:7] for one in table.attrs["left_out"]] == ["emodb: ", "emodb: "]
    assert any("03a01Fa.wav" in one for one in table.attrs["left_out"])


def test_what_a_member_leaves_alone_is_counted(tmp_path, small_pool, write_clip):
    write_clip(tmp_path / "data" / "emodb" / "03a01Fb.wav")
    (line,) = load_corpus("pooled").attrs["by_design"]
    assert line.startswith("emodb: 1 left alone")


def test_a_member_alone_does_not_forgive_what_the_pool_forgives(tmp_path, small_pool):
    (tmp_path / "data" / "emodb" / "03a01Fa.wav").unlink()
    with pytest.raises(CorpusError, match=r"1 of 4 .*missing"):
        small_pool.members[1].load()


def test_copies_are_counted_over_all_members(tmp_path, small_pool, write_clip):
    write_clip(tmp_path / "data" / "emodb" / "more" / "03a01Fa.wav")
    assert load_corpus("pooled").attrs["n_copies"] == 1


def test_a_pool_has_no_folder_of_its_own(tmp_path, small_pool):
    with pytest.raises(CorpusError, match=rf"pooled: .*root={tmp_path}"):
        load_corpus("pooled", root=tmp_path)


# --- whose clips these are


def test_clips_of_one_corpus_are_of_that_corpus(few_clips):
    assert corpus_of(few_clips) == "demo"
    assert corpus_of(few_clips[:1]) == "demo"


def test_clips_of_several_corpora_are_of_the_pool(small_pool):
    table = load_corpus("pooled")
    assert corpus_of(table) == "pooled"
    assert corpus_of(table[table["corpus"] == "emodb"]) == "emodb"


def test_no_clips_have_no_corpus(few_clips):
    with pytest.raises(CorpusError, match="no clips"):
        corpus_of(few_clips[:0])


# --- the card


def test_the_card_of_the_pool_names_licences_and_citations_of_all():
    for member in POOLED.members:
        assert f"{member.name}: {member.licence}" in POOLED.licence
        assert member.citation in POOLED.citation
    assert POOLED.title
    assert POOLED.quirks
    assert not POOLED.is_embedded


@pytest.mark.parametrize("member", POOLED.members, ids=lambda one: one.name)
def test_every_class_of_the_pool_is_in_its_members(member):
    # Seven classes; EmoDB and SAVEE together have all, each alone not.
    known = set(LABEL_SETS[POOLED.label_set].from_emotion)
    emotions = set(LABEL_SETS[member.label_set].from_emotion)
    assert len(emotions & known) >= 6


def test_experiments_of_a_pool_are_made_on_its_first_corpus():
    assert data.single_corpus("pooled") == POOLED.members[0].name == "ravdess"
    assert data.single_corpus("emodb") == "emodb"
    with pytest.raises(CorpusError, match="'pool'"):
        data.single_corpus("pool")
