"""Permutation importance: what a model loses when one kind of feature is dealt anew among clips.

Features are permuted in groups, among the test clips of a fold: single cepstral coefficients stand
in for each other, and a model that loses one of them hardly notices. Kept as
`reports/<corpus>/importance/<key>.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from ser_lib.audio.corruptions import Condition, corrupt
from ser_lib.audio.io import load_signal
from ser_lib.data import corpus_of
from ser_lib.errors import RunError, SerError
from ser_lib.evaluation.metrics import difference_interval
from ser_lib.features.acoustic import statistic_names
from ser_lib.features.extraction import compile_once, extract
from ser_lib.features.registry import FEATURES
from ser_lib.paths import atomic_path, cache_dir, report_dir
from ser_lib.runtime import progress
from ser_lib.seeds import generator
from support.leakage import FIRST_SEED, Plan, Trial, count_by_speaker, fit_and_predict, plan_step
from support.leakage_steps import STEPS

# Raised whenever a corruption or the way it is measured changes in a way that no parameter shows.
ROBUSTNESS_VERSION = 1
STEP = STEPS["speakers"]
SPEC = STEP.candidates[0].features
CLIPS_A_SPEAKER = 12
VOICES_A_SPEAKER = 2
N_SEEDS = 3


def _series(
    family: str, function: str, parameter: str, unit: str, *values: float, **fixed: object
) -> tuple[Condition, ...]:
    return tuple(
        Condition(family, value, unit, function, {parameter: value} | fixed) for value in values
    )


CLEAN = Condition("clean", 0.0, "", "")

# From hardly to clearly audible, in units that a user or an engineer would name.
CONDITIONS: tuple[Condition, ...] = (
    CLEAN,
    *_series("white noise", "add_white_noise", "snr_db", "dB SNR", 30, 20, 10, 0),
    *_series("babble", "add_babble", "snr_db", "dB SNR", 30, 20, 10, 0),
    *_series("reverberation", "reverberate", "t60_s", "s", 0.2, 0.5, 1.0),
    *_series("low-pass", "limit_band", "high_hz", "Hz", 4000, 2000, 1000),
    Condition("telephone", 3400, "Hz", "limit_band", {"low_hz": 300.0, "high_hz": 3400.0}),
    *_series("gain", "change_gain", "gain_db", "dB", -20, -10, 10),
    *_series("clipping", "clip_peaks", "below_peak_db", "dB below peak", 6, 12, 20),
    *_series("MP3", "encode", "bitrate_kbps", "kbit/s", 64, 32, 16, codec="mp3"),
    *_series("Opus", "encode", "bitrate_kbps", "kbit/s", 24, 12, 8, codec="opus"),
    *_series("later start", "start_later", "shift_s", "s", 0.25, 0.5, 1.0),
)


def draw_tested(clips: pd.DataFrame, *, clips_a_speaker: int = 0) -> pd.DataFrame:
    """Draw the clips that are corrupted: as many of each speaker, whatever the emotion.

    Parameters
    ----------
    clips : pandas.DataFrame
        A clip table.
    clips_a_speaker : int
        How many; 0 takes 12.

    Returns
    -------
    pandas.DataFrame
        Rows of the table, in its order.
    """
    wanted = clips_a_speaker or CLIPS_A_SPEAKER
    chosen = [
        generator("tested", speaker).permutation(ours.index.to_numpy())[:wanted]
        for speaker, ours in clips.groupby("speaker")
    ]
    return clips.loc[np.sort(np.concatenate(chosen))]


def compare_conditions(
    clips: pd.DataFrame,
    *,
    conditions: tuple[Condition, ...] = CONDITIONS,
    clips_a_speaker: int = 0,
    n_seeds: int = 0,
) -> dict[str, Trial]:
    """Test the ladder's model, trained on clean clips of other speakers, under every condition.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table of one corpus.
    conditions : tuple of Condition
        What to try.
    clips_a_speaker : int
        How many clips of each speaker are tested; 0 takes 12.
    n_seeds : int
        How many divisions of the speakers; 0 takes 3.

    Returns
    -------
    dict of str to Trial
        By the conditions' names, all tested on the same clips.

    Raises
    ------
    RunError
        If nothing is stored and the audio is not here.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    tested = draw_tested(clips, clips_a_speaker=clips_a_speaker)
    seeds = range(FIRST_SEED, FIRST_SEED + (n_seeds or N_SEEDS))
    plans = [plan_step(STEP, clips, seed) for seed in seeds]
    identity = json.dumps(
        [
            [asdict(one) for one in conditions],
            SPEC.identity(),
            [plan.folds_sha256 for plan in plans],
            list(tested["clip_id"]),
            ROBUSTNESS_VERSION,
        ],
        sort_keys=True,
    )
    key = hashlib.sha256(identity.encode()).hexdigest()[:12]
    target = report_dir(corpus_of(clips)) / "robustness" / f"{key}.json"
    if not target.is_file():
        if not clips["path"].all():
            raise RunError(
                f"{target.name}: robustness is not stored for these conditions, and the audio is "
                "not here; point SER_DATA at the corpora"
            )
        arrays = {one.name: _corrupted_features(clips, tested, one) for one in conditions}
        entries = [_test_all(plan, clips, tested, arrays) for plan in plans]
        kept = {name: [entry[name] for entry in entries] for name in arrays}
        with atomic_path(target) as temporary:
            temporary.write_text(json.dumps(kept, sort_keys=True) + "\n", encoding="utf-8")
    stored = json.loads(target.read_text(encoding="utf-8"))
    labels = plans[0].labels
    return {
        one.name: Trial(STEP, labels, tuple({"counts": c} for c in stored[one.name]))
        for one in conditions
    }


def condition_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Lay the conditions out: scores with intervals, and what is lost to clean clips.

    Parameters
    ----------
    trials : mapping of str to Trial
        From `compare_conditions`, with the clean clips.

    Returns
    -------
    pandas.DataFrame
        One row a corruption: `name, family, value, unit`, `uar, low, high` in [0, 1], and `loss,
        loss_low, loss_high`, paired by speaker.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    clean = trials[CLEAN.name]
    rows = []
    for one in CONDITIONS:
        if one.name not in trials or one is CLEAN:
            continue
        trial = trials[one.name]
        loss, loss_low, loss_high = difference_interval(clean.tables, trial.tables, trial.labels)
        score = trial.score
        rows.append(
            {
                **{"name": one.name, "family": one.family, "value": one.value, "unit": one.unit},
                **{"uar": score.uar, "low": score.uar_low, "high": score.uar_high},
                **{"loss": loss, "loss_low": loss_low, "loss_high": loss_high},
            }
        )
    return pd.DataFrame(rows)


def _test_all(
    plan: Plan, clips: pd.DataFrame, tested: pd.DataFrame, arrays: Mapping[str, np.ndarray]
) -> dict[str, dict[str, list[list[int]]]]:
    """Train once a fold and test every condition; return counts a speaker by condition."""
    position = pd.Series(range(len(tested)), index=tested["clip_id"])

    def versions(test: list[str]) -> dict[str, np.ndarray]:
        where = position[test].to_numpy()
        return {name: array[where] for name, array in arrays.items()}

    return count_versions(plan, clips, versions, kept=set(tested["clip_id"]))


def count_versions(
    plan: Plan,
    clips: pd.DataFrame,
    versions: Callable[[list[str]], dict[str, np.ndarray]],
    *,
    kept: set[str],
) -> dict[str, dict[str, list[list[int]]]]:
    """Train on clean clips once a fold, and predict several versions of its test clips.

    Parameters
    ----------
    plan : Plan
        Of a step of clips, with one candidate.
    clips : pandas.DataFrame
        The clip table that it was made from.
    versions : callable
        From clip ids to the features of these clips, by the version's name.
    kept : set of str
        Clips that are tested.

    Returns
    -------
    dict
        By version: confusion counts by speaker.
    """
    candidate = plan.step.candidates[0]
    features = extract(clips, candidate.features)
    table = plan.rows.set_index("row_id")
    position = pd.Series(range(len(clips)), index=clips["clip_id"])
    parts: dict[str, list[pd.DataFrame]] = {}
    for fold in plan.split.folds:
        test = [one for one in fold.test if one in kept]
        if not test:
            continue
        named = versions(test)
        predicted = fit_and_predict(
            plan,
            candidate,
            (features[position[list(fold.train)]], table.loc[list(fold.train), "label"]),
            np.concatenate(list(named.values())),
        ).reshape(len(named), len(test))
        truth = table.loc[test, ["speaker", "label"]]
        for name, prediction in zip(named, predicted, strict=True):
            parts.setdefault(name, []).append(truth.assign(prediction=prediction))
    return {name: count_by_speaker(pd.concat(one), plan.labels) for name, one in parts.items()}


def _corrupted_features(
    clips: pd.DataFrame, tested: pd.DataFrame, condition: Condition
) -> np.ndarray:
    """Compute the features of the corrupted clips, or read them from the cache."""
    identity = json.dumps(
        [asdict(condition), SPEC.identity(), list(tested["audio_sha256"]), ROBUSTNESS_VERSION]
    )
    name = hashlib.sha256(identity.encode()).hexdigest()[:24]
    target = cache_dir() / "corrupted" / f"{name}.npy"
    if not target.is_file():
        compile_once(SPEC)
        is_babble = condition.function == "add_babble"
        voices, speakers = _voices(clips) if is_babble else (None, np.array([]))
        tasks = (
            delayed(_corrupt_and_extract)(
                row.path,
                row.audio_sha256,
                condition,
                voices[speakers != row.speaker] if voices is not None else None,
            )
            for row in tested.itertuples()
        )
        n_jobs = -1 if len(tested) > 100 else 1
        rows = Parallel(n_jobs=n_jobs, return_as="generator", batch_size=8)(tasks)
        array = np.stack(list(progress(rows, total=len(tested), what=condition.name)))
        with atomic_path(target) as temporary:
            np.save(temporary, array)
    return np.load(target)


def _voices(clips: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Load some clips of every speaker at one length, and name their speakers."""
    chosen = draw_tested(clips, clips_a_speaker=VOICES_A_SPEAKER)
    signals = [load_signal(path, sample_rate_hz=SPEC.sample_rate_hz)[0] for path in chosen["path"]]
    length = max(map(len, signals))
    return np.stack([np.resize(one, length) for one in signals]), chosen["speaker"].to_numpy()


def _corrupt_and_extract(
    path: str, audio_sha256: str, condition: Condition, voices: np.ndarray | None
) -> np.ndarray:
    signal, rate = load_signal(path, sample_rate_hz=SPEC.sample_rate_hz)
    rng = generator("corrupt", condition.family, audio_sha256)
    try:
        changed = corrupt(signal, rate, condition, rng=rng, voices=voices)
        return FEATURES[SPEC.name].function(changed, rate, **SPEC.params)
    except SerError as error:
        raise type(error)(f"{path}, {condition.name}: {error}") from error


IMPORTANCE_VERSION = 1
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
