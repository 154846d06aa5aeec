"""Degraded test signals: noise, rooms, codecs, narrow bands, clipping, each at a stated strength.

A corruption takes (signal, sample_rate_hz, rng) and its parameters, and returns a float32 signal of
the same length; `corrupt` applies one that a `Condition` names.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile

from ser_lib.audio.signal import crop_or_pad
from ser_lib.errors import AudioError, FeatureError

# libsndfile's names of format and coding, and the bit rates in kbit/s at its compression levels 1
# and 0, for mono at 16 to 24 kHz.
CODECS = {
    "mp3": ("MP3", "MPEG_LAYER_III", 8.0, 160.0),
    "opus": ("OGG", "OPUS", 6.0, 256.0),
}


def through_codec(
    signal: np.ndarray, sample_rate_hz: int, *, codec: str, bitrate_kbps: float
) -> tuple[np.ndarray, float]:
    """Encode a mono signal with "mp3" or "opus" in memory at a bit rate, and decode it again.

    Returns the signal, in which a codec's delay is left, and the bit rate in kbit/s of the encoded
    file with its header. Both codecs take 16,000 and 24,000 Hz.
    """
    if codec not in CODECS or sample_rate_hz not in (16_000, 24_000):
        raise AudioError(
            f"codec '{codec}' at {sample_rate_hz} Hz: known are {', '.join(CODECS)}, at 16000 or "
            "24000 Hz; resample first"
        )
    container, coding, lowest, highest = CODECS[codec]
    level = (highest - bitrate_kbps) / (highest - lowest)
    if not 0 <= level < 1:
        raise AudioError(
            f"{codec}: {bitrate_kbps} kbit/s is not above {lowest:.0f} and up to {highest:.0f}"
        )
    mode = {"bitrate_mode": "CONSTANT"} if codec == "mp3" else {}
    encoded = io.BytesIO()
    soundfile.write(
        encoded,
        signal,
        sample_rate_hz,
        format=container,
        subtype=coding,
        compression_level=level,
        **mode,
    )
    n_bits = 8 * encoded.tell()
    encoded.seek(0)
    decoded, _ = soundfile.read(encoded, dtype="float32")
    return crop_or_pad(decoded, len(signal)), n_bits / (1000 * len(signal) / sample_rate_hz)


FILTER_ORDER = 8  # 48 dB an octave: a telephone's edges are steep
N_BABBLE_VOICES = 6  # enough that no single voice can be understood


def mix_at_snr(signal: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add a noise of the same length at a ratio of mean powers over the whole clip, in dB."""
    power, noise_power = float(np.mean(signal**2.0)), float(np.mean(noise**2.0))
    if power == 0 or noise_power == 0:
        which = "signal" if power == 0 else "noise"
        raise FeatureError(f"the {which} is silent: it cannot be mixed at {snr_db} dB")
    gain = np.sqrt(power / noise_power) * 10 ** (-snr_db / 20)
    return (signal + gain * noise).astype(np.float32)


def add_white_noise(
    signal: np.ndarray, sample_rate_hz: int, rng: np.random.Generator, *, snr_db: float
) -> np.ndarray:
    """Add white Gaussian noise at a signal-to-noise ratio in dB."""
    return mix_at_snr(signal, rng.standard_normal(len(signal)), snr_db)


def add_babble(
    signal: np.ndarray,
    sample_rate_hz: int,
    rng: np.random.Generator,
    *,
    snr_db: float,
    voices: np.ndarray,
) -> np.ndarray:
    """Add babble: other speakers' clips, equally loud, from random positions, at a ratio in dB.

    `voices` has the shape (n_voices, n_voice_samples), at the rate of the signal.
    """
    if not len(voices):
        raise FeatureError("babble is made of voices, and there are 0 of them: give some clips")
    crowd = np.zeros(len(signal))
    for number in rng.choice(len(voices), min(N_BABBLE_VOICES, len(voices)), replace=False):
        voice = np.resize(voices[number], max(len(signal), len(voices[number])))
        voice = np.roll(voice, rng.integers(len(voice)))[: len(signal)]
        crowd += voice / max(float(np.sqrt(np.mean(voice**2.0))), 1e-9)
    return mix_at_snr(signal, crowd, snr_db)


def limit_band(
    signal: np.ndarray,
    sample_rate_hz: int,
    rng: np.random.Generator,
    *,
    high_hz: float,
    low_hz: float = 0.0,
) -> np.ndarray:
    """Let only a band pass (Butterworth, forth and back: no delay).

    Edges are 6 dB down; a telephone's are 300 and 3,400 Hz. A lower edge of 0 is none.
    """
    from scipy.signal import butter, sosfiltfilt

    if not 0 <= low_hz < high_hz < sample_rate_hz / 2:
        raise FeatureError(
            f"a band from {low_hz} to {high_hz} Hz does not fit below {sample_rate_hz / 2} Hz, "
            "half the rate"
        )
    edges, kind = ([low_hz, high_hz], "bandpass") if low_hz else (high_hz, "lowpass")
    sections = butter(FILTER_ORDER, edges, kind, fs=sample_rate_hz, output="sos")
    padding = min(len(signal) - 1, sample_rate_hz // 10)
    return sosfiltfilt(sections, signal, padlen=padding).astype(np.float32)


def change_gain(
    signal: np.ndarray, sample_rate_hz: int, rng: np.random.Generator, *, gain_db: float
) -> np.ndarray:
    """Make a signal louder or softer by some dB, without clipping it."""
    return (signal * 10 ** (gain_db / 20)).astype(np.float32)


def clip_peaks(
    signal: np.ndarray, sample_rate_hz: int, rng: np.random.Generator, *, below_peak_db: float
) -> np.ndarray:
    """Clip a signal at a level that lies a number of dB below its peak."""
    limit = np.abs(signal).max(initial=0.0) * 10 ** (-below_peak_db / 20)
    return np.clip(signal, -limit, limit).astype(np.float32)


def reverberate(
    signal: np.ndarray,
    sample_rate_hz: int,
    rng: np.random.Generator,
    *,
    t60_s: float,
    direct_db: float = 0.0,
) -> np.ndarray:
    """Put a signal into a room: the direct sound, then Gaussian noise with exponential decay.

    `direct_db` is the energy of the direct sound over that of the reverberation; 0 is at some two
    metres in a living room. The level stays. Polack (1993), Applied Acoustics 38(2-4).
    """
    from scipy.signal import fftconvolve

    if t60_s <= 0:
        raise FeatureError(f"t60_s={t60_s} must be above 0; a room without echo needs no filter")
    time_s = np.arange(round(t60_s * sample_rate_hz)) / sample_rate_hz
    tail = rng.standard_normal(len(time_s)) * 10 ** (-3 * time_s / t60_s)
    tail[0] = 0.0
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    wet = fftconvolve(signal, tail)[: len(signal)]
    power = float(np.mean(wet**2.0))
    gain = np.sqrt(float(np.mean(signal**2.0)) / power) if power > 0 else 1.0
    return (gain * wet).astype(np.float32)


def encode(
    signal: np.ndarray,
    sample_rate_hz: int,
    rng: np.random.Generator,
    *,
    codec: str,
    bitrate_kbps: float,
) -> np.ndarray:
    """Send a signal through a lossy codec and back; see `through_codec`."""
    decoded, _ = through_codec(signal, sample_rate_hz, codec=codec, bitrate_kbps=bitrate_kbps)
    return decoded


def start_later(
    signal: np.ndarray, sample_rate_hz: int, rng: np.random.Generator, *, shift_s: float
) -> np.ndarray:
    """Put silence before a signal and keep its length; a negative shift cuts its start off."""
    n_samples = round(shift_s * sample_rate_hz)
    if abs(n_samples) >= len(signal):
        raise FeatureError(f"a shift of {shift_s} s leaves nothing of {len(signal)} samples")
    if n_samples >= 0:
        return np.concatenate([np.zeros(n_samples, np.float32), signal])[: len(signal)]
    return crop_or_pad(signal[-n_samples:], len(signal))


CORRUPTIONS: dict[str, Callable[..., np.ndarray]] = {
    function.__name__: function
    for function in (
        add_white_noise,
        add_babble,
        limit_band,
        change_gain,
        clip_peaks,
        reverberate,
        encode,
        start_later,
    )
}


@dataclass(frozen=True)
class Condition:
    """One corruption at one strength."""

    family: str
    """What is varied; one panel of the figure."""
    value: float
    """The strength, in `unit`."""
    unit: str
    function: str
    """A key of `CORRUPTIONS`; empty for the clean clips."""
    params: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For tables and files: `white noise 20 dB`."""
        return f"{self.family} {self.value:g} {self.unit}" if self.function else self.family


def corrupt(
    signal: np.ndarray,
    sample_rate_hz: int,
    condition: Condition,
    *,
    rng: np.random.Generator,
    voices: np.ndarray | None = None,
) -> np.ndarray:
    """Apply a condition to a signal.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
    condition : Condition
    rng : numpy.random.Generator
        Where noise and rooms come from.
    voices : ndarray, shape (n_voices, n_voice_samples), optional
        For babble.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
    """
    if not condition.function:
        return signal
    parameters: dict[str, Any] = dict(condition.params)
    if condition.function == "add_babble":
        parameters["voices"] = voices
    return CORRUPTIONS[condition.function](signal, sample_rate_hz, rng, **parameters)
