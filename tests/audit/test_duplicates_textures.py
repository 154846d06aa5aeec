"""Textures: what is displaced is aligned exactly, and chance is told from likeness."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from ser_lib.audio.augmentation import shift_pitch, stretch_time
from ser_lib.audio.io import load_signal
from ser_lib.audit.duplicates import (
    TEXTURE_THRESHOLD,
    _sampled,
    align,
    confirm_copies,
    texture,
    texture_similarity,
)
from ser_lib.audit.fingerprint import N_BANDS, N_STEPS, fingerprint, similarity
from ser_lib.seeds import generator

RATE_HZ = 16_000


def voice(seed: int, *, pitch_hz: float = 140.0) -> np.ndarray:
    """A hum in breath: the same hum for every seed, another breath for each."""
    rng = generator("textures", seed)
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    course = pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * 0.9 * time_s))
    phase = 2 * np.pi * np.cumsum(course) / RATE_HZ
    hum = sum(np.sin(n * phase) / n for n in range(1, 11))
    loud = np.clip(
        np.sin(np.pi * time_s / 2) ** 2 * (1 + 0.8 * np.sin(2 * np.pi * 2.5 * time_s)), 0, None
    )
    return (loud * (hum + 2.0 * rng.standard_normal(len(time_s)))).astype(np.float32)


def pair_similarity(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    score, place = align(fingerprint(first, RATE_HZ), fingerprint(second, RATE_HZ))
    return score, texture_similarity(texture(first, RATE_HZ), texture(second, RATE_HZ), place)


def test_two_takes_have_one_picture_and_two_textures():
    score, alike = pair_similarity(voice(1), voice(2))
    assert score > 0.7
    assert alike < 0.15


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: 0.1 * x,
        lambda x: np.pad(x, (5_000, 2_000)),
        lambda x: stretch_time(x, RATE_HZ, rate=1.15),
        lambda x: shift_pitch(x, RATE_HZ, semitones=-1.0),
    ],
    ids=["same", "quieter", "padded", "faster", "lower"],
)
def test_a_copy_keeps_its_texture(make):
    score, alike = pair_similarity(voice(1), make(voice(1)))
    assert score > 0.6
    assert alike > TEXTURE_THRESHOLD


def test_alignment_finds_the_displacement_that_was_made(few_clips):
    picture = fingerprint(*load_signal(few_clips["path"].iloc[3])).astype(np.float32)
    rows, columns = np.mgrid[0:N_BANDS, 0:N_STEPS].astype(float)
    middle = (N_STEPS - 1) / 2
    places = [rows + 1.6, middle + (columns - middle) / 1.03 + 2.3]
    moved = map_coordinates(picture, places, order=1)
    score, (log_tempo, bands, steps) = align(picture, moved)
    # `moved` lies lower: it has to go up again.
    assert bands == pytest.approx(1.6, abs=0.2)
    assert np.exp(log_tempo) == pytest.approx(1.03, abs=0.012)
    assert abs(steps) == pytest.approx(2.3, abs=0.4)
    assert score > 0.9
    assert score > similarity(picture, moved)


@pytest.mark.parametrize("n_samples", [0, 1, 500, 4_000])
def test_short_and_silent_clips_are_like_nothing(n_samples):
    place = np.zeros(3)
    silent = texture(np.zeros(n_samples, dtype=np.float32), RATE_HZ)
    assert not silent.detail.any()
    assert texture_similarity(silent, silent, place) == 0.0
    assert texture_similarity(texture(voice(1), RATE_HZ), silent, place) == 0.0


def test_interpolation_is_that_of_scipy():
    rng = np.random.default_rng(0)
    image = rng.random((30, 40)).astype(np.float32)
    rows = np.linspace(-2.0, 31.0, 25).astype(np.float32)
    columns = np.linspace(-3.0, 42.0, 33).astype(np.float32)
    ours = _sampled(image, rows, columns)
    theirs = map_coordinates(image, np.meshgrid(rows, columns, indexing="ij"), order=1)
    # SciPy fades out over the pixel beside the image; here the image ends at its last pixel.
    inside = np.ix_((rows >= 0) & (rows <= 29), (columns >= 0) & (columns <= 39))
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=1e-5)
    outside = np.ones_like(ours, dtype=bool)
    outside[inside] = False
    assert not ours[outside].any()


def test_what_disagrees_is_not_listened_to(few_clips):
    signals = [load_signal(path) for path in few_clips["path"].iloc[[0, 9]]]
    pictures = np.stack([fingerprint(*one) for one in signals])

    def refuse(position):
        raise AssertionError(f"clip {position} was opened")

    noise = np.random.default_rng(0).integers(-100, 100, pictures.shape).astype(np.int8)
    table = confirm_copies(noise, np.array([[0, 1]]), refuse, threshold=0.95)
    assert table["texture"].isna().all()
    none = confirm_copies(pictures, np.empty((0, 2), dtype=int), refuse, threshold=0.95)
    assert list(none.columns) == ["first", "second", "similarity", "texture"]
    assert none.empty
