"""Strangers: the table of corpora left out, and who learns from whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser_lib.errors import RunError
from ser_lib.runs.store import Run
from support import cross_corpus

CORPORA = ("ased", "nemo", "turev")
LABELS = ("neutral", "happy", "sad")


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


def run(test: str = "nemo", seed: int = 42) -> Run:
    """Four predictions of three classes; of the last the truth has a probability of 0.1."""
    probabilities = [[0.6, 0.3, 0.1], [0.25, 0.5, 0.25], [0.1, 0.15, 0.75], [0.7, 0.2, 0.1]]
    predictions = pd.DataFrame(probabilities, columns=[f"p_{one}" for one in LABELS])
    predictions["clip_id"] = [f"{test}/{n}" for n in range(4)]
    predictions["truth"] = ["neutral", "happy", "sad", "sad"]
    predictions["prediction"] = [LABELS[n] for n in np.argmax(probabilities, axis=1)]
    spec = {"labels": list(LABELS), "protocol_params": {"test": test}, "seed": seed}
    return Run(spec, predictions, pd.DataFrame(), {}, Path(f"run-{test}-s{seed}"))


def stored(folder: Path, one: Run, way: str) -> None:
    name = f"{way}-s{one.spec['seed']}-{one.spec['protocol_params']['test']}"
    target = folder / f"moonshine-{name}"
    target.mkdir(parents=True)
    (target / "predictions.csv").touch()


def test_a_way_counts_once_every_corpus_was_left_out(clips, monkeypatch, tmp_path):
    def read(folder: Path) -> Run:
        seed, test = folder.name.rsplit("-", 2)[1:]
        return run(test, int(seed[1:]))

    monkeypatch.setattr(cross_corpus, "runs_dir", lambda name: tmp_path / name)
    monkeypatch.setattr(cross_corpus, "read_run", read)
    for test in CORPORA:
        stored(tmp_path / "languages", run(test), "strangers_first-leave_corpus_out")
    stored(tmp_path / "languages", run("ased", 43), "strangers_first-leave_corpus_out")
    known = "strangers_speech_known-leave_corpus_out_norm_room30"
    stored(tmp_path / "languages", run("ased"), known)
    found = cross_corpus.left_out(clips)
    assert {name: len(results) for name, results in found.items()} == {cross_corpus.NEW: 3}
    table = cross_corpus.left_out_table(found)
    assert table["corpus"].tolist() == sorted(CORPORA)
    assert table["n_seeds"].tolist() == [2, 1, 1]
    # Three of four are right; recalls are 1, 1 and one half, confidence 0.6375 on average.
    assert table["uar"].tolist() == pytest.approx([5 / 6] * 3)
    assert table["overconfidence"].tolist() == pytest.approx([0.6375 - 0.75] * 3)
    means = cross_corpus.means_of(table).loc[cross_corpus.NEW]
    # In one clip of four of the others, the truth has 0.1: sets for nine of ten hold all classes.
    assert means[["uar", "spread", "least_coverage"]].tolist() == pytest.approx([5 / 6, 0, 1])
    assert table["set_size"].tolist() == [3, 3, 3]
    counts = cross_corpus.confusion(found[cross_corpus.NEW], LABELS)
    np.testing.assert_allclose(counts, 750 * np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]]))
    drawn = cross_corpus.plot_ways(table, [cross_corpus.NEW])
    assert [one.get_text() for one in drawn.get_yticklabels()] == sorted(CORPORA)


def test_corpora_are_listed_with_language_and_source(clips):
    table = cross_corpus.corpora_table(clips).set_index("corpus")
    assert table["language"].to_dict() == {"ased": "Amharic", "nemo": "Polish", "turev": "Turkish"}
    assert set(table["clips"]) == {30}
    assert set(table["speakers"]) == {3}
    assert table["source"].str.contains(r"\(\d{4}\)").all()
    assert cross_corpus.corpora_table(clips[:0]).empty


def test_where_nothing_is_stored_everything_is_empty(clips):
    found = cross_corpus.left_out(clips)
    assert found == {}
    table = cross_corpus.left_out_table(found)
    assert cross_corpus.means_of(table).empty
    assert cross_corpus.misuse_table().empty
    assert cross_corpus.committed_clips().empty
    assert not cross_corpus.plot_ways(table, []).get_yticklabels()
