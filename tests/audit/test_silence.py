"""The silence of a corpus: it names speakers where they have a room each, and else nobody."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser_lib.audit import dataset
from ser_lib.audit.dataset import audit_clips
from ser_lib.audit.silence import tell_by_silence

NO_PAIRS = {name: np.empty(0, int) for name in ("first", "second", "similarity", "texture")}
SPEAKERS = [f"s{number}" for number in range(4)]


@pytest.fixture
def openings(rng):
    """Return a function that makes openings of four speakers, whose rooms differ by a level."""

    def make(difference_db: float, n_each: int = 30) -> tuple[np.ndarray, pd.Series, pd.Series]:
        speakers = pd.Series(np.repeat(SPEAKERS, n_each))
        values = rng.normal(0, 1, (len(speakers), 7))
        values[:, 1] = 0.35
        values[:, 3] += difference_db * speakers.map(SPEAKERS.index).to_numpy()
        return values, speakers, pd.Series(range(len(speakers))).astype(str)

    return make


def test_rooms_of_their_own_name_the_speakers(openings):
    told = tell_by_silence(*openings(10.0))
    assert (told.is_examined.sum(), told.chance, told.is_clear) == (120, 0.25, True)
    assert told.accuracy > 0.9


def test_one_room_names_nobody(openings):
    told = tell_by_silence(*openings(0.0))
    assert told.accuracy < 0.5
    assert not told.is_clear


def test_copies_of_a_clip_do_not_name_each_other(openings):
    values, speakers, _ = openings(0.0, n_each=15)
    values, copies = np.repeat(values, 3, axis=0), pd.Series(np.arange(180) // 3)
    told = tell_by_silence(values, speakers.loc[copies].reset_index(drop=True), copies)
    assert told.is_examined.sum() == 60
    assert not told.is_clear


def test_clips_without_an_opening_or_a_speaker_are_left_out(openings):
    values, speakers, copies = openings(10.0)
    values[:20, 1] = 0
    assert tell_by_silence(values, speakers, copies).is_examined.sum() == 100
    assert tell_by_silence(values, speakers.mask(speakers != "s1", ""), copies) is None
    values[:, 1] = 0
    assert tell_by_silence(values, speakers, copies) is None


def test_an_audit_says_so_of_speakers_and_not_of_labels(tmp_path, speak, rng, monkeypatch):
    # These voices are alike, and to compare them all takes long.
    monkeypatch.setattr(dataset, "find_copies", lambda *_, **__: pd.DataFrame(NO_PAIRS))
    rows = []
    for number in range(24):
        room = rng.normal(0, 2e-4 * 10 ** (number % 2), 12_000).astype(np.float32)
        voice = speak(duration_s=0.6, pitch_hz=100 + 5 * number)
        soundfile.write(tmp_path / f"{number}.wav", np.concatenate([room, voice]), 16_000)
        label = "sad" if number % 4 < 2 else "happy"
        rows.append((f"{number}.wav", str(tmp_path / f"{number}.wav"), label, f"p{number % 2}"))
    clips = pd.DataFrame(rows, columns=["clip_id", "path", "label", "speaker"])
    report = audit_clips(clips, source="rooms")
    assert not any("silence" in one for one in report.not_checked)
    kinds = {one.kind: one for one in report.findings}
    assert kinds["speaker_in_silence"].n_clips == 24
    assert "a guess would be right in 50 %" in kinds["speaker_in_silence"].detail
    assert "label_in_silence" not in kinds
    few = audit_clips(clips[:12], source="few").not_checked
    assert sum("fewer than two have 10 clips" in one for one in few) == 2
    unnamed = audit_clips(clips.drop(columns="speaker"), source="unnamed").not_checked
    assert any("silence names the speaker: there is no column" in one for one in unnamed)
