"""Audio files: decode (libsndfile, or PyAV where it must), inspect, and check clips of corpora.

Signals are float32 arrays of shape (n_samples,) in [-1, 1], mono, at the file's own rate unless
another is asked for. Nothing here knows corpora, features or labels.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from ser_lib.audio.containers import MISCOUNTED_BYTES, Structure, read_structure
from ser_lib.audio.pyav import Stream
from ser_lib.audio.signal import check_decoded, cut_signal, mono
from ser_lib.errors import AudioError
from ser_lib.storage import fetched

MAX_SAMPLES = 2**40  # a year; more is no length


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


def _binary(path: Path, found: Structure) -> BinaryIO:
    """Open a file for libsndfile: by its name it would take a `._name` next to it for a part of it.

    Of an MP3 without a tag for its length, libsndfile would guess one from the first frame.
    """
    if not found.tag:
        return io.BufferedReader(_File(path, found.at, found.patch))
    with path.open("rb") as file:
        file.seek(found.at)
        return io.BytesIO(found.tag + file.read())


def _check_length(path: Path, sound: _Sound) -> None:
    """Raise where libsndfile's notes on a header say that the file is shorter than promised.

    Those on a WAV were read; AIFF has a size of its whole as well, which may be wrong. sox writes
    2**31 less 2**24 into a pipe.
    """
    notes = re.findall(r"^ *(?!FORM)[\w ]+: (\d+) \(should be (\d+)\)", sound.extra_info, re.M)
    for promised, held in () if sound.format.startswith("WAV") else notes:
        if MISCOUNTED_BYTES < int(promised) - int(held) and int(promised) < 0x7F000000:
            raise AudioError(
                f"{path}: truncated: its header promises {promised} bytes, it holds {held}; "
                "copy or download it again"
            )


@contextmanager
def _opened(path: str | Path) -> Iterator[_Sound | Stream | _Chain]:
    """Open a recording, of an address as well; whatever is wrong with it raises AudioError."""
    with fetched(path) as file:
        try:
            with _opened_here(file) as sound:
                yield sound
        except AudioError as error:
            raise AudioError(str(error).replace(str(file), str(path))) from error


@contextmanager
def _opened_here(path: Path) -> Iterator[_Sound | Stream | _Chain]:
    if not path.is_file():
        what = "a link to nothing" if path.is_symlink() else "no such file"
        if path.is_symlink() and "/annex/" in os.readlink(path):
            raise AudioError(f"{path}: {NO_RECORDINGS[b'/annex/objects']}")
        if path.is_dir():
            raise AudioError(f"{path}: is a folder; name a recording in it")
        raise AudioError(f"{path}: {what}; if it is a clip of a corpus, check SER_DATA")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: an empty file of 0 bytes; copy or download it again")
    try:
        with path.open("rb") as head:
            found = read_structure(head, length := path.stat().st_size)
        if found.end > length:
            raise AudioError(
                f"{path}: truncated: it should have {found.end} bytes and has {length}; copy "
                "or download it again"
            )
        open_sound = _Chain if found.links else _sound_of
        with _binary(path, found) as file, open_sound(path, file, found) as sound:
            yield sound
    except OSError as error:
        raise AudioError(
            f"{path}: cannot be read ({error.strerror}); check the file's permissions"
        ) from error
    except (soundfile.LibsndfileError, TypeError) as error:
        raise _undecodable(path, error) from error


class _Chain(AbstractContextManager):
    """The recordings in a chained Ogg, one after the other.

    libsndfile reads the first; FFmpeg loses all but the first packets of others in Opus.
    """

    frames, has_length = MAX_SAMPLES, False

    def __init__(self, path: Path, file: BinaryIO, found: Structure) -> None:
        self._sounds: list[_Sound | Stream] = []
        for start, end in pairwise((*found.links, found.end)):
            file.seek(start)
            link = io.BytesIO(file.read(end - start))
            self._sounds.append(_sound_of(path, link, found))
        forms = {(one.samplerate, one.channels) for one in self._sounds}
        if len(forms) > 1:
            raise AudioError(
                f"{path}: {len(self._sounds)} recordings, whose rates and numbers of channels "
                f"differ ({', '.join(map(str, sorted(forms)))}); split it"
            )
        ((self.samplerate, self.channels),) = forms
        self.format, self.subtype = self._sounds[0].format, self._sounds[0].subtype

    def __exit__(self, *_: object) -> None:
        for sound in self._sounds:
            sound.close()

    def read(self, n_samples: int, **form: Any) -> np.ndarray:
        """Return the next samples, fewer at the end of each recording."""
        blocks = (one.read(n_samples, **form) for one in self._sounds)
        return next((one for one in blocks if len(one)), np.empty((0, self.channels), np.float32))


def _sound_of(path: Path, file: BinaryIO, found: Structure) -> _Sound | Stream:
    """Open a file with libsndfile, or with PyAV where that cannot decode it."""
    if not found.reader:
        try:
            sound = _Sound(file)
            _check_length(path, sound)
            return sound
        except soundfile.LibsndfileError:
            if not found.spare_reader:
                raise
            file.seek(0)
    return Stream(path, file, found.reader or found.spare_reader)


def _blocks(
    path: str | Path, file: _Sound | Stream | _Chain, n_samples: int
) -> Iterator[np.ndarray]:
    """Read to the end; AudioError where it comes before a length that is stated."""
    n_read = 0
    # No further than to a stated end: behind it may be a tag, at which libsndfile fails.
    n_left = file.frames if file.has_length else MAX_SAMPLES
    while len(block := file.read(min(n_samples, n_left), dtype="float32", always_2d=True)):
        n_read += len(block)
        n_left -= len(block)
        yield block
    if n_read < file.frames and file.has_length:
        raise AudioError(
            f"{path}: truncated: {n_read} of {file.frames} samples could be decoded; "
            "copy or download it again"
        )


def decode(path: str | Path, max_s: float | None = None) -> tuple[np.ndarray, Header]:
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
        head = file.read(1024)
    for beginning, what in NO_RECORDINGS.items():
        if re.match(beginning, head, re.DOTALL):
            return AudioError(f"{path}: {what}")
    # soundfile asks for a rate and a form where a name ends in .raw: that is no error of its own.
    reason = getattr(error, "error_string", "it has no header that says how").strip()
    if "flac decoder" in reason:
        return AudioError(f"{path}: truncated or damaged ({reason}); copy or download it again")
    return AudioError(
        f"{path}: cannot be decoded ({reason}); it is damaged, no audio file, or of a rare kind: "
        "copy or download it again, or export it as WAV or FLAC"
    )


def load_head(path: str | Path, *, max_s: float | None = None) -> tuple[np.ndarray, int, float]:
    """Decode the first `max_s` seconds; return mono signal, rate in Hz and whole duration in s.

    AudioError as `load_signal`, and where there is no sample.
    """
    samples, header = decode(path, max_s)
    signal = mono(samples)
    check_decoded(path, signal)
    return signal, header.sample_rate_hz, header.n_samples / header.sample_rate_hz


def iter_blocks(path: str | Path, *, block_s: float) -> Iterator[tuple[np.ndarray, int]]:
    """Decode a recording of any length in blocks; yield each as a mono signal with its rate in Hz.

    AudioError as `load_head`.
    """
    with _opened(path) as file:
        rate = file.samplerate
        for block in _blocks(path, file, round(block_s * rate)):
            signal = mono(block)
            check_decoded(path, signal)
            yield signal, rate


# Suffixes by which recordings are found, in folders of every command and in the app. A file that is
# named is tried whatever its suffix.
SUFFIXES = frozenset(
    ".wav .wave .bwf .rf64 .w64 .flac .aiff .aif .aifc .au .snd .caf .sph .nist "
    ".opus .ogg .oga .spx .mp3 .mpga .mpeg .mp2 "
    # Decoded by PyAV: phones, messengers, browsers, and the sound of videos.
    ".m4a .m4b .mp4 .m4v .mov .qta .aac .latm .loas .webm .weba .mka .mkv .amr .awb .3gp .3gpp "
    ".3ga .3g2 .wma .asf .wmv .ts .mts .m2ts .avi".split()
)
# Those in which corpora are published: where there are some, what else lies there are copies.
PUBLISHED_SUFFIXES = frozenset({".wav", ".flac", ".opus"})


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
    rb"NIST_1A.*-shorten": "compressed by shorten; run `sph2pipe -p -f wav FILE FILE.wav`",
    b"version https://git-lfs": "a Git LFS pointer, not the recording; run `git lfs pull`",
    b"/annex/objects": "a git-annex pointer, not the recording; run `git annex get`",
    b"\0\5\x16\7": "what a Mac keeps beside a recording; give the file without '._'",
    b"PK\3\4": "an archive; unpack it first",
    b"<": "a web page or XML, not the recording; download it again",
}

MAX_STREAM_BYTES = 4 * 2**30
BLOCK_SAMPLES = 2**20
CHUNK_BYTES = 2**20


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


@dataclass(frozen=True, slots=True)
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
    samples, header = decode(path, end_s if np.isfinite(end_s) else None)
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
            f"{rate} Hz, below {MIN_SAMPLE_RATE_HZ} Hz; get the original recording, or leave it "
            "out (--no-strict)",
        ),
        (
            facts.sample_format in ("PCM_U8", "PCM_S8", "ULAW", "ALAW"),
            f"8-bit samples ({facts.sample_format}); get the original recording, or leave it out "
            "(--no-strict)",
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
