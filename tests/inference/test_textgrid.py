"""TextGrids cover all of the time, in intervals that do not overlap, and keep what was written."""

from __future__ import annotations

import re

import pytest

from ser_lib.inference.prediction import Prediction
from ser_lib.inference.streaming import Window
from ser_lib.inference.textgrid import textgrid, window_intervals


def intervals_of(text: str) -> list[tuple[float, float, str]]:
    pattern = r'intervals \[\d+\]:\s+xmin = (\S+)\s+xmax = (\S+)\s+text = "((?:[^"]|"")*)"'
    return [(float(a), float(b), c.replace('""', '"')) for a, b, c in re.findall(pattern, text)]


def test_gaps_are_filled_and_quotes_doubled():
    text = textgrid(2.0, {"marks": [(1.0, 1.5, 'a "b"'), (0.0, 0.5, "c")]})
    expected = [(0.0, 0.5, "c"), (0.5, 1.0, ""), (1.0, 1.5, 'a "b"'), (1.5, 2.0, "")]
    assert intervals_of(text) == expected
    assert "intervals: size = 4" in text


def test_a_tier_without_intervals_is_one_empty_interval():
    assert intervals_of(textgrid(1.5, {"marks": []})) == [(0.0, 1.5, "")]


def test_windows_that_overlap_hold_until_the_next_begins():
    times = [(0.0, 4.0, "sad"), (2.0, 6.0, "happy"), (4.0, 7.0, "sad")]
    windows = [Window(a, b, Prediction("", text, 0.5, {}, b - a)) for a, b, text in times]
    assert window_intervals(windows) == [(0, 2, "sad"), (2, 4, "happy"), (4, 7, "sad")]
    assert window_intervals([]) == []


def test_praat_reads_it(tmp_path):
    parselmouth = pytest.importorskip("parselmouth", reason="Praat is an extra (its licence)")
    file = tmp_path / "a.TextGrid"
    file.write_text(textgrid(2.0, {"marks": [(0.5, 1.0, "ä")], "predicted": []}), encoding="utf-8")
    grid = parselmouth.read(str(file))
    assert parselmouth.praat.call(grid, "Get number of tiers") == 2
    assert parselmouth.praat.call(grid, "Get label of interval", 1, 2) == "ä"
    assert parselmouth.praat.call(grid, "Get end time of interval", 1, 2) == 1.0
