"""1D convolutional networks on sequences of feature frames."""

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


def build_cnn1d(
    input_shape: tuple[int, int], n_classes: int, *, config: Cnn1dConfig = Cnn1dConfig()
) -> keras.Model:
    """Build the untrained network for inputs `(n_frames, n_values)`, convolved along the frames.

    Boucheta & Roubache (2025), section 3.1.2.
    """
    keras = load_keras()
    layers = keras.layers
    inputs = keras.Input(input_shape, name="features")
    x = inputs
    for number, n_filters in enumerate(config.n_filters, start=1):
        x = layers.Conv1D(
            n_filters, config.kernel_size, activation="relu", name=f"block{number}_conv"
        )(x)
        x = layers.MaxPooling1D(2, name=f"block{number}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(config.n_dense, activation="relu", name="dense")(x)
    x = layers.Dropout(config.dropout_rate, name="dropout")(x)
    outputs = layers.Dense(n_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="cnn1d")
