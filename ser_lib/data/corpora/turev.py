"""TurEV-DB: the Turkish Emotion-Voice Database.

Six speakers say 82 single words, of about a second, in four emotions: 1,735 clips. A file name is::

    Sound Source/Angry/1984_kz_kagit.wav
                       |    |  |
                       |    |  word
                       |    emotion: kz angry, sk calm, mt happy, hl sad
                       speaker

Accepted layouts: the published repository (whose spectrograms and filtered copies, `Model Output
for Test Data/`, are no clips: take `Sound Source/` alone), or one flat folder.
"""

from __future__ import annotations

import re

from ser_lib.data.corpus import Corpus

# One word has a figure at its end, once: ogul1.
GRAMMAR = r"(?P<speaker>\d{4})_(?P<emotion>[a-z]{2})_(?P<statement>[a-z]+)1?"
EMOTIONS = {"sk": "calm", "mt": "happy", "hl": "sad", "kz": "angry"}
SPEAKERS = ("1157", "1234", "1358", "1984", "6783", "7895")


def _parse(match: re.Match[str]) -> dict[str, object]:
    """Translate the three parts of a TurEV name; whether women or men speak is not published."""
    code = match.groupdict()
    if code["speaker"] not in SPEAKERS:
        raise KeyError(code["speaker"])
    return code | {"gender": "unknown", "emotion": EMOTIONS[code["emotion"]]}


TUREV = Corpus(
    name="turev",
    title="TurEV-DB (Turkish Emotion-Voice Database)",
    licence="unsettled: CC BY-NC-ND 4.0 by its README, GPLv3 by its licence file",
    citation=(
        "Canpolat SF, Ormanoğlu Z, Zeyrek D (2020). Turkish Emotion Voice Database (TurEV-DB). "
        "SLTU-CCURL 2020, 368-375."
    ),
    doi="aclanthology.org/2020.sltu-1.52",
    download="github.com/Xeonen/TurEV-DB (the folder 'Sound Source')",
    language="Turkish",
    speech="acted",
    label_set="turev4",
    grammar=GRAMMAR,
    example="1984_kz_kagit.wav",
    parse=_parse,
    n_clips=1735,
    n_speakers=6,
    quirks=(
        "two licences contradict each other: no weights that are given away may be trained on it",
        "single words of about a second",
        "speaker 1157 has two emotions only, angry and sad; happy has 357 clips, angry 487",
        "whether a speaker is a woman or a man is not published",
        "the repository holds 698 filtered copies of some clips beside the clips themselves",
        "the stored runs of this project used a part of it (869 clips), coded as Opus at 24 kbit/s "
        "and 16 kHz; the published clips are 44.1 kHz WAV",
    ),
)
