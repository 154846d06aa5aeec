"""`ser audit`: from the command line to text, JSON and exit code, and errors on bad usage."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ser_lib.audit import report as audit_report
from ser_lib.audit.report import audit_dataset, report_text
from ser_lib.cli import main as command


def run(*arguments: object):
    return CliRunner().invoke(command.app, ["audit", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path, write_clip):
    root = tmp_path / "clips"
    for name in "abcd":
        write_clip(root / f"{name}.wav", duration_s=0.5)
    (root / "e.wav").write_bytes((root / "a.wav").read_bytes())
    return root


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text("path,label,speaker\na,sad,1\nb,sad,2\nc,angry,3\nd,angry,4\ne,angry,1\n")
    return path


@pytest.fixture
def split(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("path,part\na,train\nb,train\nc,test\nd,test\ne,test\n")
    return path


def test_a_leaking_split_exits_with_1_and_says_what_leaks(folder, table, split):
    result = run(folder, "--table", table, "--split", split)
    assert result.exit_code == 1
    for text in ("LEAKS (2)", "same_audio", "train -> test", "same_speaker", "label_conflict",
                 "e.wav (angry)", "This split leaks. 2 leaks, 1 fault,"):  # fmt: skip
        assert text in result.output


def test_a_folder_without_a_split_exits_with_0_and_says_that_nothing_was_checked(folder):
    result = run(folder)
    assert result.exit_code == 0
    last = result.output.splitlines()[-1]
    assert last.startswith("No split was checked")
    assert "the same audio of 32 %" in last
    assert "No leak" not in result.output
    assert "a.wav = e.wav" in result.output


@pytest.mark.parametrize("name", [b"\xff.wav", "ü.wav".encode(), b"\x1b[31m.wav"])
def test_names_of_any_bytes_are_in_the_json(folder, name):
    named = os.fsdecode(name)
    (folder / "e.wav").rename(folder / named)
    text = "".join(audit_report.report_json(audit_dataset(str(folder)))).encode("utf-8")
    found = json.loads(text)["findings"]
    assert any(named in one["clips"] for one in found)


def test_a_clean_split_exits_with_0_and_says_what_was_not_checked(folder, split):
    (folder / "e.wav").unlink()
    split.write_text("path,part\na,train\nb,train\nc,test\nd,test\n")
    result = run(folder, "--split", split)
    assert result.exit_code == 0
    assert "No leak was found; shared speakers: " in result.output.splitlines()[-1]


def test_folders_of_parts_and_classes_are_a_split(tmp_path, write_clip):
    first = write_clip(tmp_path / "train" / "angry" / "1.wav")
    for name in ("train/sad/2", "test/sad/3", "test/angry/4"):
        write_clip(tmp_path / f"{name}.wav")
    (tmp_path / "test" / "sad" / "5.wav").write_bytes(first.read_bytes())
    result = run(tmp_path)
    assert result.exit_code == 1
    for text in ("same_audio", "train -> test", "label_conflict", "label: angry, sad"):
        assert text in result.output


def test_distinct_speakers_are_no_leak_when_it_is_said_so(folder, table, tmp_path):
    table.write_text("path,speaker,part\na,01,train\nb,2,train\nc,1,test\nd,4,test\n")
    assert run(folder, "--table", table).exit_code == 1
    assert run(folder, "--table", table, "--distinct-speakers").exit_code == 0


def test_declared_leaks_do_not_fail(folder, table, split):
    options = ("--declared", "same_audio", "--declared", "same_speaker")
    result = run(folder, "--table", table, "--split", split, *options)
    assert result.exit_code == 0
    assert "declared; " in result.output


def test_json_is_the_whole_report_on_the_terminal_and_in_a_file(folder, table, split, tmp_path):
    out = tmp_path / "audit.json"
    result = run(folder, "--table", table, "--split", split, "--json", "--out", out)
    content = json.loads(result.stdout)
    assert content == json.loads(out.read_text())
    assert content["counts"]["leak"] == 2
    assert content["n_clips"] == 5
    leak = next(one for one in content["findings"] if one["kind"] == "same_audio")
    assert (leak["level"], leak["first"], leak["second"]) == ("leak", "train", "test")
    assert leak["clips"] == ["e.wav"]


def test_json_in_pieces_is_that_of_the_whole(folder, monkeypatch):
    report = audit_dataset(str(folder))
    pair = {"first": "a\n.wav", "second": "ü.wav", "similarity": 0.97123, "texture": np.nan}
    for n_pairs in (0, 1, 4, 5):
        whole = replace(report, pairs=pd.DataFrame([pair] * n_pairs, columns=list(pair)))
        monkeypatch.setattr(audit_report, "PAIRS_AT_ONCE", 2)
        expected = json.dumps(whole.as_dict(), indent=1, ensure_ascii=False) + "\n"
        assert "".join(audit_report.report_json(whole)) == expected


BAD = {
    "nothing of that name": (("nowhere",), "neither a folder nor a corpus; corpora are demo"),
    "a table for a corpus": (("demo", "--table", "x.csv"), "is a corpus with a table of its own"),
    "a column that is not there": (("FOLDER", "--table", "TABLE", "--part-column", "fold"),
                                   "no column 'fold' for part; its columns are: path, label"),
    "a column without a table": (("FOLDER", "--label-column", "x"), "no table is given"),
    "a protocol for a folder": (("FOLDER", "--protocol", "luna5"), "give a folder a split"),
    "an unknown protocol": (("demo", "--protocol", "kfold"), "unknown protocol 'kfold'"),
    "an unknown kind": (("FOLDER", "--declared", "x"), "no kind of leak is named"),
    "a threshold beyond": (("FOLDER", "--threshold", "1.5"), "must be above 0 and at most 1"),
    "a corpus that is not here": (("emodb",), "emodb"),
    "an unwritable file": (("FOLDER", "--out", "FOLDER"), "directory"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_usage_exits_with_2_and_says_what_is_wrong(
    folder, table, arguments, message, monkeypatch
):
    monkeypatch.setenv("SER_DATA", str(folder / "no data"))
    given = {"FOLDER": folder, "TABLE": table}
    result = run(*(given.get(one, one) for one in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("ser audit: ")
    assert result.stdout == ""


def test_a_corpus_divided_by_a_protocol_is_audited(monkeypatch, few_clips):
    clips = few_clips.copy()
    clips.attrs.update(left_out=["one.wav: truncated"], n_copies=2, has_audio=True)
    monkeypatch.setattr("ser_lib.data.load_corpus", lambda name, strict: clips)
    leaking = audit_dataset("demo", protocol="random")
    assert {one.kind for one in leaking.of_level("leak")} == {"same_speaker"}
    honest = audit_dataset("demo", protocol="loso")
    assert honest.of_level("leak") == []
    assert honest.source == "demo, divided by loso"
    (fault,) = [one for one in honest.findings if one.kind == "left_out"]
    assert (fault.level, fault.detail) == ("fault", "one.wav: truncated")
    # Not a fault: what the loader knows not to be of the corpus.
    alone = [one for one in honest.findings if one.kind == "left_alone"]
    assert [(one.level, one.n_clips) for one in alone] == [("observation", 2)]
    # What the protocol cannot avoid is declared without being asked for.
    sentence = audit_dataset("demo", protocol="sentence")
    assert sentence.of_level("leak") == []
    assert any(one.detail.startswith("declared") for one in sentence.findings)


def test_details_are_wrapped(folder, table, split, monkeypatch):
    monkeypatch.setattr(audit_report, "WIDTH", 80)
    text = report_text(audit_dataset(str(folder), table=table, split=split))
    assert max(len(line) for line in text.splitlines() if line.startswith(" " * 18)) <= 80


def test_help_shows_examples_and_exit_codes():
    text = " ".join(run("--help").output.split())
    for words in ("ser audit ravdess", "--split split.csv", "Exit code: 0 no leak, 1 leaks, 2"):
        assert words in text
