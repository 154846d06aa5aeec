"""The classical reference: openSMILE's ComParE functionals and a linear support vector machine.

What papers of the field often name as the baseline. Here it chooses its regularisation inside the
training speakers, and is tested under the protocols of our own systems.
"""

from __future__ import annotations

from ser_lib.data.splits import Protocol
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.linear_svm import LinearSvmConfig
from ser_lib.studies.study import ModelSpec, our_study

COMPARE2016 = our_study(
    name="compare2016",
    title="ComParE 2016 functionals and a linear SVM",
    source="Functionals: Schuller et al. (2016), Interspeech, computed by openSMILE (Eyben et al. "
    "2010). The machine and the protocol: this project.",
    models=(
        ModelSpec(
            "svm",
            "ComParE functionals, linear SVM",
            LinearSvmConfig(),
            FeatureSpec("compare_functionals", sample_rate_hz=16_000),
            is_ours=True,
        ),
    ),
    developed_on=(),
    other_protocols={"luna5_norm_all": Protocol("luna5", normalisation="all")},
    departures=(
        "openSMILE is not installed with this project, since its licence allows research and "
        "private use only; stored runs are shown without it.",
        "A seed deals the training speakers into inner folds, on which the regularisation is "
        "chosen.",
    ),
)
