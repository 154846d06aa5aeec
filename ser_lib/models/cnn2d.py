"""2D convolutional networks on spectrograms: blocks of a convolution and a pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser_lib.models.layers import load_keras

if TYPE_CHECKING:
    import keras


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


def build_cnn2d(
    input_shape: tuple[int, int, int], n_classes: int, *, config: Cnn2dConfig = Cnn2dConfig()
) -> keras.Model:
    """Build the untrained network for inputs `(height, width, n_channels)`.

    Swart (2025), section 4. The default has 22.2 M parameters at `(224, 224, 3)`, nearly all in
    the dense layer on the flattened maps.
    """
    keras = load_keras()
    layers = keras.layers
    inputs = keras.Input(input_shape, name="spectrogram")
    x = inputs
    if config.input_scale != 1.0:
        x = layers.Rescaling(config.input_scale, name="scale")(x)
    for number, n_filters in enumerate(config.n_filters, start=1):
        x = layers.Conv2D(
            n_filters, config.kernel_size, activation="relu", name=f"block{number}_conv"
        )(x)
        x = layers.MaxPooling2D(2, name=f"block{number}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(config.n_dense, activation="relu", name="dense")(x)
    x = layers.Dropout(config.dropout_rate, name="dropout")(x)
    outputs = layers.Dense(n_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="cnn2d")
