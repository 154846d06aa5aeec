"""All features that need nothing but a signal: pure, checked, versioned; and the specs.

The encoders' features and openSMILE's have tests of their own.
"""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.audio.io import load_signal
from ser_lib.errors import FeatureError
from ser_lib.features.registry import FEATURES, FeatureSpec

RATE_HZ = 22_050
PLAIN = [name for name, one in FEATURES.items() if one.shape is None]


@pytest.fixture(scope="module")
def voice(demo_clips):
    """A demo clip at 22,050 Hz."""
    return load_signal(demo_clips["path"][5], sample_rate_hz=RATE_HZ)[0]


@pytest.mark.parametrize("name", PLAIN)
def test_a_feature_is_pure(name, voice):
    function = FEATURES[name].function
    before = voice.copy()
    first, second = function(voice, RATE_HZ), function(voice, RATE_HZ)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(voice, before)
    assert np.isfinite(first).all()


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (np.zeros(0, dtype=np.float32), "mono and not empty"),
        (np.zeros((2, 22_050), dtype=np.float32), "mono and not empty"),
        (np.full(22_050, np.nan, dtype=np.float32), "NaN or infinite"),
        (np.full(22_050, np.inf, dtype=np.float32), "NaN or infinite"),
    ],
)
def test_a_signal_that_is_none_is_refused(name, signal, message):
    with pytest.raises(FeatureError, match=message):
        FEATURES[name].function(signal, RATE_HZ)


@pytest.mark.parametrize("name", PLAIN)
def test_silence_gives_finite_values_or_a_clear_error(name):
    try:
        values = FEATURES[name].function(np.zeros(RATE_HZ, dtype=np.float32), RATE_HZ)
    except FeatureError as error:
        assert "silent" in str(error)  # noqa: PT017, either outcome is right
    else:
        assert np.isfinite(values).all()


# --- specs


def test_an_unknown_feature_names_the_known_ones():
    with pytest.raises(FeatureError, match=r"'mel'.*log_mel"):
        FeatureSpec("mel")


def test_an_unknown_parameter_is_named():
    with pytest.raises(FeatureError, match="n_mel"):
        FeatureSpec("log_mel", params={"n_mel": 64})


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"sample_rate_hz": 0}, "sample_rate_hz"),
        ({"offset_s": -1.0}, "offset_s"),
        ({"duration_s": 0.0}, "duration_s"),
        ({"params": {"n_mels": -5}}, "n_mels"),
        ({"params": {"f_max_hz": -1.0}}, "f_max_hz"),
        ({"params": {"f_max_hz": float("nan")}}, "f_max_hz"),
        ({"params": {"duration_s": float("inf")}}, "duration_s"),
    ],
)
def test_a_value_that_no_signal_has_is_refused(given, name):
    with pytest.raises(FeatureError, match=f"{name} is"):
        FeatureSpec("log_mel", **given)


def test_what_is_zero_by_itself_may_be_set_to_zero():
    encoder = {"encoder": "any", "sha256": "0"}
    FeatureSpec("encoder_views", params={**encoder, "n_layers": 0, "n_values": 0})
    FeatureSpec("mfcc_zcr_rms", params={"is_muted": False})
    FeatureSpec("log_mel", offset_s=0.0, params={"f_max_hz": None, "duration_s": None})


# --- versions

# Mean and standard deviation of every feature of one synthetic signal, by name and version. Where
# a number moves, stored features and runs are others: raise the version in `FEATURES` (keys then
# change) and write the new line here. They are made by `_fingerprint` below.
GOLDEN = {
    ("log_mel", 1): ((128, 87), -54.0593, 6.46787),
    ("mel_chunks", 1): ((3, 128, 60, 1), 0.116334, 0.135853),
    ("mel_frames", 1): ((130, 60, 1), 0.246760, 0.190069),
    ("mel_square", 1): ((128, 128, 1), 0.324268, 0.0799643),
    ("mel_picture", 1): ((224, 224, 3), 70.6729, 45.5353),
    ("mfcc_zcr_rms", 1): ((108, 42), -7.10836, 49.1522),
    # A voice from its beginning on: it has no opening.
    ("opening_silence", 1): ((35,), 0.0, 0.0),
    ("prosody", 1): ((4,), 66.9215, 117.634),
    ("speech_descriptors", 2): ((160, 86), -1.17297, 8.03665),
    ("speech_statistics", 1): ((69,), -0.997060, 29.6138),
    ("waveform_envelope", 1): ((2, 400), 9.21065e-05, 0.182538),
}


def _fingerprint(name: str) -> tuple[tuple[int, ...], float, float]:
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    swept = 0.4 * np.sin(2 * np.pi * (150 + 60 * time_s) * time_s) * np.hanning(len(time_s))
    hiss = 0.01 * np.random.default_rng(0).standard_normal(len(time_s))
    values = FEATURES[name].function((swept + hiss).astype(np.float32), RATE_HZ).astype(float)
    return values.shape, float(values.mean()), float(values.std())


@pytest.mark.parametrize("name", PLAIN)
def test_a_feature_that_changes_raises_its_version(name):
    key = (name, FEATURES[name].version)
    assert key in GOLDEN, f"write down {key}: {_fingerprint(name)}"
    shape, mean, deviation = GOLDEN[key]
    found = _fingerprint(name)
    assert found[0] == shape
    # Other builds of NumPy and SciPy move the fifth digit at most; a change of meaning moves more.
    np.testing.assert_allclose(found[1:], (mean, deviation), rtol=1e-3)
