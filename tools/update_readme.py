"""The results in the README: two tables between two markers.

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
from ser_lib.studies import OURS

README = PROJECT_DIR / "README.md"
PUBLISHED_HEAD = (
    "| study | model | clips | authors' accuracy | the same protocol here | unseen speakers "
    "| UAR [95 % by speaker] | how |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)
OURS_HEAD = (
    "| system of ours | clips | unseen speakers | UAR [95 % by speaker] | how |\n"
    "| --- | --- | --- | --- | --- |"
)


def results_block(records: Sequence[Mapping[str, object]]) -> str:
    """Lay the records of `results.json` out as two Markdown tables, in percent.

    A model has a row for each corpus where it is known as published and honestly; a study without
    published figures has one for each model that is not optional.
    """
    honest = {
        _task(one): one
        for one in records
        if not one["is_as_published"] and not one.get("is_further")
    }
    published = [
        _published_row(one, honest[_task(one)])
        for one in records
        if one["is_as_published"] and _task(one) in honest
    ]
    ours = [_our_row(one) for one in honest.values() if _stands_for_us(one)]
    return "\n".join([PUBLISHED_HEAD, *published, "", OURS_HEAD, *ours])


def _task(record: Mapping[str, object]) -> tuple[object, ...]:
    return record["study"], record["model"], record["corpus"]


def _stands_for_us(record: Mapping[str, object]) -> bool:
    study = OURS.get(str(record["study"]))
    return study is not None and not study.model(str(record["model"])).is_optional


def _published_row(leaking: Mapping[str, object], honest: Mapping[str, object]) -> str:
    published = leaking["published"]
    return _line(
        honest["study"],
        f"{honest['model']}{' (ours)' if honest['is_ours'] else ''}",
        honest["corpus"],
        "–" if published is None else f"{100 * published:.1f} %",
        f"{100 * leaking['wa']:.1f} %",
        *_scores(honest),
    )


def _our_row(record: Mapping[str, object]) -> str:
    title = OURS[str(record["study"])].model(str(record["model"])).title
    return _line(title, record["corpus"], *_scores(record))


def _scores(record: Mapping[str, object]) -> tuple[str, str, str]:
    n_seeds = len(record["seeds"])
    seeds = f"{n_seeds} seed{'s' if n_seeds > 1 else ''}"
    return (
        f"{100 * record['wa']:.1f} %",
        f"{100 * record['uar']:.1f} % "
        f"[{100 * record['uar_low']:.1f}, {100 * record['uar_high']:.1f}]",
        f"`{record['protocol']}`, {record['n_classes']} classes, {seeds}",
    )


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


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
