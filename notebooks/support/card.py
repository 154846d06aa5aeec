"""The facts of a bundle's model card as a table, for chapter 10."""

from __future__ import annotations

import pandas as pd

from ser_lib.evaluation.formatting import pct
from ser_lib.inference.bundle import Bundle
from ser_lib.inference.model_card import KNOWN_VOICES, calibration_text
from ser_lib.studies import OURS, STUDIES
from support.transfer import stored_results


def card_table(bundle: Bundle) -> pd.DataFrame:
    """Return the facts of a model card as a table, with the columns `what, value`."""
    card = bundle.card
    score, chosen = card["score"], card["selection"]
    recalls = sorted(card["recalls"].items(), key=lambda item: -item[1])
    whom = "corpora left out in turn" if card.get("is_for_strangers") else "unseen speakers"
    rows = {
        "model": bundle.title,
        "classes": ", ".join(bundle.labels),
        "licence of the recordings": ", ".join(one["licence"] for one in card["corpora"]),
        f"UAR on {whom}": f"{pct(score['uar'])} [{pct(score['uar_low'])}, "
        f"{pct(score['uar_high'])}], {score['n_rows']:,} clips of {score['n_speakers']} speakers",
        "best and worst recall": f"{recalls[0][0]} {pct(recalls[0][1])}, {recalls[-1][0]} "
        f"{pct(recalls[-1][1])}",
        "temperature": f"{bundle.temperature:.2f}",
        "calibration error": calibration_text(bundle),
        "not sure below": f"{pct(bundle.threshold)}: {pct(chosen['coverage_share'])} of "
        f"clips are answered, {pct(chosen['accuracy_share'])} of answers are right",
        **{
            f"UAR, {card[name]['n_clips']} {kind} known": f"{pct(card[name]['uar'])}, "
            f"without them on the same clips {pct(card[name]['uar_without'])}"
            for name, (kind, _) in KNOWN_VOICES.items()
            if name in card
        },
        "stored run": card["run"],
        "made": f"{card['made_with']['date']}, commit {card['made_with']['commit']}",
    }
    return pd.DataFrame({"what": list(rows), "value": list(rows.values())})


def sources_of(bundle: Bundle) -> tuple[str, list[str]]:
    """Say how figures of a card differ from those of the same system in other chapters.

    First, in brackets, from the mean over seeds; then, of encoders that were tested across
    languages, from a head trained on the classes that both corpora have. Nothing where the runs
    are not stored.
    """
    card = bundle.card
    study = {**STUDIES, **OURS}[card["study"]]
    wanted = [(card["model"], card["protocol"], card["corpus"])]
    means = "".join(
        f" (This is seed {card['seed']} alone; the mean over {len(one.runs)} seeds in other "
        f"chapters is {pct(one.score.uar)}.)"
        for one in stored_results(study, wanted).values()
        if len(one.runs) > 1
    )
    joint = []
    across = [("base_one_speed", "german", "pooled")] if study is OURS["moonshine"] else []
    for one in stored_results(study, across).values():
        for other in card.get("elsewhere", ()):
            if other["corpus"] == "emodb":
                joint.append(
                    f"Chapter 7 has a UAR of {pct(one.score.uar)} from English to German, where "
                    f"the bundle has {pct(other['new_voice']['uar'])} on EmoDB: there a head is "
                    f"trained on the {len(one.labels)} classes that both corpora have and tested "
                    f"on all their {one.score.n_rows:,} clips, here {len(bundle.labels)} classes "
                    f"can be answered, and the {other['n_clips']:,} clips are those by which no "
                    "voice was made known ([](#elsewhere))."
                )
    return means, joint
