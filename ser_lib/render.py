"""From executed notebooks to one self-contained HTML page.

nbconvert turns Markdown and code into HTML; this module arranges it: a notebook becomes a chapter,
its findings move to the chapter's top, cells tagged `summary` move to the page's top, code folds
away, figures and tables are numbered through the page. The looks live in `report_theme/`.
Nothing here runs a notebook or writes a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbformat import NotebookNode

from ser_lib.chapters import Chapter, Failure, build_chapter, first_line
from ser_lib.errors import ReportError, offenders

__all__ = ["ReportFacts", "render_report"]

THEME_DIR = Path(__file__).parent / "report_theme"

# What a phone shows on its first screen, below one sentence and one figure.
N_HEADLINE_FINDINGS = 3

# Anything in these places is fetched when the page opens. Links for readers are not.
LOADED = re.compile(
    r"""<(?:img|audio|video|source|script|iframe|embed|track|input)\b[^>]*?\ssrc\s*=\s*["']?"""
    r"""(?!data:)([^"'\s>]+)|<link\b[^>]*?\shref\s*=\s*["']?(?!data:)([^"'\s>]+)|"""
    r"""@import\s+(?:url\()?["']?([^"')\s;]+)|[:\s,]url\(["']?(?!data:|\#)([^"')]+)""",
    re.IGNORECASE,
)

NUMBERED = re.compile(r'<span class="ser-number">(\w+)[^<]*</span>')

# A number with its sign (2212 is the minus sign), and the comma within an interval of two.
SIGNED = r"[-+\u2212]?\d[\d.,]*(?:[ \xa0]%)?"
INTERVAL_COMMA = re.compile(rf"(\[{SIGNED},) (?={SIGNED}\])")

# What is to be shown or run as it was written.
VERBATIM = re.compile(r"(<(?:pre|code|style|script)\b.*?</(?:pre|code|style|script)>)", re.DOTALL)


@dataclass(frozen=True)
class ReportFacts:
    """What the page says about the report as a whole."""

    corpus: str
    title: str
    is_embedded: bool
    profile: str
    parameters: Mapping[str, object]
    records: Sequence[Mapping[str, object]]
    failures: Sequence[Failure]
    durations_s: Mapping[str, float]
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


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def render_report(executed: Mapping[str, NotebookNode], facts: ReportFacts) -> str:
    """Arrange executed notebooks into the page.

    Parameters
    ----------
    executed : mapping
        Notebooks by name, in reading order; one that failed counts as far as it came.
    facts : ReportFacts
        What the page says about the whole.

    Returns
    -------
    str
        HTML that loads nothing: styles, scripts, figures and sounds are inside.

    Raises
    ------
    ReportError
        If an output would load something from outside the page.
    """
    chapters = [build_chapter(name, one, tuple(executed)) for name, one in executed.items()]
    theme = Environment(
        loader=FileSystemLoader(THEME_DIR),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    theme.filters["duration"] = _duration
    page = theme.get_template("report.html.j2").render(
        facts=facts,
        chapters=chapters,
        failed_text=_count(len({one.notebook for one in facts.failures}), "notebook") + " failed",
        css=_theme_file("report.css"),
        javascript=_theme_file("report.js"),
        **_summary_of(chapters),
    )
    page = _bind_numbers(_renumber(page))
    _check_self_contained(page)
    return page


def _theme_file(name: str) -> Markup:
    return Markup((THEME_DIR / name).read_text(encoding="utf-8"))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _summary_of(chapters: Sequence[Chapter]) -> dict[str, object]:
    """Divide what stands at the top of the page: a figure, some findings, the rest of both."""
    outputs = [one for chapter in chapters for one in chapter.summary]
    figures = [one for one in outputs if 'class="ser-figure"' in one][:1]
    # The notebook that sums up speaks first; without one, the last that found anything.
    heads = [one for one in chapters if one.summary and one.findings]
    heads += [one for one in reversed(chapters) if one.findings]
    head = heads[0] if heads else None
    shown = head.findings[:N_HEADLINE_FINDINGS] if head else ()
    groups = [
        (one, one.findings[len(shown) :] if one is head else one.findings) for one in chapters
    ]
    return {
        "headline_figure": figures[0] if figures else None,
        "headline_findings": shown,
        "summary_outputs": [one for one in outputs if one not in figures],
        "finding_groups": [(one, sentences) for one, sentences in groups if sentences],
    }


def _renumber(page: str) -> str:
    """Give figures, and apart from them tables, numbers through the page in reading order."""
    counts: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        kind = match[1]
        counts[kind] = counts.get(kind, 0) + 1
        anchor = f"{kind.lower()}-{counts[kind]}"
        return f'<span class="ser-number" id="{anchor}">{kind} {counts[kind]}.</span>'

    return NUMBERED.sub(number, page)


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
