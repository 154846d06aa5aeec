"""Audio files: decode (libsndfile, or ffmpeg where it must), inspect, and check clips of corpora.

Signals are float32 arrays of shape (n_samples,) in [-1, 1], mono, at the file's own rate unless
another is asked for. Nothing here knows corpora, features or labels.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from ser_lib.audio.signal import check_decoded, cut_signal, mono
from ser_lib.errors import AudioError


@dataclass(frozen=True)
class Header:
    """Format of a file, as its header states it."""

    sample_rate_hz: int
    n_samples: int
    """Of every channel, in the whole recording."""
    n_channels: int
    sample_format: str
    """As libsndfile names it, such as "PCM_16"."""
    container: str
    """Such as "WAV", "FLAC", "OGG", "MP3"."""


class _Sound(soundfile.SoundFile):
    """Read from start to end: soundfile seeks after each read, which fails without a length."""

    def seekable(self) -> bool:
        return False

    @property
    def has_length(self) -> bool:
        """Whether the file states its length; FLAC from a pipe and MP3 without a tag do not.

        That of MP3 in a WAV counts what a decoder leaves out.
        """
        is_counted_in_mp3 = self.format.startswith("WAV") and self.subtype.startswith("MPEG")
        return self.frames < MAX_SAMPLES and not is_counted_in_mp3


class _File(io.FileIO):
    """A file of which some bytes are read as they should be."""

    def __init__(self, path: Path, at: int = 0, patch: bytes = b"") -> None:
        super().__init__(path)
        self._at, self._patch = at, patch

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Stay where a damaged file sends libsndfile to before its start."""
        with suppress(OSError):
            super().seek(offset, whence)
        return self.tell()

    def readinto(self, buffer: Any) -> int | None:
        start, n_bytes = self.tell(), super().readinto(buffer)
        view = memoryview(buffer).cast("B")
        end = min(start + (n_bytes or 0), self._at + len(self._patch))
        for place in range(max(start, self._at), end):
            view[place - start] = self._patch[place - self._at]
        return n_bytes


def _binary(path: Path) -> BinaryIO:
    """Open a file for libsndfile: by its name it would take a `._name` next to it for a part of it.

    Of an MP3 without a tag for its length, libsndfile would guess one from the first frame.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            return _File(path, *_unfilled_size(path))
        if head[:4] == b"caff" and (at := file.read(CHUNK_BYTES).find(b"data" + b"\xff" * 8)) > 0:
            # A recorder was killed, or wrote into a pipe.
            at += len(head) + 4
            return _File(path, at, (path.stat().st_size - at - 8).to_bytes(8, "big"))
        is_tagged = head[:3] == b"ID3"
        start = 10 + sum(n << 7 * place for place, n in enumerate(head[9:5:-1])) if is_tagged else 0
        file.seek(start)
        tag = _endless_tag(file.read(200))
        file.seek(start)
        return io.BytesIO(tag + file.read()) if tag else _File(path)


def _endless_tag(frame: bytes) -> bytes:
    """Return a frame that says an MP3 is endless, like its first; none where one says its length.

    It has 128 or 80 kbit/s, for which its own size is known.
    """
    is_mp3 = len(frame) == 200 and frame[0] == 0xFF and frame[1] & 0xE6 == 0xE2
    if not is_mp3 or any(one in frame for one in (b"Xing", b"Info", b"VBRI")):
        return b""
    version, rate, is_mono = frame[1] >> 3 & 3, frame[2] >> 2 & 3, frame[3] >= 0xC0
    if version == 1 or rate == 3:
        return b""
    n_side = (17 if is_mono else 32) if version == 3 else (9 if is_mono else 17)
    rate_hz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    n_bytes = (144 * 128_000 if version == 3 else 72 * 80_000) // rate_hz
    head = bytes((0xFF, frame[1] | 1, 0x90 | frame[2] & 0x0C, frame[3]))
    return (head + bytes(n_side) + b"Xing\0\0\0\1\x7f\xff\xff\xff").ljust(n_bytes, b"\0")


def _unfilled_size(path: Path) -> tuple[int, bytes]:
    """Return where in a WAV the size of its samples was not filled in, and the size; else no bytes.

    AudioError where there are fewer samples than promised, which libsndfile ignores.
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        # The size of the whole, in this head, is often wrong, and says nothing about the samples.
        file.seek(12)
        while len(chunk := file.read(8)) == 8:
            size, start = int.from_bytes(chunk[4:], "little"), file.tell()
            if chunk[:4] != b"data":
                file.seek(start + size + size % 2)
                continue
            if size == 0 and start < length and not file.read(4).strip().isalnum():
                return start - 4, min(length - start, 2**32 - 1).to_bytes(4, "little")
            # Programs that write into pipes leave about 2 or 4 GB.
            is_placeholder = size >= 2**32 - 4096 or abs(size - 2**31) <= 4096
            if start + size > length + MISCOUNTED_BYTES and not is_placeholder:
                raise AudioError(
                    f"{path}: truncated: its header promises {size} bytes of samples, it holds "
                    f"{length - start}; copy or download it again"
                )
            break
    return 0, b""


def _check_length(path: Path, sound: _Sound) -> None:
    """Raise where libsndfile's notes on a header say that the file is shorter than promised.

    Those on a WAV were read; AIFF has a size of its whole as well, which may be wrong.
    """
    notes = re.findall(r"^ *(?!FORM)[\w ]+: (\d+) \(should be (\d+)\)", sound.extra_info, re.M)
    for promised, held in () if sound.format.startswith("WAV") else notes:
        if MISCOUNTED_BYTES < int(promised) - int(held) and int(promised) < 2**31 - 4096:
            raise AudioError(
                f"{path}: truncated: its header promises {promised} bytes, it holds {held}; "
                "copy or download it again"
            )


@contextmanager
def _opened(path: Path) -> Iterator[_Sound]:
    """Open a recording for reading; whatever is wrong with it, then or later, raises AudioError."""
    if not path.is_file():
        found = "a link to nothing" if path.is_symlink() else "no such file"
        if path.is_symlink() and "/annex/" in os.readlink(path):
            raise AudioError(f"{path}: {NO_RECORDINGS[b'/annex/objects']}")
        if path.is_dir():
            raise AudioError(f"{path}: is a folder; name a recording in it")
        raise AudioError(f"{path}: {found}; if it is a clip of a corpus, check SER_DATA")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: an empty file of 0 bytes; copy or download it again")
    try:
        with _decodable(path) as source, _binary(source) as file, _Sound(file) as sound:
            _check_length(path, sound)
            yield sound
    except OSError as error:
        raise AudioError(
            f"{path}: cannot be read ({error.strerror}); check the file's permissions"
        ) from error
    except (soundfile.LibsndfileError, TypeError) as error:
        raise _undecodable(path, error) from error


def _blocks(path: Path, file: _Sound, n_samples: int) -> Iterator[np.ndarray]:
    """Read to the end; AudioError where it comes before a length that is stated."""
    n_read = 0
    while len(block := file.read(n_samples, dtype="float32", always_2d=True)):
        n_read += len(block)
        yield block
    if n_read < file.frames and file.has_length:
        raise AudioError(
            f"{path}: truncated: {n_read} of {file.frames} samples could be decoded; "
            "copy or download it again"
        )


def decode(path: Path, max_s: float | None = None) -> tuple[np.ndarray, Header]:
    """Decode a recording, or its first `max_s` seconds, to float32 (n_samples, n_channels).

    A file that is missing, empty, truncated or undecodable raises AudioError.
    """
    with _opened(path) as file:
        n_wanted = file.frames
        if max_s is not None:
            n_wanted = min(n_wanted, int(max_s * file.samplerate))
        kept, n_read = [np.empty((0, file.channels), np.float32)], 0
        # At once, unless a header may promise anything.
        n_block = min(n_wanted, 2**28 if file.has_length else BLOCK_SAMPLES)
        for block in _blocks(path, file, max(1, n_block)):
            if n_read < n_wanted:
                kept.append(block)
            n_read += len(block)
            # What has no length is read to its end, to know it.
            if n_read >= n_wanted and file.has_length:
                break
        samples = np.concatenate(kept) if len(kept) > 2 else kept[-1]
        n_samples = file.frames if file.has_length else n_read
        header = Header(file.samplerate, n_samples, file.channels, file.subtype, file.format)
    return samples[:n_wanted], header


def _undecodable(path: Path, error: Exception) -> AudioError:
    with path.open("rb") as file:
        head = file.read(32)
    for beginning, what in NO_RECORDINGS.items():
        if head.startswith(beginning):
            return AudioError(f"{path}: {what}")
    # soundfile asks for a rate and a form where a name ends in .raw: that is no error of its own.
    reason = getattr(error, "error_string", "it has no header that says how").strip()
    return AudioError(
        f"{path}: cannot be decoded ({reason}); it is damaged or no audio file, copy or download "
        "it again"
    )


def load_head(path: str | Path, *, max_s: float | None = None) -> tuple[np.ndarray, int, float]:
    """Decode the first `max_s` seconds; return mono signal, rate in Hz and whole duration in s.

    AudioError as `load_signal`, and where there is no sample.
    """
    samples, header = decode(Path(path), max_s)
    signal = mono(samples)
    check_decoded(path, signal)
    return signal, header.sample_rate_hz, header.n_samples / header.sample_rate_hz


def iter_blocks(path: str | Path, *, block_s: float) -> Iterator[tuple[np.ndarray, int]]:
    """Decode a recording of any length in blocks; yield each as a mono signal with its rate in Hz.

    AudioError as `load_head`.
    """
    path = Path(path)
    with _opened(path) as file:
        rate = file.samplerate
        for block in _blocks(path, file, round(block_s * rate)):
            signal = mono(block)
            check_decoded(path, signal)
            yield signal, rate


# Suffixes by which recordings are found in folders: in those of corpora, and in all others. A file
# that is named is tried whatever its suffix.
CORPUS_SUFFIXES = frozenset({".wav", ".flac", ".opus"})
SUFFIXES = CORPUS_SUFFIXES.union(
    (".wave", ".ogg", ".oga", ".mp3", ".mpga", ".mpeg", ".mp2"),
    (".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".nist"),
    # Decoded by ffmpeg: phones, messengers, browsers.
    (".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".qta", ".aac", ".webm", ".mka", ".mkv"),
    (".amr", ".awb", ".3gp", ".3gpp", ".3ga", ".3g2", ".wma", ".asf"),
)


def is_recording(name: str) -> bool:
    """Whether a file in a folder is taken for a recording, by its name; hidden files are not.

    Macs and phones hide what belongs to a recording (`._a.mp3`) or was deleted.
    """
    return os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")


def is_hidden(path: Path) -> bool:
    """Whether a path below a folder leads into a hidden one, such as `.git` or `.Trash`."""
    return any(one.startswith(".") for one in path.parts)


# Beginnings of files that are found in the place of a recording, and what to do about each.
NO_RECORDINGS = {
    b"version https://git-lfs": "a Git LFS pointer, not the recording; run `git lfs pull`",
    b"/annex/objects": "a git-annex pointer, not the recording; run `git annex get`",
    b"\0\5\x16\7": "what a Mac keeps beside a recording; give the file without '._'",
    b"PK\3\4": "an archive; unpack it first",
    b"<": "a web page or XML, not the recording; download it again",
}

# Beginnings of files that libsndfile does not know: offset, bytes, and ffmpeg's reader. Naming the
# reader keeps ffmpeg from taking a file for a playlist, which could name other files.
FOR_FFMPEG = (
    *((4, name, "mov") for name in (b"ftyp", b"moov", b"mdat", b"wide")),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
    (0, b"#!AMR", "amr"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
)
# Those that hold encodings of which libsndfile knows some: Opus in CAF, G.726 in WAV, Speex in Ogg.
# In a WAV, what is not PCM or float.
CONTAINERS = re.compile(
    rb"(?P<wav>RIFF.{4}WAVEfmt .{4}(?!\x01\0|\x03\0|\xfe\xff).)|(?P<caf>caff)"
    rb"|(?P<ogg>OggS.{24}(?:Speex|\x7fFLAC))",
    re.DOTALL,
)
MAX_FFMPEG_S = 600  # two hours of AAC are decoded in less than a minute
MAX_STREAM_BYTES = 4 * 2**30
BLOCK_SAMPLES = 2**20
MAX_SAMPLES = 2**40  # a year; more is no length
MISCOUNTED_BYTES = 100  # writers count the header as samples too; a few milliseconds
CHUNK_BYTES = 2**20


@contextmanager
def _decodable(path: Path) -> Iterator[Path]:
    """Give a path that libsndfile can decode: the file itself, or a temporary WAV made by ffmpeg.

    AudioError where ffmpeg is needed but not installed, or cannot decode the file either.
    """
    reader = _ffmpeg_reader(path)
    if reader is None:
        yield path
        return
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise AudioError(
            f"{path}: this form ({reader}) is decoded by ffmpeg, which is not installed; install "
            "ffmpeg, or export the recording as PCM WAV"
        )
    with tempfile.TemporaryDirectory(prefix="ser-decode-") as folder:
        target = Path(folder) / "decoded.wav"
        _convert(ffmpeg, reader, path, target)
        yield target


def _ffmpeg_reader(path: Path) -> str | None:
    """Return ffmpeg's reader for a file that libsndfile does not decode; None for others."""
    with path.open("rb") as file:
        head = file.read(40)
    for place, magic, reader in FOR_FFMPEG:
        if head[place:].startswith(magic):
            return reader
    container = CONTAINERS.match(head)
    if container is None:
        return None
    try:
        with _binary(path) as whole, _Sound(whole):
            return None
    except soundfile.LibsndfileError:
        return container.lastgroup


def _convert(ffmpeg: str, reader: str, path: Path, target: Path) -> None:
    # Of a container that ffmpeg is not made for, it must decode all.
    strictly = ["-xerror"] if reader in CONTAINERS.groupindex else []
    command: list[str | bytes] = [
        *(ffmpeg, "-nostdin", "-v", "error", *strictly, "-protocol_whitelist", "file"),
        *("-f", reader, "-i"),
        b"file:" + os.fsencode(path),
        *("-map", "0:a:0", "-c:a", "pcm_f32le", "-rf64", "auto", "-f", "wav", str(target)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=MAX_FFMPEG_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise AudioError(f"{path}: ffmpeg did not finish within {MAX_FFMPEG_S} s") from error
    if done.returncode or not target.is_file():
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        reason = re.sub(r"^\[[^]]* @ 0x\w+\] ", "", lines[0])  # another address in each run
        raise AudioError(
            f"{path}: cannot be decoded by ffmpeg ({reason[:120]}); it is damaged or holds no sound"
        )


@contextmanager
def stored_stream(stream: BinaryIO) -> Iterator[Path]:
    """Store what comes through a pipe in a temporary file, which is deleted after the block."""
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


@dataclass(frozen=True)
class ClipFacts:
    """Properties of a recording that decoding it shows."""

    duration_s: float
    sample_rate_hz: int
    n_channels: int
    sample_format: str
    peak_db: float
    """Level of the largest sample relative to full scale; minus infinity for silence."""
    is_finite: bool
    audio_sha256: str
    """Hash of rate and decoded samples: the same for the same sound in another container."""


@dataclass(frozen=True)
class Recording:
    """A decoded recording with the properties of its file."""

    facts: ClipFacts
    container: str
    """Such as "WAV", "FLAC", "OGG", "MP3"."""
    signal: np.ndarray
    """Mono, float32, shape (n_samples,), at the file's own rate; not finite where the file is."""


def load_signal(
    path: str | Path,
    *,
    sample_rate_hz: int | None = None,
    offset_s: float = 0.0,
    duration_s: float | None = None,
) -> tuple[np.ndarray, int]:
    """Decode a recording, mix it to mono, resample it and cut out a part.

    Parameters
    ----------
    path : str or Path
        WAV, FLAC, Ogg or whatever else libsndfile decodes.
    sample_rate_hz : int, optional
        Rate to resample to (soxr, high quality); None keeps the file's own.
    offset_s, duration_s : float
        Start and length of the part; None takes all, and a shorter rest is returned as it is.

    Returns
    -------
    signal : ndarray of float32, shape (n_samples,)
        As decoded: no gain is applied.
    sample_rate_hz : int

    Raises
    ------
    AudioError
        If the file is missing, empty, truncated, undecodable, or holds samples that are not finite.
    """
    signal, native_hz, _ = load_head(path)
    signal = cut_signal(
        signal, native_hz, to_hz=sample_rate_hz, offset_s=offset_s, duration_s=duration_s
    )
    return signal, sample_rate_hz or native_hz


def read_facts(path: str | Path) -> ClipFacts:
    """Decode a recording once and return its properties.

    The hash is taken over the sample rate and the mono mix rounded to 16 bits, so that lossless
    containers of 16-bit audio, and stereo files with twice the same channel, agree.

    Raises
    ------
    AudioError
        If the file is missing, empty, truncated or undecodable.
    """
    return read_recording(path).facts


def read_recording(path: str | Path, start_s: float = 0.0, end_s: float = np.inf) -> Recording:
    """Decode a recording, or its part, once for both its facts and its signal."""
    samples, header = decode(Path(path), end_s if np.isfinite(end_s) else None)
    sample_rate_hz = header.sample_rate_hz
    if start_s and start_s * sample_rate_hz >= len(samples):
        raise AudioError(
            f"{path}: a segment from {start_s:g} s on lies outside; give its times in s"
        )
    signal = mono(samples[round(start_s * sample_rate_hz) :])
    is_finite = bool(np.isfinite(signal).all())
    peak = float(np.abs(signal).max(initial=0.0)) if is_finite else 0.0
    rounded = np.round(np.nan_to_num(signal) * 32768.0).clip(-32768, 32767).astype("<i2")
    digest = hashlib.sha256(f"{sample_rate_hz} Hz".encode())
    digest.update(rounded.tobytes())
    facts = ClipFacts(
        duration_s=len(signal) / sample_rate_hz,
        sample_rate_hz=sample_rate_hz,
        n_channels=header.n_channels,
        sample_format=header.sample_format,
        peak_db=20.0 * float(np.log10(peak)) if peak > 0 else -np.inf,
        is_finite=is_finite,
        audio_sha256=digest.hexdigest(),
    )
    return Recording(facts, header.container, signal)


# What is accepted as a clip of a corpus; outside of these limits a file is suspect.
MIN_SAMPLE_RATE_HZ = 16_000  # features reach up to 8 kHz, which a lower rate cannot hold
MAX_CHANNELS = 2  # speech corpora are mono, or stereo with the same voice on both sides
MIN_DURATION_S, MAX_DURATION_S = 0.2, 60.0  # the longest clip of the corpora is under 35 s
MIN_PEAK_DB = -60.0  # below it a 16-bit recording is practically silent


def check_facts(facts: ClipFacts) -> list[str]:
    """List what is wrong with a clip of a corpus: one phrase a problem, with value and remedy."""
    rate, duration = facts.sample_rate_hz, facts.duration_s
    rules = (
        (not facts.is_finite, "holds NaN or infinite samples; export it again"),
        (
            facts.is_finite and duration > 0 and facts.peak_db < MIN_PEAK_DB,
            f"silent (peak {facts.peak_db:.0f} dB re full scale); remove or replace it",
        ),
        (
            rate < MIN_SAMPLE_RATE_HZ,
            f"{rate} Hz, below {MIN_SAMPLE_RATE_HZ} Hz; get the original recording",
        ),
        (
            facts.sample_format in ("PCM_U8", "PCM_S8", "ULAW", "ALAW"),
            f"8-bit samples ({facts.sample_format}); get the original recording",
        ),
        (
            facts.n_channels > MAX_CHANNELS,
            f"{facts.n_channels} channels, more than {MAX_CHANNELS}; mix it to mono first",
        ),
        (
            duration < MIN_DURATION_S,
            f"{duration:.2f} s, too short to hold speech; remove or replace it",
        ),
        (
            duration > MAX_DURATION_S,
            f"{duration:.0f} s, longer than {MAX_DURATION_S:.0f} s; cut it into clips",
        ),
    )
    return [phrase for is_broken, phrase in rules if is_broken]
