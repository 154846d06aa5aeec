"""The browser app: record or drop a file, and see what a model predicts for it.

It serves this machine only, asks no other machine for anything, and deletes what was uploaded when
the session ends. What it shows is made in `ser_lib.app.views`; here it is wired to gradio.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException
from starlette.responses import PlainTextResponse
from starlette.types import Scope

from ser_lib.app import views
from ser_lib.app.templates import THEME_DIR
from ser_lib.audio.io import SUFFIXES, load_head
from ser_lib.errors import BundleError, SerError
from ser_lib.inference.batch import as_cell
from ser_lib.inference.bundle import default_bundle, installed_bundles
from ser_lib.inference.prediction import Prediction
from ser_lib.inference.predictor import (
    MAX_CLIP_S,
    MAX_ROOM_CLIPS,
    MIN_MIXED_CLIPS,
    Predictor,
)
from ser_lib.inference.streaming import (
    ANSWER_EVERY_S,
    WINDOW_S,
    LiveState,
    shared_threshold,
    timeline,
    timeline_table,
    update_live,
)
from ser_lib.paths import locked

if TYPE_CHECKING:
    import gradio as gr


HOST = "127.0.0.1"
OWN_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")
PORT = 7860
FOLDER_PREFIX = "ser-app-"
MAX_UPLOAD_BYTES = 100 * 2**20  # an hour of speech as Opus, ten minutes as WAV
MAX_MESSAGE_BYTES = 8 * 2**20  # of the page itself; a second of live sound has 0.2
MAX_TIMELINE_S = 3600.0
FILE_TYPES = ["audio", "video", *sorted(SUFFIXES)]

# A timeline says more than one answer from two windows on.
TIMELINE_FROM_S = 2 * WINDOW_S

# Live sound that may wait for an answer before some is skipped; less than a second is not told.
PATIENCE_S, MIN_TOLD_S = 30.0, 1.0
MAX_LIVE = 20
MAX_HISTORY = 200
NEUTRAL, UNLABELLED = "neutral", "unlabelled"

# Uploads that nobody looks at any more are deleted after ten minutes, all others at the end.
DELETE_EVERY_S, DELETE_AFTER_S = 60, 600

# The browser itself is told to ask nobody else, whatever the page holds.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' blob: data:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)


_predictor = lru_cache(maxsize=8)(Predictor.load)

# By recording, the newest last: the oldest may be those of tabs that were closed.
_heard: dict[str, LiveState] = {}


@dataclass(frozen=True)
class Room:
    """What is known of the room in which the recordings of a session were made."""

    folder: str = ""
    """The bundle whose features its rows are."""
    rows: tuple[np.ndarray, ...] = ()

    def with_recording(self, path: str, folder: str) -> Room:
        """Return what is known with one recording more; those of another bundle are forgotten."""
        predictor, rows = _predictor(folder), self.rows if folder == self.folder else ()
        if predictor.bundle.speaker:
            row = predictor.row(path)
            if not any(np.array_equal(row, one) for one in rows):
                rows = (*rows, row)[-MAX_ROOM_CLIPS:]
        return Room(folder, rows)

    def known_to(self, folder: str) -> tuple[Predictor, str]:
        """Return a bundle's predictor to which it is known, if it is, and what to say of that."""
        predictor, rows = _predictor(folder), self.rows if folder == self.folder else ()
        if not predictor.bundle.speaker:
            return predictor, "This model cannot be adapted to a room."
        if len(rows) < MIN_MIXED_CLIPS:
            clips = "1 clip is" if len(rows) == 1 else f"{len(rows)} clips are"
            return predictor, f"{clips} known of this room; it counts from {MIN_MIXED_CLIPS} on."
        known = predictor.in_room_of(rows)
        return known, f"Adapted to this room, known by {known.room}."


def _predict(
    path: str | None,
    folder: str,
    references: list[str] | None,
    kind: str,
    room: Room | None = None,
) -> tuple[str, str, dict[str, object], bytes]:
    """Predict one recording; return the answer, the figures, a row of the history, and a PNG."""
    if not path:
        return "", "", {}, b""
    predictor = _predictor(folder)
    name, known = Path(path).name, ""
    try:
        if references:
            predictor = predictor.enrolled(references, is_neutral=kind == NEUTRAL)
            known = f"Adapted to a voice of {len(references)} clips."
        elif room is not None:
            predictor, known = room.known_to(folder)
        prediction = predictor.predict_file(path)
        figures, png = _figures(predictor, path, prediction)
    except SerError as error:
        return views.problem_html(str(error).replace(path, name)), "", {}, b""
    answer = views.answer_html(prediction, known=known)
    row: dict[str, object] = {
        "time": datetime.now().strftime("%H:%M:%S"),
        "recording": as_cell(name),
        "emotion": prediction.emotion,
        "confidence": round(prediction.confidence, 4),
        "bundle": as_cell(predictor.bundle.name),
        "duration_s": round(prediction.duration_s, 2),
        "warnings": "; ".join(prediction.warnings),
    } | {
        f"p_{one}": round(prediction.probabilities.get(one, np.nan), 4) for one in predictor.labels
    }
    return answer, figures, row, png


def _figures(predictor: Predictor, path: str, prediction: Prediction) -> tuple[str, bytes]:
    """Draw a recording, and its timeline where it is long; return HTML and the first as PNG."""
    signal, rate, _ = load_head(path, max_s=MAX_CLIP_S)
    png, alt = views.listening_png(signal, rate, predictor.input_range_s)
    caption = (
        "What the model listened to. Blue: where a voice is found. Pale: what it did not hear."
    )
    shown = views.image_html(png, alt=alt, caption=caption)
    if TIMELINE_FROM_S < prediction.duration_s <= MAX_TIMELINE_S:
        windows = list(timeline(predictor, path))
        table, threshold = timeline_table(windows, predictor.labels), shared_threshold(windows)
        curves, alt = views.timeline_png(table, predictor.labels, threshold)
        caption = f"Over time: one answer each {WINDOW_S:.0f} s, smoothed. Grey: nothing to say."
        if threshold is not None:
            caption += " Dashed: below it the answer is 'not sure'."
        shown += views.image_html(curves, alt=alt, caption=caption)
    return shown, png


def _hear(
    state: LiveState | None,
    chunk: tuple[int, np.ndarray] | None,
    folder: str,
    *,
    waiting_s: float = 0.0,
    skipped_s: float = 0.0,
) -> tuple[LiveState, str]:
    """Take a piece of live sound; return the new state and what is shown of it."""
    predictor = _predictor(folder)
    state = state or LiveState()
    if chunk is not None and len(chunk[1]):
        rate, samples = chunk
        state = update_live(state, samples, rate, predictor)
    is_sure = state.emotion in predictor.labels
    sure = f", {100 * state.confidence:.0f} % sure" if is_sure else ""
    latency = (
        f"{state.received_s:.0f} s heard. The newest answer took {state.latency_ms:.0f} ms after "
        f"its sound had come; there is one every {ANSWER_EVERY_S} s of sound."
    )
    if waiting_s >= MIN_TOLD_S:
        latency += f" {waiting_s:.0f} s more wait for an answer."
    shown = views.live_html(
        state.times_s,
        np.array(state.smoothed).reshape(-1, len(predictor.labels)),
        predictor.labels,
        headline=f"{state.emotion}{sure}" or "Press record and speak",
        latency=latency if state.received_s else "",
        skipped_s=skipped_s if skipped_s >= MIN_TOLD_S else 0.0,
    )
    return state, shown


def hear_piece(message: list) -> str:
    """Take what `live.js` sends of a recording; return what is shown of it."""
    name, folder, rate, sound, waiting_s, skipped_s, is_last = message
    if folder not in map(str, installed_bundles()):
        return views.problem_html(f"no model of this app: {folder}")
    piece = rate, np.frombuffer(base64.b64decode(sound), "<i2")
    state = _heard.pop(name, None)
    state, shown = _hear(state, piece, folder, waiting_s=waiting_s, skipped_s=skipped_s)
    if not is_last:
        _heard[name] = state
    while len(_heard) > MAX_LIVE:
        _heard.pop(next(iter(_heard)))
    return shown


def _written(name: str, content: bytes) -> str | None:
    """Write a file of the session that can be saved; none without content."""
    if not content:
        return None
    target = Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR"))) / name
    target.write_bytes(content)
    return str(target)


def build_app() -> gr.Blocks:
    """Build the page, not launched yet; BundleError if no bundle is installed."""
    chosen = str(default_bundle())
    choices = [(folder.name, str(folder)) for folder in installed_bundles()]
    gr = _load_gradio()
    with gr.Blocks(
        title="What does this voice sound like?",
        analytics_enabled=False,
        delete_cache=(DELETE_EVERY_S, DELETE_AFTER_S),
    ) as page:
        gr.HTML(
            '<header class="ser-head"><h1>What does this voice sound like?</h1><p>Record yourself, '
            "or drop a recording. Everything stays on this computer.</p></header>"
        )
        bundle = gr.Dropdown(choices, value=chosen, label="Model", filterable=False)
        about = gr.HTML(views.bundle_html(_predictor(chosen).bundle))
        bundle.change(lambda folder: views.bundle_html(_predictor(folder).bundle), bundle, about)
        with gr.Tab("A recording"):
            _recording_tab(gr, bundle)
        with gr.Tab("Live"):
            _live_tab(gr, bundle)
        with gr.Tab("What it is not"):
            gr.HTML(views.about_html())
    return page


def _recording_tab(gr: ModuleType, bundle: gr.Dropdown) -> None:
    with gr.Row():
        spoken = gr.Audio(
            sources=["microphone"],
            type="filepath",
            label="Record",
            editable=False,
            buttons=[],
            min_width=280,
        )
        # Not `gr.Audio`, whose page takes what browsers play only.
        dropped = gr.File(file_types=FILE_TYPES, label="Or drop a file", min_width=280)
    newest = gr.State(None)
    answer = gr.HTML()
    figures = gr.HTML()
    with gr.Accordion("My own voice", open=False):
        gr.HTML(
            '<p class="ser-quiet">A few clips of the same person let a model that can do it take '
            "out what is only this voice: two to five neutral ones, or ten unlabelled ones.</p>"
        )
        kind = gr.Radio([NEUTRAL, UNLABELLED], value=NEUTRAL, label="These clips are")
        references = gr.File(
            file_count="multiple", file_types=FILE_TYPES, label="Clips of this voice"
        )
    same_room = gr.Checkbox(
        label="Same room: learned from what is recorded or dropped here",
    )
    room = gr.State(Room())
    history = gr.State([])
    with gr.Accordion("This session", open=False):
        table = gr.HTML(views.history_html([]))
        with gr.Row():
            as_csv = gr.DownloadButton("Answers as CSV", interactive=False)
            as_png = gr.DownloadButton("Last figure as PNG", interactive=False)

    def listen(
        path: str | None,
        folder: str,
        clips: list[str] | None,
        kind: str,
        is_same: bool,
        room: Room,
        rows: list[dict],
    ) -> tuple[object, ...]:
        if is_same and path:
            with suppress(SerError):  # what is wrong with it is said below
                room = room.with_recording(path, folder)
        said, drawn, row, png = _predict(path, folder, clips, kind, room if is_same else None)
        rows = [*rows, row][-MAX_HISTORY:] if row else rows
        csv = pd.DataFrame(rows).to_csv(index=False, lineterminator="\r\n") if rows else ""
        return (
            path,
            said,
            drawn,
            room,
            rows,
            views.history_html(rows),
            gr.DownloadButton(value=_written("answers.csv", csv.encode()), interactive=bool(rows)),
            gr.DownloadButton(value=_written("what-it-heard.png", png), interactive=bool(row)),
        )

    outputs = [newest, answer, figures, room, history, table, as_csv, as_png]
    settings = [bundle, references, kind, same_room, room, history]
    for sound in (spoken, dropped):
        sound.change(listen, [sound, *settings], outputs)
    gr.on(
        [bundle.change, references.change, kind.change, same_room.change],
        listen,
        [newest, *settings],
        outputs,
    )


def _live_tab(gr: ModuleType, bundle: gr.Dropdown) -> None:
    gr.HTML(
        '<p class="ser-quiet">Speak on; the line is the average of the last answers, each about '
        f"the last {WINDOW_S:.0f} seconds. The model is the one chosen when recording begins.</p>"
    )
    live = gr.HTML(
        bundle.value,
        html_template=views.recorder_html(_hear(None, None, bundle.value)[1]),
        js_on_load=(THEME_DIR / "live.js").read_text(encoding="utf-8"),
        server_functions=[hear_piece],
        every_s=ANSWER_EVERY_S,
        window_s=WINDOW_S,
        patience_s=PATIENCE_S,
    )
    bundle.change(lambda folder: folder, bundle, live)


def _load_gradio() -> ModuleType:
    """Import gradio with all that it would ask other machines for turned off."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Gradio asks its own page whether it is there, which is behind no proxy.
    for name in [one for one in os.environ if one.lower().endswith("_proxy")]:
        del os.environ[name]
    import gradio as gr

    return gr


class _Guard:
    """Answers own pages only, reads no more than it must, and has the browser ask nobody else."""

    HEADERS = (
        (b"content-security-policy", CONTENT_POLICY.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
    )

    def __init__(self, app: Callable) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        length = headers.get("content-length", "0")
        is_upload = headers.get("content-type", "").startswith("multipart/")
        most = MAX_UPLOAD_BYTES + 2**20 if is_upload else MAX_MESSAGE_BYTES
        refused = None
        if not OWN_HOST.fullmatch(host) or origin not in (None, f"http://{host}"):
            refused = PlainTextResponse("not a page of this app", 403)
        elif not re.fullmatch("[0-9]{1,12}", length) or int(length) > most:
            refused = PlainTextResponse(f"more than {most} bytes", 413)
        if refused:
            await refused(scope, receive, send)
            return
        n_left, is_whole = most, False

        async def bounded() -> dict:
            nonlocal n_left, is_whole
            message = await receive()
            n_left -= len(message.get("body", b""))
            is_cut = n_left < 0 or (message["type"] == "http.disconnect" and not is_whole)
            if is_cut and is_upload:
                # The one error for which gradio deletes what has come of the file.
                raise MultiPartException(f"cut off, or above the maximum allowed size of {most}")
            is_whole = is_whole or not message.get("more_body", False)
            return {"type": "http.disconnect"} if is_cut else message

        async def guarded(message: dict) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.HEADERS]
            await send(message)

        await self.app(scope, bounded, guarded)


def run_app(*, port: int = PORT, opens_browser: bool = True) -> None:
    """Serve the app on this machine until Ctrl-C; then no file of it is left.

    Parameters
    ----------
    port : int
        Of 127.0.0.1; the next free one is taken where it is in use.
    opens_browser : bool
        Whether to open a window.

    Raises
    ------
    BundleError
        If no bundle is installed, or a hundred ports are in use.
    """
    # A terminal that is closed, or a system that shuts down, ends it as Ctrl-C does.
    for name in ("SIGTERM", "SIGHUP"):
        with suppress(AttributeError, ValueError):  # not known here, or not in the main thread
            if signal.getsignal(number := getattr(signal, name)) != signal.SIG_IGN:  # as by nohup
                signal.signal(number, signal.default_int_handler)
    above = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    _remove_abandoned(above)
    with (
        tempfile.TemporaryDirectory(
            prefix=FOLDER_PREFIX, dir=above, ignore_cleanup_errors=True
        ) as folder,
        _in_use(Path(folder)),
    ):
        os.environ["GRADIO_TEMP_DIR"] = folder
        _launch(build_app(), port=port, opens_browser=opens_browser)


def _in_use(folder: Path) -> AbstractContextManager[bool]:
    """Hold a folder of an app; OutputError where another process does."""
    return locked(folder, at=folder.with_suffix(".lock"), waits=False)


def _remove_abandoned(above: Path) -> None:
    """Delete what apps that were killed have left of recordings."""
    for folder in above.glob(f"{FOLDER_PREFIX}*/"):
        with suppress(SerError), _in_use(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _launch(page: gr.Blocks, *, port: int, opens_browser: bool) -> None:
    gr = _load_gradio()
    fonts = ["system-ui", "-apple-system", "Segoe UI", "sans-serif"]
    # Blue: the default orange is too pale on white to be read by everybody.
    theme = gr.themes.Default(
        primary_hue="blue", font=fonts, font_mono=["ui-monospace", "monospace"]
    )
    page.launch(
        server_name=HOST,
        server_port=_free_port(port),
        inbrowser=opens_browser,
        share=False,
        quiet=True,
        max_file_size=MAX_UPLOAD_BYTES,
        footer_links=[],
        ssr_mode=False,
        pwa=False,
        enable_monitoring=False,
        strict_cors=True,
        theme=theme,
        css_paths=THEME_DIR / "app.css",
        head=f"<script>{(THEME_DIR / 'microphone.js').read_text(encoding='utf-8')}</script>",
        # As Starlette lists middleware: class, arguments, options.
        app_kwargs={"middleware": [(_Guard, (), {})]},
    )


def _free_port(first: int) -> int:
    import socket

    for port in range(first, min(first + 100, 2**16)):
        with socket.socket() as one:
            if one.connect_ex((HOST, port)):
                return port
    raise BundleError(f"ports {first} to {first + 99} are all in use; give another with --port")
