"""Results as tables of strings, ready for a notebook: scores, headline, runs, single corpora."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ser_lib.evaluation.formatting import pct, points, score_text
from ser_lib.runs.results import Result, Results

# An audit's leaks in a reader's words.
LEAKS = {"same_audio": "sound", "same_parent": "clip", "same_speaker": "speaker"}


def score_table(results: Results) -> pd.DataFrame:
    """Lay results out for `table`: one row a model and protocol, scores with intervals.

    Parameters
    ----------
    results : Results
        What to lay out.

    Returns
    -------
    pandas.DataFrame
        Strings.
    """
    rows = [
        {
            "model": one.model.title,
            "corpus": one.corpus,
            "protocol": one.protocol_name + (", shortened" if one.is_shortened else ""),
            "test rows known by": ", ".join(LEAKS.get(leak, leak) for leak in one.leaks)
            or "nothing",
            "seeds": len(one.runs),
            "UAR [95 %]": score_text(one.score, "uar"),
            "WA [95 %]": score_text(one.score, "wa"),
        }
        for one in results.all
    ]
    return pd.DataFrame(rows)


def headline_table(results: Results) -> pd.DataFrame:
    """Lay results out for the summary: one row a model, from the printed figure to the honest one.

    Parameters
    ----------
    results : Results
        With both protocols of each model.

    Returns
    -------
    pandas.DataFrame
        Strings.
    """
    rows = []
    for leaking in results.protocol("published"):
        honest = results.partner(leaking)
        rows.append(
            {
                "model": leaking.model.title + (" (ours)" if leaking.model.is_ours else ""),
                "authors' WA": pct(leaking.published or np.nan),
                "as published, WA": pct(leaking.score.wa),
                "honest WA": score_text(honest.score, "wa"),
                "step": points(honest.score.wa - leaking.score.wa),
                "honest UAR": score_text(honest.score),
                "corpus": leaking.corpus,
                "study": leaking.study.name,
            }
        )
    return pd.DataFrame(rows)


def run_table(results: Results) -> pd.DataFrame:
    """List the stored runs behind results: which folder, trained when, in how long.

    Parameters
    ----------
    results : Results
        What to list.

    Returns
    -------
    pandas.DataFrame
        One row a run.
    """
    rows = [
        {
            "run": run.folder.name,
            "trained": run.environment["date"],
            "minutes": f"{sum(run.environment['duration_s']) / 60:.1f}",
            "commit": run.environment["commit"],
        }
        for one in results.all
        for run in one.runs
    ]
    return pd.DataFrame(rows)


def cost_text(costs: pd.DataFrame) -> pd.DataFrame:
    """Write what systems cost, with units and intervals.

    Parameters
    ----------
    costs : pandas.DataFrame
        As `ser_lib.runs.costs.scored_costs` gives it; a column `task` is kept.

    Returns
    -------
    pandas.DataFrame of str
        One row a system. What is kept to predict are weights, or the training rows themselves.
    """
    shown = pd.DataFrame(
        {
            "system": one.name,
            "UAR [95 %]": f"{pct(one.uar)} [{100 * one.low:.1f}, {100 * one.high:.1f}]",
            "ms a clip": f"{one.ms:.3g}",
            "MB": f"{one.n_bytes / 1e6:.1f}",
            "numbers kept": f"{one.n_numbers:,}",
            "beaten in both": "–" if one.is_on_front else "yes",
        }
        for one in costs.itertuples()
    )
    return shown.assign(task=list(costs["task"])) if "task" in costs and len(shown) else shown


def corpus_table(named: Mapping[str, Result]) -> pd.DataFrame:
    """Lay the scores on each corpus of a pool out, one row a result and corpus.

    Parameters
    ----------
    named : mapping of str to Result
        What to lay out, by the words of the first column.

    Returns
    -------
    pandas.DataFrame
        Strings.
    """
    rows = [
        {
            "protocol": name,
            "corpus": corpus,
            "clips": f"{score.n_rows:,}",
            "speakers": score.n_speakers,
            "UAR [95 %]": score_text(score),
            "WA [95 %]": score_text(score, "wa"),
        }
        for name, result in named.items()
        for corpus, score in {"all": result.score, **result.by_corpus()}.items()
    ]
    return pd.DataFrame(rows)


def published_table(result: Result) -> pd.DataFrame:
    """Compare the figures that the authors print for classes with a result.

    Parameters
    ----------
    result : Result
        Of a model of whose classes the report prints figures.

    Returns
    -------
    pandas.DataFrame
        One row a class, strings: each printed figure as "theirs / here"; a dash stands for a class
        that the clips lack, nothing for a figure that is not printed.
    """
    ours = result.class_table()
    rows: dict[str, dict[str, str]] = {}
    for one in result.study.published_figures:
        if one.model == result.model.name and one.metric in ("precision", "recall", "f1"):
            here = f"{ours.loc[one.label, one.metric]:.2f}" if one.label in ours.index else "–"
            rows.setdefault(one.label, {})[one.metric] = f"{one.value:.2f} / {here}"
    columns = ["precision", "recall", "f1"]
    return (
        pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        .fillna("")
        .reset_index(names="class")
    )
