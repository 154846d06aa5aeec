"""Corpora of other languages: names, what their publishers got wrong, and EmoDB 2.0's tables."""

from __future__ import annotations

import csv
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ser_lib import data
from ser_lib.audit.report import audit_dataset
from ser_lib.data import CORPORA, load_corpus
from ser_lib.data.corpora.emospeech_in import NOBODY, SPEAKERS
from ser_lib.errors import CorpusError

HASH = f"{SPEAKERS[0]}{'0' * 50}"
TREES = {
    "nemo": ("samples/EB0_anger_1", "samples/WR0_surprised_64"),
    "ased": ("ased/05Angry/a5-03-01-02-50", "ased/04Sad/S4-04-02-01-29"),
    "emospeech_in": (
        f"webservice/help-safe-fearful-??-{HASH}",
        f"webservice/go-glass break-happy-1561964985.157913-{SPEAKERS[1]}{'0' * 50}",
    ),
    "turev": ("Sound Source/Angry/1984_kz_kagit", "Sound Source/Sad/7895_hl_ogul1"),
}


def parse(name: str, text: str) -> dict[str, object]:
    corpus = CORPORA[name]
    return corpus.parse(re.fullmatch(corpus.grammar, text))


def shrink(monkeypatch, name: str, n_clips: int, n_speakers: int) -> None:
    small = replace(CORPORA[name], n_clips=n_clips, n_speakers=n_speakers)
    monkeypatch.setitem(data.CORPORA, name, small)


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_published_layouts_are_read(tmp_path, write_clip, monkeypatch, name, suffix):
    shrink(monkeypatch, name, 2, 2)
    for stem in TREES[name]:
        write_clip(tmp_path / f"{stem}{suffix}")
    table = load_corpus(name, root=tmp_path)
    assert set(table["clip_id"]) == {f"{name}/{Path(stem).name}" for stem in TREES[name]}


def test_sentences_of_ased_belong_to_one_emotion():
    assert parse("ased", "S4-04-02-01-29") == {
        "speaker": "29",
        "gender": "female",
        "emotion": "sad",
        "statement": "s404",
        "repetition": 2,
    }


def test_the_word_of_a_turev_name_has_no_figure():
    assert parse("turev", "7895_hl_ogul1")["statement"] == "ogul"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nemo", "WR0_boredom_64"),
        ("ased", "a4-03-01-02-50"),
        ("ased", "a5-03-01-03-50"),
        ("emospeech_in", f"go-safe-sad-1-{HASH}"),
        ("turev", "1984_xx_kagit"),
    ],
)
def test_codes_outside_the_tables_are_refused(name, text):
    with pytest.raises(KeyError):
        parse(name, text)


# --- what publishers got wrong


def test_a_gender_that_contradicts_the_speaker_s_others_is_outvoted_and_audited(
    tmp_path, write_clip, monkeypatch
):
    shrink(monkeypatch, "ased", 4, 2)
    names = ("a5-03-01-01-09", "a5-04-01-01-09", "n1-01-01-02-09", "n1-01-01-02-10")
    monkeypatch.setenv("SER_DATA", str(tmp_path))
    for name in names:
        write_clip(tmp_path / "ased" / f"{name}.wav")
    table = load_corpus("ased")
    genders = dict(zip(table["speaker"], table["gender"], strict=True))
    assert genders == {"ased-09": "female", "ased-10": "male"}
    assert table.attrs["other_gender"] == ["ased/n1-01-01-02-09"]
    found = [one for one in audit_dataset("ased").findings if one.kind == "other_gender"]
    assert [one.clips for one in found] == [("ased/n1-01-01-02-09",)]


def test_clips_published_twice_in_ased_are_kept_and_others_are_not(
    tmp_path, write_clip, monkeypatch
):
    shrink(monkeypatch, "ased", 3, 2)
    first = write_clip(tmp_path / "n1-07-01-02-53.wav")
    shutil.copy(first, tmp_path / "n1-07-02-02-53.wav")
    write_clip(tmp_path / "n1-07-02-02-54.wav")
    assert len(load_corpus("ased", root=tmp_path)) == 3
    shutil.copy(first, tmp_path / "n1-06-02-02-53.wav")
    with pytest.raises(CorpusError, match="the same audio under 3 names"):
        load_corpus("ased", root=tmp_path)


def test_clips_of_unknown_speakers_are_left_out_and_counted(tmp_path, write_clip, monkeypatch):
    shrink(monkeypatch, "emospeech_in", 1, 1)
    for name in (
        f"help-safe-calm-1-{HASH}",
        f"help-safe-calm-1-{NOBODY}",
        f"background-safe-None-1-{HASH}",
        f"bacho-safe-angry-1563210779752-b85700{'0' * 50}",
    ):
        write_clip(tmp_path / f"{name}.wav")
    table = load_corpus("emospeech_in", root=tmp_path)
    assert list(table["speaker"]) == [f"emospeech_in-{SPEAKERS[0]}"]
    reasons = [line.split(":")[0] for line in table.attrs["by_design"]]
    assert reasons == [
        "1 left out by design, of unknown speakers, who share one hash",
        "1 left out by design, nobody speaks, or no emotion is named",
        "1 left out by design, one recording under two emotions",
    ]


# --- EmoDB 2.0

EMODB2_STEMS = {"03a01Fa": "happiness", "03a01Nc": "neutral", "08b02Wd": "anger", "16b10L": "fear"}


@pytest.fixture
def emodb2_tree(tmp_path, write_clip, monkeypatch) -> Path:
    """A small tree of audformat: tables beside the folder of clips."""
    shrink(monkeypatch, "emodb2", len(EMODB2_STEMS), 3)
    root = tmp_path / "emodb2" / "emodb_2.0"
    for stem in EMODB2_STEMS:
        write_clip(root / "wav" / f"{stem}.wav")
    for name, header, rest in (
        ("emotion", "file,emotion,emotion.confidence", lambda stem: (EMODB2_STEMS[stem], 0.9)),
        ("files", "file,duration,speaker,transcription", lambda stem: ("0 days", stem[:2], "a01")),
    ):
        with (root / f"db.{name}.csv").open("w", newline="") as file:
            rows = [(f"wav/{stem}.wav", *rest(stem)) for stem in EMODB2_STEMS]
            csv.writer(file).writerows([header.split(","), *rows])
    (root / "db.yaml").write_text("name: emodb\n")
    return tmp_path


def test_emodb2_takes_emotions_from_its_table(emodb2_tree):
    table = load_corpus("emodb2", root=emodb2_tree / "emodb2").set_index("clip_id")
    assert dict(table["emotion"]) == {
        "emodb2/03a01Fa": "happy",
        "emodb2/03a01Nc": "neutral",
        "emodb2/08b02Wd": "angry",
        "emodb2/16b10L": "fearful",
    }
    assert list(table["repetition"]) == [1, 3, 4, 1]
    assert dict(table["gender"])["emodb2/08b02Wd"] == "female"


def test_emodb2_has_the_speakers_of_emodb(emodb2_tree):
    table = load_corpus("emodb2", root=emodb2_tree / "emodb2")
    assert set(table["speaker"]) == {"emodb-03", "emodb-08", "emodb-16"}


def test_emodb2_without_its_table_says_which_is_looked_for(emodb2_tree):
    next(emodb2_tree.rglob("db.emotion.csv")).unlink()
    with pytest.raises(CorpusError, match=r"no labels.*db\.emotion\.csv"):
        load_corpus("emodb2", root=emodb2_tree / "emodb2")
