"""A repository of the notebooks, as the Makefile and JupyterLab's settings have it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from ser_lib.paths import PROJECT_DIR


def _git(folder, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="session")
def git():
    """Return a function that calls git in a folder and returns what it says."""
    return _git


def _git_setup(folder) -> str:
    """Return what the Makefile does to git when it makes the environment."""
    made = ["make", "-n", "-W", "pyproject.toml", ".venv/.installed"]
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(PROJECT_DIR / name, folder)
    said = subprocess.run(made, cwd=folder, capture_output=True, text=True, check=True).stdout
    return re.search(r"^test ! -e \.git(?:.*\\\n)*.*", said, re.MULTILINE)[0]


@pytest.fixture
def repository(tmp_path, git):
    """Set up a repository of all notebooks as the Makefile does, with this environment."""
    root = tmp_path / "project"
    for name in ("notebooks", "tools/lab"):
        ignored = shutil.ignore_patterns("mine", ".ipynb_*", "*-Copy*", "Untitled*")
        shutil.copytree(PROJECT_DIR / name, root / name, ignore=ignored)
    for name in (".gitattributes", ".gitignore", "Makefile"):
        shutil.copy(PROJECT_DIR / name, root)
    (root / ".venv").symlink_to(sys.prefix)
    git(root, "init", "-q")
    subprocess.run(["sh", "-c", _git_setup(root)], cwd=root, check=True)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "a")
    return root
