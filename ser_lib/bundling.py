"""From a study to a bundle: fit on all speakers, calibrate on speakers left out, write it down.

How good the bundle is, its temperature and its 'not sure' threshold come from the study's run on
folds of speakers never heard, which is loaded from the store or trained first. The network that is
shipped is then trained once more, on everybody, for as many epochs as were best in those folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ser_lib.bundles import Bundle, write_bundle
from ser_lib.cards import card_text
from ser_lib.corpora import corpus_of, get_corpus, load
from ser_lib.domain import Domain, fit_domain, over_time
from ser_lib.elsewhere import judge_elsewhere
from ser_lib.errors import BundleError
from ser_lib.extraction import extract
from ser_lib.features import FEATURES, FeatureSpec
from ser_lib.final_head import fit_final_head
from ser_lib.final_network import fit_final_network
from ser_lib.judging import judge_run
from ser_lib.models import family_of
from ser_lib.models.heads import RidgeHeadConfig
from ser_lib.predict import Predictor, with_probe
from ser_lib.runs import RunPlan, plan_run, run_or_load
from ser_lib.splits import rows_of
from ser_lib.store import Run, provenance
from ser_lib.studies import Study

__all__ = ["fit_bundle"]


def fit_bundle(
    study: Study,
    clips: pd.DataFrame,
    folder: str | Path,
    *,
    model: str = "",
    protocol: str = "honest",
    name: str = "",
    with_keras: bool = True,
    elsewhere: Sequence[str] = (),
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
    elsewhere : sequence of str
        Other corpora; how the finished bundle does on them is told in its card.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        If the model is neither a network nor linear, if the study trains on other corpora as well
        or answers with means over views of a clip, if its folds share speakers, or if `elsewhere`
        names a corpus that it is trained on.
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
    others = _others(elsewhere, clips)
    plan = plan_run(study, spec.name, study.protocol(protocol, corpus), study.seeds[0], clips)
    if plan.leaks:
        raise BundleError(
            f"the protocol '{plan.protocol.name}' tests on what was trained on "
            f"({', '.join(plan.leaks)}): what a bundle says of itself must come from speakers "
            "never heard; choose another with --protocol"
        )
    run = run_or_load(plan, clips)
    judged = judge_run(run, clips)
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
    tried = [judge_elsewhere(Predictor(bundle), one, label_set) for one in others]
    bundle = replace(bundle, card={**bundle.card, "elsewhere": tried})
    return write_bundle(bundle, folder, card=card_text(bundle), keras_file=keras_file)


def _others(names: Sequence[str], clips: pd.DataFrame) -> list[pd.DataFrame]:
    """Load the corpora that a bundle is to be tried on; before anything is trained."""
    tables = [load(name, strict=False) for name in dict.fromkeys(names)]
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
