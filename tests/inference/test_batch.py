"""Many recordings: found once, answered in order, written so that a stopped job goes on."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from ser_lib.errors import AudioError
from ser_lib.inference.batch import (
    SearchReport,
    Writer,
    as_record,
    find_recordings,
    predict_many,
    printable,
)
from ser_lib.inference.bundle import load_bundle, write_bundle
from ser_lib.inference.prediction import Prediction
from ser_lib.inference.predictor import Predictor

GOOD = Prediction("a.wav", "sad", 0.61234, {"sad": 0.61234, "angry": 0.38766}, 2.5, ("noisy",))
BAD = Prediction("b\n.wav", "", float("nan"), {}, float("nan"), error="no\nsound")
LABELS = ("angry", "sad")


def test_folders_are_searched_by_name_and_files_taken_as_they_are(tmp_path):
    others = ("notes.txt", "README", "._a.mp3", ".trashed-1.wav", "b/more.TXT", ".git/x/1.wav")
    for name in ("b/2.wav", "b/1.FLAC", "a.mp3", "c/d/e.opus", *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = SearchReport()
    paths = [one.relative_to(tmp_path) for one in find_recordings([tmp_path], found=found)]
    assert [str(one) for one in paths] == ["a.mp3", "b/1.FLAC", "b/2.wav", "c/d/e.opus"]
    assert found.others == {".txt": 2, "no suffix": 1, "hidden": 3}
    assert list(find_recordings([tmp_path / ".git"])) == [tmp_path / ".git" / "x" / "1.wav"]
    assert list(find_recordings([tmp_path / "notes.txt"])) == [tmp_path / "notes.txt"]


def test_a_loop_of_folders_ends(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.wav").touch()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to("loop")
    assert len(list(find_recordings([tmp_path]))) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_reported(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    found = SearchReport()
    assert list(find_recordings([tmp_path], found=found)) == []
    assert str(tmp_path / "closed") in found.problems[0]


def test_a_folder_that_vanished_is_reported_and_the_others_are_searched(tmp_path, monkeypatch):
    for name in ("gone\n", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.wav").touch()
    scan = os.scandir

    def vanished(path):
        if str(path).endswith("gone\n"):
            raise OSError(13, "Denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", vanished)
    found = SearchReport()
    assert list(find_recordings([tmp_path], found=found)) == [tmp_path / "there" / "1.wav"]
    (problem,) = found.problems
    assert r"gone\n" in problem
    assert "Denied" in problem


def test_predictions_come_in_order(predictor, speak, tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(12)]
    for number, path in enumerate(paths):
        soundfile.write(path, speak(duration_s=1.0 + (number % 3)), 16_000)
    paths[5].write_text("no sound")
    answers = list(predict_many(predictor, iter(paths), n_jobs=3))
    assert [one.path for one in answers] == [str(path) for path in paths]
    assert [bool(one.error) for one in answers] == [n == 5 for n in range(12)]
    assert answers == list(predict_many(predictor, iter(paths), n_jobs=1)) or np.isnan(
        answers[5].confidence
    )


def test_paths_are_not_read_far_ahead(predictor, speak, tmp_path):
    soundfile.write(tmp_path / "a.wav", speak(duration_s=1.0), 16_000)
    taken = []

    def paths():
        for number in range(1000):
            taken.append(number)
            yield tmp_path / "a.wav"

    answers = predict_many(predictor, paths(), n_jobs=2)
    next(answers)
    assert len(taken) < 20
    answers.close()


def test_a_name_is_one_line_whatever_is_in_it():
    assert printable("a b.wav") == "a b.wav"
    assert printable("a\nb\t.wav") == r"a\nb\t.wav"
    assert printable(os.fsdecode(b"\xff\xfe.wav")) == r"\xff\xfe.wav"
    assert printable("größe.wav") == "größe.wav"


def test_json_is_one_object_a_line():
    writer = Writer("json", LABELS)
    good, bad = json.loads(writer.line(GOOD)), json.loads(writer.line(BAD))
    assert list(good) == [
        "path",
        "emotion",
        "confidence",
        "probabilities",
        "duration_s",
        "warnings",
        "model",
    ]
    assert good["probabilities"] == {"sad": 0.6123, "angry": 0.3877}
    assert good["warnings"] == ["noisy"]
    assert bad["emotion"] is None
    assert bad["error"] == r"no\nsound"
    assert writer.line(BAD).count("\n") == 1
    assert as_record(GOOD, top=1)["probabilities"] == {"sad": 0.6123}


@pytest.mark.parametrize("name", ["a\nb.wav", "größe \t.wav", r"a\nb.wav"])
def test_json_names_a_file_so_that_a_program_finds_it(tmp_path, name):
    writer, one = Writer("json", LABELS), replace(GOOD, path=name)
    line = writer.line(one)
    assert line.count("\n") == 1
    assert json.loads(line)["path"] == name
    out = tmp_path / "out.json"
    out.write_text(line, encoding="utf-8")
    assert writer.resume(out) == ({writer.name(name)}, 0)


def test_json_has_nothing_that_a_terminal_would_act_on():
    name = "a\x9b31m\u202eb.wav"
    line = Writer("json", LABELS).line(replace(GOOD, path=name))
    assert line[:-1].isprintable()
    assert json.loads(line)["path"] == name


def test_json_writes_bytes_that_are_no_text_as_a_terminal_shows_them():
    writer, name = Writer("json", LABELS), os.fsdecode(b"caf\xe9.wav")
    assert json.loads(writer.line(replace(GOOD, path=name)))["path"] == r"caf\xe9.wav"


def test_csv_has_the_same_columns_in_every_row():
    writer = Writer("csv", LABELS)
    rows = list(csv.DictReader(io.StringIO(writer.header + writer.line(GOOD) + writer.line(BAD))))
    assert rows[0]["p_sad"] == "0.6123"
    assert (rows[1]["emotion"], rows[1]["error"]) == ("", r"no\nsound")
    assert len((writer.line(BAD)).splitlines()) == 1


def test_a_table_shows_as_many_as_asked_for():
    assert "sad 61 %  angry 39 %" in Writer("table", LABELS).line(GOOD)
    assert "angry 39 %" not in Writer("table", LABELS, top=1).line(GOOD)
    assert "! noisy" in Writer("table", LABELS).line(GOOD)
    assert "error" in Writer("table", LABELS).line(BAD)


def test_a_table_is_sure_of_no_answer_that_it_does_not_give_and_keeps_its_columns():
    labels = ("angry", "a rather long class")
    writer = Writer("table", labels)
    unsure = writer.line(replace(GOOD, emotion="not sure", confidence=float("nan")))
    sure = writer.line(replace(GOOD, emotion=labels[1]))
    assert unsure.count("61 %") == 1  # among the likeliest only
    assert sure.count("61 %") == 2
    assert unsure.index("sad 61 %") == sure.index("sad 61 %")
    assert writer.header.index("likeliest") == sure.index("sad 61 %")


WITHHELD = Prediction("a.wav", "not sure", float("nan"), {}, 2.5, ("no speech found",))
UNSURE = replace(WITHHELD, probabilities={"sad": 0.4, "angry": 0.3}, warnings=())


@pytest.mark.parametrize("one", [WITHHELD, UNSURE])
def test_no_output_gives_a_confidence_to_a_withheld_answer(one):
    record = json.loads(Writer("json", LABELS).line(one))
    assert record["confidence"] is None
    assert record["probabilities"] == one.probabilities
    writer = Writer("csv", LABELS)
    (row,) = csv.DictReader(io.StringIO(writer.header + writer.line(one)))
    assert (row["confidence"], row["emotion"]) == ("", "not sure")
    assert row["p_sad"] == str(one.probabilities.get("sad", ""))
    line = Writer("table", LABELS).line(one)
    assert line.count("%") == len(one.probabilities)
    assert all(part == part.rstrip() for part in line.splitlines())


FORMULAS = ["=1+1.wav", "+1.wav", "-x.wav", "--out=a.csv", "@SUM(A1).wav", "=HYPERLINK(1).wav"]
FORMULAS += ["＝1.wav", "=a\nb.wav", "-/=b/c.wav", '="x".wav']


@pytest.mark.parametrize("name", FORMULAS)
def test_a_name_is_no_formula_to_a_spreadsheet_and_no_option_to_a_shell(tmp_path, name):
    writer, path = Writer("csv", LABELS, model="=1@2"), tmp_path / "out.csv"
    path.write_text(writer.header + writer.line(replace(GOOD, path=name)))
    (row,) = csv.reader(path.read_text().splitlines()[1:])
    assert row[0] == f"./{printable(name)}"
    assert not any(cell[:1] in tuple("=+-@") for cell in row if cell)
    # A job goes on after it, and a program finds the file.
    assert writer.resume(path) == ({writer.name(name)}, 0)
    assert json.loads(Writer("json", LABELS).line(replace(GOOD, path=name)))["path"] == name
    assert Writer("table", LABELS).line(replace(GOOD, path=name)).startswith("./")
    assert Writer("csv", LABELS).name("-") == "-"


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_stopped_job_is_continued(tmp_path, form):
    writer, path = Writer(form, LABELS), tmp_path / "out"
    whole = writer.header + writer.line(GOOD) + writer.line(BAD)
    path.write_text(whole + writer.line(GOOD)[:20], encoding="utf-8")
    assert writer.resume(path) == ({"a.wav", writer.name("b\n.wav")}, 1)
    assert path.read_text() == whole
    assert writer.resume(tmp_path / "none") == (set(), 0)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_whole_last_line_is_kept_where_an_editor_took_its_end(tmp_path, form):
    writer, path = Writer(form, LABELS), tmp_path / "out"
    for last, n_kept in ((GOOD, 2), (BAD, 1)):
        begin = writer.header + writer.line(replace(GOOD, path="0.wav"))
        text = begin + writer.line(last)
        path.write_text(text[:-1], encoding="utf-8")
        assert len(writer.resume(path)[0]) == n_kept
        # Of an error, nobody knows whether it was longer.
        assert path.read_text(encoding="utf-8") == (text if last is GOOD else begin)
    # Wherever it stopped, nothing less than a whole line is taken for one.
    for n_bytes in range(len(begin) + 1, len(begin + writer.line(GOOD)) - 1):
        path.write_text((begin + writer.line(GOOD))[:n_bytes], encoding="utf-8")
        assert writer.resume(path) == ({"0.wav"}, 0)


FOREIGN = {
    "letter": b"Dear mother,\nall is well.\n",
    "json without a line end": b'{"a":1}',
    "json of another kind": b'{"path": "a.wav"}\n',
    "list": b'[\n {"path": "a.wav"}\n]\n',
    "csv without a last line end": b"id,label\n1,angry\n2,sad",
    "one line": b"label",
    "spreadsheet": "path\temotion\n".encode("utf-16"),
    "sound": b"RIFF\x24\x08\x00\x00WAVEfmt ",
    "blank": b"\n\n",
}


@pytest.mark.parametrize("form", ["csv", "json", "table"])
@pytest.mark.parametrize("raw", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_something_else_is_left_alone(tmp_path, form, raw):
    (tmp_path / "labels").write_bytes(raw)
    with pytest.raises(AudioError, match="labels"):
        Writer(form, LABELS).resume(tmp_path / "labels")
    assert (tmp_path / "labels").read_bytes() == raw


@pytest.mark.parametrize(
    ("form", "note"), [("csv", "checked\n"), ("csv", "\n"), ("json", "[]\n"), ("json", "{}\n")]
)
def test_a_line_of_somebody_else_among_the_answers_leaves_the_file_alone(tmp_path, form, note):
    writer, path = Writer(form, LABELS), tmp_path / "out"
    text = writer.header + note + writer.line(GOOD)
    path.write_text(text)
    with pytest.raises(AudioError, match="out"):
        writer.resume(path)
    assert path.read_text() == text


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("n_bytes", [1, 7, 20])
def test_a_job_that_stopped_in_its_first_line_is_begun_again(tmp_path, form, n_bytes):
    writer, path = Writer(form, LABELS), tmp_path / "out"
    path.write_text((writer.header + writer.line(GOOD))[:n_bytes])
    assert writer.resume(path) == (set(), 0)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("form", ["csv", "json"])
def test_answers_of_other_classes_are_not_continued(tmp_path, form):
    writer = Writer(form, LABELS)
    (tmp_path / "out").write_text(writer.header + writer.line(GOOD))
    with pytest.raises(AudioError, match="out"):
        Writer(form, ("happy", "calm")).resume(tmp_path / "out")


@pytest.mark.parametrize("form", ["csv", "json"])
def test_answers_of_another_model_are_not_continued(tmp_path, form):
    """The same classes, the same form: only the model tells the two apart."""
    first, second = (Writer(form, LABELS, model=f"ours@{n}") for n in ("1111", "2222"))
    text = first.header + first.line(GOOD)
    (tmp_path / "out").write_text(text)
    with pytest.raises(AudioError, match=r"ours@1111.*ours@2222"):
        second.resume(tmp_path / "out")
    assert (tmp_path / "out").read_text() == text
    assert first.resume(tmp_path / "out") == ({"a.wav"}, 0)


def test_a_model_is_named_by_its_bundle_and_what_is_in_it(predictor, small_folder, tmp_path):
    assert re.fullmatch(r".+@[0-9a-f]{8}", predictor.model_id)
    assert Predictor.load(small_folder).model_id == predictor.model_id
    other = load_bundle(small_folder)
    write_bundle(replace(other, threshold=0.123), tmp_path / "other", card="Other.")
    assert Predictor.load(tmp_path / "other").model_id != predictor.model_id
