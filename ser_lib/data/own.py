"""Clips of one's own as a corpus: from a table, the names of files, or an audformat database.

Their corpus is called `mine-<name>`: what is run on them is kept in `reports/mine-<name>/`, apart
from the runs of this project, and git leaves it alone. `register` keeps there where the clips are,
so that `load_corpus("mine-<name>")` finds them in every notebook of a report. What a table may hold
is written in `SCHEMA`; what breaks it is reported by row, column and value.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
import pandas as pd

from ser_lib.audio.io import decode, is_hidden, is_recording
from ser_lib.data.annotations import read_annotations
from ser_lib.data.corpus import CLIP_COLUMNS, Corpus, facts_of, stat_key, walk_files
from ser_lib.data.labels import EMOTIONS
from ser_lib.data.tables import (
    COLUMN_NAMES,
    PATTERNS,
    as_text,
    folder_levels,
    guess_roles,
    read_table,
    seconds_of,
)
from ser_lib.errors import AudioError, CorpusError, numbered, offenders
from ser_lib.paths import (
    atomic_path,
    cache_dir,
    is_address,
    keep,
    place,
    report_dir,
    reports_dir,
)
from ser_lib.storage import exists, reached

PREFIX = "mine-"
SOURCE_FILE = "source.json"

# What a table must and may hold, as the README describes it, with the usual names of columns.
NEEDED = ("path", "emotion", "speaker")
SCHEMA = {
    "path": COLUMN_NAMES["path"],
    "emotion": ("emotion", *COLUMN_NAMES["label"]),
    "speaker": COLUMN_NAMES["speaker"],
    "gender": ("gender", "sex"),
    "intensity": ("intensity",),
    "repetition": ("repetition", "take"),
    **{one: COLUMN_NAMES[one] for one in ("part", "statement", "start", "end", "duration")},
}
GENDER_WORDS = dict.fromkeys(("f", "w", "woman", "female"), "female")
GENDER_WORDS |= dict.fromkeys(("m", "man", "male"), "male")

# Each emotion by its first three letters, which all its usual spellings have.
BY_STEM = {one[:3]: one for one in EMOTIONS}

# Ends of segments are rounded; more than this is outside of the file.
ROUNDED_S = 0.001

# Label tracks (.txt, .tsv) are not told from tables.
ANNOTATIONS = (".textgrid", ".eaf", ".srt", ".vtt", ".rttm")

# In which audformat counts where a time has no unit.
NANOSECOND_S = 1e-9

# Speakers that a class needs, so that some are left to train on when three are held out; from how
# many on they are divided into folds, if classes have most of them: one at a time takes long.
MIN_SPEAKERS, MANY_SPEAKERS = 4, 20


@dataclass(frozen=True)
class OwnCorpus(Corpus):
    """The card of a corpus of one's own."""

    source: Path = Path()
    """A table, a folder of clips, or one of an audformat database."""
    pattern: str = ""
    """As of `clips_from_folder`."""
    emotions: Mapping[str, str] = field(default_factory=dict)
    """From labels of the source to emotions; clips of a label that goes to "" are left out."""
    n_speakers_of: Mapping[str, int] = field(default_factory=dict)
    """How many speakers there are of each emotion; empty before they are counted."""
    n_statements: int = 0

    def root(self) -> Path:
        """Return the folder of the source."""
        return self.source.parent if self.source.is_file() else self.source

    def load(
        self, root: Path | None = None, *, strict: bool = True, may_lack: bool = False
    ) -> pd.DataFrame:
        """Read the clips; without `strict` those that cannot be used are left out, and listed."""
        source = self.source if root is None else place(root)
        table, folder = read_source(source, self.pattern)
        name = self.name.removeprefix(PREFIX)
        return _clips_of(table, name=name, root=folder, emotions=self.emotions, strict=strict)

    @property
    def protocol(self) -> str:
        """Name the protocol that keeps speakers apart."""
        is_common = 2 * min(self.n_speakers_of.values(), default=0) > self.n_speakers
        is_divided = self.n_speakers >= MANY_SPEAKERS and is_common
        return "speaker_folds" if is_divided else "loso"


def register(
    source: str | Path, *, pattern: str = "", emotions: Mapping[str, str] | None = None
) -> OwnCorpus:
    """Make a table, a folder or an audformat database a corpus, which `load_corpus` then knows.

    Parameters
    ----------
    source : str or Path
        See `read_source`; the corpus is called after it.
    pattern, emotions : str, mapping
        As of `clips_from_folder`; where they are empty, those of the last time.

    Raises
    ------
    CorpusError
        If there is no such source, or the name is that of another one.
    """
    source = reached(source).absolute()
    if not source.exists():
        raise CorpusError(f"{source}: no such table or folder")
    corpus = PREFIX + re.sub(r"\W+", "_", source.stem)
    known = {"source": str(source)} | (_registered(corpus) or {})
    if known["source"] != str(source) and exists(known["source"]):
        raise CorpusError(
            f"{corpus} is the name of {known['source']}; rename {source.name}, or delete "
            f"{report_dir(corpus)}"
        )
    known |= {"source": str(source)} | ({"pattern": pattern} if pattern else {})
    known |= {"emotions": dict(emotions)} if emotions else {}
    clips = _card(corpus, known).load(strict=False)
    known |= {
        "n_clips": len(clips),
        "n_speakers": int(clips["speaker"].nunique()),
        "n_speakers_of": clips.groupby("emotion")["speaker"].nunique().to_dict(),
        "n_statements": int(clips["statement"].nunique()),
    }
    with atomic_path(report_dir(corpus) / SOURCE_FILE) as temporary:
        temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return _card(corpus, known)


def own_corpus(name: str) -> OwnCorpus | None:
    """Return the card of a registered corpus of one's own; None where there is none of the name."""
    known = _registered(name) if name.startswith(PREFIX) else None
    return _card(name, known) if known else None


def own_corpora() -> list[OwnCorpus]:
    """Return the cards of all registered corpora of one's own."""
    found = sorted(reports_dir().glob(f"{PREFIX}*/{SOURCE_FILE}"))
    return [card for one in found if (card := own_corpus(one.parent.name))]


def _registered(corpus: str) -> dict[str, Any] | None:
    path = report_dir(corpus) / SOURCE_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _card(corpus: str, known: Mapping[str, Any]) -> OwnCorpus:
    source = place(known["source"])
    # Another version may have kept more.
    kept = {one.name: known[one.name] for one in fields(OwnCorpus) if one.name in known}
    about: dict[str, Any] = {"n_clips": 0, "n_speakers": 0, **kept, "source": source}
    return OwnCorpus(
        name=corpus,
        title=f"{source.name} (a corpus of one's own)",
        licence="not known here",
        citation="",
        doi="",
        download=str(source),
        language="",
        label_set="all",
        grammar="",
        example="",
        parse=re.Match.groupdict,
        **about,
    )


def read_source(source: Path, pattern: str = "") -> tuple[pd.DataFrame, Path]:
    """Read what is said of clips, as text, and the folder from which their paths start.

    A file is a table (CSV, TSV, JSON lines, Parquet) or an annotation of the recording beside it; a
    folder with `db.yaml` is a database of audformat. Of other folders the annotations are read or,
    where there is none, the names of files and folders.
    """
    if source.is_file():
        is_annotation = source.suffix.lower() in ANNOTATIONS
        table = _read_annotated(source.parent, [source]) if is_annotation else read_table(source)
        return table, source.parent
    if not source.is_dir():
        raise CorpusError(f"{source}: no such folder")
    if pattern:
        return _read_names(source, pattern), source
    if (source / "db.yaml").is_file():
        return _read_audformat(source), source
    found = (one for one in walk_files(source) if one.suffix.lower() in ANNOTATIONS)
    files = sorted(one for one in found if not is_hidden(one.relative_to(source)))
    return _read_annotated(source, files) if files else _read_names(source, pattern), source


def _read_annotated(root: Path, files: Iterable[Path]) -> pd.DataFrame:
    """Read annotation files, each of which lies beside the recordings that it names."""
    tables = []
    for one in files:
        names = {it.stem: it for it in one.parent.iterdir() if is_recording(it.name)}
        table = read_annotations(one)
        paths = [names.get(name, one.with_name(name)).relative_to(root) for name in table["file"]]
        tables.append(table.drop(columns="file").assign(path=list(map(str, paths))))
    return pd.concat(tables, ignore_index=True)


def _read_names(root: Path, pattern: str) -> pd.DataFrame:
    """Read part, class and speaker from the names of folders, and what a pattern finds instead."""
    try:
        groups = set(re.compile(pattern).groupindex)
    except re.error as error:
        raise CorpusError(f"pattern={pattern!r} is no regular expression: {error}") from error
    known = [*SCHEMA, "label"]
    if unknown := sorted(groups - set(known)):
        raise CorpusError(
            f"pattern={pattern!r} has the groups {', '.join(unknown)}; known are {', '.join(known)}"
        )
    found = (one.relative_to(root) for one in walk_files(root) if is_recording(one.name))
    names = (one.as_posix() for one in found if not is_hidden(one))
    # As paths are sorted; texts take less memory.
    files = sorted(names, key=lambda one: one.replace("/", "\0"))
    if not files:
        raise CorpusError(f"{root}: no audio file is in this folder or those below it")
    if other := [one for one in files if not re.search(pattern, one)]:
        raise CorpusError(
            f"{root}: {len(other)} of {len(files)} audio files are not named like {pattern}:"
            f"{offenders(other)}"
        )
    levels = folder_levels(files)
    guessed = guess_roles(levels)
    table = pd.DataFrame(
        {
            "path": files,
            "emotion": [intern(Path(one).parent.name) for one in files],
            **{role.replace("label", "emotion"): levels[level] for role, level in guessed.items()},
        }
    )
    for group in sorted(groups):
        matches = (re.search(pattern, one) for one in files)
        table[group.replace("label", "emotion")] = [one[group] or "" for one in matches if one]
    if "speaker" not in table:
        table.attrs["remedy"] = (
            f"{root}: no name of a folder says who speaks, and without speakers nothing is "
            f"divided, as the same voice would be in training and test. Either:\n"
            + numbered(
                (
                    "say where the speaker is in the names, such as --pattern "
                    "'(?P<speaker>[^/_]+)_[^/]*$' for CLASS/ann_01.wav (pattern= in Python)",
                    "put each speaker's clips into a folder of its own, such as speaker_1/CLASS/",
                    "give a table with the columns path, label and speaker",
                )
            )
        )
    return table


def _read_audformat(root: Path) -> pd.DataFrame:
    """Read the tables of a database that have labels, with what others say of the same files.

    They are read from CSV or Parquet: a table in a pickle file could run a program.
    """
    import yaml

    try:
        header = yaml.safe_load((root / "db.yaml").read_text(encoding="utf-8"))
        about_tables = dict(header.get("tables") or {}).items()
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise CorpusError(f"{root / 'db.yaml'}: is no header of audformat ({error})") from error
    tables = []
    for name, about in about_tables:
        table = _with_roles(_read_stored(root, name))
        if split := about.get("split_id"):
            table["part"] = header.get("splits", {}).get(split, {}).get("type", split)
        tables.append(table)
    labelled = [one for one in tables if {"path", "emotion"} <= set(one)]
    if not labelled:
        raise CorpusError(f"{root}: no table of db.yaml has a column for the emotion")
    joined = pd.concat(labelled, ignore_index=True).fillna("")
    # The whole of a table may stand beside its parts.
    joined = joined.sort_values("part", ascending=False) if "part" in joined else joined
    same = list(joined.columns.intersection(["path", "start", "end", "emotion"]))
    joined = joined.drop_duplicates(same).sort_index(ignore_index=True)
    for other in (one.set_index("path") for one in tables if {"path"} < set(one)):
        for role in other.columns.difference([*joined.columns, "start", "end"]):
            first = other.loc[~other.index.duplicated(), role]
            joined[role] = joined["path"].map(first).fillna("")
    people = header.get("schemes", {}).get("speaker", {}).get("labels")
    if isinstance(people, str):  # the name of a table whose first column they are
        told = _read_stored(root, people).apply(as_text)
        people = told.set_index(told.columns[0]).to_dict("index")
    if isinstance(people, dict) and "speaker" in joined and "gender" not in joined:
        told_of = ((str(one), about or {}) for one, about in people.items())
        genders = {one: about.get("gender", about.get("sex", "")) for one, about in told_of}
        joined["gender"] = joined["speaker"].map(genders).fillna("")
    joined.attrs["times"] = {"unit_s": NANOSECOND_S}
    return joined


def _read_stored(root: Path, name: str) -> pd.DataFrame:
    """Read a table of a database of audformat."""
    files = [root / f"db.{name}{one}" for one in (".parquet", ".csv")]
    file = next((one for one in files if one.is_file()), None)
    if file is None:
        raise CorpusError(
            f"{root}: the table '{name}' is neither in {files[0].name} nor in {files[1].name}; "
            "audformat writes them with db.save(folder, storage_format='csv')"
        )
    return read_table(file)


def _with_roles(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that have a role, as text under its name; `attrs` has the own names."""
    if twice := sorted(set(table.columns[table.columns.duplicated()])):
        raise CorpusError(f"the table has two columns of one name: {', '.join(twice)}; drop one")
    plain = {re.sub(r"[\W_]", "", str(one)).casefold(): one for one in reversed(table.columns)}
    found: dict[str, str] = {}
    for role, usual in SCHEMA.items():
        free = [plain[one] for one in usual if one in plain and plain[one] not in found.values()]
        found |= {role: free[0]} if free else {}
    roles = pd.DataFrame({role: as_text(table[name]) for role, name in found.items()})
    roles = roles.reset_index(drop=True)
    roles.attrs.update(table.attrs, names=found, columns=list(table.columns))
    return roles


def clips_from_table(
    table: pd.DataFrame,
    *,
    name: str,
    root: str | Path = ".",
    emotions: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Make a clip table from a table of one's own; every file is decoded once.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `path`, `emotion` (or `label`) and `speaker`; the others of `SCHEMA` where they are
        known. With `start` and `end` a clip is that stretch of its file.
    name : str
        Of the corpus, which is then called `mine-<name>`.
    root : str or Path
        What paths are relative to.
    emotions : mapping, optional
        From the words or codes of the table to those of `ser_lib.data.EMOTIONS`; clips of what is
        mapped to "" are left out.

    Raises
    ------
    CorpusError
        If a column or a value of one is missing, an emotion is unknown, a file is named twice or
        cannot be used, or a segment is not in its file; all are listed by row, column and value.
    """
    return _clips_of(table, name=name, root=place(root), emotions=emotions or {})


def clips_from_folder(
    folder: str | Path, *, name: str, pattern: str, emotions: Mapping[str, str] | None = None
) -> pd.DataFrame:
    r"""Make a clip table from a folder whose files say in their names what they hold.

    Parameters
    ----------
    folder : str or Path
        Searched with its subfolders.
    name, emotions : str, mapping
        As for `clips_from_table`.
    pattern : str
        A regular expression that is searched in each file's path below the folder, with the groups
        `emotion` and `speaker`, and those of the other columns where they are known:
        `(?P<speaker>\w+)/(?P<emotion>[a-z]+)_\d+`. What it does not say is read from the names of
        folders: `train/angry/`, `speaker_1/angry/`.

    Raises
    ------
    CorpusError
        If there is no file, not every one is named so, the expression is none or has other groups,
        or as `clips_from_table`.
    """
    root = place(folder)
    if not root.is_dir():
        raise CorpusError(f"{root}: no such folder")
    return clips_from_table(_read_names(root, pattern), name=name, root=root, emotions=emotions)


def _clips_of(
    table: pd.DataFrame,
    *,
    name: str,
    root: Path,
    emotions: Mapping[str, str],
    strict: bool = True,
) -> pd.DataFrame:
    """Make the clip table; see `clips_from_table`. Not `strict`, unusable files are left out."""
    if not re.fullmatch(r"\w+", name):
        raise CorpusError(f"name='{name}' must be a word of letters, digits and _")
    rows, base = _located(_checked(_with_roles(table), emotions), root)
    corpus = f"{PREFIX}{name}"
    places = (Path(str(place(one).relative_to(base))) for one in rows["path"])
    ids = ((one.parent / one.stem).as_posix() for one in places)
    # A variant of a clip is named after a #; what stands before a speaker's last - is the corpus.
    rows["clip_id"] = [f"{corpus}/{one}".replace("#", "_") for one in ids] + rows["times"]
    rows["speaker"] = f"{corpus}-" + rows["speaker"].str.replace("-", "_")
    if len(again := rows[rows["clip_id"].duplicated()]):
        lines = [f"row {n + 1}: {one}" for n, one in again["clip_id"].items()]
        raise CorpusError(
            f"clips have names of their own, these are there twice:{offenders(lines)}"
        )
    wrong = [
        f"row {number + 1}, {rows['path'][number]}{rows['times'][number]}: {phrase}"
        for number, phrases in rows["problems"].items()
        for phrase in phrases
    ]
    sound = rows[rows["problems"].map(len) == 0]
    if wrong and (strict or sound.empty):
        raise CorpusError(f"{corpus}: {len(wrong)} of {len(rows)} clips:{offenders(wrong)}")
    clips = sound.assign(corpus=corpus, path=sound["sound"]).astype({"sample_rate_hz": int})
    clips = clips.sort_values("clip_id", ignore_index=True)
    about = {"left_out": wrong, "by_design": rows.attrs["left_out"]}
    if any(clips["part"]):
        about["parts"] = dict(zip(clips["clip_id"], clips["part"], strict=True))
    clips = clips[list(CLIP_COLUMNS)]
    clips.attrs = {"has_audio": True, "n_copies": 0, **about}
    return clips


def read_as_given(source: Path) -> pd.DataFrame:
    """Read clips and what a source says of them, labels as they are.

    `path` is what sounds, for a segment a file in the cache; `file` is the one that it is cut from.
    """
    table, root = read_source(source)
    given = _with_roles(table)
    rows = _checked(given, {}, needed=("path",))
    used = rows.columns.intersection([*given.columns, "start", "end", "times"])
    rows, base = _located(rows[used], root)
    ids = [str(place(one).relative_to(base)) for one in rows["path"]] + rows["times"]
    clips = rows.rename(columns={"path": "file", "sound": "path"})
    clips = clips.assign(clip_id=ids, audio_sha256=rows["audio_sha256"].fillna(""))
    kept = given.columns.drop("path")
    return clips[["clip_id", "path", "file", *kept, "duration_s", "audio_sha256"]].rename(
        columns={"emotion": "label"}
    )


def _located(rows: pd.DataFrame, root: Path) -> tuple[pd.DataFrame, Path]:
    """Find each row's file; return the rows and the folder that all files are in.

    `sound` is the file, or one in the cache that is cut out of it; then come the columns of
    `facts_of`.
    """
    base = root.absolute()
    places = (place(one) if is_address(one) else base / one for one in rows["path"])
    # A table from Windows separates folders by backslashes. Texts take less memory than paths.
    found = [
        str(base / name.replace("\\", "/") if "\\" in name and not one.exists() else one)
        for one, name in zip(places, rows["path"], strict=True)
    ]
    # Its bucket, of an address; of a file here, nothing.
    roots = sorted({"/".join(one.split("/")[:3]) if is_address(one) else "" for one in found})
    if len(roots) > 1:
        raise CorpusError(
            f"recordings are in {' and '.join(one or 'folders here' for one in roots[:2])}; a "
            "table names those of one bucket, or of folders here"
        )
    elsewhere = is_address(base) and not str(base).startswith(f"{roots[0]}/")
    if elsewhere or not all(place(one).is_relative_to(base) for one in found):
        common = os.path.commonpath([os.path.dirname(one) for one in found])
        base = place(common.replace(":/", "://", 1) if is_address(found[0]) else common)
    rows = rows.assign(path=found)
    sounds = _cut(rows)
    is_there = [isinstance(one, str) for one in sounds]
    facts = facts_of([one for one in sounds if isinstance(one, str)])
    rows = rows.assign(sound=list(map(str, sounds)), **facts.set_index(rows.index[is_there]))
    known = iter(facts["problems"])
    rows["problems"] = [next(known) if isinstance(one, str) else (str(one),) for one in sounds]
    return rows, base


def _checked(
    given: pd.DataFrame, emotions: Mapping[str, str], *, needed: Iterable[str] = NEEDED
) -> pd.DataFrame:
    """Return all columns in their units; raise with every value that breaks the schema.

    The times of a segment are `start`, `end` and, as a part of its name, `times`.
    """
    if lacking := [one for one in needed if one not in given]:
        columns = ", ".join(map(str, given.attrs["columns"]))
        raise CorpusError(
            given.attrs.get("remedy")
            or f"the table has no {', '.join(lacking)}; of {', '.join(SCHEMA)} it needs "
            f"{', '.join(needed)}. Its columns are: {columns}"
        )
    if given.empty:
        raise CorpusError("the table has no rows")
    if unknown := sorted(set(emotions.values()) - {*EMOTIONS, ""}):
        raise CorpusError(f"unknown emotions {unknown}; known are {', '.join(EMOTIONS)}")
    names, wrong = given.attrs["names"], []
    rows = given.reindex(columns=list(SCHEMA), fill_value="")

    def note(role: str, is_wrong: pd.Series, problem: str) -> None:
        for value, same in given[is_wrong].groupby(role) if is_wrong.any() else ():
            first, n_more = same.index[0], len(same) - 1
            more = f" and {n_more:,} more" if n_more else ""
            place = f"row {first + 1} ({given['path'][first]}){more}, column '{names[role]}'"
            wrong.append((first, f"{place}: {value!r} {problem}"))

    for role in needed:
        note(role, given[role] == "", "is empty")
    is_dropped = pd.Series(False, rows.index)
    if "emotion" in needed:
        rows["emotion"] = [emotions.get(one, _emotion_of(one)) for one in given["emotion"]]
        note("emotion", rows["emotion"].isna() & (given["emotion"] != ""), "is no known emotion")
        is_dropped = rows["emotion"] == ""
    rows["gender"] = rows["gender"].map(lambda one: GENDER_WORDS.get(one.casefold(), one))
    rows["intensity"] = rows["intensity"].replace("", "normal")
    takes = pd.to_numeric(rows["repetition"].replace("", "1"), errors="coerce")
    note("repetition", ~np.isfinite(takes), "is no number")
    # That of a file without a start is no business of ours.
    until = "duration" if "start" in given and "end" not in given else "end"
    for role in ("start", until):
        if role not in given:
            rows[role] = np.nan
            continue
        seconds = seconds_of(rows[role], names.get(role, ""), **given.attrs.get("times", {}))
        note(role, seconds.isna() & ~rows[role].isin(["", "NaT"]), "is no time in seconds")
        note(role, seconds < 0, "is before the start of the file")
        rows[role] = seconds
    if until == "duration":
        rows["end"] = rows["start"].fillna(0) + rows["duration"]
    note(until, rows["end"] <= rows["start"].fillna(0), "is not after the start")
    if wrong:
        lines = [line for _, line in sorted(wrong)]
        remedy = (
            f"\nKnown are {', '.join(EMOTIONS)}; translate yours with --label W=angry, leave clips "
            "out with --label W= (in Python: emotions={'W': 'angry'})."
            if rows["emotion"].isna().any()
            else ""
        )
        raise CorpusError(
            f"values of the table that cannot be used ({len(lines)}):{offenders(lines)}{remedy}"
        )
    if is_dropped.all():
        raise CorpusError("no clip is left: the labels of all of them are left out")
    rows["repetition"] = takes.astype(int)
    rows["times"] = ""
    is_segment = rows[["start", "end"]].notna().any(axis=1)
    if is_segment.any():
        starts, ends = (rows.loc[is_segment, one].map("{:.3f}".format) for one in ("start", "end"))
        times = "@" + starts.replace("nan", "0.000") + "-" + ends.replace("nan", "")
        rows.loc[is_segment, "times"] = times
    dropped = given["emotion"][is_dropped].value_counts().items() if is_dropped.any() else ()
    rows = rows[~is_dropped]
    rows.attrs["left_out"] = [f"{n} left out as requested, labelled '{one}'" for one, n in dropped]
    return rows


def _emotion_of(label: str) -> str | None:
    """Return the emotion of a label, by one of its usual spellings; None where it has none."""
    found = re.fullmatch(PATTERNS["label"], label.casefold())
    return BY_STEM[found[1][:3]] if found else None


def _cut(rows: pd.DataFrame) -> list[str | AudioError]:
    """Return the file of each clip, of a segment one in the cache; an error where there is none."""
    found: dict[Any, str | AudioError] = {}
    for path, same in rows[rows["times"] != ""].groupby("path"):
        found |= zip(same.index, _cut_file(path, same), strict=True)
    return [found.get(number, path) for number, path in rows["path"].items()]


def _cut_file(path: str, segments: pd.DataFrame) -> list[str | AudioError]:
    """Write stretches of a file as WAV of floats, which hold whatever was decoded."""
    from scipy.io import wavfile  # takes half a second

    spans = list(zip(segments["start"].fillna(0.0), segments["end"], strict=True))
    targets = [cache_dir() / "segments" / f"{stat_key([path], one)}.wav" for one in spans]
    if all(one.is_file() for one in targets):
        return [*map(str, targets)]
    try:
        samples, header = decode(path)
    except AudioError as error:
        return [AudioError(str(error).removeprefix(f"{path}: "))] * len(segments)
    rate, length_s = header.sample_rate_hz, len(samples) / header.sample_rate_hz
    found: list[str | AudioError] = []
    for target, (start_s, end_s) in zip(targets, spans, strict=True):
        if start_s >= length_s or end_s > length_s + ROUNDED_S:
            outside = f"a segment outside of the file, which ends at {length_s:.3f} s"
            found.append(AudioError(outside))
            continue
        part = samples[round(start_s * rate) : None if np.isnan(end_s) else round(end_s * rate)]
        found.append(str(keep(target, partial(wavfile.write, rate=rate, data=part))))
    return found
