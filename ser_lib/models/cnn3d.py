"""3D convolutional networks on chunks of a spectrogram, computed as 2D ones.

A 1×k×k convolution over (chunk, band, frame) never mixes chunks: it is a 2D convolution of each
chunk, which processors compute twice as fast. Chunks are therefore moved into the batch axis while
maps are computed; a test compares the result with Keras's own Conv3D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser_lib.errors import StudyError
from ser_lib.models.layers import batch_normalization, load_keras

if TYPE_CHECKING:
    import keras

ACTIVATIONS = ("relu", "leaky_relu", "elu")
HEADS = ("pool", "lstm", "transformer")
LEAK = 0.1  # fpt2025, section 3.2


@dataclass(frozen=True)
class Cnn3dConfig:
    """The network of fpt2025, section 5, with its defaults."""

    n_filters: tuple[int, ...] = (64, 128, 256, 512)
    """Filters of each block."""
    kernel_sizes: tuple[int, ...] = (5, 3, 3, 3)
    """Of each block, over bands and frames; over chunks it is 1."""
    block_dropout_rates: tuple[float, ...] = (0.2, 0.3, 0.3, 0.3)
    n_bottleneck: int = 512
    """Filters of the last, 1×1×1 convolution."""
    n_dense: tuple[int, ...] = (512, 256)
    dropout_rates: tuple[float, ...] = (0.4, 0.3)
    activation: str = "relu"
    """relu, leaky_relu (slope 0.1) or elu."""
    norm_momentum: float = 0.9
    """See `ser_lib.models.conv_blocks.ConvBlocksConfig`."""
    head: str = "pool"
    """What reads the maps: pool (their mean), or, frame by frame, an lstm or a transformer."""

    def __post_init__(self) -> None:
        for name, known in (("activation", ACTIVATIONS), ("head", HEADS)):
            if getattr(self, name) not in known:
                raise StudyError(f"{name}='{getattr(self, name)}': known are {', '.join(known)}")
        for first, second in (
            ("n_filters", "kernel_sizes"),
            ("n_filters", "block_dropout_rates"),
            ("n_dense", "dropout_rates"),
        ):
            one, other = getattr(self, first), getattr(self, second)
            if len(one) != len(other):
                raise StudyError(f"{first}={one} and {second}={other} must be equally long")


def build_cnn3d(
    input_shape: tuple[int, int, int, int], n_classes: int, *, config: Cnn3dConfig = Cnn3dConfig()
) -> keras.Model:
    """Build the untrained network for inputs `(n_chunks, n_bands, n_frames, n_channels)`.

    fpt2025, section 5; the heads, section 3.1.
    """
    keras = load_keras()
    layers, ops = keras.layers, keras.ops
    inputs = keras.Input(input_shape, name="chunks")
    n_chunks = input_shape[0]
    # (batch, n_chunks, n_bands, n_frames, 1) -> (batch * n_chunks, n_bands, n_frames, 1)
    x = ops.reshape(inputs, (-1, *input_shape[1:]))
    blocks = zip(config.n_filters, config.kernel_sizes, config.block_dropout_rates, strict=True)
    for number, (n_filters, kernel_size, rate) in enumerate(blocks, start=1):
        name = f"block{number}"
        x = layers.Conv2D(n_filters, kernel_size, padding="same", name=f"{name}_conv")(x)
        x = batch_normalization(momentum=config.norm_momentum, name=f"{name}_norm")(x)
        # Pooled before the activation, which is monotone: the same result as in the report's
        # order, from a quarter of the values.
        x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
        x = _activate(x, config.activation, name)
        x = layers.Dropout(rate, name=f"{name}_dropout")(x)
    x = layers.Conv2D(config.n_bottleneck, 1, name="bottleneck_conv")(x)
    x = batch_normalization(momentum=config.norm_momentum, name="bottleneck_norm")(x)
    # (batch * n_chunks, n_bands, n_frames, n_filters) -> (batch, n_chunks, ...)
    x = ops.reshape(x, (-1, n_chunks, *x.shape[1:]))
    x = _read_maps(x, config)
    for number, (n_dense, rate) in enumerate(
        zip(config.n_dense, config.dropout_rates, strict=True), start=1
    ):
        x = layers.Dense(n_dense, name=f"dense{number}")(x)
        x = batch_normalization(momentum=config.norm_momentum, name=f"dense{number}_norm")(x)
        x = _activate(x, config.activation, f"dense{number}")
        x = layers.Dropout(rate, name=f"dense{number}_dropout")(x)
    outputs = layers.Dense(n_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="cnn3d")


def _activate(x: keras.KerasTensor, activation: str, name: str) -> keras.KerasTensor:
    layers = load_keras().layers
    kinds = {
        "relu": lambda: layers.ReLU(name=f"{name}_relu"),
        "leaky_relu": lambda: layers.LeakyReLU(negative_slope=LEAK, name=f"{name}_leaky_relu"),
        "elu": lambda: layers.ELU(name=f"{name}_elu"),
    }
    return kinds[activation]()(x)


def _read_maps(x: keras.KerasTensor, config: Cnn3dConfig) -> keras.KerasTensor:
    """Turn maps of shape (batch, n_chunks, n_bands, n_frames, n_filters) into one row each."""
    keras = load_keras()
    layers, ops = keras.layers, keras.ops
    if config.head == "pool":
        return layers.GlobalAveragePooling3D(name="mean_of_maps")(x)
    _, n_chunks, _, n_frames, n_filters = x.shape
    # The mean over bands leaves one step a frame, chunk after chunk, in the order of time.
    x = ops.reshape(ops.mean(x, axis=2), (-1, n_chunks * n_frames, n_filters))
    if config.head == "lstm":
        # Unrolled: see `_read_sequence` in ser_lib.models.conv_blocks.
        return layers.LSTM(n_filters, unroll=True, name="lstm")(x)
    # One encoder block as in Vaswani et al. (2017), normalised after each sum; frames carry no
    # position, so the order of sounds is ignored.
    attended = layers.MultiHeadAttention(4, max(n_filters // 4, 1), name="attention")(x, x)
    x = layers.LayerNormalization(name="attention_norm")(x + attended)
    wide = layers.Dense(2 * n_filters, activation="relu", name="feed_forward_wide")(x)
    x = layers.LayerNormalization(name="feed_forward_norm")(
        x + layers.Dense(n_filters, name="feed_forward")(wide)
    )
    return layers.GlobalAveragePooling1D(name="mean_of_frames")(x)
