"""The real corpora, where they are: counts as published, and what hand-typed tables get wrong.

They are looked for under `SER_DATA`, else in `../shared/data` next to the project. They are never
committed; without them these tests are skipped, and say so.
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pandas as pd
import pytest

from ser_lib import data
from ser_lib.audio.io import read_facts
from ser_lib.data import CORPORA
from ser_lib.data.corpus import Corpus
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.leakage import check_split
from ser_lib.data.splits import Protocol, make_split, rows_of
from ser_lib.errors import CorpusError
from ser_lib.paths import PROJECT_DIR

pytestmark = pytest.mark.real_data

# Read when the tests are collected: the fixture `own_folders` hides it from the tests themselves.
DATA = Path(os.environ.get("SER_DATA") or PROJECT_DIR.parent / "shared" / "data")
REAL = [name for name, one in CORPORA.items() if isinstance(one, Corpus) and not one.is_embedded]
# What the copy in ../shared/data may lack; a complete copy lacks nothing.
ABSENT = {"tess": ["OAF_back_angry", "YAF_beg_sad"]}
# Of others it holds a part: so many clips and speakers.
PARTS = {"nemo": (1490, 9), "ased": (1811, 65), "emospeech_in": (1341, 98), "turev": (869, 6)}


def _load(name: str, cache: str) -> pd.DataFrame:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"NOT CHECKED: {name} is not under {DATA}; point SER_DATA at the corpora")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_CACHE", cache)
        return data.load_corpus(name, root=folder, strict=name not in ABSENT | PARTS)


@pytest.fixture(scope="module")
def real_clips(real_cache_dir):
    """Return a function that loads a corpus once for all tests of this file."""
    loaded = {}

    def load(name: str) -> pd.DataFrame:
        if name not in loaded:
            loaded[name] = _load(name, real_cache_dir)
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
    if name in PARTS and len(clips) < CORPORA[name].n_clips:
        assert (len(clips), clips["speaker"].nunique()) == PARTS[name]
        assert [one.split(" ", 1)[1][:3] for one in clips.attrs["left_out"]] == ["of "]
        return
    absent = ABSENT.get(name, []) if clips.attrs["left_out"] else []
    assert len(clips) == CORPORA[name].n_clips - len(absent)
    assert clips["speaker"].nunique() == CORPORA[name].n_speakers
    assert clips["clip_id"].is_unique
    # The one problem may be that clips are missing: just these.
    assert len(clips.attrs["left_out"]) == bool(absent)
    assert all(one.endswith(f"missing: {', '.join(absent)}") for one in clips.attrs["left_out"])


# Facts come from the cache of the project, where they are since a file changed: here from a few.
@pytest.mark.parametrize("name", REAL)
def test_thefacts_of_clips_are_those_of_their_files(real_clips, name):
    clips = real_clips(name)
    for row in clips.iloc[:: max(1, len(clips) // 20)].itertuples():
        facts = read_facts(row.path)
        assert row.duration_s == pytest.approx(facts.duration_s, abs=1e-6)
        assert (row.sample_rate_hz, row.audio_sha256) == (facts.sample_rate_hz, facts.audio_sha256)


@pytest.mark.parametrize("name", REAL)
def test_a_corpus_has_just_the_emotions_of_its_label_set(real_clips, name):
    label_set = LABEL_SETS[CORPORA[name].label_set]
    emotions = set(real_clips(name)["emotion"])
    assert emotions <= set(label_set.from_emotion)
    assert {label_set.from_emotion[one] for one in emotions} == set(label_set.labels)


@pytest.mark.parametrize("name", REAL)
def test_only_known_pairs_share_their_audio(real_clips, name):
    clips = real_clips(name)
    twins = clips[clips.duplicated("audio_sha256", keep=False)].groupby("audio_sha256")["clip_id"]
    found = {frozenset(ids) for _, ids in twins}
    # Of a part, both of a pair may be absent.
    known = {one for one in CORPORA[name].known_duplicates if one <= set(clips["clip_id"])}
    assert found == known


# One to test on, two to validate on, one to train on at the least; TESS has two speakers.
@pytest.mark.parametrize("name", [name for name in REAL if CORPORA[name].n_speakers >= 4])
def test_leaving_one_speaker_out_is_clean(real_clips, name):
    rows = rows_of(real_clips(name), LABEL_SETS[CORPORA[name].label_set])
    assert check_split(rows, make_split(rows, Protocol("loso"), seed=1)).empty


@pytest.mark.parametrize("name", REAL)
def test_the_committed_table_is_that_of_the_audio(real_clips, name, monkeypatch, tmp_path):
    if not (PROJECT_DIR / "reports" / name / "clips.csv").is_file():
        pytest.skip(f"NOT CHECKED: reports/{name}/clips.csv is not committed")
    monkeypatch.delenv("SER_REPORTS")
    monkeypatch.setenv("SER_DATA", str(tmp_path / "nothing"))
    committed = data.load_corpus(name)
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
    from ser_lib.audio.io import load_signal
    from ser_lib.features.acoustic import prosody

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


# --- TESS: Pichora-Fuller & Dupuis (2020)


@pytest.fixture(scope="module")
def tess(real_clips):
    return real_clips("tess")


def test_tess_names_the_clips_that_a_copy_lacks(tess, real_cache):
    found = {one.removeprefix("tess/") for one in tess["clip_id"]}
    lacking = sorted(set(CORPORA["tess"].names) - found)
    assert lacking in ([], ABSENT["tess"])
    if lacking:
        with pytest.raises(CorpusError, match=r"2 of 2800 .*: OAF_back_angry, YAF_beg_sad"):
            data.load_corpus("tess", root=DATA / "tess")


def test_tess_has_200_words_a_speaker_and_emotion(tess):
    n_lacking = CORPORA["tess"].n_clips - len(tess)
    counts = tess.groupby(["speaker", "emotion"])["statement"].nunique()
    assert len(counts) == 2 * 7
    assert (200 - counts).sum() == n_lacking
    assert tess["statement"].nunique() == 200


def test_tess_clip_with_a_letter_too_few_belongs_to_the_older_speaker(tess):
    row = tess.set_index("clip_id").loc["tess/OA_bite_neutral"]
    assert (row["speaker"], row["emotion"], row["statement"]) == ("tess-OAF", "neutral", "bite")
    assert Path(row["path"]).parent.name.startswith("OAF")


def test_tess_folders_agree_with_the_names(tess):
    folders = [Path(path).parent.name.split("_", 1) for path in tess["path"]]
    assert [f"tess-{speaker}" for speaker, _ in folders] == list(tess["speaker"])
    # "fear" for "fearful", "pleasant_surprise" for "surprised".
    stems = tess["emotion"].str[:4].str.replace("surp", "plea")
    assert [emotion.lower()[:4] for _, emotion in folders] == list(stems)


def test_tess_clips_are_about_two_seconds(tess):
    assert tess["duration_s"].mean() == pytest.approx(2.06, abs=0.02)
    assert tess["duration_s"].between(1.2, 3.0).all()


# --- the corpora of other languages


def test_nemo_genders_and_emotions_are_those_of_its_table(real_clips):
    clips = real_clips("nemo").set_index("clip_id")
    table = pd.read_csv(DATA / "nemo" / "data.tsv", sep="\t", dtype=str)
    table.index = "nemo/" + table["file_id"].str.removesuffix(".wav")
    table = table.loc[clips.index]
    assert list(clips["gender"]) == list(table["gender"])
    assert list(clips["speaker"]) == list("nemo-" + table["speaker_id"].str.strip())
    assert list(clips["emotion"].str[:3]) == list(table["emotion"].str[:3])


def test_ased_has_25_women_and_five_clips_that_contradict(real_clips):
    clips = real_clips("ased")
    genders = clips.drop_duplicates("speaker")["gender"]
    assert dict(genders.value_counts()) == {"male": 40, "female": 25}
    assert len(clips.attrs["other_gender"]) == 5


def test_folders_name_the_emotion_as_the_clips_do(real_clips):
    for name in ("ased", "turev"):
        clips = real_clips(name)
        folders = clips["path"].map(
            lambda path: Path(path).parent.name.lower().lstrip("0123456789")
        )
        assert list(folders) == list(clips["emotion"])
