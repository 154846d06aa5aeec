"""Heads on frames of a frozen encoder: how a sequence is pooled before it is classified.

Layers side by side or mixed by learned weights; frames weighted equally or by attention;
convolutions along time. Training starts from ridge regression on the same statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ser_lib.errors import StudyError
from ser_lib.models.layers import (
    MASKED,
    fit_scaling,
    load_keras,
    mean_and_spread,
    scaling_layer,
    start_from_ridge,
)

if TYPE_CHECKING:
    import keras

    from ser_lib.features.extraction import Rows

# Scaled values are clipped here: a few very large ones of an encoder would outweigh all others.
MAX_SCALED = 8.0


@dataclass(frozen=True)
class FrameHeadConfig:
    """By default: mean and spread of every value over the frames, and one dense layer."""

    n_mixed: int = 0
    """Number of layers that lie side by side in a frame and are mixed by learned weights; 0 leaves
    them side by side."""
    n_attention: int = 0
    """Hidden units of the network that weights frames; 0: all have the same weight."""
    n_filters: tuple[int, ...] = ()
    """Filters of convolutions over three frames; the output of each is pooled as well."""
    dropout_rate: float = 0.2
    frame_dropout_rate: float = 0.1
    """Share of frames that are left out, drawn for each batch."""
    strength: float = 1.0
    """Ridge penalty of the regression that training starts from, as in `RidgeHeadConfig`."""
    sharpness: float = 8.0
    """Factor that makes logits of its scores."""


def build_frame_head(
    input_shape: tuple[int, int], n_classes: int, *, config: FrameHeadConfig = FrameHeadConfig()
) -> keras.Model:
    """Build the head with random weights; `start_frame_head` sets those to start from.

    Inputs are `(n_frames, n_values)`, layers side by side; a frame of zeros is padding. Attentive
    statistics: Okabe et al. (2018), arXiv:1803.10963; mixture of layers: Yang et al. (2021),
    arXiv:2105.01051.
    """
    keras = load_keras()
    layers, ops = keras.layers, keras.ops
    n_frames, n_values = input_shape
    if config.n_mixed and n_values % config.n_mixed:
        raise StudyError(
            f"{n_values} values a frame are not {config.n_mixed} layers side by side: set n_mixed "
            "to the number of layers that the feature names, or to 0"
        )
    inputs = keras.Input(input_shape, name="frames")
    is_frame = ops.any(ops.not_equal(inputs, 0.0), axis=-1, keepdims=True)
    is_frame = ops.cast(is_frame, "float32")
    x = ops.clip(scaling_layer()(inputs), -MAX_SCALED, MAX_SCALED)
    kept = layers.Dropout(config.frame_dropout_rate, name="frame_dropout")(is_frame)
    is_frame = ops.cast(ops.greater(kept, 0.0), "float32")
    if config.n_mixed:
        x = ops.reshape(x, (-1, n_frames, config.n_mixed, n_values // config.n_mixed))
        x = layers.EinsumDense(
            "btlv,l->btv",
            output_shape=(None, n_values // config.n_mixed),
            kernel_initializer=keras.initializers.Constant(1.0 / config.n_mixed),
            name="mixture",
        )(x)
    parts = _pool(x, is_frame, config, "layers")
    for number, n_filters in enumerate(config.n_filters, start=1):
        x = layers.Conv1D(n_filters, 3, padding="same", name=f"conv{number}")(x * is_frame)
        x = layers.Activation("gelu", name=f"conv{number}_gelu")(x)
        parts += _pool(x, is_frame, config, f"conv{number}")
    pooled = layers.Concatenate(name="pooled")(parts)
    pooled = layers.Dropout(config.dropout_rate, name="dropout")(pooled)
    outputs = layers.Dense(n_classes, activation="softmax", name="probabilities")
    return keras.Model(inputs, outputs(pooled), name="frame_head")


def _pool(
    x: keras.KerasTensor, is_frame: keras.KerasTensor, config: FrameHeadConfig, name: str
) -> list[keras.KerasTensor]:
    """Return mean and spread over the frames, each of shape (batch, n_values)."""
    layers = load_keras().layers
    scores = MASKED * (1.0 - is_frame)
    if config.n_attention:
        hidden = layers.Dense(config.n_attention, activation="tanh", name=f"{name}_look1")(x)
        # Training begins with the same weight for every frame.
        scores += layers.Dense(1, kernel_initializer="zeros", name=f"{name}_look2")(hidden)
    return mean_and_spread(x, scores, least_variance=1e-4)


def start_frame_head(
    model: keras.Model, config: FrameHeadConfig, inputs: Rows, classes: np.ndarray
) -> None:
    """Scale inputs by the training rows' frames, and solve the last layer on what it then gets."""
    fit_scaling(model, inputs)
    start_from_ridge(model, inputs, classes, strength=config.strength, sharpness=config.sharpness)
