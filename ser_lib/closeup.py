"""One clip from close by: waveform, spectrogram, cepstrum and pitch as one picture, and its sound.

What `ser_lib.explore` shows of a clip. Times run from left to right on one axis for all four.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from IPython.display import Audio
from matplotlib.figure import Figure

from ser_lib.audio import load_signal, resample
from ser_lib.features import HOP_SAMPLES, N_FFT, log_mel, mfcc_zcr_rms, waveform_envelope
from ser_lib.labels import colour_of
from ser_lib.plots.signals import (
    PITCH_LIMITS_HZ,
    plot_envelope,
    plot_log_mel,
    plot_mfcc,
    plot_pitch,
)

__all__ = ["HEIGHT_PX", "WIDTH_PX", "CloseUp", "look_at", "pitch_contour"]

RATE_HZ = 22_050  # as the studies' features
N_COEFFICIENTS = 20  # librosa's default; the finer ones hold little that the eye can find
MFCC_LIMIT_DB = 60.0  # nine in ten values lie within, whatever the corpus
SPEECH_RANGE_DB = 25.0  # as in `features.prosody`: what is softer is breath, room or noise
# Twice as many pixels as are shown, for the text to be as large as the page's.
DPI = 150
WIDTH_PX = 840
HEIGHT_PX = 860
STYLE = Path(__file__).with_name("ser.mplstyle")


@dataclass(frozen=True)
class CloseUp:
    """A clip, ready to be shown."""

    png: bytes
    wav: bytes
    caption: str


def pitch_contour(signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Follow the voice's pitch.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate.

    Returns
    -------
    ndarray, shape (n_frames,)
        In Hz; NaN where there is no voice, or where the frame lies more than 25 dB below the
        loud ones.

    References
    ----------
    Mauch & Dixon (2014), "pYIN: a fundamental frequency estimator using probabilistic threshold
    distributions", with thresholds around 0.2, because acted speech is rougher than song.

    Notes
    -----
    Notebook: explore.ipynb
    """
    import librosa

    low_hz, high_hz = PITCH_LIMITS_HZ
    framing = {"frame_length": N_FFT, "hop_length": HOP_SAMPLES}
    # A fifth of a semitone is finer than a line is wide, and three times as quick as the default.
    pitch_hz, _, _ = librosa.pyin(
        signal,
        fmin=low_hz,
        fmax=high_hz,
        sr=sample_rate_hz,
        beta_parameters=(2, 8),
        resolution=0.2,
        **framing,
    )
    level = librosa.feature.rms(y=signal, **framing)[0]
    is_speech = level > np.percentile(level, 95) * 10 ** (-SPEECH_RANGE_DB / 20)
    return np.where(is_speech, pitch_hz, np.nan)


def look_at(path: str, emotion: str) -> CloseUp:
    """Decode a clip, draw it and make it playable.

    Parameters
    ----------
    path : str
        The recording.
    emotion : str
        Decides the colour.

    Returns
    -------
    CloseUp
        From memory where the file was looked at before and has not changed.

    Raises
    ------
    AudioError, FeatureError
        If the recording cannot be used.

    Notes
    -----
    Notebook: explore.ipynb
    """
    file = Path(path)
    # Decoding says what is wrong with a file that is gone.
    return _look_at(path, file.stat().st_mtime_ns if file.is_file() else 0, emotion)


# Some 400 kB a clip.
@lru_cache(maxsize=100)
def _look_at(path: str, _changed_ns: int, emotion: str) -> CloseUp:
    native, native_hz = load_signal(path)
    signal = resample(native, native_hz, RATE_HZ)
    pitch_hz = pitch_contour(signal, RATE_HZ)
    with mpl.rc_context(fname=STYLE):
        png = _draw(signal, pitch_hz, colour_of(emotion))
    # Lossy codecs overshoot full scale now and then.
    wav = Audio(native.clip(-1, 1), rate=native_hz, normalize=False).data
    return CloseUp(png, wav, _caption(signal, pitch_hz))


def _draw(signal: np.ndarray, pitch_hz: np.ndarray, colour: str) -> bytes:
    """Draw the four panels; their places are fixed, so that nothing jumps from clip to clip."""
    duration_s = len(signal) / RATE_HZ
    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, layout="none")
    edges = {"left": 0.145, "right": 0.885, "top": 0.99, "bottom": 0.075}
    grid = figure.add_gridspec(
        4,
        2,
        height_ratios=(2, 3.2, 3.2, 2.4),
        width_ratios=(1, 0.02),
        hspace=0.14,
        wspace=0.03,
        **edges,
    )
    wave, mel, cepstrum, pitch = (figure.add_subplot(grid[row, 0]) for row in range(4))
    envelope = waveform_envelope(signal, RATE_HZ, duration_s=duration_s, n_points=600)
    plot_envelope(envelope, duration_s, colour=colour, ax=wave)
    bare = {"with_colour_bar": False}
    plot_log_mel(log_mel(signal, RATE_HZ), duration_s, f_max_hz=RATE_HZ / 2, ax=mel, **bare)
    # Columns 0 to 2 are zero crossings, RMS and the coefficient that is the level.
    frames = mfcc_zcr_rms(signal, RATE_HZ, duration_s=duration_s, n_mfcc=N_COEFFICIENTS)[:, 3:]
    plot_mfcc(frames.T, duration_s, first=1, limit=MFCC_LIMIT_DB, ax=cepstrum, **bare)
    plot_pitch(pitch_hz, duration_s, colour=colour, ax=pitch)
    for row, ax, label in ((1, mel, "Level (dB)"), (2, cepstrum, "Value (dB)")):
        scale = figure.add_subplot(grid[row, 1])
        low, high = ax.images[0].get_clim()
        figure.colorbar(ax.images[0], cax=scale, label=label, ticks=(low, (low + high) / 2, high))
    for ax in (wave, mel, cepstrum):
        # Ticks take most of the time that drawing takes; those of the lowest panel serve all.
        ax.set(xticks=(), xlabel="")
    cepstrum.set_ylabel("MFCC (number)")
    for ax in (wave, mel, cepstrum, pitch):
        # One line for all; quicker than align_ylabels, which measures every tick.
        ax.yaxis.set_label_coords(-0.145, 0.5)
    png = io.BytesIO()
    # The browser is near: quick to pack counts for more than small.
    figure.savefig(png, format="png", dpi=DPI, pil_kwargs={"compress_level": 1})
    return png.getvalue()


def _caption(signal: np.ndarray, pitch_hz: np.ndarray) -> str:
    peak_db = 20 * np.log10(max(float(np.abs(signal).max()), 1e-6))
    voiced_hz = pitch_hz[np.isfinite(pitch_hz)]
    contour = f"median {np.median(voiced_hz):.0f} Hz" if len(voiced_hz) else "none was found"
    return (
        f"From top to bottom: waveform, peak {peak_db:.0f} dB re full scale; mel spectrogram, "
        f"in dB below its maximum; mel cepstrum (MFCC) 1 to {N_COEFFICIENTS - 1}; pitch of the "
        f"voice, {contour}."
    ).replace("-", "−")
