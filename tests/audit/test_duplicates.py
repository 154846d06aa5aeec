"""The search finds copies however they were made, and does not call other takes copies."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from ser_lib.audio.augmentation import shift_pitch, stretch_time
from ser_lib.audio.corruptions import recode
from ser_lib.audio.signal import resample
from ser_lib.audit.duplicates import compare_pairs, find_copies, likely_pairs, nearest_pairs
from ser_lib.audit.fingerprint import N_BANDS, N_STEPS, THRESHOLD, fingerprint, gather

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
    pairs = nearest_pairs(vectors.astype(np.float32), 5)
    assert time.process_time() - start < 20
    assert {(n, 3_000 + n) for n in range(100)} <= {tuple(pair) for pair in pairs}
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs)


ALTERED = {
    "faster": lambda x, hz: (stretch_time(x, hz, rate=1.15), hz),
    "slower": lambda x, hz: (stretch_time(x, hz, rate=0.85), hz),
    "higher": lambda x, hz: (shift_pitch(x, hz, semitones=1.5), hz),
    "lower": lambda x, hz: (shift_pitch(x, hz, semitones=-1.0), hz),
}


@pytest.mark.parametrize("make", ALTERED.values(), ids=ALTERED)
def test_altered_copies_are_found_by_listening_and_only_so(signals, pictures, make):
    numbers = (0, 7, 13)
    made = [make(*signals[number]) for number in numbers]
    sounds = [*signals, *made]
    prints = gather([*pictures, *(fingerprint(*one) for one in made)])
    assert find_copies(prints, threshold=0.97).empty
    found = find_copies(prints, threshold=0.97, listen=lambda position: sounds[position])
    pairs = set(zip(found["first"], found["second"], strict=True))
    # Not every one: how many of what kind is measured on real clips (`reports/audit`).
    assert pairs <= {(number, 24 + place) for place, number in enumerate(numbers)}
    assert len(pairs) >= 2
    assert found["texture"].notna().all()


def test_each_clip_brings_its_two_best_pairs():
    pairs = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [2, 3], [4, 5]])
    coarse = np.array([0.9, 0.8, 0.7, 0.65, 0.95, 0.4])
    # (0, 3) is the third of clip 0 but the second of clip 3; (4, 5) agree too little.
    assert likely_pairs(pairs, coarse).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [2, 3]]
    crowd = np.array([[0, other] for other in range(1, 6)] + [[1, 2], [3, 4], [3, 5], [4, 5]])
    scores = np.array([0.9, 0.8, 0.7, 0.69, 0.61, 0.99, 0.99, 0.99, 0.99])
    assert [0, 5] not in likely_pairs(crowd, scores).tolist()
    assert likely_pairs(pairs[:0], coarse[:0]).shape == (0, 2)


def test_a_pair_that_is_sure_is_not_listened_to(pictures):
    def refuse(position):
        raise AssertionError(f"clip {position} was opened")

    twice = np.stack([pictures[0], pictures[0]])
    compared = compare_pairs(twice, np.array([[0, 1]]), threshold=THRESHOLD, listen=refuse)
    assert compared["similarity"].tolist() == pytest.approx([1.0])
    assert compared["texture"].isna().all()
