"""Our network from scratch, with and without the clips of a second corpus.

`SCRATCH_ALONE` trains on the tested corpus alone, as the published figures do that it is compared
with.
"""

from __future__ import annotations

from dataclasses import replace

from ser_lib.features.registry import FeatureSpec
from ser_lib.models.tdnn import TdnnConfig
from ser_lib.studies.moonshine import CHOSEN_ONCE, SMOOTHED_TRAINING
from ser_lib.studies.study import ModelSpec, our_study

TRAINING = replace(SMOOTHED_TRAINING, max_epochs=50, learning_rate=2e-3, mixup_alpha=0.3)
SCRATCH = our_study(
    name="scratch",
    title="A small network on descriptors of speech, from scratch",
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
    augmentations=("slower", "faster"),
    test_views=("slower", "faster"),
    auxiliary_corpora=("emodb",),
    departures=(
        *CHOSEN_ONCE,
        "Clips of EmoDB are trained on in every fold where it is not tested itself, if their "
        "emotion is a class of the tested corpus: another language, and ten voices more.",
    ),
)
SCRATCH_ALONE = replace(
    SCRATCH,
    name="scratch_alone",
    title="The same network, on the clips of one corpus alone",
    models=tuple(
        replace(one, name="tdnn_alone", title="TDNN from scratch") for one in SCRATCH.models
    ),
    auxiliary_corpora=(),
    departures=CHOSEN_ONCE,
)
