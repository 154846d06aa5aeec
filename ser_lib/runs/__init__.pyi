from .costs import read_costs as read_costs
from .costs import scored_costs as scored_costs
from .results import Result as Result
from .results import Results as Results
from .results import collect as collect
from .results import collect_cross_corpus as collect_cross_corpus
from .results import score_ensemble as score_ensemble
from .runner import is_stored as is_stored
from .runner import plan_run as plan_run
from .runner import run_or_load as run_or_load
from .runner import run_study as run_study
from .runner import score_runs as score_runs
from .store import Run as Run
from .store import cached_result as cached_result
from .store import read_run as read_run
from .tuning import tune as tune

__all__ = [
    "Result",
    "Results",
    "Run",
    "cached_result",
    "collect",
    "collect_cross_corpus",
    "is_stored",
    "plan_run",
    "read_costs",
    "read_run",
    "run_or_load",
    "run_study",
    "score_ensemble",
    "score_runs",
    "scored_costs",
    "tune",
]
