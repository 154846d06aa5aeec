"""Paired tests: against naive enumerations and second libraries, and on planted differences."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.contingency_tables import mcnemar

from ser_lib.errors import MetricError
from ser_lib.evaluation.bootstrap import counts_by_speaker
from ser_lib.evaluation.metrics import difference_interval
from ser_lib.evaluation.significance import (
    check_same_task,
    mcnemar_p,
    mean_over_seeds,
    paired_tests,
    speaker_scores,
    wilcoxon_p,
    with_holm,
)

LABELS = ("neutral", "happy", "sad", "angry")
NAMES = [f"p_{label}" for label in LABELS]


def system(rng, *, accuracy=0.6, n_speakers=12, n_clips=20) -> pd.DataFrame:
    """One seed: right with a probability, and as sure of it as dice say."""
    n_rows = n_speakers * n_clips
    truth = np.tile(np.arange(n_clips) % len(LABELS), n_speakers)
    is_right = rng.uniform(size=n_rows) < accuracy
    said = np.where(is_right, truth, (truth + rng.integers(1, 4, n_rows)) % len(LABELS))
    probabilities = rng.dirichlet(np.ones(4), n_rows) * 0.4 + 0.6 * np.eye(4)[said]
    table = pd.DataFrame(probabilities, columns=NAMES)
    table["clip_id"] = [f"c{number:04d}" for number in range(n_rows)]
    table["speaker"] = [f"s{number:02d}" for number in np.repeat(np.arange(n_speakers), n_clips)]
    table["truth"], table["prediction"] = np.array(LABELS)[truth], np.array(LABELS)[said]
    return table


# --- McNemar


@pytest.mark.parametrize(("n_first", "n_second"), [(3, 11), (10, 10), (0, 6), (1, 0)])
def test_mcnemar_is_the_coin_written_out(n_first, n_second):
    first = np.array([True] * n_first + [False] * n_second + [True] * 5)
    second = np.array([False] * n_first + [True] * n_second + [True] * 5)
    n_odd, least = n_first + n_second, min(n_first, n_second)
    naive = min(1.0, 2 * sum(comb(n_odd, k) for k in range(least + 1)) / 2**n_odd)
    assert mcnemar_p(first, second) == pytest.approx(naive, rel=1e-12)
    assert mcnemar_p(first, second) == pytest.approx(stats.binomtest(n_first, n_odd).pvalue)


def test_mcnemar_of_a_system_with_itself_is_one():
    hits = np.array([True, False, True])
    assert mcnemar_p(hits, hits) == 1.0


def test_mcnemar_of_equal_systems_is_small_as_seldom_as_it_says(rng):
    values = [mcnemar_p(*(rng.uniform(size=(2, 400)) < 0.6)) for _ in range(300)]
    # The exact test is a little careful; three standard errors of 300 trials are 4 %.
    assert np.mean(np.array(values) < 0.05) < 0.09


def test_mcnemar_of_systems_on_different_clips_is_refused():
    with pytest.raises(MetricError, match=r"3 .* 2 "):
        mcnemar_p(np.ones(3, dtype=bool), np.ones(2, dtype=bool))


# --- Wilcoxon


def test_wilcoxon_is_that_of_all_signs_written_out(rng):
    first, second = rng.uniform(size=(2, 8))
    difference = first - second
    ranks = stats.rankdata(np.abs(difference))
    observed = ranks[difference > 0].sum()
    middle = ranks.sum() / 2
    sums = np.array([np.dot(signs, ranks) for signs in product((0, 1), repeat=8)])
    naive = np.mean(np.abs(sums - middle) >= abs(observed - middle) - 1e-9)
    assert wilcoxon_p(first, second) == pytest.approx(naive, rel=1e-12)


def test_wilcoxon_of_a_system_with_itself_is_one():
    scores = np.array([0.5, 0.6, 0.7])
    assert wilcoxon_p(scores, scores) == 1.0


def test_speakers_on_whom_both_score_the_same_say_nothing():
    first = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.4])
    second = np.array([0.4, 0.5, 0.55, 0.6, 0.6, 0.35])
    more = np.append(first, [0.3, 0.3]), np.append(second, [0.3, 0.3])
    assert wilcoxon_p(*more) == pytest.approx(wilcoxon_p(first, second))
    assert wilcoxon_p(first, second) == pytest.approx(2 / 2**6)


def test_wilcoxon_over_different_speakers_is_refused():
    with pytest.raises(MetricError, match=r"2 .* 3 "):
        wilcoxon_p(np.ones(2), np.ones(3))


# --- Holm


def test_holm_is_the_formula_written_out():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    order = np.argsort(p)
    naive, highest = np.empty(4), 0.0
    for rank, position in enumerate(order):
        highest = max(highest, (4 - rank) * p[position])
        naive[position] = min(1.0, highest)
    found = with_holm(pd.DataFrame({"mcnemar_p": p, "wilcoxon_p": p[::-1]}))
    np.testing.assert_allclose(found["mcnemar_holm"], naive, rtol=1e-12)
    np.testing.assert_allclose(found["wilcoxon_holm"], naive[::-1], rtol=1e-12)


def test_holm_of_no_pair_is_empty():
    assert with_holm(pd.DataFrame({"mcnemar_p": [], "wilcoxon_p": []})).shape == (0, 4)


# --- one prediction a clip


def test_a_vote_is_the_mean_of_the_probabilities_clip_by_clip(rng):
    tables = [system(rng), system(rng).sample(frac=1, random_state=1)]
    vote = mean_over_seeds(tables, LABELS).set_index("clip_id")
    for clip in ("c0000", "c0101"):
        mean = sum(one.set_index("clip_id").loc[clip, NAMES].to_numpy(float) for one in tables) / 2
        np.testing.assert_allclose(vote.loc[clip, NAMES].to_numpy(float), mean, atol=1e-12)
        assert vote.loc[clip, "prediction"] == LABELS[int(mean.argmax())]


def test_the_vote_of_one_seed_is_its_own(rng):
    table = system(rng)
    pd.testing.assert_frame_equal(mean_over_seeds([table], LABELS), table)


# --- all pairs


@pytest.fixture
def systems(rng):
    # Of 13 speakers or fewer with ties, SciPy's Wilcoxon test goes through all signs: seconds.
    return {
        "good": [system(rng, accuracy=0.8, n_speakers=20) for _ in range(3)],
        "fair": [system(rng, accuracy=0.55, n_speakers=20) for _ in range(2)],
        "same": [system(rng, accuracy=0.55, n_speakers=20)],
    }


def test_every_pair_is_tested_once_with_the_interval_of_its_difference(systems):
    tests = paired_tests(systems, LABELS, n_resamples=300)
    pairs = list(zip(tests["first"], tests["second"], strict=True))
    assert pairs == [("good", "fair"), ("good", "same"), ("fair", "same")]
    for row in tests.itertuples():
        expected = difference_interval(
            systems[row.first], systems[row.second], LABELS, n_resamples=300
        )
        np.testing.assert_allclose((row.difference, row.low, row.high), expected, atol=1e-12)


def test_a_planted_difference_is_found_by_all_three_and_none_is_invented(systems):
    tests = with_holm(paired_tests(systems, LABELS, n_resamples=500))
    planted = tests.iloc[0]
    assert planted["low"] > 0.1
    assert planted[["mcnemar_holm", "wilcoxon_holm"]].max() < 0.01
    equal = tests.iloc[2]
    assert equal["low"] < 0 < equal["high"]
    assert equal[["mcnemar_holm", "wilcoxon_holm"]].min() > 0.05


def test_as_many_seeds_of_each_vote_as_the_one_with_fewer_has(systems):
    tests = paired_tests(systems, LABELS, n_resamples=50)
    assert list(tests["n_seeds"]) == [2, 1, 1]
    first, second = (systems[name][0] for name in ("good", "same"))
    hits, others = (one["truth"] == one["prediction"] for one in (first, second))
    table = pd.crosstab(hits, others).to_numpy()
    assert tests.loc[1, "mcnemar_p"] == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert tests.loc[1, "n_only_first"] == (hits & ~others).sum()
    assert tests.loc[1, "n_only_second"] == (others & ~hits).sum()


def test_a_speakers_score_is_its_uar_averaged_over_seeds(systems):
    counts, speakers = counts_by_speaker(systems["good"], LABELS)
    naive = np.mean(
        [
            [
                sk.recall_score(part["truth"], part["prediction"], average="macro")
                for _, part in table.groupby("speaker")
            ]
            for table in systems["good"]
        ],
        axis=0,
    )
    assert len(speakers) == 20
    np.testing.assert_allclose(speaker_scores(counts), naive, atol=1e-12)


def test_one_system_has_no_pairs(systems):
    alone = with_holm(paired_tests({"good": systems["good"]}, LABELS, n_resamples=10))
    assert len(alone) == 0
    assert {"difference", "wilcoxon_holm"} <= set(alone.columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[3:], r"\(3 .*c0000"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "b .*c0000"),
        (lambda t: t.assign(truth=t["truth"].replace("sad", "angry")), " 60 "),
        (lambda t: t[t["speaker"] == "s01"], r"\(\d+ .*c0"),
    ],
    ids=["missing clips", "folds that overlap", "another task", "one speaker"],
)
def test_systems_that_cannot_be_compared_are_refused(rng, change, message):
    table = system(rng)
    with pytest.raises(MetricError, match=message):
        paired_tests({"a": [table], "b": [change(table)]}, LABELS, n_resamples=10)


def test_systems_on_one_speaker_only_are_refused(rng):
    table = system(rng, n_speakers=1)
    with pytest.raises(MetricError, match="s00"):
        paired_tests({"a": [table], "b": [table]}, LABELS, n_resamples=10)


def test_no_system_at_all_is_refused():
    with pytest.raises(MetricError):
        check_same_task({})
