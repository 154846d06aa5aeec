"""Unpack a downloaded archive (zip, or tar with any compression) so that it can do no harm.

Members are files and folders below the target, and nothing else: no absolute path, no `..`, no
drive letter, no link, no device. How many there are, how large they are and how far they were
compressed is limited before anything is written. Where an archive comes from, and what happens
with the files, is not decided here.
"""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ser_lib.errors import DownloadError

# The largest archive that we pin has 1,440 clips; a bomb has millions.
MAX_MEMBERS = 20_000
MAX_UNPACKED_BYTES = 20 * 10**9
# Zip takes speech to a half or a third; a bomb unpacks to a thousand times its size.
MAX_RATIO = 20
DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError, RuntimeError),  # the last two: compression, encryption
)


@dataclass(frozen=True)
class _Member:
    name: str
    n_bytes: int
    kind: str
    """"file", "folder" or "other"."""
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path) -> int:
    """Unpack an archive into a folder, which is made.

    Parameters
    ----------
    archive : Path
        A zip or tar file; which of them is read off its content.
    folder : Path
        Where to. What it holds already is not overwritten. After an error it may hold a part of
        the members: the caller deletes it.

    Returns
    -------
    int
        How many files were written.

    Raises
    ------
    DownloadError
        If the archive is damaged, too large, or has a member that may not be there.
    OSError
        If the disk is full or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    max_bytes = min(MAX_UNPACKED_BYTES, MAX_RATIO * archive.stat().st_size)
    n_files = n_bytes = 0
    try:
        for n_members, member in enumerate(_members(archive), start=1):
            n_bytes += member.n_bytes
            _check_member(archive, member)
            _check_limits(archive, n_members, n_bytes, max_bytes)
            n_files += _write(archive, member, folder)
    except DAMAGED as error:
        raise DownloadError(
            f"{archive.name} cannot be unpacked ({error or type(error).__name__}): it is damaged "
            f"or incomplete. Delete {archive} and get it again."
        ) from error
    except FileExistsError as error:
        raise DownloadError(
            f"{archive.name} has two members of one name ({error.filename}). Nothing was put in "
            f"place. Delete {archive} and get it again."
        ) from error
    return n_files


def _members(archive: Path) -> Iterator[_Member]:
    return _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive)


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            # Zip of DOS has no mode: 0, an ordinary file.
            mode = stat.S_IFMT(info.external_attr >> 16)
            kind = "file" if mode in (0, stat.S_IFREG) else "other"
            if info.is_dir() and mode in (0, stat.S_IFDIR):
                kind = "folder"
            # `filename` is already cut at a null byte and freed of some separators.
            yield _Member(
                info.orig_filename, info.file_size, kind, lambda info=info: opened.open(info)
            )


def _tar_members(archive: Path) -> Iterator[_Member]:
    # As a stream: a list of all members would unpack a bomb only to find out how large it is.
    with tarfile.open(archive, "r|*") as opened:
        for info in opened:
            kind = "file" if info.isfile() else "folder" if info.isdir() else "other"
            yield _Member(info.name, info.size, kind, lambda info=info: opened.extractfile(info))


def _check_member(archive: Path, member: _Member) -> None:
    """Refuse a member that is not a file or folder inside of its folder."""
    is_outside = (
        member.name.startswith("/")
        or ".." in member.name.split("/")
        or re.search(r"^[A-Za-z]:|[\\\0]", member.name) is not None
    )
    wrong = "points outside of its folder" if is_outside else ""
    if member.kind == "other":
        wrong = "is a link or a device"
    if wrong:
        raise DownloadError(
            f"{archive.name}: member {member.name!r} {wrong}; a corpus has no such thing. "
            f"Nothing was put in place. Do not unpack {archive} by hand; tell who published it."
        )


def _check_limits(archive: Path, n_members: int, n_bytes: int, max_bytes: int) -> None:
    wrong = ""
    if n_members > MAX_MEMBERS:
        wrong = f"it has more than {MAX_MEMBERS:,} members"
    elif n_bytes > max_bytes:
        wrong = (
            f"its members have {n_bytes:,} bytes or more, {max_bytes:,} are allowed ({MAX_RATIO} "
            f"times the archive's size, at most {MAX_UNPACKED_BYTES:,})"
        )
    if wrong:
        raise DownloadError(
            f"{archive.name} is no corpus: {wrong}. Nothing was put in place. Delete {archive}."
        )


def _write(archive: Path, member: _Member, folder: Path) -> int:
    """Write one member; return how many files that are: 1, or 0 for a folder."""
    target = folder / member.name
    # What `_check_member` lets through cannot leave; this is the second lock on the same door.
    if not target.resolve().is_relative_to(folder.resolve()):
        raise DownloadError(f"{archive.name}: member {member.name!r} leaves {folder}")
    if member.kind == "folder":
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    # "x": a member that stands in the archive twice is an error, not an overwriting.
    with member.open() as source, target.open("xb") as file:
        shutil.copyfileobj(source, file)
        n_bytes = file.tell()
    if n_bytes != member.n_bytes:
        raise EOFError(f"{member.name} has {n_bytes:,} of {member.n_bytes:,} bytes")
    return 1
