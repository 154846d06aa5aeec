"""Tables of anybody's clips: a folder, a CSV of any column names, a split in it or next to it.

The result is always the same table, one row a clip: `clip_id, path` and, where they are known,
`label, speaker, statement, parent, part`. Columns are found by their usual names or named by the
caller; an error lists the columns that are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ser_lib.audio.io import SUFFIXES, is_recording
from ser_lib.errors import AuditError, offenders

# Usual names of the column that plays a role, compared without case, spaces and underscores.
COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "path": ("path", "file", "filename", "filepath", "audio", "audiopath", "audiofile", "wav",
             "wavpath", "clip", "clipid", "clippath", "recording", "name", "id"),
    "label": ("label", "emotion", "class", "target", "category", "y"),
    "speaker": ("speaker", "speakerid", "spk", "spkid", "actor", "actorid", "subject", "subjectid"),
    "statement": ("statement", "sentence", "sentenceid", "text", "transcript", "transcription",
                  "script", "prompt", "utterance"),
    "parent": ("parent", "parentid", "source", "sourcefile", "original", "originalfile",
               "augmentedfrom"),
    "part": ("part", "split", "set", "subset", "partition", "fold"),
}  # fmt: skip
ROLES = tuple(COLUMN_NAMES)

# Usual names of parts, in the order in which a leak flows.
PARTS = (
    ("train", "training", "trn", "tr"),
    ("validation", "valid", "val", "dev", "devel", "development"),
    ("test", "testing", "tst", "eval", "evaluation"),
)

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


def folder_table(folder: Path) -> pd.DataFrame:
    """List the audio files below a folder, sorted: `clip_id` (the path below it) and `path`."""
    if not folder.is_dir():
        raise AuditError(f"{folder}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if is_recording(path.name) and path.is_file())
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
        A CSV (comma, semicolon or tab) with one row a clip; without it only the files are known.
    split : Path, optional
        A CSV that names each clip's part; else `table` may have such a column.
    columns : mapping, optional
        From a role (`ROLES`) to the name of its column, where it is not a usual one.

    Returns
    -------
    pandas.DataFrame
        `clip_id, path` and the roles that were found, as text. `attrs["missing"]` lists rows
        without a file, `attrs["unlisted"]` files without a row.

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
        clips = _match(files, *_read_roles(table, chosen, needed=("path",)), table=table)
    return clips if split is None else _with_split(clips, split, chosen)


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a table as text, separated by what its first line has most of."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"{path}: cannot be read as text ({error})") from error
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    try:
        frame = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise AuditError(f"{path}: cannot be read as a table ({error})") from error
    if frame.empty:
        raise AuditError(f"{path}: a table without rows")
    return frame


def _read_roles(
    path: Path, chosen: Mapping[str, str], *, needed: tuple[str, ...]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read a CSV and rename the columns that play a role."""
    frame = _read_csv(path)
    there = f"its columns are: {', '.join(frame.columns)}"
    plain = {re.sub(r"[\s_-]", "", name).casefold(): name for name in reversed(frame.columns)}
    found: dict[str, str] = {}
    for role, usual in COLUMN_NAMES.items():
        taken = {*chosen.values(), *found.values()}
        known = [plain[name] for name in usual if name in plain and plain[name] not in taken]
        if role in chosen and chosen[role] not in frame.columns:
            raise AuditError(f"{path}: no column '{chosen[role]}' for {role}; {there}")
        if role in chosen or known:
            found[role] = chosen.get(role) or known[0]
    lacking = [role for role in needed if role not in found]
    if lacking:
        options = " ".join(f"--{role}-column NAME" for role in lacking)
        raise AuditError(
            f"{path}: no column for {' and '.join(lacking)}; {there}. Name it: {options}"
        )
    frame = frame[list(found.values())].set_axis(list(found), axis=1)
    return frame.map(str.strip), found


def _match(
    files: pd.DataFrame, rows: pd.DataFrame, found: Mapping[str, str], *, table: Path
) -> pd.DataFrame:
    """Give each row of a table its file; a row without one goes to `attrs["missing"]`."""
    keys = _keys_of(files)
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
    clips.attrs["missing"] = list(rows.loc[clip_of == "", "path"])
    clips.attrs["unlisted"] = sorted(set(files["clip_id"]) - set(clip_of))
    return clips


def _keys_of(files: pd.DataFrame) -> dict[str, str]:
    """Map every unambiguous way to name a file, by path, name or stem, to its clip."""
    keys = dict(zip(files["path"], files["clip_id"], strict=True))
    keys |= {Path(path).resolve().as_posix(): clip for path, clip in keys.copy().items()}
    for shorten in (_without_suffix, lambda name: Path(name).name, lambda name: Path(name).stem):
        short = files["clip_id"].map(shorten)
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
    return next((keys[one] for one in tries if one in keys), "")


def _with_split(clips: pd.DataFrame, split: Path, chosen: Mapping[str, str]) -> pd.DataFrame:
    """Take each clip's part from a CSV of its own."""
    named = {role: name for role, name in chosen.items() if role == "part"}
    rows, found = _read_roles(split, named, needed=("path", "part"))
    keys = _keys_of(clips.drop_duplicates("clip_id"))
    clip_of = rows["path"].map(lambda name: _look_up(name, keys))
    unknown = list(rows.loc[clip_of == "", "path"])
    if unknown:
        raise AuditError(
            f"{split}: {len(unknown)} of {len(rows)} names in its column '{found['path']}' are no "
            f"clips of the table or folder:{offenders(unknown)}"
        )
    parts = pd.DataFrame({"clip_id": clip_of, "part": rows["part"]}).drop_duplicates()
    # A clip in two parts becomes two rows, which the audit then finds.
    merged = clips.drop(columns="part", errors="ignore").merge(parts, on="clip_id", how="left")
    merged["part"] = merged["part"].fillna("")
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
