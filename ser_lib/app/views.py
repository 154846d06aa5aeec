"""What the browser app shows, as HTML (`theme/app.html.j2`) and figures: pure functions, no gradio.

All text from outside is escaped; nothing refers to another machine. A colour is never alone: the
name and the number stand next to it, for screen readers and for eyes that see no colours.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from ser_lib.app.templates import part_of
from ser_lib.audio.signal import resample
from ser_lib.audio.voice_activity import HOP_S, RATE_HZ, speech_frames
from ser_lib.features.acoustic import waveform_envelope
from ser_lib.features.spectral import log_mel
from ser_lib.inference.bundle import Bundle
from ser_lib.inference.model_card import LIMITS
from ser_lib.inference.prediction import NOT_SURE, Prediction
from ser_lib.plots.signals import plot_envelope, plot_log_mel
from ser_lib.plots.style import STYLE_FILE
from ser_lib.plots.timeline import plot_timeline

DPI = 130
SPEECH_COLOUR = "#0072B2"
LIVE_SIZE = (720, 220)
LIVE_SHOWN_S = 30.0
_part = partial(part_of, "app")


def answer_html(prediction: Prediction, *, known: str = "") -> str:
    """Show a prediction: a headline, all classes with their probabilities, and its warnings.

    `known` says what is known of the voice or the room, in a sentence.
    """
    is_sure = prediction.emotion != NOT_SURE
    return _part("answer")(prediction=prediction, is_sure=is_sure, known=known)


def problem_html(message: str) -> str:
    """Show why there is no prediction."""
    return _part("problem")(message=message)


def image_html(png: bytes, *, alt: str, caption: str) -> str:
    """Show a figure with its description."""
    return _part("image")(data=base64.b64encode(png).decode(), alt=alt, caption=caption)


def listening_png(
    signal: np.ndarray, sample_rate_hz: int, input_range_s: tuple[float, float]
) -> tuple[bytes, str]:
    """Draw a recording as the model receives it; return the figure (PNG) and its description.

    The waveform has speech marked; in it and in the mel spectrogram what lies outside of
    `input_range_s` is dimmed. The signal is mono.
    """
    signal = resample(signal, sample_rate_hz, RATE_HZ)
    duration_s = len(signal) / RATE_HZ
    speech = speech_frames(signal)
    start_s, stop_s = input_range_s[0], min(input_range_s[1], duration_s)
    with mpl.rc_context(fname=STYLE_FILE):
        figure = Figure(figsize=(7.4, 3.9), dpi=DPI, layout="constrained")
        wave, mel = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.7))
        envelope = waveform_envelope(signal, RATE_HZ, duration_s=duration_s, n_points=700)
        plot_envelope(envelope, duration_s, ax=wave)
        wave.set(xlabel="")
        edges = np.flatnonzero(np.diff(speech.astype(int), prepend=0, append=0))
        for left, right in edges.reshape(-1, 2) * HOP_S:
            wave.axvspan(left, right, color=SPEECH_COLOUR, alpha=0.18, lw=0)
        level_db = log_mel(signal, RATE_HZ, n_mels=64, hop_samples=256)
        plot_log_mel(level_db, duration_s, f_max_hz=RATE_HZ / 2, ax=mel, with_colour_bar=False)
        mel.set_aspect("auto")
        for ax in (wave, mel):
            for left, right in ((0.0, start_s), (stop_s, duration_s)):
                if right > left:
                    ax.axvspan(left, right, color="white", alpha=0.72, lw=0, zorder=5)
        png = _png(figure)
    alt = (
        f"Waveform and mel spectrogram of {duration_s:.1f} s. Speech is marked in "
        f"{speech.sum() * HOP_S:.1f} s of it; the model listened from {start_s:.1f} to "
        f"{stop_s:.1f} s."
    )
    return png, alt


def _png(figure: Figure) -> bytes:
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI)
    return png.getvalue()


def timeline_png(
    table: pd.DataFrame, labels: Sequence[str], threshold: float | None
) -> tuple[bytes, str]:
    """Draw a timeline; return the figure and its description."""
    with mpl.rc_context(fname=STYLE_FILE):
        figure = Figure(figsize=(7.4, 2.9), dpi=DPI, layout="constrained")
        plot_timeline(table, labels, threshold=threshold, ax=figure.add_subplot())
        png = _png(figure)
    counts = table["emotion"].value_counts()
    said = ", ".join(f"{name} in {n}" for name, n in counts.items())
    return png, f"Smoothed probabilities over {table['end_s'].max():.0f} s; of the windows: {said}."


def history_html(history: Sequence[dict[str, Any]]) -> str:
    """Show the predictions of this session as a table, the newest first."""
    return _part("history")(rows=history)


def live_html(
    times_s: Sequence[float],
    smoothed: np.ndarray,
    labels: Sequence[str],
    *,
    headline: str,
    latency: str,
    skipped_s: float = 0.0,
) -> str:
    """Show the newest smoothed probabilities as curves in SVG, drawn without a library.

    `smoothed` has shape (n_answers, n_classes), NaN where nobody spoke, at `times_s`; `skipped_s`
    is the sound that nobody heard.
    """
    width, height = LIVE_SIZE
    curves = []
    if len(times_s):
        end_s = max(times_s[-1], LIVE_SHOWN_S)
        x = [width * (1 - (end_s - t) / LIVE_SHOWN_S) for t in times_s]
        for number in np.argsort(-np.nan_to_num(smoothed[-1]))[:4]:
            points = " ".join(
                f"{left:.1f},{height * (1 - p):.1f}"
                for left, p in zip(x, smoothed[:, number], strict=True)
                if np.isfinite(p) and left >= 0
            )
            curves.append((labels[number], float(smoothed[-1, number]), points))
    shown: dict[str, Any] = {"curves": curves, "size": LIVE_SIZE, "shown_s": LIVE_SHOWN_S}
    return _part("live")(headline=headline, latency=latency, skipped_s=skipped_s, **shown)


def recorder_html(shown: str) -> str:
    """Show a button, which `live.js` makes one to record, above what is shown of a recording."""
    return _part("recorder")(shown=Markup(shown))


def bundle_html(bundle: Bundle) -> str:
    """Describe in two lines what a bundle is and how well it does on unseen speakers."""
    return _part("about_bundle")(bundle=bundle)


def about_html() -> str:
    """Explain what acted speech is and what the result is not."""
    return _part("about")(limits=LIMITS)
