"""EmoDB 2.0: all clips of the Berlin Database of Emotional Speech, with labels in tables.

The ten speakers and ten sentences of EmoDB, and also the clips that few listeners recognised: 817
in all. Names are those of EmoDB; the labels stand in tables of the format audformat::

    wav/03a01Fa.wav
    db.emotion.csv      file,emotion,emotion.confidence
    db.files.csv        file,duration,speaker,transcription

Accepted layouts: the published folder, alone or below another. EmoDB and EmoDB 2.0 are one: their
speakers have the same names, so that a split with one in training and the other in the test leaks.
"""

from __future__ import annotations

import re

from ser_lib.data.corpora.emodb import GENDERS, STATEMENTS
from ser_lib.data.corpus import Corpus, LabelFiles

NAME = r"\d\d[ab]\d\d[A-Z][a-z]?"
GRAMMAR = r"(?P<speaker>\d\d)(?P<statement>[ab]\d\d)[A-Z](?P<repetition>[a-z]?) (?P<emotion>\w+)"
EMOTIONS = {
    "neutral": "neutral",
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "fear": "fearful",
    "disgust": "disgust",
    "boredom": "boredom",
}


def _parse(match: re.Match[str]) -> dict[str, object]:
    """Translate an EmoDB file name and its label."""
    code = match.groupdict()
    if code["statement"] not in STATEMENTS:
        raise KeyError(code["statement"])
    translated = {"gender": GENDERS[code["speaker"]], "emotion": EMOTIONS[code["emotion"]]}
    return code | translated | {"repetition": ord(code["repetition"] or "a") - ord("a") + 1}


EMODB2 = Corpus(
    name="emodb2",
    title="EmoDB 2.0 (Berlin Database of Emotional Speech, all clips)",
    licence="CC BY 4.0",
    citation=(
        "Burkhardt F, Paeschke A, Rolfes M, Sendlmeier W, Weiss B (2005). A database of German "
        "emotional speech. Interspeech 2005, 1517-1520. Version 2.0 (2025), Zenodo 17651657."
    ),
    doi="doi:10.5281/zenodo.17651657",
    download="doi:10.5281/zenodo.17651657 (emodb_2.0.zip)",
    language="German",
    speech="acted",
    label_set="emodb7",
    grammar=GRAMMAR,
    example="03a01Fa.wav",
    parse=_parse,
    n_clips=817,
    n_speakers=10,
    quirks=(
        "it holds EmoDB: whoever trains on the one must not test on the other",
        "the 282 clips that EmoDB has not are those that fewer than 80 % of the listeners "
        "recognised",
        "this loader was written to the published layout, and never met the archive",
    ),
    labels=LabelFiles(
        pattern="db.emotion.csv",
        line=rf"(?:.*/)?(?P<name>{NAME})\.\w+,(?P<label>\w+)(?:,.*)?",
        example="wav/03a01Fa.wav,happiness,0.9",
    ),
    speakers_of="emodb",
)
