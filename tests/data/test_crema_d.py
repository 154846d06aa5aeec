"""CREMA-D: names, its table of actors, the clips that are left out, and disorder of every kind."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from ser_lib import data
from ser_lib.data import load_corpus
from ser_lib.data.corpora.crema_d import CREMA_D, EMOTIONS, GENDERS, STATEMENTS
from ser_lib.errors import CorpusError

# The column of sexes of the published VideoDemographics.csv, actor 1001 to 1091.
PUBLISHED_SEXES = (
    "MFFFMFFFFFMFFMMMMFMFFMMFFMMFFFMMMMMMFMMMMMFMMFFMFMMFFFFFMFMFFMFMMMMMMMMFFFFFMFFMMFMFMMMMFMF"
)
ACTORS = ("1001", "1002", "1091")
NAMES = (
    *(f"{actor}_IEO_{code}" for actor, code in product(ACTORS, ("ANG_HI", "SAD_LO", "NEU_XX"))),
    *(f"{actor}_TAI_{code}" for actor, code in product(ACTORS, ("HAP_XX", "FEA_XX", "DIS_XX"))),
)
TWICE = (
    ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX"),
    ("1013_WSI_DIS_XX", "1013_WSI_SAD_XX"),
    ("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"),
)
SILENT = "1076_MTI_SAD_XX"


def parse(stem: str) -> dict[str, object]:
    return CREMA_D.parse(re.fullmatch(CREMA_D.grammar, stem))


@pytest.fixture
def small_crema_d(monkeypatch):
    """Pretend that CREMA-D was published with the 18 clips that `make_tree` makes."""
    small = replace(CREMA_D, n_clips=len(NAMES), n_speakers=len(ACTORS))
    monkeypatch.setitem(data.CORPORA, "crema_d", small)
    return small


@pytest.fixture
def make_tree(write_clip):
    """Return a function that makes the published tree and gives its files by name."""

    def make(root: Path, suffix: str = ".wav", **sound: object) -> dict[str, Path]:
        folder = root / "AudioWAV"
        return {name: write_clip(folder / f"{name}{suffix}", **sound) for name in NAMES}

    return make


# --- names and actors


def test_a_crema_d_name_is_translated():
    assert parse("1002_IEO_FEA_MD") == {
        "speaker": "1002",
        "gender": "female",
        "emotion": "fearful",
        "intensity": "medium",
        "statement": "IEO",
    }


@pytest.mark.parametrize(
    ("code", "intensity"),
    [("LO", "low"), ("MD", "medium"), ("HI", "high"), ("XX", "unspecified")],
)
def test_the_four_intensities_are_kept(code, intensity):
    assert parse(f"1001_IEO_ANG_{code}")["intensity"] == intensity


def test_there_are_48_men_and_43_women_as_published():
    # Cao et al. (2014).
    genders = list(GENDERS.values())
    assert (genders.count("male"), genders.count("female")) == (48, 43)


def test_genders_agree_with_the_published_table():
    assert list(GENDERS) == [str(number) for number in range(1001, 1092)]
    assert "".join(gender[0].upper() for gender in GENDERS.values()) == PUBLISHED_SEXES


def test_counts_are_as_published_less_what_is_left_out():
    # 1,271 clips in each of five emotions and 1,087 neutral ones.
    assert CREMA_D.n_clips == 5 * 1271 + 1087 - len(TWICE) * 2 - 1
    assert CREMA_D.n_speakers == len(GENDERS)
    assert len(EMOTIONS) == 6
    assert len(STATEMENTS) == 12


@pytest.mark.parametrize(
    ("stem", "code"),
    [
        ("1000_IEO_ANG_HI", "1000"),
        ("1092_IEO_ANG_HI", "1092"),
        ("1001_ABC_ANG_HI", "ABC"),
        ("1001_IEO_SUR_HI", "SUR"),
        ("1001_IEO_ANG_UP", "UP"),
    ],
)
def test_codes_outside_the_tables_are_refused(stem, code):
    with pytest.raises(KeyError, match=code):
        parse(stem)


@pytest.mark.parametrize(
    "stem", ["1001_IEO_ANG_X", "1001_IEO_ANG", "101_IEO_ANG_HI", "1001_ieo_ang_hi"]
)
def test_names_that_are_nearly_crema_d_are_none(stem):
    assert re.fullmatch(CREMA_D.grammar, stem) is None


# --- layouts


@pytest.mark.parametrize("form", [{}, {"suffix": ".flac"}, {"suffix": ".WAV"}, {"rate_hz": 48_000}])
@pytest.mark.parametrize("folder", ["", "CREMA-D"])
def test_the_published_folder_is_read(tmp_path, make_tree, small_crema_d, folder, form):
    make_tree(tmp_path / folder, **form)
    table = load_corpus("crema_d", root=tmp_path)
    assert list(table["clip_id"]) == sorted(f"crema_d/{name}" for name in NAMES)
    assert dict(table["speaker"].value_counts()) == {f"crema_d-{actor}": 6 for actor in ACTORS}
    assert dict(table["emotion"].value_counts()) == dict.fromkeys(EMOTIONS.values(), 3)
    assert table.attrs == {"left_out": [], "n_copies": 0, "has_audio": True}


def test_the_rest_of_the_repository_does_not_matter(tmp_path, make_tree, small_crema_d):
    make_tree(tmp_path)
    for name in ("AudioMP3/1001_IEO_ANG_HI.mp3", "VideoFlash/1001_IEO_ANG_HI.flv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"not looked at")
    (tmp_path / "VideoDemographics.csv").write_text("ActorID,Age,Sex\n")
    assert len(load_corpus("crema_d", root=tmp_path)) == 18


@pytest.mark.parametrize("name", ["1040_ITH_SAD_X", "1040_ITH_SAD_XX"])
def test_the_clip_that_was_renamed_has_one_id(tmp_path, make_tree, write_clip, small_crema_d, name):
    files = make_tree(tmp_path)
    write_clip(files[NAMES[0]].with_name(f"{name}.wav"))
    table = load_corpus("crema_d", root=tmp_path)
    row = table.set_index("clip_id").loc["crema_d/1040_ITH_SAD_XX"]
    assert (row["intensity"], row["repetition"], row["gender"]) == ("unspecified", 1, "male")


# --- left out by design


@pytest.fixture
def with_faults(tmp_path, make_tree, write_clip):
    """The published tree with the published faults."""
    files = make_tree(tmp_path)
    folder = files[NAMES[0]].parent
    write_clip(folder / f"{SILENT}.wav", np.zeros(8000))
    for first, second in TWICE:
        shutil.copy(write_clip(folder / f"{first}.wav"), folder / f"{second}.wav")
    return folder


def test_the_silent_clip_and_the_contradicting_ones_are_left_out_and_listed(
    tmp_path, with_faults, small_crema_d
):
    table = load_corpus("crema_d", root=tmp_path)
    assert list(table["clip_id"]) == sorted(f"crema_d/{name}" for name in NAMES)
    assert table.attrs["left_out"] == []
    pairs = ", ".join(name for pair in TWICE for name in pair)
    silent, twice = table.attrs["by_design"]
    assert silent.startswith("1 ")
    assert silent.endswith(f": {SILENT}")
    assert twice.startswith("6 ")
    assert twice.endswith(f": {pairs}")


def test_what_is_left_out_by_design_may_be_absent_or_broken(tmp_path, with_faults, small_crema_d):
    (with_faults / f"{SILENT}.wav").write_bytes(b"")
    (with_faults / f"{TWICE[0][0]}.wav").unlink()
    table = load_corpus("crema_d", root=tmp_path)
    assert len(table) == 18
    assert [one.split()[0] for one in table.attrs["by_design"]] == ["1", "5"]


def test_a_second_copy_of_the_tree_does_not_count_them_twice(tmp_path, with_faults, small_crema_d):
    shutil.copytree(with_faults, tmp_path / "copy")
    table = load_corpus("crema_d", root=tmp_path)
    assert table.attrs["n_copies"] == 18
    assert [one.split()[0] for one in table.attrs["by_design"]] == ["1", "6"]


def test_any_other_silent_or_doubled_clip_is_a_problem(
    tmp_path, make_tree, write_clip, small_crema_d, lists_problem
):
    files = make_tree(tmp_path)
    write_clip(files["1001_IEO_ANG_HI"], np.zeros(8000))
    shutil.copy(files["1002_TAI_HAP_XX"], files["1002_TAI_FEA_XX"])
    with pytest.raises(CorpusError) as caught:
        load_corpus("crema_d", root=tmp_path)
    assert lists_problem(caught, "1001_IEO_ANG_HI.wav", "silent")
    assert lists_problem(caught, "1002_TAI_HAP_XX", "1002_TAI_FEA_XX", "2 names")


# --- disorder


def test_pointers_of_git_lfs_are_no_audio(tmp_path, make_tree):
    # What the repository's zip holds in place of each clip.
    for path in make_tree(tmp_path).values():
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:c6f9\nsize 72862\n")
    with pytest.raises(CorpusError, match=r"1001_IEO_ANG_HI\.wav: .*git lfs pull"):
        load_corpus("crema_d", root=tmp_path, strict=False)
    assert "git-lfs" in CREMA_D.download


def test_all_disorder_is_listed_at_once(
    tmp_path, make_tree, write_clip, small_crema_d, lists_problem
):
    files = make_tree(tmp_path)
    folder = files[NAMES[0]].parent
    files["1001_IEO_ANG_HI"].write_bytes(b"")
    files["1001_IEO_SAD_LO"].write_bytes(files["1001_IEO_SAD_LO"].read_bytes()[:500])
    write_clip(tmp_path / "more" / "1002_IEO_ANG_HI.wav", np.linspace(-0.5, 0.5, 8000))
    write_clip(folder / "my recording.wav")
    write_clip(folder / "1092_IEO_ANG_HI.wav")
    with pytest.raises(CorpusError) as caught:
        load_corpus("crema_d", root=tmp_path)
    for words in (
        ("crema_d", "6 problem", str(tmp_path)),
        ("AudioWAV/1001_IEO_ANG_HI.wav", "0 bytes"),
        ("AudioWAV/1001_IEO_SAD_LO.wav", "truncated"),
        ("crema_d/1002_IEO_ANG_HI", "different"),
        ("my recording.wav", "1001_DFA_ANG_XX.wav"),
        ("1092_IEO_ANG_HI.wav", "'1092'"),
        ("2 of 18", "missing"),
    ):
        assert lists_problem(caught, *words), words
    table = load_corpus("crema_d", root=tmp_path, strict=False)
    assert len(table) == 16
    assert len(table.attrs["left_out"]) == 6


def test_where_speakers_differ_in_number_no_number_is_usual(tmp_path, make_tree):
    # 7,435 clips of 91 actors: most have 82, and all of them would be listed as unusual.
    assert CREMA_D.n_clips % CREMA_D.n_speakers
    make_tree(tmp_path)
    with pytest.raises(CorpusError, match=r"7417 of 7435 .*: 3 of 91 [^(]*\n"):
        load_corpus("crema_d", root=tmp_path)


def test_a_folder_of_another_corpus_is_refused(tmp_path, make_ravdess):
    make_ravdess(tmp_path)
    with pytest.raises(CorpusError, match=r"crema_d: .* 16 .*1001_DFA_ANG"):
        load_corpus("crema_d", root=tmp_path, strict=False)
