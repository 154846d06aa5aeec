"""The leak audit: what a fold lets a model know about its test rows before the test.

Every run passes `check_split`. A finding that the study does not declare stops the run; a declared
one is stored with it and shown with its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser_lib.data.splits import PROMISES, Fold, Split
from ser_lib.errors import LeakError, SplitError, offenders

# Two parts are only compared where knowing one helps with the other.
PAIRS = (("train", "test"), ("validation", "test"), ("train", "validation"))


@dataclass(frozen=True)
class Finding:
    """One way in which the rows of two parts are related."""

    kind: str
    """A key of `FINDINGS`."""
    parts: tuple[str, str]
    n_rows: int
    """Rows of the second part that are known from the first."""
    share: float
    """The same as a share of the second part, in [0, 1]."""
    example: str
    """One such row."""


def _sound_of(rows: pd.DataFrame) -> pd.Series:
    """Name the sound of each row: a copy has that of its clip, an augmentation its own."""
    is_copy = rows["variant"].str.startswith("copy") | (rows["variant"] == "original")
    return rows["audio_sha256"] + rows["variant"].where(~is_copy, "")


Kinds = Mapping[str, tuple[str, Callable[[pd.DataFrame], pd.Series]]]
FINDINGS: Kinds = {
    "same_row": ("the same row in two parts", lambda rows: rows["row_id"]),
    "same_audio": ("the same audio in two parts", _sound_of),
    "same_parent": (
        "versions of one clip (copies, augmentations) in two parts",
        lambda rows: rows["audio_sha256"],
    ),
    "same_speaker": ("the same speaker in two parts", lambda rows: rows["speaker"]),
}

# Worth knowing, and no leak: most corpora have few sentences, which all speakers say. A protocol
# that promises to avoid one is held to it.
OBSERVATIONS: Kinds = {
    "same_statement": ("the same statement in two parts", lambda rows: rows["statement"]),
}


def audit_fold(rows: pd.DataFrame, fold: Fold, *, kinds: Kinds = FINDINGS) -> list[Finding]:
    """Find rows of one part that are known from another: one finding a kind and pair of parts."""
    return _compare_parts(_RowKeys.of(rows, kinds), fold)


@dataclass(frozen=True)
class _RowKeys:
    """What rows are compared by, as numbers; made once for all folds of a split."""

    row_ids: pd.Index
    codes: Mapping[str, np.ndarray]
    """By kind: one number a row, the same for rows that share what the kind is about."""

    @classmethod
    def of(cls, rows: pd.DataFrame, kinds: Kinds) -> _RowKeys:
        codes = {
            kind: pd.factorize(key_of(rows), use_na_sentinel=False)[0]
            for kind, (_, key_of) in kinds.items()
        }
        return cls(pd.Index(rows["row_id"]), codes)


def _compare_parts(keys: _RowKeys, fold: Fold) -> list[Finding]:
    """Compare the parts of a fold pair by pair; raise where it names rows that are not there."""
    parts = {
        part: keys.row_ids.get_indexer(list(getattr(fold, part)))
        for part in ("train", "validation", "test")
    }
    unknown = [
        row
        for part, positions in parts.items()
        for row, position in zip(getattr(fold, part), positions, strict=True)
        if position < 0
    ]
    if unknown:
        raise SplitError(f"the fold names {len(unknown)} unknown rows:{offenders(unknown)}")
    found = []
    for kind, codes in keys.codes.items():
        for first, second in PAIRS:
            is_known = np.zeros(len(codes), dtype=bool)
            is_known[codes[parts[first]]] = True
            shared = parts[second][is_known[codes[parts[second]]]]
            if len(shared):
                share = len(shared) / len(parts[second])
                example = str(keys.row_ids[shared[0]])
                found.append(Finding(kind, (first, second), len(shared), share, example))
    return found


def audit_split(rows: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Audit every fold of a split.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `rows_of`, with all variants that the folds name.
    split : Split
        What to audit.

    Returns
    -------
    pandas.DataFrame
        Columns `kind, describes, first, second, n_rows, share, example`; one row a kind and pair,
        counts summed and shares averaged over the folds that have it. Empty for a clean split.

    Raises
    ------
    SplitError
        If a fold names rows that are not there.
    """
    return _table_of(rows, split, FINDINGS)


def observe_split(rows: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Return what parts share that is no leak, as `audit_split`: the statements.

    Observations stop a run only where its protocol promises to avoid them (`splits.PROMISES`).
    """
    return _table_of(rows, split, OBSERVATIONS)


def _table_of(rows: pd.DataFrame, split: Split, kinds: Kinds) -> pd.DataFrame:
    keys = _RowKeys.of(rows, kinds)
    records = [
        {
            "kind": one.kind,
            "describes": kinds[one.kind][0],
            "first": one.parts[0],
            "second": one.parts[1],
            "n_rows": one.n_rows,
            "share": one.share,
            "example": one.example,
        }
        for fold in split.folds
        for one in _compare_parts(keys, fold)
    ]
    columns = ["kind", "describes", "first", "second", "n_rows", "share", "example"]
    table = pd.DataFrame(records, columns=columns)
    keys = ["kind", "describes", "first", "second"]
    sums = table.groupby(keys, sort=False, as_index=False).agg(
        n_rows=("n_rows", "sum"), share=("share", "mean"), example=("example", "first")
    )
    return sums[columns]


def check_split(rows: pd.DataFrame, split: Split, *, declared: Sequence[str] = ()) -> pd.DataFrame:
    """Audit a split and raise where it leaks in a way that its study does not declare.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `rows_of`, with all variants that the folds name.
    split : Split
        What to audit.
    declared : sequence of str
        Kinds of finding, keys of `FINDINGS`, that the study declares.

    Returns
    -------
    pandas.DataFrame
        As `audit_split`.

    Raises
    ------
    LeakError
        With every undeclared finding, and with every observation about the test rows that the
        protocol promises to avoid.
    """
    table = audit_split(rows, split)
    refused = table[~table["kind"].isin(declared)]
    promised = PROMISES.get(split.protocol, ())
    if promised:
        seen = observe_split(rows, split)
        broken = seen[seen["kind"].isin(promised) & (seen["second"] == "test")]
        refused = pd.concat([refused, broken]) if len(broken) else refused
    if len(refused):
        lines = [
            f"{row.describes}: {row.n_rows} rows of {row.second} are known from {row.first} "
            f"(for example {row.example})"
            for row in refused.itertuples()
        ]
        raise LeakError(
            f"{split.protocol}: this split leaks:{offenders(lines)}\n"
            "Split by speaker before copying or augmenting, or declare the leak in the study."
        )
    return table
