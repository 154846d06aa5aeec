"""Descriptors: what acousticians measure of every frame of speech, in the order of time.

Nothing is learned here: cepstrum, pitch, voicing, level, shape of the spectrum and chroma, each as
it moves about the clip's own mean, and that mean beside it. `ser_lib.models.tdnn` reads them.
"""

from __future__ import annotations

import numpy as np

from ser_lib.functionals import check_signal

__all__ = ["DESCRIPTORS", "speech_descriptors"]

N_FFT = 1024  # 64 ms at 16 kHz: two periods of a deep voice
WINDOW_SAMPLES = 640
HOP_SAMPLES = 256
N_MELS, N_MFCC = 64, 25
SPEECH_RANGE_DB = 35.0
MARGIN_FRAMES = 3
PITCH_HZ = (65.0, 700.0)
DESCRIPTORS = (
    *(f"mfcc{number:02d}" for number in range(N_MFCC)),
    "pitch",
    "voicing",
    "level",
    "centroid",
    "rolloff",
    "flatness",
    *(f"chroma{number:02d}" for number in range(12)),
)
"""Names of a frame's values, before they are scaled: pitch in semitones re 100 Hz, voicing in
[-1, 1], level in dB, centroid and rolloff in octaves re 1 kHz, flatness in decades."""

# About what speech has, so that a frame of zeros, or half of one, is no extreme.
TYPICAL = np.zeros(len(DESCRIPTORS))
TYPICAL[[0, 1, 3]] = -200.0, 50.0, 20.0
TYPICAL[N_MFCC : N_MFCC + 6] = 12.0, 0.7, 25.0, 0.6, 1.5, -2.3
TYPICAL[N_MFCC + 6 :] = 0.45


def speech_descriptors(
    signal: np.ndarray, sample_rate_hz: int, *, n_frames: int = 160
) -> np.ndarray:
    """Descriptors of each frame, without the pauses at both ends of the clip.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.
    n_frames : int
        Longer speech is cut at its end, shorter speech filled up with frames of zeros. At 16 kHz
        there are 62.5 frames a second.

    Returns
    -------
    ndarray of float32, shape (n_frames, 2 * len(DESCRIPTORS))
        The `DESCRIPTORS` less their mean over the clip, then these means less what is typical, the
        same in every frame. A frame of zeros is no frame.

    Raises
    ------
    FeatureError
        If the signal is empty, not mono, or holds samples that are not finite.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    check_signal(signal)
    if len(signal) < N_FFT:
        signal = np.pad(signal, (0, N_FFT - len(signal)))
    values, level_db = _measure(signal, sample_rate_hz)
    loud = np.flatnonzero(level_db >= level_db.max() - SPEECH_RANGE_DB)
    first, last = max(int(loud[0]) - MARGIN_FRAMES, 0), int(loud[-1]) + 1 + MARGIN_FRAMES
    spoken = values[first:last][:n_frames]
    mean = spoken.mean(axis=0)
    both = np.concatenate([spoken - mean, np.tile(mean - TYPICAL, (len(spoken), 1))], axis=1)
    return np.pad(both, ((0, n_frames - len(both)), (0, 0))).astype(np.float32)


def _measure(signal: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Return descriptors, shape (n_frames, len(DESCRIPTORS)), and the level of each frame in dB."""
    import librosa

    spectrum = np.abs(
        librosa.stft(signal, n_fft=N_FFT, win_length=WINDOW_SAMPLES, hop_length=HOP_SAMPLES)
    )
    power = spectrum**2
    # Quieter than any recording: digital silence must not become minus infinity.
    mel = librosa.feature.melspectrogram(S=power, sr=sample_rate_hz, n_mels=N_MELS)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel, amin=1e-9, top_db=None), n_mfcc=N_MFCC)
    pitch_hz = librosa.yin(
        signal,
        fmin=PITCH_HZ[0],
        fmax=PITCH_HZ[1],
        sr=sample_rate_hz,
        frame_length=N_FFT,
        hop_length=HOP_SAMPLES,
    )[: power.shape[1]]
    level_db = 10 * np.log10(power.sum(axis=0) + 1e-9)
    shape = {"S": spectrum, "sr": sample_rate_hz}
    centroid_hz = librosa.feature.spectral_centroid(**shape)[0]
    rolloff_hz = librosa.feature.spectral_rolloff(**shape)[0]
    rows = np.vstack(
        [
            mfcc,
            12 * np.log2(pitch_hz / 100),
            _voicing(signal, pitch_hz, sample_rate_hz),
            level_db,
            np.log2(centroid_hz / 1000 + 0.01),
            np.log2(rolloff_hz / 1000 + 0.01),
            np.log10(librosa.feature.spectral_flatness(S=spectrum)[0]),
            librosa.feature.chroma_stft(S=power, sr=sample_rate_hz, tuning=0.0),
        ]
    )
    return rows.T, level_db


def _voicing(signal: np.ndarray, pitch_hz: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Correlate each frame with itself one period later: 1 for a perfect tone."""
    padded = np.pad(signal, N_FFT // 2)
    starts = np.arange(len(pitch_hz)) * HOP_SAMPLES
    frames = np.stack([padded[start : start + N_FFT] for start in starts])
    lags = np.round(sample_rate_hz / pitch_hz).astype(int).clip(1, N_FFT // 2)
    found = []
    for frame, lag in zip(frames, lags, strict=True):
        now, later = frame[:-lag], frame[lag:]
        found.append(now @ later / np.sqrt((now @ now) * (later @ later) + 1e-9))
    return np.array(found)
