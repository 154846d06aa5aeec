"""Decoding: from a file to samples, whole, its beginning, or block by block.

What is wrong with a file is said with the file's name and the remedy. Mixing, resampling and
cutting are `ser_lib.audio`'s.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from ser_lib.errors import AudioError

__all__ = ["Header", "decode", "iter_blocks", "load_head", "mono"]


@dataclass(frozen=True)
class Header:
    """What a file says about its samples."""

    sample_rate_hz: int
    n_samples: int
    """Of every channel, in the whole recording."""
    n_channels: int
    sample_format: str
    """As libsndfile names it, such as "PCM_16"."""
    container: str
    """Such as "WAV", "FLAC", "OGG", "MP3"."""


def _check_riff_length(path: Path) -> None:
    """Raise where a WAV header promises more bytes than the file has (libsndfile forgives that)."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise AudioError(
            f"{path}: cannot be read ({error.strerror}); check the file's permissions"
        ) from error
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return
    (promised,) = struct.unpack("<I", head[4:8])
    # Streaming writers leave 0 or the largest number here; both promise nothing.
    if promised in (0, 0xFFFFFFFF):
        return
    held = path.stat().st_size - 8
    # An odd last chunk may lack its padding byte.
    if held + 1 < promised:
        raise AudioError(
            f"{path}: truncated: its header promises {promised} bytes, it holds {held}; "
            "copy or download it again"
        )


def decode(path: Path, max_s: float | None = None) -> tuple[np.ndarray, Header]:
    """Decode a recording, or its beginning, as it is.

    Parameters
    ----------
    path : Path
        WAV, FLAC, Ogg or whatever else libsndfile decodes.
    max_s : float, optional
        How much is decoded, in seconds; None takes all.

    Returns
    -------
    samples : ndarray of float32, shape (n_samples, n_channels)
    header : Header

    Raises
    ------
    AudioError
        If the file is missing, empty, truncated or undecodable.
    """
    _check_file(path)
    try:
        # As bytes: a name need not be UTF-8.
        with soundfile.SoundFile(os.fsencode(path)) as file:
            header = Header(file.samplerate, file.frames, file.channels, file.subtype, file.format)
            n_wanted = header.n_samples
            if max_s is not None:
                n_wanted = min(n_wanted, int(max_s * header.sample_rate_hz))
            samples = file.read(n_wanted, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, TypeError) as error:
        raise _undecodable(path, error) from error
    if len(samples) < n_wanted:
        raise AudioError(
            f"{path}: truncated: {len(samples)} of {n_wanted} samples could be decoded; "
            "copy or download it again"
        )
    return samples, header


def mono(samples: np.ndarray) -> np.ndarray:
    """Average the channels of samples of shape (n_samples, n_channels); one is taken as it is."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)


def _undecodable(path: Path, error: Exception) -> AudioError:
    # soundfile asks for a rate and a form where a name ends in .raw: that is no error of its own.
    reason = getattr(error, "error_string", "it has no header that says how").strip()
    return AudioError(
        f"{path}: cannot be decoded ({reason}); it is damaged or no audio file, copy or download "
        "it again"
    )


def _check_file(path: Path) -> None:
    """Raise where there is no file, or less of it than it says."""
    if not path.is_file():
        raise AudioError(f"{path}: no such file; if it is a clip of a corpus, check SER_DATA")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: an empty file of 0 bytes; copy or download it again")
    _check_riff_length(path)


def load_head(path: str | Path, *, max_s: float) -> tuple[np.ndarray, int, float]:
    """Decode the beginning of a recording and mix it to mono, whatever its length.

    Parameters
    ----------
    path : str or Path
        As for `decode`.
    max_s : float
        How much is decoded, in seconds.

    Returns
    -------
    signal : ndarray of float32, shape (n_samples,)
        Mono, at the file's own rate: what `ser_lib.audio.load_signal` gives, or its beginning.
    sample_rate_hz : int
        Its rate.
    duration_s : float
        Of the whole recording.

    Raises
    ------
    AudioError
        As `decode`; and if samples are not finite, or there are none.
    """
    samples, header = decode(Path(path), max_s)
    signal = mono(samples)
    _check_samples(path, signal)
    return signal, header.sample_rate_hz, header.n_samples / header.sample_rate_hz


def _check_samples(path: str | Path, signal: np.ndarray) -> None:
    if len(signal) == 0:
        raise AudioError(f"{path}: holds no samples; export it again")
    if not np.isfinite(signal).all():
        raise AudioError(f"{path}: holds NaN or infinite samples; export it again")


def iter_blocks(path: str | Path, *, block_s: float) -> Iterator[tuple[np.ndarray, int]]:
    """Decode a recording of any length block by block, each mixed to mono.

    Parameters
    ----------
    path : str or Path
        As for `decode`.
    block_s : float
        Length of a block in seconds; the last one is shorter.

    Yields
    ------
    signal : ndarray of float32, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate, the file's own.

    Raises
    ------
    AudioError
        As `load_head`.
    """
    path = Path(path)
    _check_file(path)
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            rate = file.samplerate
            for block in file.blocks(round(block_s * rate), dtype="float32", always_2d=True):
                signal = mono(block)
                _check_samples(path, signal)
                yield signal, rate
    except (soundfile.LibsndfileError, TypeError) as error:
        raise _undecodable(path, error) from error
