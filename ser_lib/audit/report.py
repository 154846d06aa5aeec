"""From the name of a corpus or a folder to an audit's report, and from the report to text and JSON.

`ser audit` is `audit_dataset`, then `report_text` or `report_json`. Reports of our corpora are kept
in `reports/audit`.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ser_lib import data
from ser_lib.audit.dataset import LEVELS, AuditReport, audit_clips
from ser_lib.audit.fingerprint import THRESHOLD
from ser_lib.audit.tables import read_clips
from ser_lib.data.corpus import left_alone
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.own import own_corpus
from ser_lib.data.splits import make_split, plain_protocol, rows_of
from ser_lib.errors import AuditError
from ser_lib.storage import reached

PAIRS_AT_ONCE = 1_000
WIDTH = 100  # of a line of details
TITLES = {"leak": "LEAKS", "fault": "FAULTS", "observation": "OBSERVATIONS"}


def audit_dataset(
    source: str,
    *,
    table: Path | None = None,
    split: Path | None = None,
    columns: Mapping[str, str] | None = None,
    protocol: str = "",
    seed: int = 1,
    declared: Sequence[str] = (),
    distinct_speakers: bool = False,
    threshold: float = THRESHOLD,
) -> AuditReport:
    """Audit a corpus by its name, or a folder of anybody's clips.

    Parameters
    ----------
    source : str
        A key of `ser_lib.data.CORPORA` or a corpus of one's own, else a folder; `./ravdess` is a
        folder.
    table, split, columns
        See `read_clips`; for folders only.
    protocol, seed
        For corpora: audit the folds that this protocol makes of all clips.
    declared : sequence of str
        Kinds of leak that the split is known to have.
    distinct_speakers : bool
        See `audit_clips`.
    threshold : float in (0, 1]
        Similarity of pictures from which two clips are copies; less similar ones are copies if
        the fine detail of their audio agrees.

    Returns
    -------
    AuditReport
        Clips that a corpus's loader leaves out are among the faults.

    Raises
    ------
    AuditError
        If there is neither such a corpus nor such a folder, or options do not fit the source.
    CorpusError, SplitError
        If the corpus is not here, or the protocol does not fit it.
    """
    if not 0 < threshold <= 1:
        raise AuditError(f"threshold={threshold} must be above 0 and at most 1")
    if source in data.CORPORA or own_corpus(source):
        if table or split or columns:
            raise AuditError(
                f"'{source}' is a corpus with a table of its own: a table, split or columns are "
                f"for folders (write ./{source} for a folder of that name)"
            )
        return _audit_corpus(source, protocol, seed, declared, threshold)
    folder = reached(source)
    if not folder.is_dir():
        raise AuditError(
            f"'{source}' is neither a folder nor a corpus; corpora are {', '.join(data.CORPORA)}"
        )
    if protocol:
        raise AuditError(f"protocol '{protocol}': protocols divide corpora; give a folder a split")
    clips = read_clips(folder, table=table, split=split, columns=columns)
    return audit_clips(
        clips,
        source=source,
        declared=declared,
        distinct_speakers=distinct_speakers,
        threshold=threshold,
    )


def _audit_corpus(
    name: str, protocol: str, seed: int, declared: Sequence[str], threshold: float
) -> AuditReport:
    """Audit a corpus of this project, and the folds that a protocol makes of it."""
    table = data.load_corpus(name, strict=False)
    if not table.attrs.get("has_audio", True) or (table["path"] == "").any():
        raise AuditError(f"{name}: its audio is not here; point SER_DATA at the corpora")
    clips = table[["clip_id", "path", "speaker", "statement"]].assign(label=table["emotion"])
    if "parts" in table.attrs:
        clips["part"] = clips["clip_id"].map(table.attrs["parts"])
    about = {name: table.attrs.get(name, []) for name in ("left_out", "other_gender")}
    clips.attrs.update(about, left_alone=left_alone(table))
    parts: list[pd.Series] = []
    source = name
    if protocol:
        plain = plain_protocol(protocol)
        label_set = LABEL_SETS[data.get_corpus(name).label_set]
        made = make_split(rows_of(table, label_set), plain, seed=seed)
        for fold in made.folds:
            part_of = {
                row: part for part in ("train", "validation", "test") for row in getattr(fold, part)
            }
            parts.append(clips["clip_id"].map(part_of).fillna(""))
        # Corpora have few sentences, which all speakers say.
        declared = (*declared, *plain.leaks, "same_statement")
        source = f"{name}, divided by {protocol}"
    return audit_clips(
        clips, source=source, parts=parts, declared=tuple(declared), threshold=threshold
    )


def report_text(report: AuditReport) -> str:
    """Lay a report out for a terminal: findings by level, what was not checked, the verdict."""
    lines = [
        f"{report.source}: {report.n_clips:,} clips, {report.n_sounds:,} different sounds; copies "
        f"are pairs with a similarity of {report.threshold:g} or more, or of the same fine detail"
    ]
    for level in LEVELS:
        found = report.of_level(level)
        if found:
            lines += ["", f"{TITLES[level]} ({len(found)})"]
        for one in found:
            where = f" {one.first} -> {one.second}" if one.second else ""
            lines.append(
                f"  {one.kind:<16}{one.n_clips:>7,} {'clip ' if one.n_clips == 1 else 'clips'} "
                f"{100 * one.share:5.1f} %{where}  {one.describes}"
            )
            lines += textwrap.wrap(
                one.detail, WIDTH, initial_indent=" " * 18, subsequent_indent=" " * 18
            )
    if report.not_checked:
        lines += ["", "NOT CHECKED", *(f"  {one}" for one in report.not_checked)]
    counts = {level: len(report.of_level(level)) for level in LEVELS}
    counted = ", ".join(f"{n} {level}{'' if n == 1 else 's'}" for level, n in counts.items())
    return "\n".join([*lines, "", f"{report.verdict} {counted}.\n"])


def report_json(report: AuditReport) -> Iterator[str]:
    """Yield a report as JSON, with all clips and pairs; names that are no Unicode are escaped."""

    def text_of(value: object) -> str:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    yield text_of(report.about() | {"pairs": []}).removesuffix("]\n}")
    n_pairs = len(report.pairs)
    for start in range(0, n_pairs, PAIRS_AT_ONCE):
        pairs = text_of(report.records(start, start + PAIRS_AT_ONCE))[1:-2].replace("\n", "\n ")
        yield pairs + ("," if start + PAIRS_AT_ONCE < n_pairs else "\n ")
    yield "]\n}\n"


def is_report(text: str) -> bool:
    """Whether a text is a report as `report_json` writes it."""
    try:
        return {"source", "findings", "pairs", "not_checked"} <= set(json.loads(text))
    except (ValueError, TypeError):
        return False
