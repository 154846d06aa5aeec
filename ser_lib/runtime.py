"""How the package runs here: progress bars, and how many threads work at once."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING, Any, TypeVar

from ser_lib.errors import RunError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


T = TypeVar("T")

SCHEDULER = "SER_SCHEDULER"  # the variable


def scheduler_address() -> str:
    """Return where the scheduler of Dask is whose workers work (`ser_lib.workers`), or ""."""
    return os.environ.get(SCHEDULER, "").strip()


def whole_number(variable: str, default: int) -> int:
    """Read an environment variable that must be a whole number from 1 on; RunError names it."""
    value = os.environ.get(variable, "").strip() or str(default)
    if not (value.isascii() and value.isdecimal() and int(value)):
        raise RunError(f"{variable}='{value}' must be a whole number from 1 on")
    return int(value)


def is_headless() -> bool:
    """Tell whether nobody watches a progress bar."""
    if os.environ.get("SER_HEADLESS") == "1":
        return True
    # Inside Jupyter stderr is no terminal, but the notebook shows the bar.
    return not _is_notebook() and not sys.stderr.isatty()


def _is_notebook() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


@cache
def _bar_class(in_notebook: bool) -> Any:
    # Imported here: a command that shows no bar starts faster.
    from tqdm import tqdm

    class Line(tqdm):
        """One line of text in a notebook, which it still is when the notebook is read again."""

        handle: Any = None

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            from IPython.display import display

            line = {"text/plain": str(self) if msg is None else msg}
            if self.handle is None:
                self.handle = display(line, raw=True, display_id=True)
            elif self.handle:
                self.handle.update(line, raw=True)

    return Line if in_notebook else tqdm


_outer: ContextVar[Any] = ContextVar("outer", default=None)


def progress(items: Iterable[T], *, total: int | None, what: str) -> Generator[T, None, None]:
    """Iterate with a progress bar, unless headless; within another one, as words at its end.

    Where nobody knows how many there are (`total` is None) it says for how long by now.
    """
    if is_headless() or total == 0:
        yield from items
        return
    outer = _outer.get()
    if outer is not None and not outer.disable:
        place, started, left = len(outer.words), time.monotonic(), ""
        try:
            for number, item in enumerate(items, start=1):
                if total and number > 1:
                    left_s = (time.monotonic() - started) / (number - 1) * (total - number + 1)
                    left = f", {left_s / 60:.0f} min left" if left_s > 60 else ""
                outer.words[place:] = [f"{what}: {number} of {total}{left}" if total else what]
                outer.set_postfix_str("; ".join(outer.words))
                yield item
        finally:  # whoever iterates may stop before the end
            del outer.words[place:]
        return
    ways: dict[str, Any] = {} if total else {"bar_format": "{desc}, {elapsed}"}
    if _is_notebook():
        counts = "{l_bar}{bar:10}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
        ways = ways or {"bar_format": counts}
        # A notebook keeps the line; what tqdm itself would write beside it goes nowhere.
        ways |= {"file": StringIO(), "mininterval": 0.5}
    bar = _bar_class(_is_notebook())(total=total, desc=what, leave=_is_notebook(), **ways)
    bar.words = []
    _outer.set(bar)
    try:
        for item in items:
            yield item
            bar.update()
        bar.set_postfix_str("", refresh=False)
    finally:
        _outer.set(None)
        bar.close()


def ending_with_parent() -> dict[str, Any]:
    """Return joblib's options by which workers end soon after the process that started them.

    One that was about to hand over a result would wait for ever: its siblings keep the pipe open.
    """
    return {"initializer": _end_with, "initargs": (os.getpid(),)}


def _end_with(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


try:
    N_ALLOWED = len(os.sched_getaffinity(0))
except AttributeError:  # macOS and Windows do not say which cores a process may use
    N_ALLOWED = os.cpu_count() or 1
N_CORES = min(N_ALLOWED, 4)
"""Cores that are used for a clip, or for clips in parallel; more gain nothing here."""
THREADS: ContextVar[int] = ContextVar("threads", default=1)
"""Threads that an encoder takes for one clip, in this context."""


@cache
def _controller() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep products of small matrices on one thread: more lose time by waiting for each other."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


def release_memory() -> None:
    """Give back to the system what was freed, of which glibc keeps much after large tables."""
    with suppress(OSError, AttributeError, TypeError):  # other C libraries
        ctypes.CDLL(None).malloc_trim(0)


@cache
def second_thread() -> ThreadPoolExecutor:
    """Return a thread for work that goes on next to the main one."""
    return ThreadPoolExecutor(1, thread_name_prefix="second")
