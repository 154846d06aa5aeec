"""The explorer in a real JupyterLab: what is typed in it stays in it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

from ser_lib.paths import PROJECT_DIR

ARGUMENTS = ["--no-sandbox", "--disable-gpu"]
PATIENCE_MS = 120_000
SOURCE = "from ser_lib.app import Explorer\nExplorer('demo')"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Serve a folder with one notebook, as `make lab` serves the project."""
    root = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(SOURCE), nbformat.v4.new_code_cell("1")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), root / "try.ipynb")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(PROJECT_DIR), "HOME": str(root / "home")}
    environment["JUPYTER_CONFIG_PATH"] = str(PROJECT_DIR / "tools" / "lab")
    environment["SER_REPORTS"] = str(root / "reports")
    options = ["--no-browser", f"--port={port}", "--IdentityProvider.token="]
    command = [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={root}"]
    with (root / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/api/status", timeout=5).close()
            break
        except OSError:
            assert process.poll() is None, (root / "log").read_text()
            time.sleep(0.1)
    yield f"{url}/lab/tree/try.ipynb"
    process.terminate()
    process.wait(30)


@pytest.fixture
def page(chromium, address):
    """Open the notebook and run its first cell."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 1200})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.wait_for_selector("text=/[|] Idle/")
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_selector(".ser-explorer .ser-player canvas:visible")
        yield page
        browser.close()


def test_keys_stay_in_the_explorer_and_delete_no_cell(page):
    cells, menus = page.locator(".jp-CodeCell"), page.locator(".ser-explorer select:visible")
    emotion = menus.nth(2)
    emotion.focus()
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("one => one.selectedIndex === 1", arg=emotion.element_handle())
    page.locator(".ser-explorer canvas:visible").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.wait_for_selector(".ser-explorer output:visible:has-text('selected')")
    assert cells.count() == 2
    # The twin: where the explorer is not, the very same keys delete a cell.
    page.locator(".jp-InputPrompt").last.click()
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.wait_for_function("document.querySelectorAll('.jp-CodeCell').length === 1")
