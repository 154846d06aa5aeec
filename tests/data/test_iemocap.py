"""IEMOCAP: turns and their label files, dialogues that are no clips, and disorder of every kind."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_lib import data
from ser_lib.data import load_corpus
from ser_lib.data.corpora.iemocap import EMOTIONS, IEMOCAP
from ser_lib.data.labels import LABEL_SETS
from ser_lib.errors import CorpusError

# Turns of the published counts: Busso et al. (2008), and the release itself.
COUNTS = {
    "ang": 1103,
    "hap": 595,
    "exc": 1041,
    "sad": 1084,
    "neu": 1708,
    "fru": 1849,
    "fea": 40,
    "sur": 107,
    "dis": 2,
}
N_NO_AGREEMENT, N_OTHER = 2507, 3

# Dialogue to its turns and labels.
TURNS = {
    "Ses01F_impro01": {"F000": "neu", "F001": "fru", "M000": "xxx"},
    "Ses01M_script01_1": {"F000": "ang", "M000": "sad", "M001": "oth"},
    "Ses03M_impro05a": {"M000": "hap", "FXX0": "exc"},
    "Ses05M_script01_1b": {"F000": "fea", "M000": "sur", "M001": "xxx"},
}
LABELS = {f"{one}_{turn}": label for one, turns in TURNS.items() for turn, label in turns.items()}
KEPT = {name: label for name, label in LABELS.items() if label in EMOTIONS}


def parse(name: str, label: str = "neu") -> dict[str, object]:
    return IEMOCAP.parse(re.fullmatch(IEMOCAP.grammar, f"{name} {label}"))


def line_of(name: str, label: str) -> str:
    """Compose a label's line and the judges' votes below it, as in the release."""
    return (
        f"[6.2901 - 8.2357]\t{name}\t{label}\t[2.5000, 2.5000, 2.5000]\n"
        "C-E2:\tNeutral;\t()\nC-F1:\tNeutral;\t(curious)\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
    )


@pytest.fixture
def small_iemocap(monkeypatch):
    """Pretend that IEMOCAP was published with the 8 clips that `make_tree` makes."""
    small = replace(IEMOCAP, n_clips=len(KEPT), n_speakers=6)
    monkeypatch.setitem(data.CORPORA, "iemocap", small)
    return small


@pytest.fixture
def make_tree(write_clip):
    """Return a function that makes the release's tree and gives its turns' files by name."""

    def make(root: Path, suffix: str = ".wav", **sound: object) -> dict[str, Path]:
        files = {}
        for dialogue, turns in TURNS.items():
            session = root / f"Session{int(dialogue[3:5])}"
            for turn in turns:
                name = f"{dialogue}_{turn}"
                path = session / "sentences" / "wav" / dialogue / f"{name}{suffix}"
                files[name] = write_clip(path, **sound)
            write_clip(session / "dialog" / "wav" / f"{dialogue}.wav", duration_s=1.0)
            text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
            text += "".join(line_of(f"{dialogue}_{turn}", label) for turn, label in turns.items())
            label_file = session / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"
            label_file.parent.mkdir(exist_ok=True)
            label_file.write_text(text)
        return files

    return make


def label_file(root: Path, dialogue: str = "Ses01F_impro01") -> Path:
    folder = root / f"Session{int(dialogue[3:5])}" / "dialog" / "EmoEvaluation"
    return folder / f"{dialogue}.txt"


# --- names and labels


def test_a_turn_is_translated():
    assert parse("Ses02M_script03_2_F014", "fru") == {
        "speaker": "02F",
        "gender": "female",
        "emotion": "frustrated",
        "statement": "script03_2",
    }


def test_the_speaker_is_who_speaks_and_not_who_wears_the_markers():
    assert parse("Ses01F_impro01_M000")["speaker"] == "01M"
    assert parse("Ses01M_impro01_M000")["speaker"] == "01M"
    assert parse("Ses01M_impro01_F000")["gender"] == "female"


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("Ses03M_impro05a_M000", "impro05"),
        ("Ses05M_script01_1b_F000", "script01_1"),
        ("Ses03F_impro06_FXX0", "impro06"),
    ],
)
def test_parts_of_a_dialogue_have_its_scenario(name, statement):
    assert parse(name)["statement"] == statement


def test_counts_are_as_published_less_what_is_left_out():
    assert set(COUNTS) == set(EMOTIONS)
    assert sum(COUNTS.values()) == IEMOCAP.n_clips
    assert IEMOCAP.n_clips + N_NO_AGREEMENT + N_OTHER == 10_039


def test_the_five_classes_of_the_study_are_emotions_of_the_corpus():
    assert set(LABEL_SETS["iemocap5"].labels) < set(EMOTIONS.values())


@pytest.mark.parametrize(
    ("name", "label", "code"),
    [("Ses06F_impro01_F000", "neu", "06"), ("Ses01F_impro01_F000", "bor", "bor")],
)
def test_codes_outside_the_tables_are_refused(name, label, code):
    with pytest.raises(KeyError, match=code):
        parse(name, label)


@pytest.mark.parametrize(
    "text",
    [
        "Ses01F_impro01_F000",  # without its label
        "Ses01F_impro01 neu",
        "Ses01X_impro01_F000 neu",
        "Ses01F_improv1_F000 neu",
        "Ses01F_impro01_X000 neu",
    ],
)
def test_what_is_nearly_a_labelled_turn_is_none(text):
    assert re.fullmatch(IEMOCAP.grammar, text) is None


def test_the_judges_votes_are_no_labels():
    line = re.compile(IEMOCAP.labels.line)
    first, *others = line_of("Ses01F_impro01_F000", "neu").splitlines()
    assert line.fullmatch(first).group("name", "label") == ("Ses01F_impro01_F000", "neu")
    assert not any(line.fullmatch(one) for one in others)


# --- layouts


@pytest.mark.parametrize("form", [{}, {"suffix": ".flac"}, {"suffix": ".WAV"}, {"rate_hz": 48_000}])
@pytest.mark.parametrize("folder", ["", "IEMOCAP_full_release"])
def test_the_release_is_read(tmp_path, make_tree, small_iemocap, folder, form):
    make_tree(tmp_path / folder, **form)
    table = load_corpus("iemocap", root=tmp_path)
    emotions = {f"iemocap/{name}": EMOTIONS[label] for name, label in KEPT.items()}
    assert dict(zip(table["clip_id"], table["emotion"], strict=True)) == emotions
    assert list(table["clip_id"]) == sorted(table["clip_id"])
    speakers = {"01F", "01M", "03F", "03M", "05F", "05M"}
    assert set(table["speaker"]) == {f"iemocap-{one}" for one in speakers}
    assert table.attrs["left_out"] == []
    assert table.attrs["n_copies"] == 0


def test_turns_without_an_emotion_and_whole_dialogues_are_left_out_and_listed(
    tmp_path, make_tree, small_iemocap
):
    make_tree(tmp_path)
    by_design = load_corpus("iemocap", root=tmp_path).attrs["by_design"]
    reasons = ["dialogues", "xxx", "oth"]
    names = [
        list(TURNS),
        ["Ses01F_impro01_M000", "Ses05M_script01_1b_M001"],
        ["Ses01M_script01_1_M001"],
    ]
    for line, reason, left_out in zip(by_design, reasons, names, strict=True):
        assert line.startswith(f"{len(left_out)} ")
        assert reason in line
        assert line.endswith(f": {', '.join(left_out)}")


def test_a_tree_without_the_dialogues_sound_is_read(tmp_path, make_tree, small_iemocap):
    make_tree(tmp_path)
    for folder in tmp_path.glob("Session*/dialog/wav"):
        shutil.rmtree(folder)
    assert len(load_corpus("iemocap", root=tmp_path).attrs["by_design"]) == 2


def test_other_files_of_the_release_do_not_matter(tmp_path, make_tree, small_iemocap):
    files = make_tree(tmp_path)
    evaluation = label_file(tmp_path).parent
    # Single judges' files, in folders next to the label files; what macOS leaves everywhere.
    (evaluation / "Categorical").mkdir()
    (evaluation / "Categorical" / "Ses01F_impro01_e2_cat.txt").write_text(
        "Ses01F_impro01_F000 :Anger; ()\n"
    )
    (evaluation / "._Ses01F_impro01.txt").write_bytes(b"\x00\x05\x16\x07")
    path = files["Ses01F_impro01_F000"]
    path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "Session1" / "dialog" / "transcriptions").mkdir()
    assert len(load_corpus("iemocap", root=tmp_path)) == 8


def test_label_files_with_other_line_ends_and_letters_are_read(tmp_path, make_tree, small_iemocap):
    make_tree(tmp_path)
    path = label_file(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"curious", b"\xe9tonn\xe9").replace(b"\n", b"\r\n"))
    assert len(load_corpus("iemocap", root=tmp_path)) == 8


def test_a_second_copy_of_the_release_is_a_copy(tmp_path, make_tree, small_iemocap):
    make_tree(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    table = load_corpus("iemocap", root=tmp_path)
    assert (len(table), table.attrs["n_copies"]) == (8, 8)
    assert [one.split()[0] for one in table.attrs["by_design"]] == ["4", "2", "1"]


def test_a_corrected_label_is_noticed_at_once(tmp_path, make_tree, small_iemocap):
    # Labels are no part of the cache of what was decoded.
    make_tree(tmp_path)
    load_corpus("iemocap", root=tmp_path)
    path = label_file(tmp_path)
    path.write_text(path.read_text().replace("F001\tfru", "F001\tang"))
    table = load_corpus("iemocap", root=tmp_path).set_index("clip_id")
    assert table.loc["iemocap/Ses01F_impro01_F001", "emotion"] == "angry"


# --- disorder


def test_sound_without_label_files_is_refused_with_what_is_missing(tmp_path, make_tree):
    make_tree(tmp_path)
    for folder in tmp_path.glob("Session*/dialog/EmoEvaluation"):
        shutil.rmtree(folder)
    with pytest.raises(CorpusError) as caught:
        load_corpus("iemocap", root=tmp_path, strict=False)
    for part in (str(tmp_path), IEMOCAP.labels.pattern, "[6.2901 - 8.2357]", "sail.usc.edu"):
        assert part in str(caught.value)


def test_the_sentences_folder_alone_is_refused(tmp_path, make_tree):
    make_tree(tmp_path)
    with pytest.raises(CorpusError, match="dialog/EmoEvaluation"):
        load_corpus("iemocap", root=tmp_path / "Session1" / "sentences")


def test_a_folder_of_dialogues_alone_is_refused(tmp_path, make_tree):
    make_tree(tmp_path)
    for folder in tmp_path.glob("Session*/sentences"):
        shutil.rmtree(folder)
    with pytest.raises(CorpusError, match=r" 4 .*Ses01F_impro01_F000\.wav"):
        load_corpus("iemocap", root=tmp_path, strict=False)


def test_an_empty_or_cut_label_file_is_named_with_each_turn_that_lacks_its_label(
    tmp_path, make_tree, small_iemocap, lists_problem
):
    make_tree(tmp_path)
    label_file(tmp_path).write_text("")
    cut = label_file(tmp_path, "Ses03M_impro05a")
    cut.write_text(cut.read_text().split("[6.2901")[0] + line_of("Ses03M_impro05a_M000", "hap"))
    with pytest.raises(CorpusError) as caught:
        load_corpus("iemocap", root=tmp_path)
    assert lists_problem(caught, "iemocap", "6 problem", str(tmp_path))
    assert lists_problem(caught, "EmoEvaluation/Ses01F_impro01.txt", "[6.2901")
    for name in ("Ses01F_impro01_F000", "Ses01F_impro01_M000", "Ses03M_impro05a_FXX0"):
        assert lists_problem(caught, f"{name}.wav:", "label")
    assert lists_problem(caught, "3 of 8", "missing")
    table = load_corpus("iemocap", root=tmp_path, strict=False)
    assert len(table) == 5


def test_labels_that_contradict_each_other_are_a_problem(
    tmp_path, make_tree, small_iemocap, lists_problem
):
    make_tree(tmp_path)
    path = label_file(tmp_path)
    with path.open("a") as file:
        file.write(line_of("Ses01F_impro01_F000", "neu"))  # the same again is none
        file.write(line_of("Ses01F_impro01_F000", "ang"))
    with pytest.raises(CorpusError) as caught:
        load_corpus("iemocap", root=tmp_path)
    assert lists_problem(caught, "3 problem")
    assert lists_problem(caught, "Ses01F_impro01.txt", "Ses01F_impro01_F000", "'ang'", "'neu'")
    assert lists_problem(caught, "Ses01F_impro01_F000.wav:", "label")
    assert lists_problem(caught, "1 of 8", "missing")
    # Which of the two is right cannot be known: the clip has none.
    table = load_corpus("iemocap", root=tmp_path, strict=False)
    assert "iemocap/Ses01F_impro01_F000" not in set(table["clip_id"])


def test_a_label_file_that_cannot_be_read_is_named(tmp_path, make_tree, small_iemocap):
    make_tree(tmp_path)
    path = label_file(tmp_path)
    path.unlink()
    path.symlink_to(tmp_path / "nowhere.txt")
    with pytest.raises(CorpusError, match=r"Ses01F_impro01\.txt: .*No such"):
        load_corpus("iemocap", root=tmp_path)


def test_all_disorder_is_listed_at_once(
    tmp_path, make_tree, write_clip, small_iemocap, lists_problem
):
    files = make_tree(tmp_path)
    first, second, third, fourth = list(KEPT)[:4]
    files[first].write_bytes(b"")
    files[second].write_bytes(files[second].read_bytes()[:500])
    shutil.copy(files[third], files[fourth])
    write_clip(
        tmp_path / "more" / files["Ses05M_script01_1b_F000"].name, np.linspace(-0.5, 0.5, 8000)
    )
    write_clip(tmp_path / "my recording.wav")
    path = label_file(tmp_path, "Ses03M_impro05a")
    path.write_text(path.read_text().replace("\thap\t", "\tbor\t"))
    with pytest.raises(CorpusError) as caught:
        load_corpus("iemocap", root=tmp_path)
    for words in (
        ("iemocap", "7 problem", str(tmp_path)),
        (f"{first}.wav", "0 bytes"),
        (f"{second}.wav", "truncated"),
        (third, fourth, "2 names"),
        ("iemocap/Ses05M_script01_1b_F000", "different"),
        ("my recording.wav", "Ses01F_impro01_F000.wav"),
        ("Ses03M_impro05a_M000.wav", "'bor'"),
        ("4 of 8", "missing"),
    ):
        assert lists_problem(caught, *words), words
    assert len(load_corpus("iemocap", root=tmp_path, strict=False)) == 4


def test_a_folder_of_another_corpus_is_refused(tmp_path, make_ravdess):
    make_ravdess(tmp_path)
    with pytest.raises(CorpusError, match=r"iemocap: .*EmoEvaluation"):
        load_corpus("iemocap", root=tmp_path, strict=False)
