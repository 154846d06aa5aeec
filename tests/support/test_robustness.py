"""Robustness and importance: conditions are physical, tests honest, planted features found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser_lib import data
from ser_lib.audio import corruptions
from ser_lib.audio.corruptions import Condition
from ser_lib.errors import AudioError, FeatureError, RunError
from ser_lib.features.acoustic import statistic_names
from ser_lib.paths import PROJECT_DIR
from support import robustness
from support.explanation import explain
from support.robustness import CLEAN, CONDITIONS, compare_conditions, condition_table

RATE_HZ = 16_000


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda one: one.name)
def test_every_condition_can_be_applied(condition, tone, rng):
    voices = rng.standard_normal((7, RATE_HZ)).astype(np.float32)
    signal = tone(220.0, duration_s=1.5)
    changed = corruptions.corrupt(signal, RATE_HZ, condition, rng=rng, voices=voices)
    assert changed.shape == signal.shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert np.array_equal(changed, signal) == (condition is CLEAN)


def test_conditions_have_names_of_their_own_and_known_functions():
    assert len({one.name for one in CONDITIONS}) == len(CONDITIONS)
    assert {one.function for one in CONDITIONS} - {""} <= set(vars(corruptions))


def test_as_many_clips_of_each_speaker_are_tested(few_clips):
    drawn = robustness.draw_tested(few_clips, clips_a_speaker=2)
    assert (drawn.groupby("speaker").size() == 2).all()
    assert drawn.index.is_monotonic_increasing


SHORT = (CLEAN, next(one for one in CONDITIONS if one.family == "gain"))


@pytest.fixture
def few(demo_clips):
    speakers = [f"demo-{number:02d}" for number in range(1, 7)]
    is_kept = demo_clips["speaker"].isin(speakers) & (demo_clips["repetition"] == 1)
    return demo_clips[is_kept & demo_clips["emotion"].isin(["sad", "angry"])].reset_index(drop=True)


def test_a_comparison_is_stored_and_read_back_without_audio(few, monkeypatch):
    first = compare_conditions(few, conditions=SHORT, clips_a_speaker=1, n_seeds=1)
    monkeypatch.setattr(robustness, "fit_fold", None)
    again = compare_conditions(few.assign(path=""), conditions=SHORT, clips_a_speaker=1, n_seeds=1)
    assert {name: one.score for name, one in first.items()} == {
        name: one.score for name, one in again.items()
    }
    (row,) = condition_table(again).to_dict("records")
    assert row["loss"] == pytest.approx(first["clean"].score.uar - row["uar"])


def test_committed_results_are_found_without_audio(monkeypatch, tmp_path):
    monkeypatch.setenv("SER_REPORTS", str(PROJECT_DIR / "reports"))
    monkeypatch.setenv("SER_DATA", str(tmp_path))
    clips = data.load_corpus("ravdess")
    assert len(compare_conditions(clips)) == len(CONDITIONS)
    assert len(robustness.group_importance(clips)) == len(robustness.GROUPS)
    assert explain(clips).n_speakers == 5


def test_a_comparison_that_is_not_stored_needs_the_audio(few):
    with pytest.raises(RunError, match="SER_DATA"):
        compare_conditions(few.assign(path=""), conditions=SHORT, clips_a_speaker=1, n_seeds=1)


def test_a_corruption_that_fails_names_the_clip_and_the_condition(few):
    bad = Condition("low-pass", 9000, "Hz", "limit_band", {"high_hz": 9000.0})
    with pytest.raises(FeatureError, match="low-pass 9000 Hz"):
        compare_conditions(few, conditions=(CLEAN, bad), clips_a_speaker=1, n_seeds=1)


def test_babble_does_not_contain_the_own_speaker(few, monkeypatch):
    voices, speakers = robustness._voices(few, RATE_HZ)
    assert len(voices) == len(speakers) == 2 * few["speaker"].nunique()
    babble = next(one for one in CONDITIONS if one.family == "babble")
    crowds = []
    plain = robustness._corrupt_and_extract

    def spy(path, audio_sha256, condition, spec, voices):
        crowds.append(len(voices))
        return plain(path, audio_sha256, replace(CLEAN), spec, None)

    monkeypatch.setattr(robustness, "_corrupt_and_extract", spy)
    robustness._corrupted_features(few, few.iloc[:3], babble, robustness.SPEC)
    assert crowds == [len(voices) - 2] * 3


@pytest.mark.parametrize(("codec", "kbps"), [("mp3", 32.0), ("mp3", 64.0), ("opus", 24.0)])
def test_a_codec_meets_its_bit_rate(tone, codec, kbps):
    from ser_lib.audio.corruptions import through_codec

    rng = np.random.default_rng(0)
    signal = tone(300.0, duration_s=4.0) + 0.05 * rng.standard_normal(4 * RATE_HZ)
    _, found = through_codec(signal.astype(np.float32), RATE_HZ, codec=codec, bitrate_kbps=kbps)
    assert found == pytest.approx(kbps, rel=0.15)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"codec": "vinyl"}, "known are mp3, opus"),
        ({"sample_rate_hz": 22_050}, "resample first"),
        ({"bitrate_kbps": 500.0}, "up to 160"),
    ],
)
def test_a_codec_that_cannot_be_had_is_refused(tone, wrong, message):
    from ser_lib.audio.corruptions import through_codec

    options = {"sample_rate_hz": RATE_HZ, "codec": "mp3", "bitrate_kbps": 64.0} | wrong
    with pytest.raises(AudioError, match=message):
        through_codec(tone(300.0), options.pop("sample_rate_hz"), **options)


# --- importance


def test_the_groups_by_description_and_by_statistic_each_cover_all_features_once():
    names = list(robustness.GROUPS)
    for part in (names[:6], names[6:]):
        columns = np.concatenate([robustness.columns_of(one) for one in part])
        assert sorted(columns) == list(range(len(statistic_names())))


def test_permuted_columns_keep_their_values_and_the_others_their_rows(rng):
    features = rng.standard_normal((30, 5))
    permuted = robustness.permute_columns(features, np.array([1, 3]), rng)
    np.testing.assert_array_equal(permuted[:, [0, 2, 4]], features[:, [0, 2, 4]])
    order = [int(np.flatnonzero(features[:, 1] == value)[0]) for value in permuted[:, 1]]
    assert sorted(order) == list(range(30)) != order
    np.testing.assert_array_equal(permuted[:, 3], features[order, 3])  # permuted together


def test_a_planted_feature_is_the_one_that_is_missed(few, rng, monkeypatch):
    features = rng.standard_normal((len(few), len(statistic_names()))).astype(np.float32)
    pitch = robustness.columns_of("pitch")
    features[:, pitch] += 6.0 * (few["emotion"] == "sad").to_numpy()[:, np.newaxis]
    monkeypatch.setattr(robustness, "extract", lambda clips, spec: features)
    table = robustness.group_importance(few, n_seeds=1).set_index("name")
    assert table["value"].idxmax() == "pitch"
    assert table.loc["pitch", "value"] > 0.2
    assert abs(table.loc["zero crossings", "value"]) < 0.1
    again = robustness.group_importance(few.assign(path=""), n_seeds=1).set_index("name")
    assert again["value"].equals(table["value"])
