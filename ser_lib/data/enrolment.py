"""What is known of a test speaker beforehand: which clips, and whether they are neutral ones."""

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
    """The one that training speakers are known by, where it is another: what moods add to the mean
    of their clips is told apart from the voice then."""


NORMALISATIONS: dict[str, Normalisation] = {
    one.name: one
    for one in (
        Normalisation("all", None, describes="all clips of the speaker"),
        *(
            Normalisation(f"any{k}", k, describes=f"{k} clip{'s' * (k > 1)} of any emotion")
            for k in (1, 3, 5, 10)
        ),
        *(
            Normalisation(f"neutral{k}", k, is_neutral=True, describes=f"{k} neutral clip{s}")
            for k, s in ((1, ""), (3, "s"))
        ),
        Normalisation(
            "mixed10",
            10,
            describes="10 clips of any emotion, the head having learnt with 3 neutral ones",
            learnt_on="neutral3",
        ),
    )
}

# Those that a user can follow: three neutral clips, as the app asks for, or what there is.
ENROLMENT = "neutral3"
UNLABELLED = "mixed10"


def enrolled(rows: pd.DataFrame, normalisation: Normalisation) -> pd.Series:
    """Tell which rows are recordings made beforehand.

    Parameters
    ----------
    rows : pandas.DataFrame
        With `speaker, label, clip_id, audio_sha256`.
    normalisation : Normalisation
        How many clips, and of which kind.

    Returns
    -------
    pandas.Series of bool, shape (n_rows,)
        The first clips of each speaker in the order of their hashes, which knows nothing of
        emotions; file names are sorted by emotion in some corpora. None for `all`.

    Raises
    ------
    SplitError
        If a speaker has too few clips of that kind, or none would be left.
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
    """Tell by which clips speakers are known, and which could have been those.

    Parameters
    ----------
    clips : pandas.DataFrame
        With `speaker, label, clip_id, audio_sha256`.
    normalisation : Normalisation
        By which test speakers are known; training speakers by that which was learnt on.
    training_speakers : set of str
        Who they are.

    Returns
    -------
    two pandas.Series of bool, shape (n_clips,)
        As `normalise` takes them.
    """
    known = enrolled(clips, normalisation)
    if normalisation.learnt_on:
        learnt = NORMALISATIONS[normalisation.learnt_on]
        is_training = clips["speaker"].isin(training_speakers)
        known = enrolled(clips, learnt).where(is_training, known)
        normalisation = learnt
    return known, clips["label"].eq("neutral") | (not normalisation.is_neutral)
