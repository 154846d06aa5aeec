"""A linear support vector machine on functionals: the classical reference of the field.

It chooses its regularisation on inner folds of its training speakers; the classifiers in
`ser_lib.models.baselines` are not tuned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ser_lib.evaluation.calibration import temperature_of_logits
from ser_lib.evaluation.metrics import uar
from ser_lib.evaluation.probabilities import softmax
from ser_lib.models.ridge_head import check_inner_folds, choice_history

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from sklearn.pipeline import Pipeline

# Margins may be far less or far sharper than logits.
LOG_TEMPERATURES = (-5.0, 5.0)


@dataclass(frozen=True)
class LinearSvmConfig:
    """One machine a pair of classes, on values of mean 0 and standard deviation 1."""

    inverse_regularisations: tuple[float, ...] = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
    """Those that are tried; `C` of scikit-learn."""
    n_inner_folds: int = 4


class LinearSvm:
    """See `LinearSvmConfig`; the seed assigns the speakers to inner folds.

    A class's score is made of the pairs' votes and margins; probabilities are a softmax of scores
    with one temperature, found on the inner folds: the largest is the machine's own decision.
    """

    def __init__(self, config: LinearSvmConfig, seed: int) -> None:
        self.config = config
        self.seed = seed

    def fit(
        self, features: np.ndarray, classes: np.ndarray, speakers: np.ndarray, *, n_classes: int
    ) -> LinearSvm:
        """Choose the regularisation on inner folds of whole speakers, and fit on all rows.

        Features of shape (n_rows, ...) are flattened. Raises StudyError if there are fewer speakers
        than inner folds.
        """
        from sklearn.metrics.pairwise import linear_kernel
        from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict

        check_inner_folds(speakers, self.config.n_inner_folds)
        rows = _flat(features)
        folds = GroupKFold(self.config.n_inner_folds, shuffle=True, random_state=self.seed)
        # The same kernel as "linear", by one product of matrices: a twentieth of the time.
        machine, grid = _machine(linear_kernel), {"svc__C": self.config.inverse_regularisations}
        self._search = GridSearchCV(
            machine, grid, cv=folds, scoring=_uar, error_score="raise", refit=False
        )
        self._search.fit(rows, classes, groups=speakers)
        chosen = self._search.best_params_
        self._machine = _machine("linear").set_params(**chosen).fit(rows, classes)
        machine = machine.set_params(**chosen)
        held_out = cross_val_predict(
            machine, rows, classes, groups=speakers, cv=folds, method="decision_function"
        )
        present, numbers = np.unique(classes, return_inverse=True)
        self._temperature = temperature_of_logits(
            _one_a_class(held_out, len(present)), numbers, log_bounds=LOG_TEMPERATURES
        )
        self._n_classes = n_classes
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities, shape (n_rows, n_classes)."""
        present = self._machine.classes_
        margins = _one_a_class(self._machine.decision_function(_flat(features)), len(present))
        full = np.zeros((len(features), self._n_classes))
        full[:, present] = softmax(margins / self._temperature)
        return full

    def history(self) -> pd.DataFrame:
        """Return every regularisation that was tried; `weight` is 1 for the one chosen."""
        uars = self._search.cv_results_["mean_test_score"]
        log10_c = np.log10(self.config.inverse_regularisations)
        weight = (np.arange(len(uars)) == self._search.best_index_).astype(float)
        return choice_history(uars, {"log10_c": log10_c, "weight": weight})

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that a prediction reads, for measuring their size."""
        scaler, machine = self._machine
        scaling = {"mean": scaler.mean_, "scale": scaler.scale_}
        return scaling | {"weights": machine.coef_, "bias": machine.intercept_}

    def n_parameters(self) -> int:
        """Count weights and offsets."""
        arrays = self.arrays()
        return arrays["weights"].size + arrays["bias"].size


def _machine(kernel: str | Callable) -> Pipeline:
    """Build a machine with its own scaling, so that each inner fold scales on its own rows."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(
        StandardScaler(), SVC(kernel=kernel, decision_function_shape="ovr", break_ties=True)
    )


def _uar(machine: Pipeline, rows: np.ndarray, classes: np.ndarray) -> float:
    """Score a machine by the UAR over the classes that an inner fold has; it may lack some."""
    from sklearn.metrics import confusion_matrix

    return float(uar(confusion_matrix(classes, machine.predict(rows))))


def _one_a_class(margins: np.ndarray, n_present: int) -> np.ndarray:
    """Return margins of shape (n_rows, n_present): of two classes scikit-learn gives one column."""
    return margins if n_present > 2 else np.column_stack([-margins, margins])


def _flat(features: np.ndarray) -> np.ndarray:
    return features.reshape(len(features), -1)
