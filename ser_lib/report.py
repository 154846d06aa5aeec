"""From notebooks to one HTML file: run each headless, keep what it made, render the report.

A notebook runs in a kernel of this interpreter, whatever kernels the machine knows; those that
another one needs run before it, the others side by side. A notebook that fails stops only itself:
the report is written all the same, shows the error where it happened, and the result lists it.
How the page looks lives in `ser_lib.render` and `report_theme/`.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import os
import subprocess
import sys
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import nbformat
import papermill
import yaml
import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellTimeoutError
from nbformat import NotebookNode
from papermill.execute import remove_error_markers

from ser_lib.corpora import Corpus, get_corpus, load
from ser_lib.errors import ReportError, SerError, offenders
from ser_lib.paths import NOTEBOOKS_DIR, atomic_path, report_dir
from ser_lib.render import (
    RESULTS_MIME,
    Failure,
    ReportFacts,
    error_outputs,
    first_line,
    render_report,
    tags_of,
)
from ser_lib.runs import provenance

__all__ = ["Failure", "ReportResult", "build_report", "kernel_environment"]

# A fold of the largest model takes minutes on two cores; three hours mean that something hangs.
DEFAULT_CELL_TIMEOUT_S = 3 * 3600

# The one way to write a default that nobody can change (a dict would be shared by all calls).
NO_PARAMETERS: Mapping[str, object] = MappingProxyType({})

# Handed to each notebook that declares them; they may be declared by none.
STANDING_PARAMETERS = ("corpus", "profile")


@dataclass(frozen=True)
class _Job:
    """One notebook to run."""

    name: str
    source: NotebookNode
    parameters: Mapping[str, object]
    folder: Path
    """The working folder of its kernel, as in JupyterLab."""
    target: Path


@dataclass(frozen=True)
class ReportResult:
    """What `build_report` made."""

    path: Path
    results_path: Path | None
    """Where the published records went; None where no notebook published any."""
    failures: tuple[Failure, ...]
    durations_s: Mapping[str, float]
    """Wall time by notebook."""

    @property
    def is_complete(self) -> bool:
        """Whether every notebook ran to its end."""
        return not self.failures


def build_report(
    corpus: str,
    *,
    profile: str | None = None,
    notebooks_dir: Path = NOTEBOOKS_DIR,
    n_jobs: int = 2,
    parameters: Mapping[str, object] = NO_PARAMETERS,
) -> ReportResult:
    """Run all notebooks on a corpus and write `reports/<corpus>/report.html`.

    Parameters
    ----------
    corpus : str
        A key of `ser_lib.corpora.CORPORA`.
    profile : str, optional
        Which file of `params/` sets the parameters; None takes `quick` for an embedded corpus and
        `full` for any other.
    notebooks_dir : Path
        Folder of the numbered notebooks (`01_eda.ipynb`) and of `params/`.
    n_jobs : int
        How many notebooks run side by side.
    parameters : mapping
        Overrides, by name; they win over the profile.

    Returns
    -------
    ReportResult
        Also where notebooks failed: see `failures`.

    Raises
    ------
    CorpusError
        If the corpus is unknown.
    ReportError
        If there are no notebooks, a parameter is declared by none of them, they need each other
        in a circle, or no kernel can be started by this interpreter.
    """
    card = get_corpus(corpus)
    profile = profile or ("quick" if card.is_embedded else "full")
    sources = _read_notebooks(notebooks_dir)
    chosen = _read_profile(notebooks_dir, profile) | dict(parameters)
    routed = _route_parameters(sources, chosen, {"corpus": corpus, "profile": profile})
    order = _order_of(sources)
    _check_kernel()
    print(f"{card.title}: {len(sources)} notebooks, profile '{profile}'", flush=True)
    folder = report_dir(corpus)
    jobs = {
        name: _Job(name, source, routed[name], notebooks_dir, folder / "executed" / f"{name}.ipynb")
        for name, source in sources.items()
    }
    durations_s = _run_all(jobs, order, n_jobs)
    return _finish(card, profile, chosen, jobs, durations_s)


def _finish(
    card: Corpus,
    profile: str,
    parameters: Mapping[str, object],
    jobs: Mapping[str, _Job],
    durations_s: Mapping[str, float],
) -> ReportResult:
    """Write results and page from the executed notebooks; neither is ever half-written."""
    executed = {name: _read_executed(job) for name, job in jobs.items()}
    failures = tuple(failure for name, one in executed.items() for failure in _failures(name, one))
    records = _published_records(executed)
    facts = ReportFacts(
        corpus=card.name,
        title=card.title,
        is_embedded=card.is_embedded,
        profile=profile,
        parameters=parameters,
        records=records,
        failures=failures,
        durations_s={name: durations_s[name] for name in jobs},
        provenance={**provenance(), "corpus_fingerprint": _fingerprint(card.name)},
    )
    page = render_report(executed, facts)
    target = report_dir(card.name) / "report.html"
    with atomic_path(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    results_path = _write_results(card.name, records) if records else None
    return ReportResult(target, results_path, failures, MappingProxyType(dict(facts.durations_s)))


def _read_notebooks(folder: Path) -> dict[str, NotebookNode]:
    """Read the numbered notebooks, in order; `explore.ipynb` and the like stay out."""
    found = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise ReportError(f"no numbered notebooks (01_….ipynb) under {folder}")
    return {path.stem: _read_notebook(path) for path in found}


def _read_notebook(path: Path) -> NotebookNode:
    try:
        with warnings.catch_warnings():
            # Old notebooks without cell ids are given some; that is no concern of a reader.
            warnings.simplefilter("ignore", nbformat.warnings.MissingIDFieldWarning)
            notebook = nbformat.read(path, as_version=4)
            nbformat.validate(notebook)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise ReportError(
            f"{path} is no readable notebook: {first_line(str(error))}; "
            "save it again in JupyterLab or take it from git"
        ) from error
    return notebook


def _read_profile(notebooks_dir: Path, profile: str) -> dict[str, object]:
    """Read `params/<profile>.yml`, a flat mapping from name to value."""
    path = notebooks_dir / "params" / f"{profile}.yml"
    if not path.is_file():
        known = ", ".join(sorted(one.stem for one in path.parent.glob("*.yml"))) or "none"
        raise ReportError(f"unknown profile '{profile}': {path} is missing; known are {known}")
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ReportError(f"{path} must map names to values, one `name: value` a line")
    return content


def _declared_names(name: str, notebook: NotebookNode) -> set[str]:
    """Return the names that a notebook's `parameters` cell assigns."""
    names: set[str] = set()
    for cell in notebook.cells:
        if cell.cell_type != "code" or "parameters" not in tags_of(cell):
            continue
        try:
            statements = ast.parse(cell.source).body
        except SyntaxError as error:
            raise ReportError(
                f"{name}: the `parameters` cell is not Python (line {error.lineno}: {error.msg})"
            ) from error
        for one in statements:
            targets = one.targets if isinstance(one, ast.Assign) else [getattr(one, "target", None)]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return names


def _route_parameters(
    notebooks: Mapping[str, NotebookNode],
    chosen: Mapping[str, object],
    standing: Mapping[str, object],
) -> dict[str, dict[str, object]]:
    """Give each notebook the parameters that it declares; one that none declares is an error."""
    declared = {name: _declared_names(name, one) for name, one in notebooks.items()}
    unknown = sorted(set(chosen) - set().union(*declared.values()) - set(STANDING_PARAMETERS))
    if unknown:
        raise ReportError(
            f"{len(unknown)} parameter(s) that no notebook declares:{offenders(unknown)}\n"
            f"Known are {', '.join(sorted(set().union(*declared.values())))}."
        )
    # The standing ones come first and have the last word.
    values = {**standing, **chosen, **standing}
    return {
        name: {key: value for key, value in values.items() if key in names}
        for name, names in declared.items()
    }


def _order_of(notebooks: Mapping[str, NotebookNode]) -> TopologicalSorter[str]:
    """Return who runs before whom, from each notebook's metadata `ser.needs`."""
    needs = {
        name: tuple(one.metadata.get("ser", {}).get("needs", ())) for name, one in notebooks.items()
    }
    missing = sorted(
        f"{name} needs {one}"
        for name, all_of in needs.items()
        for one in all_of
        if one not in notebooks
    )
    if missing:
        raise ReportError(f"a notebook needs one that is not there:{offenders(missing)}")
    order = TopologicalSorter(needs)
    try:
        order.prepare()
    except CycleError as error:
        raise ReportError(f"notebooks need each other: {' > '.join(error.args[1])}") from error
    return order


def kernel_environment() -> dict[str, str]:
    """Return what the environment of a kernel has beyond that of this process."""
    return {
        "SER_HEADLESS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONHASHSEED": "0",
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


# Kernels run in sessions of their own: an interrupt from the keyboard does not reach them.
_LIVE_KERNELS: weakref.WeakSet[AsyncKernelManager] = weakref.WeakSet()


class _OwnKernelManager(AsyncKernelManager):
    """Starts this interpreter, not whichever one a kernelspec of the machine names."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        if self.has_trait("transport_encryption") and zmq.has("curve"):
            # Newer kernels warn on stderr that they talk in the clear, though only to this machine.
            self.transport_encryption = "auto"
        _LIVE_KERNELS.add(self)

    async def _async_start_kernel(self, **options: object) -> None:
        # What a kernel writes while it dies concerns nobody; cells' errors travel as messages.
        await super()._async_start_kernel(stderr=subprocess.DEVNULL, **options)

    start_kernel = _async_start_kernel

    @property
    def kernel_spec(self) -> KernelSpec:
        """Return a spec that needs no file: nothing has to be installed for the user."""
        from ipykernel.kernelspec import get_kernel_dict

        return KernelSpec(**get_kernel_dict(), env=kernel_environment())


def _check_kernel() -> None:
    if find_spec("ipykernel_launcher") is None:
        raise ReportError(
            f"{sys.executable} cannot start a notebook kernel: ipykernel is not installed in it. "
            "Run `make report`, or `pip install ipykernel` in that environment."
        )


def _run_all(
    jobs: Mapping[str, _Job], order: TopologicalSorter[str], n_jobs: int
) -> dict[str, float]:
    """Run the notebooks, `n_jobs` side by side, each after those that it needs."""
    durations_s: dict[str, float] = {}
    running: dict[Future[tuple[float, bool]], str] = {}
    width = max(map(len, jobs)) + 2
    with ThreadPoolExecutor(n_jobs) as pool:
        try:
            while order.is_active():
                for name in order.get_ready():
                    running[pool.submit(_run_one, jobs[name])] = name
                _show_running(list(running.values())[:n_jobs])
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    name = running.pop(future)
                    durations_s[name], is_ok = future.result()
                    order.done(name)
                    verdict = "ok" if is_ok else "FAILED"
                    print(f"  {name:<{width}}{verdict:<6}{durations_s[name]:>9.1f} s", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _kill_kernels()
            raise
    return durations_s


def _show_running(names: list[str]) -> None:
    """Name the running notebooks on a line that the next one overwrites, in a terminal only."""
    if sys.stdout.isatty() and names:
        print(f"  running: {', '.join(names)}", end="\r\x1b[K", flush=True)


def _kill_kernels() -> None:
    for manager in list(_LIVE_KERNELS):
        process = getattr(manager.provisioner, "process", None)
        if process is not None:
            process.kill()


@contextmanager
def _own_event_loop() -> Iterator[None]:
    """Close the event loop that Jupyter's client makes for each thread and leaves open."""
    try:
        yield
    finally:
        ensure_event_loop().close()


def _run_one(job: _Job) -> tuple[float, bool]:
    """Execute a notebook; however it ends, its copy is stored and holds the error, if any."""
    started = time.perf_counter()
    job.target.unlink(missing_ok=True)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _own_event_loop():
            papermill.execute_notebook(
                deepcopy(job.source),
                # Papermill takes a path for a format string.
                str(job.target).replace("{", "{{").replace("}", "}}"),
                dict(job.parameters),
                kernel_name="python3",
                language="python",
                kernel_manager_class=_OwnKernelManager,
                progress_bar=False,
                log_output=False,
                execution_timeout=int(os.environ.get("SER_CELL_TIMEOUT_S", DEFAULT_CELL_TIMEOUT_S)),
                # Papermill's own `cwd` changes the folder of this whole process, all threads of it.
                resources={"metadata": {"path": str(job.folder)}},
            )
    except Exception as error:  # a dead kernel, a timeout or a failed cell: each is a finding
        _store_breakdown(job, error)
    is_ok = not _failures(job.name, _read_executed(job))
    return time.perf_counter() - started, is_ok


def _store_breakdown(job: _Job, error: Exception) -> None:
    """Write an error that left no output of its own into the cell that was running."""
    notebook = _read_executed(job) if job.target.is_file() else deepcopy(job.source)
    is_timeout = isinstance(error, CellTimeoutError)
    if _failures(job.name, notebook) and not is_timeout:
        return
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not cells:
        cells = [nbformat.v4.new_code_cell()]
        notebook.cells += cells
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


def _read_executed(job: _Job) -> NotebookNode:
    """Read an executed copy, without the red notes that Papermill adds about errors."""
    return remove_error_markers(nbformat.read(job.target, as_version=4))


def _failures(name: str, notebook: NotebookNode) -> list[Failure]:
    """Return all errors in a notebook's outputs, also those of cells that may raise."""
    found, number = [], 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        # The number is the [n] that JupyterLab shows after running all cells of the source.
        number += "injected-parameters" not in tags_of(cell)
        for output in error_outputs(cell):
            found.append(
                Failure(name, number, first_line(cell.source), output.ename, output.evalue)
            )
    return found


def _published_records(notebooks: Mapping[str, NotebookNode]) -> list[dict[str, object]]:
    """Collect what `publish` put into the outputs, in the order of the notebooks."""
    return [
        _without_nan(record)
        for notebook in notebooks.values()
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        for record in output.get("data", {}).get(RESULTS_MIME, {}).get("records", ())
    ]


def _without_nan(value: object) -> object:
    """Replace numbers that JSON cannot say by None, at any depth."""
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_results(corpus: str, records: list[dict[str, object]]) -> Path:
    target = report_dir(corpus) / "results.json"
    content = {"corpus": corpus, "records": records}
    with atomic_path(target) as temporary:
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return target


def _fingerprint(corpus: str) -> str:
    """Return a hash over the audio of all clips: the same for the same sounds in any container."""
    try:
        hashes = load(corpus, strict=False)["audio_sha256"]
    except SerError:
        return "unknown"
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()
