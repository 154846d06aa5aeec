from .calibration import brier as brier
from .calibration import cross_fitted as cross_fitted
from .calibration import ece as ece
from .calibration import fit_temperature as fit_temperature
from .calibration import log_loss as log_loss
from .calibration import reliability as reliability
from .fairness import group_scores as group_scores
from .fairness import speaker_accuracies as speaker_accuracies
from .fairness import speaker_chance as speaker_chance
from .formatting import pct as pct
from .metrics import Score as Score
from .metrics import class_table as class_table
from .metrics import confusion_counts as confusion_counts
from .metrics import difference_interval as difference_interval
from .metrics import score_predictions as score_predictions
from .metrics import uar as uar
from .metrics import wa as wa
from .selective import accuracy_at as accuracy_at
from .selective import coverage_curve as coverage_curve
from .significance import mean_over_seeds as mean_over_seeds
from .significance import paired_tests as paired_tests
from .significance import with_holm as with_holm

__all__ = [
    "Score",
    "accuracy_at",
    "brier",
    "class_table",
    "confusion_counts",
    "coverage_curve",
    "cross_fitted",
    "difference_interval",
    "ece",
    "fit_temperature",
    "group_scores",
    "log_loss",
    "mean_over_seeds",
    "paired_tests",
    "pct",
    "reliability",
    "score_predictions",
    "speaker_accuracies",
    "speaker_chance",
    "uar",
    "wa",
    "with_holm",
]
