"""Do systems fail where listeners do: on the same clips, in the same confusions.

A vote is one prediction a clip (`ser_lib.significance.seed_vote`) with `clip_id, speaker, truth,
prediction`. EmoDB's listening test is published clip by clip; of other corpora averages only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.mistakes import clip_hits
from ser_lib.paths import data_dir, report_dir
from ser_lib.resampling import N_RESAMPLES, interval_of, resample
from ser_lib.wording import pct

__all__ = [
    "PeopleBeside",
    "beside_people",
    "confusions_beside_people",
    "confusions_text",
    "listener_shares",
    "people_table",
]


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


def people_table(votes: Mapping[str, Mapping[str, pd.DataFrame]]) -> pd.DataFrame:
    """Lay out how listeners and systems agree, one row a task whose listeners are known.

    Parameters
    ----------
    votes : mapping of str to mapping of str to pandas.DataFrame
        By the task's title and the system's name: one prediction a clip, `clip_id` with its corpus.

    Returns
    -------
    pandas.DataFrame
        Strings; no row where no task's clips were all judged by listeners one by one.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    rows = []
    for title, systems in votes.items():
        heard = _heard_by_people(next(iter(systems.values())))
        if heard is None:
            continue
        hits = clip_hits(systems)
        speakers = next(iter(systems.values())).set_index("clip_id")["speaker"]
        people = beside_people(hits, heard, speakers)
        rows.append(
            {
                "task": title,
                "systems": str(len(systems)),
                "clips": f"{people.n_clips:,}",
                "correlation [95 %]": f"{people.correlation:.2f} "
                f"[{people.low:.2f}, {people.high:.2f}]",
                "listeners right where most systems are": f"{100 * people.recognised_hit:.1f} %",
                "where all systems fail": "no such clip"
                if np.isnan(people.recognised_missed)
                else f"{100 * people.recognised_missed:.1f} %",
            }
        )
    columns = ["task", "systems", "clips", "correlation [95 %]"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def confusions_beside_people(vote: pd.DataFrame, *, n_pairs: int = 6) -> pd.DataFrame | None:
    """Ask of a system's commonest confusions whether people doubt the same clips.

    Parameters
    ----------
    vote : pandas.DataFrame
        One prediction a clip.
    n_pairs : int
        How many confusions, commonest first.

    Returns
    -------
    pandas.DataFrame or None
        Columns `truth, prediction, n_clips`, `recognised` (mean share of listeners who heard the
        truth in these clips) and `recognised_right` (in the clips of that truth that the system
        gets right; NaN where there is none). None where listeners are not known clip by clip.

    Notes
    -----
    What listeners took a clip for is published nowhere: only how many recognised it.

    Notebook: 09_evaluation.ipynb
    """
    heard = _heard_by_people(vote)
    if heard is None:
        return None
    table = vote.assign(recognised=heard.loc[vote["clip_id"]].to_numpy())
    wrong = table[table["truth"] != table["prediction"]]
    right = table[table["truth"] == table["prediction"]].groupby("truth")["recognised"].mean()
    pairs = wrong.groupby(["truth", "prediction"])["recognised"].agg(["size", "mean"]).reset_index()
    pairs.columns = pd.Index(["truth", "prediction", "n_clips", "recognised"])
    pairs["recognised_right"] = pairs["truth"].map(right)
    return pairs.sort_values("n_clips", ascending=False, kind="stable", ignore_index=True).head(
        n_pairs
    )


def confusions_text(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Lay confusions out in strings.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        By the task's title, as from `confusions_beside_people`.

    Returns
    -------
    pandas.DataFrame
        No row where there is no table.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    if not tables:
        return pd.DataFrame(columns=["task", "truth", "prediction", "clips"])
    whole = pd.concat([one.assign(task=title) for title, one in tables.items()])
    return pd.DataFrame(
        {
            "task": whole["task"],
            "truth": whole["truth"],
            "taken for": whole["prediction"],
            "clips": whole["n_clips"],
            "listeners right, these clips": whole["recognised"].map(pct),
            "clips it gets right": whole["recognised_right"].map(pct),
        }
    ).reset_index(drop=True)


def _heard_by_people(vote: pd.DataFrame) -> pd.Series | None:
    """Return the listeners' shares of one corpus's clips; None unless all were judged."""
    names = set(vote["clip_id"].str.split("/").str[0])
    if len(names) != 1:
        return None
    shares = listener_shares(names.pop())
    return shares if shares is not None and set(vote["clip_id"]) <= set(shares.index) else None


def _correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Weighted Pearson correlation; NaN where one of them does not vary."""
    table = np.cov(first, second, aweights=weights)
    scale = np.sqrt(table[0, 0] * table[1, 1])
    return float(table[0, 1] / scale) if scale > 0 else np.nan
