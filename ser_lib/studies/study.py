"""What every study shares: a published system written down as data.

A `Study` says which clips, which task, which features, which models with which training, under
which protocol, and what its authors published. Running it is the business of `ser_lib.runs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from ser_lib.data.labels import LABEL_SETS, LabelSet
from ser_lib.data.splits import Protocol, plain_protocol
from ser_lib.errors import StudyError
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.encoder_finetune import EncoderTopConfig
from ser_lib.training.settings import TrainingSettings


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
    """How it is trained under any protocol but the published one, where that differs: when to stop
    is then found on validation speakers."""
    is_scaled: bool = False
    """Whether features are standardised on the training rows."""
    is_optional: bool = False
    """Whether it is trained on request only, being too large for two cores; it is shown where its
    runs are stored."""
    is_ours: bool = False
    """Whether this project added it, as a baseline or a faster form."""
    max_seeds: Mapping[str, int] = field(default_factory=dict)
    """By "published" or "honest": how many of the study's seeds are run, where two cores take
    hours; all of them where it says nothing."""

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
    """Of weights and, where the protocol draws, of the split; the first as published."""
    copies: int = 1
    """How often the study holds each clip."""
    augmentations: tuple[str, ...] = ()
    test_views: tuple[str, ...] = ()
    """Augmentations that draw nothing: a network's answer is the mean of those to a test clip and
    to these variants of it."""
    auxiliary_corpora: tuple[str, ...] = ()
    """Corpora whose clips are trained on as well, in every fold; none of them is tested."""
    published_figures: tuple[PublishedFigure, ...] = ()
    departures: tuple[str, ...] = ()
    """What is done otherwise than in the report, or had to be guessed, and why."""
    label_sets: Mapping[str, str] = field(default_factory=dict)
    """For corpora other than the authors': the name of the label set to use."""
    stand_in: str = ""
    """The corpus at which the study is at home here, where the authors' own cannot be had."""
    other_protocols: Mapping[str, Protocol] = field(default_factory=dict)
    """Named tests of the study beside these two, and, by a corpus's name, what is honest there."""

    def __post_init__(self) -> None:
        unknown = [one for one in self.test_views if one not in self.augmentations]
        if unknown:
            raise StudyError(
                f"{self.name}: test_views={self.test_views} must be among its augmentations "
                f"{self.augmentations}"
            )

    def model(self, name: str) -> ModelSpec:
        """Return one of the models by name.

        Raises
        ------
        StudyError
            If the study has none of that name.
        """
        for one in self.models:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.models)
        raise StudyError(f"{self.name} has no model '{name}'; it has {known}")

    def labels_for(self, corpus: str) -> LabelSet:
        """Return the label set of this study on a corpus."""
        other = self.label_sets.get(corpus)
        return LABEL_SETS[other] if other else self.label_set

    def protocol(self, name: str, corpus: str) -> Protocol:
        """Return the study's protocol of that name on a corpus, or the plain one.

        Parameters
        ----------
        name : str
            "published", "honest", a key of `other_protocols`, or one of
            `ser_lib.data.splits.PROTOCOLS`.
        corpus : str
            On other corpora than the authors' and the demo, "honest" is what the study names for
            them, else it leaves one speaker out: named folds belong to their corpus.
        """
        is_home = corpus in (*self.corpora, "demo")
        elsewhere = self.other_protocols.get(corpus, Protocol("loso"))
        honest = self.honest_protocol if is_home else elsewhere
        named = {"published": self.published_protocol, "honest": honest}
        return (named | dict(self.other_protocols)).get(name) or plain_protocol(name)

    def home(self, corpus: str) -> str:
        """Return where this study is shown in the report of a corpus: there, or at its home."""
        is_known = corpus in (*self.corpora, *self.label_sets, "demo")
        return corpus if is_known else self.stand_in or self.corpora[0]

    def with_max_epochs(self, max_epochs: int) -> Study:
        """Return the study with shorter training, for a first look; its runs are other runs.

        Parameters
        ----------
        max_epochs : int
            Upper limit; 0 leaves the published one.
        """
        if max_epochs == 0:
            return self
        if max_epochs < 0:
            raise StudyError(f"max_epochs={max_epochs} must be 0 (as published) or more")
        return replace(self, models=tuple(_shorten(one, max_epochs) for one in self.models))

    def with_side(self, side_px: int) -> Study:
        """Return the study with smaller pictures, for a first look; its runs are other runs.

        Parameters
        ----------
        side_px : int
            Height and width of inputs that are square; 0 leaves the published ones.
        """
        if side_px == 0:
            return self
        if side_px < 32:
            raise StudyError(f"side_px={side_px}: must be 0 (as published) or at least 32")
        return replace(self, models=tuple(_resize(one, side_px) for one in self.models))

    def with_bands(self, n_mels: int) -> Study:
        """Return the study with fewer mel bands, for a first look; its runs are other runs.

        Parameters
        ----------
        n_mels : int
            Bands of inputs that are sequences or chunks of frames; 0 leaves the published ones.
        """
        if n_mels == 0:
            return self
        if n_mels < 16:
            raise StudyError(f"n_mels={n_mels}: must be 0 (as published) or at least 16")
        return replace(self, models=tuple(_narrow(one, n_mels) for one in self.models))

    def published_value(self, model: str, metric: str = "wa", label: str = "") -> float | None:
        """Return a published figure, or None where the report has none."""
        for one in self.published_figures:
            if (one.model, one.metric, one.label) == (model, metric, label):
                return one.value
        return None

    def published_table(self) -> pd.DataFrame:
        """Return all published figures as a table, one row a figure."""
        return pd.DataFrame([vars(one) for one in self.published_figures])


def _narrow(model: ModelSpec, n_mels: int) -> ModelSpec:
    if model.features.name not in ("mel_frames", "mel_chunks"):
        return model
    params = {**model.features.params, "n_mels": n_mels}
    return replace(model, features=replace(model.features, params=params))


def _resize(model: ModelSpec, side_px: int) -> ModelSpec:
    if "side_px" not in model.features.params:
        return model
    params = {**model.features.params, "side_px": side_px}
    return replace(model, features=replace(model.features, params=params))


def _shorten(model: ModelSpec, max_epochs: int) -> ModelSpec:
    if model.training is None:
        return model

    def shortened(settings: TrainingSettings | None) -> TrainingSettings | None:
        if settings is None:
            return None
        return replace(settings, max_epochs=min(settings.max_epochs, max_epochs))

    return replace(
        model,
        training=shortened(model.training),
        honest_training=shortened(model.honest_training),
    )
