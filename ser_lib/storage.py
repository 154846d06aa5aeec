"""Files on storage elsewhere, such as s3://bucket/folder, read and written by fsspec.

An address becomes a path by `ser_lib.paths.place`. A recording is fetched whole and decoded here; a
file that a user names is written here and stored when it is whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from ser_lib.errors import OutputError, SerError, StorageError
from ser_lib.paths import atomic_path, cache_dir, is_address, only_writer, place


@contextmanager
def _reached(address: Any) -> Iterator[None]:
    """Turn whatever a kind of storage raises into one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(f"{address}: no such file, folder or bucket") from error
    except ModuleNotFoundError:
        raise
    except Exception as error:  # of as many classes as there are kinds of storage
        raise StorageError(
            f"{address}: the storage refuses or does not answer ({error}); check the address, and "
            "where it is and who you are: for S3 AWS_ENDPOINT_URL, AWS_PROFILE or AWS_ACCESS_KEY_ID"
        ) from error


def reached(name: str | Path) -> Path:
    """Return the path of a name; of an address only if its storage answers."""
    with _reached(name):
        path = place(name)
        if is_address(path):
            path.exists()
    return path


def exists(name: str) -> bool:
    """Whether a file or folder is there, here or on storage."""
    return reached(name).exists()


def state_of(name: str) -> str:
    """Return what changes when a file does; OSError where it is not there."""
    if not is_address(name):
        stat = os.stat(name)
        return f"{stat.st_size} {stat.st_mtime_ns}"
    path: Any = place(name)
    return path.fs.ukey(path.path)


def walk(
    root: Path, *, onerror: Callable[[OSError], object] | None = None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """List folders as `os.walk` does, of an address as well; through links, each folder once."""
    if is_address(root):
        with _reached(root):
            yield from cast(Any, root).walk()
        return
    seen: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=onerror):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        yield Path(folder), subfolders, names


@contextmanager
def fetched(name: str | Path) -> Iterator[Path]:
    """Give a file here: that of an address for as long as the block, others as they are.

    A file that is not there is no error of the storage: the block meets it.
    """
    if not is_address(name):
        yield Path(name)
        return
    path: Any = place(name)
    with tempfile.TemporaryDirectory(prefix="ser-") as folder:
        copy = Path(folder) / path.name
        with _reached(name):
            try:
                path.fs.get_file(path.path, str(copy))
            except FileNotFoundError:
                copy.unlink(missing_ok=True)
        yield copy


@contextmanager
def stored(out: Path | None) -> Iterator[Path | None]:
    """Give a file here for what a user named; that of an address is stored after the block.

    What was stored before is fetched, to be continued or refused. When the work is stopped, its
    file stays in the cache, and the same command goes on with it.
    """
    if out is None or not is_address(out):
        yield out
        return
    path: Any = out
    digest = hashlib.sha256(str(out).encode()).hexdigest()[:24]
    copy = cache_dir() / "outputs" / digest / out.name
    # What is stored there when the work begins: it may have been changed when a job goes on.
    mark = copy.parent.with_suffix(".stored")
    is_left = False
    try:
        with only_writer(copy.parent):
            with _reached(out):
                # Before any work: may it be written?
                probe: Any = out.with_name(f".{out.name}.ser-{os.getpid()}")
                probe.fs.pipe_file(probe.path, b"")
                probe.fs.rm_file(probe.path)
                stored_state = path.fs.ukey(path.path) if path.exists() else ""
                is_left = copy.exists()
                if not is_left:
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    mark.write_text(stored_state)
                    if stored_state:
                        with atomic_path(copy) as temporary:
                            path.fs.get_file(path.path, str(temporary))
            if is_left and mark.read_text() != stored_state:
                raise OutputError(
                    f"{out}: has been stored by another job since the one began that was stopped, "
                    f"whose work is in {copy}; name another file, or delete that one"
                )
            before = copy.stat().st_mtime_ns if copy.exists() else 0
            try:
                yield copy
            except SerError:
                if not is_left and (not copy.exists() or copy.stat().st_mtime_ns == before):
                    shutil.rmtree(copy.parent)
                    mark.unlink()
                raise
            with _reached(out):
                if copy.exists():
                    path.fs.put_file(str(copy), path.path)
            shutil.rmtree(copy.parent)
            mark.unlink()
    except SerError as error:
        if is_left:  # its name in the cache says what is meant
            raise
        said = str(error).replace(str(copy), str(out)).replace(str(copy.parent), str(out))
        raise type(error)(said) from error
