"""From a study to a bundle: fitted on all speakers, calibrated on held-out ones, and written.

How good the bundle is, its temperature and its 'not sure' threshold come from the study's run on
folds of unseen speakers, which is loaded from the store or trained first. The model in the bundle
is then fitted once more, on everybody. A finished bundle can be tested on other corpora.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser_lib.data import corpus_of, get_corpus, load_corpus
from ser_lib.data.enrolment import (
    ENROLMENT,
    NORMALISATIONS,
    ROOM,
    UNLABELLED,
    VOICE,
    enrolled,
)
from ser_lib.data.labels import LabelSet
from ser_lib.data.splits import BY_CORPUS, rows_of
from ser_lib.errors import BundleError
from ser_lib.evaluation.metrics import score_predictions
from ser_lib.export.refit import fit_final_head, fit_final_network, summarise_run
from ser_lib.inference.batch import predict_many
from ser_lib.inference.bundle import Bundle, check_replaceable, write_bundle
from ser_lib.inference.model_card import card_text
from ser_lib.inference.prediction import NOT_SURE
from ser_lib.inference.predictor import MIN_MIXED_CLIPS, Predictor, with_probe
from ser_lib.models import family_of
from ser_lib.models.corpus_head import CorpusHeadConfig
from ser_lib.models.ridge_head import RidgeHeadConfig
from ser_lib.runs.runner import RunPlan, plan_run, run_or_load
from ser_lib.runs.store import Run, provenance
from ser_lib.runtime import progress
from ser_lib.studies.study import Study

logger = logging.getLogger(__name__)

# Of a corpus; more would only narrow an interval that its few speakers make wide.
MAX_CLIPS = 1000


def evaluate_cross_corpus(
    predictor: Predictor, clips: pd.DataFrame, label_set: LabelSet
) -> dict[str, Any]:
    """Test a bundle on the clips of a corpus that it was not trained on.

    Parameters
    ----------
    predictor : Predictor
        Of the bundle.
    clips : pandas.DataFrame
        Clip table of the other corpus, with audio.
    label_set : LabelSet
        Of the bundle's task: clips of other emotions are left out. A class that the corpus does
        not have can still be predicted, and is wrong then.

    Returns
    -------
    dict
        For the model card: `corpus, title, n_clips, n_speakers, labels, new_voice` and, if the
        bundle can adapt, `known_voice` (by neutral clips), `mixed_known_voice` (by unlabelled
        ones) and `known_room`, tested on the same clips; one for strangers has no first one. Each
        has `uar, uar_low, uar_high, accuracy_share, confidence, coverage_share,
        answered_accuracy_share` (or None) and `unlike_share`, and where the bundle has answer sets
        `set_coverage_share` and `set_size`.

    Raises
    ------
    BundleError
        If no clip belongs to the bundle's classes, or one cannot be used.
    """
    predictor = copy.copy(predictor)
    predictor.is_bounded = False
    rows = rows_of(clips, label_set)
    rows = rows[rows["label"].isin(predictor.labels)]
    corpus = corpus_of(clips)
    if rows.empty:
        raise BundleError(f"{corpus}: has no clip of the classes {', '.join(predictor.labels)}")
    rows = rows.assign(path=rows["clip_id"].map(clips.set_index("clip_id")["path"]))
    speaker = predictor.bundle.speaker
    ways = {"known_voice": ENROLMENT, "mixed_known_voice": UNLABELLED} if speaker else {}
    if "room_temperature" in speaker:
        ways = {"known_room": ROOM, "mixed_known_voice": VOICE}
    known = {name: NORMALISATIONS[way] for name, way in ways.items()}
    enrolment = {name: enrolled(rows, way) for name, way in known.items()}
    tested = rows[~np.any(list(enrolment.values()), axis=0)] if enrolment else rows
    # In the order of their hashes, which know nothing of emotions; names are often sorted by them.
    tested = tested.sort_values("audio_sha256").head(MAX_CLIPS).sort_index()
    found: dict[str, Any] = {
        "corpus": corpus,
        "title": get_corpus(corpus).title,
        "n_clips": len(tested),
        "n_speakers": int(tested["speaker"].nunique()),
        "labels": [one for one in predictor.labels if one in set(tested["label"])],
        "new_voice": _figures(tested, _predicted(tested, {"": predictor}, corpus), predictor),
    }
    for name, way in known.items():
        if way.is_room:
            voices = {"": predictor.in_room(list(rows.loc[enrolment[name], "path"]))}
        else:
            voices = {"": predictor} | {
                who: predictor.enrolled(list(group["path"]), is_neutral=way.is_neutral)
                for who, group in rows[enrolment[name]].groupby("speaker")
                if way.is_neutral or len(group) >= MIN_MIXED_CLIPS
            }
        predicted = _predicted(tested, voices, f"{corpus}, {name.replace('_', ' ')}")
        found[name] = _figures(tested, predicted, predictor)
    return found


def _predicted(rows: pd.DataFrame, voices: Mapping[str, Predictor], what: str) -> pd.DataFrame:
    """Predict rows, each by its speaker's predictor, or else by the one for all."""
    logger.info("%s: %d clips of %d speakers", what, len(rows), rows["speaker"].nunique())
    tables = []
    for speaker, group in rows.groupby("speaker", sort=False):
        predictor = voices.get(speaker) or voices[""]
        predictions = predict_many(predictor, map(Path, group["path"]))
        shown = progress(predictions, total=len(group), what=f"{what}, {speaker}")
        found = (
            {
                "prediction": next(iter(one.probabilities), ""),
                "is_answered": one.emotion != NOT_SURE,
                "answers": one.answers,
                **{name: getattr(one, name) for name in ("confidence", "is_unlike", "error")},
            }
            for one in shown
        )
        tables.append(pd.DataFrame(found).set_index(group.index))
    return pd.concat(tables).loc[rows.index]


def _figures(
    rows: pd.DataFrame, predicted: pd.DataFrame, predictor: Predictor
) -> dict[str, float | None]:
    if (predicted["error"] != "").any():
        first = predicted.loc[predicted["error"] != "", "error"].iloc[0]
        raise BundleError(f"a clip could not be used ({first}); replace or remove it")
    table = rows.assign(truth=rows["label"], prediction=predicted["prediction"])
    score = score_predictions([table], predictor.labels)
    is_right = (table["truth"] == table["prediction"]).to_numpy()
    answered = predicted["is_answered"].to_numpy(dtype=bool)
    figures = {
        **{name: getattr(score, name) for name in ("uar", "uar_low", "uar_high")},
        "accuracy_share": is_right.mean(),
        "confidence": predicted["confidence"].mean(),
        "coverage_share": answered.mean(),
        "answered_accuracy_share": is_right[answered].mean() if answered.any() else None,
        "unlike_share": predicted["is_unlike"].mean(),
    }
    if predicted["answers"].map(len).any():
        pairs = zip(rows["label"], predicted["answers"], strict=True)
        figures["set_coverage_share"] = np.mean([truth in answers for truth, answers in pairs])
        figures["set_size"] = predicted["answers"].map(len).mean()
    return {name: None if pd.isna(one) else round(float(one), 4) for name, one in figures.items()}


def fit_bundle(
    study: Study,
    clips: pd.DataFrame,
    folder: str | Path,
    *,
    model: str = "",
    protocol: str = "honest",
    with_keras: bool = True,
    cross_corpora: Sequence[str] = (),
) -> Path:
    """Fit one model of a study on all speakers of a corpus, and write it as a bundle.

    Parameters
    ----------
    study : Study
        Whose model, with its first seed.
    clips : pandas.DataFrame
        Clip table, with audio.
    folder : str or Path
        Where to write; new, empty, or a bundle of the same model to replace. It names the bundle.
    model : str
        One of the study's models; the first where nothing is named.
    protocol : str
        Folds on which the bundle's figures, temperature and threshold are found.
    with_keras : bool
        Whether a network is also written for Keras, which doubles the bundle.
    cross_corpora : sequence of str
        Other corpora, on which the finished bundle is tested for its card.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        If no bundle can hold the model, the folder holds something else, the folds leak, or
        `cross_corpora` names a training corpus.
    """
    spec = study.model(model or study.models[0].name)
    is_network = {one.name: family_of(one.config)[1].is_keras for one in study.models}
    able = [
        one.name
        for one in study.models
        if is_network[one.name] or isinstance(one.config, RidgeHeadConfig | CorpusHeadConfig)
    ]
    if spec.name not in able:
        raise BundleError(
            f"{study.name} {spec.name} is neither a network nor a linear head: no bundle holds it; "
            f"of this study one can hold {', '.join(able) or 'none'}"
        )
    if study.auxiliary_corpora:
        raise BundleError(
            f"{study.name} is trained on clips of {', '.join(study.auxiliary_corpora)} as well; a "
            "bundle is trained on one corpus, and the figures would not be its own. Train another "
            "study"
        )
    if study.test_views:
        raise BundleError(
            f"{study.name} predicts the mean over several speeds of a clip, which a bundle does "
            "not do: the figures would not be its own. Train another study"
        )
    corpus = corpus_of(clips)
    title = f"{spec.title} ({study.name}), trained on {get_corpus(corpus).title}"
    check_replaceable(Path(folder), title)
    other_clips = _other_corpora(cross_corpora, clips)
    plan = plan_run(study, spec.name, study.protocol(protocol, corpus), study.seeds[0], clips)
    if plan.leaks:
        raise BundleError(
            f"the protocol '{plan.protocol.name}' tests on what was trained on "
            f"({', '.join(plan.leaks)}): the figures of a bundle must come from unseen speakers; "
            "choose another with --protocol"
        )
    run = run_or_load(plan, clips)
    fit = fit_final_network if is_network[spec.name] else fit_final_head
    parts = fit(plan, run, clips)
    summary = summarise_run(run, clips, parts.left_out)
    bundle = Bundle(
        name=Path(folder).name,
        title=title,
        kind=parts.kind,
        labels=plan.labels,
        features=parts.features,
        input_shape=parts.input_shape,
        temperature=summary["temperature"],
        threshold=summary["selection"]["threshold"],
        domain_limit=parts.domain.limit,
        encoder=parts.encoder,
        speaker=parts.speaker,
        arrays={
            "domain_centre": parts.domain.centre,
            "domain_whitening": parts.domain.whitening,
            **parts.arrays,
        },
        graph=parts.graph,
        card=summary | _facts(plan, run, clips) | dict(parts.facts),
    )
    bundle = with_probe(bundle)
    keras_file = parts.keras_file if with_keras else b""
    written = write_bundle(bundle, folder, card=card_text(bundle), keras_file=keras_file)
    if not other_clips:
        return written
    # Written before and after: what goes wrong on another corpus does not cost the training.
    label_set = study.labels_for(corpus)
    tested = [evaluate_cross_corpus(Predictor(bundle), one, label_set) for one in other_clips]
    bundle = replace(bundle, card={**bundle.card, "elsewhere": tested})
    return write_bundle(bundle, folder, card=card_text(bundle), keras_file=keras_file)


def _other_corpora(names: Sequence[str], clips: pd.DataFrame) -> list[pd.DataFrame]:
    """Load the corpora that a bundle is to be tested on; before anything is trained."""
    tables = []
    for name in dict.fromkeys(names):
        table = load_corpus(name, strict=False)
        if set(table["corpus"]) & set(clips["corpus"]):
            raise BundleError(f"{name}: the bundle is trained on it; name others for --elsewhere")
        if not table.attrs.get("has_audio", True):
            raise BundleError(f"{name}: has no recordings here to test the bundle on")
        tables.append(table)
    return tables


def _facts(plan: RunPlan, run: Run, clips: pd.DataFrame) -> dict[str, Any]:
    corpus = get_corpus(plan.corpus)
    parts: Sequence[Any] = getattr(corpus, "members", (corpus,))
    rows = rows_of(clips, plan.study.labels_for(plan.corpus))
    return {
        "study": plan.study.name,
        "model": plan.model.name,
        "source": plan.study.source,
        "corpus": plan.corpus,
        "corpora": [
            {name: getattr(one, name) for name in ("title", "licence", "citation", "speech")}
            for one in parts
        ],
        "is_for_strangers": plan.protocol.name in BY_CORPUS,
        "is_embedded": bool(getattr(corpus, "is_embedded", False)),
        "n_clips": len(rows),
        "n_speakers": int(rows["speaker"].nunique()),
        "seed": plan.seed,
        "protocol": plan.protocol.name,
        "run": run.folder.name,
        "made_with": provenance(),
    }
