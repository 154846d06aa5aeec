"""The results in the README: a table between two markers, written by the report.

Nothing there is typed: `make report CORPUS=ravdess` writes it from the records of `results.json`,
and a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ser_lib.paths import PROJECT_DIR, atomic_path

__all__ = ["README", "results_block", "write_results_block"]

README = PROJECT_DIR / "README.md"

HEAD = (
    "| study | model | clips | authors' accuracy | the same protocol here | speakers never heard "
    "| UAR [95 % by speaker] |\n| --- | --- | --- | --- | --- | --- | --- |"
)


def results_block(records: Sequence[Mapping[str, object]]) -> str:
    """Lay records out as a Markdown table, one row a model.

    Parameters
    ----------
    records : sequence of mapping
        As in `results.json`. A model has a row for each corpus where it is known as published
        and honestly; of a study without published figures its first model has one.

    Returns
    -------
    str
        Accuracies and UAR in percent.
    """
    honest = {_task(one): one for one in records if not one["is_as_published"]}
    rows = [
        _row(one, honest[_task(one)])
        for one in records
        if one["is_as_published"] and _task(one) in honest
    ]
    known = {one["study"] for one in records if one["is_as_published"]}
    first = {
        (one["study"], one["corpus"]): one for one in reversed(records) if one["study"] not in known
    }
    return "\n".join([HEAD, *rows, *(_row(None, one) for one in reversed(first.values()))])


def _task(record: Mapping[str, object]) -> tuple[object, ...]:
    return record["study"], record["model"], record["corpus"]


def _row(leaking: Mapping[str, object] | None, honest: Mapping[str, object]) -> str:
    published = leaking["published"] if leaking else None
    cells = [
        honest["study"],
        f"{honest['model']}{' (ours)' if honest['is_ours'] else ''}",
        honest["corpus"],
        "–" if published is None else f"{100 * published:.1f} %",
        f"{100 * leaking['wa']:.1f} %" if leaking else "–",
        f"{100 * honest['wa']:.1f} %",
        f"{100 * honest['uar']:.1f} % "
        f"[{100 * honest['uar_low']:.1f}, {100 * honest['uar_high']:.1f}]",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def write_results_block(
    corpus: str, records: Sequence[Mapping[str, object]], *, path: Path = README
) -> bool:
    """Replace the block of a corpus in a Markdown file, where it has one.

    Parameters
    ----------
    corpus : str
        The block lies between `<!-- results:CORPUS -->` and `<!-- /results -->`.
    records : sequence of mapping
        As in `results.json`.
    path : Path
        The file.

    Returns
    -------
    bool
        Whether the file has such a block.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    pattern = re.compile(rf"(<!-- results:{re.escape(corpus)} -->\n).*?(<!-- /results -->)", re.S)
    if not pattern.search(text):
        return False
    block = results_block(records)
    new = pattern.sub(lambda match: f"{match[1]}{block}\n{match[2]}", text)
    if new != text:
        with atomic_path(path) as temporary:
            temporary.write_text(new, encoding="utf-8")
    return True
