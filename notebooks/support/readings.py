"""Readings of a report: what it leaves open, decided otherwise, one change a row.

Each reading is the study with one decision changed, under its own published protocol and first
seed; its runs are stored beside the others, by `reading_table(study, clips, trains=True)`. Chapters
04 and 05 compare them with the printed figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from ser_lib.evaluation.formatting import points
from ser_lib.features.registry import FeatureSpec
from ser_lib.runs.results import kept_epochs
from ser_lib.runs.runner import load_stored, plan_run, run_or_load
from ser_lib.studies import fpt2025
from ser_lib.studies.study import Study

# By study: those whose figures are printed and whose trainings are short.
MODELS = {"boucheta2025": ("cnn", "knn", "decision_tree"), "fpt2025": ("cnn3d_small",)}
PRINTED = "printed by the authors"
LONGEST_S = 5.5  # longer than any clip of RAVDESS

WHOLE = FeatureSpec(
    "mfcc_zcr_rms", duration_s=LONGEST_S, params={"duration_s": LONGEST_S, "n_mfcc": 40}
)
QUARTER = replace(fpt2025.SMALL, n_filters=(16, 32, 64, 128), n_bottleneck=128, n_dense=(128, 64))


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


Reading = tuple[str, Callable[[Study], Study]]
HERE: Reading = ("as in this report", lambda study: study)
ORIGINALS: Reading = ("no augmentation", lambda study: replace(study, augmentations=()))
READINGS: dict[str, dict[str, Reading]] = {
    "boucheta2025": {
        "here": HERE,
        "whole": ("whole clips, padded", partial(_with_models, features=WHOLE)),
        "far": ("shift of up to 5,000 samples, stretched to 0.8 of the tempo", _shifted_far),
        "whole_far": (
            "whole clips, and shifted and stretched so",
            lambda study: _shifted_far(_with_models(study, features=WHOLE)),
        ),
        "unscaled": ("features not standardised", partial(_with_models, is_scaled=False)),
        "divided": ("clips divided, each with its versions on one side", _divided),
        "originals": ORIGINALS,
        "whole_divided": (
            "whole clips, divided with their versions",
            lambda study: _divided(_with_models(study, features=WHOLE)),
        ),
    },
    "fpt2025": {
        "here": HERE,
        "quarter": ("twice the filters and units", partial(_with_models, config=QUARTER)),
        "all_epochs": (
            "all epochs, not stopped early",
            partial(_with_models, training=replace(fpt2025.TRAINING, stop_patience=None)),
        ),
        "entropy": (
            "cross-entropy instead of the weighted focal loss",
            partial(_with_models, training=replace(fpt2025.TRAINING, loss="cross_entropy")),
        ),
        "originals": ORIGINALS,
    },
}


def reading_study(study: Study, name: str) -> Study:
    """Return the study as it is with a reading of `READINGS`."""
    changed = READINGS[study.name][name][1](study)
    own = {} if changed is study else {"name": f"{study.name}+{name}"}
    return replace(changed, **own)


def reading_table(study: Study, clips: pd.DataFrame, *, trains: bool = False) -> pd.DataFrame:
    """Return the accuracy of each model under each reading: first seed, test and training rows.

    Columns are pairs of a model and "test" or "training", the last row what the authors print.
    What is not stored is NaN or, with `trains`, trained.
    """
    models = MODELS[study.name]
    columns = pd.MultiIndex.from_product([models, ("test", "training")], names=["model", "rows"])
    table = pd.DataFrame(index=pd.Index([], name="reading"), columns=columns, dtype=float)
    for name, (title, _) in READINGS[study.name].items():
        read = reading_study(study, name)
        for model in models:
            plan = plan_run(read, model, read.published_protocol, read.seeds[0], clips)
            run = run_or_load(plan, clips) if trains else load_stored(plan)
            table.loc[title, (model, "test")] = np.nan
            if run:
                answers = run.predictions
                right = float((answers["truth"] == answers["prediction"]).mean())
                settings = read.model(model).training
                kept = kept_epochs(run.history, settings, by="fold") if settings else run.history
                table.loc[title, [(model, "test"), (model, "training")]] = (
                    right,
                    float(kept["accuracy"].mean()),
                )
    table.loc[PRINTED] = [
        study.published_value(model, metric) for model in models for metric in ("wa", "train_wa")
    ]
    return table.astype(float)


def nearest_readings(table: pd.DataFrame) -> pd.Series:
    """Name the reading of each model that is nearest to all of its printed figures.

    Models of which no reading is stored are left out.
    """
    printed = table.loc[PRINTED].dropna()
    gaps = (table.drop(PRINTED)[printed.index] - printed).abs()
    whole = gaps.T.groupby(level="model").agg(lambda one: one.sum(skipna=False))
    return whole.dropna(how="all").T.idxmin()


def nearest_text(table: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """Say which reading of each model is the nearest, and how far its accuracy on test rows is."""
    said = [
        f"{titles[model]}, {where} ({points(table.loc[where, at] - table.loc[PRINTED, at])} points)"
        for model, where in nearest_readings(table).items()
        for at in [(model, "test")]
    ]
    return f"Nearest to what they print: {'; '.join(said) or 'none, as no run is stored'}."
