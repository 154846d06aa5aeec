"""Our network from scratch: small, on descriptors of speech, and nothing pretrained.

Here clips of another language are trained on as well; `ser_lib.studies.scratch_alone` is the same
network without them.
"""

from __future__ import annotations

from dataclasses import replace

from ser_lib.features import FeatureSpec
from ser_lib.labels import LABEL_SETS
from ser_lib.models.tdnn import TdnnConfig
from ser_lib.splits import Protocol
from ser_lib.studies._base import ModelSpec, Study
from ser_lib.studies._ours import CHOSEN_ONCE, SMOOTHED_TRAINING

__all__ = ["SCRATCH"]

TRAINING = replace(SMOOTHED_TRAINING, max_epochs=50, learning_rate=2e-3, mixup_alpha=0.3)

SCRATCH = Study(
    name="scratch",
    title="A small network on descriptors of speech, from scratch",
    source="This project (2026).",
    corpora=("ravdess",),
    label_set=LABEL_SETS["ravdess8"],
    label_sets={"emodb": "emodb7"},
    models=(
        ModelSpec(
            "tdnn",
            "TDNN from scratch, with EmoDB",
            TdnnConfig(),
            FeatureSpec("speech_descriptors", sample_rate_hz=16_000),
            TRAINING,
            is_ours=True,
        ),
    ),
    published_protocol=Protocol("luna5"),
    honest_protocol=Protocol("luna5"),
    seeds=(42, 43, 44),
    augmentations=("slower", "faster"),
    test_views=("slower", "faster"),
    auxiliary_corpora=("emodb",),
    departures=(
        *CHOSEN_ONCE,
        "Clips of EmoDB are trained on in every fold where it is not tested itself, if their "
        "emotion is a class of the tested corpus: another language, and ten voices more.",
    ),
)
