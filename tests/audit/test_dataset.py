"""The audit of anybody's data: planted leaks are found, all of them and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser_lib.audio.augmentation import stretch_time
from ser_lib.audio.io import load_signal
from ser_lib.audit import clip_quality, dataset
from ser_lib.audit.dataset import LEVELS, SHARED, AuditReport, audit_clips
from ser_lib.errors import AuditError
from tools.evaluate_duplicates import recode


@pytest.fixture(scope="module")
def planted(tmp_path_factory, few_clips):
    """Twelve clips of six speakers, train, validation and test, and what leaks between them.

    `a` is one of the clips. Planted: the same file under another name in test, an MP3 in test, a
    noisy version by its name in validation, and the first speaker in train and in test.
    """
    root = tmp_path_factory.mktemp("planted")
    rows = []
    pairs = few_clips.groupby("speaker").head(2).sort_values("speaker", kind="stable")
    for number, (path, speaker, emotion) in enumerate(
        pairs[["path", "speaker", "emotion"]].itertuples(index=False)
    ):
        signal, rate_hz = load_signal(path)
        part = ("train", "train", "train", "train", "validation", "test")[number // 2]
        soundfile.write(root / f"c{number:02d}.wav", signal, rate_hz)
        rows.append((f"c{number:02d}.wav", emotion, speaker, f"s{number}", part))
    signal, rate_hz = load_signal(root / "c00.wav")
    soundfile.write(root / "twin.flac", signal, rate_hz)
    rows.append(("twin.flac", "surprised", rows[0][2], "s0", "test"))
    signal, rate_hz = load_signal(root / "c02.wav")
    coded, _ = recode(signal, rate_hz, container="MP3", sample_format="MPEG_LAYER_III")
    soundfile.write(root / "coded.wav", 0.5 * coded, rate_hz)
    rows.append(("coded.wav", rows[2][1], "somebody", "s20", "test"))
    signal, rate_hz = load_signal(root / "c04.wav")
    noise = np.random.default_rng(0).standard_normal(len(signal)) * signal.std()
    soundfile.write(root / "c04_noise.wav", 0.3 * (signal + 2 * noise), rate_hz)
    rows.append(("c04_noise.wav", rows[4][1], "else", "s21", "validation"))
    clips = pd.DataFrame(rows, columns=["clip_id", "label", "speaker", "statement", "part"])
    clips.insert(1, "path", [str(root / name) for name in clips["clip_id"]])
    return clips


def crossing(report: AuditReport, level: str = "leak") -> dict[tuple[str, str, str], set[str]]:
    return {
        (one.kind, one.first, one.second): set(one.clips)
        for one in report.of_level(level)
        if one.second
    }


@pytest.fixture(scope="module")
def report(planted):
    return audit_clips(planted, source="planted", threshold=0.9)


def test_every_planted_leak_is_found_and_nothing_else(report):
    assert crossing(report) == {
        ("same_audio", "train", "test"): {"twin.flac"},
        ("similar_audio", "train", "test"): {"coded.wav"},
        ("same_parent", "train", "validation"): {"c04_noise.wav"},
        ("same_speaker", "train", "test"): {"twin.flac"},
        ("same_statement", "train", "test"): {"twin.flac"},
    }
    assert crossing(report, "observation") == {}
    assert report.verdict == "This split leaks."


def test_one_sound_under_two_labels_is_a_fault(report):
    (conflict, speakers) = (
        [one for one in report.of_level("fault") if one.kind == kind]
        for kind in ("label_conflict", "speaker_conflict")
    )
    assert set(conflict[0].clips) == {"c00.wav", "twin.flac"}
    assert "(surprised)" in conflict[0].detail
    assert set(speakers[0].clips) == {"c02.wav", "coded.wav"}


def test_findings_come_with_counts_shares_and_in_order(report):
    levels = [LEVELS.index(one.level) for one in report.findings]
    assert levels == sorted(levels)
    one = next(one for one in report.findings if one.kind == "same_audio" and one.second)
    assert (one.n_clips, one.share) == (1, pytest.approx(1 / 4))
    assert one.detail == "for example twin.flac"
    assert (report.n_clips, report.n_sounds) == (15, 14)
    assert list(report.pairs["first"]) == ["c02.wav"]
    assert list(report.pairs["second"]) == ["coded.wav"]


def test_a_declared_leak_is_an_observation(planted):
    kinds = ("same_audio", "similar_audio", "same_parent", "same_speaker", "same_statement")
    report = audit_clips(planted, source="x", declared=kinds, threshold=0.9)
    assert report.of_level("leak") == []
    declared = [one for one in report.of_level("observation") if one.kind == "same_speaker"]
    assert declared[0].detail.startswith("declared; ")
    assert "but those declared" in report.verdict


def test_without_a_split_copies_are_observations_and_it_says_so(planted):
    report = audit_clips(planted.drop(columns="part"), source="x", threshold=0.9)
    assert report.of_level("leak") == []
    kinds = {one.kind: set(one.clips) for one in report.of_level("observation")}
    assert kinds["same_audio"] == {"c00.wav", "twin.flac"}
    assert kinds["similar_audio"] >= {"c02.wav", "coded.wav"}
    assert kinds["same_parent"] == {"c04.wav", "c04_noise.wav"}
    assert any("no split" in one for one in report.not_checked)
    # Of 15 clips 4 have one copy or version, and a random fifth as test leaves it in training with
    # a chance of 0.8.
    assert "the same audio of 21 %" in report.verdict
    assert "versions of one clip (copies, augmentations) of 11 %" in report.verdict


def test_what_is_not_in_the_table_is_said(planted):
    report = audit_clips(planted[["clip_id", "path"]], source="x")
    assert len(report.not_checked) == 7
    for role in ("label", "speaker", "statement", "parent"):
        assert sum(one.endswith(f"for the {role}") for one in report.not_checked) == 1


def test_a_parent_column_finds_versions_whatever_their_names(planted):
    parent = planted["clip_id"].map({"coded.wav": "c02.wav"}).fillna("")
    report = audit_clips(planted.assign(parent=parent), source="x", threshold=1.0)
    found = crossing(report)
    assert found["same_parent", "train", "test"] == {"coded.wav"}


@pytest.fixture(scope="module")
def few(planted):
    """Six clips of six speakers, none a copy of another, half of them in train and half in test."""
    clips = planted.iloc[0:12:2].reset_index(drop=True)[["clip_id", "path"]]
    return clips.assign(speaker=list("abcdef"), part=["train"] * 3 + ["test"] * 3)


@pytest.mark.parametrize(
    "pair", [("01", "1"), ("1", "1.0"), ("Actor_01", "actor_01"), ("Zoë", "Zoe")], ids=" ".join
)
def test_a_speaker_in_two_spellings_leaks_unless_they_are_different_people(few, pair):
    clips = few.assign(speaker=[pair[0], "b", "c", pair[1], "e", "f"])
    report = audit_clips(clips, source="x")
    assert crossing(report) == {("similar_speaker", "train", "test"): {clips["clip_id"][3]}}
    detail = next(one.detail for one in report.findings if one.kind == "similar_speaker")
    assert detail.startswith(" = ".join(pair))
    distinct = audit_clips(clips, source="x", distinct_speakers=True)
    assert crossing(distinct) == {}
    assert all(one.kind != "spelling" for one in distinct.findings)


def test_unknown_speakers_are_shared_by_nobody_and_counted(few):
    clips = few.assign(speaker=["unknown", "-1", "?", "unknown", "-1", "eve"])
    report = audit_clips(clips, source="x")
    assert crossing(report) == {}
    assert any("speakers not checked for 5 of 6 clips" in one for one in report.not_checked)
    assert "speakers not checked for 5 of 6 clips" in report.verdict


def test_what_is_said_by_chance_is_no_leak(few):
    said = ["Oh!", "the dog sat down", "a cat came by", "oh", "it was cold today", "who is there"]
    assert crossing(audit_clips(few.assign(statement=said), source="x")) == {}
    # Case and punctuation do not matter; one word is a statement where all are.
    again = [*said[:4], "The dog sat down.", said[5]]
    found = crossing(audit_clips(few.assign(statement=again), source="x"))
    assert found == {("same_statement", "train", "test"): {few["clip_id"][4]}}
    words = ["IEO", "DFA", "IWW", "IEO", "TAI", "MTI"]
    found = crossing(audit_clips(few.assign(statement=words), source="x"))
    assert found == {("same_statement", "train", "test"): {few["clip_id"][3]}}


def test_classes_and_parts_in_two_spellings_are_one_line_and_no_fault(few):
    twin = few.iloc[[0]].assign(clip_id="again.wav")
    clips = pd.concat([few, twin], ignore_index=True).assign(
        label=["Angry", "sad", "sad", "Sad ", "angry", "angry", "anger"],
        part=["train", "Train", "training", "test", "Test", "test", "train"],
    )
    report = audit_clips(clips, source="x")
    assert report.of_level("fault") == []
    assert crossing(report) == {}
    spelt = [one.detail for one in report.findings if one.kind == "spelling"]
    assert spelt == ["Test = test, Train = train = training", "Angry = anger = angry, Sad  = sad"]
    # The twin: another class is a contradiction.
    other = audit_clips(clips.assign(label=[*clips["label"][:6], "sad"]), source="x")
    assert [one.kind for one in other.of_level("fault")] == ["label_conflict"]


def segments(clips: pd.DataFrame, *times: tuple[float, float, str]) -> pd.DataFrame:
    """Return the first clip of a table as segments: start, end and part of each."""
    rows = pd.DataFrame(times, columns=["start", "end", "part"]).assign(path=clips["path"][0])
    return rows.assign(clip_id=[f"s{number}" for number in rows.index], label=list("xy"))


def test_segments_of_one_file_are_clips_of_their_own(few):
    clips = segments(few, (0.0, 0.5, "train"), (0.5, 1.0, "test"))
    report = audit_clips(clips, source="x")
    assert report.n_sounds == 2
    assert crossing(report) == {}
    assert report.of_level("fault") == []
    assert crossing(report, "observation") == {("same_recording", "train", "test"): {"s1"}}
    verdict = audit_clips(clips.drop(columns="part"), source="x").verdict
    assert verdict.endswith("segments of one recording of 80 %.")


def test_segments_that_overlap_leak(few):
    clips = segments(few, (0.0, 0.7, "train"), (0.4, 1.0, "test"))
    assert crossing(audit_clips(clips, source="x", threshold=1.0)) == {
        ("overlap", "train", "test"): {"s1"}
    }


def test_segments_outside_of_their_file_are_faults_that_name_the_unit(few):
    # As where times are in milliseconds and the column does not say so.
    clips = segments(few, (0.0, 500.0, "train"), (500.0, 1000.0, "test"))
    report = audit_clips(clips, source="x")
    (fault,) = report.of_level("fault")
    assert fault.clips == ("s1",)
    assert "500 s" in fault.detail


def test_without_a_split_nothing_was_checked_and_the_verdict_says_what_would_leak(few):
    twice = pd.concat([few, few.assign(clip_id="again " + few["clip_id"])], ignore_index=True)
    verdict = audit_clips(twice.drop(columns="part"), source="x").verdict
    assert verdict.startswith("No split was checked")
    assert "the same audio of 80 %, the same speaker of 80 %" in verdict
    alone = audit_clips(few[["clip_id", "path"]], source="x").verdict
    assert "nothing that was looked for" in alone


def test_files_that_cannot_be_decoded_are_no_checked_audio(few, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    verdict = audit_clips(few.assign(path=str(tmp_path / "bad.wav")), source="x").verdict
    assert "audio not checked for 6 of 6 clips" in verdict
    few.attrs["missing"] = ["gone.wav"] * 4
    clips = few.assign(part=[*few["part"][:5], ""])
    few.attrs.clear()
    verdict = audit_clips(clips, source="x").verdict
    assert "audio not checked for 4 of 10 clips" in verdict
    assert "leaks not checked for 1 of 6 clips" in verdict


def test_the_corpus_that_clips_are_from_is_no_parent(few, monkeypatch):
    monkeypatch.setattr("ser_lib.audit.dataset.MAX_VERSIONS", 5)
    assert crossing(audit_clips(few.assign(parent="ravdess"), source="x")) == {}
    # The twin: a clip, and what few clips share.
    parent = ["", *[Path(few["path"][0]).name] * 5]
    assert len(crossing(audit_clips(few.assign(parent=parent), source="x"))) == 1
    assert len(crossing(audit_clips(few.assign(parent=[*"xyz"] * 2), source="x"))) == 1


def test_a_row_in_two_parts_is_found(planted):
    twice = pd.concat([planted, planted[:1].assign(part="validation")], ignore_index=True)
    found = crossing(audit_clips(twice, source="x"))
    assert found["same_row", "train", "validation"] == {"c00.wav"}


def test_clips_in_no_part_and_folds_of_any_name_are_understood(planted):
    parts = planted["part"].map({"train": "fold 1", "test": "fold 2", "validation": ""})
    report = audit_clips(planted, source="x", parts=[parts], threshold=0.9)
    assert ("same_audio", "fold 1", "fold 2") in crossing(report)
    outside = next(one for one in report.findings if one.kind == "no_part")
    assert set(outside.clips) == set(planted.loc[planted["part"] == "validation", "clip_id"])


def test_several_folds_are_summed(planted):
    swapped = planted["part"].replace({"train": "test", "test": "train"})
    report = audit_clips(planted, source="x", parts=[planted["part"], swapped], threshold=0.9)
    (one,) = [o for o in report.of_level("leak") if o.kind == "same_audio"]
    assert one.n_clips == 2
    assert one.share == pytest.approx((1 / 4 + 1 / 8) / 2)
    assert set(one.clips) == {"c00.wav", "twin.flac"}


def test_damaged_files_do_not_stop_the_audit(planted, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    more = planted[:1].assign(clip_id="bad.wav", path=str(bad), statement="s99")
    report = audit_clips(pd.concat([planted, more], ignore_index=True), source="x", threshold=0.9)
    faults = {one.kind: one.clips for one in report.of_level("fault")}
    assert faults["damaged"] == ("bad.wav",)
    # A file without sound shares no sound with anybody.
    assert crossing(report)["same_audio", "train", "test"] == {"twin.flac"}


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"declared": ("same_words",)}, "same_words"),
        ({"part": "train"}, {}, r"\b1 part.*train"),
        ({"part": ""}, {}, r"\b0 part"),
    ],
)
def test_what_does_not_fit_is_an_error(planted, change, options, message):
    with pytest.raises(AuditError, match=message):
        audit_clips(planted.assign(**change), source="x", **options)


def test_planted_copies_in_many_clips_have_high_precision_and_recall(few_clips, tmp_path):
    rows = [(one.clip_id, one.path, "train") for one in few_clips.itertuples()]
    truth = set()
    for number, one in enumerate(few_clips.iloc[::2].itertuples()):
        signal, rate_hz = load_signal(one.path)
        copy = np.pad(0.5 * signal, (rate_hz // 4, rate_hz // 10))
        path = tmp_path / f"p{number}.flac"
        soundfile.write(path, copy, rate_hz)
        rows.append((path.name, str(path), "test"))
        truth.add(path.name)
    clips = pd.DataFrame(rows, columns=["clip_id", "path", "part"])
    report = audit_clips(clips, source="x")
    found = crossing(report).get(("similar_audio", "train", "test"), set())
    assert len(found & truth) / len(truth) == 1.0
    assert len(found & truth) / len(found) == 1.0
    assert set(SHARED) >= {kind for kind, _, _ in crossing(report)}


def test_another_rate_of_speech_under_another_name_leaks(planted, tmp_path):
    signal, rate_hz = load_signal(planted["path"].iloc[0])
    soundfile.write(tmp_path / "voice.wav", stretch_time(signal, rate_hz, rate=1.15), rate_hz)
    said = {"label": planted["label"].iloc[0], "speaker": "nobody", "part": "test"}
    row = pd.DataFrame([said | {"clip_id": "voice.wav", "path": str(tmp_path / "voice.wav")}])
    clips = pd.concat([planted.iloc[:10], row], ignore_index=True).drop(columns="statement")
    report = audit_clips(clips, source="stretched")
    assert crossing(report)["similar_audio", "train", "test"] == {"voice.wav"}
    assert report.pairs["texture"].notna().all()
    pair = report.as_dict()["pairs"][0]
    assert set(pair) == {"first", "second", "similarity", "texture"}


def test_a_clip_with_nan_does_not_stop_the_search_for_copies(planted, tmp_path):
    signal, rate_hz = load_signal(planted["path"].iloc[0])
    torn = stretch_time(signal, rate_hz, rate=1.15)
    torn[100:120] = np.nan
    soundfile.write(tmp_path / "torn.wav", torn, rate_hz, subtype="FLOAT")
    row = pd.DataFrame([{"clip_id": "torn.wav", "path": str(tmp_path / "torn.wav")}])
    clips = pd.concat([planted[["clip_id", "path"]].iloc[:10], row], ignore_index=True)
    report = audit_clips(clips, source="torn")
    assert "torn.wav" in {name for one in report.of_level("fault") for name in one.clips}


def test_a_stopped_audit_goes_on(planted, monkeypatch):
    measured: list[str] = []

    def stops(path: str) -> tuple:
        if len(measured) == 10:
            raise KeyboardInterrupt
        measured.append(path)
        return clip_quality.measure_clip(path)

    monkeypatch.setattr(dataset, "measure_clip", stops)
    with pytest.raises(KeyboardInterrupt):
        audit_clips(planted, source="planted")
    first, measured[:] = measured[:], []
    monkeypatch.setattr(
        dataset,
        "measure_clip",
        lambda path: measured.append(path) or clip_quality.measure_clip(path),
    )
    report = audit_clips(planted, source="planted")
    # Chunks are of eight clips.
    assert first[:8] + measured == list(planted["path"])
    assert report.n_clips == len(planted)
