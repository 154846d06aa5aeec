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
    return fit_domain(rows, speakers, n_directions=7)


def test_one_clip_in_a_hundred_is_called_unlike_the_others(cloud, rng):
    rows = rng.normal(0, 1, (5000, 7)) * np.array([1, 2, 0.1, 5, 1, 1, 1])
    far = np.mean([cloud.distance(row) > cloud.limit for row in rows])
    assert 0.002 < far < 0.03


def test_what_is_far_is_named(cloud):
    row = np.array([0, 0, 2.0, 0, 0, 0, 0])
    assert cloud.distance(row) > cloud.limit
    assert cloud.unlike(row) == "pitch above theirs"
    assert cloud.unlike(-row) == "pitch below theirs"
    assert cloud.unlike(0 * row) == ""


def test_a_far_voice_is_warned_of(speak, cloud):
    far = cloud.unlike(inspect_voice(speak()).statistics())
    assert "unlike the training clips" in warned(speak(), unlike=far)
    assert "unlike" not in warned(speak(), unlike="")


def test_of_an_encoder_the_distance_is_told_and_idle_directions_say_nothing(rng):
    main = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 20))
    found = fit_domain(main, np.arange(300) % 5, n_directions=8)
    assert found.whitening.shape == (20, 3)
    assert found.unlike(main[0]) == ""
    far = found.centre + 10 * (main[0] - found.centre)
    assert found.unlike(far).endswith("times as far as they lie")
    assert found.distance(far) == pytest.approx(10 * found.distance(main[0]))


def test_what_is_no_number_is_not_called_unlike(cloud):
    assert cloud.unlike(np.full(7, np.nan)) == ""


def test_a_distance_is_that_of_the_formula():
    rows = np.random.default_rng(0).normal(size=(300, 7))
    found = fit_domain(rows, np.arange(300) % 3, n_directions=7)
    spread = np.cov(rows, rowvar=False)
    off = np.ones(7) - rows.mean(axis=0)
    assert found.distance(np.ones(7)) == pytest.approx(np.sqrt(off @ np.linalg.solve(spread, off)))


def test_one_speaker_says_nothing_about_others():
    with pytest.raises(FeatureError, match="at least two"):
        fit_domain(np.zeros((5, 7)), np.array(["a"] * 5), n_directions=7)
