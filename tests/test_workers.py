"""Tasks give the same wherever they are done; what keeps workers from it is one sentence."""

from __future__ import annotations

import os
import random
import resource
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from ser_lib import workers
from ser_lib.cli import main as command
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import Protocol
from ser_lib.errors import AudioError, EncoderError, OutputError, RunError
from ser_lib.features import extraction
from ser_lib.features.encoders.registry import get_encoder
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.baselines import KnnConfig
from ser_lib.models.cnn import Cnn1dConfig
from ser_lib.paths import atomic_path
from ser_lib.runs.runner import run_study
from ser_lib.studies.study import ModelSpec, Study
from ser_lib.training.settings import TrainingSettings
from ser_lib.workers import map_tasks

QUICK = FeatureSpec("waveform_envelope", params={"duration_s": 0.5, "n_points": 64})
FRAMES = FeatureSpec("mfcc_zcr_rms", params={"duration_s": 0.3, "n_mfcc": 4})
STUDY = Study(
    name="tiny2025",
    title="Tiny",
    source="Nobody (2025)",
    corpora=("demo",),
    label_set=LABEL_SETS["ravdess8"],
    models=(
        ModelSpec("knn", "KNN", KnnConfig(n_neighbors=2), QUICK, is_scaled=True),
        ModelSpec(
            *("net", "1D CNN", Cnn1dConfig(n_filters=(2,), n_dense=2), FRAMES),
            training=TrainingSettings(max_epochs=2),
            is_scaled=True,
        ),
    ),
    augmentations=("noise",),
    published_protocol=Protocol("loso"),
    honest_protocol=Protocol("loso"),
    seeds=(1,),
)


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


def draws(seed: int) -> list[float]:
    """Draw while Dask's threads have time to draw as well; and say what threads are asked for."""
    random.seed(seed)
    time.sleep(2)
    return [random.random(), float(os.environ["TF_NUM_INTRAOP_THREADS"])]


def fills(path: str) -> None:
    """Write more than there is room for."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
    try:
        with atomic_path(Path(path)) as temporary:
            temporary.write_bytes(bytes(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


@pytest.mark.parametrize("ways", [{"n_jobs": 1}, {"prefers": "threads"}])
def test_results_come_in_the_order_of_the_tasks(ways):
    assert list(map_tasks(doubled, iter(range(40)), **ways)) == list(range(0, 80, 2))


@pytest.fixture
def far(scheduler, monkeypatch):
    monkeypatch.setenv("SER_SCHEDULER", scheduler)


def test_workers_elsewhere_give_results_in_order(far):
    assert list(map_tasks(doubled, iter(range(100)))) == list(range(0, 200, 2))


def test_what_is_seeded_draws_alone_and_has_as_many_threads(far, monkeypatch):
    expected = random.Random(5).random()
    for n_threads in (3, 1):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", str(n_threads))
        assert list(map_tasks(draws, [5], is_seeded=True)) == [[expected, n_threads]]


def test_a_full_disk_is_one_sentence(far, tmp_path):
    with pytest.raises(OutputError, match=r"full\.npz: cannot be written"):
        list(map_tasks(fills, [str(tmp_path / "full.npz")]))


def test_an_encoder_that_is_not_there_is_named_at_once(few_clips, far):
    encoder = get_encoder("moonshine-tiny")
    usual = {"encoder": encoder.name, "sha256": encoder.sha256, "layers": "1"}
    spec = FeatureSpec("encoder_frames", sample_rate_hz=encoder.sample_rate_hz, params=usual)
    with pytest.raises(EncoderError, match=encoder.name):
        extraction.compute_each(few_clips, spec)


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


@pytest.fixture(scope="module")
def folder(demo_clips, tmp_path_factory):
    """Enough clips for several tasks, one of which nobody can decode."""
    folder = tmp_path_factory.mktemp("clips")
    for path in demo_clips["path"][:40]:
        shutil.copy(path, folder)
    (folder / "broken.wav").write_bytes(b"no sound")
    return folder


@pytest.mark.parametrize(
    ("suffix", "command_line"),
    [
        ("parquet", "features waveform_envelope CLIPS"),
        ("csv", "predict CLIPS --bundle BUNDLE"),
        ("jsonl", "predict CLIPS --bundle BUNDLE"),
        ("parquet", "predict CLIPS --bundle BUNDLE"),
        ("json", "audit CLIPS"),
    ],
)
def test_commands_write_the_same_bytes(
    folder, small_folder, scheduler, monkeypatch, tmp_path, suffix, command_line
):
    names = {"CLIPS": str(folder), "BUNDLE": str(small_folder)}
    arguments = [names.get(one, one) for one in command_line.split()]
    written = {}
    for where in ("", scheduler):
        out = tmp_path / f"{len(written)}.{suffix}"
        monkeypatch.setenv("SER_CACHE", str(tmp_path / f"cache-{len(written)}"))
        monkeypatch.setenv("SER_SCHEDULER", where)
        CliRunner().invoke(command.app, [*arguments, "--out", str(out)])
        written[where] = out.read_bytes()
    assert written[scheduler] == written[""]


@pytest.mark.parametrize("model", ["knn", pytest.param("net", marks=pytest.mark.minutes)])
def test_folds_that_workers_fit_are_the_same(few_clips, scheduler, monkeypatch, tmp_path, model):
    folders = []
    for where in ("", scheduler):
        monkeypatch.setenv("SER_SCHEDULER", where)
        monkeypatch.setenv("SER_CACHE", str(tmp_path / f"cache{bool(where)}"))
        monkeypatch.setenv("SER_REPORTS", str(tmp_path / f"reports{bool(where)}"))
        (run,) = run_study(STUDY, few_clips, models=[model], protocols=["honest"])
        folders.append(run.folder)
    for name in ("predictions.csv", "spec.json"):
        assert (folders[1] / name).read_bytes() == (folders[0] / name).read_bytes()


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
        workers._do(workers._Home(_OURS, {}, files), {}, b"")


@pytest.mark.minutes
@pytest.mark.parametrize("is_seeded", [False, True])
def test_a_task_that_ends_each_worker_is_named(far, is_seeded):
    with pytest.raises(RunError, match=r"\[7\]"):
        list(map_tasks(ends, [7], is_seeded=is_seeded))
    assert list(map_tasks(doubled, np.arange(3))) == [0, 2, 4]
