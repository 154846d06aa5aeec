"""Normalisation by speaker: what a system gains that has heard some of a new voice before.

It needs no labels of the test speaker, but it needs recordings: so it is part of a protocol's name,
and a figure with it never stands in for one without. The families:

    all         every clip of a speaker is known: its mean and spread are taken out
    any3        three clips of a speaker, whatever was felt, were recorded beforehand (k = 3)
    neutral3    three clips in a neutral tone were recorded beforehand, as an app would ask for
    mixed10     ten clips, whatever was felt, for a head that learnt with three neutral ones

Clips that were recorded beforehand are no test rows. What is normalised are features of fixed
shape; statistics of other speakers come from the training ones alone.
"""

from __future__ import annotations

import numpy as np

from ser_lib.data.enrolment import NORMALISATIONS, Normalisation

# Below this share of the typical spread a value does not vary, and is not blown up.
MIN_SPREAD_SHARE = 1e-3


def normalise(
    features: np.ndarray,
    speakers: np.ndarray,
    is_known: np.ndarray,
    is_kind: np.ndarray,
    *,
    normalisation: Normalisation,
    training_speakers: set[str],
) -> np.ndarray:
    """Take a speaker's own level out of features.

    Parameters
    ----------
    features : ndarray, shape (n_clips, ...)
        Of all clips, of training and test speakers.
    speakers : ndarray of str, shape (n_clips,)
        Who speaks.
    is_known : ndarray of bool, shape (n_clips,)
        From `known_clips`; not used for `all`.
    is_kind : ndarray of bool, shape (n_clips,)
        Which clips training speakers could have been known by: the neutral ones, or all.
    normalisation : Normalisation
        Which clips tell about a speaker.
    training_speakers : set of str
        Whose clips tell how speakers, and clips of one speaker, differ.

    Returns
    -------
    ndarray of float32, shape (n_clips, ...)
        Of `all`: each value less its mean over the speaker's clips, over its spread there. Else:
        less the most probable mean of the speaker, given k clips of this speaker and how training
        speakers differ; over the spread within training speakers. Where something else was learnt
        on, what the moods of training speakers add to their neutral mean is taken off first.

    References
    ----------
    The mean of k clips is shrunk towards that of all speakers by B / (B + W / k), with B the
    variance between speakers and W that within: Robbins (1956), Efron & Morris (1973), JASA 68:117.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    features = np.asarray(features, dtype=np.float32)
    result = np.empty_like(features)
    if normalisation.n_clips is None:
        for speaker in np.unique(speakers):
            ours = speakers == speaker
            result[ours] = _standardise(features[ours])
        return result
    usable = {one: features[(speakers == one) & is_known] for one in np.unique(speakers)}
    means = np.stack([usable[one].mean(axis=0) for one in sorted(training_speakers)])
    is_training = np.isin(speakers, sorted(training_speakers))
    within = _variance_within(features[is_training], speakers[is_training])
    is_alike = is_training & is_kind
    learnt = NORMALISATIONS.get(normalisation.learnt_on, normalisation)
    noise = _variance_within(features[is_alike], speakers[is_alike]) / learnt.n_clips
    centre = means.mean(axis=0)
    # What the means of k clips vary by, less what they would if all speakers were alike.
    between = np.maximum(means.var(axis=0, ddof=1) - noise, 0.0)
    of_moods = np.zeros_like(centre)
    if normalisation.learnt_on:
        of_moods = emotion_offsets(
            features[is_training], speakers[is_training], is_kind[is_training]
        )
    for speaker, clips in usable.items():
        ours, mean, its_noise = speakers == speaker, clips.mean(axis=0), noise
        if normalisation.learnt_on and speaker not in training_speakers:
            mean, its_noise = mean - of_moods, within / normalisation.n_clips
        trust = between / np.maximum(between + its_noise, np.finfo(np.float32).tiny)
        own = centre + trust * (mean - centre)
        result[ours] = (features[ours] - own) / _safe(np.sqrt(within))
    return result


def emotion_offsets(
    features: np.ndarray, speakers: np.ndarray, is_neutral: np.ndarray
) -> np.ndarray:
    """Tell what moods add to the mean of a speaker's clips, beside that of the neutral ones.

    Parameters
    ----------
    features : ndarray, shape (n_clips, ...)
        Of speakers whose clips are labelled.
    speakers : ndarray of str, shape (n_clips,)
        Who speaks.
    is_neutral : ndarray of bool, shape (n_clips,)
        Which clips are neutral; some of every speaker.

    Returns
    -------
    ndarray, shape (...)
        Mean over the speakers.
    """
    return np.mean(
        [
            features[speakers == one].mean(axis=0)
            - features[(speakers == one) & is_neutral].mean(axis=0)
            for one in np.unique(speakers)
        ],
        axis=0,
    )


def _standardise(clips: np.ndarray) -> np.ndarray:
    return (clips - clips.mean(axis=0)) / _safe(clips.std(axis=0))


def _variance_within(features: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Mean over speakers of the variance over a speaker's clips."""
    return np.mean([features[speakers == one].var(axis=0) for one in np.unique(speakers)], axis=0)


def _safe(spread: np.ndarray) -> np.ndarray:
    """Keep what hardly varies from being blown up."""
    return np.maximum(spread, MIN_SPREAD_SHARE * (np.median(spread) or 1.0))
