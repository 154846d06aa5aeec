"""ASED: the Amharic Speech Emotion Dataset, version 1.

65 volunteers (25 women, 40 men) say five sentences of each of five emotions, and two that are
common to all; eight judges kept 2,474 of 4,550 clips. A file name is::

    05Angry/a5-03-01-02-50.wav
            || |  |  |  |
            || |  |  |  speaker
            || |  |  sex: 01 female, 02 male
            || |  repetition
            || sentence: its number among those of this emotion
            |number of the folder
            emotion

It is not published which numbers the two common sentences have, so a statement is named by emotion
and number: no statement is found in two emotions.

Accepted layouts: the published repository (also below a folder of its own, `NNEmotion/`), or one
flat folder.
"""

from __future__ import annotations

import re

from ser_lib.data.corpus import Corpus

GRAMMAR = (
    r"(?P<emotion>[A-Za-z]\d)-(?P<statement>\d\d)-(?P<repetition>\d\d)"
    r"-(?P<gender>\d\d)-(?P<speaker>\d\d)"
)
EMOTIONS = {"n1": "neutral", "h3": "happy", "s4": "sad", "a5": "angry", "f2": "fearful"}
GENDERS = {"01": "female", "02": "male"}
SPEAKERS = tuple(f"{number:02d}" for number in range(1, 66))

# The first and the second repetition are one file.
TWICE = ("n1-07-{}-02-53", "h3-01-{}-02-08", "s4-03-{}-01-23", "a5-07-{}-02-63")


def _parse(match: re.Match[str]) -> dict[str, object]:
    """Translate the five parts of an ASED file name."""
    # One name as published begins with a capital, S4-04-02-01-29.
    code = match.groupdict() | {"emotion": match["emotion"].lower()}
    if code["speaker"] not in SPEAKERS:
        raise KeyError(code["speaker"])
    return code | {
        "gender": GENDERS[code["gender"]],
        "emotion": EMOTIONS[code["emotion"]],
        "statement": code["emotion"] + code["statement"],
        "repetition": int(code["repetition"]),
    }


ASED = Corpus(
    name="ased",
    title="ASED (Amharic Speech Emotion Dataset), version 1",
    licence="none stated; the paper says freely available for download",
    citation=(
        "Retta EA, Almekhlafi E, Sutcliffe R, Mhamed M, Ali H, Feng J (2022). A new Amharic speech "
        "emotion dataset and classification benchmark. ACM Transactions on Asian and Low-Resource "
        "Language Information Processing."
    ),
    doi="doi:10.1145/3529759",
    download="github.com/Ethio2021/ASED_V1",
    language="Amharic",
    speech="acted",
    label_set="ased5",
    grammar=GRAMMAR,
    example="a5-03-01-02-50.wav",
    parse=_parse,
    n_clips=2474,
    n_speakers=65,
    quirks=(
        "no licence is stated: no weights that are given away may be trained on it",
        "only clips that five of eight judges accepted were published: it is easier than speech is",
        "five of seven sentences of an emotion are said in no other: words tell emotions",
        "from 4 to 70 clips a speaker",
        "in five clips the name's sex contradicts the speaker's other clips (speakers 09, 15, 21, "
        "23, 25, all women by the others): the majority's is taken, and 25 women and 40 men remain",
        "four clips are published twice, as first and as second repetition",
        "the stored runs of this project used a part of it (1,811 clips), coded as Opus at 24 "
        "kbit/s",
    ),
    known_duplicates=tuple(
        frozenset(f"ased/{name.format(one)}" for one in ("01", "02")) for name in TWICE
    ),
)
