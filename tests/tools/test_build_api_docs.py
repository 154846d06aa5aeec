"""The API reference is built without warnings and shows what the fronts offer."""

from __future__ import annotations

import re
import warnings

import pytest

from ser_lib.paths import PROJECT_DIR
from tools.build_api_docs import build


@pytest.fixture(scope="module")
def pages(tmp_path_factory, forked):
    """Build the pages in a process of their own: fronts are changed for pdoc."""
    folder = tmp_path_factory.mktemp("api")

    def run() -> None:
        # As a command has it: what libraries warn of while they are imported is no error.
        warnings.simplefilter("default")
        build(folder)

    process = forked(run)
    process.join()
    assert process.exitcode == 0
    return folder


@pytest.mark.parametrize(
    ("page", "name"),
    [("data", "load_corpus"), ("inference", "Predictor"), ("evaluation", "uar")],
)
def test_public_names_are_shown_with_their_documentation(pages, page, name):
    text = (pages / "ser_lib" / f"{page}.html").read_text(encoding="utf-8")
    section = re.search(rf'<section id="{name}">.*?</section>', text, re.DOTALL)
    assert section, f"{name} is not on the page of {page}"
    assert 'class="docstring"' in section[0]


def test_every_package_has_a_page_and_the_first_page_leads_to_it(pages):
    first = (pages / "ser_lib.html").read_text(encoding="utf-8")
    for folder in (PROJECT_DIR / "ser_lib").glob("*/__init__.py"):
        page = f"ser_lib/{folder.parent.name}.html"
        assert (pages / page).is_file()
        assert f'href="{page}"' in first
