"""The measurements of docs/scale.md run; whole only in `make check-all`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ser_lib.audit import duplicates
from tools import scale


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "FOLDER", tmp_path)
    monkeypatch.setattr(scale, "MEASURED", tmp_path / "measured.jsonl")


def measured() -> list[dict]:
    return [json.loads(one) for one in scale.MEASURED.read_text(encoding="utf-8").splitlines()]


def test_made_up_copies_are_nearest_neighbours():
    points, planted = scale.made_up(500)
    found = duplicates._nearest(points, 5)
    assert np.mean([b in found[a] for a, b in planted]) > 0.99


def test_what_adds_no_memory_is_drawn():
    scale.note(what="near: ours", n_clips=10, cpu_s=0.0, added_mb=0, recall=1.0)
    scale.draw()
    assert (scale.FOLDER / "near.svg").stat().st_size > 1_000


def test_what_is_measured_is_drawn():
    scale.near([3_000], "ours")
    (found,) = measured()
    assert (found["what"], found["n_clips"]) == ("near: ours", 3_000)
    assert found["recall"] > 0.99
    scale.draw()
    assert (scale.FOLDER / "near.svg").stat().st_size > 1_000


@pytest.mark.minutes
def test_troubles_on_the_way_change_no_byte():
    pytest.importorskip("distributed", reason="NOT CHECKED: needs ser-lib[scale]")
    pytest.importorskip("pyarrow")
    scale.far(2_000)
    assert len(measured()) >= 4
    assert all(one["is_same"] and one["exit_code"] == 0 for one in measured())
