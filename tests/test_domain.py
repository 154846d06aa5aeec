"""Warnings: each has a recording that earns it, and one that does not."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.domain import fit_domain, recording_warnings
from ser_lib.errors import FeatureError
from ser_lib.voice import inspect_voice


def warned(signal, **facts) -> str:
    options = {"sample_rate_hz": 16_000} | facts
    return "; ".join(recording_warnings(inspect_voice(signal.astype(np.float32)), **options))


def test_plain_speech_earns_no_warning(speak):
    assert warned(speak()) == ""


def test_each_fault_earns_its_warning(speak, rng):
    signal = speak()
    assert "no speech" in warned(np.zeros(16_000))
    assert "too short" in warned(speak(duration_s=0.4))
    assert "noisy" in warned(signal + rng.normal(0, 0.05, len(signal)))
    assert "very quiet" in warned(signal * 10 ** (-42 / 20))
    assert "low sample rate (8000 Hz)" in warned(signal, sample_rate_hz=8000)
    assert "clipped (5.0 %" in warned(signal, clipped_share=0.05)


@pytest.fixture
def cloud(rng):
    speakers = np.repeat([f"s{n}" for n in range(10)], 40)
    rows = rng.normal(0, 1, (400, 7)) * np.array([1, 2, 0.1, 5, 1, 1, 1])
    return fit_domain(rows, speakers)


def test_one_clip_in_a_hundred_is_called_unlike_the_others(cloud, rng):
    rows = rng.normal(0, 1, (5000, 7)) * np.array([1, 2, 0.1, 5, 1, 1, 1])
    far = np.mean([cloud.distance(row) > cloud.limit for row in rows])
    assert 0.002 < far < 0.03


def test_what_is_far_is_named(cloud):
    row = np.array([0, 0, 2.0, 0, 0, 0, 0])
    assert cloud.distance(row) > cloud.limit
    assert cloud.farthest(row) == "pitch above theirs"
    assert cloud.farthest(-row) == "pitch below theirs"


def test_a_far_voice_is_warned_of(speak, cloud):
    assert "unlike the training clips" in warned(speak(), domain=cloud)


def test_a_distance_is_that_of_the_formula():
    rows = np.random.default_rng(0).normal(size=(300, 7))
    found = fit_domain(rows, np.arange(300) % 3)
    spread = np.cov(rows, rowvar=False)
    spread = 0.95 * spread + 0.05 * np.diag(np.diag(spread))
    off = np.ones(7) - rows.mean(axis=0)
    assert found.distance(np.ones(7)) == pytest.approx(np.sqrt(off @ np.linalg.solve(spread, off)))


def test_one_speaker_says_nothing_about_others():
    with pytest.raises(FeatureError, match="at least two"):
        fit_domain(np.zeros((5, 7)), np.array(["a"] * 5))
