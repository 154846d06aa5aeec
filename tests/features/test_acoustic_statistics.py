"""Functionals: named values over the spoken frames, and nothing but those."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.features.acoustic import speech_statistics, statistic_names

RATE_HZ = 16_000


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
