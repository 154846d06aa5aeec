"""The README's results are those of results.json, and nobody else's."""

from __future__ import annotations

import json

import pytest

from ser_lib.paths import PROJECT_DIR
from ser_lib.readme import README, results_block, write_results_block

SCORE = {"wa": 0.881, "uar": 0.876, "uar_low": 0.861, "uar_high": 0.889, "is_ours": False}
SCORE["corpus"] = "x"
RECORDS = [
    {"study": "s", "model": "m", "is_as_published": True, "published": 0.725} | SCORE,
    {"study": "s", "model": "m", "is_as_published": False, "published": None}
    | SCORE
    | {"wa": 0.45},
]
ROW = "| s | m | x | 72.5 % | 88.1 % | 45.0 % | 87.6 % [86.1, 88.9] |"


def test_a_row_goes_from_the_printed_figure_to_the_honest_one():
    assert results_block(RECORDS).splitlines()[-1] == ROW


def test_a_model_without_an_honest_result_is_left_out():
    assert ROW not in results_block(RECORDS[:1])


def test_corpora_are_not_mixed_up():
    there = [one | {"corpus": "y", "wa": one["wa"] / 2} for one in RECORDS]
    rows = results_block([*RECORDS, *there]).splitlines()[2:]
    assert rows[0] == ROW
    assert rows[1].startswith("| s | m | y | 72.5 % | 44.0 % | 22.5 % |")


def test_a_study_that_nobody_published_shows_its_first_model_once_a_corpus():
    ours = [
        RECORDS[1] | {"study": "o", "model": model, "is_ours": True, "corpus": corpus}
        for corpus in ("x", "y")
        for model in ("first", "second")
    ]
    rows = results_block([*RECORDS, *ours]).splitlines()[2:]
    assert [row.split(" | ")[1:3] for row in rows[1:]] == [
        ["first (ours)", "x"],
        ["first (ours)", "y"],
    ]
    assert " | – | – | 45.0 % | " in rows[1]


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
