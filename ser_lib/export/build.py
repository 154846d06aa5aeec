"""From a study to a bundle: fit on all speakers, calibrate on speakers left out, write it down.

How good the bundle is, its temperature and its 'not sure' threshold come from the study's run on
folds of speakers never heard, which is loaded from the store or trained first. The network that is
shipped is then trained once more, on everybody, for as many epochs as were best in those folds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ser_lib.data import corpus_of, get_corpus, load_corpus
from ser_lib.data.enrolment import ENROLMENT, NORMALISATIONS, UNLABELLED, enrolled
from ser_lib.data.labels import LabelSet
from ser_lib.data.splits import rows_of
from ser_lib.errors import BundleError
from ser_lib.evaluation.metrics import Score, score_predictions
from ser_lib.export.refit import fit_final_head, fit_final_network, summarise_run
from ser_lib.features.extraction import extract
from ser_lib.features.registry import FEATURES, FeatureSpec
from ser_lib.inference.batch import predict_many
from ser_lib.inference.bundle import Bundle, write_bundle
from ser_lib.inference.model_card import card_text
from ser_lib.inference.out_of_domain import Domain, fit_domain, over_time
from ser_lib.inference.prediction import NOT_SURE
from ser_lib.inference.predictor import Predictor, with_probe
from ser_lib.models import family_of
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


def fit_bundle(
    study: Study,
    clips: pd.DataFrame,
    folder: str | Path,
    *,
    model: str = "",
    protocol: str = "honest",
    name: str = "",
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
        Where to write; new, empty, or a bundle to replace.
    model : str
        One of the study's models; the first where nothing is named.
    protocol : str
        Folds on which the bundle's figures, temperature and threshold are found.
    name : str
        Of the bundle; else the folder's.
    with_keras : bool
        Whether a network is also written for Keras, which doubles the bundle.
    cross_corpora : sequence of str
        Other corpora; how the finished bundle does on them is told in its card.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        If the model is neither a network nor linear, if the study trains on other corpora as well
        or answers with means over views of a clip, if its folds share speakers, or if
        `cross_corpora` names one that it is trained on.
    """
    spec = study.model(model or study.models[0].name)
    family = family_of(spec.config)[1]
    if not (family.is_keras or isinstance(spec.config, RidgeHeadConfig)):
        raise BundleError(
            f"{study.name} {spec.name} is neither a network nor a linear head: no bundle holds it"
        )
    if study.auxiliary_corpora:
        raise BundleError(
            f"{study.name} is trained on clips of {', '.join(study.auxiliary_corpora)} as well; a "
            "bundle is trained on one corpus, and its figures would not be its own. Train another "
            "study"
        )
    if study.test_views:
        raise BundleError(
            f"{study.name} answers with the mean over several speeds of a clip, which a bundle "
            "does not do: its figures would not be those of what it says. Train another study"
        )
    corpus = corpus_of(clips)
    others = _others(cross_corpora, clips)
    plan = plan_run(study, spec.name, study.protocol(protocol, corpus), study.seeds[0], clips)
    if plan.leaks:
        raise BundleError(
            f"the protocol '{plan.protocol.name}' tests on what was trained on "
            f"({', '.join(plan.leaks)}): what a bundle says of itself must come from speakers "
            "never heard; choose another with --protocol"
        )
    run = run_or_load(plan, clips)
    judged = summarise_run(run, clips)
    fit = fit_final_network if family.is_keras else fit_final_head
    parts = fit(plan, run, clips)
    domain = parts.domain or _domain_of(spec.features, clips)
    bundle = Bundle(
        name=name or Path(folder).name,
        title=f"{spec.title} ({study.name}), trained on {get_corpus(corpus).title}",
        kind=parts.kind,
        labels=plan.labels,
        features=parts.features or spec.features,
        input_shape=parts.input_shape,
        temperature=judged["temperature"],
        threshold=judged["selection"]["threshold"],
        domain_limit=domain.limit,
        encoder=parts.encoder,
        speaker=parts.speaker,
        arrays={"domain_centre": domain.centre, "domain_whitening": domain.whitening}
        | dict(parts.arrays),
        graph=parts.graph,
        card=judged | _facts(plan, run, clips) | dict(parts.facts),
    )
    bundle = with_probe(bundle)
    keras_file = parts.keras_file if with_keras else b""
    written = write_bundle(bundle, folder, card=card_text(bundle), keras_file=keras_file)
    if not others:
        return written
    # Written before and after: what goes wrong elsewhere does not cost the training.
    label_set = study.labels_for(corpus)
    tried = [evaluate_cross_corpus(Predictor(bundle), one, label_set) for one in others]
    bundle = replace(bundle, card={**bundle.card, "elsewhere": tried})
    return write_bundle(bundle, folder, card=card_text(bundle), keras_file=keras_file)


def _others(names: Sequence[str], clips: pd.DataFrame) -> list[pd.DataFrame]:
    """Load the corpora that a bundle is to be tried on; before anything is trained."""
    tables = [load_corpus(name, strict=False) for name in dict.fromkeys(names)]
    for table, name in zip(tables, dict.fromkeys(names), strict=True):
        if set(table["corpus"]) & set(clips["corpus"]):
            raise BundleError(f"{name}: the bundle is trained on it; name others for --elsewhere")
        if not table.attrs.get("has_audio", True):
            raise BundleError(f"{name}: has no recordings here to try the bundle on")
    return tables


def _domain_of(features: FeatureSpec, clips: pd.DataFrame) -> Domain:
    """Describe all clips by what `Bundle.domain_values` takes of each."""
    axes = FEATURES[features.name].time_axes
    rows = [over_time(row.astype(np.float64), axes) for row in extract(clips, features)]
    return fit_domain(np.stack(rows), clips["speaker"].to_numpy())


def _facts(plan: RunPlan, run: Run, clips: pd.DataFrame) -> dict[str, object]:
    corpus = get_corpus(plan.corpus)
    parts: Sequence[object] = getattr(corpus, "members", (corpus,))
    rows = rows_of(clips, plan.study.labels_for(plan.corpus))
    return {
        "study": plan.study.name,
        "model": plan.model.name,
        "source": plan.study.source,
        "corpus": plan.corpus,
        "corpora": [
            {"title": one.title, "licence": one.licence, "citation": one.citation} for one in parts
        ],
        "is_embedded": bool(getattr(corpus, "is_embedded", False)),
        "n_clips": len(rows),
        "n_speakers": int(rows["speaker"].nunique()),
        "seed": plan.seed,
        "protocol": plan.protocol.name,
        "run": run.folder.name,
        "made_with": provenance(),
    }
