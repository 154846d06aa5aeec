"""The one test: against enumeration written out, on planted differences, its error by chance."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ser_lib.errors import MetricError
from ser_lib.evaluation.bootstrap import MIN_SPEAKERS, counts_by_speaker
from ser_lib.evaluation.metrics import score_predictions, uar, wa
from ser_lib.evaluation.significance import (
    ABOVE,
    BELOW,
    LEVEL,
    TOO_FEW,
    check_same_task,
    compare_counts,
    compare_tables,
    mean_over_seeds,
    paired_tests,
    turned,
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


# --- the test


def shares_of(hits, n_clips: int = 20) -> np.ndarray:
    """Counts of one seed and two classes, both recognised equally often, by speaker."""
    right = np.asarray(hits)[:, np.newaxis, np.newaxis] * np.eye(2)
    wrong = (n_clips - np.asarray(hits))[:, np.newaxis, np.newaxis] * (1 - np.eye(2))
    return (right + wrong)[np.newaxis]


def test_the_test_is_that_of_all_signs_written_out(rng):
    # Of equal speakers the accuracy is linear: contributions are the speakers' own differences.
    hits = rng.integers(5, 18, size=(3, 7))
    hits[0] += 2
    pairs = [(0, 1), (0, 2), (1, 2)]
    found = compare_counts([(shares_of(hits[a]), shares_of(hits[b])) for a, b in pairs])
    own = np.array([(hits[a] - hits[b]) / 20 for a, b in pairs])
    centred = own - own.mean(axis=1, keepdims=True)
    largest = [
        max(abs(stats.ttest_1samp(np.array(signs) * one, 0).statistic) for one in centred)
        for signs in product((1, -1), repeat=7)
        if abs(sum(signs)) < 7
    ]
    for row, one in zip(found.itertuples(), own, strict=True):
        t = abs(stats.ttest_1samp(one, 0).statistic)
        # Each pattern and its mirror image count once, and the observed one is among them.
        p = (1 + sum(value >= t for value in largest) / 2) / 2**6
        assert row.difference == pytest.approx(one.mean())
        assert row.p == pytest.approx(p)
        width = sorted(largest)[-2 * int(0.05 * 2**6)]
        half = width * one.std(ddof=1) / np.sqrt(7)
        np.testing.assert_allclose((row.low, row.high), (one.mean() - half, one.mean() + half))


def test_interval_p_and_verdict_never_contradict_each_other(rng):
    for seed in range(20):
        counts = [shares_of(np.random.default_rng(seed).binomial(20, a, 12)) for a in (0.5, 0.6)]
        row = compare_counts([tuple(counts)]).iloc[0]
        excludes = row["low"] > 0 or row["high"] < 0
        assert excludes == (row["p"] <= 0.05) == (row["verdict"] != LEVEL)


def test_a_system_does_not_differ_from_itself(rng):
    table = system(rng)
    row = compare_tables([([table], [table])], LABELS).iloc[0]
    assert (row["difference"], row["low"], row["high"], row["p"]) == (0, 0, 0, 1)
    assert row["verdict"] == LEVEL


def test_a_difference_that_all_speakers_share_exactly_is_clear():
    first, second = shares_of([15] * 8), shares_of([12] * 8)
    row = compare_counts([(first, second)]).iloc[0]
    assert row["verdict"] == ABOVE
    assert row["low"] == row["high"] == pytest.approx(0.15)


def test_the_second_less_the_first_is_the_mirror_image(rng):
    one, other = shares_of(rng.binomial(20, 0.8, 9)), shares_of(rng.binomial(20, 0.5, 9))
    rows = compare_counts([(one, other)]), compare_counts([(other, one)])
    first, second = (table.iloc[0].to_dict() for table in rows)
    assert (first["verdict"], second["verdict"]) == (ABOVE, BELOW)
    back = turned(second)
    assert back["verdict"] == ABOVE
    for name in ("difference", "low", "high", "p"):
        assert back[name] == pytest.approx(first[name], abs=1e-12)


def test_a_larger_family_asks_for_more(rng):
    counts = [shares_of(rng.binomial(20, share, 10)) for share in (0.7, 0.55, 0.55, 0.55, 0.55)]
    pair = (counts[0], counts[1])
    others = [(a, b) for a in counts[1:] for b in counts[1:] if a is not b]
    alone, among = (compare_counts(one).iloc[0] for one in ([pair], [pair, *others]))
    assert among["difference"] == alone["difference"]
    assert among["p"] >= alone["p"]
    assert among["high"] - among["low"] > alone["high"] - alone["low"]


def test_seeds_that_vary_widen_the_interval(rng):
    steady = np.concatenate([shares_of([14, 13, 15, 12, 16, 14, 13])] * 3)
    moved = steady.copy()
    for number, shift in enumerate((-3, 0, 3)):
        moved[number] += shift * (np.eye(2) - (1 - np.eye(2)))
    against = np.concatenate([shares_of([10, 11, 10, 9, 12, 10, 9])] * 3)
    rows = [compare_counts([(one, against)]).iloc[0] for one in (steady, moved)]
    assert rows[0]["difference"] == pytest.approx(rows[1]["difference"])
    assert rows[1]["high"] - rows[1]["low"] > 2 * (rows[0]["high"] - rows[0]["low"])


def test_equal_systems_are_told_apart_as_seldom_as_it_says():
    """Of a family of ten pairs, 5 % may have a wrong verdict; twice that is the limit here."""
    wrong = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        skill = rng.uniform(0.4, 0.8, 10)
        counts = [shares_of(rng.binomial(20, skill)) for _ in range(5)]
        pairs = [(a, b) for n, a in enumerate(counts) for b in counts[n + 1 :]]
        wrong += (compare_counts(pairs)["verdict"] != LEVEL).any()
    assert wrong <= 10


@pytest.mark.parametrize("n_speakers", [2, MIN_SPEAKERS - 1])
def test_below_the_limit_there_is_a_difference_and_no_interval(rng, n_speakers):
    tables = [system(rng, n_speakers=n_speakers, accuracy=a) for a in (0.9, 0.3)]
    row = compare_tables([(tables[:1], tables[1:])], LABELS).iloc[0]
    assert row["difference"] > 0.2
    assert np.isnan([row["low"], row["high"], row["p"]]).all()
    assert row["verdict"] == TOO_FEW
    score = score_predictions(tables[:1], LABELS)
    assert score.uar > 0.5
    assert np.isnan([score.uar_low, score.uar_high, score.wa_low, score.wa_high]).all()


def test_from_the_limit_on_a_verdict_is_possible(rng):
    tables = [system(rng, n_speakers=MIN_SPEAKERS, accuracy=a) for a in (0.95, 0.3)]
    assert compare_tables([(tables[:1], tables[1:])], LABELS)["verdict"][0] == ABOVE
    assert 1 / 2 ** (MIN_SPEAKERS - 1) <= 0.05 < 1 / 2 ** (MIN_SPEAKERS - 2)


def test_what_is_hard_about_a_speaker_cancels_out(rng):
    own = rng.integers(4, 18, 10)
    row = compare_counts([(shares_of(own + 2), shares_of(own))]).iloc[0]
    assert row["low"] == row["high"] == pytest.approx(0.1)


def test_accuracy_weighs_clips_and_uar_classes(rng):
    tables = [[system(rng, accuracy=a) for _ in range(2)] for a in (0.7, 0.5)]
    counts = [counts_by_speaker(one, LABELS)[0] for one in tables]
    scores = [score_predictions(one, LABELS, n_resamples=10) for one in tables]
    for metric, name in ((uar, "uar"), (wa, "wa")):
        found = compare_counts([tuple(counts)], metric=metric)["difference"][0]
        assert found == pytest.approx(getattr(scores[0], name) - getattr(scores[1], name))


def test_systems_of_different_speakers_are_not_compared(rng):
    table = system(rng)
    with pytest.raises(MetricError, match="different speakers"):
        compare_tables([([table], [table[table["speaker"] > "s01"]])], LABELS)


# --- all pairs


@pytest.fixture
def systems(rng):
    return {
        "good": [system(rng, accuracy=0.8) for _ in range(3)],
        "fair": [system(rng, accuracy=0.55) for _ in range(2)],
        "same": [system(rng, accuracy=0.55)],
    }


def test_every_pair_is_tested_once(systems):
    tests = paired_tests(systems, LABELS)
    pairs = list(zip(tests["first"], tests["second"], strict=True))
    assert pairs == [("good", "fair"), ("good", "same"), ("fair", "same")]
    assert list(tests["verdict"]) == [ABOVE, ABOVE, LEVEL]
    assert list(tests["n_seeds"]) == [2, 1, 1]
    assert tests["low"][0] > 0.1


def test_one_system_has_no_pairs(systems):
    alone = paired_tests({"good": systems["good"]}, LABELS)
    assert len(alone) == 0
    assert {"difference", "verdict"} <= set(alone.columns)


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
        paired_tests({"a": [table], "b": [change(table)]}, LABELS)


def test_systems_on_one_speaker_only_are_refused(rng):
    table = system(rng, n_speakers=1)
    with pytest.raises(MetricError, match="s00"):
        paired_tests({"a": [table], "b": [table]}, LABELS)


def test_no_system_at_all_is_refused():
    with pytest.raises(MetricError):
        check_same_task({})
