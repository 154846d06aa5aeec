"""Figures of the evaluation: labels, limits, order and number of marks; never pixels."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from ser_lib.plots import HONEST_COLOUR
from support import evaluation_figures

mpl.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    mpl.pyplot.close("all")


def ladder(published):
    row = {"name": "m", "published": published, "leaking": 0.9, "leaking_low": 0.8,
           "leaking_high": 0.95, "honest": 0.5, "honest_low": 0.4, "honest_high": 0.6,
           "chance": 0.2}  # fmt: skip
    return pd.DataFrame([row])


def test_the_ladder_draws_the_authors_figure_only_where_there_is_one():
    with_figure = evaluation_figures.plot_ladder(
        ladder(0.87).assign(people_low=0.6, people_high=0.7)
    )
    without = evaluation_figures.plot_ladder(ladder(np.nan))
    names = [[t.get_text() for t in ax.get_legend().get_texts()] for ax in (with_figure, without)]
    assert "the authors'" in names[0]
    assert "the authors'" not in names[1]
    assert "listeners" in [t.get_text() for t in with_figure.texts]
    assert "listeners" not in [t.get_text() for t in without.texts]


def test_listeners_stand_only_behind_rows_whose_task_they_had():
    rows = pd.concat([ladder(0.8), ladder(0.8)], ignore_index=True)
    ax = evaluation_figures.plot_ladder(
        rows.assign(people_low=[np.nan, 0.6], people_high=[np.nan, 0.7])
    )
    (band,) = ax.patches
    assert band.get_y() + band.get_height() / 2 == pytest.approx(1)
    assert band.get_x() == pytest.approx(60)


def test_each_system_has_its_speakers_from_the_lowest():
    speakers = ["demo-03", "demo-01", "demo-02"]
    frame = pd.DataFrame({"a": [0.5, 0.2, np.nan], "b": [0.1, 0.3, 0.2]}, index=speakers)
    panels = evaluation_figures.plot_speakers(frame).axes
    names = [[t.get_text() for t in ax.get_xticklabels()] for ax in panels]
    assert names == [["01", "03"], ["03", "02", "01"]]
    assert list(panels[0].lines[0].get_ydata()) == [20, 50]


def test_reliability_has_the_diagonal_and_one_line_a_curve():
    curve = pd.DataFrame(
        {
            "confidence": [0.3, 0.8],
            "accuracy": [0.2, 0.6],
            "low": 0.1,
            "high": 0.7,
            "n_rows": [5, 9],
        }
    )
    ax = evaluation_figures.plot_reliability({"before": curve, "after": curve})
    names = [one.get_text() for one in ax.get_legend().get_texts()]
    assert names == ["as often as it says", "before", "after"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [20, 60])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Confidence (%)", "Accuracy (%)")


def test_coverage_has_a_band_and_a_line_a_system():
    curve = pd.DataFrame({"coverage": [0.5, 1.0], "accuracy": [0.9, 0.6], "low": 0.5, "high": 0.95})
    panels = evaluation_figures.plot_coverage({"a": curve, "b": curve, "c": curve}).axes
    assert [ax.get_visible() for ax in panels] == [True, True, True, False]
    assert (len(panels[0].lines), len(panels[0].collections)) == (1, 1)
    np.testing.assert_allclose(panels[0].lines[0].get_ydata(), [90, 60])


def test_pairs_that_are_distinguished_are_filled():
    tests = pd.DataFrame(
        {"name": ["a − b", "a − c"], "difference": 0.1, "low": -0.1, "high": 0.3,
         "is_clear": [True, False]}
    )  # fmt: skip
    ax = evaluation_figures.plot_differences(tests)
    faces = [line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "o"]
    assert faces[:2] == [HONEST_COLOUR, "white"]
    assert [one.get_text() for one in ax.get_yticklabels()] == ["a − b", "a − c"]


def test_cost_is_drawn_on_a_logarithmic_axis_with_its_front():
    costs = pd.DataFrame(
        {"name": ["b", "a"], "uar": [0.4, 0.5], "low": 0.3, "high": 0.6, "ms": [50.0, 10.0],
         "n_numbers": [3_400_000, 1200], "n_bytes": [13_600_000, 4800],
         "is_on_front": [False, True]}
    )  # fmt: skip
    score = evaluation_figures.plot_cost(costs, chance=0.125)
    time = score.figure.axes[1]
    assert time.get_xscale() == "log"
    # The best first, each with its time and its size in its own row.
    assert [one.get_text() for one in score.get_yticklabels()] == ["a", "b"]
    assert [one.get_text() for one in time.texts] == ["10 ms, 0.0 MB", "50 ms, 13.6 MB"]
    assert [list(one.get_ydata()) for one in time.lines[:2]] == [[0], [1]]
    assert score.get_ylim() == time.get_ylim()


def test_costs_have_a_plot_a_task_up_to_two():
    row = {"uar": 0.5, "low": 0.4, "high": 0.6, "ms": 9.0, "n_numbers": 10, "n_bytes": 40}
    rows = [
        row | {"task": task, "name": name, "is_on_front": name == "a", "chance": 0.125}
        for task in ("first", "second", "third")
        for name in "ab"
    ]
    figure = evaluation_figures.plot_costs(pd.DataFrame(rows))
    # Where titles stand depends on the style that is in force.
    titles = [ax.get_title() or ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["first", "", "second", ""]
