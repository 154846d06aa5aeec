"""Scores by group and the worst-served speaker: naive loops, scikit-learn, planted differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import balanced_accuracy_score

from ser_lib.errors import MetricError
from ser_lib.evaluation.fairness import group_scores, speaker_accuracies, speaker_chance

LABELS = ("neutral", "happy", "sad", "angry")


def simulate(rng, accuracy, *, n_speakers=16, n_clips=40) -> pd.DataFrame:
    """Predictions that are right with a probability a speaker; odd speakers are male."""
    own = np.broadcast_to(accuracy, n_speakers)
    speaker = np.repeat(np.arange(n_speakers), n_clips)
    truth = np.tile(np.arange(n_clips) % 4, n_speakers)
    is_right = rng.uniform(size=len(truth)) < own[speaker]
    names = np.array(LABELS)
    return pd.DataFrame(
        {
            "clip_id": [f"c{number:04d}" for number in range(len(truth))],
            "speaker": [f"s{number:02d}" for number in speaker],
            "gender": np.where(speaker % 2, "male", "female"),
            "intensity": np.where(np.arange(len(truth)) // 4 % 2, "strong", "normal"),
            "truth": names[truth],
            "prediction": names[np.where(is_right, truth, (truth + 1) % 4)],
        }
    )


# --- groups


def test_the_score_of_a_group_is_that_of_scikit_learn(rng):
    table = simulate(rng, 0.6)
    found = group_scores(table, LABELS, "gender", n_resamples=100)
    assert list(found.index) == ["female", "male"]
    for gender, part in table.groupby("gender"):
        expected = balanced_accuracy_score(part["truth"], part["prediction"])
        assert found.loc[gender, "uar"] == pytest.approx(expected, abs=1e-12)
        assert (found.loc[gender, "n_rows"], found.loc[gender, "n_speakers"]) == (320, 8)
    assert found["gap"].sum() == pytest.approx(0, abs=1e-12)


def test_the_interval_of_a_gap_is_that_of_a_loop(rng):
    table = simulate(rng, rng.uniform(0.3, 0.9, 16))
    found = group_scores(table, LABELS, "intensity", n_resamples=12, seed=7)
    draws = np.random.default_rng(7).multinomial(16, np.full(16, 1 / 16), size=12)
    by_speaker = [part for _, part in table.groupby("speaker")]
    gaps = []
    for times in draws:
        rows = pd.concat([one for one, n in zip(by_speaker, times, strict=True) for _ in range(n)])
        scores = {
            name: balanced_accuracy_score(part["truth"], part["prediction"])
            for name, part in rows.groupby("intensity")
        }
        gaps.append(scores["strong"] - scores["normal"])
    np.testing.assert_allclose(
        found.loc["strong", ["gap_low", "gap_high"]].astype(float),
        np.percentile(gaps, [2.5, 97.5]),
        atol=1e-12,
    )


def test_a_planted_gap_is_found_and_none_is_invented(rng):
    unequal = simulate(rng, np.where(np.arange(16) % 2, 0.75, 0.45))
    found = group_scores(unequal, LABELS, "gender").loc["male"]
    assert found["gap"] == pytest.approx(0.3, abs=0.12)
    assert found["gap_low"] > 0
    even = group_scores(simulate(rng, 0.6), LABELS, "gender").loc["male"]
    assert even["gap_low"] < 0 < even["gap_high"]


def test_groups_are_compared_over_the_classes_that_all_have(rng):
    table = simulate(rng, 0.6)
    is_strong_neutral = (table["intensity"] == "strong") & (table["truth"] == "neutral")
    # The neutral clips are always right: with them, 'normal' would look better than it is.
    table.loc[table["truth"] == "neutral", "prediction"] = "neutral"
    found = group_scores(table[~is_strong_neutral], LABELS, "intensity", n_resamples=50)
    assert found.attrs["classes"] == ["happy", "sad", "angry"]
    normal = table[(table["intensity"] == "normal") & (table["truth"] != "neutral")]
    recalls = (normal["truth"] == normal["prediction"]).groupby(normal["truth"]).mean()
    assert found.loc["normal", "uar"] == pytest.approx(recalls.mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(gender="male"), r"gender \(male\)"),
        (lambda t: t[t["speaker"] == "s01"].assign(gender=["a", "b"] * 20), "s01"),
        (
            lambda t: t[(t["gender"] == "male") == t["truth"].isin(["sad", "angry"])],
            "every gender",
        ),
    ],
    ids=["one group", "one speaker", "no class in common"],
)
def test_groups_that_cannot_be_compared_are_refused(rng, change, message):
    with pytest.raises(MetricError, match=message):
        group_scores(change(simulate(rng, 0.6)), LABELS, "gender", n_resamples=10)


# --- speakers


def test_a_speakers_interval_is_wilsons_written_out(rng):
    table = simulate(rng, rng.uniform(0.2, 1, 16))
    found = speaker_accuracies(table)
    z, n = norm.ppf(0.975), 40
    for name, part in table.groupby("speaker"):
        p = (part["truth"] == part["prediction"]).mean()
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        expected = (p, middle - half, middle + half)
        np.testing.assert_allclose(
            found.loc[name, ["accuracy", "low", "high"]].astype(float), expected, atol=1e-9
        )
    assert found["accuracy"].is_monotonic_increasing


def test_seeds_do_not_make_a_speaker_look_better_known(rng):
    table = simulate(rng, 0.6)
    once, thrice = speaker_accuracies(table), speaker_accuracies(pd.concat([table] * 3))
    pd.testing.assert_frame_equal(once, thrice)


def test_alike_speakers_have_a_worst_one_that_chance_explains(rng):
    values = [
        speaker_chance(simulate(rng, 0.6, n_speakers=8, n_clips=24), n_draws=99) for _ in range(60)
    ]
    # Of equal speakers p is spread evenly; three standard errors of 60 tables are 8 %.
    assert np.mean([one.worst_p < 0.05 for one in values]) < 0.13
    assert np.mean([one.accuracy for one in values]) == pytest.approx(
        np.mean([one.expected for one in values]), abs=0.04
    )
    assert np.mean([one.worst_p for one in values]) == pytest.approx(0.5, abs=0.13)


def test_a_planted_speaker_who_is_served_badly_is_named(rng):
    own = np.full(16, 0.7)
    own[5] = 0.3
    found = speaker_chance(simulate(rng, own), n_draws=1000)
    assert found.worst == "s05"
    assert found.accuracy < found.low < found.expected
    assert found.worst_p < 0.01
    assert found.spread_p < 0.05


def test_the_worst_of_chance_is_that_of_a_loop_that_deals_hits(rng):
    table = simulate(rng, 0.6, n_speakers=5, n_clips=8)
    found = speaker_chance(table, n_draws=4000)
    is_hit = (table["truth"] == table["prediction"]).to_numpy(dtype=float)
    places = [np.flatnonzero(table["truth"] == label) for label in LABELS]
    worst = []
    for _ in range(1500):
        dealt = is_hit.copy()
        for rows in places:
            dealt[rows] = rng.permutation(is_hit[rows])
        worst.append(dealt.reshape(5, 8).mean(axis=1).min())
    assert found.expected == pytest.approx(np.mean(worst), abs=0.012)
    share = np.mean(np.array(worst) <= found.accuracy + 1e-12)
    assert found.worst_p == pytest.approx(share, abs=0.05)


def test_what_is_hard_about_a_class_is_no_fault_of_a_speaker(rng):
    # All speakers have the same clips right; only the class decides.
    table = simulate(rng, 1.0)
    table.loc[table["truth"] == "sad", "prediction"] = "angry"
    found = speaker_chance(table, n_draws=100)
    assert (found.accuracy, found.expected) == pytest.approx((0.75, 0.75))
    assert found.worst_p == 1.0


def test_one_speaker_or_no_row_is_refused(rng):
    table = simulate(rng, 0.6)
    with pytest.raises(MetricError, match="s01"):
        speaker_chance(table[table["speaker"] == "s01"], n_draws=5)
    with pytest.raises(MetricError):
        speaker_accuracies(table.iloc[:0])
