"""The README's results are those of results.json, and nobody else's."""

from __future__ import annotations

import json

import pytest

from ser_lib.paths import PROJECT_DIR
from tools.update_readme import README, results_block, write_results_block

SCORE = {"wa": 0.881, "uar": 0.876, "uar_low": 0.861, "uar_high": 0.889, "is_ours": False}
SCORE |= {"corpus": "x", "protocol": "luna5", "seeds": [42, 43], "n_classes": 8}


def records(study, model, *, printed=None, wa=0.45, corpus="x", is_pair=True, **changes):
    """Return the records of a model as published, and honestly."""
    named = SCORE | {"study": study, "model": model, "corpus": corpus} | changes
    leaking = named | {"is_as_published": True, "published": printed}
    honest = named | {"is_as_published": False, "published": printed, "wa": wa}
    return [leaking, honest] if is_pair else [honest]


RECORDS = records("boucheta2025", "cnn", printed=0.725)
ROW = (
    "| 1D CNN, boucheta2025 | x, 8 classes, `luna5` | 72.5 % | 88.1 % | 45.0 % "
    "| 87.6 % [86.1, 88.9] |"
)


def rows(some):
    return results_block(some).splitlines()[2:]


def test_a_row_goes_from_the_printed_figure_to_the_honest_one():
    assert rows(RECORDS) == [ROW]


def test_a_model_without_an_honest_result_and_a_further_record_are_left_out():
    assert rows(RECORDS[:1]) == []
    assert rows([RECORDS[0], RECORDS[1] | {"is_further": True}]) == []


def test_corpora_are_not_mixed_up():
    there = records("boucheta2025", "cnn", printed=0.725, corpus="y", wa=0.225)
    first, second = rows([*RECORDS, *there])
    assert first == ROW
    assert second.startswith("| 1D CNN, boucheta2025 | y,")
    assert "| 22.5 % |" in second


def test_of_a_study_without_a_printed_figure_its_best_model_is_shown():
    some = [
        *records("iemocap5", "cnn"),
        *records("iemocap5", "cnn_bigru", uar=0.9),
        *records("boucheta2025", "svm", is_ours=True),
    ]
    (only,) = rows(some)
    assert only.startswith("| CNN-BiGRU, iemocap5 |")


def test_of_ours_the_best_and_the_shipped_are_shown_on_one_corpus():
    ours = [
        one
        for model, uar in (("base", 0.9), ("base_low", 0.8), ("base_mean", 0.7))
        for corpus in ("x", "y")
        for one in records("moonshine", model, uar=uar, corpus=corpus, is_pair=False)
    ]
    best, shipped = rows([*RECORDS, *ours])[1:]
    assert best.startswith("| **Moonshine base, two speeds** (ours) | x, ")
    assert shipped.startswith("| **Moonshine base, one speed, lower layers** (ours) | x, ")


def test_a_score_without_an_interval_says_none():
    (only,) = rows([RECORDS[0], RECORDS[1] | {"uar_low": None, "uar_high": None}])
    assert only.endswith("| 87.6 % |")


def test_only_the_block_of_the_corpus_is_replaced(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("a\n<!-- results:x -->\nold\n<!-- /results -->\nb\n", encoding="utf-8")
    assert not write_results_block("y", RECORDS, path=path)
    assert "old" in path.read_text(encoding="utf-8")
    assert write_results_block("x", RECORDS, path=path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("a\n<!-- results:x -->\n|")
    assert text.endswith("|\n<!-- /results -->\nb\n")
    assert "old" not in text


@pytest.mark.parametrize("path", sorted((PROJECT_DIR / "reports").glob("*/results.json")), ids=str)
def test_the_committed_readme_shows_the_committed_results(path):
    text = README.read_text(encoding="utf-8")
    if f"<!-- results:{path.parent.name} -->" in text:
        assert results_block(json.loads(path.read_text(encoding="utf-8"))) in text
