"""Results that are kept by what decides them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ser_lib.errors import RunError
from ser_lib.runs import store
from ser_lib.runs.store import (
    UNFINISHED_COLUMNS,
    cached_result,
    key_of,
    require_audio,
    unfinished_runs,
    write_json,
)


def _fail() -> None:
    raise AssertionError("computed though it is kept")


def test_a_result_is_computed_once_and_found_by_its_identity(tmp_path):
    identity = {"b": [1, 2.5], "a": None}
    first = cached_result(tmp_path, identity, lambda: {"scores": [1, 2]}, name="step")
    assert first == cached_result(tmp_path, {"a": None, "b": [1, 2.5]}, _fail, name="step")
    assert [one.name for one in tmp_path.iterdir()] == [f"step-{key_of(identity)}.json"]
    with pytest.raises(AssertionError):
        cached_result(tmp_path, identity | {"a": 1}, _fail, name="step")


def test_arrays_are_kept_exactly(tmp_path):
    given = {"x": np.arange(6, dtype=np.float16).reshape(2, 3), "uar": np.array(0.123456789)}
    cached_result(tmp_path, "[1]", lambda: given, suffix=".npz")
    stored = cached_result(tmp_path, "[1]", _fail, suffix=".npz")
    assert stored.keys() == given.keys()
    for name, value in given.items():
        np.testing.assert_array_equal(stored[name], value, strict=True)


def test_a_failed_computation_leaves_nothing(tmp_path):
    with pytest.raises(AssertionError):
        cached_result(tmp_path / "kind", [1], _fail)
    assert not list(tmp_path.rglob("*.json"))


def test_keys_are_those_of_stored_files():
    """Sorted JSON, SHA-256, 12 digits: another rule would lose every committed result."""
    assert key_of({"b": 1, "a": [2]}) == key_of('{"a": [2], "b": 1}') == "41ff4104bc48"


def test_what_must_be_computed_needs_audio():
    clips = pd.DataFrame({"corpus": ["tess", "tess"], "path": ["a.wav", ""]})
    with pytest.raises(RunError, match="tess"):
        require_audio(clips, "x is not stored")
    require_audio(clips[:1], "x is not stored")


@pytest.mark.parametrize("is_checkout", [True, False])
def test_the_commit_is_that_of_a_checkout_and_of_no_other_repository(is_checkout, monkeypatch):
    monkeypatch.setattr(store, "IS_CHECKOUT", is_checkout)
    monkeypatch.setattr("subprocess.run", lambda *_, **__: SimpleNamespace(stdout="abc\n"))
    assert store.provenance()["commit"] == ("abc with changes" if is_checkout else "unknown")


def test_what_is_not_finished_is_told_with_its_hours_and_its_command(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_REPORTS", str(tmp_path))
    assert list(unfinished_runs("demo", "study").columns) == list(UNFINISHED_COLUMNS)
    folds = tmp_path / "demo" / "runs" / "study-net-loso-s1-key" / "folds"
    write_json(folds / "00.json", {"duration_s": 3600})
    record = {"name": "a", "command": "ser run", "epochs": 2.5, "max_epochs": 5} | {
        "spent_s": 1800,
        "core_s": 900,
    }
    write_json(folds / "01.progress.json", record | {"n_folds_waiting": 1})
    write_json(folds.parents[1] / "study2-x" / "folds" / "00.progress.json", record)
    (row,) = unfinished_runs("demo", "study").to_dict("records")
    assert row == {
        "training": "a",
        "epochs": 2.5,
        "max_epochs": 5,
        "hours": 1.5,
        "core_hours": 0.25,
        "core_hours_left": 0.75,
        "command": "ser run",
    }
