"""The view of a clip: what the player is given, and the page that needs no kernel."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from ser_lib.app import clip_view
from ser_lib.app.clip_view import view_clip
from ser_lib.errors import AudioError


def samples_of(view) -> np.ndarray:
    return np.frombuffer(view.message()["samples"], "<i2")


def test_a_view_has_samples_contours_and_a_caption(tmp_path, tone, write_clip):
    path = write_clip(tmp_path / "a.wav", tone(200.0, amplitude=0.5))
    view = view_clip(str(path), "sad")
    message = view.message()
    np.testing.assert_allclose(samples_of(view) / 32767, view.signal, atol=1 / 32767)
    assert (message["rate_hz"], len(samples_of(view))) == (16_000, 16_000)
    assert "peak −6 dB" in view.caption
    pitch_hz = message["contours"]["pitch_hz"][50]
    assert pitch_hz == pytest.approx(200, rel=2 ** (0.2 / 12) - 1)
    assert f"median pitch {pitch_hz:.0f} Hz" in view.caption
    # Plain data: what is missing is null, which JSON knows, and not NaN.
    assert "NaN" not in json.dumps(message["contours"])


def test_a_sound_over_full_scale_is_clipped_not_refused(tmp_path, tone, write_clip):
    path = write_clip(tmp_path / "a.wav", tone(200.0, amplitude=1.2), subtype="FLOAT")
    assert samples_of(view_clip(str(path))).max() == 32_767


def test_of_a_long_recording_the_beginning_is_shown_and_said(tmp_path, write_clip, monkeypatch):
    monkeypatch.setattr(clip_view, "MAX_VIEW_S", 0.2)
    view = view_clip(write_clip(tmp_path / "long.wav", duration_s=0.5))
    assert (view.shown_s, view.duration_s) == (0.2, 0.5)
    assert "the first 0 s are shown" in view.caption


def test_a_page_without_a_kernel_has_all_of_the_clip_and_ends_no_script(tmp_path, write_clip):
    view = replace(view_clip(str(write_clip(tmp_path / "a.wav"))), caption="</script>")
    page = view._repr_html_()
    assert base64.b64encode(view.message()["samples"]).decode() in page
    assert page.count("</script>") == 1
    assert len(repr(view)) < 500


def test_a_clip_is_computed_once_and_again_when_it_changed(tmp_path, write_clip):
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
