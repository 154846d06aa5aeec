"""Regions and timelines as TextGrid, the form in which Praat and ELAN read annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from ser_lib.inference.streaming import Window

Interval = tuple[float, float, str]
HEAD = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n{span}tiers? <exists>\nsize = {size}\n'
)
TIER = 'item [{number}]:\nclass = "IntervalTier"\nname = {name}\n{span}intervals: size = {size}\n'


def textgrid(duration_s: float, tiers: Mapping[str, Iterable[Interval]]) -> str:
    """Write intervals that do not overlap, tier by tier, as the text of a TextGrid.

    >>> print(textgrid(2.0, {"marks": [(0.5, 2.0, "ah")]}).splitlines()[-1])
    text = "ah"
    """
    text = HEAD.format(span=_span(0, duration_s), size=len(tiers)) + "item []:\n"
    for number, (name, intervals) in enumerate(tiers.items(), start=1):
        whole = _without_gaps(duration_s, sorted(intervals))
        names = {"number": number, "name": _quoted(name), "size": len(whole)}
        text += TIER.format(span=_span(0, duration_s), **names)
        for place, (start_s, end_s, said) in enumerate(whole, start=1):
            text += f"intervals [{place}]:\n{_span(start_s, end_s)}text = {_quoted(said)}\n"
    return text


def _span(start_s: float, end_s: float) -> str:
    return f"xmin = {start_s}\nxmax = {end_s}\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _without_gaps(duration_s: float, intervals: list[Interval]) -> list[Interval]:
    """Fill what lies between intervals with empty ones: a tier covers all of the time."""
    whole = []
    for (_, before_s, _), (start_s, end_s, text) in pairwise(
        [(0.0, 0.0, ""), *intervals, (duration_s, duration_s, "")]
    ):
        whole += [(before_s, start_s, ""), (start_s, end_s, text)]
    return [one for one in whole if one[1] > one[0]]


def window_intervals(windows: Iterable[Window]) -> list[Interval]:
    """Give each window's prediction the time until the next begins, the last until its end."""
    windows = list(windows)
    ends_s = [one.start_s for one in windows[1:]] + [one.end_s for one in windows[-1:]]
    return [
        (one.start_s, end_s, one.prediction.emotion)
        for one, end_s in zip(windows, ends_s, strict=True)
    ]
