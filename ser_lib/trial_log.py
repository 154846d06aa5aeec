"""The log of all that was tried on a corpus on the way to a system, failures too.

One file a corpus, `reports/<corpus>/transfer/trials.csv`, to which lines are added and never taken
away: who reads a result can see how many others were looked at.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from ser_lib.errors import RunError
from ser_lib.locks import file_lock
from ser_lib.paths import atomic_path, cache_dir, report_dir

__all__ = ["TRIAL_COLUMNS", "read_trials", "record_trial"]

TRIAL_COLUMNS = ("date", "tried", "normalisation", "protocol", "inner_uar", "is_tested")


def _path(corpus: str) -> Path:
    return report_dir(corpus) / "transfer" / "trials.csv"


def read_trials(corpus: str) -> pd.DataFrame:
    """Read the table of all that was tried on a corpus; empty where there is none.

    Returns
    -------
    pandas.DataFrame
        `date, tried, normalisation, protocol, inner_uar, is_tested`, as words: UAR in percent on
        inner folds of training speakers, and whether test speakers were looked at.

    Raises
    ------
    RunError
        If the file has other columns.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    path = _path(corpus)
    if not path.is_file():
        return pd.DataFrame(columns=list(TRIAL_COLUMNS), dtype=str)
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    if tuple(table.columns) != TRIAL_COLUMNS:
        raise RunError(
            f"{path} has the columns {list(table.columns)}, not {list(TRIAL_COLUMNS)}; take it "
            "from git"
        )
    return table


def record_trial(
    corpus: str,
    tried: str,
    *,
    protocol: str,
    inner_uar: float | None,
    normalisation: str = "none",
    is_tested: bool = False,
) -> pd.DataFrame:
    """Add a line to the log, with today's date.

    Parameters
    ----------
    corpus : str
        Its name.
    tried : str
        What, in words: model, features, settings.
    protocol : str
        Which folds, and which of their inner folds.
    inner_uar : float or None
        UAR in [0, 1] on inner folds of training speakers; None where only test speakers were
        looked at.
    normalisation : str
        What was known of a speaker beforehand.
    is_tested : bool
        Whether test speakers were looked at.

    Returns
    -------
    pandas.DataFrame
        The whole log.

    Raises
    ------
    RunError
        If the words are missing, or the UAR is not in [0, 1].

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    if not tried.strip() or not protocol.strip():
        raise RunError(f"a trial needs words for what was tried and under which folds: {tried!r}")
    if inner_uar is not None and not 0 <= inner_uar <= 1:
        raise RunError(f"inner_uar={inner_uar} is no share in [0, 1]")
    percent = "" if inner_uar is None else f"{100 * inner_uar:.1f}"
    today = datetime.now(UTC).date().isoformat()
    line = (today, tried, normalisation, protocol, percent, str(is_tested))
    path = _path(corpus)
    # Two that end at once must not each take the other's line away.
    with file_lock(cache_dir() / f"trials-{corpus}.lock"):
        added = pd.DataFrame([line], columns=list(TRIAL_COLUMNS))
        table = pd.concat([read_trials(corpus), added], ignore_index=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False)
    return table
