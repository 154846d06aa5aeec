"""Fetch one archive: with its checksum, with a bar, and going on where the last call stopped.

pooch names the file and verifies it; its own downloaders cannot go on with half a file, so the
bytes come through `_download`. What has come lies in a `.part` file beside the target until it is
whole. Locks, disk space and unpacking are the caller's.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pooch

from ser_lib import __version__
from ser_lib.errors import DownloadError
from ser_lib.progress import is_headless, progress

logger = logging.getLogger(__name__)

# One block is one step of the bar, which then counts megabytes.
BLOCK_BYTES = 1_000_000
TIMEOUT_S = 60.0
# How often one call goes on after a broken connection, as long as each time something came.
MAX_TRIES = 5


@dataclass(frozen=True)
class Archive:
    """One file that a corpus is published as."""

    url: str
    checksum: str
    """ "md5:…" or "sha256:…", as pooch reads it."""
    n_bytes: int
    file_name: str
    source: str
    """Who published it, and under which licence."""


def megabytes(n_bytes: int) -> str:
    """Write a size as people read it: 208 MB."""
    return f"{n_bytes / 1e6:,.0f} MB"


def fetch(name: str, archive: Archive, work: Path) -> Path:
    """Fetch an archive of a corpus, unless it lies there already, and verify it.

    Parameters
    ----------
    name : str
        The corpus's, for messages.
    archive : Archive
        What to fetch.
    work : Path
        Folder for the file and, until it is whole, for its `.part`.

    Returns
    -------
    Path
        The file; it has the pinned checksum.

    Raises
    ------
    DownloadError
        If the server cannot be reached, the connection breaks for good (what came is kept), or
        what came is something else (it is deleted).
    """

    def resume(url: str, output_file: str, _pooch: object) -> None:
        part = work / f"{archive.file_name}.part"
        _download(name, archive, part)
        os.replace(part, output_file)

    # Its lines about temporary files say nothing to whoever waits for a corpus.
    pooch.get_logger().setLevel("WARNING")
    logger.info("%s: %s from %s", name, archive.file_name, archive.url)
    try:
        path = pooch.retrieve(
            archive.url,
            known_hash=archive.checksum,
            fname=archive.file_name,
            path=work,
            downloader=resume,
        )
    except ValueError as error:
        raise DownloadError(
            f"{name}: what came from {archive.url} is not the pinned file, and was deleted "
            f"({error}). Run `ser data {name}` again; if that happens twice, the file was changed "
            "by its publisher or on the way: report it."
        ) from error
    return Path(path)


def _download(name: str, archive: Archive, part: Path) -> None:
    """Make a partial download whole, in several requests where connections break."""
    remedy = (
        f"Run `ser data {name}` again: it goes on from there. Or get {archive.url} by other means "
        f"and save it as {part.with_suffix('')}."
    )
    for _ in range(MAX_TRIES):
        before = _size(part)
        if before >= archive.n_bytes:
            break
        try:
            _continue(name, archive, part)
        except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
            raise DownloadError(
                f"{name}: {archive.url} cannot be read: {error}. {megabytes(_size(part))} of "
                f"{megabytes(archive.n_bytes)} are kept. {remedy}"
            ) from error
        if _size(part) <= before:
            break
    if _size(part) < archive.n_bytes:
        raise DownloadError(
            f"{name}: the connection to {archive.url} broke. {_size(part):,} of "
            f"{archive.n_bytes:,} bytes are kept. {remedy}"
        )


def _continue(name: str, archive: Archive, part: Path) -> None:
    """Send one request and append what comes; a broken connection just ends it."""
    with _open(archive.url, _size(part)) as response:
        # 206: only what is missing. 200: all of it, from a server that knows no ranges.
        start = _size(part) if response.status == 206 else 0
        offered = start + int(response.headers.get("Content-Length", archive.n_bytes - start))
        if offered != archive.n_bytes:
            raise DownloadError(
                f"{name}: {archive.url} offers {offered:,} bytes, {archive.n_bytes:,} are pinned: "
                "the file was changed, or something answers in its place. Nothing was downloaded; "
                f"look at {archive.url} in a browser, and report it if the file is new."
            )
        blocks = _report(name, archive, start, _blocks(response, archive.n_bytes - start))
        with part.open("ab" if start else "wb") as file:
            file.writelines(blocks)


def _open(url: str, start: int) -> HTTPResponse:
    """Ask for a file from a byte on; a server that cannot do that is asked for all of it."""
    headers = {"User-Agent": f"ser-lib/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return _open(url, 0)
        raise
    place = response.headers.get("Content-Range", "")
    if start and response.status == 206 and not place.startswith(f"bytes {start}-"):
        response.close()
        return _open(url, 0)
    return response


def _blocks(response: HTTPResponse, n_bytes: int) -> Iterator[bytes]:
    """Read until the end, a broken connection, or as many bytes as there should be."""
    while n_bytes > 0:
        try:
            block = response.read(min(BLOCK_BYTES, n_bytes))
        except (OSError, HTTPException):
            return
        if not block:
            return
        n_bytes -= len(block)
        yield block


def _report(name: str, archive: Archive, done: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass blocks on under a bar; where nobody watches, log a line at every tenth."""
    total = math.ceil((archive.n_bytes - done) / BLOCK_BYTES)
    for block in progress(blocks, total=total, what=f"{name} (MB)"):
        tenths = 10 * done // archive.n_bytes
        done += len(block)
        if is_headless() and 10 * done // archive.n_bytes > tenths:
            size = megabytes(archive.n_bytes)
            logger.info("%s: %.0f %% of %s", name, 100 * done / archive.n_bytes, size)
        yield block


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
