"""Windows of long recordings cover everything; live pieces of any size give predictions in time."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from ser_lib.errors import AudioError
from ser_lib.inference.prediction import Prediction
from ser_lib.inference.predictor import Predictor
from ser_lib.inference.streaming import (
    NO_SPEECH,
    WINDOW_S,
    LiveState,
    Window,
    iter_windows,
    shared_threshold,
    smooth,
    timeline,
    timeline_table,
    update_live,
    window_intervals,
)


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


def test_only_speech_gets_an_emotion(predictor, speak, tmp_path, rng):
    parts = [speak(duration_s=8.0), rng.normal(0, 0.02, 8 * 16_000), speak(duration_s=8.0)]
    soundfile.write(tmp_path / "a.wav", np.concatenate(parts), 16_000)
    table = timeline_table(timeline(predictor, tmp_path / "a.wav"), predictor.labels)
    middle = table[(table["start_s"] >= 8) & (table["end_s"] <= 16)]
    assert len(middle) == 3
    assert (middle["emotion"] == NO_SPEECH).all()
    assert middle["smooth_sad"].isna().all()
    spoken = table[table["end_s"] <= 8]
    assert (spoken["emotion"] != NO_SPEECH).all()
    sums = spoken[[f"smooth_{label}" for label in predictor.labels]].sum(axis=1)
    np.testing.assert_allclose(sums, 1)


def test_a_window_is_predicted_as_a_clip_of_its_own(predictor, speak, tmp_path):
    signal = speak(duration_s=8.0)
    soundfile.write(tmp_path / "a.wav", signal, 16_000, subtype="FLOAT")
    window = list(timeline(predictor, tmp_path / "a.wav"))[1]
    alone = predictor.predict_signal(signal[2 * 16_000 : 6 * 16_000], 16_000)
    assert window.prediction.probabilities == pytest.approx(alone.probabilities)


def test_smoothing_is_the_formula_and_pauses_do_not_count():
    gap = [np.nan, np.nan]
    smoothed = smooth(np.array([[1, 0], gap, [0, 1], [0, 1.0]]))
    np.testing.assert_allclose(smoothed[[0, 2, 3]], [[1, 0], [0.5, 0.5], [0.25, 0.75]])
    assert np.isnan(smoothed[1]).all()


# --- live


def after(predictor, signal, rate, piece_s=0.5):
    state = LiveState()
    for start in range(0, len(signal), round(piece_s * rate)):
        state = update_live(state, signal[start : start + round(piece_s * rate)], rate, predictor)
    return state


def test_predictions_come_after_the_first_seconds(predictor, speak):
    signal = speak(duration_s=10.0)
    first = update_live(LiveState(), signal[:8000], 16_000, predictor)
    assert (first.emotion, first.times_s) == ("listening …", ())
    state = after(predictor, signal, 16_000)
    assert state.emotion in (*predictor.labels, "not sure")
    assert state.received_s == pytest.approx(10)
    assert sum(state.smoothed[-1]) == pytest.approx(1)
    assert 0 < state.latency_ms < 5000


def test_integers_and_stereo_of_another_rate_are_the_same_sound(predictor, speak):
    signal = speak(duration_s=6.0, rate_hz=48_000)
    whole = np.round(signal * 32767).astype(np.int16)
    plain = after(predictor, signal, 48_000)
    stereo = after(predictor, np.stack([whole, whole], axis=1), 48_000)
    np.testing.assert_allclose(stereo.smoothed[-1], plain.smoothed[-1], atol=0.02)


def test_silence_is_no_speech(predictor):
    assert after(predictor, np.zeros(64_000, np.int16), 16_000).emotion == NO_SPEECH


def test_live_answers_are_as_sure_as_those_of_files(unlike, speak):
    sure, unsure, far = (
        after(Predictor(unlike(**changes)), speak(duration_s=4.0), 16_000)
        for changes in ({"threshold": 0.0}, {"threshold": 1.0}, {"times": 2.3, "threshold": 0.0})
    )
    whole = Predictor(unlike(threshold=0.0))
    most = whole.bundle.earned_share("new_voice") * 0.75 + 0.25
    assert sure.emotion in whole.labels
    assert 0.25 < sure.confidence == max(sure.smoothed[-1]) < most
    assert (unsure.emotion, far.emotion) == ("not sure", "not sure")
    assert np.isnan([unsure.confidence, far.confidence, *far.smoothed[-1]]).all()
    assert max(unsure.smoothed[-1]) < most


def test_a_timeline_has_a_threshold_where_its_windows_agree_on_one(unlike, speak, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile(speak(duration_s=4.0), 3), 16_000)
    windows = list(timeline(Predictor(unlike()), tmp_path / "a.wav"))
    like = list(timeline(Predictor(unlike(times=0.1)), tmp_path / "a.wav"))
    assert shared_threshold(windows) == windows[0].prediction.threshold < 0.3
    assert shared_threshold(like) == 0.3
    assert shared_threshold(like + windows) is shared_threshold([]) is None


def test_nothing_is_kept_for_long(predictor, speak):
    state = after(predictor, np.tile(speak(duration_s=5.0), 14), 16_000, piece_s=2.0)
    assert len(state.sound) == round(WINDOW_S * 16_000)
    assert state.times_s[0] > 70 - 42
    assert len(state.times_s) == len(state.smoothed) <= 22


def test_pieces_of_any_size_are_heard_as_one_recording(predictor, speak):
    signal = speak(duration_s=3.5, rate_hz=44_100)
    state = after(predictor, signal, 44_100, piece_s=0.07)
    np.testing.assert_array_equal(state.sound, signal)


def test_a_state_is_a_value(predictor, speak):
    before = after(predictor, speak(), 16_000)
    kept = before.times_s
    update_live(before, speak(), 16_000, predictor)
    assert before.times_s == kept


def test_small_pieces_do_not_bring_more_predictions(predictor, speak):
    signal = speak(duration_s=6.0)
    small, large = (after(predictor, signal, 16_000, piece_s=size) for size in (0.05, 0.5))
    assert abs(len(small.times_s) - len(large.times_s)) <= 1
    assert np.diff(small.times_s).min() > 0.4


def test_windows_that_overlap_hold_until_the_next_begins():
    times = [(0.0, 4.0, "sad"), (2.0, 6.0, "happy"), (4.0, 7.0, "sad")]
    windows = [Window(a, b, Prediction("", text, 0.5, {}, b - a)) for a, b, text in times]
    assert window_intervals(windows) == [(0, 2, "sad"), (2, 4, "happy"), (4, 7, "sad")]
    assert window_intervals([]) == []


@pytest.mark.parametrize("piece_s", [0.05, 0.5])
def test_an_offset_changes_no_live_answer(predictor, speak, piece_s):
    signal = speak(duration_s=4.0, rate_hz=48_000)
    plain, moved = (
        after(predictor, (signal + offset).astype(np.float32), 48_000, piece_s)
        for offset in (0.0, 0.1)
    )
    assert np.isfinite(plain.smoothed).all()
    np.testing.assert_allclose(moved.smoothed, plain.smoothed, atol=1e-3)


def test_another_rate_goes_on_where_the_first_ended(predictor, speak):
    state = after(predictor, speak(duration_s=3.0, rate_hz=48_000), 48_000)
    later = update_live(state, speak(duration_s=1.0), 16_000, predictor)
    assert later.received_s == pytest.approx(4)
    assert len(later.sound) == 64_000
