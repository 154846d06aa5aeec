"""Annotation files: parts of recordings with labels and speakers, as other programs keep them.

Praat's TextGrid and ELAN's EAF (one tier a speaker), Audacity's label track, the subtitles SRT and
WebVTT (with speakers), and RTTM (several recordings, one name a turn). A table of segments has the
columns `COLUMNS`; `speaker` is empty where there is none. What each form can hold, and what its
readers make of it, is in docs/formats.md.
"""

from __future__ import annotations

import html
import math
import re
import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from datetime import datetime
from io import BytesIO
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ser_lib.audio.io import is_recording
from ser_lib.errors import CorpusError, OutputError, offenders

COLUMNS = ["file", "start_s", "end_s", "label", "speaker"]
TIER = "emotion"  # called so where there is no speaker
# Errors of what a damaged file holds.
DAMAGED = (ValueError, LookupError, TypeError, ArithmeticError, struct.error, ET.ParseError)
# Texts that pandas, and with it pyannote, reads as a missing value.
MISSING = re.compile(r"|[#<-]*(n/?a|nan|none|null)>?", re.IGNORECASE)


class _Segment(NamedTuple):
    """A row of a table; times are whole ticks, so that neighbours share a boundary."""

    file: str
    speaker: str
    start: int
    end: int
    label: str


def annotation_text(segments: pd.DataFrame, form: str, *, duration_s: float = 0.0) -> str:
    """Write segments as the text of an annotation file, to be stored as UTF-8.

    Parameters
    ----------
    segments : pandas.DataFrame
        Columns `COLUMNS`. Times are rounded to 10 µs in TextGrids and label tracks, else to the
        millisecond; blanks and line breaks in a label become one blank.
    form : str
        A key of `FORMS`.
    duration_s : float
        Of the recording: a TextGrid covers it, also behind the last segment.

    Raises
    ------
    OutputError
        If the form cannot hold a row as it is; all such are listed.
    """
    if form not in FORMS:
        raise OutputError(f"form '{form}' is unknown; known are {', '.join(FORMS)}")
    _, per_s, write, _ = FORMS[form]
    found, problems = [], []
    for number, row in enumerate(segments[COLUMNS].itertuples(index=False), start=1):
        file, label, speaker = (_one_line(row[place], form) for place in (0, 3, 4))
        start, end = (round(one * per_s) if math.isfinite(one) else -1 for one in row[1:3])
        found.append(_Segment(file, "" if speaker == TIER else speaker, start, end, label))
        problems += [f"row {number}: {what}" for what in _problems(found[-1], form)]
    has_tiers = form in ("textgrid", "eaf")
    found.sort(key=lambda one: one if has_tiers else (one.file, *one[2:]))
    n_files = len({one.file for one in found})
    if n_files > (len({_file_id(one.file) for one in found}) if form == "rttm" else 1):
        problems.append("recordings cannot be told apart: rttm holds several of different names")
    problems += [
        f"'{one.label}' and '{two.label}' overlap at {two.start / per_s} s, which a tier cannot"
        for one, two in pairwise(found)
        if has_tiers and one.speaker == two.speaker and two.start < one.end
    ]
    if problems:
        raise OutputError(f"{form} cannot hold these segments:{offenders(problems)}")
    return write(found, round(duration_s * per_s))


def _one_line(text: object, form: str) -> str:
    """Return a text without line breaks, outer blanks, and what a form's readers stumble over."""
    shown = "" if pd.isna(text) else str(text)
    line = " ".join("".join(one if one.isprintable() else " " for one in shown).split())
    if form == "rttm":
        return line.replace(" ", "_")
    return line.replace(" = ", "=") if form == "textgrid" else line  # tgt cuts labels there


def _problems(one: _Segment, form: str) -> Iterator[str]:
    if not 0 <= one.start < one.end:
        yield f"'{one.label}' has no time, starts before 0, or is, when rounded, of no length"
    if not one.label:
        yield "it has no label"
    if one.speaker and form in ("audacity", "srt", "rttm"):
        yield f"{form} has no place for a speaker ({one.speaker}); textgrid, eaf and vtt have"
    if form == "srt" and re.search(r"[<{\\]", one.label):
        yield f"'{one.label}' is taken for markup by readers of SRT; vtt can escape it"
    lost = [name for name in (_file_id(one.file), one.label) if MISSING.fullmatch(name)]
    yield from (f"'{name}' is read as a missing value" for name in lost if form == "rttm")


def _file_id(file: str) -> str:
    path = Path(file)
    return path.stem if is_recording(path.name) else path.name


def _tiers(segments: list[_Segment]) -> dict[str, list[_Segment]]:
    found = groupby(segments, key=lambda one: one.speaker)
    return {speaker or TIER: list(own) for speaker, own in found} or {TIER: []}


def _textgrid(segments: list[_Segment], end: int) -> str:
    end = max([end, *(one.end for one in segments)])
    span, tiers = _span(0, end), _tiers(segments)
    text = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n{span}tiers? <exists>\n'
    text += f"size = {len(tiers)}\nitem []:\n"
    for number, (name, own) in enumerate(tiers.items(), start=1):
        # A tier covers all of the time: what lies between segments is an empty interval.
        edges = [0, *(edge for one in own for edge in (one.start, one.end)), end]
        gaps = [(a, b, "") for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]
        whole = sorted([*gaps, *(one[2:] for one in own)])
        text += f'item [{number}]:\nclass = "IntervalTier"\nname = {_quoted(name)}\n{span}'
        text += f"intervals: size = {len(whole)}\n"
        for place, (start, stop, label) in enumerate(whole, start=1):
            text += f"intervals [{place}]:\n{_span(start, stop)}text = {_quoted(label)}\n"
    return text


def _span(start: int, end: int) -> str:
    return f"xmin = {start / 1e5:.5f}\nxmax = {end / 1e5:.5f}\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _eaf(segments: list[_Segment], _: int) -> str:
    date = datetime.now().astimezone().isoformat(timespec="seconds")
    facts = {"AUTHOR": "ser", "DATE": date, "FORMAT": "3.0", "VERSION": "3.0"}
    # pympi reads no document that does not name its schema.
    facts["xmlns:xsi"] = "http://www.w3.org/2001/XMLSchema-instance"
    facts["xsi:noNamespaceSchemaLocation"] = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
    root = ET.Element("ANNOTATION_DOCUMENT", facts)
    head = ET.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    for file in (one.file for one in segments[:1]):
        url = file if file.startswith(("./", "../")) else f"./{Path(file).name}"
        facts = {"MEDIA_URL": url, "RELATIVE_MEDIA_URL": url, "MIME_TYPE": "audio/x-wav"}
        ET.SubElement(head, "MEDIA_DESCRIPTOR", facts)
    # One slot a boundary, in the order of time; of one time, an end is before a start.
    edges = sorted(
        (time, k, one) for one in segments for k, time in enumerate((one.end, one.start))
    )
    slots = {edge: f"ts{number}" for number, edge in enumerate(edges, start=1)}
    order = ET.SubElement(root, "TIME_ORDER")
    for edge, slot in slots.items():
        ET.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(edge[0]))
    for name, own in _tiers(segments).items():
        tier = ET.SubElement(root, "TIER", LINGUISTIC_TYPE_REF="default-lt", TIER_ID=name)
        for one in own:
            start, end = slots[one.start, 1, one], slots[one.end, 0, one]
            facts = {"TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end}
            facts["ANNOTATION_ID"] = start.replace("ts", "a")  # numbered, as ELAN goes on
            held = ET.SubElement(ET.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", facts)
            ET.SubElement(held, "ANNOTATION_VALUE").text = one.label
    facts = {"LINGUISTIC_TYPE_ID": "default-lt", "TIME_ALIGNABLE": "true"}
    ET.SubElement(root, "LINGUISTIC_TYPE", facts, GRAPHIC_REFERENCES="false")
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _audacity(segments: list[_Segment], _: int) -> str:
    return "".join(f"{a / 1e5:.6f}\t{b / 1e5:.6f}\t{label}\n" for *_, a, b, label in segments)


def _srt(segments: list[_Segment], _: int) -> str:
    cues = (f"{_clock(a)} --> {_clock(b)}\n{label}\n\n" for *_, a, b, label in segments)
    return "".join(f"{number}\n{cue}" for number, cue in enumerate(cues, start=1))


def _vtt(segments: list[_Segment], _: int) -> str:
    text = "WEBVTT\n\n"
    for one in segments:
        speaker, label = (html.escape(said, quote=False) for said in (one.speaker, one.label))
        voice = f"<v {speaker}>" if speaker else ""
        text += f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{voice}{label}\n\n"
    return text


def _clock(time_ms: int, mark: str = ",") -> str:
    seconds, rest = divmod(time_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{rest:03d}"


def _rttm(segments: list[_Segment], _: int) -> str:
    turns = ((_file_id(one.file), one.start / 1000, one.end / 1000, one.label) for one in segments)
    return "".join(
        f"SPEAKER {file} 1 {start_s:.3f} {end_s - start_s:.3f} <NA> <NA> {label} <NA> <NA>\n"
        for file, start_s, end_s, label in turns
    )


_Rows = Iterator[tuple[str, float, float, str, str]]


def read_annotations(path: str | Path) -> pd.DataFrame:
    """Read an annotation file, the form of which its suffix tells, as a table of segments.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, in the order of the file. `speaker` is the name of a tier, or a voice of
        WebVTT; the name in an RTTM is the `label`. `file` is that of an RTTM, else the name of the
        annotation file, both without suffix. Points end where they start; intervals of a TextGrid
        without a label are gaps, not rows; what refers to another annotation has its time.

    Raises
    ------
    CorpusError
        If the file is missing, damaged or of another form, or an annotation has no time.
    """
    path = Path(path)
    readers = {suffix: read for suffixes, _, _, read in FORMS.values() for suffix in suffixes}
    if path.suffix.lower() not in readers:
        raise CorpusError(f"{path}: is none of the annotation files {', '.join(readers)}")
    try:
        rows = list(readers[path.suffix.lower()](path.read_bytes()))
        for _, start_s, end_s, label, _ in rows:
            if not 0 <= start_s <= end_s < math.inf:
                raise ValueError(f"'{label}' is from {start_s} to {end_s} s")
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
    except DAMAGED as error:
        raise CorpusError(
            f"{path}: is damaged, or no {path.suffix} file ({error}); save or export it again"
        ) from error
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"start_s": float, "end_s": float})
    return table.replace({"file": ""}, {"file": path.stem})


def _decoded(raw: bytes) -> str:
    """Decode UTF-8 or, as Praat saves what is not ASCII, UTF-16; with one kind of line break."""
    is_wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = raw.decode("utf-16" if is_wide else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


# As Praat reads its text files: quoted texts, and flags and numbers that stand alone; all else, and
# what follows an exclamation mark, is for people.
_TOKEN = re.compile(
    r'"(?P<text>[^"]*(?:""[^"]*)*)"|![^\n]*'
    r"|(?<!\S)(?P<value><\w+>|[-+]?[\d.]+(?:[eE][-+]?\d+)?)(?!\S)"
)
_BINARY = b"ooBinaryFile"


def _values(raw: bytes) -> Callable[[str], Any]:
    """Return what gives the next value of a TextGrid by its form: of `struct`, or a text."""
    if raw.startswith(_BINARY):
        stream = BytesIO(raw[len(_BINARY) :])

        def unpack(form: str) -> Any:
            if form not in ("word", "text"):
                return struct.unpack(form, stream.read(struct.calcsize(form)))[0]
            n_signs = unpack(">B" if form == "word" else ">h")
            if n_signs >= 0:
                return stream.read(n_signs).decode("ascii")
            return stream.read(2 * unpack(">H")).decode("utf-16-be")  # what is not ASCII

        return unpack
    tokens = (one for one in _TOKEN.finditer(_decoded(raw)) if one.lastgroup)

    def take(form: str) -> Any:
        if (one := next(tokens, None)) is None:
            raise ValueError("it ends too early")
        if form in ("word", "text"):
            return re.sub('""', '"', one["text"])
        return one["value"] == "<exists>" if form == ">?" else float(one["value"])

    return take


def _read_textgrid(raw: bytes) -> _Rows:
    take = _values(raw)
    kinds = [take("word") for _ in range(1 if raw.startswith(_BINARY) else 2)]
    if kinds[-1] != "TextGrid":
        raise ValueError(f"it holds a {kinds[-1]}")
    take(">d"), take(">d")
    for _ in range(int(take(">i")) if take(">?") else 0):
        is_interval, name = take("word") == "IntervalTier", take("text")
        take(">d"), take(">d")
        for _ in range(int(take(">i"))):
            start_s = take(">d")
            end_s, label = take(">d") if is_interval else start_s, take("text").strip()
            if label or not is_interval:
                yield "", start_s, end_s, label, "" if name == TIER else name


def _read_eaf(raw: bytes) -> _Rows:
    root = ET.fromstring(raw)
    if root.find("HEADER[@TIME_UNITS='milliseconds']") is None:
        raise ValueError("it is no document of ELAN with times in milliseconds")
    times_ms = {one.get("TIME_SLOT_ID"): one.get("TIME_VALUE") for one in root.iter("TIME_SLOT")}
    found = {one.get("ANNOTATION_ID"): one for one in root.iterfind("TIER/ANNOTATION/*")}
    tiers = root.findall("TIER")
    for tier in tiers:
        speaker = tier.get("TIER_ID", "")
        for one in tier.iterfind("ANNOTATION/*"):
            timed = one
            for _ in tiers:  # of which one may refer to another
                timed = found[timed.get("ANNOTATION_REF", timed.get("ANNOTATION_ID"))]
            start_ms, end_ms = (times_ms[timed.get(f"TIME_SLOT_REF{end}")] for end in (1, 2))
            label = (one.findtext("ANNOTATION_VALUE") or "").strip()
            if start_ms is None or end_ms is None:
                raise ValueError(f"annotation '{label}' of {speaker} has no time: align it in ELAN")
            times_s = int(start_ms) / 1000, int(end_ms) / 1000
            yield "", *times_s, label, "" if speaker == TIER else speaker


def _read_labels(raw: bytes) -> _Rows:
    for line in _decoded(raw).split("\n"):
        # A line that begins with a backslash holds the frequencies of the label above.
        if line.strip() and not line.startswith("\\"):
            start, end, *label = line.split("\t", 2)
            yield "", float(start), float(end), "".join(label).strip(), ""


_CUE = re.compile(r"(?:.*\n)?\s*([\d:.,]+)\s+-->\s+([\d:.,]+).*((?:\n.*)*)")


def _read_subtitles(raw: bytes) -> _Rows:
    text = _decoded(raw)
    is_vtt = text.startswith("WEBVTT")
    for block in filter(str.strip, re.split(r"\n\s*\n", text)):
        cue = _CUE.match(block)
        if cue is None and is_vtt and re.match("WEBVTT|NOTE|STYLE|REGION", block):
            continue
        if cue is None:
            raise ValueError(f"'{block[:40]}' is no cue with times")
        label, speaker = " ".join(cue[3].split()), ""
        if is_vtt:
            speaker = html.unescape("".join(re.findall(r"^<v[^ >]* ([^>]*)>", label)))
            label = html.unescape(re.sub("<[^>]*>", "", label))
        yield "", _seconds(cue[1]), _seconds(cue[2]), label.strip(), speaker


def _seconds(clock: str) -> float:
    *hours, minutes, seconds = clock.replace(",", ".").split(":")
    return 3600 * int("".join(hours) or 0) + 60 * int(minutes) + float(seconds)


def _read_rttm(raw: bytes) -> _Rows:
    for line in _decoded(raw).split("\n"):
        if line.strip() and not line.startswith(";"):
            kind, file, _, start, length, _, _, label, _, *_ = line.split()
            # Rows of other kinds are no turns, but noises, words or facts of speakers.
            if kind == "SPEAKER":
                yield file, float(start), round(float(start) + float(length), 6), label, ""


# Suffixes, ticks of a second, what writes and what reads.
FORMS: dict[str, tuple[tuple[str, ...], int, Callable[..., str], Callable[[bytes], _Rows]]] = {
    "textgrid": ((".textgrid",), 100_000, _textgrid, _read_textgrid),
    "eaf": ((".eaf",), 1000, _eaf, _read_eaf),
    "audacity": ((".tsv", ".txt"), 100_000, _audacity, _read_labels),
    "srt": ((".srt",), 1000, _srt, _read_subtitles),
    "vtt": ((".vtt",), 1000, _vtt, _read_subtitles),
    "rttm": ((".rttm",), 1000, _rttm, _read_rttm),
}
