"""Progress bars: there for a person, silent for a log, and never changing what passes through."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ser_lib import runtime as module
from ser_lib.errors import RunError
from ser_lib.paths import locked
from ser_lib.report.execution import check_kernel
from ser_lib.runtime import is_headless, progress, whole_number


class Terminal:
    def __init__(self, *, is_terminal: bool) -> None:
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize(
    ("variable", "is_terminal", "has_kernel", "expected"),
    [
        ("1", True, True, True),
        ("1", True, False, True),
        ("", True, False, False),
        ("0", True, False, False),
        ("", False, False, True),
        ("", False, True, False),
    ],
)
def test_a_bar_needs_somebody_to_watch(monkeypatch, variable, is_terminal, has_kernel, expected):
    monkeypatch.setenv("SER_HEADLESS", variable)
    # A plain IPython shell has no kernel, and importing ipykernel makes no notebook.
    shell = SimpleNamespace(kernel=object()) if has_kernel else SimpleNamespace()
    modules = {"IPython": SimpleNamespace(get_ipython=lambda: shell), "ipykernel": object()}
    monkeypatch.setattr(module.sys, "stderr", Terminal(is_terminal=is_terminal))
    monkeypatch.setattr(module.sys, "modules", modules)
    assert is_headless() is expected


def test_items_pass_unchanged_and_silently_where_nobody_watches(monkeypatch, capsys):
    monkeypatch.setenv("SER_HEADLESS", "1")
    items = [object(), object(), None]
    assert list(progress(iter(items), total=3, what="clips")) == items
    assert capsys.readouterr() == ("", "")


def test_a_watched_bar_says_what_it_is_about(monkeypatch, capsys):
    monkeypatch.setattr(module, "is_headless", lambda: False)
    assert list(progress([1, 2], total=2, what="mel_square, noise")) == [1, 2]
    assert "mel_square, noise" in capsys.readouterr().err


@pytest.fixture
def notebook(monkeypatch):
    """Stand in for a notebook; a list of what it shows, each output as it is in the end."""
    outputs = []

    class Handle:
        def __init__(self, data):
            self.place = len(outputs)
            outputs.append(data)

        def update(self, data, *, raw):
            outputs[self.place] = data

    monkeypatch.setattr("IPython.display.display", lambda data, **_: Handle(data))
    monkeypatch.setattr(module, "is_headless", lambda: False)
    monkeypatch.setattr(module, "_is_notebook", lambda: True)
    return outputs


def test_in_a_notebook_bars_within_a_bar_are_one_line_of_text(notebook, capsys):
    said = []
    for _ in progress(range(2), total=2, what="runs"):
        for _ in progress("abc", total=3, what="folds"):
            assert list(progress("de", total=2, what="clips")) == ["d", "e"]
            said.append(notebook[0]["text/plain"].partition(", folds: ")[2])
    assert said == [f"{n} of 3; clips: 2 of 2]" for n in (1, 2, 3)] * 2
    assert list(progress("ab", total=2, what="clips")) == ["a", "b"]
    (first, second) = notebook
    assert list(first) == ["text/plain"]
    assert first["text/plain"].startswith("runs: 100%")
    assert "2/2" in first["text/plain"]
    assert "folds" not in first["text/plain"]
    assert "\n" not in first["text/plain"].strip()
    assert second["text/plain"].startswith("clips: 100%")
    assert capsys.readouterr() == ("", "")


def test_a_bar_within_a_bar_says_how_many_minutes_are_left(notebook, monkeypatch):
    clock = iter(range(0, 10_000, 120))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    said = []
    for _ in progress(range(2), total=2, what="runs"):
        for number in progress("abc", total=3, what="epochs"):
            said.append(notebook[0]["text/plain"].partition(", epochs: ")[2])
            if number == "b":
                break
        assert next(iter(progress("d", total=1, what="clips"))) == "d"
        assert "epochs" not in notebook[0]["text/plain"]
    assert said == ["1 of 3]", "2 of 3, 4 min left]"] * 2


def test_a_stopped_bar_says_where_and_the_next_is_its_own(notebook):
    for number in progress(range(3), total=3, what="runs"):
        if number == 1:
            break
    assert list(progress("ab", total=2, what="clips")) == ["a", "b"]
    first, second = (one["text/plain"] for one in notebook)
    assert "1/3" in first
    assert "2/2" in second


def test_who_waits_for_another_process_sees_for_whom_and_how_long(notebook, tmp_path):
    """Also within another bar."""
    target, is_held = tmp_path / "run", threading.Event()

    def hold() -> None:
        with locked(target):
            is_held.set()
            time.sleep(1.0)

    def wait() -> None:
        is_held.clear()
        holder = threading.Thread(target=hold)
        holder.start()
        is_held.wait(10)
        with locked(target) as has_waited:
            assert has_waited
        holder.join()

    wait()
    for _ in progress(range(1), total=1, what="runs"):
        wait()
        during = notebook[-1]["text/plain"]
    waiting = f"waiting for process {os.getpid()}, which is writing run"
    assert re.fullmatch(rf"{waiting}, 00:0\d", notebook[0]["text/plain"])
    assert waiting in during
    assert len(notebook) == 2


def test_items_are_taken_one_by_one_not_all_at_once(monkeypatch):
    monkeypatch.setenv("SER_HEADLESS", "1")
    taken = []

    def source():
        for number in range(3):
            taken.append(number)
            yield number

    next(progress(source(), total=3, what="x"))
    assert taken == [0]


@pytest.mark.parametrize("value", ["1.5", "abc", "0", "-1", "²", "1e3"])
def test_a_setting_that_is_no_whole_number_is_named_before_anything_starts(monkeypatch, value):
    monkeypatch.setenv("SER_CELL_TIMEOUT_S", value)
    with pytest.raises(RunError, match="SER_CELL_TIMEOUT_S"):
        whole_number("SER_CELL_TIMEOUT_S", 5)
    with pytest.raises(RunError, match="SER_CELL_TIMEOUT_S"):
        check_kernel()


@pytest.mark.parametrize(("value", "expected"), [("", 5), (" ", 5), ("7", 7)])
def test_a_setting_that_is_empty_is_not_set(monkeypatch, value, expected):
    monkeypatch.setenv("SER_CELL_TIMEOUT_S", value)
    assert whole_number("SER_CELL_TIMEOUT_S", 5) == expected
    check_kernel()


WORKERS = """
import sys
from joblib import Parallel, delayed
from ser_lib.runtime import ending_with_parent
# More than a pipe holds: a worker waits until somebody reads it.
tasks = (delayed(bytes)(10_000_000) for _ in range(1000))
for _ in Parallel(2, return_as="generator_unordered", **ending_with_parent())(tasks):
    print("one", flush=True)
"""


def children_of(process_id: int) -> list[int]:
    tasks = Path(f"/proc/{process_id}/task").glob("*/children")
    return [int(one) for path in tasks for one in path.read_text().split()]


def is_running(process_id: int) -> bool:
    status = Path(f"/proc/{process_id}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="NOT CHECKED: no /proc here")
def test_workers_of_a_killed_command_end_with_it():
    command = [sys.executable, "-c", WORKERS]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        workers = children_of(process.pid)
        process.kill()
    assert workers
    ends = time.monotonic() + 60
    while any(map(is_running, workers)) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not any(map(is_running, workers))
