"""The log of all that was tried on a corpus on the way to a system, failures too.

One file a corpus, `reports/<corpus>/transfer/trials.csv`, to which lines are added and never taken
away: who reads a result can see how many others were looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import prod
from pathlib import Path

import pandas as pd
from filelock import FileLock

from ser_lib import data
from ser_lib.data.enrolment import NORMALISATIONS
from ser_lib.data.splits import Protocol
from ser_lib.errors import CorpusError, RunError, SplitError
from ser_lib.evaluation.formatting import pct, points, score_text, share_text
from ser_lib.evaluation.metrics import Score, difference_interval
from ser_lib.features.encoders.registry import ENCODERS, get_encoder, inspect_encoder
from ser_lib.features.extraction import feature_shape
from ser_lib.models import family_of, n_parameters
from ser_lib.paths import atomic_path, cache_dir, report_dir, runs_dir
from ser_lib.runs.results import Result, score_ensemble
from ser_lib.runs.runner import is_stored, plan_run, run_or_load
from ser_lib.studies.study import Study

# Others on RAVDESS's eight classes, on speakers never heard: system, size, protocol, UAR, source.
PROBES = "hsn07pk/ravdess-speaker-independent-ser"
FIELD = (
    ("ResLSTM-SA, from scratch", "47 k weights", "luna5", 0.623, "Mak-Sim/ResLSTM-SER"),
    ("Whisper-large-v3, frozen", "1.5 B weights", "emobox6", 0.753, "EmoBox, Table 4"),
    ("WavLM-L, frozen", "317 M weights", "loso", 0.813, PROBES),
    ("XLS-R 300M, frozen", "317 M weights", "loso", 0.819, PROBES),
    ("Whisper-large-v3, frozen", "1.5 B weights", "loso_norm_all", 0.891, PROBES),
)


def field_table(
    results: Mapping[tuple[str, str, str], Result],
    averaged: Sequence[Mapping[tuple[str, str, str], Result]] = (),
) -> pd.DataFrame:
    """Lay systems of others and ours out by protocol: only within one can they be compared.

    Parameters
    ----------
    results : mapping
        From `stored_results`; those on RAVDESS are shown.
    averaged : sequence of mapping
        Each of one protocol, on encoders: what these say together has a row as well.

    Returns
    -------
    pandas.DataFrame
        Strings.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    rows = [
        {"protocol": protocol, "system": system, "size": size, "UAR": pct(uar), "source": source}
        for system, size, protocol, uar, source in FIELD
    ]
    ours = [
        (protocol, one.model.title, _size_of([one]), one.score)
        for (_, protocol, corpus), one in results.items()
        if corpus == "ravdess"
    ]
    for some in averaged:
        members = [one for (_, _, corpus), one in some.items() if corpus == "ravdess"]
        if len(members) > 1:
            score = score_ensemble([one.runs for one in members], members[0].clips)
            name = f"{len(members)} systems averaged"
            ours.append((members[0].protocol_name, name, _size_of(members), score))
    known = {row["protocol"] for row in rows}
    rows += [
        {
            "protocol": protocol,
            "system": f"{name}, here",
            "size": size,
            "UAR": score_text(score, "uar"),
            "source": "stored runs",
        }
        for protocol, name, size, score in ours
        if protocol in known
    ]
    return pd.DataFrame(rows).sort_values("protocol", kind="stable", ignore_index=True)


def _size_of(results: Sequence[Result]) -> str:
    """Tell the size of encoders and what stands on them, of a network, or of a clip's values."""
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
    return f"{_n_weights(result) / 1e3:.0f} k weights"


def _n_weights(result: Result) -> int:
    model = result.model
    return n_parameters(model.config, feature_shape(model.features), len(result.labels))


def encoder_table() -> pd.DataFrame:
    """Lay the registered encoders out: whose they are, and whether their weights are here.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    return pd.DataFrame(
        {
            "encoder": one.title,
            "origin": f"{one.origin}, {one.package.version}",
            "licence": one.licence,
            "size": f"{one.n_bytes / 1e6:.1f} MB",
            "sha256": one.sha256[:12],
            # Not where: that is a path of the machine.
            "weights": inspect_encoder(one).state,
        }
        for one in ENCODERS.values()
    )


def _stored(study: Study, model: str, protocol: Protocol, clips: pd.DataFrame) -> Result | None:
    """Return the seeds that are stored of a model under a protocol, or None."""
    # A plan takes an audit: where no folder has the name, it would be for nothing.
    prefix = f"{study.name}-{model}-{protocol.full_name}-s"
    folder = runs_dir(data.corpus_of(clips))
    seeds = [seed for seed in study.seeds if any(folder.glob(f"{prefix}{seed}-*"))]
    try:
        plans = [plan_run(study, model, protocol, seed, clips) for seed in seeds]
    except SplitError:  # named folds belong to their corpus
        return None
    runs = tuple(run_or_load(plan, clips, is_fresh=False) for plan in plans if is_stored(plan))
    named = Result(study, study.model(model), protocol.full_name, runs, clips)
    return named if runs else None


def stored_results(
    study: Study, wanted: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], Result]:
    """Return those of several results that are stored; nothing is trained.

    Parameters
    ----------
    study : Study
        Whose.
    wanted : sequence of tuple of str
        Names of model, protocol and corpus.

    Returns
    -------
    dict of tuple of str to Result
        By the same names; what is not stored, or has no clip table here, is left out.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    tables = {corpus: _clips_or_none(corpus) for corpus in {one[2] for one in wanted}}
    found = {
        (model, protocol, corpus): _stored(
            study, model, study.protocol(protocol, corpus), tables[corpus]
        )
        for model, protocol, corpus in wanted
        if tables[corpus] is not None
    }
    return {name: result for name, result in found.items() if result is not None}


def _clips_or_none(corpus: str) -> pd.DataFrame | None:
    try:
        return data.load_corpus(corpus, strict=False)
    except CorpusError:
        return None


def inner_uar(result: Result) -> float:
    """Mean over seeds and folds of the UAR that the choice had on inner folds, in [0, 1]."""
    history = result.history()
    return float(history[history["weight"] > 0].groupby("curve")["val_accuracy"].mean().mean())


def transfer_table(results: Mapping[tuple[str, str, str], Result]) -> pd.DataFrame:
    """Lay results out: one row each, with the score on inner folds beside that on test speakers.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    return pd.DataFrame(
        {
            "corpus": one.corpus,
            "model": one.model.title,
            "protocol": one.protocol_name,
            "seeds": len(one.runs),
            "test clips": one.score.n_rows,
            "inner UAR": pct(inner_uar(one)),
            "UAR [95 %]": score_text(one.score, "uar"),
            "WA [95 %]": score_text(one.score, "wa"),
        }
        for one in results.values()
    )


def ablation_table(results: Mapping[tuple[str, str, str], Result]) -> pd.DataFrame:
    """Lay results out for `plot_scores`: `name, value, low, high`, UAR in [0, 1], best first.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    rows = [_bar(one.model.title, one.score) for one in results.values()]
    table = pd.DataFrame(rows, columns=["name", "value", "low", "high"])
    return table.sort_values("value", ascending=False, ignore_index=True)


def normalisation_table(results: Mapping[tuple[str, str, str], Result]) -> pd.DataFrame:
    """Lay results out by what is known of a test speaker: none first, all last.

    Returns
    -------
    pandas.DataFrame
        Columns `name, value, low, high` as for `plot_scores`, and `normalisation`, "" for none.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    order = ["", *(name for name in NORMALISATIONS if name != "all"), "all"]
    rows = []
    for one in results.values():
        name = one.protocol_name.partition("_norm_")[2]
        words = NORMALISATIONS[name].describes if name else "nothing"
        rows.append(_bar(words, one.score) | {"normalisation": name})
    return (
        pd.DataFrame(rows)
        .sort_values("normalisation", key=lambda column: column.map(order.index))
        .reset_index(drop=True)
    )


def _bar(name: str, score: Score) -> dict[str, object]:
    return {"name": name, "value": score.uar, "low": score.uar_low, "high": score.uar_high}


def layer_curve(result: Result) -> pd.DataFrame:
    """Tell how well each layer alone does on the inner folds of training speakers.

    Parameters
    ----------
    result : Result
        Of a head whose sets of layers are single ones.

    Returns
    -------
    pandas.DataFrame
        Columns `layer`, 0 for the encoder's front end, and `uar, low, high` in [0, 1]: mean, lowest
        and highest over seeds and outer folds. No test speaker is in it.

    Raises
    ------
    RunError
        If the head tried sets of several layers.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    history = result.history()
    layers = history["layers"].astype(str)
    if layers.str.contains(" ").any():
        raise RunError(f"{result.model.name} tried several layers together; a curve needs one each")
    by_layer = history.assign(layer=layers.astype(int)).groupby("layer")["val_accuracy"]
    table = by_layer.agg(["mean", "min", "max"]).reset_index()
    return table.set_axis(["layer", "uar", "low", "high"], axis=1)


def ensemble_bars(results: Mapping[tuple[str, str, str], Result]) -> pd.DataFrame:
    """Lay single systems and their ensemble out for `plot_scores`; each weighs the same in it.

    Parameters
    ----------
    results : mapping
        From `stored_results`, of one corpus under one protocol; of several studies, if need be.

    Returns
    -------
    pandas.DataFrame
        Columns `name, value, low, high`, best first. A system's value is the mean over its seeds;
        where it has several, their average answers have a row, and so have those of all systems.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    rows = [_bar(one.model.title, one.score) for one in results.values()]
    rows += [
        _bar(f"{one.model.title}: {len(one.runs)} seeds averaged", averaged)
        for one in results.values()
        if len(one.runs) > 1 and (averaged := score_ensemble([one.runs], one.clips))
    ]
    if len(results) > 1:
        systems = [one.runs for one in results.values()]
        averaged = score_ensemble(systems, next(iter(results.values())).clips)
        every = "Both" if len(systems) == 2 else f"All {len(systems)}"
        rows.append(_bar(f"{every} systems averaged", averaged))
    table = pd.DataFrame(rows, columns=["name", "value", "low", "high"])
    return table.sort_values("value", ascending=False, ignore_index=True)


def best_bar(bars: pd.DataFrame) -> str:
    """Name the first of bars with its value and interval; nothing where there is none.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    if not len(bars):
        return ""
    best = bars.iloc[0]
    return f"{best['name']}, {share_text((best['value'], best['low'], best['high']))}"


def gain_table(
    results: Mapping[tuple[str, str, str], Result], pairs: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """Tell what one system has over another, on the same speakers.

    Parameters
    ----------
    results : mapping
        As for `ensemble_bars`.
    pairs : sequence of tuple of str
        Names of models: what was changed, and what it is compared with.

    Returns
    -------
    pandas.DataFrame
        Columns `system`, `beside`, `points [95 %]` as words, and `points, low, high` in [-1, 1];
        pairs of which one is not stored are left out.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    by_model = {model: one for (model, _, _), one in results.items()}
    rows = []
    for first, second in pairs:
        if first in by_model and second in by_model:
            one, other = by_model[first], by_model[second]
            gain, low, high = difference_interval(one.tables, other.tables, one.labels)
            told = f"{points(gain)} [{points(low)}, {points(high)}]"
            rows.append((one.model.title, other.model.title, told, gain, low, high))
    names = ["system", "beside", "points [95 %]", "points", "low", "high"]
    return pd.DataFrame(rows, columns=names)


TRIAL_COLUMNS = ("date", "tried", "normalisation", "protocol", "inner_uar", "is_tested")


def _path(corpus: str) -> Path:
    return report_dir(corpus) / "transfer" / "trials.csv"


def read_trials(corpus: str) -> pd.DataFrame:
    """Read the table of all that was tried on a corpus; empty where there is none.

    Returns
    -------
    pandas.DataFrame
        `date, tried, normalisation, protocol, inner_uar, is_tested`, as words: UAR in percent on
        inner folds of training speakers, and whether test speakers were looked at.

    Raises
    ------
    RunError
        If the file has other columns.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    path = _path(corpus)
    if not path.is_file():
        return pd.DataFrame(columns=list(TRIAL_COLUMNS), dtype=str)
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    if tuple(table.columns) != TRIAL_COLUMNS:
        raise RunError(
            f"{path} has the columns {list(table.columns)}, not {list(TRIAL_COLUMNS)}; take it "
            "from git"
        )
    return table


def record_trial(
    corpus: str,
    tried: str,
    *,
    protocol: str,
    inner_uar: float | None,
    normalisation: str = "none",
    is_tested: bool = False,
) -> pd.DataFrame:
    """Add a line to the log, with today's date.

    Parameters
    ----------
    corpus : str
        Its name.
    tried : str
        What, in words: model, features, settings.
    protocol : str
        Which folds, and which of their inner folds.
    inner_uar : float or None
        UAR in [0, 1] on inner folds of training speakers; None where only test speakers were
        looked at.
    normalisation : str
        What was known of a speaker beforehand.
    is_tested : bool
        Whether test speakers were looked at.

    Returns
    -------
    pandas.DataFrame
        The whole log.

    Raises
    ------
    RunError
        If the words are missing, or the UAR is not in [0, 1].

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    if not tried.strip() or not protocol.strip():
        raise RunError(f"a trial needs words for what was tried and under which folds: {tried!r}")
    if inner_uar is not None and not 0 <= inner_uar <= 1:
        raise RunError(f"inner_uar={inner_uar} is no share in [0, 1]")
    percent = "" if inner_uar is None else f"{100 * inner_uar:.1f}"
    today = datetime.now(UTC).date().isoformat()
    line = (today, tried, normalisation, protocol, percent, str(is_tested))
    path = _path(corpus)
    # Two that end at once must not each take the other's line away.
    with FileLock(cache_dir() / f"trials-{corpus}.lock"):
        added = pd.DataFrame([line], columns=list(TRIAL_COLUMNS))
        table = pd.concat([read_trials(corpus), added], ignore_index=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False)
    return table
