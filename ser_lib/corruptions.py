"""Corruptions: what a telephone, a room, a crowd or a codec does to a recording.

Each is a pure function `(signal, sample_rate_hz, rng, *, ...) -> signal` with physical parameters.
Everything random comes from `rng`. Codecs, which need an encoder, live in `ser_lib.codecs`; what a
model makes of all this is measured in `ser_lib.robustness`.
"""

from __future__ import annotations

import numpy as np

from ser_lib.audio import crop_or_pad
from ser_lib.codecs import through_codec
from ser_lib.errors import FeatureError

__all__ = [
    "add_babble",
    "add_white_noise",
    "change_gain",
    "clip_peaks",
    "encode",
    "limit_band",
    "mix_at_snr",
    "reverberate",
    "start_later",
]

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
