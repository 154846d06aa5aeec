"""Errors that one can look at: counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.errors import MetricError
from support.error_analysis import clip_hits, expected_misses, most_confident_mistakes

LABELS = ("happy", "sad")


def test_hits_are_counted_clip_by_clip(vote):
    hits = clip_hits({"a": vote([1, 1, 0, 0]), "b": vote([1, 0, 1, 0])[::-1]})
    assert list(hits.loc[[f"emodb/c{n}" for n in range(4)], "n_right"]) == [2, 1, 1, 0]


def test_clips_that_a_system_was_not_given_are_left_out_and_none_is_refused(vote):
    few = vote([1, 1, 1]).iloc[1:]
    assert list(clip_hits({"a": vote([0, 1, 0]), "b": few}).index) == ["emodb/c1", "emodb/c2"]
    with pytest.raises(MetricError, match="a, b"):
        clip_hits({"a": vote([1]), "b": vote([1], ids=["other"])})
    with pytest.raises(MetricError):
        clip_hits({})


def test_independent_systems_miss_as_many_together_as_is_expected(rng, vote):
    votes = {name: vote(rng.uniform(size=6000) < 0.5) for name in "abc"}
    missed = (clip_hits(votes)["n_right"] == 0).sum()
    assert expected_misses(votes) == pytest.approx(6000 / 8, rel=0.05)
    # Four standard errors of a count of 750.
    assert missed == pytest.approx(expected_misses(votes), abs=4 * np.sqrt(750))


def test_systems_that_fail_together_miss_more_than_is_expected(rng, vote):
    is_right = rng.uniform(size=2000) < 0.5
    votes = {name: vote(is_right) for name in "abc"}
    assert (clip_hits(votes)["n_right"] == 0).sum() > 3 * expected_misses(votes)


def test_the_surest_mistakes_come_first_and_right_ones_never(vote):
    table = vote([0, 1, 0, 0], confidence=np.array([0.6, 0.99, 0.9, 0.7]))
    found = most_confident_mistakes(table, LABELS, n_clips=2)
    assert list(found["clip_id"]) == ["emodb/c2", "emodb/c3"]
    np.testing.assert_allclose(found["confidence"], [0.9, 0.7])
    np.testing.assert_allclose(found["p_truth"], [0.1, 0.3])
