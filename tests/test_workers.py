"""Tasks give the same wherever they are done; what keeps workers from it is one sentence."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ser_lib import workers
from ser_lib.errors import AudioError, RunError
from ser_lib.features import extraction
from ser_lib.features.registry import FeatureSpec
from ser_lib.inference.batch import predict_many
from ser_lib.inference.predictor import Predictor
from ser_lib.workers import map_tasks

QUICK = FeatureSpec("waveform_envelope", params={"duration_s": 0.5, "n_points": 16})


def doubled(number: int) -> int:
    return 2 * number


def refuse(number: int) -> int:
    if number == 5:
        raise AudioError("clip-5.wav: an empty file")
    return number


def waits(number: int) -> int:
    raise TimeoutError(f"clip-{number}.wav: the storage does not answer")


def ends(number: int) -> int:
    os._exit(1)


@pytest.mark.parametrize("ways", [{"n_jobs": 1}, {"prefers": "threads"}])
def test_results_come_in_the_order_of_the_tasks(ways):
    assert list(map_tasks(doubled, iter(range(40)), **ways)) == list(range(0, 80, 2))


@pytest.fixture(scope="module")
def scheduler():
    """Start a scheduler and two workers; return the address."""
    distributed = pytest.importorskip("distributed", reason="NOT CHECKED: needs ser-lib[scale]")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def far(scheduler, monkeypatch):
    monkeypatch.setenv("SER_SCHEDULER", scheduler)


def test_workers_elsewhere_give_results_in_order(far):
    assert list(map_tasks(doubled, iter(range(100)))) == list(range(0, 200, 2))


def test_a_time_that_ran_out_in_a_task_is_its_error(far):
    with pytest.raises(TimeoutError, match="clip-3"):
        list(map_tasks(waits, iter([3])))


def test_features_are_the_same_bytes(few_clips, scheduler, monkeypatch, tmp_path):
    near = Path(extraction.extract(few_clips, QUICK, variant="noise").filename).read_bytes()
    monkeypatch.setenv("SER_SCHEDULER", scheduler)
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "far"))
    far = Path(extraction.extract(few_clips, QUICK, variant="noise").filename)
    assert far.is_relative_to(tmp_path / "far")
    assert far.read_bytes() == near
    # What workers knew the folder by is gone.
    assert not list((tmp_path / "far").glob("workers-*"))


def test_predictions_are_the_same(few_clips, scheduler, monkeypatch, small_folder):
    predictor = Predictor.load(small_folder)
    paths = [Path(one) for one in few_clips["path"]]
    near = list(predict_many(predictor, paths, n_jobs=1))
    monkeypatch.setenv("SER_SCHEDULER", scheduler)
    assert list(map(repr, predict_many(predictor, paths))) == list(map(repr, near))


def test_an_error_names_its_clip(far):
    with pytest.raises(AudioError, match=r"clip-5\.wav"):
        list(map_tasks(refuse, range(20)))


def test_a_scheduler_that_is_not_there_is_named_at_once(monkeypatch):
    pytest.importorskip("distributed", reason="NOT CHECKED: needs ser-lib[scale]")
    monkeypatch.setenv("SER_SCHEDULER", "tcp://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(RunError, match=r"127\.0\.0\.1:9"):
        list(map_tasks(doubled, range(3)))
    assert time.monotonic() - started < 30


def test_workers_of_other_versions_are_named(far, monkeypatch):
    monkeypatch.setattr(workers, "versions", lambda: _OURS | {"numpy": "1.0"})
    with pytest.raises(RunError, match=r"numpy .* for 1\.0"):
        list(map_tasks(doubled, range(3)))


_OURS = dict(workers.versions())


@pytest.mark.parametrize(
    ("n_threads", "files", "said"), [(4, (), "nthreads"), (1, ("not/there.wav",), "not/there")]
)
def test_a_worker_that_is_not_as_it_should_be_is_named(monkeypatch, n_threads, files, said):
    distributed = pytest.importorskip("distributed", reason="NOT CHECKED: needs ser-lib[scale]")
    worker = SimpleNamespace(address="tcp://there", state=SimpleNamespace(nthreads=n_threads))
    monkeypatch.setattr(distributed, "get_worker", lambda: worker)
    with pytest.raises(RunError, match=f"tcp://there.*{said}"):
        workers._do(doubled, workers._Home(_OURS, {}, files), [1])


@pytest.mark.minutes
def test_a_task_that_ends_each_worker_is_named(far):
    with pytest.raises(RunError, match=r"\[7\]"):
        list(map_tasks(ends, [7]))
    assert list(map_tasks(doubled, np.arange(3))) == [0, 2, 4]
