"""nEMO: emotional speech in Polish.

Nine actors say 90 sentences in six emotions: 4,481 clips. A file name is::

    samples/WR0_surprised_64.wav
            |   |         |
            |   |         sentence
            |   emotion
            speaker

Accepted layouts: the published repository, its `samples/` folder, or one flat folder.
"""

from __future__ import annotations

import re

from ser_lib.data.corpus import Corpus

GRAMMAR = r"(?P<speaker>[A-Z]{2}\d)_(?P<emotion>[a-z]+)_(?P<statement>\d{1,2})"
EMOTIONS = {
    "neutral": "neutral",
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "fear": "fearful",
    "surprised": "surprised",
}

# As in the published table, `data.tsv`, whose column of speakers has blanks before each name.
WOMEN = ("EB0", "IC0", "KD0", "MK0")
MEN = ("KS0", "MP0", "SM0", "TP0", "WR0")
GENDERS = dict.fromkeys(WOMEN, "female") | dict.fromkeys(MEN, "male")


def _parse(match: re.Match[str]) -> dict[str, object]:
    """Translate the three parts of an nEMO file name."""
    code = match.groupdict()
    return code | {"gender": GENDERS[code["speaker"]], "emotion": EMOTIONS[code["emotion"]]}


NEMO = Corpus(
    name="nemo",
    title="nEMO (emotional speech in Polish)",
    licence="CC BY-NC-SA 4.0",
    citation=(
        "Christop I (2024). nEMO: dataset of emotional speech in Polish. LREC-COLING 2024, "
        "12111-12116."
    ),
    doi="aclanthology.org/2024.lrec-main.1059",
    download="github.com/amu-cai/nEMO",
    language="Polish",
    speech="acted",
    label_set="nemo6",
    grammar=GRAMMAR,
    example="WR0_surprised_64.wav",
    parse=_parse,
    n_clips=4481,
    n_speakers=9,
    quirks=(
        "one actor, MP0, has half as many clips as the others, another, MK0, five sixths",
        "every sentence is said in every emotion: the words give little away",
        "the stored runs of this project used a third of it, every third sentence (1,490 clips), "
        "coded as Opus at 24 kbit/s and 16 kHz; the published clips are 24 kHz WAV",
    ),
)
