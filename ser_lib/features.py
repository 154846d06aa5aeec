"""Features: pure functions from a signal to an array, and the specs that name them.

A signal is float32 mono of shape (n_samples,); axes are (n_bands, n_frames); levels are in dB;
bands are on the mel scale up to `f_max_hz`. A `FeatureSpec` freezes a function's name, its
parameters and the part of the clip that it sees. Reading files lives in `ser_lib.extraction`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from ser_lib.audio import crop_or_pad
from ser_lib.descriptors import speech_descriptors
from ser_lib.encoders import encoder_frames, encoder_shape, encoder_views, frames_shape
from ser_lib.errors import FeatureError
from ser_lib.functionals import check_signal, speech_statistics
from ser_lib.mel import mel_power, power_to_db
from ser_lib.opensmile_functionals import compare_functionals, compare_shape

__all__ = [
    "FEATURES",
    "FeatureSpec",
    "log_mel",
    "mel_chunks",
    "mel_frames",
    "mel_picture",
    "mel_square",
    "mfcc_zcr_rms",
    "prosody",
    "waveform_envelope",
]

N_FFT = 2048  # librosa's default, 93 ms at 22,050 Hz, which all five studies leave unchanged
HOP_SAMPLES = 512  # likewise, 23 ms at 22,050 Hz
RANGE_DB = 80.0  # librosa.power_to_db's default: what lies further below the loudest band is cut


def log_mel(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    n_mels: int = 128,
    f_max_hz: float | None = None,
    hop_samples: int = HOP_SAMPLES,
    duration_s: float | None = None,
) -> np.ndarray:
    """Mel spectrogram in dB below its own maximum.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.
    n_mels : int
        Number of mel bands.
    f_max_hz : float, optional
        Upper edge of the highest band; None takes half the rate.
    hop_samples : int
        Samples from frame to frame.
    duration_s : float, optional
        The signal is cropped or padded to this length first; None takes it as it is.

    Returns
    -------
    ndarray of float32, shape (n_mels, n_frames)
        In [-80, 0] dB, where n_frames = 1 + n_samples // hop_samples.

    Raises
    ------
    FeatureError
        If the signal is empty, not mono, or holds samples that are not finite.

    Examples
    --------
    >>> log_mel(np.sin(np.arange(22050.0)), 22050).shape
    (128, 44)

    Notes
    -----
    Notebook: 02_spectrograms.ipynb
    """
    check_signal(signal)
    if duration_s is not None:
        signal = crop_or_pad(signal, round(duration_s * sample_rate_hz))
    power = mel_power(
        signal,
        sample_rate_hz,
        n_mels=n_mels,
        n_fft=N_FFT,
        hop_samples=hop_samples,
        f_max_hz=sample_rate_hz / 2 if f_max_hz is None else f_max_hz,
    )
    return power_to_db(power, range_db=RANGE_DB).astype(np.float32)


def mel_square(
    signal: np.ndarray, sample_rate_hz: int, *, side_px: int = 128, n_mels: int = 128
) -> np.ndarray:
    """Log-mel array resized to a square in [0, 1]: what `mel_picture` shows, without the picture.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.
    side_px : int
        Height and width of the result.
    n_mels : int
        Number of mel bands before resizing.

    Returns
    -------
    ndarray of float32, shape (side_px, side_px, 1)
        Row 0 is the lowest band; the whole clip fills the width, whatever its length, as in the
        published pictures.

    Notes
    -----
    Notebook: 02_spectrograms.ipynb
    """
    from scipy.ndimage import zoom

    level_db = log_mel(signal, sample_rate_hz, n_mels=n_mels)
    factors = (side_px / level_db.shape[0], side_px / level_db.shape[1])
    square = zoom(level_db, factors, order=1, grid_mode=True, mode="nearest")
    return (square[..., np.newaxis] / RANGE_DB + 1.0).clip(0.0, 1.0).astype(np.float32)


def mel_frames(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    n_frames: int = 130,
    n_mels: int = 60,
    hop_samples: int = HOP_SAMPLES,
) -> np.ndarray:
    """Log-mel spectrogram in [0, 1] as a sequence of frames of fixed length.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.
    n_frames : int
        Longer clips are cut at their end, shorter ones filled up with silence (0).
    n_mels : int
        Number of mel bands.
    hop_samples : int
        Samples from frame to frame.

    Returns
    -------
    ndarray of float32, shape (n_frames, n_mels, 1)
        0 is 80 dB below the clip's loudest band, 1 is that band.

    Examples
    --------
    >>> mel_frames(np.sin(np.arange(22050.0)), 22050).shape
    (130, 60, 1)

    Notes
    -----
    Notebook: 06_cnn_recurrent.ipynb
    """
    level_db = log_mel(signal, sample_rate_hz, n_mels=n_mels, hop_samples=hop_samples)
    # (n_mels, n_frames of the clip) -> (n_frames, n_mels, 1)
    frames = (level_db.T[:n_frames, :, np.newaxis] / RANGE_DB + 1.0).clip(0.0, 1.0)
    missing = n_frames - len(frames)
    return np.pad(frames, ((0, missing), (0, 0), (0, 0))).astype(np.float32)


def mel_chunks(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    n_chunks: int = 3,
    n_frames: int = 60,
    n_mels: int = 128,
) -> np.ndarray:
    """Log-mel spectrogram in [0, 1], cut into chunks of frames.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono; its level does not matter, since dB are relative to its own maximum.
    sample_rate_hz : int
        Its rate; at 16 kHz a chunk of 60 frames lasts 1.9 s.
    n_chunks : int
        Longer clips are cut at their end, shorter ones filled up with silence (0).
    n_frames : int
        Frames of a chunk.
    n_mels : int
        Number of mel bands.

    Returns
    -------
    ndarray of float32, shape (n_chunks, n_mels, n_frames, 1)
        The clip's own lowest level is 0, its highest 1.

    References
    ----------
    fpt2025, sections 2.2.1 and 5.

    Examples
    --------
    >>> mel_chunks(np.sin(np.arange(32000.0)), 16000).shape
    (3, 128, 60, 1)

    Notes
    -----
    Notebook: 05_cnn_3d_pooled.ipynb
    """
    level_db = log_mel(signal, sample_rate_hz, n_mels=n_mels)[:, : n_chunks * n_frames]
    low, high = level_db.min(), level_db.max()
    # One level everywhere has no range to be scaled by: it is the loudest there is.
    scaled = (level_db - low) / (high - low) if high > low else np.ones_like(level_db)
    filled = np.pad(scaled, ((0, 0), (0, n_chunks * n_frames - scaled.shape[1])))
    # (n_mels, n_chunks * n_frames) -> (n_chunks, n_mels, n_frames, 1)
    chunks = filled.reshape(n_mels, n_chunks, n_frames).transpose(1, 0, 2)
    return chunks[..., np.newaxis].astype(np.float32)


def mel_picture(
    signal: np.ndarray, sample_rate_hz: int, *, side_px: int = 224, n_mels: int = 128
) -> np.ndarray:
    """Draw the log-mel spectrogram as `swart2025` does: `specshow`, default colours, no axes.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.
    side_px : int
        Height and width of the picture, drawn at 100 dots an inch.
    n_mels : int
        Number of mel bands.

    Returns
    -------
    ndarray of uint8, shape (side_px, side_px, 3)
        Red, green, blue; row 0 is the highest band. The same pixels as the PNG file that the
        study saves and reads again, without the detour over the disk.

    References
    ----------
    Swart (2025), section 3.3; 2.24 in at 100 dots an inch as in the author's notebook.

    Notes
    -----
    Notebook: 02_spectrograms.ipynb
    """
    import librosa.display
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    level_db = log_mel(signal, sample_rate_hz, n_mels=n_mels)
    # The study draws with matplotlib's defaults, whatever style the caller's figures have.
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(side_px / 100, side_px / 100), dpi=100)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        librosa.display.specshow(level_db, ax=axes)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def mfcc_zcr_rms(
    signal: np.ndarray, sample_rate_hz: int, *, duration_s: float = 2.5, n_mfcc: int = 40
) -> np.ndarray:
    """Zero-crossing rate, RMS and MFCC of every frame.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.
    duration_s : float
        The signal is cropped or padded with zeros to this length, so that all clips are alike.
    n_mfcc : int
        Number of cepstral coefficients.

    Returns
    -------
    ndarray of float32, shape (n_frames, 2 + n_mfcc)
        Column 0 the zero-crossing rate in [0, 1], column 1 the RMS (linear), then the
        coefficients. Values that are not finite become 0.

    References
    ----------
    Boucheta & Roubache (2025), section 2.4.2.

    Examples
    --------
    >>> mfcc_zcr_rms(np.sin(np.arange(22050.0)), 22050).shape
    (108, 42)

    Notes
    -----
    Notebook: 04_cnn_1d_mfcc.ipynb
    """
    import librosa

    check_signal(signal)
    fixed = crop_or_pad(signal, round(duration_s * sample_rate_hz))
    framing = {"hop_length": HOP_SAMPLES}
    zcr = librosa.feature.zero_crossing_rate(fixed, frame_length=N_FFT, **framing)
    rms = librosa.feature.rms(y=fixed, frame_length=N_FFT, **framing)
    mfcc = librosa.feature.mfcc(y=fixed, sr=sample_rate_hz, n_mfcc=n_mfcc, n_fft=N_FFT, **framing)
    # three times (n_values, n_frames) -> (n_frames, n_values)
    frames = np.vstack([zcr, rms, mfcc]).T
    return np.nan_to_num(frames, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)


def waveform_envelope(
    signal: np.ndarray, sample_rate_hz: int, *, duration_s: float = 4.0, n_points: int = 400
) -> np.ndarray:
    """Lowest and highest sample of each short stretch: enough to draw a waveform, not to hear it.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.
    duration_s : float
        The signal is cropped or padded to this length.
    n_points : int
        Number of stretches.

    Returns
    -------
    ndarray of float32, shape (2, n_points)
        Row 0 the minima, row 1 the maxima, in [-1, 1].

    Notes
    -----
    Notebook: 01_eda.ipynb
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
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.

    Returns
    -------
    ndarray of float32, shape (4,)
        Level of the loud frames (95th percentile of RMS) in dB re full scale; median pitch in Hz
        (yin) over those frames within 25 dB of the level; its interquartile range in semitones;
        time covered by these frames in seconds.

    Notes
    -----
    Notebook: 01_eda.ipynb
    """
    import librosa

    check_signal(signal)
    rms = librosa.feature.rms(y=signal, frame_length=N_FFT, hop_length=HOP_SAMPLES)[0]
    level = max(float(np.percentile(rms, 95)), 1e-6)
    is_speech = rms > level * 10 ** (-25 / 20)
    pitch_hz = librosa.yin(
        signal, fmin=65, fmax=600, sr=sample_rate_hz, frame_length=N_FFT, hop_length=HOP_SAMPLES
    )[: len(rms)][is_speech[: len(rms)]]
    if not len(pitch_hz):
        raise FeatureError("the signal is silent: it has no pitch")
    quarter, median, three_quarters = np.percentile(pitch_hz, [25, 50, 75])
    return np.array(
        [
            20 * np.log10(level),
            median,
            12 * np.log2(three_quarters / quarter),
            is_speech.sum() * HOP_SAMPLES / sample_rate_hz,
        ],
        dtype=np.float32,
    )


@dataclass(frozen=True)
class Feature:
    """A registered feature function."""

    function: Callable[..., np.ndarray]
    version: int
    """Raised whenever the function's output changes: stored features and runs then differ."""
    shape: Callable[..., tuple[int, ...]] | None = None
    """Tells the shape from the parameters, where the function needs what may not be here."""
    time_axes: tuple[int, ...] = ()
    """Which axes of its output are time."""


FEATURES: dict[str, Feature] = {
    "compare_functionals": Feature(compare_functionals, 1, compare_shape),
    "encoder_frames": Feature(encoder_frames, 1, frames_shape, (0,)),
    "encoder_views": Feature(encoder_views, 1, encoder_shape),
    "log_mel": Feature(log_mel, 1, time_axes=(1,)),
    "mel_chunks": Feature(mel_chunks, 1, time_axes=(0, 2)),
    "mel_frames": Feature(mel_frames, 1, time_axes=(0,)),
    "mel_square": Feature(mel_square, 1, time_axes=(1,)),
    "mel_picture": Feature(mel_picture, 1, time_axes=(1,)),
    "mfcc_zcr_rms": Feature(mfcc_zcr_rms, 1, time_axes=(0,)),
    "prosody": Feature(prosody, 1),
    "speech_descriptors": Feature(speech_descriptors, 2, time_axes=(0,)),
    "speech_statistics": Feature(speech_statistics, 1),
    "waveform_envelope": Feature(waveform_envelope, 1, time_axes=(1,)),
}


@dataclass(frozen=True)
class FeatureSpec:
    """Everything that decides a feature's values, given the audio."""

    name: str
    sample_rate_hz: int = 22_050
    """The clip is resampled to it; librosa's default, which the studies use."""
    offset_s: float = 0.0
    duration_s: float | None = None
    """The part of the clip that is used; None takes all."""
    params: Mapping[str, float | int | str] = field(default_factory=dict)
    """Keyword arguments of the function."""

    def __post_init__(self) -> None:
        if self.name not in FEATURES:
            raise FeatureError(f"unknown feature '{self.name}'; known are {', '.join(FEATURES)}")
        known = set(inspect.signature(FEATURES[self.name].function).parameters)
        unknown = sorted(set(self.params) - known)
        if unknown:
            raise FeatureError(f"feature '{self.name}' has no parameters {unknown}")

    def identity(self) -> dict[str, object]:
        """Return the spec and the function's version as plain data, for keys and records."""
        return asdict(self) | {"version": FEATURES[self.name].version}
