"""Auxiliary corpora: clips of others that are trained on in every fold, and never tested.

A study names them; what is tested, and under which protocol, is its own corpus alone. Their clips
count where their emotion is a class of the study.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ser_lib import corpora
from ser_lib.errors import RunError
from ser_lib.labels import LabelSet
from ser_lib.splits import Fold, rows_of, with_training_variants

__all__ = ["load_audio", "load_auxiliary", "with_auxiliary"]


def load_auxiliary(names: Sequence[str]) -> pd.DataFrame:
    """Load the committed clip tables of corpora that help another one; there is no audio in them.

    Which clips there are to train on is decided by these tables, not by what is on this machine: a
    copy that lacks some must not pass for the whole (`load_audio`).

    Parameters
    ----------
    names : sequence of str
        Keys of `ser_lib.corpora.CORPORA`.

    Returns
    -------
    pandas.DataFrame
        One table below the other; no rows where there is no name.

    Raises
    ------
    CorpusError
        If no table of one is committed.
    """
    if not names:
        return pd.DataFrame(columns=list(corpora.CLIP_COLUMNS))
    tables = [corpora.load_committed(name) for name in names]
    return pd.concat(tables, ignore_index=True)


def load_audio(names: Sequence[str]) -> pd.DataFrame:
    """Load the same clips with the paths of their recordings.

    Parameters
    ----------
    names : sequence of str
        As for `load_auxiliary`.

    Returns
    -------
    pandas.DataFrame
        As `load_auxiliary`, `path` filled.

    Raises
    ------
    CorpusError
        If a corpus is damaged.
    RunError
        If recordings are missing, or are others than those of the committed table.
    """
    if not names:
        return load_auxiliary(())
    found = pd.concat([corpora.load(name) for name in names], ignore_index=True)
    if not found["path"].all():
        raise RunError(
            f"clips of {', '.join(names)} are trained on as well, and their audio is not here; "
            "point SER_DATA at the corpora"
        )
    identity = ["clip_id", "audio_sha256", "emotion"]
    if not found[identity].equals(load_auxiliary(names)[identity]):
        raise RunError(
            f"the recordings of {', '.join(names)} that are here are not those of the committed "
            "tables; compare with `ser data`, and fetch them again"
        )
    return found


def with_auxiliary(
    rows: pd.DataFrame,
    folds: Sequence[Fold],
    auxiliary: pd.DataFrame,
    label_set: LabelSet,
    augmentations: Sequence[str],
) -> tuple[pd.DataFrame, tuple[Fold, ...]]:
    """Add auxiliary clips, and their variants, to the training rows of every fold.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `rows_of`.
    folds : sequence of Fold
        Of these rows.
    auxiliary : pandas.DataFrame
        From `load_auxiliary`.
    label_set : LabelSet
        Clips of emotions that it leaves out, or that no row has, are not trained on.
    augmentations : sequence of str
        Variants of each clip, beside the original.

    Returns
    -------
    rows : pandas.DataFrame
        The auxiliary ones at its end.
    folds : tuple of Fold
        Validation and test as they were.
    """
    if auxiliary.empty:
        return rows, tuple(folds)
    added = rows_of(auxiliary, label_set, ("original", *augmentations))
    added = added[added["label"].isin(rows["label"].unique())]
    originals = added.loc[added["variant"] == "original", "row_id"]
    extra = with_training_variants(Fold(tuple(originals), (), ()), augmentations).train
    return (
        pd.concat([rows, added], ignore_index=True),
        tuple(Fold(one.train + extra, one.validation, one.test) for one in folds),
    )
