"""The search for settings: validation speakers only, and a table that a search goes on with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ser_lib import data, studies
from ser_lib.cli import main as command
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import Protocol
from ser_lib.errors import LeakError, RunError, StudyError, TrainingStoppedError
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.baselines import KnnConfig
from ser_lib.models.cnn3d import Cnn3dConfig
from ser_lib.paths import cache_dir
from ser_lib.runs import tuning
from ser_lib.runs.runner import plan_run
from ser_lib.runs.tuning import (
    SearchSpace,
    config_of,
    own_choice,
    parameter_importances,
    propose,
    search_sentences,
    settings_of,
    tune,
)
from ser_lib.studies import STUDIES
from ser_lib.studies.study import ModelSpec, Study
from ser_lib.training.checkpoint import stopping_after
from ser_lib.training.fit import FitResult
from ser_lib.training.settings import TrainingSettings

FILES = ["environment.json", "spec.json", "trials.csv"]
CHUNKS = FeatureSpec(
    "mel_chunks", sample_rate_hz=16_000, params={"n_chunks": 1, "n_frames": 8, "n_mels": 8}
)
NETWORK = Cnn3dConfig(
    n_filters=(2, 4),
    kernel_sizes=(5, 3),
    block_dropout_rates=(0.2, 0.3),
    n_bottleneck=4,
    n_dense=(4, 2),
)
TRAINING = TrainingSettings(
    max_epochs=2, plateau_patience=1, loss="focal", keep="val_accuracy", sampling="balanced"
)
TINY = Study(
    name="tiny2025",
    title="Tiny",
    source="Nobody (2025)",
    corpora=("demo",),
    label_set=LABEL_SETS["seven"],
    models=(
        ModelSpec("net", "3D CNN", NETWORK, CHUNKS, training=TRAINING),
        ModelSpec("knn", "KNN", KnnConfig(), CHUNKS),
    ),
    augmentations=("mixed",),
    published_protocol=Protocol("random"),
    honest_protocol=Protocol("speaker_folds"),
    seeds=(1, 2),
)
SPACE = SearchSpace(n_blocks=(1, 2), width=(0.5, 1.0), head=("pool",))


@pytest.fixture(autouse=True)
def shared_features(own_folders, tmp_path_factory, monkeypatch):
    """Let the tests of this file share features: what is tried on them is what is tested."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path_factory.getbasetemp() / "tuning-features"))


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    mpl.pyplot.close("all")


@pytest.fixture(scope="module")
def clips(demo_clips) -> pd.DataFrame:
    """24 demo clips: all 12 speakers, neutral and angry; few enough for no workers."""
    is_kept = (
        demo_clips["emotion"].isin(["neutral", "angry"])
        & (demo_clips["repetition"] == 1)
        & (demo_clips["statement"] == "kids")
    )
    return demo_clips[is_kept].reset_index(drop=True)


def fake_fit(config, settings, arrays, *, n_classes, is_scaled, seed, checkpoint) -> FitResult:
    """Stand in for a training: a score that the settings decide, in no time."""
    rng = np.random.default_rng(int(1e7 * settings.learning_rate) + sum(config.n_filters))
    probabilities = rng.dirichlet(np.ones(n_classes), len(arrays.x_test))
    accuracies = rng.random(settings.max_epochs)
    history = pd.DataFrame({"loss": 1.0, "val_accuracy": accuracies})
    return FitResult(probabilities, history, sum(config.n_filters), 0.1)


@pytest.fixture
def fitted(monkeypatch) -> list:
    """A list that grows by the arguments of every fit, which are fakes."""
    calls = []

    def count(config, settings, arrays, **options):
        calls.append((config, settings, arrays, options))
        return fake_fit(config, settings, arrays, **options)

    monkeypatch.setattr(tuning, "fit_fold", count)
    return calls


def go(clips, n_trials=3, *, study=TINY, **options) -> pd.DataFrame:
    options = {"max_epochs": 0, "model": "net", "space": SPACE} | options
    return tune(study, clips, n_trials=n_trials, **options)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# --- who is read


@pytest.fixture
def poison(monkeypatch):
    """Return a function that makes the features of some clips NaN, and of no others."""
    extract = tuning.extract

    def of(clips: pd.DataFrame, is_poisoned: pd.Series) -> None:
        def poisoned(clips, spec, *, variant="original"):
            array = np.array(extract(clips, spec, variant=variant))
            array[is_poisoned.to_numpy()] = np.nan
            return array

        monkeypatch.setattr(tuning, "extract", poisoned)

    return of


def parts(clips) -> dict[str, pd.Series]:
    """Which clips are in which part of the first honest fold."""
    plan = plan_run(TINY, "net", TINY.honest_protocol, 1, clips)
    fold = plan.split.folds[0]
    return {
        name: clips["clip_id"].isin([row.split("#")[0] for row in getattr(fold, name)])
        for name in ("train", "validation", "test")
    }


@pytest.mark.usefixtures("eager")
def test_test_speakers_are_never_read(clips, poison, monkeypatch, tmp_path):
    fit, histories = tuning.fit_fold, []

    def listen(*arguments, **options):
        result = fit(*arguments, **options)
        histories.append(result.history)
        return result

    monkeypatch.setattr(tuning, "fit_fold", listen)
    trials = []
    for name in ("none", "test", "train"):
        monkeypatch.setenv("SER_REPORTS", str(tmp_path / name))
        poison(clips, parts(clips).get(name, clips["clip_id"] == ""))
        trials.append(go(clips, 2 if name != "train" else 1).drop(columns="duration_s"))
    assert len(histories) == 5
    pd.testing.assert_frame_equal(trials[0], trials[1])
    for clean, poisoned in zip(histories[:2], histories[2:4], strict=True):
        pd.testing.assert_frame_equal(clean, poisoned)
    # The twin: poison that is read is noticed.
    assert not histories[0].equals(histories[4])


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_what_is_gathered_is_training_and_validation(clips, fitted, poison, part):
    poison(clips, parts(clips)[part])
    go(clips, 1)
    ((_, _, arrays, _),) = fitted
    named = {"train": (arrays.x_train,), "validation": (arrays.x_validation, arrays.x_test)}
    for name, inputs in named.items():
        for one in inputs:
            assert np.isnan(one.gather()).all() == (name == part)
            assert np.isnan(one.gather()).any() == (name == part)


def test_a_trial_is_scored_on_validation_speakers_that_training_does_not_hear(clips, fitted):
    trials = go(clips, 1)
    ((_, _, arrays, _),) = fitted
    speakers = {name: set(clips.loc[part, "speaker"]) for name, part in parts(clips).items()}
    assert set(trials.attrs["speakers"]) == speakers["validation"]
    assert not speakers["validation"] & (speakers["train"] | speakers["test"])
    # 12 speakers of two clips: two are tested, two validate, eight train, each clip twice.
    assert (len(arrays.x_train), len(arrays.x_validation), len(arrays.x_test)) == (32, 4, 4)
    assert trials.attrs["n_rows"] == 4
    assert trials.attrs["chance"] == 1 / 2


def test_validation_speakers_that_are_heard_in_training_are_refused(clips, fitted):
    protocol = Protocol("loso_few", params={"validation_share": 0.5}, leaks=("same_speaker",))
    few = data.load_corpus("demo")
    few = few[few["speaker"].isin(["demo-01", "demo-02"])].reset_index(drop=True)
    with pytest.raises(LeakError, match=r"loso_few has demo-\d\d"):
        go(few, 1, study=replace(TINY, honest_protocol=protocol))
    assert fitted == []


def test_the_score_is_that_of_the_predictions(clips, monkeypatch):
    def right(config, settings, arrays, **options):
        fake = fake_fit(config, settings, arrays, **options)
        return replace(fake, probabilities=np.eye(2)[arrays.y_validation])

    monkeypatch.setattr(tuning, "fit_fold", right)
    trials = go(clips, 1)
    assert (trials.iloc[0]["uar"], trials.iloc[0]["wa"]) == (1.0, 1.0)


# --- what is tried


def test_the_first_trial_is_the_studys_own_choice(clips, fitted):
    go(clips, 3)
    assert fitted[0][:2] == (NETWORK, TRAINING)
    assert fitted[1][:2] != fitted[0][:2]


@pytest.mark.parametrize("model", ["cnn3d", "cnn3d_small", "cnn3d_lstm", "cnn3d_transformer"])
def test_the_space_holds_the_published_settings(model):
    one = STUDIES["fpt2025"].model(model)
    own = own_choice(one.config, one.training, SearchSpace())
    assert config_of(one.config, own) == one.config
    assert settings_of(one.training, own) == one.training


def test_every_choice_of_the_report_can_be_built():
    one = STUDIES["fpt2025"].model("cnn3d_small")
    own = own_choice(one.config, one.training, SearchSpace())
    for name, choices in SearchSpace().choices().items():
        for choice in choices:
            config_of(one.config, own | {name: choice})
            settings_of(one.training, own | {name: choice})


def test_a_trial_is_what_its_row_says():
    one = STUDIES["fpt2025"].model("cnn3d_small")
    values = own_choice(one.config, one.training, SearchSpace()) | {
        "n_blocks": 3, "width": 2.0, "first_kernel": 3, "later_kernels": 5, "activation": "elu",
        "head": "lstm", "optimizer": "sgd", "schedule": "step", "dropout": 0.5,
    }  # fmt: skip
    config, settings = config_of(one.config, values), settings_of(one.training, values)
    assert config.n_filters == (16, 32, 64)
    assert config.kernel_sizes == (3, 5, 5)
    assert config.dropout_rates == (0.5, 0.4)
    assert (config.activation, config.head) == ("elu", "lstm")
    assert (settings.optimizer, settings.schedule) == ("sgd", "step")
    assert settings.plateau_patience is None


def test_a_network_is_at_most_as_wide_as_the_widest_block():
    one = STUDIES["fpt2025"].model("cnn3d_small")
    values = own_choice(one.config, one.training, SearchSpace()) | {"width": 2.0}
    assert config_of(one.config, values).n_filters == (16, 32, 64, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "knn"}, "only 3D networks"),
        ({"space": replace(SPACE, loss=("cross_entropy",))}, "does not hold the model's own"),
        ({"space": replace(SPACE, n_blocks=(2, 3))}, "cannot be varied"),
        ({"n_trials": -1}, "n_trials=-1"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(clips, fitted, options, message):
    with pytest.raises(StudyError, match=message):
        go(clips, **options)
    assert fitted == []


def test_proposals_come_from_the_space_and_differ(clips, fitted):
    trials = go(clips, 15)
    for name, choices in SPACE.choices().items():
        if name == "learning_rate":
            assert trials[name].between(*choices).all()
        else:
            assert set(trials[name]) <= set(choices)
    assert not trials.drop(columns=["number", "duration_s"]).duplicated().any()


def test_proposals_learn_from_the_scores():
    space = SearchSpace()
    trials = []
    for number in range(40):
        values = propose(space, trials, seed=3)
        score = 0.9 if values["head"] == "lstm" else 0.1
        trials.append({"number": number, "uar": score, "state": "complete"} | values)
    late = [one["head"] for one in trials[20:]]
    assert late.count("lstm") > len(late) / 2


def test_the_seed_decides_the_proposals():
    first = {"uar": 0.5, "state": "complete"} | propose(SPACE, [], seed=1)
    assert propose(SPACE, [first], seed=1) == propose(SPACE, [first], seed=1)
    assert propose(SPACE, [first], seed=1) != propose(SPACE, [first], seed=2)


# --- what is stored


def test_a_search_is_three_files_in_a_folder_that_says_what_it_is(clips, fitted, tmp_path):
    trials = go(clips, 2)
    folder = Path(trials.attrs["folder"])
    assert folder.parent == tmp_path / "reports" / "demo" / "tuning"
    assert folder.name.startswith("tiny2025-")
    assert listing(folder) == FILES
    assert len((folder / "trials.csv").read_text().splitlines()) == 1 + 2
    assert "optuna" in json.loads((folder / "environment.json").read_text())["libraries"]


def test_a_trial_tells_all_that_was_tried_and_found(clips, fitted):
    trials = go(clips, 2)
    assert list(trials.columns) == ["number", *SPACE.choices(), *tuning.MEASURES]
    assert list(trials["number"]) == [0, 1]
    assert (trials["n_epochs"] == 2).all()
    assert trials["best_epoch"].between(1, 2).all()
    assert list(trials["n_parameters"]) == [sum(config.n_filters) for config, *_ in fitted]


def test_stored_trials_are_not_trained_again(clips, fitted):
    first = go(clips, 3)
    assert len(fitted) == 3
    pd.testing.assert_frame_equal(go(clips, 3), first)
    assert len(fitted) == 3


@pytest.mark.parametrize("n_trials", [0, 1])
def test_asking_for_fewer_trials_deletes_none(clips, fitted, n_trials):
    first = go(clips, 3)
    # Nor does it need recordings: there is nothing to run.
    pd.testing.assert_frame_equal(go(clips.assign(path=""), n_trials), first)
    assert len(fitted) == 3


def test_trials_that_another_process_has_run_meanwhile_are_read(clips, fitted, monkeypatch):
    @contextmanager
    def after_another(_: Path) -> Iterator[bool]:
        monkeypatch.setattr(tuning, "locked", lambda _: nullcontext(False))
        go(clips, n_trials=2)
        yield True

    monkeypatch.setattr(tuning, "locked", after_another)
    assert list(go(clips, n_trials=3)["number"]) == [0, 1, 2]
    assert len(fitted) == 3


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(clips, monkeypatch, tmp_path):
    monkeypatch.setattr(tuning, "fit_fold", fake_fit)
    monkeypatch.setenv("SER_REPORTS", str(tmp_path / "whole"))
    whole = go(clips, 14)
    monkeypatch.setenv("SER_REPORTS", str(tmp_path / "stopped"))
    done = []

    def stopped(*arguments, **options):
        if len(done) == 12:
            raise KeyboardInterrupt
        done.append(1)
        return fake_fit(*arguments, **options)

    monkeypatch.setattr(tuning, "fit_fold", stopped)
    with pytest.raises(KeyboardInterrupt):
        go(clips, 14)
    assert len(go(clips, 0)) == 12
    monkeypatch.setattr(tuning, "fit_fold", fake_fit)
    pd.testing.assert_frame_equal(go(clips, 14), whole)
    both = [
        next((tmp_path / name).rglob("trials.csv")).read_text() for name in ("whole", "stopped")
    ]
    assert both[0] == both[1]


def test_a_trial_that_was_stopped_goes_on_at_its_checkpoint(clips, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("SER_REPORTS", str(tmp_path / "whole"))
    whole = go(clips, 1)
    monkeypatch.setenv("SER_REPORTS", str(tmp_path / "stopped"))
    with pytest.raises(TrainingStoppedError, match="trial 1"), stopping_after(1e-9):
        go(clips, 1)
    assert go(clips, 0).empty
    with caplog.at_level("INFO"):
        resumed = go(clips, 1)
    assert "trial 1: goes on at epoch" in caplog.text
    assert not list((cache_dir() / "checkpoints").iterdir())
    pd.testing.assert_frame_equal(
        resumed.drop(columns="duration_s"), whole.drop(columns="duration_s")
    )


def test_a_search_that_is_killed_loses_one_trial_and_leaves_no_half_file(
    clips, forked, monkeypatch
):
    done = []

    def die(*arguments, **options):
        done.append(1)
        return fake_fit(*arguments, **options) if len(done) < 3 else os._exit(9)

    monkeypatch.setattr(tuning, "fit_fold", die)
    killed = forked(lambda: go(clips, 4))
    killed.join()
    assert killed.exitcode == 9
    trials = go(clips, 0)
    assert len(trials) == 2
    assert listing(Path(trials.attrs["folder"])) == FILES


@pytest.mark.parametrize(
    "options",
    [
        {"max_epochs": 1},
        {"seed": 2},
        {"space": replace(SPACE, dropout=(0.4, 0.5))},
        {"study": replace(TINY, augmentations=("noise",))},
    ],
    ids=["epochs", "seed", "space", "augmentation"],
)
def test_what_decides_the_trials_decides_the_folder(clips, fitted, options):
    first, other = go(clips, 1), go(clips, 1, **options)
    assert first.attrs["folder"] != other.attrs["folder"]
    assert go(clips, 2).attrs["folder"] == first.attrs["folder"]


def test_other_features_go_into_another_folder(clips, fitted):
    features = replace(CHUNKS, params={**CHUNKS.params, "n_mels": 16})
    wide = replace(TINY, models=(replace(TINY.models[0], features=features),))
    assert go(clips, 1).attrs["folder"] != go(clips, 1, study=wide).attrs["folder"]


def test_max_epochs_shortens_and_zero_leaves_the_studys_own(clips, fitted):
    go(clips, 1, max_epochs=0)
    go(clips, 1, max_epochs=1)
    assert [settings.max_epochs for _, settings, *_ in fitted] == [2, 1]


DAMAGES = {
    "cut short": lambda text: text[:-12],
    "emptied": lambda text: "",
    "without its header": lambda text: text.split("\n", 1)[1],
    "without a column": lambda text: text.replace("dropout,", ""),
    "no trial": lambda text: text.split("\n", 1)[0] + "\n",
    "a choice that is none": lambda text: text.replace("pool", "pond"),
    "a rate that is none": lambda text: text.replace(",0.001,", ",0.1,"),
    "a score above 1": lambda text: re.sub(r"(focal|entropy),[\d.]+", r"\1,7.5", text),
    "a state that is none": lambda text: text.replace("complete", "great"),
    "a score of what diverged": lambda text: text.replace("complete", "diverged"),
    "a trial left out": lambda text: "\n".join(
        line for number, line in enumerate(text.split("\n")) if number != 1
    ),
    "a trial twice": lambda text: text + text.split("\n")[-2] + "\n",
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_table_is_refused_with_the_remedy(clips, fitted, name):
    path = Path(go(clips, 3).attrs["folder"]) / "trials.csv"
    damaged = DAMAGES[name](path.read_text())
    assert damaged != path.read_text()
    path.write_text(damaged)
    with pytest.raises(RunError, match=r"trials\.csv.*damaged"):
        go(clips, 4)
    assert path.read_text() == damaged
    assert len(fitted) == 3


@pytest.mark.parametrize("content", [None, "{", '{"study": "other"}'])
def test_a_spec_of_something_else_is_refused(clips, fitted, content):
    path = Path(go(clips, 1).attrs["folder"]) / "spec.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(RunError, match="damaged"):
        go(clips, 1)


def test_a_trial_that_diverged_is_stored_without_a_score_and_the_search_goes_on(clips, monkeypatch):
    calls = []

    def diverging(config, settings, arrays, **options):
        calls.append(1)
        fake = fake_fit(config, settings, arrays, **options)
        if len(calls) == 2:
            fake.history.loc[1, "loss"] = np.nan
        return fake

    monkeypatch.setattr(tuning, "fit_fold", diverging)
    trials = go(clips, 3)
    assert list(trials["state"]) == ["complete", "diverged", "complete"]
    assert list(trials["uar"].isna()) == [False, True, False]
    pd.testing.assert_frame_equal(go(clips, 3), trials)
    assert len(go(clips, 4)) == 4


def test_stored_trials_are_read_without_the_recordings(clips, fitted):
    first = go(clips, 2)
    silent = clips.assign(path="")
    pd.testing.assert_frame_equal(go(silent, 2), first)
    with pytest.raises(RunError, match=r"2 of 3 .* demo"):
        go(silent, 3)


def test_a_search_that_was_never_made_has_no_trials(clips, fitted):
    trials = go(clips, 0)
    assert trials.empty
    assert not Path(trials.attrs["folder"]).exists()
    assert fitted == []


def test_importing_the_search_does_not_load_what_it_may_not_need():
    code = (
        "import sys, ser_lib.runs.tuning; print({'optuna', 'keras', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- what is said and drawn


def made_up(n_trials: int = 30) -> pd.DataFrame:
    """Trials of which the head decides the score."""
    trials = []
    for number in range(n_trials):
        values = propose(SearchSpace(), [], seed=number)
        trials.append(
            {"number": number, **values, "uar": 0.6 if values["head"] == "lstm" else 0.3}
            | {"wa": 0.5, "best_epoch": 1, "n_epochs": 2, "n_parameters": 9, "duration_s": 1.0}
            | {"state": "complete"}
        )
    frame = pd.DataFrame(trials)
    frame.loc[0, ["head", "uar"]] = ["pool", 0.3]
    frame.attrs |= {"chance": 1 / 7, "n_rows": 1200, "speakers": ["a", "b"], "folder": "f"}
    return frame


def test_importances_find_the_parameter_that_decides():
    importances = parameter_importances(made_up())
    assert importances.index[0] == "head"
    assert importances.iloc[0] > 0.5
    assert importances.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("n_trials", "score"), [(0, 0.5), (1, 0.5), (30, 0.5)])
def test_too_few_or_equal_trials_have_no_importances(n_trials, score):
    trials = made_up().head(n_trials).assign(uar=score)
    assert parameter_importances(trials).isna().all()
    assert len(parameter_importances(trials)) == 11


def test_sentences_name_the_best_trial_beside_the_studys_choice():
    trials = made_up()
    best, mattered = search_sentences(trials, parameter_importances(trials))
    assert "Of 30 trials" in best
    assert "60.0 %" in best
    assert "choice 30.0 %" in best
    assert "1,200 clips of 2 speakers" in best
    assert "head lstm" in best
    assert "flattered" in best
    assert "30 trials is head (" in mattered


def test_sentences_say_when_nothing_is_better_or_there_is_too_little():
    trials = made_up(4)
    trials.loc[0, "uar"] = 0.9
    best, mattered = search_sentences(trials, parameter_importances(trials))
    assert "no other does better" in best
    assert "4 trials are too few to tell which of 11" in mattered


def test_sentences_say_when_no_search_is_stored(clips, fitted):
    trials = go(clips, 0)
    best, mattered = search_sentences(trials, parameter_importances(trials))
    assert "`ser tune` makes one" in best
    assert "too few" in mattered


# --- the command


def test_the_command_searches_and_says_what_it_found(clips, fitted, monkeypatch):
    whole = replace(TINY, models=(replace(TINY.models[0], name="cnn3d_small"),))
    deep = replace(
        NETWORK,
        n_filters=(2, 2, 4, 4),
        kernel_sizes=(5, 3, 3, 3),
        block_dropout_rates=(0.2, 0.3, 0.3, 0.3),
    )
    features = replace(CHUNKS, params={"n_chunks": 1, "n_frames": 16, "n_mels": 16})
    model = replace(whole.models[0], config=deep, features=features)
    monkeypatch.setitem(studies.STUDIES, "fpt2025", replace(whole, models=(model,)))
    monkeypatch.setattr(data, "load_corpus", lambda name, strict: clips)
    result = CliRunner().invoke(command.app, ["tune", "--n-trials", "2", "--max-epochs", "1"])
    assert result.exit_code == 0, result.output
    assert "Of 2 trials" in result.output
    assert "too few to tell" in result.output
    assert len(fitted) == 2
    assert all(settings.max_epochs == 1 for _, settings, *_ in fitted)
