"""Indian EmoSpeech Command Dataset, version 0.1: spoken commands, recorded in the field.

Single words in four emotions, by 105 speakers whose names are hashed, and by unknown ones. A file
name is::

    webservice/bacho-safe-angry-1562907046662-340a803168….wav
               |     |    |     |             |
               |     |    |     |             speaker, hashed (56 digits)
               |     |    |     time of the recording
               |     |    emotion
               |     environment: safe, scream, gunshots, glass break
               command; background: nobody speaks; unknown: another word

Unknown speakers share one hash, that of an empty name: nobody can say which of their clips are of
one person, so they are left out. All others are in `webservice/`.

Accepted layouts: the published repository, its `webservice/` folder, or one flat folder.
"""

from __future__ import annotations

import re

from ser_lib.data.corpus import Corpus

NOBODY = "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f"  # SHA-224 of an empty text
GRAMMAR = (
    r"(?P<statement>[a-z]+)-[a-z ]+-(?P<emotion>[a-z]+)-[\d.?]+"
    r"-(?P<speaker>[0-9a-f]{6})[0-9a-f]{50}"
)
EMOTIONS = {"calm": "calm", "happy": "happy", "angry": "angry", "fearful": "fearful"}

# The first six digits of each hash.
SPEAKERS = """
    00da85 016294 02dc40 02fc4a 04e398 06ea3d 0702de 0e17af 118f6d 1cfb36 22527b 26febc
    2ad117 2bbcd8 2dab83 30cff6 31bb50 31f9f3 340a80 342ed7 37b2fd 38ec51 39196b 3d9d3e 3daf85
    4088f9 429239 432b2a 436c36 471154 4b3d0b 4e520c 4fb5bd 50a73d 57eadf 5b146d 5dcce3 5e6d4c
    5f5a82 61da37 6602b1 6bbc0e 6bff16 7091a0 718bb7 74333d 78ff53 7aae46 7e7a3a 837e41 8403b9
    8679e5 879f40 88db47 8a21da 8a7a2e 8d0919 9014f3 911933 93e682 97ce11 987736 98cd29 98f394
    99467a 9aa7e4 9d2599 9dd201 9dea20 9f0faa a871aa aeb644 b0303d b17253 b4e290 b85700 b8dfe3
    ba77be bca5c3 be5d81 bfbfa2 c024af c075fd c136e3 c37be7 c61587 c6b440 c7b431 c8c0a6 cc23c5
    cda10b cf902c d1294a d2f520 d41997 d6ef33 d897ac d8fc57 da09e3 e2eb75 eaae59 ec2301 ec79da
    f1a08e fda31b
    """.split()


def _parse(match: re.Match[str]) -> dict[str, object]:
    """Translate the parts of an EmoSpeech name; whether women or men speak is not published."""
    code = match.groupdict()
    if code["speaker"] not in SPEAKERS:
        raise KeyError(code["speaker"])
    return code | {"gender": "unknown", "emotion": EMOTIONS[code["emotion"]]}


EMOSPEECH_IN = Corpus(
    name="emospeech_in",
    title="Indian EmoSpeech Command Dataset, version 0.1",
    licence="CC BY-NC-SA 4.0",
    citation=(
        "Banga S, Upadhyay U, Agarwal P, Sharma A, Mukherjee P (2019). Indian EmoSpeech Command "
        "Dataset: a dataset for emotion based speech recognition in the wild. arXiv:1910.13801."
    ),
    doi="arXiv:1910.13801",
    download="github.com/RakshakTeam/emospeech-dataset-v1",
    language="Hindi and English (Indian)",
    label_set="emospeech4",
    grammar=GRAMMAR,
    example=f"bacho-safe-angry-1562907046662-340a803168cbebd76b289a6adaf56224{'0' * 24}.wav",
    parse=_parse,
    n_clips=2018,
    n_speakers=105,
    quirks=(
        "unknown speakers share one hash, that of an empty name: their 5,709 clips are left out, "
        "as no split by speaker can be made of them",
        "from 1 to 299 clips a speaker, often of a single emotion: what is learned of such a "
        "voice is the emotion, and the mean of a voice's clips is the mean of an emotion",
        "two recordings stand under two emotions each (angry and fearful): all four names are left "
        "out. Identical clips of unknown speakers make some 85 groups more",
        "one clip is silent, the only one of its speaker: it is left out",
        "single words in the field: rooms, telephones and noise differ from clip to clip",
        "whether a speaker is a woman or a man is not published",
        "the stored runs of this project used a part of it (1,341 clips of 98 speakers, at most 32 "
        "each), coded as Opus at 24 kbit/s",
    ),
    by_design={
        rf".*-{NOBODY}": "of unknown speakers, who share one hash",
        r"background-.*|.*-None-.*": "nobody speaks, or no emotion is named",
        r"(bacho|go)-safe-(angry|fearful)-(1563210779752|1563121805803)-.*": (
            "one recording under two emotions"
        ),
        "bacho-safe-calm-1563176322441-048e2e.*": "published without a sound",
    },
)
