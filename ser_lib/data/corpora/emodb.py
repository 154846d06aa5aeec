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

GRAMMAR = r"(?P<speaker>\d\d)(?P<statement>[ab]\d\d)(?P<emotion>[A-Z])(?P<repetition>[a-g])"
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

# As published first: speaker and sentence, then emotion and version of each clip. A later edition
# has all clips, also those that few listeners recognised.
PUBLISHED = """
    03a01FaNcWa 03a02FcNcTaWbWc 03a04AdFdLcNcTaWc 03a05AaFcNdTcWaWb 03a07FaFbLaNcWc
    03b01FaLbNbTdWaWc 03b02AaLaNaTbWb 03b03NbTcWc 03b09LaNcTcWa 03b10AbEcNaNcWbWc
    08a01AbFdLcNaWaWc 08a02AbAcFeLaNaTbWc 08a04FfLaNcTbWc 08a05FeLcNbTaWa 08a07FdLaNaTaTbWc
    08b01AaFdFeLbNaWa 08b02FfLaNbTcWd 08b03FeLcNbTcWd 08b09AbFdLcNbTbWaWc 08b10AaFdLaNcTcWa
    09a01EaFaNbWb 09a02EaEbLaWb 09a04FdLaNbWa 09a05EdLcNbTbWbWc 09a07EbNaTaWbWd 09b01EaNaWb
    09b02NaTbWcWd 09b03EdFaFdLbNbTaWb 09b09EaNdWa 09b10AaNdWa 10a01AcNbWa 10a02AbFaLbNaWa
    10a04FdNbWaWb 10a05AaLdTbWb 10a07AaAdLaTaWb 10b01AaEaFaLb 10b02AaLaNaWb 10b03LaTbWb
    10b09AdLbWb 10b10FcLcWa 11a01AaAbLdNdWc 11a02EcFbLdNcTcWc 11a04AcFdNdWc 11a05AdFbFcLcNaTdWd
    11a07AcLdTaWc 11b01AbEbFcLbNcWd 11b02AbFdNaTdWb 11b03FcLcNbTdWaWb 11b09AdFdLdNaTdWa
    11b10AdAeLdNcTdWa 12a01FbLbNbWc 12a02AcEcNbWaWc 12a04Wc 12a05AbLbNdTaWb 12a07AcLaWa
    12b01TaWa 12b02AdEaFbNaWaWbWd 12b03LaTa 12b09AcTdWc 12b10AcLdWa 13a01AcEaEcFdLbNbWb
    13a02AdEcFaLcNcTaWa 13a04AcFcLbTaWc 13a05AaEaLcNbTcWaWc 13a07FdLbNaTcWb 13b01AbEcFcLdNcWa
    13b02FbLcNbWa 13b03AcEdFdLbNaTdWc 13b09AbEcFbFcLaNaWa 13b10EcFaLaNcWaWc 14a01AaAcEaNaWaWc
    14a02AbEaFdLaNcTbWaWc 14a04AaEdLbTbTcWbWc 14a05AaAcFaFbLbNaTaTcWaWb 14a07AaEbFdLcLdNaTcWc
    14b01AcEbFaFcNaWc 14b02AaFbNaTcWbWd 14b03AdEdLbTaWb 14b09AcEaFcLbTdWaWc 14b10AdEbLbNbTcWc
    15a01EaFbLaNbWa 15a02AcEaLaNaTaWbWd 15a04AbAcFdNcWaWb 15a05EbFbLbNaWa 15a07AcEbFaFbLdNc
    15b01EcLbNaWc 15b02AaLbNdTcWaWc 15b03AaLcNbTcWaWb 15b09AcFaLaNbTaWb 15b10AcLcNbNcWa
    16a01EcFcLbNcTbWb 16a02EaEcLbNbTcWb 16a04AbEaFaLaLcNcTcWbWc 16a05AbEaFcLaTbWbWc
    16a07EaFaFbLaLbNbTdWa 16b01AaEbFaLaLcTbWaWb 16b02AaEbFdLbWb 16b03AdEaFaFdLaNbTaWb
    16b09AbEbFbLaLbWb 16b10AaEbFbLbTbTdWaWb
    """.split()


def _parse(match: re.Match[str]) -> dict[str, object]:
    """Translate the four parts of an EmoDB file name."""
    code = match.groupdict()
    if code["statement"] not in STATEMENTS:
        raise KeyError(code["statement"])
    translated = {"gender": GENDERS[code["speaker"]], "emotion": EMOTIONS[code["emotion"]]}
    return code | translated | {"repetition": "abcdefg".index(code["repetition"]) + 1}


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
    speech="acted",
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
        "a second edition has 817 clips: those that the first has not are left alone",
    ),
    names=tuple(one[:5] + take for one in PUBLISHED for take in re.findall("..", one[5:])),
)
