"""From executed notebooks to one HTML page that loads nothing.

`render_report` lays out the page; `build_chapter` makes a chapter of each notebook: nbconvert turns
Markdown and code into HTML, findings move to the chapter's top, outputs tagged `summary` to the
page's top, code folds away. The looks live in `theme/`. Nothing here runs a notebook or writes a
file.
"""

from __future__ import annotations

import html
import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from bs4 import BeautifulSoup, Tag
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbconvert.filters import Highlight2HTML, strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from ser_lib.errors import ReportError, offenders
from ser_lib.evaluation.formatting import FINDINGS_MIME, RESULTS_MIME, duration_text

THEME_DIR = Path(__file__).parent / "theme"

# The section whose place is the chapter on provenance, and the one that nobody is to overlook.
SETUP, CAVEATS = "Setup", "What can go wrong"

# Findings at the top of a chapter: its answer, and what else is worth a line there.
N_TOP_FINDINGS = 4

# A figure wider than this is drawn on a phone at this share of its width, and scrolls: shrunk to
# the screen its letters would be of 3 to 5 pixels.
WIDE_PX = 650
LEAST_SHARE = 0.65

# Stands in a notebook where an output went to the top of the page or of its chapter.
MOVED = Markup('<p class="ser-moved">Shown <a href="#{}">{}</a>.</p>')
ERROR_BOX = '<div class="ser-error"'
FIGURE = re.compile(r'<figure class="ser-figure".*?</figure>', re.DOTALL)
TABLE = re.compile(r'<figure class="ser-table".*?</figure>', re.DOTALL)
# What names a figure or table: its beginning, its number, its file, and links to it.
NAMED = re.compile(
    r'<figure class="ser-(figure|table)"(?: id="([^"]*)")?>|'
    r'<span class="ser-number">[^<]*</span>|download="numbers(?=\.)|'
    r'aria-label="(?:Figure|Table)(?=: )'
)

# Where no word becomes a link: tags, and what is a link, a heading, code or a control already.
UNLINKED = re.compile(
    r"(<(a|h[1-6]|summary|button|pre|style|script|title|nav|header|dt)\b.*?</\2>|<[^>]*>)",
    re.DOTALL,
)
REFERENCE = re.compile(r'<a href="#([^"]+)">(?:(?:Figure|Table) \d+)?</a>')

# What TensorFlow writes to stderr whatever one asks of it, and what progress bars leave behind.
NOISE = re.compile(
    r"oneDNN|cudart_stub|absl::InitializeLog|cpu_feature_guard|port\.cc|cuda_executor|"
    r"computation_placer|To enable the following instructions|"
    r"TqdmWarning|import tqdm as notebook_tqdm|"
    r"\d+%\|.*\||\d+it \[|\[\d\d:\d\d<|it/s\]|s/it\]"
)

# 0.61, 1,440, -3.2, 61 %, +0.6 [-0.5, +0.7], 12 s, a dash for nothing; with the minus sign (2212),
# the dashes (2013, 2014), the plus-minus sign (b1) and the times sign (d7) of typeset numbers.
NUMBER = re.compile(
    r"[-+<>=~\u2212\u2013\xb1]?\s*\d[-+\d,. %e()\[\]\u2212\u2013\xb1\xd7]*(m?s|k?Hz|dB|MB)?"
    r"|[-\u2013\u2014]?|nan"
)

# A number with its sign (2212 is the minus sign), and the comma within an interval of two.
SIGNED = r"[-+\u2212]?\d[\d.,]*(?:[ \xa0]%)?"
INTERVAL_COMMA = re.compile(rf"(\[{SIGNED},) (?={SIGNED}\])")

# What is to be shown or run as it was written.
VERBATIM = re.compile(r"(<(?:pre|code|style|script)\b.*?</(?:pre|code|style|script)>)", re.DOTALL)

# Anything in these places is fetched when the page opens. Links for readers are not.
LOADED = re.compile(
    r"""<(?:img|audio|video|source|script|iframe|embed|track|input)\b[^>]*?\ssrc(?:set)?\s*=\s*"""
    r"""["']?(?!data:)([^"'\s>]+)|<link\b[^>]*?\shref\s*=\s*["']?(?!data:)([^"'\s>]+)|"""
    r"""@import\s+(?:url\()?["']?([^"')\s;]+)|[:\s,]url\(["']?(?!data:|\#)([^"')]+)""",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Failure:
    """An error in a notebook."""

    notebook: str
    cell: int
    """Number of the code cell in the notebook, from 1: JupyterLab's `[n]` after running all."""
    source_line: str
    error: str
    message: str

    def __str__(self) -> str:
        """Return all of it on one line."""
        what = f"{self.error}: {first_line(self.message)}"
        return f"{self.notebook}, code cell {self.cell} (`{self.source_line}`): {what}"


@dataclass(frozen=True)
class ReportFacts:
    """What the page says about the report as a whole."""

    corpus: str
    title: str
    is_embedded: bool
    profile: str
    parameters: Mapping[str, object]
    records: Sequence[Mapping[str, Any]]
    failures: Sequence[Failure]
    durations_s: Mapping[str, float]
    runs: Sequence[Mapping[str, Any]]
    """Every stored run: `path` below the folder of all reports, `date`, `minutes`, `commit`."""
    provenance: Mapping[str, object]

    @property
    def sentence(self) -> str:
        """One sentence that says what was run, counted from the published records."""
        if not self.records:
            return f"{_count(len(self.durations_s), 'notebook')} run on {self.title}."
        studies = {one["study"] for one in self.records if not one.get("is_ours")}
        models = {(one["study"], one["model"]) for one in self.records}
        ours = {(one["study"], one["model"]) for one in self.records if one.get("is_ours")}
        n_clips = max(one["n_clips"] for one in self.records)
        n_speakers = max(one["n_speakers"] for one in self.records)
        return (
            f"{_count(len(studies), 'published study', 'published studies')}, "
            f"{_count(len(models), 'model')}{f' ({len(ours)} of them ours)' if ours else ''}, "
            f"each run on up to {_count(n_clips, 'clip')} by {_count(n_speakers, 'speaker')}."
        )


def render_report(executed: Mapping[str, NotebookNode], facts: ReportFacts) -> str:
    """Lay executed notebooks, by name in reading order, out as a page of HTML.

    Raises ReportError if an output would load something from outside the page.
    """
    chapters = [build_chapter(name, one, tuple(executed)) for name, one in executed.items()]
    theme = Environment(
        loader=FileSystemLoader(THEME_DIR),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    theme.filters |= {"duration": duration_text, "slug": _slug}
    glossary = yaml.safe_load((THEME_DIR / "glossary.yml").read_text(encoding="utf-8"))
    page = theme.get_template("report.html.j2").render(
        facts=facts,
        chapters=chapters,
        failed_text=_count(len({one.notebook for one in facts.failures}), "notebook") + " failed",
        css=Markup((THEME_DIR / "report.css").read_text(encoding="utf-8")),
        javascript=Markup(
            "".join(
                (THEME_DIR / f"{one}.js").read_text(encoding="utf-8") for one in ("report", "sort")
            )
        ),
        n_top=N_TOP_FINDINGS,
        glossary=glossary,
    )
    page = _bind_numbers(_link_terms(_renumber(page), glossary))
    _check_self_contained(page)
    return page


def summary_of(page: str) -> tuple[str, bytes]:
    """Write the first page of a report as Markdown, for a pull request or slides.

    Its figure, which the text calls `summary.svg`, is the second value; empty where it has none.
    """
    drawing = b""
    start = page.index('<section id="summary"')
    summary = BeautifulSoup(page[start : page.index("</section>", start)], "html.parser")
    lines = [f"# {summary.h1.get_text()}"] if summary.h1 else []
    for part in summary.select(
        ".ser-lead, .ser-demo > p, .ser-answers > div, .ser-cells tr, figure img, figcaption"
    ):
        source = str(part.get("src", ""))
        if source.startswith("data:image/svg") and not drawing:
            drawing = b64decode(source.partition(",")[2])
            lines.append(f"![{part['alt']}](summary.svg)")
        for link in part.select(".ser-csv, .ser-svg, .ser-runs, .ser-how"):
            link.decompose()
        cells = part.find_all(["dt", "dd", "th", "td"])
        texts = [" ".join(one.get_text().split()) for one in cells]
        if part.name == "tr":
            lines.append(f"| {' | '.join(texts)} |")
            lines += ["|" + " --- |" * len(texts)] if part.find("th") else []
        else:
            words = f"**{texts[0]}** {texts[1]}" if texts else " ".join(part.get_text().split())
            lines += ["", words, ""]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).replace("\xa0", " ") + "\n"
    return text, drawing


def _renumber(page: str) -> str:
    """Give figures and tables numbers in reading order, each kind its own, and fill their links."""
    counts: Counter[str] = Counter()
    numbers: dict[str, str] = {}
    anchor = ""

    def name(match: re.Match[str]) -> str:
        nonlocal anchor
        kind, given = match.groups()
        if kind:
            counts[kind] += 1
            anchor = given or f"{kind}-{counts[kind]}"
            numbers[anchor] = f"{kind.capitalize()} {counts[kind]}"
            return f'<figure class="ser-{kind}" id="{anchor}">'
        if match[0].startswith("download"):
            return f'download="{anchor}'
        if match[0].startswith("aria"):
            # A region that can be scrolled has a name of its own.
            return f'aria-label="{numbers[anchor]}' if anchor else match[0]
        return f'<a class="ser-number" href="#{anchor}">{numbers[anchor]}.</a>'

    def refer(match: re.Match[str]) -> str:
        if match[1] not in numbers:
            raise ReportError(f"text refers to '{match[1]}'; no figure or table has this name")
        return f'<a href="#{match[1]}">{numbers[match[1]]}</a>'

    return REFERENCE.sub(refer, NAMED.sub(name, page))


def _link_terms(page: str, glossary: Mapping[str, str]) -> str:
    """Let each word of the glossary lead to it, wherever it is used."""
    words = "|".join(re.escape(one) for one in sorted(glossary, key=len, reverse=True))
    term = re.compile(rf"(?<![\w-])({words})(?![\w-])")

    def link(match: re.Match[str]) -> str:
        return f'<a class="ser-term" href="#term-{_slug(match[1])}">{match[1]}</a>'

    parts = UNLINKED.split(page)
    # Text, then what is left alone and the name of its tag.
    texts = [term.sub(link, one) for one in parts[::3]]
    return "".join(map("".join, zip(texts, [*parts[1::3], ""], strict=True)))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _bind_numbers(page: str) -> str:
    """Keep percent signs and intervals on one line; not in code, which may be copied."""
    parts = VERBATIM.split(page)
    bound = [INTERVAL_COMMA.sub("\\1\xa0", part) for part in parts[::2]]
    parts[::2] = [re.sub(r"(?<=\d) %(?!\w)", "\xa0%", part) for part in bound]
    return "".join(parts)


def _check_self_contained(page: str) -> None:
    # What code and streams merely show is escaped, or, like `url(`, means nothing there.
    active = re.sub(r"<pre\b.*?</pre>", "", page, flags=re.DOTALL)
    found = sorted({first_line(next(filter(None, one))) for one in LOADED.findall(active)})
    if found:
        raise ReportError(
            f"the report would load {_count(len(found), 'thing')} from outside:{offenders(found)}\n"
            "Embed them in the notebook: `show` and `play` do."
        )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def build_chapter(name: str, notebook: NotebookNode, siblings: tuple[str, ...]) -> Chapter:
    """Turn one executed notebook into a chapter: first heading, first paragraph, the rest."""
    chapter = Chapter(name, siblings)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            chapter.add_markdown(cell)
        elif cell.cell_type == "code":
            chapter.add_code(cell)
            chapter.n_failures += len(error_outputs(cell))
    chapter.flush()
    chapter.lead.sort(key=lambda one: "ser-table" in one)
    if chapter.runs:
        link = f'CSV</a> <a class="ser-runs" href="#{name}--runs">runs</a>'
        for blocks in (chapter.summary, chapter.lead, *(one.blocks for one in chapter.sections)):
            blocks[:] = [Markup(str(one).replace("CSV</a>", link)) for one in blocks]
    return chapter


@dataclass
class Section:
    """What stands below one heading of a chapter, folded away."""

    anchor: str
    title: str
    blocks: list[str] = field(default_factory=list)

    @property
    def body(self) -> Markup:
        """All of it as HTML."""
        return Markup("\n".join(self.blocks))

    @property
    def contents(self) -> str:
        """How many figures and tables are in it, in words."""
        counts = ((_count(self.body.count(f'"ser-{one}"'), one)) for one in ("figure", "table"))
        return ", ".join(one for one in counts if not one.startswith("0 "))

    @property
    def is_open(self) -> bool:
        """Whether it is not to be folded away: it says what may be wrong, or a cell failed."""
        return self.title == CAVEATS or 'class="ser-error"' in self.body


@dataclass
class Chapter:
    """One notebook, filled cell by cell; cells without output share one fold.

    `name` prefixes all anchors; links to `siblings`, the notebooks of the page, stay within it.
    """

    name: str
    siblings: tuple[str, ...]
    title: str = ""
    sections: list[Section] = field(default_factory=list)
    """The first is what stands before any heading."""
    findings: list[Markup] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    """Outputs that belong at the top of the page."""
    lead: list[str] = field(default_factory=list)
    """Outputs that belong at the top of the chapter."""
    runs: list[str] = field(default_factory=list)
    """What the notebook read of stored results, below the folder of all reports."""
    n_failures: int = 0
    code: list[str] = field(default_factory=list)
    """Of the fold that is being filled."""
    parameters: str = ""
    slugs: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Begin with what stands before the first heading."""
        self.title = self.title or self.name
        self.begin("")

    @property
    def setup(self) -> Sequence[Section]:
        """The sections that say with what the notebook was run."""
        return [one for one in self.sections if one.title == SETUP]

    @property
    def body(self) -> Sequence[Section]:
        """All other sections with a heading."""
        return [one for one in self.sections[1:] if one.title != SETUP and one.blocks]

    @property
    def blocks(self) -> list[str]:
        """What the last section holds."""
        return self.sections[-1].blocks

    def begin(self, title: str) -> None:
        """Begin a section."""
        self.sections.append(Section(self._anchor(title), title))

    def flush(self) -> None:
        """Close the fold that is being filled."""
        if self.code:
            self.blocks.append(_fold("".join(self.code)))
            self.code.clear()

    def add_markdown(self, cell: NotebookNode) -> None:
        """Add text; a second-level heading begins a section, lower ones stay one level down."""
        self.flush()
        soup = _markdown(cell.source)
        for link in soup.find_all("a", href=re.compile(r"^[^:]*\.ipynb(#.*)?$")):
            target = Path(str(link["href"]).split("#")[0]).stem
            if target in self.siblings:
                link["href"] = f"#{target}"
            else:
                link.unwrap()
        for part in soup.find_all(recursive=False):
            text = part.get_text().strip()
            if part.name == "h1":
                self.title = text
            elif part.name == "h2":
                self.begin(text)
            else:
                if part.name in ("h3", "h4", "h5"):
                    part.name, part["id"] = f"h{int(part.name[1]) + 1}", self._anchor(text)
                self.blocks.append(str(part))

    def _anchor(self, text: str) -> str:
        slug = f"{self.name}--{_slug(text)}"
        self.slugs[slug] += 1
        return slug if self.slugs[slug] == 1 else f"{slug}-{self.slugs[slug]}"

    def add_code(self, cell: NotebookNode) -> None:
        """Add a code cell as its tags say."""
        tags, is_failed = tags_of(cell), bool(error_outputs(cell))
        source = _highlighted(cell.source) if cell.source else ""
        if "parameters" in tags:
            self.parameters = cell.source
            self.flush()
            self.blocks.append(_parameters_fold(cell.source, ""))
        elif "injected-parameters" in tags:
            self.blocks[-1] = _parameters_fold(self.parameters, cell.source)
        else:
            self.code.append(source)
        if "findings" in tags and not is_failed:
            self._add_findings(cell)
            return
        outputs = Markup("").join(_outputs(cell))
        if not outputs:
            return
        self.flush()
        if "summary" in tags and not is_failed:
            self.summary.append(outputs)
            self.blocks.append(MOVED.format("summary", "on the first page"))
        elif "lead" in tags and not is_failed:
            self.lead.append(outputs)
            self.blocks.append(MOVED.format(self.name, "at the top of the chapter"))
        else:
            # The list of failures on top leads to the first one.
            first = f'<div id="{self.name}--error" class="ser-error"'
            is_first = not any(first in one.body for one in self.sections)
            self.blocks.append(str(outputs).replace(ERROR_BOX, first, int(is_first)))

    def _add_findings(self, cell: NotebookNode) -> None:
        """Keep the first sentences for the chapter's top; the others stay."""
        for output in cell.outputs:
            told = output.get("data", {}).get(FINDINGS_MIME, {})
            sentences = told.get("sentences", ())
            self.runs += told.get("runs", ())
            self.findings += [Markup(one) for one in sentences]
            self.blocks.extend(() if sentences else _output(output))
        items = Markup("").join(map(Markup("<li>{}</li>").format, self.findings[N_TOP_FINDINGS:]))
        if items:
            self.blocks.append(Markup('<ul class="ser-findings">{}</ul>').format(items))
        elif self.findings:
            self.blocks.append(MOVED.format(self.name, "at the top of the chapter"))
        self.flush()


def _highlighted(code: str) -> str:
    return str(Highlight2HTML(pygments_lexer="ipython3")(code))


def _markdown(source: str) -> BeautifulSoup:
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
    return BeautifulSoup(MarkdownWithMath(renderer=renderer).render(source), "html.parser")


def _fold(code: str, *, label: str = "Code", classes: str = "ser-code") -> str:
    return f'<details class="{classes}"><summary>{label}</summary>{code}</details>'


def _parameters_fold(declared: str, injected: str) -> str:
    """Show a parameters cell with the values of this report, those on top in one quiet line."""
    # Papermill heads its cell with a comment of its own; the line below says it better.
    lines = [line for line in injected.splitlines() if not line.startswith("#")]
    values = "".join(f"<code>{html.escape(line)}</code> " for line in lines) or "as written"
    both = declared + ("\n\n# Set for this report\n" + "\n".join(lines) if lines else "")
    label = f'Parameters of this report <span class="ser-values">{values}</span>'
    return _fold(_highlighted(both), label=label, classes="ser-code ser-parameters")


def _outputs(cell: NotebookNode) -> Iterator[Markup]:
    """Render a cell's outputs; what it wrote to stdout and stderr comes as one block."""
    text = "".join(one.text for one in cell.outputs if one.output_type == "stream")
    lines = _quiet(text)
    if lines:
        yield Markup('<pre class="ser-stream">{}</pre>').format("\n".join(lines))
    for output in cell.outputs:
        yield from _output(output)


def _quiet(text: str) -> list[str]:
    """Return the lines of a stream that say something, each as it stood at last."""
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    lines = [strip_ansi(line) for line in lines if not NOISE.search(line)]
    return lines if any(lines) else []


def _output(output: NotebookNode) -> Iterator[Markup]:
    """Render one output by the richest of its forms."""
    if output.output_type == "error":
        yield _error_box(output)
    bundle = output.get("data", {})
    if "text/html" in bundle:
        page = TABLE.sub(lambda match: _set_table(match[0]), bundle["text/html"])
        yield Markup(FIGURE.sub(lambda match: _set_figure(match[0]), page))
    elif image := next((one for one in bundle if one.startswith("image/")), None):
        content = bundle[image]
        if image == "image/svg+xml":
            content = b64encode(content.encode()).decode()
        alt = output.metadata.get(image, {}).get("alt") or output.metadata.get("alt", "")
        source = f"data:{image};base64,{''.join(content.split())}"
        figure = Markup('<figure class="ser-figure ser-plain"><img alt="{}" src="{}"></figure>')
        yield figure.format(alt, source)
    elif "text/markdown" in bundle:
        yield Markup(_markdown(bundle["text/markdown"]))
    elif "text/plain" in bundle and not {FINDINGS_MIME, RESULTS_MIME} & set(bundle):
        yield Markup('<pre class="ser-stream">{}</pre>').format(strip_ansi(bundle["text/plain"]))


def _error_box(output: NotebookNode) -> Markup:
    trace = strip_ansi("\n".join(output.traceback))
    details = Markup("<details><summary>Traceback</summary><pre>{}</pre></details>").format(trace)
    return Markup(
        f'{ERROR_BOX} role="note"><p><strong>This cell failed.</strong> '
        "<code>{}: {}</code></p>{}</div>"
    ).format(output.ename, strip_ansi(output.evalue), details if trace else "")


def _set_figure(figure: str) -> str:
    """Put a wide picture, without its caption, into a box that scrolls on narrow screens."""
    soup = BeautifulSoup(figure, "html.parser")
    if soup.select('img[src^="data:image/svg"]') and (caption := soup.find("figcaption")):
        # The page's script lets it lead to the picture, which is in the page once.
        link = {"class": "ser-svg", "download": "numbers.svg", "href": "#"}
        caption.extend([" ", soup.new_tag("a", attrs=link, string="SVG")])
    # One that has a drawing for small screens is narrow there.
    for image in soup.select("img:not(picture > img)"):
        width = str(image.get("width", ""))
        if width.isdigit() and int(width) > WIDE_PX:
            least = f"--least:{LEAST_SHARE * int(width):.0f}px"
            style = image.get("style")
            image["style"] = f"{style};{least}" if style else least
            _make_scrollable(image.wrap(soup.new_tag("div", attrs={"class": "ser-scroll"})), soup)
    return str(soup)


def _set_table(figure: str) -> str:
    """Align numbers to the right, link rows to their runs, let the keyboard scroll what is wide."""
    soup = BeautifulSoup(figure, "html.parser")
    rows = [row.find_all(["td", "th"]) for row in soup.select("tbody tr")]
    for index, column in enumerate(zip(*rows, strict=False)):
        heads = soup.select(f"thead tr > :nth-child({index + 1})")
        # Of "what | value" each row is of its own kind, however many of them are numbers.
        if len(rows[0]) == 2 and any(one.get_text().strip() == "value" for one in heads):
            continue
        texts = [cell.get_text().strip() for cell in column]
        n_numbers = sum(NUMBER.fullmatch(one) is not None for one in texts)
        # A few words among numbers are fine; a number among words stays where the words are.
        if n_numbers * 2 > len(texts) and any(re.search(r"\d", one) for one in texts):
            for cell in (*column, *heads):
                cell["class"] = [*cell.get("class", []), "ser-num"]
        # Narrow screens show a row as a block, each cell with the name of its column.
        for cell in column if heads else ():
            cell["data-label"] = heads[0].get_text().strip()
    for box in soup.select(".ser-scroll"):
        for row, run in zip(rows, str(box.attrs.pop("data-runs", "")).split(" "), strict=False):
            if run and row:
                link = soup.new_tag("a", attrs={"class": "ser-run", "href": f"#run-{run}"})
                link.extend(list(row[0].contents))
                row[0].append(link)
        _make_scrollable(box, soup)
    for table in soup.find_all("table"):
        table.attrs.pop("border", None)
    return str(soup)


def _make_scrollable(box: Tag, soup: BeautifulSoup) -> None:
    """Let the keyboard scroll a box, and name it by the caption of its figure."""
    caption = copy(soup.find("figcaption"))
    # The page has its own numbers of figures and tables; that of the notebook would be wrong.
    for one in caption.select(".ser-number, .ser-csv, .ser-svg") if caption else ():
        one.decompose()
    box["tabindex"], box["role"] = "0", "region"
    kind = "Table" if box.find("table") else "Figure"
    box["aria-label"] = f"{kind}: {caption.get_text().strip()[:120]}" if caption else kind


def first_line(text: str, *, limit: int = 160) -> str:
    """Return the first line of a text that is not blank, shortened to `limit` characters."""
    line = next((one.strip() for one in text.splitlines() if one.strip()), "")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def tags_of(cell: NotebookNode) -> tuple[str, ...]:
    """Return a cell's tags."""
    return tuple(cell.metadata.get("tags", ()))


def error_outputs(cell: NotebookNode) -> list[NotebookNode]:
    """Return a code cell's outputs that are errors."""
    return [one for one in cell.get("outputs", ()) if one.output_type == "error"]
