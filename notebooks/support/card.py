"""The facts of a bundle's model card as a table, for chapter 10."""

from __future__ import annotations

import pandas as pd

from ser_lib.evaluation.formatting import pct
from ser_lib.inference.bundle import Bundle


def card_table(bundle: Bundle) -> pd.DataFrame:
    """Return the facts of a model card as a table, with the columns `what, value`."""
    card = bundle.card
    score, chosen, error = card["score"], card["selection"], card["calibration_error"]
    recalls = sorted(card["recalls"].items(), key=lambda item: -item[1])
    rows = {
        "model": bundle.title,
        "classes": ", ".join(bundle.labels),
        "licence of the recordings": ", ".join(one["licence"] for one in card["corpora"]),
        "UAR on unseen speakers": f"{pct(score['uar'])} [{pct(score['uar_low'])}, "
        f"{pct(score['uar_high'])}], {score['n_rows']:,} clips of {score['n_speakers']} speakers",
        "best and worst recall": f"{recalls[0][0]} {pct(recalls[0][1])}, {recalls[-1][0]} "
        f"{pct(recalls[-1][1])}",
        "temperature": f"{bundle.temperature:.2f}",
        "calibration error": f"{pct(error['before'])} before, {pct(error['after'])} after",
        "not sure below": f"{pct(bundle.threshold)}: {pct(chosen['coverage_share'])} of "
        f"clips are answered, {pct(chosen['accuracy_share'])} of answers are right",
        "stored run": card["run"],
        "made": f"{card['made_with']['date']}, commit {card['made_with']['commit']}",
    }
    return pd.DataFrame({"what": list(rows), "value": list(rows.values())})
