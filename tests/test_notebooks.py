"""The notebooks' style, as rules that run: each is a few lines, each has a twin that breaks it."""

from __future__ import annotations

import ast
import json
import re
from graphlib import TopologicalSorter

import nbformat
import pytest
import yaml
from nbstripout import strip_output

from ser_lib.paths import NOTEBOOKS_DIR
from ser_lib.report.build import chapter_paths
from ser_lib.report.execution import Job, failures_of, read_executed, run_all

PATHS = chapter_paths()
# For JupyterLab only: they may show widgets, have no findings, and are not part of the report.
INTERACTIVE = [NOTEBOOKS_DIR / f"{name}.ipynb" for name in ("00_start", "explore", "recipes")]
TAGS = {"parameters", "setup", "figure", "table", "findings", "summary", "lead", "remove-input"}
MAX_CELL_LINES, MAX_NOTEBOOK_LINES, MAX_TEXT_WORDS = 12, 120, 120
MAX_INTERACTIVE_LINES = 4
FORBIDDEN_NODES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Try,
    ast.While,
    ast.Delete,
    ast.Global,
)
ALLOWED_MODULES = {"ser_lib", "support", "numpy", "pandas"}
# Figures from outside, cited where they stand: what the reports print, and the analysis settings.
CITED = ("87 %", "72.5 %", "0.96 to 0.99", "2,048", "22,050", "16 kHz", "95 %", "ITRI616")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def tags_of(cell):
    return set(cell.metadata.get("tags", []))


def logical_lines(cell):
    """Count statements' lines the way a reader does: an expression over many lines is one idea."""
    tree = ast.parse(cell.source)
    return sum(1 for node in ast.walk(tree) if isinstance(node, ast.stmt))


def h1s(notebook):
    return [
        line
        for cell in text_cells(notebook)
        for line in cell.source.splitlines()
        if line.startswith("# ")
    ]


def sections(notebook):
    return [
        line[3:]
        for cell in text_cells(notebook)
        for line in cell.source.splitlines()
        if line.startswith("## ")
    ]


def problems(notebook):
    """Return what is against the rules, one phrase a finding."""
    found = []
    titles = h1s(notebook)
    if len(titles) != 1 or not titles[0].endswith("?"):
        found.append(f"one H1 that ends in a question mark, not {titles}")
    heads = sections(notebook)
    if not heads or heads[0] != "Setup":
        found.append("the first section is Setup")
    tail = [head for head in heads if head != "References"][-2:]
    if tail != ["What can go wrong", "What we learned"]:
        found.append(f"the last sections are What can go wrong, What we learned; not {tail}")
    cells = code_cells(notebook)
    found += [f"unknown tags {tags_of(c) - TAGS}" for c in cells if tags_of(c) - TAGS]
    if [c for c in cells if c.outputs or c.execution_count]:
        found.append("outputs or execution counts are committed")
    if sum("parameters" in tags_of(c) for c in cells) != 1:
        found.append("exactly one parameters cell")
    if not cells or "findings" not in tags_of(cells[-1]) or "nb.findings(" not in cells[-1].source:
        found.append("the last code cell is tagged findings and calls nb.findings")
    else:
        found += uncited(cells[-1])
    opening = "".join(c.source for c in cells if "lead" in tags_of(c))
    if "nb.show(" not in opening or not re.search(r"nb\.(table|study_result)\(", opening):
        found.append("a chapter opens with a figure and a table, tagged lead")
    for cell in cells:
        found += cell_problems(cell)
    total = sum(logical_lines(c) for c in cells)
    if total > MAX_NOTEBOOK_LINES:
        found.append(f"{total} statements, more than {MAX_NOTEBOOK_LINES}")
    for cell in text_cells(notebook):
        found += text_problems(cell.source)
    return found


def uncited(cell):
    """Return the findings that name no figure or table; those made elsewhere are not seen."""
    calls = (one for one in ast.walk(ast.parse(cell.source)) if isinstance(one, ast.Call))
    said = [one.args for one in calls if ast.unparse(one.func) == "nb.findings"]
    return [
        f"a finding that cites no figure or table: {one[:60]}"
        for one in (ast.unparse(one) for args in said for one in args)
        if re.search("['\"]", one) and "[](#" not in one
    ]


def interactive_problems(notebook):
    """Return what is against the rules of a notebook that has widgets and no findings."""
    found = []
    titles = h1s(notebook)
    if len(titles) != 1 or not titles[0].endswith("?"):
        found.append(f"one H1 that ends in a question mark, not {titles}")
    if sections(notebook)[:1] != ["Setup"]:
        found.append("the first section is Setup")
    if "What can go wrong" not in sections(notebook):
        found.append("there is a section What can go wrong")
    cells = code_cells(notebook)
    if [c for c in cells if c.outputs or c.execution_count] or "widgets" in notebook.metadata:
        # A widget's state may hold recordings that must not be passed on.
        found.append("outputs, execution counts or the state of widgets are committed")
    found += [f"unknown tags {tags_of(c) - TAGS}" for c in cells if tags_of(c) - TAGS]
    if sum("parameters" in tags_of(c) for c in cells) != 1:
        found.append("exactly one parameters cell")
    if any("nb.findings(" in c.source for c in cells):
        found.append("findings belong into the report, which does not show this notebook")
    for cell in cells:
        found += cell_problems(cell)
        if logical_lines(cell) > MAX_INTERACTIVE_LINES:
            found.append(f"{logical_lines(cell)} statements in a cell: logic belongs in ser_lib")
    for cell in text_cells(notebook):
        found += text_problems(cell.source)
    return found


def cell_problems(cell):
    found = []
    where = cell.source.splitlines()[0] if cell.source else "an empty cell"
    tree = ast.parse(cell.source)
    if logical_lines(cell) > MAX_CELL_LINES:
        found.append(f"{logical_lines(cell)} statements in one cell ({where})")
    for node in ast.walk(tree):
        if isinstance(node, FORBIDDEN_NODES):
            found.append(f"{type(node).__name__} in a cell ({where})")
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            found.append(f"print in a cell ({where})")
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or alias.name for alias in node.names]
            roots = {name.split(".")[0] for name in names}
            if roots - ALLOWED_MODULES:
                found.append(f"imports {sorted(roots - ALLOWED_MODULES)}")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "data.load_corpus":
            is_demo = ast.unparse(node.args[0]) == "'demo'"
            if not is_demo and [ast.unparse(one) for one in node.keywords] != ["strict=strict"]:
                found.append(f"a corpus is loaded without strict=strict ({where})")
    calls = {
        ast.unparse(node.func): {keyword.arg for keyword in node.keywords}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    if {"figure"} & tags_of(cell) and not {"caption", "alt"} <= calls.get("nb.show", set()):
        found.append(f"a figure cell that does not call nb.show with caption and alt ({where})")
    if re.search(r"(?<![\w.])(plt\.|sys\.path|\.\./|/home/)", cell.source):
        found.append(f"plt, sys.path or a path in a cell ({where})")
    if "parameters" in tags_of(cell):
        found += parameter_problems(cell)
    return found


def parameter_problems(cell):
    found = []
    lines = cell.source.splitlines()
    for node in ast.parse(cell.source).body:
        line = lines[node.lineno - 1]
        is_literal = isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant)
        if not is_literal or "#" not in line:
            found.append(f"a parameter is an annotated literal with a comment, not '{line}'")
    return found


def text_problems(source):
    found = []
    if len(source.split()) > MAX_TEXT_WORDS:
        found.append(f"{len(source.split())} words in one text cell")
    plain = re.sub(r"`[^`]*`", "", source)
    for fact in CITED:
        plain = plain.replace(fact, "")
    if not source.startswith("## References"):
        found += [
            f"a typed number in the text: {hit}"
            for hit in re.findall(r"\d+\.\d+(?! kHz)|\d+ %", plain)
        ]
    return found


def read(path):
    """Read a notebook as git takes it: whoever has run it has outputs in it."""
    notebook = nbformat.read(path, as_version=4)
    return strip_output(notebook, keep_output=False, keep_count=False, keep_id=True)


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def notebook(request):
    return read(request.param)


def test_there_are_notebooks():
    assert len(PATHS) >= 5


def test_a_notebook_keeps_all_rules(notebook):
    assert problems(notebook) == []


def test_a_notebook_is_valid(notebook):
    nbformat.validate(notebook)


@pytest.fixture(params=INTERACTIVE, ids=lambda path: path.stem)
def interactive(request):
    return read(request.param)


def names_of_exhibits(notebook) -> list[str]:
    """List what figures and tables are called, by which sentences of all chapters cite them."""
    calls = [
        node
        for cell in code_cells(notebook)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("nb.")
    ]
    return [one.value.value for call in calls for one in call.keywords if one.arg == "name"]


def test_no_two_exhibits_of_the_report_have_one_name():
    names = [one for path in PATHS for one in names_of_exhibits(read(path))]
    assert len(names) > 40
    assert sorted(names) == sorted(set(names))


def test_an_interactive_notebook_keeps_its_rules(interactive):
    assert interactive_problems(interactive) == []


def test_an_interactive_notebook_is_valid(interactive):
    nbformat.validate(interactive)


def is_as_jupyter_writes(text: str) -> bool:
    """Whether git's filter, which writes as Jupyter does, would leave it as it is."""
    return text == nbformat.writes(nbformat.reads(text, as_version=4)) + "\n"


@pytest.mark.parametrize("path", [*PATHS, *INTERACTIVE], ids=lambda path: path.stem)
def test_a_fresh_clone_has_no_changes_for_git(path):
    assert is_as_jupyter_writes(path.read_text(encoding="utf-8"))


def test_keys_in_another_order_are_changes_for_git():
    text = nbformat.writes(good_notebook()) + "\n"
    assert is_as_jupyter_writes(text)
    turned = dict(reversed(json.loads(text).items()))
    assert not is_as_jupyter_writes(json.dumps(turned, indent=1, ensure_ascii=False) + "\n")


def test_names_of_ones_own_are_no_chapters(tmp_path):
    names = ("01_a", "12_mine", "00_start", "explore", "Untitled", "01_a-Copy1", "1_a")
    for name in names:
        (tmp_path / f"{name}.ipynb").touch()
    assert [one.stem for one in chapter_paths(tmp_path)] == ["01_a", "12_mine"]


def good_notebook():
    return nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Is it so?\n\nA question."),
            nbformat.v4.new_markdown_cell("## Setup"),
            nbformat.v4.new_code_cell(
                'nb.show(1, caption="a", alt="b")\nnb.table(1, caption="c", name="d")',
                metadata={"tags": ["lead"]},
            ),
            nbformat.v4.new_code_cell(
                'corpus: str = "demo"  # whose clips', metadata={"tags": ["parameters"]}
            ),
            nbformat.v4.new_markdown_cell("## What can go wrong\n\nAll."),
            nbformat.v4.new_markdown_cell("## What we learned"),
            nbformat.v4.new_code_cell(
                'nb.findings("a ([](#d))", *more)', metadata={"tags": ["findings"]}
            ),
        ]
    )


def test_the_rules_accept_a_good_notebook():
    assert problems(good_notebook()) == []


BREAKS = {
    "no question": (0, "# It is so.", "question mark"),
    "no setup": (1, "## Start", "first section"),
    "def": (2, "def f():\n    return 1", "FunctionDef"),
    "class": (2, "class A:\n    pass", "ClassDef"),
    "try": (2, "try:\n    x = 1\nexcept ValueError:\n    x = 2", "Try"),
    "print": (2, "print(1)", "print"),
    "foreign import": (2, "import librosa", "imports"),
    "pyplot": (2, "plt.plot([1])", "plt"),
    "all or nothing": (2, 'x = data.load_corpus("ravdess")', "strict"),
    "path above": (2, 'x = open("../x")', "path"),
    "too long": (2, "\n".join(f"x{n} = {n}" for n in range(13)), "13 statements"),
    "computed parameter": (3, "corpus: str = str(1)  # whose", "annotated literal"),
    "uncommented parameter": (3, 'corpus: str = "demo"', "annotated literal"),
    "typed number": (4, "## What can go wrong\n\nIt scores 45.3 points.", "typed number"),
    "typed percent": (4, "## What can go wrong\n\nIt scores 45 %.", "typed number"),
    "too wordy": (4, "## What can go wrong\n\n" + "word " * 121, "words"),
    "no findings": (6, "x = 1", "nb.findings"),
    "no figure on top": (2, 'nb.table(1, caption="c")', "opens with"),
    "no table on top": (2, 'nb.show(1, caption="c", alt="b")', "opens with"),
    "a finding from nowhere": (6, 'nb.findings("a ([](#d))", "b")', "cites no figure"),
    "many from nowhere": (6, 'nb.findings(*(f"{one}" for one in x))', "cites no figure"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_the_rules_find_what_is_broken(name):
    position, source, message = BREAKS[name]
    broken = good_notebook()
    broken.cells[position].source = source
    assert any(message in one for one in problems(broken)), problems(broken)


def test_the_rules_find_committed_outputs():
    broken = good_notebook()
    broken.cells[2].execution_count = 3
    assert any("committed" in one for one in problems(broken))


def test_the_rules_find_a_figure_without_description():
    broken = good_notebook()
    broken.cells[2].source = 'nb.show(1, caption="a")'
    broken.cells[2].metadata["tags"] = ["figure"]
    assert any("alt" in one for one in problems(broken))


def test_the_rules_find_an_unknown_tag():
    broken = good_notebook()
    broken.cells[2].metadata["tags"] = ["hide"]
    assert any("unknown tags" in one for one in problems(broken))


def good_interactive():
    return nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Is it so?\n\nA question."),
            nbformat.v4.new_markdown_cell("## Setup"),
            nbformat.v4.new_code_cell("from ser_lib.app import Explorer"),
            nbformat.v4.new_code_cell(
                'corpus: str = "demo"  # whose clips', metadata={"tags": ["parameters"]}
            ),
            nbformat.v4.new_code_cell("Explorer(corpus)"),
            nbformat.v4.new_markdown_cell("## What can go wrong\n\nAll."),
        ]
    )


def test_the_interactive_rules_accept_a_good_notebook():
    assert interactive_problems(good_interactive()) == []


INTERACTIVE_BREAKS = {
    "no question": (0, "# It is so.", "question mark"),
    "second title": (5, "## What can go wrong\n\n# Is it?", "one H1"),
    "no setup": (1, "## Start", "first section"),
    "no limits": (5, "## The end", "What can go wrong"),
    "def": (2, "def f():\n    return 1", "FunctionDef"),
    "foreign import": (2, "import ipywidgets", "imports"),
    "too long": (4, "\n".join(f"x{n} = {n}" for n in range(5)), "5 statements"),
    "no parameters": (3, "x = 1", "annotated literal"),
    "typed number": (5, "## What can go wrong\n\nIt scores 45 %.", "typed number"),
    "findings": (4, 'nb.findings("a")', "not show this notebook"),
}


@pytest.mark.parametrize("name", INTERACTIVE_BREAKS)
def test_the_interactive_rules_find_what_is_broken(name):
    position, source, message = INTERACTIVE_BREAKS[name]
    broken = good_interactive()
    broken.cells[position].source = source
    assert any(message in one for one in interactive_problems(broken)), interactive_problems(broken)


def test_the_interactive_rules_find_outputs_and_widget_states():
    with_count, with_state = good_interactive(), good_interactive()
    with_count.cells[2].execution_count = 1
    with_state.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    for broken in (with_count, with_state):
        assert any("committed" in one for one in interactive_problems(broken))


def test_the_interactive_rules_find_a_missing_parameters_cell():
    broken = good_interactive()
    broken.cells[3].metadata["tags"] = []
    assert "exactly one parameters cell" in interactive_problems(broken)


def declared(path):
    """Return the parameters of a notebook with their defaults."""
    cells = [cell for cell in code_cells(read(path)) if "parameters" in tags_of(cell)]
    nodes = [node for cell in cells for node in ast.parse(cell.source).body]
    return {node.target.id: node.value.value for node in nodes}


def profiles():
    paths = sorted((NOTEBOOKS_DIR / "params").glob("*.yml"))
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths]


def test_profiles_set_the_same_parameters_that_notebooks_have():
    full, quick = map(set, profiles())
    assert full == quick <= set().union(*map(declared, PATHS))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_profiles_set_is_set_there_alone(path):
    assert {value for name, value in declared(path).items() if name in profiles()[0]} <= {None}


# --- what is for JupyterLab only


@pytest.mark.slow
def test_notebooks_to_begin_with_run(tmp_path, real_cache):
    parameters = {"00_start": {}, "recipes": {"step": 5}}
    jobs = {}
    for name, own in parameters.items():
        path = NOTEBOOKS_DIR / f"{name}.ipynb"
        jobs[name] = Job(name, read(path), own, NOTEBOOKS_DIR, tmp_path / path.name)
    order = TopologicalSorter(dict.fromkeys(jobs, ()))
    order.prepare()
    run_all(jobs, order, 1)
    for name, job in jobs.items():
        executed = read_executed(job)
        assert failures_of(name, executed) == []
        silent = TAGS | {"injected-parameters"}
        shown = [cell for cell in code_cells(executed) if not tags_of(cell) & silent]
        assert [cell.source for cell in shown if not cell.outputs and len(cell.source) < 200] == []


def test_where_one_starts_names_every_notebook_with_its_question():
    text = "\n".join(cell.source for cell in text_cells(read(NOTEBOOKS_DIR / "00_start.ipynb")))
    for path in [*PATHS, *INTERACTIVE[1:]]:
        (title,) = h1s(read(path))
        assert f"| [{path.stem}]({path.name}) | {title[2:]} |" in text


def test_there_are_twelve_recipes():
    assert len(sections(read(NOTEBOOKS_DIR / "recipes.ipynb"))) == 12 + 2
