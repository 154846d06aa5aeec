"""Downloads from a server on this machine: whole, resumed, tampered, cut; and archives that bite.

No test reaches the internet; the pinned addresses themselves are not tried here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from ser_lib.data import CORPORA, download
from ser_lib.data.corpus import Corpus
from ser_lib.data.download import (
    ARCHIVES,
    REPOSITORIES,
    STEPS,
    Archive,
    Repository,
    _unpack,
    download_corpus,
    inspect_corpus,
    published_as,
    steps_for,
)
from ser_lib.errors import CorpusError, DownloadError

REAL = [one for one in CORPORA.values() if isinstance(one, Corpus) and not one.is_embedded]


# --- a server that fails as a test asks for


@dataclass
class Page:
    """One file of the server, and its manners."""

    content: bytes
    knows_ranges: bool = True
    tells_length: bool = True
    length: int | None = None
    status: int = 0
    location: str = ""
    range_from_start: bool = False
    cuts: list[int] = field(default_factory=list)
    """After how many bytes to hang up, request by request."""
    gate: threading.Event | None = None
    asked: list[str] = field(default_factory=list)
    """The range of each request."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path)
        if page is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range", "")
        page.asked.append(asked)
        if page.gate:
            page.gate.wait(20)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if page.status == 416 and start:
            self.send_error(416)
            return
        if page.location:
            self.send_response(302)
            self.send_header("Location", page.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if page.range_from_start:
            start = 0
        is_part = bool(asked) and page.knows_ranges
        body = page.content[start:] if is_part else page.content
        self.send_response(page.status if page.status >= 500 else 206 if is_part else 200)
        if is_part:
            last = len(page.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(page.content)}")
        if page.tells_length:
            self.send_header("Content-Length", str(page.length or len(body)))
        self.end_headers()
        # Who refuses a page for its length does not wait for the rest of it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body[: page.cuts.pop(0)] if page.cuts else body)


@pytest.fixture
def server(monkeypatch):
    """Serve `server.pages` at `server.url`."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.pages = {}
    running.url = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


# --- archives of 16 clips


@pytest.fixture(scope="module")
def clips(make_ravdess, tmp_path_factory) -> dict[str, bytes]:
    """The members of a small and complete RAVDESS, by name."""
    root = tmp_path_factory.mktemp("published")
    files = make_ravdess(root).values()
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def zipped(members: dict[str, bytes], **options: object) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members.items():
            # A name like C:x or a\b is kept as it is only in an info.
            info = zipfile.ZipInfo("placeholder")
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("SER_DATA", str(folder))
    return folder


@pytest.fixture
def publish(server, monkeypatch, small_ravdess, data):
    """Return a function that serves bytes as RAVDESS's pinned archive."""

    def serve(content: bytes, *, file_name: str = "clips.zip", pinned: bytes | None = None, **page):
        pinned = content if pinned is None else pinned
        server.pages[f"/{file_name}"] = Page(content, **page)
        archive = Archive(
            url=f"{server.url}/{file_name}",
            checksum=f"md5:{hashlib.md5(pinned).hexdigest()}",
            n_bytes=len(pinned),
            file_name=file_name,
            source="a test",
        )
        monkeypatch.setitem(ARCHIVES, "ravdess", (archive,))
        return server.pages[f"/{file_name}"]

    return serve


@pytest.fixture
def whole(clips) -> bytes:
    return zipped(clips)


def left(data: Path) -> list[str]:
    """What lies under SER_DATA, without the lock of a killed process."""
    return sorted(
        path.relative_to(data).as_posix()
        for path in data.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    )


def in_place(clips: dict[str, bytes]) -> list[str]:
    return sorted(f"ravdess/{name}" for name in clips)


PART = ".ravdess.download/clips.zip.part"


# --- the whole way


def test_an_archive_is_downloaded_unpacked_and_checked(publish, small_ravdess, clips, data):
    page = publish(zipped(clips), file_name="clips.any")
    assert download_corpus(small_ravdess) == data / "ravdess"
    assert left(data) == in_place(clips)
    assert {one: (data / "ravdess" / one).read_bytes() for one in clips} == clips
    assert page.asked == [""]
    assert inspect_corpus(small_ravdess).state == "complete"


def test_several_archives_are_unpacked_into_one_folder(
    publish, small_ravdess, clips, data, monkeypatch
):
    names = sorted(clips)
    publish(zipped({name: clips[name] for name in names[:5]}), file_name="a.zip")
    (first,) = ARCHIVES["ravdess"]
    publish(zipped({name: clips[name] for name in names[5:]}), file_name="b.zip")
    monkeypatch.setitem(ARCHIVES, "ravdess", (first, *ARCHIVES["ravdess"]))
    download_corpus(small_ravdess)
    assert left(data) == in_place(clips)


def test_an_empty_folder_is_taken(publish, small_ravdess, clips, data, whole):
    publish(whole)
    (data / "ravdess").mkdir(parents=True)
    download_corpus(small_ravdess)
    assert left(data) == in_place(clips)


def test_a_redirection_is_followed(publish, server, small_ravdess, clips, data, whole):
    publish(whole)
    server.pages["/moved"] = server.pages["/clips.zip"]
    server.pages["/clips.zip"] = Page(b"", location="/moved")
    download_corpus(small_ravdess)
    assert left(data) == in_place(clips)


def test_a_server_that_tells_no_length_is_read_as_far_as_pinned(
    publish, small_ravdess, clips, data, whole
):
    publish(whole + b"and more", pinned=whole, tells_length=False)
    download_corpus(small_ravdess)
    assert left(data) == in_place(clips)


def test_an_archive_fetched_by_other_means_is_used(publish, small_ravdess, clips, data, whole):
    page = publish(whole)
    (data / ".ravdess.download").mkdir(parents=True)
    (data / ".ravdess.download" / "clips.zip").write_bytes(whole)
    download_corpus(small_ravdess)
    assert page.asked == []
    assert left(data) == in_place(clips)


def test_a_wrong_file_in_the_place_of_the_archive_is_replaced(
    publish, small_ravdess, clips, data, whole
):
    page = publish(whole)
    (data / ".ravdess.download").mkdir(parents=True)
    (data / ".ravdess.download" / "clips.zip").write_bytes(b"a web page")
    download_corpus(small_ravdess)
    assert page.asked == [""]
    assert left(data) == in_place(clips)


def test_what_a_killed_call_left_half_unpacked_is_not_mixed_in(
    publish, small_ravdess, clips, data, whole
):
    publish(whole)
    old = data / ".ravdess.download" / "unpacked" / "Actor_09" / "half.wav"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"RIFF")
    download_corpus(small_ravdess)
    assert left(data) == in_place(clips)


# --- half a download


def test_a_cut_connection_is_taken_up_again_at_once(publish, small_ravdess, clips, data, whole):
    half = len(whole) // 2
    page = publish(whole, cuts=[half, 100])
    download_corpus(small_ravdess)
    assert page.asked == ["", f"bytes={half}-", f"bytes={half + 100}-"]
    assert left(data) == in_place(clips)


def test_the_next_call_goes_on_with_a_partial_download(
    publish, small_ravdess, clips, data, whole, monkeypatch
):
    monkeypatch.setattr(download, "MAX_TRIES", 1)
    half = len(whole) // 2
    page = publish(whole, cuts=[half])
    with pytest.raises(DownloadError, match=rf"{half:,} of {len(whole):,} bytes"):
        download_corpus(small_ravdess)
    assert left(data) == [PART]
    assert (data / PART).read_bytes() == whole[:half]
    download_corpus(small_ravdess)
    assert page.asked == ["", f"bytes={half}-"]
    assert left(data) == in_place(clips)


@pytest.mark.parametrize(
    "manners", [{"knows_ranges": False}, {"range_from_start": True}, {"status": 416}]
)
def test_a_server_that_cannot_go_on_is_asked_for_all(
    publish, small_ravdess, clips, data, whole, manners
):
    page = publish(whole, cuts=[len(whole) // 2], **manners)
    if "knows_ranges" not in manners:
        page.cuts.append(len(whole))  # the refused request cuts nothing
    download_corpus(small_ravdess)
    assert left(data) == in_place(clips)


def test_a_connection_that_brings_nothing_is_given_up(publish, small_ravdess, data, whole):
    page = publish(whole, cuts=[500, 0, 500])
    with pytest.raises(DownloadError, match="500 of"):
        download_corpus(small_ravdess)
    assert len(page.asked) == 2
    assert left(data) == [PART]


def test_a_connection_that_always_breaks_is_given_up(publish, small_ravdess, data, whole):
    page = publish(whole, cuts=[10] * 20)
    with pytest.raises(DownloadError, match="50 of"):
        download_corpus(small_ravdess)
    assert len(page.asked) == download.MAX_TRIES


def test_half_a_download_that_is_not_of_this_file_is_found_out_and_dropped(
    publish, small_ravdess, clips, data, whole
):
    publish(whole)
    (data / PART).parent.mkdir(parents=True)
    (data / PART).write_bytes(b"\0" * 1000)
    with pytest.raises(DownloadError, match="not the pinned"):
        download_corpus(small_ravdess)
    assert left(data) == []
    download_corpus(small_ravdess)
    assert left(data) == in_place(clips)


def test_more_than_the_pinned_size_is_found_out_as_well(publish, small_ravdess, data, whole):
    page = publish(whole)
    (data / PART).parent.mkdir(parents=True)
    (data / PART).write_bytes(whole + b"x")
    with pytest.raises(DownloadError, match="not the pinned"):
        download_corpus(small_ravdess)
    assert page.asked == left(data) == []


# --- something else than the file


def test_a_tampered_file_is_refused_and_nothing_is_left(publish, small_ravdess, data, whole):
    tampered = bytearray(whole)
    tampered[len(whole) // 2] ^= 1
    publish(bytes(tampered), pinned=whole)
    with pytest.raises(DownloadError, match=r"clips.zip.*(md5|MD5)"):
        download_corpus(small_ravdess)
    assert left(data) == []
    assert not (data / "ravdess").exists()


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_file_of_another_size_is_not_even_downloaded(
    publish, small_ravdess, data, whole, difference
):
    publish((whole + b"x")[: len(whole) + difference], pinned=whole)
    offered, pinned = f"{len(whole) + difference:,}", f"{len(whole):,}"
    with pytest.raises(DownloadError, match=f"{offered} bytes, {pinned}"):
        download_corpus(small_ravdess)
    assert left(data) == []


def test_a_page_in_its_place_does_not_cost_what_was_kept(publish, small_ravdess, data, whole):
    publish(b"<html>please log in</html>", pinned=whole, knows_ranges=False)
    (data / PART).parent.mkdir(parents=True)
    (data / PART).write_bytes(whole[:1000])
    with pytest.raises(DownloadError, match=" 26 bytes"):
        download_corpus(small_ravdess)
    assert (data / PART).read_bytes() == whole[:1000]


@pytest.mark.parametrize("trouble", ["404", "503", "loop", "nobody", "no such host", "silence"])
def test_a_server_in_trouble_is_named_with_what_to_do(
    publish, server, small_ravdess, data, whole, trouble, monkeypatch
):
    page = publish(whole)
    if trouble == "404":
        server.pages.clear()
    elif trouble == "503":
        page.status = 503
    elif trouble == "loop":
        page.location = "/clips.zip"
    elif trouble == "silence":
        page.gate = threading.Event()
        monkeypatch.setattr(download, "TIMEOUT_S", 0.2)
    else:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        host = "127.0.0.1" if trouble == "nobody" else "no-such-host.invalid"
        (archive,) = ARCHIVES["ravdess"]
        other = replace(archive, url=f"http://{host}:{port}/clips.zip")
        monkeypatch.setitem(ARCHIVES, "ravdess", (other,))
    with pytest.raises(DownloadError) as caught:
        download_corpus(small_ravdess)
    if page.gate:
        page.gate.set()
    (archive,) = ARCHIVES["ravdess"]
    text = str(caught.value)
    for part in (archive.url, "`ser data ravdess`", f"{data / '.ravdess.download' / 'clips.zip'}"):
        assert part in text
    assert left(data) == []


# --- what is there is never touched


@pytest.mark.parametrize("there", ["clip", "note", "link", "file"])
def test_what_is_there_is_never_touched(publish, small_ravdess, data, whole, tmp_path, there):
    page = publish(whole)
    root = data / "ravdess"
    data.mkdir()
    if there == "link":
        (tmp_path / "elsewhere").mkdir()
        root.symlink_to(tmp_path / "elsewhere")
    elif there == "file":
        root.write_text("mine")
    else:
        root.mkdir()
        (root / ("03-01-05-01-01-01-01.wav" if there == "clip" else "note.txt")).write_text("mine")
    before = left(data)
    with pytest.raises(DownloadError, match=f"{root} .*not empty"):
        download_corpus(small_ravdess)
    assert left(data) == before
    assert root.is_symlink() == (there == "link")
    assert page.asked == []


def test_clips_that_are_not_complete_are_not_put_in_place(publish, small_ravdess, clips, data):
    some = dict(list(clips.items())[:-1])
    publish(zipped(some))
    with pytest.raises(DownloadError, match=r"1 of 16 .*missing"):
        download_corpus(small_ravdess)
    assert not (data / "ravdess").exists()
    assert left(data) == [".ravdess.download/clips.zip"]


def test_a_full_disk_while_unpacking_leaves_nothing_but_the_archive(
    publish, small_ravdess, clips, data, whole, monkeypatch
):
    page = publish(whole)
    copy, n_written = shutil.copyfileobj, []

    def fill(source, file):
        if len(n_written) == 7:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        n_written.append(1)
        copy(source, file)

    with monkeypatch.context() as patch:
        patch.setattr(download.shutil, "copyfileobj", fill)
        with pytest.raises(DownloadError, match="No space left"):
            download_corpus(small_ravdess)
    assert len(n_written) == 7
    assert left(data) == [".ravdess.download/clips.zip"]
    download_corpus(small_ravdess)
    assert page.asked == [""]
    assert left(data) == in_place(clips)


def test_a_full_disk_while_downloading_keeps_what_came(
    publish, small_ravdess, clips, data, whole, monkeypatch
):
    publish(whole)
    monkeypatch.setattr(download, "BLOCK_BYTES", 10_000)
    report = download._blocks

    def fill(*arguments):
        yield next(report(*arguments))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(download, "_blocks", fill)
        with pytest.raises(DownloadError, match="No space left"):
            download_corpus(small_ravdess)
    assert (data / PART).read_bytes() == whole[:10_000]
    download_corpus(small_ravdess)
    assert left(data) == in_place(clips)


@pytest.mark.parametrize("is_enough", [True, False])
def test_disk_space_is_looked_at_before(
    publish, small_ravdess, data, whole, monkeypatch, is_enough
):
    page = publish(whole)
    free = 4 * len(whole) - (not is_enough)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    if is_enough:
        download_corpus(small_ravdess)
        return
    with pytest.raises(DownloadError, match=f"under {data}"):
        download_corpus(small_ravdess)
    assert page.asked == left(data) == []


def test_a_partial_download_counts_as_space_that_is_taken(
    publish, small_ravdess, data, whole, monkeypatch
):
    publish(whole)
    (data / PART).parent.mkdir(parents=True)
    (data / PART).write_bytes(whole[:1000])
    free = 4 * len(whole) - 1000
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    download_corpus(small_ravdess)


def test_a_folder_that_cannot_be_written_is_named(publish, small_ravdess, data, whole):
    publish(whole)
    data.write_text("a file where SER_DATA should be")
    with pytest.raises(DownloadError, match=f"{data}"):
        download_corpus(small_ravdess)


# --- two at once


def test_a_second_download_at_the_same_time_is_refused_and_disturbs_nothing(
    publish, small_ravdess, clips, data, whole
):
    gate = threading.Event()
    page = publish(whole, gate=gate)
    failures = []

    def first():
        try:
            download_corpus(small_ravdess)
        except CorpusError as error:
            failures.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    while not page.asked:
        assert thread.is_alive()
    with pytest.raises(DownloadError, match="process"):
        download_corpus(small_ravdess)
    gate.set()
    thread.join()
    assert failures == []
    assert page.asked == [""]
    assert left(data) == in_place(clips)


HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_another_process_holds_until_it_is_killed(
    publish, small_ravdess, clips, data, whole
):
    publish(whole)
    data.mkdir()
    lock = data / ".ravdess.lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(DownloadError, match="ravdess"):
            download_corpus(small_ravdess)
        assert left(data) == []
        other.send_signal(signal.SIGKILL)
    download_corpus(small_ravdess)
    assert left(data) == in_place(clips)


# --- archives that bite


def unpacked(path: Path) -> list[str]:
    return sorted(one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file())


@pytest.fixture
def bite(tmp_path):
    """Return a function that unpacks bytes deep inside of a folder."""

    def run(content: bytes, name: str = "bad.zip") -> None:
        (tmp_path / name).write_bytes(content)
        _unpack(tmp_path / name, tmp_path / "a" / "b")

    return run


GOOD_NAMES = ("Actor_01/one.wav", "./two.wav", "..three.wav", "four..wav", "a b/ü.wav", "__x/y.wav")
BAD_NAMES = (
    *("../evil.wav", "Actor_01/../../evil.wav", "a/.."),
    *("/etc/evil.wav", "//evil.wav", "C:/evil.wav", "c:evil.wav"),
    *("..\\evil.wav", "a\\evil.wav", "\\evil.wav"),
)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_member_outside_of_the_folder_is_refused(bite, tmp_path, name):
    with pytest.raises(DownloadError) as caught:
        bite(zipped({"first.wav": b"1", name: b"2"}))
    assert repr(name) in str(caught.value)
    assert "outside" in str(caught.value)
    assert unpacked(tmp_path) == ["bad.zip"]


def test_a_member_inside_of_the_folder_is_not(bite, tmp_path):
    bite(zipped(dict.fromkeys(GOOD_NAMES, b"1")))
    assert len(unpacked(tmp_path / "a" / "b")) == len(GOOD_NAMES)


def test_a_name_with_a_null_byte_is_refused(bite):
    content = zipped({"one.wavXevil.sh": b"1"}).replace(b"wavXevil", b"wav\0evil")
    with pytest.raises(DownloadError, match="outside of its folder"):
        bite(content)


def test_folders_are_made(bite, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir("Actor_01")
        archive.writestr("Actor_01/one.wav", b"1")
    bite(buffer.getvalue())
    assert (tmp_path / "a" / "b" / "Actor_01").is_dir()
    assert unpacked(tmp_path / "a" / "b") == ["Actor_01/one.wav"]


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666])
def test_a_link_or_a_device_in_a_zip_is_refused(bite, tmp_path, mode):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link.wav")
        info.create_system, info.external_attr = 3, mode << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DownloadError, match=r"'link\.wav' .*link or"):
        bite(buffer.getvalue())
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_bomb_is_refused_before_it_is_written(bite, tmp_path):
    with pytest.raises(DownloadError, match=r"5,000,00\d bytes"):
        bite(zipped({"small.wav": b"1", "bomb.wav": b"\0" * 5_000_000}))
    assert unpacked(tmp_path / "a" / "b") == []


@pytest.mark.parametrize("n_bytes", [10_000, 10_001])
def test_members_together_have_a_limit(bite, tmp_path, monkeypatch, rng, n_bytes):
    monkeypatch.setattr(download, "MAX_UNPACKED_BYTES", 10_000)
    content = zipped({"a.wav": rng.bytes(6_000), "b.wav": rng.bytes(n_bytes - 6_000)})
    if n_bytes == 10_000:
        bite(content)
        assert len(unpacked(tmp_path / "a" / "b")) == 2
        return
    with pytest.raises(DownloadError, match=r"10,001 bytes.* 10,000 "):
        bite(content)


@pytest.mark.parametrize("n_members", [5, 6])
def test_the_number_of_members_has_a_limit(bite, tmp_path, monkeypatch, n_members):
    monkeypatch.setattr(download, "MAX_MEMBERS", 5)
    content = zipped({f"{number}.wav": b"1" for number in range(n_members)})
    if n_members == 5:
        bite(content)
        assert len(unpacked(tmp_path / "a" / "b")) == 5
        return
    with pytest.raises(DownloadError, match=" 5 members"):
        bite(content)


def test_two_members_of_one_name_are_refused(bite, tmp_path):
    content = zipped({"a.wav": b"1", "b.wav": b"2"}).replace(b"b.wav", b"a.wav")
    with pytest.raises(DownloadError, match=r"one name \(.*a\.wav\)"):
        bite(content)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9])
def test_a_truncated_archive_is_refused(bite, clips, share):
    content = zipped(clips)
    with pytest.raises(DownloadError, match=r"bad\.zip cannot"):
        bite(content[: int(share * len(content))])


def test_a_flipped_bit_inside_of_a_member_is_found_out(bite, rng):
    content = bytearray(zipped({"a.wav": rng.bytes(3_000)}))
    content[1_000] ^= 1
    with pytest.raises(DownloadError, match=r"bad\.zip cannot"):
        bite(bytes(content))


def test_an_encrypted_zip_is_refused(bite):
    content = bytearray(zipped({"a.wav": b"1"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DownloadError, match=r"bad\.zip .*encrypted"):
        bite(bytes(content))


def test_an_archive_that_bites_leaves_the_corpus_as_it_was(publish, small_ravdess, clips, data):
    publish(zipped(clips | {"../../evil.wav": b"2"}))
    with pytest.raises(DownloadError, match="outside of its folder"):
        download_corpus(small_ravdess)
    assert left(data) == [".ravdess.download/clips.zip"]
    assert list(data.parent.rglob("evil*")) == []


# --- what is reported on the way


def test_where_nobody_watches_every_tenth_is_a_line(
    publish, small_ravdess, whole, monkeypatch, caplog, capsys
):
    publish(whole)
    monkeypatch.setenv("SER_HEADLESS", "1")
    monkeypatch.setattr(download, "BLOCK_BYTES", len(whole) // 30)
    with caplog.at_level(logging.INFO, "ser_lib"):
        download_corpus(small_ravdess)
    shares = [int(one) for one in re.findall(r"ravdess: (\d+) % of", caplog.text)]
    assert len(shares) == 10
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert capsys.readouterr().err == ""


def test_where_somebody_watches_there_is_a_bar(publish, small_ravdess, whole, monkeypatch, capsys):
    publish(whole)
    monkeypatch.setattr("ser_lib.runtime.is_headless", lambda: False)
    monkeypatch.setattr(download, "is_headless", lambda: False)
    download_corpus(small_ravdess)
    # Where tests have loaded Jupyter, its own bar is written, to the other stream.
    assert "ravdess (MB)" in "".join(capsys.readouterr())


# --- a commit of a repository


@pytest.fixture
def commit(clips, tmp_path, monkeypatch, small_ravdess, data) -> Repository:
    """RAVDESS's 16 clips as a commit of a repository, which is then changed."""
    served = tmp_path / "served"

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")
        command = ["git", *who, "-C", str(served), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    for name, content in {**{f"clips/{one}": clips[one] for one in clips}, "x": b"no clip"}.items():
        path = served / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    git("init", "--quiet")
    git("config", "uploadpack.allowFilter", "true")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    git("add", ".")
    git("commit", "--quiet", "-m", "as pinned")
    pinned = git("rev-parse", "HEAD")
    git("rm", "--quiet", "-r", "clips")
    git("commit", "--quiet", "-m", "later")
    repository = Repository(f"file://{served}", pinned, 10**6, "a test", folder="clips")
    monkeypatch.setitem(REPOSITORIES, "ravdess", repository)
    return repository


def test_a_pinned_commit_is_fetched_and_only_its_folder(commit, small_ravdess, clips, data):
    assert download_corpus(small_ravdess) == data / "ravdess"
    assert left(data) == sorted(f"ravdess/clips/{name}" for name in clips)
    assert inspect_corpus(small_ravdess).state == "complete"


def test_a_broken_fetch_keeps_what_came_and_goes_on(
    commit, small_ravdess, clips, data, monkeypatch
):
    monkeypatch.setattr(download, "FILES_AT_ONCE", 4)
    asked = []

    def breaking(starts, **options):
        for start in starts:
            if len(asked) == 2:
                raise ConnectionError("cable pulled")
            asked.append(start)
            yield start

    monkeypatch.setattr(download, "progress", breaking)
    with pytest.raises(DownloadError, match="cable pulled"):
        download_corpus(small_ravdess)
    assert not (data / "ravdess").exists()
    asked.clear()
    # Eight of sixteen clips are there: two more requests, and no third one.
    download_corpus(small_ravdess)
    assert asked == [0, 4]
    assert len(left(data)) == len(clips)


@pytest.mark.parametrize("trouble", ["commit", "url", "git"])
def test_a_repository_that_cannot_be_read_says_so(
    commit, small_ravdess, data, monkeypatch, trouble
):
    says = {"commit": "not our ref|cannot be read", "url": "cannot be read", "git": "install git"}
    if trouble == "git":
        monkeypatch.setenv("PATH", "")
    change = {"commit": {"commit": "0" * 39 + "1"}, "url": {"url": "file:///nowhere"}}
    other = replace(commit, **change.get(trouble, {}))
    monkeypatch.setitem(REPOSITORIES, "ravdess", other)
    with pytest.raises(DownloadError, match=says[trouble]):
        download_corpus(small_ravdess)
    assert not (data / "ravdess").exists()


# --- what is pinned, and what to do for the rest


@pytest.mark.parametrize("archive", [one for each in ARCHIVES.values() for one in each])
def test_a_pinned_archive_is_pinned_completely(archive):
    assert re.fullmatch(r"https://[^/ ]+/\S+", archive.url)
    assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", archive.checksum)
    assert archive.n_bytes > 10**6
    assert archive.file_name in archive.url
    assert re.search(r"doi:\S+.*CC", archive.source)


@pytest.mark.parametrize("repository", REPOSITORIES.values(), ids=REPOSITORIES)
def test_a_pinned_commit_is_pinned_completely(repository):
    assert re.fullmatch(r"https://github\.com/\S+/\S+", repository.url)
    assert re.fullmatch(r"[0-9a-f]{40}", repository.commit)
    assert repository.n_bytes > 10**8
    assert repository.url.removeprefix("https://") in repository.source


@pytest.mark.parametrize("corpus", REAL, ids=lambda one: one.name)
def test_every_corpus_can_be_downloaded_or_has_steps(corpus, data):
    assert bool(published_as(corpus.name)) != (corpus.name in STEPS)
    text = steps_for(corpus)
    assert str(data / corpus.name) in text
    assert f"`ser data {corpus.name}`" in text.splitlines()[-1]
    assert [line.split(".")[0].strip() for line in text.splitlines()][:2] == ["1", "2"]
    assert "{" not in text


def test_a_corpus_without_an_archive_is_not_downloaded(small_ravdess, data):
    other = replace(small_ravdess, name="savee")
    with pytest.raises(DownloadError, match="Register at"):
        download_corpus(other)
    assert not data.exists()


def test_a_corpus_that_nobody_wrote_steps_for_has_those_of_its_card(small_ravdess, data):
    other = replace(small_ravdess, name="other", download="a library", example="x1.wav")
    text = steps_for(other)
    for part in ("a library", str(data / "other"), "x1.wav"):
        assert part in text


# --- what is there


def test_a_complete_corpus_is_complete(small_ravdess, make_ravdess, data):
    make_ravdess(data / "ravdess")
    state = inspect_corpus(small_ravdess)
    assert (state.state, state.n_clips, state.n_speakers) == ("complete", 16, 4)
    assert state.sentence() == f"complete, 16 clips of 4 speakers, in {data / 'ravdess'}"


def test_missing_clips_make_it_incomplete(small_ravdess, make_ravdess, data):
    list(make_ravdess(data / "ravdess").values())[3].unlink()
    state = inspect_corpus(small_ravdess)
    assert (state.state, state.n_clips) == ("incomplete", 15)
    first, second = state.sentence().splitlines()
    assert first.startswith("incomplete, 15 of 16 clips ")
    assert second.strip().startswith("1 of 16 ")


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\0" * 5000])
def test_bad_clips_make_it_damaged(small_ravdess, make_ravdess, data, content):
    path = list(make_ravdess(data / "ravdess").values())[3]
    path.write_bytes(content)
    state = inspect_corpus(small_ravdess)
    assert (state.state, state.n_clips) == ("damaged", 15)
    assert path.name in state.sentence()
    assert "move" in state.remedy()


def test_a_foreign_file_beside_all_clips_is_damage(
    small_ravdess, make_ravdess, write_clip, data, tmp_path
):
    make_ravdess(data / "ravdess")
    write_clip(data / "ravdess" / "my song.wav")
    state = inspect_corpus(small_ravdess)
    assert (state.state, state.n_clips) == ("damaged", 16)


def test_only_foreign_files_are_damage(small_ravdess, write_clip, data):
    write_clip(data / "ravdess" / "my song.wav")
    state = inspect_corpus(small_ravdess)
    assert (state.state, state.n_clips) == ("damaged", 0)
    assert "none of 1 " in state.sentence()


@pytest.mark.parametrize("there", ["nothing", "empty", "note"])
def test_no_clips_are_absent(small_ravdess, data, there):
    if there != "nothing":
        (data / "ravdess").mkdir(parents=True)
    if there == "note":
        (data / "ravdess" / "note.txt").write_text("soon")
    state = inspect_corpus(small_ravdess)
    what = "folder" if there == "nothing" else "audio file under"
    assert state.state == "absent"
    assert state.sentence().startswith(f"absent, no {what} {data / 'ravdess'};")
    assert "`ser data ravdess`" in state.sentence()
    assert "(208 MB, Zenodo" in state.sentence()
