"""What annotation files hold comes back as it was: from our readers and from those of the field."""

from __future__ import annotations

import io
import re
import struct
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from ser_lib.data.annotations import COLUMNS, FORMS, TIER, annotation_text, read_annotations
from ser_lib.errors import CorpusError, OutputError

ODD_LABELS = ["NA", "nan", "null", "01", 'say "a"', "ä ß 愛", "<unk>", "{laugh}", "a --> b", "a&b;"]
TIERS = ("textgrid", "eaf")


def table(*rows: tuple) -> pd.DataFrame:
    """Return segments of one recording, from start, end, label and perhaps speaker."""
    full = [("talk.wav", *one, *[""] * (4 - len(one))) for one in rows]
    return pd.DataFrame(full, columns=COLUMNS)


def chain(labels: list[str], speaker: str = "") -> pd.DataFrame:
    """Return segments that touch each other, at times that no float holds."""
    times = [0.1 * n for n in range(len(labels) + 1)]
    return table(
        *((a, b, label, speaker) for a, b, label in zip(times, times[1:], labels, strict=False))
    )


@pytest.fixture
def stored(tmp_path):
    """Write segments, or a text of a form; return the file."""

    def write(content: pd.DataFrame | str | bytes, form: str, **options: float):
        if isinstance(content, pd.DataFrame):
            content = annotation_text(content, form, **options)
        path = tmp_path / f"talk{FORMS[form][0][0]}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


# ---- all forms


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_comes_back(stored, rng, form):
    edges = np.sort(rng.choice(90_000, 41, replace=False)) / 1000
    rows = table(*((a, b, f"label {n}") for n, (a, b) in enumerate(pairwise(edges))))
    read = read_annotations(stored(rows.sample(frac=1, random_state=0), form))
    assert list(read) == COLUMNS
    assert list(read["label"].str.replace("_", " ")) == list(rows["label"])
    np.testing.assert_allclose(read[["start_s", "end_s"]], rows[["start_s", "end_s"]], atol=1e-6)
    # One number for the boundary of two neighbours.
    assert list(read["end_s"][:-1]) == list(read["start_s"][1:])
    assert set(read["file"]) == {"talk"}
    assert set(read["speaker"]) == {""}


@pytest.mark.parametrize("form", sorted(set(FORMS) - {"srt", "rttm"}))
def test_no_label_is_taken_for_a_missing_value_a_number_or_markup(stored, form):
    read = read_annotations(stored(chain(ODD_LABELS), form))
    assert list(read["label"]) == ODD_LABELS


@pytest.mark.parametrize("form", FORMS)
def test_line_breaks_and_outer_blanks_are_one_blank_or_none(stored, form):
    read = read_annotations(stored(table((0, 1, " very\r\n\n\x07sad\u2028 "), (1, 2, "b")), form))
    assert list(read["label"].str.replace("_", " ")) == ["very sad", "b"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "row",
    [
        (-0.1, 1, "a"),
        (1.0001, 1.0001, "a"),
        (2, 1, "a"),
        (0, float("nan"), "a"),
        (0, float("inf"), "a"),
        (0, 1, " \n"),
        (0, 1, None),
    ],
)
def test_a_row_that_would_be_lost_is_refused(form, row):
    with pytest.raises(OutputError, match="row 2"):
        annotation_text(table((0, 1, "a"), row), form)
    annotation_text(table((0, 1, "a")), form)


@pytest.mark.parametrize("form", FORMS)
def test_without_segments_there_is_a_file_without_rows(stored, form):
    read = read_annotations(stored(table(), form, duration_s=2.0))
    assert read.empty
    assert read["start_s"].dtype == float


@pytest.mark.parametrize("form", FORMS)
def test_speakers_come_back_or_are_refused(stored, form):
    rows = pd.concat([chain(["a", "b"], "Ann & <Bo>"), chain(["c"], "Cy")])
    if form not in ("textgrid", "eaf", "vtt"):
        with pytest.raises(OutputError, match="Cy"):
            annotation_text(rows, form)
        return
    read = read_annotations(stored(rows, form))
    assert sorted(zip(read["label"], read["speaker"], strict=True)) == [
        ("a", "Ann & <Bo>"),
        ("b", "Ann & <Bo>"),
        ("c", "Cy"),
    ]


@pytest.mark.parametrize("form", TIERS)
def test_overlaps_are_of_two_speakers_or_refused(stored, form):
    rows = table((0, 2, "a", "Ann"), (1, 3, "b", "Bo"), (2, 3, "c", "Ann"))
    assert len(read_annotations(stored(rows, form))) == 3
    with pytest.raises(OutputError, match=r"overlap at 1\.0 s"):
        annotation_text(rows.assign(speaker=""), form)


@pytest.mark.parametrize("form", FORMS)
def test_only_rttm_holds_two_recordings(stored, form):
    rows = pd.concat([chain(["a"]), chain(["b"]).assign(file="my other talk.flac")])
    if form == "rttm":
        assert set(read_annotations(stored(rows, form))["file"]) == {"talk", "my_other_talk"}
        rows["file"] = ["1/talk.wav", "2/talk.wav"]
    with pytest.raises(OutputError):
        annotation_text(rows, form)


def test_an_unknown_form_is_refused(tmp_path):
    with pytest.raises(OutputError, match="docx"):
        annotation_text(table(), "docx")
    with pytest.raises(CorpusError, match=r"\.textgrid"):
        read_annotations(tmp_path / "a.docx")
    with pytest.raises(CorpusError, match=r"a\.eaf"):
        read_annotations(tmp_path / "a.eaf")


@pytest.mark.parametrize("form", FORMS)
def test_what_is_damaged_or_of_another_form_is_refused(stored, form):
    for raw in (b"\xff\xff\x00\x9d", b"nothing of the kind\n1\n", b"SPEAKER a 1 0.0 x <NA>\n"):
        with pytest.raises(CorpusError):
            read_annotations(stored(raw, form))


# ---- TextGrid


def grid(names: list[str], form: str, label: str = "sad") -> bytes:
    """Return a TextGrid of tiers with one label each from 0.5 to 1 of 2 s, in a form of Praat's."""
    tier = [(0.0, 0.5, ""), (0.5, 1.0, label), (1.0, 2.0, "")]
    if form == "binary":

        def text(said: str) -> bytes:
            if said.isascii():
                return struct.pack(">h", len(said)) + said.encode("ascii")
            return struct.pack(">hH", -1, len(said)) + said.encode("utf-16-be")

        raw = b"ooBinaryFile\x08TextGrid" + struct.pack(">dd?i", 0, 2, True, len(names))
        for name in names:
            raw += b"\x0cIntervalTier" + text(name) + struct.pack(">ddi", 0, 2, len(tier))
            raw += b"".join(struct.pack(">dd", a, b) + text(said) for a, b, said in tier)
        return raw
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "2", "<exists>"]
    lines.append(f"{len(names)} ! tiers, as in '5 \" of them")
    for name in names:
        lines += ['"IntervalTier"', f'"{name}"', "0", "2", str(len(tier))]
        for a, b, said in tier:
            lines += [f"{a:e}", str(b), '"' + said.replace('"', '""') + '"']
    return "\n".join(lines).encode(form)


@pytest.mark.parametrize("form", ["utf-8", "utf-8-sig", "utf-16", "binary"])
@pytest.mark.parametrize("label", ["sad", 'ä "b" = 0.7', "item [1]:", "愛"])
def test_every_form_of_praat_is_read(stored, form, label):
    read = read_annotations(stored(grid(["Ann", "Bo", "Ann"], form, label), "textgrid"))
    assert list(read["speaker"]) == ["Ann", "Bo", "Ann"]
    assert list(read["label"]) == [label] * 3
    assert set(read["start_s"]) == {0.5}
    assert set(read["end_s"]) == {1.0}


def test_points_end_where_they_start_and_negative_times_are_refused(stored):
    points = 'File type = "ooTextFile"\nObject class = "TextGrid"\n0 2 <exists> 1\n'
    points += '"TextTier" "clicks" 0 2 2 0.25 "k" 1 ""'
    read = read_annotations(stored(points, "textgrid"))
    assert read[["start_s", "end_s", "label"]].to_numpy().tolist() == [
        [0.25, 0.25, "k"],
        [1.0, 1.0, ""],
    ]
    with pytest.raises(CorpusError, match="-1"):
        read_annotations(stored(points.replace("0.25", "-1"), "textgrid"))
    with pytest.raises(CorpusError, match="too early"):
        read_annotations(stored(points[:-4], "textgrid"))
    with pytest.raises(CorpusError):
        read_annotations(stored(points.replace("0 2 2", "0 2 1e400"), "textgrid"))
    with pytest.raises(CorpusError, match="PitchTier"):
        read_annotations(stored(points.replace("TextGrid", "PitchTier"), "textgrid"))


def test_a_textgrid_has_whole_tiers_and_plain_numbers():
    rows = pd.concat([chain(["a", "b", "c", "d"], "Ann"), table((1e-5, 2.5, "e", "Bo"))])
    text = annotation_text(rows, "textgrid", duration_s=2.0)
    numbers = re.findall(r"xm(?:in|ax) = (.*)", text)
    assert all(re.fullmatch(r"\d+\.\d{5}", one) for one in numbers)
    assert "1e-05" not in text
    # The grid and its tiers end with the longest of them.
    assert numbers[:2] == ["0.00000", "2.50000"]
    edges = re.findall(r"intervals \[\d+\]:\nxmin = (.*)\nxmax = (.*)", text)
    tiers = [[one for one in edges[:5]], [one for one in edges[5:]]]
    for tier in tiers:
        assert (tier[0][0], tier[-1][1]) == ("0.00000", "2.50000")
        assert [b for _, b in tier[:-1]] == [a for a, _ in tier[1:]]


def test_a_textgrid_is_read_by_praatio_and_pympi(stored):
    textgrid = pytest.importorskip("praatio.textgrid")
    pympi = pytest.importorskip("pympi")
    labels = [*ODD_LABELS, "anger = 0.7", "V = 0.3", "very\nsad"]
    rows = pd.concat([chain(labels, "Ann"), table((1e-5, 1.234567, "e", "Bo"))])
    path = stored(rows, "textgrid", duration_s=2.0)
    ours = read_annotations(path)
    assert list(ours["label"][-4:]) == ["anger=0.7", "V=0.3", "very sad", "e"]
    read = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    for name, own in ours.groupby("speaker"):
        entries = [tuple(one) for one in read.getTier(name).entries]
        expected = own[["start_s", "end_s", "label"]].itertuples(index=False, name=None)
        assert entries == list(expected)
    assert (read.minTimestamp, read.maxTimestamp) == (0, 2)
    again = [
        (*one, tier.name)
        for tier in pympi.TextGrid(str(path), codec="utf-8").get_tiers()
        for one in tier.get_intervals()
        if one[2]
    ]
    assert again == list(ours[COLUMNS[1:]].itertuples(index=False, name=None))


def test_praat_reads_it(stored):
    parselmouth = pytest.importorskip("parselmouth", reason="Praat is an extra (its licence)")
    found = parselmouth.read(str(stored(table((0.5, 1.0, "ä")), "textgrid", duration_s=2.0)))
    assert parselmouth.praat.call(found, "Get number of tiers") == 1
    assert parselmouth.praat.call(found, "Get label of interval", 1, 2) == "ä"
    assert parselmouth.praat.call(found, "Get end time of interval", 1, 2) == 1.0


# ---- ELAN


def test_an_eaf_is_read_by_pympi(stored):
    pympi = pytest.importorskip("pympi")
    rows = pd.concat([chain(ODD_LABELS, "Ann"), table((0.0004, 1.001, "e", "Bo"))])
    path = stored(rows, "eaf")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = pympi.Elan.Eaf(str(path))
    assert sorted(read.get_tier_names()) == ["Ann", "Bo"]
    found = sorted(read.get_annotation_data_for_tier("Ann"))
    assert found == [(100 * n, 100 * (n + 1), label) for n, label in enumerate(ODD_LABELS)]
    assert read.get_annotation_data_for_tier("Bo") == [(0, 1001, "e")]
    assert read.get_linked_files()[0]["RELATIVE_MEDIA_URL"] == "./talk.wav"
    ids = re.findall(r'(?:TIME_SLOT|ANNOTATION)_ID="(\w+)"', path.read_text(encoding="utf-8"))
    assert len(ids) == len(set(ids)) == 3 * 11
    assert all(re.fullmatch(r"(ts|a)\d+", one) for one in ids)
    times = re.findall(r'TIME_VALUE="(\d+)"', path.read_text(encoding="utf-8"))
    assert list(map(int, times)) == sorted(map(int, times))


EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"/><TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="250"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="1001"/>
</TIME_ORDER>
<TIER TIER_ID="note"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a2">
<ANNOTATION_VALUE>loud</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="emotion"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1">
<ANNOTATION_VALUE>sad</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="words"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1"
TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>"""


def test_what_refers_to_another_annotation_has_its_time_and_what_has_none_is_refused(stored):
    read = read_annotations(stored(EAF, "eaf"))
    assert read[COLUMNS[1:]].to_numpy().tolist() == [
        [0.25, 1.001, "loud", "note"],
        [0.25, 1.001, "sad", ""],
        [0.25, 1.001, "", "words"],
    ]
    with pytest.raises(CorpusError, match="align it in ELAN"):
        read_annotations(stored(EAF.replace(' TIME_VALUE="1001"', ""), "eaf"))
    for old, new in (
        ("milliseconds", "PAL-frames"),
        ('REF="a1"', 'REF="a9"'),
        ('REF="a1"', 'REF="a3"'),
    ):
        with pytest.raises(CorpusError):
            read_annotations(stored(EAF.replace(old, new), "eaf"))


# ---- label tracks, subtitles, turns


def test_a_label_track_may_hold_points_and_frequencies(stored):
    read = read_annotations(
        stored("0.5\t1.25\tsad\n\\\t100.0\t800.0\r\n2\t2\t\n3\t4\n", "audacity")
    )
    assert read[["start_s", "end_s", "label"]].to_numpy().tolist() == [
        [0.5, 1.25, "sad"],
        [2.0, 2.0, ""],
        [3.0, 4.0, ""],
    ]


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_are_read_by_pysubs2(stored, form):
    pysubs2 = pytest.importorskip("pysubs2")
    rows = table((3599.9996, 3600.5, "b"), (0.0005, 1.0016, "NA"), (1.0016, 2, "01"))
    read = list(pysubs2.load(str(stored(rows, form)), encoding="utf-8"))
    assert [(one.start, one.end, one.plaintext) for one in read] == [
        (0, 1002, "NA"),
        (1002, 2000, "01"),
        (3_600_000, 3_600_500, "b"),
    ]


@pytest.mark.parametrize("label", ["<unk>", "{laugh}", "a\\Nb"])
def test_what_readers_of_srt_take_for_markup_is_refused(stored, label):
    pysubs2 = pytest.importorskip("pysubs2")
    with pytest.raises(OutputError, match="vtt"):
        annotation_text(table((0, 1, label)), "srt")
    path = stored(annotation_text(table((0, 1, "LABEL")), "srt").replace("LABEL", label), "srt")
    assert pysubs2.load(str(path))[0].plaintext != label
    assert read_annotations(path)["label"][0] == label


def test_webvtt_has_no_arrow_no_tag_and_no_blank_line_in_a_cue():
    text = annotation_text(chain(["<unk>", "a --> b", "one\n\ntwo"]), "vtt")
    cues = [one.splitlines() for one in text.split("\n\n")[1:-1]]
    assert [one[1:] for one in cues] == [["&lt;unk&gt;"], ["a --&gt; b"], ["one two"]]


def test_webvtt_of_others_is_read(stored):
    text = "\ufeffWEBVTT - a title\n\nNOTE\nnothing\n\nSTYLE\n::cue {}\n\n"
    text += (
        "first\n00:01.5 --> 00:02.000 align:start\n<v.loud Ann><i>so</i>\nsad &amp; <c>old</c>\n"
    )
    text += "\n\n100:00:00.000 --> 100:00:01.000\n- b"
    read = read_annotations(stored(text, "vtt"))
    assert read[COLUMNS[1:]].to_numpy().tolist() == [
        [1.5, 2.0, "so sad & old", "Ann"],
        [360_000.0, 360_001.0, "- b", ""],
    ]


def test_turns_are_read_by_pandas_without_gaps_or_missing_values(stored, rng):
    edges = np.sort(rng.uniform(0, 100, 200))
    rows = table(*((a, b, "not sure") for a, b in pairwise(edges)))
    rows = rows[(rows["end_s"] - rows["start_s"]) > 0.001]
    columns = ["type", "file", "channel", "start", "length", "o", "s", "name", "c", "l"]
    raw = stored(rows.assign(file="my talk.wav"), "rttm").read_bytes()
    read = pd.read_csv(io.BytesIO(raw), sep=r"\s+", names=columns)
    assert not read[["file", "name"]].isna().any(axis=None)
    assert set(read["file"]) == {"my_talk"}
    assert set(read["channel"]) == {1}
    ends = (read["start"] + read["length"]).round(3)
    touches = (rows["end_s"].to_numpy()[:-1] == rows["start_s"].to_numpy()[1:]).nonzero()[0]
    assert (ends.to_numpy()[touches] == read["start"].to_numpy()[touches + 1]).all()


@pytest.mark.parametrize("name", ["NA", "nan", "None", "null", "N/A", "<NA>", "#N/A", ""])
def test_names_that_are_read_as_missing_are_refused(name):
    line = f"SPEAKER {name or 'x'} 1 0 1\n"
    if name not in ("", "N/A"):
        assert pd.read_csv(io.StringIO(line), sep=" ", header=None)[1].isna().all()
    with pytest.raises(OutputError, match="row 1"):
        annotation_text(table((0, 1, name)), "rttm")
    with pytest.raises(OutputError, match="row 1"):
        annotation_text(table((0, 1, "a")).assign(file=name.replace("/", "")), "rttm")
    annotation_text(table((0, 1, "nap")), "rttm")


def test_only_turns_are_read_of_an_rttm(stored):
    text = "SPKR-INFO a 1 <NA> <NA> <NA> unknown Ann <NA>\n;; a comment\n"
    text += (
        "SPEAKER a 1 0.10 0.200 <NA> <NA> Ann <NA> <NA>\nNON-SPEECH a 1 0.3 1 <NA> <NA> x <NA>\n"
    )
    text += "SPEAKER b 2 1 1 <NA> <NA> Bo <NA>\n"
    read = read_annotations(stored(text, "rttm"))
    assert read[COLUMNS].to_numpy().tolist() == [
        ["a", 0.1, 0.3, "Ann", ""],
        ["b", 1.0, 2.0, "Bo", ""],
    ]


def test_a_tier_without_speaker_has_a_name(stored):
    assert f'name = "{TIER}"' in annotation_text(table((0, 1, "a")), "textgrid")
