"""Strangers: the table of corpora left out, and who learns from whom."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ser_lib.errors import RunError
from support import cross_corpus

CORPORA = ("ased", "nemo", "turev")


@pytest.fixture
def clips() -> pd.DataFrame:
    """30 clips a corpus, in an order of their own; turev has another pair of emotions."""
    rows = [
        {
            "clip_id": f"{name}/{number}",
            "path": "somewhere",
            "corpus": name,
            "speaker": f"{name}-{number % 3}",
            "gender": "unknown",
            "emotion": ("sad", "calm" if name == "turev" else "neutral")[number % 2],
            "statement": "s",
            "audio_sha256": f"{name}{number}",
        }
        for name in CORPORA
        for number in range(30)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def features(monkeypatch):
    """Features in which sad is a direction, and every corpus has a place of its own."""

    def extract(clips: pd.DataFrame, spec: object) -> np.ndarray:
        noise = np.random.default_rng(len(clips)).normal(0, 0.1, (len(clips), 1, 9, 2, 3))
        noise[..., 0] += np.where(clips["emotion"] == "sad", 1, -1)[:, None, None, None]
        room = {"ased": 0, "nemo": 0, "turev": 6}[clips["corpus"].iloc[0]]
        return noise + room

    monkeypatch.setattr(cross_corpus, "extract", extract)


def test_a_known_room_is_taken_out_of_what_is_learned(clips, features):
    new = cross_corpus.transfer_matrix(clips)
    known = cross_corpus.transfer_matrix(clips, is_room_known=True)
    assert list(new.index) == list(new.columns) == list(CORPORA)
    assert np.isnan(np.diag(new)).all()
    # Calm counts as neutral. Without the room all of turev is one class.
    assert new.loc["ased", "nemo"] == 1
    assert new.loc["ased", "turev"] == 0.5
    assert known.loc["ased", "turev"] == known.loc["turev", "nemo"] == 1


def test_corpora_that_share_no_two_classes_are_not_compared(clips, features):
    clips.loc[clips["corpus"] == "nemo", "emotion"] = "happy"
    table = cross_corpus.transfer_matrix(clips)
    assert table["nemo"].isna().all()
    assert table.loc["nemo"].isna().all()
    assert table.loc["ased", "turev"] == 0.5


def test_the_matrix_is_stored_and_read_without_audio(clips, features, monkeypatch):
    first = cross_corpus.transfer_matrix(clips)
    monkeypatch.setattr(cross_corpus, "extract", None)
    pd.testing.assert_frame_equal(first, cross_corpus.transfer_matrix(clips.assign(path="")))
    with pytest.raises(RunError, match="matrix"):
        cross_corpus.transfer_matrix(clips.assign(path="", emotion="sad"))


def test_without_stored_runs_the_table_is_empty(clips):
    assert cross_corpus.left_out_table(clips).empty
