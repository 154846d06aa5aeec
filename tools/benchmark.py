"""How fast things are on this machine: `make bench`.

Prints a table; nothing is asserted, because a busy machine proves nothing. Caches are left alone:
everything cold is measured in a temporary folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from ser_lib import data
from ser_lib.errors import SerError
from ser_lib.features.extraction import extract
from ser_lib.inference.bundle import installed_bundles
from ser_lib.inference.predictor import Predictor
from ser_lib.runs.store import provenance
from ser_lib.studies import STUDIES
from ser_lib.training.fit import FoldArrays, fit_fold
from ser_lib.training.settings import TrainingSettings

N_TRAINING_ROWS = 256
N_RECORDINGS = 40
N_ROUNDS = 20


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


def main() -> None:
    """Measure and print, one line a figure, as they come."""
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
