"""A day in JupyterLab as `make lab` starts it, in a browser: run, interrupt, reopen, git status."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from ser_lib.paths import PROJECT_DIR

PATIENCE_MS = 300_000
# What was extracted for the demo is not extracted again. Read before a test hides it.
CACHE = os.environ.get("SER_CACHE") or str(PROJECT_DIR / ".cache")
OPTIONS = ("--no-browser", "--port=0", "--IdentityProvider.token=")
# Lets a script give commands as menus do.
EXPOSED = "--LabApp.expose_app_in_browser=True"
READY = """path => {
  const shown = window.jupyterapp?.shell.currentWidget;
  const kernel = shown?.sessionContext?.session?.kernel;
  return shown?.context?.path === path && shown.context.isReady && kernel?.status === "idle";
}"""
EXECUTE = "command => window.jupyterapp.commands.execute(command)"
# The same, without waiting for its end.
BEGIN = "command => { window.jupyterapp.commands.execute(command); }"
CELLS = "() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells"
REPLACE = """([old, text]) => {
  for (const cell of window.jupyterapp.shell.currentWidget.content.model.cells)
    if (cell.sharedModel.source.includes(old))
      cell.sharedModel.setSource(cell.sharedModel.source.replace(old, text));
}"""


class Lab:
    """A running JupyterLab and a window of it."""

    def __init__(self, page, url: str, root: Path) -> None:
        self.page, self.url, self.root = page, url, root
        page.set_default_timeout(PATIENCE_MS)

    def open(self, path: str = "") -> None:
        """Open a notebook, or where one starts, and wait for its kernel."""
        self.page.goto(f"{self.url}lab/tree/{path}?reset" if path else self.url)
        self.page.wait_for_function(READY, arg=path or "notebooks/00_start.ipynb")

    def run(self) -> None:
        """Run all cells to their end."""
        assert self.page.evaluate(EXECUTE, "notebook:run-all-cells"), self.texts()

    def interrupt_when(self, pattern: str) -> None:
        """Run all cells, and interrupt when something is shown."""
        self.page.evaluate(BEGIN, "notebook:run-all-cells")
        self.wait_for(pattern)
        self.page.evaluate(EXECUTE, "notebook:interrupt-kernel")

    def wait_for(self, pattern: str) -> None:
        """Wait until something is in the notebook's outputs."""
        ends = time.monotonic() + PATIENCE_MS / 1000
        while not re.search(pattern, self.texts()):
            assert time.monotonic() < ends, self.texts()
            self.page.wait_for_timeout(100)

    def outputs(self) -> list[dict]:
        cells = self.page.evaluate(CELLS)
        return [one for cell in cells for one in cell.get("outputs", ())]

    def texts(self) -> str:
        """All outputs as text."""
        parts = []
        for one in self.outputs():
            parts += [one.get("text", ""), one.get("ename", ""), *one.get("traceback", ())]
            parts += [text for mime, text in one.get("data", {}).items() if "text/" in mime]
        return "\n".join("".join(one) for one in parts)

    def save(self) -> None:
        self.page.evaluate(EXECUTE, "docmanager:save")

    def check_reopened(self, path: str) -> None:
        """Open a saved notebook again: all that it shows, it shows without the old kernel."""
        self.save()
        before = len(self.outputs())
        self.open(path)
        assert len(self.outputs()) == before > 0
        assert "widget" not in str([list(one.get("data", ())) for one in self.outputs()])
        assert self.page.get_by_text("Error displaying widget").count() == 0


@contextmanager
def started(repository, home):
    """Run JupyterLab on a repository for a user with an empty home; give its address."""
    environment = os.environ | {
        "HOME": str(home),
        "SER_CACHE": CACHE,
        "SER_DATA": str(home),
        "SER_REPORTS": str(home / "reports"),
        "JUPYTER_CONFIG_PATH": str(repository / "tools" / "lab"),
        "PYTHONPATH": str(PROJECT_DIR),
    }
    command = [str(Path(sys.executable).with_name("jupyter-lab")), *OPTIONS, EXPOSED]
    log = home / "lab.log"
    with (
        log.open("w") as written,
        subprocess.Popen(
            command, cwd=repository, env=environment, stdout=written, stderr=written
        ) as process,
    ):
        try:
            while not (found := re.search(r"http://localhost:\d+/", log.read_text())):
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield found[0]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def lab(chromium, committed, tmp_path_factory):
    from playwright.sync_api import sync_playwright

    home = tmp_path_factory.mktemp("lab")
    repository = shutil.copytree(committed, home / "project", symlinks=True)
    with started(repository, home) as url, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        window = browser.new_context(viewport={"width": 1280, "height": 900})
        yield Lab(window.new_page(), url, repository)
        browser.close()


def check_clean(lab, git) -> None:
    """Ask git until the server has told it to look again, which it does without waiting."""
    for _ in range(100):
        said = git(lab.root, "status", "--porcelain")
        if not said:
            return
        time.sleep(0.2)
    pytest.fail(said)


def check_interrupted(lab) -> None:
    """An interrupt is one line, and the bar says where it was."""
    lab.wait_for("Interrupted.")
    (error,) = [one for one in lab.outputs() if one["output_type"] == "error"]
    assert len("\n".join(error["traceback"]).splitlines()) == 1


OWN = (
    "import time\nimport pandas as pd\nfrom support import literature\n"
    "from ser_lib.report import notebook as nb\nfrom ser_lib.runtime import progress",
    'pd.DataFrame({"word": ["b", "a", "c"], "share": ["9.5 %", "10.5 %", "–"]})',
    'for _ in progress(range(600), total=600, what="steps"):\n    time.sleep(0.1)',
)


@pytest.mark.slow
@pytest.mark.browser
def test_what_is_run_and_stopped_in_jupyterlab_reads_well_again_and_git_is_clean(lab, git):
    """In a notebook of one's own, which imports what the others do."""
    (lab.root / "notebooks" / "mine").mkdir()
    path = "notebooks/mine/own.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    cells = [new_code_cell(one) for one in OWN]
    nbformat.write(new_notebook(cells=cells, metadata=kernel), lab.root / path)
    lab.open()
    assert lab.page.locator(".jp-Dialog, .jp-toast-button").count() == 0
    # All of the project can be opened, not the notebooks alone.
    assert lab.page.request.get(f"{lab.url}api/contents/Makefile").ok
    lab.save()
    lab.open(path)
    lab.interrupt_when(r"[1-9]\d*/600")
    check_interrupted(lab)
    lab.check_reopened(path)
    column = (
        "() => Array.from(document.querySelectorAll('.ser-cells td:first-child'), c => c.innerText)"
    )
    for head, key, expected in (
        ("word", "", "abc"),
        ("word", "Enter", "cba"),
        ("share", "", "cba"),
    ):
        place = lab.page.locator(f".ser-cells th:has-text('{head}')")
        place.press(key) if key else place.click()
        assert "".join(lab.page.evaluate(column)) == expected, (head, key)
    check_clean(lab, git)


@pytest.mark.slow
@pytest.mark.browser
def test_what_is_typed_in_the_explorer_stays_in_it(lab):
    """Elsewhere in a notebook, `d` twice deletes a cell and arrows leave it."""
    # Which git does not see.
    path = "notebooks/explore-Copy1.ipynb"
    (lab.root / path).write_bytes((lab.root / "notebooks" / "explore.ipynb").read_bytes())
    lab.open(path)
    lab.run()
    page, n_cells = lab.page, len(lab.page.evaluate(CELLS))
    emotion = page.locator(".ser-explorer select").nth(2)
    picture = page.locator(".ser-explorer canvas:visible")
    for place, keys in ((emotion, "d d Home ArrowDown"), (picture, "d d Shift+ArrowRight")):
        place.focus()
        for key in keys.split():
            page.keyboard.press(key)
    page.wait_for_selector(".ser-explorer output:visible:has-text('selected')")
    assert emotion.evaluate("one => one.selectedIndex") == 1
    assert len(page.evaluate(CELLS)) == n_cells
    # Reopened without its kernel, it still shows and plays what it showed last.
    lab.save()
    for session in page.request.get(f"{lab.url}api/sessions").json():
        token = {c["name"]: c["value"] for c in page.context.cookies()}["_xsrf"]
        page.request.delete(
            f"{lab.url}api/sessions/{session['id']}", headers={"X-XSRFToken": token}
        )
    lab.open(path)
    picture.wait_for()
    assert page.get_by_text("Error displaying widget").count() == 0
    page.locator(".jp-InputPrompt:visible").last.click()
    for _ in range(2):
        page.keyboard.press("d")
    assert len(page.evaluate(CELLS)) == n_cells - 1


NOTEBOOK = "notebooks/04_cnn_1d_mfcc.ipynb"
COPY = "notebooks/04_cnn_1d_mfcc-Copy1.ipynb"
DEMO, RAVDESS = 'corpus: str = "demo"', 'corpus: str = "ravdess"'


@pytest.mark.minutes
@pytest.mark.browser
def test_a_day_in_jupyterlab(lab, git):
    """Run 04, stop it, reopen it, go on in two notebooks at once, then show stored runs."""
    reports = lab.root.parent / "reports"
    reports.mkdir(exist_ok=True)
    (reports / "ravdess").symlink_to(PROJECT_DIR / "reports" / "ravdess")
    lab.open(NOTEBOOK)
    lab.page.evaluate(REPLACE, ["max_epochs: int = None", "max_epochs: int = 1"])
    lab.interrupt_when(r"[1-9]\d*/12")
    check_interrupted(lab)
    lab.check_reopened(NOTEBOOK)

    # Two at once: what one trains, the other reads, and both end.
    lab.save()
    (lab.root / COPY).write_bytes((lab.root / NOTEBOOK).read_bytes())
    other = Lab(lab.page.context.new_page(), lab.url, lab.root)
    other.open(COPY)
    for one in (lab, other):
        one.page.evaluate(BEGIN, "notebook:run-all-cells")
    for one in (lab, other):
        one.wait_for("From the published protocol to unseen speakers")
        assert "Error" not in one.texts()
    assert not list(reports.glob("demo/runs/*/folds"))
    assert len(list(reports.glob("demo/runs/*/predictions.csv"))) == 12
    lab.check_reopened(NOTEBOOK)

    # Without any audio, with what `make report` has: nothing is trained.
    lab.page.evaluate(REPLACE, [DEMO, RAVDESS])
    lab.page.evaluate(REPLACE, ["max_epochs: int = 1", "max_epochs: int = None"])
    lab.run()
    assert "1,440" in lab.texts()
    assert "runs to train" not in lab.texts()

    lab.page.evaluate(REPLACE, [RAVDESS, DEMO])
    lab.save()
    check_clean(lab, git)
