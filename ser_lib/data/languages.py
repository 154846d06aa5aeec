"""The pool of all corpora, for models that must work on strangers: one is left out at a time.

Whichever of them are here take part, the others through their committed tables. EmoDB 2.0 is no
member: it holds EmoDB.
"""

from __future__ import annotations

from ser_lib.data.ased import ASED
from ser_lib.data.crema_d import CREMA_D
from ser_lib.data.emodb import EMODB
from ser_lib.data.emospeech_in import EMOSPEECH_IN
from ser_lib.data.iemocap import IEMOCAP
from ser_lib.data.nemo import NEMO
from ser_lib.data.pooled import Pool
from ser_lib.data.ravdess import RAVDESS
from ser_lib.data.savee import SAVEE
from ser_lib.data.tess import TESS
from ser_lib.data.turev import TUREV

LANGUAGES = Pool(
    name="languages",
    title="The pool of corpora of several languages",
    members=(RAVDESS, EMODB, TESS, SAVEE, CREMA_D, IEMOCAP, NEMO, ASED, EMOSPEECH_IN, TUREV),
    label_set="seven",
    quirks=(
        "languages, sentences, microphones and levels differ from corpus to corpus",
        "no emotion is in all corpora; calm, where there is no neutral, counts as neutral",
        "the stored runs of this project used parts of nEMO, ASED, EmoSpeech and TurEV, coded as "
        "Opus at 24 kbit/s",
    ),
)
