"""Tables of stored runs on speech encoders, chapter 07; nothing is trained here.

Results are mappings from (model, protocol, corpus) to `Result`, as `stored_results` returns them.
`reports/<corpus>/transfer/trials.csv` lists everything that was tried, so that a reader knows how
many other systems were considered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import prod

import pandas as pd

from ser_lib import data
from ser_lib.data.enrolment import NORMALISATIONS
from ser_lib.data.splits import Protocol
from ser_lib.errors import CorpusError, RunError, SplitError
from ser_lib.evaluation.formatting import pct, points_text, score_text, share_text
from ser_lib.evaluation.metrics import Score, score_predictions
from ser_lib.evaluation.significance import COMPARISON_COLUMNS
from ser_lib.features.encoders.registry import ENCODERS, get_encoder, inspect_encoder
from ser_lib.features.extraction import feature_shape
from ser_lib.models import family_of
from ser_lib.paths import report_dir, runs_dir
from ser_lib.runs.results import Result, Results, score_ensemble, score_record
from ser_lib.runs.runner import load_stored, plan_run
from ser_lib.studies import OURS
from ser_lib.studies.study import Study
from support.comparison import with_rivals
from support.costs import count_weights

TRIAL_COLUMNS = ["date", "tried", "normalisation", "protocol", "inner_uar", "is_tested"]
BAR_COLUMNS = ["name", "value", "low", "high", "run"]


def field_rows(
    results: Sequence[Result], averaged: Sequence[Sequence[Result]] = ()
) -> pd.DataFrame:
    """Tabulate systems of ours for `literature.field_table`, one row a system.

    Each of `averaged` are systems of one protocol, whose averaged predictions have a row too.
    """
    rows = [
        (
            one.protocol_name,
            one.title,
            _size_of([one]),
            one.study.name in OURS,
            one.score,
            f"{one.score.n_seeds} seed{'s' * (one.score.n_seeds > 1)}",
            one.run,
        )
        for one in results
    ]
    for members in averaged:
        if len(members) > 1:
            score = score_ensemble([one.runs for one in members], members[0].clips)
            name = f"{len(members)} systems averaged †"
            note = f"{sum(len(one.runs) for one in members)} runs averaged"
            rows.append((members[0].protocol_name, name, _size_of(members), True, score, note, ""))
    return pd.DataFrame(
        {
            "protocol": protocol,
            "system": name,
            "whose": "ours" if is_ours else "published system, run here",
            "size": size,
            **{key: getattr(score, key) for key in ("wa", "wa_low", "wa_high")},
            **{"uar": score.uar, "low": score.uar_low, "high": score.uar_high},
            "note": note,
            "run": run,
        }
        for protocol, name, size, is_ours, score, note, run in rows
    )


def members_of(results: Sequence[Result]) -> list[Result]:
    """Return the systems that are averaged: the recipe, heads on its frames, fine-tuned blocks."""
    names = {("moonshine", "base"), *((one, "") for one in ("heads", "tuned"))}
    return [
        one for one in results if names & {(one.study.name, one.model.name), (one.study.name, "")}
    ]


def loso_results(corpus: str) -> list[Result]:
    """Return our systems that are stored with one speaker of a corpus left out at a time."""
    wanted = {"moonshine": ("base", "tiny"), "heads": ("convolutions",)}
    return [
        result
        for study, models in wanted.items()
        for result in stored_results(
            OURS[study], [(model, "loso", corpus) for model in models]
        ).values()
    ]


def _size_of(results: Sequence[Result]) -> str:
    """Write the size of encoders and their trained blocks, of a network, or of a feature vector."""
    model = results[0].model
    if "encoder" in model.features.params:
        names = {str(one.model.features.params["encoder"]) for one in results}
        # Trained blocks are kept beside the encoders' files, in single precision.
        trained = [one for one in results if family_of(one.model.config)[1].is_keras]
        n_bytes = sum(get_encoder(name).n_bytes for name in names)
        n_bytes += 4 * sum(map(_n_weights, trained))
        return f"{n_bytes / 1e6:.1f} MB"
    (result,) = results
    if not family_of(model.config)[1].is_keras:
        return f"{prod(feature_shape(model.features)):,} values a clip"
    n_weights = _n_weights(result)
    if n_weights < 1e6:
        return f"{n_weights / 1e3:.0f} k weights"
    return f"{n_weights / 1e6:.0f} M weights"


def _n_weights(result: Result) -> int:
    return count_weights(result.model, len(result.labels))


def encoder_table() -> pd.DataFrame:
    """Tabulate the registered encoders: origin, licence, size, and whether weights are present."""
    return pd.DataFrame(
        {
            "encoder": one.title,
            "origin": f"{one.origin}, {one.package.version}",
            "licence": one.licence,
            "size": f"{one.n_bytes / 1e6:.1f} MB",
            "sha256": one.sha256[:12],
            # Without the location, which is a path of this machine.
            "weights": inspect_encoder(one).state,
        }
        for one in ENCODERS.values()
    )


def _stored(study: Study, model: str, protocol: Protocol, clips: pd.DataFrame) -> Result | None:
    """Return the seeds that are stored of a model under a protocol, or None."""
    # Planning audits the split, which is slow: only where a folder has the name.
    prefix = f"{study.name}-{model}-{protocol.full_name}-s"
    folder = runs_dir(data.corpus_of(clips))
    seeds = [seed for seed in study.seeds if any(folder.glob(f"{prefix}{seed}-*"))]
    try:
        plans = [plan_run(study, model, protocol, seed, clips) for seed in seeds]
    except SplitError:  # named folds belong to their corpus
        return None
    runs = tuple(run for run in map(load_stored, plans) if run is not None)
    named = Result(study, study.model(model), protocol.full_name, runs, clips)
    return named if runs else None


def stored_results(
    study: Study, wanted: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], Result]:
    """Return those of several (model, protocol, corpus) of a study that are stored."""
    tables = {corpus: _clips_or_none(corpus) for corpus in {one[2] for one in wanted}}
    found = {
        (model, protocol, corpus): _stored(
            study, model, study.protocol(protocol, corpus), tables[corpus]
        )
        for model, protocol, corpus in wanted
        if tables[corpus] is not None
    }
    return {name: result for name, result in found.items() if result is not None}


@cache
def _clips_or_none(corpus: str) -> pd.DataFrame | None:
    try:
        return data.load_corpus(corpus, strict=False)
    except CorpusError:
        return None


def inner_uar(result: Result) -> float:
    """Mean over seeds and folds of the UAR that the choice had on inner folds, in [0, 1]."""
    history = result.history()
    return float(history[history["weight"] > 0].groupby("curve")["val_accuracy"].mean().mean())


def nested_choice(results: Sequence[Result]) -> tuple[Score, Counter[str]]:
    """Score what choosing among systems gives on speakers that had no say in the choice.

    In every fold and seed the system is taken whose own choice of layers did best on inner folds of
    its training speakers. All must have the same folds and seeds. Returns the score of their
    predictions together, and how often each system was taken, by its title.
    """
    inner = [
        one.history().query("weight > 0").groupby("curve")["val_accuracy"].mean() for one in results
    ]
    best = pd.concat(inner, axis=1, keys=range(len(results))).idxmax(axis=1)
    taken: Counter[str] = Counter()
    tables = []
    for number, run in enumerate(results[0].runs):
        parts = []
        for fold in run.predictions["fold"].unique():
            chosen = results[best[f"{fold}-{run.spec['seed']}"]]
            taken[chosen.model.title] += 1
            table = chosen.tables[number]
            parts.append(table[table["fold"] == fold])
        tables.append(pd.concat(parts, ignore_index=True))
    return score_predictions(tables, results[0].labels), taken


def transfer_table(results: Mapping[tuple[str, str, str], Result]) -> pd.DataFrame:
    """Tabulate results, one row each: the score on inner folds and that on test speakers."""
    return pd.DataFrame(
        {
            "corpus": one.corpus,
            "model": one.title,
            "protocol": one.protocol_name,
            "seeds": len(one.runs),
            "test clips": one.score.n_rows,
            "inner UAR": pct(inner_uar(one)),
            "UAR [95 %]": score_text(one.score, "uar"),
            "WA [95 %]": score_text(one.score, "wa"),
            "run": one.run,
        }
        for one in results.values()
    )


def ablation_table(results: Mapping[tuple[str, str, str], Result]) -> pd.DataFrame:
    """Return the UAR of each result in [0, 1], best first."""
    return _bars([(one.title, one.score, one.run) for one in results.values()])


def normalisation_table(results: Mapping[tuple[str, str, str], Result]) -> pd.DataFrame:
    """Return the UAR of results by what is known of a test speaker, from nothing to all clips."""
    order = ["", *(name for name in NORMALISATIONS if name != "all"), "all"]
    named = {one.protocol_name.partition("_norm_")[2]: one for one in results.values()}
    known = sorted(named, key=order.index)
    table = pd.DataFrame(
        [
            _bar(
                NORMALISATIONS[name].describes if name else "nothing",
                *(named[name].score, named[name].run),
            )
            for name in known
        ],
        columns=BAR_COLUMNS,
    )
    return table.assign(normalisation=known)


def _bar(name: str, score: Score, run: str) -> tuple[str, float, float, float, str]:
    return (name, score.uar, score.uar_low, score.uar_high, run)


def _bars(scores: Sequence[tuple[str, Score, str]]) -> pd.DataFrame:
    """Return scores, best first."""
    table = pd.DataFrame([_bar(*one) for one in scores], columns=BAR_COLUMNS)
    return table.sort_values("value", ascending=False, ignore_index=True)


def layer_curve(result: Result) -> pd.DataFrame:
    """Return the UAR of each single layer on inner folds; layer 0 is the encoder's front end.

    `uar, low, high` are mean, lowest and highest over seeds and outer folds; no test speaker is
    included. Raises `RunError` if the head tried sets of several layers.
    """
    history = result.history()
    layers = history["layers"].astype(str)
    if layers.str.contains(" ").any():
        raise RunError(f"{result.model.name} tried sets of layers; a curve needs single ones")
    by_layer = history.assign(layer=layers.astype(int)).groupby("layer")["val_accuracy"]
    table = by_layer.agg(["mean", "min", "max"]).reset_index()
    return table.set_axis(["layer", "uar", "low", "high"], axis=1)


def ensemble_bars(results: Mapping[tuple[str, str, str], Result]) -> pd.DataFrame:
    """Return the UAR of systems and of their averages, best first.

    A system's value is the mean over its seeds; where it has several, their averaged predictions
    have a row, and so has the average of all systems, each with the same weight.
    """
    scores = [(one.title, one.score, one.run) for one in results.values()]
    scores += [
        (f"{one.title}: {len(one.runs)} seeds averaged", averaged, "")
        for one in results.values()
        if len(one.runs) > 1 and (averaged := score_ensemble([one.runs], one.clips))
    ]
    if len(results) > 1:
        averaged = score_ensemble(
            [one.runs for one in results.values()], next(iter(results.values())).clips
        )
        every = "Both" if len(results) == 2 else f"All {len(results)}"
        scores.append((f"{every} systems averaged", averaged, ""))
    return _bars(scores)


def bar_text(bars: pd.DataFrame) -> pd.DataFrame:
    """Write bars as a table."""
    scores = [share_text(one) for one in bars[BAR_COLUMNS[1:4]].itertuples(index=False)]
    return pd.DataFrame(
        {"system": list(bars["name"]), "UAR [95 %]": scores, "run": list(bars["run"])}
    )


def further_records(
    alone: Mapping[tuple[str, str, str], Result],
    averaged: Sequence[Mapping[tuple[str, str, str], Result]],
) -> list[dict[str, object]]:
    """Return records of results under other protocols, and of averages of systems.

    `alone` are single systems; of each of `averaged`, all of one protocol, the seeds of each system
    and all systems are averaged as in `ensemble_bars`.
    """
    records: list[dict[str, object]] = [one.record() for one in alone.values()]
    for systems in averaged:
        groups = [[one] for one in systems.values() if len(one.runs) > 1]
        groups += [list(systems.values())] if len(systems) > 1 else []
        for group in groups:
            score = score_ensemble([one.runs for one in group], group[0].clips)
            first = group[0].record()
            same = ("corpus", "protocol", "is_as_published", "is_ours", "n_classes", "leaks")
            records.append(
                {name: first[name] for name in (*same, "n_clips", "published")}
                | {"study": "ensemble", "model": " + ".join(one.name for one in group)}
                | {"runs": [run.folder.name for one in group for run in one.runs]}
                | {"is_shortened": False, "seeds": [], **score_record(score)}
            )
    return [{**one, "is_further": True} for one in records]


def highest_tried(trials: pd.DataFrame, protocol: str) -> tuple[float, int]:
    """Return the highest UAR on test speakers in the log of trials, and how many there are.

    In [0, 1], of trials under a protocol that know nothing of the test speaker; NaN if none is.
    """
    is_blind = trials["normalisation"] == "none"
    told = trials.loc[is_blind & trials["protocol"].str.startswith(protocol), "tried"]
    found = told.str.extract(r"on test speakers (\d+\.\d)$")[0].dropna().astype(float) / 100
    return float(found.max()), len(found)


def best_bar(bars: pd.DataFrame) -> str:
    """Write the first bar with its value and interval; empty where there is none."""
    if not len(bars):
        return ""
    name, *interval, _ = bars[BAR_COLUMNS].iloc[0]
    return f"{name}, {share_text(interval)}"


def gain_table(
    results: Mapping[tuple[str, str, str], Result], pairs: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """Return what the first system of each pair of models gains over the second, in UAR.

    As `Results.difference` says, whose claims are the attribute `claims`; pairs of which one is not
    stored are left out.
    """
    by_model = {one.model.name: replace(one, protocol="honest") for one in results.values()}
    family = with_rivals(Results(tuple(by_model.values())))
    rows = [
        {
            "system": by_model[first].title,
            "baseline": by_model[second].title,
            **family.difference(by_model[first], by_model[second]),
        }
        for first, second in pairs
        if first in by_model and second in by_model
    ]
    table = pd.DataFrame(rows, columns=["system", "baseline", *COMPARISON_COLUMNS])
    shown = [points_text(one) for one in table[["difference", "low", "high"]].to_numpy()]
    table.attrs["claims"] = family.claims
    return table.assign(**{"points [95 %]": shown})


def read_trials(corpus: str) -> pd.DataFrame:
    """Read everything that was tried on a corpus, as strings; `inner_uar` is in percent."""
    path = report_dir(corpus) / "transfer" / "trials.csv"
    if not path.is_file():
        return pd.DataFrame(columns=TRIAL_COLUMNS, dtype=str)
    return pd.read_csv(path, keep_default_na=False, dtype=str)
