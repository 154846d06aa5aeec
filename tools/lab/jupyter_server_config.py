"""JupyterLab as `make lab` starts it: at the project, on its first notebook, and kind to git.

Git takes a notebook without outputs (`.gitattributes`), but sees at once that a saved file has
another size. After a save that changes nothing else, it is told to look again.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
# Only a file that git knows and that is what it holds: then adding it stages nothing.
# Whoever else is at work on the index, git status for example, keeps others from it for a moment.
LOOK_AGAIN = """
for wait in 0 1 2 4; do
  sleep $wait
  git ls-files --error-unmatch "$1" && git diff --quiet -- "$1" || break
  git add -- "$1" && break
done
"""
looking = ThreadPoolExecutor(1)


def tell_git(model, os_path, **_):
    """Have git compare a saved notebook with what it holds, without waiting for it."""
    if model["type"] == "notebook":
        command = ["sh", "-c", LOOK_AGAIN, "sh", Path(os_path).name]
        options = {"cwd": Path(os_path).parent, "capture_output": True, "check": False}
        looking.submit(subprocess.run, command, **options)


# Notebooks of one's own, in `notebooks/mine/`, import what the others do.
found = [str(PROJECT / "notebooks"), os.environ.get("PYTHONPATH", "")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, found))

c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.ServerApp.root_dir = str(PROJECT)
# Whoever is root, in a container for example, has said so already.
c.ServerApp.allow_root = True
c.LabApp.default_url = "/lab/tree/notebooks/00_start.ipynb"
# Nothing is fetched; nobody is asked for news either (`labconfig/page_config.json`).
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
if sys.platform != "win32":
    c.FileContentsManager.post_save_hook = tell_git
