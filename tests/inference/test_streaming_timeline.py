"""Long recordings: windows cover everything, read little at once, and skip what is no speech."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from ser_lib.errors import AudioError
from ser_lib.inference.predictor import Predictor
from ser_lib.inference.streaming import NO_SPEECH, iter_windows, smooth, timeline, timeline_table


@pytest.mark.parametrize("duration_s", [0.5, 3.9, 4.0, 5.0, 6.5, 30.0])
def test_windows_cover_the_recording(tmp_path, rng, duration_s):
    signal = rng.uniform(-0.5, 0.5, round(duration_s * 8000)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", signal, 8000, subtype="FLOAT")
    covered = np.zeros(len(signal), bool)
    for start_s, window, rate in iter_windows(tmp_path / "a.wav"):
        first = round(start_s * rate)
        np.testing.assert_array_equal(window, signal[first : first + len(window)])
        covered[first : first + len(window)] = True
        assert len(window) <= 4 * rate
    # A rest of less than a second is in no window of its own.
    assert (~covered).sum() <= 8000


def test_windows_that_leave_gaps_are_refused(tmp_path, speak):
    soundfile.write(tmp_path / "a.wav", speak(), 16_000)
    with pytest.raises(AudioError, match="hop_s=5"):
        list(iter_windows(tmp_path / "a.wav", hop_s=5.0))


def test_an_empty_recording_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16_000)
    with pytest.raises(AudioError, match="no samples"):
        list(iter_windows(tmp_path / "a.wav"))


def test_only_speech_gets_an_answer(small_folder, speak, tmp_path, rng):
    parts = [speak(duration_s=8.0), rng.normal(0, 0.02, 8 * 16_000), speak(duration_s=8.0)]
    soundfile.write(tmp_path / "a.wav", np.concatenate(parts), 16_000)
    predictor = Predictor.load(small_folder)
    table = timeline_table(timeline(predictor, tmp_path / "a.wav"), predictor.labels)
    middle = table[(table["start_s"] >= 8) & (table["end_s"] <= 16)]
    assert len(middle) == 3
    assert (middle["emotion"] == NO_SPEECH).all()
    assert middle["smooth_sad"].isna().all()
    spoken = table[table["end_s"] <= 8]
    assert (spoken["emotion"] != NO_SPEECH).all()
    sums = spoken[[f"smooth_{label}" for label in predictor.labels]].sum(axis=1)
    np.testing.assert_allclose(sums, 1)


def test_a_window_is_judged_as_a_clip_of_its_own(small_folder, speak, tmp_path):
    signal = speak(duration_s=8.0)
    soundfile.write(tmp_path / "a.wav", signal, 16_000, subtype="FLOAT")
    predictor = Predictor.load(small_folder)
    window = list(timeline(predictor, tmp_path / "a.wav"))[1]
    alone = predictor.predict_signal(signal[2 * 16_000 : 6 * 16_000], 16_000)
    assert window.prediction.probabilities == pytest.approx(alone.probabilities)


def test_smoothing_is_the_formula_and_pauses_do_not_count():
    gap = [np.nan, np.nan]
    smoothed = smooth(np.array([[1, 0], gap, [0, 1], [0, 1.0]]), weight=0.25)
    np.testing.assert_allclose(smoothed[[0, 2, 3], 0], [1, 0.75, 0.5625])
    assert np.isnan(smoothed[1]).all()
    np.testing.assert_array_equal(smooth(smoothed, weight=1.0), smoothed)
