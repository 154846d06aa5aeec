"""What is asked of systems beyond their score: calibration, coverage, fairness, cost.

Each function takes tasks (`support.comparison`) and returns one table over all of them, ready to
be drawn or shown; `record_extras` turns them into what `results.json` says of a result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ser_lib.errors import MetricError
from ser_lib.evaluation.bootstrap import (
    N_RESAMPLES,
    counts_by_speaker,
    interval_of,
    resample_speakers,
    variance_parts,
)
from ser_lib.evaluation.calibration import brier, cross_fitted, ece, ece_by_chance, log_loss
from ser_lib.evaluation.error_analysis import clip_hits, listener_shares
from ser_lib.evaluation.fairness import SpeakerChance, group_scores
from ser_lib.evaluation.formatting import pct, points, share_text
from ser_lib.evaluation.selective import coverage_curve
from ser_lib.evaluation.significance import paired_tests, seed_vote, speaker_scores, with_holm
from ser_lib.runs.costs import SCORED_COLUMNS, scored_costs
from ser_lib.runs.results import Result, Results
from support.literature import anchors_for, check_comparable

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
        As `paired_tests` with `with_holm`, and the columns `task` and `verdict`: "above" or "below"
        where both tests and the interval agree after correction, else "not distinguishable from".

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


# What people are told apart by; a corpus need not have all.
GROUPS = ("gender", "intensity", "statement")

# TESS alone has 200 statements: clips of one each say nothing about a statement.
MAX_GROUPS = 16


def calibrated_tables(result: Result) -> tuple[list[pd.DataFrame], np.ndarray] | None:
    """Calibrate each seed by temperatures of other folds' speakers.

    Parameters
    ----------
    result : Result
        Under a protocol by speaker.

    Returns
    -------
    tuple or None
        Tables, one a seed, and all temperatures; None where the folds do not allow it.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    try:
        done = [cross_fitted(one, result.labels) for one in result.tables]
    except MetricError:
        return None
    temperatures = np.concatenate([one.to_numpy() for _, one in done])
    return [one for one, _ in done], temperatures


def calibration_table(tasks: Sequence[Task]) -> pd.DataFrame:
    """Lay out how well each system knows how sure to be, before and after a temperature.

    Parameters
    ----------
    tasks : sequence of Task
        As from `tasks_of`.

    Returns
    -------
    pandas.DataFrame
        Columns `task, model`; `ece, ece_low, ece_high, ece_chance, ece_adaptive, brier, log_loss`,
        the same with `_after` for `ece, brier, log_loss`, and `temperature`, the median over seeds
        and folds; NaN where no temperature can be fitted on other speakers.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    rows = []
    for task in tasks:
        for one in task.results:
            pooled, labels = one.pooled, one.labels
            error, low, high = ece(pooled, labels)
            row = {
                "task": task.title,
                "model": task.name_of(one),
                "ece": error,
                "ece_low": low,
                "ece_high": high,
                "ece_chance": ece_by_chance(pooled, labels, n_draws=100),
                "ece_adaptive": ece(pooled, labels, is_adaptive=True, n_resamples=1)[0],
                "brier": brier(pooled, labels),
                "log_loss": log_loss(pooled, labels),
            }
            after = calibrated_tables(one)
            if after is not None:
                table = pd.concat(after[0], ignore_index=True)
                row |= {
                    "temperature": float(np.median(after[1])),
                    "ece_after": ece(table, labels, n_resamples=1)[0],
                    "brier_after": brier(table, labels),
                    "log_loss_after": log_loss(table, labels),
                }
            rows.append(row)
    columns = ["temperature", "ece_after", "brier_after", "log_loss_after"]
    table = pd.DataFrame(rows)
    return table.reindex(columns=list(dict.fromkeys([*table.columns, *columns])))


def calibration_text(table: pd.DataFrame) -> pd.DataFrame:
    """Lay a calibration table out in strings; arrows lead to the figure after temperature.

    Parameters
    ----------
    table : pandas.DataFrame
        As from `calibration_table`.

    Returns
    -------
    pandas.DataFrame
        Strings.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    rows = []
    for row in table.itertuples():
        has_after = pd.notna(row.temperature)
        after = [
            f" → {value:{form}}" if has_after else ""
            for value, form in (
                (100 * row.ece_after, ".1f"),
                (row.brier_after, ".2f"),
                (row.log_loss_after, ".2f"),
            )
        ]
        rows.append(
            {
                "task": row.task,
                "model": row.model,
                "ECE [95 %]": f"{100 * row.ece:.1f} [{100 * row.ece_low:.1f}, "
                f"{100 * row.ece_high:.1f}]{after[0]}",
                "by chance": f"{100 * row.ece_chance:.1f}",
                "adaptive": f"{100 * row.ece_adaptive:.1f}",
                "Brier": f"{row.brier:.2f}{after[1]}",
                "log loss": f"{row.log_loss:.2f}{after[2]}",
                "temperature": f"{row.temperature:.2f}" if has_after else "–",
            }
        )
    return pd.DataFrame(rows)


def coverage_curves(tasks: Sequence[Task]) -> dict[str, pd.DataFrame]:
    """Accuracy against coverage of the best system of each task.

    Parameters
    ----------
    tasks : sequence of Task
        As from `tasks_of`.

    Returns
    -------
    dict of str to pandas.DataFrame
        As `ser_lib.evaluation.selective.coverage_curve`, by the system's and the task's name.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    return {
        f"{task.name_of(task.best)} ({task.title})": coverage_curve(
            task.best.pooled, task.labels, n_resamples=N_RESAMPLES // 5
        )
        for task in tasks
    }


def fairness_table(tasks: Sequence[Task]) -> pd.DataFrame:
    """Score the best system of each task by gender, intensity and statement.

    Parameters
    ----------
    tasks : sequence of Task
        As from `tasks_of`.

    Returns
    -------
    pandas.DataFrame
        Columns `task, model, by, group, n_rows, uar, low, high, gap, gap_low, gap_high`, UAR in
        [0, 1] over the classes that all groups have; a corpus without a division, or with one into
        very many groups, lacks its rows.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    parts = []
    for task in tasks:
        pooled = task.best.pooled
        for column in GROUPS:
            # Classes that are emotions of one gender cannot be compared across genders.
            is_by_gender = column == "gender" and task.best.study.label_set.is_by_gender
            if 1 < pooled[column].nunique() <= MAX_GROUPS and not is_by_gender:
                scores = group_scores(pooled, task.labels, column).rename_axis("group")
                about = {"task": task.title, "model": task.name_of(task.best), "by": column}
                parts.append(scores.reset_index().assign(**about))
    order = ["task", "model", "by", "group", "n_rows", "uar", "low", "high"]
    gaps = ["gap", "gap_low", "gap_high"]
    if not parts:
        return pd.DataFrame(columns=order + gaps)
    return pd.concat(parts, ignore_index=True)[order + gaps]


def fairness_text(table: pd.DataFrame) -> pd.DataFrame:
    """Lay a fairness table out in strings.

    Parameters
    ----------
    table : pandas.DataFrame
        As from `fairness_table`.

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
            "model": row.model,
            "group": f"{row.by}: {row.group}",
            "UAR [95 %]": share_text((row.uar, row.low, row.high)),
            "from the others [95 %]": f"{points(row.gap)} "
            f"[{points(row.gap_low)}, {points(row.gap_high)}]",
        }
        for row in table.itertuples()
    ]
    return pd.DataFrame(rows)


def speaker_text(chances: Mapping[str, SpeakerChance]) -> pd.DataFrame:
    """Lay out how badly the worst speaker is served, beside what alike speakers would give.

    Parameters
    ----------
    chances : mapping of str to SpeakerChance
        By the task's name.

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
            "task": task,
            "served worst": one.worst,
            "accuracy": pct(one.accuracy),
            "worst of alike speakers": pct(one.expected),
            "p, worst": f"{one.worst_p:.4f}",
            "spread over speakers": f"{100 * one.spread:.1f}",
            "of alike speakers": f"{100 * one.spread_expected:.1f}",
            "p, spread": f"{one.spread_p:.4f}",
        }
        for task, one in chances.items()
    ]
    return pd.DataFrame(rows)


def cost_table(tasks: Sequence[Task]) -> pd.DataFrame:
    """Set the measured cost of each system beside its honest UAR.

    Parameters
    ----------
    tasks : sequence of Task
        As from `tasks_of`.

    Returns
    -------
    pandas.DataFrame
        Columns `task, name, uar, low, high, n_numbers, n_bytes, ms` (feature and model), `machine`,
        `is_on_front` and `chance`; models whose cost was not measured, or that are shortened here,
        are left out.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    tables = []
    for task in tasks:
        used = [one for one in task.results if not one.is_shortened]
        table = scored_costs(used, [task.name_of(one) for one in used])
        if len(table):
            tables.append(table.assign(task=task.title, chance=1 / len(task.labels)))
    columns = ["task", *SCORED_COLUMNS, "chance"]
    return pd.concat(tables or [pd.DataFrame(columns=columns)], ignore_index=True)[columns]


def record_extras(
    tasks: Sequence[Task], tests: pd.DataFrame, calibration: pd.DataFrame
) -> Mapping[tuple[str, str, str], dict[str, object]]:
    """Gather what `results.json` says beyond the scores, by study, model and corpus.

    Parameters
    ----------
    tasks : sequence of Task
        As from `tasks_of`.
    tests : pandas.DataFrame
        As from `all_tests`.
    calibration : pandas.DataFrame
        As from `calibration_table`.

    Returns
    -------
    mapping
        To `task`, `calibration` and `tests` of an honest record.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    numbers = ["difference", "low", "high", "mcnemar_holm", "wilcoxon_holm"]
    extras = {}
    for task in tasks:
        for one in task.results:
            name = task.name_of(one)
            is_here = (calibration["task"] == task.title) & (calibration["model"] == name)
            known = calibration[is_here].iloc[0].drop(["task", "model"])
            own = tests[(tests["task"] == task.title) & (tests["first"] == name)]
            pairs = [
                {"against": row["second"], "verdict": row["verdict"]}
                | {key: _rounded(row[key]) for key in numbers}
                for _, row in own.iterrows()
            ]
            extras[one.study.name, one.model.name, one.corpus] = {
                "task": task.title,
                "calibration": {key: _rounded(value) for key, value in known.items()},
                "tests": pairs,
            }
    return extras


def _rounded(value: float) -> float | None:
    return None if pd.isna(value) else float(f"{value:.4g}")


@dataclass(frozen=True)
class PeopleBeside:
    """How many listeners recognised the clips that systems hit and miss."""

    n_clips: int
    correlation: float
    """Spearman's, of the listeners' share and the share of systems that are right, over clips."""
    low: float
    high: float
    """Of the correlation: 95 % by speaker."""
    recognised_hit: float
    """Mean share of listeners, of clips that most systems get right."""
    recognised_missed: float
    """The same, of clips that no system gets right; NaN where there is none."""


def beside_people(
    hits: pd.DataFrame,
    recognised: pd.Series,
    speakers: pd.Series,
    *,
    n_resamples: int = N_RESAMPLES // 10,
    seed: int = 0,
) -> PeopleBeside:
    """Ask whether systems fail where people do.

    Parameters
    ----------
    hits : pandas.DataFrame
        As from `clip_hits`.
    recognised : pandas.Series
        As from `listener_shares`.
    speakers : pandas.Series of str
        By clip id.
    n_resamples, seed : int
        Of the bootstrap over speakers.

    Returns
    -------
    PeopleBeside

    Raises
    ------
    MetricError
        If clips lack a listeners' share, or there is one speaker only.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    from scipy.stats import rankdata

    missing = sorted(set(hits.index) - set(recognised.index))
    if missing:
        raise MetricError(f"{len(missing)} clips were not heard by people (first: {missing[0]})")
    shares = recognised.loc[hits.index].to_numpy()
    right = hits["n_right"].to_numpy() / (hits.shape[1] - 1)
    names, codes = np.unique(speakers.loc[hits.index], return_inverse=True)
    if len(names) < 2:
        raise MetricError(f"one speaker only ({names[0]}): no interval by speaker can be given")
    people, systems = rankdata(shares), rankdata(right)
    weights = resample_speakers(len(names), n_resamples, seed)[:, codes]
    drawn = [_correlation(people, systems, row) for row in weights]
    is_hit, is_missed = right > 0.5, right == 0
    return PeopleBeside(
        len(hits),
        _correlation(people, systems, np.ones(len(hits))),
        *interval_of(np.array(drawn)),
        float(shares[is_hit].mean()) if is_hit.any() else np.nan,
        float(shares[is_missed].mean()) if is_missed.any() else np.nan,
    )


def people_table(votes: Mapping[str, Mapping[str, pd.DataFrame]]) -> pd.DataFrame:
    """Lay out how listeners and systems agree, one row a task whose listeners are known.

    Parameters
    ----------
    votes : mapping of str to mapping of str to pandas.DataFrame
        By the task's title and the system's name: one prediction a clip, `clip_id` with its corpus.

    Returns
    -------
    pandas.DataFrame
        Strings; no row where no task's clips were all judged by listeners one by one.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    rows = []
    for title, systems in votes.items():
        heard = _heard_by_people(next(iter(systems.values())))
        if heard is None:
            continue
        hits = clip_hits(systems)
        speakers = next(iter(systems.values())).set_index("clip_id")["speaker"]
        people = beside_people(hits, heard, speakers)
        rows.append(
            {
                "task": title,
                "systems": str(len(systems)),
                "clips": f"{people.n_clips:,}",
                "correlation [95 %]": f"{people.correlation:.2f} "
                f"[{people.low:.2f}, {people.high:.2f}]",
                "listeners right where most systems are": f"{100 * people.recognised_hit:.1f} %",
                "where all systems fail": "no such clip"
                if np.isnan(people.recognised_missed)
                else f"{100 * people.recognised_missed:.1f} %",
            }
        )
    columns = ["task", "systems", "clips", "correlation [95 %]"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def confusions_beside_people(vote: pd.DataFrame, *, n_pairs: int = 6) -> pd.DataFrame | None:
    """Ask of a system's commonest confusions whether people doubt the same clips.

    Parameters
    ----------
    vote : pandas.DataFrame
        One prediction a clip.
    n_pairs : int
        How many confusions, commonest first.

    Returns
    -------
    pandas.DataFrame or None
        Columns `truth, prediction, n_clips`, `recognised` (mean share of listeners who heard the
        truth in these clips) and `recognised_right` (in the clips of that truth that the system
        gets right; NaN where there is none). None where listeners are not known clip by clip.

    Notes
    -----
    What listeners took a clip for is published nowhere: only how many recognised it.

    Notebook: 09_evaluation.ipynb
    """
    heard = _heard_by_people(vote)
    if heard is None:
        return None
    table = vote.assign(recognised=heard.loc[vote["clip_id"]].to_numpy())
    wrong = table[table["truth"] != table["prediction"]]
    right = table[table["truth"] == table["prediction"]].groupby("truth")["recognised"].mean()
    pairs = wrong.groupby(["truth", "prediction"])["recognised"].agg(["size", "mean"]).reset_index()
    pairs.columns = pd.Index(["truth", "prediction", "n_clips", "recognised"])
    pairs["recognised_right"] = pairs["truth"].map(right)
    return pairs.sort_values("n_clips", ascending=False, kind="stable", ignore_index=True).head(
        n_pairs
    )


def confusions_text(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Lay confusions out in strings.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        By the task's title, as from `confusions_beside_people`.

    Returns
    -------
    pandas.DataFrame
        No row where there is no table.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    if not tables:
        return pd.DataFrame(columns=["task", "truth", "prediction", "clips"])
    whole = pd.concat([one.assign(task=title) for title, one in tables.items()])
    return pd.DataFrame(
        {
            "task": whole["task"],
            "truth": whole["truth"],
            "taken for": whole["prediction"],
            "clips": whole["n_clips"],
            "listeners right, these clips": whole["recognised"].map(pct),
            "clips it gets right": whole["recognised_right"].map(pct),
        }
    ).reset_index(drop=True)


def _heard_by_people(vote: pd.DataFrame) -> pd.Series | None:
    """Return the listeners' shares of one corpus's clips; None unless all were judged."""
    names = set(vote["clip_id"].str.split("/").str[0])
    if len(names) != 1:
        return None
    shares = listener_shares(names.pop())
    return shares if shares is not None and set(vote["clip_id"]) <= set(shares.index) else None


def _correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Weighted Pearson correlation; NaN where one of them does not vary."""
    table = np.cov(first, second, aweights=weights)
    scale = np.sqrt(table[0, 0] * table[1, 1])
    return float(table[0, 1] / scale) if scale > 0 else np.nan
