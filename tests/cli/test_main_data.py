"""`ser data`: a list of what is there, a download where one is possible, and steps where not."""

from __future__ import annotations

import hashlib
import io
import shutil
import threading
import zipfile
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from ser_lib import data as corpora
from ser_lib.cli import main as command
from ser_lib.data import corpus as tables
from ser_lib.data.download import ARCHIVES
from ser_lib.errors import CorpusError, DownloadError


def call(*arguments: str):
    return CliRunner().invoke(command.app, ["data", *arguments])


def entry(output: str, name: str) -> str:
    """Cut a corpus's lines out of the list."""
    lines = output.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"{name} "))
    end = start + 1
    while end < len(lines) and lines[end].startswith(" "):
        end += 1
    return "\n".join(lines[start:end])


@pytest.fixture(scope="module")
def read_demo(tmp_path_factory) -> Path:
    """Give a cache that holds what was decoded of the demo."""
    folder = tmp_path_factory.mktemp("demo-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_CACHE", str(folder))
        corpora.load_corpus("demo")
    return folder


@pytest.fixture(autouse=True)
def _demo_is_read(read_demo, tmp_path) -> None:
    shutil.copytree(read_demo, tmp_path / "cache")


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SER_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def published(tmp_path, monkeypatch, small_ravdess, make_ravdess):
    """Serve the small RAVDESS as its pinned archive; give the file that is served."""
    files = make_ravdess(tmp_path / "source").values()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in files:
            archive.write(path, f"{path.parent.name}/{path.name}")
    served = tmp_path / "served" / "clips.zip"
    served.parent.mkdir()
    served.write_bytes(buffer.getvalue())

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, directory=str(served.parent), **options)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    (pinned,) = ARCHIVES["ravdess"]
    local = replace(
        pinned,
        url=f"http://127.0.0.1:{server.server_port}/clips.zip",
        checksum=f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}",
        n_bytes=len(buffer.getvalue()),
        file_name="clips.zip",
    )
    monkeypatch.setitem(ARCHIVES, "ravdess", (local,))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


# --- the list


def test_the_list_tells_name_title_licence_and_state_of_every_corpus(data, make_ravdess):
    result = call()
    assert result.exit_code == 0
    for name, card in corpora.CORPORA.items():
        if not isinstance(card, corpora.Corpus):
            continue
        text = entry(result.output, name)
        assert card.title in text
        assert f"[{card.licence}]" in text
        if card.is_embedded:
            assert f"complete, {card.n_clips:,} clips of {card.n_speakers} speakers, in" in text
        else:
            assert f"absent, no folder {card.root()}; `ser data {name}`" in text
    assert not data.exists()


@pytest.mark.parametrize("trouble", ["none", "missing", "bad"])
def test_the_list_tells_complete_incomplete_and_damaged(data, small_ravdess, make_ravdess, trouble):
    path = next(iter(make_ravdess(data / "ravdess").values()))
    if trouble == "missing":
        path.unlink()
    elif trouble == "bad":
        path.write_bytes(b"RIFF")
    result = call()
    text = entry(result.output, "ravdess")
    expected = {
        "none": f"complete, 16 clips of 4 speakers, in {data / 'ravdess'}",
        "missing": "incomplete, 15 of 16 clips of 4 of 4 speakers",
        "bad": "damaged, 15 of 16 clips of 4 of 4 speakers",
    }
    assert result.exit_code == 0
    assert expected[trouble] in text
    assert (path.name in text) == (trouble == "bad")


def test_what_the_loader_leaves_alone_is_counted_and_no_fault(data, small_ravdess, make_ravdess):
    files = make_ravdess(data / "ravdess")
    shutil.copytree(data / "ravdess", data / "ravdess" / "again")
    for path in (data / "ravdess" / "again").rglob("*-01.wav"):
        path.rename(path.with_name(path.name.replace("03-01-", "03-02-", 1)))
    text = entry(call().output, "ravdess")
    assert "complete, 16 clips" in text
    assert "\n  4 left out by design, songs" in text
    assert "\n  12 left alone, second copies" in text
    assert len(files) == 16


def test_the_list_has_no_pools(data, monkeypatch):
    pool = SimpleNamespace(name="pooled", members=("ravdess", "emodb"))
    monkeypatch.setitem(corpora.CORPORA, "pooled", pool)
    result = call()
    assert result.exit_code == 0, result.exception
    assert "pooled" not in result.output


def test_the_list_says_where_stored_runs_can_be_read_without_the_audio(
    data, small_ravdess, make_ravdess, tmp_path
):
    assert "stored runs" not in call().output
    make_ravdess(tmp_path / "other")
    corpora.write_committed_clips(small_ravdess.load(tmp_path / "other"), "ravdess")
    text = entry(call().output, "ravdess")
    assert "absent, no folder" in text
    assert "its table is there (16 clips): stored runs can be read" in text


def test_the_second_list_decodes_nothing(data, small_ravdess, make_ravdess, monkeypatch):
    make_ravdess(data / "ravdess")
    read, decoded = tables.read_facts, []
    monkeypatch.setattr(tables, "read_facts", lambda path: decoded.append(path) or read(path))
    first = call()
    assert len(decoded) == 16
    decoded.clear()
    assert call().output == first.output
    assert decoded == []


# --- one corpus


@pytest.mark.parametrize("name", ["demo", "ravdess"])
def test_what_is_complete_is_said_to_be_and_not_downloaded(
    data, small_ravdess, make_ravdess, monkeypatch, name
):
    make_ravdess(data / "ravdess")
    monkeypatch.setattr("ser_lib.data.download._fetch", lambda *_: pytest.fail("downloaded"))
    result = call(name)
    assert result.exit_code == 0, result.exception
    assert result.output.splitlines()[1].strip().startswith("complete, ")
    assert len(result.output.splitlines()) == 2


def test_a_download_tells_licence_and_citation_and_ends_complete(data, published, small_ravdess):
    result = call("ravdess")
    assert result.exit_code == 0, result.exception
    before, after = result.output.split("\n\n")
    assert f"Licence: {small_ravdess.licence}" in before
    assert small_ravdess.citation in before
    assert f"complete, 16 clips of 4 speakers, in {data / 'ravdess'}" in after
    assert len(list((data / "ravdess").rglob("*.wav"))) == 16


def test_a_download_that_fails_is_an_error_and_leaves_nothing(data, published):
    published.write_bytes(published.read_bytes()[:-1] + b"x")
    result = call("ravdess")
    assert isinstance(result.exception, DownloadError)
    assert not (data / "ravdess").exists()


@pytest.mark.parametrize("trouble", ["missing", "bad"])
def test_what_is_not_whole_is_left_alone_and_said_how_to_mend(
    data, published, make_ravdess, trouble
):
    path = next(iter(make_ravdess(data / "ravdess").values()))
    path.unlink() if trouble == "missing" else path.write_bytes(b"RIFF")
    # Not the whole of stat(): when a file was last read changes as it is read.
    before = {one: (one.stat().st_size, one.stat().st_mtime_ns) for one in data.rglob("*")}
    result = call("ravdess")
    assert result.exit_code == 1
    assert f"move {data / 'ravdess'} away and run `ser data ravdess` again" in result.output
    after = {one: (one.stat().st_size, one.stat().st_mtime_ns) for one in data.rglob("*")}
    assert after == before


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("tess", "Borealis"),
        ("savee", "Register"),
        ("crema_d", "git-lfs"),
        ("iemocap", "release form"),
        ("unheard_of", "from its library"),
    ],
)
def test_what_cannot_be_downloaded_has_its_steps_and_fails(
    data, small_ravdess, monkeypatch, name, word
):
    card = corpora.CORPORA.get(name) or replace(
        small_ravdess, name=name, title=f"The {name}", download="its library"
    )
    monkeypatch.setitem(corpora.CORPORA, name, card)
    result = call(name)
    assert result.exit_code == 1
    assert "Licence: " in result.output
    assert card.citation in result.output
    assert f"absent, no folder {card.root()}; `ser data {name}` says how to get it" in result.output
    assert "What to do:\n  1. " in result.output
    assert word in result.output
    assert result.output.rstrip().endswith(f"Run `ser data {name}` again: it checks every clip.")


def test_a_pool_is_referred_to_its_corpora(monkeypatch):
    monkeypatch.setitem(corpora.CORPORA, "pooled", SimpleNamespace(name="pooled", members=()))
    result = call("pooled")
    assert isinstance(result.exception, CorpusError)
    assert "'pooled' is a pool" in str(result.exception)


def test_an_unknown_corpus_is_refused():
    assert isinstance(call("ravdes").exception, CorpusError)
