"""Regions and timelines as TextGrid, the form in which Praat and ELAN read annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from ser_lib.inference.streaming import Window

Interval = tuple[float, float, str]


def textgrid(duration_s: float, tiers: Mapping[str, Iterable[Interval]]) -> str:
    """Write intervals that do not overlap, named tier by tier, as the text of a TextGrid.

    >>> print(textgrid(2.0, {"marks": [(0.5, 1.0, "ah")]}).splitlines()[-2].strip())
    xmax = 2.0
    """
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    lines += ["xmin = 0", f"xmax = {duration_s}", "tiers? <exists>", f"size = {len(tiers)}"]
    lines.append("item []:")
    for number, (name, intervals) in enumerate(tiers.items(), start=1):
        whole = _without_gaps(duration_s, sorted(intervals))
        lines += [f"    item [{number}]:", '        class = "IntervalTier"']
        lines += [f"        name = {_quoted(name)}", "        xmin = 0"]
        lines += [f"        xmax = {duration_s}", f"        intervals: size = {len(whole)}"]
        for place, (start_s, end_s, text) in enumerate(whole, start=1):
            lines += [f"        intervals [{place}]:", f"            xmin = {start_s}"]
            lines += [f"            xmax = {end_s}", f"            text = {_quoted(text)}"]
    return "\n".join(lines) + "\n"


def _without_gaps(duration_s: float, intervals: list[Interval]) -> list[Interval]:
    """Fill what lies between intervals with empty ones: a tier covers all of the time."""
    whole: list[Interval] = []
    reached_s = 0.0
    for start_s, end_s, text in [*intervals, (duration_s, duration_s, "")]:
        if start_s > reached_s:
            whole.append((reached_s, start_s, ""))
        if end_s > start_s:
            whole.append((max(start_s, reached_s), min(end_s, duration_s), text))
        reached_s = max(reached_s, end_s)
    return whole


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def window_intervals(windows: Iterable[Window]) -> list[Interval]:
    """Give each window's prediction the time until the next begins, the last until its end."""
    windows = list(windows)
    ends_s = [later.start_s for _, later in pairwise(windows)] + [one.end_s for one in windows[-1:]]
    return [
        (one.start_s, end_s, one.prediction.emotion)
        for one, end_s in zip(windows, ends_s, strict=True)
    ]
