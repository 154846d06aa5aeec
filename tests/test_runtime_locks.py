"""Locks between processes: one holds, others wait or are told, and a dead holder lets go."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from ser_lib.runtime import file_lock

HOLD = """
import sys, time
from pathlib import Path
from ser_lib.runtime import file_lock
with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path, seconds):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_that_another_process_holds_is_refused_or_waited_for(tmp_path):
    path = tmp_path / "folder" / "one.lock"
    process = holder(path, 1.0)
    with pytest.raises((BlockingIOError, PermissionError)), file_lock(path, is_waiting=False):
        pass
    started = time.monotonic()
    with file_lock(path):
        assert process.poll() is not None or time.monotonic() - started > 0.2
    process.wait()
    process.stdout.close()


def test_a_free_lock_is_had_at_once_and_again(tmp_path):
    for _ in range(2):
        with file_lock(tmp_path / "one.lock", is_waiting=False):
            pass


def test_a_holder_that_dies_lets_go(tmp_path):
    process = holder(tmp_path / "one.lock", 60)
    process.kill()
    process.wait()
    process.stdout.close()
    with file_lock(tmp_path / "one.lock", is_waiting=False):
        pass
