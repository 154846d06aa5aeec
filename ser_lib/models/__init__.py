"""Models: one file a family, all untrained when they leave here.

Keras families are built from an input shape, scikit-learn ones from a seed; `FAMILIES` says which
is which. To add one, write a config and a builder in a file here, and one line below.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

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
from ser_lib.models.cnn1d import Cnn1dConfig, build_cnn1d
from ser_lib.models.cnn2d import Cnn2dConfig, build_cnn2d

if TYPE_CHECKING:
    import keras
    from sklearn.base import ClassifierMixin

__all__ = ["FAMILIES", "Family", "build_keras", "build_sklearn", "family_of", "topology"]


@dataclass(frozen=True)
class Family:
    """A config class, its builder, and which library trains the result."""

    config: type
    build: Callable[..., object]
    is_keras: bool


FAMILIES: dict[str, Family] = {
    "cnn1d": Family(Cnn1dConfig, build_cnn1d, is_keras=True),
    "cnn2d": Family(Cnn2dConfig, build_cnn2d, is_keras=True),
    "decision_tree": Family(DecisionTreeConfig, build_decision_tree, is_keras=False),
    "dummy": Family(DummyConfig, build_dummy, is_keras=False),
    "knn": Family(KnnConfig, build_knn, is_keras=False),
    "logistic": Family(LogisticConfig, build_logistic, is_keras=False),
    "svm": Family(SvmConfig, build_svm, is_keras=False),
}


def family_of(config: object) -> tuple[str, Family]:
    """Return the name and the family that a config belongs to.

    Raises
    ------
    StudyError
        If no family has this config class.
    """
    for name, family in FAMILIES.items():
        if type(config) is family.config:
            return name, family
    raise StudyError(
        f"no model family is built from a {type(config).__name__}; "
        f"known are {', '.join(one.config.__name__ for one in FAMILIES.values())}"
    )


def build_keras(config: object, input_shape: tuple[int, ...], n_classes: int) -> keras.Model:
    """Build an untrained network from its config; its weights come from the global seed."""
    return family_of(config)[1].build(input_shape, n_classes, config=config)


def build_sklearn(config: object, *, seed: int) -> ClassifierMixin:
    """Build an unfitted scikit-learn classifier from its config."""
    return family_of(config)[1].build(config, seed)


@lru_cache(maxsize=64)
def topology(config: object, input_shape: tuple[int, ...], n_classes: int) -> str:
    """Describe what a config builds, as text that changes when a result could.

    For a network: its Keras config, layer by layer, without names of modules and versions. For a
    classifier: nothing, as its config says all.

    Returns
    -------
    str
        JSON.
    """
    if not family_of(config)[1].is_keras:
        return "null"
    layers = [
        {"class": type(layer).__name__, "config": _plain(layer.get_config())}
        for layer in build_keras(config, input_shape, n_classes).layers
    ]
    return json.dumps(layers, sort_keys=True, default=str)


def _plain(config: object) -> object:
    """Reduce Keras's description of an object to what decides its arithmetic."""
    if isinstance(config, dict):
        if "class_name" in config and "config" in config:
            return [config["class_name"], _plain(config["config"])]
        return {key: _plain(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [_plain(one) for one in config]
    return config
