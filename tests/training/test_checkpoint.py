"""Training that is stopped or killed ends as if it had not been; other files are ignored."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser_lib.errors import TrainingStoppedError
from ser_lib.models.conv_blocks import ConvBlocksConfig
from ser_lib.training import checkpoint as checkpoints
from ser_lib.training.checkpoint import DEADLINE, Checkpoint, left_s, stopping_after
from ser_lib.training.fit import FitResult, FoldArrays, fit_fold
from ser_lib.training.settings import TrainingSettings

NET = ConvBlocksConfig(
    n_filters=(3,), kernel_sizes=(3,), n_dense=(4,), block_dropout_rate=0.3, dropout_rate=0.3
)
# Whatever counts or draws: moments, a plateau, kept weights, a patience, drawn rows, mixed rows.
SETTINGS = TrainingSettings(
    max_epochs=6,
    batch_size=16,
    learning_rate=0.02,
    plateau_patience=1,
    stop_patience=3,
    keep="val_accuracy",
    sampling="balanced",
    mixup_alpha=0.3,
)


def maps() -> FoldArrays:
    """Three classes of small pictures; validation rows mislead, so that the plateau comes."""
    rng = np.random.default_rng(2)
    classes = np.repeat([0, 1, 2], [20, 25, 15])[rng.permutation(60)]
    inputs = (rng.normal(size=(60, 8, 6, 1)) + classes[:, None, None, None]).astype(np.float32)
    return FoldArrays(
        inputs[:40], classes[:40], inputs[40:50], (classes[40:50] + 1) % 3, inputs[50:]
    )


def fit(
    checkpoint: Checkpoint | None = None,
    settings: TrainingSettings = SETTINGS,
    *,
    seed: int = 1,
) -> FitResult:
    options = {"n_classes": 3, "is_scaled": False, "seed": seed, "checkpoint": checkpoint}
    return fit_fold(NET, settings, maps(), **options)


def fit_step_by_step(path: Path) -> FitResult:
    """Stop after every batch and after every epoch, as often as it takes."""
    for _ in range(100):
        try:
            return fit(Checkpoint(path, deadline=0.0))
        except TrainingStoppedError:
            assert path.is_file()
    pytest.fail("it does not get on")


class StoppedAt(Checkpoint):
    """A checkpoint whose deadline is over when it is asked for the time of that number."""

    def __init__(self, path: Path, number: int) -> None:
        super().__init__(path)
        self.number = number

    def keep(self, position) -> None:
        self.number -= 1
        self.deadline = np.inf if self.number else 0.0
        super().keep(position)


@pytest.fixture(scope="module")
def undisturbed() -> FitResult:
    return fit()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run" / "00.npz"


def assert_same(one: FitResult, other: FitResult) -> None:
    assert one.probabilities.tobytes() == other.probabilities.tobytes()
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)


def test_stopped_after_every_batch_it_ends_as_if_undisturbed(path, undisturbed):
    stopped = fit_step_by_step(path)
    assert_same(stopped, undisturbed)
    assert len(stopped.history) > 3
    assert stopped.history["learning_rate"].nunique() > 1


def test_a_scheduled_rate_goes_on_within_an_epoch(path):
    settings = TrainingSettings(max_epochs=3, batch_size=16, schedule="cosine")
    with pytest.raises(TrainingStoppedError):
        fit(StoppedAt(path, 2), settings)
    assert_same(fit(Checkpoint(path), settings), fit(settings=settings))


@pytest.mark.parametrize("lost", ["", "optimiser", "generators", "counters", "order", "drawn"])
def test_whatever_a_checkpoint_lacked_would_be_noticed(path, undisturbed, monkeypatch, lost):
    state = checkpoints.state_of
    without = {
        "": ("_variables", checkpoints._variables),
        "optimiser": ("_variables", state),
        "generators": ("_variables", lambda model: [*model.weights, *model.optimizer.variables]),
        "counters": ("_counters", lambda callback: {"n_best_weights": 0}),
    }
    if lost in without:
        monkeypatch.setattr(checkpoints, *without[lost])
    else:
        restore = Checkpoint.restore

        def forgetful(self, identity, model, callbacks, rng):
            if lost == "drawn":
                rng = np.random.default_rng(0)
            position = restore(self, identity, model, callbacks, rng)
            return replace(position, order=None) if lost == "order" else position

        monkeypatch.setattr(Checkpoint, "restore", forgetful)
    with pytest.raises(TrainingStoppedError):
        fit(StoppedAt(path, 6))
    other = fit(Checkpoint(path))
    # Predictions alone may be those of an epoch that was kept before.
    assert other.history.equals(undisturbed.history) == (lost == "")


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
import tensorflow as tf
from tests_checkpoint import fit
from ser_lib.training import checkpoint as checkpoints

path, report = map(Path, sys.argv[1:3])
checkpoints.EPOCH_S = checkpoints.STEP_S = checkpoints.LEAST_RATIO = 0
rng = np.random.default_rng(int(sys.argv[3]))

def start(kill_at, is_writing):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    # Operation by operation: compiling takes longer than this network.
    tf.config.run_functions_eagerly(True)
    keep, save, done = checkpoints.Checkpoint.keep, np.savez, []
    def counted(self, *given):
        done.append(1)
        if len(done) == kill_at and not is_writing:
            os.kill(os.getpid(), signal.SIGKILL)
        keep(self, *given)
    def half(target, **arrays):
        save(target, **arrays)
        if len(done) == kill_at:
            os.truncate(target, os.path.getsize(target) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
    checkpoints.Checkpoint.keep = counted
    np.savez = half
    result = fit(checkpoints.Checkpoint(path) if kill_at else None)
    np.savez = save
    name = "killed" if kill_at else "whole"
    np.savez(report / f"{name}.npz", result.probabilities, result.history)
    os._exit(0)

assert start(0, False) == 0
for number in range(5):
    assert start(int(rng.integers(1, 4)), number % 2) == -signal.SIGKILL, "not killed"
assert start(1000, False) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="NOT CHECKED: no fork here")
def test_killed_at_five_places_it_ends_as_if_undisturbed(path, tmp_path):
    (tmp_path / "tests_checkpoint.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    command = [sys.executable, "-c", KILLED, str(path), str(tmp_path), "7"]
    folders = [str(tmp_path), *sys.path]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": ":".join(one for one in folders if one)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    whole, killed = (np.load(tmp_path / f"{name}.npz") for name in ("whole", "killed"))
    for part in whole.files:
        assert whole[part].tobytes() == killed[part].tobytes()


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    if kind == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "flipped":
        path.write_bytes(content[:600] + bytes([content[600] ^ 1]) + content[601:])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("nothing of this kind")
    else:
        np.savez(path, weights=np.zeros(3))


@pytest.mark.parametrize("kind", ["cut", "flipped", "empty", "text", "foreign"])
def test_a_damaged_checkpoint_is_ignored_with_a_warning(path, undisturbed, caplog, kind):
    with pytest.raises(TrainingStoppedError):
        fit(Checkpoint(path, deadline=0.0))
    damage(path, kind)
    assert_same(fit(Checkpoint(path)), undisturbed)
    assert [one.levelno for one in caplog.records] == [logging.WARNING]
    assert str(path) in caplog.text


def test_a_checkpoint_of_another_training_is_ignored_with_a_warning(path, undisturbed, caplog):
    with pytest.raises(TrainingStoppedError):
        fit(Checkpoint(path, deadline=0.0), seed=2)
    assert_same(fit(Checkpoint(path)), undisturbed)
    assert caplog.records[0].levelno == logging.WARNING


def test_a_short_training_writes_nothing_and_a_long_one_by_the_clock(path, monkeypatch):
    fit(Checkpoint(path))
    assert not path.exists()
    monkeypatch.setattr(checkpoints, "EPOCH_S", 0.0)
    fit(Checkpoint(path))
    assert path.is_file()


def test_it_is_told_how_far_a_training_is_and_what_it_has_taken(path, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    record = tmp_path / "record.json"
    options = {"record": record, "about": {"name": "the run", "n_folds_waiting": 2}}
    for _ in range(2):
        with pytest.raises(TrainingStoppedError, match="the run"):
            fit(Checkpoint(path, deadline=0.0, **options))
    told = json.loads(record.read_text())
    # 40 rows, and of smaller classes some again, are three batches of 16.
    assert told["epochs"] == pytest.approx(2 / 3, abs=0.001)
    assert told["max_epochs"] == 6
    assert left_s(told) == pytest.approx(told["spent_s"] / told["epochs"] * (18 - told["epochs"]))
    assert 0 < told["core_s"] < 60
    assert left_s(told, of="core_s") / left_s(told) == pytest.approx(
        told["core_s"] / told["spent_s"]
    )
    last = Checkpoint(path, **options)
    result = fit(last)
    assert "goes on at epoch 1, batch 3" in caplog.text
    assert result.duration_s > last.earlier_s == pytest.approx(told["spent_s"], abs=0.1)
    last.remove()
    assert not path.exists()
    assert not record.exists()


def test_a_deadline_holds_within_its_block():
    with stopping_after(2):
        assert DEADLINE.get() == pytest.approx(time.time() + 120, abs=5)
        with stopping_after(0):
            assert DEADLINE.get() == np.inf
    assert DEADLINE.get() == np.inf
