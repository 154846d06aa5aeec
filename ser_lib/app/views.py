"""What the browser app shows, as HTML and figures: pure functions, no gradio.

All text from outside is escaped; nothing refers to another machine. A colour is never alone: the
name and the number stand next to it, for screen readers and for eyes that see no colours.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ser_lib.audio.signal import resample
from ser_lib.audio.voice_activity import HOP_S, RATE_HZ, speech_frames
from ser_lib.data.labels import colour_of
from ser_lib.evaluation.formatting import pct
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
_percent = partial(pct, digits=0)


def answer_html(prediction: Prediction, *, reference: str = "") -> str:
    """Show a prediction: a headline, all classes with their probabilities, and its warnings.

    `reference` names the enrolled voice, if any.
    """
    if prediction.emotion == NOT_SURE:
        head, say = "Not sure", "Nothing can be said of it: see the warnings."
        if prediction.probabilities:
            say = f"No emotion reaches {_percent(prediction.threshold)}, where answers begin."
    else:
        head = f"Sounds {prediction.emotion}"
        say = f"{_percent(prediction.confidence)} sure."
    if reference:
        say += f" Adapted to {reference}."
    bars = "".join(
        f'<li><span class="ser-name">{html.escape(label)}</span>'
        f'<span class="ser-track" aria-hidden="true"><span class="ser-bar" '
        f'style="width:{100 * share:.1f}%;background:{colour_of(label)}"></span></span>'
        f'<span class="ser-share">{_percent(share)}</span></li>'
        for label, share in prediction.probabilities.items()
    )
    warnings = "".join(f"<li>{html.escape(one)}</li>" for one in prediction.warnings)
    if warnings:
        warnings = f'<div class="ser-warnings"><h3>Warnings</h3><ul>{warnings}</ul></div>'
    return (
        f'<section role="status" aria-live="polite" class="ser-answer"><h2>{html.escape(head)}</h2>'
        f'<p>{html.escape(say)}</p><ol class="ser-bars">{bars}</ol>{warnings}</section>'
    )


def problem_html(message: str) -> str:
    """Show why there is no prediction."""
    return f'<section role="alert" class="ser-problem"><p>{html.escape(message)}</p></section>'


def image_html(png: bytes, *, alt: str, caption: str) -> str:
    """Show a figure with its description."""
    data = base64.b64encode(png).decode()
    return (
        f'<figure class="ser-figure"><img alt="{html.escape(alt)}" '
        f'src="data:image/png;base64,{data}"><figcaption>{html.escape(caption)}</figcaption>'
        "</figure>"
    )


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
    if not history:
        return '<p class="ser-quiet">Nothing yet. What you try is listed here until you leave.</p>'
    rows = "".join(
        f"<tr><td>{html.escape(str(one['time']))}</td><td>{html.escape(str(one['recording']))}</td>"
        f"<td>{html.escape(str(one['emotion']))}</td><td>{_percent(float(one['confidence']))}</td>"
        f"<td>{html.escape(str(one['bundle']))}</td></tr>"
        for one in reversed(history)
    )
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("time", "recording", "emotion", "sure", "model")
    )
    return (
        '<div class="ser-scroll" tabindex="0" role="region" aria-label="Answers of this session">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def live_html(
    times_s: Sequence[float],
    smoothed: np.ndarray,
    labels: Sequence[str],
    *,
    headline: str,
    latency: str,
) -> str:
    """Show the newest smoothed probabilities as curves in SVG, drawn without a library.

    `smoothed` has shape (n_answers, n_classes), NaN where nobody spoke, at `times_s`.
    """
    width, height = LIVE_SIZE
    lines, legend = [], []
    if len(times_s):
        end_s = max(times_s[-1], LIVE_SHOWN_S)
        x = [width * (1 - (end_s - t) / LIVE_SHOWN_S) for t in times_s]
        for number in np.argsort(-np.nan_to_num(smoothed[-1]))[:4]:
            colour = colour_of(labels[number])
            points = [
                f"{left:.1f},{height * (1 - p):.1f}"
                for left, p in zip(x, smoothed[:, number], strict=True)
                if np.isfinite(p) and left >= 0
            ]
            lines.append(
                f'<polyline fill="none" stroke="{colour}" stroke-width="3" '
                f'points="{" ".join(points)}"/>'
            )
            legend.append(
                f'<li><span class="ser-dot" style="background:{colour}" aria-hidden="true"></span>'
                f"{html.escape(labels[number])} {_percent(float(smoothed[-1, number]))}</li>"
            )
    grid = "".join(
        f'<line x1="0" x2="{width}" y1="{height * y}" y2="{height * y}" class="ser-grid"/>'
        for y in (0.25, 0.5, 0.75)
    )
    return (
        f'<section class="ser-live"><h2 role="status" aria-live="polite">{html.escape(headline)}'
        f'</h2><ul class="ser-legend">{"".join(legend)}</ul>'
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Smoothed probabilities of the '
        f'last {LIVE_SHOWN_S:.0f} seconds">{grid}{"".join(lines)}</svg>'
        f'<p class="ser-quiet">{html.escape(latency)}</p></section>'
    )


def bundle_html(bundle: Bundle) -> str:
    """Describe in two lines what a bundle is and how well it does on unseen speakers."""
    score = bundle.card.get("score")
    said = html.escape(bundle.title) + "."
    if bundle.card.get("is_embedded"):
        said += " <b>Trained on synthetic voices: a demonstration only.</b>"
    elif score:
        said += (
            f" On unseen speakers it finds {_percent(score['uar'])} of each emotion on "
            f"average (one in {len(bundle.labels)} by chance). Answers begin at "
            f"{_percent(bundle.threshold)} confidence, and "
            f"{_percent(bundle.card['selection']['accuracy_share'])} of them are right; in "
            "recordings unlike the training both are lower."
        )
    return f'<p class="ser-quiet">{said}</p>'


def about_html() -> str:
    """Explain what acted speech is and what the result is not."""
    items = "".join(f"<li>{html.escape(one)}</li>" for one in LIMITS)
    return (
        '<section class="ser-about"><h2>What this is, and what it is not</h2>'
        "<p>A small model compares a voice with recordings of actors and says which of their "
        "emotions it sounds like. Everything happens on this computer: no sound leaves it, and "
        f"recordings are deleted when the session ends.</p><ul>{items}</ul></section>"
    )
