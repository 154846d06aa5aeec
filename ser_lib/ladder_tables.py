"""The ladder's trials as tables of numbers: steps, what each leak is worth, the learning curve.

Numbers here are shares in [0, 1]; `ser_lib.wording` turns them into percent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from ser_lib.corpora import corpus_of, get_corpus
from ser_lib.dealing import KNOWN
from ser_lib.errors import EncoderError
from ser_lib.ladder import CONTROL_OF, ENCODER_SINS, STEPS, Step, permuted
from ser_lib.metrics import difference_interval
from ser_lib.trials import Trial, run_step

__all__ = [
    "best_of_seeds",
    "curve_table",
    "null_table",
    "run_encoder_steps",
    "run_steps",
    "step_table",
    "twin_table",
    "with_controls",
]


def run_steps(
    steps: Iterable[Step], clips: pd.DataFrame, *, n_seeds: int = 0, max_epochs: int = 0
) -> dict[str, Trial]:
    """Run several steps, or load what is stored of them.

    Parameters
    ----------
    steps : iterable of Step
        Which.
    clips, n_seeds, max_epochs
        As `ser_lib.trials.run_step`.

    Returns
    -------
    dict of str to Trial
        By the steps' names, in their order.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    return {one.name: run_step(one, clips, n_seeds=n_seeds, max_epochs=max_epochs) for one in steps}


def run_encoder_steps(
    clips: pd.DataFrame, *, n_seeds: int = 0, max_epochs: int = 0
) -> tuple[dict[str, Trial], str]:
    """Run the steps that need a pretrained encoder, or say what they lack.

    Parameters
    ----------
    clips, n_seeds, max_epochs
        As `ser_lib.trials.run_step`.

    Returns
    -------
    dict of str to Trial
        As `run_steps`; empty where weights are missing and nothing is stored, and on the embedded
        corpus, which does without an encoder.
    str
        What is missing and how to get it; empty where nothing is.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    if get_corpus(corpus_of(clips)).is_embedded:
        return {}, ""
    try:
        return run_steps(ENCODER_SINS, clips, n_seeds=n_seeds, max_epochs=max_epochs), ""
    except EncoderError as error:
        return {}, " ".join(str(error).split())


def step_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Lay trials out: one row a step.

    Parameters
    ----------
    trials : mapping of str to Trial
        From `run_steps`.

    Returns
    -------
    pandas.DataFrame
        Columns `step`, `name`, `value, low, high` (UAR with its 95 % interval by speaker), `wa`,
        `n_train` (training rows a fold), `n_test` (test rows a seed), `n_seeds`, and for each of
        `ser_lib.dealing.KNOWN` the share of the test rows of which training knows it.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    return pd.DataFrame(
        {
            "step": name,
            "name": one.step.title,
            "value": one.score.uar,
            "low": one.score.uar_low,
            "high": one.score.uar_high,
            "wa": one.score.wa,
            "n_train": one.n_train,
            "n_test": one.score.n_rows,
            "n_seeds": one.score.n_seeds,
            **{what: one.known(what) for what in KNOWN},
        }
        for name, one in trials.items()
    )


def with_controls(steps: pd.DataFrame, trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Set a step's control and its permuted labels beside its score, for the figure.

    Parameters
    ----------
    steps : pandas.DataFrame
        Rows of `step_table`.
    trials : mapping of str to Trial
        Controls and permuted steps; those that are not there are left empty.

    Returns
    -------
    pandas.DataFrame
        With the columns `control, control_low, control_high` and `permuted`, NaN where empty.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    controls = [trials.get(CONTROL_OF.get(one, "")) for one in steps["step"]]
    nulls = [trials.get(permuted(STEPS[one]).name) for one in steps["step"]]
    return steps.assign(
        control=[one.score.uar if one else np.nan for one in controls],
        control_low=[one.score.uar_low if one else np.nan for one in controls],
        control_high=[one.score.uar_high if one else np.nan for one in controls],
        permuted=[one.score.uar if one else np.nan for one in nulls],
    )


def twin_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Tell what each leak is worth: a step's UAR minus that of its twin without the leak.

    Parameters
    ----------
    trials : mapping of str to Trial
        Steps and their twins; steps without a twin are left out.

    Returns
    -------
    pandas.DataFrame
        Columns `step, twin`, their titles `name, twin_name`, their UAR `with_leak, without`, and
        `value, low, high`: the difference with its 95 % interval, paired by speaker and over the
        seeds that both have.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    rows = []
    for name, one in trials.items():
        if not one.step.twin:
            continue
        twin = trials[one.step.twin]
        n_seeds = min(len(one.tables), len(twin.tables))
        value, low, high = difference_interval(
            one.tables[:n_seeds], twin.tables[:n_seeds], one.labels
        )
        rows.append(
            {
                "step": name,
                "twin": one.step.twin,
                "name": one.step.title,
                "twin_name": twin.step.title,
                "with_leak": one.score.uar,
                "without": twin.score.uar,
                "value": value,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def best_of_seeds(trial: Trial) -> dict[str, object]:
    """Tell what is gained by reporting the best of several seeds, chosen on the test speakers.

    Parameters
    ----------
    trial : Trial
        Of an honest step with several seeds.

    Returns
    -------
    dict
        A row as of `twin_table`: the best seed against the mean of all.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    scores = [_uar_of(table) for table in trial.tables]
    best = trial.tables[int(np.argmax(scores))]
    value, low, high = difference_interval([best], trial.tables, trial.labels)
    n_seeds = len(scores)
    return {
        "step": "best_seed",
        "twin": trial.step.name,
        "name": f"Best of {n_seeds} seeds reported",
        "twin_name": f"Mean of {n_seeds} seeds",
        "with_leak": max(scores),
        "without": float(np.mean(scores)),
        "value": value,
        "low": low,
        "high": high,
    }


def _uar_of(table: pd.DataFrame) -> float:
    is_right = table["truth"] == table["prediction"]
    return float(is_right.groupby(table["truth"]).mean().mean())


def null_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """List the UAR of every permutation of the labels.

    Parameters
    ----------
    trials : mapping of str to Trial
        Of permuted steps.

    Returns
    -------
    pandas.DataFrame
        One row a permutation: `step`, `name`, `uar`; and the step's `value, low, high` over all of
        them, with an interval by speaker.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    return pd.DataFrame(
        {
            "step": name,
            "name": one.step.title,
            "uar": _uar_of(table),
            "value": one.score.uar,
            "low": one.score.uar_low,
            "high": one.score.uar_high,
        }
        for name, one in trials.items()
        for table in one.tables
    )


def curve_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Lay the learning curve out: one row a number of training speakers.

    Parameters
    ----------
    trials : mapping of str to Trial
        Of `ser_lib.ladder.learning_steps`.

    Returns
    -------
    pandas.DataFrame
        Columns `n_speakers`, `n_train`, `value, low, high` (UAR, interval by test speaker) and
        `spread`: the standard deviation over draws of the training speakers.

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    return pd.DataFrame(
        {
            "n_speakers": one.step.n_speakers,
            "n_train": one.n_train,
            "value": one.score.uar,
            "low": one.score.uar_low,
            "high": one.score.uar_high,
            "spread": one.score.uar_seed_spread,
        }
        for one in trials.values()
    )
