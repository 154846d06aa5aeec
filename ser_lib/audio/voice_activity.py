"""Where in a recording somebody speaks, how loud that is, and how far above the noise.

Signals are float32 mono at `RATE_HZ`; times are in seconds, levels in dB re full scale. These are
simple rules, not a trained detector: steady sounds are no speech, beeps may be taken for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser_lib.audio.signal import resample

RATE_HZ = 16_000  # holds all of speech that matters here
FRAME_S = 0.04  # two periods of the deepest voice
HOP_S = 0.02
N_FRAME = round(FRAME_S * RATE_HZ)
N_HOP = round(HOP_S * RATE_HZ)
N_FFT = 1024  # a frame and the longest lag: the autocorrelation does not wrap around
PITCH_EVERY = 2  # of the loud frames; each lies within 20 ms of one that is examined
PITCH_LIMITS_HZ = (65.0, 500.0)

# Peak of the normalised autocorrelation from which a frame counts as voiced (Boersma 1993: 0.45).
MIN_PERIODICITY = 0.45
RANGE_DB = 30.0  # what is further below the loud frames is breath or room
ABOVE_FLOOR_DB = 5.0
MIN_LEVEL_DB = -75.0  # below it a 16-bit recording holds mostly its own noise
MARGIN_S = 0.1  # before the first speech and after the last, for what is too soft to be found
SPREAD_S = 0.2  # consonants around a voiced frame belong to the same speech

# Levels of speech go up and down with its syllables; those of tones and fans do not.
MIN_MODULATION_DB = 2.0
TINY = 1e-12
WINDOW = np.hanning(N_FRAME).astype(np.float32)
LAGS = slice(*(round(RATE_HZ / hz) for hz in reversed(PITCH_LIMITS_HZ)))
WINDOW_CORRELATION = np.correlate(WINDOW, WINDOW, "full")[N_FRAME - 1 :][LAGS] / (WINDOW @ WINDOW)


@dataclass(frozen=True)
class VoiceFacts:
    """Speech in a recording, its level and its distance from the noise."""

    speech_s: float
    """Time in which somebody speaks."""
    level_db: float
    """Of the loud frames (95th percentile)."""
    snr_db: float
    """Loud frames above the quiet ones between them; NaN without speech or without pauses."""

    @property
    def has_speech(self) -> bool:
        """Whether there is speech at all."""
        return self.speech_s > 0


def _frames(signal: np.ndarray) -> np.ndarray:
    """Cut a signal into frames, shape (n_frames, N_FRAME); a short one is filled up."""
    if len(signal) < N_FRAME:
        signal = np.pad(signal, (0, N_FRAME - len(signal)))
    return np.lib.stride_tricks.sliding_window_view(signal, N_FRAME)[::N_HOP]


def frame_levels_db(signal: np.ndarray) -> np.ndarray:
    """Level of every frame in dB re full scale, one every `HOP_S`.

    The last incomplete frame is left out.
    """
    frames = _frames(signal - signal.mean())  # an offset is no sound
    power = np.einsum("ij,ij->i", frames, frames) / N_FRAME
    return (10 * np.log10(power + TINY)).astype(np.float32)


def _active(levels_db: np.ndarray) -> np.ndarray:
    """Tell which frames are loud enough for speech."""
    floor_db, loud_db = np.percentile(levels_db, [10, 95])
    least = max(loud_db - RANGE_DB, min(floor_db + ABOVE_FLOOR_DB, loud_db - 6), MIN_LEVEL_DB)
    return levels_db > least


def _periodicity(frames: np.ndarray) -> np.ndarray:
    """Return the peak of every frame's autocorrelation within the limits of pitch."""
    centred = frames - frames.mean(axis=1, keepdims=True)
    spectra = np.fft.rfft(centred * WINDOW, N_FFT)
    power = spectra.real**2 + spectra.imag**2
    # Complex already: NumPy takes twice the time where it has to make them so.
    correlation = np.fft.irfft(power.astype(np.complex64))
    # A window's own autocorrelation falls with the lag; undone, a period is as strong as itself.
    lags = correlation[:, LAGS] / WINDOW_CORRELATION
    return lags.max(axis=1) / np.maximum(correlation[:, 0], TINY)


def _dilated(is_on: np.ndarray, n_frames: int) -> np.ndarray:
    kernel = np.ones(2 * n_frames + 1)
    return np.convolve(is_on, kernel)[n_frames : n_frames + len(is_on)] > 0


def speech_frames(signal: np.ndarray) -> np.ndarray:
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
    """
    return _speech(signal, frame_levels_db(signal))


def speech_span_s(signal: np.ndarray, sample_rate_hz: int) -> tuple[float, float] | None:
    """Return where a mono signal's first speech begins and its last ends; None without speech."""
    spoken = np.flatnonzero(speech_frames(resample(signal, sample_rate_hz, RATE_HZ)))
    return (spoken[0] * HOP_S, (spoken[-1] + 2) * HOP_S) if len(spoken) else None


def _speech(signal: np.ndarray, levels_db: np.ndarray) -> np.ndarray:
    """Tell in which frames somebody speaks, given their levels; silent ones are not examined."""
    active = _active(levels_db)
    examined = np.flatnonzero(active)[::PITCH_EVERY]
    voiced = np.zeros(len(levels_db), bool)
    voiced[examined] = _periodicity(_frames(signal)[examined]) > MIN_PERIODICITY
    speech = active & _dilated(voiced, round(SPREAD_S / HOP_S))
    if speech.any() and np.std(levels_db[active]) < MIN_MODULATION_DB:
        return np.zeros_like(speech)
    return speech


def inspect_voice(signal: np.ndarray) -> VoiceFacts:
    """Measure how long somebody speaks in a recording, how loud, and how far above the noise.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono, at `RATE_HZ`, not empty.
    """
    levels_db = frame_levels_db(signal)
    speech = _speech(signal, levels_db)
    loud_db = float(np.percentile(levels_db, 95))
    quiet_db = levels_db[~_dilated(speech, 2)]
    can_tell = speech.any() and len(quiet_db) >= 5
    return VoiceFacts(
        speech_s=float(speech.sum() * HOP_S),
        level_db=loud_db,
        snr_db=loud_db - float(np.median(quiet_db)) if can_tell else float("nan"),
    )


def clipped_share(signal: np.ndarray) -> float:
    """Share of samples that stand in a row at the peak, which is 0 for an unclipped recording.

    The signal must have the rate of the recording: resampling rounds off what clipping has cut.
    """
    size = np.abs(signal)
    peak = float(size.max(initial=0.0))
    if peak < 0.01:
        return 0.0
    at_peak = size >= 0.999 * peak
    in_row = at_peak[2:] & at_peak[1:-1] & at_peak[:-2]
    return float(in_row.sum() / len(signal))
