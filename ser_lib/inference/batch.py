"""Prediction of many recordings: found one by one, answered in order, written as they come.

Memory does not grow with the number of files. What is written is complete lines, so that a stopped
job goes on where it was; a file that cannot be used is a line with its error, and the rest goes on.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from ser_lib.audio.io import SUFFIXES
from ser_lib.errors import AudioError
from ser_lib.inference.prediction import NOT_SURE, Prediction
from ser_lib.inference.predictor import Predictor
from ser_lib.runtime import N_CORES, one_blas_thread

FORMATS = ("table", "csv", "json")
N_DECIMALS = 4  # as stored runs have
NAME_WIDTH = 44

# What `record_of` gives, and "error" where there was one.
COLUMNS = (
    *("path", "emotion", "confidence", "probabilities"),
    *("duration_s", "warnings", "model", "error"),
)

# Answers that may wait for an earlier one; enough to keep every worker busy.
N_AHEAD = 4


@dataclass(frozen=True)
class Request:
    """The options of one `ser predict`."""

    paths: tuple[str, ...]
    bundle: str = ""
    format: str = ""
    """One of `FORMATS`; else by the ending of `out`, else table."""
    top: int = 0
    out: Path | None = None
    is_timeline: bool = False
    plot: Path | None = None
    window_s: float = 4.0
    hop_s: float = 2.0
    speaker_reference: Path | None = None
    """Folder of neutral clips of the speaker."""
    speaker_clips: Path | None = None
    """Likewise, of clips in any mood."""
    n_jobs: int = 0

    @property
    def form(self) -> str:
        """The format that is meant."""
        by_name = {".csv": "csv", ".json": "json", ".jsonl": "json"}
        ending = self.out.suffix.lower() if self.out else ""
        return self.format or by_name.get(ending, "table")


@dataclass
class SearchReport:
    """What the search for recordings came across."""

    n_others: int = 0
    """Files in folders whose names do not end as recordings do."""
    problems: list[str] = field(default_factory=list)
    """Folders that could not be read."""


def find_recordings(
    paths: Iterable[str | Path], *, found: SearchReport | None = None
) -> Iterator[Path]:
    """List recordings in files and folders, in the order given, then by name.

    Parameters
    ----------
    paths : iterable of str or Path
        A file is taken whatever its name; a folder is searched, links to folders included, each
        folder once, however it is reached.
    found : SearchReport, optional
        Is told what was left alone.

    Yields
    ------
    Path
    """
    found = SearchReport() if found is None else found
    seen: set[tuple[int, int]] = set()
    for path in map(Path, paths):
        if path.is_dir():
            yield from _walk(path, found, seen)
        else:
            yield path


def _walk(folder: Path, found: SearchReport, seen: set[tuple[int, int]]) -> Iterator[Path]:
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            found.problems.append(f"{printable(here)}: cannot be searched ({error.strerror})")
            continue
        inner = []
        for entry in entries:
            if entry.is_dir():
                inner.append(Path(entry.path))
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                yield Path(entry.path)
            else:
                found.n_others += 1
        waiting += reversed(inner)


def predict_many(
    predictor: Predictor, paths: Iterable[Path], *, n_jobs: int = 0
) -> Iterator[Prediction]:
    """Predict recordings side by side, and yield the answers in the order of the paths.

    Parameters
    ----------
    predictor : Predictor
        Shared by all workers.
    paths : iterable of Path
        Read no further ahead than workers need.
    n_jobs : int
        Recordings side by side, each on one thread; 0 takes one a core, up to four.

    Yields
    ------
    Prediction
        With an error where a recording cannot be used.
    """
    n_jobs = n_jobs or N_CORES
    if n_jobs == 1:
        yield from map(predictor.attempt, paths)
        return
    predictor = copy.copy(predictor)
    predictor.n_threads = 1
    with one_blas_thread(), ThreadPoolExecutor(n_jobs) as pool:
        waiting: deque[Future[Prediction]] = deque()
        for path in paths:
            waiting.append(pool.submit(predictor.attempt, path))
            if len(waiting) > n_jobs + N_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def printable(path: str | Path) -> str:
    """Write a name so that a terminal shows it on one line, whatever bytes it holds."""
    text = os.fsencode(str(path)).decode("utf-8", "backslashreplace")
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def _is_unicode(text: str) -> bool:
    """Tell whether a name holds no bytes that are no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_record(prediction: Prediction, *, top: int = 0, model: str = "") -> dict[str, object]:
    """Return a prediction as plain data, numbers rounded; no NaN, which JSON does not know."""
    is_answer = not prediction.error
    record: dict[str, object] = {
        "path": printable(prediction.path),
        "emotion": prediction.emotion if is_answer else None,
        "confidence": round(prediction.confidence, N_DECIMALS) if is_answer else None,
        "probabilities": {
            label: round(value, N_DECIMALS)
            for label, value in prediction.top(top or len(prediction.probabilities))
        },
        "duration_s": round(prediction.duration_s, 3) if is_answer else None,
        "warnings": list(prediction.warnings),
        "model": model,
    }
    return record if is_answer else record | {"error": printable(prediction.error)}


def json_line(record: Mapping[str, object]) -> str:
    """Write a record as one line of JSON; what a terminal would act on is escaped, not changed."""
    text = json.dumps(record, ensure_ascii=False)
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text) + "\n"


def csv_header(columns: Iterable[str], labels: Sequence[str]) -> str:
    """Write the line before those of `csv_line`; `probabilities` become one column a class."""
    probabilities = [f"p_{label}" for label in labels]
    return _csv_line(
        name
        for column in columns
        for name in (probabilities if column == "probabilities" else [column])
    )


def csv_line(record: Mapping[str, object], labels: Sequence[str]) -> str:
    """Write a record as one line of CSV: one column a class, all warnings in one."""
    cells: list[object] = []
    for column, value in record.items():
        if column == "probabilities":
            # The csv module writes None as nothing.
            cells += [value.get(label) for label in labels]
        elif column == "warnings":
            cells.append("; ".join(value))
        else:
            cells.append(value)
    return _csv_line(cells)


def _csv_line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


class Writer:
    """Writes predictions line by line, and knows which were written before.

    Parameters
    ----------
    format : str
        One of `FORMATS`.
    labels : sequence of str
        The classes, for the columns of CSV.
    top : int
        How many classes a table or a JSON object shows; 0: 3 in tables, all in JSON.
    model : str
        Which model answers: it stands in every line, and another one's file is not gone on with.
    """

    def __init__(
        self, format: str, labels: Sequence[str], *, top: int = 0, model: str = ""
    ) -> None:
        self.format = format
        self.model = model
        self.labels = tuple(labels)
        self.top = top
        self._width = max([11, *(len(one) + 1 for one in self.labels)])

    @property
    def header(self) -> str:
        """Line before all others; empty for JSON."""
        if self.format == "csv":
            return csv_header(COLUMNS, self.labels)
        if self.format == "table":
            head = f"{'recording':<{NAME_WIDTH}}  {'emotion':<{self._width}}{'sure':>6}  likeliest"
            return f"{head}\n{'-' * (len(head) + 24)}\n"
        return ""

    def name(self, path: str | Path) -> str:
        """Return a path as it stands in the lines: in JSON as it is, if it is Unicode at all."""
        text = str(path)
        return text if self.format == "json" and _is_unicode(text) else printable(path)

    def line(self, prediction: Prediction) -> str:
        """Return one prediction as text that ends with a line break."""
        top = self.top if self.format == "json" else 0
        record = as_record(prediction, top=top, model=self.model)
        if self.format == "json":
            return json_line(record | {"path": self.name(prediction.path)})
        if self.format == "csv":
            return csv_line({column: record.get(column) for column in COLUMNS}, self.labels)
        return self._table_line(prediction)

    def _table_line(self, prediction: Prediction) -> str:
        name = printable(prediction.path) or "(array)"
        if len(name) > NAME_WIDTH:
            name = "…" + name[-(NAME_WIDTH - 1) :]
        if prediction.error:
            told = printable(prediction.error)
            return f"{name:<{NAME_WIDTH}}  {'error':<{self._width}}{told}\n"
        ranked = "  ".join(f"{label} {100 * p:.0f} %" for label, p in prediction.top(self.top or 3))
        # Where no answer is given there is nothing to be sure of.
        is_given = prediction.emotion != NOT_SURE
        sure = f"{100 * prediction.confidence:.0f} %" if is_given else ""
        answer = f"{prediction.emotion:<{self._width}}{sure:>6}"
        line = f"{name:<{NAME_WIDTH}}  {answer}  {ranked}\n"
        return line + "".join(f"{'':<{NAME_WIDTH}}  ! {one}\n" for one in prediction.warnings)

    def resume(self, path: Path) -> tuple[set[str], int]:
        """Read what a file holds already, and cut off a last line that is not whole.

        Parameters
        ----------
        path : Path
            Of an earlier, perhaps interrupted, job.

        Returns
        -------
        done : set of str
            Names of the recordings in it.
        n_failed : int
            How many of them had an error.

        Raises
        ------
        AudioError
            If the file holds something else.
        """
        if not path.exists() or path.stat().st_size == 0:
            return set(), 0
        if self.format == "table":
            raise AudioError(f"{path}: is there already; a table cannot be gone on with, csv can")
        with path.open("r+b") as file:
            # What follows the last line break was being written when the job stopped.
            file.truncate(file.read().rfind(b"\n") + 1)
        with path.open(encoding="utf-8", newline="") as file:
            try:
                return self._names(file)
            except (ValueError, KeyError, TypeError, csv.Error) as error:
                raise AudioError(
                    f"{path}: is there, and holds no predictions of this form, model and classes "
                    f"({error}); choose another file, or delete it"
                ) from error

    def _names(self, file: TextIO) -> tuple[set[str], int]:
        if self.format == "csv":
            if file.readline() != self.header:
                raise ValueError("its first line is another one")
            rows = list(csv.reader(file))
            self._check_models({row[-2] for row in rows})
            return {row[0] for row in rows}, sum(bool(row[-1]) for row in rows)
        records = [json.loads(line) for line in file]
        if any(not set(one["probabilities"]) <= set(self.labels) for one in records):
            raise ValueError("its classes are others")
        self._check_models({one["model"] for one in records})
        return {one["path"] for one in records}, sum("error" in one for one in records)

    def _check_models(self, models: set[str]) -> None:
        if others := sorted(models - {self.model}):
            raise ValueError(f"it was written by {', '.join(others)}, this is {self.model}")


def write_all(
    predictions: Iterable[Prediction],
    writer: Writer,
    target: TextIO,
    *,
    report: Callable[[str], None],
) -> int:
    """Write predictions as they come; return how many have an error, each of which is reported."""
    n_failed = 0
    for one in predictions:
        target.write(writer.line(one))
        target.flush()
        if one.error:
            n_failed += 1
            report(f"{printable(one.path)}: {printable(one.error)}")
    return n_failed
