"""Fingerprints: copies are found however they were made, and other takes are not called copies."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from ser_lib import fingerprints
from ser_lib.audio import load_signal, recode, resample
from ser_lib.augment import shift_pitch, stretch_time
from ser_lib.fingerprints import (
    N_BANDS,
    N_STEPS,
    THRESHOLD,
    Fingerprints,
    coarse_similarity,
    find_copies,
    fingerprint,
    gather,
    similarity,
)


@pytest.fixture(scope="module")
def signals(few_clips):
    return [load_signal(path) for path in few_clips["path"]]


@pytest.fixture(scope="module")
def pictures(signals):
    return [fingerprint(*one) for one in signals]


CERTAIN = {
    "the same": lambda x, hz: (x, hz),
    "8 kHz": lambda x, hz: (resample(x, hz, 8_000), 8_000),
    "44.1 kHz": lambda x, hz: (resample(x, hz, 44_100), 44_100),
    "louder": lambda x, hz: (4.0 * x, hz),
    "quieter": lambda x, hz: (0.25 * x, hz),
    "upside down": lambda x, hz: (-x, hz),
    "padded": lambda x, hz: (np.pad(x, (hz // 2, hz // 3)), hz),
    "later by 5 ms": lambda x, hz: (np.roll(x, hz // 200), hz),
    "MP3": lambda x, hz: recode(x, hz, container="MP3", sample_format="MPEG_LAYER_III"),
    "Opus": lambda x, hz: recode(x, hz, container="OGG", sample_format="OPUS"),
    "FLAC": lambda x, hz: recode(x, hz, container="FLAC", sample_format="PCM_16"),
}


@pytest.mark.parametrize("make", CERTAIN.values(), ids=CERTAIN)
def test_a_copy_is_its_original(signals, pictures, make):
    scores = [similarity(pictures[n], fingerprint(*make(*signals[n]))) for n in range(0, 24, 6)]
    assert min(scores) > THRESHOLD


@pytest.mark.parametrize(
    "make",
    [
        lambda x, hz: stretch_time(x, hz, rate=1.1),
        lambda x, hz: stretch_time(x, hz, rate=0.9),
        lambda x, hz: shift_pitch(x, hz, semitones=1.0),
    ],
    ids=["faster", "slower", "higher"],
)
def test_an_augmented_copy_is_nearer_than_any_other_clip(signals, pictures, make):
    for number in (0, 11):
        signal, rate_hz = signals[number]
        made = fingerprint(make(signal, rate_hz), rate_hz)
        scores = [similarity(one, made) for one in pictures]
        assert int(np.argmax(scores)) == number
        assert scores[number] > 0.5


def test_similarity_is_one_for_the_same_and_symmetric_enough(pictures):
    assert similarity(pictures[0], pictures[0]) == pytest.approx(1.0, abs=1e-6)
    # Tempi are tried on the second clip only.
    there, back = similarity(pictures[0], pictures[1]), similarity(pictures[1], pictures[0])
    assert there == pytest.approx(back, abs=0.2)


def test_a_shifted_picture_is_found_back():
    rng = np.random.default_rng(3)
    picture = np.zeros((N_BANDS, N_STEPS), dtype=np.int8)
    picture[20:70, 15:50] = rng.integers(-100, 100, (50, 35))
    moved = np.roll(picture, (4, -7), axis=(0, 1))
    assert similarity(picture, moved) == pytest.approx(1.0, abs=1e-6)
    beyond = np.roll(picture, (fingerprints.MAX_BANDS + 6, 0), axis=(0, 1))
    assert similarity(picture, beyond) < 0.5


def test_the_worst_part_counts():
    rng = np.random.default_rng(4)
    first = rng.integers(-100, 100, (N_BANDS, N_STEPS)).astype(np.int8)
    second = first.copy()
    second[:, 48:] = rng.integers(-100, 100, (N_BANDS, 16))
    whole = coarse_similarity(np.stack([first, second]), np.array([[0, 1]]))[0]
    assert whole == pytest.approx(0.75, abs=0.05)
    assert similarity(first, second) < 0.2


@pytest.mark.parametrize("n_samples", [0, 1, 100, 1_000])
def test_very_short_and_silent_clips_have_a_picture(n_samples):
    silent = fingerprint(np.zeros(n_samples, dtype=np.float32), 16_000)
    assert not silent.any()
    assert similarity(silent, silent) == 0.0
    noise = np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    assert fingerprint(noise, 16_000).shape == (N_BANDS, N_STEPS)


def test_silent_clips_are_no_copies_of_each_other(pictures):
    silent = np.zeros((N_BANDS, N_STEPS), dtype=np.int8)
    assert find_copies(gather([silent, silent])).empty
    assert find_copies(gather([silent])).empty
    assert find_copies(gather([])).empty
    assert list(find_copies(gather([silent, *pictures[:2]])).columns) == [
        *("first", "second", "similarity"),
    ]


def test_planted_copies_are_found_and_nothing_else(signals, pictures):
    makers = [CERTAIN[name] for name in ("MP3", "padded", "8 kHz", "louder")]
    planted = [(number, makers[number % 4]) for number in range(0, 24, 3)]
    copies = [fingerprint(*make(*signals[number])) for number, make in planted]
    found = find_copies(gather([*pictures, *copies]), threshold=0.9)
    expected = {(number, 24 + place) for place, (number, _) in enumerate(planted)}
    assert {(row.first, row.second) for row in found.itertuples()} == expected
    assert found["similarity"].is_monotonic_decreasing


def test_pictures_on_disk_give_the_same(tmp_path, pictures):
    shape = (30, N_BANDS, N_STEPS)
    out = np.memmap(tmp_path / "pictures", dtype=np.int8, mode="w+", shape=shape)
    there, here = gather(iter(pictures), out=out), gather(pictures)
    assert len(there) == len(here) == 24
    pd.testing.assert_frame_equal(
        find_copies(there, threshold=0.3), find_copies(here, threshold=0.3)
    )


def test_thousands_of_clips_are_searched_in_seconds():
    # Made-up vectors: 3,000 sounds, and a near copy of each of the first hundred.
    rng = np.random.default_rng(5)
    vectors = rng.random((3_000, 640), dtype=np.float32)
    vectors = np.concatenate([vectors, vectors[:100] + 0.05 * rng.random((100, 640))])
    start = time.process_time()
    pairs = fingerprints._neighbours(vectors.astype(np.float32), 5)
    assert time.process_time() - start < 20
    assert {(n, 3_000 + n) for n in range(100)} <= {tuple(pair) for pair in pairs}
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_fingerprints_know_how_many_they_are(pictures):
    assert len(gather(pictures)) == 24
    assert isinstance(gather(pictures), Fingerprints)
