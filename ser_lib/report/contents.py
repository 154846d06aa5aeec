"""What chapters look like and how long they take, for somebody who chooses one.

A picture is the first figure of a chapter in the committed report; minutes are those of the last
reports (`durations.json`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ser_lib.paths import report_dir
from ser_lib.runs.store import write_json

# The corpus whose report and runs are committed, and the one that everybody has.
STORED, EMBEDDED = "ravdess", "demo"
CHAPTER = re.compile(r'<section id="(\w+)" class="ser-chapter"(.*?)</section>', re.DOTALL)
IMAGE = re.compile(
    r'<figure class="ser-figure".*?<img[^>]*?(alt="[^"]*")[^>]*?(src="[^"]*")', re.DOTALL
)
SMALL = 'style="height:90px;max-width:260px;object-fit:contain"'


def contents_of(chapters: Sequence[str]) -> pd.DataFrame:
    """Lay chapters, by name, out as a table of HTML."""
    page = report_dir(STORED) / "report.html"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    pictures = {name: IMAGE.search(body) for name, body in CHAPTER.findall(text)}
    on_demo, stored = durations_s(EMBEDDED), durations_s(STORED)
    rows = []
    for name in chapters:
        image, link = pictures.get(name), f'<a href="{name}.ipynb">'
        figure = f"{link}<img {SMALL} {image[1]} {image[2]}></a>" if image else ""
        rows.append(
            {
                "notebook": f"{link}{name}</a>",
                "its first figure": figure,
                "minutes on the demo, the first time": _minutes(on_demo.get(name)),
                f"minutes on {STORED}, from stored runs": _minutes(stored.get(name)),
            }
        )
    return pd.DataFrame(rows)


def _minutes(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds / 60:.1f}"


def durations_s(corpus: str) -> dict[str, float]:
    """Return how long the last report of a corpus took, in seconds by notebook."""
    return (_read(report_dir(STORED)) | _read(report_dir(corpus))).get(corpus, {})


def keep_durations(folder: Path, corpus: str, by_notebook: Mapping[str, float]) -> None:
    """Write how long a report took into its folder, beside the last times of the demo.

    The demo's own report is not committed: from here a clone knows how long it takes the first
    time, when everything is trained, which is the longest of its times.
    """
    known = {**_read(folder), **_read(report_dir(EMBEDDED))}
    before = known.get(corpus, {}) if corpus == EMBEDDED else {}
    known[corpus] = {
        name: max(round(one, 1), before.get(name, 0.0)) for name, one in by_notebook.items()
    }
    write_json(folder / "durations.json", known, indent=1)


def _read(folder: Path) -> dict[str, dict[str, float]]:
    path = folder / "durations.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
