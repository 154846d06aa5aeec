"""Recordings that a predictor should warn of: each version is what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.audio.voice_activity import clipped_share, inspect_voice
from ser_lib.errors import FeatureError
from support.degraded import degraded_versions, join_with_pauses


def test_each_version_is_what_its_name_says(speak, rng):
    signal = speak()
    versions = degraded_versions(signal, 16_000, rng=rng)
    np.testing.assert_array_equal(versions["as it is"], signal)
    added = versions["noise as loud as the voice"] - signal
    assert np.mean(added**2) == pytest.approx(np.mean(signal**2), rel=0.05)
    assert clipped_share(versions["clipped"]) > 0.01
    spectrum = np.abs(np.fft.rfft(versions["telephone"]))
    hz = np.fft.rfftfreq(len(versions["telephone"]), 1 / 16_000)
    assert spectrum[hz > 3800].max() < 0.01 * spectrum.max()
    assert len(versions["a third of a second"]) == 16_000 // 3
    assert not inspect_voice(versions["noise alone"]).has_speech
    assert all(one.dtype == np.float32 for one in versions.values())


def test_a_silent_recording_cannot_be_degraded(rng):
    with pytest.raises(FeatureError):
        degraded_versions(np.zeros(100, np.float32), 16_000, rng=rng)


def test_clips_are_joined_with_pauses():
    joined = join_with_pauses([np.ones(10), np.ones(5)], 10, pause_s=1.0)
    np.testing.assert_array_equal(joined, [1] * 10 + [0] * 10 + [1] * 5 + [0] * 10)
