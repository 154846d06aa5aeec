"""A bundle's folder that a test may change, and how somebody who means harm would change it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ser_lib.inference.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(small_folder):
    return Predictor.load(small_folder)


@pytest.fixture
def folder(small_folder, tmp_path) -> Path:
    return shutil.copytree(small_folder, tmp_path / "small")


@pytest.fixture
def reseal(folder) -> Callable[[], None]:
    """Return a function that writes checksums that fit whatever is in the folder."""

    def write() -> None:
        names = [path.name for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS"]
        lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
        (folder / "SHA256SUMS").write_text("".join(lines))

    return write


@pytest.fixture
def edit(folder, reseal) -> Callable[..., None]:
    """Return a function that changes values in `bundle.json`."""

    def write(**changes: object) -> None:
        path = folder / "bundle.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        reseal()

    return write
