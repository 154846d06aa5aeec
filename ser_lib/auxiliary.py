"""Auxiliary corpora: clips of others that are trained on in every fold, and never tested.

A study names them; what is tested, and under which protocol, is its own corpus alone. Their clips
count where their emotion is a class of the study.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ser_lib import corpora
from ser_lib.labels import LabelSet
from ser_lib.splits import Fold, rows_of, with_training_variants

__all__ = ["load_auxiliary", "with_auxiliary"]


def load_auxiliary(names: Sequence[str], corpus: str) -> pd.DataFrame:
    """Load the corpora that help another one, each as far as it is there and whole.

    Parameters
    ----------
    names : sequence of str
        Keys of `ser_lib.corpora.CORPORA`.
    corpus : str
        The one that is tested: it does not help itself.

    Returns
    -------
    pandas.DataFrame
        Their clip tables, one below the other; no rows where there is no name.

    Raises
    ------
    CorpusError
        If one of them is not there, and has no committed table either.
    """
    tables = [corpora.load(name, strict=False) for name in names if name != corpus]
    if not tables:
        return pd.DataFrame(columns=list(corpora.CLIP_COLUMNS))
    return pd.concat(tables, ignore_index=True)


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
