"""`ser predict` as it is used: every bad input there is, folders, pipes, interrupted jobs."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from ser_lib.cli import predict as commands
from ser_lib.cli.predict import Request, run_prediction
from ser_lib.errors import AudioError, BundleError, OutputError, SerError
from ser_lib.inference import batch
from ser_lib.inference.prediction import UNLIKE
from ser_lib.inference.predictor import Predictor


@pytest.fixture
def predict(small_folder, capsys):
    """Run a command; return exit code, parsed JSON lines (or text) and what went to stderr."""

    def run(*paths, form="json", **options):
        request = Request(tuple(map(str, paths)), str(small_folder), form, n_jobs=1, **options)
        code = run_prediction(request)
        said = capsys.readouterr()
        rows = [json.loads(one) for one in said.out.splitlines()] if form == "json" else said.out
        return SimpleNamespace(code=code, rows=rows, err=said.err)

    return run


@pytest.fixture
def clip(speak, tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, speak(), 16_000)
    return path


def test_a_sound_clip_gets_an_answer(predict, clip):
    done = predict(clip)
    assert (done.code, done.err) == (0, "")
    (row,) = done.rows
    assert row["path"] == str(clip)
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_a_better_bundle_that_lacks_its_encoder_is_named(small_folder, clip, monkeypatch, capsys):
    monkeypatch.setattr(commands, "default_bundle", lambda: small_folder)
    monkeypatch.setattr(commands, "better_bundle", lambda: ("large", "some-encoder"))
    assert run_prediction(Request((str(clip),), "", "json", n_jobs=1)) == 0
    assert "the better 'large' can after `ser data some-encoder`" in capsys.readouterr().err
    # Who names a bundle wants no other.
    assert run_prediction(Request((str(clip),), str(small_folder), "json", n_jobs=1)) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("times", "is_asked"), [(1.3, True), (0.9, False), (2.3, False)])
def test_neutral_clips_are_asked_for_where_they_help(
    predict, clip, unlike, monkeypatch, times, is_asked
):
    adapts = Predictor(unlike(times=times, speaker={"temperature": 1.0, "threshold": 0.3}))
    monkeypatch.setattr(commands.Predictor, "load", lambda folder: adapts)
    done = predict(clip)
    assert any(one.startswith(UNLIKE) for one in done.rows[0]["warnings"]) == (times > 1)
    assert ("1 recording unlike the training" in done.err) == is_asked
    assert ("--speaker-reference" in done.err) == is_asked


def test_who_gives_neutral_clips_is_not_asked_for_them(
    predict, clip, adaptable, unlike, speak, monkeypatch
):
    values = adaptable.bundle.domain_values(adaptable.features(speak(), 16_000))
    limit = adaptable.bundle.domain.distance(values) / 1.3
    far = Predictor(replace(adaptable.bundle, domain_limit=limit, card=unlike().card))
    monkeypatch.setattr(commands.Predictor, "load", lambda folder: far)
    assert "neutral clips of the speaker help" in predict(clip).err
    done = predict(clip, speaker_reference=clip.parent)
    assert done.rows[0]["warnings"][0].startswith(UNLIKE)
    assert done.err == f"ser: speaker reference: 1 clip of {clip.parent}\n"


def test_unlabelled_clips_adapt_too(predict, clip, adaptable, speak, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    for number in range(5):
        soundfile.write(own / f"{number}.wav", speak(pitch_hz=120 + 20 * number), 16_000)
    asked = []
    enrolled = Predictor.enrolled
    monkeypatch.setattr(
        Predictor,
        "enrolled",
        lambda one, paths, **way: asked.append(way) or enrolled(one, paths, **way),
    )
    far = Predictor(replace(adaptable.bundle, domain_limit=1e-6))
    monkeypatch.setattr(commands.Predictor, "load", lambda folder: far)
    done = predict(clip, speaker_clips=own)
    assert done.err == f"ser: speaker reference: 5 clips of {own}\n"
    predict(clip, speaker_reference=own)
    assert asked == [{"is_neutral": False}, {"is_neutral": True}]
    (own / "0.wav").unlink()
    with pytest.raises(AudioError, match="give 5"):
        predict(clip, speaker_clips=own)


def test_a_room_is_named_or_is_that_of_the_recordings(
    predict, clip, adaptable, speak, tmp_path, monkeypatch
):
    own = tmp_path / "own"
    own.mkdir()
    for number in range(5):
        soundfile.write(own / f"{number}.wav", speak(pitch_hz=120 + 20 * number), 16_000)
    monkeypatch.setattr(commands.Predictor, "load", lambda folder: adaptable)
    one, same = predict(clip, room=own), predict(own, room=commands.SAME)
    assert one.err.startswith(f"ser: room {own}: 5 clips, few")
    assert one.err == same.err.replace("room:", f"room {own}:")
    assert one.rows[0]["model"] == same.rows[0]["model"]
    with pytest.raises(AudioError, match="1 of 1"):
        predict(clip, room=commands.SAME)
    with pytest.raises(SerError, match="not both"):
        predict(clip, room=own, speaker_clips=own)
    with pytest.raises(SerError, match="not standard input"):
        predict("-", room=commands.SAME)
    with pytest.raises(SerError, match="empty name"):
        predict("")


def _truncated(folder, speak):
    soundfile.write(folder / "whole.wav", speak(), 16_000)
    raw = (folder / "whole.wav").read_bytes()
    (folder / "whole.wav").unlink()
    return raw[: len(raw) // 2]


def _sound(signal, rate=16_000, **form):
    def make(folder, speak):
        packed = io.BytesIO()
        soundfile.write(packed, signal(speak), rate, format="WAV", **form)
        return packed.getvalue()

    return make


# Name of the file, what is in it, and what is said of it.
BAD = {
    "empty": ("a.wav", lambda *_: b"", "an empty file of 0 bytes"),
    "truncated": ("a.wav", _truncated, "truncated"),
    "text renamed": ("a.wav", lambda *_: b"Dear mother, all is well.\n" * 50, "cannot be decoded"),
    "zeros": ("a.flac", lambda *_: bytes(5000), "cannot be decoded"),
    "no samples": ("a.wav", _sound(lambda s: np.zeros(0)), "holds no samples"),
    "NaN": ("a.wav", _sound(lambda s: np.full(16_000, np.nan), subtype="FLOAT"), "NaN"),
    "silent": ("a.wav", _sound(lambda s: np.zeros(16_000)), "all samples are zero"),
    "headerless": ("a.raw", lambda *_: bytes(range(256)) * 40, "cannot be decoded"),
    "half an M4A": ("a.m4a", lambda *_: b"\0\0\0\x20ftypM4A " + bytes(500), "cannot be decoded"),
    "a playlist": ("a.mp4", lambda *_: b"#EXTM3U\n/etc/passwd\n", "cannot be decoded"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_clear_line_and_the_rest_goes_on(predict, clip, speak, tmp_path, name):
    file_name, make, message = BAD[name]
    (tmp_path / "bad").mkdir()
    bad = tmp_path / "bad" / file_name
    bad.write_bytes(make(tmp_path, speak))
    done = predict(bad, clip)
    assert done.code == 1
    assert message in done.rows[0]["error"]
    assert done.rows[1]["confidence"] > 0
    lines = done.err.splitlines()
    assert len(lines) == 2
    assert message in lines[0]
    assert "Traceback" not in done.err


# What is odd, and gets an answer, perhaps with a warning.
ODD = {
    "wrong ending": ("a.mp3", _sound(lambda s: s()), ""),
    "0.05 s": ("a.wav", _sound(lambda s: s(duration_s=0.05)), "no speech found"),
    "192 kHz": ("a.wav", _sound(lambda s: s(rate_hz=192_000), 192_000), ""),
    "8 channels": ("a.wav", _sound(lambda s: np.repeat(s()[:, None], 8, axis=1)), ""),
    "8 kHz": ("a.wav", _sound(lambda s: s(rate_hz=8000), 8000), "low sample rate"),
    "clipped": ("a.wav", _sound(lambda s: (20 * s()).clip(-0.9, 0.9)), "clipped"),
    "noise": (
        "a.wav",
        _sound(lambda s: np.random.default_rng(0).normal(0, 0.1, 32_000)),
        "no speech found",
    ),
    "spaces": ("a b  c.wav", _sound(lambda s: s()), ""),
    "a line break": ("a\nb.wav", _sound(lambda s: s()), ""),
    "not UTF-8": (os.fsdecode(b"caf\xe9.wav"), _sound(lambda s: s()), ""),
    "a dash": ("--help.wav", _sound(lambda s: s()), ""),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_an_odd_file_gets_an_answer(predict, speak, tmp_path, name, form):
    file_name, make, message = ODD[name]
    odd = tmp_path / file_name
    odd.write_bytes(make(tmp_path, speak))
    done = predict(odd, form=form)
    assert done.code == 0, done.err
    text = json.dumps(done.rows) if form == "json" else done.rows
    assert message in text
    if form == "json":
        others = [one for one in done.rows[0]["warnings"] if not one.startswith("long (")]
        assert bool(others) == bool(message)


def test_two_hours_are_answered_from_their_beginning(predict, speak, tmp_path):
    block = np.tile(speak(duration_s=1.0, rate_hz=8000), 60)
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 8000, 1) as file:
        for _ in range(120):
            file.write(block)
    done = predict(tmp_path / "long.flac")
    assert done.code == 0
    assert done.rows[0]["duration_s"] == pytest.approx(7200)
    assert any("long (7200 s)" in one for one in done.rows[0]["warnings"])


def test_missing_files_and_empty_folders_are_reported(predict, tmp_path):
    done = predict(tmp_path / "none.wav")
    assert (done.code, "no such file" in done.rows[0]["error"]) == (1, True)
    (tmp_path / "empty").mkdir()
    done = predict(tmp_path / "empty")
    assert (done.code, done.rows) == (1, [])
    assert "no recording was found" in done.err


def test_a_pipe_is_a_file_too_whatever_comes_of_it(predict, clip, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(clip.read_bytes())))
    done = predict("-")
    assert (done.code, done.rows[0]["path"]) == (0, "-")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"not a sound" * 9)))
    done = predict("-")
    assert (done.code, done.rows[0]["path"]) == (1, "-")
    assert "ser-stream" not in done.err


@pytest.mark.parametrize("suffix", [".m4a", ".webm", ".aac"])
def test_what_libsndfile_does_not_decode_is_predicted_without_a_program(
    predict, clip, tmp_path, monkeypatch, suffix, ffmpeg
):
    import subprocess

    target = tmp_path / f"a{suffix}"
    subprocess.run([ffmpeg, "-v", "error", "-i", str(clip), str(target)], check=True)
    monkeypatch.setenv("PATH", "")
    assert predict(target).code == 0


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_job_that_was_stopped_is_continued(predict, speak, tmp_path, suffix, monkeypatch):
    folder, out = tmp_path / "clips", tmp_path / f"out{suffix}"
    folder.mkdir()
    for number in range(6):
        soundfile.write(folder / f"{number}.wav", speak(duration_s=1.0), 16_000)
    (folder / "3.wav").write_text("broken")
    assert predict(folder, form="", out=out).code == 1
    whole = out.read_text()
    out.write_text(whole[: len(whole) * 2 // 3])
    counted = []
    once = batch.Predictor.attempt
    monkeypatch.setattr(
        batch.Predictor, "attempt", lambda self, path: counted.append(path) or once(self, path)
    )
    assert predict(folder, form="", out=out).code == 1
    assert out.read_text() == whole
    assert 1 <= len(counted) < 6
    # Once more: nothing is left to do, and what failed is not forgotten.
    again = predict(folder, form="", out=out)
    assert (again.code, out.read_text()) == (1, whole)


def test_ctrl_c_says_how_to_go_on(predict, clip, monkeypatch, tmp_path):
    def stop(self, path):
        raise KeyboardInterrupt

    monkeypatch.setattr(batch.Predictor, "attempt", stop)
    done = predict(clip, form="csv", out=tmp_path / "out.csv")
    assert done.code == 130
    assert "goes on with it" in done.err


def test_options_that_do_not_fit_are_refused(predict, clip, tmp_path):
    with pytest.raises(SerError, match="known are table"):
        predict(clip, form="xml")
    with pytest.raises(SerError, match="--timeline"):
        predict(clip, plot=tmp_path / "a.png")
    with pytest.raises(SerError, match="--timeline"):
        predict(clip, window_s=2.0)
    with pytest.raises(SerError, match="once"):
        predict("-", "-")
    with pytest.raises(BundleError, match="is no bundle"):
        run_prediction(Request((str(clip),), "nowhere"))
    with pytest.raises(BundleError, match="cannot be adapted"):
        predict(clip, speaker_reference=tmp_path)
    with pytest.raises(SerError, match="not both"):
        predict(clip, speaker_reference=tmp_path, speaker_clips=tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        predict(clip, out=clip / "inside.csv")


def test_a_timeline_has_a_row_a_window_and_a_figure(predict, speak, tmp_path):
    silence = np.zeros(10 * 16_000, np.float32)
    soundfile.write(tmp_path / "a.wav", np.concatenate([speak(duration_s=8.0), silence]), 16_000)
    done = predict(tmp_path / "a.wav", is_timeline=True, plot=tmp_path / "a.png")
    assert done.code == 0
    starts = [row["start_s"] for row in done.rows]
    assert starts == [2.0 * n for n in range(8)]
    assert done.rows[0]["confidence"] > 0
    assert done.rows[-1]["emotion"] == "no speech"
    assert done.rows[-1]["confidence"] is None
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    table = predict(tmp_path / "a.wav", is_timeline=True, form="table")
    assert "0:00:14.0 to 0:00:18.0  no speech" in table.rows
    assert "a.wav" not in table.rows
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    named = predict(tmp_path, is_timeline=True, form="table").rows.splitlines()
    n_rows = len(table.rows.splitlines())
    assert [n for n, row in enumerate(named) if row.endswith(".wav")] == [0, n_rows + 1]
    lines = predict(tmp_path / "a.wav", is_timeline=True, form="csv").rows.splitlines()
    assert len(lines) == 9
    assert len({line.count(",") for line in lines}) == 1


def test_a_timeline_reports_bad_files_and_empty_folders(predict, tmp_path):
    (tmp_path / "a.wav").write_text("no sound")
    done = predict(tmp_path / "a.wav", is_timeline=True)
    assert (done.code, done.rows) == (1, [])
    assert "a.wav: cannot be decoded" in done.err
    assert "1 recording could not be used" in done.err
    (tmp_path / "empty").mkdir()
    done = predict(tmp_path / "empty", is_timeline=True)
    assert (done.code, done.rows) == (1, [])
    assert "no recording was found" in done.err


def test_rows_of_a_timeline_are_written_into_a_new_folder(predict, clip, tmp_path):
    out = tmp_path / "new" / "a.csv"
    assert predict(clip, form="", is_timeline=True, out=out).code == 0
    shown = predict(clip, form="csv", is_timeline=True).rows
    assert out.read_text() == shown
    assert shown.startswith("path,start_s,end_s,speech_s,emotion,confidence,p_")
    with pytest.raises(OutputError, match=r"inside\.csv"):
        predict(clip, is_timeline=True, out=clip / "inside.csv")
