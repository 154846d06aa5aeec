"""Comparison of systems, chapter 09: tests, literature, calibration, fairness, cost, listeners.

A `Task` groups the results that may be compared. Each function takes tasks and returns one table
over all of them, ready to be drawn or shown; `record_extras` adds them to `results.json`.
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
)
from ser_lib.evaluation.calibration import (
    N_BINS,
    brier,
    confidence_of,
    cross_fitted,
    ece,
    log_loss,
)
from ser_lib.evaluation.fairness import SpeakerChance, group_scores
from ser_lib.evaluation.formatting import pct, points, points_text, score_text, share_text
from ser_lib.evaluation.metrics import uar, wa
from ser_lib.evaluation.selective import coverage_curve
from ser_lib.evaluation.significance import (
    BELOW,
    LEVEL,
    compare_tables,
    mean_over_seeds,
    paired_tests,
    turned,
)
from ser_lib.paths import data_dir, report_dir, simulated_tests_path
from ser_lib.runs.costs import SCORED_COLUMNS, scored_costs
from ser_lib.runs.results import Result, Results, collect
from ser_lib.runs.runner import plan_run
from ser_lib.studies import OURS, STUDIES
from support.error_analysis import clip_hits
from support.variance import variance_parts


@dataclass(frozen=True)
class Task:
    """Results that may be compared: of the same clips, classes and protocol."""

    results: tuple[Result, ...]

    @property
    def first(self) -> Result:
        """The first result; corpus, classes and protocol are those of all."""
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
        """The result with the highest UAR, selected on its own test speakers."""
        return max(self.results, key=lambda one: one.score.uar)

    def name_of(self, result: Result) -> str:
        """Return the shortest name that is unique within the task."""
        titles, title = [one.title for one in self.results], result.title
        return title if titles.count(title) == 1 else f"{title}, {result.study.name}"

    @property
    def systems(self) -> dict[str, tuple[pd.DataFrame, ...]]:
        """Tables of predictions, one per seed, by the system's name."""
        return {self.name_of(one): one.tables for one in self.results}

    def vote(self, result: Result) -> pd.DataFrame:
        """Return one prediction per clip, combined from a result's seeds."""
        return mean_over_seeds(result.tables, self.labels)

    @cached_property
    def votes(self) -> dict[str, pd.DataFrame]:
        """One prediction per clip of each system above chance, by its name."""
        chance = 1 / len(self.labels)
        return {
            self.name_of(one): self.vote(one) for one in self.results if one.score.uar_low > chance
        }


def tasks_of(results: Results, *, protocol: str = "honest") -> tuple[Task, ...]:
    """Group results that may be compared (`Result.task`)."""
    groups: dict[tuple[object, ...], list[Result]] = {}
    for one in results.protocol(protocol):
        groups.setdefault(one.task, []).append(one)
    return tuple(Task(tuple(group)) for group in groups.values())


def with_rivals(results: Results) -> Results:
    """Add what else is stored of the tasks of honest results.

    A verdict holds for all pairs of its task, and is then the same in every chapter.
    """
    names = {one.name for one in results.all}
    for first in {one.task: one for one in results.protocol("honest")}.values():
        for study in {**STUDIES, **OURS}.values():
            is_known = first.corpus in (*study.corpora, *study.label_sets)
            is_here = {f"{study.name}/{one.name}" for one in study.models} <= names
            if is_known and not is_here:
                if set(study.labels_for(first.corpus).labels) == set(first.labels):
                    found = collect(study, first.clips, protocols=("honest",), stored_only=True)
                    others = (one for one in found.all if one.name not in names)
                    results += Results(tuple(one for one in others if one.task == first.task))
    return results


def training_rows(result: Result) -> float:
    """Mean number of training rows of a fold, with copies and augmented versions."""
    study, seed = result.study, int(result.runs[0].spec["seed"])
    is_published = result.protocol == "published"
    rule = (
        study.published_protocol if is_published else study.protocol(result.protocol, result.corpus)
    )
    plan = plan_run(study, result.model.name, rule, seed, result.clips)
    return float(np.mean([len(one.train) for one in plan.split.folds]))


def side_effects(results: Results) -> str:
    """Say what changes along with the leaks of published systems: training rows and seeds."""
    rows, seeds = [], 0
    published = results.protocol("published")
    for leaking in [one for one in published if not one.model.is_ours] or published:
        honest = results.partner(leaking)
        rows.append(training_rows(honest) / training_rows(leaking) - 1)
        seeds += len(honest.runs) != len(leaking.runs)
    low, high = (points(one) for one in (min(rows), max(rows)))
    span = f"{low} %" if low == high else f"{low} to {high} %"
    return (
        f"along with the leak, the number of training rows changes by {span}"
        + (f", and that of seeds in {seeds} of {len(rows)} models" if seeds else "")
        + ": the step shows the effect of both"
    )


def corpus_steps(leaking: Result, honest: Result) -> pd.DataFrame:
    """Compare the accuracies of both on the clips of each corpus of a pool, one row a corpus.

    Columns `corpus, leaking, honest`, those of `compare_counts`, and `words`, the verdict in
    brackets; each corpus is a family of its own, as speakers are of one corpus only.
    """
    before, after = leaking.tables_by_corpus(), honest.tables_by_corpus()
    scores = leaking.by_corpus(), honest.by_corpus()
    parts = [
        compare_tables([(after[name], before[name])], honest.labels, metric=wa).assign(
            corpus=name, leaking=scores[0][name].wa, honest=scores[1][name].wa
        )
        for name in after
        if name in before
    ]
    table = pd.concat(parts, ignore_index=True)
    words = table["verdict"].str.removesuffix(" from").where(table["low"].notna(), "not tested")
    return table.assign(words=words)


def steps_text(steps: pd.DataFrame) -> str:
    """Count how many steps are clear, and list the others."""
    fell = steps["verdict"] == BELOW
    level = steps.loc[steps["verdict"] == LEVEL, "name"].str.replace("\n", ", ")
    n_fell = int(fell.sum())
    return (
        f"{n_fell} of {len(steps)} {'is' if n_fell == 1 else 'are'} {BELOW} the authors' protocol"
        + (f", {len(level)} {LEVEL} it ({'; '.join(level)})" if len(level) else "")
    )


def all_tests(tasks: Sequence[Task]) -> pd.DataFrame:
    """Compare every pair of systems within each task (`paired_tests`); `task` says which."""
    parts = [paired_tests(one.systems, one.labels).assign(task=one.title) for one in tasks]
    return pd.concat([one for one in parts if len(one)] or parts[:1], ignore_index=True)


def differences_of(tests: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the pairs of one system of a task as its differences from the others (`name`)."""
    own = [
        {"name": row["second"], **row}
        if row["first"] == name
        else {**row, "name": row["first"], **turned(row)}
        for row in tests.to_dict("records")
        if name in (row["first"], row["second"])
    ]
    columns = ["name", *tests.columns]
    return pd.DataFrame(own, columns=columns).sort_values("difference", ignore_index=True)


def pair_table(tests: pd.DataFrame) -> pd.DataFrame:
    """Tabulate comparisons as strings, one row per pair."""
    rows = [
        {
            "task": row.task,
            "first": row.first,
            "second": row.second,
            "UAR, first less second [95 %, all pairs of the task]": points_text(
                (row.difference, row.low, row.high)
            ),
            "p, at most": "–"
            if np.isnan(row.p)
            else f"{np.ceil(round(1000 * row.p, 6)) / 1000:.3f}",
            "the first is": row.verdict,
            "seeds": row.n_seeds,
        }
        for row in tests.itertuples(index=False)
    ]
    return pd.DataFrame(rows)


def simulation_table() -> pd.DataFrame:
    """Read the simulated errors and power of tests, in percent; no row where there is none."""
    path = simulated_tests_path()
    if not path.is_file():
        return pd.DataFrame(columns=["speakers", "rule"])
    table = pd.read_csv(path)
    shares = {
        "error_equal": "wrong verdict, all equal",
        "error_unequal": "wrong verdict, some equal",
        "power_5": "found, 5 points",
        "power_10": "found, 10 points",
        "coverage": "coverage of a score's interval",
    }
    shown = table[list(shares)].map(lambda one: pct(one, digits=0)).rename(columns=shares)
    return table[["n_speakers", "rule"]].rename(columns={"n_speakers": "speakers"}).join(shown)


def p_text(p: float) -> str:
    """Write a p-value with three decimals.

    Examples
    --------
    >>> p_text(0.0421), p_text(2e-5)
    ('= 0.042', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def level_text(task: Task, tests: pd.DataFrame, costs: pd.DataFrame) -> str:
    """Say which system of a task has the highest UAR, and which are level with it.

    Of these the smallest and the fastest are named, where their cost was measured.
    """
    best = task.name_of(task.best)
    pairs = differences_of(tests[tests["task"] == task.title], best)
    level = list(pairs.loc[pairs["verdict"] == LEVEL, "name"])
    text = (
        f"{best} has the highest UAR of {len(task.results)} systems, "
        f"{score_text(task.best.score)}; {len(level)} of the others are {LEVEL} it"
    )
    known = costs[(costs["task"] == task.title) & costs["name"].isin([best, *level])]
    if not level or known.empty:
        return text + "."
    small, fast = (known.loc[known[by].idxmin()] for by in ("n_bytes", "ms"))
    size, time = f"{small['n_bytes'] / 1e6:.1f} MB", f"{fast['ms']:.3g} ms a clip"
    if small["name"] == fast["name"]:
        return f"{text}. Of these, the smallest and fastest is {fast['name']} ({size}, {time})."
    return (
        f"{text}. Of these, the smallest is {small['name']} ({size}), the fastest {fast['name']} "
        f"({time})."
    )


def variance_table(results: Results) -> pd.DataFrame:
    """Tabulate the standard deviation of the honest UAR over speakers and over seeds, as strings.

    In points; a dash where there is one seed only.
    """
    rows = []
    for one in results.protocol("honest"):
        spread = dict.fromkeys(("speaker", "seed", "rest"), "–")
        of_mean = "–"
        if len(one.runs) > 1:
            counts, _ = counts_by_speaker(one.tables, one.labels)
            parts = variance_parts(uar(counts).T)
            spread = {name: f"{100 * getattr(parts, name) ** 0.5:.1f}" for name in spread}
            shares = parts.of_mean
            total = sum(shares.values())
            of_mean = pct(shares["speaker"] / total, digits=0) if total else "–"
        rows.append(
            {
                "study": one.study.name,
                "model": one.title,
                "interval by speaker": f"± {50 * (one.score.uar_high - one.score.uar_low):.1f}",
                "over speakers": spread["speaker"],
                "over seeds": spread["seed"],
                "residual": spread["rest"],
                "speakers' share of the mean's variance": of_mean,
                "seeds": len(one.runs),
                "run": one.run,
            }
        )
    return pd.DataFrame(rows)


# Columns that define groups; a corpus need not have all.
GROUPS = ("gender", "intensity", "statement")

# TESS alone has 200 statements: a few clips of each say nothing about a statement.
MAX_GROUPS = 16


def calibrated_tables(result: Result) -> tuple[list[pd.DataFrame], np.ndarray] | None:
    """Calibrate each seed by temperatures of other folds' speakers, which are returned as well.

    None where the folds share speakers.
    """
    try:
        done = [cross_fitted(one, result.labels) for one in result.tables]
    except MetricError:
        return None
    temperatures = np.concatenate([one.to_numpy() for _, one in done])
    return [one for one, _ in done], temperatures


def ece_by_chance(
    predictions: pd.DataFrame, labels: Sequence[str], *, n_draws: int = 1000
) -> float:
    """Mean `ece` of draws in which each prediction is right as often as its confidence says.

    This is what bins of equal width show of perfectly calibrated predictions.
    """
    confidence, _ = confidence_of(predictions, labels)
    bins = np.searchsorted(np.arange(1, N_BINS) / N_BINS, confidence)
    is_in = (bins[:, np.newaxis] == np.unique(bins)).astype(float)
    rng = np.random.default_rng(0)
    gaps = (rng.uniform(size=(n_draws, len(confidence))) < confidence) - confidence
    return float(np.abs(gaps @ is_in).sum(axis=1).mean() / len(confidence))


def calibration_table(tasks: Sequence[Task]) -> pd.DataFrame:
    """Tabulate calibration errors before and (`_after`) after temperature scaling.

    `temperature` is the median over seeds and folds; NaN, as the columns `_after`, where none can
    be fitted on other speakers.
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
                "run": one.run,
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
    """Write a calibration table; arrows lead to the value after temperature scaling."""
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
                "run": row.run,
            }
        )
    return pd.DataFrame(rows)


def coverage_curves(tasks: Sequence[Task]) -> dict[str, pd.DataFrame]:
    """Return accuracy against coverage of the best system of each task."""
    return {
        f"{task.name_of(task.best)} ({task.title})": coverage_curve(
            task.best.pooled, task.labels, n_resamples=N_RESAMPLES // 5
        )
        for task in tasks
    }


def fairness_table(tasks: Sequence[Task]) -> pd.DataFrame:
    """Score the best system of each task by gender, intensity and statement.

    UAR in [0, 1] over the classes that all groups have; divisions that a corpus lacks, or with more
    than `MAX_GROUPS` groups, are left out.
    """
    parts = []
    for task in tasks:
        pooled = task.best.pooled
        for column in GROUPS:
            # Classes that are emotions of one gender cannot be compared across genders.
            is_by_gender = column == "gender" and task.best.study.label_set.is_by_gender
            if 1 < pooled[column].nunique() <= MAX_GROUPS and not is_by_gender:
                scores = group_scores(pooled, task.labels, column).rename_axis("group")
                name = task.name_of(task.best)
                about = {"task": task.title, "model": name, "by": column, "run": task.best.run}
                parts.append(scores.reset_index().assign(**about))
    order = ["task", "model", "by", "group", "n_rows", "uar", "low", "high", "run"]
    gaps = ["gap", "gap_low", "gap_high"]
    if not parts:
        return pd.DataFrame(columns=order + gaps)
    return pd.concat(parts, ignore_index=True)[order + gaps]


def fairness_text(table: pd.DataFrame) -> pd.DataFrame:
    """Write a fairness table."""
    rows = [
        {
            "task": row.task,
            "model": row.model,
            "group": f"{row.by}: {row.group}",
            "UAR [95 %]": share_text((row.uar, row.low, row.high)),
            "less the other clips [95 %]": points_text((row.gap, row.gap_low, row.gap_high)),
            "run": row.run,
        }
        for row in table.itertuples()
    ]
    return pd.DataFrame(rows)


def speaker_text(chances: Mapping[str, SpeakerChance]) -> pd.DataFrame:
    """Tabulate the lowest accuracy of a speaker, and that expected if all speakers were alike."""
    rows = [
        {
            "task": task,
            "lowest accuracy": one.worst,
            "accuracy": pct(one.accuracy),
            "expected lowest": pct(one.expected),
            "p, lowest": f"{one.worst_p:.4f}",
            "spread over speakers": f"{100 * one.spread:.1f}",
            "expected spread": f"{100 * one.spread_expected:.1f}",
            "p, spread": f"{one.spread_p:.4f}",
        }
        for task, one in chances.items()
    ]
    return pd.DataFrame(rows)


def cost_table(tasks: Sequence[Task]) -> pd.DataFrame:
    """Join the measured cost of each system with its honest UAR (`scored_costs`).

    Systems whose cost was not measured, or that are shortened here, are left out.
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
    """Return what `results.json` holds beyond the scores, by study, model and corpus."""
    numbers = ["difference", "low", "high", "p"]
    extras = {}
    for task in tasks:
        for one in task.results:
            name = task.name_of(one)
            is_here = (calibration["task"] == task.title) & (calibration["model"] == name)
            known = calibration[is_here].iloc[0].drop(["task", "model", "run"])
            own = tests[(tests["task"] == task.title) & (tests["first"] == name)]
            pairs = [
                {"against": row["second"], "verdict": row["verdict"]}
                | {key: _rounded(row[key]) for key in numbers}
                for _, row in own.iterrows()
            ]
            extras[one.study.name, one.model.name, one.corpus] = {
                "task": task.title,
                "title": name,
                "calibration": {key: _rounded(value) for key, value in known.items()},
                "tests": pairs,
            }
    return extras


def _rounded(value: float) -> float | None:
    return None if pd.isna(value) else float(f"{value:.4g}")


def listener_shares(corpus: str) -> pd.Series | None:
    """Read the share of listeners that recognised each clip, in [0, 1], by clip id.

    `listeners.csv` is looked for in the corpus's folder, then in that of its report; without one
    the result is None.
    """
    folders = (data_dir() / corpus, report_dir(corpus))
    path = next((one for folder in folders if (one := folder / "listeners.csv").is_file()), None)
    if path is None:
        return None
    table = pd.read_csv(path)
    lacking = sorted({"clip_id", "recognised_percent"} - set(table.columns))
    if lacking:
        raise MetricError(f"{path} lacks the columns {lacking}")
    ids = [one if "/" in one else f"{corpus}/{one}" for one in table["clip_id"].astype(str)]
    shares = pd.Series(table["recognised_percent"].to_numpy(float) / 100, index=ids)
    odd = shares[~shares.between(0, 1)]
    if len(odd):
        raise MetricError(f"{path}: {odd.index[0]} was recognised by {100 * odd.iloc[0]} percent")
    return shares.rename("recognised")


@dataclass(frozen=True)
class ListenerAgreement:
    """Listeners' recognition of the clips that systems get right and miss."""

    n_clips: int
    correlation: float
    """Spearman's, over clips: share of listeners and share of systems that are right."""
    low: float
    high: float
    """95 % interval of the correlation, by speaker."""
    recognised_hit: float
    """Mean share of listeners who are right, over clips that most systems get right."""
    recognised_missed: float
    """The same over clips that no system gets right; NaN where there is none."""


def listener_agreement(
    hits: pd.DataFrame,
    recognised: pd.Series,
    speakers: pd.Series,
    *,
    n_resamples: int = N_RESAMPLES // 10,
    seed: int = 0,
) -> ListenerAgreement:
    """Correlate, over clips, how many listeners and how many systems are right.

    `hits` is from `clip_hits`, `recognised` from `listener_shares`; raises `MetricError` if clips
    lack a listeners' share or there is only one speaker.
    """
    from scipy.stats import rankdata

    missing = sorted(set(hits.index) - set(recognised.index))
    if missing:
        raise MetricError(f"{len(missing)} clips have no listeners' share (first: {missing[0]})")
    shares = recognised.loc[hits.index].to_numpy()
    right = hits["n_right"].to_numpy() / (hits.shape[1] - 1)
    names, codes = np.unique(speakers.loc[hits.index], return_inverse=True)
    if len(names) < 2:
        raise MetricError(f"one speaker only ({names[0]}): no interval by speaker can be given")
    people, systems = rankdata(shares), rankdata(right)
    weights = resample_speakers(len(names), n_resamples, seed)[:, codes]
    drawn = [_correlation(people, systems, row) for row in weights]
    is_hit, is_missed = right > 0.5, right == 0
    return ListenerAgreement(
        len(hits),
        _correlation(people, systems, np.ones(len(hits))),
        *interval_of(np.array(drawn), len(names)),
        float(shares[is_hit].mean()) if is_hit.any() else np.nan,
        float(shares[is_missed].mean()) if is_missed.any() else np.nan,
    )


def listener_table(votes: Mapping[str, Mapping[str, pd.DataFrame]]) -> pd.DataFrame:
    """Tabulate the agreement of listeners and systems by task, as strings.

    Tasks whose clips were not all judged one by one have no row.
    """
    rows = []
    for title, systems in votes.items():
        first = next(iter(systems.values()))
        recognised = _recognised(first)
        if recognised is None:
            continue
        speakers = first.set_index("clip_id")["speaker"]
        people = listener_agreement(clip_hits(systems), recognised, speakers)
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


def confusions_of_listeners(vote: pd.DataFrame, *, n_pairs: int = 6) -> pd.DataFrame | None:
    """Return a system's most frequent confusions with the listeners' share of the same clips.

    `recognised_right` is the share for clips of that emotion which the system gets right. Which
    emotion listeners confused a clip with is not published. None where clips were not judged.
    """
    recognised = _recognised(vote)
    if recognised is None:
        return None
    table = vote.assign(recognised=recognised.loc[vote["clip_id"]].to_numpy())
    wrong = table[table["truth"] != table["prediction"]]
    right = table[table["truth"] == table["prediction"]].groupby("truth")["recognised"].mean()
    pairs = wrong.groupby(["truth", "prediction"])["recognised"].agg(["size", "mean"]).reset_index()
    pairs.columns = pd.Index(["truth", "prediction", "n_clips", "recognised"])
    pairs["recognised_right"] = pairs["truth"].map(right)
    return pairs.sort_values("n_clips", ascending=False, kind="stable", ignore_index=True).head(
        n_pairs
    )


def confusions_text(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Write tables of `confusions_of_listeners`, by the task's title."""
    if not tables:
        return pd.DataFrame(columns=["task", "truth", "prediction", "clips"])
    whole = pd.concat([one.assign(task=title) for title, one in tables.items()])
    return pd.DataFrame(
        {
            "task": whole["task"],
            "truth": whole["truth"],
            "prediction": whole["prediction"],
            "clips": whole["n_clips"],
            "listeners right, these clips": whole["recognised"].map(pct),
            "listeners right, clips it gets right": whole["recognised_right"].map(pct),
        }
    ).reset_index(drop=True)


def _recognised(vote: pd.DataFrame) -> pd.Series | None:
    """Return the share of listeners who recognised each clip; None unless all were judged."""
    names = set(vote["clip_id"].str.split("/").str[0])
    if len(names) != 1:
        return None
    shares = listener_shares(names.pop())
    return shares if shares is not None and set(vote["clip_id"]) <= set(shares.index) else None


def _correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted Pearson correlation; NaN where one of them is constant."""
    table = np.cov(first, second, aweights=weights)
    scale = np.sqrt(table[0, 0] * table[1, 1])
    return float(table[0, 1] / scale) if scale > 0 else np.nan
