"""How the true class ranks among the others, chapter 03: ROC curves, and shares of clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.evaluation.bootstrap import N_RESAMPLES, interval_of, resample_speakers
from ser_lib.runs.results import Result


def roc_curves(predictions: pd.DataFrame, labels: Sequence[str]) -> dict[str, pd.DataFrame]:
    """One-against-rest ROC curve of every class, as `false_positive_rate, true_positive_rate`.

    `attrs["auc"]` of each is the area below. Classes that all rows or no row have are left out:
    they have no curve.
    """
    from sklearn.metrics import auc, roc_curve

    curves = {}
    for label in labels:
        is_label = predictions["truth"] == label
        if is_label.nunique() < 2:
            continue
        false_rate, true_rate, _ = roc_curve(is_label, predictions[f"p_{label}"])
        columns = {"false_positive_rate": false_rate, "true_positive_rate": true_rate}
        curve = pd.DataFrame(columns)
        curve.attrs["auc"] = float(auc(false_rate, true_rate))
        curves[label] = curve
    return curves


def rank_of_truth(predictions: pd.DataFrame, labels: Sequence[str]) -> pd.Series:
    """Rank of the true class by probability: 1 is the most probable class.

    Of classes as probable as the true one, all come before it.
    """
    probabilities = predictions[[f"p_{label}" for label in labels]].to_numpy()
    position = {label: index for index, label in enumerate(labels)}
    of_truth = probabilities[np.arange(len(predictions)), predictions["truth"].map(position)]
    return pd.Series((probabilities >= of_truth[:, np.newaxis]).sum(axis=1), predictions.index)


def share_interval(is_hit: pd.Series, speakers: pd.Series) -> tuple[float, float, float]:
    """Share of rows for which something holds, with the ends of its 95 % interval by speaker.

    The ends are NaN for few speakers.
    """
    table = pd.DataFrame({"hits": is_hit.to_numpy(float), "speaker": speakers.to_numpy()})
    if table.empty:
        raise MetricError("there are no rows of which to take a share")
    sums = table.groupby("speaker")["hits"].agg(["sum", "count"]).to_numpy(float)
    share = float(sums[:, 0].sum() / sums[:, 1].sum())
    drawn = resample_speakers(len(sums), N_RESAMPLES, 0) @ sums
    return (share, *interval_of(drawn[:, 0] / drawn[:, 1], len(sums)))


def top_k(result: Result, k: int) -> tuple[float, float, float]:
    """Share of clips whose class is among the k most probable, with interval by speaker."""
    pooled = result.pooled
    return share_interval(rank_of_truth(pooled, result.labels) <= k, pooled["speaker"])
