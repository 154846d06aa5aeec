"""Results set side by side, like with like: by task, then in pairs, by cost, and beside others.

A task is one corpus, one set of classes, one protocol and one set of test clips. Only results of
the same task are ever compared; 'the best' is always the best of a task, never of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ser_lib.anchors import anchors_for, check_comparable
from ser_lib.resampling import N_RESAMPLES, counts_by_speaker
from ser_lib.results import Result, Results
from ser_lib.significance import paired_tests, seed_vote, speaker_scores, with_holm
from ser_lib.variance import variance_parts
from ser_lib.wording import pct, points

__all__ = [
    "Task",
    "all_tests",
    "anchor_scores",
    "beside_one",
    "p_text",
    "pair_table",
    "tasks_of",
    "variance_table",
]

# Claims of a table are held to this, all together.
LEVEL = 0.05


@dataclass(frozen=True)
class Task:
    """Results that may be compared: of the same clips, classes and protocol."""

    results: tuple[Result, ...]

    @property
    def first(self) -> Result:
        """Any of the results: what is asked of it is the same for all."""
        return self.results[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes."""
        return self.first.labels

    @property
    def title(self) -> str:
        """Corpus, number of classes and protocol, in words."""
        one = self.first
        return f"{one.corpus}, {len(one.labels)} classes, {one.protocol_name}"

    @property
    def best(self) -> Result:
        """The result with the highest UAR; picked on its own test speakers."""
        return max(self.results, key=lambda one: one.score.uar)

    def name_of(self, result: Result) -> str:
        """Name a result as briefly as tells it apart within the task."""
        titles = [one.model.title for one in self.results]
        title = result.model.title
        return title if titles.count(title) == 1 else f"{title}, {result.study.name}"

    @property
    def systems(self) -> dict[str, tuple[pd.DataFrame, ...]]:
        """Tables of predictions, one a seed, by the system's name."""
        return {self.name_of(one): one.tables for one in self.results}

    def vote(self, result: Result) -> pd.DataFrame:
        """One prediction a clip of a result, joined from its seeds."""
        return seed_vote(result.tables, self.labels)

    @cached_property
    def votes(self) -> dict[str, pd.DataFrame]:
        """One prediction a clip, by the system's name, of systems that are above chance."""
        chance = 1 / len(self.labels)
        return {
            self.name_of(one): self.vote(one) for one in self.results if one.score.uar_low > chance
        }


def tasks_of(results: Results, *, protocol: str = "honest") -> tuple[Task, ...]:
    """Group results by what may be compared.

    Parameters
    ----------
    results : Results
        Of any studies.
    protocol : str
        "honest" or "published".

    Returns
    -------
    tuple of Task
        In the order in which they first occur.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    groups: dict[tuple, list[Result]] = {}
    for one in results.protocol(protocol):
        truth = one.tables[0].set_index("clip_id")["truth"].sort_index()
        digest = int(pd.util.hash_pandas_object(truth).sum())
        key = (one.corpus, tuple(sorted(one.labels)), one.protocol_name, digest)
        groups.setdefault(key, []).append(one)
    return tuple(Task(tuple(group)) for group in groups.values())


def all_tests(tasks: Sequence[Task], *, n_resamples: int = N_RESAMPLES) -> pd.DataFrame:
    """Test every pair of systems within each task; correct for all pairs of all tasks together.

    Parameters
    ----------
    tasks : sequence of Task
        As from `tasks_of`.
    n_resamples : int
        Of the bootstrap over speakers.

    Returns
    -------
    pandas.DataFrame
        As `ser_lib.significance.paired_tests` with `with_holm`, and the columns `task` and
        `verdict`: "above" or "below" where both tests and the interval agree after correction, else
        "not distinguishable from".

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    parts = [
        paired_tests(one.systems, one.labels, n_resamples=n_resamples).assign(task=one.title)
        for one in tasks
    ]
    filled = [one for one in parts if len(one)]
    tests = with_holm(pd.concat(filled, ignore_index=True) if filled else parts[0])
    is_clear = tests[["mcnemar_holm", "wilcoxon_holm"]].max(axis=1) < LEVEL
    is_above, is_below = is_clear & (tests["low"] > 0), is_clear & (tests["high"] < 0)
    words = np.where(is_above, "above", np.where(is_below, "below", "not distinguishable from"))
    return tests.assign(verdict=words)


def beside_one(tests: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the pairs that one system is in, each as its difference from the other.

    Parameters
    ----------
    tests : pandas.DataFrame
        As from `all_tests`, of one task.
    name : str
        The system.

    Returns
    -------
    pandas.DataFrame
        Its rows, `difference, low, high` turned round where it stood second; `name` is the other.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    is_first, is_second = tests["first"] == name, tests["second"] == name
    sign = is_first.astype(int) - is_second.astype(int)
    turned = tests.assign(
        name=tests["second"].where(is_first, tests["first"]),
        difference=sign * tests["difference"],
        low=tests["low"].where(is_first, -tests["high"]),
        high=tests["high"].where(is_first, -tests["low"]),
    )
    return turned[is_first | is_second].sort_values("difference", ignore_index=True)


def pair_table(tests: pd.DataFrame) -> pd.DataFrame:
    """Lay paired tests out, one row a pair, in strings.

    Parameters
    ----------
    tests : pandas.DataFrame
        As from `all_tests`.

    Returns
    -------
    pandas.DataFrame
        Strings.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    rows = [
        {
            "task": row.task,
            "first": row.first,
            "second": row.second,
            "UAR, first less second [95 %]": f"{points(row.difference)} "
            f"[{points(row.low)}, {points(row.high)}]",
            "right: first only / second only": f"{row.n_only_first} / {row.n_only_second}",
            "McNemar, Holm: p": p_text(row.mcnemar_holm),
            "Wilcoxon, Holm: p": p_text(row.wilcoxon_holm),
            "the first is": row.verdict,
        }
        for row in tests.itertuples(index=False)
    ]
    return pd.DataFrame(rows)


def p_text(p: float) -> str:
    """Write a p-value with three decimals.

    Examples
    --------
    >>> p_text(0.0421), p_text(2e-5)
    ('= 0.042', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def anchor_scores(task: Task) -> pd.DataFrame:
    """Put the results of a task and the published figures of the same task into one table.

    Parameters
    ----------
    task : Task
        Whose results.

    Returns
    -------
    pandas.DataFrame
        Columns `name, value, low, high` (UAR in [0, 1]), `is_ours` and `source`, best first; no
        row where nobody printed a UAR for this task.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    about = (task.first.corpus, task.labels, task.first.protocol_name)
    found = [one for one in anchors_for(*about) if one.uar is not None]
    rows = []
    for one in found:
        check_comparable(one, *about)
        low, high = one.uar_interval or (one.uar, one.uar)
        source = f"{one.source}; {one.note}" if one.note else one.source
        rows.append((one.system, one.uar, low, high, False, source))
    for one in task.results if found else ():
        score = one.score
        ends = (score.uar, score.uar_low, score.uar_high)
        rows.append((task.name_of(one), *ends, True, "here"))
    columns = ["name", "value", "low", "high", "is_ours", "source"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("value", ascending=False, ignore_index=True)


def variance_table(results: Results) -> pd.DataFrame:
    """Divide the scatter of the honest UAR between speakers and seeds, one row a result.

    Parameters
    ----------
    results : Results
        Of any studies.

    Returns
    -------
    pandas.DataFrame
        Strings, standard deviations in points; a dash where there is one seed only.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    rows = []
    for one in results.protocol("honest"):
        spread = dict.fromkeys(("speaker", "seed", "rest"), "–")
        of_mean = "–"
        if len(one.runs) > 1:
            counts, _ = counts_by_speaker(one.tables, one.labels)
            scores = np.array([speaker_scores(seed[np.newaxis]) for seed in counts]).T
            parts = variance_parts(scores)
            spread = {name: f"{100 * getattr(parts, name) ** 0.5:.1f}" for name in spread}
            shares = parts.of_mean
            total = sum(shares.values())
            of_mean = pct(shares["speaker"] / total, digits=0) if total else "–"
        rows.append(
            {
                "study": one.study.name,
                "model": one.model.title,
                "interval by speaker": f"± {50 * (one.score.uar_high - one.score.uar_low):.1f}",
                "over speakers": spread["speaker"],
                "over seeds": spread["seed"],
                "rest": spread["rest"],
                "speakers' share in the mean": of_mean,
                "seeds": len(one.runs),
            }
        )
    return pd.DataFrame(rows)
