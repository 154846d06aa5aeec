"""How objects show themselves in a notebook: a few short lines, or a small table."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

T = TypeVar("T", bound=type)

# What one reads at a glance.
MAX_LINES, MAX_CHARACTERS = 10, 90


def brief(value: Any) -> str:
    """Describe a value in one short line; of tables and arrays their sizes."""
    if hasattr(value, "shape"):
        sizes = " × ".join(f"{n:,}" for n in value.shape)
        return f"{type(value).__name__}, {sizes}" if sizes else repr(value)
    if is_dataclass(value) and not isinstance(value, type):
        named = getattr(value, "name", "")
        return f"{type(value).__name__} {named}".strip()
    if isinstance(value, tuple | list) and any(map(is_dataclass, value)):
        return f"{len(value)}: {', '.join(map(brief, value[:3]))}{', …' if len(value) > 3 else ''}"
    if isinstance(value, tuple | list | Mapping) and len(value) > 3:
        return brief(f"{len(value)}: {', '.join(map(str, list(value)[:8]))}, …")
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 2]} …"


def _facts(one: Any) -> dict[str, str]:
    found = getattr(one, "_facts", None)
    facts = found() if found else {field.name: getattr(one, field.name) for field in fields(one)}
    # What is empty, or as it mostly is, takes no line.
    said = {name: brief(value) for name, value in facts.items() if not _is_empty(value)}
    return dict(list(said.items())[: MAX_LINES - 1])


def _is_empty(value: Any) -> bool:
    return value is None or value is False or (hasattr(value, "__len__") and len(value) == 0)


def _text(self: Any) -> str:
    lines = (f"  {name}: {value}" for name, value in _facts(self).items())
    return "\n".join([type(self).__name__, *lines])


def _html(self: Any) -> str:
    cell = '<td style="text-align:left">'
    rows = "".join(
        f"<tr>{cell}{html.escape(name)}</td>{cell}{html.escape(value)}</td></tr>"
        for name, value in _facts(self).items()
    )
    return f"<b>{html.escape(type(self).__name__)}</b><table>{rows}</table>"


def short(cls: T) -> T:
    """Let objects of a class, mostly a dataclass, show themselves in at most ten lines.

    What they say is the fields, or what the method `_facts` gives.
    """
    for name, function in (("__repr__", _text), ("_repr_html_", _html)):
        setattr(cls, name, function)
    return cls
