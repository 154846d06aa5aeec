"""TESS: names and their one misprint, the layouts of its archives, and disorder of every kind.

What holds of the real clips is in `test_real_corpora.py`.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from ser_lib import data
from ser_lib.data import CORPORA, load_corpus
from ser_lib.data.corpora.tess import EMOTIONS, TESS, WORDS
from ser_lib.errors import CorpusError

# The folders as they are in the published archive, cases and words mixed.
FOLDERS = {
    ("OAF", "neutral"): "OAF_neutral",
    ("OAF", "ps"): "OAF_Pleasant_surprise",
    ("OAF", "fear"): "OAF_Fear",
    ("YAF", "neutral"): "YAF_neutral",
    ("YAF", "ps"): "YAF_pleasant_surprised",
    ("YAF", "fear"): "YAF_fear",
}
STEMS = tuple(
    "OA_bite_neutral" if (speaker, word, emotion) == ("OAF", "bite", "neutral") else stem
    for (speaker, emotion), word in product(FOLDERS, ("back", "bite"))
    for stem in [f"{speaker}_{word}_{emotion}"]
)


def parse(stem: str) -> dict[str, object]:
    return TESS.parse(re.fullmatch(TESS.grammar, stem))


@pytest.fixture
def small_tess(monkeypatch):
    """Pretend that TESS was published with the 12 clips that `tree` makes."""
    small = replace(TESS, n_clips=len(STEMS), names=STEMS)
    monkeypatch.setitem(data.CORPORA, "tess", small)
    return small


@pytest.fixture
def make_tree(write_clip):
    """Return a function that makes the tree of an archive and gives its files by name."""

    def make(root: Path, suffix: str = ".wav", **sound: object) -> dict[str, Path]:
        files = {}
        for stem in STEMS:
            speaker, _, emotion = stem.split("_")
            folder = FOLDERS["OAF" if speaker == "OA" else speaker, emotion]
            files[stem] = write_clip(root / folder / f"{stem}{suffix}", **sound)
        return files

    return make


# --- names


def test_a_tess_name_is_translated():
    assert parse("YAF_shout_ps") == {
        "speaker": "YAF",
        "gender": "female",
        "emotion": "surprised",
        "statement": "shout",
    }


def test_the_seven_published_emotions_are_kept():
    words = [EMOTIONS[code] for code in ("neutral", "happy", "sad", "angry", "fear", "disgust")]
    assert words == ["neutral", "happy", "sad", "angry", "fearful", "disgust"]
    assert EMOTIONS["ps"] == "surprised"
    assert len(EMOTIONS) == 7


def test_there_are_200_words_and_2800_names():
    assert len(set(WORDS)) == len(WORDS) == 200
    assert TESS.n_clips == 2 * 200 * 7 == len(TESS.names)
    assert TESS.statements["back"] == "Say the word back."


def test_the_clip_with_a_letter_too_few_is_the_older_speaker_s():
    assert parse("OA_bite_neutral")["speaker"] == "OAF"
    assert "OA_bite_neutral" in TESS.names
    assert "OAF_bite_neutral" not in TESS.names


@pytest.mark.parametrize(
    ("stem", "code"),
    [
        ("OA_back_neutral", "OA"),  # only one clip may lack the letter
        ("OA_bite_sad", "OA"),
        ("MAF_back_sad", "MAF"),
        ("OAF_zebra_sad", "zebra"),
        ("OAF_back_calm", "calm"),
        ("OAF_back_surprise", "surprise"),
    ],
)
def test_codes_outside_the_tables_are_refused(stem, code):
    with pytest.raises(KeyError, match=code):
        parse(stem)


@pytest.mark.parametrize("stem", ["OAF_back", "oaf_back_sad", "OAF-back-sad", "OAF_back_sad (1)"])
def test_names_that_are_nearly_tess_are_none(stem):
    assert re.fullmatch(TESS.grammar, stem) is None


# --- layouts


@pytest.mark.parametrize("form", [{}, {"suffix": ".flac"}, {"suffix": ".WAV"}, {"rate_hz": 24_414}])
def test_the_published_folders_are_read_whatever_their_names(tmp_path, make_tree, small_tess, form):
    make_tree(tmp_path, **form)
    table = load_corpus("tess", root=tmp_path)
    assert list(table["clip_id"]) == sorted(f"tess/{stem}" for stem in STEMS)
    assert dict(table["speaker"].value_counts()) == {"tess-OAF": 6, "tess-YAF": 6}
    assert dict(table["emotion"].value_counts()) == {"neutral": 4, "surprised": 4, "fearful": 4}
    assert table.attrs == {"left_out": [], "n_copies": 0, "has_audio": True}


def test_a_flat_folder_is_read(tmp_path, make_tree, small_tess):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in make_tree(tmp_path / "tree").values():
        path.rename(flat / path.name)
    assert len(load_corpus("tess", root=flat)) == 12


def test_the_archive_that_holds_each_clip_twice_gives_each_once(tmp_path, make_tree, small_tess):
    name = "TESS Toronto emotional speech set data"
    files = make_tree(tmp_path / name)
    shutil.copytree(tmp_path / name, tmp_path / "inner")
    (tmp_path / "inner").rename(tmp_path / name / name)
    table = load_corpus("tess", root=tmp_path)
    assert table.attrs["n_copies"] == 12
    assert sorted(table["path"]) == sorted(map(str, files.values()))


def test_a_corrected_name_gives_the_published_id(tmp_path, make_tree, small_tess):
    path = make_tree(tmp_path)["OA_bite_neutral"]
    path.rename(path.with_name("OAF_bite_neutral.wav"))
    assert "tess/OA_bite_neutral" in set(load_corpus("tess", root=tmp_path)["clip_id"])


def test_the_corrected_name_beside_the_published_one_is_a_copy(tmp_path, make_tree, small_tess):
    path = make_tree(tmp_path)["OA_bite_neutral"]
    shutil.copy(path, path.with_name("OAF_bite_neutral.wav"))
    assert load_corpus("tess", root=tmp_path).attrs["n_copies"] == 1


# --- disorder


def test_missing_clips_are_named(tmp_path, make_tree, small_tess, lists_problem):
    files = make_tree(tmp_path)
    files["OA_bite_neutral"].unlink()
    files["YAF_back_ps"].unlink()
    with pytest.raises(CorpusError) as caught:
        load_corpus("tess", root=tmp_path)
    counts = ("2 of 12", "2 of 2", "6 a speaker", "tess-OAF has 5, tess-YAF has 5")
    assert lists_problem(caught, *counts, "missing: OA_bite_neutral, YAF_back_ps")
    table = load_corpus("tess", root=tmp_path, strict=False)
    assert len(table) == 10
    assert len(table.attrs["left_out"]) == 1


def test_a_long_list_of_missing_clips_is_cut(tmp_path, make_tree, small_tess):
    for stem, path in make_tree(tmp_path).items():
        if stem.startswith("OA"):
            path.unlink()
    (tmp_path / "YAF_fear" / "YAF_back_fear.wav").unlink()
    with pytest.raises(CorpusError, match=r"missing: .*, OAF_bite_fear, …"):
        load_corpus("tess", root=tmp_path)


def test_all_disorder_is_listed_at_once(tmp_path, make_tree, write_clip, small_tess, lists_problem):
    files = make_tree(tmp_path)
    files["OAF_back_ps"].write_bytes(b"")
    files["OAF_back_fear"].write_bytes(files["OAF_back_fear"].read_bytes()[:500])
    shutil.copy(files["YAF_back_ps"], files["YAF_bite_ps"])
    write_clip(tmp_path / "copies" / "YAF_back_fear.wav", np.linspace(-0.5, 0.5, 8000))
    write_clip(tmp_path / "my recording.wav")
    write_clip(tmp_path / "OAF_neutral" / "OAF_zebra_neutral.wav")
    with pytest.raises(CorpusError) as caught:
        load_corpus("tess", root=tmp_path)
    for words in (
        ("tess", "7 problem", str(tmp_path)),
        ("OAF_back_ps.wav", "0 bytes"),
        ("OAF_back_fear.wav", "truncated"),
        ("2 names", "YAF_pleasant_surprised/YAF_back_ps.wav, "),
        ("tess/YAF_back_fear", "different"),
        ("my recording.wav", "OAF_back_angry.wav"),
        ("OAF_zebra_neutral.wav", "'zebra'"),
        ("3 of 12", "missing"),
    ):
        assert lists_problem(caught, *words), words
    assert len(load_corpus("tess", root=tmp_path, strict=False)) == 9


def test_a_folder_of_another_corpus_is_refused(tmp_path, make_ravdess):
    make_ravdess(tmp_path)
    with pytest.raises(CorpusError, match=r"tess: .* 16 .*OAF_back"):
        load_corpus("tess", root=tmp_path, strict=False)


def test_a_folder_without_audio_is_refused(tmp_path):
    (tmp_path / "OAF_angry").mkdir()
    with pytest.raises(CorpusError, match=r"tess: .*10\.5683/SP2/E8H2MF"):
        CORPORA["tess"].load(tmp_path)
