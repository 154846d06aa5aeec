"""How long training will take: the time of a stored run, scaled."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ser_lib.data.splits import Protocol
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.baselines import DummyConfig
from ser_lib.paths import runs_dir
from ser_lib.runs import results
from ser_lib.runs.forecast import training_s
from ser_lib.runs.runner import plan_run
from ser_lib.runs.store import write_json
from ser_lib.studies import STUDIES
from ser_lib.studies.study import ModelSpec
from ser_lib.training.settings import TrainingSettings

ROW = FeatureSpec("waveform_envelope", params={"duration_s": 0.5, "n_points": 16})
MODEL = ModelSpec("dummy", "Dummy", DummyConfig(), ROW, TrainingSettings(max_epochs=10))
STUDY = replace(STUDIES["boucheta2025"], models=(MODEL,), augmentations=())


def planned(clips, *, study=STUDY, protocol="loso"):
    return plan_run(study, "dummy", Protocol(protocol), 1, clips)


@pytest.fixture
def store(few_clips):
    """Return a function that stores a run of 60 s, and of so many epochs a fold."""

    def write(n_epochs: int) -> None:
        plan = planned(few_clips)
        n_folds, n_rows = len(plan.split.folds), len(plan.division.test_rows)
        folder = runs_dir("demo") / f"{plan.name}-key"
        spec = plan.identity() | {"input_shape": [2, 16]}
        write_json(folder / "spec.json", spec)
        write_json(folder / "environment.json", {"duration_s": [60 / n_folds] * n_folds})
        (folder / "predictions.csv").write_text("clip_id\n" + "a\n" * n_rows)
        (folder / "history.csv").write_text("fold\n" + "0\n" * (n_epochs * n_folds))

    return write


def with_epochs(n):
    return STUDY.variant("dummy", training={"max_epochs": n})


def test_the_time_of_a_stored_run_is_scaled_by_clips_folds_and_epochs(few_clips, store):
    store(n_epochs=10)
    assert training_s([planned(few_clips)] * 2) == pytest.approx(120)
    some = few_clips[few_clips["speaker"].isin(few_clips["speaker"].unique()[:4])]
    assert training_s([planned(some)]) == pytest.approx(60 * (4 / 6) ** 2)
    assert training_s([planned(few_clips, study=with_epochs(5))]) == pytest.approx(30)
    assert training_s([planned(few_clips, study=with_epochs(20))]) == pytest.approx(120)


def test_what_stopped_by_itself_will_again(few_clips, store):
    store(n_epochs=5)
    assert training_s([planned(few_clips, study=with_epochs(20))]) == pytest.approx(60)
    assert training_s([planned(few_clips, study=with_epochs(4))]) == pytest.approx(48)


def test_of_what_was_never_run_nothing_is_said(few_clips):
    assert training_s([planned(few_clips)]) is None
    assert training_s([]) == 0


def test_it_is_said_before_anything_is_trained(few_clips, store, monkeypatch):
    store(n_epochs=10)
    said = []
    monkeypatch.setattr(results, "is_headless", lambda: False)
    monkeypatch.setattr(
        results, "progress", lambda items, *, total, what: said.append(what) or (n for n in items)
    )
    monkeypatch.setattr(results.runner, "run_or_load", lambda *_: pytest.fail(json.dumps(said)))
    study = replace(with_epochs(5), seeds=(1,))
    with pytest.raises(pytest.fail.Exception, match="1 of 1 runs to train, about 30"):
        results.collect(study, few_clips, protocols=["loso"])
