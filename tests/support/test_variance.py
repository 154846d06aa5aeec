"""Variance components of scores: a second library's, planted ones, and what has none."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from ser_lib.errors import MetricError
from support.variance import variance_parts


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
