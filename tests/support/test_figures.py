"""Figures of single chapters: labels, limits, numbers of marks; never pixels."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from support import figures

mpl.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    mpl.pyplot.close("all")


@pytest.fixture
def steps():
    return pd.DataFrame(
        {
            "name": ["twice", "new"],
            **{"value": [0.9, 0.5], "low": [0.8, 0.4], "high": [0.95, 0.6]},
            **{"control": [0.7, np.nan], "control_low": 0.6, "control_high": 0.8},
            **{"permuted": [0.3, 0.125], "speaker": [1.0, 0.0], "sentence": [1.0, 1.0]},
        }
    )


def test_the_ladder_names_its_steps_and_writes_what_is_known(steps):
    ax = figures.plot_steps(steps, known=("speaker", "sentence"), chance=0.125)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["twice", "new"]
    texts = [t.get_text() for t in ax.texts]
    assert {"90", "50", "speaker", "sentence"} <= set(texts)
    assert texts.count("100 %") == 3
    assert texts.count("0 %") == 1
    assert ax.get_xlim() == (0, 100)
    assert ax.yaxis_inverted()


def test_a_step_without_control_draws_none(steps):
    with_one = len(figures.plot_steps(steps, known=("speaker",), chance=0.1).lines)
    both = figures.plot_steps(steps.assign(control=0.7), known=("speaker",), chance=0.1)
    assert len(both.lines) == with_one + 2


def test_differences_have_a_line_at_zero_and_are_grey_where_zero_is_included():
    table = pd.DataFrame(
        {"name": ["a", "b"], "value": [0.1, 0.0], "low": [0.05, -0.1], "high": [0.2, 0.1]}
    )
    ax = figures.plot_gains(table, x_label="Gain (points)")
    assert ax.get_xlabel() == "Gain (points)"
    assert [t.get_text() for t in ax.texts] == ["+10.0", "+0.0"]
    assert ax.lines[0].get_color() != ax.lines[2].get_color() == "#777777"
    unscaled = figures.plot_gains(table, x_label="r", scale=1.0)
    assert unscaled.texts[0].get_text() == "+0.10"


def test_permutations_are_one_dot_each():
    null = pd.DataFrame({"name": ["a", "a", "b"], "uar": [0.1, 0.2, 0.15]})
    ax = figures.plot_permutations(null, chance=0.125)
    assert sum(len(one.get_xdata()) for one in ax.lines[:2]) == 3


def test_a_learning_curve_has_its_numbers_of_speakers_as_ticks():
    curve = pd.DataFrame(
        {"n_speakers": [2, 4], "value": [0.3, 0.4], "low": 0.2, "high": 0.5, "spread": 0.02}
    )
    ax = figures.plot_learning_curve(curve, chance=0.125)
    assert list(ax.get_xticks()) == [2, 4]
    assert ax.get_ylim()[0] == 0


def test_a_condition_is_drawn_with_clean_and_chance():
    scores = pd.DataFrame(
        {"value": [-20.0, 10.0], "unit": "dB", "uar": [0.3, 0.5], "low": 0.2, "high": 0.6}
    )
    ax = figures.plot_condition(scores, clean=(0.6, 0.5, 0.7), chance=0.125)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["−20", "10"]
    assert (ax.get_xlabel(), ax.get_ylim()) == ("dB", (0, 100))


def test_a_plane_has_time_to_the_right_and_low_bands_below():
    ax = figures.plot_plane(np.zeros((4, 6)), 2.0, ticks=((0.5, "1000"),), limits=(-1.0, 1.0))
    assert ax.images[0].origin == "lower"
    assert ax.images[0].get_array().shape == (6, 4)
    assert ax.images[0].get_clim() == (-1.0, 1.0)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["1000"]
    assert ax.get_xlabel() == "Time (s)"


def test_profiles_have_a_line_per_emotion():
    profiles = pd.DataFrame({"sad": [0.1, 0.2], "happy": [0.3, 0.1]}, index=["low", "high"])
    ax = figures.plot_band_profiles(profiles, x_label="Band", y_label="Loss")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["sad", "happy"]


# --- transfer


def test_a_curve_of_layers_has_a_tick_a_layer_and_chance():
    curve = pd.DataFrame(
        {
            "layer": [0, 1, 2],
            "uar": [0.3, 0.6, 0.5],
            "low": [0.2, 0.5, 0.4],
            "high": [0.4, 0.7, 0.6],
        }
    )
    ax = figures.plot_layers(curve, chance=0.125)
    assert [one.get_text() for one in ax.get_xticklabels()] == ["front\nend", "1", "2"]
    heights = [list(line.get_ydata()) for line in ax.lines]
    assert heights == [[30, 60, 50], [12.5, 12.5]]
    assert ax.get_ylim() == (0, 100)


def test_normalisations_have_one_series_per_table():
    table = pd.DataFrame(
        {"name": ["nothing", "all"], "value": [0.7, 0.8], "low": [0.6, 0.7], "high": [0.8, 0.9]}
    )
    ax = figures.plot_normalisations({"a": table, "b": table})
    spans = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2]
    assert sorted(map(tuple, spans)) == [(60, 80), (60, 80), (70, 90), (70, 90)]
    assert [one.get_text() for one in ax.get_yticklabels()] == ["nothing", "all"]
    assert {one.get_text() for one in ax.get_legend().get_texts()} == {"a", "b"}


# --- corpus, pictures, ROC, predictions


def test_an_array_is_shown_with_its_lowest_band_at_the_bottom():
    ax = figures.plot_picture(np.zeros((4, 4, 1)))
    assert ax.images[0].origin == "lower"
    assert figures.plot_picture(np.zeros((4, 4, 3), np.uint8)).images[0].origin == "upper"


def test_roc_names_each_area():
    curve = pd.DataFrame({"false_positive_rate": [0, 1], "true_positive_rate": [0, 1]})
    curve.attrs["auc"] = 0.5
    ax = figures.plot_roc({"sad": curve})
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["sad  0.50"]


def test_distributions_keep_the_order_that_is_asked_for():
    values = pd.Series([1.0, 2, 3, 4])
    groups = pd.Series(["sad", "happy", "sad", "happy"])
    ax = figures.plot_distribution(values, groups, ["happy", "sad"], label="level (dB)")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["happy", "sad"]
    assert ax.get_ylabel() == "level (dB)"


def test_sureness_has_a_dot_where_answers_are_right_and_a_diamond_where_they_are_sure():
    ax = figures.plot_sureness(
        pd.DataFrame({"name": ["home", "away"], "sure": [0.8, 0.7], "right": [0.79, 0.5]})
    )
    drawn = {one.get_marker(): one.get_xydata().tolist() for one in ax.lines}
    assert drawn == {"D": [[80, 0], [70, 1]], "o": [[79, 0], [50, 1]]}
    assert [one.get_text() for one in ax.get_legend().get_texts()] == ["right", "sure"]
    assert [one.get_text() for one in ax.get_yticklabels()] == ["home", "away"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
