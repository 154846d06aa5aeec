"""Normalisation by speaker, or by room: the own level of each is taken out of the features.

It needs no labels of the test speaker, but recordings: it is part of a protocol's name, and scores
with it are not comparable to scores without. `ser_lib.data.enrolment` says which clips are known
(`all`, `any3`, `neutral3`, `mixed10` ...). Those clips are no test rows, and how speakers differ is
estimated on training speakers alone.
"""

from __future__ import annotations

import numpy as np

from ser_lib.data.enrolment import NORMALISATIONS, Normalisation
from ser_lib.features import speaker_level


def normalise(
    features: np.ndarray,
    speakers: np.ndarray,
    is_known: np.ndarray,
    is_eligible: np.ndarray,
    *,
    normalisation: Normalisation,
    training_speakers: set[str],
) -> np.ndarray:
    """Take each speaker's own level out of features.

    Parameters
    ----------
    features : ndarray, shape (n_clips, ...)
        Of all clips, of training and test speakers.
    speakers : ndarray of str, shape (n_clips,)
        The speaker, or room, of each clip.
    is_known, is_eligible : ndarray of bool, shape (n_clips,)
        From `ser_lib.data.enrolment.known_clips`: clips that are known beforehand, and those of
        training speakers that could have been (neutral ones, or all). Not used for `all`.
    normalisation : Normalisation
        By which clips a speaker is known.
    training_speakers : set of str
        On whom it is estimated how speakers, and clips of one speaker, differ.

    Returns
    -------
    ndarray of float32, shape (n_clips, ...)
        Of `all`: each value less its mean over the speaker's clips, divided by its spread there.
        Otherwise: less the speaker's level as `shrunken_mean` estimates it from the known clips,
        divided by the spread within training speakers. With `learnt_on`, the mean effect of
        emotions on training speakers is first subtracted from a test speaker's mean.
    """
    features = np.asarray(features, dtype=np.float32)
    result = np.empty_like(features)
    if normalisation.n_clips is None:
        for speaker in np.unique(speakers):
            ours = speakers == speaker
            clips = features[ours]
            result[ours] = (clips - clips.mean(axis=0)) / speaker_level.safe_spread(
                clips.var(axis=0)
            )
        return result
    known = {one: features[(speakers == one) & is_known] for one in np.unique(speakers)}
    means = np.stack(
        [known[one].mean(axis=0) for one in sorted(training_speakers) if len(known[one])]
    )
    is_training = np.isin(speakers, sorted(training_speakers))
    is_alike = is_training & is_eligible
    within = speaker_level.variance_within(features[is_training], speakers[is_training])
    learnt = NORMALISATIONS.get(normalisation.learnt_on, normalisation)
    noise = speaker_level.variance_within(features[is_alike], speakers[is_alike]) / learnt.n_clips
    centre, between = means.mean(axis=0), speaker_level.variance_between(means, noise)
    offsets = np.zeros_like(centre)
    if normalisation.learnt_on:
        offsets = emotion_offsets(
            features[is_training], speakers[is_training], is_eligible[is_training]
        )
    for speaker, clips in known.items():
        ours = speakers == speaker
        if not len(clips):  # `may_lack`: nothing is known
            result[ours] = (features[ours] - centre) / speaker_level.safe_spread(within)
            continue
        mean, own_noise = clips.mean(axis=0), noise
        if normalisation.may_lack:
            own_noise = noise * (normalisation.n_clips / len(clips))
        if normalisation.learnt_on and speaker not in training_speakers:
            mean, own_noise = mean - offsets, within / normalisation.n_clips
        level = speaker_level.shrunken_mean(mean, centre=centre, between=between, noise=own_noise)
        result[ours] = (features[ours] - level) / speaker_level.safe_spread(within)
    return result


def emotion_offsets(
    features: np.ndarray, speakers: np.ndarray, is_neutral: np.ndarray
) -> np.ndarray:
    """Return the mean of all clips of a speaker less that of the neutral ones, over speakers.

    Every speaker needs a neutral clip.
    """
    masks = [speakers == one for one in np.unique(speakers)]
    means = [(features[one].mean(axis=0), features[one & is_neutral].mean(axis=0)) for one in masks]
    return np.mean([every - neutral for every, neutral in means], axis=0)
