"""The real corpora, where they are: counts as published, and what hand-typed tables get wrong.

They are looked for under `SER_DATA`, else in `../shared/data` beside the project. They are never
committed; without them these tests are skipped, and say so.
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pandas as pd
import pytest

from ser_lib import corpora
from ser_lib.audit import check_split
from ser_lib.corpora import CORPORA
from ser_lib.labels import LABEL_SETS
from ser_lib.paths import PROJECT_DIR
from ser_lib.splits import Protocol, make_split, rows_of

pytestmark = pytest.mark.real_data

# Read when the tests are collected: the fixture `own_folders` hides it from the tests themselves.
DATA = Path(os.environ.get("SER_DATA") or PROJECT_DIR.parent / "shared" / "data")
REAL = [name for name, one in CORPORA.items() if not one.is_embedded]


def _load(name: str, cache: Path) -> pd.DataFrame:
    folder = DATA / (CORPORA[name].folder or name)
    if not folder.is_dir():
        pytest.skip(f"NOT CHECKED: {name} is not under {DATA}; point SER_DATA at the corpora")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_CACHE", str(cache))
        return corpora.load(name, root=folder)


@pytest.fixture(scope="module")
def real_clips(tmp_path_factory):
    """Return a function that loads a corpus once for all tests of this file."""
    cache, loaded = tmp_path_factory.mktemp("real"), {}

    def load(name: str) -> pd.DataFrame:
        if name not in loaded:
            loaded[name] = _load(name, cache)
        return loaded[name]

    return load


@pytest.fixture(scope="module")
def ravdess(real_clips):
    return real_clips("ravdess")


@pytest.fixture(scope="module")
def emodb(real_clips):
    return real_clips("emodb")


@pytest.mark.parametrize("name", REAL)
def test_a_corpus_is_complete_and_clean(real_clips, name):
    clips = real_clips(name)
    assert len(clips) == CORPORA[name].n_clips
    assert clips["speaker"].nunique() == CORPORA[name].n_speakers
    assert clips["clip_id"].is_unique
    assert clips.attrs["left_out"] == []


@pytest.mark.parametrize("name", REAL)
def test_a_corpus_has_just_the_emotions_of_its_label_set(real_clips, name):
    label_set = LABEL_SETS[CORPORA[name].label_set]
    assert set(real_clips(name)["emotion"]) == set(label_set.from_emotion)


@pytest.mark.parametrize("name", REAL)
def test_only_known_pairs_share_their_audio(real_clips, name):
    clips = real_clips(name)
    twins = clips[clips.duplicated("audio_sha256", keep=False)].groupby("audio_sha256")["clip_id"]
    found = {frozenset(ids) for _, ids in twins}
    assert found == set(CORPORA[name].known_duplicates)


@pytest.mark.parametrize("name", REAL)
def test_leaving_one_speaker_out_is_clean(real_clips, name):
    rows = rows_of(real_clips(name), LABEL_SETS[CORPORA[name].label_set])
    assert check_split(rows, make_split(rows, Protocol("loso"), seed=1)).empty


@pytest.mark.parametrize("name", REAL)
def test_the_committed_table_is_that_of_the_audio(real_clips, name, monkeypatch, tmp_path):
    if not (PROJECT_DIR / "reports" / name / "clips.csv").is_file():
        pytest.skip(f"NOT CHECKED: reports/{name}/clips.csv is not committed")
    monkeypatch.delenv("SER_REPORTS")
    monkeypatch.setenv("SER_DATA", str(tmp_path / "nothing"))
    committed = corpora.load(name)
    pd.testing.assert_frame_equal(
        committed.drop(columns="path"), real_clips(name).drop(columns="path"), atol=1e-6
    )


# --- RAVDESS: Livingstone & Russo (2018)


def test_ravdess_has_192_clips_an_emotion_and_half_as_many_neutral(ravdess):
    counts = dict(ravdess["emotion"].value_counts())
    assert counts.pop("neutral") == 96
    assert set(counts.values()) == {192}


def test_ravdess_has_60_clips_an_actor_and_12_women(ravdess):
    assert set(ravdess["speaker"].value_counts()) == {60}
    assert dict(ravdess.drop_duplicates("speaker")["gender"].value_counts()) == {
        "male": 12,
        "female": 12,
    }


def test_ravdess_is_the_table_of_its_grammar(ravdess, ravdess_table):
    measured = ["path", "duration_s", "sample_rate_hz", "audio_sha256"]
    pd.testing.assert_frame_equal(
        ravdess.drop(columns=measured), ravdess_table.drop(columns=measured)
    )


def test_ravdess_clips_are_about_as_long_as_published(ravdess):
    assert ravdess["duration_s"].mean() == pytest.approx(3.7, abs=0.05)
    assert ravdess["duration_s"].between(2.9, 5.3).all()


# --- EmoDB: Burkhardt et al. (2005)

EMODB_COUNTS = {
    "angry": 127,
    "boredom": 81,
    "disgust": 46,
    "fearful": 69,
    "happy": 71,
    "neutral": 79,
    "sad": 62,
}


def test_emodb_has_the_published_number_of_clips_an_emotion(emodb):
    assert dict(emodb["emotion"].value_counts()) == EMODB_COUNTS


def test_emodb_speakers_and_letters_agree_with_a_second_source(emodb):
    path = DATA / "emodb" / "listeners.csv"
    if not path.is_file():
        pytest.skip(f"NOT CHECKED: no second source at {path}")
    with path.open(encoding="utf-8", newline="") as file:
        listed = {re.sub(r"\.\w+$", "", row[0]) for row in csv.reader(file)}
    ours = {one.removeprefix("emodb/") for one in emodb["clip_id"]}
    assert ours <= {Path(one).name for one in listed}


def test_emodb_clips_were_recognised_by_listeners_as_published(emodb):
    path = DATA / "emodb" / "listeners.csv"
    if not path.is_file():
        pytest.skip(f"NOT CHECKED: no listeners' judgements at {path}")
    judged = pd.read_csv(path).set_index("clip_id")
    ours = judged.loc[[one.removeprefix("emodb/") for one in emodb["clip_id"]]]
    assert ours["recognised_percent"].min() >= 80
    assert ours["recognised_percent"].mean() == pytest.approx(93.5, abs=0.1)


def test_emodb_men_speak_lower_than_women(emodb):
    # The second source for the genders is the voices: a table that has them wrong does not survive
    # it. Neutral clips: the highest man has a median pitch of 145 Hz, the lowest woman of 165 Hz.
    from ser_lib.audio import load_signal
    from ser_lib.features import prosody

    neutral = emodb[emodb["emotion"] == "neutral"]
    pitch_hz = pd.Series(
        [prosody(*load_signal(path, sample_rate_hz=16_000))[1] for path in neutral["path"]],
        index=neutral.index,
    )
    medians = pitch_hz.groupby(neutral["speaker"]).median()
    genders = neutral.drop_duplicates("speaker").set_index("speaker")["gender"]
    assert dict(genders) == {
        speaker: ("male" if median < 155 else "female") for speaker, median in medians.items()
    }
