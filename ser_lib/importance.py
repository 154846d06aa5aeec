"""Permutation importance: what a model loses when one kind of feature is dealt anew among clips.

Features are permuted in groups, among the test clips of a fold: single cepstral coefficients stand
in for each other, and a model that loses one of them hardly notices. Kept as
`reports/<corpus>/importance/<key>.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from ser_lib.corpora import corpus_of
from ser_lib.dealing import plan_step
from ser_lib.errors import RunError
from ser_lib.extraction import extract
from ser_lib.functionals import statistic_names
from ser_lib.ladder import STEPS
from ser_lib.metrics import difference_interval
from ser_lib.paths import atomic_path, report_dir
from ser_lib.robustness import count_versions
from ser_lib.seeds import generator
from ser_lib.trials import FIRST_SEED, Trial

__all__ = ["GROUPS", "columns_of", "group_importance", "permute_columns"]

IMPORTANCE_VERSION = 1
STEP = STEPS["speakers"]
SPEC = STEP.candidates[0].features
N_SEEDS = 3
WHOLE = "nothing permuted"


def _is_coefficient(first: int, last: int) -> Callable[[str], bool]:
    names = tuple(f"mfcc{number:02d} " for number in range(first, last + 1))
    return lambda name: name.startswith(names)


# Two ways to cut the features up: by what is described, and by which statistic of it.
GROUPS: dict[str, Callable[[str], bool]] = {
    "level": lambda name: name.startswith(("level ", "mfcc00 ")),
    "pitch": lambda name: name.startswith("pitch "),
    "zero crossings": lambda name: name.startswith("zero crossings "),
    "broad spectrum (MFCC 1 to 4)": _is_coefficient(1, 4),
    "finer spectrum (MFCC 5 to 12)": _is_coefficient(5, 12),
    "finest spectrum (MFCC 13 to 19)": _is_coefficient(13, 19),
    "all means": lambda name: name.endswith(" mean"),
    "all spreads": lambda name: name.endswith(" spread"),
    "all changes": lambda name: name.endswith(" change"),
}


def columns_of(group: str) -> np.ndarray:
    """Return the columns of `speech_statistics` that belong to a group."""
    names = statistic_names()
    return np.array([number for number, name in enumerate(names) if GROUPS[group](name)])


def permute_columns(
    features: np.ndarray, columns: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Deal some columns anew among the rows, all of them together.

    Parameters
    ----------
    features : ndarray, shape (n_rows, n_values)
        Not changed.
    columns : ndarray of int
        Which values change hands.
    rng : numpy.random.Generator
        Draws whose.

    Returns
    -------
    ndarray, shape (n_rows, n_values)
    """
    dealt = features.copy()
    dealt[:, columns] = features[rng.permutation(len(features))][:, columns]
    return dealt


def group_importance(clips: pd.DataFrame, *, n_seeds: int = 0) -> pd.DataFrame:
    """Measure what the ladder's model loses by each group of features, on new speakers.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table of one corpus.
    n_seeds : int
        How many divisions of the speakers, each with its own permutations; 0 takes 3.

    Returns
    -------
    pandas.DataFrame
        Columns `name`, `value, low, high`: the UAR that is lost, in [-1, 1], with its 95 % interval
        by speaker. `attrs["uar"]` is the UAR with nothing permuted.

    Raises
    ------
    RunError
        If nothing is stored and the audio is not here.

    References
    ----------
    Breiman (2001), Random forests, Machine Learning 45, section 10.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    seeds = range(FIRST_SEED, FIRST_SEED + (n_seeds or N_SEEDS))
    plans = [plan_step(STEP, clips, seed) for seed in seeds]
    identity = json.dumps(
        [list(GROUPS), SPEC.identity(), [one.folds_sha256 for one in plans], IMPORTANCE_VERSION]
    )
    key = hashlib.sha256(identity.encode()).hexdigest()[:12]
    target = report_dir(corpus_of(clips)) / "importance" / f"{key}.json"
    if not target.is_file():
        if not clips["path"].all():
            raise RunError(
                f"{target.name}: importances are not stored, and the audio is not here; point "
                "SER_DATA at the corpora"
            )
        features = extract(clips, SPEC)
        position = pd.Series(range(len(clips)), index=clips["clip_id"])

        def versions(seed: int) -> Callable[[list[str]], dict[str, np.ndarray]]:
            def permuted(test: list[str]) -> dict[str, np.ndarray]:
                ours = np.asarray(features[position[test]])
                rng = generator("importance", seed, test[0])
                return {WHOLE: ours} | {
                    name: permute_columns(ours, columns_of(name), rng) for name in GROUPS
                }

            return permuted

        everyone = set(clips["clip_id"])
        entries = [count_versions(one, clips, versions(one.seed), kept=everyone) for one in plans]
        with atomic_path(target) as temporary:
            temporary.write_text(json.dumps(entries, sort_keys=True) + "\n", encoding="utf-8")
    stored = json.loads(target.read_text(encoding="utf-8"))
    return _importances(stored, plans[0].labels)


def _importances(stored: list[Mapping[str, object]], labels: tuple[str, ...]) -> pd.DataFrame:
    trials = {
        name: Trial(STEP, labels, tuple({"counts": entry[name]} for entry in stored))
        for name in (WHOLE, *GROUPS)
    }
    whole = trials[WHOLE]
    rows = []
    for name in GROUPS:
        value, low, high = difference_interval(whole.tables, trials[name].tables, labels)
        rows.append({"name": name, "value": value, "low": low, "high": high})
    table = pd.DataFrame(rows)
    table.attrs["uar"] = whole.score.uar
    return table
