"""The leakage ladder as data: one model, the same features, one change per step.

A `Step` says how clips become rows, which values are assigned to folds, which rows select epochs
and settings, and which rows the scaler is fitted on. Some steps leak on purpose: they exist here
only, and each declares the leaks that `support.leakage` finds in it, or is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ser_lib.errors import StudyError
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.baselines import SvmConfig
from ser_lib.models.cnn import Cnn1dConfig
from ser_lib.studies.moonshine import BASE_ONE_SPEED
from ser_lib.training.settings import TrainingSettings

STATISTICS_FEATURES = FeatureSpec("speech_statistics", sample_rate_hz=16_000)

# As boucheta2025.
NETWORK_FEATURES = FeatureSpec(
    "mfcc_zcr_rms", offset_s=0.6, duration_s=2.5, params={"duration_s": 2.5, "n_mfcc": 40}
)
AUGMENTATIONS = ("noise", "shift", "stretch", "pitch")

# Kinds of `ser_lib.data.leakage.FINDINGS` that a random division of rows or clips leaves.
OF_ROWS = ("same_audio", "same_parent", "same_speaker")

# RAVDESS holds one recording under two names, so random clips share audio as well.
OF_TEST_ROWS = ("same_row", *OF_ROWS)


@dataclass(frozen=True)
class Candidate:
    """A model that a step trains; of several, the selection rows choose one in each fold."""

    config: object
    """A config of one of `ser_lib.models.FAMILIES`."""
    features: FeatureSpec
    training: TrainingSettings | None = None
    layer: int | None = None
    """Of an encoder's features: the layer that is used, 0 being its front end; None uses all."""


# scikit-learn's defaults: nothing was tuned.
SVM = Candidate(SvmConfig(), STATISTICS_FEATURES)
SETTINGS = tuple(
    Candidate(SvmConfig(inverse_regularisation=c, n_components=n), STATISTICS_FEATURES)
    for c in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
    for n in (20, 69)
)

# boucheta2025's network, smaller: it trains in seconds on one core.
NETWORK = Cnn1dConfig(n_filters=(32,), n_dense=32)
STOPPED = Candidate(
    NETWORK, NETWORK_FEATURES, TrainingSettings(max_epochs=40, batch_size=64, stop_patience=8)
)
BEST_EPOCH = Candidate(
    NETWORK, NETWORK_FEATURES, TrainingSettings(max_epochs=25, batch_size=64, keep="val_accuracy")
)

# The same network hears whole clips, as they are or with zeros where nobody speaks yet or any more.
WHOLE, MUTED = (
    Candidate(
        NETWORK,
        FeatureSpec("mfcc_zcr_rms", duration_s=4.0, params={"duration_s": 4.0} | params),
        TrainingSettings(max_epochs=25, batch_size=64),
    )
    for params in ({}, {"is_muted": True})
)

# One layer each of a frozen encoder, its front end first.
LAYERS = tuple(Candidate(SvmConfig(), BASE_ONE_SPEED, layer=layer) for layer in range(9))


@dataclass(frozen=True)
class Step:
    """One experiment: how clips are divided, and what has access to the test rows."""

    name: str
    title: str
    by: tuple[str, ...]
    """Columns of the rows whose values are assigned to folds: `row_id`, `clip_id`, `speaker`,
    `statement`. A fold is tested on rows whose values are all its own, and trained on rows none of
    whose values is."""
    candidates: tuple[Candidate, ...] = (SVM,)
    variants: tuple[str, ...] = ("original",)
    """The rows that each clip becomes."""
    is_made_before: bool = False
    """Whether variants are made before clips are divided; otherwise only of training clips."""
    selected_on: str = ""
    """Rows that stop the training and choose epoch and candidate: "validation" speakers, or, as a
    leak, the "test" rows. Empty: nothing is chosen, and all other rows are trained on."""
    scaled_on: str = "train"
    """Rows that features are standardised on: "train", or, as a leak, "all"."""
    size_of: str = ""
    """The step to whose number of training clips the training is reduced."""
    n_speakers: int = 0
    """Number of speakers to which the training is reduced; 0 keeps all."""
    is_permuted: bool = False
    """Whether emotions are permuted among all clips: there is then nothing to learn, and any score
    above chance was leaked."""
    leaks: tuple[str, ...] = ()
    """What `support.leakage` finds in it, declared."""
    twin: str = ""
    """The step of the same size without this leak."""
    n_seeds: int = 5


LADDER = (
    Step(
        *("twice", "Every clip twice, rows at random", ("row_id",)),
        variants=("original", "copy"),
        is_made_before=True,
        leaks=OF_ROWS,
        twin="twice_inside",
    ),
    Step(
        *("augmented", "Augmented, then rows at random", ("row_id",)),
        variants=("original", *AUGMENTATIONS),
        is_made_before=True,
        leaks=OF_ROWS,
        twin="augmented_inside",
        n_seeds=3,
    ),
    Step("clips", "Clips at random", ("clip_id",), leaks=OF_ROWS, twin="speakers"),
    Step("speakers", "Unseen speakers", ("speaker",)),
    Step("sentences", "Unseen sentences", ("statement",), leaks=OF_ROWS),
    Step("both", "Unseen speakers, unseen sentences", ("speaker", "statement")),
)
CONTROLS = (
    Step(
        *("twice_inside", "Divided, then training clips twice", ("clip_id",)),
        variants=("original", "copy"),
        leaks=OF_ROWS,
    ),
    Step(
        *("augmented_inside", "Divided, then training clips augmented", ("clip_id",)),
        variants=("original", *AUGMENTATIONS),
        leaks=OF_ROWS,
        n_seeds=3,
    ),
    Step(
        *("clips_few", "Clips at random, fewer", ("clip_id",)),
        size_of="both",
        leaks=OF_ROWS,
        twin="sentences_few",
    ),
    Step("speakers_few", "Unseen speakers, fewer clips", ("speaker",), size_of="both", twin="both"),
    Step(
        "sentences_few",
        "Unseen sentences, fewer clips",
        ("statement",),
        size_of="both",
        leaks=OF_ROWS,
    ),
)
DECLARED_LEAKS = (
    Step(
        *("scaled_on_all", "Scaled on all clips", ("speaker",)),
        scaled_on="all",
        leaks=("scaled_on_test",),
        twin="speakers",
    ),
    Step(
        *("setting_on_test", "Setting selected on the test fold", ("speaker",), SETTINGS),
        selected_on="test",
        leaks=OF_TEST_ROWS,
        twin="setting",
        n_seeds=3,
    ),
    Step(
        *("setting", "Setting selected on validation speakers", ("speaker",), SETTINGS),
        selected_on="validation",
        n_seeds=3,
    ),
    Step(
        *("stopped_on_test", "Training stopped on the test fold", ("speaker",), (STOPPED,)),
        selected_on="test",
        leaks=OF_TEST_ROWS,
        twin="stopped",
        n_seeds=3,
    ),
    Step(
        *("stopped", "Training stopped on validation speakers", ("speaker",), (STOPPED,)),
        selected_on="validation",
    ),
    Step(
        *("epoch_on_test", "Epoch selected on the test fold", ("speaker",), (BEST_EPOCH,)),
        selected_on="test",
        leaks=OF_TEST_ROWS,
        twin="epoch",
        n_seeds=3,
    ),
    Step(
        *("epoch", "Epoch selected on validation speakers", ("speaker",), (BEST_EPOCH,)),
        selected_on="validation",
        n_seeds=3,
    ),
)

# They need the encoder's weights, unless their results are stored.
ENCODER_LEAKS = (
    Step(
        *("layer_on_test", "Layer selected on the test fold", ("speaker",), LAYERS),
        selected_on="test",
        leaks=OF_TEST_ROWS,
        twin="layer",
        n_seeds=3,
    ),
    Step(
        *("layer", "Layer selected on validation speakers", ("speaker",), LAYERS),
        selected_on="validation",
        n_seeds=3,
    ),
)

# What the silence before and after speech is worth, where the speaker is known and where not.
SILENCE = (
    Step(
        *("silence_known", "Silence heard, clips at random", ("clip_id",), (WHOLE,)),
        leaks=OF_ROWS,
        twin="muted_known",
        n_seeds=3,
    ),
    Step(
        *("muted_known", "Silence muted, clips at random", ("clip_id",), (MUTED,)),
        leaks=OF_ROWS,
        n_seeds=3,
    ),
    Step(
        *("silence_new", "Silence heard, unseen speakers", ("speaker",), (WHOLE,)),
        twin="muted_new",
        n_seeds=3,
    ),
    Step(
        *("muted_new", "Silence muted, unseen speakers", ("speaker",), (MUTED,)),
        n_seeds=3,
    ),
)

# What a step is compared with in the figure: the same without the leak, or with as few clips as
# the last step has.
CONTROL_OF = {
    "twice": "twice_inside",
    "augmented": "augmented_inside",
    "clips": "clips_few",
    "speakers": "speakers_few",
    "sentences": "sentences_few",
}
STEPS: dict[str, Step] = {
    one.name: one for one in (*LADDER, *CONTROLS, *DECLARED_LEAKS, *ENCODER_LEAKS, *SILENCE)
}

# Numbers of training speakers of the learning curve, as far as a fold has them.
CURVE = (2, 3, 4, 6, 8, 12, 16, 19)


def permuted(step: Step, *, n_seeds: int = 0) -> Step:
    """Return a step with permuted labels, `permuted_<name>`: any score above chance is a leak.

    After Ojala & Garriga (2010), Permutation tests for studying classifier performance, JMLR 11.
    """
    name = f"permuted_{step.name}"
    return replace(step, name=name, is_permuted=True, twin="", n_seeds=n_seeds or step.n_seeds)


def learning_steps(n_training: int) -> tuple[Step, ...]:
    """Return the learning curve up to a number of training speakers.

    The test speakers are the same in all steps; smaller training sets are part of larger ones.
    """
    if n_training < CURVE[0]:
        raise StudyError(f"a learning curve needs {CURVE[0]} training speakers, not {n_training}")
    return tuple(
        replace(
            STEPS["speakers"],
            name=f"speakers_{number:02d}",
            title=f"{number} training speakers",
            n_speakers=number,
            twin="",
        )
        for number in CURVE
        if number <= n_training
    )
