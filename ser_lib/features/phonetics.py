"""Pitch, formants and intensity along time, as a phonetician draws them over a spectrogram.

By Praat's own algorithms where the extra `praat` is installed (parselmouth, whose licence is GPL 3
or later), else by pYIN, linear prediction and RMS; the table says by which. What models are trained
on stands in `ser_lib.features.acoustic`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from ser_lib.audio.signal import check_signal, resample
from ser_lib.errors import FeatureError
from ser_lib.features.acoustic import LOUD_PERCENTILE, PITCH_RANGE_HZ, PROSODY_RANGE_DB

STEP_S = 0.01
PITCH_RATE_HZ, PITCH_FRAME = 16_000, 1024
N_FORMANTS, N_TRACKED = 5, 4
CEILING_HZ = 5500.0  # below which five formants lie; 5,000 Hz in the voices of most men
MIN_CEILING_HZ = 2000.0  # no voice has five formants below it
FORMANT_WINDOW_S = 0.05  # of a Gaussian, as long again as it is effective
EMPHASIS_HZ = 50.0
MIN_S = 0.15  # what Praat's windows need at the lowest pitch; shorter signals are padded
FAINTEST_DB = -120.0
# Praat's dB are re 20 µPa, and full scale is taken for one pascal.
PASCAL_DB = -20 * np.log10(2e-5)

PRAAT = "Pitch, formants and intensity by Praat's algorithms."
OWN = (
    "Pitch by pYIN, formants by linear prediction (Burg), intensity by RMS; by Praat's own "
    'algorithms after pip install "praat-parselmouth>=0.4.5" (its licence: GPL 3 or later).'
)


def contours(
    signal: np.ndarray, sample_rate_hz: int, *, ceiling_hz: float = CEILING_HZ
) -> pd.DataFrame:
    """Follow pitch, formants and intensity of a mono signal, every 10 ms.

    Parameters
    ----------
    signal, sample_rate_hz : ndarray of shape (n_samples,), int
        Mono, and its rate.
    ceiling_hz : float
        Below which five formants are looked for: 5,000 for most men, 5,500 for most women, up to
        8,000 for children.

    Returns
    -------
    pandas.DataFrame
        Columns `time_s, pitch_hz, f1_hz, f2_hz, f3_hz, f4_hz, intensity_db` (re full scale); pitch
        is missing where there is no voice, formants and pitch in what is 25 dB below the loud
        frames. `attrs["method"]` says by what they were computed.

    Raises
    ------
    FeatureError
        If the signal is empty, not mono, or not finite, or the ceiling too low.
    """
    check_signal(signal)
    if not ceiling_hz >= MIN_CEILING_HZ:
        raise FeatureError(
            f"ceiling_hz={ceiling_hz} must be {MIN_CEILING_HZ:.0f} or more; in most voices five "
            "formants are below 5000 to 8000"
        )
    ceiling_hz = min(ceiling_hz, sample_rate_hz / 2)
    signal = np.pad(signal, (0, max(0, round(MIN_S * sample_rate_hz) - len(signal))))
    has_praat = find_spec("parselmouth") is not None
    compute = _by_praat if has_praat else _by_librosa
    pitch_hz, formants_hz, intensity_db = compute(signal, sample_rate_hz, ceiling_hz)
    intensity_db = np.maximum(intensity_db, FAINTEST_DB)
    loud_db = np.percentile(intensity_db, LOUD_PERCENTILE)
    is_speech = intensity_db > max(loud_db - PROSODY_RANGE_DB, FAINTEST_DB)
    found = {"time_s": np.arange(len(intensity_db)) * STEP_S}
    found["pitch_hz"] = np.where(is_speech, pitch_hz, np.nan)
    for number, formant_hz in enumerate(formants_hz[:N_TRACKED], start=1):
        found[f"f{number}_hz"] = np.where(is_speech, formant_hz, np.nan)
    table = pd.DataFrame(found | {"intensity_db": intensity_db})
    table.attrs["method"] = PRAAT if has_praat else OWN
    return table


def _by_librosa(
    signal: np.ndarray, sample_rate_hz: int, ceiling_hz: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import librosa

    speech = resample(signal, sample_rate_hz, PITCH_RATE_HZ)
    hop = round(STEP_S * PITCH_RATE_HZ)
    low_hz, high_hz = PITCH_RANGE_HZ
    # pYIN (Mauch and Dixon 2014), with thresholds around 0.2: acted speech is rougher than song.
    # A fifth of a semitone is finer than a line is wide, and three times as quick as the default.
    pitch_hz, _, _ = librosa.pyin(
        speech,
        fmin=low_hz,
        fmax=high_hz,
        sr=PITCH_RATE_HZ,
        beta_parameters=(2, 8),
        resolution=0.2,
        frame_length=PITCH_FRAME,
        hop_length=hop,
    )
    level = librosa.feature.rms(y=speech, frame_length=PITCH_FRAME // 2, hop_length=hop)[0]
    formants_hz = _formants_hz(resample(signal, sample_rate_hz, round(2 * ceiling_hz)), ceiling_hz)
    n_frames = min(len(pitch_hz), len(level), formants_hz.shape[1])
    intensity_db = 20 * np.log10(np.maximum(level[:n_frames], 1e-9))
    return pitch_hz[:n_frames], formants_hz[:, :n_frames], intensity_db


def _formants_hz(signal: np.ndarray, ceiling_hz: float) -> np.ndarray:
    """Return the resonances of a signal at twice the ceiling, shape (n_formants, n_frames)."""
    import librosa

    rate = 2 * ceiling_hz
    half = round(FORMANT_WINDOW_S * rate / 2)
    emphasised = signal - np.exp(-2 * np.pi * EMPHASIS_HZ / rate) * np.append(0, signal[:-1])
    padded = np.pad(emphasised, half)
    starts = np.round(np.arange(int(len(signal) / rate / STEP_S) + 1) * STEP_S * rate).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * half)[starts]
    window = np.exp(-12 * np.linspace(-1, 1, 2 * half) ** 2)
    # Noise far below one step of 16 bits: linear prediction of zeros has no solution.
    faint = 1e-7 * np.random.default_rng(0).standard_normal(frames.shape)
    order = 2 * N_FORMANTS
    coefficients = librosa.lpc(frames * window + faint, order=order, axis=1)
    companion = np.tile(np.eye(order, k=-1), (len(frames), 1, 1))
    companion[:, 0] = -coefficients[:, 1:]
    found_hz = np.angle(np.linalg.eigvals(companion)) * rate / (2 * np.pi)
    is_formant = (found_hz > EMPHASIS_HZ) & (found_hz < ceiling_hz - EMPHASIS_HZ)
    return np.sort(np.where(is_formant, found_hz, np.nan), axis=1).T[:N_FORMANTS]


def _by_praat(
    signal: np.ndarray, sample_rate_hz: int, ceiling_hz: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import parselmouth

    low_hz, high_hz = PITCH_RANGE_HZ
    sound = parselmouth.Sound(signal.astype(np.float64), sample_rate_hz)
    pitch = sound.to_pitch_ac(time_step=STEP_S, pitch_floor=low_hz, pitch_ceiling=high_hz)
    formant = sound.to_formant_burg(
        time_step=STEP_S, max_number_of_formants=N_FORMANTS, maximum_formant=ceiling_hz
    )
    intensity = sound.to_intensity(minimum_pitch=low_hz, time_step=STEP_S)
    times_s = np.arange(int(sound.duration / STEP_S) + 1) * STEP_S

    def at(track: Any, *number: int) -> np.ndarray:
        return np.array([track.get_value_at_time(*number, time_s) for time_s in times_s])

    formants_hz = np.stack([at(formant, number) for number in range(1, N_FORMANTS + 1)])
    level_db = np.interp(times_s, intensity.xs(), intensity.values[0])
    return at(pitch), formants_hz, level_db - PASCAL_DB
