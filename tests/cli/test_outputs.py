"""Files that a user names: touched only where they are ours, one writer at a time, whole or not."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ser_lib.cli import main as command
from ser_lib.cli.predict import PLOT_MARK
from ser_lib.errors import OutputError
from ser_lib.paths import only_writer

FOREIGN = b'{"a": 1}'


@pytest.fixture
def clip(tmp_path, tone, write_clip) -> Path:
    return write_clip(tmp_path / "clips" / "a.wav", tone(200.0, duration_s=2.0))


def call(*arguments: object):
    return CliRunner().invoke(command.app, [str(one) for one in arguments])


def entries(clip: Path, out: Path) -> dict[str, tuple[object, ...]]:
    return {
        "predict": ("predict", clip, "--bundle", "cnn-ravdess", "--out", out),
        "timeline": ("predict", clip, "--bundle", "cnn-ravdess", "--timeline", "--out", out),
        "plot": ("predict", clip, "--bundle", "cnn-ravdess", "--timeline", "--plot", out),
        "audit": ("audit", clip.parent, "--out", out),
    }


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("predict", "json"),
        ("predict", "csv"),
        ("timeline", "json"),
        ("timeline", "csv"),
        ("timeline", "txt"),
        ("plot", "png"),
        ("plot", "svg"),
        ("audit", "json"),
    ],
)
def test_a_file_of_somebody_else_is_refused_and_stays_and_an_own_one_is_taken(
    clip, tmp_path, name, suffix
):
    out = tmp_path / f"labels.{suffix}"
    out.write_bytes(FOREIGN)
    refused = call(*entries(clip, out)[name])
    assert refused.exit_code != 0
    assert out.read_bytes() == FOREIGN
    out.unlink()
    assert call(*entries(clip, out)[name]).exit_code == 0
    first = out.read_bytes()
    again = call(*entries(clip, out)[name])
    # A table has no form that could be recognised.
    assert (again.exit_code == 0) is (suffix != "txt")
    if suffix != "svg":  # which holds the time of its drawing
        assert out.read_bytes() == first
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.startswith(".")) == []


@pytest.mark.parametrize("name", ["predict", "timeline", "plot", "audit"])
def test_a_folder_in_the_place_of_a_file_is_refused(clip, tmp_path, name):
    out = tmp_path / ("out.png" if name == "plot" else "out.json")
    out.mkdir()
    result = call(*entries(clip, out)[name])
    assert "is a directory" in f"{result.exception} {result.output}"


def test_a_dash_is_no_name_of_a_file(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*entries(clip, "-")["predict"]).exit_code != 0
    assert not (tmp_path / "-").exists()


def test_a_header_without_rows_is_not_written_twice(clip, tmp_path):
    out = tmp_path / "a.csv"
    assert call(*entries(clip, out)["predict"]).exit_code == 0
    lines = out.read_text().splitlines(keepends=True)
    out.write_text(lines[0])
    assert call(*entries(clip, out)["predict"]).exit_code == 0
    assert out.read_text().splitlines(keepends=True) == lines


HOLD = """
import sys, time
from pathlib import Path
from ser_lib.paths import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes `a.csv`."""
    arguments = [sys.executable, "-c", HOLD, str(tmp_path / "a.csv")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused_with_the_id_of_the_first(holder, clip, tmp_path):
    result = call(*entries(clip, tmp_path / "a.csv")["predict"])
    assert isinstance(result.exception, OutputError)
    assert str(holder.pid) in str(result.exception)
    assert not (tmp_path / "a.csv").exists()


def test_a_killed_writer_leaves_no_lock_behind(holder, clip, tmp_path):
    holder.kill()
    holder.wait()
    assert call(*entries(clip, tmp_path / "a.csv")["predict"]).exit_code == 0


def test_two_jobs_at_once_write_each_clip_once(clip, tmp_path, tone, write_clip):
    for number in range(5):
        write_clip(clip.parent / f"{number}.wav", tone(200.0 + number, duration_s=2.0))
    out = tmp_path / "a.csv"
    program = str(Path(sys.executable).with_name("ser"))
    arguments = [program, "predict", str(clip.parent), "--bundle", "cnn-ravdess", "--out", str(out)]
    jobs = [subprocess.Popen(arguments, stderr=subprocess.DEVNULL) for _ in range(2)]
    codes = sorted(one.wait() for one in jobs)
    names = [line.split(",")[0] for line in out.read_text().splitlines()]
    assert len(names) == len(set(names)) == 7
    # The second one is refused, or came after the first had ended and had nothing to do.
    assert codes[0] == 0


def test_a_file_system_without_locks_is_named(monkeypatch, tmp_path):
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with pytest.raises(OutputError, match="No locks available"), only_writer(tmp_path / "a.csv"):
        pass


def test_a_stopped_audit_leaves_the_old_file(clip, tmp_path, monkeypatch):
    out = tmp_path / "audit.json"
    assert call("audit", clip.parent, "--out", out).exit_code == 0
    first = out.read_text()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    assert call("audit", clip.parent, "--out", out).exit_code == 2
    assert out.read_text() == first
    assert json.loads(first)["source"]


@pytest.mark.parametrize("name", ["predict", "timeline", "audit"])
def test_a_device_is_written_to_as_it_is(clip, name):
    program = str(Path(sys.executable).with_name("ser"))
    arguments = [str(one) for one in entries(clip, Path("/dev/stdout"))[name]]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.strip()


@pytest.mark.parametrize("name", ["timeline", "plot", "audit"])
def test_what_is_written_at_the_end_has_one_writer_too(holder, clip, tmp_path, name):
    (tmp_path / "a.png").symlink_to(tmp_path / "a.csv")
    out = tmp_path / ("a.png" if name == "plot" else "a.csv")
    assert call(*entries(clip, out)[name]).exit_code != 0
    assert not out.exists()


@pytest.mark.parametrize("name", ["predict", "timeline", "audit", "train"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_computed(
    clip, tmp_path, monkeypatch, name
):
    # Not even root may make files there.
    out = Path("/proc/self") / "a.csv"
    for one in ("export.build.fit_bundle", "audit.report.audit_dataset"):
        monkeypatch.setattr(f"ser_lib.{one}", lambda *_, **__: pytest.fail("computed"))
    monkeypatch.setattr("ser_lib.cli.predict.timeline", lambda *_, **__: pytest.fail("computed"))
    commands = {**entries(clip, out), "train": ("train", "boucheta2025", "--out", out)}
    result = call(*commands[name])
    assert result.exit_code != 0
    assert not isinstance(result.exception, OSError)


@pytest.mark.parametrize("name", ["predict", "timeline", "audit", "plot"])
def test_a_full_disk_is_one_sentence_that_names_the_file_and_leaves_no_half(
    clip, tmp_path, monkeypatch, name
):
    out = tmp_path / ("a.png" if name == "plot" else "a.json")
    assert call(*entries(clip, out)[name]).exit_code == 0
    before = out.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
    try:
        if name == "predict":
            before = b""
            out.unlink()
        result = call(*entries(clip, out)[name])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert result.exit_code != 0
    assert isinstance(result.exception, OutputError | SystemExit)
    assert name == "audit" or str(out) in str(result.exception)
    assert (out.read_bytes() == before) is (name != "predict")
    assert call(*entries(clip, out)[name]).exit_code == 0


def test_a_folder_of_an_output_is_made(clip, tmp_path):
    assert call(*entries(clip, tmp_path / "new" / "er" / "a.csv")["predict"]).exit_code == 0


def test_a_bundle_has_one_writer(holder, tmp_path):
    result = call("train", "boucheta2025", "--out", tmp_path / "a.csv")
    assert isinstance(result.exception, OutputError)


def test_two_names_of_one_file_have_one_writer(holder, clip, tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    result = call(*entries(clip, tmp_path / "link.csv")["predict"])
    assert isinstance(result.exception, OutputError)


@pytest.mark.parametrize("name", ["timeline", "audit"])
def test_a_link_is_followed_and_a_file_s_mode_is_kept(clip, tmp_path, name):
    out = tmp_path / "real.json"
    (tmp_path / "link.json").symlink_to(out)
    assert call(*entries(clip, tmp_path / "link.json")[name]).exit_code == 0
    assert (tmp_path / "link.json").is_symlink()
    assert out.stat().st_size > 0
    out.chmod(0o600)
    assert call(*entries(clip, tmp_path / "link.json")[name]).exit_code == 0
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("umask", [0o077, 0o022])
def test_a_new_file_has_the_mode_that_the_user_asks_for(clip, tmp_path, umask):
    before = os.umask(umask)
    try:
        assert call(*entries(clip, tmp_path / "a.json")["timeline"]).exit_code == 0
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_recording_is_never_written_to(clip, tmp_path):
    raw = clip.read_bytes()
    assert call("predict", clip, "--bundle", "cnn-ravdess", "--out", clip).exit_code != 0
    assert call("predict", clip, "--timeline", "--plot", clip).exit_code != 0
    assert clip.read_bytes() == raw


@pytest.mark.parametrize("name", ["notes", "a.xyz"])
def test_a_plot_that_is_no_picture_is_refused_before_anything_is_predicted(clip, tmp_path, name):
    assert call("predict", clip, "--timeline", "--plot", tmp_path / name).exit_code != 0
    assert list(tmp_path.glob("*notes*")) == []


def test_a_text_that_quotes_our_mark_is_no_picture_of_ours(clip, tmp_path):
    out = tmp_path / "a.svg"
    out.write_text(f"see {PLOT_MARK}")
    assert call(*entries(clip, out)["plot"]).exit_code != 0
    assert out.read_text() == f"see {PLOT_MARK}"


def test_the_lock_is_no_file_of_the_user_s(clip):
    result = call(*entries(clip.parent, clip.parent / "a.csv")["predict"])
    assert result.exit_code == 0
    assert sorted(one.name for one in clip.parent.iterdir()) == ["a.csv", "a.wav"]
