"""Locks between processes: a file that one of them holds, and the system takes back if it dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["file_lock"]

WAIT_S = 0.2


@contextmanager
def file_lock(path: Path, *, is_waiting: bool = True) -> Iterator[None]:
    """Hold a lock while the block runs.

    Parameters
    ----------
    path : Path
        The file that stands for what is locked. It is made, and stays: deleting it would let a
        third process lock another file of this name.
    is_waiting : bool
        Whether to wait until another process gives it back; else the error comes at once.

    Raises
    ------
    BlockingIOError, PermissionError
        If another process holds it and nobody waits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        while True:
            try:
                _lock(file.fileno())
                break
            except (BlockingIOError, PermissionError):
                if not is_waiting:
                    raise
                time.sleep(WAIT_S)
        yield


def _lock(descriptor: int) -> None:
    """Lock an open file, or raise at once; closing it gives it back."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
