"""What all corpora share: the card (`Corpus`), the clip table, and the checks on the way to it.

A clip table is a DataFrame with one row a clip and the columns `CLIP_COLUMNS`. It comes from file
names (a grammar and a parser, one file a corpus), from label files where names hold no label, and
from one decode of each file, whose facts are kept in the cache until a file changes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd

from ser_lib.audio.io import (
    PUBLISHED_SUFFIXES,
    SUFFIXES,
    ClipFacts,
    check_facts,
    is_recording,
    read_facts,
)
from ser_lib.chunks import InChunks
from ser_lib.errors import AudioError, CorpusError, offenders
from ser_lib.paths import cache_dir, data_dir, keep, place
from ser_lib.shown import short
from ser_lib.storage import state_of, walk
from ser_lib.workers import map_tasks

CLIP_COLUMNS = (
    *("clip_id", "path", "corpus", "speaker", "gender", "emotion", "intensity", "statement"),
    *("repetition", "duration_s", "sample_rate_hz", "audio_sha256"),
)

# Files of other forms that archives of corpora hold: counted, and left alone.
OTHER_SUFFIXES = SUFFIXES - PUBLISHED_SUFFIXES | set(
    ".flv .mpg .zip .rar .7z .tar .gz .tgz".split()
)

FACTS = [one.name for one in fields(ClipFacts)]
UNKNOWN = ClipFacts(np.nan, 0, 0, "", np.nan, False, "")  # of what cannot be decoded
PIECE_ROWS = 4_096  # of facts that are made a table at once

# Raise it when what is read off a file changes, so that cached facts are read again.
FACTS_VERSION = 2


def read_clip_table(path: Path) -> pd.DataFrame:
    """Read a committed clip table; `path` is empty."""
    # Statements may be numbers; they are names all the same.
    names = dict.fromkeys(set(CLIP_COLUMNS) - {"duration_s", "sample_rate_hz", "repetition"}, str)
    table = pd.read_csv(path, keep_default_na=False, dtype=names).assign(path="")
    return table[list(CLIP_COLUMNS)]


def corpora_of(table: pd.DataFrame) -> pd.Series:
    """Return the corpus whose speaker says each clip or row: EmoDB 2.0 has those of EmoDB."""
    speakers = table["speaker"]
    names = {one: one.rsplit("-", 1)[0] for one in speakers.dropna().unique()}
    return speakers.map(names).astype(object)


@dataclass(frozen=True)
class LabelFiles:
    """Text files that hold the labels of clips, where the clips' names do not."""

    pattern: str
    """Glob pattern of their paths, from the right: `dialog/EmoEvaluation/*.txt`."""
    line: str
    """Regular expression over a line that labels a clip; its groups are `name` and `label`."""
    example: str
    """A line that obeys it, for messages."""


@short
@dataclass(frozen=True)
class Corpus:
    """A published set of recordings: its card, its file-name grammar, its expected size."""

    name: str
    title: str
    licence: str
    citation: str
    doi: str
    download: str
    """Where one gets the clips."""
    language: str
    label_set: str
    """The label set with all of its emotions."""
    grammar: str
    """Regular expression over a clip's name, and over "name label" where there are `labels`; its
    groups go to `parse`."""
    example: str
    """A file name that obeys the grammar, for messages."""
    parse: Callable[[re.Match[str]], dict[str, object]]
    """From a match to speaker (tables put the corpus's name before it), gender, emotion, statement,
    and to intensity and repetition where they are not "normal" and 1; raises KeyError for a code
    that is not in its tables."""
    n_clips: int
    """Of a complete copy: as published, less those left out `by_design`."""
    n_speakers: int
    speech: str = ""
    """How the emotions came into the voices, "acted" for example; empty where it is not published.
    """
    is_embedded: bool = False
    """Whether the clips travel with the package."""
    quirks: tuple[str, ...] = ()
    known_duplicates: tuple[frozenset[str], ...] = ()
    """Sets of clip ids that were published with the same audio; kept, and left to the audit."""
    statements: Mapping[str, str] = field(default_factory=dict)
    listeners_wa: tuple[float, float] | None = None
    """Range of people's accuracy on the clips, audio only, in [0, 1]."""
    listeners_source: str = ""
    name_of: Callable[[Path], str] = attrgetter("stem")
    """From a file's path below the corpus's folder to its clip's published name."""
    labels: LabelFiles | None = None
    by_design: Mapping[str, str] = field(default_factory=dict)
    """Regular expressions over what `grammar` reads, each with the reason why the published files
    that it matches are left out, whatever they hold; not a problem, but counted and reported."""
    speakers_of: str = ""
    """The corpus whose speakers these are, where another card has them too: their names, and hence
    the guard against leaks, are the same."""
    names: tuple[str, ...] = ()
    """The names of all clips, where the tables give them: missing ones are then named, and others
    are left alone."""

    def root(self) -> Path:
        """Return where this corpus is expected on this machine."""
        return data_dir() / self.name

    def load(
        self, root: Path | None = None, *, strict: bool = True, may_lack: bool = False
    ) -> pd.DataFrame:
        """Read the corpus below `root`, its usual folder by default; see `load_corpus`.

        `may_lack` accepts missing clips though `strict`; they are listed in `attrs["left_out"]`.
        """
        root = self.root() if root is None else place(root)
        texts, problems = _find_audio(self, root)
        texts, by_design = _leave_out(self, texts)
        rows, more = _parse_names(self, texts)
        rows, others = _leave_alone(self, root, rows)
        paths = [str(root / str(one["path"])) for one in rows]
        table, worse, n_copies = _build_table(self, rows, facts_of(paths))
        by_design += others
        if (n_more := len(table) - self.n_clips) > 0:
            by_design.append(f"{n_more} clips more than published: perhaps another edition")
        lacking = _missing_clips(self, table)
        problems += more + worse + ([] if may_lack else lacking)
        if problems and (strict or table.empty):
            raise CorpusError(
                f"{self.name}: {len(problems)} problem(s) under {root}:{offenders(problems)}"
                f"{offenders(by_design)}\n"
                "Repair the files, or leave them out with strict=False (STRICT=0 for make); "
                "the report then says so."
            )
        table["path"] = [str(root / relative) for relative in table["path"]]
        # One speaker under two genders: what most of the clips say.
        usual = table.groupby("speaker")["gender"].transform(lambda one: one.mode()[0])
        contradicting = list(table.loc[table["gender"] != usual, "clip_id"])
        table["gender"] = usual
        left_out = problems + (lacking if may_lack else [])
        table.attrs.update(left_out=left_out, n_copies=n_copies)
        if by_design:
            table.attrs["by_design"] = by_design
        if contradicting:
            table.attrs["other_gender"] = contradicting
        return table


def _find_audio(corpus: Corpus, root: Path) -> tuple[dict[Path, str], list[str]]:
    """Return "name" or "name label" by relative path, sorted, and problems of the label files."""
    remedy = (
        f"Get {corpus.title} from {corpus.download} and unpack it to {corpus.root()}, or point "
        f"SER_DATA at the folder that holds '{corpus.name}/'."
    )
    if not root.is_dir():
        raise CorpusError(f"{corpus.name}: no folder {root}. {remedy}")
    found = sorted(
        Path(str(path.relative_to(root))) for path in walk_files(root) if path.name[0] != "."
    )
    files = [path for path in found if path.suffix.lower() in PUBLISHED_SUFFIXES]
    files = files or [path for path in found if is_recording(path.name)]
    if not files:
        raise CorpusError(f"{corpus.name}: no audio file under {root}. {remedy}")
    labels, problems = _read_labels(corpus, root, found)
    if corpus.labels and not labels:
        raise CorpusError(
            f"{corpus.name}: no labels under {root}: they are looked for in "
            f"'{corpus.labels.pattern}', in lines like {corpus.labels.example!r}. {remedy}"
        )
    names = {path: corpus.name_of(path) for path in files}
    texts = {
        path: f"{name} {labels[name]}" if name in labels else name for path, name in names.items()
    }
    grammar = re.compile(corpus.grammar)
    if not any(grammar.fullmatch(text) for text in texts.values()):
        raise CorpusError(
            f"{corpus.name}: none of {len(files)} audio files under {root} is named as the corpus "
            f"is (first: {files[0]}; expected like {corpus.example}). {remedy}"
        )
    return texts, problems


def walk_files(root: Path) -> Iterator[Path]:
    """List all files below a folder, through links to folders, each folder once."""
    for folder, _, names in walk(root):
        yield from (folder / name for name in names)


def _read_labels(corpus: Corpus, root: Path, found: list[Path]) -> tuple[dict[str, str], list[str]]:
    """Read the labels of clips by name from a corpus's label files, where it has some."""
    labels: dict[str, str] = {}
    problems: list[str] = []
    if corpus.labels is None:
        return labels, problems
    line = re.compile(corpus.labels.line)
    contradicted = set()
    for path in (one for one in found if one.match(corpus.labels.pattern)):
        try:
            lines = (root / path).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
            continue
        matches = [match for match in map(line.fullmatch, lines) if match]
        if not matches:
            problems.append(f"{path}: no line labels a clip (like {corpus.labels.example!r})")
        for name, label in (match.group("name", "label") for match in matches):
            if labels.setdefault(name, label) != label:
                problems.append(f"{path}: labels {name} '{label}', another line '{labels[name]}'")
                contradicted.add(name)
    return {name: label for name, label in labels.items() if name not in contradicted}, problems


def _leave_out(corpus: Corpus, texts: dict[Path, str]) -> tuple[dict[Path, str], list[str]]:
    """Take out what is left out by design; report how many, which and why."""
    reports, taken = [], set()
    for pattern, reason in corpus.by_design.items():
        paths = [path for path, text in texts.items() if re.fullmatch(pattern, text)]
        names = sorted({corpus.name_of(path) for path in paths})
        taken |= set(paths)
        if names:
            reports.append(f"{len(names)} left out by design, {reason}: {_some(names)}")
    return {path: text for path, text in texts.items() if path not in taken}, reports


def _parse_names(
    corpus: Corpus, texts: dict[Path, str]
) -> tuple[list[dict[str, object]], list[str]]:
    """Parse names into rows of the clip table, still without facts; return them and problems."""
    rows: list[dict[str, object]] = []
    problems: list[str] = []
    grammar = re.compile(corpus.grammar)
    for path, text in texts.items():
        match = grammar.fullmatch(text)
        try:
            fields = corpus.parse(match) if match else None
        except KeyError as error:
            problems.append(f"{path}: code {error} is not in the corpus's published tables")
            continue
        if fields is None:
            what = f"name of {corpus.name}{' with a label' if corpus.labels else ''}"
            problems.append(f"{path}: no {what} (expected like {corpus.example})")
            continue
        clip_id = f"{corpus.name}/{corpus.name_of(path)}"
        usual = {"corpus": corpus.name, "intensity": "normal", "repetition": 1}
        row = {"clip_id": clip_id, "path": str(path)} | usual | fields
        whose = corpus.speakers_of or corpus.name
        rows.append(row | {"speaker": f"{whose}-{fields['speaker']}"})
    return rows, problems


def _leave_alone(
    corpus: Corpus, root: Path, rows: list[dict[str, object]]
) -> tuple[list[dict[str, object]], list[str]]:
    """Take out clips of other editions; report them, and how many files have other forms."""
    reports = []
    published = {f"{corpus.name}/{name}" for name in corpus.names}
    others = {str(row["clip_id"]) for row in rows} - published if published else set()
    if others:
        names = _some(sorted(name.removeprefix(f"{corpus.name}/") for name in others))
        what = f"not among the {len(published)} published clips, perhaps of another edition"
        reports.append(f"{len(others)} left alone, {what}: {names}")
    forms = Counter(path.suffix.lower() for path in walk_files(root) if path.name[0] != ".")
    taken = {Path(str(row["path"])).suffix.lower() for row in rows}
    for form, n_files in sorted(forms.items()):
        if form in OTHER_SUFFIXES - taken:
            reports.append(f"{n_files} left alone, {form} files")
    return [row for row in rows if row["clip_id"] not in others], reports


def facts_of(paths: Sequence[str]) -> pd.DataFrame:
    """Decode files, or read their facts from the cache: a row each, in their order.

    `problems` are phrases about what is wrong; of what cannot be decoded nothing else is known.
    """
    cached = cache_dir() / "clips" / f"{stat_key(paths, FACTS_VERSION)}.json"
    if cached.is_file():
        with cached.open(encoding="utf-8") as file:
            kept = pd.concat([pd.DataFrame(json.loads(one)) for one in file], ignore_index=True)
        return kept.assign(problems=[tuple(check_facts(one)) for one in kept.itertuples()])
    # Decoding and hashing release the interpreter's lock: threads are enough.
    batches = map_tasks(_facts_or_errors, InChunks(paths), prefers="threads", needs=paths[:1])
    facts = (one for batch in batches for one in batch)
    # Tables take less memory than many small objects.
    pieces = map(_facts_table, iter(lambda: list(islice(facts, PIECE_ROWS)), []))
    table = pd.concat([*pieces] or [_facts_table([])], ignore_index=True)
    # An error may be repaired by what changes neither size nor time, permissions for example.
    if table["duration_s"].notna().all():
        keep(cached, partial(_write_facts, table))
    return table


def _write_facts(facts: pd.DataFrame, path: Path) -> None:
    pieces = (facts[at : at + PIECE_ROWS] for at in range(0, len(facts) or 1, PIECE_ROWS))
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(one[FACTS].to_dict("list")) + "\n" for one in pieces)


def _facts_table(facts: list[ClipFacts | str]) -> pd.DataFrame:
    values = attrgetter(*FACTS)
    rows = [values(UNKNOWN if isinstance(one, str) else one) for one in facts]
    problems = [(one,) if isinstance(one, str) else tuple(check_facts(one)) for one in facts]
    return pd.DataFrame(rows, columns=FACTS).assign(problems=problems)


def _facts_or_errors(paths: Sequence[str]) -> list[ClipFacts | str]:
    return [_facts_or_error(one) for one in paths]


def _facts_or_error(path: str) -> ClipFacts | str:
    try:
        return read_facts(path)
    except AudioError as error:
        return str(error).removeprefix(f"{path}: ")


def stat_key(paths: Iterable[str], about: object) -> str:
    """Hash paths, sizes and times of change, and what is asked: the key of what is cached."""
    digest = hashlib.sha256(f"{about}".encode())
    for path in paths:
        try:
            state = state_of(path)
        except OSError:
            state = "unreadable"
        digest.update(f"{path} {state}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]


def _build_table(
    corpus: Corpus, rows: list[dict[str, object]], facts: pd.DataFrame
) -> tuple[pd.DataFrame, list[str], int]:
    """Join names and facts into the table; return it, the problems, and the number of copies."""
    # The same name twice is a copy, of which one is kept; the same sound twice is a problem.
    names = [one for one in CLIP_COLUMNS if one not in FACTS]
    known = pd.DataFrame(rows, columns=names).join(facts)
    found = zip(known["path"], known["problems"], strict=True)
    problems = [f"{path}: {phrase}" for path, phrases in found for phrase in phrases]
    table = known.loc[known["problems"].map(len) == 0, list(CLIP_COLUMNS)]
    # Shorter paths first: the archive's second copy is one folder deeper.
    order = table.assign(depth=table["path"].str.count("/"))
    order = order.sort_values(["clip_id", "depth", "path"], ignore_index=True)
    for clip_id, group in order[order.duplicated("clip_id", keep=False)].groupby("clip_id"):
        # At another rate it is the clip once more.
        if group.groupby("sample_rate_hz")["audio_sha256"].nunique().max() > 1:
            paths = ", ".join(group["path"])
            problems.append(f"{clip_id}: files of this name hold different audio: {paths}")
    kept = order.drop_duplicates("clip_id", ignore_index=True).drop(columns="depth")
    dropped: list[int] = []
    for _, group in kept[kept.duplicated("audio_sha256", keep=False)].groupby("audio_sha256"):
        if frozenset(group["clip_id"]) not in corpus.known_duplicates:
            paths = ", ".join(group["path"])
            problems.append(f"the same audio under {len(group)} names: {paths}")
            dropped += list(group.index[1:])
    return kept.drop(index=dropped).reset_index(drop=True), problems, len(order) - len(kept)


def _some(names: list[str], n_shown: int = 6) -> str:
    return ", ".join(names[:n_shown] + ["…"] * (len(names) > n_shown))


def left_alone(clips: pd.DataFrame) -> list[str]:
    """Say how many files of a loaded corpus were recognised and are not used, and why."""
    n_copies = clips.attrs.get("n_copies", 0)
    copies = [f"{n_copies} left alone, second copies of clips"] if n_copies else []
    return [*clips.attrs.get("by_design", []), *copies]


def _missing_clips(corpus: Corpus, table: pd.DataFrame) -> list[str]:
    """Say which speakers lack clips where the table is smaller than the published corpus."""
    if len(table) >= corpus.n_clips:
        return []
    counts = table["speaker"].value_counts().sort_index()
    usual, rest = divmod(corpus.n_clips, corpus.n_speakers)
    # Where speakers have not the same number of clips, none is usual.
    fewer = [f"{speaker} has {n}" for speaker, n in counts.items() if n != usual and not rest]
    detail = f" (usual: {usual} a speaker; {', '.join(fewer[:6])})" if fewer else ""
    present = set(table["clip_id"])
    absent = [name for name in corpus.names if f"{corpus.name}/{name}" not in present]
    named = f"; missing: {_some(absent)}" if absent else ""
    return [
        f"{corpus.n_clips - len(table)} of {corpus.n_clips} published clips are missing: "
        f"{len(counts)} of {corpus.n_speakers} speakers are there{detail}{named}"
    ]
