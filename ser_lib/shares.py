"""Shares of rows: where the true class ranks, and how often something holds, by speaker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.resampling import N_RESAMPLES, interval_of, resample

__all__ = ["rank_of_truth", "share_interval"]


def rank_of_truth(predictions: pd.DataFrame, labels: Sequence[str]) -> pd.Series:
    """Place of the true class among all, by probability.

    Parameters
    ----------
    predictions : pandas.DataFrame, shape (n_rows, ...)
        With `truth` and `p_<label>`.
    labels : sequence of str
        All classes.

    Returns
    -------
    pandas.Series of int, shape (n_rows,)
        1 is the most probable class; of classes as probable as the true one, all come before it.

    Notes
    -----
    Notebook: 03_cnn_2d.ipynb
    """
    probabilities = predictions[[f"p_{label}" for label in labels]].to_numpy()
    position = {label: index for index, label in enumerate(labels)}
    of_truth = probabilities[np.arange(len(predictions)), predictions["truth"].map(position)]
    return pd.Series((probabilities >= of_truth[:, np.newaxis]).sum(axis=1), predictions.index)


def share_interval(
    is_hit: pd.Series, speakers: pd.Series, *, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> tuple[float, float, float]:
    """Share of rows for which something holds, with its interval by speaker.

    Parameters
    ----------
    is_hit : pandas.Series of bool, shape (n_rows,)
        Whether it holds.
    speakers : pandas.Series of str, shape (n_rows,)
        Whose rows they are.
    n_resamples, seed : int
        Of the bootstrap over speakers.

    Returns
    -------
    tuple of float
        Share, and the ends of its 95 % interval; the ends are NaN for a single speaker.

    Notes
    -----
    Notebook: 03_cnn_2d.ipynb
    """
    table = pd.DataFrame({"hits": is_hit.to_numpy(float), "speaker": speakers.to_numpy()})
    if table.empty:
        raise MetricError("there are no rows of which a share could be told")
    sums = table.groupby("speaker")["hits"].agg(["sum", "count"]).to_numpy(float)
    share = float(sums[:, 0].sum() / sums[:, 1].sum())
    if len(sums) < 2:
        return share, np.nan, np.nan
    drawn = resample(len(sums), n_resamples, seed) @ sums
    return (share, *interval_of(drawn[:, 0] / drawn[:, 1]))
