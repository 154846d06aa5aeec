"""Figures: draw numbers on an Axes and return it.

style       the style sheet, sizes and colours; a value with its interval
corpus      how many clips, and how their measurements spread
signals     one clip: waveform, spectrogram, pitch, what a network gets
training    one model: learning curves, confusions, ROC, recall of each class
scores      systems compared: scores, the step to unseen speakers, speakers
evaluation  calibration, coverage, differences in pairs, costs
timeline    predictions: one clip's probabilities, a long recording over time

Nothing is computed here that could be called a result: scores, counts and spectrograms come in.
Axes are labelled with units, emotions have their fixed colours and are always named as well,
scores start at 0 with chance drawn, intervals are drawn and never bare bars. A function draws on
`ax`, or on those of a new figure where it is None, and returns what it drew on.
"""

from __future__ import annotations

from ser_lib.plots.corpus import plot_class_balance, plot_distribution
from ser_lib.plots.evaluation import (
    plot_cost,
    plot_costs,
    plot_coverage,
    plot_differences,
    plot_reliability,
)
from ser_lib.plots.scores import plot_ladder, plot_right_and_wrong, plot_scores, plot_speakers
from ser_lib.plots.signals import plot_envelope, plot_log_mel, plot_mfcc, plot_picture, plot_pitch
from ser_lib.plots.style import (
    HONEST_COLOUR,
    LEAKING_COLOUR,
    PUBLISHED_COLOUR,
    SQUARE,
    STYLE_FILE,
    WIDE,
    hide,
    new_figure,
)
from ser_lib.plots.timeline import plot_ranked, plot_sureness, plot_timeline
from ser_lib.plots.training import plot_confusion, plot_history, plot_recalls, plot_roc

__all__ = [
    "HONEST_COLOUR",
    "LEAKING_COLOUR",
    "PUBLISHED_COLOUR",
    "SQUARE",
    "STYLE_FILE",
    "WIDE",
    "hide",
    "new_figure",
    "plot_class_balance",
    "plot_confusion",
    "plot_cost",
    "plot_costs",
    "plot_coverage",
    "plot_differences",
    "plot_distribution",
    "plot_envelope",
    "plot_history",
    "plot_ladder",
    "plot_log_mel",
    "plot_mfcc",
    "plot_picture",
    "plot_pitch",
    "plot_ranked",
    "plot_recalls",
    "plot_reliability",
    "plot_right_and_wrong",
    "plot_roc",
    "plot_scores",
    "plot_speakers",
    "plot_sureness",
    "plot_timeline",
]
