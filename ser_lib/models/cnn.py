"""Convolutional networks on frames and spectrograms: blocks of a convolution and a pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser_lib.models.layers import load_keras

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Cnn1dConfig:
    """The network of Boucheta & Roubache (2025), table 2, with its defaults."""

    n_filters: tuple[int, ...] = (64,)
    """Filters of each block."""
    kernel_size: int = 3
    n_dense: int = 64
    dropout_rate: float = 0.3


@dataclass(frozen=True)
class Cnn2dConfig:
    """The network of Swart (2025), section 4, with its defaults."""

    n_filters: tuple[int, ...] = (32, 64, 128)
    """Filters of each block."""
    kernel_size: int = 3
    n_dense: int = 256
    dropout_rate: float = 0.6
    input_scale: float = 1.0
    """Factor of the input; 1/255 for pictures of bytes."""


def build_cnn1d(
    input_shape: tuple[int, int], n_classes: int, *, config: Cnn1dConfig = Cnn1dConfig()
) -> keras.Model:
    """Build the untrained network for inputs `(n_frames, n_values)`, convolved along the frames.

    Boucheta & Roubache (2025), section 3.1.2.
    """
    keras = load_keras()
    inputs = keras.Input(input_shape, name="features")
    return keras.Model(inputs, _probabilities(inputs, n_classes, config, "1D"), name="cnn1d")


def build_cnn2d(
    input_shape: tuple[int, int, int], n_classes: int, *, config: Cnn2dConfig = Cnn2dConfig()
) -> keras.Model:
    """Build the untrained network for inputs `(height, width, n_channels)`.

    Swart (2025), section 4. The default has 22.2 M parameters at `(224, 224, 3)`, nearly all in
    the dense layer on the flattened maps.
    """
    keras = load_keras()
    x = inputs = keras.Input(input_shape, name="spectrogram")
    if config.input_scale != 1.0:
        x = keras.layers.Rescaling(config.input_scale, name="scale")(x)
    return keras.Model(inputs, _probabilities(x, n_classes, config, "2D"), name="cnn2d")


def _probabilities(
    x: keras.KerasTensor, n_classes: int, config: Cnn1dConfig | Cnn2dConfig, axes: str
) -> keras.KerasTensor:
    """Apply the blocks, over one or two axes, and the dense layers."""
    layers = load_keras().layers
    conv, pooling = getattr(layers, f"Conv{axes}"), getattr(layers, f"MaxPooling{axes}")
    for number, n_filters in enumerate(config.n_filters, start=1):
        name = f"block{number}_conv"
        x = conv(n_filters, config.kernel_size, activation="relu", name=name)(x)
        x = pooling(2, name=f"block{number}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(config.n_dense, activation="relu", name="dense")(x)
    x = layers.Dropout(config.dropout_rate, name="dropout")(x)
    return layers.Dense(n_classes, activation="softmax", name="probabilities")(x)
