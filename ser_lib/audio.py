"""Recordings: decode, check, mix to mono, resample, crop or pad.

A signal is a float32 array of shape (n_samples,) in [-1, 1], mono. This module is the only caller
of soundfile and soxr. It does not know corpora, features or labels.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ser_lib.decoding import decode, mono
from ser_lib.errors import AudioError

__all__ = [
    "ClipFacts",
    "Limits",
    "Recording",
    "check_facts",
    "checked_mono",
    "crop_or_pad",
    "cut_signal",
    "load_signal",
    "read_facts",
    "read_recording",
    "recode",
    "resample",
]


@dataclass(frozen=True)
class Limits:
    """What a clip of a corpus may look like; outside of it, something is wrong with the file."""

    min_sample_rate_hz: int = 16_000
    """Features reach up to 8 kHz, which a lower rate cannot hold."""
    max_channels: int = 2
    """Speech corpora are mono, or stereo with the same voice on both sides."""
    min_duration_s: float = 0.2
    max_duration_s: float = 60.0
    """The longest clip of the supported corpora is under 35 s (IEMOCAP)."""
    min_peak_db: float = -60.0
    """Below it there is nothing to hear in a 16-bit recording."""


@dataclass(frozen=True)
class ClipFacts:
    """What decoding one recording tells about it."""

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
    """A decoded recording with all that is known about its file."""

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
    offset_s : float
        Where the part begins, in seconds.
    duration_s : float, optional
        Length of the part; a shorter rest is returned as it is. None takes all.

    Returns
    -------
    signal : ndarray of float32, shape (n_samples,)
        Mono, as decoded: no gain is applied.
    sample_rate_hz : int
        Its rate.

    Raises
    ------
    AudioError
        If the file is missing, empty, truncated, undecodable, or holds samples that are not finite.

    Notes
    -----
    Notebook: 01_eda.ipynb
    """
    samples, header = decode(Path(path))
    signal, native_hz = mono(samples), header.sample_rate_hz
    if not np.isfinite(signal).all():
        raise AudioError(f"{path}: holds NaN or infinite samples; export it again")
    signal = cut_signal(
        signal, native_hz, to_hz=sample_rate_hz, offset_s=offset_s, duration_s=duration_s
    )
    return signal, sample_rate_hz or native_hz


def cut_signal(
    signal: np.ndarray,
    from_hz: int,
    *,
    to_hz: int | None = None,
    offset_s: float = 0.0,
    duration_s: float | None = None,
) -> np.ndarray:
    """Resample a signal and cut out a part: what `load_signal` does after decoding.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    from_hz : int
        Its rate.
    to_hz : int, optional
        Rate to resample to; None keeps it.
    offset_s : float
        Where the part begins, in seconds.
    duration_s : float, optional
        Length of the part; a shorter rest is returned as it is. None takes all.

    Returns
    -------
    ndarray, shape (n_samples of the part,)
        Empty where the signal ends before the part begins.
    """
    rate = from_hz if to_hz is None else to_hz
    signal = resample(signal, from_hz, rate)
    start = round(offset_s * rate)
    stop = None if duration_s is None else start + round(duration_s * rate)
    return signal[start:stop]


def resample(signal: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Resample a mono signal with soxr at high quality; the same rate returns it unchanged."""
    if from_hz == to_hz:
        return signal
    return soxr.resample(signal, from_hz, to_hz, quality="HQ").astype(np.float32, copy=False)


def crop_or_pad(signal: np.ndarray, n_samples: int) -> np.ndarray:
    """Cut a signal's end off, or add zeros to it, so that it has `n_samples` samples.

    Examples
    --------
    >>> crop_or_pad(np.array([1.0, 2.0, 3.0]), 5)
    array([1., 2., 3., 0., 0.])
    """
    if len(signal) >= n_samples:
        return signal[:n_samples]
    return np.pad(signal, (0, n_samples - len(signal)))


def read_facts(path: str | Path) -> ClipFacts:
    """Decode a recording once and return what is to be known about it.

    The hash is taken over the sample rate and the mono mix rounded to 16 bits, because lossless
    containers of 16-bit audio, and stereo files with twice the same channel, then agree.

    Raises
    ------
    AudioError
        If the file is missing, empty, truncated or undecodable.

    Notes
    -----
    Notebook: 01_eda.ipynb
    """
    return read_recording(path).facts


def read_recording(path: str | Path) -> Recording:
    """Decode a recording once for both its facts and its signal.

    Raises
    ------
    AudioError
        As `read_facts`.
    """
    samples, header = decode(Path(path))
    signal, sample_rate_hz = mono(samples), header.sample_rate_hz
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


def recode(
    signal: np.ndarray, sample_rate_hz: int, *, container: str, sample_format: str
) -> tuple[np.ndarray, int]:
    """Write a signal in a format, in memory, and read it back: what a lossy copy sounds like.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate; Opus takes 8, 12, 16, 24 or 48 kHz only.
    container, sample_format : str
        As libsndfile names them, for example "MP3" and "MPEG_LAYER_III", "OGG" and "OPUS".

    Returns
    -------
    signal : ndarray of float32, shape (about n_samples,)
        As decoded; codecs may add a few milliseconds.
    sample_rate_hz : int
        Its rate.

    Raises
    ------
    AudioError
        If libsndfile cannot write this rate in this format.
    """
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, signal, sample_rate_hz, format=container, subtype=sample_format)
    except (soundfile.LibsndfileError, ValueError) as error:
        raise AudioError(
            f"{sample_rate_hz} Hz cannot be written as {container}/{sample_format}: {error}"
        ) from error
    buffer.seek(0)
    return soundfile.read(buffer, dtype="float32")


def check_facts(facts: ClipFacts, *, limits: Limits = Limits()) -> list[str]:
    """Say what is wrong with a clip, if anything.

    Parameters
    ----------
    facts : ClipFacts
        From `read_facts`.
    limits : Limits
        What is allowed.

    Returns
    -------
    list of str
        One phrase a problem, with value and remedy; empty for a sound clip.
    """
    rate, duration = facts.sample_rate_hz, facts.duration_s
    rules = (
        (not facts.is_finite, "holds NaN or infinite samples; export it again"),
        (
            facts.is_finite and duration > 0 and facts.peak_db < limits.min_peak_db,
            f"silent (peak {facts.peak_db:.0f} dB re full scale); remove or replace it",
        ),
        (
            rate < limits.min_sample_rate_hz,
            f"{rate} Hz, below {limits.min_sample_rate_hz} Hz; get the original recording",
        ),
        (
            facts.sample_format in ("PCM_U8", "PCM_S8", "ULAW", "ALAW"),
            f"8-bit samples ({facts.sample_format}); get the original recording",
        ),
        (
            facts.n_channels > limits.max_channels,
            f"{facts.n_channels} channels, more than {limits.max_channels}; mix it to mono first",
        ),
        (
            duration < limits.min_duration_s,
            f"{duration:.2f} s, too short to hold speech; remove or replace it",
        ),
        (
            duration > limits.max_duration_s,
            f"{duration:.0f} s, longer than {limits.max_duration_s:.0f} s; cut it into clips",
        ),
    )
    return [phrase for is_broken, phrase in rules if is_broken]


def checked_mono(signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return a signal of anybody's as float32 mono, or say why there is nothing to hear in it.

    Parameters
    ----------
    signal : ndarray of float, shape (n_samples,) or (n_samples, n_channels)
        In [-1, 1].
    sample_rate_hz : int
        Its rate.

    Returns
    -------
    ndarray of float32, shape (n_samples,)

    Raises
    ------
    AudioError
        If it is empty, silent, not finite or of another shape, or if no recording has such a rate.

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    if not 1000 <= sample_rate_hz <= 768_000:
        raise AudioError(f"{sample_rate_hz} Hz is no sample rate of a recording of speech")
    if signal.ndim == 2 and signal.shape[0] >= signal.shape[1]:
        signal = mono(signal)
    if signal.ndim != 1 or not np.issubdtype(signal.dtype, np.floating):
        raise AudioError(
            f"a signal is floats of shape (n_samples,) or (n_samples, n_channels), not "
            f"{signal.dtype} of shape {signal.shape}"
        )
    if len(signal) == 0:
        raise AudioError("holds no samples")
    if not np.isfinite(signal).all():
        raise AudioError("holds NaN or infinite samples; export it again")
    if not signal.any():
        raise AudioError("all samples are zero; was the microphone on?")
    return np.ascontiguousarray(signal, dtype=np.float32)
