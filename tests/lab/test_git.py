"""A day in JupyterLab leaves git as it was: the server's own way to read and write notebooks."""

from __future__ import annotations

import runpy
import subprocess

import nbformat
import pytest
from ipykernel.ipkernel import IPythonKernel
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from traitlets.config import Config

from ser_lib.paths import PROJECT_DIR


@pytest.fixture
def lab(repository, monkeypatch):
    """Give what Lab's server reads and writes notebooks with, as `make lab` configures it."""
    monkeypatch.setenv("PYTHONPATH", "")
    config = Config()
    file = PROJECT_DIR / "tools" / "lab" / "jupyter_server_config.py"
    names = runpy.run_path(str(file), init_globals={"get_config": lambda: config})
    hook = config.FileContentsManager.pop("post_save_hook")
    manager = LargeFileManager(root_dir=str(repository))
    manager.post_save_hook = hook
    manager.looking = names["looking"]
    yield manager
    manager.notary.store.close()


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


def changed(lab, git) -> list[str]:
    """Ask git what has changed, when it has been told what has not."""
    lab.looking.shutdown()
    return git(lab.root_dir, "status", "--porcelain").splitlines()


def test_a_day_in_jupyterlab_changes_nothing_for_git(lab, repository, git):
    for path in sorted((repository / "notebooks").glob("*.ipynb")):
        opened_run_and_saved(lab, f"notebooks/{path.name}")
        lab.copy(f"notebooks/{path.name}")
    lab.new_untitled(type="notebook", path="notebooks")
    (repository / "notebooks" / "mine").mkdir()
    lab.new_untitled(type="notebook", path="notebooks/mine")
    assert changed(lab, git) == []
    assert '"execution_count": 2' in (repository / "notebooks" / "01_eda.ipynb").read_text()
    subprocess.run(["make", "-o", ".venv/.installed", "lint-notebooks"], cwd=repository, check=True)


def test_a_notebook_with_conflicts_is_committed_as_it_is(repository, git):
    (repository / "notebooks" / "01_eda.ipynb").write_text("<<<<<<< HEAD\n", encoding="utf-8")
    git(repository, "commit", "-qam", "b")
    assert git(repository, "show", "HEAD:notebooks/01_eda.ipynb") == "<<<<<<< HEAD\n"


def test_a_change_of_ones_own_is_seen_and_not_staged(lab, git):
    path = "notebooks/04_cnn_1d_mfcc.ipynb"
    model = lab.get(path)
    model["content"]["cells"][2]["source"] = "import pandas"
    lab.save(model, path)
    assert changed(lab, git) == [f" M {path}"]
