"""Scaling of frames inside a network, by what the training rows hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ser_lib.models._keras import load_keras

if TYPE_CHECKING:
    import keras

    from ser_lib.rows import Rows

__all__ = ["fit_scaling", "scaling_layer"]

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
