"""The table of a model card's facts: what the card itself says."""

from __future__ import annotations

import pytest

from ser_lib.inference.bundle import find_bundle, load_bundle
from ser_lib.inference.model_card import card_text
from ser_lib.paths import PROJECT_DIR
from support.card import card_table, sources_of


@pytest.mark.parametrize("name", ["moonshine-strangers", "moonshine-ravdess", "cnn-ravdess"])
def test_the_table_says_what_the_card_says(name):
    bundle = load_bundle(find_bundle(name))
    table = card_table(bundle).set_index("what")["value"]
    whom = "corpora left out in turn" if name == "moonshine-strangers" else "unseen speakers"
    score = table[f"UAR on {whom}"].split(",")[0]
    assert all(one in card_text(bundle) for one in (table["stored run"], score))
    assert table["classes"] == ", ".join(bundle.labels)


@pytest.mark.parametrize(
    ("name", "n_seeds"),
    [("moonshine-strangers", ""), ("moonshine-ravdess", "the mean over 3 seeds")],
)
def test_a_mean_over_seeds_is_told_where_there_are_some(name, n_seeds, monkeypatch):
    monkeypatch.setenv("SER_REPORTS", str(PROJECT_DIR / "reports"))
    said, _ = sources_of(load_bundle(find_bundle(name)))
    assert (n_seeds in said) if n_seeds else said == ""
