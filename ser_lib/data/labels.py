"""Emotions: their names, order and colours, and the label sets of tasks.

A corpus translates its own codes into these names once, in its loader. A label set then says which
of them a task keeps, and under which name. The order here is the order of every table and figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from ser_lib.errors import StudyError

# The order of classes that are emotions of one gender.
GENDERS = ("female", "male")

# In their order. Okabe & Ito (2008), "Color Universal Design": distinct with any colour vision, but
# not in greyscale, hence every figure also labels its emotions directly.
COLOURS = {
    "neutral": "#555555",
    "calm": "#56B4E9",
    "happy": "#E69F00",
    "sad": "#0072B2",
    "angry": "#D55E00",
    "fearful": "#009E73",
    "disgust": "#9A8B00",  # the palette's yellow, darkened until it can be read on white
    "surprised": "#CC79A7",
    "boredom": "#999999",
    # Beyond the palette's eight: dark brown and dark violet, only shown with few others (IEMOCAP).
    "frustrated": "#6B3E1D",
    "excited": "#5B3A8E",
}
EMOTIONS = tuple(COLOURS)


@dataclass(frozen=True)
class LabelSet:
    """The classes of one task and the map from emotions to them."""

    name: str
    labels: tuple[str, ...]
    """The classes, in the order of the model's outputs."""
    from_emotion: Mapping[str, str]
    """Emotion to class; an emotion that is absent is left out of the task."""
    is_by_gender: bool = False
    """Whether classes are emotions of one gender: "female sad", "male sad"."""

    @property
    def text(self) -> str:
        """How many classes there are, and which emotions count as another.

        >>> LABEL_SETS["seven"].text
        '7: calm counts as neutral'
        """
        pairs = self.from_emotion.items()
        merged = [f"{one} counts as {label}" for one, label in pairs if one != label]
        return ": ".join(filter(None, (str(len(self.labels)), ", ".join(merged))))

    def apply(self, emotions: pd.Series, genders: pd.Series | None = None) -> pd.Series:
        """Translate canonical emotions into classes, NaN where the task leaves an emotion out.

        Classes by gender need the speakers' `genders`, with the same index; StudyError else.
        """
        unknown = sorted(set(emotions) - set(EMOTIONS))
        if unknown:
            raise StudyError(f"unknown emotions {unknown}; known are {list(EMOTIONS)}")
        classes = emotions.map(dict(self.from_emotion))
        if not self.is_by_gender:
            return classes
        if genders is None:
            raise StudyError(f"the label set '{self.name}' needs the speakers' genders")
        return (genders + " " + classes).where(genders.isin(GENDERS))


def _by_gender(label_set: LabelSet) -> LabelSet:
    """Split each class of a label set by the speaker's gender."""
    labels = tuple(f"{gender} {one}" for gender in GENDERS for one in label_set.labels)
    return replace(label_set, name=f"{label_set.name}_by_gender", labels=labels, is_by_gender=True)


def _keep(name: str, *labels: str, **merged: str) -> LabelSet:
    """Keep `labels` and fold each `merged` emotion into one of them."""
    return LabelSet(name, labels, {label: label for label in labels} | merged)


LABEL_SETS = {
    one.name: one
    for one in (
        # Whatever a corpus of one's own has.
        _keep("all", *EMOTIONS),
        # RAVDESS as published: Livingstone & Russo (2018).
        _keep("ravdess8", *EMOTIONS[:8]),
        # boucheta2025 and fpt2025: calm is folded into neutral.
        _keep("seven", *(e for e in EMOTIONS[:8] if e != "calm"), calm="neutral"),
        # EmoDB as published: Burkhardt et al. (2005).
        _keep("emodb7", *(e for e in EMOTIONS[:9] if e not in ("calm", "surprised"))),
        # nEMO, ASED, Indian EmoSpeech and TurEV as published.
        _keep("nemo6", "neutral", "happy", "sad", "angry", "fearful", "surprised"),
        _keep("ased5", "neutral", "happy", "sad", "angry", "fearful"),
        _keep("emospeech4", "calm", "happy", "angry", "fearful"),
        _keep("turev4", "calm", "happy", "sad", "angry"),
        # CREMA-D as published: Cao et al. (2014).
        _keep("crema_d6", *(e for e in EMOTIONS[:7] if e != "calm")),
        # IEMOCAP as published (Busso et al. 2008), and the five classes of `iemocap5`.
        _keep("iemocap9", *(e for e in EMOTIONS if e not in ("calm", "boredom"))),
        _keep("iemocap5", "neutral", "happy", "sad", "angry", "frustrated"),
        # penumajji2025: calm and surprise are folded into larger classes.
        _by_gender(
            _keep(
                "six", *(e for e in EMOTIONS[:7] if e != "calm"), calm="neutral", surprised="happy"
            )
        ),
    )
}


def colour_of(label: str) -> str:
    """Return the fixed colour of a class as `#rrggbb`; grey for a word that has none.

    A class by gender has the colour of its emotion.
    """
    return COLOURS.get(label.rsplit(" ", 1)[-1], "#777777")
