"""Figures: labels, limits, order and number of marks; never pixels."""

from __future__ import annotations

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb

from ser_lib import plots
from ser_lib.data.labels import EMOTIONS
from ser_lib.plots import style
from ser_lib.plots.timeline import plot_timeline
from ser_lib.report.drawing import DARK
from support.first_page import PEOPLE_COLOUR

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


def test_a_cell_that_is_not_empty_is_never_called_nothing():
    ax = plots.plot_confusion(np.array([[0.3, 99.7], [0, 1]]), ["happy", "sad"])
    assert [t.get_text() for t in ax.texts][:2] == ["<1 %", "<1"]


def test_every_colour_of_a_confusion_matrix_has_another_on_dark_paper():
    ax = plots.plot_confusion(np.array([[3, 1], [0, 4]]), ["happy", "sad"])
    used = {to_hex(one.get_color()) for one in ax.texts}
    used |= {to_hex(one) for one in ax.collections[0].to_rgba([0, 1])}
    assert used <= set(DARK)


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


def test_a_timeline_is_grey_for_as_long_as_nobody_speaks():
    shares = [0.5, np.nan, 0.5, np.nan, np.nan]
    table = pd.DataFrame({"start_s": range(5), "end_s": range(2, 7), "smooth_sad": shares})
    (greys,) = plot_timeline(table, ["sad"]).collections
    spans_s = [tuple(one.get_extents().intervalx) for one in greys.get_paths()]
    assert spans_s == [(1, 2), (3, 4), (4, 6)]


# How colours look without one kind of cones: Machado, Oliveira & Fernandes (2009), severity 1, on
# linear RGB.
DEFICIENCIES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
# From linear RGB to XYZ, relative to the white of sRGB.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(linear: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* of linear RGB."""
    x, y, z = np.cbrt(TO_XYZ @ np.clip(linear, 1e-3, 1) / TO_XYZ.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


MEANING = (style.PUBLISHED_COLOUR, style.LEAKING_COLOUR, style.HONEST_COLOUR, PEOPLE_COLOUR)


@pytest.mark.parametrize("kind", DEFICIENCIES)
@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("names", [MEANING, style.SYSTEM_COLOURS], ids=["meaning", "systems"])
def test_colours_of_one_figure_differ_for_colour_blind_readers(kind, is_dark, names):
    shown = [DARK.get(to_hex(one), one) if is_dark else one for one in names]
    encoded = np.array([to_rgb(one) for one in shown])
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = [lab(np.array(DEFICIENCIES[kind]) @ one) for one in linear]
    distances = [np.linalg.norm(a - b) for a, b in combinations(seen, 2)]
    # Two is just noticeable side by side; markers differ as well.
    assert min(distances) > 15


def test_red_and_green_would_not_do():
    red, green = (
        lab(np.array(DEFICIENCIES["deutan"]) @ one) for one in ([0.35, 0, 0], [0, 0.13, 0])
    )
    assert np.linalg.norm(red - green) < 15
