"""What our own networks share: how their settings came about, as it is said of each of them."""

from __future__ import annotations

__all__ = ["CHOSEN_ONCE"]

CHOSEN_ONCE = (
    "What was tried was judged on inner folds of the training speakers of two of RAVDESS's five "
    "folds; the table of trials has all of it.",
    "One setting serves all folds: speakers on whom it was chosen are test speakers of others.",
    "Validation speakers are trained on as well: nothing is stopped or chosen by them.",
)
"""Sentences for a study's `departures`."""
