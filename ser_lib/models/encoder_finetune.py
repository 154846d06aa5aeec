"""The upper blocks of a pretrained encoder as a Keras network that can be trained further.

Below the blocks the encoder stays as it is: the input are the frames of one of its layers
(`encoder_frames`). Training starts from the published weights of the blocks, and from a head that
ridge regression solves on the training rows. It is made of Keras's own layers and operations, so
that a saved network loads without this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ser_lib.errors import StudyError
from ser_lib.features.encoders.features import block_weights
from ser_lib.features.encoders.registry import ENCODERS
from ser_lib.models.layers import MASKED, load_keras, mean_and_spread, start_from_ridge

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor

    from ser_lib.features.extraction import Rows

# Base of the rotary positions, as published with Moonshine.
ROTARY_BASE = 10_000.0
NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class EncoderTopConfig:
    """Blocks 3 and 4 of Moonshine base, and a linear head on statistics of their layers."""

    encoder: str = "moonshine-base"
    first_block: int = 3
    """The lowest block that is trained; the input is the output of the block below it."""
    n_blocks: int = 2
    n_heads: int = 8
    n_rotary: int = 32
    """Values of each attention head that are rotated by the frame's position."""
    dropout_rate: float = 0.1
    frame_dropout_rate: float = 0.1
    """Share of frames that attention and pooling leave out, drawn for each batch."""
    strength: float = 1.0
    """Ridge penalty of the head that training starts from, as in `RidgeHeadConfig`."""
    sharpness: float = 8.0
    """Factor that makes logits of that head's scores."""

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise StudyError(f"unknown encoder '{self.encoder}'; known are {', '.join(ENCODERS)}")

    @property
    def blocks(self) -> range:
        """Numbers of the blocks, as the encoder counts them."""
        return range(self.first_block, self.first_block + self.n_blocks)


def build_encoder_top(
    input_shape: tuple[int, ...], n_classes: int, *, config: EncoderTopConfig = EncoderTopConfig()
) -> keras.Model:
    """Build the network with random weights; `start_from_encoder` sets those to start from.

    Inputs are `(n_frames, n_values)`; a frame of zeros is padding. The layer "pooled" gives the
    statistics that the head is fitted on. Jeffries et al. (2024), arXiv:2410.15608: blocks with
    normalisation first, rotary positions, GELU.
    """
    keras = load_keras()
    layers, ops = keras.layers, keras.ops
    frames = keras.Input(input_shape, name="frames")
    x = frames
    # (batch, n_frames, 1): 1 where there is a frame.
    is_frame = ops.any(ops.not_equal(frames, 0.0), axis=(2,))
    is_frame = ops.expand_dims(ops.cast(is_frame, "float32"), -1)
    if config.frame_dropout_rate:
        dropped = layers.Dropout(config.frame_dropout_rate, name="frame_dropout")(is_frame)
        is_frame = ops.cast(ops.greater(dropped, 0.0), "float32")
    rotation = _rotation(input_shape[0], config.n_rotary)
    parts = _pool(x, is_frame)
    for number in config.blocks:
        x = _block(x, is_frame, rotation, f"block{number}", config)
        parts += _pool(x, is_frame)
    pooled = layers.Concatenate(name="pooled", dtype="float32")(parts)
    kept = layers.Dropout(config.dropout_rate, dtype="float32", name="dropout")(pooled)
    outputs = layers.Dense(n_classes, activation="softmax", dtype="float32", name="probabilities")
    return keras.Model(frames, outputs(kept), name="encoder_top")


def _rotation(n_frames: int, n_rotary: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and sine of each position's angles, shape (n_frames, 1, n_rotary)."""
    per_frame = ROTARY_BASE ** (-np.arange(0, n_rotary, 2) / n_rotary)
    angles = np.repeat(np.arange(n_frames)[:, np.newaxis] * per_frame, 2, axis=1)[:, np.newaxis]
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _rotate(x: KerasTensor, rotation: tuple[np.ndarray, np.ndarray]) -> KerasTensor:
    """Rotate neighbouring pairs of each head's first values by the position's angle."""
    ops = load_keras().ops
    cosine, sine = rotation
    n_rotary = cosine.shape[-1]
    rotated, kept = x[..., :n_rotary], x[..., n_rotary:]
    across = ops.stack([-rotated[..., 1::2], rotated[..., 0::2]], axis=-1)
    across = ops.reshape(across, (-1, *rotated.shape[1:]))
    return ops.concatenate([rotated * cosine + across * sine, kept], axis=-1)


def _block(
    x: KerasTensor,
    is_frame: KerasTensor,
    rotation: tuple[np.ndarray, np.ndarray],
    name: str,
    config: EncoderTopConfig,
) -> KerasTensor:
    """Apply one transformer block: attention over the frames, then two dense layers."""
    keras = load_keras()
    layers, ops = keras.layers, keras.ops
    _, n_frames, n_values = x.shape
    n_head_values = n_values // config.n_heads

    def norm(values: KerasTensor, part: str) -> KerasTensor:
        layer = layers.LayerNormalization(center=False, epsilon=NORM_EPSILON, name=part)
        return layer(values)

    def heads(values: KerasTensor, part: str) -> KerasTensor:
        projected = layers.Dense(n_values, use_bias=False, name=f"{name}_{part}")(values)
        return ops.reshape(projected, (-1, n_frames, config.n_heads, n_head_values))

    normed = norm(x, f"{name}_norm1")
    query, key = (_rotate(heads(normed, part), rotation) for part in ("q_proj", "k_proj"))
    # b: clips, h: heads, t and s: frames of query and key, d: values of a head
    scores = ops.einsum("bthd,bshd->bhts", query, key)
    masked = MASKED * (1.0 - ops.reshape(is_frame, (-1, 1, 1, n_frames)))
    scores = ops.cast(scores, "float32") / float(np.sqrt(n_head_values)) + masked
    value = heads(normed, "v_proj")
    weights = ops.cast(ops.softmax(scores, axis=-1), value.dtype)
    mixed = ops.einsum("bhts,bshd->bthd", weights, value)
    mixed = ops.reshape(mixed, (-1, n_frames, n_values))
    mixed = layers.Dense(n_values, use_bias=False, name=f"{name}_dense")(mixed)
    # Residual sums stay in single precision, whatever the layers compute in.
    mixed = layers.Dropout(config.dropout_rate, name=f"{name}_dropout1")(mixed)
    x = x + ops.cast(mixed, "float32")
    hidden = layers.Dense(4 * n_values, name=f"{name}_fc1")(norm(x, f"{name}_norm2"))
    hidden = layers.Dense(n_values, name=f"{name}_fc2")(ops.gelu(hidden, approximate=False))
    hidden = layers.Dropout(config.dropout_rate, name=f"{name}_dropout2")(hidden)
    return x + ops.cast(hidden, "float32")


def _pool(x: KerasTensor, is_frame: KerasTensor) -> list[KerasTensor]:
    """Return mean and spread over the frames, each of shape (batch, n_values)."""
    return mean_and_spread(x, MASKED * (1.0 - is_frame), least_variance=1e-6)


def start_from_encoder(
    model: keras.Model, config: EncoderTopConfig, inputs: Rows, classes: np.ndarray
) -> None:
    """Set the published weights of the blocks and the ridge regression of the head, in place.

    Raises EncoderError if the encoder's weights are not in the cache.
    """
    encoder = ENCODERS[config.encoder]
    for number in config.blocks:
        published = block_weights(encoder, number)
        for name, matrix in published.items():
            part = name.rpartition("/")[2]
            if name.startswith("self_attn/"):
                model.get_layer(f"block{number}_{part}").set_weights([matrix])
            elif name.startswith("mlp/"):
                bias = published[f"mlp.{part}.bias"]
                model.get_layer(f"block{number}_{part}").set_weights([matrix, bias])
        for place, name in enumerate(("input_layernorm", "post_attention_layernorm"), start=1):
            model.get_layer(f"block{number}_norm{place}").set_weights([published[f"{name}.weight"]])
    start_from_ridge(model, inputs, classes, strength=config.strength, sharpness=config.sharpness)
