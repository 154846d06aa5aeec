"""Calibration: against scikit-learn and naive loops, on planted overconfidence, and its guards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve

from ser_lib.errors import MetricError
from ser_lib.evaluation.calibration import (
    brier,
    confidence_of,
    cross_fitted,
    ece,
    fit_temperature,
    log_loss,
    reliability,
    with_temperature,
)
from ser_lib.evaluation.metrics import check_predictions
from ser_lib.evaluation.probabilities import MIN_PROBABILITY
from support.comparison import ece_by_chance

LABELS = ("neutral", "happy", "sad", "angry")
NAMES = [f"p_{label}" for label in LABELS]


def calibrated(rng, *, n_rows=2000, n_speakers=10, sharpness=1.5) -> pd.DataFrame:
    """Predictions whose truth is drawn from their own probabilities: right as often as they say."""
    probabilities = softmax(sharpness * rng.standard_normal((n_rows, 4)), axis=1)
    truth = (rng.uniform(size=(n_rows, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    table = pd.DataFrame(probabilities, columns=NAMES)
    table["clip_id"] = [f"c{number:05d}" for number in range(n_rows)]
    table["speaker"] = [f"s{number % n_speakers:02d}" for number in range(n_rows)]
    table["fold"] = np.arange(n_rows) % n_speakers % 5
    table["truth"] = np.array(LABELS)[truth]
    table["prediction"] = np.array(LABELS)[probabilities.argmax(axis=1)]
    return table


@pytest.fixture
def table(rng) -> pd.DataFrame:
    return calibrated(rng)


def overconfident(table: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """As if the network's logits were `temperature` times as large as they should be."""
    return with_temperature(table, LABELS, 1 / temperature)


# --- scores


def test_confidence_is_the_largest_probability(table):
    confidence, is_right = confidence_of(table, LABELS)
    np.testing.assert_allclose(confidence, table[NAMES].max(axis=1), atol=1e-12)
    np.testing.assert_array_equal(is_right, table["truth"] == table["prediction"])


def test_the_brier_score_is_that_of_a_loop(table):
    values = table[NAMES].to_numpy()
    naive = np.mean(
        [
            sum((p - (label == truth)) ** 2 for p, label in zip(row, LABELS, strict=True))
            for row, truth in zip(values, table["truth"], strict=True)
        ]
    )
    assert brier(table, LABELS) == pytest.approx(naive, abs=1e-12)


def test_the_log_loss_is_that_of_a_loop(table):
    expected = -np.mean([np.log(row[f"p_{row['truth']}"]) for _, row in table.iterrows()])
    # Up to the raising of probabilities below half of the last stored decimal.
    assert log_loss(table, LABELS) == pytest.approx(expected, abs=1e-4)


def test_a_truth_that_was_rounded_to_nothing_costs_a_finite_amount(table):
    sure = table.head(1).assign(truth="sad", prediction="happy")
    sure[NAMES] = [0.0, 1.0, 0.0, 0.0]
    assert log_loss(sure, LABELS) == pytest.approx(-np.log(MIN_PROBABILITY), abs=2e-4)


def test_equal_probabilities_cost_the_logarithm_of_the_classes(table):
    assert log_loss(table.assign(**dict.fromkeys(NAMES, 0.25)), LABELS) == pytest.approx(np.log(4))


# --- reliability


def test_reliability_is_that_of_scikit_learn(table):
    found = reliability(table, LABELS, n_resamples=50)
    confidence, is_right = confidence_of(table, LABELS)
    accuracy, mean = calibration_curve(is_right, confidence, n_bins=10, strategy="uniform")
    np.testing.assert_allclose(found["accuracy"], accuracy, atol=1e-12)
    np.testing.assert_allclose(found["confidence"], mean, atol=1e-12)
    assert found["n_rows"].sum() == len(table)
    assert (found["low"] <= found["accuracy"]).all()
    assert (found["accuracy"] <= found["high"]).all()


def test_adaptive_bins_hold_equally_many(table):
    found = reliability(table, LABELS, n_bins=8, is_adaptive=True, n_resamples=20)
    assert len(found) == 8
    assert found["n_rows"].between(249, 251).all()


def test_the_interval_of_a_bin_is_that_of_a_loop_over_resamples(table):
    found = reliability(table, LABELS, n_resamples=40, seed=2)
    confidence, is_right = confidence_of(table, LABELS)
    is_in = (confidence > 0.6) & (confidence <= 0.7)
    draws = np.random.default_rng(2).multinomial(10, np.full(10, 0.1), size=40)
    speaker = table["speaker"].str[1:].astype(int).to_numpy()
    shares = [np.average(is_right[is_in], weights=times[speaker[is_in]]) for times in draws]
    row = found[found["confidence"].between(0.6, 0.7)].iloc[0]
    np.testing.assert_allclose(
        row[["low", "high"]].astype(float), np.percentile(shares, [2.5, 97.5])
    )


@pytest.mark.parametrize("is_adaptive", [False, True])
def test_the_error_is_the_sum_over_bins_written_out(table, is_adaptive):
    found = reliability(table, LABELS, is_adaptive=is_adaptive, n_resamples=5)
    gaps = (found["accuracy"] - found["confidence"]).abs()
    naive = (gaps * found["n_rows"]).sum() / len(table)
    value, low, high = ece(table, LABELS, is_adaptive=is_adaptive, n_resamples=200)
    assert value == pytest.approx(naive, abs=1e-12)
    assert low < high


def test_calibrated_predictions_err_as_much_as_chance_says_and_overconfident_ones_more(rng):
    tables = [calibrated(rng, n_rows=500) for _ in range(12)]
    values = [ece(one, LABELS, n_resamples=5)[0] for one in tables]
    chance = [ece_by_chance(one, LABELS, n_draws=200) for one in tables]
    assert np.mean(values) == pytest.approx(np.mean(chance), rel=0.15)
    sure = overconfident(tables[0], 3.0)
    assert ece(sure, LABELS, n_resamples=5)[0] > 3 * ece_by_chance(sure, LABELS, n_draws=100)


# --- temperature


def test_calibrated_predictions_have_the_temperature_one(rng):
    assert fit_temperature(calibrated(rng, n_rows=8000), LABELS) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("planted", [0.5, 2.0, 4.0])
def test_a_planted_temperature_is_found(rng, planted):
    # Little sharpness, so that few probabilities are cut at the stored decimals.
    table = overconfident(calibrated(rng, n_rows=8000, sharpness=0.7), planted)
    assert fit_temperature(table, LABELS) == pytest.approx(planted, rel=0.07)


def test_the_temperature_is_that_of_another_optimiser(table):
    sure = overconfident(table, 1.7)
    logits, truth = np.log(sure[NAMES].to_numpy()), sure["truth"].map(LABELS.index).to_numpy()

    def loss(log_t):
        return -log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(truth)), truth].mean()

    expected = float(np.exp(minimize(loss, [0.0], method="Nelder-Mead").x[0]))
    assert fit_temperature(sure, LABELS) == pytest.approx(expected, rel=1e-3)


def test_a_temperature_leaves_the_prediction_and_the_sum(table):
    soft = with_temperature(table, LABELS, 3.0)
    check_predictions(soft, LABELS)
    np.testing.assert_array_equal(
        soft[NAMES].to_numpy().argmax(1), table[NAMES].to_numpy().argmax(1)
    )
    assert (soft[NAMES].max(axis=1) <= table[NAMES].max(axis=1) + 1e-12).all()


def test_a_temperature_of_one_changes_nothing(table):
    same = with_temperature(table, LABELS, 1.0)
    np.testing.assert_allclose(same[NAMES], table[NAMES], atol=2 * MIN_PROBABILITY)


def test_zeros_of_four_decimals_do_not_become_infinite(table):
    rounded = table.assign(**{name: table[name].round(4) for name in NAMES})
    rounded.loc[0, NAMES] = [1.0, 0.0, 0.0, 0.0]
    assert np.isfinite(fit_temperature(rounded, LABELS))
    assert np.isfinite(with_temperature(rounded, LABELS, 2.0)[NAMES].to_numpy()).all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_a_temperature_that_is_none_is_refused(table, temperature):
    with pytest.raises(MetricError, match=f"={temperature} "):
        with_temperature(table, LABELS, temperature)


# --- fitted on other speakers


def test_each_fold_is_calibrated_by_the_others(table):
    sure = overconfident(table, 2.0)
    found, temperatures = cross_fitted(sure, LABELS)
    assert list(temperatures.index) == [0, 1, 2, 3, 4]
    for fold in (0, 3):
        expected = fit_temperature(sure[sure["fold"] != fold], LABELS)
        assert temperatures[fold] == pytest.approx(expected, abs=1e-12)
        part = with_temperature(sure[sure["fold"] == fold], LABELS, expected)
        np.testing.assert_allclose(found.loc[part.index, NAMES], part[NAMES], atol=1e-12)
    assert ece(found, LABELS, n_resamples=5)[0] < 0.5 * ece(sure, LABELS, n_resamples=5)[0]
    assert log_loss(found, LABELS) < log_loss(sure, LABELS)


def test_the_temperature_of_a_fold_does_not_see_the_fold(table):
    poisoned = table.copy()
    is_here = poisoned["fold"] == 2
    poisoned.loc[is_here, "truth"] = "sad"
    _, before = cross_fitted(table, LABELS)
    _, after = cross_fitted(poisoned, LABELS)
    assert after[2] == before[2]
    assert (after.drop(2) != before.drop(2)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(fold=0), "one fold"),
        (lambda t: t.assign(fold=np.arange(len(t)) % 3), r"s\d+ .* 3 "),
    ],
    ids=["one fold", "speakers in several folds"],
)
def test_a_temperature_is_not_fitted_on_those_that_it_is_judged_by(table, change, message):
    with pytest.raises(MetricError, match=message):
        cross_fitted(change(table), LABELS)


def test_no_rows_and_no_bins_are_refused(table):
    for function in (reliability, ece):
        with pytest.raises(MetricError):
            function(table.iloc[:0], LABELS)
        with pytest.raises(MetricError, match="n_bins=0"):
            function(table, LABELS, n_bins=0)
    for function in (fit_temperature, brier, log_loss):
        with pytest.raises(MetricError):
            function(table.iloc[:0], LABELS)
