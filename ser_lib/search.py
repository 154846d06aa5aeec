"""A search space as data, and how Optuna proposes the next trial from those that are known.

What varies is what fpt2025 tells of in its section 3. Proposals depend on the trials so far, a seed
and a number alone: whoever has the table can go on. Importing this does not load Optuna.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING

import pandas as pd

from ser_lib.errors import StudyError
from ser_lib.models.cnn3d import Cnn3dConfig
from ser_lib.seeds import child_seed
from ser_lib.training_settings import TrainingSettings
from ser_lib.wording import joined, pct

if TYPE_CHECKING:
    import optuna

__all__ = [
    "FULL_SPACE",
    "SearchSpace",
    "config_of",
    "own_choice",
    "parameter_importances",
    "propose",
    "search_sentences",
    "settings_of",
]

# The schedules that the report tells apart: how the rate is set, and whether a plateau halves it.
SCHEDULES = {
    "fixed": ("constant", False),
    "plateau": ("constant", True),
    "restarts": ("restarts", False),
    "step": ("step", False),
}


@dataclass(frozen=True)
class SearchSpace:
    """What may vary: choices in the order in which they are shown (fpt2025, section 3)."""

    n_blocks: tuple[int, ...] = (2, 3, 4)
    width: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Filters of each block, as a multiple of the model's own; at most those of its widest."""
    first_kernel: tuple[int, ...] = (3, 5)
    later_kernels: tuple[int, ...] = (3, 5)
    activation: tuple[str, ...] = ("relu", "leaky_relu", "elu")
    head: tuple[str, ...] = ("pool", "lstm", "transformer")
    optimizer: tuple[str, ...] = ("adam", "rmsprop", "sgd")
    learning_rate: tuple[float, float] = (1e-5, 1e-3)
    """The ends of a logarithmic range."""
    schedule: tuple[str, ...] = tuple(SCHEDULES)
    dropout: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5)
    """After the first dense layer; after the others less by as much as in the model."""
    loss: tuple[str, ...] = ("cross_entropy", "focal")

    def choices(self) -> dict[str, tuple]:
        """Return the choices of each parameter; of the learning rate, the ends of its range."""
        return {name: tuple(values) for name, values in vars(self).items()}

    def read(self, name: str, text: str) -> object:
        """Return the value that a cell of a stored table stands for; raise `ValueError` if none."""
        choices = self.choices()[name]
        if name == "learning_rate":
            if not choices[0] <= float(text) <= choices[1]:
                raise ValueError(f"{name} {text}")
            return float(text)
        return choices[[str(one) for one in choices].index(text)]


FULL_SPACE = SearchSpace()


def config_of(base: Cnn3dConfig, values: Mapping[str, object]) -> Cnn3dConfig:
    """Return a network as a trial varies it."""
    n_blocks, widest = values["n_blocks"], max(base.n_filters)
    less = base.dropout_rates[0] - values["dropout"]
    rates = [max(round(one - less, 2), min(base.dropout_rates)) for one in base.dropout_rates]
    return replace(
        base,
        n_filters=tuple(
            min(round(values["width"] * one), widest) for one in base.n_filters[:n_blocks]
        ),
        kernel_sizes=(values["first_kernel"], *[values["later_kernels"]] * (n_blocks - 1)),
        block_dropout_rates=base.block_dropout_rates[:n_blocks],
        dropout_rates=tuple(rates),
        activation=values["activation"],
        head=values["head"],
    )


def settings_of(base: TrainingSettings, values: Mapping[str, object]) -> TrainingSettings:
    """Return how a trial is trained."""
    schedule, has_plateau = SCHEDULES[values["schedule"]]
    return replace(
        base,
        schedule=schedule,
        plateau_patience=base.plateau_patience if has_plateau else None,
        optimizer=values["optimizer"],
        learning_rate=values["learning_rate"],
        loss=values["loss"],
    )


def own_choice(
    config: Cnn3dConfig, settings: TrainingSettings, space: SearchSpace
) -> dict[str, object]:
    """Return a model's own settings as the values of a trial.

    Raises
    ------
    StudyError
        If the space does not hold them, or other trials could not be built from the model.
    """
    if not isinstance(config, Cnn3dConfig):
        raise StudyError(f"only 3D networks can be tuned, not a {type(config).__name__}")
    names = {schedule: name for name, schedule in SCHEDULES.items()}
    own = {
        "n_blocks": len(config.n_filters),
        "width": 1.0,
        "first_kernel": config.kernel_sizes[0],
        "later_kernels": config.kernel_sizes[-1],
        "activation": config.activation,
        "head": config.head,
        "optimizer": settings.optimizer,
        "learning_rate": settings.learning_rate,
        "schedule": names.get((settings.schedule, settings.plateau_patience is not None)),
        "dropout": config.dropout_rates[0],
        "loss": settings.loss,
    }
    try:
        own = {name: space.read(name, str(value)) for name, value in own.items()}
    except ValueError as error:
        raise StudyError(f"the search space does not hold the model's own {own}") from error
    is_same = config_of(config, own) == config and settings_of(settings, own) == settings
    if not is_same or max(space.n_blocks) > len(config.n_filters):
        raise StudyError(f"this model cannot be varied: {own} is not all that it is")
    return own


# --- Optuna


def _optuna() -> ModuleType:
    import optuna

    # Its lines would litter notebooks and logs; `ser_lib.tuning` says how far a search is.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _known(space: SearchSpace, trials: Sequence[Mapping[str, object]], seed: int) -> optuna.Study:
    """Tell Optuna of the trials so far; one that diverged is told as failed."""
    library, distributions = _optuna(), _distributions(space)
    sampler = library.samplers.TPESampler(seed=seed)
    search = library.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        is_complete = trial["state"] == "complete"
        states = library.trial.TrialState
        search.add_trial(
            library.trial.create_trial(
                params={name: trial[name] for name in distributions},
                distributions=distributions,
                value=trial["uar"] if is_complete else None,
                state=states.COMPLETE if is_complete else states.FAIL,
            )
        )
    return search


def _distributions(space: SearchSpace) -> dict[str, optuna.distributions.BaseDistribution]:
    kinds = _optuna().distributions
    return {
        name: kinds.FloatDistribution(*choices, log=True)
        if name == "learning_rate"
        else kinds.CategoricalDistribution(choices)
        for name, choices in space.choices().items()
    }


def propose(
    space: SearchSpace, trials: Sequence[Mapping[str, object]], *, seed: int
) -> dict[str, object]:
    """Propose the values of the next trial.

    Parameters
    ----------
    space : SearchSpace
        What may vary.
    trials : sequence of mapping
        All so far: the parameters, `uar` and `state`.
    seed : int
        Of the search; each trial draws from its own stream.

    Returns
    -------
    dict of str to object
        By Optuna's tree-structured Parzen estimator, the first ten at random; the learning rate
        in three digits.

    References
    ----------
    Akiba T et al. (2019). Optuna. KDD. Bergstra J et al. (2011). Algorithms for Hyper-Parameter
    Optimization. NIPS.
    """
    search = _known(space, trials, child_seed("tuning", seed, len(trials)))
    values = dict(search.ask(_distributions(space)).params)
    low, high = space.learning_rate
    values["learning_rate"] = min(max(float(f"{values['learning_rate']:.3g}"), low), high)
    return values


def parameter_importances(trials: pd.DataFrame, space: SearchSpace = FULL_SPACE) -> pd.Series:
    """How much of the spread of the scores each parameter explains, by fANOVA.

    Parameters
    ----------
    trials : pandas.DataFrame
        From `ser_lib.tuning.tune`.
    space : SearchSpace
        Of the search.

    Returns
    -------
    pandas.Series of float, shape (n_parameters,)
        Shares that sum to 1, largest first; NaN where complete trials are fewer than two a
        parameter, or all score alike.

    References
    ----------
    Hutter F, Hoos H, Leyton-Brown K (2014). An Efficient Approach for Assessing Hyperparameter
    Importance. ICML.

    Notes
    -----
    Notebook: 05_cnn_3d_pooled.ipynb
    """
    names = list(space.choices())
    complete = trials[trials["state"] == "complete"]
    if len(complete) < 2 * len(names) or complete["uar"].nunique() < 2:
        return pd.Series(math.nan, index=names)
    importance = _optuna().importance
    shares = importance.get_param_importances(
        _known(space, complete.to_dict("records"), seed=0),
        evaluator=importance.FanovaImportanceEvaluator(seed=0),
    )
    return pd.Series(shares, dtype=float).sort_values(ascending=False)


def search_sentences(trials: pd.DataFrame, importances: pd.Series) -> tuple[str, str]:
    """Say what a search found: the best trial beside the study's own choice, and what mattered.

    Parameters
    ----------
    trials : pandas.DataFrame
        From `ser_lib.tuning.tune`.
    importances : pandas.Series
        From `parameter_importances`.

    Returns
    -------
    tuple of str
        Two sentences, for the findings; they say so where there is too little to go by.

    Notes
    -----
    Notebook: 05_cnn_3d_pooled.ipynb
    """
    names, complete = list(importances.index), trials[trials["state"] == "complete"]
    too_few = f"{len(complete)} trials are too few to tell which of {len(names)} settings matters."
    if complete.empty:
        return "No search for better settings is stored here; `ser tune` makes one.", too_few
    own, best = trials.iloc[0], complete.loc[complete["uar"].idxmax()]
    where = f"{trials.attrs['n_rows']:,} clips of {len(trials.attrs['speakers'])} speakers"
    differing = [f"{name} {best[name]}" for name in names if best[name] != own[name]]
    first = (
        f"Of {len(trials)} trials the best has UAR {pct(best['uar'])} on the validation speakers "
        f"({where}), the study's own choice {pct(own['uar'])}"
    )
    first += (
        f"; the best differs in {joined(differing)}, and being the best of many on the same clips "
        "it is flattered."
        if differing
        else ": no other does better."
    )
    if importances.isna().any():
        return first, too_few
    top = [f"{name} ({pct(share, digits=0)})" for name, share in importances.head(3).items()]
    return first, (
        f"What explains most of the spread of UAR over {len(complete)} trials is {joined(top)}, "
        "by fANOVA."
    )
