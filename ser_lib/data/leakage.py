"""The leak audit: what a fold lets a model know about its test rows before the test.

Every run passes `check_split`. A finding that the study does not declare stops the run; a declared
one is stored with it and shown with its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from ser_lib.data.splits import PARTS, PROMISES, Split
from ser_lib.errors import LeakError, SplitError, offenders

# Two parts are only compared where knowing one helps with the other.
PAIRS = (("train", "test"), ("validation", "test"), ("train", "validation"))
COLUMNS = ["kind", "describes", "first", "second", "n_rows", "share", "example"]


def _sound_of(rows: pd.DataFrame) -> pd.Series:
    """Name the sound of each row: a copy has that of its clip, an augmentation its own."""
    of_variant = {
        one: "" if one == "original" or one.startswith("copy") else one
        for one in rows["variant"].unique()
    }
    return rows["audio_sha256"] + rows["variant"].map(of_variant)


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
    "same_statement": ("the same statement in two parts", lambda rows: rows["statement"])
}


def audit_split(rows: pd.DataFrame, split: Split, kinds: Kinds = FINDINGS) -> pd.DataFrame:
    """Find rows of one part of a fold that are known from another part.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `rows_of`, with all variants that the folds name.
    split : Split
        What to audit.
    kinds : mapping
        `FINDINGS`, or `OBSERVATIONS` for what parts share that is no leak.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`: a key of `kinds` and its description, the two parts, how many rows of the second
        are known from the first, their share of it in [0, 1], and one such row. One row a kind and
        pair of parts, counts summed and shares averaged over the folds that have it.

    Raises
    ------
    SplitError
        If a fold names rows that are not there.
    """
    row_ids = pd.Index(rows["row_id"])
    # One number a row and kind, the same for rows that share what the kind is about.
    codes = {
        kind: pd.factorize(key_of(rows), use_na_sentinel=False)[0]
        for kind, (_, key_of) in kinds.items()
    }
    records = []
    for fold in split.folds:
        parts = {name: row_ids.get_indexer(list(getattr(fold, name))) for name in PARTS}
        if any((part < 0).any() for part in parts.values()):
            unknown = sorted({*fold.train, *fold.validation, *fold.test}.difference(row_ids))
            raise SplitError(f"the fold names {len(unknown)} unknown rows:{offenders(unknown)}")
        for kind, (describes, _) in kinds.items():
            for first, second in PAIRS:
                is_known = np.zeros(len(rows), dtype=bool)
                is_known[codes[kind][parts[first]]] = True
                shared = parts[second][is_known[codes[kind][parts[second]]]]
                if len(shared):
                    share = len(shared) / len(parts[second])
                    example = str(row_ids[shared[0]])
                    records.append((kind, describes, first, second, len(shared), share, example))
    table = pd.DataFrame(records, columns=COLUMNS)
    sums = table.groupby(COLUMNS[:4], sort=False, as_index=False).agg(
        n_rows=("n_rows", "sum"), share=("share", "mean"), example=("example", "first")
    )
    return sums[COLUMNS]


def check_split(rows: pd.DataFrame, split: Split, *, declared: Sequence[str] = ()) -> pd.DataFrame:
    """Audit a split as `audit_split`, and raise where it leaks in a way that is not declared.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `rows_of`, with all variants that the folds name.
    split : Split
        What to audit.
    declared : sequence of str
        Kinds of finding, keys of `FINDINGS`, that the study declares.

    Raises
    ------
    LeakError
        With every undeclared finding, and with every observation about the test rows that the
        protocol promises to avoid.
    """
    table = audit_split(rows, split)
    refused = table[~table["kind"].isin(declared)]
    if promised := PROMISES.get(split.protocol):
        seen = audit_split(rows, split, OBSERVATIONS)
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
