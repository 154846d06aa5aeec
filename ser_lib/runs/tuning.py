"""The search for better settings that fpt2025 describes, on validation speakers only.

A trial trains one network of the search space on the training speakers of a study's first honest
fold and is scored on its validation speakers; its test speakers are never read. Trials are
rows of `reports/<corpus>/tuning/<study>-<key>/trials.csv`, written by rename after each one. A
trial is decided by those before it and its own number alone, so a search that was stopped goes on
as if it had not been. No trial is cut short: each is scored at its best epoch.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from ser_lib.data import corpus_of
from ser_lib.errors import LeakError, RunError, StudyError
from ser_lib.evaluation.formatting import joined, pct
from ser_lib.evaluation.metrics import confusion_counts, uar, wa
from ser_lib.features.extraction import extract
from ser_lib.models.cnn3d import Cnn3dConfig
from ser_lib.paths import atomic_path, locked, report_dir
from ser_lib.runs import store
from ser_lib.runs.runner import RunPlan, checkpoints_dir, plan_run
from ser_lib.runtime import progress
from ser_lib.seeds import child_seed
from ser_lib.studies.study import Study
from ser_lib.training.checkpoint import DEADLINE, Checkpoint
from ser_lib.training.fit import FoldArrays, fit_fold, gather_fold
from ser_lib.training.settings import TrainingSettings

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

# Raised whenever trials change in a way that neither the space nor the study shows.
TUNING_VERSION = 1
STATES = ("complete", "diverged")
MEASURES = ("uar", "wa", "best_epoch", "n_epochs", "n_parameters", "duration_s", "state")

# The schedules that the report distinguishes: how the rate is set, and whether a plateau halves it.
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

    def holds(self, trials: pd.DataFrame) -> bool:
        """Whether the space has all values of a table of trials."""
        return all(
            trials[name].between(*choices).all()
            if name == "learning_rate"
            else trials[name].isin(choices).all()
            for name, choices in self.choices().items()
        )


FULL_SPACE = SearchSpace()


def config_of(base: Cnn3dConfig, values: Mapping[str, Any]) -> Cnn3dConfig:
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


def settings_of(base: TrainingSettings, values: Mapping[str, Any]) -> TrainingSettings:
    """Return how a trial is trained."""
    schedule, has_plateau = SCHEDULES[values["schedule"]]
    return replace(
        base,
        schedule=schedule,
        plateau_patience=base.plateau_patience if has_plateau else None,
        **{name: values[name] for name in ("optimizer", "learning_rate", "loss")},
    )


def own_choice(
    config: Cnn3dConfig, settings: TrainingSettings, space: SearchSpace
) -> dict[str, Any]:
    """Return a model's own settings as a trial's values; raise `StudyError` if not in the space."""
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
    if not space.holds(pd.DataFrame([own])):
        raise StudyError(f"the search space does not hold the model's own {own}")
    is_same = config_of(config, own) == config and settings_of(settings, own) == settings
    if not is_same or max(space.n_blocks) > len(config.n_filters):
        raise StudyError(f"this model cannot be varied: {own} is not all that it is")
    return own


def _optuna() -> ModuleType:
    import optuna

    # Its lines would litter notebooks and logs; `ser_lib.runs.tuning` says how far a search is.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _known(space: SearchSpace, trials: Sequence[Mapping[str, Any]], seed: int) -> optuna.Study:
    """Give Optuna the trials so far; one that diverged counts as failed."""
    library, distributions = _optuna(), _distributions(space)
    sampler, states = library.samplers.TPESampler(seed=seed), library.trial.TrialState
    search = library.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        is_complete = trial["state"] == "complete"
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
    space: SearchSpace, trials: Sequence[Mapping[str, Any]], *, seed: int
) -> dict[str, Any]:
    """Propose the next trial's values: by Optuna's Parzen estimator, the first ten at random."""
    # Bergstra J et al. (2011), Algorithms for Hyper-Parameter Optimization, NIPS. Each trial draws
    # from its own stream of the seed, so that a search can stop and go on.
    search = _known(space, trials, child_seed("tuning", seed, len(trials)))
    values = dict(search.ask(_distributions(space)).params)
    low, high = space.learning_rate
    values["learning_rate"] = min(max(float(f"{values['learning_rate']:.3g}"), low), high)
    return values


def tune(
    study: Study,
    clips: pd.DataFrame,
    *,
    n_trials: int,
    max_epochs: int,
    seed: int | None = None,
    model: str = "cnn3d_small",
    space: SearchSpace = FULL_SPACE,
) -> pd.DataFrame:
    """Search a study's settings on validation speakers, or go on with a search.

    Parameters
    ----------
    study, model : Study, str
        Which of its 3D networks is varied, under its honest protocol.
    clips : pandas.DataFrame
        Clip table of one corpus, or of a pool.
    n_trials : int
        How many trials there shall be, with those that are stored, which are all returned.
    max_epochs : int
        Upper limit of each; 0 leaves the study's own.
    seed : int, optional
        Of the folds, the weights and the proposals; the study's first by default.
    space : SearchSpace
        What may vary.

    Returns
    -------
    pandas.DataFrame
        One row a trial: `number` (0 is the study's own choice), the parameters and `MEASURES`, on
        the validation speakers. `attrs` say `chance`, `n_rows`, `speakers` (of validation) and
        `folder`.

    Raises
    ------
    LeakError
        If a validation speaker is in training or test as well.
    RunError
        If stored trials are damaged, or trials are to be run and the audio is not there.
    StudyError
        If the space does not hold the model's own settings.
    """
    if n_trials < 0:
        raise StudyError(f"n_trials={n_trials} must be 0 (those that are stored) or more")
    study = study.with_max_epochs(max_epochs)
    protocol = study.protocol("honest", corpus_of(clips))
    plan = plan_run(study, model, protocol, study.seeds[0] if seed is None else seed, clips)
    speakers = _validation_speakers(plan)
    search = _search_of(plan, space)
    trials = search.read()
    if len(trials) < n_trials:
        with locked(search.folder):
            _run_missing(plan, search, clips, search.read().to_dict("records"), n_trials)
        trials = search.read()
    trials.attrs |= {
        "chance": 1 / len(plan.labels),
        "n_rows": len(plan.split.folds[0].validation),
        "speakers": speakers,
        "folder": str(search.folder),
    }
    return trials


def _validation_speakers(plan: RunPlan) -> list[str]:
    """Name the validation speakers of the first fold; raise where they are in another part."""
    fold, speaker_of = plan.split.folds[0], plan.rows.set_index("row_id")["speaker"]
    train, validation, test = (
        set(speaker_of[list(part)]) for part in (fold.train, fold.validation, fold.test)
    )
    shared = sorted((validation & train) | (test & (train | validation)))
    if shared:
        raise LeakError(
            f"{plan.study.name} on {plan.corpus}: {plan.protocol.name} has {', '.join(shared)} on "
            "two sides; settings are chosen on speakers that are neither in training nor in test, "
            "so tune on a corpus of more speakers"
        )
    return sorted(validation)


@dataclass(frozen=True)
class _Search:
    """What a search may try, all that decides its trials, and where they are stored."""

    space: SearchSpace
    spec: dict[str, Any]
    folder: Path

    def write(self, trials: Sequence[Mapping[str, Any]]) -> None:
        """Store all trials; the table comes last and is what counts."""
        environment = store.provenance()
        environment["libraries"] |= {"optuna": version("optuna")}
        for name, content in (("spec", self.spec), ("environment", environment)):
            store.write_json(self.folder / f"{name}.json", content, indent=1)
        with atomic_path(self.folder / "trials.csv") as temporary:
            pd.DataFrame(trials).to_csv(temporary, index=False)

    def read(self) -> pd.DataFrame:
        """Return the stored trials, none of which may be damaged."""
        columns = ["number", *self.space.choices(), *MEASURES]
        path = self.folder / "trials.csv"
        if not path.is_file():
            return pd.DataFrame(columns=columns, dtype=float)
        try:
            spec = json.loads((self.folder / "spec.json").read_text(encoding="utf-8"))
            trials = pd.read_csv(path)
            if spec != self.spec or list(trials.columns) != columns or trials.empty:
                raise ValueError("spec.json or the columns are not those of this search")
            if list(trials["number"]) != list(range(len(trials))):
                raise ValueError("they are not numbered from 0 on")
            # A score of a trial that diverged is none; the others have one in [0, 1].
            is_scored = trials["uar"].between(0, 1) & trials["wa"].between(0, 1)
            is_sound = (is_scored == (trials["state"] == STATES[0])) & trials["state"].isin(STATES)
            if not is_sound.all() or not self.space.holds(trials):
                raise ValueError("they hold values that no trial has")
        except (OSError, ValueError, TypeError) as error:
            raise RunError(
                f"{path}: these stored trials are damaged ({error}); take the folder from git, or "
                "delete it and the search begins again"
            ) from error
        return trials


def _search_of(plan: RunPlan, space: SearchSpace) -> _Search:
    """Find the stored search; the network is built only where there is none."""
    search = {
        "space": space.choices(),
        "first_trial": own_choice(plan.model.config, cast(TrainingSettings, plan.training), space),
        "fold": 0,
        "tuning": TUNING_VERSION,
    }
    search = json.loads(json.dumps(search))
    folder, name = report_dir(plan.corpus) / "tuning", plan.study.name
    stored = store.folders_like(sorted(folder.glob(f"{name}-*")), plan.identity() | search)
    spec = store.read_spec(stored[0]) if len(stored) == 1 else None
    spec = spec or plan.spec() | search
    return _Search(space, spec, folder / f"{name}-{store.key_of(spec)}")


def _run_missing(
    plan: RunPlan, search: _Search, clips: pd.DataFrame, trials: list[dict[str, Any]], n_trials: int
) -> None:
    store.require_audio(clips, f"{len(trials)} of {n_trials} trials are stored")
    arrays = _arrays(plan, clips)
    missing = range(len(trials), n_trials)
    for number in progress(missing, total=len(missing), what=f"tuning {plan.study.name}"):
        first = search.spec["first_trial"]
        values = propose(search.space, trials, seed=plan.seed) if number else first
        kept = Checkpoint(
            checkpoints_dir(search.folder).with_name(f"{search.folder.name}-{number}.npz"),
            DEADLINE.get(),
            about={"name": f"tuning {plan.study.name}: trial {number + 1}"},
        )
        trials.append({"number": number} | values | _fit(plan, values, arrays, kept))
        search.write(trials)
        kept.remove()
        said = f"tuning {plan.study.name}: trial {number + 1} of {n_trials}: validation UAR"
        logger.info("%s %s in %.0f s", said, pct(trials[-1]["uar"]), trials[-1]["duration_s"])


def _arrays(plan: RunPlan, clips: pd.DataFrame) -> FoldArrays:
    """Gather training and validation rows; what is to be predicted are the latter, never test."""
    table, fold = plan.rows.set_index("row_id"), plan.split.folds[0]
    variants = table.loc[list(fold.train), "variant"].unique()
    sources = {name: extract(clips, plan.model.features, variant=name) for name in variants}
    positions = pd.Series(range(len(clips)), index=clips["clip_id"])
    classes = table["label"].map({label: index for index, label in enumerate(plan.labels)})
    return gather_fold(replace(fold, test=fold.validation), table, classes, sources, positions)


def _fit(
    plan: RunPlan, values: Mapping[str, Any], arrays: FoldArrays, checkpoint: Checkpoint
) -> dict[str, Any]:
    config = config_of(plan.model.config, values)
    settings = settings_of(cast(TrainingSettings, plan.training), values)
    options: dict[str, Any] = {"n_classes": len(plan.labels), "is_scaled": plan.model.is_scaled}
    result = fit_fold(config, settings, arrays, **options, seed=plan.seed, checkpoint=checkpoint)
    names = np.array(plan.labels)
    predicted = names[result.probabilities.argmax(axis=1)]
    counts = confusion_counts(names[arrays.y_validation], predicted, plan.labels)
    is_finite = bool(np.isfinite(result.history["loss"]).all())
    return {
        "uar": round(float(uar(counts)), 4) if is_finite else np.nan,
        "wa": round(float(wa(counts)), 4) if is_finite else np.nan,
        "best_epoch": int(result.history["val_accuracy"].argmax()) + 1,
        "n_epochs": len(result.history),
        "n_parameters": result.n_parameters,
        "duration_s": round(result.duration_s, 1),
        "state": STATES[0 if is_finite else 1],
    }


def parameter_importances(trials: pd.DataFrame, space: SearchSpace = FULL_SPACE) -> pd.Series:
    """How much of the spread of the scores each parameter explains, in shares, largest first.

    NaN where complete trials are fewer than two a parameter, or all score alike. fANOVA: Hutter F,
    Hoos H, Leyton-Brown K (2014). An Efficient Approach for Assessing Hyperparameter Importance.
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
    """Say what a search found: the best trial against the study's own choice, and what mattered."""
    names, complete = list(importances.index), trials[trials["state"] == "complete"]
    too_few = f"{len(complete)} trials are too few to tell which of {len(names)} settings matters."
    if complete.empty:
        return "No search for better settings is stored here; `ser tune` makes one.", too_few
    own, best = trials.iloc[0], complete.loc[complete["uar"].idxmax()]
    where = f"{trials.attrs['n_rows']:,} clips of {len(trials.attrs['speakers'])} speakers"
    differing = [f"{name} {best[name]}" for name in names if best[name] != own[name]]
    outcome = ": no other does better."
    if differing:
        outcome = (
            f"; the best differs in {joined(differing)}, and being the best of many on the same "
            "clips it is flattered."
        )
    first = (
        f"Of {len(trials)} trials the best has UAR {pct(best['uar'])} on the validation speakers "
        f"({where}), the study's own choice {pct(own['uar'])}{outcome}"
    )
    if importances.isna().any():
        return first, too_few
    top = [f"{name} ({pct(share, digits=0)})" for name, share in importances.head(3).items()]
    return first, (
        f"What explains most of the spread of UAR over {len(complete)} trials is {joined(top)}, "
        "by fANOVA."
    )
