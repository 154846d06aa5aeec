"""Where in a recording somebody speaks, and a few numbers about how it was recorded.

Signals are float32 mono at `RATE_HZ`; times are in seconds, levels in dB re full scale. These are
simple rules with stated limits, not a trained detector: steady sounds are no speech, beeps may be
taken for it. Nothing here knows emotions or models.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

__all__ = [
    "FRAME_S",
    "HOP_S",
    "RATE_HZ",
    "STATISTICS",
    "VoiceFacts",
    "clipped_share",
    "frame_levels_db",
    "inspect_voice",
    "voice_activity",
]

RATE_HZ = 16_000  # holds all of speech that matters here
FRAME_S = 0.04  # two periods of the deepest voice
HOP_S = 0.02
N_FRAME = round(FRAME_S * RATE_HZ)
N_HOP = round(HOP_S * RATE_HZ)
N_FFT = 1024  # a frame and the longest lag: the autocorrelation does not wrap around
PITCH_EVERY = 2  # frames; pitch is looked for every 40 ms, which follows a voice well enough
PITCH_LIMITS_HZ = (65.0, 500.0)
# Peak of the normalised autocorrelation from which a frame counts as voiced (Boersma 1993: 0.45).
MIN_PERIODICITY = 0.45
RANGE_DB = 30.0  # what is further below the loud frames is breath or room
ABOVE_FLOOR_DB = 5.0
MIN_LEVEL_DB = -75.0  # below it a 16-bit recording holds mostly its own noise
SPREAD_S = 0.2  # consonants around a voiced frame belong to the same speech
# Levels of speech go up and down with its syllables; those of tones and fans do not.
MIN_MODULATION_DB = 2.0
TINY = 1e-12

WINDOW = np.hanning(N_FRAME).astype(np.float32)
LAGS = slice(*(round(RATE_HZ / hz) for hz in reversed(PITCH_LIMITS_HZ)))
WINDOW_CORRELATION = np.correlate(WINDOW, WINDOW, "full")[N_FRAME - 1 :][LAGS] / (WINDOW @ WINDOW)
BINS_HZ = np.fft.rfftfreq(N_FFT, 1 / RATE_HZ)


@dataclass(frozen=True)
class VoiceFacts:
    """What is to be known about a recording before an emotion is looked for in it."""

    speech_s: float
    """Time in which somebody speaks."""
    speech_share: float
    """Of the whole recording, in [0, 1]."""
    level_db: float
    """Of the loud frames (95th percentile)."""
    snr_db: float
    """Loud frames above the quiet ones between them; NaN where nobody pauses."""
    modulation_db: float
    """Standard deviation of the level over the frames of speech."""
    voiced_share: float
    """Of the frames of speech, in [0, 1]."""
    pitch_hz: float
    """Median over voiced frames; NaN where there are none."""
    pitch_range: float
    """Interquartile range of the pitch in semitones."""
    centroid_hz: float
    """Centre of gravity of the amplitude spectrum of speech."""
    tilt_db: float
    """Power above 1 kHz relative to that below."""
    treble_db: float
    """Power from 4 to 8 kHz relative to all: low for telephones."""

    @property
    def has_speech(self) -> bool:
        """Whether there is speech at all."""
        return self.speech_s > 0

    def statistics(self) -> np.ndarray:
        """Return what depends on neither loudness nor length nor pauses, shape (7,)."""
        return np.array(
            [
                self.modulation_db,
                self.voiced_share,
                np.log2(max(self.pitch_hz, 1.0)),
                self.pitch_range,
                np.log2(max(self.centroid_hz, 1.0)),
                self.tilt_db,
                self.treble_db,
            ]
        )


STATISTICS = (
    "loudness range",
    "voiced share",
    "pitch",
    "pitch range",
    "brightness",
    "tilt",
    "treble",
)


def _frames(signal: np.ndarray) -> np.ndarray:
    """Cut a signal into frames, shape (n_frames, N_FRAME); a short one is filled up."""
    if len(signal) < N_FRAME:
        signal = np.pad(signal, (0, N_FRAME - len(signal)))
    return np.lib.stride_tricks.sliding_window_view(signal, N_FRAME)[::N_HOP]


def frame_levels_db(signal: np.ndarray) -> np.ndarray:
    """Level of every frame.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono, at `RATE_HZ`.

    Returns
    -------
    ndarray of float32, shape (n_frames,)
        In dB re full scale, one every `HOP_S`; the last incomplete frame is left out.

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    frames = _frames(signal)
    power = np.einsum("ij,ij->i", frames, frames) / N_FRAME
    return (10 * np.log10(power + TINY)).astype(np.float32)


def _active(levels_db: np.ndarray) -> np.ndarray:
    """Tell which frames are loud enough for speech."""
    floor_db, loud_db = np.percentile(levels_db, [10, 95])
    least = max(loud_db - RANGE_DB, min(floor_db + ABOVE_FLOOR_DB, loud_db - 6), MIN_LEVEL_DB)
    return levels_db > least


def _periodicity(power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the autocorrelation's peak and its pitch in Hz for every frame."""
    # Complex already: NumPy takes twice the time where it has to make them so.
    correlation = np.fft.irfft(power.astype(np.complex64))
    # A window's own autocorrelation falls with the lag; undone, a period is as strong as itself.
    lags = correlation[:, LAGS] / WINDOW_CORRELATION
    lags /= np.maximum(correlation[:, :1], TINY)
    return lags.max(axis=1), RATE_HZ / (LAGS.start + lags.argmax(axis=1))


def _dilated(is_on: np.ndarray, n_frames: int) -> np.ndarray:
    kernel = np.ones(2 * n_frames + 1)
    return np.convolve(is_on, kernel)[n_frames : n_frames + len(is_on)] > 0


def voice_activity(signal: np.ndarray) -> np.ndarray:
    """Tell in which frames somebody speaks.

    A frame is speech where it is loud enough, and voiced or near a voiced frame.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono, at `RATE_HZ`.

    Returns
    -------
    ndarray of bool, shape (n_frames,)
        One every `HOP_S`.

    References
    ----------
    Boersma (1993), "Accurate short-term analysis of the fundamental frequency and the
    harmonics-to-noise ratio of a sampled sound".

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    return _analyse(signal)[0]


def _analyse(signal: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return speech and level of every frame; of some: their numbers, voiced, pitch, power.

    Spectra are of every `PITCH_EVERY`th active frame only: silence is not looked at.
    """
    frames, levels_db = _frames(signal), frame_levels_db(signal)
    active = _active(levels_db)
    looked_at = np.flatnonzero(active)[::PITCH_EVERY]
    loud = frames[looked_at]
    loud -= loud.mean(axis=1, keepdims=True)
    loud *= WINDOW
    spectra = np.fft.rfft(loud, N_FFT)
    power = spectra.real**2 + spectra.imag**2
    periodicity, pitch_hz = _periodicity(power)
    is_voiced = periodicity > MIN_PERIODICITY
    voiced = np.zeros(len(levels_db), bool)
    voiced[looked_at] = is_voiced
    speech = active & _dilated(voiced, round(SPREAD_S / HOP_S))
    if speech.any() and np.std(levels_db[active]) < MIN_MODULATION_DB:
        speech = np.zeros_like(speech)
    return speech, levels_db, looked_at, is_voiced, pitch_hz, power


def inspect_voice(signal: np.ndarray) -> VoiceFacts:
    """Find speech in a recording, and describe it.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono, at `RATE_HZ`, not empty.

    Returns
    -------
    VoiceFacts
        All NaN but times and level where there is no speech.

    Notes
    -----
    Notebook: 10_predict.ipynb
    """
    speech, levels_db, looked_at, is_voiced, pitch_hz, power = _analyse(signal)
    loud_db = float(np.percentile(levels_db, 95))
    if not speech.any():
        nothing = dict.fromkeys((one.name for one in fields(VoiceFacts)), float("nan"))
        return VoiceFacts(**nothing | {"speech_s": 0.0, "speech_share": 0.0, "level_db": loud_db})
    ours = speech[looked_at]
    heard_hz = pitch_hz[ours & is_voiced]
    low, median, high = np.percentile(heard_hz, [25, 50, 75])
    spectrum = power[ours].mean(axis=0)
    amplitude = np.sqrt(spectrum)
    below = spectrum[BINS_HZ < 1000].sum() + TINY
    above = spectrum[BINS_HZ >= 1000].sum() + TINY
    treble = spectrum[BINS_HZ >= 4000].sum() + TINY
    quiet_db = levels_db[~_dilated(speech, 2)]
    return VoiceFacts(
        speech_s=float(speech.sum() * HOP_S),
        speech_share=float(speech.mean()),
        level_db=loud_db,
        snr_db=loud_db - float(np.median(quiet_db)) if len(quiet_db) >= 5 else float("nan"),
        modulation_db=float(np.std(levels_db[speech])),
        voiced_share=float(is_voiced[ours].mean()),
        pitch_hz=float(median),
        pitch_range=float(12 * np.log2(high / low)),
        centroid_hz=float((BINS_HZ * amplitude).sum() / (amplitude.sum() + TINY)),
        tilt_db=float(10 * np.log10(above / below)),
        treble_db=float(10 * np.log10(treble / (above + below))),
    )


def clipped_share(signal: np.ndarray) -> float:
    """Share of samples that stand in a row at the recording's own largest value.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        At the rate of the recording: resampling rounds off what clipping has cut.

    Returns
    -------
    float
        In [0, 1]; a recording that was not clipped reaches its peak once, and has 0.
    """
    size = np.abs(signal)
    peak = float(size.max(initial=0.0))
    if peak < 0.01:
        return 0.0
    at_peak = size >= 0.999 * peak
    in_row = at_peak[2:] & at_peak[1:-1] & at_peak[:-2]
    return float(in_row.sum() / len(signal))
