"""Counts and resamples of speakers, variance components; intervals are tested with the scores."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from ser_lib.errors import MetricError
from ser_lib.evaluation.bootstrap import (
    class_numbers,
    counts_by_speaker,
    interval_of,
    resample_speakers,
    resampled,
    variance_parts,
)
from ser_lib.evaluation.metrics import uar

LABELS = ("neutral", "happy", "sad")


@pytest.fixture
def table(rng) -> pd.DataFrame:
    names = np.array(LABELS)
    return pd.DataFrame(
        {
            "speaker": rng.choice(["s1", "s2", "s3"], 90),
            "truth": names[rng.integers(0, 3, 90)],
            "prediction": names[rng.integers(0, 3, 90)],
        }
    )


def test_counts_are_those_of_scikit_learn_speaker_by_speaker(table):
    counts, speakers = counts_by_speaker([table, table[::-1]], LABELS)
    assert speakers == ["s1", "s2", "s3"]
    for number, name in enumerate(speakers):
        part = table[table["speaker"] == name]
        expected = confusion_matrix(part["truth"], part["prediction"], labels=LABELS)
        np.testing.assert_array_equal(counts[0, number], expected)
        np.testing.assert_array_equal(counts[1, number], expected)


def test_a_speaker_whom_one_seed_lacks_counts_nothing_there(table):
    counts, _ = counts_by_speaker([table, table[table["speaker"] != "s2"]], LABELS)
    assert counts[0, 1].sum() > 0
    assert counts[1, 1].sum() == 0


def test_a_resample_draws_as_many_speakers_as_there_are(rng):
    weights = resample_speakers(7, 200, seed=3)
    np.testing.assert_array_equal(weights.sum(axis=1), 7)
    # Each of 7 is drawn once on average; four standard errors of 200 resamples.
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=4 / np.sqrt(200))


def test_scores_of_resamples_are_those_of_a_loop(table):
    counts, _ = counts_by_speaker([table, table], LABELS)
    weights = resample_speakers(3, 20, seed=1)
    naive = [
        np.mean([uar(sum(n * one for n, one in zip(row, seed, strict=True))) for seed in counts])
        for row in weights
    ]
    np.testing.assert_allclose(resampled(counts, weights, uar), naive, atol=1e-12)


def test_an_interval_leaves_one_in_forty_at_each_end():
    assert interval_of(np.arange(41.0)) == pytest.approx((1, 39))
    assert interval_of(np.append(np.arange(41.0), np.nan)) == pytest.approx((1, 39))


def test_an_unknown_class_is_named():
    with pytest.raises(MetricError, match="rage"):
        class_numbers(["sad", "rage", "rage"], LABELS)


@pytest.mark.parametrize(("kept", "value"), [("s1", "s1"), ("nobody", "no predictions")])
def test_one_speaker_or_none_is_refused(table, kept, value):
    with pytest.raises(MetricError, match=value):
        counts_by_speaker([table[table["speaker"] == kept]], LABELS)


# --- variance components


def test_the_mean_squares_are_those_of_statsmodels(rng):
    scores = (
        rng.normal(0.5, 0.1, (6, 1)) + rng.normal(0, 0.05, (1, 4)) + rng.normal(0, 0.03, (6, 4))
    )
    speaker, seed = np.indices(scores.shape).reshape(2, -1)
    table = pd.DataFrame({"y": scores.ravel(), "speaker": speaker, "seed": seed})
    squares = anova_lm(ols("y ~ C(speaker) + C(seed)", table).fit())["mean_sq"]
    parts = variance_parts(scores)
    assert parts.rest == pytest.approx(squares["Residual"], rel=1e-9)
    of_speaker = (squares["C(speaker)"] - squares["Residual"]) / 4
    of_seed = (squares["C(seed)"] - squares["Residual"]) / 6
    assert parts.speaker == pytest.approx(of_speaker, rel=1e-9)
    assert parts.seed == pytest.approx(of_seed, rel=1e-9)


# Of the effects of 20 speakers, of 8 seeds, and of the rest.
SHAPES = ((20, 1), (1, 8), (20, 8))


@pytest.mark.parametrize("planted", [(0.12, 0.03, 0.05), (0.02, 0.1, 0.05), (0.0, 0.0, 0.05)])
def test_planted_variances_are_found_on_average(rng, planted):
    sd = np.array(planted)
    found = []
    for _ in range(300):
        effects = [rng.normal(0, one, size) for one, size in zip(sd, SHAPES, strict=True)]
        parts = variance_parts(0.6 + sum(effects))
        found.append((parts.speaker, parts.seed, parts.rest))
    # Estimates cut off at 0 lie a little high; the tolerance is about four standard errors.
    np.testing.assert_allclose(np.mean(found, axis=0), sd**2, rtol=0.13, atol=2e-4)


def test_the_parts_of_the_mean_add_up_to_what_repeats_of_the_study_show(rng):
    means, summed = [], []
    for _ in range(1500):
        scores = (
            rng.normal(0, 0.1, (10, 1)) + rng.normal(0, 0.06, (1, 5)) + rng.normal(0, 0.08, (10, 5))
        )
        means.append(scores.mean())
        summed.append(sum(variance_parts(scores).of_mean.values()))
    # 0.1**2 / 10 + 0.06**2 / 5 + 0.08**2 / 50
    assert np.var(means) == pytest.approx(0.001848, rel=0.12)
    assert np.mean(summed) == pytest.approx(0.001848, rel=0.06)


def test_scores_that_never_differ_have_no_variance():
    parts = variance_parts(np.full((4, 3), 0.5))
    assert (parts.speaker, parts.seed, parts.rest) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("shape", [(5, 1), (1, 5), (5,)])
def test_one_seed_or_one_speaker_cannot_be_divided(shape):
    with pytest.raises(MetricError, match=re.escape(f"{shape}")):
        variance_parts(np.zeros(shape))


def test_a_missing_score_is_refused():
    with pytest.raises(MetricError):
        variance_parts(np.array([[0.1, np.nan], [0.2, 0.3]]))
