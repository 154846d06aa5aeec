"""Paired tests between systems on the same clips, and their correction for many pairs.

A system is its tables of predictions, one a seed. Of each pair are reported: the difference in UAR
with its interval by speaker; McNemar's exact test on clips, which takes clips for independent
(those of one speaker are not: read it together with the next); and Wilcoxon's signed-rank test over
the speakers' UAR. p-values are corrected by Holm's method over all pairs that are shown together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.evaluation import bootstrap
from ser_lib.evaluation.metrics import mean_recall, uar

PAIR_COLUMNS = [
    *("first", "second", "difference", "low", "high", "n_only_first", "n_only_second"),
    *("mcnemar_p", "wilcoxon_p", "n_seeds"),
]


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


def mcnemar_p(is_first_right: np.ndarray, is_second_right: np.ndarray) -> float:
    """Two-sided p-value of McNemar's exact test of two systems on the same clips.

    It is 1 where no clip is right for one of them only. McNemar (1947), Psychometrika 12(2);
    Dietterich (1998), Neural Computation 10(7), section 3.1.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    first, second = (np.asarray(one, dtype=bool) for one in (is_first_right, is_second_right))
    if first.shape != second.shape:
        raise MetricError(f"{len(first)} clips of one system, {len(second)} of the other")
    table = [
        [int((first & second).sum()), int((first & ~second).sum())],
        [int((~first & second).sum()), int((~first & ~second).sum())],
    ]
    if table[0][1] + table[1][0] == 0:
        return 1.0
    return float(mcnemar(table, exact=True).pvalue)


def wilcoxon_p(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test of two systems' scores on the same speakers.

    Speakers on whom both score the same are left out; it is 1 where no speaker differs. Wilcoxon
    (1945), Biometrics Bulletin 1(6); Demšar (2006), JMLR 7, section 3.1.3.
    """
    from scipy.stats import wilcoxon

    if len(first) != len(second):
        raise MetricError(f"{len(first)} speakers of one system, {len(second)} of the other")
    # Rounded, so that scores that are equal up to the order of summation count as equal.
    difference = np.round(np.asarray(first, dtype=float) - np.asarray(second, dtype=float), 12)
    if not difference.any():
        return 1.0
    return float(wilcoxon(difference[difference != 0]).pvalue)


def speaker_scores(counts: np.ndarray) -> np.ndarray:
    """UAR of every speaker over the speaker's classes, mean over seeds, of `counts_by_speaker`."""
    return uar(counts).mean(axis=0)


def paired_tests(
    systems: Mapping[str, Sequence[pd.DataFrame]],
    labels: Sequence[str],
    *,
    n_resamples: int = bootstrap.N_RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Test every pair of systems of one task.

    Parameters
    ----------
    systems : mapping of str to sequence of pandas.DataFrame
        Tables of predictions, one a seed, by the system's name.
    labels : sequence of str
        All classes.
    n_resamples, seed : int
        Of the bootstrap over speakers.

    Returns
    -------
    pandas.DataFrame, shape (n_pairs, 10)
        Columns `first, second`; `difference, low, high`: UAR of the first minus that of the second,
        in [0, 1], with its 95 % interval by speaker; `n_only_first, n_only_second`: clips that only
        one of them gets right; `mcnemar_p, wilcoxon_p`: not corrected (see `with_holm`); `n_seeds`:
        seeds whose probabilities are averaged for McNemar's test, the fewer of both systems.

    Raises
    ------
    MetricError
        If the systems were not tested on the same clips, or on one speaker only.
    """
    check_same_task(systems)
    counts = {}
    for name, tables in systems.items():
        counts[name], speakers = bootstrap.counts_by_speaker(tables, labels)
    weights = bootstrap.resample_speakers(len(speakers), n_resamples, seed)
    scores = {name: bootstrap.resampled(one, weights, mean_recall) for name, one in counts.items()}
    observed = {name: uar(one.sum(axis=1)).mean() for name, one in counts.items()}
    by_speaker = {name: speaker_scores(one) for name, one in counts.items()}

    @cache
    def is_right(name: str, n_seeds: int) -> np.ndarray:
        vote = mean_over_seeds(systems[name][:n_seeds], labels)
        return vote["truth"].to_numpy() == vote["prediction"].to_numpy()

    rows = []
    for first, second in combinations(systems, 2):
        n_seeds = min(len(systems[first]), len(systems[second]))
        hits, others = is_right(first, n_seeds), is_right(second, n_seeds)
        ends = bootstrap.interval_of(scores[first] - scores[second])
        difference = (float(observed[first] - observed[second]), *ends)
        n_only = (int((hits & ~others).sum()), int((others & ~hits).sum()))
        p = (mcnemar_p(hits, others), wilcoxon_p(by_speaker[first], by_speaker[second]))
        rows.append((first, second, *difference, *n_only, *p, n_seeds))
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def with_holm(tests: pd.DataFrame) -> pd.DataFrame:
    """Add p-values corrected by Holm's method over all rows, for each kind of test separately.

    Parameters
    ----------
    tests : pandas.DataFrame
        All pairs that are shown together, with `mcnemar_p` and `wilcoxon_p`.

    Returns
    -------
    pandas.DataFrame
        With `mcnemar_holm` and `wilcoxon_holm`: where only those below 0.05 are claimed, the chance
        that any claim of the whole table is wrong is below 5 %.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6(2).
    """
    from statsmodels.stats.multitest import multipletests

    kinds = ("mcnemar", "wilcoxon")
    if tests.empty:
        return tests.assign(**{f"{kind}_holm": np.empty(0) for kind in kinds})
    holm = {kind: multipletests(tests[f"{kind}_p"], method="holm")[1] for kind in kinds}
    return tests.assign(**{f"{kind}_holm": values for kind, values in holm.items()})
