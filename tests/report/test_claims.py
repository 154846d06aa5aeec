"""Every comparing sentence of a committed report is computed again, from its stored predictions."""

from __future__ import annotations

import ast
import json
import re
from functools import cache

import nbformat
import numpy as np
import pandas as pd
import pytest

from ser_lib.evaluation.metrics import wa
from ser_lib.evaluation.significance import compare_tables, paired_tests
from ser_lib.paths import PROJECT_DIR
from ser_lib.report.build import chapter_paths

REPORTS = PROJECT_DIR / "reports"
Key = tuple[str, str, str, str]
WORDS = re.compile(
    r"clearly (above|below)|(?<!are )not distinguishable|level with|significant|outperform"
    r"|(better|worse|higher|lower) than (the|that|its|all) ",
)


@cache
def speakers_of(corpus: str) -> pd.Series:
    return pd.read_csv(REPORTS / corpus / "clips.csv").set_index("clip_id")["speaker"]


def tables_of(record: dict) -> list[pd.DataFrame]:
    """Predictions of a record's runs, with speakers."""
    corpus = record["runs_of"]
    tables = []
    for run in record["runs"]:
        path = REPORTS / corpus / "runs" / run / "predictions.csv"
        table = pd.read_csv(path, usecols=["clip_id", "truth", "prediction"])
        base = table["clip_id"].str.partition("#")[0]
        tables.append(table.assign(speaker=base.map(speakers_of(corpus))))
    return tables


def compute_again(records: list[dict]) -> dict[Key, dict]:
    """Every comparison that the records allow, by measure, corpus and both names."""
    found: dict[Key, dict] = {}
    tasks: dict[str, list[dict]] = {}
    steps: dict[tuple[str, str], list[dict]] = {}
    for one in records:
        if one["is_as_published"]:
            steps.setdefault((one["study"], one["runs_of"]), []).append(one)
        else:
            tasks.setdefault(one["task"], []).append(one)
    for family in tasks.values():
        systems = {f"{one['study']}/{one['model']}": tables_of(one) for one in family}
        for row in paired_tests(systems, labels_of(family[0])).to_dict("records"):
            found["uar", family[0]["runs_of"], row.pop("first"), row.pop("second")] = row
    honest = {
        (one["study"], one["model"], one["runs_of"]): one
        for one in records
        if not one["is_as_published"]
    }
    for (study, corpus), family in steps.items():
        pairs = [(tables_of(honest[study, one["model"], corpus]), tables_of(one)) for one in family]
        rows = compare_tables(pairs, labels_of(family[0]), metric=wa).to_dict("records")
        for one, row in zip(family, rows, strict=True):
            name = f"{study}/{one['model']}"
            found["wa", corpus, name, f"{name} as published"] = row
    return found


def labels_of(record: dict) -> list[str]:
    path = REPORTS / record["runs_of"] / "runs" / record["runs"][0] / "spec.json"
    return json.loads(path.read_text(encoding="utf-8"))["labels"]


def unsupported(claims: list[dict], computed: dict[Key, dict]) -> list[str]:
    """Name the claims whose verdict, or a number of theirs, is not what is computed."""
    bad = []
    for one in claims:
        key = (one["measure"], one["corpus"], one["first"], one["second"])
        sign = 1
        if key not in computed:
            key, sign = (*key[:2], key[3], key[2]), -1
        row = computed.get(key)
        if row is None:
            bad.append(f"{one['first']} and {one['second']} were not compared")
            continue
        turned = {"clearly above": "clearly below", "clearly below": "clearly above"}
        verdict = row["verdict"] if sign > 0 else turned.get(row["verdict"], row["verdict"])
        ends = (row["low"], row["high"]) if sign > 0 else (-row["high"], -row["low"])
        numbers = (sign * row["difference"], *ends, row["p"])
        said = [np.nan if one[k] is None else one[k] for k in ("difference", "low", "high", "p")]
        if verdict != one["verdict"] or not np.allclose(numbers, said, atol=1e-3, equal_nan=True):
            bad.append(f"{one['first']} is {one['verdict']} {one['second']}: it is {verdict}")
    return bad


@pytest.fixture(scope="module")
def records() -> list[dict]:
    found = json.loads((REPORTS / "ravdess" / "results.json").read_text(encoding="utf-8"))
    return [one | {"runs_of": one["corpus"]} for one in found if not one.get("is_further")]


@pytest.fixture(scope="module")
def claims() -> list[dict]:
    return json.loads((REPORTS / "ravdess" / "claims.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def computed(records) -> dict[Key, dict]:
    return compute_again(records)


def test_what_sentences_compare_is_what_the_predictions_say(claims, computed):
    assert len(claims) > 30
    assert unsupported(claims, computed) == []


def test_all_pairs_of_the_results_are_what_the_predictions_say(records, computed):
    names = {(one["task"], one["title"]): f"{one['study']}/{one['model']}"
             for one in records if not one["is_as_published"]}  # fmt: skip
    pairs = [
        {
            **pair,
            "measure": "uar",
            "corpus": one["runs_of"],
            "first": f"{one['study']}/{one['model']}",
            "second": names[one["task"], pair["against"]],
        }
        for one in records
        for pair in one.get("tests", ())
    ]
    assert len(pairs) == sum(key[0] == "uar" for key in computed)
    assert unsupported(pairs, computed) == []


@pytest.mark.parametrize(
    ("change", "value"),
    [("verdict", "not distinguishable from"), ("low", -0.9), ("second", "boucheta2025/svm2")],
)
def test_a_sentence_that_does_not_hold_is_found(claims, computed, change, value):
    first = next(one for one in claims if one["verdict"].startswith("clearly"))
    assert len(unsupported([first | {change: value}], computed)) == 1


def strings_of(source: str) -> list[str]:
    return [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@pytest.mark.parametrize("path", chapter_paths(), ids=str)
def test_no_verdict_of_two_systems_is_typed_in(path):
    cells = nbformat.read(path, as_version=4).cells
    findings = [one.source for one in cells if "findings" in one.metadata.get("tags", ())]
    typed = [text for source in findings for text in strings_of(source) if WORDS.search(text)]
    assert typed == []


@pytest.mark.parametrize("text", ["is clearly above the CNN", "lower than that of the SVM"])
def test_a_typed_verdict_is_found(text):
    assert any(map(WORDS.search, strings_of(f"findings(f'{{a}} {text}')")))
