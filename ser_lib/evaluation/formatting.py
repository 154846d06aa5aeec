"""Numbers as text: percent, points, scores with intervals, lists; and the report's mime types.

It loads no tables, so that everything may write its numbers with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ser_lib.errors import StudyError

if TYPE_CHECKING:
    from ser_lib.evaluation.metrics import Score


# In place of an interval, see `bootstrap.MIN_SPEAKERS`.
TOO_FEW = "too few speakers"


def pct(share: float, *, digits: int = 1) -> str:
    """Write a share in [0, 1] as percent.

    >>> pct(0.625), pct(float("nan"))
    ('62.5 %', '–')
    """
    return "–" if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def points(difference: float) -> str:
    """Write a difference of shares as signed percentage points.

    >>> points(-0.413), points(-0.0001), points(float("nan"))
    ('−41.3', '+0.0', '–')
    """
    if math.isnan(difference):
        return "–"
    # No negative zero.
    return f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", "−")


def points_text(interval: Iterable[float]) -> str:
    """Write a difference of shares with the ends of its interval, in signed percentage points.

    >>> points_text((0.05, -0.01, 0.11))
    '+5.0 [−1.0, +11.0]'
    """
    value, low, high = interval
    if math.isnan(low):
        return f"{points(value)} [{TOO_FEW}]"
    return f"{points(value)} [{points(low)}, {points(high)}]"


def change(difference: float) -> str:
    """Write by how many percentage points something falls or rises.

    >>> change(-0.413), change(0.02), change(0.0)
    ('falls by 41.3 points', 'rises by 2.0 points', 'stays the same')
    """
    size = f"{abs(100 * difference):.1f}"
    if size == "0.0":
        return "stays the same"
    return f"{'falls' if difference < 0 else 'rises'} by {size} points"


def pick(values: Sequence[str], wanted: str | int, *, what: str) -> str:
    """Return one of several values, by name or position; StudyError lists them if it is none."""
    values = list(values)
    if isinstance(wanted, int) and 0 <= wanted < len(values):
        return values[wanted]
    if wanted in values:
        return str(wanted)
    raise StudyError(f"no {what} {wanted!r}; there are {len(values)}: {', '.join(values)}")


def score_text(score: Score, metric: str = "uar") -> str:
    """Write a score with its 95 % interval, as `share_text` does, or why it has none."""
    text = share_text(tuple(getattr(score, metric + end) for end in ("", "_low", "_high")))
    return text.replace(TOO_FEW, no_interval(score.n_speakers))


def no_interval(n_speakers: int) -> str:
    """Say why a score has no interval, see `bootstrap.MIN_SPEAKERS`."""
    return f"{n_speakers} speakers: no interval"


def share_text(interval: tuple[float, float, float]) -> str:
    """Write a share with the ends of its interval.

    >>> share_text((0.5, 0.4, 0.6))
    '50.0 % [40.0, 60.0]'
    >>> share_text((0.5, float("nan"), float("nan")))
    '50.0 % [too few speakers]'
    """
    value, low, high = (100 * one for one in interval)
    if math.isnan(low):
        return f"{value:.1f} % [{TOO_FEW}]"
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"


def duration_text(seconds: float) -> str:
    """Write a duration in seconds, from a minute on in minutes as well.

    >>> duration_text(26.24), duration_text(92)
    ('26.2 s', '1 min 32 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def joined(words: Sequence[str]) -> str:
    """Write a list as English does; of nothing, "none".

    >>> joined(["sad", "angry", "calm"]), joined(["sad"]), joined([])
    ('sad, angry and calm', 'sad', 'none')
    """
    *first, last = list(words) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


# Mime types by which notebooks hand data to the report, in addition to what they show.
FINDINGS_MIME = "application/vnd.ser.findings+json"
"""`{"sentences": [html, ...], "claims": [...]}`: what a notebook learned, on which comparisons."""
RESULTS_MIME = "application/vnd.ser.results+json"
"""`{"records": [...]}`: records of `results.json`."""
