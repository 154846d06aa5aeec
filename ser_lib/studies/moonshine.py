"""Our own system: linear heads on the frozen encoder of a small speech recogniser.

Nobody published it; what it is measured against are the figures of far larger encoders under the
same protocols, in notebook 07_transfer. All that is chosen is chosen inside the training speakers.
"""

from __future__ import annotations

from collections.abc import Mapping

from ser_lib.encoders import ENCODERS
from ser_lib.features import FeatureSpec
from ser_lib.labels import LABEL_SETS
from ser_lib.models.heads import RidgeHeadConfig, neighbours
from ser_lib.normalisation import NORMALISATIONS
from ser_lib.splits import Protocol
from ser_lib.studies._base import ModelSpec, Study

__all__ = ["MOONSHINE"]

# As it is and a tenth slower, which changes a voice about as much as another speaker would.
# On inner folds two speeds gave as much as three.
SPEEDS = "1,0.9"
ALL_SPEEDS = (0, 1)


def _features(encoder: str, speeds: str = "1") -> FeatureSpec:
    card = ENCODERS[encoder]
    params = {"encoder": encoder, "sha256": card.sha256, "speeds": speeds}
    return FeatureSpec("encoder_views", sample_rate_hz=card.sample_rate_hz, params=params)


def _alone(n_layers: int) -> tuple[tuple[int, ...], ...]:
    return tuple((layer,) for layer in range(n_layers))


BASE = _features("moonshine-base", SPEEDS)
BASE_ONE_SPEED = _features("moonshine-base")
TINY = _features("moonshine-tiny")
LAYER_RUNS = neighbours(1, 7, lengths=(4, 6))
# Blocks that no head reads need not be computed: for answers in a fifth less time.
LOW_RUNS = neighbours(1, 5, lengths=(3, 4, 5))


def _ablation(name: str, title: str, config: RidgeHeadConfig) -> ModelSpec:
    return ModelSpec(name, title, config, BASE_ONE_SPEED, is_ours=True, is_optional=True)


def _protocols(name: str) -> Mapping[str, Protocol]:
    """Return a protocol with each normalisation, by its full name."""
    some = [Protocol(name, normalisation=one) for one in NORMALISATIONS]
    return {one.full_name: one for one in some}


def _across(train: str, test: str) -> Protocol:
    return Protocol("cross_corpus", params={"train": train, "test": test})


MOONSHINE = Study(
    name="moonshine",
    title="Linear heads on the Moonshine encoder",
    source="This project (2026). The encoder: Jeffries et al. (2024), arXiv:2410.15608; MIT.",
    corpora=("ravdess",),
    label_set=LABEL_SETS["ravdess8"],
    # The classes that RAVDESS and EmoDB have in common are those of CREMA-D.
    label_sets={"emodb": "emodb7", "pooled": "crema_d6"},
    models=(
        ModelSpec(
            "base",
            "Moonshine base, two speeds",
            RidgeHeadConfig(LAYER_RUNS, views=ALL_SPEEDS),
            BASE,
            is_ours=True,
        ),
        # Each of these differs from `base_one_speed` in what its title says.
        _ablation("base_one_speed", "Moonshine base, one speed", RidgeHeadConfig(LAYER_RUNS)),
        _ablation(
            "base_low",
            "Moonshine base, one speed, lower layers",
            RidgeHeadConfig(LOW_RUNS),
        ),
        _ablation(
            "base_one_set",
            "Moonshine base, one speed, one set of layers",
            RidgeHeadConfig(LAYER_RUNS, n_members=1),
        ),
        _ablation(
            "base_one_layer",
            "Moonshine base, one speed, one layer",
            RidgeHeadConfig(_alone(9), n_members=1),
        ),
        _ablation(
            "base_last",
            "Moonshine base, one speed, the last layer",
            RidgeHeadConfig(((8,),), n_members=1),
        ),
        _ablation(
            "base_mean",
            "Moonshine base, one speed, no spreads",
            RidgeHeadConfig(LAYER_RUNS, statistics=(0,)),
        ),
        ModelSpec(
            "tiny",
            "Moonshine tiny",
            RidgeHeadConfig(neighbours(1, 5, lengths=(2, 4))),
            TINY,
            is_ours=True,
            is_optional=True,
        ),
    ),
    published_protocol=Protocol("luna5"),
    honest_protocol=Protocol("luna5"),
    other_protocols={
        **_protocols("luna5"),
        **_protocols("loso"),
        "german": _across("ravdess", "emodb"),
        "english": _across("emodb", "ravdess"),
    },
    seeds=(42, 43, 44),
    departures=(
        "The encoder was trained to recognise words, on other speech; these heads change not a "
        "weight of it.",
        "A seed deals the training speakers into inner folds, on which layers and penalty are "
        "chosen; all else is solved in closed form.",
        "Where a protocol's name holds 'norm', clips of the test speaker are known beforehand, "
        "without their labels.",
    ),
)
