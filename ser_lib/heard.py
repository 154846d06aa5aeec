"""What the stored models heard in each clip: read from the runs, laid out for one clip.

Only honest runs count here: those whose test rows were not known during training, so that a clip's
probabilities come from models that had never heard its speaker. Nothing is trained or scored.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from ser_lib.errors import RunError
from ser_lib.labels import EMOTIONS, colour_of
from ser_lib.paths import runs_dir
from ser_lib.store import Run, read_run
from ser_lib.studies import STUDIES

__all__ = ["StoredModel", "models_table", "stored_models"]

# What differs between the seeds of one model, and between folds that are drawn.
OF_THE_SEED = ("seed", "folds_sha256", "rows_sha256")

STYLE = """<style>
.ser-heard table { border-collapse: collapse; width: 100%; table-layout: fixed; margin: 0;
  font-size: 12px; font-variant-numeric: tabular-nums; }
.ser-heard tr { background: none; }
.ser-heard th, .ser-heard td { position: relative; height: 20px; max-width: none; padding: 1px 3px;
  overflow: hidden; white-space: nowrap; text-align: right; vertical-align: middle;
  border: 1px solid transparent; }
.ser-heard thead th { height: 46px; overflow: visible; }
.ser-heard thead th[style] { border-bottom: 3px solid; }
.ser-heard thead span { position: absolute; right: 45%; bottom: 1px; font-size: 11px;
  font-weight: normal; transform: rotate(40deg); transform-origin: 100% 100%; }
.ser-heard thead th:first-child { vertical-align: bottom; }
.ser-heard th:first-child { width: 30%; text-align: left; font-weight: normal;
  text-overflow: ellipsis; }
.ser-heard th:nth-child(2), .ser-heard td:nth-child(2) { width: 13px;
  text-align: center; padding: 0 1px; }
.ser-heard .ser-section { padding-top: 8px; }
.ser-heard .ser-section, .ser-heard small, .ser-heard .ser-say {
  color: var(--jp-ui-font-color2, #555); font-size: 11px; }
.ser-heard i { position: absolute; left: 0; top: 1px; bottom: 1px; opacity: 0.55; }
.ser-heard td span { position: relative; }
.ser-heard .ser-top { font-weight: bold; }
.ser-heard .ser-acted { border: 2px solid var(--jp-ui-font-color0, #000); }
.ser-heard p { margin: 0 0 6px; }
</style>"""
READ_AS = (
    "Probabilities of models that were trained without this speaker; ×3: mean of three seeds. "
    "Outlined: what was acted, in the words of the study's task; bold: what the model hears, "
    "✓ where that is what was acted. Hover over a row for its stored runs."
)
BY_GENDER = " Where a task names the gender as well, a column is the sum of both, and ✓ needs both."


@dataclass(frozen=True)
class StoredModel:
    """What one model said about each clip, as the mean of its seeds."""

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
    """Read the stored runs of a corpus that predict speakers never heard.

    Parameters
    ----------
    corpus : str
        Name of the corpus.

    Returns
    -------
    models : list of StoredModel
        In the order of the studies, protocols and models. Runs in which test rows were known during
        training, by speaker or otherwise, are left out.
    problems : list of str
        One sentence a run that could not be read.
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
    models = [_mean_of(group) for group in groups.values()]
    return _told_apart(sorted(models, key=_place_of)), problems


def _place_of(model: StoredModel) -> tuple[int, str, int]:
    """Sort by study, protocol and model, the studies and models in their own order."""
    studies = list(STUDIES)
    place = studies.index(model.study) if model.study in studies else len(studies)
    titles = [one.title for one in STUDIES[model.study].models] if place < len(studies) else []
    within = titles.index(model.title) if model.title in titles else len(titles)
    return place, model.protocol, within


def _told_apart(models: list[StoredModel]) -> list[StoredModel]:
    """Add the run's key where two models differ in settings only, a shortened one for example."""
    names = [(one.study, one.protocol, one.title) for one in models]
    return [
        replace(one, title=f"{one.title}, {one.runs[0].rsplit('-', 1)[-1]}")
        if names.count(name) > 1
        else one
        for one, name in zip(models, names, strict=True)
    ]


def _settings(run: Run) -> str:
    """Say what seeds of one model share; raise where the run lacks what is shown of it."""
    run.predictions[[f"p_{label}" for label in run.labels]].astype(float)
    run.predictions[["clip_id", "truth"]]
    shared = {key: value for key, value in run.spec.items() if key not in OF_THE_SEED}
    return json.dumps([shared["study"], shared["model"], shared], sort_keys=True)


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
    """Lay out what models said about a clip, as HTML.

    Parameters
    ----------
    models : sequence of StoredModel
        From `stored_models`.
    clip_id : str
        The clip.

    Returns
    -------
    str
        One row a model, one column an emotion in canonical order; the acted emotion is outlined,
        what the model hears is bold. Empty where no model knows the clip.
    """
    models = [one for one in models if clip_id in one.probabilities.index]
    if not models:
        return ""
    found = {_emotion_of(label) for one in models for label in one.probabilities.columns}
    emotions = [one for one in EMOTIONS if one in found] + sorted(found - set(EMOTIONS))
    heads = "".join(
        f'<th scope="col" style="border-bottom-color:{colour_of(one)}">'
        f"<span>{html.escape(one)}</span></th>"
        for one in emotions
    )
    rows, section, n_right = [], None, 0
    for one in models:
        if (one.study, one.protocol) != section:
            section = (one.study, one.protocol)
            rows.append(
                f'<tr><th class="ser-section" colspan="{len(emotions) + 2}" scope="rowgroup">'
                f"{html.escape(one.study)}, protocol {html.escape(one.protocol)}</th></tr>"
            )
        row, is_right = _model_row(one, clip_id, emotions)
        rows.append(row)
        n_right += is_right
    summary = f"<p>What was acted is heard by <b>{n_right} of {len(models)}</b> models.</p>"
    is_by_gender = any(" " in label for one in models for label in one.probabilities.columns)
    read_as = READ_AS + (BY_GENDER if is_by_gender else "")
    return (
        f'{STYLE}<div class="ser-heard">{summary}<table>'
        '<thead><tr><th scope="col">Probability (%)</th><th></th>'
        f"{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f'<p class="ser-say">{read_as}</p></div>'
    )


def _model_row(model: StoredModel, clip_id: str, emotions: list[str]) -> tuple[str, bool]:
    shares = model.probabilities.loc[clip_id]
    heard, truth = str(shares.idxmax()), str(model.truth[clip_id])
    # A task by gender has two classes an emotion; a column shows their sum.
    by_emotion = shares.groupby(_emotion_of).sum()
    cells = []
    for emotion in emotions:
        if emotion not in by_emotion:
            cells.append('<td title="not one of its classes">–</td>')
            continue
        marks = [
            name
            for name, label in (("ser-acted", truth), ("ser-top", heard))
            if _emotion_of(label) == emotion
        ]
        width = f"width:{100 * by_emotion[emotion]:.0f}%;background:{colour_of(emotion)}"
        cells.append(
            f'<td class="{" ".join(marks)}"><i style="{width}"></i>'
            f"<span>{100 * by_emotion[emotion]:.0f}</span></td>"
        )
    is_right = heard == truth
    says = html.escape(f"{'right' if is_right else 'wrong'}: hears {heard}, acted {truth}")
    sources = f"{model.title}: {', '.join(model.runs)}"
    verdict = f'<td title="{says}" aria-label="{says}">{"✓" if is_right else "✗"}</td>'
    row = (
        f'<tr title="{html.escape(sources)}"><th scope="row">'
        f"{html.escape(model.title)} <small>×{len(model.runs)}</small></th>"
        f"{verdict}{''.join(cells)}</tr>"
    )
    return row, is_right


def _emotion_of(label: str) -> str:
    """Return the emotion of a class, which may be of one gender ("female sad")."""
    return label.rsplit(" ", 1)[-1]
