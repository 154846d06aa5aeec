"""SAVEE: the Surrey Audio-Visual Expressed Emotion database, audio only.

Four Englishmen, 27 to 31 years old, postgraduate students and researchers; seven emotions; 15
sentences an emotion and 30 in neutral: 480 clips. A file name is::

    AudioData/DC/a01.wav   DC_a01.wav
              |  ||
              |  |sentence: its number among those of this emotion
              |  emotion: a, d, f, h, n, sa, su
              speaker

As published, the speaker is only in the folder; widely copied archives have it in the name. A
clip's id is the latter in both, `savee/DC_a01`.

File names do not say which of TIMIT's sentences is said, so a statement is named by emotion and
number: no statement is found in two emotions, although three sentences are in all.

Accepted layouts: the published `AudioData/XX/` folders, alone or in the whole release, one folder a
speaker, one flat folder of long names.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from ser_lib.data.corpus import Corpus

GRAMMAR = r"(?P<speaker>[A-Z]{2})_(?P<statement>(?P<emotion>[a-z]{1,2})\d\d)"
SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = {
    "n": "neutral",
    "h": "happy",
    "sa": "sad",
    "a": "angry",
    "f": "fearful",
    "d": "disgust",
    "su": "surprised",
}
N_SENTENCES = {emotion: 30 if emotion == "n" else 15 for emotion in EMOTIONS}
STATEMENTS = tuple(
    f"{emotion}{number:02d}" for emotion, n in N_SENTENCES.items() for number in range(1, n + 1)
)


def _name(path: Path) -> str:
    """Return a clip's name with its speaker, which is in the folder of the published layout."""
    return path.stem if "_" in path.stem else f"{path.parent.name}_{path.stem}"


def _parse(match: re.Match[str]) -> dict[str, object]:
    """Translate the parts of a SAVEE clip's name."""
    code = match.groupdict()
    for part, published in (("speaker", SPEAKERS), ("statement", STATEMENTS)):
        if code[part] not in published:
            raise KeyError(code[part])
    return code | {"gender": "male", "emotion": EMOTIONS[code["emotion"]]}


SAVEE = Corpus(
    name="savee",
    title="SAVEE (Surrey Audio-Visual Expressed Emotion), audio only",
    licence="free for research, after registration",
    citation=(
        "Haq S, Jackson PJB (2010). Multimodal emotion recognition. In: Wang W (ed.), Machine "
        "Audition: Principles, Algorithms and Systems. IGI Global, 398-423."
    ),
    doi="doi:10.4018/978-1-61520-919-4.ch017",
    download="kahlan.eps.surrey.ac.uk/savee (registration needed)",
    language="English (British)",
    speech="acted",
    label_set="seven",
    grammar=GRAMMAR,
    example="DC_a01.wav",
    parse=_parse,
    n_clips=480,
    n_speakers=4,
    quirks=(
        "four men, no woman: what a model learns of pitch is about men",
        "the speakers are no actors, and were recorded with markers on their faces",
        "neutral has twice as many clips as each other emotion",
        "12 of 15 sentences of an emotion are said in no other but neutral: words tell emotions",
        "four speakers make four test folds: intervals by speaker are wide",
    ),
    name_of=_name,
    names=tuple(map("_".join, product(SPEAKERS, STATEMENTS))),
)
