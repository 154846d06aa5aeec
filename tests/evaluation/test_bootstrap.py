"""Counts and resamples of speakers; intervals are tested with the scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from ser_lib.errors import MetricError
from ser_lib.evaluation.bootstrap import (
    MIN_SPEAKERS,
    class_numbers,
    counts_by_speaker,
    interval_of,
    resample_speakers,
    resampled,
)
from ser_lib.evaluation.metrics import mean_recall, uar

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
    np.testing.assert_allclose(resampled(counts, weights, mean_recall), naive, atol=1e-12)


def test_an_interval_leaves_one_in_forty_at_each_end():
    assert interval_of(np.arange(41.0), 24) == pytest.approx((1, 39))
    assert interval_of(np.append(np.arange(41.0), np.nan), 24) == pytest.approx((1, 39))


def test_there_is_no_interval_over_few_speakers():
    assert np.isfinite(interval_of(np.arange(41.0), MIN_SPEAKERS)).all()
    assert np.isnan(interval_of(np.arange(41.0), MIN_SPEAKERS - 1)).all()


def test_an_unknown_class_is_named():
    with pytest.raises(MetricError, match="rage"):
        class_numbers(["sad", "rage", "rage"], LABELS)


@pytest.mark.parametrize(("kept", "value"), [("s1", "s1"), ("nobody", "no predictions")])
def test_one_speaker_or_none_is_refused(table, kept, value):
    with pytest.raises(MetricError, match=value):
        counts_by_speaker([table[table["speaker"] == kept]], LABELS)
