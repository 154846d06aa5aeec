"""The README's results are those of results.json, and nobody else's."""

from __future__ import annotations

import json

import pytest

from ser_lib.paths import PROJECT_DIR
from tools.update_readme import README, results_block, write_results_block

SCORE = {"wa": 0.881, "uar": 0.876, "uar_low": 0.861, "uar_high": 0.889, "is_ours": False}
SCORE |= {"corpus": "x", "protocol": "luna5", "seeds": [42, 43], "n_classes": 8}
RECORDS = [
    {"study": "swart2025", "model": "m", "is_as_published": True, "published": 0.725} | SCORE,
    {"study": "swart2025", "model": "m", "is_as_published": False, "published": None}
    | SCORE
    | {"wa": 0.45},
]
SCORES = "45.0 % | 87.6 % [86.1, 88.9] | `luna5`, 8 classes, 2 seeds |"
ROW = f"| swart2025 | m | x | 72.5 % | 88.1 % | {SCORES}"


def _rows(records):
    """Return the rows of both tables, without their heads."""
    published, ours = results_block(records).split("\n\n")
    return published.splitlines()[2:], ours.splitlines()[2:]


def test_a_row_goes_from_the_printed_figure_to_the_honest_one():
    assert _rows(RECORDS)[0] == [ROW]


def test_a_model_without_an_honest_result_is_left_out():
    assert ROW not in results_block(RECORDS[:1])


def test_corpora_are_not_mixed_up():
    there = [one | {"corpus": "y", "wa": one["wa"] / 2} for one in RECORDS]
    rows, _ = _rows([*RECORDS, *there])
    assert rows[0] == ROW
    assert rows[1].startswith("| swart2025 | m | y | 72.5 % | 44.0 % | 22.5 % |")


def test_our_own_models_stand_by_their_titles_once_a_corpus_and_ablations_do_not():
    ours = [
        RECORDS[1] | {"study": "moonshine", "model": model, "corpus": corpus, "seeds": [42]}
        for corpus in ("x", "y")
        for model in ("base", "base_mean")
    ]
    published, rows = _rows([*RECORDS, *ours])
    assert published == [ROW]
    assert [row.split(" | ")[:2] for row in rows] == [
        ["| Moonshine base, two speeds", "x"],
        ["| Moonshine base, two speeds", "y"],
    ]
    assert rows[0].endswith(" | 45.0 % | 87.6 % [86.1, 88.9] | `luna5`, 8 classes, 1 seed |")


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
