"""Kill commands at random moments: `python -m tools.drill [COMMAND ...] --kills 50`.

Each command runs once undisturbed. Then it is started again and again in folders of its own and
killed (`kill -9`) at a random moment; what it had done stays for the next one. Whenever it comes to
its end, what it wrote must be, byte for byte, what the undisturbed one wrote, with nothing else
left. Files that hold times and dates need only be there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import nbformat
import numpy as np

from ser_lib.data.demo import CLIPS_DIR

CLIPS = str(CLIPS_DIR / "Actor_01")
RUN = ("run", "boucheta2025", "--n-seeds", "1", "--protocol", "honest")
REPORT = """
import sys
from pathlib import Path
from ser_lib.report.build import build_report
sys.exit(len(build_report("demo", notebooks_dir=Path("books")).failures))
"""
# A published record, so that there is a `results.json`.
CELL = """
from ser_lib import data
from ser_lib.report import notebook as nb
from ser_lib.runs.results import collect
from ser_lib.studies import STUDIES
results = collect(STUDIES["boucheta2025"], data.load_corpus("demo"), models=["dummy"], n_seeds=1)
nb.publish(results)
"""
COMMANDS = {
    "predict": ("-m", "ser_lib", "predict", CLIPS, "--bundle", "cnn-ravdess", "--out", "a.csv"),
    "timeline": (
        *("-m", "ser_lib", "predict", CLIPS, "--bundle", "cnn-ravdess"),
        *("--timeline", "--out", "a.csv"),
    ),
    "audit": ("-m", "ser_lib", "audit", CLIPS, "--out", "a.json"),
    "data": ("-m", "ser_lib", "data", "demo"),
    "run": ("-m", "ser_lib", *RUN, "--model", "dummy", "--model", "knn"),
    "train": (
        *("-m", "ser_lib", "train", "penumajji2025", "--max-epochs", "1"),
        *("--out", "bundle", "--no-keras"),
    ),
    "report": ("-c", REPORT),
}
# They hold times and dates; and tf2onnx names and orders constants as they lie in sets of objects,
# differently each time, so of a network only the sums of its other files can be compared.
TIMED = ("environment.json", "report.html", "model.onnx", "SHA256SUMS")
# What libraries keep; executed notebooks are not results.
IGNORED = ("numba", "matplotlib", "keras", "ipython", "executed", "books")


@dataclass
class Outcome:
    """What a drill found."""

    n_kills: int = 0
    n_ends: int = 0
    """How often the command came to its end after it had been killed, or before."""
    problems: list[str] = field(default_factory=list)


def drill(name: str, *, n_kills: int, seed: int, folder: Path) -> Outcome:
    """Kill one of the commands so often, in folders under this one."""
    rng, outcome = np.random.default_rng(seed), Outcome()
    whole, disturbed = folder / "whole", folder / "disturbed"
    started = time.monotonic()
    code = _start(name, whole).wait()
    duration_s, expected = time.monotonic() - started, _tree(whole)
    if code:
        outcome.problems.append(f"undisturbed: exit code {code}")
        return outcome
    while outcome.n_kills < n_kills or disturbed.exists():
        is_killed = outcome.n_kills < n_kills
        process = _start(name, disturbed)
        try:
            code = process.wait(rng.uniform(0, duration_s) if is_killed else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            outcome.n_kills += 1
            continue
        outcome.n_ends += 1
        outcome.problems += [f"exit code {code} after {outcome.n_kills} kills"] if code else []
        outcome.problems += _differences(_tree(disturbed), expected)
        shutil.rmtree(disturbed)
    return outcome


def _start(name: str, folder: Path) -> subprocess.Popen[bytes]:
    (folder / "books" / "params").mkdir(parents=True, exist_ok=True)
    cells = [nbformat.v4.new_markdown_cell("# Whole?"), nbformat.v4.new_code_cell(CELL)]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell{number}"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "books" / "01_a.ipynb")
    (folder / "books" / "params" / "quick.yml").touch()
    own = {"SER_CACHE": str(folder / "cache"), "SER_REPORTS": str(folder / "reports")}
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        command = [sys.executable, *COMMANDS[name]]
        return subprocess.Popen(
            command, cwd=folder, env=os.environ | own, stdout=subprocess.DEVNULL, stderr=log
        )


def _tree(folder: Path) -> dict[str, str]:
    """Hash what lies in a folder, by name."""
    paths = (one for one in sorted(folder.rglob("*")) if one.is_file())
    return {
        str(one.relative_to(folder)): ""
        if one.name in TIMED
        else hashlib.sha256(one.read_bytes()).hexdigest()
        for one in paths
        if not set(one.relative_to(folder).parts) & set(IGNORED)
    }


def _differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    names = sorted(found.keys() | expected.keys())
    words = {(True, False): "is left", (False, True): "is missing", (True, True): "differs"}
    return [
        f"{name} {words[name in found, name in expected]}"
        for name in names
        if found.get(name) != expected.get(name)
    ]


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(COMMANDS))
@click.option("--kills", default=50, show_default=True, help="How many of each.")
@click.option("--seed", default=1, show_default=True, help="Of the moments.")
def main(names: tuple[str, ...], kills: int, seed: int) -> None:
    """Kill commands (NAMES, else all) at random moments, and compare what they end with."""
    n_problems = 0
    for name in names or COMMANDS:
        with tempfile.TemporaryDirectory(prefix="ser-drill-") as folder:
            outcome = drill(name, n_kills=kills, seed=seed, folder=Path(folder))
        n_problems += len(outcome.problems)
        verdict = f"{len(outcome.problems)} problems" if outcome.problems else "identical"
        print(f"{name:<10}{outcome.n_kills} kills, {outcome.n_ends} ends: {verdict}", flush=True)
        for problem in outcome.problems:
            print(f"  {problem}")
    sys.exit(bool(n_problems))


if __name__ == "__main__":
    main()
