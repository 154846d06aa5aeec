"""Progress on long work: a bar where somebody watches, nothing where a notebook runs headless.

`SER_HEADLESS=1`, which the report sets, or an output that is no terminal, silences bars: they
would litter logs and executed notebooks. The caller prints its own plain lines there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm.auto import tqdm

__all__ = ["is_headless", "progress"]

T = TypeVar("T")


def is_headless() -> bool:
    """Tell whether nobody is there to watch a bar."""
    if os.environ.get("SER_HEADLESS") == "1":
        return True
    # Inside Jupyter stderr is no terminal, but the notebook shows the bar.
    return not _is_notebook() and not sys.stderr.isatty()


def _is_notebook() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def progress(items: Iterable[T], *, total: int, what: str) -> Iterator[T]:
    """Iterate with a progress bar, unless headless.

    Parameters
    ----------
    items : iterable
        What is worked through.
    total : int
        How many there are.
    what : str
        Shown before the bar.

    Yields
    ------
    object
        The items, unchanged.
    """
    yield from tqdm(items, total=total, desc=what, disable=is_headless(), leave=False)
