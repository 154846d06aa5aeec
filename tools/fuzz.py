"""Feed what reads foreign bytes with mutated ones: `python -m tools.fuzz TARGET --seconds 300`.

Guided by coverage with atheris (`pip install atheris`, which is no dependency of this project).
Whatever ends in another exception than our own is printed with its input and ends the run; it
belongs into the tests as the smallest input that shows it. Inputs that crash or hang the libraries
underneath are reported to those, and are not kept here.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

import click

from ser_lib.errors import SerError

AUDIO_SUFFIXES = (".wav", ".mp3", ".flac", ".ogg", ".aiff", ".au")
KEPT = ("model.onnx", "arrays.npz", "README.md")
TABLE_SUFFIXES = (".csv", ".json", ".jsonl", ".tsv", ".txt")


@cache
def _root() -> Path:
    """Return the folder of all that is written, in memory where there is such a one."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="ser-fuzz-", dir=memory if memory.is_dir() else None))


def feed_audio(raw: bytes) -> None:
    """Decode bytes under a suffix that the first one chooses."""
    from ser_lib.audio.io import read_recording

    if raw:
        path = _root() / f"a{AUDIO_SUFFIXES[raw[0] % len(AUDIO_SUFFIXES)]}"
        path.write_bytes(raw[1:])
        read_recording(path, 0.0, 5.0)


def feed_table(raw: bytes) -> None:
    """Audit a folder's files by a table, or divide them by one."""
    from ser_lib.audit.tables import read_clips

    if raw:
        suffix = TABLE_SUFFIXES[raw[0] // 2 % len(TABLE_SUFFIXES)]
        path = _root() / f"table{suffix}"
        path.write_bytes(raw[1:])
        read_clips(_clips(), **{("table", "split")[raw[0] % 2]: path})


@cache
def _clips() -> Path:
    for part, speaker in product(("train", "test"), ("01", "Actor_02")):
        path = _root() / "clips" / part / f"{speaker}_angry.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return _root() / "clips"


def feed_bundle(raw: bytes) -> None:
    """Load a bundle whose manifest, with a sum that fits, is the input."""
    from ser_lib.inference import bundle

    folder = _bundle()
    (folder / "bundle.json").write_bytes(raw)
    sums = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("bundle.json", *KEPT)
    ]
    (folder / bundle.SUMS).write_text("".join(sums), encoding="ascii")
    bundle.load_bundle(folder)


@cache
def _bundle() -> Path:
    from ser_lib.paths import bundles_dir

    (_root() / "bundle").mkdir()
    for name in KEPT:
        (_root() / "bundle" / name).write_bytes((bundles_dir() / "cnn-ravdess" / name).read_bytes())
    return _root() / "bundle"


def feed_upload(raw: bytes) -> None:
    """Send the app a request: headers, an empty line, and a body, of which a form is read."""
    from starlette.exceptions import HTTPException
    from starlette.formparsers import MultiPartException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import PlainTextResponse

    from ser_lib.app.server import _Guard

    head, _, body = raw.partition(b"\n\n")
    pairs = [line.partition(b":")[::2] for line in head.split(b"\n")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b""}
    scope["headers"] = [(name.strip().lower(), value.strip()) for name, value in pairs]
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict:
        return next(messages, {"type": "http.disconnect"})

    async def inner(scope: dict, receive: Callable, send: Callable) -> None:
        async with Request(scope, receive).form() as form:
            list(form)
        await PlainTextResponse("read")(scope, receive, send)

    async def send(message: dict) -> None:
        pass

    try:
        # Nothing in it waits, so it needs no loop; it ends by `StopIteration`.
        _Guard(inner)(scope, receive, send).send(None)
    # What the server turns into an answer.
    except (StopIteration, HTTPException, MultiPartException, ClientDisconnect):
        pass


TARGETS = {
    "audio": feed_audio,
    "bundle": feed_bundle,
    "table": feed_table,
    "upload": feed_upload,
}
FORM = (
    b"host: 127.0.0.1:7860\norigin: http://127.0.0.1:7860\ncontent-length: 90\n"
    b"content-type: multipart/form-data; boundary=b\n\n--b\r\nContent-Disposition: form-data; "
    b'name="files"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n'
)
TABLE = b"path,speaker,emotion,split,start,end,text\ntrain/01_angry.wav,01,angry,train,0,1,hello\n"


def seeds(target: str) -> list[bytes]:
    """Return inputs that are well, to begin with."""
    from ser_lib.paths import bundles_dir

    if target == "audio":
        import io

        import numpy as np
        import soundfile

        made = []
        for number, form in enumerate(("WAV", "MP3", "FLAC", "OGG", "AIFF", "AU")):
            file = io.BytesIO()
            soundfile.write(file, np.sin(np.arange(800) / 9) / 2, 16_000, format=form)
            made.append(bytes([number]) + file.getvalue())
        return made
    if target == "bundle":
        return [(bundles_dir() / "cnn-ravdess" / "bundle.json").read_bytes()]
    if target == "upload":
        return [FORM]
    line = b'{"path": "test/01_angry.wav", "speaker": "1", "part": "test"}\n'
    return [
        b"\0" + TABLE,
        b"\1" + TABLE.replace(b",", b";"),
        b"\4" + line,
        b"\2[" + line.strip() + b"]",
        b"\6" + TABLE.replace(b",", b"\t"),
        b"\0" + b"\xff\xfe" + TABLE.decode().encode("utf-16-le"),
    ]


@click.command()
@click.argument("target", type=click.Choice(TARGETS))
@click.option("--seconds", default=300, show_default=True, help="How long.")
def main(target: str, seconds: int) -> None:
    """Feed one reader until the time is over, or an exception is none of ours."""
    import atheris

    feed = TARGETS[target]
    corpus = _root() / "corpus"
    corpus.mkdir()
    with atheris.instrument_imports(include=["ser_lib"]):
        for number, raw in enumerate(seeds(target)):
            (corpus / f"{number}").write_bytes(raw)
            feed(raw)

    def feed_one(raw: bytes) -> None:
        try:
            feed(raw)
        except SerError:
            pass

    options = [f"-max_total_time={seconds}", "-timeout=120", "-rss_limit_mb=4096", "-max_len=20000"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={_root()}/", str(corpus)], feed_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
