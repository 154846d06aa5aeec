"""Networks as heads on our encoder: weighing layers, weighing frames, looking along time.

Each head differs from the first in what its title says. All of them start where ridge regression on
their statistics ends, and see the same layers; the encoder stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

from ser_lib.labels import LABEL_SETS
from ser_lib.models.frame_head import FrameHeadConfig
from ser_lib.splits import Protocol
from ser_lib.studies._base import ModelSpec, Study
from ser_lib.studies._ours import CHOSEN_ONCE, SMOOTHED_TRAINING, base_frames

__all__ = ["HEADS"]

# The best of the sets of layers that were tried with ridge regression, on inner folds.
FRAMES = base_frames("2,3,4,5")
TRAINING = replace(SMOOTHED_TRAINING, learning_rate=3e-4, mixup_alpha=0.3)


def _head(name: str, title: str, **config: object) -> ModelSpec:
    return ModelSpec(name, title, FrameHeadConfig(**config), FRAMES, TRAINING, is_ours=True)


HEADS = Study(
    name="heads",
    title="Heads on frames of the Moonshine encoder",
    source="This project (2026). The encoder: Jeffries et al. (2024), arXiv:2410.15608; MIT.",
    corpora=("ravdess",),
    label_set=LABEL_SETS["ravdess8"],
    label_sets={"emodb": "emodb7"},
    models=(
        _head("linear", "Keras head: mean and spread"),
        _head("mixture", "Keras head: layers mixed", n_mixed=4),
        _head("attention", "Keras head: frames weighted", n_attention=32),
        _head(
            "convolutions", "Keras head: convolutions, weighted", n_attention=32, n_filters=(96,)
        ),
    ),
    published_protocol=Protocol("luna5"),
    honest_protocol=Protocol("luna5"),
    other_protocols={"loso": Protocol("loso")},
    seeds=(42, 43, 44),
    augmentations=("slower", "faster"),
    test_views=("slower", "faster"),
    departures=(
        *CHOSEN_ONCE,
        "Six epochs, where those trials had ten: to save time, and not tried before.",
    ),
)
