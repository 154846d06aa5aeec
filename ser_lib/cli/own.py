"""What `--table` does: a table or folder of one's own becomes a corpus, and is audited once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ser_lib import data
from ser_lib.audit.report import audit_dataset
from ser_lib.data.own import MIN_SPEAKERS, register
from ser_lib.data.splits import csv_of_rows, rows_of
from ser_lib.errors import CorpusError
from ser_lib.evaluation.formatting import joined
from ser_lib.paths import report_dir
from ser_lib.runs.store import cached_result

# Observations that are said at once; the others by `ser audit`.
SAID = ("same_audio", "similar_audio")


def adopt(table: str, *, corpus: str, pattern: str, labels: Sequence[str]) -> str:
    """Register what `--table` names, and say what it is and what its audit found; return its name.

    Without a table, return the corpus, for which the other options have no use.
    """
    if not table:
        if pattern or labels:
            raise CorpusError("--pattern and --label are for a --table")
        return corpus
    if corpus:
        raise CorpusError(f"--table {table} is a corpus of its own: leave --corpus {corpus} out")
    if wrong := [one for one in labels if "=" not in one]:
        raise CorpusError(f"--label {wrong[0]}: write --label W=angry, or --label W= to leave out")
    emotions = dict(one.split("=", 1) for one in labels)
    card = register(table, pattern=pattern, emotions=emotions)
    clips = card.load(strict=False)
    counts = clips["emotion"].value_counts()
    shown = joined([f"{counts[one]} {one}" for one in data.EMOTIONS if one in counts])
    lines = [
        f"{card.name}: {len(clips):,} clips of {card.n_speakers} speakers: {shown}",
        *(f"  {one}" for one in clips.attrs.get("by_design", [])),
    ]
    if rare := [one for one, n in card.n_speakers_of.items() if n < MIN_SPEAKERS]:
        lines.append(
            f"  too few speakers to divide by (below {MIN_SPEAKERS}): {', '.join(rare)}; more are "
            f"needed, or leave clips out: --label {rare[0]}="
        )
    parts = sorted(clips.attrs.get("parts", {}).items())
    rows = csv_of_rows(rows_of(clips, data.LABEL_SETS["all"]))
    identity = [rows, list(clips["speaker"]), parts]
    audit = cached_result(
        report_dir(card.name), identity, lambda: audit_dataset(card.name).as_dict(), name="audit"
    )
    lines += [
        f"  {one['level']}: {one['describes']}: {one['n_clips']} clips; {one['detail']}"
        for one in audit["findings"]
        if one["level"] != "observation" or one["kind"] in SAID
    ]
    counts = ", ".join(f"{n} {level}{'s' * (n != 1)}" for level, n in audit["counts"].items())
    lines.append(f"  audit: {counts}. All of it: ser audit {card.name}")
    print("\n".join(lines), file=sys.stderr, flush=True)
    return card.name
