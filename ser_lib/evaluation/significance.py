"""The one test behind every comparison of systems, and its words.

A comparison is the mean over seeds of a score of one system less that of another, and speakers are
its unit. The jackknife over speakers gives what each of them contributes; flipping the signs of
these contributions, for all comparisons of a family at once, gives how large the largest of their
standardised differences becomes by chance. Interval, p-value and verdict come from that one
distribution and cannot contradict each other; they hold for all comparisons of the family together.
The variance over seeds is added where there are several, so that a verdict is of the recipe; of one
seed it is of that one training. `tools/simulate_tests.py` shows its errors and its power beside
those of other tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.evaluation import bootstrap
from ser_lib.evaluation.metrics import uar

COMPARISON_COLUMNS = ["difference", "low", "high", "p", "verdict"]
ABOVE, BELOW, LEVEL = "clearly above", "clearly below", "not distinguishable from"
TOO_FEW = "with too few speakers to be compared with"

# Chance that any verdict of a family is wrong.
ERROR_RATE = 1 - bootstrap.INTERVAL_LEVEL

# All signs of up to so many speakers are tried, of more as many are drawn: 2^13 is about 10,000.
MAX_ENUMERATED = 14


def mean_over_seeds(tables: Sequence[pd.DataFrame], labels: Sequence[str]) -> pd.DataFrame:
    """Join the seeds of one system into one prediction a clip: the mean of their probabilities.

    Parameters
    ----------
    tables : sequence of pandas.DataFrame
        One a seed, of the same clips in any order.
    labels : sequence of str
        All classes.

    Returns
    -------
    pandas.DataFrame
        As the tables, sorted by `clip_id`; `prediction` is the most probable class of the mean, the
        first of several equal ones. Of one seed, its own prediction stays.

    Raises
    ------
    MetricError
        If the seeds predict different clips, or the same clips with different truths.
    """
    check_same_task({f"seed {number}": [table] for number, table in enumerate(tables, start=1)})
    names = [f"p_{label}" for label in labels]
    aligned = [table.sort_values("clip_id", ignore_index=True) for table in tables]
    if len(aligned) == 1:
        return aligned[0]
    mean = np.mean([table[names].to_numpy(dtype=float) for table in aligned], axis=0)
    joined = aligned[0].copy()
    joined[names] = mean
    joined["prediction"] = np.asarray(labels, dtype=object)[mean.argmax(axis=1)]
    return joined


def check_same_task(systems: Mapping[str, Sequence[pd.DataFrame]]) -> None:
    """Raise MetricError unless all systems were tested on the same clips with the same truths."""
    named = [(name, table) for name, tables in systems.items() for table in tables]
    if not named:
        raise MetricError("there are no predictions to compare")
    first_name, first = named[0]
    truth = first.set_index("clip_id")["truth"]
    for name, table in named:
        if table["clip_id"].duplicated().any():
            twice = table.loc[table["clip_id"].duplicated(), "clip_id"].iloc[0]
            raise MetricError(f"{name} predicts {twice} twice: its folds overlap")
        if table[["clip_id", "truth"]].equals(first[["clip_id", "truth"]]):
            continue
        other = table.set_index("clip_id")["truth"]
        odd = sorted(set(truth.index) ^ set(other.index))
        if odd:
            raise MetricError(
                f"{first_name} and {name} were tested on different clips ({len(odd)} are in one "
                f"only, first: {odd[0]}); compare like with like"
            )
        differs = other.loc[truth.index] != truth
        if differs.any():
            raise MetricError(
                f"{first_name} and {name} have different truths for {int(differs.sum())} clips "
                f"(first: {differs.idxmax()}); they have different tasks"
            )


def compare_counts(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    metric: Callable[[np.ndarray], np.ndarray] = uar,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the two systems of each pair; all pairs are one family.

    Parameters
    ----------
    pairs : sequence of (ndarray, ndarray)
        Counts of `bootstrap.counts_by_speaker`, all of the same speakers.
    metric : callable
        `uar` or `wa`.
    seed : int
        Of the signs, where there are too many speakers to try all.

    Returns
    -------
    pandas.DataFrame, shape (n_pairs, 5)
        Columns `difference` (first less second) with its simultaneous 95 % interval `low, high`;
        `p`, corrected for the largest of the family; `verdict`, in the words of this file: clear
        where the interval excludes 0, which is where p is at most 0.05. Below
        `bootstrap.MIN_SPEAKERS` there is a difference only.

    References
    ----------
    Miller (1974), The jackknife, Biometrika 61(1). Westfall & Young (1993), Resampling-based
    multiple testing, chapter 2. Liu (1988), Annals of Statistics 16(4), for the signs.
    """
    differences, errors, signed = [], [], []
    for pair in pairs:
        (first, own, variance), (second, others, other_variance) = (
            _jackknife(one, metric) for one in pair
        )
        differences.append(first - second)
        errors.append(variance + other_variance)
        signed.append(own - others)
    difference = np.array(differences)
    n_speakers = len(signed[0]) if signed else 0
    if n_speakers < bootstrap.MIN_SPEAKERS:
        table = pd.DataFrame({"difference": difference}, columns=COMPARISON_COLUMNS)
        return table.assign(low=np.nan, high=np.nan, p=np.nan, verdict=TOO_FEW)
    parts = np.transpose(signed)
    parts -= parts.mean(axis=0)
    signs = _signs(n_speakers, seed)
    size = np.sqrt(parts.var(axis=0, ddof=1) / n_speakers + np.array(errors))
    largest = np.sort(_standardised(signs @ parts, (parts**2).sum(axis=0), n_speakers).max(axis=1))
    n_signs = len(largest) + 1
    # Where no speaker differs from another there is no width, however wide others become.
    widest = np.where(size > 0, largest[-int(ERROR_RATE * n_signs)] * size, 0.0)
    found = _divide(np.abs(difference), size)
    p = (n_signs - np.searchsorted(largest, found - 1e-9)) / n_signs
    low, high = difference - widest, difference + widest
    is_clear = p <= ERROR_RATE
    words = np.select([is_clear & (difference > 0), is_clear], [ABOVE, BELOW], LEVEL)
    columns = (difference, low, high, p, words)
    return pd.DataFrame(dict(zip(COMPARISON_COLUMNS, columns, strict=True)))


def turned(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `compare_counts` with the second system first."""
    other = {ABOVE: BELOW, BELOW: ABOVE}
    return {
        "difference": -row["difference"],
        "low": -row["high"],
        "high": -row["low"],
        "p": row["p"],
        "verdict": other.get(row["verdict"], row["verdict"]),
    }


def _jackknife(
    counts: np.ndarray, metric: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, np.ndarray, float]:
    """Score of one system, its speakers' pseudo-values, and its variance over seeds."""
    total = counts.sum(axis=1)
    by_seed = metric(total)
    n_seeds, n_speakers = counts.shape[:2]
    without = metric(total[:, np.newaxis] - counts).mean(axis=0)
    score = float(by_seed.mean())
    variance = float(by_seed.var(ddof=1)) / n_seeds if n_seeds > 1 else 0.0
    return score, n_speakers * score - (n_speakers - 1) * without, variance


def _signs(n_speakers: int, seed: int) -> np.ndarray:
    """Signs by speaker, without those as observed: all, up to their mirror images, or drawn."""
    if n_speakers <= MAX_ENUMERATED:
        return np.array([(1.0, *one) for one in product((1.0, -1.0), repeat=n_speakers - 1)])[1:]
    rng = np.random.default_rng(seed)
    return rng.choice((1.0, -1.0), size=(bootstrap.N_RESAMPLES - 1, n_speakers))


def _standardised(sums: np.ndarray, squares: np.ndarray, n: int) -> np.ndarray:
    """Size of the t statistics of samples of n, from their sums and sums of squares."""
    return np.abs(_divide(sums, np.sqrt(np.maximum(squares - sums**2 / n, 0) * n / (n - 1))))


def _divide(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Divide; by zero it is infinite, and zero where both are (up to rounding) zero."""
    is_zero = sizes < 1e-12
    large = np.where(np.abs(values) < 1e-12, 0.0, np.inf * np.sign(values + (values == 0)))
    return np.where(is_zero, large, values / np.where(is_zero, 1.0, sizes))


def paired_tests(
    systems: Mapping[str, Sequence[pd.DataFrame]], labels: Sequence[str]
) -> pd.DataFrame:
    """Compare every pair of systems of one task, as `compare_counts`.

    Parameters
    ----------
    systems : mapping of str to sequence of pandas.DataFrame
        Tables of predictions, one a seed, by the system's name.
    labels : sequence of str
        All classes.

    Returns
    -------
    pandas.DataFrame, shape (n_pairs, 8)
        Columns `first, second`, those of `compare_counts`, in UAR, and `n_seeds`, the fewer of
        both systems.

    Raises
    ------
    MetricError
        If the systems were not tested on the same clips, or on one speaker only.
    """
    check_same_task(systems)
    counts = {
        name: bootstrap.counts_by_speaker(tables, labels)[0] for name, tables in systems.items()
    }
    names = list(combinations(systems, 2))
    tests = compare_counts([(counts[first], counts[second]) for first, second in names])
    first, second = zip(*names, strict=True) if names else ((), ())
    fewer = [min(len(systems[one]), len(systems[other])) for one, other in names]
    return pd.DataFrame({"first": first, "second": second}).join(tests).assign(n_seeds=fewer)


def compare_tables(
    pairs: Sequence[Sequence[Sequence[pd.DataFrame]]],
    labels: Sequence[str],
    *,
    metric: Callable[[np.ndarray], np.ndarray] = uar,
) -> pd.DataFrame:
    """Compare pairs of systems, each given by its tables of predictions, as `compare_counts`.

    Parameters
    ----------
    pairs : sequence of two sequences of pandas.DataFrame
        Predictions of the first and of the second of each pair, one table a seed. The clips may
        differ; MetricError where the speakers of a family do.
    labels : sequence of str
        All classes.
    metric : callable
        `uar` or `wa`. Of accuracies, a speaker may be without clips on one side.
    """
    sides = [set().union(*(table["speaker"] for table in one)) for pair in pairs for one in pair]
    speakers = set().union(*sides)
    if metric is uar and any(one != speakers for one in sides):
        raise MetricError(
            "the two systems were tested on different speakers; compare like with like"
        )
    counts = [
        tuple(bootstrap.counts_by_speaker(one, labels, others=list(speakers))[0] for one in pair)
        for pair in pairs
    ]
    return compare_counts([(first, second) for first, second in counts], metric=metric)
