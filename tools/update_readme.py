"""The results in the README: a table between two markers.

Nothing there is typed: `make report CORPUS=ravdess` ends with `python -m tools.update_readme
ravdess`, which reads `reports/ravdess/results.json`; a test compares the two.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ser_lib.paths import PROJECT_DIR, atomic_path
from ser_lib.studies import OURS, STUDIES

README = PROJECT_DIR / "README.md"
HEAD = (
    "| system | trained and tested on | printed | run again as published | unseen speakers "
    "| UAR there [95 % by speaker] |\n| --- | --- | --- | --- | --- | --- |"
)
# Of our own: the model that `ser predict` uses, and the best that nothing was pretrained for.
SHOWN = (("moonshine", "base_low"), ("scratch_alone", "tdnn_alone"))


def results_block(records: Sequence[Mapping[str, object]]) -> str:
    """Lay the most telling records of `results.json` out as a Markdown table, in percent.

    Every model with a printed figure, the best of each study without one, our best system on the
    corpus of most records, and those of `SHOWN`.
    """
    honest = {
        _task(one): one
        for one in records
        if not one["is_as_published"] and not one.get("is_further")
    }
    pairs = [
        (one, honest[_task(one)])
        for one in records
        if one["is_as_published"] and not one["is_ours"] and _task(one) in honest
    ]
    printed = {one["study"] for one, _ in pairs if one["published"] is not None}
    shown = [pair for pair in pairs if pair[0]["published"] is not None]
    for study in dict.fromkeys(one["study"] for one, _ in pairs if one["study"] not in printed):
        shown.append(max((two for two in pairs if two[0]["study"] == study), key=_uar))
    ours = [(None, one) for one in honest.values() if one["study"] in OURS]
    home = ours[0][1]["corpus"] if ours else ""
    ours = [pair for pair in ours if pair[1]["corpus"] == home]
    picked = [pair for pair in ours if (pair[1]["study"], pair[1]["model"]) in SHOWN]
    best = max(ours, key=_uar, default=None)
    rows = [*shown, *([best] if best and best not in picked else []), *picked]
    return "\n".join([HEAD, *(_row(*pair) for pair in rows)])


def _task(record: Mapping[str, object]) -> tuple[object, ...]:
    return record["study"], record["model"], record["corpus"]


def _uar(pair: tuple[object, Mapping[str, object]]) -> float:
    return float(pair[1]["uar"])


def _row(leaking: Mapping[str, object] | None, honest: Mapping[str, object]) -> str:
    study = {**STUDIES, **OURS}[str(honest["study"])]
    title = study.model(str(honest["model"])).title
    mark = " †" if honest["corpus"] in study.developed_on else ""
    name = f"{title}, {study.name}" if leaking else f"**{title}** (ours{mark})"
    published = leaking["published"] if leaking else None
    interval = [honest["uar_low"], honest["uar_high"]]
    ends = "" if None in interval else f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
    cells = (
        name,
        f"{honest['corpus']}, {honest['n_classes']} classes, `{honest['protocol']}`",
        "–" if published is None else f"{100 * published:.1f} %",
        f"{100 * leaking['wa']:.1f} %" if leaking else "–",
        f"{100 * honest['wa']:.1f} %",
        f"{100 * honest['uar']:.1f} %{ends}",
    )
    return f"| {' | '.join(cells)} |"


def write_results_block(
    corpus: str, records: Sequence[Mapping[str, object]], *, path: Path = README
) -> bool:
    """Replace what lies between `<!-- results:CORPUS -->` and `<!-- /results -->`.

    Returns whether the file has such a block.
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


def main(corpus: str) -> None:
    """Write the block of a corpus from its `results.json`, where the README has one."""
    path = PROJECT_DIR / "reports" / corpus / "results.json"
    if path.is_file():
        write_results_block(corpus, json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main(sys.argv[1])
