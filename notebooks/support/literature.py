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
from ser_lib.evaluation.formatting import pct, share_text

PATH = Path(__file__).with_name("literature.csv")
SOURCES_PATH = PATH.with_name("sources.csv")


@cache
def read_sources() -> pd.DataFrame:
    """Read where the figures of others are printed: `key, cited, title, place, accessed`."""
    return pd.read_csv(SOURCES_PATH, keep_default_na=False, dtype=str)


@cache
def read_literature() -> pd.DataFrame:
    """Read the figures of others; where a source gives no interval, `low, high` are the value.

    Columns `system, corpus, label_set, protocol, uar, low, high, wa, size, source, note`: scores in
    [0, 1], NaN where none is printed; `label_set` is a name in `ser_lib.data.labels.LABEL_SETS`,
    `protocol` one in `ser_lib.data.splits.PROTOCOLS`, `low, high` a 95 % interval by speaker;
    `source` is how `read_sources` cites it, `is_measured` whether we measured it with the features
    of others.
    """
    table = pd.read_csv(PATH)
    words = ["size", "source", "note"]
    table[words] = table[words].fillna("")
    cited = read_sources().set_index("key")["cited"]
    return table.assign(
        low=table["low"].fillna(table["uar"]),
        high=table["high"].fillna(table["uar"]),
        is_measured=table["source"] == "measured",
        source=table["source"].map(cited),
    )


def figures_for(corpus: str, labels: Sequence[str], protocol: str = "") -> pd.DataFrame:
    """Return the figures that results of a task can be compared with, of one or all protocols."""
    alike = [name for name, one in LABEL_SETS.items() if sorted(one.labels) == sorted(labels)]
    table = read_literature()
    is_task = (table["corpus"] == corpus) & table["label_set"].isin(alike)
    return table[is_task & ((table["protocol"] == protocol) | (not protocol))]


def field_table(corpus: str, labels: Sequence[str], ours: pd.DataFrame) -> pd.DataFrame:
    """Rank the systems of others and ours by accuracy, protocol by protocol.

    Parameters
    ----------
    corpus, labels : str, sequence of str
        The task.
    ours : pandas.DataFrame
        From `support.transfer.field_rows`; scores in [0, 1].

    Returns
    -------
    pandas.DataFrame
        Both, with these columns and `source`. Systems without an accuracy stand where their UAR
        would put them.
    """
    others = figures_for(corpus, labels)
    whose = {True: "others' features, measured by us", False: "published"}
    others = others.assign(
        whose=others["is_measured"].map(whose), wa_low=others["wa"], wa_high=others["wa"]
    )
    kept = others[others["protocol"].isin(ours["protocol"])]
    table = pd.concat([kept, ours.assign(source="stored runs")], ignore_index=True)
    table = table.assign(ranked_by=table["wa"].fillna(table["uar"]))
    table = table.sort_values(["protocol", "ranked_by"], ascending=[True, False], kind="stable")
    return table[[*ours.columns, "source"]].reset_index(drop=True)


def field_text(table: pd.DataFrame) -> pd.DataFrame:
    """Write `field_table` for a reader, in percent."""
    intervals = table[["uar", "low", "high"]].itertuples(index=False)
    return pd.DataFrame(
        {
            **{name: table[name] for name in ("protocol", "system", "whose", "size")},
            "WA": table["wa"].map(pct),
            "UAR [95 %]": [
                pct(uar) if low == high or pd.isna(uar) else share_text((uar, low, high))
                for uar, low, high in intervals
            ],
            "source": [
                "; ".join(filter(None, pair))
                for pair in zip(table["source"], table["note"], strict=True)
            ],
            "run": table["run"],
        }
    )
