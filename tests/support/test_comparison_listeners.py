"""Systems and listeners: correlations as in SciPy, planted agreement, counts by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from ser_lib.errors import MetricError
from support.comparison import (
    confusions_of_listeners,
    confusions_text,
    listener_agreement,
    listener_shares,
    listener_table,
)
from support.error_analysis import clip_hits


def test_the_correlation_is_that_of_scipy_and_planted_agreement_is_found(rng, vote):
    shares = pd.Series(rng.uniform(0.5, 1, 400), [f"emodb/c{n}" for n in range(400)])
    votes = {name: vote(rng.uniform(size=400) < (shares - 0.5) * 2) for name in "ab"}
    hits = clip_hits(votes)
    speakers = votes["a"].set_index("clip_id")["speaker"]
    found = listener_agreement(hits, shares, speakers, n_resamples=200)
    expected = spearmanr(shares.loc[hits.index], hits["n_right"]).statistic
    assert found.correlation == pytest.approx(expected, abs=1e-12)
    assert 0 < found.low < found.correlation < found.high
    assert found.recognised_missed < found.recognised_hit


def test_systems_that_fail_on_other_clips_do_not_agree(rng, vote):
    shares = pd.Series(rng.uniform(0.5, 1, 400), [f"emodb/c{n}" for n in range(400)])
    table = vote(rng.uniform(size=400) < 0.5)
    found = listener_agreement(
        clip_hits({"a": table}), shares, table.set_index("clip_id")["speaker"], n_resamples=200
    )
    assert found.low < 0 < found.high


def test_clips_without_listeners_are_refused(vote):
    table = vote([1, 0, 1])
    with pytest.raises(MetricError, match="emodb/c2"):
        listener_agreement(
            clip_hits({"a": table}),
            pd.Series([0.9, 0.8], ["emodb/c0", "emodb/c1"]),
            table.set_index("clip_id")["speaker"],
        )


def write(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "listeners.csv").write_text(text, encoding="utf-8")


def test_listeners_are_read_next_to_the_audio_else_next_to_the_report(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA", str(tmp_path / "data"))
    assert listener_shares("emodb") is None
    write(tmp_path / "reports" / "emodb", "clip_id,recognised_percent\n03a01Fa,90\n")
    assert listener_shares("emodb").to_dict() == {"emodb/03a01Fa": 0.9}
    write(tmp_path / "data" / "emodb", "clip_id,recognised_percent\n03a01Fa,85\n")
    assert listener_shares("emodb").to_dict() == {"emodb/03a01Fa": 0.85}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip_id,share\na,90\n", "recognised_percent"),
        ("clip_id,recognised_percent\na,190\n", "emodb/a"),
    ],
)
def test_an_invalid_table_of_listeners_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.setenv("SER_DATA", str(tmp_path / "data"))
    write(tmp_path / "data" / "emodb", text)
    with pytest.raises(MetricError, match=message):
        listener_shares("emodb")


def test_only_tasks_whose_clips_were_all_judged_are_laid_out(tmp_path, monkeypatch, vote):
    monkeypatch.setenv("SER_DATA", str(tmp_path / "data"))
    rows = "".join(f"c{number},{60 + number}\n" for number in range(10))
    write(tmp_path / "data" / "emodb", "clip_id,recognised_percent\n" + rows)
    judged, others = vote([1, 0] * 5), vote([1, 0, 1], ids=["ravdess/a", "ravdess/b", "ravdess/c"])
    beyond = vote([1, 0] * 6)
    table = listener_table(
        {"emodb": {"a": judged}, "ravdess": {"a": others}, "more": {"a": beyond}}
    )
    assert list(table["task"]) == ["emodb"]
    assert table["clips"].tolist() == ["10"]
    assert listener_table({"ravdess": {"a": others}}).empty
    assert confusions_of_listeners(others) is None
    assert confusions_of_listeners(beyond) is None


def test_confusions_carry_the_listeners_of_their_clips(tmp_path, monkeypatch, vote):
    monkeypatch.setenv("SER_DATA", str(tmp_path / "data"))
    rows = "".join(f"c{number},{60 + number}\n" for number in range(6))
    write(tmp_path / "data" / "emodb", "clip_id,recognised_percent\n" + rows)
    # happy: c0 c2 c4, sad: c1 c3 c5; wrong are c0, c2 and c3.
    table = confusions_of_listeners(vote([0, 1, 0, 0, 1, 1]))
    first, second = table.iloc[0], table.iloc[1]
    assert (first["truth"], first["prediction"], first["n_clips"]) == ("happy", "sad", 2)
    assert first["recognised"] == pytest.approx(np.mean([0.60, 0.62]))
    assert first["recognised_right"] == pytest.approx(0.64)
    assert (second["truth"], second["n_clips"]) == ("sad", 1)
    assert second["recognised_right"] == pytest.approx(np.mean([0.61, 0.65]))
    text = confusions_text({"emodb, 2 classes": table})
    assert text.iloc[0].tolist() == ["emodb, 2 classes", "happy", "sad", 2, "61.0 %", "64.0 %"]
    assert confusions_text({}).empty
