"""Tables of anybody's clips: usual columns are found, and errors list what is there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ser_lib.audit.tables import COLUMN_NAMES, folder_table, guess_parents, order_parts, read_clips
from ser_lib.errors import AuditError


@pytest.fixture
def folder(tmp_path, write_clip):
    root = tmp_path / "clips"
    for name in ("ann/a.wav", "ann/b.wav", "bob/c.wav"):
        write_clip(root / name)
    (root / "notes.txt").write_text("no audio")
    (root / ".hidden.wav").write_bytes(b"")
    return root


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_folder_lists_its_audio_files(folder):
    clips = read_clips(folder)
    assert list(clips["clip_id"]) == ["ann/a.wav", "ann/b.wav", "bob/c.wav"]
    assert all(Path(one).is_file() for one in clips["path"])
    assert list(clips.columns) == ["clip_id", "path"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_usual_columns_are_found_whatever_the_separator(folder, tmp_path, separator):
    lines = ["File Name,Emotion,Speaker_ID,Split,sentence,source", "ann/a.wav,sad,ann,train,s1,"]
    text = "\n".join(lines).replace(",", separator)
    clips = read_clips(folder, table=write(tmp_path / "t.csv", text))
    assert clips.drop(columns="path").iloc[0].to_dict() == {
        **{"clip_id": "ann/a.wav", "label": "sad", "speaker": "ann"},
        **{"statement": "s1", "parent": "", "part": "train"},
    }
    assert clips.attrs["unlisted"] == ["ann/b.wav", "bob/c.wav"]


@pytest.mark.parametrize("role", [role for role in COLUMN_NAMES if role != "path"])
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
