"""What notebooks import: ways to show figures, tables, sounds and findings.

Everything that a notebook shows is self-contained HTML, so that JupyterLab, the report and a saved
page look alike; the report renumbers figures and tables, and moves the findings to the top.
In captions and findings, names between backticks are shown as code. Words of
`ser_lib.evaluation.formatting` and tables of `ser_lib.report.tables` are at hand here as well.
Importing this module applies the project's figure style.
"""

from __future__ import annotations

import base64
import html
import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import yaml
from IPython import get_ipython
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser_lib.data import corpus_of, get_corpus
from ser_lib.data.own import own_corpus
from ser_lib.errors import FeatureError, ReportError
from ser_lib.evaluation.formatting import FINDINGS_MIME, RESULTS_MIME
from ser_lib.evaluation.formatting import change as change
from ser_lib.evaluation.formatting import joined as joined
from ser_lib.evaluation.formatting import pct as pct
from ser_lib.evaluation.formatting import pick as pick
from ser_lib.evaluation.formatting import points as points
from ser_lib.evaluation.formatting import points_text as points_text
from ser_lib.evaluation.formatting import score_text as score_text
from ser_lib.evaluation.formatting import share_text as share_text
from ser_lib.features.extraction import extract, feature_key
from ser_lib.features.registry import FeatureSpec
from ser_lib.paths import NOTEBOOKS_DIR, keep, report_dir
from ser_lib.plots.style import STYLE_FILE
from ser_lib.report.contents import contents_of
from ser_lib.report.drawing import NUMBER, numbers_of, numeric, svg_of
from ser_lib.report.html import THEME_DIR
from ser_lib.report.profiles import REPORTED
from ser_lib.report.profiles import as_reported as as_reported
from ser_lib.report.tables import LEAKS
from ser_lib.report.tables import corpus_table as corpus_table
from ser_lib.report.tables import cost_text as cost_text
from ser_lib.report.tables import headline_table as headline_table
from ser_lib.report.tables import published_table as published_table
from ser_lib.report.tables import score_table as score_table
from ser_lib.runs.results import Results
from ser_lib.runs.store import READ
from ser_lib.runtime import is_headless
from ser_lib.runtime import progress as progress
from ser_lib.studies.study import Study

__all__ = [
    "answers",
    "as_reported",
    "change",
    "contents",
    "corpus_table",
    "cost_text",
    "exhibit",
    "findings",
    "glossary",
    "headline_table",
    "joined",
    "parameter_table",
    "pct",
    "pick",
    "picture",
    "play",
    "points",
    "points_text",
    "progress",
    "publish",
    "published_table",
    "score_table",
    "score_text",
    "share_text",
    "show",
    "study_card",
    "study_result",
    "table",
]


def __dir__() -> list[str]:
    return __all__


plt.style.use(STYLE_FILE)

_numbers: dict[str, dict[tuple[str, int], int]] = {"Figure": {}, "Table": {}}
_named: dict[str, str] = {}
_request: dict[str, tuple[str, int]] = {}


def _number(kind: str, name: str = "") -> int:
    """Return the next number; a cell that runs again gives what it shows the same ones.

    By its `name` later text refers to what is shown.
    """
    shell = get_ipython()
    parent = shell.get_parent() if hasattr(shell, "kernel") else {}
    request = parent.get("header", {}).get("msg_id", "")
    # JupyterLab names the cell; where nobody does, each run is a cell of its own.
    cell = parent.get("metadata", {}).get("cellId") or request
    last, place = _request.get(kind, ("", 0))
    place = place + 1 if last == request else 0
    _request[kind] = request, place
    known = _numbers[kind]
    number = known.setdefault((cell, place if cell else len(known)), len(known) + 1)
    _named[name] = f"{kind} {number}"
    return number


def _interrupted(shell: Any, kind: type, error: BaseException, trace: Any, **_: Any) -> None:
    """Say in one line that somebody stopped a cell."""
    line = "Interrupted. What was finished is kept: run the cell again to go on."
    shell._showtraceback(kind, error, [line])


if hasattr(get_ipython(), "kernel") and not is_headless():
    get_ipython().set_custom_exc((KeyboardInterrupt,), _interrupted)
    _html = get_ipython().display_formatter.formatters["text/html"]
    _html.for_type(pd.DataFrame, lambda frame: _returned(frame))

# The screens that the page's style calls small.
PHONE = "(max-width: 40rem)"

# Rows from which a table is shown on demand: one scrolls past it otherwise.
LONG_TABLE = 40


def show(
    drawn: Figure | Axes,
    *,
    caption: str,
    alt: str,
    name: str = "",
    narrow: Figure | Axes | None = None,
) -> None:
    """Show a figure with its number, caption, description and numbers, and close it.

    Parameters
    ----------
    drawn : Figure or Axes
        What is shown.
    caption : str
        First what to see, then how it was made (corpus, number of clips, split).
    alt : str
        What somebody would need who cannot see it: axes, trend, the one salient value.
    name : str
        By which text refers to it: `[](#name)` becomes its number.
    narrow : Figure or Axes, optional
        The same, drawn for the width of a phone, which shows it instead.

    Raises
    ------
    ReportError
        If caption or description is empty.
    """
    figure = drawn.get_figure(root=True) if isinstance(drawn, Axes) else drawn
    if figure is None or not caption.strip() or not alt.strip():
        raise ReportError("show needs a figure, and a caption and an alternative text not empty")
    numbers = numbers_of(figure)
    phone = "" if narrow is None else _drawing(narrow, attribute="srcset")
    _display_figure(
        _drawing(figure), caption=caption, alt=alt, name=name, numbers=numbers, phone=phone
    )


def _drawing(drawn: Figure | Axes, *, attribute: str = "src") -> str:
    """Return a figure as attributes of a picture, and close it."""
    figure = drawn.get_figure(root=True) if isinstance(drawn, Axes) else drawn
    assert figure is not None
    drawing = svg_of(figure)
    plt.close(figure)
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', drawing)
    assert size is not None
    # An inch has 72 points; on the page 100 pixels.
    width, height = (round(float(one) / 0.72) for one in size.groups())
    source = _source("image/svg+xml", drawing, attribute=attribute)
    return f'width="{width}" height="{height}" {source}'


def _display_figure(
    image: str,
    *,
    caption: str,
    alt: str,
    name: str = "",
    numbers: pd.DataFrame | None = None,
    phone: str = "",
) -> None:
    number = _number("Figure", name)
    picture = f'<img alt="{html.escape(alt)}" style="max-width:100%;height:auto" {image}>'
    if phone:
        picture = f'<picture><source media="{PHONE}" {phone}>{picture}</picture>'
    _display_html(
        f'<figure class="ser-figure"{_id(name)}>{picture}<figcaption><span class="ser-number">'
        f"Figure {number}.</span> {_inline(caption)}{_csv(numbers)}</figcaption></figure>"
    )


def _id(name: str) -> str:
    return f' id="{name}"' if name else ""


def _source(mime: str, data: str | bytes, *, attribute: str = "src") -> str:
    content = data.encode() if isinstance(data, str) else data
    return f'{attribute}="data:{mime};base64,{base64.b64encode(content).decode()}"'


def _csv(numbers: pd.DataFrame | None) -> str:
    """Offer numbers as a file."""
    if numbers is None or numbers.empty:
        return ""
    link = _source("text/csv", numbers.to_csv(index=False), attribute="href")
    return f' <a class="ser-csv" download="numbers.csv" {link}>CSV</a>'


def picture(path: str | Path, *, caption: str, alt: str, width_px: int) -> None:
    """Show a picture from a file, for example what an app looks like, with number and caption.

    Parameters
    ----------
    path : str or Path
        A PNG file, relative to the folder of the notebooks.
    caption, alt : str
        As for `show`.
    width_px : int
        As it is shown; narrow screens shrink it.

    Raises
    ------
    ReportError
        If there is no such file, or if caption or description is empty.
    """
    file = NOTEBOOKS_DIR / path
    if not file.is_file() or not caption.strip() or not alt.strip():
        raise ReportError(f"{path}: a picture needs a file, a caption and an alternative text")
    source = _source("image/png", file.read_bytes())
    _display_figure(f'width="{width_px}" {source}', caption=caption, alt=alt)


def table(frame: pd.DataFrame, *, caption: str, name: str = "") -> None:
    """Show a table with its number and caption; the index becomes the first columns.

    Parameters
    ----------
    frame : pandas.DataFrame
        Texts that are numbers or intervals (see `pct`, `score_text`) take columns of numbers;
        floats are shown with three digits. A column `run` is in its CSV and not shown: in the
        report each row leads to the stored run that it names.
    caption, name : str
        As for `show`.
    """
    shown = frame.reset_index() if frame.index.name or frame.index.nlevels > 1 else frame
    shown = numeric(shown)
    numbers = _csv(shown)
    runs = html.escape(" ".join(shown.pop("run").fillna("")) if "run" in shown else "")
    body = _cells(shown, float_format="{:.3f}".format) if len(shown) else "<p>None.</p>"
    body = f'<div class="ser-scroll" data-runs="{runs}">{body}</div>'
    if len(shown) > LONG_TABLE:
        rows = f"Show all {len(shown)} rows"
        body = f'<details class="ser-long"><summary>{rows}</summary>{body}</details>'
    _display_html(
        f'<figure class="ser-table"{_id(name)}><figcaption><span class="ser-number">'
        f"Table {_number('Table', name)}.</span> {_inline(caption)}{numbers}</figcaption>"
        f"{body}</figure>"
    )


def _cells(frame: pd.DataFrame, **options: Any) -> str:
    """Write a table whose rows can be sorted, without its index."""
    options |= {"index": False, "border": 0, "na_rep": "–", "classes": _classes(frame)}
    body = frame.to_html(**options)
    if is_headless():
        return body
    return body.replace("<th>", '<th tabindex="0">') + ALIGNED


def _returned(frame: pd.DataFrame) -> str:
    """Write a table that a cell returns as `table` does, at most as many rows as pandas shows."""
    if frame.columns.nlevels > 1:
        return frame._repr_html_()
    shown = frame.rename_axis(columns=None)
    if not isinstance(frame.index, pd.RangeIndex):
        names = [one or "" for one in frame.index.names]
        shown = shown.reset_index(names=names, allow_duplicates=True)
    rows = pd.get_option("display.max_rows")
    with pd.option_context("display.precision", 4):
        return _cells(shown, max_rows=rows, show_dimensions="truncate")


# The report's own style knows no JupyterLab, which sets all cells to the right.
ALIGNED = "<style>.ser-cells :is(th, td) { text-align: left !important }" + "".join(
    f".ser-right-{n} :is(th, td):nth-child({n}) {{ text-align: right !important }}"
    for n in range(1, 21)
)
ALIGNED += f"</style><script>{(THEME_DIR / 'sort.js').read_text(encoding='utf-8')}</script>"


def _classes(frame: pd.DataFrame) -> str:
    """Name the style of a table, and its columns of numbers, which stand to the right."""
    cells = {n: column.dropna().astype(str) for n, (_, column) in enumerate(frame.items(), start=1)}
    numbers = [
        f"ser-right-{n}"
        for n, texts in cells.items()
        if len(texts) and texts.str.fullmatch(rf"{NUMBER}( %)?|–").all()
    ]
    return " ".join(["ser-cells", *numbers])


def _inline(text: str) -> str:
    """Write plain text as HTML: names between backticks as code, `[](#name)` as a link."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(
        r"\[\]\(#([\w-]+)\)", lambda one: f'<a href="#{one[1]}">{_named.get(one[1], "")}</a>', text
    )


def play(clip: pd.Series, *, caption: str) -> None:
    """Offer a row of a clip table for listening; of a real corpus in a live session only."""
    is_embedded = get_corpus(clip["corpus"]).is_embedded
    if not clip["path"] or (is_headless() and not is_embedded):
        return
    path = Path(clip["path"])
    usual = {".wav": "audio/wav", ".flac": "audio/flac", ".opus": "audio/ogg"}
    mime = usual.get(path.suffix.lower()) or mimetypes.guess_type(path)[0] or ""
    label = html.escape(caption)
    _display_html(
        f'<figure class="ser-audio"><audio controls preload="none" aria-label="{label}" '
        f"{_source(mime, path.read_bytes())}></audio><figcaption>{label}</figcaption></figure>"
    )


def findings(*sentences: str, claims: Sequence[Mapping[str, object]] = ()) -> None:
    """Show what was learned: plain sentences, their numbers and verdicts filled in by code.

    The comparisons that the sentences rest on, `Results.claims`, go into `claims.json`.

    Raises
    ------
    ReportError
        If there is none.
    """
    if not sentences:
        raise ReportError("findings needs at least one sentence")
    safe = [_inline(one) for one in sentences]
    items = "".join(f"<li>{one}</li>" for one in safe)
    display(
        {
            "text/html": f'<ul class="ser-findings">{items}</ul>',
            "text/plain": "\n".join(f"- {one}" for one in sentences),
            FINDINGS_MIME: {"sentences": safe, "claims": list(claims), "runs": sorted(READ)},
        },
        raw=True,
    )


# What one reads at a glance.
MAX_ANSWER_WORDS = 25


def answers(rows: Iterable[tuple[str, str, str]]) -> None:
    """Show short answers to questions, each with a link to the table or figure of that name.

    Raises
    ------
    ReportError
        If an answer is longer than 25 words.
    """
    items = ""
    for question, answer, name in rows:
        # A percent sign is no word.
        if sum(one[0].isalnum() for one in answer.split()) > MAX_ANSWER_WORDS:
            raise ReportError(f"an answer has at most {MAX_ANSWER_WORDS} words, not: {answer}")
        items += (
            f"<div><dt>{_inline(question)}</dt><dd>{_inline(f'{answer} [](#{name})')}</dd></div>"
        )
    _display_html(f'<dl class="ser-answers">{items}</dl>')


def publish(
    results: Results,
    extras: Mapping[tuple[str, str, str], Mapping[str, object]] = MappingProxyType({}),
    *,
    further: Sequence[Mapping[str, object]] = (),
) -> None:
    """Hand results to the report, which writes them to `results.json`.

    Parameters
    ----------
    results : Results
        Of all studies.
    extras : mapping
        By study, model and corpus: what is said of an honest result beyond its score.
    further : sequence of mapping
        Records that are no result of one model under its study's protocols, marked `is_further`.
    """
    records = results.records()
    for one in records:
        if not one["is_as_published"]:
            one.update(extras.get((one["study"], one["model"], one["corpus"]), {}))
    display({"text/html": "", RESULTS_MIME: {"records": [*records, *further]}}, raw=True)


def _display_html(source: str) -> None:
    display({"text/html": source, "text/plain": "(shown as HTML)"}, raw=True)


def exhibit(clips: pd.DataFrame, spec: FeatureSpec, *, variant: str = "original") -> np.ndarray:
    """Return a small feature array for a figure, also where the audio is not there.

    What is shown of a real corpus is kept, at half precision, next to its stored runs, so that the
    report can be made again from a clone alone.

    Parameters
    ----------
    clips : pandas.DataFrame
        A few rows of a clip table, or all where the feature is a few numbers.
    spec : FeatureSpec
        What to show; nothing from which speech could be reconstructed. `variant` is as for
        `ser_lib.features.extraction.extract`.

    Returns
    -------
    ndarray, shape (n_clips, ...)

    Raises
    ------
    FeatureError
        If neither audio nor a kept array is there.
    """
    corpus = get_corpus(corpus_of(clips))
    name = f"{spec.name}-{feature_key(clips, spec, variant=variant)}.npz"
    kept = report_dir(corpus.name) / "exhibits" / name
    if clips["path"].all():
        array = extract(clips, spec, variant=variant)
        if not corpus.is_embedded and not kept.is_file():
            small = array if array.dtype == np.uint8 else array.astype(np.float16)
            keep(kept, lambda path: np.savez_compressed(path, small))
    elif not kept.is_file():
        raise FeatureError(
            f"{spec.name}: neither the audio of {corpus.name} nor {kept.name} is here; point "
            "SER_DATA at the corpora"
        )
    else:
        array = np.load(kept)["arr_0"]
    return array if array.dtype == np.uint8 else np.asarray(array, dtype=np.float32)


# Parameters that take all there is, or what is published, where they are 0.
LIMITS = ("n_seeds", "max_epochs", "side_px", "n_mels", "n_trials", "n_clips")


def parameter_table(clips: pd.DataFrame, parameters: Mapping[str, object]) -> None:
    """Show which corpus and which parameters of its own the notebook was run with."""
    card = get_corpus(corpus_of(clips))
    rows = {
        "corpus": card.title,
        "licence": card.licence,
        "clips": f"{len(clips):,}",
        "speakers": clips["speaker"].nunique(),
        "audio": "here" if clips.attrs.get("has_audio", True) else "not here: stored runs are read",
    } | dict(parameters)
    if (asked := next(map(own_corpus, REPORTED), None)) and asked.name != card.name:
        rows["requested corpus"] = (
            f"{asked.title}. It cannot be divided as this chapter does: it has too few classes, "
            "speakers or clips for that, or lacks genders or statements"
        )
    if clips.attrs.get("missing"):
        rows["corpora that are not here"] = joined(clips.attrs["missing"])
    if clips.attrs.get("by_design"):
        rows["left out by design"] = "; ".join(clips.attrs["by_design"])
    if clips.attrs.get("left_out"):
        rows["left out"] = "; ".join(clips.attrs["left_out"])
    rows |= {one: "0 (all, or as published)" for one in LIMITS if rows.get(one) == 0}
    _two_columns(rows, caption="What this notebook was run with.")


def study_card(study: Study) -> None:
    """Show where a study comes from and what is done otherwise here than in its report."""
    rows = {"source": study.source, "corpus of the authors": joined(study.corpora)}
    rows["classes"] = study.label_set.text
    rows |= {f"departure {n}": text for n, text in enumerate(study.departures, start=1)}
    caption = f"The study {study.name}, and what is done otherwise here."
    _two_columns(rows, caption=caption, name=f"card-{study.name}")


def study_result(results: Results) -> None:
    """Show what studies claim beside what is measured here, and which leak their protocol has."""
    leaking = results.protocol("published")
    sources = {
        one.study.name: f"{one.study.source.rstrip('.')}. Classes: "
        + one.study.labels_for(one.corpus).text
        for one in leaking
    }
    known = dict.fromkeys(LEAKS.get(leak, leak) for one in leaking for leak in one.leaks)
    table(
        headline_table(results).drop(columns=["honest UAR", "corpus"]),
        name=f"claims-{next(iter(sources), 'none')}",
        caption=f"What {joined(list(sources))} claim{'s' if len(sources) == 1 else ''}, and what "
        "is measured: accuracy (WA) as printed, under the authors' protocol here, and on unseen "
        "speakers. What test rows share with training under that protocol: "
        f"{joined(list(known)) or 'nothing'}. "
        + " ".join(f"`{name}`: {source}." for name, source in sources.items()),
    )


def contents() -> None:
    """Show what each chapter looks like, and how many minutes it takes."""
    # Imported here: it also builds reports.
    from ser_lib.report.build import chapter_paths

    _display_html(_cells(contents_of([one.stem for one in chapter_paths()]), escape=False))


def glossary() -> None:
    """Show the words of the report that a newcomer may not know."""
    words = yaml.safe_load((THEME_DIR / "glossary.yml").read_text(encoding="utf-8"))
    rows = pd.DataFrame({"word": list(words), "what it means": list(words.values())})
    table(rows, caption="Words of the report.")


def _two_columns(rows: Mapping[str, object], *, caption: str, name: str = "") -> None:
    frame = pd.DataFrame({"what": list(rows), "value": map(str, rows.values())})
    table(frame, caption=caption, name=name)
