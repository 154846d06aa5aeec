"""Tables of anybody's clips: a folder, a CSV of any column names, a split in it or next to it.

The result is always the same table, one row a clip: `clip_id, path` and, where they are known,
`label, speaker, statement, parent, part`, and `start, end` (s) where clips are segments of files.
Columns are found by their usual names or named by the caller; an error lists the columns that are
there. What no column says is read from the names of folders: `train/angry/a.wav`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pandas as pd

from ser_lib.audio.io import SUFFIXES, is_hidden, is_recording, load_head
from ser_lib.data.tables import (
    COLUMN_NAMES,
    PARTS,
    PATTERNS,
    ROLES,
    folder_levels,
    guess_roles,
    one_form,
    read_table,
    seconds_of,
)
from ser_lib.errors import AudioError, AuditError, offenders

# Usual ways to write that a value is unknown, without case and signs.
UNKNOWN = re.compile(
    r"(?:na[nt]?|none|null|nil|unk|unknown|undefined|unspecified|unidentified|missing|anon|anonymous|"
    r"not?(?:name|available|known|applicable|given|specified)|tbd|speakerunknown|unknownspeaker|"
    r"unbekannt|inconnue?|desconocid[oa])?"
)

# The hash of an empty name, where names were hashed: all unknown speakers then seem to be one.
HASHED_NOTHING = {
    hashlib.new(one, b"").hexdigest() for one in ("md5", "sha1", "sha224", "sha256", "sha512")
}

# Ends of segments are rounded.
ROUNDED_S = 0.05

# What tools append to the name of an augmented or copied clip.
AUGMENTED = re.compile(
    r"(?:[-_. ]+(?:aug(?:mented)?|nois(?:e|y)|pitch(?:ed)?|stretch(?:ed)?|shift(?:ed)?|speed|tempo|"
    r"reverb|gain|volume|copy|dup|duplicate|higher|slower|faster)[-_. ]?[-+]?[\d.]*"
    r"| ?\(\d+\)| - copy)+$",
    re.IGNORECASE,
)


def order_parts(names: pd.Series) -> list[str]:
    """Return the parts of a split, training first, then validation, test, and others by name."""
    place = {name: number for number, usual in enumerate(PARTS) for name in usual}
    return sorted(
        set(names[names != ""]), key=lambda name: (place.get(name.casefold(), len(PARTS)), name)
    )


def stated(value: str) -> str:
    """Return a value; empty where it says, in one of the usual ways, that it is unknown."""
    plain = re.sub(r"[\W_]", "", value).casefold()
    return "" if UNKNOWN.fullmatch(plain) or plain in HASHED_NOTHING else value


def plain_name(name: str) -> str:
    """Return what the spellings of a name share: `Actor_01`, `actor 1`, `01` and `1.0` give 1."""
    name = re.sub("[\u0300-\u036f]", "", normalize("NFKD", name).casefold())
    name = re.sub(r"(?<=\d)\.0+$", "", name)
    if re.fullmatch(PATTERNS["speaker"], name):
        name = re.sub(r"\D", "", name)
    name = re.sub(r"[\W_]+", ".", re.sub(r"(?<!\d)0+(?=\d)", "", name))
    return re.sub(r"(?<!\d)\.|\.(?!\d)", "", name)


def plain_label(label: str) -> str:
    """Return what the spellings of a class share: `Angry`, `01_anger` and `ANG` give ang."""
    emotion = re.fullmatch(PATTERNS["label"], label.casefold())
    return emotion[1][:3] if emotion else plain_name(label)


def plain_part(part: str) -> str:
    """Return what the spellings of a part share: `Train` and `training` give train."""
    name = plain_name(part)
    return next((usual[0] for usual in PARTS if name in usual), name)


def folder_table(folder: Path) -> pd.DataFrame:
    """List the audio files below a folder, sorted: `clip_id` (the path below it) and `path`."""
    if not folder.is_dir():
        raise AuditError(f"{folder}: no such folder")
    found = (path for path in folder.rglob("*") if is_recording(path.name) and not path.is_dir())
    # What a hidden folder holds was deleted, or is the store behind links.
    paths = sorted(path for path in found if not is_hidden(path.relative_to(folder)))
    if not paths:
        raise AuditError(
            f"{folder}: no audio file below it (looked for {', '.join(sorted(SUFFIXES))})"
        )
    return pd.DataFrame(
        {
            "clip_id": [path.relative_to(folder).as_posix() for path in paths],
            "path": [str(path) for path in paths],
        }
    )


def read_clips(
    folder: Path,
    *,
    table: Path | None = None,
    split: Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read what is to be audited: files, and what a table and a split say about them.

    Parameters
    ----------
    folder : Path
        Where the audio is.
    table : Path, optional
        A CSV (comma, semicolon, tab or |, also as Excel writes it) or JSON (lines) with one row a
        clip; without it only the files are known.
    split : Path, optional
        The same with each clip's part; else `table` or the folders' names may tell it.
    columns : mapping, optional
        From a role (`ROLES`) to the name of its column, where it is not a usual one.

    Returns
    -------
    pandas.DataFrame
        `clip_id, path` and the roles that were found, as text; `start, end` as numbers.
        `attrs["missing"]` lists rows without a file, `attrs["unlisted"]` files without a row,
        `attrs["read"]` what the folders' names tell.

    Raises
    ------
    AuditError
        If a file or column is missing, no row belongs to a file, or the split names unknown clips.
    """
    files = folder_table(folder)
    chosen = dict(columns or {})
    unknown = set(chosen) - set(ROLES)
    if unknown:
        raise AuditError(f"unknown roles {sorted(unknown)}; known are {', '.join(ROLES)}")
    if table is None:
        named = [name for role, name in chosen.items() if role != "part" or split is None]
        if named:
            raise AuditError(f"columns are named ({', '.join(named)}) but no table is given")
        clips = files
        clips.attrs.update(missing=[], unlisted=[])
    else:
        clips = _match(files, table, chosen)
    if split is not None:
        clips = _with_split(clips, split, chosen)
    clips = _read_folders(clips)
    if "start" in clips:
        times = " [" + clips["start"].map(str) + "-" + clips["end"].map(str) + " s]"
        # Times of a file's only row, outside of it, are those in what it was cut from.
        is_only = times.groupby(clips["path"]).transform("nunique") == 1
        length_s = clips["path"].where(is_only).map(_duration_s, na_action="ignore")
        is_inside = (clips["start"] < length_s) & (clips["end"].replace(np.inf, 0) <= length_s)
        is_part = (clips["start"] > 0) | (clips["end"] < length_s - ROUNDED_S)
        is_whole = is_only & ~(is_inside & is_part)
        clips.loc[is_whole, ["start", "end"]] = (0.0, np.inf)
        clips["clip_id"] += times.mask(is_whole, "")
    return clips


def _duration_s(path: str) -> float:
    try:
        return load_head(path, max_s=0.01)[2] + ROUNDED_S
    except AudioError:
        return 0.0  # found when it is decoded


def _read_roles(
    path: Path, chosen: Mapping[str, str], keys: Mapping[str, str], *, needed: tuple[str, ...]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read a table and rename the columns that play a role; `keys` are the names of its files."""
    frame = read_table(path, error_class=AuditError)
    chosen = {role: one_form(name) for role, name in chosen.items()}
    plain = {re.sub(r"[\s._-]", "", name).casefold(): name for name in reversed(frame.columns)}
    is_named = chosen.get("path") in frame.columns or set(plain) & set(COLUMN_NAMES["path"])
    first = [place for place, cell in enumerate(frame.columns) if _look_up(cell, keys)]
    if first and not is_named:
        # The first line is no header, but a row.
        numbers = [str(number) for number in range(1, len(frame.columns) + 1)]
        frame = pd.DataFrame([frame.columns, *frame.to_numpy()], columns=numbers)
        guessed = guess_roles(frame.drop(columns=numbers[first[0]]))
        chosen = {"path": numbers[first[0]]} | guessed | chosen
        plain = {}
    there = f"its columns are: {', '.join(frame.columns)}"
    found: dict[str, str] = {}
    for role, usual in COLUMN_NAMES.items():
        taken = {*chosen.values(), *found.values()}
        usable = [plain[name] for name in usual if name in plain and plain[name] not in taken]
        if role in chosen and chosen[role] not in frame.columns:
            raise AuditError(f"{path}: no column '{chosen[role]}' for {role}; {there}")
        if role in chosen or usable:
            found[role] = chosen.get(role) or usable[0]
    lacking = [role for role in needed if role not in found]
    if lacking:
        options = " ".join(f"--{role}-column NAME" for role in lacking)
        raise AuditError(
            f"{path}: no column for {' and '.join(lacking)}; {there}. Name it: {options}"
        )
    if doubled := [name for name in found.values() if list(frame.columns).count(name) > 1]:
        raise AuditError(f"{path}: has the column '{doubled[0]}' twice; rename or delete one")
    return _with_times(frame[list(found.values())].set_axis(list(found), axis=1), found), found


def _with_times(rows: pd.DataFrame, found: Mapping[str, str]) -> pd.DataFrame:
    """Turn start and end into seconds; without them, and noted, where a value is no time."""
    for role in rows.columns.intersection(["start", "end", "duration"]):
        text = rows[role].map(stated)
        seconds = seconds_of(text, found[role]).round(3)
        is_no_time = seconds.isna() & (text != "")
        if is_no_time.any() and "start" in found:
            wrong = f"{rows.loc[is_no_time, role].iloc[0]!r} in column '{found[role]}' is no time"
            rows = rows.drop(columns=["start", "end", "duration"], errors="ignore")
            rows.attrs["unread"] = (f"segments: {wrong}; give seconds",)
            return rows
        rows[role] = seconds
    if "start" not in rows:
        return rows.drop(columns=["end", "duration"], errors="ignore")
    start = rows["start"].fillna(0.0)
    end = rows.get("end", start + rows.get("duration", np.inf)).fillna(np.inf)
    return rows.assign(start=start, end=end).drop(columns="duration", errors="ignore")


def _read_folders(clips: pd.DataFrame) -> pd.DataFrame:
    """Take part, class and speaker from the names of folders, where no column has them."""
    levels = folder_levels(clips["clip_id"])
    guessed = guess_roles(levels)
    if "part" in guessed:
        names = levels[guessed["part"]].str.casefold()
        parts = names.str.extract(f"^{PATTERNS['part']}$", expand=False).fillna("")
        levels[guessed["part"]] = parts
        below = guessed["part"] + 1
        # Classes are in several parts.
        if below in levels and parts.groupby(levels[below]).nunique().max() > 1:
            guessed.setdefault("label", below)
    for role, level in guessed.items():
        if role not in clips:
            clips[role] = levels[level]
            shown = f"{role}: {', '.join(sorted(set(levels[level]))[:6])}"
            clips.attrs["read"] = [*clips.attrs.get("read", ()), shown]
    return clips


def _match(files: pd.DataFrame, table: Path, chosen: Mapping[str, str]) -> pd.DataFrame:
    """Give each row of a table its file; a row without one goes to `attrs["missing"]`."""
    keys = _keys_of(files)
    rows, found = _read_roles(table, chosen, keys, needed=("path",))
    clip_of = rows["path"].map(lambda name: _look_up(name, keys))
    if not clip_of.any():
        raise AuditError(
            f"{table}: none of its {len(rows)} rows belongs to a file in the folder. Its column "
            f"'{found['path']}' begins with {rows['path'].iloc[0]!r}, the files with "
            f"{files['clip_id'].iloc[0]!r}"
        )
    clips = rows.assign(clip_id=clip_of).drop(columns="path")[clip_of != ""]
    clips = clips.merge(files, on="clip_id", how="left")
    order = ["clip_id", "path", *(role for role in ROLES if role in clips and role != "path")]
    clips = clips[order].reset_index(drop=True)
    clips.attrs["unread"] = rows.attrs.get("unread", ())
    clips.attrs["missing"] = list(rows.loc[clip_of == "", "path"])
    clips.attrs["unlisted"] = sorted(set(files["clip_id"]) - set(clip_of))
    return clips


def _keys_of(files: pd.DataFrame) -> dict[str, str]:
    """Map every unambiguous way to name a file, by path, name or stem, to its clip."""
    keys = dict(zip(files["path"], files["clip_id"], strict=True))
    keys |= {Path(path).resolve().as_posix(): clip for path, clip in keys.copy().items()}
    for shorten in (str, _without_suffix, lambda one: Path(one).name, lambda one: Path(one).stem):
        short = files["clip_id"].map(shorten).map(one_form)
        alone = ~short.duplicated(keep=False)
        keys = dict(zip(short[alone], files.loc[alone, "clip_id"], strict=True)) | keys
    return keys | {clip: clip for clip in files["clip_id"]}


def _without_suffix(name: str) -> str:
    path = Path(name)
    return path.with_suffix("").as_posix() if path.suffix.lower() in SUFFIXES else name


def _look_up(name: str, keys: Mapping[str, str]) -> str:
    """Find a file by a path, by ever shorter ends of it, or by its stem; empty where there is none.

    A path that is longer than those below the folder may begin with the folder itself.
    """
    parts = Path(name.replace("\\", "/")).parts
    whole = Path(name.replace("\\", "/")).as_posix()
    tries = [whole, *("/".join(parts[start:]) for start in range(len(parts)))]
    # Another ending: the table names .wav, the folder holds .flac.
    tries += [_without_suffix(one) for one in tries]
    tries += [one_form(one) for one in tries]
    return next((keys[one] for one in tries if one in keys), "")


def _with_split(clips: pd.DataFrame, split: Path, chosen: Mapping[str, str]) -> pd.DataFrame:
    """Take each clip's part from a CSV of its own."""
    named = {role: name for role, name in chosen.items() if role == "part"}
    keys = _keys_of(clips.drop_duplicates("clip_id"))
    rows, found = _read_roles(split, named, keys, needed=("path", "part"))
    clip_of = rows["path"].map(lambda name: _look_up(name, keys))
    unknown = list(rows.loc[clip_of == "", "path"])
    if unknown:
        raise AuditError(
            f"{split}: {len(unknown)} of {len(rows)} names in its column '{found['path']}' are no "
            f"clips of the table or folder:{offenders(unknown)}"
        )
    rows = rows.assign(clip_id=clip_of).filter(["clip_id", "start", "end", "part"])
    clips_only = clips.drop(columns="part", errors="ignore")
    # A clip in two parts becomes two rows, which the audit then finds.
    shared = [*rows.columns.intersection(clips_only.columns)]
    merged = clips_only.merge(rows.drop_duplicates(), on=shared, how="left")
    merged = merged.fillna({"part": "", "start": 0.0, "end": np.inf})
    merged.attrs.update(clips.attrs)
    return merged


def guess_parents(clips: pd.DataFrame) -> pd.Series:
    """Guess from names which clips were made from which: `x/a`, `y/a_noise2` and `b` give a, a, "".

    Empty also where no name of a group has an appendix.
    """
    stems = clips["clip_id"].map(lambda name: Path(name).stem)
    bare = stems.map(lambda stem: AUGMENTED.sub("", stem) or stem)
    groups = pd.DataFrame({"bare": bare, "is_made": bare != stems, "clip_id": clips["clip_id"]})
    has_made = groups.groupby("bare")["is_made"].transform("any")
    is_shared = groups.groupby("bare")["clip_id"].transform("nunique") > 1
    return bare.where(has_made & is_shared, "")
