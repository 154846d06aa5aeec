"""The report: parameters, order, failures, what lands on the page, and what never half-lands.

The notebooks are tiny and made here; a kernel costs about two seconds, so two builds serve most
tests: one where all is well and one where everything goes wrong.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import weakref
from base64 import b64encode
from copy import deepcopy
from graphlib import TopologicalSorter
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from ser_lib.data import get_corpus
from ser_lib.errors import CorpusError, ReportError
from ser_lib.evaluation.formatting import FINDINGS_MIME, RESULTS_MIME
from ser_lib.paths import runs_dir
from ser_lib.report import build as report
from ser_lib.report import execution
from ser_lib.report import html as page_html
from ser_lib.report.build import build_report
from ser_lib.runs.store import write_json

# One transparent pixel: the page does not care what a figure shows.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAC"
    "hwGA60e6kgAAAABJRU5ErkJggg=="
)
FIGURE = (
    '<figure class="ser-figure"><img alt="a dot" width="8" height="3" '
    f'src="data:image/png;base64,{PIXEL}"><figcaption>'
    '<span class="ser-number">Figure 7.</span> NAME</figcaption></figure>'
)
TABLE = (
    '<figure class="ser-table"><figcaption><span class="ser-number">Table 4.</span> NAME'
    '</figcaption><div class="ser-scroll"><table><thead><tr><th>model</th><th>UAR</th></tr></thead>'
    "<tbody><tr><td>knn</td><td>38.0 % [32.0, 44.0]</td></tr></tbody></table></div></figure>"
)
RECORD = {
    "study": "swart2025",
    "model": "cnn",
    "protocol": "luna5",
    "leaks": [],
    "seeds": [1],
    "n_clips": 384,
    "n_speakers": 8,
    "uar": 0.5,
    "published": None,
}


def code(source: str, *tags: str) -> nbformat.NotebookNode:
    return new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


def shown(html: str, *tags: str) -> nbformat.NotebookNode:
    bundle = {"text/html": html}
    return code(f"from IPython.display import display\ndisplay({bundle!r}, raw=True)", *tags)


def found(*sentences: str) -> nbformat.NotebookNode:
    bundle = {"text/html": "<ul></ul>", FINDINGS_MIME: {"sentences": list(sentences)}}
    return code(f"from IPython.display import display\ndisplay({bundle!r}, raw=True)", "findings")


def code_of_findings(told: dict[str, object]) -> nbformat.NotebookNode:
    """Return a cell that has shown findings."""
    shown = new_output("display_data", {"text/html": "<ul></ul>", FINDINGS_MIME: told})
    return new_code_cell("1", outputs=[shown], metadata={"tags": ["findings"]})


def published(record: dict[str, object]) -> nbformat.NotebookNode:
    bundle = {"text/html": "", RESULTS_MIME: {"records": [record]}}
    return code(f"from IPython.display import display\ndisplay({bundle!r}, raw=True)")


PARAMETERS = code('corpus: str = "none"  # a name\nn_seeds: int = 7  # how many', "parameters")


def write(folder: Path, name: str, *cells: nbformat.NotebookNode, needs: tuple[str, ...] = ()):
    notebook = new_notebook(cells=list(cells), metadata={"ser": {"needs": list(needs)}})
    nbformat.write(notebook, folder / f"{name}.ipynb")


def profiles(folder: Path, quick: str = "") -> None:
    (folder / "params").mkdir(parents=True)
    (folder / "params" / "quick.yml").write_text(quick, encoding="utf-8")


def text(title: str) -> nbformat.NotebookNode:
    return new_markdown_cell(f"# Is {title} well?\n\nThe first paragraph of {title}.")


SVG = b64encode(b"<svg/>").decode()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Build a report where all is well, whatever kernelspec, profile and modules the user has."""
    root = tmp_path_factory.mktemp("good {of} ours")
    folder = root / "notebooks"
    profiles(folder, "n_seeds: 2\n")
    write(
        folder,
        "01_reader",
        text("the reader"),
        new_markdown_cell("## Setup"),
        PARAMETERS,
        code("import os, sys, time\nfrom pathlib import Path\nnumbers = corpus, n_seeds"),
        code("import beside\nassert beside.WHO == 'ours'"),
        code("print('wrote:', Path('written.txt').read_text(), numbers, sys.executable)"),
        code("print('port.cc: oneDNN is on', file=sys.stderr)", "remove-input"),
        code("print(sorted(k for k in os.environ if k in ('SER_HEADLESS', 'PYTHONHASHSEED')))"),
        new_markdown_cell("See [the writer](02_writer.ipynb).\n\n## Read"),
        shown(FIGURE.replace("NAME", "of the reader"), "figure", "lead"),
        shown(TABLE.replace("NAME", "of the reader"), "table"),
        new_markdown_cell("## What we learned"),
        found("The reader <em>reads</em>."),
        needs=("02_writer",),
    )
    write(
        folder,
        "02_writer",
        text("the writer"),
        PARAMETERS,
        # Slow on purpose: the reader would overtake it if nothing held it back.
        code("import time, beside\nfrom pathlib import Path\ntime.sleep(1)"),
        code("_ = Path('written.txt').write_text('by the writer')"),
        shown(FIGURE.replace("NAME", "at the top"), "summary"),
        shown(TABLE.replace("NAME", "at the top"), "summary"),
        published(RECORD),
        new_markdown_cell("## What we learned"),
        found("One.", "Two.", "Three.", "Four.", "Five."),
    )
    write(folder, "explore", code("1 / 0"))
    spec = root / "kernels" / "python3"
    spec.mkdir(parents=True)
    broken = {"argv": ["/bin/false"], "display_name": "another", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(broken), encoding="utf-8")
    for place, who in ((folder, "ours"), (root / "theirs", "theirs")):
        place.mkdir(exist_ok=True)
        (place / "beside.py").write_text(f"WHO = '{who}'")
    startup = root / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("import os; os.environ.pop('SER_HEADLESS')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_REPORTS", str(root / "reports"))
        patch.setenv("JUPYTER_PATH", str(root))
        patch.setenv("IPYTHONDIR", str(root / "ipython"))
        patch.setenv("PYTHONPATH", str(root / "theirs"), prepend=os.pathsep)
        patch.setenv("PYTHONSAFEPATH", "1")
        patch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
        result = build_report("demo", notebooks_dir=folder)
    return result


@pytest.fixture(scope="module")
def page(good):
    return good.path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """Build a report where one notebook is well and four are not."""
    root = tmp_path_factory.mktemp("bad")
    profiles(root)
    write(root, "01_fails", text("it"), code("\nd = {}\nd['<b>key</b>']"), found("Never said."))
    tolerated = code("raise ValueError('tolerated')", "raises-exception")
    write(root, "02_tolerated", text("it"), tolerated, found("Said after all."))
    write(root, "03_dies", text("it"), code("import os, signal\nos.kill(os.getpid(), 9)"))
    write(root, "04_hangs", text("it"), code("import time\ntime.sleep(60)"))
    write(root, "05_fine", text("it"), code("print('fine all the same')"), needs=("01_fails",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_REPORTS", str(root / "reports"))
        patch.setenv("SER_CELL_TIMEOUT_S", "4")
        return build_report("demo", notebooks_dir=root)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder for notebooks, with a profile that sets nothing."""
    monkeypatch.setenv("SER_REPORTS", str(tmp_path / "reports"))
    profiles(tmp_path)
    return tmp_path


def test_a_complete_run_has_no_failures_and_says_where_all_is(good):
    assert good.failures == ()
    assert good.is_complete
    assert good.path.parts[-2:] == ("demo", "report.html")
    assert sorted(good.durations_s) == ["01_reader", "02_writer"]
    executed = sorted(one.name for one in (good.path.parent / "executed").iterdir())
    assert executed == ["01_reader.ipynb", "02_writer.ipynb"]


def test_a_notebook_runs_after_those_that_it_needs(page):
    assert "wrote: by the writer" in page


def test_parameters_come_from_the_profile_and_the_corpus_from_the_call(page):
    assert "(&#39;demo&#39;, 2)" in page


def test_kernels_are_this_interpreter_whatever_the_kernelspecs_say(page):
    assert sys.executable in page


def test_kernels_get_their_environment(page):
    assert "[&#39;PYTHONHASHSEED&#39;, &#39;SER_HEADLESS&#39;]" in page


def test_an_override_wins_over_the_profile():
    notebooks = {"01_a": new_notebook(cells=[PARAMETERS]), "02_b": new_notebook()}
    routed = report._route_parameters(notebooks, {"n_seeds": 3}, {"corpus": "demo", "profile": "x"})
    assert routed == {"01_a": {"corpus": "demo", "n_seeds": 3}, "02_b": {}}


def test_a_parameter_of_the_profile_that_no_notebook_declares_is_an_error(folder):
    write(folder, "01_a", PARAMETERS)
    (folder / "params" / "quick.yml").write_text("n_seed: 1\n", encoding="utf-8")
    with pytest.raises(ReportError, match=r"(?s)\bn_seed\n.*n_seeds"):
        build_report("demo", notebooks_dir=folder)


def test_an_override_that_no_notebook_declares_is_an_error(folder):
    write(folder, "01_a", PARAMETERS)
    with pytest.raises(ReportError, match="max_epoch"):
        build_report("demo", notebooks_dir=folder, parameters={"max_epoch": 1})


@pytest.mark.parametrize("content", ["- a\n- b\n", "1: 2\n"])
def test_a_profile_that_is_no_mapping_from_names_is_an_error(folder, content):
    write(folder, "01_a", PARAMETERS)
    (folder / "params" / "quick.yml").write_text(content, encoding="utf-8")
    with pytest.raises(ReportError, match=r"quick\.yml"):
        build_report("demo", notebooks_dir=folder)


def test_an_unknown_profile_names_the_known_ones(folder):
    write(folder, "01_a", PARAMETERS)
    with pytest.raises(ReportError, match=r"'ful'.*\bquick\b"):
        build_report("demo", notebooks_dir=folder, profile="ful")


def test_an_unknown_corpus_is_an_error(folder):
    with pytest.raises(CorpusError, match="'ravdes'"):
        build_report("ravdes", notebooks_dir=folder)


def test_a_folder_without_numbered_notebooks_is_an_error(folder):
    write(folder, "explore")
    with pytest.raises(ReportError, match=re.escape(str(folder))):
        build_report("demo", notebooks_dir=folder)


def test_a_file_that_is_no_notebook_is_an_error_that_names_it(folder):
    (folder / "01_a.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(ReportError, match=r"01_a\.ipynb"):
        build_report("demo", notebooks_dir=folder)


def test_a_parameters_cell_that_is_no_python_is_an_error(folder):
    write(folder, "01_a", code("n_seeds =", "parameters"))
    with pytest.raises(ReportError, match=r"01_a.*line 1"):
        build_report("demo", notebooks_dir=folder)


def test_a_need_that_is_not_there_is_an_error(folder):
    write(folder, "01_a", needs=("03_cnn",))
    with pytest.raises(ReportError, match="01_a needs 03_cnn"):
        build_report("demo", notebooks_dir=folder)


def test_needs_in_a_circle_are_an_error(folder):
    write(folder, "01_a", needs=("02_b",))
    write(folder, "02_b", needs=("01_a",))
    with pytest.raises(ReportError, match=r"01_a > 02_b|02_b > 01_a"):
        build_report("demo", notebooks_dir=folder)


def test_an_environment_without_kernel_says_how_to_get_one(folder, monkeypatch):
    write(folder, "01_a", PARAMETERS)
    monkeypatch.setattr(execution, "find_spec", lambda name: None)
    with pytest.raises(ReportError, match="ipykernel"):
        build_report("demo", notebooks_dir=folder)


def test_published_records_land_in_results_json(good):
    assert good.results_path is not None
    written = good.results_path.read_text(encoding="utf-8")
    assert json.loads(written) == [{"corpus": "demo"} | RECORD]
    keys = re.findall(r'^  "(\w+)"', written, flags=re.MULTILINE)
    assert keys == sorted({"corpus": "demo"} | RECORD)


def test_numbers_that_json_cannot_say_become_null():
    value = {"a": [float("nan"), 1.0], "b": {"c": float("inf")}, "d": "nan"}
    assert report._without_nan(value) == {"a": [None, 1.0], "b": {"c": None}, "d": "nan"}


def test_without_records_there_is_no_results_file(bad):
    assert bad.results_path is None
    assert not (bad.path.parent / "results.json").exists()


def test_figures_and_tables_are_numbered_through_the_page(page):
    numbers = re.findall(r'<a class="ser-number" href="#(\S+)">(.*?)</a> (.*?)<', page)
    assert numbers == [
        ("figure-1", "Figure 1.", "at the top"),
        ("table-1", "Table 1.", "at the top"),
        ("figure-2", "Figure 2.", "of the reader"),
        ("table-2", "Table 2.", "of the reader"),
    ]
    assert all(
        f'<figure class="ser-{one.split("-")[0]}" id="{one}">' in page for one, _, _ in numbers
    )


def test_words_of_the_glossary_lead_to_it_but_not_from_links_code_and_headings():
    page = '<h2>WA</h2><p>UAR, <a href="#x">WA</a> <code>WA</code> WAV</p><pre>WA</pre>'
    linked = page_html._link_terms(page, {"WA": "accuracy", "UAR": "recall"})
    assert linked.count("ser-term") == 2
    assert '<a class="ser-term" href="#term-uar">UAR</a>' in linked
    assert '<code><a class="ser-term" href="#term-wa">WA</a></code> WAV' in linked


def test_the_first_page_is_written_as_markdown_too(good):
    text = (good.path.parent / "summary.md").read_text(encoding="utf-8")
    assert text.startswith("# Speech emotion recognition, honestly\n")
    assert "Table 1. at the top" in text


def test_answers_and_cells_are_lines_of_the_markdown():
    page = (
        '<section id="summary"><h1>T</h1><dl class="ser-answers"><div><dt>Q?</dt><dd>A.</dd></div>'
        '</dl><table class="ser-cells"><tr><th>a</th></tr><tr><td>1</td></tr></table></section>'
    )
    text, drawing = page_html.summary_of(page)
    assert text == "# T\n\n**Q?** A.\n\n| a |\n| --- |\n| 1 |\n"
    assert drawing == b""
    figure = f'<figure><img alt="What is seen" src="data:image/svg+xml;base64,{SVG}"></figure>'
    text, drawing = page_html.summary_of(page.replace("<table", figure + "<table", 1))
    assert "![What is seen](summary.svg)" in text
    assert drawing == b"<svg/>"


def test_a_pdf_is_printed_where_it_is_asked_for(chromium, good, monkeypatch):
    monkeypatch.setattr(report.shutil, "which", lambda name: chromium)
    report._print_pdf(good.path)
    pdf = good.path.with_suffix(".pdf")
    assert pdf.read_bytes().startswith(b"%PDF")
    monkeypatch.setattr(report.shutil, "which", lambda name: None)
    with pytest.raises(ReportError, match="REPORT_PDF=1"):
        report._print_pdf(good.path)


def test_text_refers_to_figures_and_tables_by_name():
    named = TABLE.replace('"ser-table"', '"ser-table" id="pairs"')
    page = page_html._renumber(f'{TABLE}{named} see <a href="#pairs"></a>')
    assert 'see <a href="#pairs">Table 2</a>' in page
    with pytest.raises(ReportError, match="nothing-such"):
        page_html._renumber(f'{named} see <a href="#nothing-such"></a>')


def test_stored_runs_that_a_notebook_read_are_listed_and_linked():
    told = {"sentences": ["It is."], "runs": ["demo/runs/a-b-c/predictions.csv"]}
    table = TABLE.replace("NAME", 'NAME <a class="ser-csv" href="data:,">CSV</a>')
    cells = [
        new_code_cell("1", outputs=[new_output("display_data", {"text/html": table})]),
        code_of_findings(told),
    ]
    chapter = page_html.build_chapter("01_a", new_notebook(cells=cells), ("01_a",))
    assert chapter.runs == told["runs"]
    assert '<a class="ser-runs" href="#01_a--runs">' in chapter.sections[0].body


def test_variants_of_ones_own_are_no_part_of_the_report():
    facts = {"date": "2026-01-01", "duration_s": [30, 90], "commit": "abc"}
    for name in ("study-model", "study+variant-model"):
        write_json(runs_dir("demo") / name / "environment.json", facts)
    (run,) = report._stored_runs(get_corpus("demo"))
    assert run["path"].as_posix() == "demo/runs/study-model/predictions.csv"
    assert run["minutes"] == 2


def test_a_chapter_opens_with_its_text_its_answer_and_what_leads(page):
    chapter = page[page.index('<section id="01_reader"') : page.index('<section id="02_writer"')]
    marks = (
        "The first paragraph",
        '<p class="ser-answer">The reader <em>reads</em>.',
        "of the reader</figcaption",
        '<details class="ser-section"',
        "at the top of the chapter</a>",
    )
    places = [chapter.index(one) for one in marks]
    assert places == sorted(places)


def test_setup_stands_in_the_chapter_on_provenance(page):
    before, _, after = page.partition('<section id="provenance"')
    assert 'id="01_reader--setup"' not in before
    assert 'id="01_reader--setup"' in after


def test_findings_beyond_the_first_stay_folded_and_each_stands_once(page):
    chapter = page[page.index('<section id="02_writer"') : page.index('<section id="provenance"')]
    top, _, folded = chapter.partition('<details class="ser-section"')
    assert [one in top for one in ("One.", "Two.", "Four.", "Five.")] == [True] * 3 + [False]
    assert "<li>Five.</li>" in folded
    assert page.count("One.</") == 1


def test_what_can_go_wrong_and_what_failed_is_not_folded():
    notebook = new_notebook(
        cells=[new_markdown_cell(f"## {one}\n\nText.") for one in ("Train", page_html.CAVEATS)]
    )
    folds = page_html.build_chapter("01_a", notebook, ("01_a",)).body
    assert [one.is_open for one in folds] == [False, True]


def test_outputs_for_the_first_page_are_replaced_by_a_link(page):
    chapter = page[page.index('<section id="02_writer"') : page.index('<section id="provenance"')]
    assert "at the top<" not in re.sub(r"<pre.*?</pre>", "", chapter, flags=re.DOTALL)
    assert chapter.count('<a href="#summary">on the first page</a>') == 2


def test_the_first_sentence_is_counted_from_the_records(page):
    assert "1 published study, 1 model, each run on up to 384 clips by 8 speakers." in page


def test_the_demo_says_that_its_numbers_are_no_results_about_people(page):
    assert "they are not results about people" in page
    assert "make report CORPUS=ravdess" in page


def test_ids_are_unique_and_links_within_the_page_lead_somewhere(page):
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "01_reader--read" in ids
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert "02_writer" in links
    assert links <= set(ids)


def test_all_code_is_there_and_folded(page):
    assert not re.search(r'<details[^>]*class="ser-code[^>]*open', page)
    outside = re.sub(r'<details class="ser-code.*?</details>', "", page, flags=re.DOTALL)
    assert "written" in page
    assert '<div class="highlight' not in outside


def test_parameters_are_one_quiet_line(page):
    assert "Parameters of this report" in page
    assert "<code>n_seeds = 2</code>" in page


def test_noise_of_libraries_is_dropped_and_the_rest_of_a_stream_kept():
    noise = "2026 I tensorflow/core/util/port.cc:153] oneDNN custom operations are on\n"
    noise += "tqdm/auto.py:21: TqdmWarning: IProgress not found. Please update jupyter\n"
    noise += "  from .autonotebook import tqdm as notebook_tqdm\n"
    bar = "\r 10%|#   | 1/10 [00:01<00:09,  1.0it/s]\r100%|####| 10/10 [00:10<00:00]\n"
    assert page_html._quiet(noise + bar + "\x1b[1mtrained\x1b[0m\n") == ["trained", ""]
    assert page_html._quiet(noise + bar) == []


def test_a_page_with_noise_only_has_no_stream_block(page):
    assert "port.cc" not in re.sub(r"<details.*?</details>", "", page, flags=re.DOTALL)


def test_the_page_loads_nothing(page, bad):
    for one in (page, bad.path.read_text(encoding="utf-8")):
        body = re.sub(r"<pre\b.*?</pre>", "", one, flags=re.DOTALL)
        sources = re.findall(r"""\ssrc\s*=\s*["']?([^"'\s>]{0,20})""", body)
        sources += re.findall(r"""<link\b[^>]*href\s*=\s*["']([^"']{0,20})""", body)
        assert sources
        assert all(source.startswith("data:") for source in sources)
        assert "@import" not in body
        assert "url(" not in body


@pytest.mark.parametrize(
    ("html", "offender"),
    [
        ('<img alt="x" src="https://example.org/x.png">', "https://example.org/x.png"),
        ('<picture><source srcset="b.png"></picture>', "b.png"),
        ("<script async src='//cdn.example.org/x.js'></script>", "//cdn.example.org/x.js"),
        ('<link rel="stylesheet" href="style.css">', "style.css"),
        ("<style>@import 'x.css';</style>", "x.css"),
        ('<div style="background:url(x.png)"></div>', "x.png"),
    ],
)
def test_an_output_that_would_load_something_is_refused(html, offender):
    with pytest.raises(ReportError, match=offender):
        page_html._check_self_contained(f"<p>fine</p>{html}")


def test_code_that_only_shows_a_url_is_no_load():
    page_html._check_self_contained(
        "<pre>background: url(x.png)</pre><a href='https://doi.org/1'>1</a>"
    )


def test_failures_name_notebook_cell_and_error(bad):
    assert not bad.is_complete
    found = {one.notebook: one for one in bad.failures}
    assert sorted(found) == ["01_fails", "02_tolerated", "03_dies", "04_hangs"]
    first = found["01_fails"]
    assert (first.cell, first.source_line, first.error) == (1, "d = {}", "KeyError")
    assert str(first) == "01_fails, code cell 1 (`d = {}`): KeyError: '<b>key</b>'"


def test_an_error_that_a_cell_may_raise_counts_and_what_follows_is_shown(bad):
    page = bad.path.read_text(encoding="utf-8")
    assert any(one.message == "tolerated" for one in bad.failures)
    assert "Said after all." in page


def test_a_kernel_that_dies_and_a_cell_that_hangs_are_failures_of_their_cell(bad):
    found = {one.notebook: one for one in bad.failures}
    assert (found["03_dies"].cell, found["03_dies"].error) == (1, "DeadKernelError")
    assert (found["04_hangs"].cell, found["04_hangs"].error) == (1, "CellTimeoutError")
    assert found["04_hangs"].source_line == "import time"


def test_the_report_of_a_failed_run_shows_the_errors_and_all_else(bad):
    page = bad.path.read_text(encoding="utf-8")
    assert "This report is incomplete:</strong> 4 notebooks failed" in page
    assert "fine all the same" in page
    box = page[page.index('id="01_fails--error"') :]
    box = box[: box.index("</div>")]
    assert "&lt;b&gt;key&lt;/b&gt;" in box
    assert "<b>key</b>" not in page
    assert "\x1b" not in page
    assert "papermill-error-cell" not in page


@pytest.fixture
def no_kernels(monkeypatch):
    """Let notebooks end at once: one with `1 / 0` fails."""

    def run(job: execution.Job) -> tuple[float, bool]:
        notebook = deepcopy(job.source)
        is_ok = notebook.cells[0].source != "1 / 0"
        if not is_ok:
            error = new_output("error", ename="ZeroDivisionError", evalue="", traceback=[])
            notebook.cells[0].outputs = [error]
        job.target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, job.target)
        return 0.1, is_ok

    monkeypatch.setattr(execution, "_run_one", run)


@pytest.mark.usefixtures("no_kernels")
def test_one_line_a_notebook_is_printed(folder, capsys):
    write(folder, "01_a", code("1"))
    write(folder, "02_b", code("1 / 0"))
    result = build_report("demo", notebooks_dir=folder)
    lines = capsys.readouterr().out.splitlines()
    assert "2 notebooks, profile 'quick'" in lines[0]
    assert sorted(line.split()[1] for line in lines[1:]) == ["FAILED", "ok"]
    assert len(result.failures) == 1


def test_of_the_notebooks_that_may_start_the_heaviest_does(monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(
        execution, "_run_one", lambda job: (started.append(job.name), (0.0, True))[1]
    )
    weights = {"01_short": 0, "02_long": 9, "03_longer": 12, "04_last": 99}
    jobs = {
        name: execution.Job(name, new_notebook(), {}, tmp_path, tmp_path / name, weight=weight)
        for name, weight in weights.items()
    }
    order = TopologicalSorter({name: () for name in weights} | {"04_last": ("02_long",)})
    order.prepare()
    execution.run_all(jobs, order, 1)
    # The heaviest of all needs another one, so it comes as soon as it may.
    assert started == ["03_longer", "02_long", "04_last", "01_short"]


@pytest.mark.usefixtures("no_kernels")
def test_a_report_that_would_load_something_is_not_written(folder):
    picture = nbformat.v4.new_markdown_cell('<img alt="x" src="https://example.org/x.png">')
    write(folder, "01_a", code("1"), picture)
    with pytest.raises(ReportError, match=r"example\.org"):
        build_report("demo", notebooks_dir=folder)
    assert not (folder / "reports" / "demo" / "report.html").exists()


@pytest.mark.usefixtures("no_kernels")
def test_a_page_that_cannot_be_rendered_leaves_the_old_one(folder, monkeypatch):
    write(folder, "01_a", published(RECORD))
    target = folder / "reports" / "demo" / "report.html"
    target.parent.mkdir(parents=True)
    target.write_text("old", encoding="utf-8")

    def fail(*_: object) -> str:
        raise ReportError("no page")

    monkeypatch.setattr(report, "render_report", fail)
    with pytest.raises(ReportError, match="no page"):
        build_report("demo", notebooks_dir=folder)
    assert target.read_text(encoding="utf-8") == "old"
    assert sorted(one.name for one in target.parent.iterdir()) == ["executed", "report.html"]


def test_notebooks_that_share_imports_are_forked_and_still_fail_alone(folder):
    write(folder, "01_dies", code("import os\nimport fractions"), code("os._exit(3)"))
    told = "import os\nimport sys\nis_there = 'fractions' in sys.modules"
    write(folder, "02_lives", code(told), code("assert is_there\nimport fractions"))
    result = build_report("demo", notebooks_dir=folder)
    assert [one.notebook for one in result.failures] == ["01_dies"]
    assert execution._KernelServer.running is None


def test_a_kernel_server_that_has_ended_is_named(tmp_path):
    server = execution._KernelServer([], tmp_path)
    server._process.kill()
    server._process.wait()
    with server, pytest.raises(ReportError):
        server.fork("connection.json", str(tmp_path))


def test_imports_are_shared_where_two_notebooks_have_them(tmp_path):
    sources = (
        "import a.b\nfrom c import d, e",
        "%magic\nx",
        "def f():\n    import a.b",
        "from c import e",
    )
    jobs = [
        execution.Job(str(n), new_notebook(cells=[code(one)]), {}, tmp_path, tmp_path)
        for n, one in enumerate(sources)
    ]
    assert execution._shared_imports(jobs) == ["a.b", "c.e"]


def test_an_interrupt_ends_the_kernels_at_once(folder, monkeypatch):
    write(folder, "01_a", code("import time\ntime.sleep(600)"))

    # Kernels of other tests may still be remembered.
    monkeypatch.setattr(execution, "_LIVE_KERNELS", weakref.WeakSet())

    def interrupt(*_: object, **__: object) -> None:
        while not any(one.has_kernel for one in list(execution._LIVE_KERNELS)):
            time.sleep(0.05)
        time.sleep(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(execution, "wait", interrupt)
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        build_report("demo", notebooks_dir=folder)
    # Far below what the cell sleeps; the kernel's start dominates.
    assert time.perf_counter() - started < 60


def test_an_output_without_html_is_shown_by_its_picture_or_its_text():
    picture = new_output("display_data", {"image/png": PIXEL}, metadata={"alt": "a dot"})
    plain = new_output("execute_result", {"text/plain": "<Axes: >"}, execution_count=1)
    cell = new_code_cell("1", outputs=[picture, plain])
    body = page_html.build_chapter("01_a", new_notebook(cells=[cell]), ("01_a",)).sections[0].body
    assert f'<img alt="a dot" src="data:image/png;base64,{PIXEL}">' in body
    assert "&lt;Axes: &gt;" in body


@pytest.mark.parametrize(
    ("words", "is_number"),
    [
        ("1,440", True),
        ("−3.2", True),
        ("61.0 % [55.1, 67.0]", True),
        ("+0.9 [−2.4, +4.1]", True),
        ("12 s", True),
        ("–", True),
        ("luna5", False),
        ("3 of 8 clips", False),
    ],
)
def test_numbers_in_tables_are_told_from_words(words, is_number):
    assert (page_html.NUMBER.fullmatch(words) is not None) == is_number


def test_columns_of_numbers_are_set_right_and_a_number_among_words_is_not(page):
    table = page_html._set_table(TABLE)
    assert '<th class="ser-num">UAR</th>' in table
    assert '<td class="ser-num" data-label="UAR">38.0 % [32.0, 44.0]</td>' in table
    words = "".join(f"<tr><td>{one}</td></tr>" for one in ("CC0", "24", "here"))
    mixed = f'<figure class="ser-table"><table><tbody>{words}</tbody></table></figure>'
    assert "ser-num" not in page_html._set_table(mixed)


def test_rows_lead_to_the_runs_that_they_name_and_others_to_none():
    rows = "".join(f"<tr><td>{one}</td><td>1</td></tr>" for one in "ab")
    table = f"<table><tbody>{rows}</tbody></table>"
    for runs, n_links in (("x-s42 ", 1), (" x-s43", 1), ("", 0)):
        box = f'<figure><div class="ser-scroll" data-runs="{runs}">{table}</div></figure>'
        found = page_html._set_table(box)
        assert found.count('class="ser-run"') == n_links
        assert "data-runs" not in found
    assert '<a class="ser-run" href="#run-x-s43">b</a>' in page_html._set_table(
        f'<div class="ser-scroll" data-runs=" x-s43">{table}</div>'
    )


def test_a_column_of_values_is_set_left_beside_what_they_are_and_right_among_others():
    def set_table(*columns: str) -> str:
        head = "".join(f"<th>{one}</th>" for one in columns)
        row = "".join("<td>0</td>" for _ in columns)
        return page_html._set_table(
            f"<figure><table><thead><tr>{head}</tr></thead><tbody><tr>{row}</tr></tbody></table>"
        )

    assert '<td class="ser-num" data-label="clips">0</td><td>0</td>' in set_table("clips", "value")
    assert '<th>value</th><th class="ser-num">clips</th>' in set_table("value", "clips")
    assert set_table("task", "value", "clips").count("ser-num") == 6


def test_the_label_of_a_table_that_scrolls_has_no_number_for_the_page_has_its_own():
    table = page_html._set_table(TABLE)
    assert 'aria-label="Table: NAME"' in table
    assert '<span class="ser-number">Table 4.</span> NAME</figcaption>' in table


def test_a_wide_figure_scrolls_apart_from_its_caption_and_a_narrow_one_does_not():
    wide = FIGURE.replace('width="8"', 'width="1000" style="height:auto"')
    box = re.search(r"<div.*?</div>", page_html._set_figure(wide))[0]
    assert box.startswith('<div aria-label="Figure: NAME" class="ser-scroll" role="region" tab')
    assert 'style="height:auto;--least:650px"' in box
    assert 'alt="a dot"' in box
    assert "figcaption" not in box
    assert "ser-scroll" not in page_html._set_figure(FIGURE)


@pytest.mark.parametrize(
    ("words", "bound"),
    [
        ("87 % [83.7, 91.8]", "87~% [83.7,~91.8]"),
        ("77.8 % [73.3 %, 82.1 %]", "77.8~% [73.3~%,~82.1~%]"),
        ("[−1.2, −0.4] [-1, +1]", "[−1.2,~−0.4] [-1,~+1]"),
        ("[1, 2, 3], 5, 6", "[1, 2, 3], 5, 6"),
        ("<code>[0, 1]</code>", "<code>[0, 1]</code>"),
    ],
)
def test_a_number_and_its_interval_are_not_torn(words, bound):
    assert page_html._bind_numbers(words) == bound.replace("~", "\xa0")


def test_links_to_notebooks_that_are_not_in_the_report_become_words():
    cell = new_markdown_cell("[a](01_a.ipynb#x) [b](explore.ipynb) [c](https://x.org/y.ipynb)")
    chapter = page_html.build_chapter("02_b", new_notebook(cells=[cell, code("1")]), ("01_a",))
    body = chapter.sections[0].body
    assert '<a href="#01_a">a</a> b <a href="https://x.org/y.ipynb">c</a>' in body


def test_a_kernel_is_told_the_folders_absolutely(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SER_DATA", "some/data")
    assert execution.kernel_environment()["SER_DATA"] == str(tmp_path / "some" / "data")
