"""Regions and timelines as TextGrid, the form in which Praat and ELAN read annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ser_lib.inference.streaming import Window

Interval = tuple[float, float, str]


def textgrid(duration_s: float, tiers: Mapping[str, Iterable[Interval]]) -> str:
    """Write intervals that do not overlap, tier by tier, as the text of a TextGrid.

    >>> print(textgrid(2.0, {"marks": [(0.5, 2.0, "ah")]}).splitlines()[-1])
    text = "ah"
    """
    span = _span(0, duration_s)
    text = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n{span}tiers? <exists>\n'
    text += f"size = {len(tiers)}\nitem []:\n"
    for number, (name, intervals) in enumerate(tiers.items(), start=1):
        whole = _without_gaps(duration_s, sorted(intervals))
        text += f'item [{number}]:\nclass = "IntervalTier"\nname = {_quoted(name)}\n{span}'
        text += f"intervals: size = {len(whole)}\n"
        for place, (start_s, end_s, said) in enumerate(whole, start=1):
            text += f"intervals [{place}]:\n{_span(start_s, end_s)}text = {_quoted(said)}\n"
    return text


def _span(start_s: float, end_s: float) -> str:
    return f"xmin = {start_s}\nxmax = {end_s}\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _without_gaps(duration_s: float, intervals: list[Interval]) -> list[Interval]:
    """Fill what lies between intervals with empty ones: a tier covers all of the time."""
    edges_s = [0.0, *(edge_s for one in intervals for edge_s in one[:2]), duration_s]
    gaps = [
        (end_s, start_s, "") for end_s, start_s in zip(edges_s[::2], edges_s[1::2], strict=True)
    ]
    return sorted(one for one in (*intervals, *gaps) if one[1] > one[0])


def window_intervals(windows: Iterable[Window]) -> list[Interval]:
    """Give each window's prediction the time until the next begins, the last until its end."""
    windows = list(windows)
    ends_s = [one.start_s for one in windows[1:]] + [one.end_s for one in windows[-1:]]
    return [
        (one.start_s, end_s, one.prediction.emotion)
        for one, end_s in zip(windows, ends_s, strict=True)
    ]
