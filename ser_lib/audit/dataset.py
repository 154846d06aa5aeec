"""What a data set and its split leak, for anybody's clips: the computing half of `ser audit`.

A **leak** is what two parts of a split share: a row, its audio or a copy of it, the clip that it
was made from, its speaker. A **fault** has to be corrected whatever the split: unusable files, one
audio under two labels. An **observation** has to be known: copies where there is no split, shared
statements, odd formats. Kinds are named as in `ser_lib.data.leakage`, the guard of our own runs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ser_lib.audio.io import read_recording
from ser_lib.audit.clip_quality import KINDS, check_clips, measure_clip
from ser_lib.audit.duplicates import find_copies
from ser_lib.audit.fingerprint import N_BANDS, N_STEPS, THRESHOLD, Fingerprints, gather
from ser_lib.audit.tables import guess_parents, order_parts
from ser_lib.data.leakage import FINDINGS, OBSERVATIONS
from ser_lib.errors import AuditError
from ser_lib.runtime import progress

LEVELS = ("leak", "fault", "observation")

# Shared by two parts: kind -> description, and the column that two rows have in common.
SHARED: dict[str, tuple[str, str]] = {
    "same_row": (FINDINGS["same_row"][0], "clip_id"),
    "same_audio": (FINDINGS["same_audio"][0], "sound"),
    "similar_audio": ("a copy of the same audio in two parts", "family"),
    "same_parent": (FINDINGS["same_parent"][0], "parent"),
    "same_speaker": (FINDINGS["same_speaker"][0], "speaker"),
    "same_statement": (OBSERVATIONS["same_statement"][0], "statement"),
}

# Found without a split, or whatever the split: kind -> level, description.
WITHIN: dict[str, tuple[str, str]] = {
    "missing_file": ("fault", "listed in the table, but not there"),
    "left_out": ("fault", "left out by the corpus's loader"),
    "label_conflict": ("fault", "the same audio, or a copy of it, under two labels"),
    "speaker_conflict": ("fault", "the same audio, or a copy of it, under two speakers"),
    "same_audio": ("observation", "clips with the same audio"),
    "similar_audio": ("observation", "copies of the same audio"),
    "same_parent": ("observation", "clips named as versions of one clip"),
    "unlisted_file": ("observation", "there, but not listed in the table"),
    "no_part": ("observation", "clips in no part of the split"),
}

# More pictures than this are kept on disk while they are compared (6 kB each).
MAX_IN_MEMORY = 20_000


@dataclass(frozen=True)
class AuditFinding:
    """One finding."""

    level: str
    """One of `LEVELS`."""
    kind: str
    describes: str
    first: str
    """The part from which rows of `second` are known; empty where no split is involved."""
    second: str
    n_clips: int
    """Clips of the second part, or clips concerned."""
    share: float
    """The same as a share of the part, or of all clips."""
    detail: str
    clips: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class AuditReport:
    """All findings about one data set."""

    source: str
    n_clips: int
    n_sounds: int
    """Different sounds, by the hash of the decoded samples."""
    threshold: float
    findings: tuple[AuditFinding, ...]
    """Leaks first, then faults, then observations."""
    pairs: pd.DataFrame
    """Copies whose audio is not identical: `first, second` (clip ids), `similarity` of their
    pictures, `texture` (that of their fine detail, NaN where it was not needed)."""
    not_checked: tuple[str, ...]
    """What could not be looked for, and why."""

    def of_level(self, level: str) -> list[AuditFinding]:
        """Return the findings of one level."""
        return [one for one in self.findings if one.level == level]

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain data for JSON, clips and pairs included."""
        return {
            "source": self.source,
            "n_clips": self.n_clips,
            "n_sounds": self.n_sounds,
            "threshold": self.threshold,
            "counts": {level: len(self.of_level(level)) for level in LEVELS},
            "not_checked": list(self.not_checked),
            "findings": [
                asdict(one) | {"share": round(one.share, 4), "clips": list(one.clips)}
                for one in self.findings
            ],
            "pairs": [
                {name: value for name, value in one.items() if value == value}
                for one in self.pairs.round(4).to_dict(orient="records")
            ],
        }


def measure_clips(clips: pd.DataFrame) -> tuple[pd.DataFrame, Fingerprints]:
    """Decode every file once; return the numbers of `measure_clip`, and the fingerprints.

    `sound` is the position of a clip's fingerprint, which clips of identical audio share; -1 for a
    file that cannot be decoded.
    """
    files = clips.drop_duplicates("clip_id")
    # Decoding and the transforms release the interpreter's lock: threads are enough.
    tasks = (delayed(measure_clip)(path) for path in files["path"])
    done = Parallel(n_jobs=-1, prefer="threads", return_as="generator")(tasks)
    rows: list[dict[str, object]] = []
    position_of: dict[str, int] = {}

    def new_pictures() -> Iterator[np.ndarray]:
        for row, picture in progress(done, total=len(files), what="decoding"):
            sound = str(row["audio_sha256"])
            is_new = picture is not None and sound not in position_of
            if is_new:
                position_of[sound] = len(position_of)
            rows.append(row | {"sound": position_of.get(sound, -1)})
            if is_new:
                yield picture

    with tempfile.TemporaryDirectory() as folder:
        out = None
        if len(files) > MAX_IN_MEMORY:
            # Unlinked with the folder; the map keeps the pages until it is dropped.
            shape = (len(files), N_BANDS, N_STEPS)
            out = np.memmap(Path(folder) / "pictures", dtype=np.int8, mode="w+", shape=shape)
        prints = gather(new_pictures(), out=out)
    table = pd.DataFrame(rows)
    table.insert(0, "clip_id", list(files["clip_id"]))
    return table, prints


def audit_clips(
    clips: pd.DataFrame,
    *,
    source: str,
    parts: Sequence[pd.Series] = (),
    declared: Sequence[str] = (),
    threshold: float = THRESHOLD,
) -> AuditReport:
    """Audit a data set: its files, its table, and its split where it has one.

    Parameters
    ----------
    clips : pandas.DataFrame
        As from `read_clips`: `clip_id, path` and what is known of `label, speaker, statement,
        parent, part`, as text, else empty.
    source : str
        What is audited, for the report.
    parts : sequence of pandas.Series
        The part of each row, one series a fold; none takes the column `part`.
    declared : sequence of str
        Kinds of leak that are known: reported as observations.
    threshold : float
        Similarity of pictures from which two clips are copies.

    Returns
    -------
    AuditReport

    Raises
    ------
    AuditError
        If a declared kind does not exist, or a split has fewer than two parts.
    """
    unknown = sorted(set(declared) - set(SHARED))
    if unknown:
        raise AuditError(f"no kind of leak is named {unknown}; known are {', '.join(SHARED)}")
    if not parts and "part" in clips:
        parts = [clips["part"]]
    for one in parts:
        names = order_parts(one)
        if len(names) < 2:
            raise AuditError(
                f"the split has {len(names)} part(s) ({', '.join(names) or 'none'}); it needs two"
            )
    measured, prints = measure_clips(clips)
    path_of = dict(zip(clips["clip_id"], clips["path"], strict=True))
    sounds = measured[measured["sound"] >= 0].drop_duplicates("sound").set_index("sound")["clip_id"]

    def load(position: int) -> tuple[np.ndarray, int]:
        recording = read_recording(path_of[sounds[position]])
        # As in `measure_clip`: a file with NaN is a fault, and no reason to stop.
        return np.nan_to_num(recording.signal), recording.facts.sample_rate_hz

    pairs = find_copies(prints, threshold=threshold, load=load)
    known = _with_keys(clips, measured, pairs)
    shared = [one for fold in parts for one in _crossings(known, fold, declared)]
    found = [*_summed(shared), *_within(known, clips, bool(parts))]
    for one in check_clips(measured):
        found += _about(known, one.kind, one.clips, one.detail)
    if parts:
        outside = tuple(known.loc[parts[0].to_numpy() == "", "clip_id"])
        found += _about(known, "no_part", outside, "not compared with any part")
    return AuditReport(
        source=source,
        n_clips=measured["clip_id"].nunique(),
        n_sounds=len(prints),
        threshold=threshold,
        findings=tuple(sorted(found, key=lambda one: LEVELS.index(one.level))),
        pairs=pairs.assign(first=pairs["first"].map(sounds), second=pairs["second"].map(sounds)),
        not_checked=tuple(_not_checked(clips, bool(parts))),
    )


def _with_keys(clips: pd.DataFrame, measured: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Add to each row the keys that two rows can share; an empty key is shared with nobody."""
    known = clips.drop(columns="part", errors="ignore").merge(
        measured[["clip_id", "sound"]], on="clip_id", how="left", validate="many_to_one"
    )
    n_sounds = int(known["sound"].max()) + 1
    links = coo_array(
        (np.ones(len(pairs)), (pairs["first"].to_numpy(), pairs["second"].to_numpy())),
        shape=(n_sounds, n_sounds),
    )
    family = connected_components(links, directed=False)[1] if n_sounds else np.empty(0, dtype=int)
    has_sound = known["sound"] >= 0
    known["family"] = ""
    known.loc[has_sound, "family"] = family[known.loc[has_sound, "sound"]].astype(str)
    known["sound"] = known["sound"].astype(str).where(has_sound, "")
    guessed = guess_parents(known)
    given = known["parent"] if "parent" in known else pd.Series("", index=known.index)
    # A parent is a clip of the table as well: its own row belongs to the group.
    stems = known["clip_id"].map(lambda name: Path(name).stem)
    given = given.map(lambda name: Path(name).stem)
    is_parent = stems.isin(set(given) - {""})
    known["parent"] = given.where(given != "", stems.where(is_parent, guessed))
    return known


def _crossings(
    known: pd.DataFrame, part: pd.Series, declared: Sequence[str]
) -> Iterator[AuditFinding]:
    """Find what any two parts of one fold share."""
    part = part.set_axis(known.index)
    for kind, (describes, column) in SHARED.items():
        if column not in known:
            continue
        keys = known[column].where(known[column] != "")
        if kind == "similar_audio":
            # Identical audio is reported as such.
            keys = keys.where(known.groupby("family")["sound"].transform("nunique") > 1)
        for first, second in combinations(order_parts(part), 2):
            theirs = known[part == second]
            is_known = keys[theirs.index].isin(set(keys[part == first].dropna()))
            if kind == "similar_audio":
                is_known &= ~theirs["sound"].isin(set(known.loc[part == first, "sound"]))
            rows = theirs[is_known]
            if rows.empty:
                continue
            is_leak = kind in FINDINGS or kind == "similar_audio"
            is_declared = kind in declared
            if column in ("speaker", "statement"):
                detail = _some(sorted(set(rows[column])))
            else:
                detail = f"for example {rows['clip_id'].iloc[0]}"
            yield AuditFinding(
                level="leak" if is_leak and not is_declared else "observation",
                kind=kind,
                describes=describes,
                first=first,
                second=second,
                n_clips=len(rows),
                share=len(rows) / len(theirs),
                detail=("declared; " if is_declared else "") + detail,
                clips=tuple(rows["clip_id"]),
            )


def _summed(found: Sequence[AuditFinding]) -> list[AuditFinding]:
    """Join the folds: clips are summed, shares averaged over the folds that have the finding."""
    groups: dict[tuple[str, ...], list[AuditFinding]] = {}
    for one in found:
        groups.setdefault((one.level, one.kind, one.first, one.second), []).append(one)
    return [
        replace(
            same[0],
            n_clips=sum(one.n_clips for one in same),
            share=float(np.mean([one.share for one in same])),
            clips=tuple(dict.fromkeys(clip for one in same for clip in one.clips)),
        )
        for same in groups.values()
    ]


def _within(known: pd.DataFrame, clips: pd.DataFrame, has_split: bool) -> Iterator[AuditFinding]:
    """Find what clips share and which facts contradict each other, whatever the split."""
    for kind, attribute in (("missing_file", "missing"), ("left_out", "left_out")):
        names = tuple(clips.attrs.get(attribute, ()))
        yield from _about(known, kind, names, _some(names))
    for kind, column in (("label_conflict", "label"), ("speaker_conflict", "speaker")):
        if column in known:
            given = known[column].where(known[column] != "")
            n_given = given.groupby(known["family"]).transform("nunique")
            yield from _groups(known, kind, known["family"].where(n_given > 1, ""), column)
    unique = known.drop_duplicates("clip_id")
    is_copy = unique.groupby("family")["sound"].transform("nunique") > 1
    yield from _groups(unique, "same_audio", unique["sound"])
    yield from _groups(unique, "similar_audio", unique["family"].where(is_copy, ""))
    if not has_split:
        yield from _groups(unique, "same_parent", unique["parent"])
    unlisted = tuple(clips.attrs.get("unlisted", ()))
    yield from _about(known, "unlisted_file", unlisted, _some(unlisted))


def _groups(
    known: pd.DataFrame, kind: str, keys: pd.Series, column: str = ""
) -> Iterator[AuditFinding]:
    """Report the groups of clips that share a key; an empty key is shared with nobody."""
    is_shared = (keys != "") & keys.duplicated(keep=False)
    rows = known[is_shared]
    if len(rows):
        groups = [
            " = ".join(
                f"{row.clip_id} ({getattr(row, column)})" if column else str(row.clip_id)
                for row in same.head(4).itertuples()
            )
            for _, same in rows.groupby(keys[is_shared], sort=False)
        ]
        detail = f"{len(groups)} group{'s' if len(groups) > 1 else ''}: {_some(groups, limit=2)}"
        yield from _about(known, kind, tuple(rows["clip_id"]), detail)


def _about(
    known: pd.DataFrame, kind: str, clips: tuple[str, ...], detail: str
) -> Iterator[AuditFinding]:
    """Make a finding of some clips and of no part; none without clips."""
    if clips:
        level, describes = (WITHIN | KINDS)[kind]
        share = min(1.0, len(clips) / max(1, known["clip_id"].nunique()))
        yield AuditFinding(level, kind, describes, "", "", len(clips), share, detail, clips)


def _some(names: Sequence[str], *, limit: int = 3) -> str:
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _not_checked(clips: pd.DataFrame, has_split: bool) -> Iterator[str]:
    if not has_split:
        yield "leaks between parts: there is no split"
    for role, what in (
        ("label", "contradicting labels"),
        ("speaker", "shared speakers"),
        ("statement", "shared statements"),
    ):
        if role not in clips or (clips[role] == "").all():
            yield f"{what}: there is no column for the {role}"
    if "parent" not in clips:
        yield "shared parents, but by file names: there is no column for the parent"
