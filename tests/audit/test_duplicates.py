"""Copies are found however they were made, and other takes are not called copies."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import map_coordinates

from ser_lib.audio.augmentation import shift_pitch, stretch_time
from ser_lib.audio.io import load_signal
from ser_lib.audio.signal import resample
from ser_lib.audit import duplicates
from ser_lib.audit.duplicates import (
    TEXTURE_THRESHOLD,
    _sampled,
    align,
    compare_pairs,
    confirm_copies,
    find_copies,
    likely_pairs,
    nearest_pairs,
    texture,
    texture_similarity,
)
from ser_lib.audit.fingerprint import (
    N_BANDS,
    N_STEPS,
    N_VALUES,
    THRESHOLD,
    Fingerprints,
    fingerprint,
    gather,
    similarity,
)
from ser_lib.seeds import generator
from tools.evaluate_duplicates import recode

RATE_HZ = 16_000
COPIES = {
    "MP3": lambda x, hz: recode(x, hz, container="MP3", sample_format="MPEG_LAYER_III"),
    "padded": lambda x, hz: (np.pad(x, (hz // 2, hz // 3)), hz),
    "8 kHz": lambda x, hz: (resample(x, hz, 8_000), 8_000),
    "louder": lambda x, hz: (4.0 * x, hz),
}


def test_silent_clips_are_no_copies_of_each_other(pictures):
    silent = np.zeros((N_BANDS, N_STEPS), dtype=np.int8)
    assert find_copies(gather([silent, silent])).empty
    assert find_copies(gather([silent])).empty
    assert find_copies(gather([])).empty
    assert list(find_copies(gather([silent, *pictures[:2]])).columns) == [
        *("first", "second", "similarity", "texture"),
    ]


def test_planted_copies_are_found_and_nothing_else(signals, pictures):
    makers = [*COPIES.values()]
    planted = [(number, makers[number % 4]) for number in range(0, 24, 3)]
    copies = [fingerprint(*make(*signals[number])) for number, make in planted]
    found = find_copies(gather([*pictures, *copies]), threshold=0.9)
    expected = {(number, 24 + place) for place, (number, _) in enumerate(planted)}
    assert {(row.first, row.second) for row in found.itertuples()} == expected
    assert found["similarity"].is_monotonic_decreasing


def test_pictures_on_disk_give_the_same(tmp_path, pictures):
    shape = (30, N_BANDS, N_STEPS)
    out = Fingerprints(
        np.memmap(tmp_path / "pictures", dtype=np.int8, mode="w+", shape=shape),
        np.memmap(tmp_path / "vectors", dtype=np.float32, mode="w+", shape=(30, N_VALUES)),
    )
    there, here = gather(iter(pictures), out=out), gather(pictures)
    assert len(there) == len(here) == 24
    pd.testing.assert_frame_equal(
        find_copies(there, threshold=0.3), find_copies(here, threshold=0.3)
    )


def test_thousands_of_clips_are_searched_in_seconds():
    # Made-up vectors: 1,500 sounds, and a near copy of each of the first hundred.
    rng = np.random.default_rng(5)
    vectors = rng.random((1_500, 640), dtype=np.float32)
    vectors = np.concatenate([vectors, vectors[:100] + 0.05 * rng.random((100, 640))])
    start = time.process_time()
    pairs = nearest_pairs(vectors.astype(np.float32), 5)
    assert time.process_time() - start < 10
    assert {(n, 1_500 + n) for n in range(100)} <= {tuple(pair) for pair in pairs}
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_in_cells_a_clip_is_compared_with_few_others_and_copies_are_found(monkeypatch):
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((3_000, 640), dtype=np.float32)
    vectors[2_000:] = vectors[:1_000] + 0.3 * vectors[2_000:]
    vectors[17] = 0  # without sound
    exact = nearest_pairs(vectors, 5)
    monkeypatch.setattr(duplicates, "MANY_CLIPS", 1_000)
    pairs = nearest_pairs(vectors, 5)
    planted = {(n, 2_000 + n) for n in range(1_000) if n != 17}
    for found in (exact, pairs):
        assert len(planted & set(map(tuple, found.tolist()))) >= 0.99 * len(planted)
        assert 17 not in found
    assert (pairs[:, 0] < pairs[:, 1]).all()
    np.testing.assert_array_equal(pairs, nearest_pairs(vectors, 5))


ALTERED = {
    "faster": lambda x, hz: (stretch_time(x, hz, rate=1.15), hz),
    "slower": lambda x, hz: (stretch_time(x, hz, rate=0.85), hz),
    "higher": lambda x, hz: (shift_pitch(x, hz, semitones=1.5), hz),
    "lower": lambda x, hz: (shift_pitch(x, hz, semitones=-1.0), hz),
}


@pytest.mark.parametrize("make", ALTERED.values(), ids=ALTERED)
def test_altered_copies_are_found_by_their_texture_and_only_so(signals, pictures, make):
    numbers = (0, 7, 13)
    made = [make(*signals[number]) for number in numbers]
    sounds = [*signals, *made]
    prints = gather([*pictures, *(fingerprint(*one) for one in made)])
    assert find_copies(prints, threshold=0.97).empty
    found = find_copies(prints, threshold=0.97, load=lambda position: sounds[position])
    pairs = set(zip(found["first"], found["second"], strict=True))
    # Not every one: how many of what kind is measured on real clips (`reports/audit`).
    assert pairs <= {(number, 24 + place) for place, number in enumerate(numbers)}
    assert len(pairs) >= 2
    assert found["texture"].notna().all()


def test_each_clip_brings_its_two_best_pairs():
    pairs = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [2, 3], [4, 5]])
    coarse = np.array([0.9, 0.8, 0.7, 0.65, 0.95, 0.4])
    # (0, 3) is the third of clip 0 but the second of clip 3; (4, 5) agree too little.
    assert likely_pairs(pairs, coarse).tolist() == [True] * 5 + [False]
    crowd = np.array([[0, other] for other in range(1, 6)] + [[1, 2], [3, 4], [3, 5], [4, 5]])
    scores = np.array([0.9, 0.8, 0.7, 0.69, 0.61, 0.99, 0.99, 0.99, 0.99])
    assert not likely_pairs(crowd, scores)[4]
    assert likely_pairs(pairs[:0], coarse[:0]).shape == (0,)


def test_the_texture_of_a_pair_that_is_sure_is_not_computed(pictures):
    def refuse(position):
        raise AssertionError(f"clip {position} was opened")

    twice = np.stack([pictures[0], pictures[0]])
    compared = compare_pairs(twice, np.array([[0, 1]]), threshold=THRESHOLD, load=refuse)
    assert compared["similarity"].tolist() == pytest.approx([1.0])
    assert compared["texture"].isna().all()


# --- textures: displacements are aligned exactly, chance is distinguished from likeness


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


def test_textures_of_pictures_that_disagree_are_not_computed(few_clips):
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
