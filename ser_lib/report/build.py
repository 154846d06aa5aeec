"""From notebooks to one HTML file: run each headless, keep what it made, render the report.

A notebook runs in a kernel of this interpreter, whatever kernels the machine knows; those that
another one needs run before it, the others side by side. A notebook that fails stops only itself:
the report is written all the same, shows the error where it happened, and the result lists it.
How the page looks lives in `ser_lib.report.html` and `theme/`.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ser_lib.data import (
    CORPORA,
    get_corpus,
    load_corpus,
    other_recordings,
    write_committed_clips,
)
from ser_lib.data.corpus import Corpus
from ser_lib.data.pooled import Pool
from ser_lib.errors import CorpusError, ReportError, SerError, offenders
from ser_lib.evaluation.formatting import FINDINGS_MIME, RESULTS_MIME, joined
from ser_lib.paths import NOTEBOOKS_DIR, atomic_path, locked, report_dir, reports_dir
from ser_lib.report.contents import keep_durations
from ser_lib.report.execution import Job, check_kernel, failures_of, read_executed, run_all
from ser_lib.report.html import (
    Failure,
    ReportFacts,
    first_line,
    render_report,
    summary_of,
    tags_of,
)
from ser_lib.report.profiles import default_profile, read_profile
from ser_lib.runs.store import provenance


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
    parameters: Mapping[str, object] | None = None,
) -> ReportResult:
    """Run all notebooks on a corpus and write `reports/<corpus>/report.html`.

    Parameters
    ----------
    corpus : str
        A key of `ser_lib.data.CORPORA`.
    profile : str, optional
        Which file of `params/` sets the parameters; None takes `quick` for an embedded corpus and
        `full` for any other.
    notebooks_dir : Path
        Folder of the numbered notebooks (`01_eda.ipynb`) and of `params/`.
    n_jobs : int
        How many notebooks run side by side.
    parameters : mapping, optional
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
    profile = profile or default_profile(corpus)
    sources = _read_notebooks(notebooks_dir)
    chosen = read_profile(profile, notebooks_dir) | dict(parameters or {})
    routed = _route_parameters(sources, chosen, {"corpus": corpus, "profile": profile})
    order = _order_of(sources)
    check_kernel()
    print(f"{card.title}: {len(sources)} notebooks, profile '{profile}'", flush=True)
    folder = report_dir(_folder_name(card, profile, chosen))
    jobs = {}
    for name, source in sources.items():
        target = folder / "executed" / f"{name}.ipynb"
        weight = source.metadata.get("ser", {}).get("weight", 0.0)
        jobs[name] = Job(name, source, routed[name], notebooks_dir, target, weight)
    with locked(folder):
        _keep_clip_table(card)
        durations_s = run_all(jobs, order, n_jobs)
        return _finish(card, profile, chosen, jobs, durations_s)


def _folder_name(card: Corpus | Pool, profile: str, parameters: Mapping[str, object]) -> str:
    """Name a report's folder: shortened or partial reports never replace the whole one."""
    name = card.name if profile == default_profile(card.name) else f"{card.name}-{profile}"
    return name if parameters.get("strict", True) else f"{name}-partial"


def _keep_clip_table(card: Corpus | Pool) -> None:
    """Write the clip table of a real corpus, complete and with audio, next to its stored runs.

    With it the runs can be read, and the report made again, where the recordings are not.
    """
    if card.is_embedded:
        return
    try:
        clips = load_corpus(card.name)
    except CorpusError:
        # The notebooks say what is wrong with the corpus, and where.
        return
    if other := other_recordings(clips, card.name):
        print(other, flush=True)
    if clips.attrs["has_audio"]:
        write_committed_clips(clips, card.name)


def _finish(
    card: Corpus | Pool,
    profile: str,
    parameters: Mapping[str, object],
    jobs: Mapping[str, Job],
    durations_s: Mapping[str, float],
) -> ReportResult:
    """Write results and page from the executed notebooks; neither is ever half-written."""
    executed = {name: read_executed(job) for name, job in jobs.items()}
    failures = tuple(one for name in executed for one in failures_of(name, executed[name]))
    records = _published(executed, RESULTS_MIME, "records")
    facts = ReportFacts(
        corpus=card.name,
        title=card.title,
        is_embedded=card.is_embedded,
        profile=profile,
        parameters=parameters,
        records=records,
        failures=failures,
        durations_s={name: durations_s[name] for name in jobs},
        runs=_stored_runs(card),
        provenance={
            **provenance(),
            "corpus_fingerprint": _fingerprint(card.name),
            "seeds": sorted({seed for record in records for seed in record.get("seeds", ())}),
        },
    )
    page = render_report(executed, facts)
    target = report_dir(_folder_name(card, profile, parameters)) / "report.html"
    summary, drawing = summary_of(page)
    files = {"report.html": page.encode(), "summary.md": summary.encode(), "summary.svg": drawing}
    for name, content in files.items():
        with atomic_path(target.with_name(name)) as temporary:
            temporary.write_bytes(content)
    keep_durations(target.parent, card.name, facts.durations_s)
    if os.environ.get("REPORT_PDF", "0") == "1":
        _print_pdf(target)
    results_path = target.with_name("results.json") if records else None
    if results_path:
        _write_json(results_path, [{"corpus": card.name} | record for record in records])
        _write_json(target.with_name("claims.json"), _published(executed, FINDINGS_MIME, "claims"))
    return ReportResult(target, results_path, failures, facts.durations_s)


def _print_pdf(page: Path) -> None:
    """Print a page as `report.pdf` beside it, with all folds open."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        raise ReportError(
            f"{page} is written; REPORT_PDF=1 also needs Chromium, and none of "
            f"{joined(names)} is on the path"
        )
    with atomic_path(page.with_suffix(".pdf")) as temporary:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
        command = [browser, *options, f"--print-to-pdf={temporary}", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not temporary.is_file():
            raise ReportError(f"{browser} printed no PDF: {first_line(done.stderr)}")


def chapter_paths(folder: Path = NOTEBOOKS_DIR) -> list[Path]:
    """List the numbered notebooks, in order; `explore.ipynb`, `04_cnn-Copy1.ipynb` stay out.

    So does one that begins with 00: it is where one starts in JupyterLab.
    """
    numbered = re.compile(r"(?!00)\d\d_\w+")
    return [one for one in sorted(folder.glob("*.ipynb")) if numbered.fullmatch(one.stem)]


def _read_notebooks(folder: Path) -> dict[str, NotebookNode]:
    notebooks = {}
    for path in chapter_paths(folder):
        try:
            with warnings.catch_warnings():
                # Old notebooks without cell ids are given some; no reader has to know.
                warnings.simplefilter("ignore", nbformat.warnings.MissingIDFieldWarning)
                notebooks[path.stem] = nbformat.read(path, as_version=4)
                nbformat.validate(notebooks[path.stem])
        except (OSError, ValueError, nbformat.ValidationError) as error:
            raise ReportError(
                f"{path} is no readable notebook: {first_line(str(error))}; "
                "save it again in JupyterLab or take it from git"
            ) from error
    if not notebooks:
        raise ReportError(f"no numbered notebooks (01_….ipynb) under {folder}")
    return notebooks


def _declared_names(name: str, notebook: NotebookNode) -> set[str]:
    """Return the names that a notebook's `parameters` cell assigns."""
    cells = [one for one in notebook.cells if one.cell_type == "code"]
    source = "\n".join(one.source for one in cells if "parameters" in tags_of(one))
    try:
        nodes = ast.walk(ast.parse(source))
    except SyntaxError as error:
        raise ReportError(
            f"{name}: the `parameters` cell is not Python (line {error.lineno}: {error.msg})"
        ) from error
    return {one.id for one in nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}


def _route_parameters(
    notebooks: Mapping[str, NotebookNode],
    chosen: Mapping[str, object],
    standing: Mapping[str, object],
) -> dict[str, dict[str, object]]:
    """Give each notebook the parameters that it declares; one that none declares is an error.

    The standing ones, corpus and profile, may be declared by none.
    """
    declared = {name: _declared_names(name, one) for name, one in notebooks.items()}
    known = set().union(*declared.values())
    if unknown := sorted(set(chosen) - known - set(standing)):
        raise ReportError(
            f"{len(unknown)} parameter(s) that no notebook declares:{offenders(unknown)}\n"
            f"Known are {', '.join(sorted(known))}."
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
    pairs = [(name, one) for name, all_of in needs.items() for one in all_of]
    if missing := sorted(f"{name} needs {one}" for name, one in pairs if one not in notebooks):
        raise ReportError(f"a notebook needs one that is not there:{offenders(missing)}")
    order = TopologicalSorter(needs)
    try:
        order.prepare()
    except CycleError as error:
        raise ReportError(f"notebooks need each other: {' > '.join(error.args[1])}") from error
    return order


def _published(notebooks: Mapping[str, NotebookNode], mime: str, what: str) -> list[dict[str, Any]]:
    """Collect what `publish` or `findings` put into the outputs, in the order of the notebooks."""
    return [
        _without_nan({"notebook": name, **one} if what == "claims" else one)
        for name, notebook in notebooks.items()
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        for one in output.get("data", {}).get(mime, {}).get(what, ())
    ]


def _stored_runs(card: Corpus | Pool) -> list[dict[str, Any]]:
    """List the stored runs: those of all real corpora, or of the embedded one."""
    runs = []
    for path in sorted(reports_dir().glob("*/runs/*/environment.json")):
        name = path.parts[-4]
        # One's own variants are no part of it.
        is_ours = "+" not in path.parent.name
        is_shown = name == card.name or (
            name in CORPORA and get_corpus(name).is_embedded == card.is_embedded
        )
        if is_ours and is_shown:
            facts = json.loads(path.read_text(encoding="utf-8"))
            runs.append(
                {
                    "path": path.with_name("predictions.csv").relative_to(reports_dir()),
                    "date": facts["date"],
                    "minutes": sum(facts["duration_s"]) / 60,
                    "commit": facts["commit"],
                }
            )
    return runs


def _write_json(path: Path, content: list[dict[str, Any]]) -> None:
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _without_nan(value: Any) -> Any:
    """Replace numbers that JSON cannot say by None, at any depth."""
    return json.loads(json.dumps(value), parse_constant=lambda _: None)


def _fingerprint(corpus: str) -> str:
    """Return a hash over the audio of all clips: the same for the same sounds in any container."""
    try:
        hashes = load_corpus(corpus, strict=False)["audio_sha256"]
    except SerError:
        return "unknown"
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()
