"""What stored runs predict for each clip: read, averaged over seeds, and laid out as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ser_lib.app.templates import part_of
from ser_lib.data.labels import EMOTIONS
from ser_lib.errors import RunError
from ser_lib.paths import runs_dir
from ser_lib.runs.store import Run, differences, read_run, settings_text
from ser_lib.studies import STUDIES

# What differs between the seeds of one model, and between folds that are drawn.
OF_THE_SEED = ("seed", "folds_sha256", "rows_sha256")


@dataclass(frozen=True)
class StoredModel:
    """The predictions of one model for each clip, as the mean of its seeds."""

    study: str
    title: str
    protocol: str
    runs: tuple[str, ...]
    """Folders of the stored runs, one a seed."""
    truth: pd.Series
    """The acted class by clip id, in the words of the study's task."""
    probabilities: pd.DataFrame
    """One row a clip id, one column a class, in [0, 1]."""


def stored_models(corpus: str) -> tuple[list[StoredModel], list[str]]:
    """Read the stored runs of a corpus without leaks, and one sentence a run that cannot be read.

    In the order of the studies, protocols and models.
    """
    groups: dict[str, list[Run]] = {}
    problems = []
    for path in sorted(runs_dir(corpus).glob("*/predictions.csv")):
        try:
            run = read_run(path.parent)
            is_honest = run.spec["protocol"] != "random" and not run.spec["leaks"]
            settings = _settings(run)
        except RunError as error:
            problems.append(str(error))
        except (KeyError, TypeError, ValueError) as error:
            problems.append(
                f"{path.parent}: this stored run is damaged ({error}); delete the folder"
            )
        else:
            if is_honest:
                groups.setdefault(settings, []).append(run)
    ordered = sorted(groups.values(), key=_place_of)
    models = [_mean_of(group) for group in ordered]
    names = [(one.study, one.protocol, one.title) for one in models]
    for name in {one for one in names if names.count(one) > 1}:
        # They differ in settings only, a shortened one for example.
        places = [place for place, one in enumerate(names) if one == name]
        told = differences([_shared(ordered[place][0]) for place in places])
        for number, (place, own) in enumerate(zip(places, told, strict=True), start=1):
            text = settings_text(own) or f"build {number}"
            models[place] = replace(models[place], title=f"{name[2]}, {text}")
    return models, problems


def _place_of(runs: list[Run]) -> tuple[int, str, int]:
    """Sort by study, protocol and model, the studies and models in their own order."""
    study, protocol, name = (str(runs[0].spec[key]) for key in ("study", "protocol", "model"))
    models = [one.name for one in STUDIES[study].models] if study in STUDIES else []
    return [*STUDIES, study].index(study), protocol, [*models, name].index(name)


def _settings(run: Run) -> str:
    """Return what seeds of one model share; raise where the run lacks what is shown of it."""
    run.predictions[[f"p_{label}" for label in run.labels]].astype(float)
    run.predictions[["clip_id", "truth"]]
    shared = _shared(run)
    return json.dumps([shared["study"], shared["model"], shared], sort_keys=True)


def _shared(run: Run) -> dict[str, Any]:
    return {key: value for key, value in run.spec.items() if key not in OF_THE_SEED}


def _mean_of(runs: list[Run]) -> StoredModel:
    spec, labels = runs[0].spec, list(runs[0].labels)
    rows = pd.concat([run.predictions for run in runs])
    # Variants of a clip have its id, a hash sign, and their own name.
    by_clip = rows.groupby(rows["clip_id"].str.split("#").str[0])
    means = by_clip[[f"p_{label}" for label in labels]].mean().set_axis(labels, axis=1)
    study, name = str(spec["study"]), str(spec["model"])
    known = [one for one in STUDIES[study].models if one.name == name] if study in STUDIES else []
    title = known[0].title if known else name
    folders = tuple(run.folder.name for run in runs)
    return StoredModel(
        study, title, str(spec["protocol"]), folders, by_clip["truth"].first(), means
    )


def models_table(models: Sequence[StoredModel], clip_id: str) -> str:
    """Lay out the predictions of models for a clip, as HTML; empty where no model has the clip."""
    models = [one for one in models if clip_id in one.probabilities.index]
    if not models:
        return ""
    rows: list[dict[str, Any]] = []
    for one in models:
        shares, truth = one.probabilities.loc[clip_id], one.truth[clip_id]
        predicted = shares.idxmax()
        row = {"model": one, "predicted": predicted, "truth": truth, "is_right": predicted == truth}
        # A task by gender has two classes an emotion; a column shows their sum.
        rows.append(row | {"percent": (100 * shares.groupby(_emotion_of).sum()).to_dict()})
    found = {emotion for row in rows for emotion in row["percent"]}
    return part_of("stored_models", "table")(
        rows=rows,
        emotions=[one for one in EMOTIONS if one in found] + sorted(found - set(EMOTIONS)),
        is_by_gender=any(" " in label for one in models for label in one.probabilities.columns),
        emotion_of=_emotion_of,
    )


def _emotion_of(label: str) -> str:
    """Return the emotion of a class, which may name a gender as well ("female sad")."""
    return label.rsplit(" ", 1)[-1]
