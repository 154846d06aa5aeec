"""Which clips systems get wrong together, and which mistakes are the most confident, chapter 09.

A vote is one prediction a clip (`significance.mean_over_seeds`) with `clip_id, speaker, truth,
prediction`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.evaluation.calibration import confidence_of


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
