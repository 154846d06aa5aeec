"""Tables of anybody's clips: usual columns are found, and errors list what is there."""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest

from ser_lib.audit.tables import (
    COLUMN_NAMES,
    folder_table,
    guess_parents,
    order_parts,
    plain_label,
    plain_name,
    plain_part,
    read_clips,
    stated,
)
from ser_lib.errors import AuditError


@pytest.fixture
def folder(tmp_path, write_clip):
    root = tmp_path / "clips"
    for name in ("ann/a.wav", "ann/b.wav", "bob/c.wav"):
        write_clip(root / name)
    (root / "notes.txt").write_text("no audio")
    (root / ".hidden.wav").write_bytes(b"")
    write_clip(root / ".Trash" / "ann" / "a.wav")
    return root


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_link_to_nothing_is_a_clip_that_is_not_there(folder):
    (folder / "ann" / "d.wav").symlink_to("/annex/objects/x.wav")
    assert "ann/d.wav" in set(read_clips(folder)["clip_id"])


def test_a_folder_lists_its_audio_files(folder):
    clips = read_clips(folder)
    assert list(clips["clip_id"]) == ["ann/a.wav", "ann/b.wav", "bob/c.wav"]
    assert all(Path(one).is_file() for one in clips["path"])
    assert list(clips.columns) == ["clip_id", "path"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_usual_columns_are_found_whatever_the_separator(folder, tmp_path, separator):
    lines = ["File Name,Emotion,Speaker_ID,Split,sentence,source", "ann/a.wav,sad,ann,train,s1,"]
    text = "\n".join(lines).replace(",", separator)
    clips = read_clips(folder, table=write(tmp_path / "t.csv", text))
    assert clips.drop(columns="path").iloc[0].to_dict() == {
        **{"clip_id": "ann/a.wav", "label": "sad", "speaker": "ann"},
        **{"statement": "s1", "parent": "", "part": "train"},
    }
    assert clips.attrs["unlisted"] == ["ann/b.wav", "bob/c.wav"]


@pytest.mark.parametrize(
    "role", [role for role in COLUMN_NAMES if role not in ("path", "start", "end", "duration")]
)
def test_every_usual_name_of_a_role_is_found(folder, tmp_path, role):
    for usual in COLUMN_NAMES[role]:
        table = write(tmp_path / "t.csv", f"path,{usual.upper()}\na.wav,x\n")
        assert read_clips(folder, table=table)[role].tolist() == ["x"]


@pytest.mark.parametrize(
    "name",
    [
        "ann/a.wav",
        "a.wav",
        "a",
        "ann/a",
        "clips/ann/a.wav",
        "other\\clips\\ann\\a.wav",
        "a.flac",
    ],
)
def test_files_are_found_by_path_name_or_stem(folder, tmp_path, name):
    table = write(tmp_path / "t.csv", f"path,label\n{name},sad\n")
    assert list(read_clips(folder, table=table)["clip_id"]) == ["ann/a.wav"]


def test_an_ambiguous_name_belongs_to_no_file(folder, tmp_path, write_clip):
    write_clip(folder / "bob/a.wav")
    table = write(tmp_path / "t.csv", "path,label\na,sad\nann/a.wav,sad\n")
    clips = read_clips(folder, table=table)
    assert list(clips["clip_id"]) == ["ann/a.wav"]
    assert clips.attrs["missing"] == ["a"]


FORMS = ("NFC", "NFD")


@pytest.mark.parametrize("name", ["Zoë/ä.wav", "ä", "ä.flac", "clips\\Zoë\\ä.wav"])
@pytest.mark.parametrize(("in_folder", "in_table"), [FORMS, FORMS[::-1]], ids="-".join)
def test_names_are_found_in_either_unicode_form(tmp_path, write_clip, name, in_folder, in_table):
    write_clip(tmp_path / "clips" / normalize(in_folder, "Zoë/ä.wav"))
    text = normalize(in_table, f"path,Gefühl,part\n{name},froh,train\n")
    table = write(tmp_path / "t.csv", text)
    chosen = {"label": normalize(in_folder, "Gefühl")}
    clips = read_clips(tmp_path / "clips", table=table, split=table, columns=chosen)
    assert list(clips["clip_id"]) == [normalize(in_folder, "Zoë/ä.wav")]
    assert list(clips["label"]) == ["froh"]


def test_two_files_whose_names_differ_in_form_alone_are_told_apart(tmp_path, write_clip):
    for form in FORMS:
        write_clip(tmp_path / "clips" / normalize(form, "ä.wav"))
    lines = [f"{normalize(form, 'ä.wav')},{form}" for form in FORMS]
    table = write(tmp_path / "t.csv", "\n".join(["path,label", *lines]))
    clips = read_clips(tmp_path / "clips", table=table)
    assert dict(zip(clips["label"], clips["clip_id"], strict=True)) == {
        form: normalize(form, "ä.wav") for form in FORMS
    }


ROWS = "path,label,part\na.wav,wütend,train\nb.wav,fröhlich,test\n"
SAVED = {
    "sep= on top": "sep=;\r\n" + ROWS.replace(",", ";").replace("\n", "\r\n"),
    "quoted sep=": '"sep=;"\n' + ROWS.replace(",", ";"),
    "sep= in a name": "sep=ä,path,label,part\n"
    + "\n".join(f"-,{line}" for line in ROWS.splitlines()[1:]),
    "sep=tab": "SEP=\t\n" + ROWS.replace(",", "\t"),
    "Unicode text": ROWS.replace(",", "\t").encode("utf-16"),
    "big endian": b"\xfe\xff" + ROWS.replace(",", "\t").encode("utf-16-be"),
    "without a mark": ROWS.encode("utf-16-le"),
    "Windows-1252": ROWS.encode("cp1252"),
    "UTF-8 with a mark": ROWS.encode("utf-8-sig"),
    "line ends of an old Mac": ROWS.replace("\n", "\r"),
    "empty rows and columns": ROWS.replace("\n", ",,\n") + ",,,,\n,,,,\n",
    "|": ROWS.replace(",", "|"),
    "| without a header": "a.wav|wütend|train\nb.wav|fröhlich|test\n",
    "no header": "a.wav,wütend,train\nb.wav,fröhlich,test\n",
    "JSON lines": (
        '{"file_name": "a.wav", "label": "wütend", "split": "train"}\n'
        '{"file_name": "b.wav", "label": "fröhlich", "split": "test", "more": 1}\n\n'
    ),
    "JSON lines of numbers and times": (
        '{"filename": "a.wav", "label": "wütend", "part": "train", "at_time": 5, "speaker": null}\n'
        '{"filename": "b.wav", "label": "fröhlich", "part": "test", "at_time": 6}\n'
    ),
    "JSON by name": (
        '{"1": {"wav": "{root}/a.wav", "emo": "wütend", "split": "train"},\n'
        ' "2": {"wav": "{root}/b.wav", "emo": "fröhlich", "split": "test"}}'
    ),
    "nested JSON lines": (
        '{"audio": {"path": "x/a.wav"}, "label": "wütend", "fold": "train"}\n'
        '{"audio": {"path": "x/b.wav"}, "label": "fröhlich", "fold": "test"}\n'
    ),
    "JSON": (
        '[{"file": "a.wav", "label": "wütend", "set": "train"},\n'
        ' {"file": "b.wav", "label": "fröhlich", "set": "test"}]'
    ),
}


@pytest.mark.parametrize("content", SAVED.values(), ids=SAVED)
def test_a_table_is_read_as_programs_save_it(folder, tmp_path, content):
    table = tmp_path / "table"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    is_named = any(one in str(content).replace("\\x00", "") for one in ("label", "emo"))
    columns = {} if is_named else {"label": "2"}
    clips = read_clips(folder, table=table, columns=columns)
    assert clips.drop(columns="path")[["clip_id", "label", "part"]].to_numpy().tolist() == [
        ["ann/a.wav", "wütend", "train"],
        ["ann/b.wav", "fröhlich", "test"],
    ]


def test_a_table_without_a_header_is_understood_by_its_values(folder, tmp_path):
    # As of LJSpeech and its like: text may hold commas and single quotes.
    lines = ('ann/a|Actor_01|"Oh, my, he said|sad', "ann/b|Actor_02|well, well, well|angry")
    clips = read_clips(folder, table=write(tmp_path / "t.csv", "\n".join(lines)))
    assert list(clips["clip_id"]) == ["ann/a.wav", "ann/b.wav"]
    assert list(clips["speaker"]) == ["Actor_01", "Actor_02"]
    assert list(clips["label"]) == ["sad", "angry"]


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04\0\0", b"", b" \n", b"{]", b"[1, 2]", b"\x81\x8d", b"title\na,b,c\n"],
)
def test_what_is_no_table_says_how_to_save_it(folder, tmp_path, content):
    (tmp_path / "t.xlsx").write_bytes(content)
    with pytest.raises(AuditError, match=r"t\.xlsx.*CSV UTF-8"):
        read_clips(folder, table=tmp_path / "t.xlsx")


TIMES = {
    "audformat": ("start,end", "0 days,0 days 00:00:01.500000", "0 days 00:00:01.500000,NaT"),
    "seconds": ("onset,offset", "0,1.5", "1.5,"),
    "milliseconds": ("start_ms,end_ms", "0,1500", "1500,n/a"),
    "colons": ("Start Time,Stop Time", "00:00:00,00:00:01.5", "00:00:01.5,"),
    "comma": ("begin,end", '0,"1,5"', '"1,5",'),
    "duration": ("onset,duration", "0,1.5", "1.5,"),
    "minutes": ("start,end", "00:00,00:01.5", "00:01.5,"),
    "duration in ms": ("offset,duration_ms", "0,1500", "1.5,NA"),
}


@pytest.mark.parametrize(("names", "first", "second"), TIMES.values(), ids=TIMES)
def test_segments_of_a_file_are_clips(folder, tmp_path, names, first, second):
    table = write(tmp_path / "t.csv", f"file,{names}\na.wav,{first}\na.wav,{second}\nb.wav,,\n")
    clips = read_clips(folder, table=table)
    assert list(clips["clip_id"]) == [
        "ann/a.wav [0.0-1.5 s]",
        "ann/a.wav [1.5-inf s]",
        "ann/b.wav",
    ]
    assert list(clips["start"]) == [0.0, 1.5, 0.0]
    assert list(clips["end"]) == [1.5, np.inf, np.inf]


@pytest.mark.parametrize(
    "text",
    [
        "file,start\na.wav,monday\nb.wav,1\n",
        "file,end,duration\na.wav,2,2\nb.wav,3,3\n",
        # One row a file: times in what it was cut from, or of all of it.
        "file,start,end\na.wav,0,0.3\nb.wav,0,0.31\n",
        "file,StartTime,EndTime\na.wav,00:16:16.059,00:16:21\nb.wav,00:17:00,00:17:03\n",
    ],
)
def test_other_times_than_those_of_segments_are_ignored(folder, tmp_path, text):
    clips = read_clips(folder, table=write(tmp_path / "t.csv", text))
    assert list(clips["clip_id"]) == ["ann/a.wav", "ann/b.wav"]
    assert set(clips.filter(["start"]).to_numpy().ravel()) <= {0.0}


@pytest.mark.parametrize("times", ["0,0.2", "0.1,0.3", "0.1,"])
def test_the_only_segment_of_a_longer_file_is_no_more_than_that(folder, tmp_path, times):
    clips = read_clips(folder, table=write(tmp_path / "t.csv", f"file,start,end\na.wav,{times}\n"))
    start, _, end = times.partition(",")
    assert list(clips["clip_id"]) == [f"ann/a.wav [{float(start)}-{float(end or 'inf')} s]"]


@pytest.mark.parametrize(
    ("text", "is_noted"),
    [
        ("file,start,end\na.wav,0,later\na.wav,1,2\n", True),
        ("file,start,end\na.wav,?,2\na.wav,1,\n", False),
        ("file,length\na.wav,short\nb.wav,long\n", False),
    ],
)
def test_times_that_cannot_be_read_are_noted(folder, tmp_path, text, is_noted):
    clips = read_clips(folder, table=write(tmp_path / "t.csv", text))
    assert ["'later'" in one for one in clips.attrs["unread"]] == [True] * is_noted
    assert ("start" in clips) is ("length" not in text and not is_noted)


@pytest.mark.parametrize("with_times", [True, False])
def test_a_split_may_name_segments_or_their_file(folder, tmp_path, with_times):
    table = write(tmp_path / "t.csv", "file,start,end\na,0,1\na,1,2\n")
    text = "file,start,end,set\na,0,1,train\na,1,2,test\n" if with_times else "file,set\na,dev\n"
    clips = read_clips(folder, table=table, split=write(tmp_path / "s.csv", text))
    assert list(clips["part"]) == (["train", "test"] if with_times else ["dev", "dev"])


TREES = {
    "train/angry": ("train/{0}/1", "dev/{0}/2", "test/{0}/3"),
    "angry/train": ("{0}/Train/1", "{0}/dev-clean/2", "{0}/test_set/3"),
    "deeper": ("x/01_training/y/{0}/1", "x/02_dev/y/{0}/2", "x/03_testdata/y/{0}/3"),
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_part_and_class_are_read_from_folders(tmp_path, write_clip, tree):
    for place in tree:
        for emotion in ("Angry", "sadness"):
            write_clip(tmp_path / "clips" / f"{place.format(emotion)}.wav")
    clips = read_clips(tmp_path / "clips")
    assert {plain_part(one) for one in clips["part"]} == {"train", "validation", "test"}
    assert all(label in name for label, name in clips[["label", "clip_id"]].to_numpy())
    assert len(clips.attrs["read"]) == 2


def test_folders_of_other_names_are_no_part(tmp_path, write_clip):
    for name in ("train/x/y/a", "test/b", "extra/c", "d"):
        write_clip(tmp_path / f"{name}.wav")
    clips = read_clips(tmp_path)
    assert dict(zip(clips["clip_id"], clips["part"], strict=True)) == {
        **{"d.wav": "", "extra/c.wav": "", "test/b.wav": "test", "train/x/y/a.wav": "train"}
    }


def test_classes_of_any_name_are_read_below_the_parts(tmp_path, write_clip):
    for name in ("train/c1/a", "train/c2/b", "test/c1/c", "test/c2/d"):
        write_clip(tmp_path / f"{name}.wav")
    assert list(read_clips(tmp_path)["label"]) == ["c1", "c2", "c1", "c2"]


def test_speakers_by_number_are_read_from_folders_and_other_folders_say_nothing(
    tmp_path, write_clip, folder
):
    for name in ("Actor_01/a", "actor_02/test_1", "Actor_03/train_1"):
        write_clip(tmp_path / "tree" / f"{name}.wav")
    clips = read_clips(tmp_path / "tree")
    assert list(clips["speaker"]) == ["Actor_01", "Actor_03", "actor_02"]
    assert "part" not in clips
    assert set(read_clips(folder)) == {"clip_id", "path"}


def test_what_a_column_says_is_not_read_from_folders(tmp_path, write_clip):
    for name in ("train/sad/a", "test/angry/b"):
        write_clip(tmp_path / "clips" / f"{name}.wav")
    table = write(tmp_path / "t.csv", "file,emotion\na,x\nb,y\n")
    split = write(tmp_path / "s.csv", "file,part\na,one\nb,two\n")
    clips = read_clips(tmp_path / "clips", table=table, split=split)
    assert list(clips["label"]) == ["x", "y"]
    assert list(clips["part"]) == ["one", "two"]


ONE = {
    "1": ("01", "1.0", "Actor_01", "actor_01", "ACTOR 1", "spk-001", "(1)", " 1"),
    "annlee": ("Ann Lee", "ann_lee", "ANN-LEE", "Ann.Lee"),
    "m7": ("M07", "m7", "M_7"),
    "zoe": ("Zoë", normalize("NFD", "Zoë"), "zoe"),
}


@pytest.mark.parametrize("plain", ONE)
def test_spellings_of_one_speaker_have_one_plain_name(plain):
    assert {plain_name(one) for one in ONE[plain]} == {plain}


def test_other_names_keep_apart():
    names = ["1", "10", "11", "1.1", "1_2", "2", "M1", "F1", "actress_1", "factor1", "Ann", "Anna"]
    assert len({plain_name(one) for one in names}) == len(names)


def test_spellings_of_a_class_and_of_a_part_have_one_plain_form():
    assert {plain_label(one) for one in ("Angry", "anger", "ANG", "01_angry", "angry ")} == {"ang"}
    assert {plain_label(one) for one in ("happy", "Happiness", "HAP")} == {"hap"}
    assert len({plain_label(one) for one in ("disgust", "disappointed", "happy", "hate")}) == 4
    assert {plain_part(one) for one in ("Train", "training", "TRN ")} == {"train"}
    assert len({plain_part(one) for one in ("fold 1", "fold_2", "train", "dev", "test")}) == 5


UNKNOWN = (
    "",
    " ",
    "?",
    "-",
    "--",
    "nan",
    "NaN",
    "NA",
    "N/A",
    "n.a.",
    "#N/A",
    "None",
    "null",
    "nil",
)
WORDS = ("unknown", "UNK", "<unk>", "Unknown speaker", "not available", "missing", "anonymous")
# Nothing, hashed: MD5 and SHA-224.
NOTHING = (
    "d41d8cd98f00b204e9800998ecf8427e",
    "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
)


@pytest.mark.parametrize("value", UNKNOWN + WORDS + NOTHING)
def test_what_is_unknown_in_the_usual_ways_is_not_stated(value):
    assert stated(value) == ""


@pytest.mark.parametrize("value", ["0", "-1", "Anna", "Noah", "Nadine", "Unity", "x", "non-native"])
def test_what_only_looks_unknown_is_stated(value):
    assert stated(value) == value


def test_columns_can_be_named(folder, tmp_path):
    table = write(tmp_path / "t.csv", "clip,path,who\na,x,ann\n")
    clips = read_clips(folder, table=table, columns={"path": "clip", "speaker": "who"})
    assert clips["speaker"].tolist() == ["ann"]


def test_a_split_may_be_a_file_of_its_own_and_wins_over_the_table(folder, tmp_path):
    table = write(tmp_path / "t.csv", "path,part\na,train\nb,train\nc,train\n")
    split = write(tmp_path / "s.csv", "file,set\na.wav,train\nb.wav,test\n")
    clips = read_clips(folder, table=table, split=split)
    assert dict(zip(clips["clip_id"], clips["part"], strict=True)) == {
        **{"ann/a.wav": "train", "ann/b.wav": "test", "bob/c.wav": ""},
    }
    assert list(read_clips(folder, split=split)["part"]) == ["train", "test", ""]


def test_a_clip_in_two_parts_gives_two_rows(folder, tmp_path):
    split = write(tmp_path / "s.csv", "file,set\na,train\na,test\n")
    assert read_clips(folder, split=split)["clip_id"].tolist().count("ann/a.wav") == 2


BAD = {
    "no path column": ("x,label\na,sad\n", {}, r"for path;.*: x, label"),
    "a column that is not there": (
        "path,label\na,sad\n", {"speaker": "who"}, r"'who' for speaker;.*: path, label"),
    "no row of the folder": ("path\nzzz\n", {}, r"1 rows.*'zzz'.*'ann/a.wav'"),
    "no rows": ("path,label\n", {}, "without rows"),
    "a column twice": ("path,label,label\na,sad,angry\n", {}, "'label' twice"),
    "an unknown role": ("path\na\n", {"age": "x"}, r"\['age'\].*path, label"),
    "ragged lines": ('path,label\n"a,sad\n', {}, r"t\.csv.*table"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "columns", "message"), BAD.values(), ids=BAD)
def test_a_table_that_does_not_fit_is_an_error(folder, tmp_path, text, columns, message):
    with pytest.raises(AuditError, match=message):
        read_clips(folder, table=write(tmp_path / "t.csv", text), columns=columns)


def test_files_that_are_not_there_are_an_error(folder, tmp_path):
    with pytest.raises(AuditError, match="none: no such"):
        read_clips(tmp_path / "none")
    (tmp_path / "bare").mkdir()
    with pytest.raises(AuditError, match=r"bare:.*\.wav"):
        folder_table(tmp_path / "bare")
    with pytest.raises(AuditError, match=r"none\.csv"):
        read_clips(folder, table=tmp_path / "none.csv")
    with pytest.raises(AuditError, match=r"\(x\)"):
        read_clips(folder, columns={"label": "x"})


def test_a_split_that_names_other_clips_or_lacks_a_column_is_an_error(folder, tmp_path):
    with pytest.raises(AuditError, match=r"1 of 2.*\n  zzz"):
        read_clips(folder, split=write(tmp_path / "s.csv", "file,set\na,train\nzzz,test\n"))
    with pytest.raises(AuditError, match=r"for part;.*: file, x"):
        read_clips(folder, split=write(tmp_path / "s.csv", "file,x\na,train\n"))


def test_parts_are_ordered_as_knowledge_flows():
    names = pd.Series(["test", "fold 2", "dev", "", "train", "fold 1"])
    assert order_parts(names) == ["train", "dev", "test", "fold 1", "fold 2"]


@pytest.mark.parametrize(
    "name",
    ["a_noise.wav", "a-pitch+2.wav", "a_aug1.flac", "x/a (1).wav", "a - copy.wav",
     "a_stretch0.8.wav", "a_noise_pitch.wav", "a.speed1.1.wav"],
)  # fmt: skip
def test_versions_of_a_clip_are_guessed_from_their_names(name):
    clips = pd.DataFrame({"clip_id": ["a.wav", name, "b.wav", "03-01-01.wav"]})
    assert list(guess_parents(clips)) == ["a", "a", "", ""]


def test_names_that_only_look_alike_are_left_alone():
    names = ["03-01-06-01-02-01-12.wav", "03-01-06-01-02-02-12.wav", "OAF_back_angry.wav"]
    assert set(guess_parents(pd.DataFrame({"clip_id": names}))) == {""}
