"""Descriptors of frames: against what is known of tones, noise and silence."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.errors import FeatureError
from ser_lib.features.acoustic import DESCRIPTORS, TYPICAL_DESCRIPTORS, speech_descriptors

RATE_HZ = 16_000
PLACE = {name: number for number, name in enumerate(DESCRIPTORS)}


def means_of(signal: np.ndarray) -> dict[str, float]:
    """Return the clip's mean of each descriptor, as it was measured."""
    first = speech_descriptors(signal, RATE_HZ)[0, len(DESCRIPTORS) :] + TYPICAL_DESCRIPTORS
    return dict(zip(DESCRIPTORS, first.tolist(), strict=True))


@pytest.mark.parametrize("pitch_hz", [100.0, 220.0, 440.0])
def test_a_voice_has_its_pitch_and_is_voiced(tone, pitch_hz):
    voice = sum(tone(pitch_hz * n, rate_hz=RATE_HZ, amplitude=0.3 / n) for n in (1, 2, 3))
    found = means_of(voice)
    # A quarter of a semitone; the ends of the tone count too.
    assert found["pitch"] == pytest.approx(12 * np.log2(pitch_hz / 100), abs=0.5)
    assert found["voicing"] > 0.9


def test_noise_is_flat_and_not_voiced(rng, tone):
    noise, hum = (
        means_of(0.1 * rng.standard_normal(RATE_HZ)),
        means_of(tone(220.0, rate_hz=RATE_HZ)),
    )
    assert noise["voicing"] < 0.5 < hum["voicing"]
    assert noise["flatness"] > -0.7 > hum["flatness"]
    assert noise["centroid"] > hum["centroid"]


def test_ten_times_louder_is_twenty_decibels(rng):
    quiet = 0.01 * rng.standard_normal(RATE_HZ)
    found = [means_of(one)["level"] for one in (quiet, 10 * quiet)]
    assert found[1] - found[0] == pytest.approx(20, abs=0.01)


def test_movements_have_no_mean_and_zeros_are_no_frames(rng):
    values = speech_descriptors(0.1 * rng.standard_normal(RATE_HZ), RATE_HZ)
    is_frame = values.any(axis=1)
    n_used = int(is_frame.sum())
    assert 0 < n_used < 160
    assert is_frame[:n_used].all()
    np.testing.assert_allclose(values[:n_used, : len(DESCRIPTORS)].mean(axis=0), 0, atol=1e-3)


def test_pauses_at_the_ends_do_not_count(rng):
    speech = 0.1 * rng.standard_normal(RATE_HZ).astype(np.float32)
    pause = np.zeros(RATE_HZ // 2, np.float32)
    alone = speech_descriptors(speech, RATE_HZ)
    within = speech_descriptors(np.concatenate([pause, speech, pause]), RATE_HZ)
    assert abs(int(within.any(axis=1).sum()) - int(alone.any(axis=1).sum())) <= 8


@pytest.mark.parametrize("n_samples", [1, 700, 200_000])
def test_every_length_gives_the_same_shape(rng, n_samples):
    values = speech_descriptors(0.1 * rng.standard_normal(n_samples), RATE_HZ)
    assert values.shape == (160, 2 * len(DESCRIPTORS))
    assert np.isfinite(values).all()


def test_silence_is_finite():
    assert np.isfinite(speech_descriptors(np.zeros(RATE_HZ), RATE_HZ)).all()


@pytest.mark.parametrize("bad", [np.zeros(0), np.full(9000, np.nan), np.zeros((2, 9000))])
def test_what_is_no_signal_is_refused(bad):
    with pytest.raises(FeatureError):
        speech_descriptors(bad, RATE_HZ)
