"""Everything that is usually wrong with a corpus on disk, through the one public door.

Each fault gives one clear error: what, which file or value, what to do; all offenders at once; and
nothing half-written stays. The table below is the list of faults that the project promises.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ser_lib import data
from ser_lib.data.splits import Protocol
from ser_lib.errors import CorpusError, SerError
from ser_lib.runs.runner import run_study
from ser_lib.studies import STUDIES, get_study

MENDING = r"(again|remove|replace|get the original|mix|cut|mend|put|point|leave|expected|keep)"


@dataclass(frozen=True)
class Fault:
    """How to break a sound tree, and what has to be said about it."""

    name: str
    plant: Callable[[Path, list[Path], Callable], Path | None]
    """Breaks the tree under the root and returns the file to be named, if it is one file."""
    says: str


def _noise(n_samples: int = 8000) -> np.ndarray:
    return np.random.default_rng(5).uniform(-0.3, 0.3, n_samples)


def _rewrite(signal: np.ndarray, **form: object):
    def plant(root: Path, files: list[Path], write: Callable) -> Path:
        return write(files[0], signal, **form)

    return plant


def _content(change: Callable[[bytes], bytes]):
    def plant(root: Path, files: list[Path], write: Callable) -> Path:
        files[0].write_bytes(change(files[0].read_bytes()))
        return files[0]

    return plant


def _ten_minutes(root: Path, files: list[Path], write: Callable) -> Path:
    files[0].unlink()
    return write(files[0].with_suffix(".flac"), np.tile(_noise(16_000 * 60) / 30, 10))


def _no_folder(root: Path, files: list[Path], write: Callable) -> None:
    shutil.rmtree(root)


def _empty_folder(root: Path, files: list[Path], write: Callable) -> None:
    shutil.rmtree(root)
    root.mkdir()


def _wrong_folder(root: Path, files: list[Path], write: Callable) -> None:
    for path in files:
        path.unlink()
    write(root / "holiday" / "beach.wav")


def _is_a_file(root: Path, files: list[Path], write: Callable) -> None:
    shutil.rmtree(root)
    root.write_text("a file where a folder should be")


def _foreign_name(root: Path, files: list[Path], write: Callable) -> Path:
    return files[0].rename(files[0].with_name("my voice.wav"))


def _unknown_code(root: Path, files: list[Path], write: Callable) -> Path:
    return files[0].rename(files[0].with_name("03-01-09-01-01-01-01.wav"))


def _duplicate(root: Path, files: list[Path], write: Callable) -> Path:
    shutil.copy(files[1], files[0])
    return files[0]


def _conflict(root: Path, files: list[Path], write: Callable) -> Path:
    return write(root / "second" / files[0].name, _noise())


def _gone(root: Path, files: list[Path], write: Callable) -> None:
    files[0].unlink()


def _speaker_gone(root: Path, files: list[Path], write: Callable) -> None:
    shutil.rmtree(files[0].parent)


def _dangling(root: Path, files: list[Path], write: Callable) -> Path:
    files[0].unlink()
    files[0].symlink_to(root / "not fetched.wav")
    return files[0]


FAULTS = [
    Fault("missing folder", _no_folder, "no folder .*SER_DATA"),
    Fault("a file for a folder", _is_a_file, "no folder .*SER_DATA"),
    Fault("empty folder", _empty_folder, "no audio file under .*SER_DATA"),
    Fault("wrong folder", _wrong_folder, r"none of 1 audio files .* named .*beach\.wav.*SER_DATA"),
    Fault("foreign name", _foreign_name, r"no .* \(expected like 03-01-"),
    Fault("unknown code", _unknown_code, "code '09' is not in the corpus's published tables"),
    Fault("unreadable", _content(lambda b: b"RIFF" + bytes(400)), "(truncated|cannot be decoded)"),
    Fault("text named wav", _content(lambda b: b"not a sound\n" * 99), "cannot be decoded"),
    Fault("truncated", _content(lambda b: b[: len(b) // 2]), "truncated: .* bytes"),
    Fault("empty file", _content(lambda b: b""), "empty file of 0 bytes"),
    Fault("dangling link", _dangling, "link to nothing"),
    Fault("silent", _rewrite(np.zeros(8000)), "silent"),
    Fault("NaN", _rewrite(_noise() * np.nan, subtype="FLOAT"), "NaN or infinite"),
    Fault("8 kHz", _rewrite(_noise(), rate_hz=8000), "8000 Hz, below 16000 Hz"),
    Fault("8 bit", _rewrite(_noise(), subtype="PCM_U8"), "8-bit samples"),
    Fault("5.1 channels", _rewrite(np.column_stack([_noise()] * 6)), "6 channels, more than 2"),
    Fault("ten minutes", _ten_minutes, "600 s, longer than 60 s"),
    Fault("too short", _rewrite(_noise(800)), "0.05 s, too short"),
    Fault("duplicate", _duplicate, "the same audio under 2 names"),
    Fault("conflicting copies", _conflict, "files of this name hold different audio"),
    Fault("missing clip", _gone, "1 of 16 published clips are missing.*ravdess-01 has 3"),
    Fault("missing speaker", _speaker_gone, "4 of 16 .* missing: 3 of 4 speakers are there"),
]


@pytest.fixture
def tree(tmp_path, monkeypatch, make_ravdess, small_ravdess):
    """A sound small RAVDESS where SER_DATA points to: its root and its files."""
    monkeypatch.setenv("SER_DATA", str(tmp_path / "data"))
    root = tmp_path / "data" / "ravdess"
    return root, sorted(make_ravdess(root).values())


def test_the_sound_tree_is_loaded_without_complaint(tree):
    table = data.load_corpus("ravdess")
    assert len(table) == 16
    assert table.attrs["left_out"] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_one_clear_error(tree, write_clip, fault):
    root, files = tree
    culprit = fault.plant(root, files, write_clip)
    with pytest.raises(CorpusError) as caught:
        data.load_corpus("ravdess")
    text = str(caught.value)
    assert text.startswith("ravdess: ")
    assert str(root) in text
    assert re.search(fault.says, text), text
    if culprit:
        (line,) = [one for one in text.splitlines() if re.search(fault.says, one)]
        assert culprit.stem in line
        assert re.search(MENDING, text.lower().replace(line.lower(), "")), "no remedy for all"
        assert "Traceback" not in text


PER_FILE = [fault for fault in FAULTS if "folder" not in fault.name and "missing" not in fault.name]


@pytest.mark.parametrize("fault", PER_FILE, ids=lambda fault: fault.name)
def test_a_faulty_file_can_be_left_out_and_is_told(tree, write_clip, fault):
    root, files = tree
    fault.plant(root, files, write_clip)
    table = data.load_corpus("ravdess", strict=False)
    n_left = 16 if fault.name == "conflicting copies" else 15
    assert len(table) == n_left
    assert any(re.search(fault.says, one) for one in table.attrs["left_out"])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_faulty_tree_is_left_as_it_was_and_nothing_half_written_stays(
    tree, tmp_path, write_clip, fault
):
    root, files = tree
    fault.plant(root, files, write_clip)

    def listing() -> list[str]:
        return sorted(str(path) for path in (tmp_path / "data").rglob("*"))

    before = listing()
    with pytest.raises(CorpusError):
        data.load_corpus("ravdess")
    assert listing() == before
    cached = list((tmp_path / "cache").rglob("*")) if (tmp_path / "cache").is_dir() else []
    # What is kept are the facts of all files, never a temporary file.
    assert all(path.is_dir() or re.fullmatch(r"\w{24}\.json", path.name) for path in cached)
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("fault", PER_FILE, ids=lambda fault: fault.name)
def test_a_mended_tree_is_loaded(tree, tmp_path, write_clip, fault):
    root, files = tree
    kept = shutil.copytree(root, tmp_path / "kept")
    fault.plant(root, files, write_clip)
    with pytest.raises(CorpusError):
        data.load_corpus("ravdess")
    shutil.rmtree(root)
    shutil.copytree(kept, root)
    assert len(data.load_corpus("ravdess")) == 16


MANY = {
    0: ("silent", lambda path, write: write(path, np.zeros(8000))),
    1: ("8000 Hz", lambda path, write: write(path, _noise(), rate_hz=8000)),
    2: ("empty file", lambda path, write: path.write_bytes(b"")),
    3: ("cannot be decoded", lambda path, write: path.write_text("text " * 99)),
    4: ("truncated", lambda path, write: path.write_bytes(path.read_bytes()[:700])),
    5: ("6 channels", lambda path, write: write(path, np.column_stack([_noise()] * 6))),
    6: ("expected like 03-01-", lambda path, write: path.rename(path.with_name("x.wav"))),
}


def test_many_faults_at_once_are_all_listed(tree, write_clip):
    _, files = tree
    for number, (_, plant) in MANY.items():
        plant(files[number], write_clip)
    with pytest.raises(CorpusError) as caught:
        data.load_corpus("ravdess")
    text = str(caught.value)
    # Seven files, and the line that counts what is missing without them.
    assert text.startswith("ravdess: 8 problem(s)")
    for number, (phrase, _) in MANY.items():
        name = "x.wav" if phrase.startswith("expected") else files[number].name
        assert re.search(rf"{name}: .*{phrase}", text), (name, phrase)
    assert "7 of 16 published clips are missing" in text


def test_more_faults_than_fit_are_counted_and_all_are_in_the_table(tree):
    _, files = tree
    for path in files[:12]:
        path.write_bytes(b"")
    with pytest.raises(CorpusError, match=r"(?s)13 problem\(s\).*… and 5 more"):
        data.load_corpus("ravdess")
    left_out = data.load_corpus("ravdess", strict=False).attrs["left_out"]
    assert len(left_out) == 13
    assert all(any(path.name in one for one in left_out) for path in files[:12])


# --- names and values that do not exist


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: data.load_corpus("tess2"), "unknown corpus 'tess2'; known are demo"),
        (lambda: data.load_corpus(""), "unknown corpus ''; known are demo"),
        (lambda: get_study("vgg2025"), "unknown study 'vgg2025'; known are swart2025"),
        (lambda: get_study("swart2025").model("cnn3d"), "no model 'cnn3d'; it has cnn_picture"),
        (lambda: get_study("swart2025").with_max_epochs(-3), "max_epochs=-3"),
    ],
)
def test_an_unknown_name_or_value_lists_the_known_ones(ask, says):
    with pytest.raises(SerError, match=says):
        ask()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "vgg2025"],
        ["run", "swart2025", "--corpus", "tess2"],
        ["run", "swart2025", "--model", "cnn3d"],
        ["run", "boucheta2025", "--model", "knn", "--protocol", "kfold"],
        ["run", "boucheta2025", "--model", "knn", "--n-seeds", "-1"],
    ],
    ids=" ".join,
)
def test_the_command_refuses_unknown_names_and_leaves_nothing(arguments, tmp_path, monkeypatch):
    from ser_lib.cli.main import app

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("went on to train")

    monkeypatch.setattr("ser_lib.runs.runner.extract", refuse)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    # Click's own refusal, or one of ours: never another exception.
    assert isinstance(result.exception, SystemExit | SerError), repr(result.exception)
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("value", ["many", "0", "1.5"])
def test_a_number_of_jobs_that_is_none_is_refused(few_clips, monkeypatch, value):
    monkeypatch.setenv("SER_JOBS", value)
    study = replace(STUDIES["boucheta2025"], honest_protocol=Protocol("loso"), augmentations=())
    with pytest.raises(SerError, match="SER_JOBS"):
        run_study(study, few_clips, models=["dummy"], protocols=["honest"], n_seeds=1)


@pytest.mark.parametrize("name", ["luna5", "loso"])
def test_a_class_with_one_speaker_is_refused(few_clips, name, tmp_path):
    clips = few_clips.copy()
    clips.loc[clips["speaker"] == "demo-03", "emotion"] = "disgust"
    study = replace(STUDIES["boucheta2025"], honest_protocol=Protocol(name))
    with pytest.raises(SerError, match=r"(disgust.*several speakers|too few speakers)"):
        run_study(study, clips, models=["dummy"], protocols=["honest"], n_seeds=1)
    assert not (tmp_path / "reports").exists()
