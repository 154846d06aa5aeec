"""What a fold trains and is tested on: rows gathered from the arrays of all clips.

Speakers' levels are taken out here where a protocol says so: it is the fold that tells who is new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ser_lib.normalisation import NORMALISATIONS, known_clips, normalise
from ser_lib.rows import Rows
from ser_lib.splits import Fold
from ser_lib.training import FoldArrays

__all__ = ["gather_fold", "normalise_fold"]


def normalise_fold(
    array: np.ndarray, name: str, rows: pd.DataFrame, fold: Fold, positions: pd.Series
) -> np.ndarray:
    """Take speakers' own levels out of a feature, as a protocol says, for one fold.

    Parameters
    ----------
    array : ndarray, shape (n_clips, ...)
        Of all clips of the table.
    name : str
        A key of `NORMALISATIONS`.
    rows : pandas.DataFrame
        From `ser_lib.splits.rows_of`.
    fold : Fold
        Its test speakers are new.
    positions : pandas.Series
        Where each clip is in the array, by its id.

    Returns
    -------
    ndarray of float32, shape (n_clips, ...)
        Clips that have no row are 0.
    """
    rule = NORMALISATIONS[name]
    clips = rows.drop_duplicates("clip_id").reset_index(drop=True)
    is_test = clips["clip_id"].isin({one.split("#")[0] for one in fold.test})
    test_speakers = set(clips.loc[is_test, "speaker"])
    where = positions[clips["clip_id"]].to_numpy()
    training_speakers = set(clips["speaker"]) - test_speakers
    is_known, is_kind = known_clips(clips, rule, training_speakers)
    result = np.zeros(array.shape, dtype=np.float32)
    result[where] = normalise(
        array[where],
        clips["speaker"].to_numpy(),
        is_known.to_numpy(),
        is_kind.to_numpy(),
        normalisation=rule,
        training_speakers=training_speakers,
    )
    return result


def gather_fold(
    fold: Fold,
    table: pd.DataFrame,
    classes: pd.Series,
    arrays: Mapping[str, np.ndarray],
    positions: pd.Series,
    test_views: Sequence[str] = (),
) -> FoldArrays:
    """Say where each row of a fold is found; nothing is copied.

    Parameters
    ----------
    fold : Fold
        Row ids.
    table : pandas.DataFrame
        Rows of `ser_lib.splits.rows_of`, by row id.
    classes : pandas.Series
        Class numbers, by row id.
    arrays : mapping of str to ndarray
        A feature of all clips, by variant.
    positions : pandas.Series
        Where each clip is in the arrays, by its id.
    test_views : sequence of str
        Variants of the test clips to average answers over.

    Returns
    -------
    FoldArrays
    """
    names = list(arrays)

    def gather(row_ids: Sequence[str]) -> Rows:
        part = table.loc[list(row_ids)]
        sources = part["variant"].where(~part["variant"].str.startswith("copy"), "original")
        return Rows(
            tuple(arrays.values()),
            sources.map(names.index).to_numpy(),
            positions[part["clip_id"]].to_numpy(),
        )

    train, validation = list(fold.train), list(fold.validation)
    return FoldArrays(
        gather(train),
        classes[train].to_numpy(),
        gather(validation),
        classes[validation].to_numpy(),
        gather(fold.test),
        table.loc[train, "speaker"].to_numpy(),
        table.loc[validation, "speaker"].to_numpy(),
        tuple(gather([f"{row}#{view}" for row in fold.test]) for view in test_views),
    )
