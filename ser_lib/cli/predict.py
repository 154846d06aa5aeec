"""What `ser predict --timeline` does: rows of windows, and a figure.

Rows are written as they come; only the few numbers of each window are kept for the figure.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import numpy as np

from ser_lib.audio.io import stored_stream
from ser_lib.errors import AudioError, SerError
from ser_lib.inference.batch import (
    FORMATS,
    N_DECIMALS,
    Request,
    SearchReport,
    Writer,
    find_recordings,
    predict_many,
    printable,
    write_all,
)
from ser_lib.inference.bundle import better_bundle, default_bundle, find_bundle
from ser_lib.inference.prediction import Prediction
from ser_lib.inference.predictor import Predictor
from ser_lib.inference.streaming import NO_SPEECH, Window, timeline, timeline_table
from ser_lib.runtime import progress

STDIN = "-"


def run_prediction(request: Request) -> int:
    """Carry out a request.

    Parameters
    ----------
    request : Request
        What was asked for.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    SerError
        If nothing can be done at all: no bundle, options that do not fit together.
    """
    _check(request)
    folder = find_bundle(request.bundle) if request.bundle else default_bundle()
    better, encoder = ("", "") if request.bundle else better_bundle()
    if better:
        _report(f"'{folder.name}' answers; the better '{better}' can after `ser data {encoder}`")
    predictor = Predictor.load(folder)
    own = request.speaker_reference or request.speaker_clips
    if own is not None:
        references = list(find_recordings([own], found=SearchReport()))
        predictor = predictor.enrolled(references, is_neutral=request.speaker_clips is None)
        told = f"{len(references)} clip{'s' if len(references) > 1 else ''}"
        _report(f"speaker reference: {told} of {own}")
    try:
        with _without_stdin(request) as (ready, names):
            if request.is_timeline:
                return predict_long(predictor, ready, names=names, report=_report)
            return _predict_all(predictor, ready, names)
    except KeyboardInterrupt:
        again = " The same command goes on with it." if request.out else ""
        _report(f"stopped.{again}")
        return 130
    except BrokenPipeError:
        # `| head` has seen enough; Python would complain once more while closing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _check(request: Request) -> None:
    if request.form not in FORMATS:
        raise SerError(f"--format {request.form}: known are {', '.join(FORMATS)}")
    if request.top < 0 or request.n_jobs < 0:
        raise SerError("--top and --jobs are 0 or more")
    if request.plot is not None and not request.is_timeline:
        raise SerError("--plot draws a timeline: add --timeline")
    if request.speaker_reference is not None and request.speaker_clips is not None:
        raise SerError("--speaker-reference (neutral) or --speaker-clips (any mood), not both")
    if request.paths.count(STDIN) > 1:
        raise SerError("standard input (-) can be read once")


def _report(line: str) -> None:
    """Write a line for people, whatever bytes are in it."""
    print(f"ser: {printable(line)}", file=sys.stderr, flush=True)


@contextmanager
def _without_stdin(request: Request) -> Iterator[tuple[Request, dict[str, str]]]:
    """Put a file in place of standard input, and tell which name it stands for."""
    with ExitStack() as stack:
        names, paths = {}, []
        for path in request.paths:
            if path == STDIN:
                file = str(stack.enter_context(stored_stream(sys.stdin.buffer)))
                names[file] = STDIN
                path = file
            paths.append(path)
        yield replace(request, paths=tuple(paths)), names


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        file = out.open("a", encoding="utf-8", newline="")
    except OSError as error:
        raise AudioError(f"{out}: cannot be written ({error.strerror})") from error
    with file:
        yield file


def _predict_all(predictor: Predictor, request: Request, names: dict[str, str]) -> int:
    writer = Writer(request.form, predictor.labels, top=request.top, model=predictor.model_id)
    done, n_failed = writer.resume(request.out) if request.out else (set(), 0)
    if done:
        _report(f"{request.out}: goes on after {len(done):,} recordings")
    found = SearchReport()
    n_paths = sum(1 for _ in find_recordings(request.paths))
    paths = find_recordings(request.paths, found=found)
    waiting = (one for one in paths if not done or writer.name(one) not in done)
    answers = (
        replace(one, path=names.get(one.path, one.path))
        for one in predict_many(predictor, waiting, n_jobs=request.n_jobs)
    )
    shown = progress(answers, total=n_paths - len(done), what="predict") if request.out else answers
    n_unlike = 0

    def tallied(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        nonlocal n_unlike
        for one in predictions:
            n_unlike += one.is_unlike
            yield one

    with _opened(request.out) as target:
        if not done:
            target.write(writer.header)
        n_failed += write_all(tallied(shown), writer, target, report=_report)
    is_known = request.speaker_reference is not None or request.speaker_clips is not None
    if n_unlike and predictor.bundle.speaker and not is_known:
        _report(
            f"{n_unlike:,} recording{'s' if n_unlike > 1 else ''} unlike the training: a few "
            "neutral clips of the speaker help (--speaker-reference FOLDER), or ten of any mood "
            "(--speaker-clips FOLDER)"
        )
    return _conclude(n_paths, found, n_failed, _report)


def _conclude(
    n_paths: int, found: SearchReport, n_failed: int, report: Callable[[str], None]
) -> int:
    """Say what was left alone or failed; return the exit code."""
    for problem in found.problems:
        report(problem)
    if n_paths == 0:
        report("no recording was found; folders are searched for wav, flac, ogg, mp3 and others")
    if found.n_others:
        report(f"{found.n_others:,} files whose names do not end as recordings do were left alone")
    if n_failed:
        report(f"{n_failed:,} recording{'s' if n_failed > 1 else ''} could not be used")
    return int(bool(n_failed or found.problems or n_paths == 0))


def predict_long(
    predictor: Predictor,
    request: Request,
    *,
    names: Mapping[str, str],
    report: Callable[[str], None],
) -> int:
    """Predict recordings window by window, and draw the last one where a figure is asked for.

    Parameters
    ----------
    predictor : Predictor
        Of a bundle.
    request : Request
        What was asked for.
    names : mapping of str to str
        Other names for some paths.
    report : callable
        Takes a line for people.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    AudioError
        If a figure of several recordings is asked for.
    """
    found = SearchReport()
    paths = list(find_recordings(request.paths, found=found))
    if request.plot is not None and len(paths) != 1:
        raise AudioError(f"--plot draws one recording, {len(paths)} were given")
    n_failed = 0
    with ExitStack() as stack:
        target: TextIO = sys.stdout
        if request.out is not None:
            target = stack.enter_context(request.out.open("w", encoding="utf-8", newline=""))
        write = _writer(request.form, predictor.labels, target)
        for path in paths:
            name = names.get(str(path), printable(path))
            kept: list[Window] = []
            try:
                for window in timeline(
                    predictor, path, window_s=request.window_s, hop_s=request.hop_s
                ):
                    write(name, window)
                    if request.plot is not None:
                        kept.append(window)
            except (SerError, OSError) as error:
                n_failed += 1
                report(str(error).replace(str(path), name))
            if request.plot is not None and kept:
                _draw(kept, predictor, request.plot)
    for problem in found.problems:
        report(problem)
    return int(bool(n_failed or found.problems or not paths))


def _writer(form: str, labels: tuple[str, ...], target: TextIO) -> Callable[[str, Window], None]:
    """Return a function that writes one window in the form that was asked for."""
    if form == "csv":
        rows = csv.writer(target, lineterminator="\n")
        rows.writerow(
            ["path", "start_s", "end_s", "speech_s", "emotion", "confidence"]
            + [f"p_{label}" for label in labels]
            + ["warnings"]
        )

    def write(name: str, window: Window) -> None:
        one = window.prediction
        plain = {
            "path": name,
            "start_s": round(window.start_s, 3),
            "end_s": round(window.end_s, 3),
            "speech_s": round(one.voice.speech_s, 2),
            "emotion": one.emotion,
            "confidence": None if np.isnan(one.confidence) else round(one.confidence, N_DECIMALS),
            "probabilities": {k: round(v, N_DECIMALS) for k, v in one.probabilities.items()},
            "warnings": list(one.warnings),
        }
        if form == "json":
            target.write(json.dumps(plain, ensure_ascii=False) + "\n")
        elif form == "csv":
            known = plain.pop("probabilities")
            found = "; ".join(plain.pop("warnings"))
            rows.writerow([*plain.values(), *(known.get(label) for label in labels), found])
        else:
            said = "" if one.emotion == NO_SPEECH else f"{100 * one.confidence:3.0f} %  "
            ranked = "  ".join(f"{label} {100 * p:.0f} %" for label, p in one.top(3))
            times = f"{_clock(window.start_s)} to {_clock(window.end_s)}"
            target.write(f"{times}  {one.emotion:<11}{said}{ranked}\n")
        target.flush()

    return write


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}"


def _draw(windows: list[Window], predictor: Predictor, target: Path) -> None:
    from matplotlib.figure import Figure

    from ser_lib.paths import atomic_path
    from ser_lib.plots.timeline import plot_timeline

    table = timeline_table(iter(windows), predictor.labels)
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.add_subplot()
    plot_timeline(table, predictor.labels, threshold=predictor.threshold, ax=axes)
    with atomic_path(target) as temporary:
        figure.savefig(temporary, dpi=150)
