"""EmoDB: the Berlin Database of Emotional Speech.

Ten German speakers, ten sentences, seven emotions, 535 clips that at least 80 % of the listeners
recognised. A file name is::

    wav/03a01Fa.wav
        | |  ||
        | |  |version of a repeated clip
        | |  emotion, by its German initial
        | sentence
        speaker

Accepted layouts: the published `wav/` folder, or one flat folder.
"""

from __future__ import annotations

import re

from ser_lib.data.corpus import Corpus

GRAMMAR = r"(?P<speaker>\d\d)(?P<statement>[ab]\d\d)(?P<emotion>[A-Z])(?P<version>[a-g])"
EMOTIONS = {
    "N": "neutral",
    "F": "happy",  # Freude
    "T": "sad",  # Trauer
    "W": "angry",  # Wut (Ärger)
    "A": "fearful",  # Angst
    "E": "disgust",  # Ekel
    "L": "boredom",  # Langeweile
}

# As published by the authors; a popular hand-typed table had some of them wrong.
WOMEN = ("08", "09", "13", "14", "16")
MEN = ("03", "10", "11", "12", "15")
GENDERS = dict.fromkeys(WOMEN, "female") | dict.fromkeys(MEN, "male")
STATEMENTS = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")


def _parse(match: re.Match[str]) -> dict[str, object]:
    """Translate the four parts of an EmoDB file name."""
    code = match.groupdict()
    if code["statement"] not in STATEMENTS:
        raise KeyError(code["statement"])
    return {
        "speaker": code["speaker"],
        "gender": GENDERS[code["speaker"]],
        "emotion": EMOTIONS[code["emotion"]],
        "statement": code["statement"],
        "repetition": "abcdefg".index(code["version"]) + 1,
    }


EMODB = Corpus(
    name="emodb",
    title="EmoDB (Berlin Database of Emotional Speech)",
    licence="freely available for research",
    citation=(
        "Burkhardt F, Paeschke A, Rolfes M, Sendlmeier W, Weiss B (2005). A database of German "
        "emotional speech. Interspeech 2005, 1517-1520."
    ),
    doi="doi:10.21437/Interspeech.2005-446",
    download="emodb.bilderbar.info",
    language="German",
    label_set="emodb7",
    grammar=GRAMMAR,
    example="03a01Fa.wav",
    parse=_parse,
    n_clips=535,
    n_speakers=10,
    quirks=(
        "only clips that most listeners recognised were published: it is easier than speech is",
        "classes are not balanced: from 46 clips of disgust to 127 of anger",
        "the stored runs of this project used a copy whose clips all last 2 s, cut or filled up; "
        "published ones last 1 to 9 s",
    ),
)
