"""Errors that one can look at: clips that all systems miss, and sure mistakes.

A vote is one prediction a clip (`ser_lib.significance.seed_vote`), indexed or not, with `clip_id,
speaker, truth, prediction` and `p_<label>`. What counts as right is each task's own truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ser_lib.calibration import confidence_of
from ser_lib.errors import MetricError

__all__ = ["clip_hits", "expected_misses", "most_confident_mistakes"]


def clip_hits(votes: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count for every clip how many systems get it right.

    Parameters
    ----------
    votes : mapping of str to pandas.DataFrame
        One prediction a clip, by the system's name.

    Returns
    -------
    pandas.DataFrame, indexed by clip_id
        One column of bool a system, and `n_right`; clips that every system was tested on.

    Raises
    ------
    MetricError
        If there is no system, or no clip that all were tested on.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    if not votes:
        raise MetricError("there are no systems whose errors could be counted")
    columns = {
        name: (vote["truth"] == vote["prediction"]).set_axis(vote["clip_id"])
        for name, vote in votes.items()
    }
    hits = pd.DataFrame(columns).dropna().astype(bool).rename_axis("clip_id")
    if hits.empty:
        raise MetricError(f"no clip was given to all of {', '.join(votes)}")
    return hits.assign(n_right=hits.sum(axis=1))


def expected_misses(votes: Mapping[str, pd.DataFrame]) -> float:
    """Count the clips that all systems would miss, did each fail by itself within a class.

    Parameters
    ----------
    votes : mapping of str to pandas.DataFrame
        As `clip_hits`, of the same clips.

    Returns
    -------
    float
        The product of the systems' error rates in the clip's class, summed over clips. Far more
        real ones mean that the same clips are hard for all.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    clips = clip_hits(votes).index
    product = np.ones(len(clips))
    for vote in votes.values():
        table = vote.set_index("clip_id").loc[clips]
        is_wrong = (table["truth"] != table["prediction"]).astype(float)
        product *= is_wrong.groupby(table["truth"]).transform("mean").to_numpy()
    return float(product.sum())


def most_confident_mistakes(
    vote: pd.DataFrame, labels: Sequence[str], *, n_clips: int = 6
) -> pd.DataFrame:
    """List the wrong predictions of which a system is surest.

    Parameters
    ----------
    vote : pandas.DataFrame
        One prediction a clip.
    labels : sequence of str
        All classes.
    n_clips : int
        How many.

    Returns
    -------
    pandas.DataFrame
        Columns `clip_id, truth, prediction, confidence, p_truth`, the surest first.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    confidence, is_right = confidence_of(vote, labels)
    of_truth = [row[f"p_{row['truth']}"] for _, row in vote.iterrows()]
    table = vote[["clip_id", "truth", "prediction"]].assign(confidence=confidence, p_truth=of_truth)
    wrong = table[~is_right]
    return wrong.sort_values("confidence", ascending=False, kind="stable").head(n_clips)
