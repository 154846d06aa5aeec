"""The view of a clip: the pitch is right, the picture has its size, the sound is the clip's."""

from __future__ import annotations

import io
import os
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
from PIL import Image

from ser_lib.app import explorer
from ser_lib.app.explorer import pitch_contour, view_clip
from ser_lib.errors import AudioError

RATE_HZ = 22_050
# The contour's steps are a fifth of a semitone.
RELATIVE_STEP = 2 ** (0.2 / 12) - 1


@pytest.mark.parametrize("frequency_hz", [90.0, 220.0, 480.0])
def test_the_contour_of_a_tone_is_its_frequency(tone, frequency_hz):
    pitch_hz = pitch_contour(tone(frequency_hz, rate_hz=RATE_HZ), RATE_HZ)
    inner = pitch_hz[4:-4]
    assert np.isfinite(inner).all()
    np.testing.assert_allclose(inner, frequency_hz, rtol=RELATIVE_STEP)


def test_noise_and_silence_have_no_contour(rng):
    noise = rng.uniform(-0.3, 0.3, RATE_HZ).astype(np.float32)
    assert np.isfinite(pitch_contour(noise, RATE_HZ)).mean() < 0.1
    assert np.isnan(pitch_contour(np.zeros(RATE_HZ, np.float32), RATE_HZ)).all()


def test_frames_far_below_the_loud_ones_have_no_contour(tone):
    loud, soft = tone(220.0, rate_hz=RATE_HZ), tone(220.0, rate_hz=RATE_HZ, amplitude=0.01)
    pitch_hz = pitch_contour(np.concatenate([loud, soft]), RATE_HZ)
    half = len(pitch_hz) // 2
    assert np.isfinite(pitch_hz[4 : half - 4]).all()
    assert np.isnan(pitch_hz[half + 4 :]).all()


def test_a_view_has_a_picture_a_sound_and_a_caption(tmp_path, tone, write_clip):
    path = write_clip(tmp_path / "a.wav", tone(200.0, amplitude=0.5))
    view = view_clip(str(path), "sad")
    assert Image.open(io.BytesIO(view.png)).size == (explorer.WIDTH_PX, explorer.HEIGHT_PX)
    sound, rate_hz = soundfile.read(io.BytesIO(view.wav))
    assert (len(sound), rate_hz) == (16_000, 16_000)
    assert "peak −6 dB" in view.caption
    median_hz = float(re.search(r"median (\d+) Hz", view.caption)[1])
    assert median_hz == pytest.approx(200, rel=RELATIVE_STEP)


def test_a_sound_over_full_scale_is_clipped_not_refused(tmp_path, tone, write_clip):
    path = write_clip(tmp_path / "a.wav", tone(200.0, amplitude=1.2), subtype="FLOAT")
    sound, _ = soundfile.read(io.BytesIO(view_clip(str(path), "sad").wav))
    assert np.abs(sound).max() <= 1


def test_a_clip_is_drawn_once_and_again_when_it_changed(tmp_path, write_clip):
    path = write_clip(tmp_path / "a.wav")
    first = view_clip(str(path), "sad")
    assert view_clip(str(path), "sad") is first
    os.utime(path, (1, 1))
    assert view_clip(str(path), "sad") is not first


def test_a_clip_that_is_gone_or_damaged_is_an_audio_error(tmp_path):
    with pytest.raises(AudioError, match=r"gone\.wav"):
        view_clip(str(tmp_path / "gone.wav"), "sad")
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"a\.wav"):
        view_clip(str(tmp_path / "a.wav"), "sad")


def test_the_callers_figure_style_is_left_alone(tmp_path, write_clip):
    before = dict(plt.rcParams)
    view_clip(str(write_clip(tmp_path / "b.wav")), "sad")
    assert dict(plt.rcParams) == before
