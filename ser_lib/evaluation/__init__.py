"""Scores, their intervals and tests, from tables of predictions, of this package or any other.

A table of predictions has `clip_id, speaker, fold, truth, prediction` and one column `p_<label>` a
class. Scores and shares are in [0, 1]; `formatting` turns them into text.

    metrics         UAR, accuracy, tables by class, with intervals by speaker
    bootstrap       resampled speakers, intervals, variance components
    significance    paired tests of systems, corrected for many pairs
    calibration     reliability, calibration error, temperatures
    probabilities   softmax and temperatures of arrays, with NumPy alone
    selective       accuracy against coverage, thresholds of confidence
    fairness        scores by group and by speaker
    formatting      numbers as text
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
