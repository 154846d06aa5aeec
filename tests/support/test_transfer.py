"""Tables of heads on encoders: from stored runs, without weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser_lib.data.enrolment import NORMALISATIONS
from ser_lib.errors import RunError
from ser_lib.features.encoders.registry import encoder_from_file
from ser_lib.paths import report_dir
from ser_lib.runs.results import score_ensemble
from ser_lib.runs.runner import run_study
from ser_lib.studies import OURS, STUDIES
from support import transfer

STUDY = OURS["moonshine"]


ASKED = ("honest", "luna5_norm_all", "luna5_norm_any3")


@pytest.fixture(scope="module")
def few(demo_clips):
    """One clip of each speaker and emotion."""
    return demo_clips.drop_duplicates(["speaker", "emotion"], ignore_index=True)


@pytest.fixture(scope="module")
def folders(few, tmp_path_factory, on_disk):
    """Reports with stored runs of two systems, on arrays in the place of the encoder's.

    Emotions show in layer 3, speakers everywhere.
    """
    rng = np.random.default_rng(1)
    clips = few
    emotions, speakers = pd.factorize(clips["emotion"])[0], pd.factorize(clips["speaker"])[0]

    def fake(table, spec, *, variant="original", n_jobs=-1):
        shape = (len(spec.params["speeds"].split(",")), 9, 2, 8)
        small = rng.standard_normal((len(table), *shape[:-1], 4))
        small += rng.standard_normal((speakers.max() + 1, *shape[:-1], 4))[speakers]
        effect = 2 * np.random.default_rng(2).standard_normal((emotions.max() + 1, shape[0], 2, 4))
        small[:, :, 3] += effect[emotions]
        return np.pad(small, [(0, 0)] * 4 + [(0, shape[-1] - 4)]).astype(np.float16)

    found = {name: str(tmp_path_factory.mktemp(name)) for name in ("SER_CACHE", "SER_REPORTS")}
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in found.items():
            patch.setenv(name, folder)
        patch.setattr("ser_lib.runs.runner.extract", on_disk(fake))
        run_study(STUDY, clips, models=["base_one_layer"], protocols=["honest"], n_seeds=1)
        run_study(STUDY, clips, models=["base_one_speed"], protocols=ASKED, n_seeds=1)
    return found


@pytest.fixture
def clips(monkeypatch, few):
    monkeypatch.setattr(transfer.data, "load_corpus", lambda name, strict: few)
    transfer._clips_or_none.cache_clear()
    return few


@pytest.fixture
def planted(monkeypatch, clips, folders):
    for name, folder in folders.items():
        monkeypatch.setenv(name, folder)
    return clips


def test_nothing_stored_is_nothing_shown_and_nothing_trained(clips):
    wanted = [("base", "honest", "demo"), ("base_one_layer", "honest", "demo")]
    assert transfer.stored_results(STUDY, wanted) == {}
    assert transfer.transfer_table({}).empty
    assert list(transfer.ablation_table({})) == ["name", "value", "low", "high", "run"]
    assert transfer.field_rows([]).empty


def test_stored_runs_are_laid_out(planted):
    models = ["base_one_layer", "base_one_speed"]
    results = transfer.stored_results(STUDY, [(m, p, "demo") for m in models for p in ASKED])
    assert len(results) == 4
    table = transfer.transfer_table(results)
    assert set(table["protocol"]) == {"luna5", "luna5_norm_all", "luna5_norm_any3"}
    curve = transfer.layer_curve(results["base_one_layer", "honest", "demo"])
    assert curve["layer"].tolist() == list(range(9))
    assert curve["uar"].idxmax() == 3
    assert ((curve["low"] <= curve["uar"]) & (curve["uar"] <= curve["high"])).all()
    one = {key: value for key, value in results.items() if key[0] == "base_one_speed"}
    known = transfer.normalisation_table(one)
    assert known["normalisation"].tolist() == ["", "any3", "all"]
    assert known["name"].iloc[0] == "nothing"
    assert known["name"].iloc[1] == NORMALISATIONS["any3"].describes
    with pytest.raises(RunError, match="base_one_speed"):
        transfer.layer_curve(results["base_one_speed", "honest", "demo"])


def test_systems_are_joined_with_their_ensemble_and_gains_are_paired(planted):
    models = ["base_one_layer", "base_one_speed"]
    results = transfer.stored_results(STUDY, [(m, "honest", "demo") for m in models])
    bars = transfer.ensemble_bars(results).set_index("name")
    assert bars["value"].is_monotonic_decreasing
    runs = [one.runs for one in results.values()]
    assert bars.loc["Both systems averaged", "value"] == score_ensemble(runs, planted).uar
    assert len(bars) == 3  # one seed is no average of seeds
    gains = transfer.gain_table(results, [tuple(models), ("base", models[0])])
    assert len(gains) == 1  # base is not stored
    titles = [STUDY.model(name).title for name in models]
    assert gains[["system", "baseline"]].iloc[0].tolist() == titles
    assert gains["difference"].iloc[0] == pytest.approx(
        bars.loc[titles[0], "value"] - bars.loc[titles[1], "value"]
    )
    assert gains["low"].iloc[0] <= gains["difference"].iloc[0] <= gains["high"].iloc[0]


def test_ours_are_listed_with_others_of_the_same_protocol_with_their_size(planted):
    (result,) = transfer.stored_results(STUDY, [("base_one_speed", "honest", "demo")]).values()
    scratch = OURS["scratch"]
    network = replace(result, model=scratch.model("tdnn"))
    tuned = replace(result, model=OURS["tuned"].model("blocks2"))
    machine = replace(result, model=OURS["compare2016"].model("svm"))
    large = replace(result, model=STUDIES["swart2025"].model("cnn_picture"))
    assert transfer.field_rows([large])["size"].tolist() == ["22 M weights"]
    table = transfer.field_rows([result, network, tuned, machine])
    # What is trained of the blocks is no part of the encoder's file.
    assert table["size"].tolist() == ["20.5 MB", "216 k weights", "37.2 MB", "6,373 values a clip"]
    assert set(table["whose"]) == {"ours"}
    assert table["wa"].between(table["wa_low"], table["wa_high"]).all()


def test_averaged_systems_are_listed_and_count_the_encoder_once(planted):
    (result,) = transfer.stored_results(STUDY, [("base_one_speed", "honest", "demo")]).values()
    tuned = replace(result, model=OURS["tuned"].model("blocks2"))
    table = transfer.field_rows([], [[result, tuned], [result]])
    (ours,) = table.to_dict("records")
    assert ours["system"].startswith("2 systems averaged")
    assert (ours["protocol"], ours["size"]) == ("luna5", "37.2 MB")
    n_runs = len(result.runs) + len(tuned.runs)
    assert ours["note"] == f"{n_runs} runs averaged"
    tiny = replace(result, model=STUDY.model("tiny"))
    assert transfer.field_rows([], [[result, tuned, tiny]])["size"].tolist() == ["45.2 MB"]


def test_the_choice_inside_the_fold_takes_what_its_inner_folds_prefer(planted):
    models = ["base_one_layer", "base_one_speed"]
    results = transfer.stored_results(STUDY, [(m, "honest", "demo") for m in models])
    first, second = results.values()
    score, taken = transfer.nested_choice([first, second])
    n_folds = first.runs[0].predictions["fold"].nunique()
    assert sum(taken.values()) == n_folds * len(first.runs)
    assert score.n_rows == first.score.n_rows
    # Whatever the other is like on test rows: one that has no inner score above it is never taken.
    poor = replace(
        second,
        runs=tuple(
            replace(run, history=run.history.assign(val_accuracy=-1.0)) for run in second.runs
        ),
    )
    score, taken = transfer.nested_choice([first, poor])
    assert dict(taken) == {first.model.title: n_folds * len(first.runs)}
    assert score == first.score


def test_systems_are_marked_that_were_chosen_with_their_test_speakers_in_view(planted):
    (result,) = transfer.stored_results(STUDY, [("base_one_speed", "honest", "demo")]).values()
    assert "†" not in result.title
    seen = replace(result, study=replace(STUDY, developed_on=("demo",)))
    assert transfer.field_rows([seen])["system"].iloc[0].endswith(" †")


def test_one_system_alone_is_no_ensemble(planted):
    results = transfer.stored_results(STUDY, [("base_one_speed", "honest", "demo")])
    assert len(transfer.ensemble_bars(results)) == 1
    assert transfer.ensemble_bars({}).empty
    assert transfer.best_bar(transfer.ensemble_bars({})) == ""
    assert transfer.best_bar(transfer.ensemble_bars(results)).startswith(
        "Moonshine base, one speed, "
    )
    assert transfer.gain_table({}, [("base", "tiny")]).empty


def test_encoders_are_listed_with_their_state_and_no_path():
    table = transfer.encoder_table()
    assert set(table["weights"]) == {"absent"}
    assert set(table["licence"]) == {"MIT"}
    assert not table.astype(str).apply(lambda column: column.str.contains("/tmp|/root")).any().any()


def test_any_other_encoder_is_described_by_its_file(tmp_path):
    path = tmp_path / "other.onnx"
    path.write_bytes(b"anything")
    one = encoder_from_file(path, outputs=("x", "y"), n_values=8, sample_rate_hz=8000)
    assert (one.name, one.n_layers, one.n_values, one.sample_rate_hz) == ("other", 2, 8, 8000)


def test_the_log_of_trials_is_read_as_strings_and_empty_where_it_is_missing():
    empty = transfer.read_trials("demo")
    assert empty.empty
    assert list(empty.columns) == transfer.TRIAL_COLUMNS
    path = report_dir("demo") / "transfer" / "trials.csv"
    path.parent.mkdir(parents=True)
    text = '2026-01-01,"one, with commas",none,luna5,75.0,False\n'
    path.write_text(",".join(transfer.TRIAL_COLUMNS) + "\n" + text, encoding="utf-8")
    (row,) = transfer.read_trials("demo").to_dict("records")
    assert (row["tried"], row["inner_uar"], row["is_tested"]) == (
        "one, with commas",
        "75.0",
        "False",
    )
