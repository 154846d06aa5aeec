"""Stored runs gathered by study, model and protocol: scores, tables, records and ensembles.

Ensembles average probabilities. Their members are named beforehand and all systems weigh the same,
however many seeds of each are stored: nothing is chosen on the test speakers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ser_lib.data import corpus_of, listener_accuracy, load_corpus
from ser_lib.data.corpus import corpora_of
from ser_lib.errors import CorpusError, RunError
from ser_lib.evaluation import metrics
from ser_lib.evaluation.formatting import duration_text, no_interval, score_text
from ser_lib.evaluation.metrics import wa
from ser_lib.evaluation.significance import (
    COMPARISON_COLUMNS,
    LEVEL,
    check_same_task,
    compare_tables,
    paired_tests,
    turned,
)
from ser_lib.runs import runner
from ser_lib.runs.forecast import training_s
from ser_lib.runs.store import Run
from ser_lib.runtime import is_headless, progress
from ser_lib.shown import short
from ser_lib.studies import STUDIES
from ser_lib.studies.study import ModelSpec, Study
from ser_lib.training.settings import TrainingSettings


@short
@dataclass(frozen=True)
class Result:
    """One model of a study under one protocol, all seeds."""

    study: Study
    model: ModelSpec
    protocol: str
    """"published" or "honest": which of the study's protocols this is."""
    runs: tuple[Run, ...]
    clips: pd.DataFrame

    @property
    def protocol_name(self) -> str:
        """Name of the rule: `random`, `luna5`, ..."""
        return str(self.runs[0].spec["protocol"])

    @property
    def corpus(self) -> str:
        """Name of the corpus, or of the pool."""
        return str(self.runs[0].spec["corpus"])

    @property
    def run(self) -> str:
        """Name of the folder of its first seed's run, beside which the others stand."""
        return self.runs[0].folder.name

    @property
    def title(self) -> str:
        """Title of the model; † where its test speakers were looked at while it was chosen."""
        return self.model.title + (" †" if self.corpus in self.study.developed_on else "")

    @property
    def corpus_text(self) -> str:
        """Name of the corpus; where its clips were cut or filled to one length, with that."""
        durations_s = self.clips["duration_s"].unique()
        return self.corpus + (f" (clips of {durations_s[0]:g} s)" if len(durations_s) == 1 else "")

    @property
    def leaks(self) -> tuple[str, ...]:
        """What the audit found between training and test rows."""
        return tuple(self.runs[0].spec["leaks"])

    @property
    def published(self) -> float | None:
        """The authors' accuracy, where they print one for this model, on their own corpus."""
        is_home = self.corpus in self.study.corpora
        return self.study.published_value(self.model.name) if is_home else None

    @property
    def is_shortened(self) -> bool:
        """Whether training or input are smaller than the study has them."""
        study = STUDIES.get(self.study.name)
        return study is not None and study.model(self.model.name) != self.model

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes."""
        return self.runs[0].labels

    @cached_property
    def score(self) -> metrics.Score:
        """UAR and WA with intervals by speaker."""
        for run in self.runs:
            metrics.check_predictions(run.predictions, run.labels)
        return metrics.score_predictions(self.tables, self.labels)

    @cached_property
    def tables(self) -> tuple[pd.DataFrame, ...]:
        """Predictions with the clips' columns, one table a seed."""
        return tuple(metrics.with_clip_columns(run.predictions, self.clips) for run in self.runs)

    @property
    def name(self) -> str:
        """Study and model."""
        return f"{self.study.name}/{self.model.name}"

    @cached_property
    def task(self) -> tuple[str, tuple[str, ...], str, int]:
        """Corpus, classes, protocol and clips: what systems share that may be compared."""
        truth = self.tables[0].set_index("clip_id")["truth"].sort_index()
        digest = int(pd.util.hash_pandas_object(truth).sum())
        return self.corpus, tuple(sorted(self.labels)), self.protocol_name, digest

    @property
    def pooled(self) -> pd.DataFrame:
        """Predictions of all seeds, one below the other."""
        return pd.concat(self.tables, ignore_index=True)

    def counts(self) -> np.ndarray:
        """Confusion counts, averaged over seeds, shape (n_classes, n_classes)."""
        pooled = self.pooled
        return metrics.confusion_counts(pooled["truth"], pooled["prediction"], self.labels) / len(
            self.runs
        )

    def class_table(self) -> pd.DataFrame:
        """Precision, recall and F1 of every class over all seeds; support is the mean of them."""
        pooled = self.pooled
        table = metrics.class_table(pooled["truth"], pooled["prediction"], self.labels)
        return table.assign(support=table["support"] // len(self.runs))

    def history(self) -> pd.DataFrame:
        """Learning curves of all seeds and folds; `curve` distinguishes them."""
        parts = [
            run.history.assign(curve=run.history["fold"].astype(str) + f"-{run.spec['seed']}")
            for run in self.runs
        ]
        return pd.concat(parts, ignore_index=True)

    def train_wa(self) -> float:
        """Accuracy on training rows in the kept epochs, in [0, 1]; of networks, with dropout."""
        return float(self.kept_epochs()["accuracy"].mean())

    def kept_epochs(self) -> pd.DataFrame:
        """Rows of `history` whose weights were kept, one a seed and fold."""
        history = self.history()
        is_published = self.protocol == "published"
        settings = self.model.training if is_published else self.model.honest_settings
        return kept_epochs(history, settings, by="curve") if settings else history

    def tables_by_corpus(self) -> dict[str, list[pd.DataFrame]]:
        """Give the `tables` of the clips of each corpus of a pool."""
        corpora = [corpora_of(one) for one in self.tables]
        return {
            name: [one[own == name] for one, own in zip(self.tables, corpora, strict=True)]
            for name in sorted(set(pd.concat(corpora)))
        }

    def by_corpus(self) -> dict[str, metrics.Score]:
        """Scores on the clips of each corpus of a pool; UAR over the classes that it has."""
        return {
            name: metrics.score_predictions(tables, self.labels)
            for name, tables in self.tables_by_corpus().items()
        }

    def duration_s(self) -> float:
        """Time that all folds of one seed took to train and predict, in seconds."""
        return float(np.mean([sum(run.environment["duration_s"]) for run in self.runs]))

    def _facts(self) -> dict[str, object]:
        return {
            "study": self.study.name,
            "model": self.title,
            "corpus": self.corpus_text,
            "protocol": f"{self.protocol_name} ({self.protocol})",
            "seeds": [run.spec["seed"] for run in self.runs],
            "UAR [95 %]": score_text(self.score),
            "WA [95 %]": score_text(self.score, "wa"),
            "run": self.run,
        }

    def record(self) -> dict[str, Any]:
        """Return the result as one record of `results.json`."""
        score = self.score
        return {
            "study": self.study.name,
            "model": self.model.name,
            "corpus": self.corpus,
            "protocol": self.protocol_name,
            "is_as_published": self.protocol == "published",
            "is_ours": self.model.is_ours,
            "n_classes": len(self.labels),
            "leaks": list(self.leaks),
            "seeds": [run.spec["seed"] for run in self.runs],
            "is_shortened": self.is_shortened,
            "n_clips": len({one.partition("#")[0] for one in self.pooled["clip_id"].tolist()}),
            "published": self.published,
            "runs": [run.folder.name for run in self.runs],
            **score_record(score),
        }


def score_record(score: metrics.Score) -> dict[str, Any]:
    """Return a score as part of a record of `results.json`; it says why there is no interval."""
    measures = ("uar", "uar_low", "uar_high", "wa", "wa_low", "wa_high")
    numbers = {name: round(getattr(score, name), 6) for name in measures}
    why = {"no_interval": no_interval(score.n_speakers)} if np.isnan(score.uar_low) else {}
    return {"n_rows": score.n_rows, "n_speakers": score.n_speakers, **numbers, **why}


@short
@dataclass(frozen=True)
class Results:
    """Several results; found by model and protocol."""

    all: tuple[Result, ...]
    missing: tuple[str, ...] = ()
    """Runs that were asked for and are not stored, where only stored ones were gathered."""

    def __add__(self, other: Results) -> Results:
        """Join the results of two studies."""
        return Results(self.all + other.all, self.missing + other.missing)

    def get(self, model: str, protocol: str = "honest") -> Result:
        """Return the result of a model under "published" or "honest"; raise `RunError` if none."""
        for one in self.all:
            if (one.model.name, one.protocol) == (model, protocol):
                return one
        known = ", ".join(f"{one.model.name}/{one.protocol}" for one in self.all)
        raise RunError(f"no result of {model} under {protocol}; there are {known}")

    def protocol(self, protocol: str) -> tuple[Result, ...]:
        """Return all results under "published" or "honest"."""
        return tuple(one for one in self.all if one.protocol == protocol)

    def records(self) -> list[dict[str, Any]]:
        """Return the records of `results.json`."""
        return [one.record() for one in self.all]

    def ladder(self, home: str) -> pd.DataFrame:
        """Tabulate the step from 'as published' to 'honest', one row a model, as WA in [0, 1].

        `step, step_low, step_high, verdict` are honest minus leaking (`steps`), `chance` the share
        of the largest class; `people_low, people_high` are NaN where people did not choose between
        these classes. Names of rows of other corpora than `home` have theirs.
        """
        table = pd.DataFrame([_step(one, self.partner(one)) for one in self.protocol("published")])
        names = {"difference": "step", "low": "step_low", "high": "step_high"}
        table = table.join(self.steps.rename(columns=names))
        if len(table):
            is_other = table["corpus"] != home
            table.loc[is_other, "name"] += ", " + table.loc[is_other, "corpus"]
        return table

    def partner(self, leaking: Result) -> Result:
        """Return the honest result of the same study, model and corpus."""
        wanted = (leaking.study.name, leaking.model.name, leaking.corpus)
        for one in self.protocol("honest"):
            if (one.study.name, one.model.name, one.corpus) == wanted:
                return one
        raise RunError("no honest result of {} {} on {}".format(*wanted))

    @cached_property
    def claims(self) -> list[dict[str, Any]]:
        """What `compare` and `steps` have said so far, for `findings`."""
        return []

    @cached_property
    def _tests(self) -> dict[tuple[object, ...], pd.DataFrame]:
        return {}

    def tests(self, one: Result) -> pd.DataFrame:
        """Compare all pairs of the results of a task (`paired_tests`), by `Result.name`."""
        if one.task not in self._tests:
            family = {
                other.name: other.tables
                for other in self.protocol(one.protocol)
                if other.task == one.task
            }
            self._tests[one.task] = paired_tests(family, one.labels)
        return self._tests[one.task]

    def difference(self, first: Result, second: Result) -> dict[str, Any]:
        """Compare the UAR of two results; all pairs of their task here are one family.

        The values are those of `compare_counts`, by name; what they say is added to `claims`.
        """
        check_same_task({"the first": first.tables, "the second": second.tables})
        if first.name == second.name:
            return {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0, "verdict": LEVEL}
        tests = self.tests(first).set_index(["first", "second"])[COMPARISON_COLUMNS]
        names = (first.name, second.name)
        found = (
            tests.loc[names].to_dict() if names in tests.index else turned(tests.loc[names[::-1]])
        )
        about = {"corpus": first.corpus, "protocol": first.protocol_name, "measure": "uar"}
        self.claims.append({**about, "first": names[0], "second": names[1], **found})
        return found

    def compare(self, first: Result, second: Result) -> str:
        """Say how the first UAR relates to the second (`difference`)."""
        return str(self.difference(first, second)["verdict"])

    @cached_property
    def steps(self) -> pd.DataFrame:
        """Compare the accuracy of each honest result with that of its leaking `partner`.

        One row a published result, in order, with the columns of `compare_counts`. Those of one
        study and corpus are one family; what they say is added to `claims`.
        """
        pairs = [(self.partner(one), one) for one in self.protocol("published")]
        families: dict[tuple[str, str], list[int]] = {}
        for number, (_, one) in enumerate(pairs):
            families.setdefault((one.study.name, one.corpus), []).append(number)
        parts = []
        for here in families.values():
            tables = [[one.tables for one in pairs[number]] for number in here]
            parts.append(compare_tables(tables, pairs[here[0]][0].labels, metric=wa).set_axis(here))
        table = pd.concat(parts or [pd.DataFrame(columns=COMPARISON_COLUMNS)]).sort_index()
        for (honest, leaking), (_, row) in zip(pairs, table.iterrows(), strict=True):
            about = {"corpus": honest.corpus, "protocol": honest.protocol_name, "measure": "wa"}
            names = {"first": honest.name, "second": f"{leaking.name} as published"}
            self.claims.append({**about, **names, **row.to_dict()})
        return table


def compare(*systems: Result | Results) -> pd.DataFrame:
    """Test all pairs of systems against each other, by the UAR of their honest results.

    Parameters
    ----------
    *systems : Result or Results
        Of Results, those under the honest protocol are taken.

    Returns
    -------
    pandas.DataFrame
        As `ser_lib.evaluation.significance.paired_tests` has it: all pairs are one family.

    Raises
    ------
    RunError
        If there are fewer than two, or if their corpora, classes, protocols or clips differ.
    """
    found = [
        one
        for each in systems
        for one in (each.protocol("honest") if isinstance(each, Results) else (each,))
    ]
    if other := [type(one).__name__ for one in found if not isinstance(one, Result)]:
        raise RunError(f"compare needs what `collect` returns, not {', '.join(other)}")
    tasks = dict.fromkeys(f"{' '.join(map(str, (one.task[0], one.task[2])))}" for one in found)
    if len(found) < 2 or len({one.task for one in found}) > 1:
        raise RunError(
            f"compare needs two systems or more of one task, not {len(found)} of "
            f"{', '.join(tasks) or 'none'}: of the same corpus, classes, protocol and clips"
        )
    return Results(tuple(found)).tests(found[0])


def _step(leaking: Result, honest: Result) -> dict[str, Any]:
    row: dict[str, Any] = {
        "study": leaking.study.name,
        "model": leaking.model.name,
        "corpus": leaking.corpus,
        "name": f"{leaking.model.title}\n{leaking.study.name}",
        "is_ours": leaking.model.is_ours,
        "is_speaker_known": "same_speaker" in leaking.leaks,
        "published": leaking.published or np.nan,
        "chance": float(honest.counts().sum(axis=1).max() / honest.counts().sum()),
        "n_classes": len(honest.labels),
        "run": honest.run,
    }
    people = listener_accuracy(honest.corpus, honest.labels) or (np.nan, np.nan)
    row |= {"people_low": people[0], "people_high": people[1]}
    for kind, one in (("leaking", leaking), ("honest", honest)):
        score = one.score
        row |= {kind: score.wa, f"{kind}_low": score.wa_low, f"{kind}_high": score.wa_high}
        row |= {f"{kind}_seeds": score.n_seeds}
    return row


def collect_cross_corpus(study: Study, shown_at: str) -> Results:
    """Gather what is stored of a study on its other corpora than `shown_at`; nothing is trained.

    Only models that are stored under each protocol count; of our own the honest one is enough.
    """
    is_ours = study.name not in STUDIES
    found = Results(())
    for name in dict.fromkeys((*study.corpora, *study.label_sets)):
        # Ours are honest wherever no speaker is on both sides: on other corpora by `loso`.
        ours = ("honest",) if name in study.corpora else ("loso",)
        protocols = ours if is_ours else ("published", "honest")
        models = [
            one.name for one in study.models if runner.has_folders(study, one, name, protocols)
        ]
        if name == shown_at or not models:
            continue
        clips = load_corpus(name, strict=False)
        there = collect(study, clips, models=models, protocols=protocols, stored_only=True).all
        found += Results(
            tuple(replace(one, protocol="honest") for one in there) if is_ours else there
        )
    return found


def collect(
    study: Study,
    clips: pd.DataFrame,
    *,
    models: Sequence[str] = (),
    protocols: Sequence[str] = ("published", "honest"),
    n_seeds: int = 0,
    stored_only: bool = False,
) -> Results:
    """Run or load a study's runs and gather them by model and protocol.

    Parameters
    ----------
    study, clips : Study, pandas.DataFrame
        What to run, on the clip table of one corpus.
    models : sequence of str
        Names of models; none means all.
    protocols : sequence of str
        "published" and "honest", or one of them.
    n_seeds : int
        How many of the study's seeds; 0 means all.
    stored_only : bool
        Whether nothing is trained: a model is then left out unless a seed of it is stored under
        each protocol, and `missing` of the result names every run that is not there.

    Returns
    -------
    Results
        By models, then protocols.
    """
    corpus = corpus_of(clips)
    optional = {one.name for one in study.models if one.is_optional and not models}
    # Dividing a corpus takes its time: an optional model without folders is not looked up.
    names = list(models) or [
        one.name
        for one in study.models
        if not one.is_optional or runner.has_folders(study, one, corpus, protocols)
    ]
    planned = runner.plan_runs(study, clips, models=names, protocols=protocols, n_seeds=n_seeds)
    try:
        plans = list(planned)
    except CorpusError as error:
        if not stored_only:
            raise
        # Not even what it is trained on as well is known here.
        return Results((), (f"{study.name}: {error}",))
    first = [plan for _, plan in plans if plan.seed == study.seeds[0]]
    lacking = {
        one.model.name for one in first if one.model.name in optional and not runner.is_stored(one)
    }
    gathered: dict[tuple[str, str], list[Run]] = {}
    missing: list[str] = []
    wanted = [(one, plan) for one, plan in plans if plan.model.name not in lacking]
    stored = [runner.load_stored(plan) for _, plan in wanted]
    trained = [plan for (_, plan), run in zip(wanted, stored, strict=True) if run is None]
    n_missing = len(trained)
    # One bar for all that is trained; those of runs and folds are words at its end.
    what = f"{study.name}, {n_missing} of {len(wanted)} runs to train"
    if n_missing and not stored_only and not is_headless():
        seconds = training_s(trained)
        what += f", about {duration_text(seconds)}" if seconds else ""
    with closing(progress(range(n_missing), total=n_missing * (not stored_only), what=what)) as bar:
        for (protocol, plan), run in zip(wanted, stored, strict=True):
            if run is None and not stored_only:
                next(bar)
                run = runner.run_or_load(plan, clips)
            if run is None:
                name = f"{study.name} {plan.model.name} {plan.protocol.name}"
                missing.append(f"{name} seed {plan.seed}")
            else:
                gathered.setdefault((plan.model.name, protocol), []).append(run)
        next(bar, None)
    is_whole = {name: all((name, one) in gathered for one in protocols) for name in names}
    found = (
        Result(study, study.model(name), protocol, tuple(runs), clips)
        for (name, protocol), runs in gathered.items()
        if is_whole[name]
    )
    return Results(tuple(found), tuple(missing))


def average_runs(runs: Sequence[Run], shares: Sequence[float] = ()) -> pd.DataFrame:
    """Average the probabilities of the same test rows, as a run's predictions; shares sum to 1."""
    if not runs:
        raise RunError("an ensemble needs runs; none is stored")
    first = runs[0]
    keys = ["clip_id", "fold", "truth"]
    names = [f"p_{label}" for label in first.labels]
    rows = first.predictions[keys]
    total = np.zeros((len(rows), len(names)))
    for run, share in zip(runs, shares or [1 / len(runs)] * len(runs), strict=True):
        if run.labels != first.labels:
            raise RunError(f"{run.folder.name} has other classes than {first.folder.name}")
        same = rows.merge(run.predictions, on=keys, how="left", validate="one_to_one")
        if len(run.predictions) != len(rows) or same[names].isna().any(axis=None):
            raise RunError(
                f"{run.folder.name} was tested on other rows, or on other folds, than "
                f"{first.folder.name}: their probabilities cannot be averaged"
            )
        total += share * same[names].to_numpy()
    prediction = np.array(first.labels)[total.argmax(axis=1)]
    table = rows.assign(prediction=prediction)
    return table.join(pd.DataFrame(total, columns=names, index=rows.index))


def score_ensemble(systems: Sequence[Sequence[Run]], clips: pd.DataFrame) -> metrics.Score:
    """Score the average of several systems, each the average of its runs, by speaker.

    Parameters
    ----------
    systems : sequence of sequence of Run
        The seeds of one system, of the next, and so on, on the same folds with the same classes.
    clips : pandas.DataFrame
        Clip table, for the speakers.

    Raises
    ------
    RunError
        If there is no run, or if classes, rows or folds differ.
    """
    runs = [run for system in systems for run in system]
    shares = [1 / (len(systems) * len(system)) for system in systems for _ in system]
    table = average_runs(runs, shares)
    return metrics.score_predictions([metrics.with_clip_columns(table, clips)], runs[0].labels)


def kept_epochs(
    history: pd.DataFrame, settings: TrainingSettings, *, by: str = "fold"
) -> pd.DataFrame:
    """Choose the rows of the epochs whose weights were kept, one a fold: the first best, or last.

    `keep` comes before what early stopping restores; without both the last epoch counts.
    """
    groups = history.groupby(by)
    if settings.keep:
        return history.loc[groups[settings.keep].idxmax()]
    if settings.stop_patience is None:
        return groups.tail(1)
    column = groups[settings.stop_on]
    is_loss = settings.stop_on == "val_loss"
    return history.loc[column.idxmin() if is_loss else column.idxmax()]
