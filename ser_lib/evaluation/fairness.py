"""For whom and for what a system works: scores by group, and how far the worst speaker may fall.

Groups are compared over the classes that all of them have: RAVDESS has no strong neutral, so a
plain average would compare different tasks. Some speaker always scores worst, by chance alone;
`speaker_chance` says how low the worst accuracy would be if all speakers were alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.evaluation import bootstrap
from ser_lib.evaluation.metrics import uar

GROUP_COLUMNS = ("n_rows", "n_speakers", "uar", "low", "high", "gap", "gap_low", "gap_high")


def group_scores(
    predictions: pd.DataFrame,
    labels: Sequence[str],
    column: str,
    *,
    n_resamples: int = bootstrap.N_RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """UAR of each group of rows, and its distance from all other rows.

    Parameters
    ----------
    predictions : pandas.DataFrame
        All seeds one below the other, with `speaker, truth, prediction` and the column.
    labels : sequence of str
        All classes.
    column : str
        What makes the groups: `gender`, `intensity`, `statement`.
    n_resamples, seed : int
        Of the bootstrap over speakers.

    Returns
    -------
    pandas.DataFrame, indexed by group
        Columns `n_rows, n_speakers`; `uar, low, high` in [0, 1], over the classes that all groups
        have (`attrs["classes"]`); `gap, gap_low, gap_high`: that UAR less that of all other rows.

    Raises
    ------
    MetricError
        If there are fewer than two groups or speakers, or no class that all groups have.
    """
    groups, of_group = np.unique(predictions[column].astype(str), return_inverse=True)
    speakers, of_speaker = np.unique(predictions["speaker"], return_inverse=True)
    if len(groups) < 2:
        raise MetricError(f"all rows have the same {column} ({', '.join(groups)}): no groups")
    if len(speakers) < 2:
        raise MetricError(f"one speaker only ({speakers[0]}): no interval by speaker can be given")
    n = len(labels)
    truth, predicted = (
        bootstrap.class_numbers(predictions[one], labels) for one in ("truth", "prediction")
    )
    counts = np.zeros((len(speakers), len(groups), n, n))
    np.add.at(counts, (of_speaker, of_group, truth, predicted), 1)
    is_shared = (counts.sum(axis=(0, 3)) > 0).all(axis=0)
    if not is_shared.any():
        raise MetricError(f"no class occurs with every {column}: groups cannot be compared")
    counts[:, :, ~is_shared] = 0
    weights = bootstrap.resample_speakers(len(speakers), n_resamples, seed)
    drawn = (weights @ counts.reshape(len(speakers), -1)).reshape(-1, *counts.shape[1:])
    observed = counts.sum(axis=0)
    rows = []
    for number, group in enumerate(groups):
        is_here = of_group == number
        value, others = _group_and_rest(observed, number)
        values, rests = _group_and_rest(drawn, number)
        sizes = (int(is_here.sum()), len(set(of_speaker[is_here])))
        score = (float(value), *bootstrap.interval_of(values, len(speakers)))
        gap = (float(value - others), *bootstrap.interval_of(values - rests, len(speakers)))
        rows.append((group, *sizes, *score, *gap))
    table = pd.DataFrame(rows, columns=[column, *GROUP_COLUMNS]).set_index(column)
    table.attrs["classes"] = list(compress(labels, is_shared))
    return table


def _group_and_rest(counts: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """UAR of one group and of all others, from counts of shape (..., n_groups, n, n)."""
    here = counts[..., number, :, :]
    return _uar_or_nan(here), _uar_or_nan(counts.sum(axis=-3) - here)


def _uar_or_nan(counts: np.ndarray) -> np.ndarray:
    """UAR, or NaN where a resample has no row of the group."""
    is_empty = counts.sum(axis=(-2, -1)) == 0
    scores = uar(np.where(is_empty[..., np.newaxis, np.newaxis], 1, counts))
    return np.where(is_empty, np.nan, scores)


def speaker_accuracies(predictions: pd.DataFrame) -> pd.DataFrame:
    """Accuracy on the clips of each speaker, with an interval over these clips.

    Parameters
    ----------
    predictions : pandas.DataFrame
        All seeds one below the other, with `clip_id, speaker, truth, prediction`.

    Returns
    -------
    pandas.DataFrame, indexed by speaker
        Columns `accuracy, low, high` in [0, 1] and `n_clips`, the worst first. The interval is
        Wilson's, over clips, each counted once with its mean over seeds.

    References
    ----------
    Wilson (1927), Journal of the American Statistical Association 22(158).
    """
    from statsmodels.stats.proportion import proportion_confint

    by_clip = _hits_by_clip(predictions)
    of_speaker = by_clip.groupby("speaker")["hits"].agg(["mean", "count"])
    n, alpha = of_speaker["count"], 1 - bootstrap.INTERVAL_LEVEL
    low, high = proportion_confint(of_speaker["mean"] * n, n, alpha=alpha, method="wilson")
    columns = {"accuracy": of_speaker["mean"], "low": low, "high": high}
    table = pd.DataFrame(columns).assign(n_clips=of_speaker["count"])
    return table.sort_values(["accuracy"], kind="stable")


def _hits_by_clip(predictions: pd.DataFrame) -> pd.DataFrame:
    """Share of seeds that get a clip right, one row a clip: `speaker, truth, hits`."""
    if predictions.empty:
        raise MetricError("there are no predictions to count")
    hits = (predictions["truth"] == predictions["prediction"]).astype(float)
    by_clip = predictions.assign(hits=hits).groupby("clip_id", sort=True)
    return by_clip.agg(
        speaker=("speaker", "first"), truth=("truth", "first"), hits=("hits", "mean")
    )


@dataclass(frozen=True)
class SpeakerChance:
    """The accuracy of the worst speaker, compared with that expected of equal speakers."""

    worst: str
    accuracy: float
    expected: float
    """Mean accuracy of the worst speaker, were all alike."""
    low: float
    """The worst speaker's accuracy in the lowest 5 % of such draws."""
    worst_p: float
    """Share of draws whose worst speaker scores no higher than the real one."""
    spread: float
    """Standard deviation of the accuracy over speakers."""
    spread_expected: float
    spread_p: float
    """Share of draws whose spread is at least as large as the real one."""


def speaker_chance(
    predictions: pd.DataFrame, *, n_draws: int = bootstrap.N_RESAMPLES, seed: int = 0
) -> SpeakerChance:
    """Test whether the worst speaker scores lower than chance among so many would explain.

    If speakers were alike, it would not matter whose a clip is: hits are permuted among the clips
    of the same class, and the worst speaker is determined again, many times. The lowest of all is
    compared with the lowest of all, so that no further correction for their number is needed.

    Parameters
    ----------
    predictions : pandas.DataFrame
        As `speaker_accuracies`; MetricError where there are fewer than two speakers.
    n_draws, seed : int
        Of the permutations.

    References
    ----------
    Good (2005), Permutation, Parametric and Bootstrap Tests of Hypotheses, chapter 3; the p-value
    counts the observed order as one of the draws (Phipson & Smyth 2010).
    """
    by_clip = _hits_by_clip(predictions).sort_values("truth", kind="stable")
    speakers, of_speaker = np.unique(by_clip["speaker"], return_inverse=True)
    if len(speakers) < 2:
        raise MetricError(f"one speaker only ({speakers[0]}): no other to compare with")
    hits = by_clip["hits"].to_numpy()
    is_of = np.eye(len(speakers))[of_speaker]
    shares = is_of / is_of.sum(axis=0)
    observed = hits @ shares
    _, starts = np.unique(by_clip["truth"], return_index=True)
    blocks = np.split(hits, sorted(starts)[1:])
    rng = np.random.default_rng(seed)
    permuted = np.concatenate(
        [rng.permuted(np.tile(one, (n_draws, 1)), axis=1) for one in blocks], axis=1
    )
    drawn = permuted @ shares
    worst, spread = drawn.min(axis=1), drawn.std(axis=1, ddof=1)
    # A small tolerance, for sums in another order.
    is_as_low = worst <= observed.min() + 1e-12
    is_as_wide = spread >= observed.std(ddof=1) - 1e-12
    return SpeakerChance(
        worst=str(speakers[observed.argmin()]),
        accuracy=float(observed.min()),
        expected=float(worst.mean()),
        low=float(np.percentile(worst, 5)),
        worst_p=float((1 + is_as_low.sum()) / (1 + n_draws)),
        spread=float(observed.std(ddof=1)),
        spread_expected=float(spread.mean()),
        spread_p=float((1 + is_as_wide.sum()) / (1 + n_draws)),
    )
