"""What `ser predict` does: one row a recording, or with `--timeline` one row a window.

Rows are written as they come, by the line writers of `ser_lib.inference.batch`, so that memory does
not grow with the number of recordings and a stopped job can be continued; Parquet, audformat and
annotation files are written whole at the end. Messages for people go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

import numpy as np

from ser_lib.audio.io import load_head, stored_stream
from ser_lib.errors import AudioError, OutputError, SerError
from ser_lib.inference.batch import (
    FORMATS,
    N_DECIMALS,
    SearchReport,
    Writer,
    as_cell,
    as_record,
    csv_header,
    csv_line,
    find_recordings,
    json_line,
    parquet_bytes,
    predict_many,
    printable,
)
from ser_lib.inference.bundle import better_bundle, default_bundle, find_bundle
from ser_lib.inference.prediction import Prediction, as_table
from ser_lib.inference.predictor import Predictor
from ser_lib.inference.streaming import (
    NO_SPEECH,
    Window,
    shared_threshold,
    timeline,
    timeline_table,
    window_intervals,
)
from ser_lib.paths import only_writer, refuse_foreign, whole_file
from ser_lib.runtime import progress

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
ONE_RECORDING = {*ANNOTATIONS.values()} - {"rttm"}
TIMELINE_FORMATS = (*FORMATS, "parquet", "audformat", *ANNOTATIONS.values())


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
        by_name = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
        ending = self.out.suffix.lower() if self.out else ""
        return self.format or (by_name | ANNOTATIONS).get(ending, "table")

    @property
    def is_parquet(self) -> bool:
        """Whether what is written is no text: of two forms of tables, one has two kinds of file."""
        ending = self.out.suffix.lower() if self.out else ""
        return self.form == "parquet" or (self.form == "audformat" and ending == ".parquet")


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
        alone = only_writer(request.out), only_writer(request.plot)
        with _without_stdin(request) as (ready, names), alone[0], alone[1]:
            predict = _predict_windows if request.is_timeline else _predict_recordings
            return predict(predictor, ready, names)
    except KeyboardInterrupt:
        is_kept = request.out and not request.is_timeline and not request.is_parquet
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
    if request.form not in (*FORMATS, "parquet") and not request.is_timeline:
        raise SerError(f"{request.form} holds the windows of a timeline: add --timeline")
    if request.is_parquet and request.out is None:
        raise SerError("Parquet is no text for a terminal: name a file with --out")
    if request.is_parquet and find_spec("pyarrow") is None:
        raise OutputError(
            "Parquet needs pyarrow, which is not here: `pip install pyarrow`, or name a .csv"
        )
    if request.top < 0 or request.n_jobs < 0:
        raise SerError("--top and --jobs are 0 or more")
    if request.plot is not None and not request.is_timeline:
        raise SerError("--plot draws a timeline: add --timeline")
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
    inputs = {Path(path).resolve() for path in request.paths}
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


def _is_ours(text: str, request: Request, predictor: Predictor) -> bool:
    """Whether a file holds what is written whole, of this form, model and classes.

    An annotation file never does: people correct them, and nothing tells a corrected one.
    """
    if request.is_parquet:
        return text.startswith("PAR1") and json.dumps(_facts(request, predictor))[1:-1] in text
    first = text.splitlines()[0]
    if request.form in ("csv", "audformat"):
        times = ("file", "start", "end") if request.form == "audformat" else WINDOW_COLUMNS[:3]
        columns = (*times, *WINDOW_COLUMNS[3:])
        return first == csv_header(columns, predictor.labels).rstrip("\n")
    try:
        return request.form == "json" and set(json.loads(first)) == set(WINDOW_COLUMNS)
    except (ValueError, TypeError):
        return False


def _facts(request: Request, predictor: Predictor) -> dict[str, str]:
    """Return what a Parquet file says of itself."""
    command = f"ser predict{' --timeline' if request.is_timeline else ''}"
    return {"written_by": command, "form": request.form, "model": predictor.model_id}


@contextmanager
def _target(request: Request, *, is_whole: bool) -> Iterator[TextIO]:
    """Open what is written to: a file that replaces an own one, or an earlier job's at its end."""
    if request.out is None:
        yield sys.stdout
        return
    with whole_file(request.out) if is_whole else nullcontext(request.out) as path:
        with path.open("w" if is_whole else "a", encoding="utf-8", newline="") as target:
            yield target


def _predict_recordings(predictor: Predictor, request: Request, names: dict[str, str]) -> int:
    """Predict recordings, one row each, after those that the file holds already."""
    writer = Writer(request.form, predictor.labels, top=request.top, model=predictor.model_id)
    is_whole, held = request.is_parquet, list[Prediction]()
    if request.out and is_whole:
        refuse_foreign(request.out, lambda text: _is_ours(text, request, predictor))
    done, n_failed = (set(), 0) if is_whole or not request.out else writer.resume(request.out)
    if done:
        _report(f"{request.out}: goes on after {len(done):,} recordings")
    found = SearchReport()
    n_paths = sum(1 for _ in find_recordings(request.paths, found=found))
    paths = find_recordings(request.paths)
    waiting = (one for one in paths if not done or writer.name(one) not in done)
    predictions: Iterator[Prediction] = (
        replace(one, path=names.get(one.path, one.path))
        for one in predict_many(predictor, waiting, n_jobs=request.n_jobs)
    )
    if request.out:
        predictions = progress(predictions, total=n_paths - len(done), what="predict")
    n_unlike = 0
    with _target(request, is_whole=is_whole) as target:
        if request.out is None or (not is_whole and request.out.stat().st_size == 0):
            target.write(writer.header)
        for one in predictions:
            if is_whole:
                held.append(replace(one, path=writer.name(one.path), error=printable(one.error)))
            else:
                target.write(writer.line(one))
                target.flush()
            n_unlike += one.is_unlike and bool(one.probabilities)
            if one.error:
                n_failed += 1
                _report(f"{printable(one.path)}: {printable(one.error)}")
        if is_whole:
            table = as_table(held, predictor.labels).round(N_DECIMALS)
            table.insert(table.columns.get_loc("error"), "model", predictor.model_id)
            target.buffer.write(parquet_bytes(table, _facts(request, predictor)))
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
    holds_one = request.form in ONE_RECORDING
    if (request.plot is not None or holds_one) and len(paths) != 1:
        what = f"{request.form} holds" if holds_one else "--plot draws"
        raise AudioError(f"{what} one recording, {len(paths)} were given")
    n_failed, is_line = 0, request.form in FORMATS
    if request.out:
        refuse_foreign(request.out, lambda text: _is_ours(text, request, predictor))
    if request.plot:
        refuse_foreign(request.plot, _is_plot)
    if request.form == "rttm":  # which cannot hold every name
        _annotated({str(one): [(0.0, 1.0, "a")] for one in paths}, "rttm")
    # Only figures, and what is written at the end, need the windows after they were predicted.
    held: dict[str, list[Window]] = {}
    with _target(request, is_whole=True) as target:
        if request.form == "csv":
            target.write(csv_header(WINDOW_COLUMNS, predictor.labels))
        for path in paths:
            name = names.get(str(path), printable(path))
            kept = held[name] = []
            if request.form == "table" and len(paths) > 1:
                target.write(f"{name}\n")
            try:
                for window in timeline(
                    predictor, path, window_s=request.window_s, hop_s=request.hop_s
                ):
                    if is_line:
                        target.write(_window_line(window, name, request.form, predictor.labels))
                        target.flush()
                    if request.plot is not None or not is_line:
                        kept.append(window)
            except BrokenPipeError:
                raise
            except (SerError, OSError) as error:
                n_failed += 1
                message = str(error).replace(str(path), name)
                if holds_one:
                    raise AudioError(message) from error
                _report(message)
            if request.plot is not None and kept:
                _draw(kept, predictor, request.plot)
        if not is_line:
            # What is left behind the last window is too short for one of its own.
            duration_s = load_head(path, max_s=0.1)[2] if request.form == "textgrid" else 0.0
            target.buffer.write(_whole(held, request, predictor, duration_s))
    return _conclude(len(paths), found, n_failed)


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
    answer = as_record(prediction)
    record = {
        "path": name,
        "start_s": round(window.start_s, 3),
        "end_s": round(window.end_s, 3),
        "speech_s": None if voice is None else round(voice.speech_s, 2),
    } | {column: answer[column] for column in WINDOW_COLUMNS[4:]}
    return json_line(record) if form == "json" else csv_line(record, labels)


def _annotated(
    intervals: dict[str, list[tuple[float, float, str]]], form: str, duration_s: float = 0.0
) -> str:
    import pandas as pd

    from ser_lib.data.annotations import COLUMNS, annotation_text

    rows = [(name, *one, "") for name, own in intervals.items() for one in own]
    spoken = pd.DataFrame([one for one in rows if one[3] != NO_SPEECH], columns=COLUMNS)
    return annotation_text(spoken, form, duration_s=duration_s)


def _whole(
    held: dict[str, list[Window]], request: Request, predictor: Predictor, duration_s: float
) -> bytes:
    """Return the windows of recordings as an annotation file, as Parquet or for audformat."""
    if request.form in ANNOTATIONS.values():
        intervals = {name: window_intervals(own) for name, own in held.items()}
        return _annotated(intervals, request.form, duration_s).encode()
    windows = [one for own in held.values() for one in own]
    table = timeline_table(windows, predictor.labels).filter(regex="^(?!smooth_)").round(N_DECIMALS)
    table.insert(0, "path", [as_cell(name) for name, own in held.items() for _ in own])
    if request.form == "audformat":
        # Times of the samples, to the nanosecond: rounded more, the last may be behind the end.
        times_s = np.array([(one.start_s, one.end_s) for one in windows]).reshape(-1, 2)
        starts, ends = np.round(1e9 * times_s).astype("timedelta64[ns]").T
        table = table.rename(columns={"path": "file", "start_s": "start", "end_s": "end"})
        table = table.assign(start=starts, end=ends)
        if not request.is_parquet:
            return table.to_csv(index=False, lineterminator="\n").encode()
    return parquet_bytes(table, _facts(request, predictor))


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
