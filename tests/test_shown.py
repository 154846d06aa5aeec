"""What objects say of themselves in a notebook: at most ten lines, and a table in HTML."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from ser_lib import data
from ser_lib.data.splits import Protocol
from ser_lib.inference.predictor import Predictor
from ser_lib.runs.results import collect
from ser_lib.runs.runner import plan_run
from ser_lib.shown import MAX_LINES, brief, short
from ser_lib.studies import OURS, STUDIES


@pytest.fixture(scope="module")
def results(few_clips, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SER_CACHE", "SER_REPORTS"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        return collect(
            STUDIES["boucheta2025"], few_clips, models=["dummy"], protocols=["loso"], n_seeds=1
        )


def objects(results, few_clips, small_bundle):
    study = STUDIES["boucheta2025"]
    plan = plan_run(study, "knn", Protocol("loso"), 1, few_clips)
    (result,) = results.all
    return [
        *STUDIES.values(),
        *OURS.values(),
        *study.models,
        *data.CORPORA.values(),
        *(plan, plan.division, plan.split, plan.split.folds[0]),
        *(results, result, result.runs[0], result.score),
        *(small_bundle, Predictor(small_bundle)),
    ]


def test_every_public_object_shows_itself_in_ten_lines_and_as_html(
    results, few_clips, small_bundle
):
    for one in objects(results, few_clips, small_bundle):
        text = repr(one)
        assert len(text.splitlines()) <= MAX_LINES, text
        assert max(map(len, text.splitlines())) <= 140, text
        assert type(one).__name__ in one._repr_html_()


def test_html_is_escaped_and_what_is_empty_takes_no_line():
    @short
    @dataclass
    class Card:
        name: str
        rows: pd.DataFrame
        none: tuple = ()
        array: object = None

    card = Card("a < b", pd.DataFrame({"x": [1, 2]}), array=np.zeros((3, 4)))
    assert repr(card).splitlines() == [
        "Card",
        "  name: a < b",
        "  rows: DataFrame, 2 × 1",
        "  array: ndarray, 3 × 4",
    ]
    assert "a &lt; b" in card._repr_html_()


@pytest.mark.parametrize(
    ("value", "said"),
    [(tuple("abcdefghij"), "10: a, b, c, d, e, f, g, h, …"), ({"a": 1}, "{'a': 1}"), (1.5, "1.5")],
)
def test_values_are_brief(value, said):
    assert brief(value) == said
    assert len(brief("word " * 100)) <= 90
