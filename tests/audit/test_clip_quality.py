"""Checks of single clips: each fault that is planted is found, and sound clips pass."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ser_lib.audit.clip_quality import KINDS, check_clips, measure_clip

RATE_HZ = 16_000


@pytest.fixture
def spoken():
    """Return a function that makes a sound with pauses at both ends, unlike any other seed's."""

    def make(seed: int = 0, *, duration_s: float = 1.0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        n = round(duration_s * RATE_HZ)
        envelope = np.sin(np.pi * np.linspace(0, 1, n)) ** 2
        noise = rng.standard_normal(n)
        return (0.1 * envelope * noise + 1e-4 * rng.standard_normal(n)).astype(np.float32)

    return make


@pytest.fixture
def folder(tmp_path, write_clip, spoken):
    """Ten sound clips of about one second."""
    for number in range(10):
        sound = spoken(number, duration_s=1.0 + 0.01 * number)
        write_clip(tmp_path / f"{number}.wav", sound, rate_hz=RATE_HZ)
    return tmp_path


def found(folder) -> dict[str, set[str]]:
    paths = sorted(one for one in folder.iterdir() if one.is_file())
    rows = pd.DataFrame([measure_clip(path)[0] for path in paths])
    rows.insert(0, "clip_id", [path.name for path in paths])
    return {one.kind: set(one.clips) for one in check_clips(rows)}


def test_sound_clips_have_no_finding(folder):
    assert found(folder) == {}


def test_files_that_cannot_be_used_are_faults(folder, write_clip):
    (folder / "text.wav").write_text("no audio")
    (folder / "empty.wav").write_bytes(b"")
    whole = (folder / "0.wav").read_bytes()
    (folder / "half.wav").write_bytes(whole[: len(whole) // 2])
    write_clip(folder / "silent.wav", np.zeros(RATE_HZ), rate_hz=RATE_HZ)
    write_clip(folder / "slow.wav", rate_hz=8_000, duration_s=1.0)
    nan = np.full(RATE_HZ, np.nan, dtype=np.float32)
    write_clip(folder / "nan.wav", nan, rate_hz=RATE_HZ, subtype="FLOAT")
    seen = found(folder)
    assert seen["damaged"] == {"text.wav", "empty.wav", "nan.wav"}
    assert seen["truncated"] == {"half.wav"}
    assert seen["silent"] == {"silent.wav"}
    assert seen["unfit"] == {"slow.wav"}
    for kind in ("damaged", "truncated", "silent", "unfit"):
        assert KINDS[kind][0] == "fault"


def test_overdriven_clips_are_found_even_when_they_were_made_quieter(folder, write_clip, spoken):
    clipped = np.clip(10 * spoken(20), -0.99, 0.99)
    write_clip(folder / "clipped.wav", clipped, rate_hz=RATE_HZ)
    write_clip(folder / "quieter.wav", 0.3 * clipped, rate_hz=RATE_HZ)
    assert found(folder)["clipped"] == {"clipped.wav", "quieter.wav"}


def test_speech_that_is_cut_and_silence_that_was_added_are_found(folder, write_clip, spoken):
    write_clip(folder / "cut.wav", spoken(21)[RATE_HZ // 3 :], rate_hz=RATE_HZ)
    padded = np.pad(spoken(22)[1000:-1000], (0, 1600))
    write_clip(folder / "padded.wav", padded, rate_hz=RATE_HZ)
    seen = found(folder)
    assert seen["cut_off"] == {"cut.wav"}
    assert seen["zero_padded"] == {"padded.wav"}


def test_an_offset_is_no_speech_at_the_edges(folder, write_clip, spoken):
    write_clip(folder / "offset.wav", spoken(30) + 0.2, rate_hz=RATE_HZ)
    assert "cut_off" not in found(folder)


def test_clips_of_one_length_and_of_another_are_found(folder, write_clip, spoken):
    write_clip(folder / "long.wav", spoken(23, duration_s=5.0), rate_hz=RATE_HZ)
    assert found(folder) == {"off_length": {"long.wav"}}
    for number in range(10):
        write_clip(folder / f"{number}.wav", spoken(number), rate_hz=RATE_HZ)
    seen = found(folder)
    assert len(seen["one_length"]) == 10
    assert seen["off_length"] == {"long.wav"}


def test_formats_of_a_minority_are_found(folder, write_clip, spoken):
    write_clip(folder / "rate.wav", spoken(24, duration_s=44_100 / RATE_HZ), rate_hz=44_100)
    write_clip(folder / "deep.wav", spoken(25), rate_hz=RATE_HZ, subtype="PCM_24")
    write_clip(folder / "flac.flac", spoken(26), rate_hz=RATE_HZ)
    stereo = np.stack([spoken(27)] * 2, axis=1)
    write_clip(folder / "stereo.wav", stereo, rate_hz=RATE_HZ)
    paths = sorted(folder.iterdir())
    rows = pd.DataFrame([measure_clip(path)[0] for path in paths])
    rows.insert(0, "clip_id", [path.name for path in paths])
    odd = {one.clips: one.detail for one in check_clips(rows) if one.kind == "odd_format"}
    assert set(odd) == {("rate.wav",), ("deep.wav",), ("flac.flac",), ("stereo.wav",)}
    assert "44100 Hz in 1 of 14, where 13 have 16000 Hz" in odd[("rate.wav",)]


def test_where_no_format_is_that_of_most_there_is_one_finding(folder):
    rows = pd.DataFrame([measure_clip(path)[0] for path in sorted(folder.iterdir())])
    rows.insert(0, "clip_id", list(map(str, range(len(rows)))))
    rows["container"] = [f"KIND {number % 3}" for number in range(len(rows))]
    (odd,) = (one for one in check_clips(rows) if one.kind == "odd_format")
    assert "3 kinds, none in most clips" in odd.detail


def test_a_folder_of_damaged_files_alone_is_no_crash(tmp_path):
    (tmp_path / "a.wav").write_text("no")
    assert found(tmp_path) == {"damaged": {"a.wav"}}
