"""Our systems on the Moonshine encoder: linear heads, Keras heads, and its upper blocks fine-tuned.

`MOONSHINE`: ridge regression on a frozen encoder, in closed form. `HEADS`: small networks on its
frames. `TUNED`: the lower blocks stay frozen, in 8 bits; two blocks above them and the head are
trained from where a linear head ends, and the same blocks and head before that training are the
reference.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ser_lib.data.enrolment import NORMALISATIONS, ROOM, VOICE
from ser_lib.data.splits import Protocol
from ser_lib.features.encoders.registry import ENCODERS
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.corpus_head import CorpusHeadConfig
from ser_lib.models.encoder_finetune import EncoderTopConfig
from ser_lib.models.frame_head import FrameHeadConfig
from ser_lib.models.ridge_head import RidgeHeadConfig, neighbours
from ser_lib.studies.study import ModelSpec, our_study
from ser_lib.training.settings import TrainingSettings

# As it is and a tenth slower, which changes a voice about as much as another speaker would.
# On inner folds two speeds gave as much as three.
SPEEDS = "1,0.9"
SOURCE = "This project (2026). The encoder: Jeffries et al. (2024), arXiv:2410.15608; MIT."


def _features(encoder: str, speeds: str = "1") -> FeatureSpec:
    card = ENCODERS[encoder]
    params = {"encoder": encoder, "sha256": card.sha256, "speeds": speeds}
    return FeatureSpec("encoder_views", sample_rate_hz=card.sample_rate_hz, params=params)


BASE_ONE_SPEED = _features("moonshine-base")
# Cut to speech, at one level: how loud and how long pauses are is the room, and the corpus.
SPEECH = replace(
    BASE_ONE_SPEED,
    params={
        **BASE_ONE_SPEED.params,
        "n_layers": 7,
        "statistics": "mean,loud_mean",
        "speech_rms": 0.05,
    },
)
LAYER_RUNS = neighbours(1, 7, lengths=(4, 6))

# Blocks that no head reads need not be computed: for answers in a fifth less time.
LOW_RUNS = neighbours(1, 5, lengths=(3, 4, 5))
LOW_LAYERS = (1, 2, 3, 4, 5)
# For a voice of which nothing is known: higher layers know words, and so languages.
FIRST_LAYERS = (1, 2, 3)


def _ablation(
    name: str,
    title: str,
    config: RidgeHeadConfig | CorpusHeadConfig,
    features: FeatureSpec = BASE_ONE_SPEED,
) -> ModelSpec:
    return ModelSpec(name, title, config, features, is_ours=True, is_optional=True)


def _for_known(*layers: int) -> CorpusHeadConfig:
    """Discriminants, and loud frames beside all, do better where the level is known only."""
    return CorpusHeadConfig(
        layers, statistics=(0, 1), strengths=(3e-4, 1e-3), decisions=("discriminant",)
    )


NORMALISED = [
    Protocol(name, normalisation=one)
    for name in ("luna5", "loso")
    for one, rule in NORMALISATIONS.items()
    if not rule.is_room
]
BY_CORPUS, KNOWN = Protocol("corpus_folds"), (VOICE, ROOM)
MOONSHINE = our_study(
    name="moonshine",
    title="Linear heads on the Moonshine encoder",
    source=SOURCE,
    # The classes that RAVDESS and EmoDB have in common are those of CREMA-D.
    label_sets={
        "emodb": "emodb7",
        "pooled": "crema_d6",
        "languages": "seven",
        "languages_open": "seven",
    },
    models=(
        ModelSpec(
            "base",
            "Moonshine base, two speeds",
            RidgeHeadConfig(LAYER_RUNS, views=(0, 1)),
            _features("moonshine-base", SPEEDS),
            is_ours=True,
        ),
        # Each of these differs from `base_one_speed` in what its title says.
        _ablation("base_one_speed", "Moonshine base, one speed", RidgeHeadConfig(LAYER_RUNS)),
        _ablation("base_low", "Moonshine base, one speed, lower layers", RidgeHeadConfig(LOW_RUNS)),
        _ablation(
            "base_one_set",
            "Moonshine base, one speed, one set of layers",
            RidgeHeadConfig(LAYER_RUNS, n_members=1),
        ),
        _ablation(
            "base_one_layer",
            "Moonshine base, one speed, one layer",
            RidgeHeadConfig(tuple((layer,) for layer in range(9)), n_members=1),
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
        _ablation(
            "strangers", "Moonshine base, corpora without their own level", CorpusHeadConfig()
        ),
        # Discriminants do better where the level of voice or room is known, and worse where not.
        _ablation(
            "strangers_known",
            "Moonshine base, for known rooms and voices",
            CorpusHeadConfig(strengths=(3e-4, 1e-3), decisions=("discriminant",)),
        ),
        _ablation(
            "strangers_speech",
            "Moonshine base, corpora without their own level, clips cut to speech",
            CorpusHeadConfig(),
            SPEECH,
        ),
        _ablation(
            "strangers_speech_known",
            "Moonshine base, for known rooms and voices, clips cut to speech",
            _for_known(*range(1, 7)),
            SPEECH,
        ),
        _ablation(
            "strangers_first",
            "Moonshine base, first layers, corpora without their own level, clips cut to speech",
            CorpusHeadConfig(FIRST_LAYERS),
            SPEECH,
        ),
        # For bundles: of four corpora, three are too few to choose how classes are decided, and for
        # the first layers alone (25.5 % UAR on corpora left out, with five layers 27.0).
        _ablation(
            "strangers_speech_low",
            "Moonshine base, for strangers, lower layers, clips cut to speech",
            CorpusHeadConfig(LOW_LAYERS, decisions=("logistic",)),
            SPEECH,
        ),
        _ablation(
            "strangers_speech_low_known",
            "Moonshine base, for known strangers, lower layers, clips cut to speech",
            _for_known(*LOW_LAYERS),
            SPEECH,
        ),
        ModelSpec(
            "tiny",
            "Moonshine tiny",
            RidgeHeadConfig(neighbours(1, 5, lengths=(2, 4))),
            _features("moonshine-tiny"),
            is_ours=True,
            is_optional=True,
        ),
    ),
    other_protocols={
        **{one.full_name: one for one in NORMALISED},
        **{f"{BY_CORPUS.name}_norm_{one}": replace(BY_CORPUS, normalisation=one) for one in KNOWN},
        "languages_open": BY_CORPUS,
        "german": Protocol("cross_corpus", params={"train": "ravdess", "test": "emodb"}),
        "english": Protocol("cross_corpus", params={"train": "emodb", "test": "ravdess"}),
    },
    departures=(
        "The encoder was trained to recognise words, on other speech; these heads change not a "
        "weight of it.",
        "A seed deals the training speakers into inner folds, on which layers and penalty are "
        "chosen; all else is solved in closed form.",
        "Where a protocol's name holds 'norm', clips of the test speaker are known beforehand, "
        "without their labels.",
    ),
)
# Sentences for a study's `departures`.
CHOSEN_ONCE = (
    "What was tried was judged on inner folds of the training speakers of two of RAVDESS's five "
    "folds; the table of trials has all of it.",
    "One setting serves all folds: speakers on whom it was chosen are test speakers of others.",
    "Validation speakers are trained on as well: nothing is stopped or chosen by them.",
)

# Smoothed labels and one fall of the rate, on all training speakers; a study sets its rate.
SMOOTHED_TRAINING = TrainingSettings(
    max_epochs=6,
    schedule="cosine",
    sampling="balanced",
    weight_decay=0.01,
    label_smoothing=0.1,
    fits_validation=True,
)


def base_frames(layers: str) -> FeatureSpec:
    """Name frames of Moonshine base, of one layer or of several with commas between them."""
    base = ENCODERS["moonshine-base"]
    params = {"encoder": base.name, "sha256": base.sha256, "layers": layers}
    return FeatureSpec("encoder_frames", sample_rate_hz=base.sample_rate_hz, params=params)


# The best of the sets of layers that were tried with ridge regression, on inner folds.
HEAD_FRAMES = base_frames("2,3,4,5")
HEAD_TRAINING = replace(SMOOTHED_TRAINING, learning_rate=3e-4, mixup_alpha=0.3)


def _keras_head(name: str, title: str, **config: Any) -> ModelSpec:
    return ModelSpec(
        name, title, FrameHeadConfig(**config), HEAD_FRAMES, HEAD_TRAINING, is_ours=True
    )


HEADS = our_study(
    name="heads",
    title="Heads on frames of the Moonshine encoder",
    source=SOURCE,
    models=(
        _keras_head("linear", "Keras head: mean and spread"),
        _keras_head("mixture", "Keras head: layers mixed", n_mixed=4),
        _keras_head("attention", "Keras head: frames weighted", n_attention=32),
        _keras_head(
            "convolutions", "Keras head: convolutions, weighted", n_attention=32, n_filters=(96,)
        ),
    ),
    other_protocols={"loso": Protocol("loso")},
    augmentations=("slower", "faster"),
    test_views=("slower", "faster"),
    departures=(
        *CHOSEN_ONCE,
        "Six epochs, where those trials had ten: to save time, and not tried before.",
    ),
)

# A rate of 1.5e-4 forgot more than it learned: 75 instead of 80 % UAR on an inner fold.
FINETUNE_TRAINING = replace(
    SMOOTHED_TRAINING, learning_rate=5e-5, min_learning_rate=1e-6, precision="mixed_bfloat16"
)

# The head is solved before the first step: a rate of nearly nothing leaves it, and the blocks.
FROZEN_TRAINING = replace(
    FINETUNE_TRAINING, max_epochs=1, learning_rate=1e-12, min_learning_rate=1e-12
)


def _finetuned(
    name: str, title: str, config: EncoderTopConfig, training: TrainingSettings = FINETUNE_TRAINING
) -> ModelSpec:
    # The frames that block n reads are what the layer n gives: layer 0 is the front end.
    features = base_frames(str(config.first_block))
    return ModelSpec(name, title, config, features, training, is_ours=True)


TUNED = our_study(
    name="tuned",
    title="Moonshine's upper blocks, trained further",
    source=SOURCE,
    models=(
        _finetuned("blocks2", "Moonshine base, two blocks fine-tuned", EncoderTopConfig()),
        _finetuned(
            "frozen", "Moonshine base, the same blocks frozen", EncoderTopConfig(), FROZEN_TRAINING
        ),
    ),
    augmentations=("slower", "faster"),
    test_views=("slower", "faster"),
    departures=CHOSEN_ONCE,
)
