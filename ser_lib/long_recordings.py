"""What `ser predict --timeline` does: rows of windows, and a figure.

Rows are written as they come; only the few numbers of each window are kept for the figure.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import numpy as np

from ser_lib.batch import N_DECIMALS, Found, Request, find_recordings, printable
from ser_lib.errors import AudioError, SerError
from ser_lib.predict import Predictor
from ser_lib.timeline import NO_SPEECH, Window, timeline, timeline_table

__all__ = ["predict_long"]


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
    found = Found()
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
