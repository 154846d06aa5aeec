"""A day in JupyterLab leaves git as it was: the server's own way to read and write notebooks."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys

import nbformat
import pytest
from ipykernel.ipkernel import IPythonKernel
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from traitlets.config import Config

from ser_lib.paths import PROJECT_DIR


def git(folder, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Set up a repository of all notebooks as the Makefile does, with this environment."""
    for name in ("notebooks", "tools/lab"):
        shutil.copytree(
            PROJECT_DIR / name, tmp_path / name, ignore=shutil.ignore_patterns("mine", ".ipynb_*")
        )
    for name in (".gitattributes", ".gitignore", "Makefile"):
        shutil.copy(PROJECT_DIR / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    git(tmp_path, "init", "-q")
    shown = git_setup(tmp_path)
    subprocess.run(["sh", "-c", shown], cwd=tmp_path, check=True)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "a")
    return tmp_path


def git_setup(folder) -> str:
    """Return what the Makefile does to git when it makes the environment."""
    made = ["make", "-n", "-W", "pyproject.toml", ".venv/.installed"]
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(PROJECT_DIR / name, folder)
    said = subprocess.run(made, cwd=folder, capture_output=True, text=True, check=True).stdout
    return re.search(r"^test ! -e \.git(?:.*\\\n)*.*", said, re.MULTILINE)[0]


@pytest.fixture
def lab(repository):
    """Give what Lab's server reads and writes notebooks with, as `make lab` configures it."""
    config = Config()
    file = PROJECT_DIR / "tools" / "lab" / "jupyter_server_config.py"
    names = runpy.run_path(str(file), init_globals={"get_config": lambda: config})
    hook = config.FileContentsManager.pop("post_save_hook")
    manager = LargeFileManager(root_dir=str(repository))
    manager.post_save_hook = hook
    manager.looking = names["looking"]
    return manager


def opened_run_and_saved(lab, path: str) -> None:
    """Do to a notebook what JupyterLab does, with the outputs of a cell that shows a widget."""
    content = lab.get(path)["content"]
    content["metadata"]["language_info"] = dict(IPythonKernel.language_info)
    content["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    for number, cell in enumerate(content["cells"]):
        if cell["cell_type"] == "code":
            cell["execution_count"] = number
            cell["outputs"] = [nbformat.v4.new_output("stream", text="1\n")]
            cell["metadata"]["jupyter"] = {"source_hidden": True}
    lab.save({"type": "notebook", "format": "json", "content": content}, path)


def changed(lab) -> list[str]:
    """Ask git what has changed, when it has been told what has not."""
    lab.looking.shutdown()
    return git(lab.root_dir, "status", "--porcelain").splitlines()


def test_a_day_in_jupyterlab_changes_nothing_for_git(lab, repository):
    for path in sorted((repository / "notebooks").glob("*.ipynb")):
        opened_run_and_saved(lab, f"notebooks/{path.name}")
        lab.copy(f"notebooks/{path.name}")
    lab.new_untitled(type="notebook", path="notebooks")
    (repository / "notebooks" / "mine").mkdir()
    lab.new_untitled(type="notebook", path="notebooks/mine")
    assert changed(lab) == []
    assert '"execution_count": 2' in (repository / "notebooks" / "01_eda.ipynb").read_text()
    subprocess.run(["make", "-o", ".venv/.installed", "lint-notebooks"], cwd=repository, check=True)


def test_a_notebook_with_conflicts_is_committed_as_it_is(repository):
    (repository / "notebooks" / "01_eda.ipynb").write_text("<<<<<<< HEAD\n", encoding="utf-8")
    git(repository, "commit", "-qam", "b")
    assert git(repository, "show", "HEAD:notebooks/01_eda.ipynb") == "<<<<<<< HEAD\n"


def test_a_change_of_ones_own_is_seen_and_not_staged(lab, repository):
    path = "notebooks/04_cnn_1d_mfcc.ipynb"
    model = lab.get(path)
    model["content"]["cells"][2]["source"] = "import pandas"
    lab.save(model, path)
    assert changed(lab) == [f" M {path}"]
