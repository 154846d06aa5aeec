"""The features by name: what each computes, its version, and which of its axes are time."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from ser_lib.errors import FeatureError
from ser_lib.features import acoustic, spectral
from ser_lib.features.encoders import features as encoders


@dataclass(frozen=True)
class Feature:
    """A registered feature function."""

    function: Callable[..., np.ndarray]
    version: int
    """Raised whenever the function's output changes: stored features and runs then differ."""
    shape: Callable[..., tuple[int, ...]] | None = None
    """The shape from the parameters, where the function needs what may not be installed."""
    time_axes: tuple[int, ...] = ()
    """Which axes of its output are time."""
    hop_s: Callable[[FeatureSpec, int, float], float] | None = None
    """Seconds from frame to frame, from the spec, the number of frames and the clip's length in s.
    """
    is_trimmed: bool = False
    """Whether frames begin with the speech: pauses at both ends of the clip are left out."""
    names: Callable[..., Sequence[str]] | None = None
    """The names of a clip's or a frame's values, from the parameters."""

    def __repr__(self) -> str:
        """Say what it computes, as its function does."""
        return str(self.function.__doc__).partition("\n")[0]


def _hop_s(spec: FeatureSpec, n_frames: int, duration_s: float) -> float:
    return float(spec.params.get("hop_samples", spectral.HOP_SAMPLES)) / spec.sample_rate_hz


def _share_s(spec: FeatureSpec, n_frames: int, duration_s: float) -> float:
    return duration_s / n_frames


FEATURES: dict[str, Feature] = {
    "compare_functionals": Feature(
        acoustic.compare_functionals, 2, lambda: (acoustic.N_FUNCTIONALS,)
    ),
    "encoder_frames": Feature(
        *(encoders.encoder_frames, 1, encoders.frames_shape, (0,)),
        hop_s=lambda *_: 384 / 16_000,
        is_trimmed=True,
    ),
    "encoder_views": Feature(encoders.encoder_views, 1, encoders.encoder_shape),
    "log_mel": Feature(spectral.log_mel, 1, time_axes=(1,), hop_s=_hop_s),
    "mel_chunks": Feature(spectral.mel_chunks, 1, time_axes=(0, 2), hop_s=_hop_s),
    "mel_frames": Feature(spectral.mel_frames, 1, time_axes=(0,), hop_s=_hop_s),
    "mel_square": Feature(spectral.mel_square, 1, time_axes=(1,), hop_s=_share_s),
    "mel_picture": Feature(spectral.mel_picture, 1, time_axes=(1,), hop_s=_share_s),
    "mfcc_zcr_rms": Feature(
        spectral.mfcc_zcr_rms,
        1,
        time_axes=(0,),
        hop_s=_hop_s,
        names=lambda n_mfcc=40, **_: ("zcr", "rms", *(f"mfcc{n:02d}" for n in range(n_mfcc))),
    ),
    "opening_silence": Feature(acoustic.opening_silence, 1, names=lambda: acoustic.OPENING),
    "prosody": Feature(acoustic.prosody, 1, names=lambda: acoustic.PROSODY),
    "speech_descriptors": Feature(
        acoustic.speech_descriptors,
        2,
        time_axes=(0,),
        hop_s=lambda spec, *_: acoustic.DESCRIPTOR_HOP_SAMPLES / spec.sample_rate_hz,
        is_trimmed=True,
        names=lambda **_: (*acoustic.DESCRIPTORS, *(f"{n} mean" for n in acoustic.DESCRIPTORS)),
    ),
    "speech_statistics": Feature(acoustic.speech_statistics, 1, names=acoustic.statistic_names),
    "waveform_envelope": Feature(
        acoustic.waveform_envelope,
        1,
        time_axes=(1,),
        hop_s=lambda spec, n, _: float(spec.params.get("duration_s", 4.0)) / n,
        names=lambda **_: ("low", "high"),
    ),
}


@dataclass(frozen=True)
class FeatureSpec:
    """Everything that decides a feature's values, given the audio."""

    name: str
    sample_rate_hz: int = 22_050
    """The clip is resampled to it; librosa's default, which the studies use."""
    offset_s: float = 0.0
    duration_s: float | None = None
    """The part of the clip that is used, cropped and not padded; None takes all."""
    params: Mapping[str, float | int | str] = field(default_factory=dict)
    """Keyword arguments of the function."""

    def __post_init__(self) -> None:
        if self.name not in FEATURES:
            raise FeatureError(f"unknown feature '{self.name}'; known are {', '.join(FEATURES)}")
        # The first two are the signal and its rate.
        parameters = inspect.signature(FEATURES[self.name].function).parameters
        known = list(parameters)[2:]
        unknown = sorted(set(self.params) - set(known))
        if unknown:
            raise FeatureError(
                f"feature '{self.name}' has no parameters {unknown}; known are {', '.join(known)}"
            )
        own = {one: getattr(self, one) for one in ("sample_rate_hz", "offset_s", "duration_s")}
        for name, value in {**own, **self.params}.items():
            if value is None or isinstance(value, str):
                continue
            # What is 0 unless somebody sets it may be 0.
            is_zero_fine = name == "offset_s" or (
                name in self.params and parameters[name].default == 0
            )
            if not 0 <= value < math.inf or not (value or is_zero_fine):
                least = "0 or more" if is_zero_fine else "above 0"
                raise FeatureError(f"feature '{self.name}': {name} is {value}, and must be {least}")

    def identity(self) -> dict[str, object]:
        """Return the spec and the function's version as plain data, for keys and records."""
        return asdict(self) | {"version": FEATURES[self.name].version}
