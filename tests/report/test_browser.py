"""The report as a reader opens it: a file, no network, a phone, the dark, a keyboard, paper.

A small report is built here; the real ones under `reports/` are looked at too where they exist.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from functools import partial
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from ser_lib.evaluation.formatting import FINDINGS_MIME
from ser_lib.paths import PROJECT_DIR
from ser_lib.report.build import build_report

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

# What nbconvert writes where an author gave no description.
NO_DESCRIPTION = "No description has been provided for this image"

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAC"
    "hwGA60e6kgAAAABJRU5ErkJggg=="
)
FIGURE = (
    '<figure class="ser-figure"><img alt="a dot" width="880" height="330" '
    f'style="aspect-ratio:8/3" src="data:image/png;base64,{PIXEL}"><figcaption>'
    '<span class="ser-number">Figure 1.</span> A dot.</figcaption></figure>'
)
WIDE_TABLE = (
    '<figure class="ser-table"><figcaption><span class="ser-number">Table 1.</span> Wide.'
    '</figcaption><div class="ser-scroll"><table><thead><tr>'
    + "".join(f"<th>column{number}</th>" for number in range(20))
    + "</tr></thead><tbody><tr>"
    + "".join(f"<td>{number}.000</td>" for number in range(20))
    + "</tr></tbody></table></div></figure>"
)


def drawing(width_px: int, words: str) -> str:
    size = f'width="{width_px}" height="9"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><desc>{words}</desc></svg>'
    return f'{size} {{}}="data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"'


TWO_DRAWINGS = (
    '<figure class="ser-figure"><picture>'
    f'<source media="(max-width: 40rem)" {drawing(340, "phone").format("srcset")}>'
    f'<img alt="a line" {drawing(880, "desk").format("src")}></picture></figure>'
)
LONG_TABLE = (
    '<figure class="ser-table" id="long"><figcaption><span class="ser-number">Table 2.</span> Long.'
    '</figcaption><details class="ser-long"><summary>Show all 2 rows</summary><div '
    'class="ser-scroll"><table class="ser-cells"><tr><td>a</td></tr></table></div></details>'
    "</figure>"
)

# The pool's page has no parts that the other does not have.
REPORTS = sorted(
    one for one in (PROJECT_DIR / "reports").glob("*/report.html") if one.parent.name != "pooled"
)


def shown(bundle: dict[str, object], *tags: str) -> nbformat.NotebookNode:
    source = f"from IPython.display import display\ndisplay({bundle!r}, raw=True)"
    return new_code_cell(source, metadata={"tags": list(tags)})


def write(folder: Path, name: str, *cells: nbformat.NotebookNode) -> None:
    nbformat.write(new_notebook(cells=list(cells)), folder / f"{name}.ipynb")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build a report of two notebooks, one of which fails, and return its path."""
    root = tmp_path_factory.mktemp("browser")
    (root / "params").mkdir()
    (root / "params" / "quick.yml").write_text("", encoding="utf-8")
    sentences = ["It is.", 'It was (<a href="#long"></a>).']
    findings = {"text/html": "<ul></ul>", FINDINGS_MIME: {"sentences": sentences}}
    write(
        root,
        "01_fine",
        new_markdown_cell("# Is it well?\n\nA paragraph."),
        *(new_markdown_cell(f"## Section {number}\n\n" + "Words. " * 300) for number in range(3)),
        shown({"text/html": FIGURE}, "summary"),
        shown({"text/html": FIGURE}, "figure"),
        shown({"text/html": WIDE_TABLE}, "table"),
        shown({"text/html": LONG_TABLE}, "table"),
        shown({"text/html": TWO_DRAWINGS}, "lead"),
        new_code_cell(f"print('{'wide ' * 100}')"),
        shown(findings, "findings"),
    )
    write(root, "02_fails", new_markdown_cell("# Is this?"), new_code_cell("{}['missing' * 50]"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_REPORTS", str(root / "reports"))
        return build_report("demo", notebooks_dir=root).path


@pytest.fixture(scope="module")
def browser(chromium):
    """Start a headless chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(
    scope="module", params=["built", *REPORTS], ids=["built", *(one.parent.name for one in REPORTS)]
)
def path(request):
    """Give the report built here, then each real one."""
    return request.getfixturevalue("built") if request.param == "built" else request.param


# What a reader changes, changed back: the next Tab and the next sight are those of a new page.
RESTORE = """() => {
  document.querySelector(".ser-toggle[aria-pressed=true]")?.click();
  window.openAtFirst ??= new Set(document.querySelectorAll("details[open]"));
  for (const one of document.querySelectorAll("details")) one.open = window.openAtFirst.has(one);
  history.replaceState(null, "", location.pathname);
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
  scrollTo(0, 0);
  return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


@pytest.fixture(scope="module")
def open_window(browser):
    """Return a function that shows a report in a window of some kind, as when it is opened.

    It is loaded once in each. `page.asked` lists what the page asked for, `page.complaints` what it
    logged.
    """
    kept = {}

    def show(path, viewport=DESK, *, has_scripts=True, **media):
        kind = (path, viewport["width"], has_scripts)
        if kind not in kept:
            context = browser.new_context(viewport=viewport, java_script_enabled=has_scripts)
            page = kept[kind] = context.new_page()
            page.asked, page.complaints = [], []
            page.on("request", lambda one: page.asked.append(one.url))
            page.on("console", lambda one: page.complaints.append(one.text))
            page.on("pageerror", lambda one: page.complaints.append(str(one)))
            page.emulate_media(reduced_motion="reduce")
            page.goto(path.as_uri())
        page = kept[kind]
        page.emulate_media(**({"media": "screen", "color_scheme": "light"} | media))
        if has_scripts:
            page.evaluate(RESTORE)
        return page

    yield show
    for (path, *_), page in kept.items():
        assert page.complaints == []
        others = [one for one in page.asked if not one.startswith((path.as_uri(), "data:"))]
        assert others == []


@pytest.fixture
def opened(open_window, path):
    """Return a function that shows the report built here, then each real one."""
    return partial(open_window, path)


def luminance(colour: str) -> float:
    """Return the brightness of a CSS colour `rgb(r, g, b)`, in [0, 255]."""
    return sum(int(one) for one in re.findall(r"\d+", colour)[:3]) / 3


def test_nothing_is_requested_but_the_file_and_nothing_is_logged(opened, path):
    page = opened()
    page.mouse.wheel(0, 5000)
    page.wait_for_load_state("networkidle")
    assert page.asked[0] == path.as_uri()
    assert [one for one in page.asked[1:] if not one.startswith("data:")] == []
    assert page.complaints == []


def test_each_picture_is_described(opened):
    texts = opened().eval_on_selector_all("img", "all => all.map(one => one.alt)")
    assert texts
    assert all(text.strip() and NO_DESCRIPTION not in text for text in texts)


# Where each link of the contents leads, whether the link showed when it was its turn, and where its
# target then stands; the page shows a section's link when its notebook is being read.
FOLLOW = """async () => {
  const drawn = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const found = [];
  for (const link of document.querySelectorAll(".ser-sidebar a")) {
    for (let wait = 0; wait < 60 && !link.checkVisibility(); wait++) await drawn();
    const seen = link.checkVisibility();
    link.click();
    await drawn();
    const name = decodeURIComponent(link.hash.slice(1));
    const targets = document.querySelectorAll(`[id="${name}"]`);
    found.push([name, seen, targets.length, targets[0]?.getBoundingClientRect().y]);
  }
  return found;
}"""


def test_each_link_of_the_contents_leads_to_something_visible(opened):
    found = opened().evaluate(FOLLOW)
    assert len(found) > 3
    for name, is_seen, n_targets, y in found:
        assert (is_seen, n_targets) == (True, 1), name
        assert -5 <= y < DESK["height"], name


def test_the_contents_say_where_one_is(opened):
    page = opened()
    last = page.locator(".ser-sidebar > ul > li > a").nth(1)
    last.click()
    page.wait_for_function("document.querySelector('.ser-sidebar li:nth-child(2).is-open')")
    assert page.locator(".ser-sidebar [aria-current]").count() == 1


def test_a_phone_never_scrolls_sideways(opened):
    page = opened(PHONE)
    widths = "[document.documentElement.scrollWidth, window.innerWidth]"
    scroll, inner = page.evaluate(widths)
    assert scroll <= inner == PHONE["width"]
    page.click(".ser-toggle")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    scroll, inner = page.evaluate(widths)
    assert scroll <= inner


def test_a_phone_has_the_contents_in_a_menu_that_closes(opened):
    page = opened(PHONE)
    assert not page.locator(".ser-sidebar").is_visible()
    menu = page.locator(".ser-menu")
    menu.locator("> summary").click()
    link = menu.locator("a").last
    assert link.is_visible()
    link.click()
    assert not link.is_visible()
    assert page.evaluate("location.hash") == "#provenance"


def test_the_menu_of_a_phone_shows_sections_of_what_is_read_and_closes_on_a_click_beside(
    open_window, built
):
    page = open_window(built, PHONE)
    sections = page.locator(".ser-menu li li")
    page.locator(".ser-menu > summary").click()
    assert page.locator(".ser-menu a").first.is_visible()
    assert not sections.first.is_visible()
    page.locator("main").dispatch_event("click")
    assert not page.locator(".ser-menu a").first.is_visible()
    page.evaluate("location.hash = '01_fine'")
    # The page follows when it has scrolled.
    page.locator('.ser-menu li.is-open > a[href="#01_fine"]').wait_for(state="attached")
    # Playwright's own click would first scroll to where the bar stands without sticking.
    page.locator(".ser-menu > summary").dispatch_event("click")
    page.locator(".ser-menu li.is-open li").first.wait_for()
    assert page.locator(".ser-menu [aria-current]").count() == 1


SORTED = """() => {
  const cells = ["9.5", "10.5", "", "\u22121"].map(one => `<tr><td>${one}</td></tr>`).join("");
  document.body.insertAdjacentHTML("beforeend", `<table class="ser-cells" id="sorted"><thead><tr>
    <th>n</th></tr></thead><tbody>${cells}</tbody></table>`);
  const table = document.getElementById("sorted"), head = table.querySelector("th");
  const found = ["click", "click"].map(one => {
    head[one]();
    return [head.ariaSort, ...Array.from(table.tBodies[0].rows, row => row.innerText)];
  });
  table.remove();
  return found;
}"""


def test_a_click_on_the_head_of_a_column_sorts_its_rows_and_another_turns_them(open_window, built):
    up, down = open_window(built).evaluate(SORTED)
    assert up == ["ascending", "", "−1", "9.5", "10.5"]
    assert down == ["descending", "10.5", "9.5", "−1", ""]


def test_a_wide_figure_scrolls_on_a_phone_and_is_whole_on_paper(open_window, built):
    page = open_window(built, PHONE)
    box = page.locator(".ser-figure > .ser-scroll").first
    sizes = "one => [one.scrollWidth, one.clientWidth, one.tabIndex]"
    whole, seen, index = box.evaluate(sizes)
    assert whole == 572 > seen
    assert index == 0
    page.emulate_media(media="print")
    whole, seen, _ = box.evaluate(sizes)
    assert whole <= seen


def test_a_wide_table_scrolls_inside_itself(opened):
    page = opened(PHONE)
    wide = page.eval_on_selector_all(
        ".ser-scroll",
        "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.tabIndex)",
    )
    assert wide
    assert set(wide) == {0}


@pytest.mark.parametrize(("scheme", "is_dark"), [("dark", True), ("light", False)])
def test_the_page_follows_the_colour_scheme(opened, scheme, is_dark):
    page = opened(color_scheme=scheme)
    style = "one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).color]"
    background, ink = page.eval_on_selector("body", style)
    assert (luminance(background) < luminance(ink)) == is_dark
    assert abs(luminance(background) - luminance(ink)) > 150
    if is_dark:
        image = page.eval_on_selector('main img[src^="data:image/png"]', style)[0]
        assert luminance(image) == 255


def test_a_fold_opens_by_keyboard(opened):
    page = opened()
    fold = page.locator("details.ser-section:not([open])").first.element_handle()
    fold.query_selector("summary").focus()
    page.keyboard.press("Enter")
    assert fold.evaluate("one => one.open")
    assert fold.query_selector(".ser-inside").is_visible()


def test_one_button_unfolds_everything_and_folds_it_again(opened):
    page = opened()
    state = "[...document.querySelectorAll('main details')].map(one => one.open)"
    page.get_by_role("button", name="Unfold everything").click()
    assert all(page.evaluate(state))
    page.get_by_role("button", name="Fold again").click()
    assert not any(page.evaluate(state))


@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_link_into_a_fold_opens_it(opened, has_scripts):
    page = opened(has_scripts=has_scripts)
    inside = page.locator("details.ser-section:not([open]) .ser-inside").last
    name = inside.get_attribute("id")
    assert not inside.is_visible()
    page.goto(f"{page.url}#{name}")
    page.locator(f"[id='{name}']").wait_for()


def test_a_link_to_a_long_table_opens_every_fold_again_and_again(open_window, built):
    page = open_window(built)
    rows = page.locator("#long td")
    for _ in range(2):
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = false; })")
        assert not rows.is_visible()
        page.get_by_role("link", name="Table 2", exact=True).click()
        rows.wait_for()


def test_a_phone_shows_the_drawing_made_for_it_and_scrolls_nothing(open_window, built):
    for viewport, is_phone in ((DESK, False), (PHONE, True)):
        image = open_window(built, viewport).locator("picture > img")
        assert ("phone" in image.evaluate("one => atob(one.currentSrc.split(',')[1])")) == is_phone
        assert image.bounding_box()["width"] <= viewport["width"]


@pytest.mark.parametrize("has_scripts", [True, False])
def test_paper_shows_what_is_folded(opened, has_scripts):
    page = opened(has_scripts=has_scripts)
    # A section that holds code alone has nothing for paper.
    section = "details.ser-section:not([open]):has(.ser-inside > :not(.ser-code, .ser-moved))"
    inside = page.locator(f"{section} .ser-inside").last
    assert inside.bounding_box() is None or not inside.is_visible()
    page.emulate_media(media="print")
    assert inside.bounding_box()["height"] > 10
    assert inside.is_visible()


def test_the_first_tab_offers_to_skip_to_the_text(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_there_is_one_main_and_one_first_heading_and_no_level_is_jumped(opened):
    page = opened()
    assert page.locator("main").count() == page.locator("h1").count() == 1
    levels = page.eval_on_selector_all(
        "h1,h2,h3,h4,h5,h6", "all => all.map(one => +one.tagName[1])"
    )
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_ids_are_unique(opened):
    ids = opened().eval_on_selector_all("[id]", "all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))


def test_links_within_the_page_lead_somewhere(opened):
    """To stored runs as well, of whatever corpus they are."""
    page = opened()
    links = page.eval_on_selector_all(
        "a[href^='#']", "all => all.map(one => decodeURIComponent(one.hash.slice(1)))"
    )
    ids = page.eval_on_selector_all("[id]", "all => all.map(one => one.id)")
    assert set(links) - {""} <= set(ids)


def test_paper_shows_the_text_without_sidebar_and_bar(opened):
    page = opened()
    page.emulate_media(media="print")
    assert not page.locator(".ser-sidebar").is_visible()
    assert not page.locator(".ser-bar").is_visible()
    assert page.locator("h1").is_visible()
    assert page.locator("main img").first.is_visible()


def test_nothing_scrolls_sideways_on_a_desk_whatever_is_unfolded(opened):
    page = opened()
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    wide = page.evaluate(
        """[...document.querySelectorAll('main *')].filter(one =>
            one.scrollWidth > one.clientWidth + 1
            && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX)
        ).map(one => one.getAttribute('aria-label') || one.className)"""
    )
    # The table of twenty columns that is built here is wider than any screen.
    assert [one for one in wide if not one.endswith(": Wide.")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(opened, scheme):
    """Where `AXE_CORE` is the path of its `axe.min.js` (`npm install axe-core`)."""
    axe = os.environ.get("AXE_CORE", "")
    if not axe:
        pytest.skip("AXE_CORE names no axe.min.js")
    page = opened(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true; })")
    page.add_script_tag(path=axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []


def test_no_table_leaves_the_paper(opened):
    """On A4 between its margins, which is 658 pixels wide."""
    page = opened({"width": 658, "height": 900})
    page.emulate_media(media="print")
    ends = page.eval_on_selector_all(
        "main table.ser-cells", "all => all.map(one => one.getBoundingClientRect().right)"
    )
    assert max(ends, default=0) <= 658 + 1


def test_no_number_is_broken_on_paper(open_window, built):
    """In a table of as many columns as fit."""
    page = open_window(built, {"width": 658, "height": 900})
    page.emulate_media(media="print")
    lines = page.eval_on_selector_all(
        "td.ser-num:nth-child(-n + 14)",
        """all => all.map(one => {
            const range = document.createRange();
            range.selectNodeContents(one);
            return range.getClientRects().length;
        })""",
    )
    assert set(lines) == {1}


def test_a_phone_names_each_cell_of_a_wide_table(opened):
    page = opened(PHONE)
    cell = page.locator("table:has(tr > :nth-child(4)) td[data-label]").nth(1)
    assert cell.evaluate("one => getComputedStyle(one, '::before').content") != "none"
    assert cell.evaluate("one => getComputedStyle(one).display") == "flex"


def test_the_picture_can_be_saved(opened):
    page = opened()
    link = page.locator(".ser-svg").first
    if link.count():
        link.evaluate("one => one.click()")
        assert link.get_attribute("href").startswith("data:image/svg+xml")
        assert link.get_attribute("download").endswith(".svg")


def test_what_answers_is_on_the_first_screen_of_a_phone(opened):
    box = opened(PHONE).locator(".ser-answers, main img").first.bounding_box()
    assert box["y"] + box["height"] < PHONE["height"]


def test_the_page_is_complete_without_scripts(opened):
    page = opened(has_scripts=False)
    assert page.locator(".ser-sidebar li li").first.is_visible()
    assert not page.locator(".ser-toggle").is_visible()


def test_a_report_weighs_less_than_ten_megabytes(path):
    assert path.stat().st_size < 10e6


def test_a_failed_cell_can_be_read_on_the_page(open_window, built):
    page = open_window(built, PHONE)
    page.get_by_text("This report is incomplete").click()
    page.locator(".ser-summary .ser-error a").click()
    assert page.locator("[id='02_fails--error']").is_visible()
