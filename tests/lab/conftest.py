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


@pytest.fixture(scope="session")
def committed(tmp_path_factory, git):
    """Set up a repository of all notebooks as the Makefile does, with this environment."""
    root = tmp_path_factory.mktemp("lab") / "project"
    for name in ("notebooks", "tools/lab"):
        ignored = shutil.ignore_patterns("mine", ".ipynb_*", "*-Copy*", "Untitled*")
        shutil.copytree(PROJECT_DIR / name, root / name, ignore=ignored)
    for name in (".gitattributes", ".gitignore", "Makefile"):
        shutil.copy(PROJECT_DIR / name, root)
    (root / ".venv").symlink_to(sys.prefix)
    git(root, "init", "-q")
    subprocess.run(["sh", "-c", _git_setup(root)], cwd=root, check=True)
    # A copy is as clean as this one: git looks at sizes and times of change, not at inodes.
    git(root, "config", "core.checkStat", "minimal")
    git(root, "config", "core.trustCtime", "false")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "a")
    return root


@pytest.fixture
def repository(committed, tmp_path):
    """Copy the repository: stripping every notebook takes seconds."""
    return shutil.copytree(committed, tmp_path / "project", symlinks=True)
