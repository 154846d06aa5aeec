"""Acoustic features: against what is known of tones, noise, pauses and silence."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.errors import FeatureError
from ser_lib.features.acoustic import (
    DESCRIPTORS,
    OPENING_S,
    TYPICAL_DESCRIPTORS,
    opening_silence,
    prosody,
    speech_descriptors,
    speech_statistics,
    statistic_names,
    waveform_envelope,
)

RATE_HZ = 16_000
WIDE_RATE_HZ = 22_050


@pytest.fixture
def noise(rng):
    return rng.normal(0.0, 0.1, WIDE_RATE_HZ).astype(np.float32)


# --- envelope, prosody


def test_the_envelope_is_the_lowest_and_highest_sample_of_each_stretch(noise):
    envelope = waveform_envelope(noise, WIDE_RATE_HZ, duration_s=1.0, n_points=50)
    stretches = noise.reshape(50, 441)
    np.testing.assert_array_equal(envelope[0], stretches.min(axis=1))
    np.testing.assert_array_equal(envelope[1], stretches.max(axis=1))


def test_the_envelope_of_a_short_clip_ends_in_zeros(noise):
    envelope = waveform_envelope(noise, WIDE_RATE_HZ, duration_s=2.0, n_points=100)
    assert envelope[:, :50].any(axis=0).all()
    assert not envelope[:, 51:].any()


def test_prosody_measures_a_tone(tone):
    level_db, pitch_hz, range_semitones, length_s = prosody(
        tone(200.0, rate_hz=WIDE_RATE_HZ, duration_s=2.0), WIDE_RATE_HZ
    )
    assert level_db == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.1)
    assert pitch_hz == pytest.approx(200.0, rel=0.01)
    assert range_semitones == pytest.approx(0.0, abs=0.1)
    # One frame at each end.
    assert length_s == pytest.approx(2.0, abs=0.05)


def test_prosody_hears_a_jump_of_an_octave_and_leaves_pauses_out(tone):
    parts = [tone(frequency, rate_hz=WIDE_RATE_HZ) for frequency in (150.0, 300.0)]
    silence = np.zeros(WIDE_RATE_HZ, dtype=np.float32)
    _, _, range_semitones, length_s = prosody(np.concatenate([*parts, silence]), WIDE_RATE_HZ)
    assert range_semitones == pytest.approx(12.0, abs=0.2)
    assert length_s == pytest.approx(2.0, abs=0.15)


# --- statistics over the spoken frames


def value(signal: np.ndarray, name: str) -> float:
    return float(speech_statistics(signal, RATE_HZ)[statistic_names().index(name)])


def test_every_value_has_a_name(tone):
    assert len(statistic_names()) == len(set(statistic_names())) == 69
    assert speech_statistics(tone(220.0), RATE_HZ).shape == (69,)


def test_a_tone_has_its_pitch_its_level_and_does_not_change(tone):
    signal = tone(220.0, amplitude=0.5)
    # Two octaves above 55 Hz; an effective value of 0.5 / sqrt(2) is 9 dB below full scale.
    assert value(signal, "pitch mean") == pytest.approx(24.0, abs=0.1)
    assert value(signal, "level mean") == pytest.approx(-9.03, abs=0.5)
    assert value(signal, "zero crossings mean") == pytest.approx(2 * 220 / RATE_HZ, rel=0.1)
    assert value(signal, "pitch change") < 0.1


def test_a_gain_moves_the_level_by_its_decibels_and_leaves_the_pitch(tone):
    loud, soft = tone(220.0, amplitude=0.5), tone(220.0, amplitude=0.05)
    assert value(loud, "level mean") - value(soft, "level mean") == pytest.approx(20.0, abs=0.01)
    assert value(loud, "pitch mean") == pytest.approx(value(soft, "pitch mean"), abs=0.01)


def test_silence_around_speech_hardly_moves_what_is_spoken(tone):
    signal = tone(220.0, duration_s=1.5)
    padded = np.pad(signal, (RATE_HZ, RATE_HZ))
    for name in ("level mean", "pitch mean", "zero crossings mean"):
        assert value(padded, name) == pytest.approx(value(signal, name), abs=1.0), name


def test_a_rising_tone_spreads_more_than_a_steady_one(tone):
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    rising = (0.5 * np.sin(2 * np.pi * (120 + 60 * time_s) * time_s)).astype(np.float32)
    assert value(rising, "pitch spread") > 10 * value(tone(220.0), "pitch spread")


# --- descriptors of frames


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


# --- silence


@pytest.fixture
def opening(speak, rng):
    """Return a function that puts noise and zeros before a voice."""

    def make(*, noise_s: float = 0.0, level: float = 1e-3, zeros_s: float = 0.0) -> np.ndarray:
        noise = rng.normal(0, level, round(noise_s * RATE_HZ))
        parts = [np.zeros(round(zeros_s * RATE_HZ)), noise, speak(duration_s=1.5)]
        return np.concatenate(parts).astype(np.float32)

    return make


def test_digital_silence_is_counted_and_single_zeros_are_not(opening):
    assert opening_silence(opening(zeros_s=0.2), RATE_HZ)[0] == pytest.approx(0.2, abs=1e-3)
    dotted = opening(noise_s=0.5)
    dotted[::100] = 0
    assert opening_silence(dotted, RATE_HZ)[0] == 0


def test_the_opening_ends_before_anybody_speaks(opening):
    lengths_s = [opening_silence(opening(noise_s=s), RATE_HZ)[1] for s in (0.0, 0.3, 1.0)]
    assert lengths_s[0] == 0
    assert 0.1 <= lengths_s[1] < 0.3
    assert lengths_s[2] == pytest.approx(OPENING_S, abs=1e-3)


def test_the_opening_shows_the_level_of_the_room_and_nothing_of_the_voice(opening):
    quiet, loud = (
        opening_silence(opening(noise_s=1.0, level=one), RATE_HZ) for one in (1e-3, 1e-2)
    )
    n_bands = (len(quiet) - 3) // 2
    assert (loud - quiet)[3 : 3 + n_bands].mean() == pytest.approx(20, abs=2)
    signal = opening(noise_s=1.0)
    other = signal.copy()
    other[RATE_HZ:] *= 0.5
    np.testing.assert_array_equal(
        opening_silence(signal, RATE_HZ)[1:], opening_silence(other, RATE_HZ)[1:]
    )
