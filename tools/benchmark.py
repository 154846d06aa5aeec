"""How fast things are on this machine: `make bench`; against another checkout: `BEFORE=FOLDER`.

Prints a table; nothing is asserted, because a busy machine proves nothing. Caches are left alone:
everything cold is measured in a temporary folder. Two checkouts run each command in turn, so that
their ratio holds where the machine's speed drifts; each with its own `.venv` where it has one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import click
import numpy as np

from ser_lib import data
from ser_lib.errors import SerError
from ser_lib.features.extraction import extract
from ser_lib.inference.bundle import installed_bundles
from ser_lib.inference.predictor import Predictor
from ser_lib.paths import PROJECT_DIR, encoders_dir
from ser_lib.runs.store import provenance
from ser_lib.studies import STUDIES
from ser_lib.training.fit import FoldArrays, fit_fold
from ser_lib.training.settings import TrainingSettings

N_TRAINING_ROWS = 256
N_RECORDINGS = 40
N_ROUNDS = 20

# Starts a program, and prints its status, its wall and CPU seconds and its peak in MB. A process is
# said to have had the peak of whoever started it: so this is a small one.
LAUNCHER = """
import os, sys, time
started, quiet = time.perf_counter(), os.open(os.devnull, os.O_WRONLY)
process = os.posix_spawn(
    sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, quiet, 1)]
)
_, status, used = os.wait4(process, 0)
seconds = time.perf_counter() - started
print(status, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def _print(what: str, value: float, unit: str = "s") -> None:
    print(f"  {what:<52}{value:8.2f} {unit}")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def _cold_cache() -> Iterator[None]:
    before = os.environ.get("SER_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SER_CACHE"] = folder
        try:
            yield
        finally:
            os.environ.pop("SER_CACHE")
            if before is not None:
                os.environ["SER_CACHE"] = before


def _import_s(module: str) -> float:
    """Time an import in a fresh interpreter, less the interpreter's own start."""
    runs = [
        min(_seconds(lambda c=code: subprocess.run([sys.executable, "-c", c])) for _ in range(3))
        for code in ("pass", f"import {module}")
    ]
    return runs[1] - runs[0]


def _extract_all(corpus: str) -> None:
    """Extract every feature of every study, with its augmentations."""
    clips = data.load_corpus(corpus)
    for study in STUDIES.values():
        for model in study.models:
            for variant in ("original", *study.augmentations):
                extract(clips, model.features, variant=variant)


def _training_ms(study: str, model: str, shape: tuple[int, ...]) -> float:
    """Milliseconds of training a row (forward, backward, update), without the first epoch."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N_TRAINING_ROWS, *shape), dtype=np.float32)
    y = rng.integers(0, 8, N_TRAINING_ROWS)
    arrays = FoldArrays(x, y, x[:8], y[:8], x[:8])
    config = STUDIES[study].model(model).config
    times_s = [
        fit_fold(
            config, TrainingSettings(epochs), arrays, n_classes=8, is_scaled=False, seed=0
        ).duration_s
        for epochs in (1, 3)
    ]
    return 1000 * (times_s[1] - times_s[0]) / (2 * N_TRAINING_ROWS)


def _median_ms(predictor: Predictor, paths: list[str]) -> float:
    """Milliseconds of one recording, each after the other."""
    return 1000 * float(np.median([_seconds(partial(predictor.predict_file, p)) for p in paths]))


def _print_prediction(corpus: str) -> None:
    """Print how long one recording takes, warm and cold, with every bundle that can predict."""
    paths = list(data.load_corpus(corpus)["path"])
    paths = paths[:: len(paths) // N_RECORDINGS][:N_RECORDINGS]
    for folder in installed_bundles():
        try:
            predictor = Predictor.load(folder)
            predictor.predict_file(paths[0])
        except SerError as error:
            print(f"  ({folder.name} cannot predict: {error})")
            continue
        rounds = [_median_ms(predictor, paths) for _ in range(N_ROUNDS)]
        # What else the machine does comes and goes: the best round shows what the code takes.
        quietest = f"ms ({min(rounds):.1f} in the quietest of {N_ROUNDS} rounds)"
        _print(f"{folder.name}, one clip of {corpus}, warm", float(np.median(rounds)), quietest)
    command = [sys.executable, "-m", "ser_lib", "predict", paths[0], "--format", "json"]
    cold_s = _seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    _print(f"ser predict, one clip of {corpus}, cold", cold_s)


def _commands() -> dict[str, tuple[list[str], bool]]:
    """Return what two checkouts are compared on: arguments of Python, and whether caches are cold.

    Recordings are those of RAVDESS where it is there, else the demo's.
    """
    corpus = "ravdess" if data.get_corpus("ravdess").root().is_dir() else "demo"
    paths = list(data.load_corpus(corpus)["path"])
    ser = ["-m", "ser_lib"]
    folder = str(Path(paths[0]).parents[1])
    table = {
        "ser --version": ([*ser, "--version"], False),
        "ser predict, one recording": ([*ser, "predict", paths[0]], False),
        f"ser predict, all of {corpus}": ([*ser, "predict", folder, "--format", "csv"], False),
        "ser audit demo": ([*ser, "audit", "demo"], True),
        "ser report demo, cold": ([*ser, "report", "demo"], True),
        "ser report demo, warm": ([*ser, "report", "demo"], False),
        "tests": (["-m", "pytest", "-q"], False),
    }
    if corpus == "ravdess":
        table["ser report ravdess, stored runs"] = ([*ser, "report", corpus], False)
    return table


def _measure(checkout: Path, arguments: list[str], folder: Path, *, is_cold: bool) -> np.ndarray:
    """Run a command of a checkout; return its wall s, its CPU s and the peak of a process in MB."""
    own = checkout / ".venv/bin/python"
    cache = folder / "cache"
    if is_cold:
        shutil.rmtree(cache, ignore_errors=True)
    if not cache.is_dir():  # an encoder is a download: not what is measured
        shutil.copytree(encoders_dir(), cache / "encoders")
    shutil.copytree(checkout / "reports", folder / "reports", dirs_exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": f"{checkout}:{checkout / 'notebooks'}",
        "SER_CACHE": str(cache),
        "SER_REPORTS": str(folder / "reports"),
    }
    python = own if own.exists() else sys.executable
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, python, *arguments],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    status, *figures = done.stdout.split()[-4:]
    if int(status):
        raise SystemExit(f"{checkout}: python {' '.join(arguments)} failed; run it by itself")
    return np.array(figures, dtype=float)


def compare(before: Path, *, rounds: int, only: str) -> None:
    """Print how long commands take in another checkout and in this one, pair by pair."""
    print(
        f"{'median of ' + str(rounds):34}{'wall s':>17}{'CPU s':>17}{'peak MB':>17}   ratio of wall"
    )
    for name, (arguments, is_cold) in _commands().items():
        if only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            pairs = []
            for _ in range(rounds + 1):  # the first fills caches
                pairs.append(
                    [
                        _measure(one, arguments, Path(folder, str(number)), is_cold=is_cold)
                        for number, one in enumerate((before, PROJECT_DIR))
                    ]
                )
        counted = np.array(pairs[0 if is_cold else 1 :])
        old, new = np.median(counted, axis=0)
        ratios = counted[:, 1, 0] / counted[:, 0, 0]
        shown = "".join(f"{a:>8.1f} →{b:>7.1f}" for a, b in zip(old, new, strict=True))
        print(f"{name:34}{shown}   {median(ratios):.2f} ({ratios.min():.2f}–{ratios.max():.2f})")


@click.command()
@click.option(
    "--before",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Folder of another checkout to compare with.",
)
@click.option("--rounds", default=5, show_default=True, help="How many pairs.")
@click.option("--only", default="", help="Part of the names of what is compared.")
def main(before: Path | None, rounds: int, only: str) -> None:
    """Measure and print, one line a figure, as they come."""
    if before is not None:
        compare(before, rounds=rounds, only=only)
        return
    about = provenance()
    print(f"{about['machine']}, Python {about['python']}, ser_lib {about['ser_lib']}")
    has_ravdess = data.get_corpus("ravdess").root().is_dir()
    names = ["demo", *(["ravdess"] if has_ravdess else [])]
    _print("import ser_lib", _import_s("ser_lib"))
    _print("import ser_lib.runs.runner (no TensorFlow)", _import_s("ser_lib.runs.runner"))
    _print_prediction(names[-1])
    for name in names:
        with _cold_cache():
            _print(f"clip table of {name}, cold", _seconds(partial(data.load_corpus, name)))
            _print(f"all features of {name}, cold", _seconds(partial(_extract_all, name)))
            _print(f"all features of {name}, warm", _seconds(partial(_extract_all, name)))
    shapes = {
        ("swart2025", "cnn_picture"): (224, 224, 3),
        ("swart2025", "cnn_array"): (128, 128, 1),
        ("boucheta2025", "cnn"): (108, 42),
    }
    for (study, model), shape in shapes.items():
        _print(f"training {study} {model} {shape}", _training_ms(study, model, shape), "ms a row")
    if not has_ravdess:
        print("  (RAVDESS is not here: point SER_DATA at the corpora to measure it)")


if __name__ == "__main__":
    main()
