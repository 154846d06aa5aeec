"""What a data set and its split leak, for anybody's clips: the computing half of `ser audit`.

A **leak** is what two parts of a split share: a row, its audio or a copy of it, the clip that it
was made from, its speaker, what is said. A **fault** has to be corrected whatever the split:
unusable files, one audio under two labels. An **observation** has to be known: copies where there
is no split, odd formats. Kinds are named as in `ser_lib.data.leakage`, the guard of our own runs.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from sys import intern

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ser_lib.audio.io import read_recording
from ser_lib.audit.clip_quality import KINDS, check_clips, measure_clip
from ser_lib.audit.duplicates import find_copies
from ser_lib.audit.fingerprint import N_BANDS, N_STEPS, N_VALUES, THRESHOLD, Fingerprints, gather
from ser_lib.audit.silence import MIN_CLIPS_EACH, tell_by_silence
from ser_lib.audit.tables import (
    guess_parents,
    order_parts,
    plain_label,
    plain_name,
    plain_part,
    stated,
)
from ser_lib.chunks import Arrays, Chunks, InChunks
from ser_lib.data.corpus import stat_key
from ser_lib.data.leakage import FINDINGS, OBSERVATIONS
from ser_lib.errors import AuditError
from ser_lib.paths import cache_dir
from ser_lib.shown import short

LEVELS = ("leak", "fault", "observation")

# Shared by two parts: kind -> level, description, and the column that two rows have in common.
SHARED: dict[str, tuple[str, str, str]] = {
    "same_row": ("leak", FINDINGS["same_row"][0], "clip_id"),
    "same_audio": ("leak", FINDINGS["same_audio"][0], "sound"),
    "similar_audio": ("leak", "a copy of the same audio in two parts", "family"),
    "overlap": ("leak", "overlapping segments of one recording in two parts", "stretch"),
    "same_parent": ("leak", FINDINGS["same_parent"][0], "parent"),
    "same_speaker": ("leak", FINDINGS["same_speaker"][0], "speaker"),
    "similar_speaker": ("leak", "spellings of one speaker in two parts", "voice"),
    "same_statement": ("leak", OBSERVATIONS["same_statement"][0], "said"),
    "same_recording": ("observation", "segments of one recording in two parts", "recording"),
}
# Of two kinds the narrower one is reported: who shares this column is no case of the kind.
NARROWER = {"similar_audio": "sound", "similar_speaker": "speaker", "overlap": "clip_id"}

# Found without a split, or whatever the split: kind -> level, description.
WITHIN: dict[str, tuple[str, str]] = {
    "missing_file": ("fault", "listed in the table, but not there"),
    "left_out": ("fault", "left out by the corpus's loader"),
    "other_gender": ("fault", "named with another gender than the speaker's other clips"),
    "left_alone": ("observation", "of no use to the corpus, left alone by its loader"),
    "read_from_names": ("observation", "what the names of folders tell"),
    "spelling": ("observation", "names in several spellings, taken as one"),
    "label_conflict": ("fault", "the same audio, or a copy of it, under two labels"),
    "speaker_conflict": ("fault", "the same audio, or a copy of it, under two speakers"),
    "same_audio": ("observation", "clips with the same audio"),
    "similar_audio": ("observation", "copies of the same audio"),
    "same_parent": ("observation", "clips named as versions of one clip"),
    "speaker_in_silence": ("observation", "the silence before speech names the speaker"),
    "label_in_silence": ("observation", "the silence before speech names the label"),
    "unlisted_file": ("observation", "there, but not listed in the table"),
    "no_part": ("observation", "clips in no part of the split"),
}

# What more clips share, and is no clip, is no parent of theirs: a corpus, or a site.
MAX_VERSIONS = 20

# Segments that share less are neighbours, whose limits were rounded.
MIN_OVERLAP_S = 0.05

# Raised whenever what is measured of a clip changes.
MEASURES_VERSION = 1

# More fingerprints than this are kept on disk while they are compared (9 kB each).
MAX_IN_MEMORY = 2_000


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


@short
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
    verdict: str
    """Whether the split leaks; without one, what a random split would leak."""

    def of_level(self, level: str) -> list[AuditFinding]:
        """Return the findings of one level."""
        return [one for one in self.findings if one.level == level]

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain data for JSON, clips and pairs included."""
        return self.about() | {"pairs": self.records()}

    def records(self, start: int = 0, end: int | None = None) -> list[dict[str, object]]:
        """Return some of the pairs as plain data."""
        rows = self.pairs[start:end].round(4).to_dict(orient="records")
        return [{str(name): value for name, value in one.items() if value == value} for one in rows]

    def about(self) -> dict[str, object]:
        """Return the report as plain data, but for the pairs."""
        return {
            "source": self.source,
            "n_clips": self.n_clips,
            "n_sounds": self.n_sounds,
            "threshold": self.threshold,
            "counts": {level: len(self.of_level(level)) for level in LEVELS},
            "verdict": self.verdict,
            "not_checked": list(self.not_checked),
            "findings": [
                asdict(one) | {"share": round(one.share, 4), "clips": list(one.clips)}
                for one in self.findings
            ],
        }


def measure_clips(clips: pd.DataFrame) -> tuple[pd.DataFrame, Fingerprints]:
    """Decode every file once; return the numbers of `measure_clip`, and the fingerprints.

    `sound` is the position of a clip's fingerprint, which clips of identical audio share; -1 for a
    file that cannot be decoded.
    """
    files = clips.drop_duplicates("clip_id")
    places = files.filter(["path", "start", "end"])
    key = stat_key(
        files["path"], (MEASURES_VERSION, [*places.drop(columns="path").itertuples(False, None)])
    )
    # Decoding and the transforms release the interpreter's lock: threads are enough.
    chunks = Chunks(
        *(cache_dir() / "audit" / key, InChunks(places), _measure),
        prefers="threads",
        needs=list(files["path"][:1]),
    )
    chunks.make(what="decoding")
    table = pd.concat(map(_rows_of, chunks), ignore_index=True)
    table.insert(0, "clip_id", files["clip_id"].array)
    table["sound"] = pd.factorize(table.pop("audio_sha256").replace("", None))[0]
    is_new = (table["sound"] >= 0) & ~table["sound"].duplicated()

    def new_pictures() -> Iterator[np.ndarray]:
        n_seen = 0
        for chunk in chunks:
            has_picture = chunk["has_picture"]
            known = is_new[n_seen : n_seen + len(has_picture)].to_numpy()
            yield from chunk["pictures"][known[has_picture]]
            n_seen += len(has_picture)

    with tempfile.TemporaryDirectory() as folder:
        out = None
        if len(files) > MAX_IN_MEMORY:
            # Unlinked with the folder; the maps keep the pages until they are dropped.
            n_sounds = int(is_new.sum())
            shapes = {np.int8: (n_sounds, N_BANDS, N_STEPS), np.float32: (n_sounds, N_VALUES)}
            maps = (
                np.memmap(Path(folder) / f"{len(shape)}", dtype=kind, mode="w+", shape=shape)
                for kind, shape in shapes.items()
            )
            out = Fingerprints(*maps)
        prints = gather(new_pictures(), out=out)
    chunks.delete()
    return table, prints


def _rows_of(chunk: Arrays) -> pd.DataFrame:
    """Return what was measured of the clips of a chunk, a row each."""
    rows = pd.DataFrame([json.loads(str(one), object_hook=_shared) for one in chunk["rows"]])
    openings = iter(chunk["openings"].astype(np.float16))
    return rows.assign(opening=[next(openings) if one else None for one in chunk["has_opening"]])


def _shared(row: dict[str, object]) -> dict[str, object]:
    """Take texts that many clips have in common, such as their format, from one place in memory."""
    return {name: intern(one) if isinstance(one, str) else one for name, one in row.items()}


def _measure(places: Sequence[tuple]) -> Arrays:
    """Measure the clips of a chunk."""
    rows, pictures = zip(*(measure_clip(*place) for place in places), strict=True)
    there = [one for one in pictures if one is not None]
    openings = [row.pop("opening", None) for row in rows]
    opened = [one for one in openings if one is not None]
    return {
        "rows": np.array([json.dumps(row, default=np.ndarray.item) for row in rows]),
        "has_picture": np.array([one is not None for one in pictures]),
        "pictures": np.array(there, dtype=np.int8).reshape(-1, N_BANDS, N_STEPS),
        "has_opening": np.array([one is not None for one in openings]),
        "openings": np.array(opened),
    }


def audit_clips(
    clips: pd.DataFrame,
    *,
    source: str,
    parts: Sequence[pd.Series] = (),
    declared: Sequence[str] = (),
    distinct_speakers: bool = False,
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
    distinct_speakers : bool
        Whether names that differ in spelling, as `01` and `1`, are those of different speakers.
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
    roles = clips.columns.intersection(["label", "speaker", "statement", "parent", "part"])
    clips = clips.assign(**{role: clips[role].map(stated) for role in roles})
    if "speaker" in clips:
        clips["speaker"] = clips["speaker"].mask(clips["speaker"].str.fullmatch(r"-\d+(\.0+)?"), "")
    if not parts and "part" in clips:
        # Each part under the first of its spellings.
        parts = [clips["part"].groupby(clips["part"].map(plain_part)).transform("first")]
    for one in parts:
        names = order_parts(one)
        if len(names) < 2:
            raise AuditError(
                f"the split has {len(names)} part(s) ({', '.join(names) or 'none'}); it needs two"
            )
    measured, prints = measure_clips(clips)
    places = clips.drop_duplicates("clip_id").filter(["path", "start", "end"])
    first_of = measured.index[(measured["sound"] >= 0) & ~measured["sound"].duplicated()]

    def load(position: int) -> tuple[np.ndarray, int]:
        recording = read_recording(*places.iloc[first_of[position]])
        # As in `measure_clip`: a file with NaN is a fault, and no reason to stop.
        return np.nan_to_num(recording.signal), recording.facts.sample_rate_hz

    pairs = find_copies(prints, threshold=threshold, load=load)
    sounds = measured.loc[first_of, "clip_id"].array
    known = _with_keys(clips, measured, pairs, distinct_speakers)
    shared = [one for fold in parts for one in _crossings(known, fold, declared)]
    found = [*_summed(shared), *_within(known, clips, bool(parts))]
    told, untold = _told_by_silence(known, measured)
    found += told
    for one in check_clips(measured):
        found += _about(known, one.kind, one.clips, one.detail)
    if parts:
        outside = tuple(known.loc[parts[0].to_numpy() == "", "clip_id"])
        found += _about(known, "no_part", outside, "not compared with any part")
    not_checked = (*_not_checked(known, clips, parts), *untold)
    is_leaking = any(one.level == "leak" for one in found)
    verdict = "This split leaks." if is_leaking else _verdict(known, bool(parts), not_checked)
    if parts and any(one.detail.startswith("declared") for one in found):
        verdict = verdict.replace("No leak", "No leak but those declared")
    return AuditReport(
        source=source,
        n_clips=measured["clip_id"].nunique(),
        n_sounds=len(prints),
        threshold=threshold,
        findings=tuple(sorted(found, key=lambda one: LEVELS.index(one.level))),
        pairs=pairs.assign(first=sounds[pairs["first"]], second=sounds[pairs["second"]]),
        not_checked=not_checked,
        verdict=verdict,
    )


def _with_keys(
    clips: pd.DataFrame, measured: pd.DataFrame, pairs: pd.DataFrame, distinct_speakers: bool
) -> pd.DataFrame:
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
    if not is_parent.any() and given[given != ""].value_counts().median() > MAX_VERSIONS:
        given = given.mask(given != "", "")
    known["parent"] = given.where(given != "", stems.where(is_parent, guessed))
    if "speaker" in known:
        known["voice"] = known["speaker"].map(str if distinct_speakers else plain_name)
    if "statement" in known:
        # Where most say a sentence, a word or two (Oh! Yes, please.) may be said by chance.
        n_words = known["statement"].str.split().str.len()
        known["said"] = (
            known["statement"].map(plain_name).where(n_words >= min(3, n_words.median()), "")
        )
    if "start" in known:
        known["recording"] = known["path"].where(known["path"].duplicated(keep=False), "")
        order = known.sort_values(["path", "start"])
        reach = order.groupby("path")["end"].cummax().groupby(order["path"]).shift()
        known["stretch"] = (~(order["start"] + MIN_OVERLAP_S < reach)).cumsum().astype(str)
    return known


def _crossings(
    known: pd.DataFrame, part: pd.Series, declared: Sequence[str]
) -> Iterator[AuditFinding]:
    """Find what any two parts of one fold share."""
    part = part.set_axis(known.index)
    for kind, (level, describes, column) in SHARED.items():
        if column not in known:
            continue
        keys = known[column].where(known[column] != "")
        narrower = known[NARROWER.get(kind, column)]
        for first, second in combinations(order_parts(part), 2):
            ours, theirs = known[part == first], known[part == second]
            is_known = keys[theirs.index].isin(set(keys[ours.index].dropna()))
            if kind in NARROWER:
                is_known &= ~narrower[theirs.index].isin(set(narrower[ours.index]))
            rows = theirs[is_known]
            if rows.empty:
                continue
            is_declared = kind in declared
            detail = f"for example {rows['clip_id'].iloc[0]}"
            if kind == "similar_speaker":
                name_of = dict(zip(ours["voice"], ours["speaker"], strict=True))
                pairs = zip(rows["voice"].map(name_of), rows["speaker"], strict=True)
                detail = _some(sorted({" = ".join(pair) for pair in pairs}))
                detail += "; if these are different people: --distinct-speakers"
            elif kind in ("same_speaker", "same_statement"):
                detail = _some(sorted(set(rows[kind.removeprefix("same_")])))
            yield AuditFinding(
                level="observation" if is_declared else level,
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
    for kind, attribute in (
        ("missing_file", "missing"),
        ("left_out", "left_out"),
        ("other_gender", "other_gender"),
        ("unlisted_file", "unlisted"),
    ):
        names = tuple(clips.attrs.get(attribute, ()))
        yield from _about(known, kind, names, _some(names))
    for line in clips.attrs.get("left_alone", ()):
        n_files = int(re.findall(r"\d+", line)[0])
        yield from _about(known, "left_alone", (line,), line, n_clips=n_files)
    if read := "; ".join(clips.attrs.get("read", ())):
        yield from _about(known, "read_from_names", tuple(known["clip_id"].unique()), read)
    for column, plain in (("part", plain_part), ("label", plain_label), ("speaker", "voice")):
        if column in clips:
            names = clips[column].set_axis(known.index)
            keys = known[plain] if isinstance(plain, str) else names.map(plain)
            is_spelt = (names != "") & (names.groupby(keys).transform("nunique") > 1)
            spelt = [" = ".join(sorted(set(same))) for _, same in names[is_spelt].groupby(keys)]
            yield from _about(
                known, "spelling", tuple(known.loc[is_spelt, "clip_id"]), _some(spelt)
            )
    for kind, column in (("label_conflict", "label"), ("speaker_conflict", "speaker")):
        if column in known:
            given = known["voice"] if column == "speaker" else known[column].map(plain_label)
            given = given.where(known[column] != "")
            n_given = given.groupby(known["family"]).transform("nunique")
            yield from _groups(known, kind, known["family"].where(n_given > 1, ""), column)
    unique = known.drop_duplicates("clip_id")
    is_copy = unique.groupby("family")["sound"].transform("nunique") > 1
    yield from _groups(unique, "same_audio", unique["sound"])
    yield from _groups(unique, "similar_audio", unique["family"].where(is_copy, ""))
    if not has_split:
        yield from _groups(unique, "same_parent", unique["parent"])


def _told_by_silence(
    known: pd.DataFrame, measured: pd.DataFrame
) -> tuple[list[AuditFinding], list[str]]:
    """Report whether the silence before anybody speaks names speaker or label; what is unknown."""
    rows = known.merge(measured.dropna(subset="opening")[["clip_id", "opening"]], on="clip_id")
    rows = rows.drop_duplicates("clip_id")
    found: list[AuditFinding] = []
    untold: list[str] = []
    for role, column in (("speaker", "voice"), ("label", "label")):
        is_known, told = column in rows, None
        if is_known and len(rows):
            told = tell_by_silence(
                np.stack(rows["opening"]).astype(np.float32), rows[column], rows["family"]
            )
        if told is None:
            few = f"fewer than two have {MIN_CLIPS_EACH} clips that begin with a pause"
            reason = few if is_known else "there is no column for it"
            untold.append(f"whether silence names the {role}: {reason}")
        elif told.is_clear:
            detail = (
                f"{100 * told.accuracy:.0f} % of these clips are assigned rightly by what is "
                "heard before anybody speaks, cross-validated; a guess would be right in "
                f"{100 * told.chance:.0f} %"
            )
            ids = tuple(rows.loc[told.is_examined, "clip_id"])
            found += _about(known, f"{role}_in_silence", ids, detail)
    return found, untold


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
    known: pd.DataFrame, kind: str, clips: tuple[str, ...], detail: str, n_clips: int = 0
) -> Iterator[AuditFinding]:
    """Make a finding of some clips and of no part; none without clips."""
    if clips:
        n_clips = n_clips or len(clips)
        level, describes = (WITHIN | KINDS)[kind]
        share = min(1.0, n_clips / max(1, known["clip_id"].nunique()))
        yield AuditFinding(level, kind, describes, "", "", n_clips, share, detail, clips)


def _some(names: Sequence[str], *, limit: int = 3) -> str:
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _not_checked(
    known: pd.DataFrame, clips: pd.DataFrame, parts: Sequence[pd.Series]
) -> Iterator[str]:
    if not parts:
        yield "leaks between parts: there is no split"
    elif n_outside := (parts[0] == "").sum():
        yield f"leaks not checked for {n_outside} of {len(known)} clips: in no part"
    yield from clips.attrs.get("unread", ())
    n_missing = len(clips.attrs.get("missing", ()))
    if n_unheard := n_missing + (known["sound"] == "").sum():
        n_rows = n_missing + len(known)
        yield f"audio not checked for {n_unheard} of {n_rows} clips: missing or not to be decoded"
    for role, what in (
        ("label", "contradicting labels"),
        ("speaker", "shared speakers"),
        ("statement", "shared statements"),
    ):
        if role not in known:
            yield f"{what}: there is no column for the {role}"
        elif n_unknown := (known[role] == "").sum():
            yield f"{role}s not checked for {n_unknown} of {len(known)} clips: unknown"
    if "parent" not in clips:
        yield "shared parents, but by file names: there is no column for the parent"


def _verdict(known: pd.DataFrame, has_split: bool, not_checked: Sequence[str]) -> str:
    """Say what it is worth that no leak was found."""
    if has_split:
        limits = [one for one in not_checked if re.search("leaks|segments|audio|speakers", one)]
        return "; ".join(["No leak was found", *limits]) + "."
    known, shares = known.drop_duplicates("clip_id"), []
    for kind, column in zip(
        ("same_audio", "same_parent", "same_speaker", "same_statement", "same_recording"),
        ("family", "parent", "voice", "said", "recording"),
        strict=True,
    ):
        if column in known:
            n_same = known[column].map(known[column].value_counts()).where(known[column] != "", 1)
            # Unless all others that share it are in the random fifth as well.
            if share := round(100 * float((1 - 0.2 ** (n_same - 1)).mean())):
                shares.append(f"{SHARED[kind][1].removesuffix(' in two parts')} of {share} %")
    return (
        "No split was checked, as there is none. Of a random fifth of the clips as test part, "
        f"training would know {', '.join(shares) or 'nothing that was looked for'}."
    )
