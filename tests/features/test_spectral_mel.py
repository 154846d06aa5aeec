"""Mel spectrograms: the same numbers as librosa's."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from ser_lib.features.spectral import mel_matrix, mel_power, power_to_db


@pytest.mark.parametrize(
    ("rate", "n_mels", "hop", "f_max_hz"),
    [
        (22_050, 128, 512, None),
        (22_050, 64, 1024, None),
        (16_000, 64, 256, 8000.0),
        (48_000, 40, 512, 8000.0),
        (16_000, 20, 512, 900.0),
    ],
)
@pytest.mark.parametrize("n_samples", [1, 700, 2048, 5000, 60_000])
def test_it_is_what_librosa_computes(rng, rate, n_mels, hop, f_max_hz, n_samples):
    signal = rng.normal(0, 0.1, n_samples).astype(np.float32)
    theirs = librosa.feature.melspectrogram(
        y=np.pad(signal, (0, max(0, 2048 - n_samples))),
        sr=rate,
        n_mels=n_mels,
        n_fft=2048,
        hop_length=hop,
        fmax=f_max_hz,
    )[:, : 1 + n_samples // hop]
    ours = mel_power(
        signal, rate, n_mels=n_mels, n_fft=2048, hop_samples=hop, f_max_hz=f_max_hz or rate / 2
    )
    assert ours.dtype == theirs.dtype == np.float32
    # The rounding of float32.
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * theirs.max())
    theirs_db = librosa.power_to_db(theirs, ref=np.max, top_db=80)
    np.testing.assert_allclose(power_to_db(ours, range_db=80.0), theirs_db, atol=1e-4)


def test_the_filters_are_those_of_librosa():
    ours = mel_matrix(22_050, 2048, 128, 11_025.0)
    theirs = librosa.filters.mel(sr=22_050, n_fft=2048, n_mels=128)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_what_is_kept_cannot_be_spoiled():
    with pytest.raises(ValueError, match="read-only"):
        mel_matrix(22_050, 2048, 128, 11_025.0)[0, 0] = 1.0


def test_double_precision_stays_double(rng):
    signal = rng.normal(size=4000)
    power = mel_power(signal, 16_000, n_mels=20, n_fft=2048, hop_samples=512, f_max_hz=8000.0)
    assert power.dtype == np.float64


def test_silence_has_one_level():
    assert (power_to_db(np.zeros((3, 4)), range_db=80.0) == 0).all()
