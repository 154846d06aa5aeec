"""How many cores work on one clip: all of them, or one where clips run side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = ["N_CORES", "THREADS", "one_blas_thread", "second_thread"]

try:
    _N_ALLOWED = len(os.sched_getaffinity(0))
except AttributeError:  # macOS and Windows do not say which cores a process may use
    _N_ALLOWED = os.cpu_count() or 1

N_CORES = min(_N_ALLOWED, 4)
"""Cores that are used for a clip, or for clips side by side; more gain nothing here."""

THREADS: ContextVar[int] = ContextVar("threads", default=1)
"""Threads that an encoder takes for one clip, in this context."""


@cache
def _controller() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep products of small matrices on one thread: they lose more by waiting than they gain."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def second_thread() -> ThreadPoolExecutor:
    """Return a thread for what can be done beside the main work."""
    return ThreadPoolExecutor(1, thread_name_prefix="beside")
