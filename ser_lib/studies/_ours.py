"""What our own networks share: the ways they are trained, what they hear, how that was chosen."""

from __future__ import annotations

from ser_lib.encoders import ENCODERS
from ser_lib.features import FeatureSpec
from ser_lib.training_settings import TrainingSettings

__all__ = ["CHOSEN_ONCE", "SMOOTHED_TRAINING", "base_frames"]

CHOSEN_ONCE = (
    "What was tried was judged on inner folds of the training speakers of two of RAVDESS's five "
    "folds; the table of trials has all of it.",
    "One setting serves all folds: speakers on whom it was chosen are test speakers of others.",
    "Validation speakers are trained on as well: nothing is stopped or chosen by them.",
)
"""Sentences for a study's `departures`."""

SMOOTHED_TRAINING = TrainingSettings(
    max_epochs=6,
    schedule="cosine",
    sampling="balanced",
    weight_decay=0.01,
    label_smoothing=0.1,
    fits_validation=True,
)
"""Smoothed labels and one fall of the rate, on all training speakers; a study sets its rate."""


def base_frames(layers: str) -> FeatureSpec:
    """Name frames of Moonshine base, of one layer or of several with commas between them."""
    base = ENCODERS["moonshine-base"]
    params = {"encoder": base.name, "sha256": base.sha256, "layers": layers}
    return FeatureSpec("encoder_frames", sample_rate_hz=base.sample_rate_hz, params=params)
