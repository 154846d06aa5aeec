"""What is asked of systems beyond their score: calibration, coverage, fairness, cost.

Each function takes tasks (`ser_lib.comparison`) and returns one table over all of them, ready to
be drawn or shown; `record_extras` turns them into what `results.json` says of a result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ser_lib.calibration import brier, cross_fitted, ece, ece_by_chance, log_loss
from ser_lib.comparison import Task
from ser_lib.costs import SCORED_COLUMNS, scored_costs
from ser_lib.errors import MetricError
from ser_lib.fairness import SpeakerChance, group_scores
from ser_lib.resampling import N_RESAMPLES
from ser_lib.results import Result
from ser_lib.selective import coverage_curve
from ser_lib.wording import pct, points, share_text

__all__ = [
    "calibrated_tables",
    "calibration_table",
    "calibration_text",
    "cost_table",
    "coverage_curves",
    "fairness_table",
    "fairness_text",
    "record_extras",
    "speaker_text",
]

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
        As `ser_lib.selective.coverage_curve`, by the system's and the task's name.

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
