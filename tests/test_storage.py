"""Clips, tables and outputs on S3: as with folders, and what is wrong is one sentence at once."""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from joblib.externals.loky import get_reusable_executor

from ser_lib import data, storage
from ser_lib.audio import io
from ser_lib.cli import main as command
from ser_lib.data.own import register
from ser_lib.errors import AudioError, CorpusError, OutputError, SerError, StorageError
from ser_lib.paths import cache_dir, place, reports_dir
from ser_lib.storage import fetched

BUCKET = "s3://speech"


@pytest.fixture(scope="module")
def server():
    """Start a server of S3's interface; return what a client's environment needs for it."""
    for name in ("moto.server", "s3fs", "upath"):
        pytest.importorskip(name, reason="NOT CHECKED: needs ser-lib[scale,dev]")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    server.stop()


@pytest.fixture
def client(server, monkeypatch):
    """Use the server from here; return its storage."""
    from s3fs import S3FileSystem

    for name, value in server.items():
        monkeypatch.setenv(name, value)
    # Workers that earlier tests have left know neither the server nor its keys.
    get_reusable_executor().shutdown()
    S3FileSystem.clear_instance_cache()
    yield S3FileSystem()
    S3FileSystem.clear_instance_cache()
    get_reusable_executor().shutdown()


@pytest.fixture
def folder(client, demo_clips, tmp_path):
    """A folder with clips and a table; the same is on storage."""
    folder = tmp_path / "clips"
    rows = ["path,label,speaker"]
    for clip in demo_clips[:40].itertuples():
        (folder / clip.speaker).mkdir(parents=True, exist_ok=True)
        shutil.copy(clip.path, folder / clip.speaker)
        rows.append(f"{clip.speaker}/{Path(clip.path).name},{clip.emotion},{clip.speaker}")
    (folder / "broken.wav").write_bytes(b"no sound")
    (folder / "table.csv").write_text("\n".join(rows))
    if not client.exists("speech"):
        client.mkdir("speech")
        client.put(str(folder), "speech/clips", recursive=True)
        client.invalidate_cache()
    return folder


def call(*arguments: object, expected: int = 0) -> str:
    result = CliRunner().invoke(command.app, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == expected, result.output
    return result.output


@pytest.mark.parametrize(
    ("out", "expected", "line"),
    [
        ("f.parquet", 1, "features waveform_envelope CLIPS"),
        ("p.csv", 1, "predict CLIPS --bundle BUNDLE"),
        ("p.jsonl", 1, "predict CLIPS/broken.wav CLIPS/demo-01 --bundle BUNDLE"),
        ("a.json", 0, "audit CLIPS --table CLIPS/table.csv"),
    ],
)
def test_commands_read_and_write_on_storage(
    client, folder, small_folder, monkeypatch, tmp_path, out, expected, line
):
    written = []
    for there, cache in ((f"{BUCKET}/clips", "far"), (str(folder), "near")):
        monkeypatch.setenv("SER_CACHE", str(tmp_path / cache))
        target = f"{BUCKET}/out/{out}" if cache == "far" else tmp_path / out
        names = {"BUNDLE": str(small_folder)}
        arguments = [names.get(one, one.replace("CLIPS", there)) for one in line.split()]
        call(*arguments, "--out", target, expected=expected)
        written.append(place(target).read_bytes())
    far, near = written
    if out.endswith(("csv", "json", "jsonl")):
        # The same but for the names of the clips.
        assert far.decode().replace(f"{BUCKET}/clips", str(folder)) == near.decode()
    assert not list((tmp_path / "far" / "outputs").iterdir())


def set_environment(values: dict[str, str]) -> None:
    os.environ.update(values)


def test_workers_read_clips_where_they_are(
    client, server, folder, scheduler, small_folder, monkeypatch, tmp_path
):
    from distributed import Client

    with Client(scheduler, set_as_default=False) as one:
        one.run(set_environment, server)
    written = []
    for where in ("", scheduler):
        monkeypatch.setenv("SER_SCHEDULER", where)
        out = tmp_path / f"{len(written)}.csv"
        call("predict", f"{BUCKET}/clips", "--bundle", small_folder, "--out", out, expected=1)
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_a_corpus_on_storage_is_that_of_a_folder(client, make_ravdess, monkeypatch, tmp_path):
    files = make_ravdess(tmp_path / "data" / "ravdess")
    client.put(str(tmp_path / "data"), "speech/data", recursive=True)
    tables = []
    for there in (tmp_path / "data", f"{BUCKET}/data"):
        monkeypatch.setenv("SER_DATA", str(there))
        tables.append(data.load_corpus("ravdess", strict=False))
    near, far = tables
    assert far["path"].str.startswith(f"{BUCKET}/data/ravdess/").all()
    assert far.drop(columns="path").equals(near.drop(columns="path"))
    assert len(far) == len(files)


def test_a_table_here_names_clips_elsewhere(client, folder, tmp_path):
    table = tmp_path / "mine.csv"
    given = (folder / "table.csv").read_text()
    table.write_text(given.replace("\ndemo", f"\n{BUCKET}/clips/demo"))
    names = sorted(os.listdir(folder / "demo-01"))
    rows = "".join(f"{one},sad,someone\n" for one in names)
    client.pipe_file("speech/clips/demo-01/own.csv", f"path,label,speaker\n{rows}".encode())
    clips = register(table).load()
    assert len(clips) == 40
    assert clips["path"].str.startswith(f"{BUCKET}/clips/demo-").all()
    assert clips["clip_id"].str.startswith("mine-mine/demo-").all()
    one_speaker = register(f"{BUCKET}/clips/demo-01/own.csv").load()
    assert set(one_speaker["clip_id"]) == {f"mine-own/{Path(one).stem}" for one in names}


def test_a_job_that_lost_its_storage_goes_on(client, folder, small_folder, monkeypatch, tmp_path):
    out, whole = f"{BUCKET}/out/again.csv", f"{BUCKET}/out/whole.csv"
    arguments = ("predict", f"{BUCKET}/clips", "--bundle", small_folder, "--jobs", 1, "--out")
    call(*arguments, whole, expected=1)
    calls = []

    def lost(name):
        calls.append(name)
        if len(calls) > 9:
            raise StorageError(f"{name}: does not answer")
        return fetched(name)

    with monkeypatch.context() as patch:
        patch.setattr(io, "fetched", lost)
        with pytest.raises(StorageError, match="does not answer"):
            call(*arguments, out)
    assert not place(out).exists()
    (left,) = (cache_dir() / "outputs").rglob("again.csv")
    rows = left.read_text()
    assert rows.count("\n") > 5
    # Who may not go on with it loses nothing of it, and is told where it is.
    with pytest.raises(SerError, match=re.escape(str(left))):
        call("predict", f"{BUCKET}/clips", "--bundle", "cnn-ravdess", "--jobs", 1, "--out", out)
    assert left.read_text() == rows
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(io, "fetched", lambda name: calls.append(name) or fetched(name))
        call(*arguments, out, expected=1)
    assert len(calls) < 41
    assert place(out).read_bytes() == place(whole).read_bytes()
    assert not list((cache_dir() / "outputs").iterdir())


def test_what_others_store_while_a_job_is_stopped_stays(client, folder, small_folder, monkeypatch):
    out = f"{BUCKET}/out/others.csv"
    arguments = ("predict", f"{BUCKET}/clips", "--bundle", small_folder, "--jobs", 1, "--out", out)

    def lost(name):
        if Path(str(name)).name == "broken.wav":
            return fetched(name)
        raise StorageError(f"{name}: does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(io, "fetched", lost)
        with pytest.raises(StorageError):
            call(*arguments)
    assert list((cache_dir() / "outputs").rglob("others.csv"))
    client.pipe_file("speech/out/others.csv", b"theirs")
    client.invalidate_cache()
    with pytest.raises(OutputError, match="another job"):
        call(*arguments)
    assert client.cat_file("speech/out/others.csv") == b"theirs"


def test_two_jobs_cannot_store_one_file(client, folder):
    out = place(f"{BUCKET}/out/both.csv")
    with storage.stored(out) as copy:
        copy.write_text("mine")
        with pytest.raises(OutputError, match=r"both\.csv"), storage.stored(out):
            pytest.fail("the second began")
    assert client.cat_file("speech/out/both.csv") == b"mine"


def test_a_timeline_of_an_address(client, folder, small_folder, tmp_path):
    clip = next(folder.glob("demo-*/*"))
    there = f"{BUCKET}/clips/{clip.relative_to(folder)}"
    options = ("--timeline", "--bundle", small_folder, "--format", "csv")
    far, near = (call("predict", one, *options) for one in (there, clip))
    assert far.replace(there, str(clip)) == near


@pytest.mark.parametrize("other", ["s3://elsewhere/a.wav", "/somewhere/a.wav"])
def test_a_table_of_several_places_is_refused(client, folder, tmp_path, other):
    clip = next(folder.glob("demo-*/*"))
    rows = ["path", f"{BUCKET}/clips/{clip.relative_to(folder)}", other]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    with pytest.raises(CorpusError, match="one bucket"):
        call("features", "waveform_envelope", tmp_path / "t.csv", "--out", tmp_path / "f.npz")


def test_an_address_without_a_bucket_is_refused():
    pytest.importorskip("upath", reason="NOT CHECKED: needs ser-lib[scale]")
    with pytest.raises(StorageError, match="no bucket"):
        place("s3://")


def test_a_file_of_somebody_else_stays(client, folder):
    client.pipe_file("speech/out/mine.json", b'{"a": 1}')
    out = f"{BUCKET}/out/mine.json"
    assert out in call("audit", f"{BUCKET}/clips", "--out", out, expected=2)
    assert client.cat_file("speech/out/mine.json") == b'{"a": 1}'
    client.rm_file("speech/out/mine.json")
    call("audit", f"{BUCKET}/clips", "--out", out)


@pytest.mark.parametrize("variable", ["SER_CACHE", "SER_REPORTS"])
def test_what_needs_a_folder_says_so(monkeypatch, variable):
    monkeypatch.setenv(variable, f"{BUCKET}/cache")
    with pytest.raises(OutputError, match=variable):
        cache_dir(), reports_dir()


@pytest.mark.parametrize("missing", ["bucket", "credentials", "server"])
def test_storage_that_cannot_be_reached_is_one_sentence_at_once(
    client, folder, monkeypatch, small_folder, tmp_path, missing
):
    bucket = "s3://nobody" if missing == "bucket" else BUCKET
    if missing == "credentials":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("HOME", str(tmp_path))
    if missing == "server":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        monkeypatch.setattr(type(client), "retries", 1)
    type(client).clear_instance_cache()
    started = time.monotonic()
    for arguments in (
        ("features", "waveform_envelope", f"{bucket}/clips", "--out", tmp_path / "f.npz"),
        ("predict", folder, "--bundle", small_folder, "--out", f"{bucket}/p.csv"),
    ):
        with pytest.raises(SerError, match=bucket):
            call(*arguments)
    assert bucket in call("audit", f"{bucket}/clips", expected=2)
    if missing != "bucket":
        with pytest.raises(StorageError, match=bucket):
            call("predict", f"{bucket}/clips", "--bundle", small_folder)
    assert time.monotonic() - started < 60


def test_a_storage_that_nobody_knows_is_named():
    with pytest.raises(StorageError, match="nowhere://"):
        place("nowhere://bucket/clips")


def test_a_clip_that_is_not_there_is_its_own_error(client):
    with pytest.raises(AudioError, match=f"{BUCKET}/none.wav: no such file"):
        io.load_signal(f"{BUCKET}/none.wav")
