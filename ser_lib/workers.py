"""One function on many tasks, in whatever processes there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from joblib import Parallel, delayed

from ser_lib.runtime import ending_with_parent

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_tasks(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    n_jobs: int = -1,
    prefers: str | None = None,
) -> Iterator[Result]:
    """Yield the function of each task, in the order of the tasks.

    Parameters
    ----------
    function : callable
        Of one task; of a module's top level, or a `functools.partial` of such.
    tasks : iterable
        Read no further ahead than workers need.
    n_jobs : int
        Processes: -1 takes all cores, 1 this one.
    prefers : str, optional
        "threads", where the function releases the interpreter's lock.
    """
    if n_jobs == 1:
        yield from map(function, tasks)
        return
    calls = (delayed(function)(task) for task in tasks)
    ways = {"prefer": prefers} if prefers else ending_with_parent()
    yield from Parallel(n_jobs=n_jobs, return_as="generator", **ways)(calls)
