"""A corpus that is left out: what a run is about, and by what the head chooses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ser_lib import data
from ser_lib.cli import main
from ser_lib.data.splits import plain_protocol
from ser_lib.evaluation.metrics import Score
from ser_lib.runs import runner
from ser_lib.studies.moonshine import MOONSHINE
from ser_lib.training.checkpoint import Checkpoint


@pytest.fixture
def clips(few_clips) -> pd.DataFrame:
    """The 24 demo clips once in each of four corpora; calm instead of neutral in one of them."""
    tables = []
    for name in ("ravdess", "emodb", "nemo", "turev"):
        one = few_clips.assign(corpus=name)
        for column in ("clip_id", "speaker"):
            one[column] = one[column].str.replace("demo", name)
        one["audio_sha256"] = name + one["audio_sha256"]
        if name == "turev":
            one["emotion"] = one["emotion"].replace("neutral", "calm")
        tables.append(one)
    return pd.concat(tables, ignore_index=True)


def plan(clips, test: str = "emodb"):
    return runner.plan_run(
        MOONSHINE, "base_one_speed", plain_protocol(f"leave_{test}_out"), 42, clips
    )


def test_a_run_is_of_the_pool_and_of_the_shared_classes(clips):
    made = plan(clips)
    assert made.corpus == "languages"
    assert made.labels == ("neutral", "angry")
    assert made.identity()["protocol_params"] == {"test": "emodb"}
    assert {row.split("/")[0] for row, _ in made.division.test_rows} == {"emodb"}
    assert made.identity() != plan(clips, "nemo").identity()


def test_a_head_chooses_on_corpora_and_not_on_speakers(clips, monkeypatch, tmp_path):
    seen = []

    def fit(config, training, arrays, **options):
        seen.append((*arrays.speakers_train, *arrays.speakers_validation))
        raise RuntimeError("seen")

    monkeypatch.setattr(runner, "fit_fold", fit)
    positions = pd.Series(range(len(clips)), index=clips["clip_id"])
    np.save(tmp_path / "features.npy", np.zeros((len(clips), 1, 9, 2, 3)))
    files = {"original": (str(tmp_path / "features.npy"),)}
    kept = Checkpoint(tmp_path / "00.npz")
    for made in (plan(clips), replace(plan(clips), protocol=plain_protocol("speaker_folds"))):
        with pytest.raises(RuntimeError, match="seen"):
            runner._fit_and_store(made, files, positions, tmp_path, (0, kept))
    assert set(seen[0]) == {"ravdess", "nemo", "turev"}
    # The twin: by speaker, as everywhere else.
    assert len(set(seen[1])) == 18


def test_one_run_a_corpus_and_their_mean(clips, monkeypatch):
    asked = []

    def run(study, clips, *, protocols, **options):
        asked.extend(protocols)
        return [len(asked)]

    def score(runs, clips):
        return Score(runs[0] / 10, 0, 1, 0.5, 0, 1, 24, 6, 1, 0.0)

    monkeypatch.setattr(runner, "run_study", run)
    monkeypatch.setattr(runner, "score_runs", score)
    monkeypatch.setattr(data, "load_corpus", lambda name, strict: {"languages": clips}[name])
    monkeypatch.setattr(data, "other_recordings", lambda clips, name: "")
    command = ["run", "moonshine", "--model", "base_one_speed", "--protocol", "leave_corpus_out"]
    result = CliRunner().invoke(main.app, command)
    assert result.exit_code == 0, result.output
    assert asked == [f"leave_{one}_out" for one in ("emodb", "nemo", "ravdess", "turev")]
    # 10, 20, 30 and 40 %.
    assert "UAR 25.0 %, mean of 4 corpora (standard deviation 12.9)" in result.output
