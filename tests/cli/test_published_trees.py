"""SAVEE and IEMOCAP, which nobody here may pass on: what somebody who has them types, to its end.

Their trees have the published form, with demo clips as sound; so have those of the rest of the
pool. No clip has the label of a real one, and no score is looked at.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, product
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner

from ser_lib import studies
from ser_lib.audio.io import load_signal
from ser_lib.cli.main import app
from ser_lib.data import get_corpus
from ser_lib.data.corpora import emodb, iemocap, ravdess, savee, tess
from ser_lib.models.cnn3d import Cnn3dConfig
from ser_lib.models.conv_blocks import ConvBlocksConfig

POOL = {"ravdess", "tess", "savee", "emodb"}
TURNS = ("neu", "hap", "exc", "sad", "ang", "fru", "xxx", "oth")


def names_of_pool(n_actors: int, n_each: int) -> Iterator[tuple[str, str]]:
    """Yield the file names of the pool's four corpora, each with its emotion."""
    numbers = range(1, n_each + 1)
    for actor, (code, emotion), take in product(
        range(1, n_actors + 1), ravdess.EMOTIONS.items(), numbers
    ):
        stem = f"03-01-{code}-01-{take:02d}-01-{actor:02d}"
        yield f"ravdess/Actor_{actor:02d}/{stem}.wav", emotion
    for speaker, (code, emotion), word in product(
        tess.SPEAKERS, tess.EMOTIONS.items(), tess.WORDS[: 4 * n_each]
    ):
        yield f"tess/{speaker}_{emotion}/{speaker}_{word}_{code}.wav", emotion
    for speaker, (code, emotion), take in product(savee.SPEAKERS, savee.EMOTIONS.items(), numbers):
        yield f"savee/AudioData/{speaker}/{code}{take:02d}.wav", emotion
    kept: dict[tuple[str, str], int] = {}
    for said in emodb.PUBLISHED:
        for version in (said[at : at + 2] for at in range(5, len(said), 2)):
            key = said[:2], version[0]
            kept[key] = kept.get(key, 0) + 1
            if kept[key] <= n_each:
                yield f"emodb/wav/{said[:5]}{version}.wav", emodb.EMOTIONS[version[0]]


def write_labels(folder: Path, dialogue: str, turns: list[str]) -> None:
    lines = "".join(
        f"[6.2901 - 8.2357]\t{dialogue}_{turn}\t{label}\t[2.5000, 2.5000, 2.5000]\n"
        f"C-E2:\tNeutral;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
        for turn, label in zip(turns, TURNS * 2, strict=True)
    )
    path = folder / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n{lines}")


@pytest.fixture
def make_trees(tmp_path, demo_clips, monkeypatch):
    """Return a function that writes the trees of all five corpora under `SER_DATA`."""
    monkeypatch.setenv("SER_DATA", str(tmp_path / "data"))
    sounds = demo_clips.groupby("emotion")["path"].apply(list)
    numbers = count()

    def write(name: str, emotion: str, seconds: float) -> None:
        number, paths = next(numbers), sounds.get(emotion, sounds["neutral"])
        signal, rate_hz = load_signal(paths[number % len(paths)], duration_s=seconds)
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # No two clips sound alike: the same audio under two names would be refused.
        signal[-1 - number % 4000] += 0.1
        soundfile.write(path, signal, rate_hz)

    def make(*, n_actors: int, n_each: int, seconds: float) -> Path:
        for name, emotion in names_of_pool(n_actors, n_each):
            write(name, emotion, seconds)
        for session, dialogue in product(range(1, 6), ("impro01", "script01_1")[:n_each]):
            folder = tmp_path / "data/iemocap/IEMOCAP_full_release" / f"Session{session}"
            stem = f"Ses{session:02d}F_{dialogue}"
            turns = [f"{who}{at:03d}" for who in "FM" for at in range(len(TURNS))]
            write_labels(folder, stem, turns)
            for turn, label in zip(turns, TURNS * 2, strict=True):
                path = folder / "sentences/wav" / stem / f"{stem}_{turn}.wav"
                write(str(path), iemocap.EMOTIONS.get(label, ""), seconds)
        return tmp_path / "data"

    return make


@pytest.fixture
def short_studies(monkeypatch):
    """Leave of two studies one small network each, trained for an epoch."""
    sizes = {"n_filters": (2,), "kernel_sizes": (3,)}
    small3d = Cnn3dConfig(**sizes, block_dropout_rates=(0.1,), n_bottleneck=2)
    for name, model, config in (
        ("fpt2025", "cnn3d_small", small3d),
        ("iemocap5", "cnn", ConvBlocksConfig(**sizes, n_dense=(4,))),
    ):
        whole = studies.STUDIES[name].with_max_epochs(1).with_bands(16)
        models = (replace(whole.model(model), config=config),)
        monkeypatch.setitem(studies.STUDIES, name, replace(whole, models=models, augmentations=()))


@pytest.mark.usefixtures("eager", "short_studies")
def test_a_pool_of_four_and_iemocap_run_on_the_day_they_come(make_trees, tmp_path):
    make_trees(n_actors=6, n_each=1, seconds=0.7)
    for study, corpus in (("fpt2025", "pooled"), ("iemocap5", "iemocap")):
        result = CliRunner().invoke(app, ["run", study, "--corpus", corpus, "--no-strict"])
        assert result.exit_code == 0, result.output
        assert [line.split(":")[0].split()[-1] for line in result.stdout.splitlines()] == [
            "honest",
            "published",
        ]
        tables = [
            pd.read_csv(one) for one in (tmp_path / "reports" / corpus).rglob("predictions.csv")
        ]
        tested = {one.partition("/")[0] for table in tables for one in table["clip_id"]}
        assert tested == (POOL if corpus == "pooled" else {"iemocap"})
    told = set(tables[0]["truth"]) | set(tables[1]["truth"])
    assert told == {"neutral", "happy", "sad", "angry", "frustrated"}


@pytest.mark.minutes
@pytest.mark.parametrize("corpus", ["pooled", "iemocap"])
def test_the_report_is_made_on_the_day_they_come(make_trees, tmp_path, corpus):
    make_trees(n_actors=24, n_each=2, seconds=1.6)
    told = subprocess.run(
        [sys.executable, "-m", "ser_lib", "report", corpus, "--profile=quick", "--no-strict"],
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    folder = tmp_path / "reports" / f"{corpus}-quick-partial"
    assert get_corpus(corpus).title in (folder / "report.html").read_text(encoding="utf-8")
    records = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    study = "fpt2025" if corpus == "pooled" else "iemocap5"
    ours = [one for one in records if (one["study"], one["corpus"]) == (study, corpus)]
    assert {one["protocol"] for one in ours} >= {"random", "speaker_folds"}
