"""Readings of boucheta2025: what its report leaves open, decided otherwise, one change a row.

Each reading is the study with one decision changed, under its own published protocol and first
seed; its runs are stored beside the others, by `reading_table(clips, trains=True)`. Chapter 04
compares them with the printed figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from ser_lib.features.registry import FeatureSpec
from ser_lib.runs.results import kept_epochs
from ser_lib.runs.runner import load_stored, plan_run, run_or_load
from ser_lib.studies.boucheta2025 import BOUCHETA2025
from ser_lib.studies.study import Study

MODELS = ("cnn", "knn", "decision_tree")
PRINTED = "printed by the authors"
LONGEST_S = 5.5  # longer than any clip of RAVDESS

WHOLE = FeatureSpec(
    "mfcc_zcr_rms", duration_s=LONGEST_S, params={"duration_s": LONGEST_S, "n_mfcc": 40}
)


def _with_models(study: Study, **changes: object) -> Study:
    return replace(study, models=tuple(replace(one, **changes) for one in study.models))


def _shifted_far(study: Study) -> Study:
    """Read ±5 ms as ±5 times 1,000 samples, and the tempo as the default of the function named."""
    names = {"shift": "shift_far", "stretch": "stretch_slow"}
    return replace(study, augmentations=tuple(names.get(one, one) for one in study.augmentations))


def _divided(study: Study) -> Study:
    protocol = study.published_protocol
    # One recording of RAVDESS has two names: a few test rows are known even then.
    together = replace(protocol, params={**protocol.params, "by": "clip_id"})
    return replace(study, published_protocol=together)


READINGS: dict[str, tuple[str, Callable[[Study], Study]]] = {
    "here": ("as in this report", lambda study: study),
    "whole": ("whole clips, padded", partial(_with_models, features=WHOLE)),
    "far": ("shift of up to 5,000 samples, stretched to 0.8 of the tempo", _shifted_far),
    "whole_far": (
        "whole clips, and shifted and stretched so",
        lambda study: _shifted_far(_with_models(study, features=WHOLE)),
    ),
    "unscaled": ("features not standardised", partial(_with_models, is_scaled=False)),
    "divided": ("clips divided, each with its versions on one side", _divided),
    "originals": ("no augmentation", lambda study: replace(study, augmentations=())),
    "whole_divided": (
        "whole clips, divided with their versions",
        lambda study: _divided(_with_models(study, features=WHOLE)),
    ),
}


def reading_study(name: str) -> Study:
    """Return the study as it is with a reading of `READINGS`."""
    changed = READINGS[name][1](BOUCHETA2025)
    own = {} if changed is BOUCHETA2025 else {"name": f"{BOUCHETA2025.name}+{name}"}
    return replace(changed, **own)


def reading_table(clips: pd.DataFrame, *, trains: bool = False) -> pd.DataFrame:
    """Return the accuracy of each model under each reading: first seed, test and training rows.

    Columns are pairs of a model and "test" or "training", the last row what the authors print.
    What is not stored is NaN or, with `trains`, trained.
    """
    columns = pd.MultiIndex.from_product([MODELS, ("test", "training")], names=["model", "rows"])
    table = pd.DataFrame(index=pd.Index([], name="reading"), columns=columns, dtype=float)
    for name, (title, _) in READINGS.items():
        study = reading_study(name)
        protocol, seed = study.published_protocol, study.seeds[0]
        for model in MODELS:
            plan = plan_run(study, model, protocol, seed, clips)
            run = run_or_load(plan, clips) if trains else load_stored(plan)
            table.loc[title, (model, "test")] = np.nan
            if run:
                answers = run.predictions
                right = float((answers["truth"] == answers["prediction"]).mean())
                settings = study.model(model).training
                kept = kept_epochs(run.history, settings, by="fold") if settings else run.history
                table.loc[title, [(model, "test"), (model, "training")]] = (
                    right,
                    float(kept["accuracy"].mean()),
                )
    table.loc[PRINTED] = [
        BOUCHETA2025.published_value(model, metric)
        for model in MODELS
        for metric in ("wa", "train_wa")
    ]
    return table


def nearest_readings(table: pd.DataFrame) -> pd.Series:
    """Name the reading of each model that is nearest to both of its printed figures."""
    gaps = (table.drop(PRINTED) - table.loc[PRINTED]).abs()
    return gaps.T.groupby(level="model").sum(min_count=2).T.idxmin()
