"""Errors that one can look at: clips that all systems miss, sure mistakes, and what people heard.

A vote is one prediction a clip (`ser_lib.significance.seed_vote`), indexed or not, with `clip_id,
speaker, truth, prediction` and `p_<label>`. What counts as right is each task's own truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ser_lib.calibration import confidence_of
from ser_lib.errors import MetricError
from ser_lib.paths import data_dir, report_dir
from ser_lib.resampling import N_RESAMPLES, interval_of, resample

__all__ = [
    "PeopleBeside",
    "beside_people",
    "clip_hits",
    "expected_misses",
    "listener_shares",
    "most_confident_mistakes",
    "people_text",
]


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


@dataclass(frozen=True)
class PeopleBeside:
    """How many listeners recognised the clips that systems hit and miss."""

    n_clips: int
    correlation: float
    """Spearman's, of the listeners' share and the share of systems that are right, over clips."""
    low: float
    high: float
    """Of the correlation: 95 % by speaker."""
    recognised_hit: float
    """Mean share of listeners, of clips that most systems get right."""
    recognised_missed: float
    """The same, of clips that no system gets right; NaN where there is none."""


def beside_people(
    hits: pd.DataFrame,
    recognised: pd.Series,
    speakers: pd.Series,
    *,
    n_resamples: int = N_RESAMPLES // 10,
    seed: int = 0,
) -> PeopleBeside:
    """Ask whether systems fail where people do.

    Parameters
    ----------
    hits : pandas.DataFrame
        As from `clip_hits`.
    recognised : pandas.Series
        As from `listener_shares`.
    speakers : pandas.Series of str
        By clip id.
    n_resamples, seed : int
        Of the bootstrap over speakers.

    Returns
    -------
    PeopleBeside

    Raises
    ------
    MetricError
        If clips lack a listeners' share, or there is one speaker only.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    from scipy.stats import rankdata

    missing = sorted(set(hits.index) - set(recognised.index))
    if missing:
        raise MetricError(f"{len(missing)} clips were not heard by people (first: {missing[0]})")
    shares = recognised.loc[hits.index].to_numpy()
    right = hits["n_right"].to_numpy() / (hits.shape[1] - 1)
    names, codes = np.unique(speakers.loc[hits.index], return_inverse=True)
    if len(names) < 2:
        raise MetricError(f"one speaker only ({names[0]}): no interval by speaker can be given")
    people, systems = rankdata(shares), rankdata(right)
    weights = resample(len(names), n_resamples, seed)[:, codes]
    drawn = [_correlation(people, systems, row) for row in weights]
    is_hit, is_missed = right > 0.5, right == 0
    return PeopleBeside(
        len(hits),
        _correlation(people, systems, np.ones(len(hits))),
        *interval_of(np.array(drawn)),
        float(shares[is_hit].mean()) if is_hit.any() else np.nan,
        float(shares[is_missed].mean()) if is_missed.any() else np.nan,
    )


def people_text(corpus: str, people: PeopleBeside | None) -> pd.DataFrame:
    """Lay out how listeners and systems agree, or say what is missing to tell.

    Parameters
    ----------
    corpus : str
        Its name.
    people : PeopleBeside or None
        As from `beside_people`; None where listeners' answers are not known clip by clip.

    Returns
    -------
    pandas.DataFrame
        Strings.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    if people is None:
        rows = {
            "listeners, clip by clip": f"not known for {corpus}: {corpus}/listeners.csv with "
            "clip_id and recognised_percent would be needed",
            "what listeners took a clip for": "not published in a form that is at hand",
        }
    else:
        rows = {
            "clips": f"{people.n_clips:,}",
            "correlation [95 %]": f"{people.correlation:.2f} [{people.low:.2f}, {people.high:.2f}]",
            "listeners right, clips that most systems hit": f"{100 * people.recognised_hit:.1f} %",
            "listeners right, clips that all miss": "no such clip"
            if np.isnan(people.recognised_missed)
            else f"{100 * people.recognised_missed:.1f} %",
            "what listeners took a clip for": "not published in a form that is at hand",
        }
    return pd.DataFrame({"what": list(rows), "value": list(rows.values())})


def _correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Weighted Pearson correlation; NaN where one of them does not vary."""
    table = np.cov(first, second, aweights=weights)
    scale = np.sqrt(table[0, 0] * table[1, 1])
    return float(table[0, 1] / scale) if scale > 0 else np.nan
