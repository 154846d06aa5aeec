"""Published figures of others, `literature.csv`: each with its task, its protocol and its source.

A figure can be compared with a result only where corpus, classes and protocol are the same, which
`figures_for` enforces. Figures of a random division of the clips are left out. A system that
normalises each test speaker by that speaker's own clips solves another task: its protocol says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from ser_lib.data.labels import LABEL_SETS

PATH = Path(__file__).with_name("literature.csv")


@cache
def read_literature() -> pd.DataFrame:
    """Read the figures of others; where a source gives no interval, `low, high` are the value.

    Columns `system, corpus, label_set, protocol, uar, low, high, wa, size, source, note`: scores in
    [0, 1], NaN where none is printed; `label_set` is a name in `ser_lib.data.labels.LABEL_SETS`,
    `protocol` one in `ser_lib.data.splits.PROTOCOLS`, `low, high` a 95 % interval by speaker.
    """
    table = pd.read_csv(PATH)
    words = ["size", "source", "note"]
    table[words] = table[words].fillna("")
    return table.assign(
        low=table["low"].fillna(table["uar"]), high=table["high"].fillna(table["uar"])
    )


def figures_for(corpus: str, labels: Sequence[str], protocol: str) -> pd.DataFrame:
    """Return the figures that results of a task can be compared with; often none."""
    alike = [name for name, one in LABEL_SETS.items() if sorted(one.labels) == sorted(labels)]
    table = read_literature()
    is_task = (table["corpus"] == corpus) & (table["protocol"] == protocol)
    return table[is_task & table["label_set"].isin(alike)]
