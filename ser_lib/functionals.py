"""Functionals: what a whole clip's frames are like on average, as a short row of named values.

Only frames in which somebody speaks count, so that silence before and after a clip changes nothing.
Features that keep the order of frames live in `ser_lib.features`.
"""

from __future__ import annotations

import numpy as np

from ser_lib.errors import FeatureError

__all__ = ["check_signal", "speech_statistics", "statistic_names"]

N_FFT = 2048  # as `ser_lib.features`
HOP_SAMPLES = 512
SPEECH_RANGE_DB = 30.0  # frames further below the loud ones are pauses, breath and room
STATISTICS = ("mean", "spread", "change")


def check_signal(signal: np.ndarray) -> None:
    """Raise where an array is no signal: not mono, empty, or with samples that are not finite."""
    if signal.ndim != 1 or len(signal) == 0:
        raise FeatureError(f"a signal must be mono and not empty, not of shape {signal.shape}")
    if not np.isfinite(signal).all():
        raise FeatureError("the signal holds NaN or infinite samples")


def statistic_names(n_mfcc: int = 20) -> tuple[str, ...]:
    """Name the values of `speech_statistics`: `level mean`, `level spread`, `level change`, ...

    Examples
    --------
    >>> statistic_names(1)[:4]
    ('level mean', 'level spread', 'level change', 'zero crossings mean')
    """
    descriptors = ("level", "zero crossings", "pitch", *(f"mfcc{n:02d}" for n in range(n_mfcc)))
    return tuple(f"{name} {statistic}" for name in descriptors for statistic in STATISTICS)


def speech_statistics(signal: np.ndarray, sample_rate_hz: int, *, n_mfcc: int = 20) -> np.ndarray:
    """Mean, spread and change of level, zero crossings, pitch and MFCC over the spoken frames.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.
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

    Notes
    -----
    Notebook: 08_leakage.ipynb
    """
    import librosa

    check_signal(signal)
    framing = {"frame_length": N_FFT, "hop_length": HOP_SAMPLES}
    rms = librosa.feature.rms(y=signal, **framing)[0]
    loud = float(np.percentile(rms, 95))
    if loud <= 0:
        raise FeatureError("the signal is silent: it has no spoken frames")
    pitch_hz = librosa.yin(signal, fmin=65, fmax=600, sr=sample_rate_hz, **framing)
    mfcc = librosa.feature.mfcc(
        y=signal, sr=sample_rate_hz, n_mfcc=n_mfcc, n_fft=N_FFT, hop_length=HOP_SAMPLES
    )
    # (n_descriptors, n_frames)
    frames = np.vstack(
        [
            20 * np.log10(np.maximum(rms, 1e-6)),
            librosa.feature.zero_crossing_rate(signal, **framing)[0],
            12 * np.log2(pitch_hz[: len(rms)] / 55),
            mfcc,
        ]
    )
    spoken = frames[:, rms > loud * 10 ** (-SPEECH_RANGE_DB / 20)]
    changes = np.abs(np.diff(spoken, axis=1)).sum(axis=1) / max(spoken.shape[1] - 1, 1)
    statistics = np.stack([spoken.mean(axis=1), spoken.std(axis=1), changes], axis=1)
    return statistics.ravel().astype(np.float32)
