"""Whether a printed accuracy comes out again under its authors' protocol, chapter 09.

A printed figure and the one measured here are shares of two test sets. Where they differ by no more
than two such shares of that many rows differ by chance, the figure is reproduced.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm

from ser_lib.evaluation.formatting import joined, pct, points
from ser_lib.runs.results import Result, Results
from ser_lib.studies import STUDIES

LEVEL = 0.05
COLUMNS = [
    *("study", "model", "printed", "here", "margin", "verdict", "odd_classes", "unseen", "why"),
    "run",
]


def share_margin(shares: Sequence[float], n_rows: Sequence[float], n_tests: int = 1) -> float:
    """Return how far two shares of test sets of these sizes may differ by chance, in [0, 1].

    The normal approximation to two independent binomial shares, at 95 % over `n_tests` comparisons
    (Bonferroni).
    """
    p, n = np.asarray(shares, dtype=float), np.asarray(n_rows, dtype=float)
    spread = np.sqrt((p * (1 - p) / np.maximum(n, 1)).sum())
    return float(norm.ppf(1 - LEVEL / n_tests / 2) * spread)


def odd_classes(result: Result) -> list[str]:
    """Return the classes whose printed recall differs by more than chance from the one here."""
    ours = result.class_table()
    printed = [
        one
        for one in result.study.published_figures
        if (one.model, one.metric) == (result.model.name, "recall") and one.label in ours.index
    ]
    found = []
    for one in printed:
        recall, n = ours.loc[one.label, ["recall", "support"]]
        sizes = (n, n * len(result.runs))
        if abs(recall - one.value) > share_margin((one.value, recall), sizes, len(printed)):
            found.append(f"{one.label} (printed {one.value:.2f}, here {recall:.2f})")
    return found


def reproduction_table(results: Results) -> pd.DataFrame:
    """Judge every printed accuracy, one row each: `COLUMNS`, shares in [0, 1].

    `verdict` is "reproduced" where the figures differ by no more than `margin`, "partly" where that
    holds but a class or the network differs, else "not reproduced"; "not tested"
    where the authors' corpus cannot be had. `unseen` is the accuracy on unseen speakers.
    """
    rows = [_judged(one, results) for one in results.protocol("published") if one.published]
    known = {row[:2] for row in rows}
    for study in STUDIES.values():
        for figure in study.published_figures:
            model = study.model(figure.model)
            is_judged = (study.name, model.title) in known or model.is_optional
            if figure.metric == "wa" and study.stand_in and not is_judged:
                nan, why = np.nan, study.differences.get(figure.model, "")
                name = (study.name, model.title)
                rows.append((*name, figure.value, nan, nan, "not tested", "", nan, why, ""))
    return pd.DataFrame(rows, columns=COLUMNS)


def _judged(result: Result, results: Results) -> tuple[object, ...]:
    printed, here, score = result.published or np.nan, result.score.wa, result.score
    margin = share_margin((printed, here), (score.n_rows, score.n_rows * score.n_seeds))
    is_near = abs(here - printed) <= margin
    odd = odd_classes(result) if is_near else []
    why = result.study.differences.get(result.model.name, "")
    verdict = "partly" if odd or why or result.is_shortened else "reproduced"
    verdict = verdict if is_near else "not reproduced"
    unseen = results.partner(result).score.wa
    name = (result.study.name, result.model.title)
    words = (verdict, joined(odd) if odd else "")
    return (*name, printed, here, margin, *words, unseen, why, result.run)


def summary_text(table: pd.DataFrame) -> str:
    """Count the verdicts of `reproduction_table` over the figures that were tested."""
    counts = table.loc[table["verdict"] != "not tested", "verdict"].value_counts()
    return f"Printed figures: {joined([f'{n} {verdict}' for verdict, n in counts.items()])}"


def reproduction_text(table: pd.DataFrame) -> pd.DataFrame:
    """Write `reproduction_table` for a reader: percent, and points of the falls."""
    step = table["here"] - table["printed"]
    return pd.DataFrame(
        {
            "study": table["study"],
            "model": table["model"],
            "printed": table["printed"].map(pct),
            "here": table["here"].map(pct),
            "difference": step.map(points),
            "by chance up to": table["margin"].map(lambda one: points(one).lstrip("+")),
            "reproduced?": table["verdict"],
            "unseen": table["unseen"].map(pct),
            "fall from printed": (table["unseen"] - table["printed"]).map(points),
            "fall from here": (table["unseen"] - table["here"]).map(points),
            "what differs, where known": [
                "; ".join(filter(None, (row.odd_classes, row.why))) or "not known"
                if row.verdict != "reproduced"
                else ""
                for row in table.itertuples()
            ],
            "run": table["run"],
        }
    )
