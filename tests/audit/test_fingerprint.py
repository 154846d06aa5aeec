"""Fingerprints: copies are found however they were made, and other takes are not called copies."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.audio.signal import resample
from ser_lib.audit import fingerprint as fingerprints
from ser_lib.audit.fingerprint import (
    N_BANDS,
    N_STEPS,
    THRESHOLD,
    Fingerprints,
    coarse_similarity,
    fingerprint,
    gather,
    similarity,
)
from tools.evaluate_duplicates import recode

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


def test_fingerprints_know_how_many_they_are(pictures):
    assert len(gather(pictures)) == 24
    assert isinstance(gather(pictures), Fingerprints)
