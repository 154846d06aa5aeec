"""Heads: what turns features of a frozen encoder into classes.

A head sees arrays of shape (n_clips, n_views, n_layers, n_statistics, n_values) and chooses its own
settings on inner folds of its training speakers. It is linear: whatever is chosen and averaged, the
result is one matrix, and a clip is classified without this module (`apply_linear_head`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from ser_lib.errors import StudyError
from ser_lib.evaluation.calibration import temperature_of_logits
from ser_lib.seeds import generator

if TYPE_CHECKING:
    import pandas as pd


# A value that never varies in training says nothing, and must not be divided by nothing.
MIN_SPREAD = 1e-6


@dataclass(frozen=True)
class RidgeHeadConfig:
    """Ridge regression on class indicators, averaged over the best of several sets of layers."""

    layer_sets: tuple[tuple[int, ...], ...]
    """Layers that are tried together; 0 is the encoder's front end."""
    views: tuple[int, ...] = (0,)
    """Which views (speeds) are averaged, for training and test clips alike."""
    statistics: tuple[int, ...] = (0, 1)
    """Which statistics are used, by their place in the feature."""
    strengths: tuple[float, ...] = (0.3, 1.0, 3.0)
    """Ridge penalties that are tried, as shares of the mean eigenvalue of the kernel."""
    n_inner_folds: int = 4
    n_members: int = 3
    """So many sets of layers, each with its best penalty, are averaged."""


def build_ridge_head(config: RidgeHeadConfig, seed: int) -> RidgeHead:
    """Build an unfitted head; the seed deals the speakers into inner folds.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    return RidgeHead(config, seed)


@dataclass(frozen=True)
class _Choice:
    layers: tuple[int, ...]
    strength: float
    uar: float
    scores: np.ndarray


class RidgeHead:
    """See `RidgeHeadConfig`.

    Least squares on indicators is solved in closed form for all penalties at once; on these
    features it chooses the classes as well as logistic regression does, in a fiftieth of the time.
    A softmax with one temperature, found on the inner folds, makes probabilities of its scores.
    """

    def __init__(self, config: RidgeHeadConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self._tried: list[_Choice] = []
        self._arrays: dict[str, np.ndarray] = {}

    def fit(
        self, features: np.ndarray, classes: np.ndarray, speakers: np.ndarray, *, n_classes: int
    ) -> RidgeHead:
        """Choose layers and penalty on inner folds of speakers, and fit on all rows.

        Parameters
        ----------
        features : ndarray, shape (n_rows, n_views, n_layers, n_statistics, n_values)
            Of training speakers.
        classes : ndarray of int, shape (n_rows,)
            Class numbers.
        speakers : ndarray of str, shape (n_rows,)
            Who speaks; an inner fold holds whole speakers.
        n_classes : int
            Number of classes.

        Raises
        ------
        StudyError
            If there are fewer speakers than inner folds, or layers that the features lack.
        """
        self._check(features, speakers)
        used = self._select(features)
        mean, spread = used.mean(axis=0), used.std(axis=0)
        scaled = (used - mean) / np.maximum(spread, MIN_SPREAD)
        # One kernel a layer, (n_rows, n_rows): that of a set of layers is their mean. Scaling by
        # all training rows before they are dealt into inner folds looks at no label.
        layers = sorted(set().union(*self.config.layer_sets))
        flat = {layer: scaled[:, layer].reshape(len(scaled), -1) for layer in layers}
        kernels = {layer: one @ one.T / one.shape[1] for layer, one in flat.items()}
        targets = np.eye(n_classes, dtype=np.float32)[classes]
        folds = self._inner_folds(speakers)
        tried = [
            self._try(layers_, _mean_of(kernels, layers_), targets, folds)
            for layers_ in self.config.layer_sets
        ]
        self._tried = sorted(tried, key=lambda one: -one.uar)
        best = self._tried[: self.config.n_members]
        weights = np.zeros((*scaled.shape[1:], n_classes))
        bias = np.zeros(n_classes)
        for one in best:
            dual, offset = solve_ridge(_mean_of(kernels, one.layers), targets, (one.strength,))[0]
            for layer in one.layers:
                block = flat[layer].T @ dual / (flat[layer].shape[1] * len(one.layers))
                weights[layer] += block.reshape(weights[layer].shape) / len(best)
            bias += offset / len(best)
        scores = np.mean([one.scores for one in best], axis=0)
        self._arrays = {
            "mean": mean.astype(np.float32),
            "spread": np.maximum(spread, MIN_SPREAD).astype(np.float32),
            "weights": weights.astype(np.float32),
            "bias": bias.astype(np.float32),
            "sharpness": np.array(
                1 / temperature_of_logits(scores, classes, log_bounds=(-5.0, 0.0)), np.float32
            ),
            "views": np.array(self.config.views),
            "statistics": np.array(self.config.statistics),
        }
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities, shape (n_rows, n_classes)."""
        return apply_linear_head(features, self.arrays())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that `apply_linear_head` needs, as arrays: nothing to unpickle."""
        if not self._arrays:
            raise StudyError("this head is not fitted; call fit first")
        return dict(self._arrays)

    def history(self) -> pd.DataFrame:
        """Return every set of layers that was tried, best first.

        `val_accuracy` is the UAR on the inner folds, `weight` the share in the average: 0 for what
        was not chosen.
        """
        import pandas as pd

        n_members = min(self.config.n_members, len(self._tried))
        return pd.DataFrame(
            {
                "epoch": range(len(self._tried)),
                "loss": np.nan,
                "accuracy": np.nan,
                "val_loss": np.nan,
                "val_accuracy": [one.uar for one in self._tried],
                "learning_rate": np.nan,
                "layers": [" ".join(map(str, one.layers)) for one in self._tried],
                "strength": [one.strength for one in self._tried],
                "weight": [(n < n_members) / n_members for n in range(len(self._tried))],
            }
        )

    def n_parameters(self) -> int:
        """Count the weights that are not 0, with the offsets."""
        return int(np.count_nonzero(self._arrays["weights"]) + self._arrays["bias"].size)

    def _check(self, features: np.ndarray, speakers: np.ndarray) -> None:
        if features.ndim != 5:
            raise StudyError(
                f"a head needs views of pooled layers, of 5 axes, not of shape {features.shape}"
            )
        asked = max(max(one) for one in self.config.layer_sets), max(self.config.views)
        if asked[0] >= features.shape[2] or asked[1] >= features.shape[1]:
            raise StudyError(
                f"layer {asked[0]} or view {asked[1]} is not among the features of shape "
                f"{features.shape[1:]}"
            )
        check_inner_folds(speakers, self.config.n_inner_folds)

    def _select(self, features: np.ndarray) -> np.ndarray:
        return _select(features, self.config.views, self.config.statistics)

    def _inner_folds(self, speakers: np.ndarray) -> list[np.ndarray]:
        """Deal the speakers; return which rows are held out, one mask a fold."""
        names = generator("inner folds", self.seed).permutation(np.unique(speakers))
        n = self.config.n_inner_folds
        return [np.isin(speakers, names[number::n]) for number in range(n)]

    def _try(
        self,
        layers: tuple[int, ...],
        kernel: np.ndarray,
        targets: np.ndarray,
        folds: list[np.ndarray],
    ) -> _Choice:
        """Score one set of layers under every penalty; return the best of them."""
        strengths = self.config.strengths
        scores = np.zeros((len(strengths), *targets.shape))
        for held_out in folds:
            kept = ~held_out
            solved = solve_ridge(kernel[np.ix_(kept, kept)], targets[kept], strengths)
            across = kernel[np.ix_(held_out, kept)]
            for number, (dual, offset) in enumerate(solved):
                scores[number, held_out] = across @ dual + offset
        truth = targets.argmax(axis=1)
        uars = [_uar(truth, one.argmax(axis=1), targets.shape[1]) for one in scores]
        chosen = int(np.argmax(uars))
        return _Choice(layers, strengths[chosen], uars[chosen], scores[chosen])


def check_inner_folds(speakers: np.ndarray, n_inner_folds: int) -> None:
    """Raise StudyError where there are fewer training speakers than inner folds."""
    n_speakers = len(np.unique(speakers))
    if n_speakers < n_inner_folds:
        raise StudyError(
            f"{n_speakers} training speakers cannot be dealt into {n_inner_folds} inner folds; "
            "take a corpus, or a protocol, with more of them"
        )


def _select(
    features: np.ndarray,
    views: tuple[int, ...] | np.ndarray,
    statistics: tuple[int, ...] | np.ndarray,
) -> np.ndarray:
    """Average views and pick statistics: (n, views, layers, stats, values) to (n, layers, ...)."""
    total = reduce(np.add, (features[:, view].astype(np.float32) for view in views))
    return total[:, :, list(statistics)] / len(views)


def apply_linear_head(features: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Classify features with the arrays of a fitted head, with NumPy alone.

    Parameters
    ----------
    features : ndarray, shape (n_rows, n_views, n_layers, n_statistics, n_values)
        As `ser_lib.features.encoders.features.encoder_views` gives, one row a clip.
    arrays : dict of str to ndarray
        From `RidgeHead.arrays`.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_classes)
        Probabilities; each row sums to 1.
    """
    from scipy.special import softmax

    used = _select(features, arrays["views"], arrays["statistics"])
    scaled = (used - arrays["mean"]) / arrays["spread"]
    # (n, layers, stats, values) x (layers, stats, values, classes) -> (n, classes)
    scores = np.tensordot(scaled, arrays["weights"], axes=3) + arrays["bias"]
    return softmax(float(arrays["sharpness"]) * scores.astype(np.float64), axis=1)


def flat_head(
    arrays: dict[str, np.ndarray], shape: tuple[int, ...]
) -> dict[str, np.ndarray | float]:
    """Write a fitted head for features that are flattened, whatever it averages or leaves out.

    Parameters
    ----------
    arrays : dict of str to ndarray
        From `RidgeHead.arrays`.
    shape : tuple of int
        Of one clip's features: (n_views, n_layers, n_statistics, n_values).

    Returns
    -------
    dict
        `head_mean, head_scale` of shape (n,), `head_weights` (n, n_classes), `head_bias`
        (n_classes,) with n the product of `shape`; and `temperature`. Logits are
        ((x - mean) / scale) @ weights + bias, divided by the temperature.
    """
    n_classes = len(arrays["bias"])
    mean, scale = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    weights = np.zeros((*shape, n_classes), np.float32)
    used = list(arrays["statistics"])
    for view in arrays["views"]:
        mean[view][:, used] = arrays["mean"]
        scale[view][:, used] = arrays["spread"]
        weights[view][:, used] = arrays["weights"] / len(arrays["views"])
    return {
        "head_mean": mean.ravel(),
        "head_scale": scale.ravel(),
        "head_weights": weights.reshape(-1, n_classes),
        "head_bias": arrays["bias"],
        "temperature": 1.0 / float(arrays["sharpness"]),
    }


def _mean_of(kernels: dict[int, np.ndarray], layers: tuple[int, ...]) -> np.ndarray:
    return reduce(np.add, (kernels[layer] for layer in layers)) / len(layers)


def solve_ridge(
    kernel: np.ndarray, targets: np.ndarray, strengths: tuple[float, ...]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Solve kernel ridge regression with an offset, for several penalties.

    Returns a pair a penalty: dual weights (n_rows, n_classes), which sum to 0 in each column, so
    that rows need no centring at prediction; and the offsets (n_classes,).
    """
    from scipy.linalg import cho_factor, cho_solve

    level = kernel.mean(axis=0)
    centred = kernel - level - level[:, np.newaxis] + level.mean()
    offset = targets.mean(axis=0)
    diagonal = np.eye(len(centred), dtype=kernel.dtype) * (np.trace(centred) / len(centred))
    solved = []
    for strength in strengths:
        factor = cho_factor(centred + strength * diagonal, lower=True, overwrite_a=True)
        dual = cho_solve(factor, targets - offset)
        dual -= dual.mean(axis=0)
        solved.append((dual, offset - level @ dual))
    return solved


def _uar(truth: np.ndarray, prediction: np.ndarray, n_classes: int) -> float:
    present = [number for number in range(n_classes) if (truth == number).any()]
    return float(np.mean([(prediction[truth == number] == number).mean() for number in present]))


def neighbours(first: int, last: int, *, lengths: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """List all runs of neighbouring layers of some lengths between two layers, both included.

    Examples
    --------
    >>> neighbours(1, 4, lengths=(2, 4))
    ((1, 2), (2, 3), (3, 4), (1, 2, 3, 4))
    """
    return tuple(
        tuple(range(low, low + length))
        for length in lengths
        for low in range(first, last - length + 2)
    )
