"""Run notebooks headless, each in a kernel of this interpreter, side by side.

A notebook that fails, dies or runs out of time leaves an executed copy that holds the error;
nothing is raised for it. What is made of the copies lives in `build` and `html`.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from copy import deepcopy
from dataclasses import dataclass
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import nbformat
import papermill
import zmq
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellTimeoutError
from nbformat import NotebookNode
from papermill.engines import NBClientEngine, papermill_engines
from papermill.execute import remove_error_markers

from ser_lib.errors import ReportError
from ser_lib.paths import cache_dir, data_dir, reports_dir
from ser_lib.report.html import Failure, error_outputs, first_line, tags_of
from ser_lib.runtime import whole_number

# A fold of the largest model takes minutes on two cores; three hours mean that something hangs.
DEFAULT_CELL_TIMEOUT_S = 3 * 3600
# Papermill fails a cell whose outputs are this late after its end; by default 4 s, which a paused
# or crowded machine exceeds.
OUTPUT_TIMEOUT_S = 600

# With FRESH=1 runs older than this are trained again, and each only once in a report.
STARTED = time.time()


@dataclass(frozen=True)
class Job:
    """One notebook to run."""

    name: str
    source: NotebookNode
    parameters: Mapping[str, object]
    folder: Path
    """The working folder of its kernel, as in JupyterLab."""
    target: Path
    weight: float = 0.0
    """Its share of the time, with what waits for it: the heaviest that may start is the first."""


# As many notebooks as run side by side by default share the cores: threads that wait for each other
# across processes cost more than they bring.
N_SIDE_BY_SIDE = 2


def kernel_environment() -> dict[str, str]:
    """Return what the environment of a kernel has beyond that of this process."""
    n_threads = str(max(1, (os.cpu_count() or 1) // N_SIDE_BY_SIDE))
    return {
        "TF_NUM_INTRAOP_THREADS": n_threads,
        "OMP_NUM_THREADS": n_threads,
        "SER_HEADLESS": "1",
        "SER_FRESH_SINCE": str(STARTED),
        # A kernel works in the notebooks' folder: relative folders would mean others there.
        "SER_DATA": str(data_dir()),
        "SER_CACHE": str(cache_dir()),
        "SER_REPORTS": str(reports_dir()),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONHASHSEED": "0",
        "JUPYTER_PLATFORM_DIRS": "1",
        # Start-up files in the user's profile would run in front of every notebook.
        "IPYTHONDIR": str(cache_dir() / "ipython"),
        # Where it is set, modules next to the notebooks are not found before the user's own.
        "PYTHONSAFEPATH": "",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


# Kernels run in sessions of their own: an interrupt from the keyboard does not reach them.
_LIVE_KERNELS: weakref.WeakSet[AsyncKernelManager] = weakref.WeakSet()


class _KernelServer:
    """The process of `kernel_server`, which forks kernels that have imported these modules."""

    running: _KernelServer | None = None

    def __init__(self, modules: Iterable[str], folder: Path) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.kernel_server", *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            env=os.environ | kernel_environment(),
            start_new_session=True,
        )

    def fork(self, connection_file: str, folder: str) -> _ForkedKernel:
        """Fork a kernel; the first waits until the modules are imported."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        with self._lock:
            with suppress(BrokenPipeError):
                print(json.dumps([connection_file, folder]), file=requests, flush=True)
            answer = answers.readline()
        if not answer:
            raise ReportError("the process that starts kernels has ended, perhaps out of memory")
        return _ForkedKernel(int(answer))

    def __enter__(self) -> None:
        _KernelServer.running = self

    def __exit__(self, *error: object) -> None:
        _KernelServer.running = None
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class _ForkedKernel:
    """As much of `subprocess.Popen` as a provisioner needs, for a process that is no child."""

    pid: int
    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self) -> int:
        return 0


class _ForkingProvisioner(LocalProvisioner):
    """Asks the kernel server for a process instead of starting one."""

    async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
        assert _KernelServer.running is not None
        self.cwd = options["cwd"]
        kernel = _KernelServer.running.fork(cmd[cmd.index("-f") + 1], str(self.cwd))
        self.process = cast(Any, kernel)
        self.pid = self.pgid = kernel.pid
        return self.connection_info


class _OwnKernelManager(AsyncKernelManager):
    """Starts this interpreter, not whichever one a kernelspec of the machine names."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        if self.has_trait("transport_encryption") and zmq.has("curve"):
            # Newer kernels warn on stderr that they talk in the clear, though only to this machine.
            self.transport_encryption = "auto"
        _LIVE_KERNELS.add(self)

    async def _async_start_kernel(self, **options: object) -> None:
        if _KernelServer.running:
            named = {"kernel_id": self.kernel_id, "kernel_spec": self.kernel_spec}
            self.provisioner = _ForkingProvisioner(**named, parent=self)
        # Errors of cells travel as messages; what a dying kernel writes is noise.
        await super()._async_start_kernel(stderr=subprocess.DEVNULL, **options)

    start_kernel = _async_start_kernel

    @property
    def kernel_spec(self) -> KernelSpec:
        """Return a spec that needs no file: nothing has to be installed for the user."""
        from ipykernel.kernelspec import get_kernel_dict

        return KernelSpec(**get_kernel_dict(), env=kernel_environment())


class _SavedOnce(NBClientEngine):
    """Papermill's own engine, but a notebook is written when it has ended, not with each cell."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, *given: Any, **options: Any) -> None:
        target, nb_man.output_path = nb_man.output_path, None
        try:
            super().execute_managed_notebook(nb_man, *given, **options)
        finally:
            nb_man.output_path = target


papermill_engines.register("saved-once", _SavedOnce)


def check_kernel() -> None:
    """Raise where this interpreter cannot start a kernel, or a setting of one is no number."""
    whole_number("SER_CELL_TIMEOUT_S", DEFAULT_CELL_TIMEOUT_S)
    whole_number("SER_JOBS", 1)
    if find_spec("ipykernel_launcher") is None:
        raise ReportError(
            f"{sys.executable} cannot start a notebook kernel: ipykernel is not installed in it. "
            "Run `make report`, or `pip install ipykernel` in that environment."
        )


def run_all(
    jobs: Mapping[str, Job], order: TopologicalSorter[str], n_jobs: int
) -> dict[str, float]:
    """Run the notebooks, `n_jobs` side by side, each after those that it needs."""
    shared = _shared_imports(jobs.values())
    # A fork needs a system that has it, and pays where several kernels import the same.
    if shared and hasattr(os, "fork"):
        with _KernelServer(shared, next(iter(jobs.values())).folder):
            return _run_in_order(jobs, order, n_jobs)
    return _run_in_order(jobs, order, n_jobs)


def _shared_imports(jobs: Iterable[Job]) -> list[str]:
    """Return the modules that two notebooks or more import."""
    counts: Counter[str] = Counter()
    for job in jobs:
        found: dict[str, None] = {}
        for cell in job.source.cells:
            try:
                nodes = list(ast.walk(ast.parse(cell.source))) if cell.cell_type == "code" else []
            except SyntaxError:  # IPython's own, such as magics
                continue
            for node in nodes:
                # Whether `from a import b` names a module or not, shows when it is imported.
                prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                if isinstance(node, ast.Import | ast.ImportFrom):
                    found |= dict.fromkeys(prefix + one.name for one in node.names)
        counts.update(list(found))
    shared = [name for name, n in counts.items() if n > 1]
    # What the library imports when it is first used.
    later = (
        ["sklearn.model_selection", "numba"]
        if any(one.startswith("ser_lib") for one in shared)
        else []
    )
    return shared + later


def _run_in_order(
    jobs: Mapping[str, Job], order: TopologicalSorter[str], n_jobs: int
) -> dict[str, float]:
    durations_s: dict[str, float] = {}
    waiting: list[str] = []
    running: dict[Future[tuple[float, bool]], str] = {}
    width = max(map(len, jobs)) + 2
    with ThreadPoolExecutor(n_jobs) as pool:
        try:
            while order.is_active():
                waiting += order.get_ready()
                # Long ones first: else the last one runs alone while the other cores wait.
                waiting.sort(key=lambda one: (-jobs[one].weight, one))
                while waiting and len(running) < n_jobs:
                    name = waiting.pop(0)
                    running[pool.submit(_run_one, jobs[name])] = name
                if sys.stdout.isatty():
                    # The next line overwrites this one.
                    print(f"  running: {', '.join(running.values())}", end="\r\x1b[K", flush=True)
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    name = running.pop(future)
                    durations_s[name], is_ok = future.result()
                    order.done(name)
                    verdict = "ok" if is_ok else "FAILED"
                    print(f"  {name:<{width}}{verdict:<6}{durations_s[name]:>9.1f} s", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # Also those that are only just being started.
            while not all(future.done() for future in running):
                for manager in list(_LIVE_KERNELS):
                    if process := getattr(manager.provisioner, "process", None):
                        process.kill()
                time.sleep(0.05)
            raise
    return durations_s


def _run_one(job: Job) -> tuple[float, bool]:
    """Execute a notebook; however it ends, its copy is stored and holds the error, if any."""
    started = time.perf_counter()
    job.target.unlink(missing_ok=True)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Jupyter's client would leave the event loop of this thread open.
        with closing(ensure_event_loop()):
            papermill.execute_notebook(
                deepcopy(job.source),
                # Papermill takes a path for a format string.
                str(job.target).replace("{", "{{").replace("}", "}}"),
                dict(job.parameters),
                kernel_name="python3",
                language="python",
                engine_name="saved-once",
                kernel_manager_class=_OwnKernelManager,
                progress_bar=False,
                log_output=False,
                iopub_timeout=OUTPUT_TIMEOUT_S,
                execution_timeout=whole_number("SER_CELL_TIMEOUT_S", DEFAULT_CELL_TIMEOUT_S),
                # Papermill's own `cwd` changes the folder of this whole process, all threads of it.
                resources={"metadata": {"path": str(job.folder)}},
            )
    except Exception as error:  # a dead kernel, a timeout or a failed cell: each is a finding
        _store_breakdown(job, error)
    is_ok = not failures_of(job.name, read_executed(job))
    return time.perf_counter() - started, is_ok


def _store_breakdown(job: Job, error: Exception) -> None:
    """Write an error that left no output of its own into the cell that was running."""
    notebook = read_executed(job) if job.target.is_file() else deepcopy(job.source)
    is_timeout = isinstance(error, CellTimeoutError)
    if failures_of(job.name, notebook) and not is_timeout:
        return
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not cells:
        notebook.cells += (cells := [nbformat.v4.new_code_cell()])
    started = [cell for cell in cells if cell.metadata.get("papermill", {}).get("start_time")]
    cell = (started or cells[:1])[-1]
    # A cell that runs out of time is interrupted; where it was then, is worth keeping.
    interrupted = error_outputs(cell) if is_timeout else []
    cell.outputs = [one for one in cell.outputs if one not in interrupted]
    cell.outputs.append(
        nbformat.v4.new_output(
            "error",
            ename=type(error).__name__,
            evalue=first_line(str(error)) or "no message",
            traceback=[line for one in interrupted for line in one.traceback],
        )
    )
    nbformat.write(notebook, job.target)


def read_executed(job: Job) -> NotebookNode:
    """Read an executed copy, without the red notes that Papermill adds about errors."""
    return remove_error_markers(nbformat.read(job.target, as_version=4))


def failures_of(name: str, notebook: NotebookNode) -> list[Failure]:
    """Return all errors in a notebook's outputs, also those of cells that may raise."""
    found, number = [], 0
    for cell in notebook.cells:
        # The number is the [n] that JupyterLab shows after running all cells of the source.
        number += cell.cell_type == "code" and "injected-parameters" not in tags_of(cell)
        line = first_line(cell.source)
        found += [Failure(name, number, line, e.ename, e.evalue) for e in error_outputs(cell)]
    return found
