"""IEMOCAP: the Interactive Emotional Dyadic Motion Capture database, turns of speech.

Ten actors in five sessions, a woman and a man in each, who play scripts and improvise: 151
dialogues cut into 10,039 turns. The tree is::

    IEMOCAP_full_release/Session1/
        sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav     a turn: a clip
        dialog/EmoEvaluation/Ses01F_impro01.txt                  its label, in a line of this file
        dialog/wav/Ses01F_impro01.wav                            the whole dialogue: no clip

and the name of a turn::

    Ses01F_impro01_F000
       | | |       ||
       | | |       |number of the turn; of a few, XX0 or XX1
       | | |       who speaks it: the session's woman or man
       | | dialogue: impro01 to impro08, script01_1 to script03_2; the statement
       | who wears the markers
       session

Accepted layouts: the release, its `SessionN/` folders, or these with the folders named above alone.
"""

from __future__ import annotations

import re

from ser_lib.data.corpus import Corpus, LabelFiles

DIALOGUE = r"Ses(?P<speaker>\d\d)[FM]_(?P<statement>impro\d\d|script\d\d_\d)[a-z]?"
GRAMMAR = DIALOGUE + r"_(?P<gender>[FM])(\d{3}|XX\d) (?P<emotion>[a-z]{3})"
SESSIONS = ("01", "02", "03", "04", "05")
GENDERS = {"F": "female", "M": "male"}
EMOTIONS = {
    "neu": "neutral",
    "hap": "happy",
    "sad": "sad",
    "ang": "angry",
    "fea": "fearful",
    "dis": "disgust",
    "sur": "surprised",
    "fru": "frustrated",
    "exc": "excited",
}


def _parse(match: re.Match[str]) -> dict[str, object]:
    """Translate a turn's name and label; the statement is the scenario, as `impro01`."""
    code = match.groupdict()
    if code["speaker"] not in SESSIONS:
        raise KeyError(code["speaker"])
    speaker, gender = code["speaker"] + code["gender"], GENDERS[code["gender"]]
    return code | {"speaker": speaker, "gender": gender, "emotion": EMOTIONS[code["emotion"]]}


IEMOCAP = Corpus(
    name="iemocap",
    title="IEMOCAP (Interactive Emotional Dyadic Motion Capture), turns",
    licence="USC's own, for research only, to be signed",
    citation=(
        "Busso C, Bulut M, Lee C-C, Kazemzadeh A, Mower E, Kim S, Chang JN, Lee S, Narayanan SS "
        "(2008). IEMOCAP: interactive emotional dyadic motion capture database. Language Resources "
        "and Evaluation 42, 335-359."
    ),
    doi="doi:10.1007/s10579-008-9076-6",
    download="sail.usc.edu/iemocap (licence needed: sign the release form and wait for the link)",
    language="English (North American)",
    speech="acted and improvised",
    label_set="iemocap9",
    grammar=GRAMMAR,
    example="Ses01F_impro01_F000.wav",
    parse=_parse,
    n_clips=7529,
    n_speakers=10,
    quirks=(
        "2,510 of the 10,039 published turns are left out: 2,507 on which the judges did not agree "
        "(xxx) and 3 of another emotion (oth); what is left is easier than conversation is",
        "dyadic: the two of a session hear and answer each other, and some speech of the one is in "
        "the other's turns; leave out sessions rather than speakers to keep voices apart",
        "labels are judged from sound, picture and context, not intended; a voice alone holds less",
        "classes are not balanced: 1,849 turns frustrated, 2 disgust",
        "half of the turns are scripted, the same words in all sessions: a model may learn them",
        "many papers fold excited into happy or keep four emotions; figures do not compare",
    ),
    labels=LabelFiles(
        pattern="dialog/EmoEvaluation/*.txt",
        line=r"\[[\d.]+ - [\d.]+\]\s+(?P<name>\w+)\s+(?P<label>\w+)\s+\[.*\]\s*",
        example="[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]",
    ),
    by_design={
        DIALOGUE: "whole dialogues, whose turns are the clips",
        r"\w+ xxx": "no emotion that most judges chose (xxx)",
        r"\w+ oth": "of another emotion (oth)",
    },
)
