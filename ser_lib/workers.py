"""One function on many tasks: in processes of this machine, or on workers of Dask on many.

`SER_SCHEDULER` (`ser --scheduler`) names a scheduler of Dask; without it joblib works here. Workers
get small tasks and give back small results: arrays lie in the cache, which all of them share. A
task whose worker died or whose scheduler was started again is done once more, by another worker.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from multiprocessing import current_process
from typing import TYPE_CHECKING, Any, TypeVar

from joblib import Parallel, delayed

from ser_lib.errors import RunError, StorageError
from ser_lib.paths import PACKAGE_DIR, atomic_path, cache_dir
from ser_lib.runtime import N_ALLOWED, SCHEDULER, ending_with_parent, scheduler_address
from ser_lib.storage import exists

if TYPE_CHECKING:
    from distributed import Client, Future

logger = logging.getLogger(__name__)

Task = TypeVar("Task")
Result = TypeVar("Result")

# What decides the last digits of a result, and whether two sides understand each other.
PACKAGES = (
    *("distributed", "joblib", "librosa", "numpy", "onnxruntime", "scipy", "soundfile", "soxr"),
    "tensorflow",
)
BLAS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Folders that all hosts share, under the same paths.
SHARED = ("SER_CACHE", "SER_DATA", "SER_REPORTS", "SER_BUNDLES")

CONNECT_S, WORKERS_S = 5, 15
PATIENCE_S = 600
"""How long is waited for a scheduler that is started again."""
POLL_S = 2.0
TASK_S, MAX_TASKS_A_SECOND = 0.5, 100
"""How long what is handed over at once takes at least: of the scheduler and a client together each
takes 4 ms (docs/scale.md)."""


def map_tasks(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    n_jobs: int = -1,
    prefers: str | None = None,
    needs: Iterable[str] = (),
    is_seeded: bool = False,
) -> Iterator[Result]:
    """Yield the function of each task, in the order of the tasks.

    Parameters
    ----------
    function : callable
        Of one task; of a module's top level, or a `functools.partial` of such. What it does twice
        must end as if it was done once.
    tasks : iterable
        Read no further ahead than workers need.
    n_jobs : int
        Processes: -1 takes all cores, 1 this one. A scheduler has its own workers.
    prefers : str, optional
        "threads", where the function releases the interpreter's lock.
    needs : iterable of str
        Some files that the function reads, which workers elsewhere must see if they are here.
    is_seeded : bool
        Whether it draws from generators of the whole process, as Keras does: elsewhere it then has
        a process without Dask's threads, which draw as well, and as many threads as here.

    Raises
    ------
    RunError
        If the scheduler cannot be reached or has no workers, or one of them is of other versions,
        or lacks the shared folders.
    """
    if address := scheduler_address():
        apart = _threads() if is_seeded else {}
        yield from _map_far(function, tasks, address, needs, apart)
    elif n_jobs == 1:
        yield from map(function, tasks)
    else:
        calls = (delayed(function)(task) for task in tasks)
        ways = {"prefer": prefers} if prefers else ending_with_parent()
        yield from Parallel(n_jobs=n_jobs, return_as="generator", **ways)(calls)


@dataclass(frozen=True)
class _Home:
    """What workers must have in common with this process."""

    versions: dict[str, str]
    variables: dict[str, str]
    files: tuple[str, ...]
    """What is there: a file in the cache, and some that are read."""


def _threads() -> dict[str, str]:
    """Return how many threads libraries take here: the last digits of products depend on it."""
    n_threads = os.environ.get("OMP_NUM_THREADS", str(N_ALLOWED))
    return {
        "TF_NUM_INTRAOP_THREADS": os.environ.get("TF_NUM_INTRAOP_THREADS", str(N_ALLOWED)),
        **{one: os.environ.get(one, n_threads) for one in BLAS_VARIABLES},
    }


def _map_far(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    address: str,
    needs: Iterable[str],
    apart: dict[str, str],
) -> Iterator[Result]:
    """Keep some tasks a worker ahead; short ones are handed over several at once."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError
    from distributed.protocol.pickle import dumps

    remaining = iter(tasks)
    waiting: deque[tuple[list[Task], Future]] = deque()
    size = 1
    with _home(needs) as home, _connected(address) as connection:
        call = partial(_do, home, apart)

        def submit(batch: list[Task]) -> Future:
            # As bytes: a worker is looked at before it imports what they need.
            return connection.submit(call, dumps((function, batch)))

        while True:
            n_workers = connection.n_workers
            while len(waiting) < max(16, 4 * n_workers):
                batch = list(islice(remaining, size))
                if not batch:
                    break
                waiting.append((batch, submit(batch)))
            if not waiting:
                return
            batch, future = waiting[0]
            try:
                results, seconds = future.result(timeout=POLL_S)
            except TimeoutError:  # of the wait, or the task's own
                if future.status == "error" and isinstance(future.exception(), TimeoutError):
                    raise
                connection.watch()
            except (CancelledError, CommClosedError):  # the scheduler ended, and knows no task
                connection.renew()
                waiting = deque((one, submit(one)) for one, _ in waiting)
            except KilledWorker as error:
                raise RunError(
                    f"{batch}: each worker that tried this ended ({error.last_worker.address} was "
                    "the last), perhaps for lack of memory"
                ) from error
            except ModuleNotFoundError as error:
                raise RunError(f"a worker of {address} lacks a package: {error}") from error
            else:
                waiting.popleft()
                wanted_s = max(TASK_S, n_workers / MAX_TASKS_A_SECOND)
                size = max(1, min(2 * size, int(len(batch) * wanted_s / max(seconds, 1e-4))))
                yield from results


def _do(home: _Home, apart: dict[str, str], work: bytes) -> tuple[list[Any], float]:
    """Do tasks, in a worker that is as it should be; return the results, and the seconds.

    With variables for it, in a process next to the worker's, which is kept for the next ones.
    """
    from distributed import get_worker

    worker = get_worker()
    name = worker.address
    os.environ.pop(SCHEDULER, None)
    os.environ.update(home.variables)
    if worker.state.nthreads > 1:
        raise RunError(
            f"worker {name} works on {worker.state.nthreads} tasks at once in one process: start "
            "it with --nthreads 1 --nworkers -1"
        )
    ours = versions()
    if differing := [one for one in home.versions if home.versions[one] != ours[one]]:
        which = ", ".join(f"{one} {ours[one]} for {home.versions[one]}" for one in differing)
        raise RunError(
            f"worker {name} has other versions, results would differ: {which}; install the same "
            "on all machines"
        )
    if lacking := [one for one in home.files if not exists(one)]:
        raise RunError(
            f"worker {name} does not see {lacking[0]}: mount the folder there as it is here, or "
            "point SER_CACHE and SER_DATA to folders that all machines share"
        )
    started = time.perf_counter()
    try:
        around = home.variables | apart
        results = _next_to_this(around, work) if apart else _results_of(work)
        return results, time.perf_counter() - started
    except StorageError as error:
        raise StorageError(f"worker {name}: {error}") from error


def _results_of(work: bytes) -> list[Any]:
    from distributed.protocol.pickle import loads

    function, tasks = loads(work)
    return [function(task) for task in tasks]


def _next_to_this(variables: dict[str, str], work: bytes) -> list[Any]:
    from joblib.externals.loky import get_reusable_executor

    # Else this process, which Dask started as a daemon, may start none; the other ends with it.
    current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    pool = get_reusable_executor(1, timeout=600, env=variables, **ending_with_parent())
    try:
        return pool.submit(_results_of, work).result()
    except BrokenExecutor:
        os._exit(1)  # as if it was this one: another worker tries


@cache
def versions() -> dict[str, str]:
    """Return what results depend on: Python, packages, and the text of this one."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE_DIR.rglob("*.py")):
        digest.update(path.read_bytes())
    found = {"python": platform.python_version(), "ser-lib": digest.hexdigest()[:8]}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


@contextmanager
def _home(needs: Iterable[str]) -> Iterator[_Home]:
    """Leave a file in the cache while workers work, by which they know it."""
    mark = cache_dir() / f"workers-{os.getpid()}-{time.time_ns()}.txt"
    with atomic_path(mark) as temporary:
        temporary.write_text("A process with workers of Dask is at work.\n")
    kept = {"SER_CACHE": str(cache_dir())}
    kept |= {one: os.environ[one] for one in SHARED if one in os.environ}
    try:
        yield _Home(versions(), kept, (str(mark), *filter(exists, needs)))
    finally:
        mark.unlink(missing_ok=True)


class _Connection:
    """A client of a scheduler, which finds it again when it was started again."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.client = self._open(CONNECT_S)
        self._count()

    def _open(self, timeout_s: float) -> Client:
        from distributed import Client

        try:
            return Client(self.address, timeout=timeout_s, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise RunError(
                f"no scheduler answers at {self.address} ({error}); start one with `dask "
                "scheduler`, its workers with `dask worker ADDRESS --nthreads 1 --nworkers -1`"
            ) from error

    def _count(self) -> None:
        try:
            self.client.wait_for_workers(1, timeout=WORKERS_S)
        except TimeoutError:
            raise RunError(
                f"no worker is connected to {self.address}; start some with `dask worker "
                f"{self.address} --nthreads 1 --nworkers -1`"
            ) from None
        self.n_workers = self._workers()

    def _workers(self) -> int:
        return len(self.client.scheduler_info(n_workers=-1)["workers"])

    def submit(self, call: Callable[[bytes], Any], work: bytes) -> Future:
        # Under a name of its own: a name that was there is answered from memory.
        return self.client.submit(call, work, pure=False)

    def watch(self) -> None:
        """Notice workers that came or went, and a scheduler that is gone."""
        with suppress(OSError, ValueError, KeyError):
            self.n_workers = self._workers() or self.n_workers

    def renew(self) -> None:
        """Connect again, when the scheduler and a worker are there."""
        logger.warning("%s: the scheduler is gone; waiting for it", self.address)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.close()
            try:
                self.client = self._open(CONNECT_S)
                self._count()
                return
            except RunError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)

    def close(self) -> None:
        with suppress(Exception):
            self.client.close(timeout=1)


@contextmanager
def _connected(address: str) -> Iterator[_Connection]:
    """Give a connection, in whose end Dask has no say: it would list each message that was lost."""
    connection = _Connection(address)
    for name in (one for one in logging.root.manager.loggerDict if one.startswith("distributed")):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield connection
    finally:
        connection.close()
