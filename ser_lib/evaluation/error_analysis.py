"""Which clips systems get wrong together, and which share of listeners recognised them.

A vote is one prediction a clip (`significance.mean_over_seeds`) with `clip_id, speaker, truth,
prediction`. EmoDB's listening test is published clip by clip; other corpora publish averages only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.evaluation.calibration import confidence_of
from ser_lib.paths import data_dir, report_dir


def clip_hits(votes: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tell of every clip which systems get it right, and how many: `n_right`.

    `votes` are by the system's name; clips that not all systems were tested on are left out.
    """
    if not votes:
        raise MetricError("there are no systems whose errors could be counted")
    columns = {
        name: (vote["truth"] == vote["prediction"]).set_axis(vote["clip_id"])
        for name, vote in votes.items()
    }
    hits = pd.DataFrame(columns).dropna().astype(bool).rename_axis("clip_id")
    if hits.empty:
        raise MetricError(f"no clip was predicted by all of {', '.join(votes)}")
    return hits.assign(n_right=hits.sum(axis=1))


def expected_misses(votes: Mapping[str, pd.DataFrame]) -> float:
    """Count the clips that all systems would miss if their errors were independent within a class.

    It is the product of the systems' error rates in the clip's class, summed over clips; far more
    real ones mean that the same clips are hard for all.
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
    """List the wrong predictions of highest confidence, the most confident first.

    Columns are `clip_id, truth, prediction, confidence, p_truth`.
    """
    confidence, is_right = confidence_of(vote, labels)
    of_truth = [row[f"p_{row['truth']}"] for _, row in vote.iterrows()]
    table = vote[["clip_id", "truth", "prediction"]].assign(confidence=confidence, p_truth=of_truth)
    wrong = table[~is_right]
    return wrong.sort_values("confidence", ascending=False, kind="stable").head(n_clips)


def listener_shares(corpus: str) -> pd.Series | None:
    """Read the share of listeners that recognised each clip, in [0, 1], by clip id.

    `listeners.csv` is looked for in the corpus's folder, then in that of its report; without one
    the result is None.
    """
    folders = (data_dir() / corpus, report_dir(corpus))
    path = next((one for folder in folders if (one := folder / "listeners.csv").is_file()), None)
    if path is None:
        return None
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
