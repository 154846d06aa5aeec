"""The search for better settings that fpt2025 describes, on validation speakers only.

A trial trains one network of the search space on the training speakers of a study's first honest
fold and is scored on its validation speakers; its test speakers are never read. Trials are
rows of `reports/<corpus>/tuning/<study>-<key>/trials.csv`, written by rename after each one. A
trial is decided by those before it and its own number alone, so a search that was stopped goes on
as if it had not been. Trials are not cut short: every one is told how far it came at its best.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from ser_lib.corpora import corpus_of
from ser_lib.errors import LeakError, RunError, StudyError
from ser_lib.extraction import extract
from ser_lib.features import FEATURES
from ser_lib.metrics import confusion_counts, uar, wa
from ser_lib.paths import atomic_path, report_dir
from ser_lib.progress import progress
from ser_lib.rows import Rows
from ser_lib.runs import RunPlan, plan_run
from ser_lib.search import FULL_SPACE, SearchSpace, config_of, own_choice, propose, settings_of
from ser_lib.store import provenance
from ser_lib.studies import Study
from ser_lib.training import FoldArrays, fit_fold
from ser_lib.wording import pct

__all__ = ["tune"]

logger = logging.getLogger(__name__)

# Raised whenever trials change in a way that neither the space nor the study shows.
TUNING_VERSION = 1
STATES = ("complete", "diverged")
MEASURES = ("uar", "wa", "best_epoch", "n_epochs", "n_parameters", "duration_s", "state")


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
    study : Study
        Whose honest protocol, features and augmentation.
    clips : pandas.DataFrame
        Clip table of one corpus, or of a pool.
    n_trials : int
        How many trials there shall be, with those that are stored; 0 runs none. More than that may
        be stored: all of them are returned.
    max_epochs : int
        Upper limit of each; 0 leaves the study's own.
    seed : int, optional
        Of the folds, the weights and the proposals; the study's first by default.
    model : str
        Which of the study's 3D networks is varied.
    space : SearchSpace
        What may vary.

    Returns
    -------
    pandas.DataFrame
        One row a trial: `number`, the parameters, `uar` and `wa` on the validation speakers,
        `best_epoch`, `n_epochs`, `n_parameters`, `duration_s`, `state`. Number 0 is the study's
        own choice. `attrs` say `chance`, `n_rows`, `speakers` (of validation) and `folder`.

    Raises
    ------
    LeakError
        If a validation speaker is heard in training or test.
    RunError
        If stored trials are damaged, or trials are to be run and the audio is not there.
    StudyError
        If the space does not hold the model's own settings.

    Notes
    -----
    Notebook: 05_cnn_3d_pooled.ipynb
    """
    if n_trials < 0:
        raise StudyError(f"n_trials={n_trials} must be 0 (those that are stored) or more")
    study = study.with_max_epochs(max_epochs)
    protocol = study.protocol("honest", corpus_of(clips))
    plan = plan_run(study, model, protocol, study.seeds[0] if seed is None else seed, clips)
    speakers = _validation_speakers(plan)
    search = _Search(plan, space, _spec(plan, space))
    trials = search.read()
    if len(trials) < n_trials:
        _run_missing(search, clips, trials.to_dict("records"), n_trials)
        trials = search.read()
    trials.attrs |= {
        "chance": 1 / len(plan.labels),
        "n_rows": len(plan.split.folds[0].validation),
        "speakers": speakers,
        "folder": str(search.folder),
    }
    return trials


def _validation_speakers(plan: RunPlan) -> list[str]:
    """Name the validation speakers of the first fold; raise where they are heard elsewhere."""
    fold, speaker_of = plan.split.folds[0], plan.rows.set_index("row_id")["speaker"]
    train, validation, test = (
        set(speaker_of[list(part)]) for part in (fold.train, fold.validation, fold.test)
    )
    heard = sorted((validation & train) | (test & (train | validation)))
    if heard:
        raise LeakError(
            f"{plan.study.name} on {plan.corpus}: {plan.protocol.name} has {', '.join(heard)} on "
            "two sides; settings are chosen on speakers that are neither in training nor in test, "
            "so tune on a corpus of more speakers"
        )
    return sorted(validation)


def _spec(plan: RunPlan, space: SearchSpace) -> dict[str, object]:
    """Return all that decides the trials, as plain data."""
    features = plan.model.features
    second = np.sin(np.arange(features.sample_rate_hz, dtype=np.float32))
    feature = FEATURES[features.name].function
    input_shape = feature(second, features.sample_rate_hz, **features.params).shape
    search = {
        "space": space.choices(),
        "first_trial": own_choice(plan.model.config, plan.training, space),
        "fold": 0,
        "tuning": TUNING_VERSION,
    }
    return json.loads(json.dumps(plan.spec(input_shape) | search))


@dataclass(frozen=True)
class _Search:
    """Where a search is stored, and what it may try."""

    plan: RunPlan
    space: SearchSpace
    spec: dict[str, object]

    @property
    def folder(self) -> Path:
        key = hashlib.sha256(json.dumps(self.spec, sort_keys=True).encode()).hexdigest()[:12]
        name = f"{self.plan.study.name}-{key}"
        return report_dir(self.plan.corpus) / "tuning" / name

    def write(self, trials: Sequence[Mapping[str, object]]) -> None:
        """Store all trials; the table comes last and is what counts."""
        environment = provenance()
        environment["libraries"] |= {"optuna": version("optuna")}
        for name, content in (("spec", self.spec), ("environment", environment)):
            with atomic_path(self.folder / f"{name}.json") as temporary:
                text = json.dumps(content, indent=1, sort_keys=True) + "\n"
                temporary.write_text(text, encoding="utf-8")
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
            cells = pd.read_csv(path, dtype=str, keep_default_na=False)
            if spec != self.spec or list(cells.columns) != columns or cells.empty:
                raise ValueError("spec.json or the columns are not those of this search")
            trials = pd.DataFrame([self._trial(row) for row in cells.to_dict("records")])
            if list(trials["number"]) != list(range(len(trials))):
                raise ValueError("they are not numbered from 0 on")
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path}: these stored trials are damaged ({error}); take the folder from git, or "
                "delete it and the search begins anew"
            ) from error
        return trials

    def _trial(self, cells: Mapping[str, str]) -> dict[str, object]:
        """Turn the cells of a row into a trial; raise `ValueError` where they are none."""
        trial = {"number": int(cells["number"])}
        trial |= {name: self.space.read(name, cells[name]) for name in self.space.choices()}
        trial |= {name: float(cells[name] or "nan") for name in ("uar", "wa")}
        trial |= {name: int(cells[name]) for name in ("best_epoch", "n_epochs", "n_parameters")}
        trial |= {"duration_s": float(cells["duration_s"]), "state": cells["state"]}
        # A score of a trial that diverged is none; the others have one in [0, 1].
        is_scored = 0 <= trial["uar"] <= 1 and 0 <= trial["wa"] <= 1
        if trial["state"] not in STATES or is_scored != (trial["state"] == "complete"):
            raise ValueError(f"trial {trial['number']}: {dict(cells)}")
        return trial


def _run_missing(
    search: _Search, clips: pd.DataFrame, trials: list[dict[str, object]], n_trials: int
) -> None:
    plan = search.plan
    if not clips["path"].all():
        raise RunError(
            f"{len(trials)} of {n_trials} trials are stored and the audio of {plan.corpus} is not "
            "here; point SER_DATA at the corpora"
        )
    arrays = _arrays(plan, clips)
    missing = range(len(trials), n_trials)
    for number in progress(missing, total=len(missing), what=f"tuning {plan.study.name}"):
        first = search.spec["first_trial"]
        values = propose(search.space, trials, seed=plan.seed) if number else first
        trials.append({"number": number} | values | _fit(plan, values, arrays))
        search.write(trials)
        said = f"tuning {plan.study.name}: trial {number + 1} of {n_trials}: validation UAR"
        logger.info("%s %s in %.0f s", said, pct(trials[-1]["uar"]), trials[-1]["duration_s"])


def _arrays(plan: RunPlan, clips: pd.DataFrame) -> FoldArrays:
    """Gather training and validation rows; what is to be predicted are the latter, never test."""
    table, fold = plan.rows.set_index("row_id"), plan.split.folds[0]
    variants = list(table.loc[list(fold.train), "variant"].unique())
    sources = tuple(extract(clips, plan.model.features, variant=name) for name in variants)
    positions = pd.Series(range(len(clips)), index=clips["clip_id"])

    def gather(row_ids: Sequence[str]) -> tuple[Rows, np.ndarray]:
        part = table.loc[list(row_ids)]
        source = part["variant"].map(variants.index).to_numpy()
        rows = Rows(sources, source, positions[part["clip_id"]].to_numpy())
        return rows, part["label"].map(plan.labels.index).to_numpy()

    validation = gather(fold.validation)
    return FoldArrays(*gather(fold.train), *validation, validation[0])


def _fit(plan: RunPlan, values: Mapping[str, object], arrays: FoldArrays) -> dict[str, object]:
    result = fit_fold(
        config_of(plan.model.config, values),
        settings_of(plan.training, values),
        arrays,
        n_classes=len(plan.labels),
        is_scaled=plan.model.is_scaled,
        seed=plan.seed,
    )
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
