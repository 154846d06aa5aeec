"""Tables that other people made: read as text, and the usual names of their columns and values.

A table is what `ser audit` is given, or a corpus of one's own (`ser_lib.data.own`). Nothing but an
empty cell is missing: NA, null and 01 stay as they are.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd

from ser_lib.errors import CorpusError, SerError

# A name is of any bytes, which pyarrow's strings are not: pandas takes them where it is installed.
pd.set_option("mode.string_storage", "python")

# Usual names of the column that plays a role, compared without case, spaces and underscores.
COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "path": ("path", "file", "filename", "fileid", "filepath", "audio", "audiopath", "audiofile",
             "wav", "wavpath", "wavfile", "audiofilepath", "clip", "clipid", "clippath",
             "recording", "name", "id"),
    "label": ("label", "emotion", "class", "target", "category", "y", "emo", "emotionlabel"),
    "speaker": ("speaker", "speakerid", "speakername", "spk", "spkid", "actor", "actorid", "talker",
                "subject", "subjectid", "participant", "participantid", "clientid"),
    "statement": ("statement", "sentence", "sentenceid", "text", "transcript", "transcription",
                  "script", "prompt", "utterance", "statementid", "textid", "rawtext", "phrase"),
    "parent": ("parent", "parentid", "source", "sourcefile", "original", "originalfile",
               "augmentedfrom"),
    "part": ("part", "split", "set", "subset", "partition", "fold"),
    # In seconds, in milliseconds where the name ends in "ms", or as audformat writes them.
    "start": ("start", "starttime", "starts", "startms", "begin", "begintime", "onset", "offset"),
    "end": ("end", "endtime", "ends", "endms", "stop", "stoptime", "offset"),
    "duration": ("duration", "durations", "durationms", "dur", "length"),
}  # fmt: skip
ROLES = tuple(COLUMN_NAMES)

# Usual names of parts, in the order in which a leak flows.
PARTS = (
    ("train", "training", "trn", "tr"),
    ("validation", "valid", "val", "dev", "devel", "development"),
    ("test", "testing", "tst", "eval", "evaluation"),
)

# Usual words; each begins with three letters that no other emotion has.
EMOTIONS = """
    ang anger angry hap happy happiness sad sadness fea fear fearful dis disgust disgusted neu
    neutral sur surprise surprised cal calm bor bored boredom fru frustrated frustration exc excited
    excitement
    """.split()

# By what values are recognised: the word for a part in a longer name (`train-clean-100`, `testset`,
# `fold 3`), emotions as they are usually spelled, speakers by number.
PATTERNS = {
    "part": rf"(?:.*[\W\d_])?({'|'.join(sum(PARTS, ()))}|fold[\W_]*\d+)"
    r"(?:(?:[\W\d_]|sets?\b|data).*)?",
    "label": rf"[\W\d_]*({'|'.join(EMOTIONS)})[\W\d_]*",
    "speaker": r"(?:actor|speaker|spkr?|subj?|subject|participant|person|talker|user|id)[\W_]*\d+",
}

# Letters with marks are one sign in tables, two in the names that a Mac writes.
one_form = partial(normalize, "NFC")


def read_table(path: Path, *, error_class: type[SerError] = CorpusError) -> pd.DataFrame:
    """Read a table as text: Parquet, JSON, or separated by what its lines have most regularly.

    What cannot be read raises `error_class`.
    """
    try:
        data = path.read_bytes()
        if data[:4] == b"PAR1":
            frame = pd.read_parquet(io.BytesIO(data))
            is_indexed = any(one is not None for one in frame.index.names)
            frame = (frame.reset_index() if is_indexed else frame).apply(as_text)
        else:
            is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[1:2] == b"\0"
            try:
                text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
            except UnicodeDecodeError:
                text = data.decode("cp1252")
            if "\0" in text:
                raise ValueError("no text")
            is_json = text.lstrip()[:1] in ("[", "{")
            frame = _parse_json(text) if is_json else _parse_lines(text)
    except ImportError as error:
        raise error_class(
            f"{path}: Parquet needs pyarrow: pip install 'ser-lib[parquet]'"
        ) from error
    except OSError as error:
        raise error_class(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise error_class(
            f"{path}: cannot be read as a table ({str(error).strip()}); save it as 'CSV UTF-8'"
        ) from error
    if frame.empty:
        raise error_class(f"{path}: a table without rows")
    return frame


def as_text(column: pd.Series) -> pd.Series:
    """Return values as text, empty where they are missing; durations as seconds with their unit.

    >>> list(as_text(pd.Series([1, None], dtype="float")))
    ['1', '']
    """
    if pd.api.types.is_timedelta64_dtype(column):
        seconds = column.dt.total_seconds().map("{:.9f} s".format)
        return seconds.where(column.notna(), "").astype(object)
    # Whole numbers become floats where one is missing.
    return column.convert_dtypes().astype("string").fillna("").str.strip().astype(object)


def _parse_json(text: str) -> pd.DataFrame:
    """Parse a list of records, a record a line, or records by their names."""
    try:
        records = json.loads(text)
    except ValueError:
        records = [json.loads(line) for line in text.split("\n") if line.strip()]
    if isinstance(records, dict) and all(isinstance(one, dict) for one in records.values()):
        records = [{"id": name} | one for name, one in records.items()]
    # What is nested is a column as well: audio.path.
    frame = pd.json_normalize(records)
    return frame.where(frame.notna(), "").astype(str)


def _parse_lines(text: str) -> pd.DataFrame:
    """Parse lines of cells; the first has the columns' names."""
    lines = re.split(r"\r\n?|\n", text.strip("\r\n"))
    excel = re.fullmatch(r'"?sep=([,;|:\t])"?\W*', lines[0], re.IGNORECASE)
    lines = lines[1:] if excel else lines
    # A comma may be in any text, hence it is what separates where nothing else does.
    usual = [one for one in "|\t;" if all(one in line for line in lines if line)]
    separator = excel[1] if excel else [*usual, max(",;\t|", key=lines[0].count)][0]
    quoting = csv.QUOTE_NONE if separator == "|" else csv.QUOTE_MINIMAL
    cells = pd.read_csv(
        io.StringIO("\n".join(lines)),
        sep=separator,
        header=None,
        dtype=str,
        keep_default_na=False,
        quoting=quoting,
        skipinitialspace=True,
    )
    cells = cells.fillna("").map(str.strip)
    cells = cells[(cells != "").any(axis=1)]
    return cells[1:].set_axis([one_form(name) for name in cells.iloc[0]], axis=1)


def seconds_of(text: pd.Series, column: str, *, unit_s: float = 1.0) -> pd.Series:
    """Return times as seconds: numbers in the unit of their column, `1.5 s`, `0:01.5`; else NaN.

    >>> seconds_of(pd.Series(["1,5", "0:01.5", "soon", ""]), "onset").tolist()
    [1.5, 1.5, nan, nan]
    """
    unit_s = 0.001 if column.casefold().endswith("ms") else unit_s
    text = text.str.replace(",", ".")
    bare = pd.to_numeric(text, errors="coerce")
    clock = text.mask(text.str.fullmatch(r"\d+:\d+(\.\d+)?"), "00:" + text)
    timed = pd.to_timedelta(clock.where(bare.isna(), ""), errors="coerce").dt.total_seconds()
    # As text, "nan" and "inf" are numbers.
    return (bare.where(bare.abs() < np.inf) * unit_s).fillna(timed)


def folder_levels(names: Iterable[str]) -> pd.DataFrame:
    """Return the folders of each file, which paths with / name: a column a level, empty below."""
    places, folders = pd.factorize(np.array([one.rpartition("/")[0] for one in names], object))
    levels = enumerate(zip_longest(*(one.split("/") for one in folders), fillvalue=""))
    return pd.DataFrame({level: np.array(names, object)[places] for level, names in levels})


def guess_roles(columns: pd.DataFrame) -> dict[str, Any]:
    """Find the columns whose values are parts, emotions, or speakers by number, in most rows."""
    guessed: dict[str, Any] = {}
    for role, pattern in PATTERNS.items():
        for name, values in columns.items():
            fits = values.str.fullmatch(pattern, case=False)
            if fits.mean() >= 0.5 and values[fits].nunique() > 1:
                guessed.setdefault(role, name)
    return guessed
