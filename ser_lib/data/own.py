"""Clips of one's own as a clip table, from a table or from the names of files.

Their corpus is called `mine-<name>`: what is run on them is kept in `reports/mine-<name>/`, apart
from the runs of this project, and git leaves it alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ser_lib.audio.io import SUFFIXES, check_facts
from ser_lib.data.corpus import CLIP_COLUMNS, facts_of, walk_files
from ser_lib.data.labels import EMOTIONS
from ser_lib.errors import CorpusError, offenders

# Columns that a table of one's own must have, and those that it may have, with their defaults.
NEEDED = ("path", "emotion", "speaker")
OPTIONAL = {"gender": "", "intensity": "normal", "statement": "", "repetition": 1}


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
        Columns `path`, `emotion` and `speaker`; `gender`, `intensity`, `statement` and
        `repetition` where they are known.
    name : str
        Of the corpus, which is then called `mine-<name>`.
    root : str or Path
        What paths are relative to.
    emotions : mapping, optional
        From the words or codes of the table to those of `ser_lib.data.EMOTIONS`.

    Raises
    ------
    CorpusError
        If a column or a value of one is missing, an emotion is unknown, a file is named twice or
        cannot be used; all are listed.
    """
    if lacking := [one for one in NEEDED if one not in table]:
        raise CorpusError(
            f"the table has no {', '.join(lacking)}; it needs {', '.join(NEEDED)} and may have "
            f"{', '.join(OPTIONAL)}"
        )
    if twice := sorted(set(table.columns[table.columns.duplicated()])):
        raise CorpusError(f"the table has two columns of one name: {', '.join(twice)}; drop one")
    if table.empty:
        raise CorpusError("the table has no rows")
    if not re.fullmatch(r"\w+", name):
        raise CorpusError(f"name='{name}' must be a word of letters, digits and _")
    is_blank = (
        table[list(NEEDED)].astype("string").apply(lambda one: one.str.strip()).fillna("") == ""
    )
    if blank := [
        f"row {number}: no {' and no '.join(is_blank.columns[row])}"
        for number, row in enumerate(is_blank.to_numpy(), start=1)
        if row.any()
    ]:
        raise CorpusError(f"{len(blank)} of {len(table)} rows lack a value:{offenders(blank)}")
    named = table["emotion"].map(lambda one: (emotions or {}).get(one, one))
    if unknown := sorted(set(map(str, named)) - set(EMOTIONS)):
        raise CorpusError(
            f"unknown emotions {unknown}; known are {', '.join(EMOTIONS)}: translate yours with "
            f"emotions={{{unknown[0]!r}: {EMOTIONS[0]!r}, …}}"
        )
    corpus, paths = f"mine-{name}", [Path(root).absolute() / str(one) for one in table["path"]]
    rows: list[dict[str, object]] = [
        {
            "clip_id": f"{corpus}/{Path(str(row['path'])).with_suffix('').as_posix()}",
            "path": str(path),
            "corpus": corpus,
            "emotion": emotion,
            **OPTIONAL,
            **{key: row[key] for key in OPTIONAL if key in row and pd.notna(row[key])},
            "speaker": f"{corpus}-{row['speaker']}",
        }
        for path, emotion, row in zip(paths, named, table.to_dict("records"), strict=True)
    ]
    names = pd.Series([str(one["clip_id"]) for one in rows], dtype=str)
    if twice := sorted(set(names[names.duplicated()])):
        raise CorpusError(
            f"clips have names of their own, these are there twice:{offenders(twice)}"
        )
    facts = facts_of(Path(root), rows)
    wrong = [
        f"{row['path']}: {phrase}"
        for row, fact in zip(rows, facts, strict=True)
        for phrase in ([fact] if isinstance(fact, str) else check_facts(fact))
    ]
    if wrong:
        raise CorpusError(f"{corpus}: {len(wrong)} of {len(rows)} clips:{offenders(wrong)}")
    clips = pd.DataFrame([row | vars(fact) for row, fact in zip(rows, facts, strict=True)])
    clips = clips[list(CLIP_COLUMNS)].sort_values("clip_id", ignore_index=True)
    clips.attrs.update(has_audio=True, left_out=[], n_copies=0)
    return clips


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
        `(?P<speaker>\w+)/(?P<emotion>[a-z]+)_\d+`.

    Raises
    ------
    CorpusError
        If there is no file, not every one is named so, the expression is none or has other groups,
        or as `clips_from_table`.
    """
    root = Path(folder)
    if not root.is_dir():
        raise CorpusError(f"{root}: no such folder")
    try:
        groups = set(re.compile(pattern).groupindex)
    except re.error as error:
        raise CorpusError(f"pattern={pattern!r} is no regular expression: {error}") from error
    known = [*NEEDED[1:], *OPTIONAL]
    if unknown := sorted(groups - set(known)):
        raise CorpusError(
            f"pattern={pattern!r} has the groups {', '.join(unknown)}; known are {', '.join(known)}"
        )
    files = sorted(one for one in walk_files(root) if one.suffix.lower() in SUFFIXES)
    found = [(one.relative_to(root), one.relative_to(root).as_posix()) for one in files]
    matches = [(path, re.search(pattern, text)) for path, text in found]
    if not files:
        raise CorpusError(f"{root}: no audio file is in this folder or those below it")
    if other := [str(path) for path, match in matches if match is None]:
        raise CorpusError(
            f"{root}: {len(other)} of {len(files)} audio files are not named like {pattern}:"
            f"{offenders(other)}"
        )
    rows = [match.groupdict() | {"path": path.as_posix()} for path, match in matches if match]
    return clips_from_table(pd.DataFrame(rows), name=name, root=root, emotions=emotions)
