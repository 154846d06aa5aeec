"""What every study shares: a published system written down as data.

A `Study` says which clips, which task, which features, which models with which training, under
which protocol, and what its authors published. Running it is the business of `ser_lib.runs`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import product
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pandas as pd

from ser_lib.data.labels import LABEL_SETS, LabelSet
from ser_lib.data.own import OwnCorpus, own_corpus
from ser_lib.data.splits import (
    PROTOCOLS,
    Protocol,
    make_split,
    plain_protocol,
    rows_of,
    variants_of,
)
from ser_lib.errors import SplitError, StudyError
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.encoder_finetune import EncoderTopConfig
from ser_lib.shown import short
from ser_lib.training.settings import TrainingSettings


@short
@dataclass(frozen=True)
class ModelSpec:
    """One model of a study with its input and its training."""

    name: str
    title: str
    config: Any
    """A config of one of `ser_lib.models.FAMILIES`."""
    features: FeatureSpec
    training: TrainingSettings | None = None
    honest_training: TrainingSettings | None = None
    """Training under any protocol but the published one, where it differs: validation speakers
    then say when to stop."""
    is_scaled: bool = False
    """Whether features are standardised on the training rows."""
    is_optional: bool = False
    """Whether it is trained on request only; it is shown where its runs are stored."""
    is_ours: bool = False
    """Whether this project added it, as a baseline or a faster form."""
    max_seeds: Mapping[str, int] = field(default_factory=dict)
    """By "published" or "honest": how many of the study's seeds are run, where not all are and no
    number is asked for."""

    def __post_init__(self) -> None:
        if isinstance(self.config, EncoderTopConfig):
            given = (self.features.params.get("encoder"), self.features.params.get("layers"))
            if given != (self.config.encoder, str(self.config.first_block)):
                raise StudyError(
                    f"{self.name}: block {self.config.first_block} of {self.config.encoder} reads "
                    f"the layer of that number, not layer {given[1]} of {given[0]}"
                )

    @property
    def honest_settings(self) -> TrainingSettings | None:
        """How it is trained under any protocol but the published one."""
        return self.honest_training or self.training


@dataclass(frozen=True)
class PublishedFigure:
    """A figure that the authors printed."""

    model: str
    metric: str
    """"wa" (accuracy), "train_wa", or "auc", "precision", "recall", "f1" of one class."""
    value: float
    where: str
    """Section or table of the report."""
    label: str = ""
    """The class, where the figure is about one."""


# What was tried in this process: studies that can divide a corpus of one's own, or cannot.
_DIVIDED: dict[tuple[object, ...], bool] = {}


@short
@dataclass(frozen=True)
class Study:
    """A published system."""

    name: str
    title: str
    source: str
    corpora: tuple[str, ...]
    """Corpora that the authors used."""
    label_set: LabelSet
    models: tuple[ModelSpec, ...]
    published_protocol: Protocol
    honest_protocol: Protocol
    seeds: tuple[int, ...]
    """Of weights and of splits that are drawn; the first as published."""
    copies: int = 1
    """How often the study holds each clip."""
    augmentations: tuple[str, ...] = ()
    test_views: tuple[str, ...] = ()
    """Augmentations without chance: a network's answer is the mean over a test clip and these."""
    auxiliary_corpora: tuple[str, ...] = ()
    """Corpora whose clips are trained on in every fold, and never tested."""
    published_figures: tuple[PublishedFigure, ...] = ()
    departures: tuple[str, ...] = ()
    """What is done otherwise than in the report, or had to be guessed, and why."""
    differences: Mapping[str, str] = field(default_factory=dict)
    """By model: what keeps its run here from being that of the printed figure."""
    developed_on: tuple[str, ...] = ()
    """Corpora whose test speakers were looked at while it was chosen."""
    label_sets: Mapping[str, str] = field(default_factory=dict)
    """For corpora other than the authors': the name of the label set to use."""
    stand_in: str = ""
    """The corpus at which the study is at home here, where the authors' own cannot be had."""
    other_protocols: Mapping[str, Protocol] = field(default_factory=dict)
    """Further protocols by name and, by a corpus's name, what is honest there."""

    def __post_init__(self) -> None:
        unknown = [one for one in self.test_views if one not in self.augmentations]
        if unknown:
            raise StudyError(
                f"{self.name}: test_views={self.test_views} must be among its augmentations "
                f"{self.augmentations}"
            )

    def model(self, name: str) -> ModelSpec:
        """Return a model by name; StudyError if there is none of that name."""
        known = {one.name: one for one in self.models}
        if name not in known:
            raise StudyError(f"{self.name} has no model '{name}'; it has {', '.join(known)}")
        return known[name]

    def labels_for(self, corpus: str) -> LabelSet:
        """Return the label set of this study on a corpus."""
        other = self.label_sets.get(corpus)
        return LABEL_SETS[other] if other else self.label_set

    def protocol(self, name: str, corpus: str) -> Protocol:
        """Return the study's protocol of a name on a corpus, or the plain one of that name.

        Names: "published", "honest", a key of `other_protocols` or of `data.splits.PROTOCOLS`. Away
        from the authors' corpora and the demo, whose folds are named, "honest" is what the study
        names for the corpus, else it leaves one speaker out (or, of many of one's own, a fold).
        """
        is_home = corpus in (*self.corpora, "demo")
        own = own_corpus(corpus)
        away = self.other_protocols.get(corpus, Protocol(own.protocol if own else "loso"))
        honest = self.honest_protocol if is_home else away
        named = {"published": self.published_protocol, "honest": honest, **self.other_protocols}
        return named.get(name) or plain_protocol(name)

    def home(self, corpus: str) -> str:
        """Return where this study is shown in the report of a corpus: there, or at its home.

        A corpus of one's own that has not what it takes is replaced by the demo.
        """
        if own := own_corpus(corpus):
            return corpus if self._divides(own) else "demo"
        is_known = corpus in (*self.corpora, *self.label_sets, "demo")
        return corpus if is_known else self.stand_in or self.corpora[0]

    def _divides(self, own: OwnCorpus) -> bool:
        """Whether both protocols can divide the clips of a corpus of one's own into classes."""
        key = (self.name, str(own.source), own.n_clips, str(own.n_speakers_of))
        if key not in _DIVIDED:
            clips = own.load(strict=False)
            try:
                for name, seed in product(("published", "honest"), self.seeds):
                    protocol = self.protocol(name, own.name)
                    extra = variants_of(self.copies, self.augmentations)
                    variants = extra if protocol.is_published else ("original",)
                    rows = rows_of(clips, self.label_set, variants)
                    make_split(rows, protocol, seed=seed)
                _DIVIDED[key] = rows["label"].nunique() > 1
            except SplitError:
                _DIVIDED[key] = False
        return _DIVIDED[key]

    def variant(
        self,
        name: str,
        *,
        model: Mapping[str, Any] | None = None,
        feature: FeatureSpec | Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        protocol: str | Protocol | None = None,
    ) -> Study:
        """Return a study of one model with other settings, whose runs are kept apart from ours.

        Parameters
        ----------
        name : str
            The model that is changed.
        model, training : mapping, optional
            Fields of its config and of its `TrainingSettings`, by name.
        feature : FeatureSpec or mapping, optional
            Another feature, or parameters of the one that it has.
        protocol : str or Protocol, optional
            What is honest, a key of `ser_lib.data.splits.PROTOCOLS` for example.

        Raises
        ------
        StudyError, FeatureError
            If a name is unknown, a value is of another kind, or nothing is changed.

        Examples
        --------
        >>> from ser_lib.studies import get_study
        >>> get_study("boucheta2025").variant("knn", model={"n_neighbors": 5}).name
        'boucheta2025+n_neighbors=5'
        """
        base = self.model(name)
        changes: dict[str, Any] = {**(model or {}), **(training or {})}
        one = replace(base, config=_changed(base.config, model or {}))
        if isinstance(feature, FeatureSpec):
            changes["feature"] = feature.name
            changes |= feature.params
            one = replace(one, features=feature)
        elif feature:
            params = {**base.features.params, **feature}
            for key in feature.keys() & base.features.params.keys():
                _check_kind(key, params[key], (type(base.features.params[key]),))
            changes |= feature
            one = replace(one, features=replace(base.features, params=params))
        if training:
            if base.training is None:
                raise StudyError(f"{self.name}: {name} has no training settings; it is fitted once")
            honest = base.honest_training and _changed(base.honest_training, training)
            one = replace(one, training=_changed(base.training, training), honest_training=honest)
        honestly, others = self.honest_protocol, self.other_protocols
        if protocol is not None:
            honestly = protocol if isinstance(protocol, Protocol) else _known_protocol(protocol)
            changes["protocol"] = honestly.full_name
            away = (*self.corpora, *self.label_sets)
            others = {**others, **dict.fromkeys(away, honestly)}
        if not changes:
            raise StudyError(f"{self.name}: a variant of {name} needs something that is changed")
        text = ", ".join(f"{key} = {value}" for key, value in changes.items())
        own = re.sub(
            r"[^\w.=,+-]", "", "+".join(f"{key}={value}" for key, value in changes.items())
        )
        return replace(
            self,
            name=f"{self.name}+{own[:100]}",
            title=f"{self.title}, {text}",
            models=(replace(one, title=f"{base.title} with {text}", is_optional=False),),
            departures=(*self.departures, f"Here with {text}."),
            honest_protocol=honestly,
            other_protocols=others,
            published_figures=(),
            differences={},
        )

    def with_max_epochs(self, max_epochs: int) -> Study:
        """Return the study with at most this number of epochs; 0 leaves the published number."""
        if max_epochs == 0:
            return self
        if max_epochs < 0:
            raise StudyError(f"max_epochs={max_epochs} must be 0 (as published) or more")

        def shorter(settings: TrainingSettings | None) -> TrainingSettings | None:
            return settings and replace(settings, max_epochs=min(settings.max_epochs, max_epochs))

        models = (
            replace(
                one, training=shorter(one.training), honest_training=shorter(one.honest_training)
            )
            for one in self.models
        )
        return replace(self, models=tuple(models))

    def with_side(self, side_px: int) -> Study:
        """Return the study with smaller square inputs; 0 leaves the published side."""
        sized = [one for one in self.models if "side_px" in one.features.params]
        return self._with_param("side_px", side_px, sized, least=32)

    def with_bands(self, n_mels: int) -> Study:
        """Return the study with other mel bands in sequences and chunks of frames; 0: published."""
        banded = [one for one in self.models if one.features.name in ("mel_frames", "mel_chunks")]
        return self._with_param("n_mels", n_mels, banded, least=16)

    def _with_param(self, name: str, value: int, some: Sequence[ModelSpec], *, least: int) -> Study:
        """Return the study with another parameter of the features of some of its models."""
        if value == 0:
            return self
        if value < least:
            raise StudyError(f"{name}={value}: must be 0 (as published) or at least {least}")
        models = []
        for one in self.models:
            params = {**one.features.params, **({name: value} if one in some else {})}
            models.append(replace(one, features=replace(one.features, params=params)))
        return replace(self, models=tuple(models))

    def published_value(self, model: str, metric: str = "wa", label: str = "") -> float | None:
        """Return a published figure, or None where the report has none."""
        figures = {(one.model, one.metric, one.label): one.value for one in self.published_figures}
        return figures.get((model, metric, label))

    def published_table(self) -> pd.DataFrame:
        """Return all published figures as a table, one row a figure."""
        columns = [one.name for one in fields(PublishedFigure)]
        return pd.DataFrame([vars(one) for one in self.published_figures], columns=columns)


def _changed(settings: Any, changes: Mapping[str, Any]) -> Any:
    """Replace fields of a dataclass; StudyError lists the known ones."""
    known = [one.name for one in fields(settings)]
    if unknown := [one for one in changes if one not in known]:
        raise StudyError(
            f"{type(settings).__name__} has no setting {', '.join(unknown)}; known are "
            f"{', '.join(known)}"
        )
    hints = get_type_hints(type(settings))
    for name, value in changes.items():
        hint = hints[name]
        _check_kind(name, value, get_args(hint) if isinstance(hint, UnionType) else (hint,))
    return replace(settings, **changes)


def _check_kind(name: str, value: Any, hints: tuple[Any, ...]) -> None:
    """Raise StudyError for a setting that is of no type of its field, or no number: NaN."""
    kinds = {get_origin(one) or one for one in hints}
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    is_known = type(value) in kinds or (is_number and float in kinds)
    if not is_known or (is_number and not math.isfinite(value)):
        wanted = " or ".join(sorted(one.__name__ for one in kinds))
        raise StudyError(
            f"{name}={value!r} ({type(value).__name__}) must be {wanted}, and no NaN or infinity"
        )


def _known_protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise StudyError(f"unknown protocol '{name}'; known are {', '.join(PROTOCOLS)}")
    return plain_protocol(name)


def class_figures(
    model: str, table: Mapping[str, Sequence[float]], where: str
) -> tuple[PublishedFigure, ...]:
    """Return the figures of a printed table: by class its precision, recall and F1."""
    return tuple(
        PublishedFigure(model, metric, value, where, label)
        for label, values in table.items()
        for metric, value in zip(("precision", "recall", "f1"), values, strict=True)
    )


# A system of this project: on RAVDESS, of unseen speakers, unless an argument says otherwise.
our_study = partial(
    Study,
    source="This project (2026).",
    corpora=("ravdess",),
    label_set=LABEL_SETS["ravdess8"],
    label_sets={"emodb": "emodb7"},
    published_protocol=Protocol("luna5"),
    honest_protocol=Protocol("luna5"),
    seeds=(42, 43, 44),
    developed_on=("ravdess", "emodb"),
)
