"""The first page of the report, chapter 09: four answers, one figure, one table.

Everything is the accuracy (WA) in [0, 1], because that is what the authors print.
"""

from __future__ import annotations

from itertools import compress

import pandas as pd
from matplotlib.axes import Axes

from ser_lib.data import get_corpus, listener_accuracy
from ser_lib.data.corpus import Corpus
from ser_lib.data.pooled import Pool
from ser_lib.evaluation.formatting import joined, pct
from ser_lib.evaluation.significance import ABOVE, BELOW, LEVEL
from ser_lib.inference.bundle import Bundle
from ser_lib.inference.model_card import cross_corpus_figures
from ser_lib.plots import style
from ser_lib.studies import OURS
from support.comparison import Task, differences_of
from support.literature import figures_for

COLUMNS = "name kind printed rerun unseen low high is_elsewhere run".split()
PEOPLE_COLOUR = "#009E73"

# Above this loss of accuracy on other recordings a user is told to test first.
TOLERATED_LOSS = 0.05


def title_of(card: Corpus | Pool, clips: pd.DataFrame) -> str:
    """Name a corpus; of a pool, also the members that its clips lack."""
    missing = [get_corpus(one).title.partition(" (")[0] for one in clips.attrs.get("missing", ())]
    return f"{card.title} (without {joined(missing)})" if missing else card.title


def first_rows(steps: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Return what the first page compares, one row a published model, then ours and others'.

    Parameters
    ----------
    steps : pandas.DataFrame
        From `Results.ladder`, of published models; of each the first row counts.
    task : Task
        Whose best system, best published rival and listeners are added.
    """
    home = task.first.corpus
    rows = [
        (
            f"{one.name.split(chr(10))[0]}, {one.study}"
            f"{'' if one.corpus == home else f' ({one.corpus})'}, {one.n_classes} classes",
            "published",
            *(one.published, one.leaking, one.honest, one.honest_low, one.honest_high),
            *(one.corpus != home, one.run),
        )
        for one in steps.drop_duplicates(["study", "model"]).itertuples()
    ]
    best, nothing = task.best, float("nan")
    score, n_classes = best.score, len(task.labels)
    if best.study.name in OURS:
        name = f"{task.name_of(best)}, ours, {n_classes} classes"
        interval = score.wa_low, score.wa_high
        rows.append((name, "ours", nothing, nothing, score.wa, *interval, False, best.run))
    for one in _rivals(task).head(1).itertuples():
        name = f"{one.system}, others, {n_classes} classes"
        rows.append((name, "rival", one.wa, *[nothing] * 4, False, ""))
    if people := listener_accuracy(home, task.labels):
        name = f"listeners, {n_classes} classes"
        rows.append((name, "listeners", nothing, nothing, sum(people) / 2, *people, False, ""))
    return pd.DataFrame(rows, columns=COLUMNS)


def _count(n_rivals: int) -> str:
    return f"{n_rivals} rival{'' if n_rivals == 1 else 's'}"


def _rivals(task: Task) -> pd.DataFrame:
    """Return what others published for the task, the highest WA first."""
    found = figures_for(task.first.corpus, task.labels, task.first.protocol_name)
    is_theirs = ~found["is_measured"]
    return found[is_theirs].dropna(subset="wa").sort_values("wa", ascending=False)


def first_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Write the rows of the first page."""
    names = {"printed": "printed, %", "rerun": "their protocol here, %", "unseen": "unseen, %"}
    shown = rows[["name", *names, "low", "high", "run"]].rename(columns={"name": "system", **names})
    shown = shown.dropna(axis="columns", how="all")
    numbers = shown.columns[1:-1]
    texts = (100 * shown[numbers]).map("{:.1f}".format).replace("nan", "–")
    return shown.assign(**texts)


def answers(
    steps: pd.DataFrame,
    task: Task,
    tests: pd.DataFrame,
    costs: pd.DataFrame,
    bundle: Bundle,
    *,
    is_main: bool = True,
) -> list[tuple[str, str, str]]:
    """Answer four questions: question, answer, and the name of the table that shows it.

    `is_main` says whether the task is the one that the chapter ranks and draws.
    """
    best, published = task.best, steps.drop_duplicates(["study", "model"])
    name = task.name_of(best)
    pairs = differences_of(tests[tests["task"] == task.title], name)
    level = [name, *pairs.loc[pairs["verdict"] == LEVEL, "name"]]
    shares = [one.score.wa for one in task.results if task.name_of(one) in level]
    known = costs[(costs["task"] == task.title) & costs["name"].isin(level)]
    smallest = f", smallest: {known.loc[known['n_bytes'].idxmin(), 'name']}" if len(known) else ""
    shown, leading = pct(best.score.wa), f"{name} is above its {_count(len(pairs))} here"
    if len(level) > 1:
        shown = f"{pct(min(shares))} to {pct(max(shares))}"
        leading = f"{len(level)} of {len(task.results)} systems are level"
    rivals = "".join(
        f" Highest published, also unseen: {pct(one.wa)}, {one.system}."
        for one in _rivals(task).head(1).itertuples()
    )
    score, n_below = best.score, int((pairs["verdict"] == ABOVE).sum())
    fallen = published["verdict"] == BELOW
    own = cross_corpus_figures(bundle)
    own = own[own["voice"] == "new"] if len(own) else own
    home, lowest = bundle.card["score"]["wa"], own["accuracy_share"].min() if len(own) else 0.0
    at_home = f", at home in {pct(home, digits=0)}"
    if bundle.card.get("is_for_strangers"):  # which has no home; what is best here is at home
        home, at_home = best.score.wa, ""
    speech = {get_corpus(one).speech for one in own["corpus"]} - {""} if len(own) else ()
    how = f"{joined(sorted(speech))} speech of " if speech else ""
    is_worse = lowest < home - TOLERATED_LOSS
    return [
        (
            "Which system is best?",
            f"{leading}, {shown} right on unseen speakers{smallest}.{rivals}",
            "others" if is_main else "all-scores",
        ),
        (
            "How sure is that?",
            f"{name}: {pct(score.wa)}, with an interval over {score.n_speakers} speakers from "
            f"{pct(score.wa_low)} to {pct(score.wa_high)}; clearly above {n_below} of "
            f"{_count(len(pairs))}.",
            "best-pairs" if is_main else "pairs",
        ),
        (
            "What went wrong in the published ones?",
            f"{int(published['is_speaker_known'].sum())} of {len(published)} models knew test "
            f"speakers from training. On unseen ones {int(fallen.sum())} clearly fall; median "
            f"accuracy {pct(published['leaking'].median())} by their protocols, "
            f"{pct(published['honest'].median())} on unseen speakers.",
            "ladder",
        ),
        (
            "Can I use it on my recordings?",
            f"{'Not without your own test' if is_worse else 'Yes'}: on "
            f"{how}{joined(list(own['title'].str.split(' ').str[0]))} the shipped model is right "
            f"in {joined([pct(one, digits=0) for one in own['accuracy_share']])}{at_home}."
            if len(own)
            else "It was tested on no other corpus.",
            "elsewhere",
        ),
    ]


# Of the rows of the first page that are no published model, in words.
KINDS = {
    "ours": "ours",
    "rival": "others' (printed for unseen speakers)",
    "listeners": "listeners'",
}


# What is to be known of them.
NOTES = {
    "ours": "The best of ours, by UAR, was selected on these test speakers (†). ",
    "rival": "What others printed is of unseen speakers. ",
}


def notes(rows: pd.DataFrame) -> str:
    """Return what the table of `first_rows` has to say of its rows."""
    return "".join(note for kind, note in NOTES.items() if kind in set(rows["kind"]))


def describe(rows: pd.DataFrame, title: str) -> dict[str, str]:
    """Return caption and alternative text of the figure of `first_rows`; `title` of the corpus."""
    more = [words for kind, words in KINDS.items() if kind in set(rows["kind"])]
    shown = zip(rows["name"], rows["unseen"].fillna(rows["printed"]), strict=True)
    return {
        "caption": "Accuracy as printed, under the authors' protocol here, and on unseen speakers, "
        f"with 95 % intervals by speaker{f'; then {joined(more)}' if more else ''}. {title}"
        f"{', unless a row names another corpus' if rows['is_elsewhere'].any() else ''}. Numbers: "
        "unseen, or else printed. Compare rows of equally many classes only.",
        "alt": f"{len(rows)} rows of accuracy, on unseen speakers or else as printed: "
        + "; ".join(f"{name} {pct(share, digits=0)}" for name, share in shown)
        + ".",
    }


def plot_first_page(rows: pd.DataFrame, *, is_narrow: bool = False) -> Axes:
    """Draw printed, re-run and unseen accuracy, one row a system, 16 to 9.

    For a phone, narrow, names stand above their rows.
    """
    ax = style.axes_or_new(None, (3.6, 0.9 + 0.42 * len(rows)) if is_narrow else (8.8, 4.95))
    colours = {"listeners": PEOPLE_COLOUR}
    for place, row in enumerate(rows.itertuples()):
        known = [100 * one for one in (row.printed, row.rerun, row.unseen) if pd.notna(one)]
        ax.plot([min(known), max(known)], [place] * 2, color="#bbbbbb", linewidth=1, zorder=0)
        if pd.notna(row.unseen):
            colour = colours.get(row.kind, style.HONEST_COLOUR)
            values = tuple(100 * one for one in (row.unseen, row.low, row.high))
            style.draw_interval(ax, place, values, colour=colour, size=6.5)
        ax.plot(100 * row.rerun, place - 0.2, "s", color=style.LEAKING_COLOUR, markersize=5)
        ax.plot(100 * row.printed, place + 0.2, "D", color=style.PUBLISHED_COLOUR, markersize=5)
        said = row.unseen if pd.notna(row.unseen) else row.printed
        style.write_right_of(ax, 101, place, f"{100 * said:.0f}", distance=0, size=8.5)
    marks = [
        ("D", style.PUBLISHED_COLOUR, "printed"),
        ("s", style.LEAKING_COLOUR, "their protocol, here"),
        ("o", style.HONEST_COLOUR, "unseen speakers"),
        ("o", PEOPLE_COLOUR, "listeners"),
    ]
    is_there = rows["printed"].notna().any(), True, True, "listeners" in set(rows["kind"])
    for marker, colour, name in compress(marks, is_there):
        ax.plot([], [], marker, color=colour, markersize=6, label=name)
    style.name_rows(ax, rows["name"], size=8)
    ax.set(xlim=(0, 106), xlabel="Accuracy (WA, %)")
    ax.set_xticks(range(0, 101, 20))
    ax.legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1.0), columnspacing=1.2)
    if is_narrow:
        ax.set(yticks=[], ylim=(len(rows) - 0.6, -0.9))
        for place, name in enumerate(rows["name"]):
            ax.text(0, place - 0.34, name, size=7.5, va="bottom", color="#555555")
        ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0), columnspacing=1.2)
    return ax
