"""Do systems fail where listeners do: on the same clips, in the same confusions.

A vote is one prediction a clip (`significance.seed_vote`) with `clip_id, speaker, truth,
prediction`. EmoDB's listening test is published clip by clip; of other corpora averages only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.evaluation.calibration import confidence_of
from ser_lib.paths import data_dir, report_dir


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


def listener_shares(corpus: str) -> pd.Series | None:
    """Read which share of the listeners recognised each clip, where that was published by clip.

    Parameters
    ----------
    corpus : str
        Its name; `listeners.csv` is looked for beside its audio, then beside its report.

    Returns
    -------
    pandas.Series of float or None
        Shares in [0, 1] by clip id; None where there is no such table (RAVDESS's listeners are
        known by their average only).

    Raises
    ------
    MetricError
        If the table lacks a column, or a share is not in [0, 1].

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    for folder in (data_dir() / corpus, report_dir(corpus)):
        if (folder / "listeners.csv").is_file():
            return _read_shares(folder / "listeners.csv", corpus)
    return None


def _read_shares(path: Path, corpus: str) -> pd.Series:
    table = pd.read_csv(path)
    lacking = sorted({"clip_id", "recognised_percent"} - set(table.columns))
    if lacking:
        raise MetricError(f"{path} lacks the columns {lacking}")
    ids = [one if "/" in one else f"{corpus}/{one}" for one in table["clip_id"].astype(str)]
    shares = pd.Series(table["recognised_percent"].to_numpy(float) / 100, index=ids)
    odd = shares[~shares.between(0, 1)]
    if len(odd):
        raise MetricError(f"{path}: {odd.index[0]} was recognised by {100 * odd.iloc[0]} percent")
    return shares.rename("recognised")
