"""What libsndfile does not decode, by PyAV, whose wheels bring the codecs of FFmpeg.

Samples are taken as they are decoded: FFmpeg's own resampler mixes integers and floats to mono at
different levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ser_lib.errors import AudioError

if TYPE_CHECKING:
    from av import AudioFrame

# The first of the modes in which a frame of AMR is a pause, of which FFmpeg makes an error: it is
# silence, or all that follows would be early.
PAUSES = {"amrnb": 8, "amrwb": 9}
PAUSE_S = 0.02
# What may be missing between two frames and is silence, such as what a browser did not send; below
# it are times that were rounded, above it clocks that were set.
MIN_GAP_S, MAX_GAP_S = 0.05, 60.0
MAX_RATE_HZ = 768_000  # of sound that somebody has; a header may promise anything


class Stream:
    """The first sound of a file, read from start to end as `soundfile.SoundFile` is.

    Parameters
    ----------
    path : Path
        Named in errors.
    file : BinaryIO
        Read, and left open.
    reader : str
        FFmpeg's name of the container.

    Raises
    ------
    AudioError
        Here and by `read`, where it is damaged, truncated, or no sound.
    """

    frames = 2**62  # no length is stated that could be relied on
    has_length = False

    def __init__(self, path: Path, file: BinaryIO, reader: str) -> None:
        import av  # loads all codecs, which few recordings need

        self._path, self._failures = path, (av.FFmpegError, EOFError)
        try:
            self._container = av.open(file, "r", format=reader, metadata_errors="replace")
        except self._failures as error:
            raise AudioError(
                f"{path}: cannot be decoded ({getattr(error, 'strerror', error)}); it is damaged "
                "or holds no sound, copy or download it again"
            ) from error
        sounds = self._container.streams.audio
        if not sounds or sounds[0].codec_context is None:
            raise AudioError(
                f"{path}: holds no sound that can be decoded; export it as WAV or FLAC"
            )
        self._sound = sounds[0]
        codec = self._sound.codec_context
        self.format, self.subtype = reader.upper(), codec.name.upper()
        self.samplerate, self.channels = codec.sample_rate, codec.channels
        head = codec.extradata or b""
        is_webm = reader == "matroska" and head.startswith(b"OpusHead")
        self._n_delay = int.from_bytes(head[10:12], "little") if is_webm else 0
        self._arrays = self._trimmed() if reader == "mov" else self._decoded()
        # What the codec gives, only a frame tells.
        first = next(self._arrays, None)
        if first is None:
            raise AudioError(f"{path}: holds no samples; export it again")
        self._left = first

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the codec; the file stays open."""
        self._container.close()

    def read(self, n_samples: int, **_: object) -> np.ndarray:
        """Return the next samples, float32 of shape (n_samples, n_channels); fewer at the end."""
        parts, n_read = [self._left], len(self._left)
        while n_read < n_samples and (part := next(self._arrays, None)) is not None:
            parts.append(part)
            n_read += len(part)
        whole: np.ndarray = np.concatenate(parts)
        self._left = whole[n_samples:]
        return whole[:n_samples]

    def _trimmed(self) -> Iterator[np.ndarray]:
        """Leave out with what the last frame is filled up, where the length is stated."""
        last, n_decoded = None, 0
        for samples in self._decoded():
            if last is not None:
                yield last
            last, n_decoded = samples, n_decoded + len(samples)
        if last is not None:
            stated_s = (self._sound.duration or 0) * (self._sound.time_base or 0)
            n_filled = n_decoded - round(stated_s * self.samplerate)
            yield last[:-n_filled] if 0 < n_filled < len(last) else last

    def _decoded(self) -> Iterator[np.ndarray]:
        """Give what is decoded, and zeros for what was not sent."""
        n_given, origin = 0, None
        try:
            for start_s, rate, samples in self._frames():
                form = rate, samples.shape[1]
                if n_given == 0:
                    self.samplerate, self.channels = form
                elif form != (self.samplerate, self.channels):
                    raise AudioError(
                        f"{self._path}: changes at {n_given / self.samplerate:.1f} s from "
                        f"{self.samplerate} Hz and {self.channels} channels to {form[0]} and "
                        f"{form[1]}; split it there"
                    )
                start = round(start_s * rate) - n_given
                n_missing = 0 if origin is None else start - origin
                if origin is None or abs(n_missing) > MAX_GAP_S * min(rate, MAX_RATE_HZ):
                    origin = start
                elif n_missing > MIN_GAP_S * rate:
                    n_given += n_missing
                    yield np.zeros((n_missing, self.channels), np.float32)
                n_given += len(samples)
                yield samples
        except self._failures as error:
            raise AudioError(
                f"{self._path}: truncated or damaged: {n_given / (self.samplerate or 1):.1f} s of "
                "it could be decoded; copy or download it again"
            ) from error

    def _frames(self) -> Iterator[tuple[float, int, np.ndarray]]:
        """Give start in s, rate in Hz and samples of each frame."""
        first_pause = PAUSES.get(self._sound.codec_context.name)
        failure, is_begun, sent_s = None, False, 0.0
        for packet in self._container.demux(self._sound):
            if first_pause and packet.size and bytes(packet)[0] >> 3 & 15 >= first_pause:
                n_samples = round(PAUSE_S * self.samplerate)
                start_s = float((packet.pts or 0) * packet.time_base)
                yield start_s, self.samplerate, np.zeros((n_samples, self.channels), np.float32)
                continue
            try:
                frames = packet.decode()
            except self._failures as error:
                if is_begun:
                    raise
                failure = error  # it may be the beginning of what somebody tuned into
                continue
            sent_s += float((packet.duration or 0) * packet.time_base)
            for frame in frames:
                samples = _as_floats(frame)
                if self._n_delay and not is_begun:
                    # FFmpeg 8 counts the delay of Opus in WebM at the rate before encoding.
                    n_skipped = round(sent_s * frame.sample_rate) - len(samples)
                    samples = samples[max(0, self._n_delay - n_skipped) :]
                is_begun = True
                yield frame.time or 0.0, frame.sample_rate, samples
            if packet.is_corrupt:
                raise EOFError
        if failure and not is_begun:
            raise failure


def _as_floats(frame: AudioFrame) -> np.ndarray:
    """Return a frame as float32 in [-1, 1], shape (n_samples, n_channels)."""
    from av.audio.plane import AudioPlane

    n_channels, name = len(frame.layout.channels), frame.format.name
    # `to_ndarray` counts planes until one is missing, and crashes from 8 channels on.
    is_planar = frame.format.is_planar
    planes = [AudioPlane(frame, n) for n in range(n_channels if is_planar else 1)]
    kind = {"s": "i", "d": "f"}.get(name[0], name[0])
    n_values = frame.samples * (1 if is_planar else n_channels)
    form = np.dtype(f"{kind}{frame.format.bytes}")
    samples = np.array([np.frombuffer(memoryview(one), form, n_values) for one in planes])
    samples = samples.T if is_planar else samples.reshape(-1, n_channels)
    if form.kind == "f":
        return samples.astype(np.float32)
    middle = 128 if form.kind == "u" else 0
    full_scale = 2 ** (8 * form.itemsize - 1)
    return (samples.astype(np.float32) - middle) / np.float32(full_scale)
