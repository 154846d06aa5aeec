"""Corruptions: each does what its physical parameter says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.audio import corruptions as c
from ser_lib.errors import FeatureError

RATE_HZ = 16_000


@pytest.fixture
def noise(rng):
    return (0.1 * rng.standard_normal(RATE_HZ)).astype(np.float32)


def level_db(signal: np.ndarray) -> float:
    return 10 * np.log10(np.mean(signal.astype(float) ** 2))


def band_share(signal: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    hz = np.fft.rfftfreq(len(signal), 1 / RATE_HZ)
    return float(power[(hz >= low_hz) & (hz < high_hz)].sum() / power.sum())


@pytest.mark.parametrize("snr_db", [30.0, 10.0, 0.0, -5.0])
def test_white_noise_and_babble_are_mixed_at_their_ratio(tone, rng, snr_db):
    signal, voices = tone(300.0), rng.standard_normal((8, 9_000))
    noisy = c.add_white_noise(signal, RATE_HZ, rng, snr_db=snr_db)
    babble = c.add_babble(signal, RATE_HZ, rng, snr_db=snr_db, voices=voices)
    for mixed in (noisy, babble):
        found = level_db(signal) - level_db(mixed.astype(float) - signal)
        assert found == pytest.approx(snr_db, abs=0.01)


def test_silence_cannot_be_mixed_at_a_ratio(rng, noise):
    with pytest.raises(FeatureError, match=r"^the signal"):
        c.mix_at_snr(np.zeros(5), np.ones(5), 10.0)
    with pytest.raises(FeatureError, match=r"^the noise"):
        c.mix_at_snr(np.ones(5), np.zeros(5), 10.0)
    with pytest.raises(FeatureError, match=" 0 "):
        c.add_babble(noise, RATE_HZ, rng, snr_db=0.0, voices=np.empty((0, 10)))


def test_a_telephone_has_no_energy_outside_its_band(noise, rng):
    through = c.limit_band(noise, RATE_HZ, rng, low_hz=300.0, high_hz=3400.0)
    assert band_share(through, 250.0, 3600.0) > 0.999
    # What is inside passes as it was: a flat spectrum keeps the share of its band.
    assert level_db(through) - level_db(noise) == pytest.approx(10 * np.log10(3100 / 8000), abs=0.5)


def test_a_low_pass_keeps_what_is_below_without_delay(tone, rng):
    low, high = tone(200.0), tone(6000.0)
    through = c.limit_band(low + high, RATE_HZ, rng, high_hz=1000.0)
    np.testing.assert_allclose(through[2000:-2000], low[2000:-2000], atol=1e-3)


@pytest.mark.parametrize(("low_hz", "high_hz"), [(0.0, 8000.0), (500.0, 400.0), (-1.0, 100.0)])
def test_a_band_that_does_not_fit_is_refused(noise, rng, low_hz, high_hz):
    with pytest.raises(FeatureError, match=f"{high_hz} Hz"):
        c.limit_band(noise, RATE_HZ, rng, low_hz=low_hz, high_hz=high_hz)


@pytest.mark.parametrize("gain_db", [-20.0, 10.0])
def test_a_gain_is_in_decibels(noise, rng, gain_db):
    louder = c.change_gain(noise, RATE_HZ, rng, gain_db=gain_db)
    assert level_db(louder) - level_db(noise) == pytest.approx(gain_db, abs=1e-4)


def test_clipping_leaves_nothing_above_its_level_and_the_rest_alone(tone, rng):
    signal = tone(200.0, amplitude=0.8)
    clipped = c.clip_peaks(signal, RATE_HZ, rng, below_peak_db=6.0)
    limit = 0.8 * 10 ** (-6 / 20)
    assert np.abs(clipped).max() == pytest.approx(limit, rel=1e-3)
    small = np.abs(signal) < limit - 1e-6
    np.testing.assert_array_equal(clipped[small], signal[small])


@pytest.mark.parametrize("t60_s", [0.3, 0.8])
def test_a_room_decays_by_60_db_in_its_time(rng, t60_s):
    click = np.zeros(2 * RATE_HZ, np.float32)
    click[0] = 1.0
    response = c.reverberate(click, RATE_HZ, rng, t60_s=t60_s).astype(float)
    # Schroeder's backward integral of the tail, in dB, falls as a straight line.
    tail = response[1 : round(t60_s * RATE_HZ)] ** 2
    decay_db = 10 * np.log10(np.cumsum(tail[::-1])[::-1] / tail.sum())
    n = round(0.5 * len(tail))
    slope_db_s = np.polyfit(np.arange(n) / RATE_HZ, decay_db[:n], 1)[0]
    assert slope_db_s == pytest.approx(-60 / t60_s, rel=0.1)
    assert tail.sum() == pytest.approx(response[0] ** 2, rel=1e-3)  # as strong as the direct sound


def test_a_room_keeps_the_level_and_needs_a_time(noise, rng):
    wet = c.reverberate(noise, RATE_HZ, rng, t60_s=0.5)
    assert level_db(wet) == pytest.approx(level_db(noise), abs=0.01)
    with pytest.raises(FeatureError, match=r"=0\.0 "):
        c.reverberate(noise, RATE_HZ, rng, t60_s=0.0)


@pytest.mark.parametrize(("codec", "kbps"), [("mp3", 64.0), ("opus", 24.0)])
def test_a_codec_returns_about_the_same_signal(tone, rng, codec, kbps):
    signal = tone(440.0) * np.hanning(RATE_HZ).astype(np.float32)
    decoded = c.encode(signal, RATE_HZ, rng, codec=codec, bitrate_kbps=kbps)
    assert decoded.shape == signal.shape
    assert level_db(decoded) == pytest.approx(level_db(signal), abs=1.0)
    assert not np.array_equal(decoded, signal)


def test_a_later_start_is_silence_first_and_an_earlier_one_cuts(noise, rng):
    later = c.start_later(noise, RATE_HZ, rng, shift_s=0.25)
    assert not later[:4000].any()
    np.testing.assert_array_equal(later[4000:], noise[:-4000])
    earlier = c.start_later(noise, RATE_HZ, rng, shift_s=-0.25)
    np.testing.assert_array_equal(earlier[:-4000], noise[4000:])
    with pytest.raises(FeatureError, match=r"1\.0 s"):
        c.start_later(noise, RATE_HZ, rng, shift_s=1.0)


def test_the_same_generator_gives_the_same_corruption_and_the_input_is_left_alone(noise):
    before = noise.copy()
    first, second = (
        c.reverberate(noise, RATE_HZ, np.random.default_rng(3), t60_s=0.3) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(noise, before)


# --- degraded recordings
