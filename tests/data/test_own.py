"""Clips of one's own: a clip table from a table or from names, apart from the project's corpora."""

from __future__ import annotations

import pandas as pd
import pytest

from ser_lib.data.corpus import CLIP_COLUMNS
from ser_lib.data.own import clips_from_folder, clips_from_table
from ser_lib.errors import CorpusError
from ser_lib.paths import runs_dir
from ser_lib.runs.results import collect
from ser_lib.studies import STUDIES

SPEAKERS = ("ann", "bob", "cem", "dan")
PATTERN = r"(?P<speaker>\w+)/(?P<emotion>[a-z]+)_\d"


@pytest.fixture
def folder(tmp_path, write_clip, rng):
    for speaker in SPEAKERS:
        for emotion in ("happy", "sad"):
            signal = rng.normal(0, 0.1, 16_000)
            write_clip(tmp_path / "clips" / speaker / f"{emotion}_1.wav", signal)
    return tmp_path / "clips"


def test_names_become_a_clip_table_of_a_corpus_of_its_own(folder):
    clips = clips_from_folder(folder, name="study", pattern=PATTERN)
    assert list(clips.columns) == list(CLIP_COLUMNS)
    assert list(clips["clip_id"][:2]) == ["mine-study/ann/happy_1", "mine-study/ann/sad_1"]
    assert set(clips["speaker"]) == {f"mine-study-{one}" for one in SPEAKERS}
    assert set(clips["corpus"]) == {"mine-study"}
    assert clips["duration_s"].gt(0).all()


def test_a_study_runs_on_them_and_keeps_its_runs_apart(folder):
    clips = clips_from_folder(folder, name="study", pattern=PATTERN)
    (result,) = collect(
        STUDIES["boucheta2025"], clips, models=["dummy"], protocols=["honest"], n_seeds=1
    ).all
    assert result.protocol_name == "loso"
    assert result.runs[0].folder.parent == runs_dir("mine-study")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pattern": "x(?P<emotion>a)(?P<speaker>b)"}, "8 of 8"),
        ({"emotions": {"happy": "glad"}}, "glad.*known are neutral"),
        ({"name": "a/b"}, "a/b"),
        ({"pattern": r"(?P<emotion>[a-z]+)_"}, "speaker"),
        ({"pattern": f"{PATTERN}(?P<genre>)"}, "genre.*gender"),
        ({"pattern": "(?P<speaker>"}, "no regular expression"),
    ],
)
def test_what_does_not_fit_is_named_with_what_would(folder, options, said):
    with pytest.raises(CorpusError, match=said):
        clips_from_folder(folder, **{"name": "study", "pattern": PATTERN, **options})


def test_files_that_cannot_be_used_are_all_listed(folder):
    table = pd.DataFrame({"path": ["a.wav", "b.wav"], "emotion": "sad", "speaker": ["a", "b"]})
    with pytest.raises(CorpusError, match=r"(?s)2 of 2.*a\.wav.*b\.wav"):
        clips_from_table(table, name="study", root=folder)


@pytest.mark.parametrize("speaker", [None, float("nan"), " "])
def test_a_row_without_speaker_is_named_and_not_taken_for_one(folder, speaker):
    paths = ["ann/sad_1.wav", "bob/sad_1.wav"]
    table = pd.DataFrame({"path": paths, "emotion": "sad", "speaker": ["ann", speaker]})
    with pytest.raises(CorpusError, match="row 2: no speaker"):
        clips_from_table(table, name="study", root=folder)


def test_a_file_that_is_named_twice_is_refused_and_unknown_gender_is_none(folder):
    table = pd.DataFrame({"path": ["ann/sad_1.wav"] * 2, "emotion": "sad", "speaker": "ann"})
    with pytest.raises(CorpusError, match="ann/sad_1"):
        clips_from_table(table, name="study", root=folder)
    one = clips_from_table(table[:1].assign(gender=None), name="study", root=folder)
    assert one["gender"][0] == ""


def test_an_empty_folder_or_table_and_two_columns_of_one_name_say_so(tmp_path):
    for folder, said in ((tmp_path, "no audio file"), (tmp_path / "none", "no such folder")):
        with pytest.raises(CorpusError, match=said):
            clips_from_folder(folder, name="study", pattern=PATTERN)
    table = pd.DataFrame(columns=["path", "emotion", "speaker"])
    for odd, said in ((table, "no rows"), (table.iloc[:, [0, 1, 2, 2]], "two columns.*speaker")):
        with pytest.raises(CorpusError, match=said):
            clips_from_table(odd, name="study")
