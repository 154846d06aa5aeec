"""Trials: planted effects are found, stored results suffice, and nothing is trained twice."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser_lib import data
from ser_lib.errors import EncoderError, MetricError, RunError
from ser_lib.evaluation.metrics import confusion_counts, score_predictions
from ser_lib.models.baselines import KnnConfig
from ser_lib.models.cnn import Cnn1dConfig
from ser_lib.paths import PROJECT_DIR
from ser_lib.training.settings import TrainingSettings
from support import leakage
from support.leakage import run_step
from support.leakage_steps import (
    LADDER,
    NETWORK_FEATURES,
    STEPS,
    Candidate,
    learning_steps,
    permuted,
)

CHANCE = 1 / 4


@pytest.fixture(scope="module")
def clips(ravdess_table):
    """Four emotions of 8 speakers, 256 clips; the paths lead nowhere."""
    few = [f"ravdess-{number:02d}" for number in range(1, 9)]
    is_kept = ravdess_table["speaker"].isin(few) & ravdess_table["emotion"].isin(
        ["happy", "sad", "angry", "fearful"]
    )
    return ravdess_table[is_kept].reset_index(drop=True).assign(path="nowhere.wav")


def vectors(names: pd.Series, rng: np.random.Generator, n_values: int = 12) -> np.ndarray:
    """A vector of its own for every name, the same for all rows that have it."""
    codes, unique = pd.factorize(names)
    return rng.standard_normal((len(unique), n_values))[codes]


@pytest.fixture
def planted(monkeypatch):
    """A function that plants features; the variants of a clip are all alike."""

    def plant(features: np.ndarray) -> None:
        monkeypatch.setattr(
            leakage, "extract", lambda clips, spec, variant: features.astype(np.float32)
        )

    return plant


def uar_of(name: str, clips, *, is_permuted: bool = False) -> float:
    step = permuted(STEPS[name]) if is_permuted else STEPS[name]
    return run_step(step, clips, n_seeds=1).score.uar


def test_a_cue_of_single_speakers_scores_high_at_random_and_at_chance_on_unseen_speakers(
    clips, planted, rng
):
    cue = vectors(clips["speaker"] + clips["emotion"], rng)
    planted(cue + 0.3 * rng.standard_normal(cue.shape))
    assert uar_of("clips", clips) > 0.9
    assert uar_of("sentences", clips) > 0.9
    assert abs(uar_of("speakers", clips) - CHANCE) < 0.15
    assert abs(uar_of("both", clips) - CHANCE) < 0.15


def test_a_cue_of_the_sentence_is_lost_on_new_sentences_only(clips, planted, rng):
    cue = vectors(clips["statement"] + clips["emotion"], rng)
    planted(cue + 0.3 * rng.standard_normal(cue.shape))
    assert uar_of("speakers", clips) > 0.9
    assert uar_of("sentences", clips) < 0.6


def test_a_cue_of_the_emotion_is_there_at_every_step(clips, planted, rng):
    cue = vectors(clips["emotion"], rng)
    planted(cue + 0.3 * rng.standard_normal(cue.shape))
    assert min(uar_of(one.name, clips) for one in LADDER) > 0.9


def test_features_of_single_clips_are_memorised_only_where_clips_are_duplicated(
    clips, planted, rng
):
    planted(vectors(clips["clip_id"], rng))
    assert uar_of("twice", clips) > 0.5
    assert abs(uar_of("clips", clips) - CHANCE) < 0.12


def test_permuted_labels_score_at_chance_on_unseen_speakers_whatever_the_features(
    clips, planted, rng
):
    cue = vectors(clips["emotion"], rng)
    planted(cue + 0.3 * rng.standard_normal(cue.shape))
    assert uar_of("speakers", clips) > 0.9
    trial = run_step(permuted(STEPS["speakers"], n_seeds=10), clips)
    assert abs(trial.score.uar - CHANCE) < 0.04
    assert trial.score.uar_low < CHANCE < trial.score.uar_high


def test_permuted_labels_score_above_chance_where_clips_are_duplicated(clips, planted, rng):
    planted(vectors(clips["clip_id"], rng))
    assert uar_of("twice", clips, is_permuted=True) > CHANCE + 0.15


def test_selecting_candidates_on_the_test_fold_overrates_noise(clips, planted, rng):
    planted(rng.standard_normal((len(clips), 12)))
    candidates = tuple(
        Candidate(KnnConfig(n_neighbors=k), STEPS["speakers"].candidates[0].features)
        for k in range(1, 20, 2)
    )
    leaking, honest = (
        run_step(replace(STEPS[one], candidates=candidates), clips, n_seeds=1)
        for one in ("setting_on_test", "setting")
    )
    assert leaking.score.wa > honest.score.wa + 0.03


def test_scaling_on_all_rows_is_scaling_on_all_rows(clips, planted, rng, monkeypatch):
    shifted = rng.standard_normal((len(clips), 12))
    shifted[clips["speaker"] == "ravdess-01"] += 100.0
    planted(shifted)
    seen = []
    fit = leakage.fit_fold

    def spy(config, settings, arrays, **options):
        seen.append((arrays, options["is_scaled"]))
        return fit(config, settings, arrays, **options)

    monkeypatch.setattr(leakage, "fit_fold", spy)
    run_step(STEPS["scaled_on_all"], clips, n_seeds=1)
    assert not any(is_scaled for _, is_scaled in seen)
    everything = [np.concatenate([one.x_train, one.x_test]) for one, _ in seen]
    assert all(abs(one.mean()) < 0.05 for one in everything)
    seen.clear()
    run_step(STEPS["speakers"], clips, n_seeds=1)
    assert all(is_scaled for _, is_scaled in seen)


def test_a_network_is_stopped_by_the_part_that_the_step_names(clips, planted, rng):
    planted(rng.standard_normal((len(clips), 6, 4)))
    training = TrainingSettings(max_epochs=2, batch_size=64, keep="val_accuracy")
    network = Candidate(Cnn1dConfig(n_filters=(2,), n_dense=2), NETWORK_FEATURES, training)
    step = replace(STEPS["stopped"], candidates=(network,))
    assert 0 <= run_step(step, clips, n_seeds=1, max_epochs=1).score.uar <= 1


# --- what is stored


def test_a_trial_is_read_back_without_training_and_without_audio(clips, planted, rng, monkeypatch):
    planted(rng.standard_normal((len(clips), 12)))
    first = run_step(STEPS["speakers"], clips, n_seeds=2)
    monkeypatch.setattr(leakage, "fit_fold", None)
    again = run_step(STEPS["speakers"], clips.assign(path=""), n_seeds=2)
    assert again.score == first.score
    assert len(again.tables) == 2


def test_a_trial_that_is_not_stored_needs_the_audio(clips):
    with pytest.raises(RunError, match="1 of 1"):
        run_step(STEPS["speakers"], clips.assign(path=""), n_seeds=1)


def test_a_trial_goes_on_where_it_was_stopped(clips, planted, rng, tmp_path):
    planted(rng.standard_normal((len(clips), 12)))
    run_step(STEPS["speakers"], clips, n_seeds=1)
    (file,) = (tmp_path / "reports" / "ravdess" / "ladder").glob("*.json")
    before = json.loads(file.read_text())
    run_step(STEPS["speakers"], clips, n_seeds=3)
    after = json.loads(file.read_text())
    assert list(after) == ["42", "43", "44"]
    assert after["42"] == before["42"]


def test_other_clips_are_another_result(clips, planted, rng):
    planted(rng.standard_normal((len(clips), 12)))
    run_step(STEPS["speakers"], clips, n_seeds=1)
    changed = clips.assign(path="")
    changed.loc[0, "audio_sha256"] = "0" * 64
    with pytest.raises(RunError, match="1 of 1"):
        run_step(STEPS["speakers"], changed, n_seeds=1)


def test_counts_a_speaker_are_enough_for_the_score(rng):
    labels = ("a", "b", "c")
    table = pd.DataFrame(
        {
            "speaker": rng.choice(["x", "y", "z"], 200),
            "label": rng.choice(labels, 200),
            "prediction": rng.choice(labels, 200),
        }
    )
    counts = leakage.count_by_speaker(table, labels)
    trial = leakage.Trial(STEPS["speakers"], labels, ({"counts": counts},))
    plain = score_predictions([table.rename(columns={"label": "truth"})], labels)
    # Of three speakers there are no intervals, and NaN is not NaN to every Python.
    np.testing.assert_equal(vars(trial.score), vars(plain))
    total = confusion_counts(table["label"], table["prediction"], labels)
    assert np.sum(list(counts.values()), axis=0).tolist() == total.tolist()


# --- tables


def trial_of(name: str, *accuracies: float) -> leakage.Trial:
    """A trial of four speakers who are right as often as is said, one seed a number."""
    entries = []
    for share in accuracies:
        right = round(100 * share)
        matrix = [[right, 100 - right], [100 - right, right]]
        counts = {speaker: matrix for speaker in "abcdefgh"}
        known = dict.fromkeys(("audio", "clip", "speaker", "sentence"), 0.0)
        entries.append({"counts": counts, "known": known, "n_train": 10.0})
    return leakage.Trial(STEPS[name], ("p", "q"), tuple(entries))


def test_a_twin_table_is_the_paired_difference():
    worth = leakage.twin_table(
        {"clips": trial_of("clips", 0.8), "speakers": trial_of("speakers", 0.7)}
    )
    (row,) = worth.to_dict("records")
    assert (row["step"], row["twin"]) == ("clips", "speakers")
    assert row["value"] == pytest.approx(0.1)
    assert row["low"] == pytest.approx(0.1)


def test_the_best_of_seeds_is_above_their_mean():
    trials = {"speakers": trial_of("speakers", 0.5, 0.6, 0.7)}
    (row,) = leakage.twin_table(trials, best_of="speakers").to_dict("records")
    assert row["with_leak"] == pytest.approx(0.7)
    assert row["value"] == pytest.approx(0.1)


def test_steps_are_joined_with_their_controls():
    all_trials = {
        "clips": trial_of("clips", 0.8),
        "clips_few": trial_of("clips_few", 0.6),
        "permuted_clips": trial_of("clips", 0.5),
        "both": trial_of("both", 0.4),
    }
    steps = leakage.step_table({name: all_trials[name] for name in ("clips", "both")})
    table = leakage.with_controls(steps, all_trials).set_index("step")
    assert table.loc["clips", "control"] == pytest.approx(0.6)
    assert table.loc["clips", "permuted"] == pytest.approx(0.5)
    assert table.loc["both", ["control", "permuted"]].isna().all()


def test_a_null_table_has_a_row_per_permutation():
    null = leakage.null_table({"permuted_clips": trial_of("clips", 0.4, 0.6)})
    assert null["uar"].tolist() == pytest.approx([0.4, 0.6])


def test_a_trial_of_one_speaker_has_no_interval():
    lonely = leakage.Trial(STEPS["clips"], ("p", "q"), ({"counts": {"a": [[1, 0], [0, 1]]}},))
    with pytest.raises(MetricError, match="speaker"):
        _ = lonely.score


# --- what is committed


def test_the_committed_ladder_is_whole_and_read_without_audio(monkeypatch, tmp_path):
    monkeypatch.setenv("SER_REPORTS", str(PROJECT_DIR / "reports"))
    monkeypatch.setenv("SER_DATA", str(tmp_path))
    clips = data.load_corpus("ravdess")
    blind = [permuted(one, n_seeds=10 if one.name == "speakers" else 0) for one in LADDER]
    for step in (*STEPS.values(), *blind, *learning_steps(19)):
        stored = json.loads(leakage._file_of(step, clips).read_text(encoding="utf-8"))
        assert len(stored) >= step.n_seeds, step.name
    trial = run_step(STEPS["both"], clips, n_seeds=1)
    assert (trial.score.n_rows, trial.score.n_speakers) == (1440, 24)


def test_steps_without_the_encoder_say_what_is_missing(clips, monkeypatch):
    def refuse(*args, **kwargs):
        raise EncoderError("moonshine-base: its weights are not here.\nser data moonshine-base")

    monkeypatch.setattr(leakage, "extract", refuse)
    found, lacking = leakage.run_encoder_steps(clips, n_seeds=1)
    assert found == {}
    assert lacking == "moonshine-base: its weights are not here. ser data moonshine-base"


def test_the_embedded_corpus_does_without_the_encoder():
    assert leakage.run_encoder_steps(data.load_corpus("demo")) == ({}, "")


def test_all_committed_reports_of_audits_are_joined_and_none_is_no_error(monkeypatch):
    assert leakage.read_reports().empty
    monkeypatch.delenv("SER_REPORTS")
    table = leakage.read_reports()
    assert {"ravdess", "emodb", "tess"} <= set(table["corpus"])
    assert "same_audio" in set(table.query("corpus == 'ravdess'")["kind"])


def test_a_candidate_uses_one_layer_of_an_encoder(clips, planted, rng):
    features = rng.standard_normal((len(clips), 1, 9, 2, 4))
    # Layer 3 alone depends on the emotion.
    features[:, 0, 3] += 3 * vectors(clips["emotion"], rng, 8).reshape(-1, 2, 4)
    planted(features)
    found, lacking = leakage.run_encoder_steps(clips, n_seeds=1)
    assert not lacking
    assert found["layer"].score.uar > 0.9
    alone = replace(STEPS["layer"], candidates=STEPS["layer"].candidates[5:6])
    assert run_step(alone, clips, n_seeds=1).score.uar < 0.5
