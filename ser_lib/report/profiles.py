"""Profiles: the parameters of all notebooks, one file each under `notebooks/params/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ser_lib.data import get_corpus
from ser_lib.data.own import OwnCorpus
from ser_lib.errors import ReportError
from ser_lib.paths import NOTEBOOKS_DIR


def default_profile(corpus: str) -> str:
    """Name the profile of a corpus: short runs of the demo and of one's own, else whole ones."""
    card = get_corpus(corpus)
    return "quick" if card.is_embedded or isinstance(card, OwnCorpus) else "full"


def read_profile(profile: str, notebooks_dir: Path = NOTEBOOKS_DIR) -> dict[str, Any]:
    """Read `params/<profile>.yml`, a flat mapping from name to value; raise ReportError if bad."""
    path = notebooks_dir / "params" / f"{profile}.yml"
    if not path.is_file():
        known = ", ".join(sorted(one.stem for one in path.parent.glob("*.yml"))) or "none"
        raise ReportError(f"unknown profile '{profile}': {path} is missing; known are {known}")
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ReportError(f"{path} must map names to values, one `name: value` a line")
    return content


# The corpus whose report a notebook is in: a chapter may show another one.
REPORTED: list[str] = []


def as_reported(corpus: str, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return parameters in order, those that are None as `make report` has them for the corpus."""
    REPORTED[:] = [corpus]
    standing = read_profile(default_profile(corpus))
    return tuple(standing[name] if one is None else one for name, one in parameters.items())
