"""What a notebook shows, in the forms that the report offers: a figure as SVG, its numbers as CSV.

Points, bars and cells of a matrix have numbers; spectrograms, maps and waveforms are too long for a
table, and have none.

An SVG is legible on light and on dark paper: it carries a second set of greys and blues, which a
browser takes where the reader's colour scheme is dark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

# What replaces a colour on dark paper: ink, greys, paper, and blues and greens that lie too close.
DARK = {
    "#1c1e21": "#e3e5e8",
    "#333333": "#d0d4d8",
    "#555555": "#a9b0b7",
    "#777777": "#9aa1a8",
    "#bbbbbb": "#5a6067",
    "#cccccc": "#4a5057",
    "#e6e6e6": "#32383e",
    "#eeeeee": "#2a2f34",
    "#ffffff": "#15181b",
    "#0072b2": "#3f9fdc",
    # A lighter blue than the last, the blue of cells, and the green of listeners.
    "#56b4e9": "#b3e0ff",
    "#08306b": "#6cb6ec",
    "#009e73": "#4fd6a8",
    "#00704f": "#4fd6a8",
}
SCHEME = "".join(
    f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
    for light, dark in DARK.items()
    for kind in ("fill", "stroke")
)
STYLE = f"<style>@media (prefers-color-scheme: dark) {{{SCHEME}}}</style>"

# Fonts of the same width as the one that places were computed with.
FONTS = "'DejaVu Sans', Verdana, sans-serif"
DPI_OF_IMAGES = 150

# More points than these are a signal: its numbers are in the recording.
MAX_POINTS = 1000


def svg_of(figure: Figure) -> str:
    """Draw a figure as SVG with text that can be searched, for light and dark paper."""
    drawing = io.StringIO()
    options: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.05, "transparent": True}
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ser"}):
        figure.savefig(drawing, format="svg", dpi=DPI_OF_IMAGES, metadata=metadata, **options)
    source = drawing.getvalue()
    source = re.sub(r"\s*\n\s*", "\n", source[source.index("<svg") :])
    source = re.sub(r"'DejaVu Sans'[^;\"]*", FONTS, source)
    return source.replace("<defs>", f"{STYLE}<defs>", 1)


def numbers_of(figure: Figure) -> pd.DataFrame:
    """Return what a figure shows, with names where an axis has names.

    Points are `panel, series, x, y`, the cells of confusion matrices `panel, truth, prediction,
    count, share`.
    """
    titled = [
        (ax.get_title(loc="left") or ax.get_title() or str(number), ax)
        for number, ax in enumerate(figure.axes, start=1)
    ]
    names = {axis: _names_on(axis) for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)}
    cells = [
        (title, names[ax.yaxis](y), names[ax.xaxis](x), count, count / max(row.sum(), 1))
        for title, ax in titled
        for mesh in ax.collections
        if isinstance(mesh, QuadMesh)
        for y, row in enumerate(np.asarray(mesh.get_array()))
        for x, count in enumerate(row)
    ]
    if cells:
        columns = ["panel", "truth", "prediction", "count", "share"]
        return pd.DataFrame(cells, columns=columns).round(4)
    rows = [
        (title, series, names[ax.xaxis](x), names[ax.yaxis](y))
        for title, ax in titled
        for series, points in _series_of(ax)
        for x, y in points[: MAX_POINTS + 1]
        if len(points) <= MAX_POINTS
    ]
    return pd.DataFrame(rows, columns=["panel", "series", "x", "y"])


def _series_of(ax: Axes) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what is drawn, with its name in the legend: lines, bars, dots and intervals."""
    named = {_look(one): str(one.get_label()) for one in ax.lines if _is_named(one)}
    for line in ax.lines:
        name = str(line.get_label()) if _is_named(line) else named.get(_look(line), "")
        yield name, np.column_stack([line.get_xdata(), line.get_ydata()])
    for bar in ax.patches:
        if isinstance(bar, Rectangle):
            ends = (bar.get_x() + bar.get_width(), bar.get_y() + bar.get_height())
            middle = (bar.get_x() + bar.get_width() / 2, bar.get_y() + bar.get_height() / 2)
            is_flat = bar.get_width() > bar.get_height()
            point = (ends[0], middle[1]) if is_flat else (middle[0], ends[1])
            yield str(bar.get_label()), np.array([point])
    for one in ax.collections:
        name = str(one.get_label()) if _is_named(one) else ""
        if isinstance(one, LineCollection):
            # An interval that is none has no points.
            parts = [part.reshape(-1, 2) for part in one.get_segments()]
            yield name, np.concatenate([*parts, np.empty((0, 2))])
        elif isinstance(one, PathCollection):
            yield name, np.asarray(one.get_offsets())


def _is_named(drawn: Artist) -> bool:
    """Whether it has a name of its own, and not one that matplotlib counted for it."""
    return not str(drawn.get_label()).startswith("_")


def _look(line: Line2D) -> tuple[str, str]:
    """Return marker and colour, by which a line is found in the legend."""
    return str(line.get_marker()), to_hex(line.get_color())


def _names_on(axis: Axis) -> Callable[[float], str]:
    """Return how a place on an axis is written: as the nearest tick where ticks have names."""
    texts = [" ".join(one.get_text().split()) for one in axis.get_ticklabels()]
    places = np.asarray(axis.get_ticklocs(), dtype=float)
    has_names = any(re.search("[a-z]{2}", one) for one in texts) and len(texts) == len(places)

    def name(value: float) -> str:
        if has_names:
            nearest = np.abs(places - value).argmin()
            if abs(places[nearest] - value) < 0.5:
                return texts[nearest]
        return f"{value:.6g}"

    return name


NUMBER = r"[+\u2212-]?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?"
INTERVAL = rf"^({NUMBER})( %)?(?: \[({NUMBER})(?: %)?, ({NUMBER})(?: %)?\])?$"
EMPTY = ("", "\u2013", "nan")


def numeric(frame: pd.DataFrame) -> pd.DataFrame:
    """Give numbers columns of their own, units in the heads: "61.0 % [55.1, 67.0]" takes three.

    >>> numeric(pd.DataFrame({"UAR [95 %]": ["61.0 % [55.1, 67.0]"], "p": ["0.013"]}))
      UAR, %   low  high      p
    0   61.0  55.1  67.0  0.013
    """
    parts = {name: _numbers_in(column) for name, column in frame.items()}
    n_intervals = sum(one is not None and 2 in one for one in parts.values())
    columns: dict[Any, Any] = {}
    for name, column in frame.items():
        numbers = parts[name]
        if numbers is None:
            columns[name] = column
            continue
        title = str(name).removesuffix(" [95 %]")
        is_bare = numbers[1].isna().all() or "%" in title
        columns[title if is_bare else f"{title}, %"] = numbers[0]
        for place, end in ((2, "low"), (3, "high")):
            if place in numbers:
                columns[end if n_intervals == 1 else f"{title} {end}"] = numbers[place]
    return pd.DataFrame(columns, index=frame.index)


def _numbers_in(column: pd.Series) -> pd.DataFrame | None:
    """Split texts into number, percent sign and ends of an interval; None of other texts."""
    if not pd.api.types.is_object_dtype(column) and not pd.api.types.is_string_dtype(column):
        return None
    texts = column.astype(str).str.replace("\xa0", " ")
    said = texts[~texts.isin(EMPTY)]
    parts = said.str.extract(INTERVAL)
    if not len(said) or parts[0].isna().any() or parts[1].notna().nunique() > 1:
        return None
    parts = parts if parts[2].notna().any() else parts[[0, 1]]
    return parts.apply(lambda one: one.str.replace("\u2212", "-")).reindex(column.index)
