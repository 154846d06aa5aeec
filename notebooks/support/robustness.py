"""Robustness of the shipped model, and permutation importance of the ladder's, chapter 11.

The head of the shipped model is trained on clean clips and tested on corrupted clips of other
speakers; where its encoder is not here, the ladder's SVM stands in. Results are stored as
`reports/<corpus>/robustness/<key>.json`. Importance is what the SVM loses when a group of features
is permuted among the test clips of a fold, stored as `importance/<key>.json`: groups, since single
cepstral coefficients are redundant, and permuting one of them costs almost nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from ser_lib.audio.corruptions import Condition, corrupt
from ser_lib.audio.io import load_signal
from ser_lib.data import corpus_of, get_corpus
from ser_lib.errors import SerError
from ser_lib.evaluation.formatting import pct, points_text
from ser_lib.evaluation.significance import compare_tables
from ser_lib.features.acoustic import statistic_names
from ser_lib.features.encoders.registry import get_encoder
from ser_lib.features.extraction import compile_once, extract
from ser_lib.features.registry import FEATURES, FeatureSpec
from ser_lib.paths import cache_dir, report_dir
from ser_lib.runs.store import cached_result, key_of, require_audio
from ser_lib.runtime import ending_with_parent, progress
from ser_lib.seeds import generator
from ser_lib.studies import OURS
from ser_lib.training.fit import FoldArrays, fit_fold
from support.leakage import FIRST_SEED, Plan, Trial, count_by_speaker, plan_step
from support.leakage_steps import STEPS, Candidate, Step

# Raised when a corruption or its measurement changes in a way that no parameter shows.
ROBUSTNESS_VERSION = 1
STEP = STEPS["speakers"]
SPEC = STEP.candidates[0].features
SHIPPED = OURS["moonshine"].model("base_low")
SHIPPED_STEP = replace(
    STEP, title=SHIPPED.title, candidates=(Candidate(SHIPPED.config, SHIPPED.features),)
)
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

# From barely to clearly audible, in the usual units.
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
    """Draw the clips that are corrupted: the same number of each speaker, of any emotion; 0: 12."""
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
    """Test the shipped model, trained on clean clips of other speakers, under every condition.

    All conditions are tested on the same clips; 0 takes 12 clips per speaker and 3 seeds. The
    `step` of each trial says which model it was. Raises `RunError` if nothing is stored and the
    audio is missing.
    """
    tested = draw_tested(clips, clips_a_speaker=clips_a_speaker)
    seeds = range(FIRST_SEED, FIRST_SEED + (n_seeds or N_SEEDS))
    plans = [plan_step(SHIPPED_STEP, clips, seed) for seed in seeds]

    def identity_of(step: Step) -> list[object]:
        (candidate,) = step.candidates
        return [
            [asdict(one) for one in conditions],
            *(candidate.features.identity(), repr(candidate.config)),
            [plan.folds_sha256 for plan in plans],
            list(tested["clip_id"]),
            ROBUSTNESS_VERSION,
        ]

    folder, corpus = report_dir(corpus_of(clips)) / "robustness", get_corpus(corpus_of(clips))
    encoder = get_encoder(str(SHIPPED.features.params["encoder"]))
    is_stored = (folder / f"{key_of(identity_of(SHIPPED_STEP))}.json").is_file()
    # What the shipped model makes of synthetic voices says little.
    can_test = not corpus.is_embedded and (is_stored or encoder.file.is_file())
    step = SHIPPED_STEP if can_test else replace(STEP, title="SVM of chapter 8")
    (candidate,) = step.candidates
    plans = [replace(plan, step=step) for plan in plans]

    def compute() -> dict[str, list[object]]:
        require_audio(clips, "robustness is not stored for these conditions")
        arrays = {
            one.name: _corrupted_features(clips, tested, one, candidate.features)
            for one in conditions
        }
        entries = [_test_all(plan, clips, tested, arrays) for plan in plans]
        return {name: [entry[name] for entry in entries] for name in arrays}

    stored = cached_result(folder, identity_of(step), compute)
    labels = plans[0].labels
    return {
        one.name: Trial(step, labels, tuple({"counts": c} for c in stored[one.name]))
        for one in conditions
    }


def condition_table(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Tabulate conditions: UAR and its `loss` against clean clips, in [0, 1].

    The losses are one family of `compare_tables`, with `loss_low, loss_high, p, verdict`.
    """
    clean = trials[CLEAN.name]
    shown = [one for one in CONDITIONS if one.name in trials and one is not CLEAN]
    scores = [trials[one.name].score for one in shown]
    losses = compare_tables(
        [(clean.tables, trials[one.name].tables) for one in shown], clean.labels
    )
    about = [
        {
            **{"name": one.name, "family": one.family, "value": one.value, "unit": one.unit},
            **{"uar": score.uar, "low": score.uar_low, "high": score.uar_high},
        }
        for one, score in zip(shown, scores, strict=True)
    ]
    names = {"difference": "loss", "low": "loss_low", "high": "loss_high"}
    return pd.DataFrame(about).join(losses.rename(columns=names))


def condition_text(conditions: pd.DataFrame) -> pd.DataFrame:
    """Write `condition_table` for a reader, in percent and points."""
    ends = -conditions[["loss", "loss_high", "loss_low"]]
    return pd.DataFrame(
        {
            "corruption": conditions["name"],
            "UAR": conditions["uar"].map(pct),
            "against clean, points [95 %]": list(map(points_text, ends.to_numpy())),
            "clean is": conditions["verdict"],
        }
    )


def _test_all(
    plan: Plan, clips: pd.DataFrame, tested: pd.DataFrame, arrays: Mapping[str, np.ndarray]
) -> dict[str, dict[str, list[list[int]]]]:
    """Train once per fold and test every condition; return counts by speaker for each."""
    position = pd.Series(range(len(tested)), index=tested["clip_id"])

    def versions(test: list[str], _: int) -> dict[str, np.ndarray]:
        where = position[test].to_numpy()
        return {name: array[where] for name, array in arrays.items()}

    return count_versions(plan, clips, versions, kept=set(tested["clip_id"]))


def count_versions(
    plan: Plan,
    clips: pd.DataFrame,
    versions: Callable[[list[str], int], dict[str, np.ndarray]],
    *,
    kept: set[str],
) -> dict[str, dict[str, list[list[int]]]]:
    """Train once per fold on clean clips, and predict several versions of its test clips.

    `versions` maps clip ids and the plan's seed to the features of each version, by its name; only
    `kept` clips are tested. Returns confusion counts by version and speaker.
    """
    candidate = plan.step.candidates[0]
    features = extract(clips, candidate.features)
    table, labels = plan.rows.set_index("row_id"), np.array(plan.labels)
    numbers = table["label"].map({label: number for number, label in enumerate(labels)})
    position = pd.Series(range(len(clips)), index=clips["clip_id"])
    parts: dict[str, list[pd.DataFrame]] = {}
    for fold in plan.split.folds:
        test = [one for one in fold.test if one in kept]
        if not test:
            continue
        named = versions(test, plan.seed)
        train = list(fold.train)
        x_train, y_train = features[position[train]], numbers[train].to_numpy()
        # Nothing is selected: what stands in the place of validation rows has no effect, but on
        # heads with inner folds, which would train on them as well.
        held = slice(None) if candidate.features == SPEC else slice(0)
        speakers = table.loc[train, "speaker"].to_numpy()
        result = fit_fold(
            candidate.config,
            candidate.training,
            FoldArrays(
                *(x_train, y_train, x_train[held], y_train[held]),
                np.concatenate(list(named.values())),
                speakers_train=speakers,
                speakers_validation=speakers[held],
            ),
            n_classes=len(labels),
            is_scaled=candidate.features == SPEC,
            seed=plan.seed,
        )
        predicted = labels[result.probabilities.argmax(axis=1)].reshape(len(named), len(test))
        truth = table.loc[test, ["speaker", "label"]]
        for name, prediction in zip(named, predicted, strict=True):
            parts.setdefault(name, []).append(truth.assign(prediction=prediction))
    return {name: count_by_speaker(pd.concat(one), plan.labels) for name, one in parts.items()}


def _corrupted_features(
    clips: pd.DataFrame, tested: pd.DataFrame, condition: Condition, spec: FeatureSpec
) -> np.ndarray:
    """Compute the features of the corrupted clips, or read them from the cache."""
    identity = [
        *(asdict(condition), spec.identity(), list(tested["audio_sha256"])),
        ROBUSTNESS_VERSION,
    ]

    def compute() -> dict[str, np.ndarray]:
        compile_once(spec)
        is_babble = condition.function == "add_babble"
        rate_hz = spec.sample_rate_hz
        voices, speakers = _voices(clips, rate_hz) if is_babble else (None, np.array([]))
        tasks = (
            delayed(_corrupt_and_extract)(
                row.path,
                row.audio_sha256,
                condition,
                spec,
                voices[speakers != row.speaker] if voices is not None else None,
            )
            for row in tested.itertuples()
        )
        n_jobs = -1 if len(tested) > 100 else 1
        rows = Parallel(n_jobs=n_jobs, return_as="generator", batch_size=8, **ending_with_parent())(
            tasks
        )
        return {"features": np.stack(list(progress(rows, total=len(tested), what=condition.name)))}

    folder = cache_dir() / "corrupted"
    return cached_result(folder, identity, compute, suffix=".npz")["features"]


def _voices(clips: pd.DataFrame, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Load some clips of every speaker at one length, with their speakers' names."""
    chosen = draw_tested(clips, clips_a_speaker=VOICES_A_SPEAKER)
    signals = [load_signal(path, sample_rate_hz=sample_rate_hz)[0] for path in chosen["path"]]
    length = max(map(len, signals))
    return np.stack([np.resize(one, length) for one in signals]), chosen["speaker"].to_numpy()


def _corrupt_and_extract(
    path: str,
    audio_sha256: str,
    condition: Condition,
    spec: FeatureSpec,
    voices: np.ndarray | None,
) -> np.ndarray:
    signal, rate = load_signal(path, sample_rate_hz=spec.sample_rate_hz)
    rng = generator("corrupt", condition.family, audio_sha256)
    try:
        changed = corrupt(signal, rate, condition, rng=rng, voices=voices)
        return FEATURES[spec.name].function(changed, rate, **spec.params)
    except SerError as error:
        raise type(error)(f"{path}, {condition.name}: {error}") from error


IMPORTANCE_VERSION = 1
WHOLE = "nothing permuted"


def _is_coefficient(first: int, last: int) -> Callable[[str], bool]:
    names = tuple(f"mfcc{number:02d} " for number in range(first, last + 1))
    return lambda name: name.startswith(names)


# Two partitions of the features: by what they describe, and by statistic.
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
    """Permute some columns among the rows, all of them together; the argument is not changed."""
    permuted = features.copy()
    permuted[:, columns] = features[rng.permutation(len(features))][:, columns]
    return permuted


def group_importance(clips: pd.DataFrame, *, n_seeds: int = 0) -> pd.DataFrame:
    """Measure the UAR that the ladder's model loses by permuting each group of features.

    `value, low, high` with 95 % intervals by speaker, on unseen speakers; `attrs["uar"]` is the UAR
    with nothing permuted. After Breiman (2001), Random forests, Machine Learning 45, section 10.
    """
    seeds = range(FIRST_SEED, FIRST_SEED + (n_seeds or N_SEEDS))
    plans = [plan_step(STEP, clips, seed) for seed in seeds]
    # As text: its keys are not sorted, and the stored files are named by that.
    identity = json.dumps(
        [list(GROUPS), SPEC.identity(), [one.folds_sha256 for one in plans], IMPORTANCE_VERSION]
    )

    def compute() -> list[object]:
        require_audio(clips, "importances are not stored")
        features = extract(clips, SPEC)
        position = pd.Series(range(len(clips)), index=clips["clip_id"])

        def versions(test: list[str], seed: int) -> dict[str, np.ndarray]:
            ours = np.asarray(features[position[test]])
            rng = generator("importance", seed, test[0])
            return {WHOLE: ours} | {
                name: permute_columns(ours, columns_of(name), rng) for name in GROUPS
            }

        everyone = set(clips["clip_id"])
        return [count_versions(one, clips, versions, kept=everyone) for one in plans]

    stored = cached_result(report_dir(corpus_of(clips)) / "importance", identity, compute)
    return _importances(stored, plans[0].labels)


def _importances(stored: list[Mapping[str, object]], labels: tuple[str, ...]) -> pd.DataFrame:
    trials = {
        name: Trial(STEP, labels, tuple({"counts": entry[name]} for entry in stored))
        for name in (WHOLE, *GROUPS)
    }
    whole = trials[WHOLE]
    losses = compare_tables([(whole.tables, trials[name].tables) for name in GROUPS], labels)
    table = losses.rename(columns={"difference": "value"}).assign(name=list(GROUPS))
    table.attrs["uar"] = whole.score.uar
    return table
