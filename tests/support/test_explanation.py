"""Explanations: a planted patch is found where it lies, and what is stored needs no audio."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ser_lib.errors import RunError
from support import explanation
from support.explanation import DURATION_S, N_PARTS, band_names, band_ticks, explain

EMOTIONS = ("happy", "sad")
# In eighths of the plane: where the loud patch of each emotion lies, (step, band).
PATCH = {"happy": (1, 2), "sad": (5, 6)}


@pytest.fixture(scope="module")
def clips(ravdess_table):
    """Two emotions of ten speakers; the paths lead nowhere."""
    speakers = [f"ravdess-{number:02d}" for number in range(1, 11)]
    is_kept = ravdess_table["speaker"].isin(speakers) & ravdess_table["emotion"].isin(EMOTIONS)
    return ravdess_table[is_kept].reset_index(drop=True).assign(path="nowhere.wav")


@pytest.fixture(scope="module")
def features(clips):
    """Noise with a patch whose place is the emotion's."""
    rng = np.random.default_rng(0)
    features = rng.uniform(0.3, 0.5, (len(clips), 64, 64, 1)).astype(np.float32)
    for plane, emotion in zip(features, clips["emotion"], strict=True):
        step, band = (8 * one for one in PATCH[emotion])
        plane[step : step + 8, band : band + 8] += 0.4
    return features


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def explained(clips, features, reports):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_REPORTS", str(reports))
        patch.setattr(explanation, "extract", lambda table, spec: features)
        return explain(clips, max_epochs=24, clips_a_label=4)


def test_covering_the_planted_patch_costs_most(explained):
    assert explained.uar > 0.9
    for number, label in enumerate(explained.labels):
        step, band = PATCH[label]
        found = np.unravel_index(explained.occlusion[number].argmax(), (N_PARTS, N_PARTS))
        assert found == (step, band)
        assert explained.by_band[number].argmax() == band
        assert explained.by_time[number].argmax() == step


def test_means_are_of_the_clips_that_were_asked_for(explained):
    assert explained.n_clips.tolist() == [4, 4]
    assert explained.n_speakers >= 2
    assert explained.inputs.shape == explained.maps.shape == (2, 64, 64)
    step, band = (8 * one for one in PATCH[explained.labels[0]])
    patch = explained.inputs[0, step : step + 8, band : band + 8]
    assert patch.mean() == pytest.approx(0.8, abs=0.02)
    assert explained.inputs[0].mean() < 0.45


def test_checks_compare_every_clip_and_their_summary_is_ordered(explained):
    assert {"occlusion", "input level", "untrained, occlusion"} <= set(explained.checks)
    assert explained.agreements.shape == (len(explained.checks), 8)
    for name in explained.checks:
        middle, low, high = explained.check(name)
        assert -1 <= low <= middle <= high <= 1


def test_what_is_stored_is_read_without_audio_and_without_training(
    explained, reports, clips, monkeypatch
):
    monkeypatch.setenv("SER_REPORTS", str(reports))
    again = explain(clips.assign(path=""), max_epochs=24, clips_a_label=4)
    np.testing.assert_array_equal(again.maps, explained.maps)
    assert again.uar == explained.uar


def test_what_is_not_stored_needs_audio(clips):
    with pytest.raises(RunError, match="ravdess"):
        explain(clips.assign(path=""), max_epochs=24)


def test_bands_are_named_from_low_to_high_and_ticks_rise():
    names = band_names()
    assert len(names) == N_PARTS
    assert names[0].startswith("0 to ")
    assert all(
        one.split(" to ")[1] == two.split(" to ")[0] for one, two in itertools.pairwise(names)
    )
    places = [place for place, _ in band_ticks()]
    assert places == sorted(places)
    assert 0 < places[0] < places[-1] < 1
    assert pytest.approx(3.0, abs=0.1) == DURATION_S
