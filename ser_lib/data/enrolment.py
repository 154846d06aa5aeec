"""Enrolment: which clips of a speaker are known before the test, and whether they are neutral.

A normalisation uses them without their labels; `ser_lib.training.speaker_normalisation` computes
it. Clips that are known beforehand are no test rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ser_lib.errors import SplitError


@dataclass(frozen=True)
class Normalisation:
    """Which clips of a speaker are known beforehand."""

    name: str
    n_clips: int | None
    """None: all of them."""
    is_neutral: bool = False
    describes: str = ""
    learnt_on: str = ""
    """The normalisation of training speakers, where it is another one: the head then learns to
    distinguish what emotions add to the mean of a speaker's clips from the voice."""


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
    )
}

# Those that a user can follow: three neutral clips, as the app asks for, or unlabelled ones.
ENROLMENT = "neutral3"
UNLABELLED = "mixed10"


def enrolled(rows: pd.DataFrame, normalisation: Normalisation) -> pd.Series:
    """Return which rows are of clips that are known beforehand; none for `all`.

    They are the first of each speaker in the order of their hashes, which does not depend on
    emotions; file names are sorted by emotion in some corpora.
    """
    if normalisation.n_clips is None:
        return pd.Series(False, index=rows.index)
    usable = rows[rows["label"] == "neutral"] if normalisation.is_neutral else rows
    ordered = usable.drop_duplicates("clip_id").sort_values("audio_sha256")
    first = ordered.groupby("speaker").head(normalisation.n_clips)
    counts = first.groupby("speaker").size().reindex(rows["speaker"].unique(), fill_value=0)
    short = counts[counts < normalisation.n_clips]
    totals = rows.drop_duplicates("clip_id").groupby("speaker").size()
    if len(short) or (totals <= normalisation.n_clips).any():
        worst = short.index[0] if len(short) else totals.idxmin()
        raise SplitError(
            f"{normalisation.name}: {worst} has too few clips to set "
            f"{normalisation.describes} aside; take a smaller number"
        )
    return rows["clip_id"].isin(first["clip_id"])


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
