"""CREMA-D: the Crowd-sourced Emotional Multimodal Actors Dataset, audio.

91 North American actors, aged 20 to 74, twelve sentences, six emotions: 7,442 clips. The first
sentence, IEO, is said at three levels of intensity. A file name is::

    AudioWAV/1001_IEO_ANG_HI.wav
             |    |   |   |
             |    |   |   intensity: LO, MD, HI; XX where none was asked for
             |    |   emotion: ANG, DIS, FEA, HAP, NEU, SAD
             |    sentence
             actor

Accepted layouts: the published `AudioWAV/` folder, alone or in the whole repository, or one flat
folder.
"""

from __future__ import annotations

import re
from pathlib import Path

from ser_lib.data.corpus import Corpus

GRAMMAR = (
    r"(?P<speaker>\d{4})_(?P<statement>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<intensity>[A-Z]{2})"
)
EMOTIONS = {
    "NEU": "neutral",
    "HAP": "happy",
    "SAD": "sad",
    "ANG": "angry",
    "FEA": "fearful",
    "DIS": "disgust",
}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
STATEMENTS = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}

# From the published table of the actors, VideoDemographics.csv.
WOMEN = """
    1002 1003 1004 1006 1007 1008 1009 1010 1012 1013 1018 1020 1021 1024 1025 1028 1029 1030 1037
    1043 1046 1047 1049 1052 1053 1054 1055 1056 1058 1060 1061 1063 1072 1073 1074 1075 1076 1078
    1079 1082 1084 1089 1091
    """.split()
GENDERS = {one: "female" if one in WOMEN else "male" for one in map(str, range(1001, 1092))}

# As it was named until 2022, and is in most copies; as it is named now.
RENAMED = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}


def _name(path: Path) -> str:
    """Return a clip's published name, also where a copy has an older one."""
    return RENAMED.get(path.stem, path.stem)


def _parse(match: re.Match[str]) -> dict[str, object]:
    """Translate the four parts of a CREMA-D file name."""
    code = match.groupdict()
    if code["statement"] not in STATEMENTS:
        raise KeyError(code["statement"])
    translated = {"emotion": EMOTIONS[code["emotion"]], "intensity": INTENSITIES[code["intensity"]]}
    return code | {"gender": GENDERS[code["speaker"]]} | translated


CREMA_D = Corpus(
    name="crema_d",
    title="CREMA-D (Crowd-sourced Emotional Multimodal Actors Dataset), audio",
    licence="ODbL 1.0, contents DbCL 1.0",
    citation=(
        "Cao H, Cooper DG, Keutmann MK, Gur RC, Nenkova A, Verma R (2014). CREMA-D: Crowd-sourced "
        "Emotional Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4), "
        "377-390."
    ),
    doi="doi:10.1109/TAFFC.2014.2336244",
    download="github.com/CheyneyComputerScience/CREMA-D (with git-lfs; the zip holds no audio)",
    language="English (North American)",
    speech="acted",
    label_set="crema_d6",
    grammar=GRAMMAR,
    example="1001_DFA_ANG_XX.wav",
    parse=_parse,
    n_clips=7435,
    n_speakers=91,
    quirks=(
        "the label is the intended emotion; crowd ratings exist and often disagree with it",
        "7 of the 7,442 published clips are left out: 1076_MTI_SAD_XX is silent, and three "
        "recordings stand under two emotions each (1006_TIE, 1013_WSI, 1017_IWW)",
        "neutral has 1,087 clips, each other emotion 1,271",
        "intensity was asked for in one sentence of twelve",
        "twelve sentences, each in every emotion: the words give little away",
    ),
    statements=STATEMENTS,
    listeners_wa=(0.409, 0.409),
    listeners_source="Cao et al. (2014): intended emotion, audio only, six answers to choose from",
    name_of=_name,
    # Reported by several users who compared the files of AudioWAV byte by byte; which of the two
    # emotions of a recording was meant is not known.
    by_design={
        "1076_MTI_SAD_XX": "published without a sound",
        "1006_TIE_(HAP|NEU)_XX|1013_WSI_(DIS|SAD)_XX|1017_IWW_(ANG|FEA)_XX": (
            "one recording under two emotions"
        ),
    },
)
