"""`ser predict` writes what Praat, ELAN, Audacity, players, pandas and audformat read."""

from __future__ import annotations

import json
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser_lib.cli import predict as commands
from ser_lib.cli.predict import ANNOTATIONS, Request, run_prediction
from ser_lib.data.annotations import FORMS, read_annotations
from ser_lib.errors import AudioError, OutputError, SerError
from ser_lib.inference.streaming import NO_SPEECH


@pytest.fixture
def predict(small_folder, capsys):
    """Run a command; return exit code and what went to the two streams."""

    def run(*paths, form="", **options):
        request = Request(tuple(map(str, paths)), str(small_folder), form, n_jobs=1, **options)
        code = run_prediction(request)
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


@pytest.fixture
def talk(speak, tmp_path):
    """Speech, a long pause and speech, with a rest that is too short for a window of its own."""
    path = tmp_path / "talk.wav"
    pause = np.zeros(10 * 16_000, np.float32)
    parts = [speak(duration_s=8.0), pause, speak(duration_s=6.3)]
    soundfile.write(path, np.concatenate(parts), 16_000)
    return path


@pytest.fixture
def windows(predict, talk):
    done = predict(talk, form="json", is_timeline=True)
    return pd.DataFrame([json.loads(one) for one in done.out.splitlines()])


def test_the_suffixes_are_those_that_the_writers_know():
    assert {(suffix, name) for suffix, name in ANNOTATIONS.items()} <= {
        (suffix, name) for name, form in FORMS.items() for suffix in form[0]
    }
    assert set(ANNOTATIONS.values()) == set(FORMS)


@pytest.mark.parametrize("suffix", ANNOTATIONS)
def test_a_timeline_is_an_annotation_file_by_its_suffix(predict, talk, windows, tmp_path, suffix):
    # A suffix is one in capitals, too: Praat writes .TextGrid.
    out = tmp_path / f"out{suffix.upper()}"
    assert predict(talk, is_timeline=True, out=out).code == 0
    read = read_annotations(out)
    # A window holds until the next begins; where nobody speaks, there is nothing.
    ends = [*windows["start_s"][1:], windows["end_s"].iloc[-1]]
    spoken = windows.assign(end_s=ends)[windows["emotion"] != NO_SPEECH]
    assert 0 < len(spoken) < len(windows)
    assert list(read["label"].str.replace("_", " ")) == list(spoken["emotion"])
    assert read[["start_s", "end_s"]].to_numpy() == pytest.approx(
        spoken[["start_s", "end_s"]].to_numpy(), abs=1e-3
    )
    # People correct such files: none is taken for ours.
    before = out.read_bytes()
    with pytest.raises(OutputError, match="not recognised"):
        predict(talk, is_timeline=True, out=out)
    assert out.read_bytes() == before


def test_a_textgrid_ends_with_the_recording(predict, talk, windows, tmp_path):
    predict(talk, is_timeline=True, out=tmp_path / "a.TextGrid")
    assert windows["end_s"].max() < 24.3
    assert "xmax = 24.30000\n" in (tmp_path / "a.TextGrid").read_text(encoding="utf-8")


def test_a_label_track_has_a_form_where_its_suffix_does_not_say_it(predict, talk, tmp_path):
    out = tmp_path / "labels.txt"
    assert predict(talk, is_timeline=True, form="audacity", out=out).code == 0
    assert len(read_annotations(out)) > 0
    assert predict(talk, is_timeline=True, form="audacity").out == out.read_text(encoding="utf-8")


def test_one_recording_a_file_but_for_turns_and_tables(predict, talk, speak, tmp_path):
    soundfile.write(tmp_path / "b.wav", speak(duration_s=4.0), 16_000)
    with pytest.raises(AudioError, match="textgrid holds one recording, 2 were given"):
        predict(tmp_path, is_timeline=True, out=tmp_path / "a.TextGrid")
    assert predict(tmp_path, is_timeline=True, out=tmp_path / "a.rttm").code == 0
    assert set(read_annotations(tmp_path / "a.rttm")["file"]) == {"talk", "b"}


def test_a_recording_that_is_named_twice_is_once_in_rttm(predict, talk, tmp_path):
    once = predict(talk, is_timeline=True, out=tmp_path / "a.rttm")
    twice = predict(talk, talk, is_timeline=True, out=tmp_path / "b.rttm")
    assert once.code == twice.code == 0
    assert (tmp_path / "a.rttm").read_text() == (tmp_path / "b.rttm").read_text()


def test_a_suffix_that_contradicts_the_format_is_refused(predict, tmp_path):
    with pytest.raises(SerError, match="named as vtt"):
        predict(tmp_path, is_timeline=True, form="srt", out=tmp_path / "a.vtt")


def test_names_that_rttm_cannot_hold_are_refused_before_anything_is_predicted(
    predict, talk, tmp_path, monkeypatch
):
    (tmp_path / "NA.wav").symlink_to(talk)
    monkeypatch.setattr(commands, "timeline", lambda *_, **__: pytest.fail("predicted"))
    with pytest.raises(OutputError, match="'NA'"):
        predict(tmp_path, is_timeline=True, out=tmp_path / "a.rttm")
    assert not (tmp_path / "a.rttm").exists()


def test_of_a_recording_that_cannot_be_used_there_is_no_annotation_file(predict, tmp_path):
    (tmp_path / "a.wav").write_text("no sound")
    done = predict(tmp_path / "a.wav", is_timeline=True, out=tmp_path / "a.srt")
    assert (done.code, "a.wav: cannot be decoded" in done.err) == (1, True)
    assert not (tmp_path / "a.srt").exists()
    done = predict(tmp_path / "a.wav", is_timeline=True, out=tmp_path / "a.rttm")
    assert (done.code, (tmp_path / "a.rttm").read_text()) == (1, "")


def test_forms_that_do_not_fit_are_refused(predict, talk, tmp_path, monkeypatch):
    with pytest.raises(SerError, match="add --timeline"):
        predict(talk, out=tmp_path / "a.srt")
    with pytest.raises(SerError, match="add --timeline"):
        predict(talk, form="audformat")
    with pytest.raises(SerError, match="--out"):
        predict(talk, form="parquet")
    lines = ['nowhere>=1; extra == "parquet"']
    monkeypatch.setattr("importlib.metadata.requires", lambda _: lines)
    with pytest.raises(ModuleNotFoundError, match=r"ser-lib\[parquet\]"):
        predict(talk, out=tmp_path / "a.parquet")
    predict(talk, is_timeline=True, form="audformat")
    assert [one.name for one in tmp_path.iterdir()] == ["talk.wav"]


# ---- tables


def as_json(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that JSON has as well, as it has them."""
    shown = table.assign(warnings=table["warnings"].str.join("; "))
    return shown[["path", "start_s", "end_s", "speech_s", "emotion", "confidence", "warnings"]]


def test_parquet_holds_windows_in_seconds(predict, talk, windows, tmp_path):
    pytest.importorskip("pyarrow")
    out = tmp_path / "a.parquet"
    assert predict(talk, is_timeline=True, out=out).code == 0
    read = pd.read_parquet(out)
    expected = as_json(windows)
    pd.testing.assert_frame_equal(read[list(expected)], expected, check_dtype=False, atol=1e-4)
    assert read.attrs["written_by"] == "ser predict --timeline"
    assert {str(read[one].dtype) for one in ("start_s", "end_s", "speech_s")} == {"float64"}


def test_parquet_holds_a_folder(predict, talk, tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "broken.wav").write_text("no sound")
    out = tmp_path / "a.parquet"
    done = predict(tmp_path, out=out)
    assert done.code == 1
    assert "hidden" not in done.err
    read = pd.read_parquet(out)
    lines = [json.loads(one) for one in predict(tmp_path, form="json").out.splitlines()]
    assert list(read["path"]) == [one["path"] for one in lines]
    assert list(read["error"]) == [one.get("error", "") for one in lines]
    assert read["emotion"][1] == lines[1]["emotion"]
    assert read["duration_s"][1] == pytest.approx(24.3)
    header = predict(tmp_path, form="csv").out.splitlines()[0]
    assert list(read) == header.split(",")


def test_tables_without_rows_have_the_types_of_those_with_rows(predict, talk, tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "a.wav").write_text("no sound")
    for form in ("parquet", "audformat"):
        out = tmp_path / f"{form}.parquet"
        predict(talk, is_timeline=True, form=form, out=out)
        whole = pd.read_parquet(out)
        assert predict(tmp_path / "a.wav", is_timeline=True, form=form, out=out).code == 1
        read = pd.read_parquet(out)
        assert read.empty
        pd.testing.assert_frame_equal(read, whole.iloc[:0])


def test_parquet_of_the_same_command_is_replaced_and_no_other(predict, talk, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    out = tmp_path / "a.parquet"
    predict(talk, out=out)
    first = out.read_bytes()
    predict(talk, out=out)
    assert out.read_bytes() == first
    monkeypatch.setattr(commands.Predictor, "model_id", "another")
    with pytest.raises(OutputError, match="not recognised"):
        predict(talk, out=out)
    monkeypatch.undo()
    with pytest.raises(OutputError, match="not recognised"):
        predict(talk, is_timeline=True, out=out)
    pd.DataFrame({"a": [1]}).to_parquet(out)
    with pytest.raises(OutputError, match="not recognised"):
        predict(talk, out=out)


def test_a_stopped_job_leaves_no_parquet_but_goes_on(predict, talk, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    shutil.copy(talk, tmp_path / "talk2.wav")
    attempt, done = commands.Predictor.attempt, []

    def stop_at_second(predictor, path, *rest):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(path.name)
        return attempt(predictor, path, *rest)

    monkeypatch.setattr(commands.Predictor, "attempt", stop_at_second)
    out = tmp_path / "a.parquet"
    stopped = predict(tmp_path, out=out)
    assert (stopped.code, "goes on" in stopped.err) == (130, True)
    assert not out.exists()
    monkeypatch.setattr(
        commands.Predictor, "attempt", lambda *one: done.append(one[1].name) or attempt(*one)
    )
    predict(tmp_path, out=out)
    assert done == ["talk.wav", "talk2.wav"]
    together = pd.read_parquet(out)
    predict(tmp_path, out=tmp_path / "b.parquet")
    pd.testing.assert_frame_equal(together, pd.read_parquet(tmp_path / "b.parquet"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_audformat_reads_its_table(predict, speak, tmp_path, suffix):
    pytest.importorskip("pyarrow")
    audformat = pytest.importorskip("audformat")
    out, clip = tmp_path / f"a{suffix}", tmp_path / "clip.wav"
    # Its end lies between two milliseconds.
    soundfile.write(clip, np.append(speak(duration_s=5.5), np.zeros(7)), 16_000)
    for _ in range(2):  # the second time, it is one's own
        # A recording that is named twice is in it once.
        done = predict(clip, clip, is_timeline=True, form="audformat", out=out)
        assert done.code == 0
    with warnings.catch_warnings():  # what pandas says of audformat's own calls
        warnings.simplefilter("ignore")
        database = audformat.Database("a")
        database["windows"] = audformat.Table(audformat.segmented_index(["a"], ["0s"], ["1s"]))
        database["windows"]["emotion"] = audformat.Column()
        database["windows"]["emotion"].set("sad")
        database.save(tmp_path / "db", storage_format=suffix[1:])
        out.replace(tmp_path / "db" / f"db.windows{suffix}")
        (tmp_path / "db" / "db.windows.pkl").unlink(missing_ok=True)
        read = audformat.Database.load(tmp_path / "db")["windows"].df
    audformat.assert_index(read.index)
    assert audformat.is_segmented_index(read.index)
    assert {str(read.index.dtypes[one]) for one in ("start", "end")} == {"timedelta64[ns]"}
    assert not read.index.duplicated().any()
    start, end = (read.index.get_level_values(one).total_seconds() for one in ("start", "end"))
    assert list(start) == [0.0, 2.0]
    assert list(end) == [4.0, soundfile.info(clip).duration]
    lines = predict(clip, form="json", is_timeline=True).out.splitlines()
    assert list(read["emotion"]) == [json.loads(one)["emotion"] for one in lines]
    if suffix == ".csv":
        # A bare number would be nanoseconds.
        text = (tmp_path / "db" / "db.windows.csv").read_text()
        assert text.splitlines()[2].split(",")[1] == "0 days 00:00:02"


@pytest.mark.parametrize("name", ["a.png", "a.xlsx", "a.textgird"])
def test_a_file_of_another_kind_is_no_table_of_text(predict, talk, tmp_path, name):
    with pytest.raises(SerError, match="no suffix of a form"):
        predict(talk, is_timeline=True, out=tmp_path / name)
    assert not (tmp_path / name).exists()
    assert predict(talk, is_timeline=True, form="csv", out=tmp_path / name).code == 0


def test_an_eaf_names_the_recording_from_its_own_folder(predict, talk, tmp_path):
    assert predict(talk, is_timeline=True, out=tmp_path / "annotated" / "a.eaf").code == 0
    assert 'RELATIVE_MEDIA_URL="../talk.wav"' in (tmp_path / "annotated" / "a.eaf").read_text()
