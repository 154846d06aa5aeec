"""The trial: copies are made as said, and its table counts what a naive count counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ser_lib.audit.duplicates import TEXTURE_THRESHOLD
from ser_lib.audit.fingerprint import THRESHOLD
from ser_lib.errors import AuditError
from ser_lib.paths import duplicates_table_path
from support.leakage import recall_table
from tools import evaluate_duplicates
from tools.evaluate_duplicates import COPIES, run_trial, score_trial


def test_copies_are_what_their_names_say(tone, peak_frequency):
    signal, rate_hz = tone(440.0), 16_000
    made = {kind: copy(signal, rate_hz) for kind, copy in COPIES.items()}
    assert made["resampled to 8 kHz"][1] == 8_000
    assert len(made["trimmed by 5 % a side"][0]) == 14_400
    assert len(made["padded"][0]) > 1.8 * len(signal)
    np.testing.assert_allclose(made["gain +12 dB"][0], 10 ** (12 / 20) * signal, rtol=1e-6)
    assert len(made["tempo 0.8"][0]) == pytest.approx(20_000, abs=1)
    higher = peak_frequency(*made["pitch +2 semitones"])
    assert higher == pytest.approx(440 * 2 ** (2 / 12), rel=0.01)
    noise = made["noise at 10 dB"][0] - signal
    assert 10 * np.log10(np.mean(signal**2) / np.mean(noise**2)) == pytest.approx(10, abs=0.3)
    assert all(np.isfinite(one).all() for one, _ in made.values())


def test_a_trial_on_few_clips_finds_sure_copies(monkeypatch, few_clips):
    monkeypatch.setattr("ser_lib.data.load_corpus", lambda name, strict: few_clips)
    some = ("FLAC", "padded", "gain -12 dB")
    monkeypatch.setattr(evaluate_duplicates, "COPIES", {kind: COPIES[kind] for kind in some})
    table = run_trial("demo", n_clips=3)
    copies = table[table["is_copy"]]
    assert copies.groupby("kind")["similarity"].count().to_dict() == dict.fromkeys(some, 3)
    assert copies["similarity"].min() > THRESHOLD
    takes = table[table["kind"] == "takes"]
    assert not takes["is_copy"].any()
    assert (takes["copy"] != takes["original"]).all()


def test_the_threshold_is_chosen_on_the_other_corpora():
    rows = [
        ("a", "takes", "1", "2", False, 0.613, 0.203),
        ("a", "FLAC", "1", "1", True, 0.96, np.nan),
        ("a", "FLAC", "1", "2", False, 0.81, 0.37),
        ("a", "tempo", "1", "1", True, 0.70, 0.34),
        ("b", "takes", "3", "4", False, 0.757, 0.357),
        ("b", "FLAC", "3", "3", True, 0.65, 0.225),
    ]
    columns = ["corpus", "kind", "copy", "original", "is_copy", "similarity", "texture"]
    scores = score_trial(pd.DataFrame(rows, columns=columns)).set_index(
        ["corpus", "kind", "chosen_on"]
    )
    of_a = scores.loc["a", "FLAC", "b"]
    assert of_a["threshold"] == pytest.approx(0.36)
    assert (of_a["n_copies"], of_a["n_found"], of_a["n_false"]) == (1, 1, 1)
    assert (of_a["recall"], of_a["precision"]) == (1.0, 0.5)
    assert scores.loc["a", "tempo", "b"]["recall"] == 0.0
    of_b = scores.loc["b", "FLAC", "a"]
    assert of_b["threshold"] == pytest.approx(0.21)
    assert of_b["recall"] == 1.0
    takes = scores.loc["b", "takes", "a"]
    assert (takes["n_false"], takes["n_copies"]) == (1, 0)
    assert takes["highest_texture"] == pytest.approx(0.357)
    assert np.isnan(takes["recall"])
    shipped = scores.loc["b", "FLAC", "shipped"]
    assert shipped["threshold"] == pytest.approx(TEXTURE_THRESHOLD)
    assert shipped["recall"] == 1.0


def test_a_corpus_without_audio_cannot_be_tried(monkeypatch, few_clips):
    monkeypatch.setattr("ser_lib.data.load_corpus", lambda name, strict: few_clips.assign(path=""))
    with pytest.raises(AuditError, match="demo"):
        run_trial("demo")


def test_the_committed_measurement_is_of_the_shipped_thresholds(monkeypatch):
    monkeypatch.delenv("SER_REPORTS")
    table = pd.read_csv(duplicates_table_path())
    shipped = table[table["chosen_on"] == "shipped"]
    assert set(shipped["threshold"]) == {TEXTURE_THRESHOLD}
    assert {"ravdess", "emodb", "tess"} <= set(shipped["corpus"])
    takes = shipped[shipped["kind"] == "takes"]
    assert takes["n_false"].sum() == 0
    assert takes["highest_similarity"].max() < THRESHOLD
    altered = shipped[shipped["kind"].str.startswith(("tempo", "pitch"))]
    assert altered.groupby("corpus")["recall"].mean().min() > 0.9


def test_recalls_are_laid_out_by_kind_and_corpus(monkeypatch):
    assert recall_table().empty
    monkeypatch.delenv("SER_REPORTS")
    table, whole = (
        recall_table(),
        pd.read_csv(duplicates_table_path()).query("chosen_on == 'shipped'"),
    )
    assert list(table["kind"]) == list(COPIES)
    row = whole.query("corpus == 'emodb' and kind == 'tempo 1.2'").iloc[0]
    assert table.set_index("kind").loc["tempo 1.2", "emodb"] == row["recall"]
    assert table.attrs == {"n_false": whole["n_false"].sum(), "n_copies": row["n_copies"]}
