"""The embedded corpus: complete, balanced, small, free, and audibly made by its rules."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser_lib import data, errors
from ser_lib.audio.io import load_signal, read_facts
from ser_lib.data.corpus import Corpus
from ser_lib.data.demo import CLIPS_DIR, DEMO
from ser_lib.data.labels import EMOTIONS


def test_the_demo_is_there_without_any_data(demo_clips):
    assert len(demo_clips) == DEMO.n_clips == 384
    assert demo_clips["speaker"].nunique() == DEMO.n_speakers == 12
    assert demo_clips.attrs == {"left_out": [], "n_copies": 0, "has_audio": True}


def test_every_voice_says_every_combination_once(demo_clips):
    found = set(
        demo_clips[["speaker", "emotion", "statement", "repetition"]].itertuples(
            index=False, name=None
        )
    )
    speakers = [f"demo-{number:02d}" for number in range(1, 13)]
    assert found == set(product(speakers, EMOTIONS[:8], ("kids", "dogs"), (1, 2)))


def test_half_of_the_voices_are_female(demo_clips):
    genders = demo_clips.drop_duplicates("speaker")["gender"].value_counts()
    assert dict(genders) == {"male": 6, "female": 6}


def test_no_two_clips_sound_the_same(demo_clips):
    assert demo_clips["audio_sha256"].is_unique


def test_clips_are_short_mono_and_16_khz(demo_clips):
    assert set(demo_clips["sample_rate_hz"]) == {16_000}
    assert demo_clips["duration_s"].between(1.0, 3.0).all()
    facts = read_facts(demo_clips["path"][0])
    assert facts.n_channels == 1
    assert facts.sample_format == "OPUS"
    assert -30 < facts.peak_db < 0


def test_the_clips_are_small_enough_to_be_committed():
    sizes = [path.stat().st_size for path in CLIPS_DIR.rglob("*.opus")]
    assert len(sizes) == 384
    assert sum(sizes) < 4e6


def test_the_folder_holds_nothing_else():
    others = [path for path in CLIPS_DIR.rglob("*") if path.is_file() and path.suffix != ".opus"]
    assert others == []


def test_the_demo_says_that_it_is_synthetic_and_free():
    assert "synthetic" in DEMO.title
    assert DEMO.licence == "CC0 1.0"
    assert DEMO.is_embedded
    readme = (CLIPS_DIR.parent / "README.md").read_text()
    assert "not results about people" in readme
    assert "CC0 1.0" in readme


def test_the_script_has_a_rule_for_each_emotion_code():
    from ser_lib.data.corpora import ravdess
    from tools import make_demo_clips as make_clips

    assert set(make_clips.EMOTIONS) == set(ravdess.EMOTIONS)


@pytest.mark.parametrize(("louder", "softer"), [("angry", "sad"), ("angry", "calm")])
def test_the_rules_can_be_heard_in_the_level(demo_clips, louder, softer):
    chosen = demo_clips[(demo_clips["repetition"] == 1) & (demo_clips["statement"] == "dogs")]

    def level(emotion: str) -> np.ndarray:
        paths = chosen[chosen["emotion"] == emotion].sort_values("speaker")["path"]
        return np.array([np.sqrt(np.mean(load_signal(path)[0] ** 2)) for path in paths])

    # Scherer (2003): anger is loud, sadness soft; voices have habits, so not every pair agrees.
    assert np.mean(level(louder) > level(softer)) >= 0.75


def test_another_folder_can_be_read_as_demo(tmp_path, demo_clips):
    with pytest.raises(errors.CorpusError, match="no folder"):
        data.load_corpus("demo", root=tmp_path / "none")
    assert Path(demo_clips["path"][0]).is_relative_to(CLIPS_DIR)


def test_ser_data_does_not_move_the_demo(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA", str(tmp_path))
    roots = []

    def load(corpus: Corpus, root: Path | None, *, strict: bool) -> pd.DataFrame:
        roots.append(root)
        return pd.DataFrame()

    monkeypatch.setattr(Corpus, "load", load)
    data.load_corpus("demo")
    assert roots == [CLIPS_DIR]
