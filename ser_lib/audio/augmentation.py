"""Augmentation of waveforms: noise, shift, stretch and pitch as in `boucheta2025`; and speed.

`draw` turns a generator into parameters, the functions apply parameters and are pure; all take
(signal, sample_rate_hz) and return a signal. Which rows are augmented is a matter of the split:
augmented copies of a test clip must never be trained on.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from ser_lib.audio.signal import resample
from ser_lib.errors import FeatureError


def _librosa_major() -> int:
    """Return 0 before librosa 1.0, whose stretched and shifted signals differ by 0.1 %."""
    with suppress(PackageNotFoundError):
        return int(version("librosa").split(".")[0])
    return 0


@contextmanager
def _own_calls() -> Iterator[None]:
    """Hide what librosa 1.0 warns of in calls that are its own: nobody here can mend them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"librosa\.")
        # Its compiled functions are given arrays that nobody has filled yet.
        warnings.filterwarnings("ignore", "invalid value encountered", RuntimeWarning, r"numba\.")
        yield


def add_noise(
    signal: np.ndarray, sample_rate_hz: int, *, amplitude_ratio: float, noise_seed: int
) -> np.ndarray:
    """Add white Gaussian noise whose standard deviation is a share of the signal's peak.

    Silence stays silent.
    """
    noise = np.random.default_rng(noise_seed).standard_normal(len(signal))
    peak = np.abs(signal).max(initial=0.0)
    return (signal + amplitude_ratio * peak * noise).astype(np.float32)


def shift_time(signal: np.ndarray, sample_rate_hz: int, *, shift_s: float) -> np.ndarray:
    """Rotate a signal: what leaves at one end enters at the other.

    A positive shift moves the sound later.
    """
    return np.roll(signal, round(shift_s * sample_rate_hz))


def stretch_time(signal: np.ndarray, sample_rate_hz: int, *, rate: float) -> np.ndarray:
    """Change the tempo and keep the pitch (phase vocoder, `librosa.effects.time_stretch`).

    A rate above 1 is faster and shorter.
    """
    import librosa

    if rate <= 0:
        raise FeatureError(f"rate={rate} must be above 0; 1 leaves the tempo as it is")
    with _own_calls():
        return librosa.effects.time_stretch(signal, rate=rate).astype(np.float32)


def shift_pitch(signal: np.ndarray, sample_rate_hz: int, *, semitones: float) -> np.ndarray:
    """Change the pitch and keep the tempo (`librosa.effects.pitch_shift`, soxr resampling)."""
    import librosa

    with _own_calls():
        shifted = librosa.effects.pitch_shift(
            signal, sr=sample_rate_hz, n_steps=semitones, res_type="soxr_hq"
        )
    return shifted.astype(np.float32)


def change_speed(signal: np.ndarray, sample_rate_hz: int, *, factor: float) -> np.ndarray:
    """Play a signal faster or slower, as a tape does: pitch, formants and tempo change alike.

    A factor above 1 is faster, higher and shorter.
    """
    if factor <= 0:
        raise FeatureError(f"factor={factor} must be above 0; 1 leaves the speed as it is")
    # A rate that is called another one than it is.
    return resample(signal, round(sample_rate_hz * factor), sample_rate_hz)


def apply_steps(
    signal: np.ndarray, sample_rate_hz: int, *, steps: Mapping[str, Mapping[str, float]]
) -> np.ndarray:
    """Apply several augmentations, by name and parameters, one after the other."""
    for name, parameters in steps.items():
        signal = AUGMENTATIONS[name].apply(signal, sample_rate_hz, **parameters)
    return signal


def _draw_steps(rng: np.random.Generator) -> Mapping[str, object]:
    chosen = [name for name in ("noise", "stretch", "pitch", "shift") if rng.uniform() < 0.5]
    return {"steps": {name: AUGMENTATIONS[name].draw(rng) for name in chosen}}


@dataclass(frozen=True)
class Augmentation:
    """A function on signals and the distribution of its parameters."""

    name: str
    apply: Callable[..., np.ndarray]
    draw: Callable[[np.random.Generator], Mapping[str, object]]
    describes: str
    version: int = 1
    """Raised whenever function or draws change: stored features and runs then differ."""


# Amplitudes and ranges as boucheta2025 prints them in its section 2.4.
AUGMENTATIONS: dict[str, Augmentation] = {
    one.name: one
    for one in (
        Augmentation(
            "noise",
            add_noise,
            lambda rng: {
                "amplitude_ratio": 0.005 * rng.uniform(),
                "noise_seed": int(rng.integers(2**32)),
            },
            "white noise, up to 0.5 % of the peak",
        ),
        Augmentation(
            "shift",
            shift_time,
            lambda rng: {"shift_s": rng.uniform(-0.005, 0.005)},
            "rotation by up to 5 ms",
        ),
        # Other readings of the same section, see `support/readings.py`.
        Augmentation(
            "shift_far",
            shift_time,
            lambda rng: {"shift_s": rng.uniform(-5000, 5000) / 22_050},
            "rotation by up to 5,000 samples at 22,050 Hz",
        ),
        Augmentation(
            "stretch_slow",
            stretch_time,
            lambda rng: {"rate": 0.8},
            "0.8 of the tempo",
            version=1 + _librosa_major(),
        ),
        Augmentation(
            "stretch",
            stretch_time,
            lambda rng: {"rate": rng.uniform(0.8, 1.2)},
            "tempo 0.8 to 1.2",
            version=1 + _librosa_major(),
        ),
        Augmentation(
            "pitch",
            shift_pitch,
            lambda rng: {"semitones": rng.uniform(-2.0, 2.0)},
            "pitch up to 2 semitones up or down",
            version=1 + _librosa_major(),
        ),
        # Nothing is drawn: what is done to training clips can be done to a test clip as well.
        Augmentation(
            "slower",
            change_speed,
            lambda rng: {"factor": 0.9},
            "a tenth slower",
        ),
        Augmentation(
            "faster",
            change_speed,
            lambda rng: {"factor": 1.1},
            "a tenth faster",
        ),
        # fpt2025, section 2.2.4: each "with a probability", which it does not print.
        Augmentation(
            "mixed",
            apply_steps,
            _draw_steps,
            "each of the four with probability 0.5",
            version=1 + _librosa_major(),
        ),
    )
}


def augment(
    signal: np.ndarray, sample_rate_hz: int, name: str, *, rng: np.random.Generator
) -> np.ndarray:
    """Draw an augmentation's parameters and apply it.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono.
    sample_rate_hz : int
    name : str
        A key of `AUGMENTATIONS`; FeatureError where it is none.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float32
        Stretching changes the length.
    """
    if name not in AUGMENTATIONS:
        raise FeatureError(f"unknown augmentation '{name}'; known are {', '.join(AUGMENTATIONS)}")
    chosen = AUGMENTATIONS[name]
    return chosen.apply(signal, sample_rate_hz, **chosen.draw(rng))
