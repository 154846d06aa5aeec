"""Where training starts: the last layer as ridge regression solves it on what it sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ser_lib.models.keras_backend import load_keras
from ser_lib.models.ridge_head import MIN_SPREAD, solve_ridge

if TYPE_CHECKING:
    import keras

    from ser_lib.features.extraction import Rows


# Added to the scores of frames that are none; exp of it is 0 in single precision.
MASKED = -1e4


def mean_and_spread(
    x: keras.KerasTensor, scores: keras.KerasTensor, *, least_variance: float
) -> list[keras.KerasTensor]:
    """Weigh frames by the softmax of their scores, and describe them by two statistics.

    Parameters
    ----------
    x : tensor, shape (batch, n_frames, n_values)
        Frames.
    scores : tensor, shape (batch, n_frames, 1)
        The higher, the more a frame counts; `MASKED` where there is none.
    least_variance : float
        Lower variances are taken as this: the gradient of a root at 0 is infinite.

    Returns
    -------
    list of two tensors, shape (batch, n_values)
        Mean and standard deviation.

    References
    ----------
    Okabe et al. (2018), arXiv:1803.10963.
    """
    ops = load_keras().ops
    weights = ops.softmax(scores, axis=1)
    mean = ops.sum(weights * x, axis=1)
    variance = ops.sum(weights * ops.square(x - ops.expand_dims(mean, 1)), axis=1)
    return [mean, ops.sqrt(ops.maximum(variance, least_variance))]


# Batches, so that not all rows are gathered at once in the precision of sums.
N_BATCHES = 16


def scaling_layer() -> keras.layers.Layer:
    """Return a layer "scale" that `fit_scaling` sets; not trained, it scales by nothing else."""
    return load_keras().layers.BatchNormalization(
        center=False, scale=False, epsilon=1e-6, trainable=False, name="scale"
    )


def fit_scaling(model: keras.Model, inputs: Rows) -> None:
    """Set what a network scales its inputs by: mean and spread over the training rows' frames.

    Parameters
    ----------
    model : keras.Model
        With a `scaling_layer`; changed in place.
    inputs : Rows
        Training rows of shape (n_frames, n_values); a frame of zeros is no frame.
    """
    frames = np.concatenate(
        [
            batch[batch.any(axis=-1)]
            for batch in map(inputs.take, np.array_split(np.arange(len(inputs)), N_BATCHES))
        ]
    )
    mean, variance = frames.mean(axis=0, dtype=np.float64), frames.var(axis=0, dtype=np.float64)
    model.get_layer("scale").set_weights([mean, variance])


BATCH = 128


def start_from_ridge(
    model: keras.Model, inputs: Rows, classes: np.ndarray, *, strength: float, sharpness: float
) -> None:
    """Give the layer "probabilities" the weights of a ridge regression on the layer "pooled".

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    inputs : Rows
        Training rows.
    classes : ndarray of int, shape (n_rows,)
        Their class numbers.
    strength : float
        Ridge penalty, as in `RidgeHeadConfig`.
    sharpness : float
        What the scores are multiplied with to serve as logits.
    """
    keras = load_keras()
    pooling = keras.Model(model.inputs, model.get_layer("pooled").output)
    batches = np.array_split(np.arange(len(inputs)), -(-len(inputs) // BATCH))
    pooled = np.concatenate(
        [
            keras.ops.convert_to_numpy(pooling.predict_on_batch(inputs.take(rows)))
            for rows in batches
        ]
    )
    head = model.get_layer("probabilities")
    head.set_weights(_solved(pooled, classes, head.units, strength, sharpness))


def _solved(
    pooled: np.ndarray, classes: np.ndarray, n_classes: int, strength: float, sharpness: float
) -> list[np.ndarray]:
    """Solve for weights (n_values, n_classes) and offsets of logits, on unscaled statistics."""
    mean, spread = pooled.mean(axis=0), np.maximum(pooled.std(axis=0), MIN_SPREAD)
    scaled = (pooled - mean) / spread
    targets = np.eye(n_classes, dtype=np.float32)[classes]
    kernel = scaled @ scaled.T / scaled.shape[1]
    dual, offset = solve_ridge(kernel, targets, (strength,))[0]
    weights = sharpness * (scaled.T @ dual / scaled.shape[1]) / spread[:, np.newaxis]
    return [weights, sharpness * offset - mean @ weights]
