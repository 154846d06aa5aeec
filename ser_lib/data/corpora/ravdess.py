"""RAVDESS: the Ryerson Audio-Visual Database of Emotional Speech and Song, speech, audio only.

24 professional North American actors, 60 clips each: eight emotions, two intensities (neutral has
one), two statements, two repetitions. A file name is seven two-digit codes::

    Actor_12/03-01-06-01-02-01-12.wav
             |  |  |  |  |  |  speaker: odd male, even female
             |  |  |  |  |  repetition
             |  |  |  |  statement
             |  |  |  intensity: 01 normal, 02 strong
             |  |  emotion
             |  vocal channel: 01 speech, 02 song
             modality: 03 audio only

Accepted layouts: `Actor_XX/` folders, one flat folder, and the widely copied archive that holds
each clip twice (`Actor_XX/` and `audio_speech_actors_01-24/Actor_XX/`), of which one is taken.
"""

from __future__ import annotations

import re
from itertools import product

from ser_lib.data.corpus import Corpus

GRAMMAR = (
    r"(?P<modality>\d\d)-(?P<channel>\d\d)-(?P<emotion>\d\d)-(?P<intensity>\d\d)"
    r"-(?P<statement>\d\d)-(?P<repetition>\d\d)-(?P<speaker>\d\d)"
)
MODALITIES = {"03": "audio"}
CHANNELS = {"01": "speech"}
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "kids", "02": "dogs"}
REPETITIONS = {"01": 1, "02": 2}
GENDERS = {f"{number:02d}": "male" if number % 2 else "female" for number in range(1, 25)}


def parse_ravdess(match: re.Match[str]) -> dict[str, object]:
    """Translate the seven codes of a RAVDESS file name."""
    code = match.groupdict()
    # Looked up only to be refused: song and video of the same actors share this grammar.
    MODALITIES[code["modality"]], CHANNELS[code["channel"]]
    return {
        "speaker": code["speaker"],
        "gender": GENDERS[code["speaker"]],
        "emotion": EMOTIONS[code["emotion"]],
        "intensity": INTENSITIES[code["intensity"]],
        "statement": STATEMENTS[code["statement"]],
        "repetition": REPETITIONS[code["repetition"]],
    }


RAVDESS = Corpus(
    name="ravdess",
    title="RAVDESS (speech, audio only)",
    licence="CC BY-NC-SA 4.0",
    citation=(
        "Livingstone SR, Russo FA (2018). The Ryerson Audio-Visual Database of Emotional Speech "
        "and Song (RAVDESS). PLoS ONE 13(5): e0196391."
    ),
    doi="doi:10.1371/journal.pone.0196391",
    download="doi:10.5281/zenodo.1188976 (Audio_Speech_Actors_01-24.zip, 215 MB)",
    language="English (North American)",
    speech="acted",
    label_set="ravdess8",
    grammar=GRAMMAR,
    example="03-01-06-01-02-01-12.wav",
    parse=parse_ravdess,
    n_clips=1440,
    n_speakers=24,
    quirks=(
        "neutral has no strong intensity, hence half as many clips as each other emotion",
        "one widely copied archive holds every clip twice",
        "two statements only: a model may learn the words",
        "the stored runs of this project used a copy at 24 kHz; the published clips have 48 kHz",
        "most clips hold digital silence, of each actor another share, and what is heard before "
        "anybody speaks names the actor far more often than chance: see `opening_silence`",
        "actor 07's two repetitions of happy 'Dogs are sitting by the door' are the same recording",
    ),
    known_duplicates=(frozenset({"ravdess/03-01-03-01-02-01-07", "ravdess/03-01-03-01-02-02-07"}),),
    statements={"kids": "Kids are talking by the door.", "dogs": "Dogs are sitting by the door."},
    by_design={
        r"0[12](-\d\d){6}": "the sound of videos of the same actors",
        r"03-02(-\d\d){5}": "songs of the same actors",
    },
    names=tuple(
        f"03-01-{'-'.join(codes)}"
        for codes in product(EMOTIONS, INTENSITIES, STATEMENTS, REPETITIONS, GENDERS)
        if codes[:2] != ("01", "02")
    ),
    listeners_wa=(0.62, 0.67),
    listeners_source=(
        "Luna-Jiménez et al. (2022) and the listening test recomputed in "
        "hsn07pk/ravdess-speaker-independent-ser; audio only, seven or eight answers to choose from"
    ),
)
