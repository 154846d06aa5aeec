"""Frames to one vector: their weighted mean, and how they spread about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_lib.models._keras import load_keras

if TYPE_CHECKING:
    import keras

__all__ = ["MASKED", "mean_and_spread"]

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
