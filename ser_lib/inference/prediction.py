"""Predictions: what a model returns for one recording, and tables of such.

A prediction holds the likeliest emotion, its confidence and warnings; or the error that kept the
recording from being used. Plain data: nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser_lib.audio.voice_activity import VoiceFacts
from ser_lib.shown import short

if TYPE_CHECKING:
    import pandas as pd


NOT_SURE = "not sure"
UNLIKE = "unlike the training clips"  # how the warning begins


@short
@dataclass(frozen=True)
class Prediction:
    """What a model returns for one recording."""

    path: str
    """As it was given; empty for an array."""
    emotion: str
    """The likeliest class, or `NOT_SURE`."""
    confidence: float
    """Probability of the likeliest class, in [0, 1]; NaN where the answer is withheld."""
    probabilities: dict[str, float]
    """By class, the likeliest first; they sum to 1. Calibrated, and nearer to chance the less such
    recordings have earned (see `Predictor.predict_signal`); empty where nothing can be said."""
    duration_s: float
    """Of the whole recording, in seconds."""
    warnings: tuple[str, ...] = ()
    voice: VoiceFacts | None = None
    threshold: float = float("nan")
    """Confidence from which on an answer is given."""
    error: str = ""
    """Why the recording could not be used; all else is empty then."""
    answers: tuple[str, ...] = ()
    """A set of classes, the likeliest first, such as held the truth in nine of ten clips of corpora
    that were left out of training, on average over them; empty without such a test."""

    @property
    def is_unlike(self) -> bool:
        """Whether a warning says that the recording is unlike the training clips."""
        return any(one.startswith(UNLIKE) for one in self.warnings)

    def top(self, n: int) -> list[tuple[str, float]]:
        """Return the `n` likeliest classes with their probabilities."""
        return list(self.probabilities.items())[:n]

    def _facts(self) -> dict[str, object]:
        shares = (f"{name} {100 * share:.1f} %" for name, share in self.top(3))
        warnings = {f"warning {n}": one for n, one in enumerate(self.warnings, start=1)}
        facts = {"path": self.path, "emotion": self.emotion, "likeliest": ", ".join(shares)}
        return facts | {"duration_s": round(self.duration_s, 2), "error": self.error} | warnings


def as_table(predictions: Iterable[Prediction], labels: Sequence[str]) -> pd.DataFrame:
    """Return predictions as a table with the columns that `Predictor.predict` documents."""
    import pandas as pd

    rows = [
        {"path": one.path, "emotion": one.emotion, "confidence": one.confidence}
        | {f"p_{label}": one.probabilities.get(label, float("nan")) for label in labels}
        | {"duration_s": one.duration_s, "warnings": "; ".join(one.warnings), "error": one.error}
        for one in predictions
    ]
    columns = ["path", "emotion", "confidence", *(f"p_{label}" for label in labels)]
    return pd.DataFrame(rows, columns=[*columns, "duration_s", "warnings", "error"])
