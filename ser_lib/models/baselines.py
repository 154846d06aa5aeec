"""Classical classifiers from scikit-learn: what a network has to beat.

Each builder takes the seed and returns an unfitted estimator. Scaling is not part of it:
`ser_lib.training.fit` fits that on the training rows, for every model alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from sklearn.base import ClassifierMixin
    from sklearn.decomposition import PCA


@dataclass(frozen=True)
class DecisionTreeConfig:
    """As Boucheta & Roubache (2025), section 3.1.1."""

    criterion: str = "gini"
    max_depth: int | None = None


@dataclass(frozen=True)
class KnnConfig:
    """As Boucheta & Roubache (2025), section 3.1.1."""

    n_neighbors: int = 4
    metric: str = "euclidean"


@dataclass(frozen=True)
class DummyConfig:
    """Always the largest training class: the lowest score that a model should reach."""

    strategy: str = "most_frequent"


@dataclass(frozen=True)
class LogisticConfig:
    """A linear model with scikit-learn's default regularisation: nothing was tuned."""

    inverse_regularisation: float = 1.0
    n_components: int = 200
    """Principal components that it is fitted on: most of a row's 4,536 values are redundant."""


@dataclass(frozen=True)
class SvmConfig:
    """Radial basis functions with scikit-learn's defaults: nothing was tuned."""

    inverse_regularisation: float = 1.0
    n_components: int = 200
    """As in `LogisticConfig`."""


def build_decision_tree(config: DecisionTreeConfig, seed: int) -> ClassifierMixin:
    """Build a decision tree."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(
        criterion=config.criterion, max_depth=config.max_depth, random_state=seed
    )


def build_knn(config: KnnConfig, seed: int) -> ClassifierMixin:
    """Build a k-nearest-neighbours classifier; it draws nothing, so `seed` changes nothing."""
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(n_neighbors=config.n_neighbors, metric=config.metric)


def build_dummy(config: DummyConfig, seed: int) -> ClassifierMixin:
    """Build a classifier that ignores its input."""
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy=config.strategy, random_state=seed)


def build_logistic(config: LogisticConfig, seed: int) -> ClassifierMixin:
    """Build principal components and a multinomial logistic regression on them."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(
        _principal_components(config.n_components, seed, is_whitened=True),
        LogisticRegression(C=config.inverse_regularisation, max_iter=2000),
    )


def build_svm(config: SvmConfig, seed: int) -> ClassifierMixin:
    """Build principal components and a support vector machine on them.

    It has no `predict_proba`: `ser_lib.training.fit` takes the softmax of its one-against-rest
    margins, which keeps their order, so that the largest is the machine's decision; not calibrated.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    inverse = config.inverse_regularisation
    return make_pipeline(
        _principal_components(config.n_components, seed, is_whitened=False),
        SVC(C=inverse, decision_function_shape="ovr", break_ties=True),
    )


def _principal_components(n_components: int, seed: int, *, is_whitened: bool) -> PCA:
    """Build a PCA that takes fewer components where there are fewer rows or values."""
    from sklearn.decomposition import PCA

    class CappedPca(PCA):
        def fit_transform(self, X: np.ndarray, y: object = None) -> np.ndarray:  # noqa: N803
            self.n_components: int = min(self.n_components, *X.shape)
            return super().fit_transform(X, y)

    return CappedPca(n_components, svd_solver="randomized", whiten=is_whitened, random_state=seed)
