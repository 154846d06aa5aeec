"""Recordings made worse on purpose: what a predictor should warn of, to see whether it does."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import soundfile

from ser_lib.audio import corruptions
from ser_lib.audio.signal import crop_or_pad, resample
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
    """Encode a mono signal with a lossy codec in memory, and decode it again.

    Parameters
    ----------
    signal : ndarray of float32, shape (n_samples,)
        Mono, in [-1, 1].
    sample_rate_hz : int
        16,000 or 24,000, which both codecs take.
    codec : str
        "mp3" or "opus".
    bitrate_kbps : float
        Asked for, in kbit/s.

    Returns
    -------
    signal : ndarray of float32, shape (n_samples,)
        A codec's delay, where it has one, is left in.
    bitrate_kbps : float
        Of the encoded file, its header included.

    Raises
    ------
    AudioError
        If codec, rate or bit rate are not among these.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
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
    file = io.BytesIO()
    mode = {"bitrate_mode": "CONSTANT"} if codec == "mp3" else {}
    soundfile.write(
        *(file, signal, sample_rate_hz),
        **{"format": container, "subtype": coding, "compression_level": level, **mode},
    )
    n_bits = 8 * file.tell()
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return crop_or_pad(decoded, len(signal)), n_bits / (1000 * len(signal) / sample_rate_hz)


FILTER_ORDER = 8  # 48 dB an octave: a telephone's edges are steep
N_BABBLE_VOICES = 6  # enough that no word of anybody is understood


def mix_at_snr(signal: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add a noise at a ratio of mean powers over the whole clip.

    Parameters
    ----------
    signal, noise : ndarray, shape (n_samples,)
        Of one length.
    snr_db : float
        Mean power of the signal over that of the added noise, in dB.

    Returns
    -------
    ndarray of float32, shape (n_samples,)

    Raises
    ------
    FeatureError
        If either is silent: there is then no ratio.
    """
    power, noise_power = float(np.mean(signal**2.0)), float(np.mean(noise**2.0))
    if power == 0 or noise_power == 0:
        which = "signal" if power == 0 else "noise"
        raise FeatureError(f"the {which} is silent: it cannot be mixed at {snr_db} dB")
    gain = np.sqrt(power / noise_power) * 10 ** (-snr_db / 20)
    return (signal + gain * noise).astype(np.float32)


def add_white_noise(
    signal: np.ndarray, sample_rate_hz: int, rng: np.random.Generator, *, snr_db: float
) -> np.ndarray:
    """Add white Gaussian noise at a signal-to-noise ratio in dB.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    return mix_at_snr(signal, rng.standard_normal(len(signal)), snr_db)


def add_babble(
    signal: np.ndarray,
    sample_rate_hz: int,
    rng: np.random.Generator,
    *,
    snr_db: float,
    voices: np.ndarray,
) -> np.ndarray:
    """Add a crowd: other people's clips, each as loud, from anywhere in them, at a ratio in dB.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate, and that of the voices.
    rng : numpy.random.Generator
        Draws voices, and where each begins.
    snr_db : float
        Power of the signal over that of the whole crowd, in dB.
    voices : ndarray, shape (n_voices, n_voice_samples)
        Signals of other speakers, at least one.

    Returns
    -------
    ndarray of float32, shape (n_samples,)

    Raises
    ------
    FeatureError
        If there are no voices.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    if not len(voices):
        raise FeatureError("babble is made of voices, and there are none: give some clips")
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
    """Let only a band through (Butterworth, forth and back: no delay).

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.
    rng : numpy.random.Generator
        Not used; every corruption takes it.
    high_hz : float
        Upper edge, 6 dB down; a telephone's is 3,400.
    low_hz : float
        Lower edge; 0 for none, a telephone's is 300.

    Returns
    -------
    ndarray of float32, shape (n_samples,)

    Raises
    ------
    FeatureError
        If the edges are not in order below half the rate.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
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
    """Make a signal louder or softer by some dB, without clipping it.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    return (signal * 10 ** (gain_db / 20)).astype(np.float32)


def clip_peaks(
    signal: np.ndarray, sample_rate_hz: int, rng: np.random.Generator, *, below_peak_db: float
) -> np.ndarray:
    """Cut off all that is louder than so many dB below the signal's peak.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
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
    """Put a signal into a room: Gaussian noise with exponential decay, after the direct sound.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.
    rng : numpy.random.Generator
        Draws the room.
    t60_s : float
        Time in which the reverberation falls by 60 dB.
    direct_db : float
        Energy of the direct sound over that of the reverberation, in dB; 0 is some two metres away
        in a living room.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
        At the level of the input; the tail after its end is cut off.

    Raises
    ------
    FeatureError
        If `t60_s` is not positive.

    References
    ----------
    Polack (1993), Playing billiards in the concert hall, Applied Acoustics 38(2-4): beyond the
    first echoes a room's response is noise that decays exponentially.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
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
    """Send a signal through a lossy codec and back.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.
    rng : numpy.random.Generator
        Not used; every corruption takes it.
    codec : str
        "mp3" or "opus".
    bitrate_kbps : float
        Asked for, in kbit/s.

    Returns
    -------
    ndarray of float32, shape (n_samples,)

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    decoded, _ = through_codec(signal, sample_rate_hz, codec=codec, bitrate_kbps=bitrate_kbps)
    return decoded


def start_later(
    signal: np.ndarray, sample_rate_hz: int, rng: np.random.Generator, *, shift_s: float
) -> np.ndarray:
    """Put so many seconds of silence before a signal, at its length; negative cuts its start off.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    n_samples = round(shift_s * sample_rate_hz)
    if abs(n_samples) >= len(signal):
        raise FeatureError(f"a shift of {shift_s} s leaves nothing of {len(signal)} samples")
    if n_samples >= 0:
        return np.concatenate([np.zeros(n_samples, np.float32), signal])[: len(signal)]
    return crop_or_pad(signal[-n_samples:], len(signal))


TELEPHONE_HZ = 7_000  # the sample rate of a bad line: nothing above 3.5 kHz is left


def degraded_versions(
    signal: np.ndarray, sample_rate_hz: int, *, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Make a recording worse in several ways.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono speech.
    sample_rate_hz : int
        Its rate.
    rng : numpy.random.Generator
        Of the noise.

    Returns
    -------
    dict of str to ndarray of float32
        By what was done to it; the recording itself is the first.

    Raises
    ------
    FeatureError
        If the signal is silent.

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    power = float(np.mean(np.square(signal, dtype=np.float64)))
    if not power > 0:
        raise FeatureError("a silent recording cannot be made worse")
    noise = rng.normal(0, np.sqrt(power), len(signal))
    peak = float(np.abs(signal).max())
    narrow = resample(signal.astype(np.float32), sample_rate_hz, TELEPHONE_HZ)
    middle = len(signal) // 2
    versions = {
        "as it is": signal,
        "noise 20 dB below": signal + 0.1 * noise,
        "noise as loud as the voice": signal + noise,
        "clipped": np.clip(signal, -0.2 * peak, 0.2 * peak),
        "telephone": resample(narrow, TELEPHONE_HZ, sample_rate_hz),
        "a third of a second": signal[middle : middle + sample_rate_hz // 3],
        "noise alone": noise,
    }
    return {name: version.astype(np.float32) for name, version in versions.items()}


def join_with_pauses(
    signals: Sequence[np.ndarray], sample_rate_hz: int, *, pause_s: float = 2.0
) -> np.ndarray:
    """Join clips into one long recording, with silence between them.

    Parameters
    ----------
    signals : sequence of ndarray
        Mono, all at one rate.
    sample_rate_hz : int
        That rate.
    pause_s : float
        Length of each pause in seconds.

    Returns
    -------
    ndarray of float32, shape (n_samples,)

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    pause = np.zeros(round(pause_s * sample_rate_hz))
    parts = [part for signal in signals for part in (signal, pause)]
    return np.concatenate(parts).astype(np.float32)


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


@dataclass(frozen=True)
class Condition:
    """One corruption at one strength."""

    family: str
    """What is varied; one panel of the figure."""
    value: float
    """The strength, in `unit`."""
    unit: str
    function: str
    """A function of `ser_lib.audio.corruptions`; nothing for the clean clips."""
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
        Its rate.
    condition : Condition
        What to do.
    rng : numpy.random.Generator
        Where noise and rooms come from.
    voices : ndarray, shape (n_voices, n_voice_samples), optional
        For babble.

    Returns
    -------
    ndarray of float32, shape (n_samples,)

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    if not condition.function:
        return signal
    function = getattr(corruptions, condition.function)
    crowd = {"voices": voices} if condition.function == "add_babble" else {}
    return function(signal, sample_rate_hz, rng, **condition.params, **crowd)
