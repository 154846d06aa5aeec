"""Model cards: what a bundle is, how well it does, and what it must not be used for.

All figures come from the bundle's own facts, which come from its stored run; none is typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ser_lib.evaluation.formatting import pct
from ser_lib.inference.bundle import Bundle

if TYPE_CHECKING:
    import pandas as pd


# What holds for every bundle; the app and the notebook show the same sentences.
LIMITS = (
    "Acted speech: actors were asked to show an emotion. That is not how people sound when they "
    "feel one, and no test on actors says how well it does on people.",
    "The answer is what a voice sounds like to a model. It is not what somebody feels, means or "
    "intends, and says nothing about health, honesty or fitness for anything.",
    "Not for decisions about people: hiring, school, police, insurance, health, surveillance. The "
    "European Union's AI Act forbids emotion recognition at work and in education, but for "
    "medical reasons and safety.",
    "Few speakers, few languages, clean rooms: with other languages, accents, ages, microphones "
    "and noise it errs far more often, and is surer than it should be.",
)


# How a voice or room can be known: by which clips, and the option of `ser predict`.
KNOWN_VOICES = {
    "known_voice": ("neutral clips of the voice", "--speaker-reference"),
    "mixed_known_voice": ("unlabelled clips of the voice", "--speaker-clips"),
    "known_room": ("unlabelled clips of the room", "--room"),
}


def card_text(bundle: Bundle) -> str:
    """Write a bundle's model card, in Markdown, from the facts of its training."""
    card = bundle.card
    # Whether somebody's own recordings are acted is not known.
    is_known = any(one.get("speech", "acted") for one in card.get("corpora") or [{}])
    lines = [
        f"# {bundle.name}",
        "",
        f"{bundle.title}. Says which of {len(bundle.labels)} emotions a recording of speech sounds "
        f"like: {', '.join(bundle.labels)}.",
        "",
        "## What it is not",
        "",
        *(f"- {one}" for one in (LIMITS if is_known else LIMITS[1:])),
    ]
    if card.get("is_embedded"):
        lines += ["", "**Trained on synthetic voices: a demonstration, of no use on people.**"]
    if "score" in card:
        where = "corpora left out" if card.get("is_for_strangers") else "unseen speakers"
        lines += ["", f"## Performance on {where}", "", *_figures(bundle)]
    if card.get("left_out"):
        lines += ["", LEFT_OUT, "", *_rows_of(left_out_table(bundle))]
    if card.get("elsewhere"):
        said = f"{CROSS_CORPUS} {OF_STRANGERS}" if card.get("is_for_strangers") else CROSS_CORPUS
        lines += ["", "## Performance on other corpora", "", said, ""]
        lines += _rows_of(cross_corpus_table(bundle))
    lines += ["", "## How it was made", "", *_making(bundle)]
    return "\n".join(lines) + "\n"


def _rows_of(table: pd.DataFrame) -> list[str]:
    """Write a table as lines of Markdown."""
    rows = [table.columns, *table.itertuples(index=False)]
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return [head, "| --- " * len(table.columns) + "|", *body]


def _uar(score: Mapping[str, float]) -> str:
    from ser_lib.evaluation.bootstrap import MIN_SPEAKERS

    if (n_speakers := score.get("n_speakers", MIN_SPEAKERS)) < MIN_SPEAKERS:
        return f"{pct(score['uar'])} [{n_speakers} speakers: no interval]"
    return f"{pct(score['uar'])} [{pct(score['uar_low'])}, {pct(score['uar_high'])}]"


def _figures(bundle: Bundle) -> list[str]:
    card = bundle.card
    score, chosen = card["score"], card["selection"]
    lines = [
        f"Unweighted average recall {_uar(score)} (95 % interval by speaker), accuracy "
        f"{pct(score['wa'])}; chance is {pct(1 / len(bundle.labels))}. From run `{card['run']}`: "
        f"protocol `{card['protocol']}`, {score['n_rows']:,} clips of {score['n_speakers']} "
        "speakers, each predicted by a model that was trained on neither the clip nor the speaker. "
        "The model in this bundle was then trained on all of them.",
        "",
        "| emotion | recall |",
        "| --- | --- |",
        *(f"| {label} | {pct(card['recalls'][label])} |" for label in bundle.labels),
        "",
        f"Confidence: temperature {bundle.temperature:.2f}; expected calibration error "
        f"{calibration_text(bundle)}.",
        "",
        f"'not sure' below a confidence of {pct(bundle.threshold)}: on these clips "
        f"{pct(chosen['coverage_share'])} get an answer, and {pct(chosen['accuracy_share'])} of "
        f"the answers are right, where {pct(chosen['accuracy_of_all_share'])} were if all were "
        "answered (each fold with the threshold of the others).",
    ]
    for name, (kind, option) in KNOWN_VOICES.items():
        if known := card.get(name):
            lines += [
                "",
                f"With {known['n_clips']} {kind} known (`{option}`): unweighted "
                f"average recall {_uar(known)}, where it is {pct(known['uar_without'])} without "
                f"them on the same clips. From run `{known['run']}`.",
            ]
    return lines


def calibration_text(bundle: Bundle) -> str:
    """Say what the expected calibration error is, and with which temperature."""
    error = bundle.card["calibration_error"]
    before, after = pct(error["before"]), pct(error["after"])
    if bundle.card.get("is_for_strangers"):  # whose head has its temperature from these very clips
        return (
            f"{after} on corpora left out, each with the temperature of the others ({before} with "
            "the one temperature that is fitted on all of them)"
        )
    return f"{before} before, {after} after (each fold with the temperature of the others)"


LEFT_OUT = (
    "Each training corpus, as a stranger to a head that was trained on the others, any class being "
    "possible; temperature, and the limit of answer sets, are those of the others. 'Sure' is the "
    "mean confidence. A set of answers is made to hold the truth in nine of ten clips, on average "
    "over corpora such as these: of one new corpus, or one clip, nothing is guaranteed."
)
OF_STRANGERS = (
    "No clip of these corpora was trained on. They are no untouched test, though: that a room "
    "weighs half, from which distance on nothing is answered and which head a new voice gets were "
    "settled with them in view, and how heads for strangers are built was chosen in trials in "
    "which they were among the corpora left out. A class that a corpus does not have can be "
    "answered, and is wrong then."
)
CROSS_CORPUS = (
    "The bundle as it is, on corpora that it was not trained on: other speakers, rooms, "
    "microphones and sentences. Nothing was fitted on them; clips by which a voice is known are "
    "not counted. 'Sure' is the mean confidence, 'called unlike' the share of clips of which it "
    "warns; the number of directions in which they are compared was chosen once, with RAVDESS, "
    "EmoDB and TESS in view."
)


def cross_corpus_figures(bundle: Bundle) -> pd.DataFrame:
    """Return how a bundle does on other corpora, for unknown and for known voices.

    Returns
    -------
    pandas.DataFrame
        One row a corpus and voice: `corpus, title, n_clips, n_speakers, voice` ("new", or which
        clips of it are known) and the shares of `evaluate_cross_corpus`. No rows where the bundle
        was tested on no other corpus.
    """
    import pandas as pd

    rows = []
    for one in bundle.card.get("elsewhere", ()):
        facts = {name: one[name] for name in ("corpus", "title", "n_clips", "n_speakers")}
        rows.append(facts | {"voice": "new"} | one["new_voice"])
        for name in KNOWN_VOICES:
            if name in one:
                rows.append(facts | {"voice": _known(bundle, name)} | one[name])
    return pd.DataFrame(rows)


def left_out_table(bundle: Bundle) -> pd.DataFrame:
    """Return as text how heads did on each training corpus that was left out in turn."""
    import pandas as pd

    card, rows = bundle.card, []
    for name in ("new_voice", *KNOWN_VOICES):
        facts = card if name == "new_voice" else card.get(name, {})
        for one in facts.get("left_out", ()):
            what = "new" if name == "new_voice" else _known(bundle, name)
            rows.append({"known": what, **one})
    return pd.DataFrame(
        {
            "corpus": one["corpus"],
            "clips": f"{one['n_clips']:,}",
            "voice": one["known"],
            "UAR": pct(one["uar"]),
            "right": pct(one["accuracy_share"]),
            "sure": pct(one["confidence"]),
            **_set_columns(one),
        }
        for one in rows
    )


def _known(bundle: Bundle, name: str) -> str:
    return f"known, {bundle.card[name]['n_clips']} {KNOWN_VOICES[name][0]}"


def _set_columns(one: Mapping[str, Any]) -> dict[str, str]:
    """Format how often answer sets hold the truth, and their size; nothing without sets."""
    if not one.get("set_size", 0) > 0:
        return {}
    coverage = pct(one["set_coverage_share"])
    return {"sets that hold the truth": coverage, "answers in a set": f"{one['set_size']:.1f}"}


def _share_of_answers(one: Any) -> str:
    """Format the share of answers that are right, and their number; a dash without any."""
    n_answers = round(one.coverage_share * one.n_clips)
    return f"{pct(one.answered_accuracy_share)} of {n_answers:,}" if n_answers else "–"


def cross_corpus_table(bundle: Bundle) -> pd.DataFrame:
    """Return `cross_corpus_figures` as text, for people."""
    import pandas as pd

    return pd.DataFrame(
        {
            "corpus": one.corpus,
            "clips, speakers": f"{one.n_clips:,}, {one.n_speakers}",
            "voice": one.voice,
            "UAR": _uar(one._asdict()),
            "right": pct(one.accuracy_share),
            "sure": pct(one.confidence),
            "answered": pct(one.coverage_share),
            "of these right": _share_of_answers(one),
            "called unlike": pct(one.unlike_share),
            **_set_columns(one._asdict()),
        }
        for one in cross_corpus_figures(bundle).itertuples()
    )


def _making(bundle: Bundle) -> list[str]:
    card, made = bundle.card, bundle.card.get("made_with", {})
    lines = []
    for one in card.get("corpora", ()):
        lines.append(
            f"- Trained on {one['title']}, licence {one['licence']}. Whether weights trained on "
            "recordings are bound by the recordings' licence is not settled: keep to it. "
            f"{one['citation']}"
        )
    if "n_clips" in card:
        n_epochs = card.get("n_epochs")
        epochs = f", {n_epochs} epochs (the median of the folds' best)" if n_epochs else ""
        lines.append(
            f"- {card['n_clips']:,} clips of {card['n_speakers']} speakers"
            f"{epochs}, seed {card['seed']}."
        )
    if card.get("source"):
        lines.append(f"- The model is that of: {card['source']}")
    spec = bundle.features
    params = dict(sorted(spec.params.items())) or "defaults"
    lines.append(
        f"- Input: `{spec.name}` at {spec.sample_rate_hz:,} Hz, {params}, "
        f"shape {list(bundle.input_shape)}."
    )
    if bundle.encoder:
        lines.append(
            f"- Needs the weights of {bundle.encoder['name']} (sha256 {bundle.encoder['sha256']}), "
            f"which `ser data {bundle.encoder['name']}` fetches."
        )
    if made:
        versions = sorted(made["libraries"].items())
        libraries = ", ".join(f"{name} {number}" for name, number in versions)
        lines.append(
            f"- Made {made['date']} by ser_lib {made['ser_lib']} (commit {made['commit']}), Python "
            f"{made['python']}, {libraries}."
        )
    return lines
