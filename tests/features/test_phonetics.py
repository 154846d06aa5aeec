"""Contours are right: the pitch of a tone, the resonances of a made vowel, the level of a sine."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from ser_lib.errors import FeatureError
from ser_lib.features import phonetics
from ser_lib.features.phonetics import STEP_S, contours

RATE_HZ = 16_000


@pytest.fixture(params=["own", "praat"])
def method(request, monkeypatch):
    """Compute by librosa, and by Praat where it is installed."""
    if request.param == "praat":
        pytest.importorskip("parselmouth", reason="Praat's algorithms are an extra (their licence)")
    else:
        monkeypatch.setattr(phonetics, "find_spec", lambda _: None)
    return request.param


def vowel(resonances_hz: dict[float, float], *, pitch_hz: float = 100.0, rate_hz: int = 11_000):
    """Make a second of pulses through resonances with their bandwidths."""
    pulses = np.zeros(rate_hz)
    pulses[:: round(rate_hz / pitch_hz)] = 1
    for frequency_hz, width_hz in resonances_hz.items():
        radius = np.exp(-np.pi * width_hz / rate_hz)
        cosine = np.cos(2 * np.pi * frequency_hz / rate_hz)
        pulses = scipy.signal.lfilter([1], [1, -2 * radius * cosine, radius**2], pulses)
    return (0.5 * pulses / np.abs(pulses).max()).astype(np.float32)


@pytest.mark.parametrize("frequency_hz", [90.0, 220.0, 480.0])
def test_the_pitch_of_a_tone_is_its_frequency(tone, method, frequency_hz):
    pitch_hz = contours(tone(frequency_hz, rate_hz=RATE_HZ), RATE_HZ)["pitch_hz"][5:-5]
    # A fifth of a semitone is the step of pYIN.
    np.testing.assert_allclose(pitch_hz, frequency_hz, rtol=2 ** (0.2 / 12) - 1)


def test_noise_and_silence_have_no_pitch(rng, method):
    noise = rng.uniform(-0.3, 0.3, RATE_HZ).astype(np.float32)
    assert contours(noise, RATE_HZ)["pitch_hz"].notna().mean() < 0.1
    silence = contours(np.zeros(RATE_HZ, np.float32), RATE_HZ)
    assert silence.drop(columns=["time_s", "intensity_db"]).isna().all(axis=None)


def test_what_is_far_below_the_loud_frames_has_no_pitch_and_no_formants(tone, method):
    loud, soft = tone(220.0, rate_hz=RATE_HZ), tone(220.0, rate_hz=RATE_HZ, amplitude=0.01)
    table = contours(np.concatenate([loud, soft]), RATE_HZ)
    half = len(table) // 2
    assert table["pitch_hz"][5 : half - 5].notna().all()
    assert table[["pitch_hz", "f1_hz"]][half + 8 :].isna().all(axis=None)


def test_formants_are_the_resonances_of_a_made_vowel(method):
    resonances_hz = {700.0: 80.0, 1200.0: 90.0, 2600.0: 120.0, 3600.0: 150.0}
    found = contours(vowel(resonances_hz), 11_000)[["f1_hz", "f2_hz", "f3_hz", "f4_hz"]].median()
    # Harmonics 100 Hz apart draw the lowest to the nearest one.
    np.testing.assert_allclose(found, list(resonances_hz), rtol=0.08)


def test_a_lower_ceiling_leaves_out_what_lies_above(method):
    table = contours(vowel({500.0: 80.0, 1500.0: 90.0, 4800.0: 200.0}), 11_000, ceiling_hz=4000)
    assert table.filter(like="f").max().max() < 4000
    for odd_hz in (0.0, -1.0, 10.0, float("nan")):
        with pytest.raises(FeatureError, match="ceiling_hz"):
            contours(np.ones(1600, np.float32), RATE_HZ, ceiling_hz=odd_hz)


def test_intensity_is_the_level_of_a_sine_re_full_scale(tone, method):
    table = contours(tone(200.0, rate_hz=RATE_HZ, amplitude=0.5), RATE_HZ)
    expected_db = 20 * np.log10(0.5 / np.sqrt(2))
    np.testing.assert_allclose(table["intensity_db"][10:-10], expected_db, atol=0.1)


@pytest.mark.parametrize("n_samples", [1, 400, 16_000])
def test_time_goes_on_in_steps_whatever_the_length(method, rng, n_samples):
    table = contours(rng.normal(0, 0.1, n_samples).astype(np.float32), 8000)
    np.testing.assert_allclose(np.diff(table["time_s"]), STEP_S)
    assert len(table) * STEP_S >= n_samples / 8000


def test_a_signal_that_is_not_finite_is_refused():
    with pytest.raises(FeatureError):
        contours(np.full(800, np.nan), 8000)


def test_the_table_says_by_what_it_was_computed(tone, method):
    said = contours(tone(200.0), RATE_HZ).attrs["method"]
    assert ("pip install" in said) == (method == "own")
