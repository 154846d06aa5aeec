"""A finished bundle on other corpora: what is left of it where nothing is as in its training.

Other speakers, rooms, microphones, sentences, languages. Nothing is chosen or fitted here; clips
are answered by the bundle as it is shipped.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ser_lib.answers import NOT_SURE
from ser_lib.batch import predict_many
from ser_lib.corpora import corpus_of, get_corpus
from ser_lib.errors import BundleError
from ser_lib.labels import LabelSet
from ser_lib.metrics import Score, score_predictions
from ser_lib.normalisation import ENROLMENT, NORMALISATIONS, UNLABELLED, enrolled
from ser_lib.predict import Predictor
from ser_lib.progress import progress
from ser_lib.splits import rows_of

__all__ = ["MAX_CLIPS", "judge_elsewhere"]

logger = logging.getLogger(__name__)

# Of a corpus; more would only narrow an interval that its few speakers make wide.
MAX_CLIPS = 1000


def judge_elsewhere(
    predictor: Predictor, clips: pd.DataFrame, label_set: LabelSet
) -> dict[str, object]:
    """Ask a bundle about the clips of a corpus that it was not trained on.

    Parameters
    ----------
    predictor : Predictor
        Of the bundle; its network or head is used as it is.
    clips : pandas.DataFrame
        Clip table of the other corpus, with audio.
    label_set : LabelSet
        Of the bundle's task: clips of other emotions are left out. A class that the corpus does
        not have can still be answered, and is wrong then.

    Returns
    -------
    dict
        Plain data for the model card: `corpus, title, n_clips, n_speakers, labels, new_voice`, and
        `known_voice` (by neutral clips) and `mixed_known_voice` (by clips of any mood) where the
        bundle can adapt; all are of the same clips then, those that tell no voice. A voice has
        `uar, uar_low, uar_high, accuracy_share, confidence, coverage_share,
        answered_accuracy_share` (None without answers) and `unlike_share`.

    Raises
    ------
    BundleError
        If no clip belongs to the bundle's classes.

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    rows = rows_of(clips, label_set)
    rows = rows[rows["label"].isin(predictor.labels)]
    corpus = corpus_of(clips)
    if rows.empty:
        raise BundleError(f"{corpus}: has no clip of the classes {', '.join(predictor.labels)}")
    rows = rows.assign(path=rows["clip_id"].map(clips.set_index("clip_id")["path"]))
    known = {}
    if predictor.bundle.speaker:
        known = {
            "known_voice": NORMALISATIONS[ENROLMENT],
            "mixed_known_voice": NORMALISATIONS[UNLABELLED],
        }
    tells = {name: enrolled(rows, way) for name, way in known.items()}
    asked = rows[~np.any(list(tells.values()), axis=0)] if tells else rows
    # In the order of their hashes, which know nothing of emotions; names are often sorted by them.
    asked = asked.sort_values("audio_sha256").head(MAX_CLIPS).sort_index()
    found: dict[str, object] = {
        "corpus": corpus,
        "title": get_corpus(corpus).title,
        "n_clips": len(asked),
        "n_speakers": int(asked["speaker"].nunique()),
        "labels": [one for one in predictor.labels if one in set(asked["label"])],
        "new_voice": _judged(asked, _answers(asked, {"": predictor}, corpus), predictor),
    }
    for name, way in known.items():
        voices = {
            speaker: predictor.enrolled(list(group["path"]), is_neutral=way.is_neutral)
            for speaker, group in rows[tells[name]].groupby("speaker")
        }
        answers = _answers(asked, voices, f"{corpus}, {name.replace('_', ' ')}")
        found[name] = _judged(asked, answers, predictor)
    return found


def _answers(rows: pd.DataFrame, voices: Mapping[str, Predictor], what: str) -> pd.DataFrame:
    """Predict rows, each by its speaker's predictor, or by the only one."""
    logger.info("%s: %d clips of %d speakers", what, len(rows), rows["speaker"].nunique())
    tables = []
    for speaker, group in rows.groupby("speaker", sort=False):
        predictor = voices.get("") or voices[speaker]
        answers = predict_many(predictor, map(Path, group["path"]))
        shown = progress(answers, total=len(group), what=f"{what}, {speaker}")
        tables.append(
            pd.DataFrame(
                {
                    "prediction": next(iter(one.probabilities), ""),
                    "confidence": one.confidence,
                    "is_answered": one.emotion != NOT_SURE,
                    "is_unlike": one.is_unlike,
                    "error": one.error,
                }
                for one in shown
            ).set_index(group.index)
        )
    return pd.concat(tables).loc[rows.index]


def _judged(
    rows: pd.DataFrame, answers: pd.DataFrame, predictor: Predictor
) -> dict[str, float | None]:
    if (answers["error"] != "").any():
        first = answers.loc[answers["error"] != "", "error"].iloc[0]
        raise BundleError(f"a clip could not be answered ({first}); mend or remove it")
    table = rows.assign(truth=rows["label"], prediction=answers["prediction"])
    is_right = (table["truth"] == table["prediction"]).to_numpy()
    answered = answers["is_answered"].to_numpy(dtype=bool)
    figures = {
        **_interval(table, predictor.labels),
        "accuracy_share": is_right.mean(),
        "confidence": answers["confidence"].mean(),
        "coverage_share": answered.mean(),
        "answered_accuracy_share": is_right[answered].mean() if answered.any() else None,
        "unlike_share": answers["is_unlike"].mean(),
    }
    return {name: None if one is None else round(float(one), 4) for name, one in figures.items()}


def _interval(table: pd.DataFrame, labels: tuple[str, ...]) -> dict[str, float]:
    score: Score = score_predictions([table], labels)
    return {"uar": score.uar, "uar_low": score.uar_low, "uar_high": score.uar_high}
