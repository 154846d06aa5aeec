"""A clip to look at and to play: `view_clip` in any notebook, `ClipPlayer` in the explorer.

Both are drawn by `theme/player.js`, which computes the spectrogram of whatever is shown and plays
it; here the clip is decoded, and its contours are followed. What `view_clip` shows needs no kernel:
a saved notebook, or a page made of it, still plays and zooms.
"""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import numpy as np
import pandas as pd
import traitlets

from ser_lib.app.templates import THEME_DIR
from ser_lib.audio.io import load_head
from ser_lib.data.labels import colour_of
from ser_lib.features.phonetics import CEILING_HZ, STEP_S, contours

STYLE_SHEET, PLAYER = THEME_DIR / "explorer.css", THEME_DIR / "player.js"

# Three seconds of computing, and what a browser draws at once.
MAX_VIEW_S = 60.0
NO_SCRIPT = "No picture and no sound: trust this notebook, or run its cell again."


@dataclass(frozen=True, eq=False)
class ClipView:
    """A clip, ready to be shown and played."""

    caption: str
    contours: pd.DataFrame = field(repr=False)
    """Pitch, formants and intensity every 10 ms, as `ser_lib.features.phonetics.contours`."""
    signal: np.ndarray = field(repr=False)
    """Mono, float32, at its own rate."""
    sample_rate_hz: int
    duration_s: float
    """Of the whole file, of which no more than `MAX_VIEW_S` is shown."""
    emotion: str = ""

    @property
    def shown_s(self) -> float:
        """How much of the file is shown, in seconds."""
        return len(self.signal) / self.sample_rate_hz

    def message(self) -> dict[str, Any]:
        """Return what the player is given: plain data, and 16-bit samples as bytes."""
        # Lossy codecs overshoot full scale now and then.
        samples = np.round(self.signal * 32767).clip(-32768, 32767).astype("<i2")
        tracks = self.contours.round(1).astype(object).where(self.contours.notna(), None)
        return {
            "samples": samples.tobytes(),
            "rate_hz": self.sample_rate_hz,
            "colour": colour_of(self.emotion),
            "caption": self.caption,
            "contours": tracks.drop(columns="time_s").to_dict("list") | {"step_s": STEP_S},
        }

    def _repr_html_(self) -> str:
        content = self.message()
        content["samples"] = base64.b64encode(content["samples"]).decode()
        # No sign that could end the script.
        data = json.dumps(content).replace("<", "\\u003c")
        script, name = PLAYER.read_text(encoding="utf-8"), f"ser-{uuid4().hex}"
        style = STYLE_SHEET.read_text(encoding="utf-8")
        return (
            f'<style>{style}</style><div id="{name}">{NO_SCRIPT} {html.escape(self.caption)}</div>'
            f'<script type="module">{script}\nshowClip(document.getElementById("{name}"), {data});'
            "</script>"
        )


class ClipPlayer(anywidget.AnyWidget):
    """The player as a widget; what is selected and marked in it can be read in the next cell."""

    _esm = PLAYER
    _css = STYLE_SHEET
    clip = traitlets.Dict().tag(sync=True)
    timeline = traitlets.Dict().tag(sync=True)
    """Shares of each class from window to window; empty where nothing was predicted."""
    selection: traitlets.List = traitlets.List().tag(sync=True)
    """Start and end in seconds; empty where nothing is selected."""
    marks: traitlets.List = traitlets.List().tag(sync=True)
    """Start, end and label of each marked region."""
    autoplay = traitlets.Bool(False).tag(sync=True)
    span_s = traitlets.Float(0.0).tag(sync=True)
    """Time that is shown at least, so that two clips have one scale."""


def view_clip(path: str | Path, emotion: str = "", *, ceiling_hz: float = CEILING_HZ) -> ClipView:
    """Show any clip, in its emotion's colour, and make it playable; kept until the file changes.

    Parameters
    ----------
    path : str or Path
        A recording, of which the first minute is shown.
    emotion : str
        Whose colour the waveform gets.
    ceiling_hz : float
        Below which five formants are looked for, see `ser_lib.features.phonetics.contours`.

    Raises
    ------
    AudioError
        If the recording cannot be used.
    """
    file = Path(path)
    # Decoding says what is wrong with a file that is gone.
    changed_ns = file.stat().st_mtime_ns if file.is_file() else 0
    return _view_clip(str(path), changed_ns, emotion, ceiling_hz)


# Some 700 kB a clip.
@lru_cache(maxsize=100)
def _view_clip(path: str, _changed_ns: int, emotion: str, ceiling_hz: float) -> ClipView:
    signal, rate, duration_s = load_head(path, max_s=MAX_VIEW_S)
    found = contours(signal, rate, ceiling_hz=ceiling_hz)
    peak_db = 20 * np.log10(max(float(np.abs(signal).max()), 1e-6))
    median_hz = found["pitch_hz"].median()
    pitch = "no pitch was found" if np.isnan(median_hz) else f"median pitch {median_hz:.0f} Hz"
    shown = "" if duration_s <= MAX_VIEW_S else f"; the first {MAX_VIEW_S:.0f} s are shown"
    caption = (
        f"Waveform and spectrogram of {duration_s:.2f} s at {rate:,} Hz{shown}; peak "
        f"{peak_db:.0f} dB re full scale, {pitch}. {found.attrs['method']}"
    )
    return ClipView(caption.replace(" -", " −"), found, signal, rate, duration_s, emotion)
