"""Prediction of many recordings: found one by one, predicted in order, written as they come.

Memory does not grow with the number of files. What is written are complete lines, so that a stopped
job can be continued; a file that cannot be used is a line with its error, and the rest goes on.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from ser_lib.audio.io import is_hidden, is_recording
from ser_lib.errors import AudioError
from ser_lib.inference.prediction import Prediction
from ser_lib.inference.predictor import Predictor, from_recipe
from ser_lib.runtime import N_CORES, one_blas_thread, scheduler_address
from ser_lib.storage import reached, walk

FORMATS = ("table", "csv", "json")
N_DECIMALS = 4  # as stored runs have
NAME_WIDTH = 44
FORMULA = tuple("=+-@＝＋－＠")  # a sheet in Japanese takes the wide ones as well

# What `as_record` gives, and "error" where there was one.
COLUMNS = (
    *("path", "emotion", "confidence", "probabilities"),
    *("duration_s", "warnings", "model", "error"),
)

# Predictions that may wait for an earlier one; enough to keep every worker busy.
N_AHEAD = 4
N_IN_BATCH = 32  # that a worker elsewhere gets at once


@dataclass
class SearchReport:
    """What a search for recordings left out."""

    others: Counter[str] = field(default_factory=Counter)
    """Number of files in folders that have no name of a recording, by suffix or "hidden", which
    folders may be as well."""
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
        Receives what was left out.

    Yields
    ------
    Path
    """
    found = found or SearchReport()

    def report(error: OSError) -> None:
        name = printable(error.filename)
        found.problems.append(f"{name}: cannot be searched ({error.strerror})")

    for path in map(reached, paths):
        if not path.is_dir():
            yield path
            continue
        for folder, subfolders, names in walk(path, onerror=report):
            hidden = [one for one in subfolders if is_hidden(Path(one))]
            found.others.update(["hidden"] * len(hidden))
            subfolders[:] = sorted(set(subfolders) - set(hidden))
            for name in sorted(names):
                if is_recording(name):
                    yield folder / name
                else:
                    suffix = os.path.splitext(name)[1].lower() or "no suffix"
                    found.others["hidden" if name.startswith(".") else suffix] += 1


def predict_many(
    predictor: Predictor, paths: Iterable[Path], *, n_jobs: int = 0
) -> Iterator[Prediction]:
    """Predict recordings in parallel, and yield the predictions in the order of the paths.

    Parameters
    ----------
    predictor : Predictor
        Shared by all workers.
    paths : iterable of Path
        Read no further ahead than workers need.
    n_jobs : int
        Recordings in parallel, each on one thread; 0 takes one a core, up to four.

    Yields
    ------
    Prediction
        With an error where a recording cannot be used.
    """
    n_jobs = n_jobs or N_CORES
    is_far = bool(scheduler_address())
    if n_jobs == 1 and not is_far:
        yield from map(predictor.attempt, paths)
        return
    predictor = copy.copy(predictor)
    predictor.n_threads = 1
    if is_far:
        from ser_lib.workers import map_tasks  # starts slowly

        remaining = map(str, paths)
        first = list(islice(remaining, N_IN_BATCH))
        batches = chain([first], iter(lambda: list(islice(remaining, N_IN_BATCH)), []))
        needs = [str(predictor.bundle.folder), *first[:1]]
        for batch in map_tasks(partial(_attempt_all, predictor.recipe()), batches, needs=needs):
            yield from batch
        return
    with one_blas_thread(), ThreadPoolExecutor(n_jobs) as pool:
        waiting: deque[Future[Prediction]] = deque()
        for path in paths:
            waiting.append(pool.submit(predictor.attempt, path))
            if len(waiting) > n_jobs + N_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _attempt_all(recipe: tuple, paths: Sequence[str]) -> list[Prediction]:
    """Predict recordings in a worker elsewhere."""
    predictor = from_recipe(*recipe)
    with one_blas_thread():
        return [predictor.attempt(one) for one in paths]


def printable(path: str | Path) -> str:
    """Write a name so that a terminal shows it on one line, whatever bytes it holds."""
    text = os.fsencode(str(path)).decode("utf-8", "backslashreplace")
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def as_record(prediction: Prediction, *, top: int = 0, model: str = "") -> dict[str, object]:
    """Return a prediction as plain data, numbers rounded; missing ones are None, as in JSON."""
    is_usable, confidence = not prediction.error, prediction.confidence
    record: dict[str, object] = {
        "path": printable(prediction.path),
        "emotion": prediction.emotion if is_usable else None,
        "confidence": None if math.isnan(confidence) else round(confidence, N_DECIMALS),
        "probabilities": {
            label: round(value, N_DECIMALS)
            for label, value in prediction.top(top or len(prediction.probabilities))
        },
        "duration_s": round(prediction.duration_s, 3) if is_usable else None,
        "warnings": list(prediction.warnings),
        "model": model,
    }
    return record if is_usable else record | {"error": printable(prediction.error)}


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


def csv_line(record: Mapping[str, Any], labels: Sequence[str]) -> str:
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


def as_cell(value: Any) -> Any:
    """Keep a text from being a formula to a spreadsheet, or an option to a shell.

    >>> as_cell("=1+1.wav"), as_cell("a-b.wav")
    ('./=1+1.wav', 'a-b.wav')
    """
    is_formula = isinstance(value, str) and value[:1] in FORMULA and len(value) > 1
    return f"./{value}" if is_formula else value


def _csv_line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(map(as_cell, cells))
    return text.getvalue()


class Writer:
    """Writes predictions line by line in one of `FORMATS`, and continues a file of the same model.

    `top` is the number of classes shown; 0 takes 3 in tables, all in JSON.
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
        """Return a path as it stands in the lines: in JSON unchanged, unless it is not Unicode."""
        text = str(path)
        is_text = not any("\ud800" <= one <= "\udfff" for one in text)
        return text if self.format == "json" and is_text else as_cell(printable(path))

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
        name = self.name(prediction.path) or "(array)"
        if len(name) > NAME_WIDTH:
            name = "…" + name[-(NAME_WIDTH - 1) :]
        if prediction.error:
            error = printable(prediction.error)
            return f"{name:<{NAME_WIDTH}}  {'error':<{self._width}}{error}\n"
        ranked = "  ".join(f"{label} {100 * p:.0f} %" for label, p in prediction.top(self.top or 3))
        confidence = prediction.confidence
        sure = "" if math.isnan(confidence) else f"{100 * confidence:.0f} %"
        answer = f"{prediction.emotion:<{self._width}}{sure:>6}"
        line = f"{name:<{NAME_WIDTH}}  {answer}  {ranked}".rstrip() + "\n"
        return line + "".join(f"{'':<{NAME_WIDTH}}  ! {one}\n" for one in prediction.warnings)

    def resume(self, path: Path) -> tuple[set[str], int]:
        """Read names and number of errors from a file; a last line that is not complete is cut off.

        AudioError where it holds other things than predictions of this format, model and classes:
        such a file is not touched.
        """
        if not path.is_file() or path.stat().st_size == 0:
            return set(), 0
        if self.format == "table":
            raise AudioError(f"{path}: exists already; a table cannot be continued, csv can")
        raw = path.read_bytes()
        # What follows the last line break was being written when the job stopped.
        n_whole = raw.rfind(b"\n") + 1
        if n_whole and self._is_answer(raw[n_whole:]):
            raw += b"\n"  # which an editor took
            n_whole = len(raw)
        begins = (self.header or '{"path": ').encode()
        rest = raw[n_whole:] if self.format == "json" or not n_whole else b""
        try:
            if not (rest.startswith(begins) or begins.startswith(rest)):
                raise ValueError("its last line is not complete, and no prediction")
            held = self._names(io.StringIO(raw[:n_whole].decode("utf-8"), newline=""))
        except (ValueError, LookupError, TypeError, csv.Error) as error:
            reason = error if isinstance(error, ValueError) else "one of its lines is another"
            raise AudioError(
                f"{path}: exists, and holds no predictions of this format, model and classes "
                f"({reason}); choose another file, or delete it"
            ) from error
        if n_whole < len(raw):
            os.truncate(path, n_whole)
        elif len(raw) > path.stat().st_size:
            with path.open("ab") as file:
                file.write(b"\n")
        return held

    def _is_answer(self, line: bytes) -> bool:
        """Whether a line without an end is a whole answer: of an error, none could tell."""
        try:
            if self.format == "json":
                return bool(json.loads(line)["emotion"])
            (row,) = csv.reader([line.decode()])
        except (ValueError, KeyError, TypeError):
            return False
        n_cells = len(COLUMNS) - 1 + len(self.labels)
        return len(row) == n_cells and bool(row[1]) and not row[-1]

    def _names(self, file: TextIO) -> tuple[set[str], int]:
        if self.format == "csv":
            first = file.readline()
            if first not in ("", self.header):
                raise ValueError("its first line is another")
            held = [(row[0], row[-2], bool(row[-1])) for row in csv.reader(file)]
        else:
            records = [json.loads(line) for line in file]
            if any(not set(one["probabilities"]) <= set(self.labels) for one in records):
                raise ValueError("it has other classes")
            held = [(one["path"], one["model"], "error" in one) for one in records]
        if others := sorted({model for _, model, _ in held} - {self.model, as_cell(self.model)}):
            raise ValueError(f"it was written by {', '.join(others)}, this is {self.model}")
        return {name for name, _, _ in held}, sum(has_error for *_, has_error in held)
