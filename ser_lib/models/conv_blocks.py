"""Blocks of 2D convolutions with batch normalisation, followed by dense or recurrent layers.

One builder for `penumajji2025` (four ELU blocks) and `iemocap5` (three blocks; alone, before an
LSTM, before a GRU).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser_lib.errors import StudyError
from ser_lib.models.layers import batch_normalization, load_keras

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ConvBlocksConfig:
    """The first network of `iemocap5`, with its defaults; at 130 × 60 it has 1,929,349 weights."""

    n_filters: tuple[int, ...] = (32, 64, 128)
    """Filters of each block."""
    kernel_sizes: tuple[int, ...] = (3, 3, 3)
    activation: str = "relu"
    block_dropout_rate: float = 0.3
    recurrent: tuple[tuple[str, int], ...] = ()
    """Layers that read the maps as a sequence along their first axis, with their units: `bilstm`,
    `lstm`, `bigru` or `gru`. Empty: the maps are flattened."""
    n_dense: tuple[int, ...] = (128,)
    dropout_rate: float = 0.5
    norm_momentum: float = 0.9
    """Share of the past in the running means that normalise at prediction. Keras's 0.99 needs
    hundreds of batches, which are dozens of epochs of a small corpus."""

    def __post_init__(self) -> None:
        if len(self.kernel_sizes) != len(self.n_filters):
            raise StudyError(
                f"{len(self.n_filters)} blocks (n_filters={self.n_filters}) need as many kernel "
                f"sizes, not {self.kernel_sizes}"
            )
        unknown = [kind for kind, _ in self.recurrent if kind not in RECURRENT]
        if unknown:
            raise StudyError(f"unknown recurrent layers {unknown}; known are {sorted(RECURRENT)}")


RECURRENT = ("bilstm", "lstm", "bigru", "gru")


def build_conv_blocks(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    config: ConvBlocksConfig = ConvBlocksConfig(),
) -> keras.Model:
    """Build the untrained network for inputs `(n_frames, n_bands, n_channels)`.

    Recurrent layers read along the frames. penumajji2025, section V-D; iemocap5, the three model
    overviews.
    """
    keras = load_keras()
    layers = keras.layers
    inputs = keras.Input(input_shape, name="log_mel")
    x = inputs
    blocks = zip(config.n_filters, config.kernel_sizes, strict=True)
    for number, (n_filters, kernel_size) in enumerate(blocks, start=1):
        name = f"block{number}"
        options = {"activation": config.activation, "name": f"{name}_conv"}
        x = layers.Conv2D(n_filters, kernel_size, padding="same", **options)(x)
        x = batch_normalization(momentum=config.norm_momentum, name=f"{name}_norm")(x)
        x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
        x = layers.Dropout(config.block_dropout_rate, name=f"{name}_dropout")(x)
    x = _read_sequence(x, config) if config.recurrent else layers.Flatten(name="flatten")(x)
    for number, n_dense in enumerate(config.n_dense, start=1):
        x = layers.Dense(n_dense, activation=config.activation, name=f"dense{number}")(x)
        x = layers.Dropout(config.dropout_rate, name=f"dropout{number}")(x)
    outputs = layers.Dense(n_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="conv_blocks")


def _read_sequence(x: keras.KerasTensor, config: ConvBlocksConfig) -> keras.KerasTensor:
    """Read maps of shape (batch, n_steps, n_bands, n_filters) with the recurrent layers."""
    layers = load_keras().layers
    _, n_steps, n_bands, n_filters = x.shape
    # (batch, n_steps, n_bands, n_filters) -> (batch, n_steps, n_bands * n_filters)
    x = layers.Reshape((n_steps, n_bands * n_filters), name="sequence")(x)
    for number, (kind, units) in enumerate(config.recurrent, start=1):
        # Unrolled: the same sums without a loop in the graph, which takes longer than they do on a
        # CPU; a test compares the two.
        name, is_last = f"{kind}{number}", number == len(config.recurrent)
        reader = getattr(layers, kind.removeprefix("bi").upper())
        layer = reader(units, return_sequences=not is_last, unroll=True, name=name)
        if kind.startswith("bi"):
            layer = layers.Bidirectional(layer, name=name)
        x = layer(x)
    return x
