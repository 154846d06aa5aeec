"""Figures: labels, limits, order and number of marks; never pixels."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from ser_lib import plots
from ser_lib.data.labels import EMOTIONS

mpl.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    mpl.pyplot.close("all")


def test_class_balance_labels_every_emotion_with_its_total():
    counts = pd.DataFrame({"female": [3, 5], "male": [4, 1]}, index=["neutral", "angry"])
    ax = plots.plot_class_balance(counts)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["neutral", "angry"]
    texts = {t.get_text() for t in ax.texts}
    assert {"7", "6"} <= texts
    assert ax.get_ylabel() == "Clips"


def test_confusion_shows_the_share_and_the_count_of_each_cell():
    ax = plots.plot_confusion(np.array([[3, 1], [0, 4]]), ["happy", "sad"])
    texts = [t.get_text() for t in ax.texts]
    assert texts == ["75 %", "3", "25 %", "1", "100 %", "4"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Predicted", "Acted")


def test_confusion_of_a_class_without_rows_draws_no_nan():
    ax = plots.plot_confusion(np.array([[0, 0], [1, 1]]), ["happy", "sad"])
    assert not any("nan" in t.get_text() for t in ax.texts)


def test_log_mel_labels_bands_in_hertz_at_their_place():
    level_db = np.zeros((64, 10)) - 40
    ax = plots.plot_log_mel(level_db, 2.0, f_max_hz=8000)
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert labels == ["250", "500", "1000", "2000", "4000", "8000"]
    assert ax.get_xlabel() == "Time (s)"
    assert list(ax.get_yticks()) == sorted(ax.get_yticks())
    assert ax.get_xlim() == (0, 2.0)


def test_an_array_is_shown_with_its_lowest_band_at_the_bottom():
    ax = plots.plot_picture(np.zeros((4, 4, 1)))
    assert ax.images[0].origin == "lower"
    assert plots.plot_picture(np.zeros((4, 4, 3), np.uint8)).images[0].origin == "upper"


def test_learning_curves_have_two_lines_a_curve_and_accuracy_up_to_one():
    epochs = pd.DataFrame({"epoch": [1, 2], "accuracy": [0.1, 0.4], "val_accuracy": [0.2, 0.3]})
    history = pd.concat([epochs.assign(curve="a"), epochs.assign(curve="b")])
    ax = plots.plot_history(history, quantity="accuracy")
    assert len(ax.lines) == 4
    assert ax.get_ylim() == (0, 1)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["training", "validation"]


def test_roc_names_each_area():
    curve = pd.DataFrame({"false_positive_rate": [0, 1], "true_positive_rate": [0, 1]})
    curve.attrs["auc"] = 0.5
    ax = plots.plot_roc({"sad": curve})
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["sad  0.50"]


def test_scores_draw_an_interval_and_chance_for_every_row():
    scores = pd.DataFrame(
        {"name": ["a", "b"], "value": [0.5, 0.4], "low": [0.4, 0.3], "high": [0.6, 0.5],
         "colour": ["#000000", "#000000"]}
    )  # fmt: skip
    ax = plots.plot_scores(scores, chance=0.125)
    spans = sorted(tuple(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2)
    assert any(np.allclose(span, (12.5, 12.5)) for span in spans)
    assert any(np.allclose(span, (40, 60)) for span in spans)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_xlim()[0] == 0


def ladder(published):
    row = {"name": "m", "published": published, "leaking": 0.9, "leaking_low": 0.8,
           "leaking_high": 0.95, "honest": 0.5, "honest_low": 0.4, "honest_high": 0.6,
           "chance": 0.2}  # fmt: skip
    return pd.DataFrame([row])


def test_the_ladder_draws_the_authors_figure_only_where_there_is_one():
    with_figure = plots.plot_ladder(ladder(0.87).assign(people_low=0.6, people_high=0.7))
    without = plots.plot_ladder(ladder(np.nan))
    names = [[t.get_text() for t in ax.get_legend().get_texts()] for ax in (with_figure, without)]
    assert "the authors'" in names[0]
    assert "the authors'" not in names[1]
    assert "listeners" in [t.get_text() for t in with_figure.texts]
    assert "listeners" not in [t.get_text() for t in without.texts]


def test_distributions_keep_the_order_that_is_asked_for():
    values = pd.Series([1.0, 2, 3, 4])
    groups = pd.Series(["sad", "happy", "sad", "happy"])
    ax = plots.plot_distribution(values, groups, ["happy", "sad"], label="level (dB)")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["happy", "sad"]
    assert ax.get_ylabel() == "level (dB)"


def test_recalls_draw_one_bar_a_class_and_result():
    table = pd.DataFrame({"recall": [0.1, 0.2, 0.3]}, index=list(EMOTIONS[:3]))
    ax = plots.plot_recalls({"a": table, "b": table}, chance=0.125)
    assert len(ax.patches) == 6


def test_speakers_are_drawn_in_the_order_given():
    frame = pd.DataFrame({"net": [0.2, 0.5]}, index=["demo-03", "demo-01"])
    ax = plots.plot_speakers(frame)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["demo-03", "demo-01"]
    assert list(ax.lines[0].get_ydata()) == [20, 50]


def test_an_envelope_spans_its_duration():
    ax = plots.plot_envelope(np.array([[-0.5, -0.1], [0.5, 0.1]]), 3.0)
    assert ax.get_xlim() == (0, 3.0)


def test_coefficients_are_drawn_from_the_first_and_around_zero():
    ax = plots.plot_mfcc(np.array([[1.0, -3.0], [2.0, 0.0]]), 1.5, first=1, limit=60.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time (s)", "Coefficient")
    assert ax.images[0].get_extent() == [0, 1.5, 0.5, 2.5]
    assert ax.images[0].get_clim() == (-60, 60)


def test_a_contour_has_gaps_where_there_is_no_voice_and_the_limits_of_all():
    ax = plots.plot_pitch(np.array([100.0, np.nan, 200.0]), 2.0)
    (line,) = ax.lines
    assert np.isnan(line.get_ydata()).tolist() == [False, True, False]
    assert line.get_xdata().tolist() == [0, 1, 2]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time (s)", "Pitch (Hz)")
    assert ax.get_yscale() == "log"
    assert ax.get_ylim() == (65, 600)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["75", "150", "300", "600"]


# --- evaluation


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
    ax = plots.plot_reliability({"before": curve, "after": curve})
    names = [one.get_text() for one in ax.get_legend().get_texts()]
    assert names == ["as often as it says", "before", "after"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [20, 60])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Confidence (%)", "Accuracy (%)")


def test_coverage_has_a_band_and_a_line_a_system():
    curve = pd.DataFrame({"coverage": [0.5, 1.0], "accuracy": [0.9, 0.6], "low": 0.5, "high": 0.95})
    ax = plots.plot_coverage({"a": curve, "b": curve})
    assert (len(ax.lines), len(ax.collections)) == (2, 2)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [90, 60])


def test_sureness_has_a_dot_where_answers_are_right_and_a_diamond_where_they_are_sure():
    ax = plots.plot_sureness(
        pd.DataFrame({"name": ["home", "away"], "sure": [0.8, 0.7], "right": [0.79, 0.5]})
    )
    drawn = {one.get_marker(): one.get_xydata().tolist() for one in ax.lines}
    assert drawn == {"D": [[80, 0], [70, 1]], "o": [[79, 0], [50, 1]]}
    assert [one.get_text() for one in ax.get_legend().get_texts()] == ["right", "sure"]
    assert [one.get_text() for one in ax.get_yticklabels()] == ["home", "away"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_pairs_that_are_distinguished_are_filled():
    tests = pd.DataFrame(
        {"name": ["a − b", "a − c"], "difference": 0.1, "low": -0.1, "high": 0.3,
         "is_clear": [True, False]}
    )  # fmt: skip
    ax = plots.plot_differences(tests)
    faces = [line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "o"]
    assert faces[:2] == [plots.HONEST_COLOUR, "white"]
    assert [one.get_text() for one in ax.get_yticklabels()] == ["a − b", "a − c"]


def test_cost_is_drawn_on_a_logarithmic_axis_with_its_front():
    costs = pd.DataFrame(
        {"name": ["b", "a"], "uar": [0.4, 0.5], "low": 0.3, "high": 0.6, "ms": [50.0, 10.0],
         "n_numbers": [3_400_000, 1200], "n_bytes": [13_600_000, 4800],
         "is_on_front": [False, True]}
    )  # fmt: skip
    score = plots.plot_cost(costs, chance=0.125)
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
    figure = plots.plot_costs(pd.DataFrame(rows))
    # Where titles stand depends on the style that is in force.
    titles = [ax.get_title() or ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["first", "", "second", ""]


def test_listeners_stand_only_behind_rows_whose_task_they_had():
    rows = pd.concat([ladder(0.8), ladder(0.8)], ignore_index=True)
    ax = plots.plot_ladder(rows.assign(people_low=[np.nan, 0.6], people_high=[np.nan, 0.7]))
    (band,) = ax.patches
    assert band.get_y() + band.get_height() / 2 == pytest.approx(1)
    assert band.get_x() == pytest.approx(60)
