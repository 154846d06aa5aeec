"""Linear heads on pooled features of a frozen encoder, solved by ridge regression.

A head is fitted on arrays of shape (n_clips, n_views, n_layers, n_statistics, n_values) and chooses
its settings on inner folds of its training speakers. Whatever is chosen and averaged, the result is
one matrix (`apply_linear_head`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from ser_lib.errors import StudyError
from ser_lib.evaluation.calibration import temperature_of_logits
from ser_lib.evaluation.metrics import uar
from ser_lib.evaluation.probabilities import softmax
from ser_lib.seeds import generator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

# Values that never vary in training are divided by this, not by 0.
MIN_SPREAD = 1e-6

# Scores of indicators are less sharp than logits: their temperature is sought below 1.
LOG_TEMPERATURES = (-5.0, 0.0)


@dataclass(frozen=True)
class RidgeHeadConfig:
    """Ridge regression on class indicators, averaged over the best of several sets of layers."""

    layer_sets: tuple[tuple[int, ...], ...]
    """Layers that are tried together; 0 is the encoder's front end."""
    views: tuple[int, ...] = (0,)
    """Views (speeds) that are averaged, of training and test clips alike."""
    statistics: tuple[int, ...] = (0, 1)
    """Which statistics are used, by their place in the feature."""
    strengths: tuple[float, ...] = (0.3, 1.0, 3.0)
    """Ridge penalties that are tried, as shares of the mean eigenvalue of the kernel."""
    n_inner_folds: int = 4
    n_members: int = 3
    """Number of sets of layers, each with its best penalty, that are averaged."""


@dataclass(frozen=True)
class _Candidate:
    """A set of layers with its best penalty; `scores` are of rows that were held out."""

    layers: tuple[int, ...]
    strength: float
    uar: float
    scores: np.ndarray


class LinearHead:
    """What heads have in common that are linear in pooled layers; `fit` sets the arrays."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities, shape (n_rows, n_classes)."""
        return apply_linear_head(features, self.arrays())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that `apply_linear_head` needs, as arrays: nothing to unpickle."""
        if not self._arrays:
            raise StudyError("this head is not fitted; call fit first")
        return dict(self._arrays)

    def n_parameters(self) -> int:
        """Count the weights that are not 0, with the offsets."""
        return int(np.count_nonzero(self._arrays["weights"]) + self._arrays["bias"].size)


class RidgeHead(LinearHead):
    """See `RidgeHeadConfig`; the seed assigns the speakers to inner folds.

    Least squares on indicators is solved in closed form for all penalties at once; on these
    features it is as accurate as logistic regression, in a fiftieth of the time. Probabilities are
    a softmax of its scores with one temperature, found on the inner folds.
    """

    def __init__(self, config: RidgeHeadConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        self.seed = seed
        self._tried: list[_Candidate] = []

    def fit(
        self, features: np.ndarray, classes: np.ndarray, speakers: np.ndarray, *, n_classes: int
    ) -> RidgeHead:
        """Choose layers and penalty on inner folds of whole speakers, and fit on all rows.

        Raises StudyError if there are fewer speakers than inner folds, or if the features lack a
        layer or a view of the config.
        """
        self._check(features, speakers)
        used = _select(features, self.config.views, self.config.statistics)
        mean, spread = used.mean(axis=0), np.maximum(used.std(axis=0), MIN_SPREAD)
        scaled = (used - mean) / spread
        # One kernel a layer, (n_rows, n_rows): that of a set of layers is their mean. Scaling on
        # all training rows, before the inner folds, uses no label.
        layers = sorted(set().union(*self.config.layer_sets))
        flat = {layer: scaled[:, layer].reshape(len(scaled), -1) for layer in layers}
        kernels = {layer: one @ one.T / one.shape[1] for layer, one in flat.items()}
        targets = np.eye(n_classes, dtype=np.float32)[classes]
        folds = self._inner_folds(speakers)
        tried = [
            self._try(layer_set, _mean_of(kernels, layer_set), targets, folds)
            for layer_set in self.config.layer_sets
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
        temperature = temperature_of_logits(scores, classes, log_bounds=LOG_TEMPERATURES)
        self._arrays = {
            "mean": mean.astype(np.float32),
            "spread": spread.astype(np.float32),
            "weights": weights.astype(np.float32),
            "bias": bias.astype(np.float32),
            "sharpness": np.array(1 / temperature, np.float32),
            "views": np.array(self.config.views),
            "statistics": np.array(self.config.statistics),
        }
        return self

    def history(self) -> pd.DataFrame:
        """Return every set of layers that was tried, best first; `weight` is its share."""
        n_members = min(self.config.n_members, len(self._tried))
        layers = [" ".join(map(str, one.layers)) for one in self._tried]
        strength = [one.strength for one in self._tried]
        weight = [(n < n_members) / n_members for n in range(len(self._tried))]
        more: dict[str, Sequence] = {"layers": layers, "strength": strength, "weight": weight}
        return choice_history([one.uar for one in self._tried], more)

    def _check(self, features: np.ndarray, speakers: np.ndarray) -> None:
        """Raise StudyError where the config cannot be fitted on these features and speakers."""
        if features.ndim != 5:
            raise StudyError(
                f"a head needs views of pooled layers, of 5 axes, not of shape {features.shape}"
            )
        layer, view = max(max(one) for one in self.config.layer_sets), max(self.config.views)
        if layer >= features.shape[2] or view >= features.shape[1]:
            raise StudyError(
                f"layer {layer} or view {view} is not among the features of shape "
                f"{features.shape[1:]}"
            )
        check_inner_folds(speakers, self.config.n_inner_folds)

    def _inner_folds(self, speakers: np.ndarray) -> list[np.ndarray]:
        """Assign the speakers to folds; return which rows are held out, one mask a fold."""
        # Not GroupKFold, which draws other folds from a seed: stored runs have these.
        names = generator("inner folds", self.seed).permutation(np.unique(speakers))
        n = self.config.n_inner_folds
        return [np.isin(speakers, names[number::n]) for number in range(n)]

    def _try(
        self,
        layers: tuple[int, ...],
        kernel: np.ndarray,
        targets: np.ndarray,
        folds: list[np.ndarray],
    ) -> _Candidate:
        """Score one set of layers under every penalty; return the best of them."""
        from sklearn.metrics import confusion_matrix

        strengths = self.config.strengths
        scores = np.zeros((len(strengths), *targets.shape))
        for held_out in folds:
            kept = ~held_out
            solved = solve_ridge(kernel[np.ix_(kept, kept)], targets[kept], strengths)
            across = kernel[np.ix_(held_out, kept)]
            for number, (dual, offset) in enumerate(solved):
                scores[number, held_out] = across @ dual + offset
        truth = targets.argmax(axis=1)
        uars = [float(uar(confusion_matrix(truth, one.argmax(axis=1)))) for one in scores]
        chosen = int(np.argmax(uars))
        return _Candidate(layers, strengths[chosen], uars[chosen], scores[chosen])


def check_inner_folds(speakers: np.ndarray, n_inner_folds: int) -> None:
    """Raise StudyError where there are fewer training speakers than inner folds."""
    n_speakers = len(np.unique(speakers))
    if n_speakers < n_inner_folds:
        raise StudyError(
            f"{n_speakers} training speakers are too few for {n_inner_folds} inner folds; "
            "take a corpus, or a protocol, with more of them"
        )


def choice_history(
    uars: Sequence[float], more: Mapping[str, Sequence | np.ndarray]
) -> pd.DataFrame:
    """Return settings that were tried as a training history, one row each instead of an epoch.

    `val_accuracy` is the UAR on the inner folds; what only networks have is NaN.
    """
    import pandas as pd

    nothing = dict.fromkeys(("loss", "accuracy", "val_loss"), np.nan)
    first = {"epoch": range(len(uars)), **nothing, "val_accuracy": uars, "learning_rate": np.nan}
    return pd.DataFrame({**first, **more})


def _select(
    features: np.ndarray, views: Sequence[int] | np.ndarray, statistics: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Average views and pick statistics: (n, views, layers, stats, values) to (n, layers, ...)."""
    total = reduce(np.add, (features[:, view].astype(np.float32) for view in views))
    return total[:, :, list(statistics)] / len(views)


def apply_linear_head(features: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Classify features with the arrays of `RidgeHead.arrays`, shape (n_rows, n_classes)."""
    used = _select(features, arrays["views"], arrays["statistics"])
    scaled = (used - arrays["mean"]) / arrays["spread"]
    # (n, layers, stats, values) x (layers, stats, values, classes) -> (n, classes)
    scores = np.tensordot(scaled, arrays["weights"], axes=3) + arrays["bias"]
    return softmax(float(arrays["sharpness"]) * scores.astype(np.float64))


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


def neighbours(first: int, last: int, *, lengths: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """List all runs of neighbouring layers of some lengths between two layers, both included.

    >>> neighbours(1, 4, lengths=(2, 4))
    ((1, 2), (2, 3), (3, 4), (1, 2, 3, 4))
    """
    return tuple(
        tuple(range(low, low + length))
        for length in lengths
        for low in range(first, last - length + 2)
    )
