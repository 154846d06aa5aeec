"""Scores: against scikit-learn, against naive loops, and intervals that keep their promise."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from ser_lib.errors import MetricError
from ser_lib.evaluation.metrics import (
    Score,
    check_predictions,
    class_table,
    confusion_counts,
    score_predictions,
    uar,
    wa,
    with_clip_columns,
)
from support.ranking import roc_curves

LABELS = ("neutral", "happy", "sad", "angry")


def simulate(
    rng: np.random.Generator,
    *,
    n_speakers: int = 8,
    n_clips: int = 20,
    accuracy: float | np.ndarray = 0.6,
    labels: tuple[str, ...] = LABELS,
) -> pd.DataFrame:
    """Predictions that are right with a probability that may differ from speaker to speaker."""
    of_speaker = np.broadcast_to(accuracy, n_speakers)
    speaker = np.repeat(np.arange(n_speakers), n_clips)
    truth = np.tile(np.arange(n_clips) % len(labels), n_speakers)
    is_right = rng.uniform(size=len(truth)) < of_speaker[speaker]
    wrong = (truth + rng.integers(1, len(labels), len(truth))) % len(labels)
    names = np.array(labels)
    return pd.DataFrame(
        {
            "clip_id": [f"c{number}" for number in range(len(truth))],
            "speaker": [f"s{number:02d}" for number in speaker],
            "truth": names[truth],
            "prediction": names[np.where(is_right, truth, wrong)],
        }
    )


@pytest.fixture
def table(rng) -> pd.DataFrame:
    """120 rows of unequal classes."""
    return simulate(rng).query("truth != 'sad' or speaker < 's03'")


@pytest.fixture
def probabilities(rng) -> pd.DataFrame:
    """Random probabilities with their truth."""
    values = rng.dirichlet(np.ones(4), size=80)
    frame = pd.DataFrame(values, columns=[f"p_{label}" for label in LABELS])
    frame.insert(0, "clip_id", [f"c{number}" for number in range(80)])
    frame["truth"] = rng.choice(LABELS, 80)
    frame["prediction"] = np.array(LABELS)[values.argmax(axis=1)]
    return frame


# --- the figures


def test_uar_and_wa_are_those_of_scikit_learn(table):
    counts = confusion_counts(table["truth"], table["prediction"], LABELS)
    assert uar(counts) == pytest.approx(
        sk.balanced_accuracy_score(table["truth"], table["prediction"]), abs=1e-12
    )
    assert wa(counts) == pytest.approx(
        sk.accuracy_score(table["truth"], table["prediction"]), abs=1e-12
    )


def test_confusion_counts_are_those_of_a_loop(table):
    counts = np.zeros((4, 4), dtype=int)
    for truth, prediction in zip(table["truth"], table["prediction"], strict=True):
        counts[LABELS.index(truth), LABELS.index(prediction)] += 1
    np.testing.assert_array_equal(
        confusion_counts(table["truth"], table["prediction"], LABELS), counts
    )


def test_the_order_of_the_labels_is_the_order_of_the_counts():
    counts = confusion_counts(["a", "a", "b"], ["b", "b", "b"], ["b", "a"])
    np.testing.assert_array_equal(counts, [[1, 0], [2, 0]])


def test_uar_does_not_care_about_class_sizes_and_wa_does():
    counts = np.array([[8, 2], [1, 1]])
    larger = np.array([[80, 20], [1, 1]])
    assert uar(counts) == uar(larger) == pytest.approx((0.8 + 0.5) / 2)
    assert wa(larger) > wa(counts)


def test_a_class_without_rows_is_left_out_of_the_uar():
    assert uar(np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])) == pytest.approx((0.75 + 0.5) / 2)


@pytest.mark.parametrize(("prediction", "expected"), [("truth", 1.0), ("sad", 0.25)])
def test_the_uar_of_a_perfect_and_of_a_constant_answer(rng, prediction, expected):
    table = simulate(rng)
    answer = table["truth"] if prediction == "truth" else ["sad"] * len(table)
    assert uar(confusion_counts(table["truth"], answer, LABELS)) == pytest.approx(expected)


def test_metrics_work_on_stacks_of_counts(rng):
    stack = rng.integers(1, 9, size=(5, 3, 4, 4))
    for metric in (uar, wa):
        single = [[metric(counts) for counts in row] for row in stack]
        np.testing.assert_allclose(metric(stack), single, rtol=1e-12)


def test_the_class_table_is_that_of_the_formulas(table):
    table = table.assign(prediction=table["prediction"].replace("happy", "angry"))
    found = class_table(table["truth"], table["prediction"], LABELS)
    assert list(found.index) == list(LABELS)
    for label, row in found.iterrows():
        is_true, is_said = table["truth"] == label, table["prediction"] == label
        n_hits = (is_true & is_said).sum()
        assert row["support"] == is_true.sum()
        assert row["recall"] == pytest.approx(n_hits / is_true.sum(), abs=1e-12)
        assert row["precision"] == pytest.approx(n_hits / max(1, is_said.sum()), abs=1e-12)
        expected = 2 * n_hits / (is_true.sum() + is_said.sum())
        assert row["f1"] == pytest.approx(expected, abs=1e-12)
    assert found.loc["happy", "precision"] == 0


def test_a_class_without_rows_has_a_row_of_zeros_in_the_class_table():
    found = class_table(["sad"], ["sad"], LABELS)
    assert found.loc["happy"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (["sad"], ["sad", "sad"], "1 .* 2 "),
        ([], [], "no row"),
        (["sad"], ["rage"], "rage"),
        (["x", "y"], ["sad", "sad"], "'x', 'y'"),
    ],
)
@pytest.mark.parametrize("function", [confusion_counts, class_table])
def test_what_cannot_be_counted_is_refused(function, truth, prediction, message):
    with pytest.raises(MetricError, match=message):
        function(truth, prediction, LABELS)


# --- ROC


@pytest.mark.parametrize("label", LABELS)
def test_the_area_below_the_curve_is_that_of_scikit_learn(probabilities, label):
    curve = roc_curves(probabilities, LABELS)[label]
    expected = sk.roc_auc_score(probabilities["truth"] == label, probabilities[f"p_{label}"])
    assert curve.attrs["auc"] == pytest.approx(expected, abs=1e-12)
    assert tuple(curve.iloc[0]) == (0, 0)
    assert tuple(curve.iloc[-1]) == (1, 1)
    assert (curve.diff().dropna() >= 0).all(axis=None)


def test_the_area_is_the_share_of_pairs_in_the_right_order(probabilities):
    is_sad = probabilities["truth"] == "sad"
    with_sad, without = (probabilities.loc[one, "p_sad"].to_numpy() for one in (is_sad, ~is_sad))
    difference = with_sad[:, None] - without[None, :]
    naive = np.mean((difference > 0) + 0.5 * (difference == 0))
    assert roc_curves(probabilities, LABELS)["sad"].attrs["auc"] == pytest.approx(naive, abs=1e-12)


def test_a_class_that_all_or_none_have_is_without_a_curve(probabilities):
    assert set(roc_curves(probabilities.assign(truth="sad"), LABELS)) == set()
    two = probabilities.assign(truth=["sad", "happy"] * 40)
    assert set(roc_curves(two, LABELS)) == {"sad", "happy"}


# --- intervals


def naive_bootstrap(tables: list[pd.DataFrame], metric, n_resamples: int, seed: int) -> np.ndarray:
    """Draw speakers with replacement, put their rows together, score; one resample at a time."""
    speakers = sorted(tables[0]["speaker"].unique())
    shares = np.full(len(speakers), 1 / len(speakers))
    draws = np.random.default_rng(seed).multinomial(len(speakers), shares, size=n_resamples)
    values = []
    for times in draws:
        scores = []
        for table in tables:
            drawn = [
                table[table["speaker"] == speaker]
                for speaker, n_times in zip(speakers, times, strict=True)
                for _ in range(n_times)
            ]
            rows = pd.concat(drawn)
            scores.append(metric(rows["truth"], rows["prediction"]))
        values.append(np.mean(scores))
    return np.percentile(values, [2.5, 97.5])


def test_the_interval_is_that_of_a_naive_bootstrap_over_speakers(rng):
    accuracies = rng.uniform(0.3, 0.9, (2, 6))
    tables = [simulate(rng, n_speakers=6, accuracy=one) for one in accuracies]
    score = score_predictions(tables, LABELS, n_resamples=40, seed=5)
    by_uar = naive_bootstrap(tables, sk.balanced_accuracy_score, 40, 5)
    by_wa = naive_bootstrap(tables, sk.accuracy_score, 40, 5)
    np.testing.assert_allclose((score.uar_low, score.uar_high), by_uar, atol=1e-12)
    np.testing.assert_allclose((score.wa_low, score.wa_high), by_wa, atol=1e-12)


def test_the_score_is_the_mean_over_seeds(rng):
    tables = [simulate(rng) for _ in range(3)]
    score = score_predictions(tables, LABELS, n_resamples=50)
    each = [sk.balanced_accuracy_score(one["truth"], one["prediction"]) for one in tables]
    assert score.uar == pytest.approx(np.mean(each), abs=1e-12)
    assert score.uar_seed_spread == pytest.approx(np.std(each, ddof=1), abs=1e-12)
    assert score.wa == pytest.approx(
        np.mean([sk.accuracy_score(one["truth"], one["prediction"]) for one in tables])
    )
    assert (score.n_rows, score.n_speakers, score.n_seeds) == (160, 8, 3)


def test_one_seed_has_no_spread(table):
    assert score_predictions([table], LABELS, n_resamples=50).uar_seed_spread == 0.0


def test_the_same_seed_gives_the_same_interval_and_another_nearly(table):
    first, same, other = (score_predictions([table], LABELS, seed=seed) for seed in (1, 1, 2))
    assert first == same
    assert first.uar_low != other.uar_low
    # With 10,000 resamples the ends of the interval are known to about a tenth of a point.
    assert first.uar_low == pytest.approx(other.uar_low, abs=0.005)
    assert first.uar_low < first.uar < first.uar_high


def test_the_interval_covers_the_truth_about_as_often_as_it_says(rng):
    # 20 speakers whose own accuracy scatters by 12 points around 60 %: clips of one speaker are
    # alike. An interval over clips would be too narrow; that over speakers must not be.
    n_covered, widths, clip_widths = 0, [], []
    for _ in range(120):
        own = rng.normal(0.6, 0.12, 20).clip(0.05, 0.95)
        table = simulate(rng, n_speakers=20, n_clips=40, accuracy=own)
        score = score_predictions([table], LABELS, n_resamples=400)
        n_covered += score.wa_low <= 0.6 <= score.wa_high
        widths.append(score.wa_high - score.wa_low)
        clip_widths.append(2 * 1.96 * np.sqrt(score.wa * (1 - score.wa) / score.n_rows))
    # Percentile intervals of 20 clusters cover 93 %; three standard errors of 120 trials are 7 %.
    assert 0.86 <= n_covered / 120 <= 0.995
    # sqrt(0.12**2 + 0.24 / 40) / sqrt(0.24 / 40) = 1.8 times as wide as independent clips.
    assert np.mean(widths) / np.mean(clip_widths) == pytest.approx(1.8, abs=0.2)


def test_a_score_is_said_in_percent(table):
    score = Score(0.5, 0.4, 0.612, 0.55, 0.45, 0.65, 60, 3, 1, 0.0)
    assert score.sentence() == (
        "UAR 50.0 % [40.0, 61.2], WA 55.0 % [45.0, 65.0], 60 rows of 3 speakers, 1 seed(s)"
    )
    assert all(isinstance(value, int | float) for value in asdict(score).values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: [], "no predictions"),
        (lambda t: [t.iloc[:0]], "no (row|predictions)"),
        (lambda t: [t[t["speaker"] == "s01"]], "s01"),
        (lambda t: [t[t["truth"] == "happy"]], "one class"),
        (lambda t: [t.assign(truth="rage")], "rage"),
    ],
    ids=["no table", "empty table", "one speaker", "one class", "unknown class"],
)
def test_what_cannot_be_scored_is_refused(table, change, message):
    with pytest.raises(MetricError, match=message):
        score_predictions(change(table), LABELS)


# --- predictions


def test_sound_predictions_pass(probabilities):
    check_predictions(probabilities, LABELS)
    rounded = probabilities.round(4)
    check_predictions(rounded, LABELS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns=["p_sad", "truth"]), "'p_sad', 'truth'"),
        (lambda t: pd.concat([t, t.iloc[:2]]), r"2 .*c0\b"),
        (lambda t: t.assign(p_sad=np.nan), "NaN"),
        (
            lambda t: t.assign(p_sad=t["p_sad"] + 0.01),
            r"c\d+, .*0\.01",
        ),
        (
            lambda t: t.assign(p_sad=t["p_sad"] - 1.0, p_happy=t["p_happy"] + 1.0),
            "outside",
        ),
        (lambda t: t.iloc[:0], "no predictions"),
        (lambda t: t.assign(truth="rage"), "rage"),
        (lambda t: t.assign(prediction="rage"), "rage"),
    ],
    ids=["columns", "twice", "NaN", "sum", "negative", "none", "true class", "predicted class"],
)
def test_predictions_that_are_none_are_refused(probabilities, change, message):
    with pytest.raises(MetricError, match=message):
        check_predictions(change(probabilities), LABELS)


def test_predictions_learn_their_speaker_from_the_clip_table(few_clips):
    ids = [few_clips["clip_id"][5], f"{few_clips['clip_id'][0]}#noise"]
    predictions = pd.DataFrame({"clip_id": ids, "truth": "angry"}, index=[9, 9])
    joined = with_clip_columns(predictions, few_clips)
    assert list(joined["clip_id"]) == ids
    assert list(joined["speaker"]) == list(few_clips["speaker"][[5, 0]])
    assert "path" not in joined


def test_a_prediction_of_no_clip_is_refused(few_clips):
    predictions = pd.DataFrame({"clip_id": [few_clips["clip_id"][0], "demo/x", "demo/y"]})
    with pytest.raises(MetricError, match=r"2 .*demo/x"):
        with_clip_columns(predictions, few_clips)
