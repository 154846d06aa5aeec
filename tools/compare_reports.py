"""What changed between two reports: numbers, figures, words.

`python -m tools.compare_reports OLD/reports/ravdess reports/ravdess` reads `results.json` and the
executed notebooks of both folders. Numbers that differ and figures that look different are listed
one by one and end with exit code 1; passages of which only the words differ are counted and, with
`--words`, shown.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from PIL import Image

# Says which commit and machine made a report, never what it found.
PROVENANCE = {"commit", "made_with", "python", "versions", "provenance"}
NUMBER = re.compile(r"[−-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
MARKUP = re.compile(r"<style.*?</style>|<[^>]+>|\bid=\S+", re.S)
PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
# A pixel that differs by less is a matter of the font's hinting.
LEAST_PIXEL_DIFFERENCE = 8


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Give every value of nested mappings and lists with its path, without provenance."""
    if isinstance(value, dict):
        for key in sorted(value.keys() - PROVENANCE):
            yield from leaves(value[key], f"{path}.{key}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from leaves(one, f"{path}[{number}]")
    else:
        yield path, value


def compare_results(old: Path, new: Path) -> list[str]:
    """List the values of two `results.json` that differ."""
    before, after = (
        dict(leaves(json.loads(one.read_text(encoding="utf-8")))) for one in (old, new)
    )
    return [
        f"{old.name}{path}: {before.get(path)} -> {after.get(path)}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def passages(notebook: Path) -> list[tuple[str, object]]:
    """Give what a notebook shows, in order: ("text", plain text) or ("figure", pixels)."""
    shown: list[tuple[str, object]] = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            data = {kind: "".join(one) for kind, one in output.get("data", {}).items()}
            kinds = [kind for kind in ("text/html", "text/markdown", "text/plain") if kind in data]
            text = data[kinds[0]] if kinds else ""
            for encoded in [*PICTURE.findall(text), *filter(None, [data.get("image/png")])]:
                pixels = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
                shown.append(("figure", np.asarray(pixels, dtype=int)))
            plain = html.unescape(MARKUP.sub(" ", text))
            shown.append(("text", " ".join(plain.split())))
    return shown


def compare_notebooks(old: Path, new: Path) -> tuple[list[str], list[str]]:
    """List what differs between two executed notebooks: results, and words alone."""
    results, words = [], []
    before, after = passages(old), passages(new)
    if [kind for kind, _ in before] != [kind for kind, _ in after]:
        results.append(f"{old.stem}: {len(before)} passages and figures -> {len(after)}")
    for number, ((kind, one), (_, other)) in enumerate(zip(before, after, strict=False)):
        where = f"{old.stem}, output {number}"
        if kind == "figure":
            if np.shape(one) != np.shape(other):
                results.append(f"{where}: a figure of {np.shape(one)} -> {np.shape(other)}")
            elif share := np.mean(np.abs(one - other).max(axis=2) > LEAST_PIXEL_DIFFERENCE):
                results.append(f"{where}: {share:.2%} of a figure's pixels differ")
        elif NUMBER.findall(one) != NUMBER.findall(other):
            results.append(f"{where}: {difference(one, other)}")
        elif one != other:
            words.append(f"{where}: {difference(one, other)}")
    return results, words


def difference(old: str, new: str) -> str:
    """Name the words that differ between two texts."""
    one, other = old.split(), new.split()
    changes = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return "; ".join(
        f"'{' '.join(one[a:b])}' -> '{' '.join(other[c:d])}'"
        for kind, a, b, c, d in changes
        if kind != "equal"
    )


def main() -> None:
    """Compare two folders and say what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--words", action="store_true", help="show passages that say it otherwise")
    options = parser.parse_args()
    results = compare_results(options.old / "results.json", options.new / "results.json")
    words: list[str] = []
    for notebook in sorted((options.old / "executed").glob("*.ipynb")):
        found, said = compare_notebooks(notebook, options.new / "executed" / notebook.name)
        results += found
        words += said
    print(*results, *(words if options.words else ()), sep="\n")
    print(f"{len(results)} results differ; of {len(words)} passages only the words differ")
    raise SystemExit(bool(results))


if __name__ == "__main__":
    main()
