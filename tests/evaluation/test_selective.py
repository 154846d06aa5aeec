"""Accuracy against coverage: against naive loops and scikit-learn, with planted confidence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ser_lib.errors import MetricError
from ser_lib.evaluation.probabilities import softmax
from ser_lib.evaluation.selective import (
    accuracy_at,
    answer_limit,
    answer_sets,
    coverage_curve,
    select_threshold,
)

LABELS = ("happy", "sad")


def predictions(confidence, is_right, speakers=8) -> pd.DataFrame:
    """Predictions of 'happy' that are as confident as given."""
    confidence, is_right = np.asarray(confidence, dtype=float), np.asarray(is_right, dtype=bool)
    return pd.DataFrame(
        {
            "speaker": [f"s{number % speakers}" for number in range(len(confidence))],
            "truth": np.where(is_right, "happy", "sad"),
            "prediction": "happy",
            "p_happy": confidence,
            "p_sad": 1 - confidence,
        }
    )


@pytest.fixture
def knowing(rng) -> pd.DataFrame:
    """Right exactly as often as it says."""
    confidence = rng.uniform(0.5, 1, 400)
    return predictions(confidence, rng.uniform(size=400) < confidence)


def test_the_curve_is_the_accuracy_of_the_most_confident(knowing):
    curve = coverage_curve(knowing, LABELS, n_resamples=50).set_index("coverage")
    by_confidence = knowing.sort_values("p_happy", ascending=False)
    is_right = (by_confidence["truth"] == "happy").to_numpy()
    for coverage in (0.1, 0.5, 1.0):
        n_rows = round(coverage * len(knowing))
        assert curve.loc[coverage, "accuracy"] == pytest.approx(is_right[:n_rows].mean(), abs=1e-12)
    assert (curve["low"] <= curve["high"]).all()


def test_the_band_is_that_of_a_loop_over_resampled_speakers(knowing):
    curve = coverage_curve(knowing, LABELS, n_resamples=12, seed=4)
    draws = np.random.default_rng(4).multinomial(8, np.full(8, 0.125), size=12)
    values = []
    for times in draws:
        parts = [knowing[knowing["speaker"] == f"s{k}"] for k in range(8) for _ in range(times[k])]
        rows = pd.concat(parts).sort_values("p_happy", ascending=False)
        values.append((rows["truth"] == "happy").to_numpy()[: len(rows) // 2].mean())
    row = curve[curve["coverage"] == 0.5].iloc[0]
    # Copies of a row are ties: half of one may fall on either side of the cut.
    expected = np.percentile(values, [2.5, 97.5])
    np.testing.assert_allclose(row[["low", "high"]].astype(float), expected, atol=0.01)


def test_ties_are_taken_as_the_average_of_all_their_orders():
    tied = predictions([0.9, 0.6, 0.6, 0.6, 0.6], [True, True, False, False, False], speakers=2)
    curve = coverage_curve(tied, LABELS, n_resamples=5).set_index("coverage")
    # One sure hit, and one of the two places that are left for four of which one is right.
    assert curve.loc[0.6, "accuracy"] == pytest.approx((1 + 2 / 4) / 3)


def test_the_order_of_the_rows_does_not_matter(knowing):
    rounded = knowing.assign(p_happy=knowing["p_happy"].round(1))
    rounded["p_sad"] = 1 - rounded["p_happy"]
    one = coverage_curve(rounded, LABELS, n_resamples=20)
    other = coverage_curve(rounded.sample(frac=1, random_state=3), LABELS, n_resamples=20)
    pd.testing.assert_frame_equal(one, other)


def test_a_system_that_knows_what_it_knows_is_better_where_it_is_sure(knowing):
    curve = coverage_curve(knowing, LABELS, n_resamples=200)
    sure, all_of_it = accuracy_at(curve, 0.2), accuracy_at(curve, 1.0)
    assert sure[1] > all_of_it[2]
    assert all_of_it[0] == pytest.approx((knowing["truth"] == "happy").mean())


def test_one_that_does_not_know_gains_nothing_by_silence(rng):
    blind = predictions(rng.uniform(0.5, 1, 600), rng.uniform(size=600) < 0.7, speakers=20)
    curve = coverage_curve(blind, LABELS, n_resamples=300)
    assert stats.linregress(curve["coverage"], curve["accuracy"]).slope == pytest.approx(
        0, abs=0.15
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda t: t.iloc[:0], "no predictions"), (lambda t: t.iloc[::8], "s0")],
)
def test_what_has_no_curve_is_refused(knowing, change, message):
    with pytest.raises(MetricError, match=message):
        coverage_curve(change(knowing), LABELS, n_resamples=5)


@pytest.mark.parametrize("coverage", [0.0, 1.1])
def test_a_coverage_that_is_none_is_refused(knowing, coverage):
    curve = coverage_curve(knowing, LABELS, n_resamples=5)
    with pytest.raises(MetricError, match=f"={coverage} "):
        accuracy_at(curve, coverage)


# --- thresholds


@pytest.fixture
def honest(rng):
    """Probabilities that mean what they say: classes are drawn from them."""
    logits = rng.normal(0, 1.5, (4000, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = np.array([rng.choice(5, p=row) for row in probabilities])
    return probabilities, classes


def test_answers_above_the_threshold_are_right_as_often_as_asked(honest):
    probabilities, classes = honest
    chosen = select_threshold(probabilities, classes)
    answered = probabilities.max(axis=1) >= chosen.threshold
    is_right = probabilities.argmax(axis=1) == classes
    assert answered.mean() == pytest.approx(chosen.coverage_share)
    assert is_right[answered].mean() == pytest.approx(chosen.accuracy_share)
    assert 1 - chosen.accuracy_share <= (1 - chosen.accuracy_of_all_share) / 2
    stricter = select_threshold(probabilities, classes, error_ratio=0.3)
    assert stricter.threshold > chosen.threshold


def test_some_answers_are_given_even_by_a_model_that_knows_nothing(rng):
    probabilities = rng.dirichlet(np.ones(4), 500)
    chosen = select_threshold(probabilities, rng.integers(0, 4, 500), min_coverage_share=0.3)
    assert chosen.coverage_share == pytest.approx(0.3, abs=0.01)
    assert chosen.accuracy_share < 0.5


def test_a_model_that_is_always_right_answers_always():
    chosen = select_threshold(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 0]))
    assert (chosen.threshold, chosen.coverage_share) == (0.6, 1.0)


def test_a_threshold_needs_as_many_probabilities_as_classes_and_some():
    with pytest.raises(MetricError, match=r"^0 "):
        select_threshold(np.empty((0, 2)), np.empty(0, int))
    with pytest.raises(MetricError, match=r"^2 .* 3 "):
        select_threshold(np.full((2, 2), 0.5), np.zeros(3, int))


@pytest.fixture
def groups(rng):
    """Probabilities of three classes; in one of three groups they say nothing."""
    logits = 1.5 * rng.standard_normal((900, 3))
    probabilities = softmax(logits)
    truth = np.array([rng.choice(3, p=one) for one in probabilities])
    truth[:500] = rng.integers(0, 3, 500)
    columns = {
        "truth": np.array(list("abc"))[truth],
        "group": np.repeat([0, 1, 2], [500, 200, 200]),
    }
    return pd.DataFrame(probabilities, columns=["p_a", "p_b", "p_c"]).assign(**columns)


def test_answer_sets_hold_the_truth_in_the_share_they_are_made_for(groups):
    limit = answer_limit(groups, list("abc"), by="group")
    parts = [answer_sets(one, list("abc"), limit) for _, one in groups.groupby("group")]
    assert np.mean([one["set_coverage_share"] for one in parts]) == pytest.approx(0.9, abs=0.01)
    # By hand: a row of a small group counts more.
    number = groups["truth"].map("abc".index).to_numpy()
    reached = groups[["p_a", "p_b", "p_c"]].to_numpy()[np.arange(900), number]
    weights = np.repeat([1 / 500, 1 / 200, 1 / 200], [500, 200, 200])
    assert weights[reached < limit].sum() < 0.3 <= weights[reached <= limit].sum() + 1e-9
    # The twin: rows alike, the large group decides.
    assert answer_limit(groups.assign(group=0), list("abc"), by="group") < limit


def test_a_set_holds_the_likeliest_answer_in_any_case(groups):
    found = answer_sets(groups, list("abc"), 1.0)
    shown = groups[["p_a", "p_b", "p_c"]].idxmax(axis=1).str[2:]
    assert found == {"set_coverage_share": (shown == groups["truth"]).mean(), "set_size": 1.0}
    with pytest.raises(MetricError):
        answer_limit(groups[:0], list("abc"), by="group")
