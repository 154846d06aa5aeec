"""Maps of what a network looks at: ablation of its filters, occlusion of its input, and controls.

Everything here is forward passes through a Keras model, so that any backend will do: instead of the
gradients of Grad-CAM, filters are switched off one by one (Ablation-CAM). Inputs have shape
(n_rows, n_frames, n_bands, 1); maps have (n_rows, n_frames, n_bands). Evidence for a class is its
log-odds: probabilities near 1 hide what a change does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ser_lib.epochs import predict_rows
from ser_lib.errors import StudyError
from ser_lib.models._keras import load_keras
from ser_lib.rows import Rows

if TYPE_CHECKING:
    import keras

__all__ = [
    "ablation_maps",
    "agreement",
    "coarse",
    "evidence",
    "occlusion_maps",
    "randomised",
]

# Log-odds beyond 14 say no more than that a network is sure.
LEAST_PROBABILITY = 1e-6


def evidence(model: keras.Model, inputs: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Log-odds that a model gives to one class of each row.

    Parameters
    ----------
    model : keras.Model
        With probabilities as output.
    inputs : ndarray, shape (n_rows, ...)
        What it sees.
    classes : ndarray of int, shape (n_rows,)
        Which class of each row.

    Returns
    -------
    ndarray, shape (n_rows,)
        Natural logarithm of p / (1 - p).
    """
    probabilities = predict_rows(model, Rows.of(inputs))[np.arange(len(classes)), classes]
    clipped = np.clip(probabilities.astype(float), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.log(clipped / (1 - clipped))


def ablation_maps(
    model: keras.Model, inputs: np.ndarray, classes: np.ndarray, *, layer: str
) -> np.ndarray:
    """Weigh the maps of a layer's filters by what the class loses without each (Ablation-CAM).

    Parameters
    ----------
    model : keras.Model
        Trained.
    inputs : ndarray, shape (n_rows, n_frames, n_bands, 1)
        What it sees.
    classes : ndarray of int, shape (n_rows,)
        The class that is explained.
    layer : str
        Name of a convolution with an activation that is not negative.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_frames, n_bands)
        0 where nothing speaks for the class; each map's largest value is 1, unless all of it is 0.

    Raises
    ------
    StudyError
        If the layer does not make maps.

    References
    ----------
    Ramaswamy & Desai (2020), Ablation-CAM: Visual explanations for deep convolutional network via
    gradient-free localization, WACV. Here with differences of log-odds.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    keras = load_keras()
    middle = model.get_layer(layer).output
    if len(middle.shape) != 4:
        raise StudyError(f"layer '{layer}' gives {tuple(middle.shape)}, no maps; name a Conv2D")
    maps = predict_rows(keras.Model(model.inputs, middle), Rows.of(inputs))
    head = keras.Model(middle, model.outputs[0])
    whole = evidence(head, maps, classes)
    weighted = np.zeros(maps.shape[:3])
    for number in range(maps.shape[-1]):
        without = maps.copy()
        without[..., number] = 0.0
        weight = whole - evidence(head, without, classes)
        weighted += weight[:, np.newaxis, np.newaxis] * maps[..., number]
    return _resized(np.maximum(weighted, 0.0), inputs.shape[1:3])


def _resized(maps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Bring maps to the size of the input, and their largest value to 1."""
    from scipy.ndimage import zoom

    factors = (1, shape[0] / maps.shape[1], shape[1] / maps.shape[2])
    large = zoom(maps, factors, order=1, grid_mode=True, mode="nearest")
    top = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, top, out=np.zeros_like(large), where=top > 0).astype(np.float32)


def occlusion_maps(
    model: keras.Model,
    inputs: np.ndarray,
    classes: np.ndarray,
    *,
    fill: np.ndarray,
    n_steps: int = 8,
    n_bands: int = 8,
) -> np.ndarray:
    """Cover one part of the plane after the other, and tell what evidence the class loses.

    Parameters
    ----------
    model : keras.Model
        Trained.
    inputs : ndarray, shape (n_rows, n_frames, n_bands, 1)
        What it sees.
    classes : ndarray of int, shape (n_rows,)
        The class that is explained.
    fill : ndarray, shape (n_frames, n_bands, 1)
        What covers: the mean of the training clips says nothing about any one of them.
    n_steps, n_bands : int
        Parts along time and along frequency; 1 covers all of that axis.

    Returns
    -------
    ndarray, shape (n_rows, n_steps, n_bands)
        Loss of log-odds; negative where the class gains.

    References
    ----------
    Zeiler & Fergus (2014), Visualizing and understanding convolutional networks, ECCV.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    whole = evidence(model, inputs, classes)
    times = np.array_split(np.arange(inputs.shape[1]), n_steps)
    bands = np.array_split(np.arange(inputs.shape[2]), n_bands)
    losses = np.empty((len(inputs), n_steps, n_bands))
    for i, time in enumerate(times):
        for j, band in enumerate(bands):
            covered = inputs.copy()
            part = np.ix_(range(len(inputs)), time, band)
            covered[part] = fill[np.ix_(time, band)]
            losses[:, i, j] = whole - evidence(model, covered, classes)
    return losses


def coarse(maps: np.ndarray, n_steps: int = 8, n_bands: int = 8) -> np.ndarray:
    """Average maps over the parts that `occlusion_maps` covers.

    Parameters
    ----------
    maps : ndarray, shape (n_rows, n_frames, n_bands)
        At the input's size.
    n_steps, n_bands : int
        Parts along time and along frequency.

    Returns
    -------
    ndarray, shape (n_rows, n_steps, n_bands)
    """
    by_time = [part.mean(axis=1) for part in np.array_split(maps, n_steps, axis=1)]
    stacked = np.stack(by_time, axis=1)
    return np.stack([p.mean(axis=2) for p in np.array_split(stacked, n_bands, axis=2)], axis=2)


def agreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of two maps of each row.

    Parameters
    ----------
    first, second : ndarray, shape (n_rows, n_steps, n_bands)
        Maps of one size.

    Returns
    -------
    ndarray, shape (n_rows,)
        In [-1, 1]; NaN where a map is flat.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(one.reshape(len(one), -1), axis=1) for one in (first, second)]
    a, b = (one - one.mean(axis=1, keepdims=True) for one in ranks)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), scale, out=np.full(len(a), np.nan), where=scale > 0)


def randomised(model: keras.Model, fresh: keras.Model, *, n_layers: int) -> keras.Model:
    """Return a copy of a model whose last layers with weights are untrained.

    A map that stays the same when what was learned is gone shows the input, not the model.

    Parameters
    ----------
    model : keras.Model
        Trained; it is not changed.
    fresh : keras.Model
        Of the same layers, untrained.
    n_layers : int
        How many layers with weights lose theirs, counted from the output.

    Returns
    -------
    keras.Model

    Raises
    ------
    StudyError
        If the model has fewer such layers.

    References
    ----------
    Adebayo et al. (2018), Sanity checks for saliency maps, NeurIPS: cascading randomisation.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    learned = [one.name for one in model.layers if one.weights]
    if not 0 <= n_layers <= len(learned):
        raise StudyError(f"n_layers={n_layers}: the model has {len(learned)} layers with weights")
    copy = load_keras().models.clone_model(model)
    copy.set_weights(model.get_weights())
    for name in learned[len(learned) - n_layers :]:
        copy.get_layer(name).set_weights(fresh.get_layer(name).get_weights())
    return copy
