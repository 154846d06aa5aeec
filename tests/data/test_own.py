"""Clips of one's own: a clip table from a table or from names, apart from the project's corpora."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser_lib.audio.io import load_signal, read_facts
from ser_lib.audit.report import audit_dataset
from ser_lib.data import get_corpus, load_corpus, own
from ser_lib.data.annotations import annotation_text
from ser_lib.data.corpus import CLIP_COLUMNS
from ser_lib.data.own import (
    SCHEMA,
    clips_from_folder,
    clips_from_table,
    read_as_given,
    register,
)
from ser_lib.errors import CorpusError
from ser_lib.paths import PROJECT_DIR, report_dir, runs_dir
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
    with pytest.raises(CorpusError, match=r"row 2 \(bob/sad_1.wav\), column 'speaker'"):
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


@pytest.fixture
def table(folder):
    """A CSV beside the clips, with the columns that people write."""
    rows = [
        (f"{one}/{emotion}_1.wav", label, one, sex)
        for one, sex in zip(SPEAKERS, "fmfm", strict=True)
        for emotion, label in (("happy", "Happiness"), ("sad", "SAD"))
    ]
    frame = pd.DataFrame(rows, columns=["File Name", "Label", "Actor", "Sex"])
    frame.to_csv(folder / "my table.csv", index=False)
    return folder / "my table.csv"


def test_a_table_becomes_a_corpus_that_is_found_by_its_name(table):
    card = register(table)
    assert own.own_corpora() == [card]
    clips = load_corpus("mine-my_table")
    assert card == get_corpus("mine-my_table")
    assert list(clips.columns) == list(CLIP_COLUMNS)
    assert set(clips["emotion"]) == {"happy", "sad"}
    assert set(clips["gender"]) == {"female", "male"}
    assert (card.n_clips, card.n_speakers) == (8, 4)
    (result,) = collect(
        STUDIES["boucheta2025"], clips, models=["dummy"], protocols=["honest"], n_seeds=1
    ).all
    assert result.runs[0].folder.parent == runs_dir("mine-my_table")


@pytest.mark.parametrize("form", ["tsv", "jsonl", "parquet"])
def test_other_forms_of_the_table_give_the_same_clips(table, form):
    frame, other = pd.read_csv(table), table.with_suffix(f".{form}")
    expected = register(table).load()
    table.unlink()
    if form == "parquet":
        pytest.importorskip("pyarrow")
        frame.astype({"Label": "category"}).to_parquet(other)
    elif form == "tsv":
        frame.to_csv(other, sep="\t", index=False)
    else:
        frame.to_json(other, orient="records", lines=True)
    pd.testing.assert_frame_equal(register(other).load(), expected)


def test_two_tables_of_one_name_are_kept_apart_and_one_that_was_moved_is_not(table, tmp_path):
    register(table)
    other = tmp_path / "elsewhere" / table.name
    shutil.copytree(table.parent, other.parent)
    with pytest.raises(CorpusError, match="mine-my_table"):
        register(other)
    table.unlink()
    kept = report_dir("mine-my_table") / "source.json"
    kept.write_text(kept.read_text().replace("{", '{"of another version": 1,', 1))
    assert register(other).source == other


def test_what_was_said_of_a_folder_is_remembered(folder):
    (folder / "ann" / "happy_1.wav").rename(folder / "ann" / "W_1.wav")
    pattern = r"(?P<speaker>\w+)/(?P<label>[a-zW]+)_"
    with pytest.raises(CorpusError, match="'W' is no known emotion"):
        register(folder, pattern=pattern)
    register(folder, pattern=pattern, emotions={"W": "angry", "sad": ""})
    clips = register(folder).load()
    assert clips["emotion"].value_counts().to_dict() == {"happy": 3, "angry": 1}
    assert "4 left out" in clips.attrs["by_design"][0]


def test_labels_of_a_table_stay_text(folder):
    """An empty cell alone is missing: NA is a label, and 01 is not 1."""
    lines = [
        "path,label,speaker",
        "ann/sad_1.wav,NA,01",
        "bob/sad_1.wav,null,1",
        "cem/sad_1.wav,nan,",
    ]
    (folder / "t.csv").write_text("\n".join(lines))
    with pytest.raises(CorpusError, match=r"\(1\):\n.*row 3 .*column 'speaker'"):
        register(folder / "t.csv", emotions=dict.fromkeys(("NA", "null", "nan"), "sad"))
    (folder / "t.csv").write_text("\n".join(lines[:3]))
    emotions = {"NA": "sad", "null": "happy"}
    clips = register(folder / "t.csv", emotions=emotions).load()
    assert list(clips["speaker"]) == ["mine-t-01", "mine-t-1"]
    assert list(clips["emotion"]) == ["sad", "happy"]
    with pytest.raises(CorpusError, match="'NA'"):
        clips_from_table(
            pd.read_csv(folder / "t.csv", keep_default_na=False), name="t", root=folder
        )


BAD = {
    "no column": ("path,label\na,sad\n", "no speaker.*path, label"),
    "empty": ("path,label,speaker\n,sad,x\n", r"row 1 .*column 'path': ''"),
    "label": ("path,emo,speaker\na,sad,x\nb,Q,x\n", r"row 2 \(b\), column 'emo': 'Q'"),
    "before": ("path,label,speaker,start,end\na,sad,x,-1,2\n", "column 'start': '-1' is before"),
    "no time": ("path,label,speaker,onset\na,sad,x,soon\n", "column 'onset': 'soon' is no time"),
    "infinite": ("path,label,speaker,end\na,sad,x,inf\n", "'inf' is no time"),
    "backwards": ("path,label,speaker,start_s,end_s\na,sad,x,2,1\n", "'end_s': '1' is not after"),
    "folder": ("path,label,speaker\n..,sad,x\n", "row 1, .*folder"),
    "endless": ("path,label,speaker,take\na,sad,x,inf\n", "'take': 'inf' is no number"),
    "take": ("path,label,speaker,take\na,sad,x,two\n", "'take': 'two' is no number"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD)
def test_what_breaks_the_schema_is_named_by_row_column_and_value(tmp_path, text, said):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(CorpusError, match=f"(?s){said}"):
        register(tmp_path / "t.csv")
    assert not report_dir("mine-t").exists()


@pytest.fixture
def dialog(tmp_path, write_clip, rng):
    """A file of two seconds, of which tables name stretches."""
    return write_clip(tmp_path / "dialog.wav", rng.normal(0, 0.1, 32_000))


def written(path, rows):
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


SEGMENTS = {
    "seconds": {"start": [0, 0.5], "end": [0.5, ""]},
    "comma": {"start_s": ["0", "0,5"], "end_s": ["0,5", ""]},
    "milliseconds": {"start_ms": [0, 500], "end_ms": [500, ""]},
    "clock": {"onset": ["0:00", "0:00.5"], "offset": ["00:00:00.5", ""]},
    "audformat": {"start": ["0 days", "0 days 00:00:00.500000"], "end": ["0.5s", "NaT"]},
    "duration": {"start": [0, 0.5], "duration": [0.5, 1.5]},
}


@pytest.mark.parametrize("times", SEGMENTS.values(), ids=SEGMENTS)
def test_a_segment_is_that_stretch_of_its_file(dialog, times):
    rows = {"path": [dialog.name] * 2, "label": ["sad", "happy"], "speaker": ["a", "b"], **times}
    source = written(dialog.with_name("t.csv"), rows)
    clips = register(source).load()
    whole, _ = load_signal(dialog)
    for path, part in zip(clips["path"], (whole[:8000], whole[8000:]), strict=True):
        np.testing.assert_array_equal(load_signal(path)[0], part)
    assert clips["clip_id"].str.startswith("mine-t/dialog@0.").all()
    assert list(clips["duration_s"]) == [0.5, 1.5]


@pytest.mark.parametrize("form", ["textgrid", "eaf", "vtt"])
def test_annotations_beside_a_recording_name_its_clips(dialog, form):
    rows = {"label": ["sad", "anger"], "speaker": ["ann", "bob"], "start_s": [0, 0.5]}
    segments = pd.DataFrame(rows).assign(file="dialog", end_s=[0.5, 2.0])
    source = dialog.with_suffix(f".{form}")
    source.write_text(annotation_text(segments, form, duration_s=2.0))
    for one in (source, source.parent):
        clips = register(one).load()
        assert list(clips["speaker"].str.rsplit("-").str[-1]) == ["ann", "bob"]
        assert list(clips["duration_s"]) == [0.5, 1.5]
    dialog.unlink()
    with pytest.raises(CorpusError, match=r"dialog@\S+: no such file"):
        register(source)


@pytest.mark.parametrize(("start", "end"), [(0, 2.1), (2, 3), (0.5, 99)])
def test_a_segment_outside_of_its_file_is_refused(dialog, start, end):
    rows = {"path": [dialog.name], "label": "sad", "speaker": "a", "start": start, "end": end}
    source = written(dialog.with_name("t.csv"), rows)
    with pytest.raises(CorpusError, match=r"row 1.*outside of the file, .* 2\.000 s"):
        register(source)


def test_a_file_is_cut_once_and_again_when_it_changes(dialog, write_clip, rng, monkeypatch):
    rows = {"path": [dialog.name], "label": "sad", "speaker": "a", "start": 1}
    source = written(dialog.with_name("t.csv"), rows)
    first = register(source).load()
    decode = own.decode
    monkeypatch.setattr(own, "decode", None)
    pd.testing.assert_frame_equal(load_corpus("mine-t"), first)
    write_clip(dialog, rng.normal(0, 0.1, 32_000))
    monkeypatch.setattr(own, "decode", decode)
    assert load_corpus("mine-t")["audio_sha256"][0] != first["audio_sha256"][0]


@pytest.mark.parametrize(("form", "people"), [("csv", ""), ("parquet", ""), ("csv", "people")])
def test_an_audformat_database_is_read_with_its_parts_and_genders(dialog, write_clip, form, people):
    audformat = pytest.importorskip("audformat")
    write_clip(dialog.with_name("b.wav"), duration_s=1.0)
    db = audformat.Database("db")
    db.schemes["emotion"] = audformat.Scheme(labels=["anger", "happiness"])
    about = {3: {"gender": "male"}, 8: {"gender": "female"}}
    if people:
        db[people] = audformat.MiscTable(pd.Index(list(about), name="person", dtype="int64"))
        db[people]["gender"] = audformat.Column()
        db[people]["gender"].set(["male", "female"])
    db.schemes["speaker"] = audformat.Scheme("int", labels=people or about)
    db.splits["train"], db.splits["dev"] = audformat.Split("train"), audformat.Split("dev")
    segments = audformat.segmented_index(["dialog.wav"] * 2, [0, "1s"], ["1s", pd.NaT])
    for name, index, column, values, split in (
        ("files", audformat.filewise_index(["dialog.wav", "b.wav"]), "speaker", [3, 8], None),
        ("emo.train", segments, "emotion", ["anger", "happiness"], "train"),
        ("emo.dev", audformat.filewise_index(["b.wav"]), "emotion", ["anger"], "dev"),
    ):
        db[name] = audformat.Table(index, split_id=split)
        db[name][column] = audformat.Column(scheme_id=column)
        db[name][column].set(values)
    db.save(dialog.parent, storage_format=form)
    clips = register(dialog.parent).load().set_index("clip_id")
    name = clips.index[0].split("/")[0]
    assert clips["emotion"].to_dict() == {
        **{f"{name}/b": "angry", f"{name}/dialog@0.000-1.000": "angry"},
        f"{name}/dialog@1.000-": "happy",
    }
    assert list(clips["gender"]) == ["female", "male", "male"]
    assert list(clips.attrs["parts"].values()) == ["dev", "train", "train"]
    for header in ("- a", "a: [", "tables: 3"):
        (dialog.parent / "db.yaml").write_text(header)
        with pytest.raises(CorpusError, match="header of audformat"):
            register(dialog.parent)
    db.save(dialog.parent, storage_format=form)
    for one in dialog.parent.glob("db.emo*"):
        one.rename(one.with_suffix(".pkl"))
    with pytest.raises(CorpusError, match="storage_format='csv'"):
        register(dialog.parent).load()


def test_a_bare_number_of_audformat_counts_nanoseconds(dialog):
    (dialog.parent / "db.yaml").write_text(
        "tables: {emo: {type: segmented, columns: {emotion: {}}}}"
    )
    rows = "file,start,end,emotion,speaker\ndialog.wav,0,500000000,anger,a\n"
    dialog.with_name("db.emo.csv").write_text(rows)
    assert list(register(dialog.parent).load()["duration_s"]) == [0.5]
    dialog.with_name("db.emo.csv").write_text(rows.replace("500000000", "2"))
    with pytest.raises(CorpusError, match="too short"):
        register(dialog.parent).load()


def test_folders_name_classes_and_parts_and_speakers_must_be_named(tmp_path, write_clip):
    for part, name in (
        ("train", "ann_1"),
        ("train", "bob_1"),
        ("test", "cem_1"),
        ("test", "dan_1"),
    ):
        for label in ("angry", "sad"):
            write_clip(tmp_path / "tree" / part / label / f"{name}{label[0]}.wav")
    with pytest.raises(CorpusError, match=r"says who speaks(?s:.*)--pattern"):
        register(tmp_path / "tree")
    clips = register(tmp_path / "tree", pattern=r"(?P<speaker>[^/_]+)_[^/]*$").load()
    assert clips["speaker"].nunique() == 4
    assert set(clips["emotion"]) == {"angry", "sad"}
    assert set(clips.attrs["parts"].values()) == {"train", "test"}


def test_what_an_audit_needs_is_there_and_parts_that_leak_are_found(tmp_path, write_clip):
    for part in ("train", "test"):
        for label in ("angry", "sad"):
            write_clip(tmp_path / "t" / part / "speaker_1" / label / f"{part}{label}.wav")
    write_clip(tmp_path / "t" / "test" / "speaker_2" / "sad" / "other.wav")
    report = audit_dataset(register(tmp_path / "t").name)
    assert {one.kind for one in report.of_level("leak")} == {"same_speaker"}


def test_a_study_is_at_home_where_its_protocols_can_divide_the_clips(table):
    name = register(table).name
    assert STUDIES["boucheta2025"].protocol("honest", name).name == "loso"
    homes = {one: STUDIES[one].home(name) for one in ("boucheta2025", "penumajji2025")}
    # Its test holds a few clips more than those of one speaker: here fewer than classes.
    assert homes == {"boucheta2025": name, "penumajji2025": "demo"}
    frame = pd.read_csv(table)
    frame[frame["Actor"] != "dan"].to_csv(table, index=False)
    assert STUDIES["boucheta2025"].home(register(table).name) == "demo"
    frame.assign(Label="sad").to_csv(table, index=False)
    assert STUDIES["boucheta2025"].home(register(table).name) == "demo"


@pytest.mark.parametrize(
    ("n_speakers", "n_of", "name"), [(19, 19, "loso"), (20, 9, "loso"), (20, 11, "speaker_folds")]
)
def test_many_speakers_are_divided_into_folds(table, n_speakers, n_of, name):
    known = {"sad": n_of, "happy": n_speakers}
    assert replace(register(table), n_speakers=n_speakers, n_speakers_of=known).protocol == name


def test_clips_that_cannot_be_used_are_left_out_if_asked(table):
    (table.parent / "ann" / "sad_1.wav").write_bytes(b"")
    card = register(table)
    with pytest.raises(CorpusError, match=r"1 of 8.*\n.*ann/sad_1"):
        load_corpus(card.name)
    clips = load_corpus(card.name, strict=False)
    assert len(clips) == 7
    assert len(clips.attrs["left_out"]) == 1


def test_a_length_of_files_is_no_time_of_a_segment_and_genders_have_many_words(folder):
    rows = {"path": ["ann/sad_1.wav"], "label": "sad", "speaker": "a", "length": "short"}
    for word in ("Female", "W", "woman"):
        clips = clips_from_table(pd.DataFrame(rows).assign(Sex=word), name="t", root=folder)
        assert (clips["gender"][0], clips["clip_id"][0]) == ("female", "mine-t/ann/sad_1")


def test_names_that_would_mean_something_else_are_changed(folder):
    (folder / "ann" / "sad_1.wav").rename(folder / "ann" / "sad#1.wav")
    rows = {"path": ["ann\\sad#1.wav"], "label": "sad", "speaker": "ann-marie"}
    clips = clips_from_table(pd.DataFrame(rows), name="t", root=folder)
    assert (clips["clip_id"][0], clips["speaker"][0]) == ("mine-t/ann/sad_1", "mine-t-ann_marie")


def test_absolute_paths_give_names_below_the_folder_that_all_are_in(folder, tmp_path):
    paths = [folder / "ann" / "sad_1.wav", folder / "bob" / "sad_1.wav"]
    rows = pd.DataFrame({"path": paths, "label": "sad", "speaker": ["a", "b"]})
    clips = clips_from_table(rows, name="t", root=tmp_path / "reports")
    assert list(clips["clip_id"]) == ["mine-t/ann/sad_1", "mine-t/bob/sad_1"]


def test_clips_without_labels_can_be_read_as_they_are(folder, dialog):
    assert list(read_as_given(folder)["clip_id"])[:1] == ["ann/happy_1.wav"]
    rows = {"file": [dialog.name], "valence": [0.5], "label": ["01"], "start": [0.5]}
    clips = read_as_given(written(dialog.with_name("t.csv"), rows))
    assert clips["label"][0] == "01"
    assert read_facts(clips["path"][0]).duration_s == clips["duration_s"][0] == 1.5
    assert clips["file"][0] == str(dialog)


def test_the_readme_names_every_column():
    text = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
    section = text.split("## A corpus of one's own")[1].split("\n## ")[0]
    assert [one for one in SCHEMA if f"`{one}`" not in section] == []
