"""What `ser predict` does: one row a recording, or with `--timeline` one row a window.

Rows are written as they come, by the line writers of `ser_lib.inference.batch`, so that memory does
not grow with the number of recordings and a stopped job can be continued. Parquet, audformat and
annotation files are made of such rows, at the end; those of Parquet wait in the cache.
Messages for people go to standard error.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

import numpy as np

from ser_lib.audio.io import load_head, stored_stream
from ser_lib.cli.extras import require_extra
from ser_lib.errors import AudioError, OutputError, SerError, StorageError
from ser_lib.inference.batch import (
    FORMATS,
    SearchReport,
    Writer,
    as_record,
    csv_header,
    csv_line,
    find_recordings,
    json_line,
    predict_many,
    printable,
)
from ser_lib.inference.bundle import better_bundle, default_bundle, find_bundle
from ser_lib.inference.prediction import Prediction
from ser_lib.inference.predictor import Predictor
from ser_lib.inference.streaming import (
    NO_SPEECH,
    Window,
    shared_threshold,
    timeline,
    timeline_table,
)
from ser_lib.paths import cache_dir, is_address, only_writer, place, refuse_foreign, whole_file
from ser_lib.runtime import progress
from ser_lib.storage import stored

if TYPE_CHECKING:
    import pandas as pd

STDIN = "-"
SAME = Path("same")
PLOT_MARK = "ser predict --timeline"
WINDOW_COLUMNS = (
    *("path", "start_s", "end_s", "speech_s"),
    *("emotion", "confidence", "probabilities", "warnings"),
)
# Of `ser_lib.data.annotations`, which is loaded where one is written.
ANNOTATIONS = {
    **{".textgrid": "textgrid", ".eaf": "eaf", ".tsv": "audacity"},
    **{".srt": "srt", ".vtt": "vtt", ".rttm": "rttm"},
}
TABLES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
TEXT_SUFFIXES = ("", ".txt", ".log", ".md")  # what a table for people may be called
TIMELINE_FORMATS = (*FORMATS, "parquet", "audformat", *ANNOTATIONS.values())
ROWS = "rows"  # CSV whose times have all digits
TEXTS = ("path", "emotion", "warnings", "model", "error")
PIECE_ROWS = 1_000  # a group of rows in Parquet


@dataclass(frozen=True)
class Request:
    """The options of one `ser predict`."""

    paths: tuple[str, ...]
    bundle: str = ""
    format: str = ""
    """One of `TIMELINE_FORMATS`; where empty, by the suffix of `out`, else table."""
    top: int = 0
    out: Path | None = None
    is_timeline: bool = False
    plot: Path | None = None
    window_s: float = 4.0
    hop_s: float = 2.0
    speaker_reference: Path | None = None
    """A folder of neutral clips of the speaker."""
    speaker_clips: Path | None = None
    """A folder of unlabelled clips of the speaker, of whatever emotions."""
    room: Path | None = None
    """A folder of unlabelled clips of the same place, or `SAME` for those to predict."""
    n_jobs: int = 0

    @property
    def form(self) -> str:
        """The format that is written."""
        ending = self.out.suffix.lower() if self.out else ""
        return self.format or (TABLES | ANNOTATIONS).get(ending, "table")

    @property
    def is_parquet(self) -> bool:
        """Whether the file is Parquet, as audformat's may be."""
        is_named = self.out is not None and self.out.suffix.lower() == ".parquet"
        return self.form == "parquet" or (self.form == "audformat" and is_named)


def run_prediction(request: Request) -> int:
    """Carry out `ser predict`; return the exit code: 1 where a recording could not be used."""
    _check(request)
    folder = find_bundle(request.bundle) if request.bundle else default_bundle()
    better, encoder = ("", "") if request.bundle else better_bundle()
    if better:
        _report(f"'{folder.name}' is used; the better '{better}' can after `ser data {encoder}`")
    predictor = Predictor.load(folder)
    own = request.speaker_reference or request.speaker_clips
    if own is not None:
        references = list(find_recordings([own], found=SearchReport()))
        predictor = predictor.enrolled(references, is_neutral=request.speaker_clips is None)
        n_clips = f"{len(references)} clip{'s' if len(references) > 1 else ''}"
        _report(f"speaker reference: {n_clips} of {own}")
    if request.room is not None:
        places = request.paths if request.room == SAME else (request.room,)
        predictor = predictor.in_room(list(find_recordings(places)))
        where = "" if request.room == SAME else f" {request.room}"
        _report(f"room{where}: {predictor.room}")
    try:
        with ExitStack() as stack:
            out, plot = (stack.enter_context(stored(one)) for one in (request.out, request.plot))
            for one in (out, plot):
                stack.enter_context(only_writer(one))
            local = replace(request, out=out, plot=plot)
            ready, names = stack.enter_context(_without_stdin(local))
            predict = _predict_windows if request.is_timeline else _predict_recordings
            if request.form not in FORMATS:
                predict = _predict_whole
            return predict(predictor, ready, names)
    except KeyboardInterrupt:
        is_kept = request.out and not request.is_timeline
        again = " The same command goes on with it." if is_kept else ""
        _report(f"stopped.{again}")
        return 130
    except BrokenPipeError:
        # `| head` has ended; Python would complain once more while closing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        what = request.out or "standard output"
        raise OutputError(f"{what}: cannot be written to its end ({error})") from error


def _check(request: Request) -> None:
    if request.form not in TIMELINE_FORMATS:
        raise SerError(f"--format {request.form}: known are {', '.join(TIMELINE_FORMATS)}")
    ending = request.out.suffix.lower() if request.out else ""
    if request.form == "table" and not request.format and ending not in TEXT_SUFFIXES:
        known = ", ".join((*TABLES, *ANNOTATIONS, ".txt"))
        raise SerError(
            f"--out {request.out}: {ending} is no suffix of a form; known are {known}. Name one, "
            "or --format; --plot draws a picture"
        )
    if request.form not in (*FORMATS, "parquet") and not request.is_timeline:
        raise SerError(f"{request.form} holds the windows of a timeline: add --timeline")
    meant = (TABLES | ANNOTATIONS).get(ending, request.form)
    if meant != request.form and {meant, request.form} & set(ANNOTATIONS.values()):
        raise SerError(f"--out {request.out} is named as {meant}, --format says {request.form}")
    if request.is_parquet and request.out is None:
        raise SerError("Parquet is no text for a terminal: name a file with --out")
    if request.is_parquet:
        require_extra("parquet")
    if request.top < 0 or request.n_jobs < 0:
        raise SerError("--top and --jobs are 0 or more")
    if request.plot is not None and not request.is_timeline:
        raise SerError("--plot draws a timeline: add --timeline")
    usual = Request.window_s, Request.hop_s
    if (request.window_s, request.hop_s) != usual and not request.is_timeline:
        raise SerError("--window-s and --hop-s cut a timeline: add --timeline")
    if request.speaker_reference is not None and request.speaker_clips is not None:
        raise SerError("--speaker-reference (neutral) or --speaker-clips (unlabelled), not both")
    if request.room is not None:
        if request.speaker_reference is not None or request.speaker_clips is not None:
            raise SerError(
                "--room, or clips of the speaker, who then stands for the room: not both"
            )
        if request.room == SAME and STDIN in request.paths:
            raise SerError("--room same takes the recordings as files, not standard input")
    if request.plot is not None:
        from matplotlib.figure import Figure

        if request.plot.suffix[1:].lower() not in Figure().canvas.get_supported_filetypes():
            raise SerError(f"--plot {request.plot}: name a picture, such as timeline.png")
    if request.out == Path(STDIN):
        raise SerError("--out names a file; without it, rows go to standard output")
    if folders := [one for one in (request.out, request.plot) if one is not None and one.is_dir()]:
        raise OutputError(f"{folders[0]}: is a directory; name a file")
    outputs = [one.resolve() for one in (request.out, request.plot) if one is not None]
    inputs = {place(path).resolve() for path in request.paths}
    if len(outputs) > len(set(outputs)) or inputs & set(outputs):
        raise SerError("--out and --plot name files of their own, not each other or a recording")
    if "" in request.paths:
        raise SerError("a recording has an empty name; . is the folder that you are in")
    if request.paths.count(STDIN) > 1:
        raise SerError("standard input (-) can be read once")


def _report(line: str) -> None:
    """Write a line for people, whatever bytes are in it."""
    print(f"ser: {printable(line)}", file=sys.stderr, flush=True)


@contextmanager
def _without_stdin(request: Request) -> Iterator[tuple[Request, dict[str, str]]]:
    """Put a file in place of standard input; also give the name that stands for that file."""
    if STDIN not in request.paths:
        yield request, {}
        return
    with stored_stream(sys.stdin.buffer) as file:
        paths = tuple(str(file) if path == STDIN else path for path in request.paths)
        yield replace(request, paths=paths), {str(file): STDIN}


def _is_plot(text: str) -> bool:
    """Whether a picture bears the title that `_draw` gives: of a PNG, an SVG, a PDF."""
    return any(f"{lead}{PLOT_MARK}" in text for lead in ("Title\0", "<dc:title>", "/Title ("))


def _is_timeline(text: str, form: str, labels: tuple[str, ...]) -> bool:
    """Whether a file holds windows in a form, as `_predict_windows` writes them."""
    first = text.splitlines()[0]
    if form in ("csv", "audformat"):
        named = WINDOW_COLUMNS[:3] if form == "csv" else ("file", "start", "end")
        return first == csv_header((*named, *WINDOW_COLUMNS[3:]), labels).rstrip("\n")
    try:
        return form == "json" and set(json.loads(first)) == set(WINDOW_COLUMNS)
    except (ValueError, TypeError):
        return False


def _predict_recordings(predictor: Predictor, request: Request, names: dict[str, str]) -> int:
    """Predict recordings, one row each, after those that the file holds already."""
    writer = Writer(request.form, predictor.labels, top=request.top, model=predictor.model_id)
    done, n_failed = writer.resume(request.out) if request.out else (set(), 0)
    if done:
        _report(f"{request.out}: goes on after {len(done):,} recordings")
    found = SearchReport()
    n_paths = sum(1 for _ in find_recordings(request.paths))
    paths = find_recordings(request.paths, found=found)
    waiting = (one for one in paths if not done or writer.name(one) not in done)
    predictions: Iterator[Prediction] = (
        replace(one, path=names.get(one.path, one.path))
        for one in predict_many(predictor, waiting, n_jobs=request.n_jobs)
    )
    if request.out:
        predictions = progress(predictions, total=n_paths - len(done), what="predict")
    n_unlike = 0
    opened = request.out.open("a", encoding="utf-8", newline="") if request.out else None
    with opened or nullcontext(sys.stdout) as target:
        if request.out is None or request.out.stat().st_size == 0:
            target.write(writer.header)
        for one in predictions:
            target.write(writer.line(one))
            target.flush()
            n_unlike += one.is_unlike and bool(one.probabilities)
            if one.error:
                n_failed += 1
                _report(f"{printable(one.path)}: {printable(one.error)}")
    if n_unlike and predictor.bundle.speaker and not predictor.is_adapted:
        _report(
            f"{n_unlike:,} recording{'s' if n_unlike > 1 else ''} unlike the training: a few "
            "neutral clips of the speaker help (--speaker-reference FOLDER), or ten unlabelled "
            "ones (--speaker-clips FOLDER), or 30 of the room (--room FOLDER, --room same)"
        )
    return _conclude(n_paths, found, n_failed)


def _predict_windows(predictor: Predictor, request: Request, names: dict[str, str]) -> int:
    """Predict recordings window by window, and draw the one of which a figure is asked for."""
    found = SearchReport()
    paths = list(find_recordings(request.paths, found=found))
    if request.plot is not None and len(paths) != 1:
        raise AudioError(f"--plot draws one recording, {len(paths)} were given")
    n_failed = 0
    if request.out:
        refuse_foreign(request.out, lambda text: _is_timeline(text, request.form, predictor.labels))
    if request.plot:
        refuse_foreign(request.plot, _is_plot)
    with ExitStack() as stack:
        target: TextIO = sys.stdout
        if request.out:
            temporary = stack.enter_context(whole_file(request.out))
            target = stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))
        if request.form in ("csv", ROWS):
            target.write(csv_header(WINDOW_COLUMNS, predictor.labels))
        for path in paths:
            name = names.get(str(path), printable(path))
            # Only a figure needs the windows after they were written.
            drawn: list[Window] = []
            if request.form == "table" and len(paths) > 1:
                target.write(f"{name}\n")
            try:
                for window in timeline(
                    predictor, path, window_s=request.window_s, hop_s=request.hop_s
                ):
                    target.write(_window_line(window, name, request.form, predictor.labels))
                    target.flush()
                    if request.plot is not None:
                        drawn.append(window)
            except (BrokenPipeError, StorageError):
                raise
            except (SerError, OSError) as error:
                n_failed += 1
                _report(str(error).replace(str(path), name))
            if request.plot is not None and drawn:
                _draw(drawn, predictor, request.plot)
    return _conclude(len(paths), found, n_failed)


def _predict_whole(predictor: Predictor, request: Request, names: dict[str, str]) -> int:
    """Predict into rows, and write at once what is made of all of them."""
    import pandas as pd

    holds_one = request.form in ANNOTATIONS.values() and request.form != "rttm"
    paths = find_recordings(request.paths)
    first = list(islice(paths, 2))
    if holds_one and len(first) != 1:
        n_paths = len(first) + sum(1 for _ in paths)
        raise AudioError(f"{request.form} holds one recording, {n_paths} were given")
    if request.form == "rttm":  # which cannot hold every name
        row = {"start_s": 0.0, "end_s": 1.0, "emotion": "a"}
        names_of = dict.fromkeys([*first, *paths])
        _annotations(pd.DataFrame({"path": list(names_of), **row}), "rttm")
    command = f"ser predict{' --timeline' if request.is_timeline else ''}"
    facts = {"written_by": command, "form": request.form, "model": predictor.model_id}

    def is_ours(text: str) -> bool:
        # An annotation file never is: people correct them, and nothing tells a corrected one.
        if request.is_parquet:
            return text.startswith("PAR1") and json.dumps(facts)[1:-1] in text
        return _is_timeline(text, request.form, predictor.labels)

    if request.out:
        refuse_foreign(request.out, is_ours)
    with tempfile.TemporaryDirectory() as folder:
        ready = replace(request, format=ROWS, out=Path(folder, "rows.csv"))
        if request.is_timeline:
            code = _predict_windows(predictor, ready, names)
        else:
            ready = replace(request, format="csv", out=_rows_file(request, predictor.model_id))
            code = _predict_recordings(predictor, ready, names)
        if holds_one and code:  # what is wrong with it was said
            return code
        # What is left behind the last window is too short for one of its own.
        duration_s = load_head(first[0], max_s=0.1)[2] if holds_one else 0.0
        _convert(cast(Path, ready.out), request, facts, duration_s)
    if not request.is_timeline:
        cast(Path, ready.out).unlink()
    return code


def _rows_file(request: Request, model: str) -> Path:
    """Return where the rows of a job wait whose file cannot be continued, as Parquet."""
    identity = (cast(Path, request.out).resolve(), request.paths, model)
    name = hashlib.sha256(repr(identity).encode()).hexdigest()[:24]
    folder = cache_dir() / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.csv"


def _convert(rows: Path, request: Request, facts: dict[str, str], duration_s: float) -> None:
    """Write rows of text as the file that was asked for."""
    import pandas as pd

    pieces = pd.read_csv(rows, dtype="string", keep_default_na=False, chunksize=PIECE_ROWS)
    if request.is_timeline:  # of which some forms need all windows of a recording
        pieces = iter([pd.concat(pieces).drop_duplicates(["path", "start_s"])])
    tables = (_typed(one, request) for one in pieces)
    if request.is_parquet:
        from ser_lib.cli.parquet import write_parquet

        with whole_file(cast(Path, request.out)) as target:
            write_parquet(target, tables, facts)
        return
    table = next(tables)
    if request.form in ANNOTATIONS.values():
        text = _annotations(table, request.form, duration_s)
    else:
        text = table.to_csv(index=False, lineterminator="\n")
    if request.out is None:
        sys.stdout.write(text)
        return
    with whole_file(request.out) as target:
        target.write_bytes(text.encode())


def _typed(table: pd.DataFrame, request: Request) -> pd.DataFrame:
    """Turn columns of text into those of a form."""
    # A table without rows has the same types as one with rows.
    numbers = [one for one in table if one not in TEXTS]
    table[numbers] = table[numbers].replace("", "nan").astype(float)
    if request.form == "eaf" and request.out:  # where ELAN looks for the recording
        folder = request.out.absolute().parent
        names = (Path(os.path.relpath(one, folder)).as_posix() for one in table["path"])
        named = [one if one.startswith("../") else f"./{one}" for one in names]
        table["path"] = table["path"].where(table["path"].map(is_address), named)
    if request.form == "audformat":
        for one in ("start", "end"):
            table[f"{one}_s"] = np.round(1e9 * table[f"{one}_s"]).astype("timedelta64[ns]")
        table = table.rename(columns={"path": "file", "start_s": "start", "end_s": "end"})
    return table


def _annotations(windows: pd.DataFrame, form: str, duration_s: float = 0.0) -> str:
    """Write a window until the next one begins, the last until its end, and no pauses."""
    from ser_lib.data.annotations import annotation_text

    ends_s = windows.groupby("path", sort=False)["start_s"].shift(-1).fillna(windows["end_s"])
    table = windows.assign(end_s=ends_s, speaker="")[windows["emotion"] != NO_SPEECH]
    table = table.rename(columns={"path": "file", "emotion": "label"})
    return annotation_text(table, form, duration_s=duration_s)


def _conclude(n_paths: int, found: SearchReport, n_failed: int) -> int:
    """Report what was left alone or failed; return the exit code."""
    for problem in found.problems:
        _report(problem)
    if n_paths == 0:
        _report("no recording was found; folders are searched for wav, flac, ogg, mp3 and others")
    if found.others:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in found.others.most_common())
        _report(f"files with other names than recordings were left alone: {kinds}")
    if n_failed:
        _report(f"{n_failed:,} recording{'s' if n_failed > 1 else ''} could not be used")
    return int(bool(n_failed or found.problems or n_paths == 0))


def _window_line(window: Window, name: str, form: str, labels: tuple[str, ...]) -> str:
    """Write one window in the form that was asked for."""
    prediction, voice = window.prediction, window.prediction.voice
    if form == "table":
        confidence = prediction.confidence
        sure = "" if np.isnan(confidence) else f"{100 * confidence:3.0f} %"
        ranked = "  ".join(f"{label} {100 * p:.0f} %" for label, p in prediction.top(3))
        times = f"{_clock(window.start_s)} to {_clock(window.end_s)}"
        return f"{times}  {prediction.emotion:<11}{sure:<7}{ranked}".rstrip() + "\n"
    answer, n_decimals = as_record(prediction), 9 if form == ROWS else 3
    record = {
        "path": name,
        "start_s": round(window.start_s, n_decimals),
        "end_s": round(window.end_s, n_decimals),
        "speech_s": None if voice is None else round(voice.speech_s, 2),
    } | {column: answer[column] for column in WINDOW_COLUMNS[4:]}
    return json_line(record) if form == "json" else csv_line(record, labels)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}"


def _draw(windows: list[Window], predictor: Predictor, target: Path) -> None:
    from matplotlib.figure import Figure

    from ser_lib.plots.timeline import plot_timeline

    table = timeline_table(iter(windows), predictor.labels)
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.add_subplot()
    plot_timeline(table, predictor.labels, threshold=shared_threshold(windows), ax=axes)
    with whole_file(target) as temporary:
        # Says that the picture may be replaced; the three formats know this field.
        is_marked = target.suffix.lower() in (".png", ".svg", ".pdf")
        metadata = {"Title": PLOT_MARK} if is_marked else None
        figure.savefig(temporary, dpi=150, metadata=metadata)
