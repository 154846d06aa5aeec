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


def test_learning_curves_have_two_lines_a_curve_and_accuracy_up_to_all_of_it():
    epochs = pd.DataFrame({"epoch": [1, 2], "accuracy": [0.1, 0.4], "val_accuracy": [0.2, 0.3]})
    history = pd.concat([epochs.assign(curve="a"), epochs.assign(curve="b")])
    ax = plots.plot_history(history, quantity="accuracy")
    assert len(ax.lines) == 4
    assert ax.get_ylim() == (0, 100)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["training", "validation"]


def test_recalls_draw_one_bar_a_class_and_result():
    table = pd.DataFrame({"recall": [0.1, 0.2, 0.3]}, index=list(EMOTIONS[:3]))
    ax = plots.plot_recalls({"a": table, "b": table}, chance=0.125)
    assert len(ax.patches) == 6


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
