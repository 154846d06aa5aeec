"""Work on very many clips in chunks, which lie in the cache until the work is done.

A chunk is an NPZ file, whose checksums tell whether it is whole: work that was stopped goes on with
the chunks that lack or are damaged. Memory holds a chunk a process, whatever the number of clips.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from ser_lib.paths import atomic_path
from ser_lib.runtime import progress, release_memory
from ser_lib.workers import map_tasks

if TYPE_CHECKING:
    import pandas as pd

Arrays = dict[str, np.ndarray]

# Starting workers takes seconds: so few clips need none.
FEW_CLIPS = 32


class InChunks(Sequence[list[Any]]):
    """Clips, or the rows of a table about them, divided; a chunk is made when it is asked for.

    So many that cores end together, none too large for memory.
    """

    def __init__(self, clips: Sequence[Any] | pd.DataFrame) -> None:
        self.clips = clips
        self.size = min(64, max(8, len(clips) // 256))

    def __len__(self) -> int:
        return -(-len(self.clips) // self.size)

    def __getitem__(self, number: Any) -> Any:
        if number >= len(self):
            raise IndexError(number)
        part = slice(number * self.size, (number + 1) * self.size)
        if isinstance(self.clips, Sequence):
            return list(self.clips[part])
        return list(self.clips.iloc[part].itertuples(index=False, name=None))


@dataclass(frozen=True)
class Chunks:
    """What a function makes of the clips of each chunk, one after the other as often as asked."""

    folder: Path
    """Of nothing else: its name has a key of all that decides the result."""
    chunks: Sequence[Sequence[Any]]
    """The clips of each, from `InChunks`."""
    function: Callable[[Any], Arrays]
    """As of `map_tasks`, as is the next."""
    prefers: str | None = None
    needs: Sequence[str] = ()

    def make(self, *, what: str, n_jobs: int = -1) -> None:
        """Make what is not there, or damaged; `what` stands at the progress bar."""
        n_clips = sum(map(len, self.chunks))
        release_memory()
        made = map_tasks(
            partial(_make, self.folder, self.function),
            enumerate(self.chunks),
            n_jobs=1 if n_clips < FEW_CLIPS else n_jobs,
            prefers=self.prefers,
            needs=self.needs,
        )
        clips = (clip for chunk, _ in zip(self.chunks, made, strict=True) for clip in chunk)
        for _ in progress(clips, total=n_clips, what=what):
            pass

    def __iter__(self) -> Iterator[Arrays]:
        for task in enumerate(self.chunks):
            arrays = _read(self.folder, task[0])
            if arrays is None:  # damaged since it was made
                _make(self.folder, self.function, task)
                arrays = _read(self.folder, task[0])
            if arrays is None:
                raise OSError(f"{self.folder}: what is written there cannot be read again")
            yield arrays

    def delete(self) -> None:
        """Delete the files of all chunks."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read(folder: Path, number: int) -> Arrays | None:
    """Read a chunk; None where it is not there, or not whole."""
    try:
        # NumPy leaves a file open that is no archive.
        with (folder / f"{number:06d}.npz").open("rb") as file, np.load(file) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        return None


def _make(folder: Path, function: Callable[[Any], Arrays], task: tuple[int, Any]) -> None:
    number, clips = task
    if _read(folder, number) is None:
        arrays: dict[str, Any] = function(clips)
        with atomic_path(folder / f"{number:06d}.npz") as temporary:
            np.savez(temporary, **arrays)
