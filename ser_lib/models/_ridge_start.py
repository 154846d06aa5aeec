"""Where training starts: the last layer as ridge regression solves it on what it sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ser_lib.models._keras import load_keras
from ser_lib.models.heads import MIN_SPREAD, solve_ridge

if TYPE_CHECKING:
    import keras

    from ser_lib.rows import Rows

__all__ = ["start_from_ridge"]

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
