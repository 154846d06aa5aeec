"""Acoustic features: what is measured of a voice, and how it is summarised.

From the simplest to the largest: the envelope of the waveform, four prosodic numbers a clip,
statistics over the spoken frames, descriptors of every frame (the network trained from scratch),
and openSMILE's 6,373 functionals. Levels are in dB, pitch in Hz or semitones. openSMILE is not
installed with this project: its licence allows research and private use only.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from ser_lib.audio.signal import check_signal, crop_or_pad
from ser_lib.audio.voice_activity import MARGIN_S, speech_span_s
from ser_lib.errors import FeatureError
from ser_lib.features.spectral import HOP_SAMPLES, N_FFT

if TYPE_CHECKING:
    import opensmile

# Frames of `prosody` and `speech_statistics`, and the range in which they look for the pitch.
FRAMING: dict[str, Any] = {"frame_length": N_FFT, "hop_length": HOP_SAMPLES}
PITCH_RANGE_HZ = (65, 600)

# The level of speech is that of its loud frames: this percentile of the RMS.
LOUD_PERCENTILE = 95
PROSODY = ("level_db", "pitch_hz", "pitch_range_semitones", "speech_s")
PROSODY_RANGE_DB = 25.0  # frames further below the loud ones do not count as speech
STATISTICS_RANGE_DB = 30.0  # frames further below the loud ones are pauses, breath and room
STATISTICS = ("mean", "spread", "change")

DESCRIPTOR_N_FFT = 1024  # 64 ms at 16 kHz: two periods of a deep voice
DESCRIPTOR_WINDOW_SAMPLES = 640
DESCRIPTOR_HOP_SAMPLES = 256
DESCRIPTOR_PITCH_RANGE_HZ = (65.0, 700.0)
DESCRIPTOR_N_MELS, DESCRIPTOR_N_MFCC = 64, 25

# Quieter frames at both ends of a clip, beyond a margin, are pauses.
DESCRIPTOR_RANGE_DB = 35.0
DESCRIPTOR_MARGIN_FRAMES = 3
DESCRIPTORS = (
    *(f"mfcc{number:02d}" for number in range(DESCRIPTOR_N_MFCC)),
    *("pitch", "voicing", "level", "centroid", "rolloff", "flatness"),
    *(f"chroma{number:02d}" for number in range(12)),
)
"""Names of a frame's values, before they are scaled: pitch in semitones re 100 Hz, voicing in
[-1, 1], level in dB, centroid and rolloff in octaves re 1 kHz, flatness in decades."""

# About what speech has, so that a frame of zeros, or half of one, is no extreme.
TYPICAL_DESCRIPTORS = np.zeros(len(DESCRIPTORS))
TYPICAL_DESCRIPTORS[[0, 1, 3]] = -200.0, 50.0, 20.0
TYPICAL_DESCRIPTORS[DESCRIPTOR_N_MFCC : DESCRIPTOR_N_MFCC + 6] = 12.0, 0.7, 25.0, 0.6, 1.5, -2.3
TYPICAL_DESCRIPTORS[DESCRIPTOR_N_MFCC + 6 :] = 0.45

# What 16 bits write as zero, for so long, is no recording: an editor or a noise gate put it there.
HALF_STEP, MIN_ZEROS_S = 0.5 / 32_768, 0.02

# Before the first speech, which is looked for in the beginning of the clip.
BEGINNING_S, OPENING_S, MIN_OPENING_S = 10.0, 0.35, 0.1
OPENING_WINDOW_S, OPENING_FROM_HZ, N_OPENING_BANDS = 0.04, 50.0, 16
OPENING = (
    *("digital silence", "opening", "zeros"),
    *(f"level of band {n:02d}" for n in range(N_OPENING_BANDS)),
    *(f"spread of band {n:02d}" for n in range(N_OPENING_BANDS)),
)

N_FUNCTIONALS = 6373

# What the longest of openSMILE's windows needs, with the neighbours that changes are computed from.
OPENSMILE_MIN_S = 0.3


def waveform_envelope(
    signal: np.ndarray, sample_rate_hz: int, *, duration_s: float = 4.0, n_points: int = 400
) -> np.ndarray:
    """Lowest and highest sample of each short stretch, shape (2, n_points), to draw a waveform.

    The signal is cropped or padded to `duration_s`.
    """
    check_signal(signal)
    fixed = crop_or_pad(signal, round(duration_s * sample_rate_hz))
    edges = np.linspace(0, len(fixed), n_points, endpoint=False).astype(int)
    lows, highs = np.minimum.reduceat(fixed, edges), np.maximum.reduceat(fixed, edges)
    return np.stack([lows, highs]).astype(np.float32)


def prosody(signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Four numbers a clip that listeners attend to: level, pitch, pitch range, speech length.

    Parameters
    ----------
    signal, sample_rate_hz : ndarray of shape (n_samples,), int
        Mono, and its rate.

    Returns
    -------
    ndarray of float32, shape (4,)
        Level of the loud frames (95th percentile of RMS) in dB re full scale; median pitch in Hz
        (yin) over those frames within 25 dB of the level; its interquartile range in semitones;
        time covered by these frames in seconds.

    Raises
    ------
    FeatureError
        If the signal is empty, not mono, not finite, or silent.
    """
    import librosa

    check_signal(signal)
    rms = librosa.feature.rms(y=signal, **FRAMING)[0]
    level = max(float(np.percentile(rms, LOUD_PERCENTILE)), 1e-6)
    is_speech = rms > level * 10 ** (-PROSODY_RANGE_DB / 20)
    pitch_hz = _pitch(signal, sample_rate_hz)[: len(rms)][is_speech]
    if not len(pitch_hz):
        raise FeatureError("the signal is silent: it has no pitch")
    quarter, median, three_quarters = np.percentile(pitch_hz, [25, 50, 75])
    range_semitones = 12 * np.log2(three_quarters / quarter)
    length_s = is_speech.sum() * HOP_SAMPLES / sample_rate_hz
    return np.array([20 * np.log10(level), median, range_semitones, length_s], dtype=np.float32)


def _pitch(signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the pitch of each frame in Hz; yin gives one to frames without a voice as well."""
    import librosa

    lowest, highest = PITCH_RANGE_HZ
    return librosa.yin(signal, fmin=lowest, fmax=highest, sr=sample_rate_hz, **FRAMING)


def speech_statistics(signal: np.ndarray, sample_rate_hz: int, *, n_mfcc: int = 20) -> np.ndarray:
    """Mean, spread and change of level, zero crossings, pitch and MFCC over the spoken frames.

    Parameters
    ----------
    signal, sample_rate_hz : ndarray of shape (n_samples,), int
        Mono, and its rate.
    n_mfcc : int
        Number of cepstral coefficients, the first of which is the overall level's.

    Returns
    -------
    ndarray of float32, shape (3 * (3 + n_mfcc),)
        Named by `statistic_names`: of each descriptor the mean, the standard deviation, and the
        mean absolute difference from frame to frame. Level in dB re full scale, zero crossings in
        [0, 1], pitch (yin) in semitones above 55 Hz.

    Raises
    ------
    FeatureError
        If the signal is empty, not mono, not finite, or silent.
    """
    import librosa

    check_signal(signal)
    rms = librosa.feature.rms(y=signal, **FRAMING)[0]
    loud = float(np.percentile(rms, LOUD_PERCENTILE))
    if loud <= 0:
        raise FeatureError("the signal is silent: it has no spoken frames")
    mfcc = librosa.feature.mfcc(
        y=signal, sr=sample_rate_hz, n_mfcc=n_mfcc, n_fft=N_FFT, hop_length=HOP_SAMPLES
    )
    # (n_descriptors, n_frames)
    level_db = 20 * np.log10(np.maximum(rms, 1e-6))
    crossings = librosa.feature.zero_crossing_rate(signal, **FRAMING)[0]
    pitch = 12 * np.log2(_pitch(signal, sample_rate_hz)[: len(rms)] / 55)
    frames = np.vstack([level_db, crossings, pitch, mfcc])
    spoken = frames[:, rms > loud * 10 ** (-STATISTICS_RANGE_DB / 20)]
    changes = np.abs(np.diff(spoken, axis=1)).sum(axis=1) / max(spoken.shape[1] - 1, 1)
    statistics = np.stack([spoken.mean(axis=1), spoken.std(axis=1), changes], axis=1)
    return statistics.ravel().astype(np.float32)


def statistic_names(n_mfcc: int = 20) -> tuple[str, ...]:
    """Name the values of `speech_statistics`: `level mean`, `level spread`, `level change`, ..."""
    descriptors = ("level", "zero crossings", "pitch", *(f"mfcc{n:02d}" for n in range(n_mfcc)))
    return tuple(f"{name} {statistic}" for name in descriptors for statistic in STATISTICS)


def speech_descriptors(
    signal: np.ndarray, sample_rate_hz: int, *, n_frames: int = 160
) -> np.ndarray:
    """Descriptors of each frame without the pauses at both ends, shape (n_frames, n_values).

    The `DESCRIPTORS` less their mean over the clip, then these means less what is typical, the same
    in every frame. Longer speech is cut at its end, shorter speech filled up with frames of zeros,
    which networks ignore. At 16 kHz there are 62.5 frames a second.
    """
    check_signal(signal)
    if len(signal) < DESCRIPTOR_N_FFT:
        signal = np.pad(signal, (0, DESCRIPTOR_N_FFT - len(signal)))
    values, level_db = _describe_frames(signal, sample_rate_hz)
    loud = np.flatnonzero(level_db >= level_db.max() - DESCRIPTOR_RANGE_DB)
    first = max(int(loud[0]) - DESCRIPTOR_MARGIN_FRAMES, 0)
    last = int(loud[-1]) + 1 + DESCRIPTOR_MARGIN_FRAMES
    spoken = values[first:last][:n_frames]
    mean = spoken.mean(axis=0)
    level = np.tile(mean - TYPICAL_DESCRIPTORS, (len(spoken), 1))
    both = np.concatenate([spoken - mean, level], axis=1)
    return np.pad(both, ((0, n_frames - len(both)), (0, 0))).astype(np.float32)


def _describe_frames(signal: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Return descriptors, shape (n_frames, len(DESCRIPTORS)), and the level of each frame in dB."""
    import librosa

    hop: dict[str, Any] = {"hop_length": DESCRIPTOR_HOP_SAMPLES}
    window = DESCRIPTOR_WINDOW_SAMPLES
    spectrum = np.abs(librosa.stft(signal, n_fft=DESCRIPTOR_N_FFT, win_length=window, **hop))
    power = spectrum**2
    mel = librosa.feature.melspectrogram(S=power, sr=sample_rate_hz, n_mels=DESCRIPTOR_N_MELS)
    # Quieter than any recording: digital silence must not become minus infinity.
    level_of_mel_db = librosa.power_to_db(mel, amin=1e-9, top_db=None)
    lowest, highest = DESCRIPTOR_PITCH_RANGE_HZ
    pitch_hz = librosa.yin(
        signal, fmin=lowest, fmax=highest, sr=sample_rate_hz, frame_length=DESCRIPTOR_N_FFT, **hop
    )[: power.shape[1]]
    level_db = 10 * np.log10(power.sum(axis=0) + 1e-9)
    shape = {"S": spectrum, "sr": sample_rate_hz}
    values = np.vstack(
        [
            librosa.feature.mfcc(S=level_of_mel_db, n_mfcc=DESCRIPTOR_N_MFCC),
            12 * np.log2(pitch_hz / 100),
            _voicing(signal, pitch_hz, sample_rate_hz),
            level_db,
            np.log2(librosa.feature.spectral_centroid(**shape)[0] / 1000 + 0.01),
            np.log2(librosa.feature.spectral_rolloff(**shape)[0] / 1000 + 0.01),
            np.log10(librosa.feature.spectral_flatness(S=spectrum)[0]),
            librosa.feature.chroma_stft(S=power, sr=sample_rate_hz, tuning=0.0),
        ]
    )
    return values.T, level_db


def _voicing(signal: np.ndarray, pitch_hz: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Correlate each frame with itself one period later: 1 for a perfect tone."""
    padded = np.pad(signal, DESCRIPTOR_N_FFT // 2)
    starts = np.arange(len(pitch_hz)) * DESCRIPTOR_HOP_SAMPLES
    frames = np.stack([padded[start : start + DESCRIPTOR_N_FFT] for start in starts])
    lags = np.round(sample_rate_hz / pitch_hz).astype(int).clip(1, DESCRIPTOR_N_FFT // 2)
    correlations = []
    for frame, lag in zip(frames, lags, strict=True):
        now, later = frame[:-lag], frame[lag:]
        correlations.append(now @ later / np.sqrt((now @ now) * (later @ later) + 1e-9))
    return np.array(correlations)


def opening_silence(signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Digital silence of a clip, and what is heard before anybody speaks.

    Parameters
    ----------
    signal, sample_rate_hz : ndarray of shape (n_samples,), int
        Mono, and its rate, which should be that of the recording.

    Returns
    -------
    ndarray of float32, shape (len(OPENING),)
        Digital silence in seconds, runs of 20 ms or more; seconds of the opening, which ends 0.1 s
        before the first speech and after 0.35 s at the latest; then, all 0 where that is less than
        0.1 s, the share of digital silence in it, and of each band of frequencies the mean and the
        spread of its level in dB. At half precision, as `nb.exhibit` keeps it.
    """
    check_signal(signal)
    edges = np.flatnonzero(np.diff(np.abs(signal) < HALF_STEP, prepend=False, append=False))
    runs_s = (edges[1::2] - edges[::2]) / sample_rate_hz
    span_s = speech_span_s(signal[: round(BEGINNING_S * sample_rate_hz)], sample_rate_hz)
    ends_s = min(OPENING_S, max(0, span_s[0] - MARGIN_S)) if span_s else OPENING_S
    opening = signal[: round(ends_s * sample_rate_hz)]
    values = np.zeros(len(OPENING), np.float16)
    values[0] = runs_s[runs_s >= MIN_ZEROS_S].sum()
    if len(opening) < round(MIN_OPENING_S * sample_rate_hz):
        return values.astype(np.float32)
    n_window = round(OPENING_WINDOW_S * sample_rate_hz)
    frames = np.lib.stride_tricks.sliding_window_view(opening, n_window)[:: n_window // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(n_window))) ** 2
    edges_hz = np.geomspace(OPENING_FROM_HZ, sample_rate_hz / 2, N_OPENING_BANDS, endpoint=False)
    starts = np.round(edges_hz * OPENING_WINDOW_S).astype(int)
    level_db = 10 * np.log10(np.add.reduceat(power, starts, axis=1) + 1e-9)
    values[1] = len(opening) / sample_rate_hz
    values[2] = (np.abs(opening) < HALF_STEP).mean()
    values[3:] = np.concatenate([level_db.mean(axis=0), level_db.std(axis=0)])
    return values.astype(np.float32)


def compare_functionals(signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Functionals of the ComParE 2016 set over the whole clip, shape (6373,), by openSMILE.

    In openSMILE's order and units; a signal shorter than 0.3 s is followed by silence. openSMILE
    reads samples of 16 bits and takes 1.0 for the lowest of them: it is given the highest.
    For the set: Schuller et al. (2016), Interspeech; for the program: Eyben et al. (2010), ACM
    Multimedia.
    """
    check_signal(signal)
    missing = round(OPENSMILE_MIN_S * sample_rate_hz) - len(signal)
    padded = np.pad(signal, (0, max(missing, 0))).clip(-1, 1 - 2.0**-15).astype(np.float32)
    return _opensmile().process_signal(padded, sample_rate_hz).to_numpy(np.float32)[0]


def has_opensmile() -> bool:
    """Return whether openSMILE is installed."""
    return find_spec("opensmile") is not None


@lru_cache(maxsize=1)
def _opensmile() -> opensmile.Smile:
    try:
        import opensmile
    except ImportError as error:
        raise FeatureError(
            "compare_functionals needs openSMILE, which is not installed: its licence allows "
            "research and private use only. To install it: "
            f'{sys.executable} -m pip install "opensmile>=2.6"'
        ) from error
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet.ComParE_2016,
        feature_level=opensmile.FeatureLevel.Functionals,
    )
