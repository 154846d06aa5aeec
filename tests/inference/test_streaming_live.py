"""Live: pieces of any size and type, answers for the last seconds, nothing kept for long."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.inference.predictor import Predictor
from ser_lib.inference.streaming import NO_SPEECH, WINDOW_S, LiveState, update_live


@pytest.fixture(scope="module")
def predictor(small_folder):
    return Predictor.load(small_folder)


def heard(predictor, signal, rate, piece_s=0.5):
    state = LiveState()
    for start in range(0, len(signal), round(piece_s * rate)):
        state = update_live(state, signal[start : start + round(piece_s * rate)], rate, predictor)
    return state


def test_answers_come_after_the_first_seconds(predictor, speak):
    signal = speak(duration_s=10.0)
    first = update_live(LiveState(), signal[:8000], 16_000, predictor)
    assert (first.emotion, first.times_s) == ("listening …", ())
    state = heard(predictor, signal, 16_000)
    assert state.emotion in (*predictor.labels, "not sure")
    assert state.received_s == pytest.approx(10)
    assert sum(state.smoothed[-1]) == pytest.approx(1)
    assert 0 < state.latency_ms < 5000


def test_integers_and_stereo_of_another_rate_are_the_same_sound(predictor, speak):
    signal = speak(duration_s=6.0, rate_hz=48_000)
    whole = np.round(signal * 32767).astype(np.int16)
    plain = heard(predictor, signal, 48_000)
    stereo = heard(predictor, np.stack([whole, whole], axis=1), 48_000)
    np.testing.assert_allclose(stereo.smoothed[-1], plain.smoothed[-1], atol=0.02)


def test_silence_is_no_speech(predictor):
    assert heard(predictor, np.zeros(64_000, np.int16), 16_000).emotion == NO_SPEECH


def test_nothing_is_kept_for_long(predictor, speak):
    state = heard(predictor, np.tile(speak(duration_s=5.0), 14), 16_000, piece_s=2.0)
    assert len(state.sound) == round(WINDOW_S * 16_000)
    assert state.times_s[0] > 70 - 42
    assert len(state.times_s) == len(state.smoothed) <= 22


def test_a_state_is_a_value(predictor, speak):
    before = heard(predictor, speak(), 16_000)
    kept = before.times_s
    update_live(before, speak(), 16_000, predictor)
    assert before.times_s == kept


def test_small_pieces_do_not_bring_more_answers(predictor, speak):
    signal = speak(duration_s=6.0)
    small, large = (heard(predictor, signal, 16_000, piece_s=size) for size in (0.05, 0.5))
    assert abs(len(small.times_s) - len(large.times_s)) <= 1
    assert np.diff(small.times_s).min() > 0.4
