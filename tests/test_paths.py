"""Folders by environment variable, and writing that cannot leave a half."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ser_lib import paths
from ser_lib.paths import atomic_path, compile_lock_path

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


def test_the_lock_of_what_is_compiled_stays_when_the_cache_moves(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "one"))
    first = compile_lock_path()
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "other"))
    assert compile_lock_path() == first
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "another environment"))
    assert compile_lock_path() != first
