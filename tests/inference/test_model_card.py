"""Model cards: every figure is one of the bundle's facts, as text and as tables."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ser_lib.inference.bundle import find_bundle, load_bundle
from ser_lib.inference.model_card import (
    LIMITS,
    card_text,
    cross_corpus_figures,
    cross_corpus_table,
    left_out_table,
)

SHARES = {
    "uar": 0.25,
    "uar_low": 0.2,
    "uar_high": 0.3,
    "accuracy_share": 0.5,
    "confidence": 0.625,
    "coverage_share": 0.75,
    "answered_accuracy_share": 0.5,
    "unlike_share": 1.0,
}
TESTED = {
    "corpus": "emodb",
    "title": "EmoDB",
    "n_clips": 24,
    "n_speakers": 6,
    "new_voice": SHARES,
    "known_voice": SHARES | {"uar": 0.75},
    "mixed_known_voice": SHARES | {"coverage_share": 0.0, "answered_accuracy_share": None},
}
HOME = ["moonshine-ravdess", "cnn-ravdess"]
STRANGERS = "moonshine-strangers"


@pytest.fixture
def tested(small_bundle):
    known = {"known_voice": {"n_clips": 3}, "mixed_known_voice": {"n_clips": 10}}
    return replace(small_bundle, card=known | {"elsewhere": [TESTED]})


def test_other_corpora_have_a_row_for_each_voice(small_bundle, tested):
    assert cross_corpus_figures(small_bundle).empty
    assert cross_corpus_table(small_bundle).empty
    figures = cross_corpus_figures(tested)
    assert list(figures["uar"]) == [0.25, 0.75, 0.25]
    assert figures["voice"].iloc[0] == "new"
    assert [int(re.search(r"\d+", one)[0]) for one in figures["voice"].iloc[1:]] == [3, 10]
    # Chapter 10 writes its findings from these.
    assert set(figures["title"]) == {"EmoDB"}
    assert {"n_clips", "accuracy_share", "confidence", "unlike_share"} <= set(figures)


def test_without_an_answer_none_of_them_is_right(tested):
    table = cross_corpus_table(tested)
    assert list(table["of these right"]) == ["50.0 % of 18", "50.0 % of 18", "–"]


def test_a_card_holds_the_table_of_other_corpora(tested, small_bundle):
    text = card_text(tested)
    assert "| emodb | 24, 6 | new | 25.0 % [20.0 %, 30.0 %] | 50.0 % | 62.5 % |" in text
    assert "| 75.0 % [" in text
    assert "emodb" not in card_text(small_bundle)
    assert all(one in text for one in LIMITS)


def test_recordings_of_ones_own_are_not_called_acted(small_bundle):
    mine = {"title": "Mine", "licence": "none", "citation": "none", "speech": ""}
    text = card_text(replace(small_bundle, card={**small_bundle.card, "corpora": [mine]}))
    assert LIMITS[0] not in text
    assert all(one in text for one in LIMITS[1:])
    assert LIMITS[0] in card_text(small_bundle)


def numbers(text: str) -> list[str]:
    return re.findall(r"\d[\d.,]*", text)


@pytest.mark.parametrize("name", [STRANGERS, *HOME])
def test_the_committed_cards_say_what_the_code_says(name):
    """The words may have been corrected since: all figures and limits are the same."""
    folder = find_bundle(name)
    bundle = load_bundle(folder)
    committed, ours = (folder / "README.md").read_text(encoding="utf-8"), card_text(bundle)
    assert numbers(committed) == numbers(ours)
    assert all(one in committed for one in LIMITS)
    recalls = [line for line in ours.splitlines() if line.startswith("| ") and "[" not in line]
    assert [line for line in committed.splitlines() if line in recalls] == recalls
    right = bundle.card["selection"]["accuracy_of_all_share"]
    assert abs(bundle.card["confidence"] - right) < 0.05


@pytest.mark.parametrize("name", HOME)
def test_the_committed_bundles_warn_on_other_corpora(name):
    figures = cross_corpus_figures(load_bundle(find_bundle(name)))
    new = figures[figures["voice"] == "new"]
    assert list(new["corpus"]) == ["emodb", "tess"]
    assert (new["confidence"] > new["accuracy_share"]).all()
    assert (new["unlike_share"] > 0.9).all()


def test_the_committed_bundle_for_strangers_was_trained_on_none_of_those_that_it_is_tested_on():
    card = load_bundle(find_bundle(STRANGERS)).card
    assert card["corpus"] == "languages_open"
    assert [one["corpus"] for one in card["elsewhere"]] == ["tess", "ased", "turev"]
    assert not any("TESS" in one["title"] for one in card["corpora"])
    trained = ["emodb", "emospeech_in", "nemo", "ravdess"]
    for facts in (card, card["known_room"], card["mixed_known_voice"]):
        assert [one["corpus"] for one in facts["left_out"]] == trained
    for one in card["elsewhere"]:
        for known in ("new_voice", "known_room", "mixed_known_voice"):
            assert one[known]["set_coverage_share"] > 0.87


def test_a_card_for_strangers_shows_every_corpus_that_was_left_out(tested):
    one = {"corpus": "nemo", "n_clips": 600, "uar": 0.5, "accuracy_share": 0.25, "confidence": 0.75}
    one |= {"set_coverage_share": 0.875, "set_size": 3.25}
    known = {"n_clips": 30, "left_out": [one]}
    card = {"left_out": [one], "known_room": known, "is_for_strangers": True, "elsewhere": [TESTED]}
    text = card_text(replace(tested, card={**tested.card, **card}))
    for voice in ("new", "known, 30 unlabelled clips of the room"):
        assert f"| nemo | 600 | {voice} | 50.0 % | 25.0 % | 75.0 % | 87.5 % | 3.2 |" in text
    assert left_out_table(tested).empty
