"""Results as tables of strings, ready for a notebook: scores, headline, runs, single corpora.

Every function returns a DataFrame for `ser_lib.report.notebook.table`; scores are written in
percent, with their 95 % intervals. `run` is the stored run of a row, to which it leads.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ser_lib.evaluation.formatting import pct, points_text, score_text
from ser_lib.runs.results import Result, Results

# An audit's leaks in a reader's words.
LEAKS = {"same_audio": "sound", "same_parent": "clip", "same_speaker": "speaker"}


def score_table(results: Results) -> pd.DataFrame:
    """Lay results out, one row a model, corpus and protocol."""
    return pd.DataFrame(
        {
            "model": one.title,
            "corpus": one.corpus_text,
            "protocol": one.protocol_name + (", shortened" if one.is_shortened else ""),
            "test rows known by": ", ".join(LEAKS.get(leak, leak) for leak in one.leaks)
            or "nothing",
            "seeds": len(one.runs),
            "UAR [95 %]": score_text(one.score, "uar"),
            "WA [95 %]": score_text(one.score, "wa"),
            "run": one.run,
        }
        for one in results.all
    )


def headline_table(results: Results) -> pd.DataFrame:
    """Lay results of both protocols out, one row a model: from the printed to the honest figure."""
    pairs = [(one, results.partner(one)) for one in results.protocol("published")]
    steps = results.steps[["difference", "low", "high", "verdict"]].itertuples(index=False)
    return pd.DataFrame(
        {
            "model": leaking.model.title + (" (ours)" if leaking.model.is_ours else ""),
            "authors' WA": pct(leaking.published or np.nan),
            "as published, WA": pct(leaking.score.wa),
            "honest WA": score_text(honest.score, "wa"),
            "step [95 %]": points_text(tuple(step[:3])),
            "unseen speakers are": step.verdict,
            "seeds": f"{len(leaking.runs)} → {len(honest.runs)}",
            "honest UAR": score_text(honest.score),
            "corpus": leaking.corpus_text,
            "study": leaking.study.name,
            "run": honest.run,
        }
        for (leaking, honest), step in zip(pairs, steps, strict=True)
    )


def cost_text(costs: pd.DataFrame) -> pd.DataFrame:
    """Write what systems cost, one row a system.

    Parameters
    ----------
    costs : pandas.DataFrame
        From `ser_lib.runs.costs.scored_costs`; a column `task` is kept. What is kept to predict
        are weights, or the training rows themselves.
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
        By the words of the first column.
    """
    return pd.DataFrame(
        {
            "protocol": name,
            "corpus": corpus,
            "clips": f"{score.n_rows:,}",
            "speakers": score.n_speakers,
            "UAR [95 %]": score_text(score),
            "WA [95 %]": score_text(score, "wa"),
            "run": result.run,
        }
        for name, result in named.items()
        for corpus, score in {"all": result.score, **result.by_corpus()}.items()
    )


def published_table(result: Result) -> pd.DataFrame:
    """Compare the figures that the authors print for classes with a result, one row a class.

    Each printed figure is written as "theirs / here"; a dash stands for a class that the clips
    lack, nothing for a figure that is not printed.
    """
    ours = result.class_table()
    metrics = ["precision", "recall", "f1"]
    rows: dict[str, dict[str, str]] = {}
    for one in result.study.published_figures:
        if one.model == result.model.name and one.metric in metrics:
            here = f"{ours.loc[one.label, one.metric]:.2f}" if one.label in ours.index else "–"
            rows.setdefault(one.label, {})[one.metric] = f"{one.value:.2f} / {here}"
    table = pd.DataFrame.from_dict(rows, orient="index", columns=metrics)
    return table.fillna("").reset_index(names="class")
