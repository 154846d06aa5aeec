"""Folders by environment variable, and writing that cannot leave a half."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from ser_lib import paths
from ser_lib.errors import OutputError
from ser_lib.paths import atomic_path, keep, locked, only_writer

FOLDERS = [
    ("SER_DATA", paths.data_dir, "data"),
    ("SER_CACHE", paths.cache_dir, ".cache"),
    ("SER_REPORTS", lambda: paths.report_dir("x").parent, "reports"),
]


@pytest.mark.parametrize(("variable", "folder", "default"), FOLDERS)
def test_a_variable_moves_its_folder(variable, folder, default, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert folder() == tmp_path / "elsewhere"


@pytest.mark.parametrize("value", [None, "", "  "])
@pytest.mark.parametrize(("variable", "folder", "default"), FOLDERS)
def test_without_a_variable_the_folder_is_in_the_project(
    variable, folder, default, value, monkeypatch
):
    monkeypatch.delenv(variable, raising=False)
    if value is not None:
        monkeypatch.setenv(variable, value)
    assert folder() == paths.PROJECT_DIR / default


def test_the_home_sign_and_relative_folders_are_resolved(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SER_DATA", "~/corpora")
    assert paths.data_dir() == tmp_path / "corpora"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SER_DATA", "here")
    assert paths.data_dir() == tmp_path / "here"


def test_runs_stand_in_the_report_of_their_corpus(tmp_path):
    assert paths.runs_dir("demo") == tmp_path / "reports" / "demo" / "runs"


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """As from a wheel: the package holds notebooks and bundles, and nothing lies beside it."""
    shipped = tmp_path / "site-packages" / "ser_lib"
    monkeypatch.setattr(paths, "IS_CHECKOUT", False)
    monkeypatch.setattr(paths, "SHIPPED_DIR", shipped)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("SER_DATA", "SER_CACHE", "SER_REPORTS", "SER_BUNDLES"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return shipped


def test_an_installed_package_keeps_everything_in_the_users_folders(installed, tmp_path):
    folders = [paths.data_dir(), paths.cache_dir(), paths.reports_dir(), paths.bundles_dir()]
    assert all(one.is_relative_to(tmp_path / "home") for one in folders)
    assert len(set(folders)) == 4
    assert not any(one.is_relative_to(paths.data_dir()) for one in folders[1:])


def test_bundles_are_ones_own_and_the_packages_unless_a_variable_says_which(
    installed, tmp_path, monkeypatch
):
    assert paths.bundles_dirs() == (paths.bundles_dir(), installed / "bundles")
    monkeypatch.setenv("SER_BUNDLES", str(tmp_path / "mine"))
    assert paths.bundles_dirs() == (tmp_path / "mine",)


def test_a_checkout_has_one_folder_of_bundles(monkeypatch):
    monkeypatch.delenv("SER_BUNDLES", raising=False)
    assert paths.bundles_dirs() == (paths.PROJECT_DIR / "bundles",)


def test_the_project_is_where_pyproject_is():
    assert (paths.PROJECT_DIR / "pyproject.toml").is_file()
    assert paths.NOTEBOOKS_DIR == paths.PROJECT_DIR / "notebooks"


def test_a_finished_block_leaves_the_file_and_nothing_else(tmp_path):
    target = tmp_path / "deep" / "er" / "table.csv"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".csv"
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["table.csv"]
    assert target.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_block_leaves_the_old_file(tmp_path, interruption):
    target = tmp_path / "table.csv"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("ha")
            raise interruption

    with pytest.raises(interruption):
        write_half()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_reader_sees_the_old_file_until_the_block_ends(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    target = tmp_path / "table.csv"
    with atomic_path(target) as first, atomic_path(target) as second:
        assert first != second
        Path(first).write_text("first")
        Path(second).write_text("second")
    assert target.read_text() == "first"  # whose block ended last


# --- one process at a time

KEEP = """
import sys, time
from pathlib import Path
from ser_lib.paths import keep

def write(temporary):
    temporary.write_text("ha")
    print("writes", flush=True)
    time.sleep(float(sys.argv[2]))
    temporary.write_text("whole")

print(keep(Path(sys.argv[1]), write).read_text(), flush=True)
"""


def test_who_comes_later_waits_says_so_and_reads_and_a_killed_one_holds_nobody(tmp_path):
    target = tmp_path / "table.csv"

    def start(duration_s: float) -> subprocess.Popen:
        arguments = [sys.executable, "-c", KEEP, str(target), str(duration_s)]
        return subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    killed = start(60)
    assert killed.stdout.readline() == "writes\n"
    others = [start(0.2), start(0.2)]
    waited_for = [one.stderr.readline() for one in others]
    killed.kill()
    killed.communicate()
    outputs = sorted(one.communicate()[0] for one in others)
    assert all(str(killed.pid) in line and str(target) in line for line in waited_for)
    assert outputs == ["whole\n", "writes\nwhole\n"]
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("has_lock", [True, False])
def test_without_the_lock_two_would_write(tmp_path, monkeypatch, has_lock):
    """And its twin."""
    if not has_lock:
        monkeypatch.setattr(paths, "locked", nullcontext)
    written, gate = [], threading.Barrier(2)

    def write(temporary: Path) -> None:
        written.append(temporary)
        if not has_lock:
            gate.wait(10)
        temporary.write_text("whole")

    threads = [threading.Thread(target=keep, args=(tmp_path / "a", write)) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(written) == (1 if has_lock else 2)


def test_what_a_killed_process_left_is_deleted_and_nothing_else(tmp_path):
    others = {".a-b.csv", ".ab.ser-x.csv", "a.csv", ".a.ser-x.json", "a.ser-x.csv"}
    for name in [*others, ".a.ser-x.csv"]:
        (tmp_path / name).write_text("")
    with locked(tmp_path / "a.csv"):
        pass
    assert set(os.listdir(tmp_path)) == others
    with locked(tmp_path):
        pass
    assert set(os.listdir(tmp_path)) == {".a-b.csv", "a.csv", "a.ser-x.csv"}
    assert not list(tmp_path.parent.glob(".*.lock"))


@pytest.mark.parametrize("kind", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError])
@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("SER_CACHE", paths.cache_dir),
        ("SER_REPORTS", paths.reports_dir),
        ("SER_DATA", paths.data_dir),
        ("SER_BUNDLES", paths.bundles_dir),
    ],
)
def test_a_folder_without_locks_is_named_with_what_moves_it(
    tmp_path, monkeypatch, variable, folder, kind
):
    monkeypatch.setenv(variable, str(tmp_path / "nfs"))

    def refuse(*_: object, **__: object) -> None:
        raise kind

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with pytest.raises(OutputError, match=f"{folder()}.*{variable}"), locked(folder() / "a"):
        pass
    with pytest.raises(OutputError, match="TMPDIR"), only_writer(tmp_path / "a.csv"):
        pass
    monkeypatch.undo()
    with locked(tmp_path / "a"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_folder_that_takes_no_file_is_named_with_what_moves_it(tmp_path, monkeypatch, number):
    target = paths.cache_dir() / "features" / "a.npy"

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkstemp", refuse)
        with pytest.raises(OutputError, match="SER_CACHE"):
            keep(target, Path.touch)
    with pytest.raises(OutputError, match="SER_CACHE"):
        keep(target, lambda _: refuse())
    assert os.listdir(target.parent) == []
    assert keep(target, Path.touch) == target
