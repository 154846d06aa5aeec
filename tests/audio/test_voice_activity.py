"""Where somebody speaks: made-up sounds that are speech or not, and voices of three corpora."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ser_lib.audio.io import load_signal
from ser_lib.audio.voice_activity import (
    HOP_S,
    RATE_HZ,
    clipped_share,
    frame_levels_db,
    inspect_voice,
    speech_frames,
)
from ser_lib.paths import PROJECT_DIR

DATA = Path(os.environ.get("SER_DATA") or PROJECT_DIR.parent / "shared" / "data")


def test_speech_is_found_where_it_is(speak):
    signal = np.concatenate([np.zeros(RATE_HZ), speak(duration_s=2.0), np.zeros(RATE_HZ)])
    active = speech_frames(signal.astype(np.float32))
    times_s = np.flatnonzero(active) * HOP_S
    assert 0.9 < times_s.min() < 1.1
    assert 2.5 < times_s.max() < 3.1
    assert 0.8 < inspect_voice(signal.astype(np.float32)).speech_s < 2.1


@pytest.mark.parametrize("offset", [0.02, -0.3])
def test_an_offset_is_no_sound(speak, offset):
    signal = np.r_[np.zeros(RATE_HZ), speak(duration_s=2.0)].astype(np.float32)
    np.testing.assert_allclose(
        frame_levels_db(signal + np.float32(offset))[60:],
        frame_levels_db(signal)[60:],
        atol=0.1,
    )
    assert inspect_voice(signal + np.float32(offset)).has_speech


NO_SPEECH = {
    "silence": lambda rng, t: np.zeros_like(t),
    "noise": lambda rng, t: rng.normal(0, 0.1, t.shape),
    "a tone": lambda rng, t: 0.5 * np.sin(2 * np.pi * 220 * t),
    "hum and hiss": lambda rng, t: 0.1 * np.sin(2 * np.pi * 50 * t) + rng.normal(0, 0.01, t.shape),
    "clicks": lambda rng, t: (rng.random(t.shape) < 1e-4).astype(float),
    "waves of noise": lambda rng, t: rng.normal(0, 0.2, t.shape) * (0.1 + np.sin(3 * t) ** 2),
    "bursts of noise": lambda rng, t: rng.normal(0, 0.2, t.shape) * (np.sin(4 * np.pi * t) > 0),
}


@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_is_no_speech_is_not_taken_for_it(rng, name):
    time_s = np.arange(3 * RATE_HZ) / RATE_HZ
    voice = inspect_voice(NO_SPEECH[name](rng, time_s).astype(np.float32))
    assert not voice.has_speech
    assert np.isnan(voice.snr_db)


@pytest.mark.parametrize("pitch_hz", [70.0, 120.0, 240.0, 450.0])
def test_deep_and_high_voices_are_found(speak, pitch_hz):
    assert inspect_voice(speak(pitch_hz=pitch_hz)).speech_s > 1.0


def test_loudness_changes_nothing_but_the_level(speak):
    signal = speak()
    loud, soft = inspect_voice(signal), inspect_voice(0.1 * signal)
    assert loud.level_db - soft.level_db == pytest.approx(20, abs=0.1)
    assert (loud.speech_s, loud.snr_db) == pytest.approx((soft.speech_s, soft.snr_db), abs=0.05)


def test_noise_lowers_the_distance_to_it(speak, rng):
    signal = speak()
    noisy = signal + rng.normal(0, 0.02, len(signal)).astype(np.float32)
    assert inspect_voice(noisy).snr_db < inspect_voice(signal).snr_db - 10


def test_a_level_is_that_of_the_formula():
    tone = (0.5 * np.sin(2 * np.pi * 100 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)
    np.testing.assert_allclose(frame_levels_db(tone), 20 * np.log10(0.5 / np.sqrt(2)), atol=0.01)


def test_a_signal_shorter_than_a_frame_has_one_frame():
    assert frame_levels_db(np.ones(10, np.float32)).shape == (1,)
    assert not inspect_voice(np.ones(10, np.float32)).has_speech


def test_clipping_is_seen_and_a_loud_peak_is_not(speak):
    signal = speak()
    assert clipped_share(signal / np.abs(signal).max()) == 0.0
    assert clipped_share((8 * signal).clip(-0.5, 0.5)) > 0.01
    assert clipped_share(np.zeros(100, np.float32)) == 0.0


@pytest.mark.real_data
@pytest.mark.parametrize(
    "pattern", ["ravdess/Actor_*/*", "emodb/wav/*", "tess/*/*"], ids=["ravdess", "emodb", "tess"]
)
def test_real_speech_is_found(pattern):
    clips = sorted(DATA.glob(pattern))
    if not clips:
        pytest.skip(f"NOT CHECKED: no {pattern} under {DATA}; point SER_DATA at the corpora")
    chosen = clips[:: max(1, len(clips) // 40)]
    assert len(chosen) >= 40
    for path in chosen:
        signal, _ = load_signal(path, sample_rate_hz=RATE_HZ)
        assert inspect_voice(signal).speech_s > 0.5, path
