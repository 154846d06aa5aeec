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

import numpy as np

from ser_lib import corpora
from ser_lib.extraction import extract
from ser_lib.store import provenance
from ser_lib.studies import STUDIES
from ser_lib.training import FoldArrays, fit_fold
from ser_lib.training_settings import TrainingSettings

__all__ = ["main"]

N_TRAINING_ROWS = 256


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
    clips = corpora.load(corpus)
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


def main() -> None:
    """Measure and print, one line a figure, as they come."""
    about = provenance()
    print(f"{about['machine']}, Python {about['python']}, ser_lib {about['ser_lib']}")
    has_ravdess = corpora.get_corpus("ravdess").root().is_dir()
    names = ["demo", *(["ravdess"] if has_ravdess else [])]
    print(f"  {'import ser_lib':<52}{_import_s('ser_lib'):8.2f} s")
    print(f"  {'import ser_lib.runs (no TensorFlow)':<52}{_import_s('ser_lib.runs'):8.2f} s")
    for name in names:
        with _cold_cache():
            print(
                f"  {f'clip table of {name}, cold':<52}"
                f"{_seconds(lambda n=name: corpora.load(n)):8.1f} s"
            )
            print(
                f"  {f'all features of {name}, cold':<52}"
                f"{_seconds(lambda n=name: _extract_all(n)):8.1f} s"
            )
            print(
                f"  {f'all features of {name}, warm':<52}"
                f"{_seconds(lambda n=name: _extract_all(n)):8.2f} s"
            )
    shapes = {
        ("swart2025", "cnn_picture"): (224, 224, 3),
        ("swart2025", "cnn_array"): (128, 128, 1),
        ("boucheta2025", "cnn"): (108, 42),
    }
    for (study, model), shape in shapes.items():
        print(
            f"  {f'training {study} {model} {shape}':<52}"
            f"{_training_ms(study, model, shape):8.2f} ms a row"
        )
    if not has_ravdess:
        print("  (RAVDESS is not here: point SER_DATA at the corpora to measure it)")


if __name__ == "__main__":
    main()
