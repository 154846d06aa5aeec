"""Enrolment: which clips of a speaker, or of a room, are known before the test.

A normalisation uses them without their labels; `ser_lib.training.speaker_normalisation` computes
it. Clips that are known beforehand are no test rows. A room is a corpus as a whole: its rooms,
microphones and voices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser_lib.data.corpus import corpora_of
from ser_lib.errors import SplitError


@dataclass(frozen=True)
class Normalisation:
    """Which clips of a speaker, or of a room, are known beforehand."""

    name: str
    n_clips: int | None
    """None: all of them."""
    is_neutral: bool = False
    describes: str = ""
    learnt_on: str = ""
    """The normalisation of training speakers, where it is another one: the head then learns to
    distinguish what emotions add to the mean of a speaker's clips from the voice."""
    is_room: bool = False
    """Whether a corpus as a whole is known by its clips, not each of its speakers."""
    may_lack: bool = False
    """Whether of fewer clips half are taken; else they are an error."""


NORMALISATIONS: dict[str, Normalisation] = {
    one.name: one
    for one in (
        Normalisation("all", None, describes="all clips of the speaker"),
        Normalisation("any1", 1, describes="1 clip of any emotion"),
        Normalisation("any3", 3, describes="3 clips of any emotion"),
        Normalisation("any5", 5, describes="5 clips of any emotion"),
        Normalisation("any10", 10, describes="10 clips of any emotion"),
        Normalisation("neutral1", 1, is_neutral=True, describes="1 neutral clip"),
        Normalisation("neutral3", 3, is_neutral=True, describes="3 neutral clips"),
        Normalisation(
            "mixed10",
            10,
            describes="10 clips of any emotion, the head having learnt with 3 neutral ones",
            learnt_on="neutral3",
        ),
        Normalisation(
            "voice10",
            10,
            describes="10 clips of the speaker, half of them where there are fewer than 20",
            may_lack=True,
        ),
        *(
            Normalisation(f"room{n}", n, describes=f"{n} clips of the corpus", is_room=True)
            for n in (10, 30, 100)
        ),
        Normalisation("room_all", None, describes="all clips of the corpus", is_room=True),
    )
}

# Those that a user can follow: three neutral clips, as the app asks for, or unlabelled ones; and
# unlabelled ones of a voice or a room, of corpora that lack neutral clips of some speakers.
ENROLMENT = "neutral3"
UNLABELLED = "mixed10"
VOICE = "voice10"
ROOM = "room30"


def enrolled(rows: pd.DataFrame, normalisation: Normalisation) -> pd.Series:
    """Return which rows are of clips that are known beforehand; none for `all`.

    They are the first of each speaker, or room, in the order of their hashes, which does not depend
    on emotions; file names are sorted by emotion in some corpora.
    """
    if normalisation.n_clips is None:
        return pd.Series(False, index=rows.index)
    group = corpora_of(rows) if normalisation.is_room else rows["speaker"]
    all_clips = rows.assign(group=group).drop_duplicates("clip_id")
    usable = all_clips[all_clips["label"] == "neutral"] if normalisation.is_neutral else all_clips
    ordered = usable.sort_values("audio_sha256").groupby("group")
    wanted = pd.Series(normalisation.n_clips, index=all_clips["group"].unique())
    totals = all_clips.groupby("group").size()
    if normalisation.may_lack:
        wanted = np.minimum(wanted, totals // 2)
    found = ordered.size().reindex(wanted.index, fill_value=0)
    if len(short := found.index[(found < wanted) | (totals[found.index] <= wanted)]):
        raise SplitError(
            f"{normalisation.name}: {short[0]} has too few clips to set "
            f"{normalisation.describes} aside; take a smaller number"
        )
    is_first = ordered.cumcount().lt(usable["group"].map(wanted))
    return rows["clip_id"].isin(usable.loc[is_first, "clip_id"])


def known_clips(
    clips: pd.DataFrame, normalisation: Normalisation, training_speakers: set[str]
) -> tuple[pd.Series, pd.Series]:
    """Return which clips speakers are known by, and which could have been chosen for it.

    Training speakers are known by the normalisation that was learnt on, where it is another one.
    """
    known = enrolled(clips, normalisation)
    if normalisation.learnt_on:
        learnt = NORMALISATIONS[normalisation.learnt_on]
        is_training = clips["speaker"].isin(training_speakers)
        known = enrolled(clips, learnt).where(is_training, known)
        normalisation = learnt
    return known, clips["label"].eq("neutral") | (not normalisation.is_neutral)
