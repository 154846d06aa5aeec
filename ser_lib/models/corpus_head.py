"""A linear head for corpora that it was not trained on: training corpora lose their own level.

Each training corpus has a level of its own (room, microphone, voices), and some emotions only. Both
are estimated together, and the level is subtracted before the head is fitted. The penalty, and how
classes are decided, are chosen on training corpora that are left out in turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ser_lib.errors import StudyError
from ser_lib.evaluation.calibration import temperature_of_logits
from ser_lib.evaluation.metrics import uar
from ser_lib.evaluation.probabilities import softmax
from ser_lib.evaluation.selective import COVERAGE
from ser_lib.models.ridge_head import MIN_SPREAD, LinearHead, choice_history

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

LOG_TEMPERATURES = (-3.0, 3.0)
NEVER = -1e3  # The score of a class without a training row.


@dataclass(frozen=True)
class CorpusHeadConfig:
    """Logistic regression on principal components of pooled layers, corpora without their level."""

    layers: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    statistics: tuple[int, ...] = (0,)
    """Which statistics are used, by their place in the feature."""
    n_components: int = 400
    strengths: tuple[float, ...] = (1e-3, 3e-4)
    """Inverse penalties that are tried."""
    decisions: tuple[str, ...] = ("logistic", "discriminant")
    """What decides, and is tried: the regression's own scores, or linear discriminants in them.

    The first of both is taken unless another one is better by more than a standard error of the
    difference between corpora left out."""


class CorpusHead(LinearHead):
    """See `CorpusHeadConfig`; the seed is that of the principal components.

    One temperature is fitted on the corpora left out inside.
    """

    def __init__(self, config: CorpusHeadConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        self.seed = seed
        self._uars: dict[tuple[float, str], float] = {}
        self._chosen = (0.0, "")
        self._limits: dict[str, float] = {}
        self.left_out = np.empty((0, 0))
        """Probabilities of the training rows, each by a head without its corpus."""

    def fit(
        self, features: np.ndarray, classes: np.ndarray, corpora: np.ndarray, *, n_classes: int
    ) -> CorpusHead:
        """Choose on corpora left out in turn, and fit on all; StudyError below three corpora."""
        from sklearn.decomposition import PCA

        names = np.unique(corpora)
        if len(names) < 3:
            raise StudyError(
                f"the head needs rows of three corpora or more to leave one out, not of "
                f"{', '.join(names)}; take the protocol leave_corpus_out"
            )
        where = np.ix_(self.config.layers, self.config.statistics)
        used = features[:, 0].take(self.config.layers, axis=1).take(self.config.statistics, axis=2)
        used = used.astype(np.float32)
        flat = used.reshape(len(used), -1)
        centred = flat - _levels(flat, corpora)
        spread = np.maximum(centred.std(axis=0), MIN_SPREAD)
        n_components = min(self.config.n_components, *centred.shape)
        found = PCA(n_components, svd_solver="randomized", random_state=self.seed)
        axes = found.fit(centred / spread).components_.T
        rows = (flat / spread) @ axes
        tried: dict[tuple[float, str], np.ndarray] = {}
        for strength in self.config.strengths:
            scores = {one: np.zeros((len(rows), n_classes)) for one in self.config.decisions}
            for name in names:
                out = corpora == name
                heads = _fit(rows[~out], classes[~out], corpora[~out], n_classes, strength)
                for one, score in scores.items():
                    weights, bias = heads[one]
                    score[out] = rows[out] @ weights + bias
            tried |= {(strength, one): score for one, score in scores.items()}
        uars = {
            one: np.array([_uar(classes[corpora == c], score[corpora == c]) for c in names])
            for one, score in tried.items()
        }
        self._uars = {one: float(found.mean()) for one, found in uars.items()}
        first, best = next(iter(tried)), max(self._uars, key=self._uars.__getitem__)
        gain = uars[best] - uars[first]
        self._chosen = best if gain.mean() > gain.std(ddof=1) / np.sqrt(len(names)) else first
        strength, decision = self._chosen
        score = tried[self._chosen]
        # Of a class that one corpus alone has, nothing was learned when that was left out.
        is_known = score[np.arange(len(score)), classes] > NEVER
        temperature = temperature_of_logits(
            score[is_known], classes[is_known], log_bounds=LOG_TEMPERATURES
        )
        self.left_out = softmax(score / temperature)
        truth = self.left_out[np.arange(len(score)), classes]
        self._limits = {
            f"limit_{name}": float(np.quantile(truth[corpora == name], 1 - COVERAGE))
            for name in names
        }
        weights, bias = _fit(rows, classes, corpora, n_classes, strength)[decision]
        whole = np.zeros((*features.shape[2:], n_classes), np.float32)
        whole[where] = (axes @ weights).reshape(*used.shape[1:], n_classes)
        scale = np.ones(features.shape[2:], np.float32)
        scale[where] = spread.reshape(used.shape[1:])
        self._arrays = {
            "mean": np.zeros_like(scale),
            "spread": scale,
            "weights": whole,
            "bias": bias.astype(np.float32),
            "sharpness": np.array(1 / temperature, np.float32),
            "views": np.array([0]),
            "statistics": np.arange(features.shape[3]),
        }
        return self

    def history(self) -> pd.DataFrame:
        """Return what was tried, with its mean UAR on corpora left out inside, and its weight.

        Of what was chosen, `limit_<corpus>` is the probability that the true class of `COVERAGE` of
        the clips of a corpus left out inside has at least: answer sets are made with them.
        """
        strengths, decisions = zip(*self._uars, strict=True)
        weight = [float(one == self._chosen) for one in self._uars]
        chosen = np.where(np.array(weight) > 0, 1.0, np.nan)
        limits = {name: chosen * limit for name, limit in self._limits.items()}
        more: dict[str, Sequence | np.ndarray] = dict(limits)
        more |= {"strength": strengths, "decision": decisions, "weight": weight}
        return choice_history(list(self._uars.values()), more)


def _levels(rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return for each row the mean of its group."""
    names, number = np.unique(groups, return_inverse=True)
    return np.stack([rows[number == one].mean(axis=0) for one in range(len(names))])[number]


def corpus_levels(rows: np.ndarray, classes: np.ndarray, corpora: np.ndarray) -> np.ndarray:
    """Estimate the level of each row's corpus, as it would be if it had all classes alike often.

    A row is the level of its corpus, the effect of its class, and noise: least squares.
    """
    place, number = (np.unique(one, return_inverse=True)[1] for one in (corpora, classes))
    shown = np.hstack([np.eye(one.max() + 1, dtype=rows.dtype)[one] for one in (place, number)])
    effects = np.linalg.lstsq(shown, rows, rcond=None)[0]
    n_corpora = place.max() + 1
    return (effects[:n_corpora] + effects[n_corpora:].mean(axis=0))[place]


def _fit(
    rows: np.ndarray, classes: np.ndarray, corpora: np.ndarray, n_classes: int, strength: float
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Fit weights and bias of both decisions, for rows of a corpus whose level is not known."""
    from sklearn.linear_model import LogisticRegression

    levels = corpus_levels(rows, classes, corpora)
    # Corpora weigh the same in the level of one that is not known.
    centre = np.mean([levels[corpora == one][0] for one in np.unique(corpora)], axis=0)
    rows = rows - levels
    found = LogisticRegression(C=strength, max_iter=200, tol=1e-3).fit(rows, classes)
    weights, bias = np.zeros((rows.shape[1], n_classes)), np.full(n_classes, NEVER)
    coefficients, intercepts = found.coef_.T, found.intercept_
    if len(found.classes_) == 2:
        coefficients, intercepts = (
            np.hstack([-coefficients, coefficients]) / 2,
            np.array([-0.5, 0.5]) * intercepts,
        )
    scores = rows @ coefficients
    means = np.stack([scores[classes == one].mean(axis=0) for one in found.classes_])
    errors = scores - means[np.searchsorted(found.classes_, classes)]
    # Scores sum to a constant: one direction has no spread.
    inner = np.linalg.pinv(errors.T @ errors / len(errors), rcond=1e-6, hermitian=True) @ means.T
    both = {
        "logistic": (coefficients, intercepts),
        "discriminant": (coefficients @ inner, -0.5 * np.einsum("kc,ck->c", inner, means)),
    }
    result = {}
    for name, (ours, offsets) in both.items():
        whole, moved = weights.copy(), bias.copy()
        whole[:, found.classes_] = ours
        moved[found.classes_] = offsets - centre @ ours
        result[name] = whole, moved
    return result


def _uar(classes: np.ndarray, scores: np.ndarray) -> float:
    from sklearn.metrics import confusion_matrix

    return float(uar(confusion_matrix(classes, scores.argmax(axis=1))))
