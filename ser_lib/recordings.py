"""Recordings of any origin: what libsndfile decodes, what ffmpeg can, and standard input.

Prediction meets files that no corpus has: phone recordings, hours of meetings, text with the wrong
ending. Here they become something that `ser_lib.audio` reads, or an AudioError that says why not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ser_lib.errors import AudioError

__all__ = ["SUFFIXES", "decodable", "stored_stream"]

# Endings by which recordings are found in folders; a file that is named is tried whatever it is.
SUFFIXES = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .aiff .aif .aifc .au .caf .w64 .rf64 "
    ".m4a .mp4 .aac .webm .mka .amr .wma .3gp".split()
)
# Beginnings of files that libsndfile does not know: offset, bytes, and ffmpeg's reader. Naming the
# reader keeps ffmpeg from taking a file for a playlist, which could name other files.
FOR_FFMPEG = (
    (4, b"ftyp", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
    (0, b"#!AMR", "amr"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
)
MAX_FFMPEG_S = 600  # two hours of AAC are decoded in less than a minute
MAX_STREAM_BYTES = 4 * 2**30
CHUNK_BYTES = 2**20


def _reader_of(path: Path) -> str | None:
    """Name ffmpeg's reader for a file that libsndfile does not decode; None for others."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return None
    for offset, magic, reader in FOR_FFMPEG:
        if head[offset : offset + len(magic)] == magic:
            return reader
    return None


@contextmanager
def decodable(path: str | Path, *, max_s: float | None = None) -> Iterator[Path]:
    """Give a path that `ser_lib.audio` can decode: the file itself, or a temporary WAV of it.

    Parameters
    ----------
    path : str or Path
        Any recording.
    max_s : float, optional
        Where ffmpeg decodes: how much of it.

    Yields
    ------
    Path
        Valid inside the block.

    Raises
    ------
    AudioError
        If ffmpeg is needed and not there, or cannot decode it either.
    """
    path = Path(path)
    reader = _reader_of(path)
    if reader is None:
        yield path
        return
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise AudioError(
            f"{path}: this form ({reader}) is decoded by ffmpeg, which is not installed; install "
            "ffmpeg, or export the recording as WAV"
        )
    with tempfile.TemporaryDirectory(prefix="ser-decode-") as folder:
        target = Path(folder) / "decoded.wav"
        _convert(ffmpeg, reader, path, target, max_s)
        yield target


def _convert(ffmpeg: str, reader: str, path: Path, target: Path, max_s: float | None) -> None:
    limit = [] if max_s is None else ["-t", str(max_s)]
    command = [
        *(ffmpeg, "-nostdin", "-v", "error", "-protocol_whitelist", "file"),
        *("-f", reader, *limit, "-i", b"file:" + os.fsencode(path)),
        *("-map", "0:a:0", "-c:a", "pcm_f32le", "-rf64", "auto", "-f", "wav", str(target)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=MAX_FFMPEG_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise AudioError(f"{path}: ffmpeg did not finish within {MAX_FFMPEG_S} s") from error
    if done.returncode or not target.is_file():
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise AudioError(
            f"{path}: cannot be decoded by ffmpeg ({lines[-1][:120]}); it is damaged or holds no "
            "sound"
        )


@contextmanager
def stored_stream(stream: BinaryIO) -> Iterator[Path]:
    """Keep what comes through a pipe in a temporary file, which is deleted after the block.

    Parameters
    ----------
    stream : binary file
        For example `sys.stdin.buffer`; it is read to its end.

    Yields
    ------
    Path
        The file.

    Raises
    ------
    AudioError
        If more comes than any recording has.
    """
    with tempfile.TemporaryDirectory(prefix="ser-stream-") as folder:
        path = Path(folder) / "standard input"
        n_bytes = 0
        with path.open("wb") as file:
            while chunk := stream.read(CHUNK_BYTES):
                n_bytes += len(chunk)
                if n_bytes > MAX_STREAM_BYTES:
                    raise AudioError(
                        f"standard input: more than {MAX_STREAM_BYTES // 2**30} GB; give a file"
                    )
                file.write(chunk)
        yield path
