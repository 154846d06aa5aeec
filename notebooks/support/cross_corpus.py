"""Strangers: each corpus left out in turn, and every corpus trained on and tested by every other.

`left_out` reads stored runs under `leave_corpus_out`. `transfer_matrix` trains one linear head a
pair, of which nothing is chosen: mean and spread of layers 1 to 6, one penalty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ser_lib.data import CLIP_COLUMNS, get_corpus, load_committed_clips
from ser_lib.data.corpus import corpora_of
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.pooled import LANGUAGES
from ser_lib.data.splits import csv_of_rows, rows_of
from ser_lib.evaluation.metrics import confusion_counts, uar
from ser_lib.evaluation.selective import answer_limit, answer_sets
from ser_lib.features.extraction import extract
from ser_lib.models.ridge_head import MIN_SPREAD, solve_ridge
from ser_lib.paths import report_dir, runs_dir
from ser_lib.plots import style
from ser_lib.runs.results import Result, collect
from ser_lib.runs.store import Run, cached_result, read_run, require_audio
from ser_lib.studies.moonshine import BASE_ONE_SPEED, MOONSHINE

LAYERS = slice(1, 7)
PENALTY = 1.0


@dataclass(frozen=True)
class Way:
    """What is known of a corpus beforehand, without labels, and the model for that."""

    name: str
    normalisation: str = ""
    model: str = "strangers_speech_known"


NEW, ROOM, VOICE = "nothing", "room: 30 clips", "voice: 10 clips"
WHOLE = "; whole clips"  # as they are, of layers 1 to 6
WAYS = (
    Way(f"{NEW}: ridge regression", model="base_one_speed"),
    Way(f"{NEW}{WHOLE}", model="strangers"),
    Way(f"{NEW}; layers 1 to 6", model="strangers_speech"),
    Way(NEW, model="strangers_first"),
    Way("room: 10 clips", "room10"),
    Way(f"{ROOM}{WHOLE}", "room30", "strangers_known"),
    Way(ROOM, "room30"),
    Way("room: 100 clips", "room100"),
    Way("room: all clips", "room_all"),
    Way(f"{VOICE}{WHOLE}", "voice10", "strangers_known"),
    Way(VOICE, "voice10"),
)


def committed_clips() -> pd.DataFrame:
    """Return the committed clips of all corpora of several languages that are here, without audio.

    Empty where there are fewer than three.
    """
    names = [
        one.name for one in LANGUAGES.members if (report_dir(one.name) / "clips.csv").is_file()
    ]
    if len(names) < 3:
        return pd.DataFrame(columns=list(CLIP_COLUMNS))
    tables = [load_committed_clips(one) for one in names]
    for one in tables:
        one.attrs = {}  # pandas compares them when it joins tables
    return pd.concat(tables).sort_values("clip_id", ignore_index=True)


def corpora_table(clips: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the corpora of a clip table, with language and source, as their cards have them."""
    cards = [get_corpus(one) for one in sorted(clips["corpus"].unique())]
    ours = clips.groupby("corpus")
    return pd.DataFrame(
        {
            "corpus": [one.name for one in cards],
            "language": [one.language for one in cards],
            "speech": [one.speech or "–" for one in cards],
            "clips": ours.size().to_numpy(),
            "speakers": ours["speaker"].nunique().to_numpy(),
            "source": [one.citation for one in cards],
        }
    )


def left_out(clips: pd.DataFrame, ways: Sequence[Way] = WAYS) -> dict[str, tuple[Result, ...]]:
    """Gather the stored runs under `leave_corpus_out`, one result a corpus, by the name of the way.

    A way is left out unless every corpus of the clips was left out.
    """
    found = {}
    for way in ways:
        suffix = f"_norm_{way.normalisation}" if way.normalisation else ""
        runs: dict[str, list[Run]] = {}
        # Not by `collect`: to divide ten thousand clips for every run anew takes a minute, and that
        # these are runs of this code and of these clips is tested where they are committed.
        pattern = f"{MOONSHINE.name}-{way.model}-leave_corpus_out{suffix}-s*/predictions.csv"
        for path in sorted(runs_dir("languages").glob(pattern)):
            run = read_run(path.parent)
            runs.setdefault(run.spec["protocol_params"]["test"], []).append(run)
        if runs and set(runs) == set(corpora_of(clips)):
            model = MOONSHINE.model(way.model)
            found[way.name] = tuple(
                Result(MOONSHINE, model, f"leave_{one}_out{suffix}", tuple(runs[one]), clips)
                for one in sorted(runs)
            )
    return found


def left_out_table(found: Mapping[str, Sequence[Result]]) -> pd.DataFrame:
    """Tabulate what `left_out` gathered, one row a way and corpus.

    Columns: `known`, `corpus`, how many classes, clips, speakers and seeds; UAR and accuracy with
    intervals by speaker; `overconfidence`, mean confidence less accuracy; `coverage` and `set_size`
    of answer sets, whose limit is that of all other corpora.
    """
    rows = []
    for known, one in ((known, one) for known, results in found.items() for one in results):
        others, labels = pooled([other for other in found[known] if other is not one])
        others = others.assign(corpus=corpora_of(others))
        sets = answer_sets(one.pooled, one.labels, answer_limit(others, labels, by="corpus"))
        score, sure = one.score, one.pooled[[f"p_{label}" for label in one.labels]].max(axis=1)
        rows.append(
            {
                "known": known,
                "corpus": one.runs[0].spec["protocol_params"]["test"],
                "n_classes": len(one.labels),
                "n_clips": score.n_rows,
                "n_speakers": score.n_speakers,
                "n_seeds": score.n_seeds,
                **{name: getattr(score, name) for name in ("uar", "uar_low", "uar_high", "wa")},
                "overconfidence": float(sure.mean()) - score.wa,
                "coverage": sets["set_coverage_share"],
                "set_size": sets["set_size"],
            }
        )
    columns = (
        "known corpus n_classes n_clips n_speakers n_seeds uar uar_low uar_high wa overconfidence "
        "coverage set_size"
    )
    return pd.DataFrame(rows, columns=columns.split())


def means_of(table: pd.DataFrame) -> pd.DataFrame:
    """Average `left_out_table` over corpora, each weighing the same: one row a way."""
    ways = table.groupby("known", sort=False)
    mean = ways[["uar", "overconfidence", "coverage", "set_size", "n_classes"]].mean()
    spread = ways["uar"].std().rename("spread")
    least = ways["coverage"].min().rename("least_coverage")
    gap = ways["overconfidence"].agg(lambda one: one.abs().max()).rename("largest_gap")
    return pd.concat([ways["n_seeds"].first(), mean, spread, least, gap], axis=1)


def at_home() -> tuple[Result, ...]:
    """Return what is stored of the head of the home bundle on RAVDESS, on unseen speakers."""
    if not (report_dir("ravdess") / "clips.csv").is_file():
        return ()
    clips = load_committed_clips("ravdess")
    asked = {"models": ["base_low"], "protocols": ["honest"], "stored_only": True}
    return collect(MOONSHINE, clips, **asked).all


def pooled(results: Sequence[Result]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Join the predictions of all corpora left out; classes that one lacks have probability 0."""
    labels = tuple(dict.fromkeys(label for one in results for label in one.labels))
    joined = pd.concat([one.pooled for one in results], ignore_index=True)
    shares = [f"p_{label}" for label in labels]
    return joined.assign(**joined[shares].fillna(0.0)), labels


def confusion(results: Sequence[Result], labels: Sequence[str]) -> np.ndarray:
    """Count which class is taken for which, as if every corpus had a thousand clips."""
    counts = np.zeros((len(labels), len(labels)))
    for one in results:
        ours = confusion_counts(one.pooled["truth"], one.pooled["prediction"], labels)
        counts += 1000 * ours / ours.sum()
    return counts


def plot_ways(table: pd.DataFrame, ways: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Draw the UAR on every corpus left out, one line a corpus, by what is known of it."""
    corpora = list(dict.fromkeys(table["corpus"]))
    ax = style.axes_or_new(ax, (8.0, 1.2 + 0.62 * len(corpora)))
    colours = dict(zip(ways, style.SYSTEM_COLOURS, strict=False))
    shown = table[table["known"].isin(ways)]
    for row in shown.itertuples():
        height = corpora.index(row.corpus) + 0.24 * (list(ways).index(row.known) - 1)
        values = 100 * row.uar, 100 * row.uar_low, 100 * row.uar_high
        label = row.known if row.corpus == corpora[0] else None
        style.draw_interval(ax, height, values, colour=colours[row.known], label=label)
    chance = shown.drop_duplicates("corpus").set_index("corpus")["n_classes"]
    for height, one in enumerate(corpora):
        ax.plot([100 / chance[one]] * 2, [height - 0.4, height + 0.4], **style.CHANCE_STYLE)
    style.name_rows(ax, corpora)
    ax.set(xlim=(0, 100), xlabel="UAR (%)")
    if corpora:
        ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0), title="Known beforehand")
    return ax


def misuse_table() -> pd.DataFrame:
    """Read what clips of a room gained or cost bundles that can adapt (`tools.measure_rooms`).

    One row a kind of reference: the number of sets, the mean and the worst change in points of UAR,
    without the guard of `ser predict --room` and with it. Empty where nothing is stored.
    """
    path = report_dir("languages") / "transfer" / "rooms.csv"
    columns = "reference n_sets mean_points worst_points guarded_mean_points guarded_worst_points"
    if not path.is_file():
        return pd.DataFrame(columns=columns.split())
    sets = pd.read_csv(path)
    kinds = sets.groupby(sets["reference"].str.partition(":")[0], sort=False)
    free, guarded = kinds["gain_whole_points"], kinds["gain_points"]
    found = [free.size(), free.mean(), free.min(), guarded.mean(), guarded.min()]
    return pd.concat(found, axis=1).reset_index().set_axis(columns.split(), axis=1)


def transfer_matrix(clips: pd.DataFrame, *, is_room_known: bool = False) -> pd.DataFrame:
    """Train on each corpus alone and test on every other one; UAR in [0, 1] over shared classes.

    Parameters
    ----------
    clips : pandas.DataFrame
        Of several corpora.
    is_room_known : bool
        Whether the mean of each corpus's own clips is taken out first, without their labels.

    Returns
    -------
    pandas.DataFrame
        Trained on by row, tested on by column; NaN on the diagonal, and where fewer than two
        classes are shared.
    """
    rows = rows_of(clips, LABEL_SETS["seven"])
    identity = {
        "features": BASE_ONE_SPEED.identity(),
        "rows": csv_of_rows(rows),
        "is_room_known": is_room_known,
        "penalty": PENALTY,
    }

    def compute() -> dict[str, dict[str, float]]:
        require_audio(clips, "the matrix is not stored")
        tables = [one for _, one in clips.groupby("corpus", sort=False)]
        arrays = np.concatenate([extract(one, BASE_ONE_SPEED)[:, 0, LAYERS] for one in tables])
        place = pd.Series(range(len(clips)), index=pd.concat(tables)["clip_id"])
        flat = arrays.reshape(len(arrays), -1).astype(np.float32)[place[rows["clip_id"]]]
        corpora = corpora_of(rows)
        if is_room_known:
            for one in corpora.unique():
                flat[corpora == one] -= flat[corpora == one].mean(axis=0)
        names = sorted(corpora.unique())
        return {
            train: {
                test: _transfer(flat, rows["label"], corpora == train, corpora == test)
                for test in names
                if test != train
            }
            for train in names
        }

    stored = cached_result(report_dir("languages") / "transfer", identity, compute, name="matrix")
    return pd.DataFrame(stored, dtype=float).T.sort_index().sort_index(axis=1)


def _transfer(
    flat: np.ndarray, labels: pd.Series, is_train: pd.Series, is_test: pd.Series
) -> float | None:
    """Train a linear head on some rows and return its UAR on others, over the shared classes."""
    shared = sorted(set(labels[is_train]) & set(labels[is_test]))
    if len(shared) < 2:
        return None
    train, test = (flat[one & labels.isin(shared)] for one in (is_train, is_test))
    truth = labels[is_train & labels.isin(shared)]
    mean, spread = train.mean(axis=0), np.maximum(train.std(axis=0), MIN_SPREAD)
    train, test = (train - mean) / spread, (test - mean) / spread
    targets = (truth.to_numpy()[:, np.newaxis] == np.array(shared)).astype(np.float32)
    ((dual, offset),) = solve_ridge(train @ train.T, targets, (PENALTY,))
    said = np.array(shared)[(test @ (train.T @ dual) + offset).argmax(axis=1)]
    return float(uar(confusion_counts(labels[is_test & labels.isin(shared)], said, shared)))
