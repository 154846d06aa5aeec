"""Scores from tables of predictions; needs nothing else of this package.

A table of predictions has `clip_id, speaker, fold, truth, prediction` and one column `p_<label>` a
class. Scores and shares are in [0, 1]; `formatting` turns them into text.
"""
