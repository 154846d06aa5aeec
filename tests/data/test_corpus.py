"""Corpora: one contract for all, and RAVDESS and EmoDB in every layout and every disorder."""

from __future__ import annotations

import os
import pkgutil
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser_lib import data
from ser_lib.data import CORPORA, corpora, get_corpus, load_corpus, other_recordings
from ser_lib.data import corpus as _base
from ser_lib.data import write_committed_clips as write_committed
from ser_lib.data.corpora.emodb import GENDERS
from ser_lib.data.corpus import CLIP_COLUMNS, Corpus
from ser_lib.data.labels import EMOTIONS, LABEL_SETS
from ser_lib.data.pooled import Pool
from ser_lib.errors import CorpusError

SINGLE = {name: one for name, one in CORPORA.items() if isinstance(one, Corpus)}
EACH = pytest.mark.parametrize("corpus", SINGLE.values(), ids=SINGLE)
CARD = ("name", "title", "licence", "citation", "doi", "language", "label_set", "example")


# --- the contract


def text_of(corpus: Corpus) -> str:
    """Return what a corpus's grammar reads of its example: a name, or a name and its label."""
    stem = Path(corpus.example).stem
    if corpus.labels is None:
        return stem
    name, label = re.fullmatch(corpus.labels.line, corpus.labels.example).group("name", "label")
    assert name == stem
    return f"{name} {label}"


def with_code(corpus: Corpus, group: str, code: str) -> re.Match[str] | None:
    """Match a corpus's example with one of its codes exchanged."""
    text = text_of(corpus)
    start, end = re.fullmatch(corpus.grammar, text).span(group)
    return re.fullmatch(corpus.grammar, text[:start] + code + text[end:])


def test_every_file_of_the_folder_is_registered_under_its_name():
    modules = {info.name for info in pkgutil.iter_modules(corpora.__path__)}
    pools = {name for name, one in CORPORA.items() if isinstance(one, Pool)}
    assert modules | pools | {"demo"} == set(CORPORA)


def test_an_unknown_corpus_names_the_known_ones():
    with pytest.raises(CorpusError, match=r"'radvess'.*demo, ravdess"):
        load_corpus("radvess")


@EACH
def test_a_card_is_complete(corpus):
    assert get_corpus(corpus.name) is corpus
    assert all(getattr(corpus, field).strip() for field in CARD)
    # Of one it is not published whether the speech is acted.
    assert corpus.speech or corpus.name == "emospeech_in"
    assert corpus.label_set in LABEL_SETS
    assert corpus.n_clips > corpus.n_speakers > 1
    assert corpus.quirks


@EACH
def test_the_example_obeys_the_grammar_and_parses_to_the_columns(corpus):
    fields = corpus.parse(re.fullmatch(corpus.grammar, text_of(corpus)))
    needed = {"speaker", "gender", "emotion", "statement"}
    assert needed <= set(fields) <= needed | {"intensity", "repetition"}
    assert fields["emotion"] in EMOTIONS
    assert fields["gender"] in ("female", "male", "unknown")
    assert isinstance(fields["speaker"], str)
    assert isinstance(fields.get("repetition", 1), int)


@EACH
def test_the_label_set_covers_every_emotion_that_the_corpus_can_name(corpus):
    published = getattr(sys.modules[corpus.parse.__module__], "EMOTIONS", {})
    codes = {*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *(f"{number:02d}" for number in range(100)), *published}
    emotions = set()
    for code in codes:
        match = with_code(corpus, "emotion", code)
        if match is None:
            continue
        try:
            emotions.add(corpus.parse(match)["emotion"])
        except KeyError:
            continue
    label_set = LABEL_SETS[corpus.label_set]
    assert emotions <= set(label_set.from_emotion)
    assert {label_set.from_emotion[one] for one in emotions} == set(label_set.labels)


@EACH
def test_a_code_outside_the_tables_is_a_key_error(corpus):
    speaker = re.fullmatch(corpus.grammar, text_of(corpus))["speaker"]
    unknown = re.sub("[A-Z]", "Q", re.sub(r"\d", "9", speaker))
    with pytest.raises(KeyError, match=unknown):
        corpus.parse(with_code(corpus, "speaker", unknown))


@EACH
def test_a_layout_does_not_change_the_example_s_name(corpus):
    name = Path(corpus.example).stem
    assert corpus.name_of(Path(corpus.example)) == name
    assert corpus.name_of(Path("any") / "folder" / corpus.example) == name


@EACH
def test_what_is_left_out_by_design_has_a_reason_and_is_not_the_rule(corpus):
    assert all(reason.strip() for reason in corpus.by_design.values())
    assert not any(re.fullmatch(pattern, text_of(corpus)) for pattern in corpus.by_design)


@EACH
def test_names_are_all_and_can_be_parsed(corpus):
    if not corpus.names:
        return
    assert len(set(corpus.names)) == len(corpus.names) == corpus.n_clips
    parsed = [corpus.parse(re.fullmatch(corpus.grammar, name)) for name in corpus.names]
    assert len({fields["speaker"] for fields in parsed}) == corpus.n_speakers


@EACH
def test_a_missing_folder_says_where_to_put_what(corpus, tmp_path):
    with pytest.raises(CorpusError) as caught:
        corpus.load(tmp_path / "nowhere")
    text = str(caught.value)
    assert str(tmp_path / "nowhere") in text
    assert corpus.title in text
    assert corpus.download in text
    assert "SER_DATA" in text


def test_corpora_are_looked_for_under_ser_data(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA", str(tmp_path))
    assert CORPORA["ravdess"].root() == tmp_path / "ravdess"
    assert replace(CORPORA["ravdess"], name="other").root() == tmp_path / "other"


# --- RAVDESS: names


def parse(name: str, stem: str) -> dict[str, object]:
    corpus = CORPORA[name]
    return corpus.parse(re.fullmatch(corpus.grammar, stem))


def test_a_ravdess_name_is_translated():
    assert parse("ravdess", "03-01-06-02-01-02-12") == {
        "speaker": "12",
        "gender": "female",
        "emotion": "fearful",
        "intensity": "strong",
        "statement": "kids",
        "repetition": 2,
    }


@pytest.mark.parametrize(("number", "gender"), [(1, "male"), (2, "female"), (23, "male")])
def test_odd_actors_are_men(stem_of, number, gender):
    assert parse("ravdess", stem_of(number))["gender"] == gender


def test_the_published_emotion_codes_are_kept():
    # Livingstone & Russo (2018), table 2 of the data's own page.
    words = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
    stems = [f"03-01-{code:02d}-01-01-01-01" for code in range(1, 9)]
    assert [parse("ravdess", stem)["emotion"] for stem in stems] == words


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"modality": 1}, "01"),  # full audio-visual
        ({"modality": 2}, "02"),  # video only
        ({"channel": 2}, "02"),  # song
        ({"emotion": 9}, "09"),
        ({"intensity": 3}, "03"),
        ({"statement": 3}, "03"),
        ({"repetition": 3}, "03"),
    ],
)
def test_song_video_and_unknown_codes_are_refused(stem_of, change, code):
    options = {"speaker": 1} | change
    with pytest.raises(KeyError, match=code):
        parse("ravdess", stem_of(**options))


def test_the_whole_of_ravdess_has_1440_clips(ravdess_table):
    assert len(ravdess_table) == CORPORA["ravdess"].n_clips
    assert ravdess_table["speaker"].nunique() == CORPORA["ravdess"].n_speakers
    assert ravdess_table["clip_id"].is_unique


# --- RAVDESS: layouts

FORMS = [
    pytest.param({}, id="wav 16 kHz mono"),
    pytest.param({"suffix": ".flac"}, id="flac"),
    pytest.param({"suffix": ".WAV"}, id="upper-case suffix"),
    pytest.param({"rate_hz": 24_000}, id="24 kHz"),
    pytest.param({"rate_hz": 48_000}, id="48 kHz"),
    pytest.param({"subtype": "PCM_24"}, id="24 bit"),
    pytest.param({"suffix": ".aiff"}, id="a form in which it is not published"),
]


@pytest.mark.parametrize("form", FORMS)
def test_the_official_layout_is_read_in_any_form(tmp_path, make_ravdess, small_ravdess, form):
    files = make_ravdess(tmp_path, **form)
    table = load_corpus("ravdess", root=tmp_path)
    assert list(table.columns) == list(CLIP_COLUMNS)
    assert list(table["clip_id"]) == sorted(f"ravdess/{stem}" for stem in files)
    assert all(Path(path).is_file() for path in table["path"])
    assert set(table["sample_rate_hz"]) == {form.get("rate_hz", 16_000)}
    assert table["duration_s"].to_numpy() == pytest.approx(0.3)
    assert table.attrs == {"left_out": [], "n_copies": 0, "has_audio": True}


def test_stereo_is_the_same_corpus_as_mono(tmp_path, make_ravdess, write_clip, small_ravdess):
    import soundfile

    mono, stereo = tmp_path / "mono", tmp_path / "stereo"
    for path in make_ravdess(mono).values():
        signal, rate_hz = soundfile.read(path)
        twice = np.column_stack([signal, signal])
        write_clip(stereo / path.relative_to(mono).with_suffix(".flac"), twice, rate_hz=rate_hz)
    first, second = load_corpus("ravdess", root=mono), load_corpus("ravdess", root=stereo)
    pd.testing.assert_frame_equal(first.drop(columns="path"), second.drop(columns="path"))


def test_a_flat_folder_is_read(tmp_path, make_ravdess, small_ravdess):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in make_ravdess(tmp_path / "tree").values():
        path.rename(flat / path.name)
    assert len(load_corpus("ravdess", root=flat)) == 16


@pytest.mark.parametrize("way", ["copy", "link"])
def test_the_archive_that_holds_each_clip_twice_gives_each_once(
    tmp_path, make_ravdess, small_ravdess, way
):
    files = make_ravdess(tmp_path)
    second = tmp_path / "audio_speech_actors_01-24"
    for path in files.values():
        target = second / path.relative_to(tmp_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if way == "copy":
            shutil.copy(path, target)
        else:
            target.symlink_to(path)
    table = load_corpus("ravdess", root=tmp_path)
    assert table.attrs["n_copies"] == 16
    assert sorted(table["path"]) == sorted(map(str, files.values()))


def test_clips_once_more_at_another_rate_are_copies(tmp_path, make_ravdess, small_ravdess):
    files = make_ravdess(tmp_path)
    make_ravdess(tmp_path / "48 kHz", rate_hz=48_000)
    table = load_corpus("ravdess", root=tmp_path)
    assert table.attrs["n_copies"] == 16
    assert sorted(table["path"]) == sorted(map(str, files.values()))


def test_speakers_whose_folders_are_links_are_read(tmp_path, make_ravdess, small_ravdess):
    make_ravdess(tmp_path / "elsewhere")
    root = tmp_path / "ravdess"
    root.mkdir()
    for folder in (tmp_path / "elsewhere").iterdir():
        (root / folder.name).symlink_to(folder)
    assert len(load_corpus("ravdess", root=root)) == 16


def test_what_is_no_audio_does_not_matter(tmp_path, make_ravdess, small_ravdess):
    make_ravdess(tmp_path)
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / "Actor_01" / "._03-01-01-01-01-01-01.wav").write_bytes(b"left by macOS")
    (tmp_path / "__MACOSX").mkdir()
    assert len(load_corpus("ravdess", root=tmp_path)) == 16


def test_the_published_twin_recordings_are_kept(tmp_path, make_ravdess, monkeypatch):
    files = make_ravdess(tmp_path / "tree")
    first, second = sorted(files)[:2]
    shutil.copy(files[first], files[second])
    pair = frozenset({f"ravdess/{first}", f"ravdess/{second}"})
    known = replace(CORPORA["ravdess"], n_clips=16, n_speakers=4, known_duplicates=(pair,))
    assert len(known.load(tmp_path / "tree")) == 16
    # The twin: a pair that was not published is a problem.
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "fresh"))
    with pytest.raises(CorpusError, match=r"2 names.*" + second):
        replace(known, known_duplicates=()).load(tmp_path / "tree")


# --- RAVDESS: disorder


@pytest.fixture
def disorder(tmp_path, make_ravdess, write_clip, stem_of):
    """A tree with a foreign name, a song, a damaged file, a duplicate and a conflicting copy."""
    root = tmp_path / "tree"
    files = make_ravdess(root)
    stems = sorted(files)
    write_clip(root / "my recording.wav")
    write_clip(root / "Actor_01" / f"{stem_of(1, channel=2)}.wav")
    content = files[stems[0]].read_bytes()
    files[stems[0]].write_bytes(content[:500])
    shutil.copy(files[stems[2]], files[stems[3]])
    write_clip(root / "copies" / f"{stems[5]}.wav", np.linspace(-0.5, 0.5, 8000))
    return root, stems


def test_all_disorder_is_listed_at_once(disorder, small_ravdess, lists_problem):
    root, stems = disorder
    with pytest.raises(CorpusError) as caught:
        load_corpus("ravdess", root=root)
    for words in (
        ("ravdess", "5 problem", str(root)),
        ("my recording.wav", "03-01-06-01-02-01-12.wav"),
        ("1 left out by design, songs", "03-02-01-01-01-01-01"),
        (f"{stems[0]}.wav", "truncated"),
        (stems[2], stems[3], "2 names"),
        (f"{stems[5]}:", "different"),
        ("2 of 16", "missing"),
        ("strict=False",),
    ):
        assert lists_problem(caught, *words), words
    # Damaged files are named relative to the folder that is named on top, once.
    assert str(caught.value).count(str(root)) == 1


def test_disorder_can_be_left_out_and_is_listed(disorder, small_ravdess):
    root, stems = disorder
    table = load_corpus("ravdess", root=root, strict=False)
    assert len(table) == 14
    assert set(table["clip_id"]) == {
        f"ravdess/{stem}" for stem in stems if stem not in (stems[0], stems[3])
    }
    assert len(table.attrs["left_out"]) == 5
    assert len(table.attrs["by_design"]) == 1
    assert table.attrs["n_copies"] == 1


def test_missing_speakers_and_clips_are_counted(
    tmp_path, make_ravdess, small_ravdess, lists_problem
):
    files = make_ravdess(tmp_path, speakers=(1, 2, 3))
    next(iter(files.values())).unlink()
    with pytest.raises(CorpusError) as caught:
        load_corpus("ravdess", root=tmp_path)
    assert lists_problem(caught, "5 of 16", "3 of 4", "4 a speaker", "ravdess-01 has 3")


def test_a_folder_with_nothing_usable_is_refused_even_if_not_strict(tmp_path, make_ravdess):
    for path in make_ravdess(tmp_path).values():
        path.write_bytes(b"")
    with pytest.raises(CorpusError, match=r"ravdess: 17 problem\(s\)"):
        load_corpus("ravdess", root=tmp_path, strict=False)


def test_a_link_that_leads_nowhere_is_named(tmp_path, make_ravdess, small_ravdess):
    # Trees of git-annex and DataLad hold such links until the audio is fetched.
    path = sorted(make_ravdess(tmp_path).values())[0]
    path.unlink()
    path.symlink_to(tmp_path / "nowhere.wav")
    with pytest.raises(CorpusError, match=rf"{path.name}: .*link to nothing"):
        load_corpus("ravdess", root=tmp_path)


# --- what belongs to a sibling of the corpus


def emodb_clips(tmp_path, write_clip, stems):
    for stem in stems:
        write_clip(tmp_path / "wav" / f"{stem}.wav")
    return load_corpus("emodb", root=tmp_path)


def test_a_later_edition_gives_the_published_clips_and_names_the_others(
    tmp_path, write_clip, small_emodb
):
    later = ("03a01Fb", "03a01Na", "08b02Wa", "16b10Ld")
    table = emodb_clips(tmp_path, write_clip, EMODB_STEMS + later)
    assert set(table["clip_id"]) == {f"emodb/{stem}" for stem in EMODB_STEMS}
    assert table.attrs["left_out"] == []
    (line,) = table.attrs["by_design"]
    assert line.startswith("4 left alone, ")
    assert line.endswith(f": {', '.join(later)}")
    # The twin: what is published and lacks is a problem, by name.
    (tmp_path / "wav" / "16b10Lb.wav").unlink()
    with pytest.raises(CorpusError, match=r"1 of 7 .*missing: .*\n.*4 left alone"):
        load_corpus("emodb", root=tmp_path)


def test_the_published_names_of_emodb_are_those_of_the_committed_table(monkeypatch):
    monkeypatch.delenv("SER_REPORTS", raising=False)
    committed = data.load_committed_clips("emodb")["clip_id"].str.removeprefix("emodb/")
    assert set(committed) == set(CORPORA["emodb"].names)


def test_songs_and_videos_are_left_alone_and_counted(
    tmp_path, make_ravdess, small_ravdess, write_clip, stem_of
):
    make_ravdess(tmp_path)
    for number in (1, 2, 3):
        write_clip(tmp_path / "songs" / f"{stem_of(number, channel=2)}.wav")
    write_clip(tmp_path / "video" / f"{stem_of(1, modality=1)}.wav")
    write_clip(tmp_path / "video" / f"{stem_of(1, modality=2, channel=2)}.wav")
    for name in ("01-01-01-01-01-01-01.mp4", "02-01-01-01-01-01-01.MP4", "Actor_01.zip", "a.txt"):
        (tmp_path / name).write_bytes(b"no matter what")
    table = load_corpus("ravdess", root=tmp_path)
    assert len(table) == 16
    assert table.attrs["left_out"] == []
    said = [line.split(":")[0] for line in table.attrs["by_design"]]
    assert [one.split()[0] for one in said] == ["2", "3", "2", "1"]
    assert ["video" in said[0], "songs" in said[1], ".mp4" in said[2], ".zip" in said[3]] == [
        True
    ] * 4
    # As is what was never published; another code is still a problem.
    write_clip(tmp_path / f"{stem_of(1, intensity=2)}.wav")
    lines = load_corpus("ravdess", root=tmp_path).attrs["by_design"]
    assert any(line.endswith(f": {stem_of(1, intensity=2)}") for line in lines)
    write_clip(tmp_path / f"{stem_of(1, channel=3)}.wav")
    with pytest.raises(CorpusError, match=r"1 problem\(s\)(?s:.*)'03'"):
        load_corpus("ravdess", root=tmp_path)


# Clips of IEMOCAP need label files, which are not made here.
@pytest.mark.parametrize("name", [name for name, one in SINGLE.items() if not one.labels])
def test_videos_and_archives_are_left_alone_by_every_loader(name, tmp_path, write_clip):
    corpus = SINGLE[name]
    write_clip((tmp_path / corpus.example).with_suffix(".wav"))
    for suffix in (".avi", ".flv", ".mp3", ".mp4", ".zip"):
        (tmp_path / corpus.example).with_suffix(suffix).write_bytes(b"no matter what")
    table = corpus.load(tmp_path, strict=False)
    assert len(table) == 1
    assert len(table.attrs["left_out"]) == 1  # that clips are missing
    assert [line.split()[0] for line in table.attrs["by_design"]] == ["1"] * 5


def test_a_folder_of_songs_alone_says_so(tmp_path, write_clip, stem_of):
    write_clip(tmp_path / f"{stem_of(1, channel=2)}.wav")
    with pytest.raises(CorpusError, match=r"missing(?s:.*)1 left out by design, songs"):
        load_corpus("ravdess", root=tmp_path, strict=False)


def test_more_clips_than_published_are_counted_where_names_are_not_known(tmp_path, make_ravdess):
    make_ravdess(tmp_path)
    fewer = replace(CORPORA["ravdess"], n_clips=12, n_speakers=4)
    (line,) = fewer.load(tmp_path).attrs["by_design"]
    assert line.startswith("4 clips more than published")


# --- the cached table


@pytest.fixture
def decoded(monkeypatch):
    """A list that grows with every file that is decoded."""
    names = []

    def count(path):
        names.append(Path(path).name)
        return read(path)

    read = _base.read_facts
    monkeypatch.setattr(_base, "read_facts", count)
    return names


def test_a_second_load_decodes_nothing(tmp_path, make_ravdess, small_ravdess, decoded, monkeypatch):
    monkeypatch.setattr(_base, "PIECE_ROWS", 5)
    make_ravdess(tmp_path / "tree")
    first = load_corpus("ravdess", root=tmp_path / "tree")
    assert len(decoded) == 16
    second = load_corpus("ravdess", root=tmp_path / "tree")
    assert len(decoded) == 16
    pd.testing.assert_frame_equal(first, second)
    assert first.attrs == second.attrs


@pytest.mark.parametrize("change", ["content", "time", "new", "gone", "renamed", "schema"])
def test_any_change_on_disk_is_noticed(
    tmp_path, make_ravdess, write_clip, small_ravdess, decoded, monkeypatch, change
):
    root = tmp_path / "tree"
    files = make_ravdess(root)
    load_corpus("ravdess", root=root)
    path = sorted(files.values())[0]
    if change == "content":
        write_clip(path, np.linspace(-0.5, 0.5, 9000))
    elif change == "time":
        os.utime(path, (1, 1))
    elif change == "new":
        write_clip(root / "more" / path.name, np.linspace(-0.5, 0.5, 8000))
    elif change == "gone":
        path.unlink()
    elif change == "renamed":
        path.rename(path.with_name("03-01-02-01-01-01-01.wav"))
    else:
        monkeypatch.setattr(_base, "FACTS_VERSION", 99)
    load_corpus("ravdess", root=root, strict=False)
    assert len(decoded) > 16 + 10


def _women_only(match):
    return parse("ravdess", match[0]) | {"gender": "female"}


@pytest.mark.parametrize("part", ["parse", "known_duplicates"])
def test_a_mended_loader_is_noticed(tmp_path, make_ravdess, small_ravdess, part):
    # EmoDB's genders were once wrong in a popular table: mending them must not meet a stale cache.
    files = make_ravdess(tmp_path / "tree")
    first, second = sorted(files)[:2]
    shutil.copy(files[first], files[second])
    assert len(small_ravdess.load(tmp_path / "tree", strict=False)) == 15
    pair = frozenset({f"ravdess/{first}", f"ravdess/{second}"})
    change = {"parse": _women_only} if part == "parse" else {"known_duplicates": (pair,)}
    mended = replace(small_ravdess, **change).load(tmp_path / "tree", strict=False)
    if part == "parse":
        assert set(mended["gender"]) == {"female"}
    else:
        assert len(mended) == 16


def test_files_with_errors_are_read_again_and_give_the_same_problems(
    disorder, decoded, monkeypatch
):
    """What mends a file, its permissions for example, may change neither size nor time."""
    root, _ = disorder
    first = load_corpus("ravdess", root=root, strict=False)
    n_decoded = len(decoded)
    monkeypatch.setattr(_base, "PIECE_ROWS", 3)
    second = load_corpus("ravdess", root=root, strict=False)
    assert len(decoded) == 2 * n_decoded
    assert second.attrs["left_out"] == first.attrs["left_out"]
    pd.testing.assert_frame_equal(first, second)
    with pytest.raises(CorpusError, match="5 problem"):
        load_corpus("ravdess", root=root)


# --- the committed table


@pytest.fixture
def committed(tmp_path, make_ravdess, small_ravdess, monkeypatch):
    """A table written with the runs; the audio is then out of sight."""
    monkeypatch.setenv("SER_DATA", str(tmp_path / "data"))
    make_ravdess(tmp_path / "data" / "ravdess")
    table = load_corpus("ravdess")
    path = write_committed(table, "ravdess")
    assert path == tmp_path / "reports" / "ravdess" / "clips.csv"
    return table


def test_without_audio_the_committed_table_is_read(tmp_path, committed, monkeypatch):
    monkeypatch.setenv("SER_DATA", str(tmp_path / "nothing"))
    table = load_corpus("ravdess")
    assert table.attrs["has_audio"] is False
    assert (table["path"] == "").all()
    # Durations are written to the microsecond.
    pd.testing.assert_frame_equal(
        table.drop(columns="path"), committed.drop(columns="path"), atol=1e-6, check_dtype=True
    )


@pytest.mark.parametrize(
    ("name", "column", "value", "words"),
    [
        ("ravdess", "sample_rate_hz", 24_000, "used a copy at 24 kHz"),
        ("emodb", "duration_s", 2.0, "whose clips all last 2 s"),
    ],
)
def test_what_cards_say_of_stored_runs_is_in_the_committed_tables(
    name, column, value, words, monkeypatch
):
    monkeypatch.delenv("SER_REPORTS", raising=False)
    assert set(data.load_committed_clips(name)[column]) == {value}
    assert any(words in one for one in get_corpus(name).quirks)


def test_other_recordings_than_those_of_the_committed_table_are_reported(tmp_path, committed):
    assert other_recordings(committed, "ravdess") == ""
    assert other_recordings(committed, "emodb") == ""  # no table to compare with
    ours = committed.copy()
    ours.loc[ours.index[:2], "audio_sha256"] = "0" * 64
    ours["sample_rate_hz"] = 48_000
    warning = other_recordings(ours, "ravdess")
    assert warning.startswith(f"2 of {len(ours)} recordings of ravdess ")
    assert "16,000 Hz" in warning
    assert "48,000 Hz" in warning


def test_with_audio_the_committed_table_is_not_asked(tmp_path, committed):
    (tmp_path / "reports" / "ravdess" / "clips.csv").write_text("nonsense\n1\n")
    assert load_corpus("ravdess").attrs["has_audio"] is True


def test_a_folder_that_is_named_must_be_there(tmp_path, committed):
    with pytest.raises(CorpusError, match="no folder"):
        load_corpus("ravdess", root=tmp_path / "typo")


def test_the_committed_table_tells_no_path(tmp_path, committed):
    text = (tmp_path / "reports" / "ravdess" / "clips.csv").read_text()
    assert str(tmp_path) not in text
    assert ".wav" not in text


# --- EmoDB

EMODB_STEMS = ("03a01Fa", "03a01Nc", "08b02Wd", "16b10Lb", "11a05Td", "14a07Eb", "10a01Ac")


@pytest.fixture
def small_emodb(monkeypatch) -> Corpus:
    small = replace(CORPORA["emodb"], n_clips=len(EMODB_STEMS), n_speakers=6)
    monkeypatch.setitem(data.CORPORA, "emodb", small)
    return small


@pytest.mark.parametrize("folder", ["wav", ""])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_emodb_is_read_in_its_folder_or_flat(tmp_path, write_clip, small_emodb, folder, suffix):
    for stem in EMODB_STEMS:
        write_clip(tmp_path / folder / f"{stem}{suffix}")
    table = load_corpus("emodb", root=tmp_path).set_index("clip_id")
    assert dict(table["emotion"].str[:3].value_counts()) == dict.fromkeys(
        ("hap", "neu", "ang", "bor", "sad", "dis", "fea"), 1
    )
    row = table.loc["emodb/08b02Wd"]
    assert (row["speaker"], row["gender"], row["statement"]) == ("emodb-08", "female", "b02")
    assert row["repetition"] == 4
    assert row["intensity"] == "normal"


def test_emodb_has_five_men_and_five_women_as_published():
    # Burkhardt et al. (2005) and the database's own page: 03, 10, 11, 12, 15 are men.
    men = {speaker for speaker, gender in GENDERS.items() if gender == "male"}
    assert men == {"03", "10", "11", "12", "15"}
    assert len(GENDERS) == 10


@pytest.mark.parametrize(
    ("stem", "code"), [("07a01Fa", "07"), ("03a03Fa", "a03"), ("03a01Xa", "X")]
)
def test_emodb_codes_outside_the_tables_are_refused(stem, code):
    with pytest.raises(KeyError, match=code):
        parse("emodb", stem)


@pytest.mark.parametrize("stem", ["03c01Fa", "3a01Fa", "03a01fa", "03a01F", "03a01Fa (1)"])
def test_names_that_are_nearly_emodb_are_none(stem):
    assert re.fullmatch(CORPORA["emodb"].grammar, stem) is None
