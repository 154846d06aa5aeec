"""SAVEE: speakers in folders or in names, sentences by number, and disorder of every kind."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from ser_lib import data
from ser_lib.data import load_corpus
from ser_lib.data.corpora.savee import EMOTIONS, SAVEE, STATEMENTS
from ser_lib.errors import CorpusError

SPEAKERS = ("DC", "JE", "JK", "KL")
SENTENCES = ("a01", "n30", "sa15", "su02")
NAMES = tuple(f"{speaker}_{sentence}" for speaker, sentence in product(SPEAKERS, SENTENCES))


def parse(name: str) -> dict[str, object]:
    return SAVEE.parse(re.fullmatch(SAVEE.grammar, name))


@pytest.fixture
def small_savee(monkeypatch):
    """Pretend that SAVEE was published with the 16 clips that `make_tree` makes."""
    small = replace(SAVEE, n_clips=len(NAMES), names=NAMES)
    monkeypatch.setitem(data.CORPORA, "savee", small)
    return small


@pytest.fixture
def make_tree(write_clip):
    """Return a function that makes the published tree and gives its files by name."""

    def make(root: Path, suffix: str = ".wav", **sound: object) -> dict[str, Path]:
        files = {}
        for name in NAMES:
            # The sound is that of the long name: `a01` alone would sound alike for all speakers.
            long = write_clip(root / f"{name}{suffix}", **sound)
            speaker, short = name.split("_")
            (root / "AudioData" / speaker).mkdir(parents=True, exist_ok=True)
            files[name] = long.rename(root / "AudioData" / speaker / f"{short}{suffix}")
        return files

    return make


# --- names


def test_a_savee_name_is_translated():
    assert parse("KL_sa03") == {
        "speaker": "KL",
        "gender": "male",
        "emotion": "sad",
        "statement": "sa03",
    }


def test_the_seven_published_letters_are_kept():
    # The archive's own Info.txt.
    assert EMOTIONS == {
        "n": "neutral",
        "h": "happy",
        "sa": "sad",
        "a": "angry",
        "f": "fearful",
        "d": "disgust",
        "su": "surprised",
    }


def test_there_are_15_sentences_an_emotion_and_30_in_neutral():
    assert len(STATEMENTS) == 6 * 15 + 30
    assert len(SAVEE.names) == 4 * 120 == SAVEE.n_clips
    emotions = [parse(name)["emotion"] for name in SAVEE.names]
    assert emotions.count("neutral") == 120
    assert emotions.count("surprised") == 60


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("XY_a01", "XY"),
        ("DC_s01", "s"),
        ("DC_sb01", "sb"),
        ("DC_a16", "a16"),
        ("DC_a00", "a00"),
        ("DC_n31", "n31"),
    ],
)
def test_codes_outside_the_tables_are_refused(name, code):
    with pytest.raises(KeyError, match=code):
        parse(name)


@pytest.mark.parametrize("name", ["a01", "_a01", "DC_a1", "DC_A01", "DC-a01", "DC_a01 (1)"])
def test_names_that_are_nearly_savee_are_none(name):
    assert re.fullmatch(SAVEE.grammar, name) is None


# --- layouts


@pytest.mark.parametrize("form", [{}, {"suffix": ".flac"}, {"suffix": ".WAV"}, {"rate_hz": 44_100}])
def test_the_published_layout_has_its_speakers_in_folders(tmp_path, make_tree, small_savee, form):
    make_tree(tmp_path, **form)
    table = load_corpus("savee", root=tmp_path)
    assert list(table["clip_id"]) == sorted(f"savee/{name}" for name in NAMES)
    assert dict(table["speaker"].value_counts()) == dict.fromkeys(
        map("savee-{}".format, SPEAKERS), 4
    )
    assert set(table["gender"]) == {"male"}
    assert table.attrs == {"left_out": [], "n_copies": 0, "has_audio": True}


@pytest.mark.parametrize("folder", ["", "ALL", "SAVEE/ALL"])
def test_long_names_are_read_from_one_folder(tmp_path, write_clip, small_savee, folder):
    for name in NAMES:
        write_clip(tmp_path / folder / f"{name}.wav")
    assert list(load_corpus("savee", root=tmp_path)["clip_id"]) == sorted(
        f"savee/{one}" for one in NAMES
    )


def test_both_layouts_give_the_same_corpus(tmp_path, make_tree, write_clip, small_savee):
    make_tree(tmp_path / "published")
    for name in NAMES:
        write_clip(tmp_path / "flat" / f"{name}.wav")
    first, second = (load_corpus("savee", root=tmp_path / one) for one in ("published", "flat"))
    assert first.drop(columns="path").equals(second.drop(columns="path"))


def test_the_root_may_be_the_folder_of_the_speakers(tmp_path, make_tree, small_savee):
    make_tree(tmp_path)
    assert len(load_corpus("savee", root=tmp_path / "AudioData")) == 16


def test_both_layouts_in_one_folder_are_copies(tmp_path, make_tree, write_clip, small_savee):
    make_tree(tmp_path)
    write_clip(tmp_path / "ALL" / "DC_a01.wav")
    assert load_corpus("savee", root=tmp_path).attrs["n_copies"] == 1


# --- disorder


def test_short_names_without_the_speakers_folder_are_refused(
    tmp_path, make_tree, small_savee, lists_problem
):
    # Four speakers' `a01.wav` in one folder have no speaker, or worse, overwrote each other.
    files = make_tree(tmp_path)
    files["JE_a01"].rename(tmp_path / "a01.wav")
    (tmp_path / "wav").mkdir()
    files["JK_a01"].rename(tmp_path / "wav" / "a01.wav")
    with pytest.raises(CorpusError) as caught:
        load_corpus("savee", root=tmp_path)
    assert lists_problem(caught, "  a01.wav:", "DC_a01.wav")
    assert lists_problem(caught, "wav/a01.wav:", "DC_a01.wav")
    assert lists_problem(caught, "2 of 16", "missing: JE_a01, JK_a01")


def test_a_folder_of_one_speaker_as_root_is_refused(tmp_path, make_tree):
    make_tree(tmp_path)
    with pytest.raises(CorpusError, match=r"savee: .* 4 "):
        load_corpus("savee", root=tmp_path / "AudioData" / "DC")


def test_all_disorder_is_listed_at_once(
    tmp_path, make_tree, write_clip, small_savee, lists_problem
):
    files = make_tree(tmp_path)
    files["DC_a01"].write_bytes(b"")
    files["DC_n30"].write_bytes(files["DC_n30"].read_bytes()[:500])
    shutil.copy(files["JE_a01"], files["KL_a01"])
    write_clip(tmp_path / "ALL" / "JK_a01.wav", np.linspace(-0.5, 0.5, 8000))
    write_clip(tmp_path / "AudioData" / "DC" / "my recording.wav")
    write_clip(tmp_path / "AudioData" / "DC" / "a16.wav")
    with pytest.raises(CorpusError) as caught:
        load_corpus("savee", root=tmp_path)
    for words in (
        ("savee", "7 problem", str(tmp_path)),
        ("AudioData/DC/a01.wav", "0 bytes"),
        ("AudioData/DC/n30.wav", "truncated"),
        ("2 names", "AudioData/JE/a01.wav, AudioData/KL/a01.wav"),
        ("savee/JK_a01", "different"),
        ("my recording.wav", "DC_a01.wav"),
        ("a16.wav", "'a16'"),
        ("3 of 16", "missing"),
    ):
        assert lists_problem(caught, *words), words
    table = load_corpus("savee", root=tmp_path, strict=False)
    assert len(table) == 13
    assert len(table.attrs["left_out"]) == 7


def test_a_folder_of_another_corpus_is_refused(tmp_path, make_ravdess):
    make_ravdess(tmp_path)
    with pytest.raises(CorpusError, match=r"savee: .* 16 .*DC_a01\.wav"):
        load_corpus("savee", root=tmp_path, strict=False)


def test_a_folder_with_nothing_usable_is_refused_even_if_not_strict(tmp_path, make_tree):
    for path in make_tree(tmp_path).values():
        path.write_bytes(b"")
    with pytest.raises(CorpusError, match=r"savee: 17 problem\(s\)"):
        load_corpus("savee", root=tmp_path, strict=False)
