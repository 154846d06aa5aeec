"""Keras, and parts of networks: weighted pooling, normalisation, a last layer to start from.

A frame of zeros is padding. `fit_scaling` and `start_from_ridge` set weights from the training rows
before the first epoch.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ser_lib.models.ridge_head import MIN_SPREAD, solve_ridge

if TYPE_CHECKING:
    import keras

    from ser_lib.features.extraction import Rows

# Added to the scores of padding; exp of it is 0 in single precision.
MASKED = -1e4

# Rows whose statistics are computed at once.
POOLING_BATCH = 128


def load_keras() -> ModuleType:
    """Return the `keras` module, importing it quietly the first time."""
    # TensorFlow writes to the process's error stream from C++ before any log level applies, so the
    # stream itself is redirected during the import. Whatever is written later is shown.
    if "keras" in sys.modules:
        return sys.modules["keras"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        import keras
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(silence)
    # TensorFlow warns that many small networks are traced anew; a notebook trains many on purpose.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return keras


def mean_and_spread(
    x: keras.KerasTensor, scores: keras.KerasTensor, *, least_variance: float
) -> list[keras.KerasTensor]:
    """Pool frames (batch, n_frames, n_values) to mean and standard deviation, (batch, n_values).

    Weights are the softmax over frames of `scores`, shape (batch, n_frames, 1), `MASKED` for
    padding. Variances are at least `least_variance`: the gradient of a root at 0 is infinite.
    """
    # Okabe et al. (2018), arXiv:1803.10963.
    ops = load_keras().ops
    weights = ops.softmax(scores, axis=1)
    mean = ops.sum(weights * x, axis=1)
    variance = ops.sum(weights * ops.square(x - ops.expand_dims(mean, 1)), axis=1)
    return [mean, ops.sqrt(ops.maximum(variance, least_variance))]


def batch_normalization(*, momentum: float, name: str) -> keras.layers.Layer:
    """Return Keras's layer; TensorFlow trains it on maps (batch, height, width, channels) as one.

    Keras 3 builds it of some 70 operations, which took a third of the time of a convolutional
    network. Values, gradients and running means are the same but for their last digits.
    """
    return _fused_batch_normalization()(momentum=momentum, name=name)


@lru_cache(maxsize=1)
def _fused_batch_normalization() -> type[keras.layers.BatchNormalization]:
    keras = load_keras()

    class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[name-defined]
        # By this name it is saved, and read without this package, as Keras's own.
        __module__ = "keras.layers"

        def call(
            self, inputs: Any, training: bool | None = None, mask: object | None = None
        ) -> Any:
            is_maps = len(inputs.shape) == 4 and self.compute_dtype == "float32"
            is_fused = is_maps and keras.backend.backend() == "tensorflow"
            if not (is_fused and training and self.trainable) or mask is not None:
                return super().call(inputs, training=training, mask=mask)
            from tensorflow import raw_ops, size

            scale, offset = self.gamma.value, self.beta.value
            about = {"x": inputs, "scale": scale, "offset": offset, "mean": [], "variance": []}
            normalised, mean, variance, *_ = raw_ops.FusedBatchNormV3(**about, epsilon=self.epsilon)
            # The kernel divides by n - 1, Keras by n.
            n = keras.ops.cast(size(inputs) / inputs.shape[-1], "float32")
            for moving, new in (
                (self.moving_mean, mean),
                (self.moving_variance, variance * ((n - 1.0) / n)),
            ):
                moving.assign(moving * self.momentum + new * (1.0 - self.momentum))
            return normalised

    return BatchNormalization


def scaling_layer() -> keras.layers.Layer:
    """Return a layer "scale" that changes nothing until `fit_scaling` sets it; not trained."""
    return load_keras().layers.BatchNormalization(
        center=False, scale=False, epsilon=1e-6, trainable=False, name="scale"
    )


def fit_scaling(model: keras.Model, inputs: Rows) -> None:
    """Set a `scaling_layer` to mean and variance of the frames of these rows, without padding."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for part in inputs.parts():
        frames = part[part.any(axis=-1)]
        if len(frames):
            scaler.partial_fit(frames)
    model.get_layer("scale").set_weights([scaler.mean_, scaler.var_])


def start_from_ridge(
    model: keras.Model, inputs: Rows, classes: np.ndarray, *, strength: float, sharpness: float
) -> None:
    """Set the layer "probabilities" to a ridge regression on the output of the layer "pooled".

    `strength` is the penalty, as in `RidgeHeadConfig`; `sharpness` makes logits of its scores.
    """
    keras = load_keras()
    pooling = keras.Model(model.inputs, model.get_layer("pooled").output)
    batches = np.array_split(np.arange(len(inputs)), -(-len(inputs) // POOLING_BATCH))
    parts = (pooling.predict_on_batch(inputs.take(rows)) for rows in batches)
    pooled = np.concatenate([keras.ops.convert_to_numpy(one) for one in parts])
    head = model.get_layer("probabilities")
    mean, spread = pooled.mean(axis=0), np.maximum(pooled.std(axis=0), MIN_SPREAD)
    scaled = (pooled - mean) / spread
    targets = np.eye(head.units, dtype=np.float32)[classes]
    kernel = scaled @ scaled.T / scaled.shape[1]
    dual, offset = solve_ridge(kernel, targets, (strength,))[0]
    # (n_values, n_classes) and (n_classes,), on statistics that are not scaled.
    weights = sharpness * (scaled.T @ dual / scaled.shape[1]) / spread[:, np.newaxis]
    head.set_weights([weights, sharpness * offset - mean @ weights])
