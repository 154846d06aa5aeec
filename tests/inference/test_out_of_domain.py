"""Warnings: each has a recording that earns it, and one that does not."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.audio.voice_activity import inspect_voice
from ser_lib.errors import FeatureError
from ser_lib.inference.out_of_domain import fit_domain, over_time, recording_warnings


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


SPREADS = np.array([1, 2, 0.1, 5, 1, 1, 1])


@pytest.fixture
def cloud(rng):
    speakers = np.repeat([f"s{n}" for n in range(10)], 40)
    return fit_domain(rng.normal(0, 1, (400, 7)) * SPREADS, speakers)


def test_one_clip_in_a_hundred_is_called_unlike_the_others(cloud, rng):
    rows = rng.normal(0, 1, (5000, 7)) * SPREADS
    far = np.mean([cloud.distance(row) > cloud.limit for row in rows])
    assert 0.002 < far < 0.03


def test_what_is_far_is_warned_of_with_its_distance(cloud, speak):
    row = cloud.centre + np.array([0, 0, 2.0, 0, 0, 0, 0])
    times = cloud.distance(row) / cloud.limit
    assert times > 1
    at_limit = (row - cloud.centre) / times
    assert cloud.distance(cloud.centre + 1.01 * at_limit) / cloud.limit == pytest.approx(1.01)
    assert "unlike the training clips (1.0 times" in warned(speak(), unlike=1.01)
    assert "unlike" not in warned(speak(), unlike=0.99)
    near, far = (warned(speak(), unlike=one, farthest=2.0) for one in (2.0, 2.001))
    assert near != far


def test_a_distance_is_that_of_the_formula():
    rows = np.random.default_rng(0).normal(size=(300, 7))
    found = fit_domain(rows, np.arange(300) % 3)
    off = np.ones(7) - rows.mean(axis=0)
    spread = np.cov(rows, rowvar=False)
    assert found.distance(np.ones(7)) == pytest.approx(np.sqrt(off @ np.linalg.solve(spread, off)))


def test_directions_in_which_nothing_differs_say_nothing(rng):
    rows = np.hstack([rng.normal(size=(300, 3)) @ rng.normal(size=(3, 20)), np.ones((300, 2))])
    found = fit_domain(rows, np.arange(300) % 5)
    assert found.whitening.shape == (22, 3)
    far = found.centre + 10 * (rows[0] - found.centre)
    assert found.distance(far) == pytest.approx(10 * found.distance(rows[0]))


def test_only_the_directions_of_most_difference_are_kept(rng):
    assert fit_domain(rng.normal(size=(100, 40)), np.arange(100) % 2).whitening.shape[1] == 16


def test_bands_are_summarised_over_time_alone(rng):
    values = rng.normal(size=(3, 5, 7, 1))
    bands = over_time(values, (0, 2))
    np.testing.assert_allclose(bands[:5], values.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(bands[5:], values.std(axis=(0, 2, 3)))
    np.testing.assert_allclose(over_time(values[::-1, :, ::-1], (0, 2)), bands)


def test_clips_that_do_not_differ_have_no_domain():
    with pytest.raises(FeatureError, match="the same"):
        fit_domain(np.ones((6, 7)), np.array(list("aabbcc")))


@pytest.mark.parametrize(
    ("values", "speakers", "message"),
    [
        (np.eye(5, 7), ["a"] * 5, "1 speaker"),
        (np.full((5, 7), np.nan), list("abcde"), "5 speaker.*finite"),
    ],
)
def test_one_speaker_or_no_numbers_say_nothing_about_others(values, speakers, message):
    with pytest.raises(FeatureError, match=message):
        fit_domain(values, np.array(speakers))
