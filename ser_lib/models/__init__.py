"""Models: configs and builders of untrained models, registered by family in `FAMILIES`.

Networks of Keras are built from an input shape, classifiers of scikit-learn from a seed. To add a
family, write a config and a builder in a file here, and one line in `FAMILIES`.

baselines         k-nearest neighbours, decision tree, logistic regression, SVM, majority class
linear_svm        linear SVM that chooses its regularisation by speaker
ridge_head        ridge regression on pooled layers of an encoder
corpus_head       a linear head on pooled layers, for corpora that it was not trained on
cnn, cnn3d, conv_blocks, tdnn            networks that are trained from scratch
frame_head        networks on frames of a frozen encoder
encoder_finetune  upper blocks of an encoder that are trained further
layers            parts that several networks share
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ser_lib.errors import StudyError
from ser_lib.models.baselines import (
    DecisionTreeConfig,
    DummyConfig,
    KnnConfig,
    LogisticConfig,
    SvmConfig,
    build_decision_tree,
    build_dummy,
    build_knn,
    build_logistic,
    build_svm,
)
from ser_lib.models.cnn import Cnn1dConfig, Cnn2dConfig, build_cnn1d, build_cnn2d
from ser_lib.models.cnn3d import Cnn3dConfig, build_cnn3d
from ser_lib.models.conv_blocks import ConvBlocksConfig, build_conv_blocks
from ser_lib.models.corpus_head import CorpusHead, CorpusHeadConfig
from ser_lib.models.encoder_finetune import EncoderTopConfig, build_encoder_top, start_from_encoder
from ser_lib.models.frame_head import FrameHeadConfig, build_frame_head, start_frame_head
from ser_lib.models.layers import load_keras
from ser_lib.models.linear_svm import LinearSvm, LinearSvmConfig
from ser_lib.models.ridge_head import RidgeHead, RidgeHeadConfig
from ser_lib.models.tdnn import TdnnConfig, build_tdnn, start_tdnn
from ser_lib.seeds import seed_everything

if TYPE_CHECKING:
    import keras
    from sklearn.base import ClassifierMixin

__all__ = [
    "FAMILIES",
    "Cnn1dConfig",
    "Cnn2dConfig",
    "Cnn3dConfig",
    "ConvBlocksConfig",
    "CorpusHeadConfig",
    "DecisionTreeConfig",
    "DummyConfig",
    "EncoderTopConfig",
    "Family",
    "FrameHeadConfig",
    "KnnConfig",
    "LinearSvmConfig",
    "LogisticConfig",
    "RidgeHeadConfig",
    "SvmConfig",
    "TdnnConfig",
    "build_model",
]


@dataclass(frozen=True)
class Family:
    """A config class, its builder, and which library trains the result."""

    config: type
    build: Callable[..., object]
    is_keras: bool
    is_nested: bool = False
    """Whether its `fit` also takes speakers, and chooses settings on inner folds of them."""
    start: Callable[..., None] | None = None
    """Sets the weights that training starts from, where random ones will not do: called with model,
    config, training rows and their classes."""
    version: int = 1
    """Raised whenever the builder changes in a way that its config does not show, so that stored
    runs are not taken for those of the new one."""


FAMILIES: dict[str, Family] = {
    "cnn1d": Family(Cnn1dConfig, build_cnn1d, is_keras=True),
    "cnn2d": Family(Cnn2dConfig, build_cnn2d, is_keras=True),
    "cnn3d": Family(Cnn3dConfig, build_cnn3d, is_keras=True),
    "conv_blocks": Family(ConvBlocksConfig, build_conv_blocks, is_keras=True),
    "corpus_head": Family(CorpusHeadConfig, CorpusHead, is_keras=False, is_nested=True),
    "decision_tree": Family(DecisionTreeConfig, build_decision_tree, is_keras=False),
    "dummy": Family(DummyConfig, build_dummy, is_keras=False),
    "encoder_top": Family(
        EncoderTopConfig, build_encoder_top, is_keras=True, start=start_from_encoder
    ),
    "frame_head": Family(FrameHeadConfig, build_frame_head, is_keras=True, start=start_frame_head),
    "knn": Family(KnnConfig, build_knn, is_keras=False),
    "linear_svm": Family(LinearSvmConfig, LinearSvm, is_keras=False, is_nested=True),
    "logistic": Family(LogisticConfig, build_logistic, is_keras=False),
    "ridge_head": Family(RidgeHeadConfig, RidgeHead, is_keras=False, is_nested=True),
    "svm": Family(SvmConfig, build_svm, is_keras=False),
    "tdnn": Family(TdnnConfig, build_tdnn, is_keras=True, start=start_tdnn),
}


def family_of(config: object) -> tuple[str, Family]:
    """Return the name and the family of a config; StudyError if no family has its class."""
    for name, family in FAMILIES.items():
        if type(config) is family.config:
            return name, family
    raise StudyError(
        f"no model family is built from a {type(config).__name__}; "
        f"known are {', '.join(one.config.__name__ for one in FAMILIES.values())}"
    )


def build_model(
    config: object, input_shape: tuple[int, ...], n_classes: int, *, seed: int = 0
) -> keras.Model | ClassifierMixin:
    """Build an untrained model of any family.

    Parameters
    ----------
    config : object
        Of a family in `FAMILIES`.
    input_shape : tuple of int
        Of one clip's feature, as `features.extraction.feature_shape` gives it; networks only.
    n_classes : int
        Number of classes; networks only.
    seed : int
        Decides a network's first weights, and what a classifier draws.

    Returns
    -------
    keras.Model or scikit-learn classifier
        A network maps (n_rows, *input_shape) to probabilities of shape (n_rows, n_classes).

    Raises
    ------
    StudyError
        If no family has this config class.

    Examples
    --------
    >>> build_model(KnnConfig(n_neighbors=3), (108, 42), 8)
    KNeighborsClassifier(metric='euclidean', n_neighbors=3)
    """
    if not family_of(config)[1].is_keras:
        return build_sklearn(config, seed=seed)
    load_keras()
    seed_everything(seed)
    return build_keras(config, input_shape, n_classes)


def build_keras(config: object, input_shape: tuple[int, ...], n_classes: int) -> keras.Model:
    """Build an untrained network; its first weights come from Keras's global seed."""
    return family_of(config)[1].build(input_shape, n_classes, config=config)


def build_sklearn(config: object, *, seed: int) -> ClassifierMixin:
    """Build an unfitted scikit-learn classifier."""
    return family_of(config)[1].build(config, seed)


@lru_cache(maxsize=64)
def topology(config: object, input_shape: tuple[int, ...], n_classes: int) -> str:
    """Describe what a config builds, as JSON that changes whenever a result could.

    Of a network its layers, by those settings of Keras's own config that decide its arithmetic; the
    others depend on Keras's version. Of a classifier "null": its config is complete.
    """
    if not family_of(config)[1].is_keras:
        return "null"
    layers = [
        [type(layer).__name__, _arithmetic(layer.get_config())]
        for layer in build_keras(config, input_shape, n_classes).layers
    ]
    return json.dumps(layers, sort_keys=True)


# Settings that decide a layer's output and first weights. A new kind of layer may need more of
# them: the tests change each setting of each config, and check that the topology changes.
ARITHMETIC = frozenset(
    "activation alpha axis batch_shape dilation_rate epsilon filters groups kernel_initializer "
    "kernel_size key_dim layer merge_mode momentum negative_slope num_heads offset padding "
    "pool_size rate recurrent_activation reset_after return_sequences scale strides target_shape "
    "units use_bias".split()
)


def _arithmetic(config: dict[str, Any]) -> dict[str, Any]:
    """Keep the settings of a layer that are in `ARITHMETIC`; of an object, its class and config."""
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if key == "layer":  # of Bidirectional
            kept[key] = [value["class_name"], _arithmetic(value["config"])]
        elif key in ARITHMETIC and isinstance(value, dict) and "class_name" in value:
            own = value.get("config") or {}
            kept[key] = [value["class_name"], {k: v for k, v in own.items() if k != "seed"}]
        elif key in ARITHMETIC:
            kept[key] = value
    return kept
