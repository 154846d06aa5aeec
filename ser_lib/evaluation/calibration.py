"""How far confidence can be trusted: reliability, calibration error, temperatures.

The confidence of a prediction is the probability of the predicted class. A temperature divides the
logits; it is fitted on other speakers than those it is applied to, and never changes which class
is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.evaluation.bootstrap import N_RESAMPLES, class_numbers, interval_of, resample_speakers
from ser_lib.evaluation.probabilities import MIN_PROBABILITY, apply_temperature

N_BINS = 10

# Log of the temperatures among which one is sought: from 1/20 to 20.
LOG_TEMPERATURES = (-3.0, 3.0)


def _probabilities_of(predictions: pd.DataFrame, labels: Sequence[str]) -> np.ndarray:
    """Return the probabilities, shape (n_rows, n_classes), brought to the sum of 1."""
    values = predictions[[f"p_{label}" for label in labels]].to_numpy(dtype=float)
    return values / values.sum(axis=1, keepdims=True)


def confidence_of(
    predictions: pd.DataFrame, labels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of each predicted class, and whether it is the true one."""
    predicted = class_numbers(predictions["prediction"], labels)
    probabilities = _probabilities_of(predictions, labels)
    confidence = probabilities[np.arange(len(predicted)), predicted]
    return confidence, predicted == class_numbers(predictions["truth"], labels)


def _bin_sums(
    predictions: pd.DataFrame, labels: Sequence[str], n_bins: int, *, is_adaptive: bool
) -> np.ndarray:
    """Sum rows, hits and confidence by speaker and bin, shape (3, n_speakers, n_bins)."""
    if predictions.empty:
        raise MetricError("there are no predictions whose calibration could be measured")
    if n_bins < 1:
        raise MetricError(f"n_bins={n_bins} must be 1 or more")
    confidence, is_right = confidence_of(predictions, labels)
    # Inner edges of bins of equal width, or with equally many predictions each.
    edges = np.arange(1, n_bins) / n_bins
    if is_adaptive:
        edges = np.unique(np.quantile(confidence, edges))
    # A confidence on an edge belongs below it, as in (0.4, 0.5].
    bins = np.searchsorted(edges, confidence, side="left")
    speakers, codes = np.unique(predictions["speaker"], return_inverse=True)
    shape = (len(speakers), len(edges) + 1)
    sums = np.zeros((3, *shape))
    for number, value in enumerate((np.ones(len(bins)), is_right, confidence)):
        np.add.at(sums[number], (codes, bins), value)
    return sums


def _ece_of(sums: np.ndarray) -> np.ndarray:
    """Compute the calibration error from sums of shape (3, ..., n_bins)."""
    rows, hits, confidence = sums
    return np.abs(hits - confidence).sum(axis=-1) / rows.sum(axis=-1)


def reliability(
    predictions: pd.DataFrame,
    labels: Sequence[str],
    *,
    n_bins: int = N_BINS,
    is_adaptive: bool = False,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare how often predictions are right with how confident they are.

    Parameters
    ----------
    predictions : pandas.DataFrame
        With `speaker, truth, prediction` and `p_<label>`.
    labels : sequence of str
        All classes.
    n_bins : int
    is_adaptive : bool
        Whether bins hold equally many predictions, else they are equally wide.
    n_resamples, seed : int
        Of the bootstrap over speakers.

    Returns
    -------
    pandas.DataFrame
        Columns `confidence, accuracy` (means), `low, high` (95 % interval of the accuracy by
        speaker) in [0, 1], and `n_rows`; one row a bin with predictions.

    References
    ----------
    Niculescu-Mizil & Caruana (2005), ICML; Guo et al. (2017), ICML, section 2.
    """
    sums = _bin_sums(predictions, labels, n_bins, is_adaptive=is_adaptive)
    rows, hits, confidence = sums.sum(axis=1)
    drawn = resample_speakers(sums.shape[1], n_resamples, seed)
    drawn_rows, drawn_hits = drawn @ sums[0], drawn @ sums[1]
    # A resample may lack all speakers with a prediction in a bin, which then has no accuracy.
    accuracy = np.divide(
        drawn_hits, drawn_rows, out=np.full_like(drawn_hits, np.nan), where=drawn_rows > 0
    )
    filled = np.flatnonzero(rows)
    ends = np.array([interval_of(accuracy[:, one], sums.shape[1]) for one in filled])
    return pd.DataFrame(
        {
            "confidence": confidence[filled] / rows[filled],
            "accuracy": hits[filled] / rows[filled],
            "low": ends[:, 0],
            "high": ends[:, 1],
            "n_rows": rows[filled].astype(int),
        }
    )


def ece(
    predictions: pd.DataFrame,
    labels: Sequence[str],
    *,
    n_bins: int = N_BINS,
    is_adaptive: bool = False,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Compute the expected calibration error: the mean gap of confidence and accuracy over bins.

    Parameters are those of `reliability`.

    Returns
    -------
    tuple of float
        The error in [0, 1], and the ends of its 95 % interval by speaker. It is a sum of absolute
        values: chance alone makes it positive, and resampled values lie higher than it.

    References
    ----------
    Naeini, Cooper & Hauskrecht (2015), AAAI; Nixon et al. (2019), CVPR workshops (adaptive bins).
    """
    sums = _bin_sums(predictions, labels, n_bins, is_adaptive=is_adaptive)
    drawn = resample_speakers(sums.shape[1], n_resamples, seed)
    values = _ece_of(np.stack([drawn @ one for one in sums]))
    return (float(_ece_of(sums.sum(axis=1))), *interval_of(values, sums.shape[1]))


def brier(predictions: pd.DataFrame, labels: Sequence[str]) -> float:
    """Brier score: the squared distance between probabilities and truth, in [0, 2]; 0 is best.

    It is a sum over classes and a mean over rows.

    Parameters
    ----------
    predictions : pandas.DataFrame
        With `truth` and `p_<label>`.
    labels : sequence of str
        All classes.

    References
    ----------
    Brier (1950), Monthly Weather Review 78(1).
    """
    from sklearn.metrics import brier_score_loss

    probabilities, truth = _scored(predictions, labels)
    numbers = range(len(labels))
    return float(brier_score_loss(truth, probabilities, labels=numbers, scale_by_half=False))


def log_loss(predictions: pd.DataFrame, labels: Sequence[str]) -> float:
    """Mean negative log-likelihood of the truth, in nats; at most -log(`MIN_PROBABILITY`) a row.

    Parameters are those of `brier`; equal probabilities give log(n_classes).
    """
    from sklearn.metrics import log_loss

    probabilities, truth = _scored(predictions, labels)
    return float(log_loss(truth, apply_temperature(probabilities, 1.0), labels=range(len(labels))))


def _scored(predictions: pd.DataFrame, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities, shape (n_rows, n_classes), and the numbers of the true classes."""
    if predictions.empty:
        raise MetricError("there are no predictions to score")
    return _probabilities_of(predictions, labels), class_numbers(predictions["truth"], labels)


def fit_temperature(predictions: pd.DataFrame, labels: Sequence[str]) -> float:
    """Fit the temperature under which the true classes of these rows are most probable.

    Parameters
    ----------
    predictions : pandas.DataFrame
        With `truth` and `p_<label>`, of speakers on whom the model was neither trained nor will be
        tested; MetricError where there is no row.
    labels : sequence of str
        All classes.

    Returns
    -------
    float
        Above 1 where the model is overconfident; from 1/20 to 20.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger (2017), On calibration of modern neural networks, ICML, section 4.
    """
    probabilities, truth = _scored(predictions, labels)
    # The network's logits, up to a constant a row.
    return temperature_of_logits(np.log(np.maximum(probabilities, MIN_PROBABILITY)), truth)


def temperature_of_logits(
    logits: np.ndarray, classes: np.ndarray, *, log_bounds: tuple[float, float] = LOG_TEMPERATURES
) -> float:
    """Find the temperature at which logits (n_rows, n_classes) fit the true classes best.

    Its logarithm is sought between `log_bounds`; the loss is convex in the inverse temperature.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    rows = np.arange(len(classes))

    def loss_at(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, classes].mean())

    found = minimize_scalar(loss_at, bounds=log_bounds, method="bounded", options={"xatol": 1e-5})
    return float(np.exp(found.x))


def with_temperature(
    predictions: pd.DataFrame, labels: Sequence[str], temperature: float
) -> pd.DataFrame:
    """Soften (above 1) or sharpen (below 1) the probabilities of a table of predictions."""
    changed = predictions.copy()
    changed[[f"p_{label}" for label in labels]] = apply_temperature(
        _probabilities_of(predictions, labels), temperature
    )
    return changed


def cross_fitted(
    predictions: pd.DataFrame, labels: Sequence[str]
) -> tuple[pd.DataFrame, pd.Series]:
    """Calibrate each fold with the temperature of the other folds, that is, of other speakers.

    It is fitted on their test predictions, all that stored runs hold: of speakers that are unseen,
    as validation speakers are, but by other models than the one that is calibrated.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Of one seed, with `fold, speaker, truth, prediction` and `p_<label>`.
    labels : sequence of str
        All classes.

    Returns
    -------
    calibrated : pandas.DataFrame
        As `predictions`, in the same order.
    temperatures : pandas.Series of float
        By fold.

    Raises
    ------
    MetricError
        If there is one fold only, or if a speaker is in several: the temperature would then be
        fitted on the speakers on whom it is evaluated.
    """
    folds = sorted(predictions["fold"].unique())
    if len(folds) < 2:
        raise MetricError("there is one fold only: no other speakers to fit the temperature on")
    n_folds = predictions.groupby("speaker")["fold"].nunique()
    if n_folds.max() > 1:
        raise MetricError(
            f"speaker {n_folds.idxmax()} is tested in {n_folds.max()} folds: the temperature would "
            "be fitted on the speakers on whom it is evaluated"
        )
    probabilities, truth = _scored(predictions, labels)
    logits = np.log(np.maximum(probabilities, MIN_PROBABILITY))
    calibrated, temperatures = probabilities.copy(), {}
    for fold in folds:
        is_here = (predictions["fold"] == fold).to_numpy()
        temperatures[fold] = temperature_of_logits(logits[~is_here], truth[~is_here])
        calibrated[is_here] = apply_temperature(probabilities[is_here], temperatures[fold])
    columns = {f"p_{label}": column for label, column in zip(labels, calibrated.T, strict=True)}
    table = predictions.assign(**columns)
    return table, pd.Series(temperatures, name="temperature").rename_axis("fold")
