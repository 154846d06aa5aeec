"""What the applications show as HTML, filled in from `theme/`, where every text is escaped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ser_lib.data.labels import colour_of
from ser_lib.evaluation.formatting import pct

THEME_DIR = Path(__file__).with_name("theme")
_theme = Environment(
    loader=FileSystemLoader(THEME_DIR),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_theme.filters |= {"percent": partial(pct, digits=0), "colour": colour_of}


def part_of(template: str, name: str) -> Callable[..., str]:
    """Return a part, a macro, of a template; called with its arguments it returns HTML."""
    return getattr(_theme.get_template(f"{template}.html.j2").module, name)
