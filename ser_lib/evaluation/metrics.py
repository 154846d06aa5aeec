"""Scores of predictions: UAR, accuracy, tables by class, intervals by speaker.

A table of predictions has `clip_id, speaker, truth, prediction` and one column `p_<label>` a class.
Scores are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.evaluation import bootstrap
from ser_lib.evaluation.formatting import score_text
from ser_lib.shown import short


def uar(counts: np.ndarray) -> np.ndarray:
    """Unweighted average recall: the mean over classes of the recalls, in [0, 1].

    Parameters
    ----------
    counts : ndarray, shape (..., n_classes, n_classes)
        Confusion counts, truth by row.

    Returns
    -------
    ndarray, shape (...)
        Classes without a row are left out of the mean.

    Examples
    --------
    >>> float(uar(np.array([[9, 1], [1, 1]])))
    0.7
    """
    return mean_recall(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1))


def mean_recall(right: np.ndarray, n_rows: np.ndarray) -> np.ndarray:
    """Compute `uar` from right and all rows of every class, each of shape (..., n_classes)."""
    recalls = np.divide(right, n_rows, out=np.full(right.shape, np.nan), where=n_rows > 0)
    return np.nanmean(recalls, axis=-1)


def wa(counts: np.ndarray) -> np.ndarray:
    """Weighted accuracy: the share of rows that are right, in [0, 1].

    The shapes are those of `uar`.

    Examples
    --------
    >>> float(wa(np.array([[9, 1], [1, 1]]))) == 10 / 12
    True
    """
    return share_right(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1))


def share_right(right: np.ndarray, n_rows: np.ndarray) -> np.ndarray:
    """Compute `wa` from right and all rows of every class, each of shape (..., n_classes)."""
    return right.sum(axis=-1) / n_rows.sum(axis=-1)


def confusion_counts(
    truth: Sequence[str], prediction: Sequence[str], labels: Sequence[str]
) -> np.ndarray:
    """Count rows by true and predicted class.

    Parameters
    ----------
    truth, prediction : sequence of str, shape (n_rows,)
        Class names.
    labels : sequence of str
        All classes, in the order of the result.

    Returns
    -------
    ndarray of int, shape (n_classes, n_classes)
        Truth by row, prediction by column.

    Raises
    ------
    MetricError
        If the lengths differ, if there is no row, or if a name is not among the labels.

    Examples
    --------
    >>> confusion_counts(["a", "b", "b"], ["a", "a", "b"], ["a", "b"]).tolist()
    [[1, 0], [1, 1]]
    """
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(*_numbers(truth, prediction, labels), labels=range(len(labels)))


def _numbers(
    truth: Sequence[str], prediction: Sequence[str], labels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return class numbers; unknown classes, which scikit-learn leaves out, are an error here."""
    if len(truth) != len(prediction):
        raise MetricError(f"{len(truth)} true labels but {len(prediction)} predictions")
    if not len(truth):
        raise MetricError("there is no row to score")
    return bootstrap.class_numbers(truth, labels), bootstrap.class_numbers(prediction, labels)


def class_table(
    truth: Sequence[str], prediction: Sequence[str], labels: Sequence[str]
) -> pd.DataFrame:
    """Precision, recall and F1 of every class.

    Parameters
    ----------
    truth, prediction, labels : sequence of str
        As `confusion_counts`.

    Returns
    -------
    pandas.DataFrame, indexed by class
        Columns `precision, recall, f1` in [0, 1], and `support`, a count. A class that is never
        predicted has precision 0.
    """
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, support = precision_recall_fscore_support(
        *_numbers(truth, prediction, labels), labels=range(len(labels)), zero_division=0
    )
    columns = {"precision": precision, "recall": recall, "f1": f1, "support": support}
    return pd.DataFrame(columns, index=pd.Index(labels, name="class"))


@short
@dataclass(frozen=True)
class Score:
    """UAR and WA with their 95 % intervals; means over seeds.

    The ends are NaN below `bootstrap.MIN_SPEAKERS`.
    """

    uar: float
    uar_low: float
    uar_high: float
    wa: float
    wa_low: float
    wa_high: float
    n_rows: int
    """Test rows a seed."""
    n_speakers: int
    n_seeds: int
    uar_seed_spread: float
    """Standard deviation of the UAR over seeds; 0 for one seed."""

    def sentence(self) -> str:
        """Write the score in one line, in percent."""
        uar, wa = (score_text(self, name) for name in ("uar", "wa"))
        rows = f"{self.n_rows} rows of {self.n_speakers} speakers, {self.n_seeds} seed(s)"
        return f"UAR {uar}, WA {wa}, {rows}"


def mean_sentence(scores: Sequence[Score]) -> str:
    """Write the mean UAR over corpora in one line, in percent; each corpus weighs the same."""
    uars = [100 * one.uar for one in scores]
    mean, spread = np.mean(uars), np.std(uars, ddof=1)
    return f"UAR {mean:.1f} %, mean of {len(uars)} corpora (standard deviation {spread:.1f})"


def with_clip_columns(predictions: pd.DataFrame, clips: pd.DataFrame) -> pd.DataFrame:
    """Add the columns of the clip table (speaker, gender, ...) to predictions of its clips.

    The name of a variant, after `#` in a `clip_id`, is ignored.
    """
    base = pd.Series([one.partition("#")[0] for one in predictions["clip_id"]], dtype=object)
    extra = clips.set_index("clip_id").drop(columns=["path", "corpus"])
    missing = sorted(base[~base.isin(extra.index)].unique())
    if missing:
        raise MetricError(
            f"{len(missing)} predicted clips are not in the clip table (first: {missing[0]})"
        )
    return pd.concat(
        [predictions.reset_index(drop=True), extra.loc[base].reset_index(drop=True)], axis=1
    )


def check_predictions(predictions: pd.DataFrame, labels: Sequence[str]) -> None:
    """Raise MetricError where rows repeat, columns are missing, or classes are unknown.

    Also where probabilities do not sum to 1, to the four decimals that are stored.
    """
    names = [f"p_{label}" for label in labels]
    lacking = sorted({"clip_id", "truth", "prediction", *names} - set(predictions.columns))
    if lacking:
        raise MetricError(f"the predictions lack the columns {lacking}")
    repeated = predictions.loc[predictions["clip_id"].duplicated(), "clip_id"]
    if len(repeated):
        raise MetricError(
            f"{len(repeated)} rows are predicted twice (first: {repeated.iloc[0]}); folds overlap"
        )
    if predictions.empty:
        raise MetricError("there are no predictions to score")
    for column in ("truth", "prediction"):
        bootstrap.class_numbers(predictions[column], labels)
    probabilities = predictions[names].to_numpy(dtype=float)
    if not np.isfinite(probabilities).all():
        raise MetricError("the probabilities hold NaN or infinite values")
    error = np.abs(probabilities.sum(axis=1) - 1.0)
    if (probabilities < 0).any() or (probabilities > 1).any():
        raise MetricError("the probabilities hold values outside [0, 1]")
    if error.max(initial=0.0) > 1e-4 * len(labels):
        worst = predictions["clip_id"].iloc[int(error.argmax())]
        raise MetricError(
            f"probabilities do not sum to 1 (worst: {worst}, off by {error.max():.3f})"
        )


def score_predictions(
    tables: Sequence[pd.DataFrame],
    labels: Sequence[str],
    *,
    n_resamples: int = bootstrap.N_RESAMPLES,
    seed: int = 0,
) -> Score:
    """Score the predictions of one model, one table a seed, with intervals by speaker.

    Parameters
    ----------
    tables : sequence of pandas.DataFrame
        Each with `speaker, truth, prediction` (see `with_clip_columns`).
    labels : sequence of str
        All classes.
    n_resamples, seed : int
        Of the bootstrap over speakers.

    Returns
    -------
    Score
        Means over the tables; percentile intervals of the same mean under resampled speakers.

    Raises
    ------
    MetricError
        If there is nothing to score, only one speaker (no interval) or only one true class.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13; clusters are drawn
    whole, as in Field & Welsh (2007), JRSS B 69(3).
    """
    counts, speakers = bootstrap.counts_by_speaker(tables, labels)
    total = counts.sum(axis=1)
    right, n_rows = np.diagonal(total, axis1=1, axis2=2), total.sum(axis=2)
    if (n_rows[0] > 0).sum() < 2:
        raise MetricError("only one class occurs: the mean over classes would say nothing")
    weights = bootstrap.resample_speakers(len(speakers), n_resamples, seed)
    values: dict[str, float] = {}
    for name, metric in (("uar", mean_recall), ("wa", share_right)):
        drawn = bootstrap.resampled(counts, weights, metric)
        low, high = bootstrap.interval_of(drawn, len(speakers))
        mean = float(metric(right, n_rows).mean())
        values |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return Score(
        **values,
        n_rows=len(tables[0]),
        n_speakers=len(speakers),
        n_seeds=len(tables),
        uar_seed_spread=float(np.std(uar(total), ddof=1)) if len(tables) > 1 else 0.0,
    )
