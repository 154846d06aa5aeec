"""Commands that were killed end with what an undisturbed one writes."""

from __future__ import annotations

import pytest

from tools.drill import COMMANDS, drill

BAD = """
import time
with open("a.txt", "a") as file:
    for _ in range(5):
        print("line", file=file, flush=True)
        time.sleep(0.1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["predict", "data"])
def test_a_command_that_was_killed_goes_on(name, tmp_path):
    outcome = drill(name, n_kills=2, seed=3, folder=tmp_path)
    assert outcome.n_kills == 2
    assert outcome.n_ends
    assert outcome.problems == []


def test_a_command_that_cannot_be_killed_is_found(tmp_path, monkeypatch):
    """And what a killed one leaves, which no other one has."""
    monkeypatch.setitem(COMMANDS, "bad", ("-c", BAD))
    problems = drill("bad", n_kills=3, seed=1, folder=tmp_path).problems
    assert set(problems) == {"a.txt differs"}


def test_a_command_that_fails_undisturbed_proves_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(COMMANDS, "bad", ("-c", "1 / 0"))
    assert drill("bad", n_kills=1, seed=1, folder=tmp_path).problems
