"""Verdicts on printed figures: how far shares differ by chance, and what follows from it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ser_lib.studies.study import PublishedFigure
from support.reproduction import reproduction_table, reproduction_text, share_margin, summary_text


def result(here, *, printed=0.8, n_rows=500, recall=0.8, differences=()):
    study = SimpleNamespace(
        name="study",
        differences=dict(differences),
        published_figures=(PublishedFigure("cnn", "recall", 0.8, "table 1", "sad"),),
    )
    return SimpleNamespace(
        study=study,
        model=SimpleNamespace(name="cnn", title="CNN"),
        published=printed,
        score=SimpleNamespace(wa=here, n_rows=n_rows, n_seeds=1),
        runs=(1,),
        run="a-s42",
        is_shortened=False,
        class_table=lambda: pd.DataFrame({"recall": [recall], "support": [200]}, index=["sad"]),
    )


def verdict_of(one):
    honest = SimpleNamespace(score=SimpleNamespace(wa=0.4))
    results = SimpleNamespace(protocol=lambda _: (one,), partner=lambda _: honest)
    table = reproduction_table(results)
    assert reproduction_text(table).loc[0, "fall from printed"] == "−40.0"
    assert summary_text(table).startswith("Printed figures: 1 ")
    return table.loc[0, "verdict"]


def test_two_shares_of_one_truth_differ_by_more_than_the_margin_in_a_twentieth_of_cases():
    rng = np.random.default_rng(0)
    first, second = rng.binomial(400, 0.7, 4000) / 400, rng.binomial(1200, 0.7, 4000) / 1200
    margins = [share_margin(pair, (400, 1200)) for pair in zip(first, second, strict=True)]
    assert np.mean(np.abs(first - second) > margins) == pytest.approx(0.05, abs=0.015)
    assert share_margin((0.7, 0.7), (400, 400), 8) > share_margin((0.7, 0.7), (400, 400))


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ({"here": 0.82}, "reproduced"),
        ({"here": 0.90}, "not reproduced"),
        ({"here": 0.70}, "not reproduced"),
        # The same distance on few rows is chance.
        ({"here": 0.90, "n_rows": 40}, "reproduced"),
        ({"here": 0.82, "recall": 0.5}, "partly"),
        ({"here": 0.82, "differences": {"cnn": "another network"}}, "partly"),
        ({"here": 0.90, "recall": 0.5}, "not reproduced"),
    ],
)
def test_the_verdict_follows_from_the_rows_the_classes_and_the_network(given, verdict):
    assert verdict_of(result(**given)) == verdict


def test_figures_of_a_corpus_that_cannot_be_had_are_listed_as_not_tested():
    results = SimpleNamespace(protocol=lambda _: ())
    table = reproduction_table(results)
    assert set(table["verdict"]) == {"not tested"}
    assert set(table["study"]) == {"iemocap5"}
    assert set(reproduction_text(table)["fall from printed"]) == {"–"}
