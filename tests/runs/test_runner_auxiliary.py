"""Auxiliary corpora: trained on in every fold, tested in none, and part of what a run is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import Fold, Protocol, rows_of
from ser_lib.errors import CorpusError, LeakError, RunError, StudyError
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.baselines import KnnConfig
from ser_lib.runs import runner as auxiliary
from ser_lib.runs import runner as runs
from ser_lib.runs.results import collect
from ser_lib.runs.runner import load_auxiliary, plan_run, run_or_load, with_auxiliary
from ser_lib.studies import STUDIES
from ser_lib.studies.study import ModelSpec

LABELS = LABEL_SETS["ravdess8"]
QUICK = FeatureSpec("waveform_envelope", params={"duration_s": 0.3, "n_points": 8})
STUDY = replace(
    STUDIES["boucheta2025"],
    models=(ModelSpec("knn", "KNN", KnnConfig(n_neighbors=2), QUICK),),
    augmentations=("faster",),
    honest_protocol=Protocol("loso"),
    auxiliary_corpora=("emodb",),
)


@pytest.fixture
def others(few_clips, monkeypatch):
    """Six clips of other speakers, which stand in for EmoDB; two are of no class of the study."""
    table = few_clips.head(6).copy()
    table["clip_id"] = [f"emodb/{n}" for n in range(6)]
    table["speaker"] = "emodb-" + table["speaker"].str[-2:]
    table["audio_sha256"] = [f"{n:064d}" for n in range(6)]
    table["corpus"] = "emodb"
    table["emotion"] = ["boredom", "boredom", *few_clips["emotion"].unique()[:2].tolist() * 2]
    monkeypatch.setattr(auxiliary.data, "load_corpus", lambda name: table.copy())
    monkeypatch.setattr(auxiliary.data, "load_committed_clips", lambda name: table.assign(path=""))
    return table


def plan(clips, study=STUDY, **rest):
    return plan_run(study, "knn", study.honest_protocol, 1, clips, **rest)


def test_they_are_trained_on_in_every_fold_and_never_tested(few_clips, others):
    ours, alone = plan(few_clips), plan(few_clips, replace(STUDY, auxiliary_corpora=()))
    added = {f"emodb/{n}{variant}" for n in range(2, 6) for variant in ("", "#faster")}
    for fold, before in zip(ours.split.folds, alone.split.folds, strict=True):
        assert set(fold.train) - set(before.train) == added
        assert (fold.validation, fold.test) == (before.validation, before.test)


def test_clips_of_other_classes_are_left_out(few_clips, others):
    assert not {"emodb/0", "emodb/1"} & set(plan(few_clips).rows["clip_id"])


def test_a_class_that_only_they_have_is_left_out(few_clips, others):
    others.loc[2, "emotion"] = "surprised"
    assert "surprised" not in set(few_clips["emotion"])
    assert "emodb/2" not in set(plan(few_clips).rows["clip_id"])
    assert plan(few_clips).labels == plan(few_clips, replace(STUDY, auxiliary_corpora=())).labels


def test_they_are_fitted_on(few_clips, others, monkeypatch):
    calls = []
    fit = runs.fit_fold
    monkeypatch.setattr(
        runs, "fit_fold", lambda *a, **k: calls.append(a[2].x_train.shape[0]) or fit(*a, **k)
    )
    run = run_or_load(plan(few_clips), few_clips)
    assert calls == [len(fold.train) for fold in plan(few_clips).split.folds]
    assert set(run.predictions["clip_id"]) <= set(few_clips["clip_id"])


def test_features_go_with_their_clips(few_clips, others, monkeypatch):
    """What a row trains on is its own clip's feature, whichever corpus it is of."""
    seen = []
    fit = runs.fit_fold
    monkeypatch.setattr(
        runs, "fit_fold", lambda *a, **k: seen.append(a[2].x_train.gather()) or fit(*a, **k)
    )
    ours = plan(few_clips)
    run_or_load(ours, few_clips)
    both = pd.concat([few_clips, others], ignore_index=True)
    expected = runs.extract(both, QUICK)
    where = pd.Series(range(len(both)), index=both["clip_id"])
    for arrays, fold in zip(seen, ours.split.folds, strict=True):
        originals = [number for number, row in enumerate(fold.train) if "#" not in row]
        clips = where[[fold.train[number] for number in originals]].to_numpy()
        np.testing.assert_array_equal(arrays[originals], expected[clips])


def test_they_are_part_of_the_runs_key(few_clips, others):
    with_them = plan(few_clips).identity()
    without = plan(few_clips, replace(STUDY, auxiliary_corpora=())).identity()
    assert with_them["auxiliary"] == ["emodb"]
    assert "auxiliary" not in without
    assert with_them["rows_sha256"] != without["rows_sha256"]


def test_a_corpus_helps_neither_itself_nor_a_pool_that_it_is_part_of(few_clips, others):
    pool = pd.concat([few_clips, others.tail(4)], ignore_index=True)
    own = replace(STUDY, auxiliary_corpora=("demo", "emodb"), honest_protocol=Protocol("loso"))
    assert plan(few_clips, own).auxiliary == ("emodb",)
    assert plan(pool, own).auxiliary == ()
    rows = plan(pool, own).rows
    assert rows["row_id"].is_unique


def test_without_names_nothing_changes(few_clips):
    rows = rows_of(few_clips, LABELS)
    folds = (Fold(("a",), (), ("b",)),)
    same_rows, same_folds = with_auxiliary(rows, folds, load_auxiliary(()), LABELS, ())
    assert same_rows is rows
    assert same_folds == folds


def test_a_tested_clip_that_is_among_them_is_found(few_clips, others):
    """The audit looks at them as at all other training rows."""
    others.loc[2:, "audio_sha256"] = few_clips["audio_sha256"].iloc[0]
    with pytest.raises(LeakError, match="same audio"):
        plan(few_clips)


def test_a_tested_speaker_who_is_among_them_is_found(few_clips, others):
    others["speaker"] = few_clips["speaker"].iloc[0]
    with pytest.raises(LeakError, match="same speaker"):
        plan(few_clips)


def test_without_their_audio_nothing_is_trained(few_clips, others):
    others["path"] = ""
    with pytest.raises(RunError, match="emodb"):
        run_or_load(plan(few_clips), few_clips)


@pytest.mark.parametrize("change", ["lacks", "differs"])
def test_a_copy_that_is_not_the_committed_one_is_not_trained_on(
    few_clips, others, monkeypatch, change
):
    """Nor does it change what stored runs are looked for."""
    here = others.head(5) if change == "lacks" else others.assign(audio_sha256="0" * 64)
    key = plan(few_clips).identity()
    monkeypatch.setattr(auxiliary.data, "load_corpus", lambda name: here.copy())
    assert plan(few_clips).identity() == key
    with pytest.raises(RunError, match="emodb"):
        run_or_load(plan(few_clips), few_clips)


def test_a_protocol_that_augments_first_does_not_go_with_them(few_clips, others):
    with pytest.raises(StudyError, match="boucheta2025"):
        plan_run(STUDY, "knn", STUDY.published_protocol, 1, few_clips)


def test_without_the_table_of_the_other_corpus_nothing_is_stored(few_clips):
    options = {"models": ["knn"], "protocols": ("honest",)}
    found = collect(STUDY, few_clips, **options, stored_only=True)
    assert found.all == ()
    assert "emodb" in found.missing[0]
    with pytest.raises(CorpusError, match="emodb"):
        collect(STUDY, few_clips, **options)
