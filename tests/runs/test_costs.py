"""Costs: what is counted, the front against a naive loop, and the file that keeps them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from ser_lib.data.splits import Protocol
from ser_lib.errors import RunError
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.baselines import DecisionTreeConfig, KnnConfig
from ser_lib.models.ridge_head import RidgeHeadConfig
from ser_lib.runs import costs
from ser_lib.runs.costs import (
    COST_COLUMNS,
    SCORED_COLUMNS,
    _arrays_of,
    measure_costs,
    pareto_front,
    read_costs,
    scored_costs,
)
from ser_lib.runs.results import Result
from ser_lib.runs.runner import run_study
from ser_lib.studies import OURS, STUDIES
from ser_lib.studies.study import ModelSpec

ROW = FeatureSpec("waveform_envelope", params={"duration_s": 0.5, "n_points": 16})
STUDY = replace(
    STUDIES["boucheta2025"],
    models=(
        ModelSpec("knn", "KNN", KnnConfig(), ROW, is_scaled=True),
        ModelSpec("tree", "Tree", DecisionTreeConfig(), ROW),
    ),
    augmentations=(),
    honest_protocol=Protocol("loso"),
)


def test_the_front_is_that_of_a_loop(rng):
    costs, values = rng.integers(1, 8, 30), rng.integers(1, 8, 30) / 10
    naive = [
        not any(
            (c <= cost and v >= value) and (c < cost or v > value)
            for c, v in zip(costs, values, strict=True)
        )
        for cost, value in zip(costs, values, strict=True)
    ]
    assert pareto_front(costs, values).tolist() == naive
    assert any(naive)
    assert not all(naive)


def test_systems_that_are_the_same_are_both_on_the_front():
    assert pareto_front([1, 1], [0.5, 0.5]).tolist() == [True, True]


def test_all_that_a_pipeline_keeps_is_counted(rng):
    x, y = rng.standard_normal((40, 6)), np.arange(40) % 3
    fitted = Pipeline([("pca", PCA(4)), ("logistic", LogisticRegression())]).fit(x, y)
    n_numbers = sum(one.size for one in _arrays_of(fitted))
    # Components 4 × 6 and mean 6; three kinds of variance, 4 each; weights 3 × 4 and 3.
    weights = 24 + 6 + 15
    assert n_numbers >= weights
    assert n_numbers <= weights + 30


def test_costs_are_measured_kept_and_read_back(few_clips):
    assert read_costs("demo").empty
    table = measure_costs([STUDY], few_clips, n_clips=2)
    assert tuple(table.columns) == COST_COLUMNS
    knn = table.set_index("model").loc["knn"]
    # Nearest neighbours keep the 16 clips of 4 training speakers, 16 values each; and the scaling.
    assert knn["n_numbers"] >= 16 * 16 + 2 * 16
    assert (table[["feature_ms", "model_ms"]] > 0).all(axis=None)
    # Both see the same feature: it is timed once.
    assert table["feature_ms"].nunique() == 1
    kept = read_costs("demo")
    assert list(kept["model"]) == ["knn", "tree"]
    assert list(kept["n_numbers"]) == list(table["n_numbers"])


def test_time_is_not_measured_without_audio(few_clips):
    with pytest.raises(RunError, match="audio"):
        measure_costs([STUDY], few_clips.assign(path=""))


def test_a_file_of_other_columns_is_told(tmp_path):
    folder = tmp_path / "reports" / "demo"
    folder.mkdir(parents=True)
    (folder / "costs.csv").write_text("study,ms\na,1\n", encoding="utf-8")
    with pytest.raises(RunError, match="ser costs demo"):
        read_costs("demo")


def test_an_encoder_counts_and_stands_once_for_all_heads_on_it(few_clips, monkeypatch):
    features = np.random.default_rng(0).standard_normal((len(few_clips), 1, 9, 2, 416))
    one = replace(STUDIES["boucheta2025"], models=OURS["moonshine"].models)
    small = RidgeHeadConfig(((1,),), n_inner_folds=2, n_members=1)
    models = tuple(replace(model, config=small, is_optional=False) for model in one.models)
    study = replace(one, models=models, augmentations=(), honest_protocol=Protocol("loso"))
    monkeypatch.setattr(costs, "extract", lambda clips, spec: features.astype(np.float16))
    monkeypatch.setattr(costs, "compute", lambda path, spec: features[0])
    assert measure_costs([study], few_clips, n_clips=2).empty
    encoder = costs.get_encoder("moonshine-base")
    encoder.file.parent.mkdir(parents=True)
    encoder.file.touch()
    table = measure_costs([study], few_clips, n_clips=2)
    # One row for each way in which a clip passes through the encoder.
    assert list(table["model"]) == ["base", "base_one_speed", "strangers_speech"]
    assert (table["n_bytes"] > encoder.n_bytes).all()


def test_each_view_of_a_clip_costs(few_clips, monkeypatch):
    """Two views of a test clip take twice the time of one."""
    network = STUDIES["boucheta2025"].model("cnn")
    one = replace(STUDY, models=(network,))
    two = replace(one, augmentations=("faster",), test_views=("faster",))
    monkeypatch.setattr(costs, "_fastest_s", lambda work: 0.002)
    table = measure_costs([one, two], few_clips, n_clips=2)
    assert table["model_ms"].tolist() == [2.0, 4.0]
    assert table["feature_ms"].tolist() == [2.0, 4.0]


def test_scores_stand_beside_costs_and_what_was_not_measured_is_left_out(few_clips, monkeypatch):
    runs = run_study(STUDY, few_clips, protocols=["honest"], n_seeds=1)
    results = [
        Result(STUDY, model, "honest", (run,), few_clips)
        for model, run in zip(STUDY.models, runs, strict=True)
    ]
    names = ["neighbours", "tree"]
    assert scored_costs(results, names).empty
    assert tuple(scored_costs([], [])) == SCORED_COLUMNS
    measure_costs([replace(STUDY, models=STUDY.models[1:])], few_clips, n_clips=2)
    table = scored_costs(results, names)
    assert table["name"].tolist() == ["tree"]
    assert table["uar"].iloc[0] == results[1].score.uar
    assert table["is_on_front"].tolist() == [True]
    measured = read_costs("demo").iloc[0]
    assert table["ms"].iloc[0] == pytest.approx(measured["feature_ms"] + measured["model_ms"])
