"""Rows that a network reads: which of which array, gathered when they are needed.

The arrays may lie on the disk (memory-mapped); a clip's variants stand in one array each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Rows"]


@dataclass(frozen=True)
class Rows:
    """Rows that are gathered when they are needed, from one array a variant."""

    sources: tuple[np.ndarray, ...]
    """Arrays of shape (n_clips, ...), in memory or memory-mapped."""
    source: np.ndarray
    """Which array each row is in, shape (n_rows,)."""
    position: np.ndarray
    """Where in that array, shape (n_rows,); rows of one clip have the same."""

    @classmethod
    def of(cls, array: np.ndarray) -> Rows:
        """Wrap an array whose rows are all wanted, in order."""
        return cls((array,), np.zeros(len(array), int), np.arange(len(array)))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.position)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return what the gathered array would have."""
        return (len(self), *self.sources[0].shape[1:])

    def joined(self, other: Rows) -> Rows:
        """Return these rows and then the other ones."""
        sources = zip(self.sources, other.sources, strict=False)
        if len(self.sources) != len(other.sources) or any(a is not b for a, b in sources):
            return Rows.of(np.concatenate([self.gather(), other.gather()]))
        return Rows(
            self.sources,
            np.concatenate([self.source, other.source]),
            np.concatenate([self.position, other.position]),
        )

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """Gather some rows into a new array, one copy an array that they come from."""
        source, position = self.source[rows], self.position[rows]
        if len(self.sources) == 1:
            return self.sources[0][position]
        gathered = np.empty((len(position), *self.shape[1:]), dtype=self.sources[0].dtype)
        for number in np.unique(source):
            chosen = source == number
            gathered[chosen] = self.sources[number][position[chosen]]
        return gathered

    def gather(self) -> np.ndarray:
        """Gather all rows."""
        return self.take(slice(None))
