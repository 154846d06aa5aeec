"""TESS: the Toronto Emotional Speech Set.

Two Canadian actresses, aged 64 and 26 (OAF and YAF: older and younger adult female), say "Say the
word …" with each of 200 words in seven emotions: 2,800 clips. A file name is::

    OAF_angry/OAF_back_angry.wav
              |   |    |
              |   |    emotion; ps: pleasant surprise
              |   word
              speaker

Accepted layouts: one folder a speaker and emotion, whatever their names (the published ones are not
of one form: `OAF_Fear/`, `OAF_Pleasant_surprise/`, `YAF_pleasant_surprised/`), one flat folder, and
the widely copied archive that holds each clip twice, once more in a folder of its own name.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from ser_lib.data.corpus import Corpus

GRAMMAR = r"(?P<speaker>[A-Z]{2,3})_(?P<statement>[a-z]+)_(?P<emotion>[a-z]+)"
SPEAKERS = ("OAF", "YAF")
EMOTIONS = {
    "neutral": "neutral",
    "happy": "happy",
    "sad": "sad",
    "angry": "angry",
    "fear": "fearful",
    "disgust": "disgust",
    "ps": "surprised",
}

# The four lists of the Northwestern University Auditory Test No. 6 (Tillman & Carhart, 1966).
WORDS = tuple(
    """
    back bar base bath bean beg bite boat bone book bought burn cab calm came cause chain chair
    chalk chat check cheek chief choice cool dab date dead death deep dime dip ditch dodge dog doll
    door fail fall far fat fit five food gap gas gaze germ get gin goal good goose gun half hall
    hash hate have haze hire hit hole home hurl hush jail jar join judge jug juice keen keep keg
    kick kill king kite knock late laud lean learn lease lid life limb live loaf long lore lose lot
    love luck make match merge mess met mill mob mode mood moon mop mouse nag name near neat nice
    note numb pad page pain pass pearl peg perch phone pick pike pole pool puff rag raid rain raise
    rat reach read red ring ripe road room rose rot rough rush said sail search seize sell shack
    shall shawl sheep shirt should shout size soap soup sour south sub such sure take talk tape team
    tell thin third thought thumb time tip tire ton tool tough turn vine voice void vote wag walk
    wash week wheat when which whip white wife wire witch yearn yes young youth
    """.split()
)

# As it should be named, and as it is published.
MISNAMED = {"OAF_bite_neutral": "OA_bite_neutral"}


def _name(path: Path) -> str:
    """Return a clip's published name, also where a copy has corrected it."""
    return MISNAMED.get(path.stem, path.stem)


def _parse(match: re.Match[str]) -> dict[str, object]:
    """Translate the three parts of a TESS file name."""
    code = match.groupdict()
    speaker = "OAF" if match[0] in MISNAMED.values() else code["speaker"]
    for part, published in ((speaker, SPEAKERS), (code["statement"], WORDS)):
        if part not in published:
            raise KeyError(part)
    return code | {"speaker": speaker, "gender": "female", "emotion": EMOTIONS[code["emotion"]]}


TESS = Corpus(
    name="tess",
    title="TESS (Toronto Emotional Speech Set)",
    licence="CC BY-NC-ND 4.0",
    citation=(
        "Pichora-Fuller MK, Dupuis K (2020). Toronto emotional speech set (TESS). Borealis, the "
        "Canadian Dataverse Repository."
    ),
    doi="doi:10.5683/SP2/E8H2MF",
    download="doi:10.5683/SP2/E8H2MF (all files)",
    language="English (Canadian)",
    speech="acted",
    label_set="seven",
    grammar=GRAMMAR,
    example="OAF_back_angry.wav",
    parse=_parse,
    n_clips=2800,
    n_speakers=2,
    quirks=(
        "two speakers: a split by clip trains on the test's voices, and leaving one out trains on "
        "one woman. Logistic regression on means and deviations of 13 MFCCs is right "
        "on 95 % of the clips of a random fifth, and on 25 to 31 % of the other speaker's",
        "one carrier phrase with 200 words: nearly the same text in every clip; holding out words "
        "changes nothing",
        "level and pace give the emotion away: peak, loudness and length alone, five nearest "
        "neighbours, are right on 76 % of a random fifth, 30 % across speakers",
        "surprise is pleasant surprise only",
        "one clip lacks a letter of its name as published, OA_bite_neutral: OA is no third speaker",
        "the widely copied archive holds every clip twice",
    ),
    statements={word: f"Say the word {word}." for word in WORDS},
    name_of=_name,
    names=tuple(
        MISNAMED.get(name, name) for name in map("_".join, product(SPEAKERS, WORDS, EMOTIONS))
    ),
)
