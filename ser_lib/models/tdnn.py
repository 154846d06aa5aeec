"""A small network trained from scratch: residual convolutions along time, attentive pooling.

Against overfitting, training adds noise to the values and leaves out stretches of frames and whole
descriptors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser_lib.models.layers import MASKED, fit_scaling, load_keras, mean_and_spread, scaling_layer

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import KerasTensor

    from ser_lib.features.extraction import Rows

# Frames that are left out together.
STRETCH_FRAMES = 8


@dataclass(frozen=True)
class TdnnConfig:
    """With the defaults and 86 descriptors it has 216 k weights."""

    n_filters: int = 96
    n_blocks: int = 3
    """Residual blocks of two convolutions; the dilation of the first is the block's number."""
    n_attention: int = 48
    """Hidden units of the network that weights frames."""
    dropout_rate: float = 0.4
    value_dropout_rate: float = 0.1
    """Share of descriptors that are left out of a training row."""
    stretch_dropout_rate: float = 0.1
    """Share of stretches of eight frames that are left out."""
    noise: float = 0.2
    """Standard deviation of the noise on values, whose own is 1."""
    norm_momentum: float = 0.9


def build_tdnn(
    input_shape: tuple[int, int], n_classes: int, *, config: TdnnConfig = TdnnConfig()
) -> keras.Model:
    """Build the untrained network for inputs `(n_frames, n_values)`, n_frames even.

    A frame of zeros is padding: it counts in no mean and in no pooling, and convolutions read 0
    there. Time-delay networks: Waibel et al. (1989); pooling: Okabe et al. (2018),
    arXiv:1803.10963.
    """
    keras = load_keras()
    layers, ops = keras.layers, keras.ops

    def conv(values: KerasTensor, name: str, size: int, **rest: int) -> KerasTensor:
        layer = layers.Conv1D(
            config.n_filters, size, padding="same", use_bias=False, name=name, **rest
        )
        norm = layers.BatchNormalization(momentum=config.norm_momentum, name=f"{name}_norm")
        # Padding is 0 to every convolution, and counts in no batch's mean.
        return norm(layer(values), mask=ops.squeeze(ops.greater(is_seen, 0.0), -1)) * is_seen

    inputs = keras.Input(input_shape, name="descriptors")
    is_frame = ops.any(ops.not_equal(inputs, 0.0), axis=-1, keepdims=True)
    is_frame = ops.cast(is_frame, "float32")
    x = scaling_layer()(inputs)
    x = layers.GaussianNoise(config.noise, name="noise")(ops.clip(x, -6.0, 6.0))
    x = layers.SpatialDropout1D(config.value_dropout_rate, name="value_dropout")(x)
    stretches = layers.MaxPooling1D(STRETCH_FRAMES, padding="same", name="stretches")(is_frame)
    kept = layers.Dropout(config.stretch_dropout_rate, name="stretch_dropout")(stretches)
    kept = ops.cast(ops.greater(ops.repeat(kept, STRETCH_FRAMES, axis=1), 0.0), "float32")
    is_frame = is_frame * kept[:, : input_shape[0]]
    is_seen = layers.MaxPooling1D(2, padding="same", name="seen")(is_frame)
    x = layers.Activation("relu", name="first_relu")(conv(x * is_frame, "first", 5, strides=2))
    for number in range(1, config.n_blocks + 1):
        name = f"block{number}"
        inner = conv(x, f"{name}_conv1", 3, dilation_rate=number)
        inner = layers.Activation("relu", name=f"{name}_relu1")(inner)
        inner = conv(inner, f"{name}_conv2", 3)
        x = layers.Add(name=f"{name}_add")([x, inner])
        x = layers.Activation("relu", name=f"{name}_relu2")(x)
    x = layers.Dropout(config.dropout_rate / 2, name="frame_dropout")(x)
    hidden = layers.Dense(config.n_attention, activation="tanh", name="look1")(x)
    scores = layers.Dense(1, dtype="float32", name="look2")(hidden)
    scores = scores + MASKED * (1.0 - is_seen)
    parts = mean_and_spread(ops.cast(x, "float32"), scores, least_variance=1e-4)
    pooled = layers.Concatenate(name="pooled")(parts)
    pooled = layers.Dropout(config.dropout_rate, name="dropout")(pooled)
    outputs = layers.Dense(n_classes, activation="softmax", dtype="float32", name="probabilities")
    return keras.Model(inputs, outputs(pooled), name="tdnn")


def start_tdnn(model: keras.Model, config: TdnnConfig, inputs: Rows, classes: np.ndarray) -> None:
    """Scale the network's inputs by the frames of the training rows."""
    fit_scaling(model, inputs)
