"""How long training will take, from how long stored runs took."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import prod

from ser_lib.features.extraction import feature_shape
from ser_lib.paths import reports_dir
from ser_lib.runs.runner import RunPlan


def training_s(plans: Iterable[RunPlan]) -> float | None:
    """Estimate how long runs take to train, in seconds; None where nothing like one is stored.

    The time of a stored run of the same study and model, if possible under the same protocol, is
    scaled by clips, values a clip, folds and epochs. Another machine is not accounted for, nor are
    features that are not in the cache.
    """
    each = [_one_s(plan) for plan in plans]
    return sum(one for one in each if one is not None) if None not in each else None


def _one_s(plan: RunPlan) -> float | None:
    # A variant takes as long as what it was made from.
    study = plan.study.name.partition("+")[0]
    alike = (
        path.parent
        for protocol in (plan.protocol.full_name, "*")
        for path in sorted(
            reports_dir().glob(f"*/runs/{study}-{plan.model.name}-{protocol}-s*/predictions.csv")
        )
    )
    folder = next(alike, None)
    if folder is None:
        return None
    spec, environment = (
        json.loads((folder / f"{one}.json").read_text(encoding="utf-8"))
        for one in ("spec", "environment")
    )
    # Of both tables the first line names the columns.
    n_rows, n_epochs = (
        (folder / f"{one}.csv").read_bytes().count(b"\n") - 1 for one in ("predictions", "history")
    )
    n_epochs /= spec["n_folds"]
    wanted = plan.training.max_epochs if plan.training else n_epochs
    # Where training stopped by itself, it will again.
    is_stopped = n_epochs < (spec["training"] or {}).get("max_epochs", 0)
    epochs = min(wanted, n_epochs) if is_stopped else wanted
    folds = len(plan.split.folds) / spec["n_folds"]
    values = len(plan.division.test_rows) / n_rows
    values *= prod(feature_shape(plan.model.features)) / prod(spec["input_shape"])
    return float(sum(environment["duration_s"]) * values * folds * epochs / n_epochs)
