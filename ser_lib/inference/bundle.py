"""Bundles: what is in one, how it is written, read and checked, and which are installed.

A bundle is a folder with everything that decides an answer: network or head, feature spec, labels,
temperature, threshold, training clips as a cloud, model card and checksums. What its files may hold
is checked by `validation`; that they fit together, here.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import string
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ser_lib.errors import BundleError, FeatureError
from ser_lib.features.encoders.registry import ENCODERS
from ser_lib.features.registry import FEATURES, FeatureSpec
from ser_lib.inference.out_of_domain import Domain, over_time
from ser_lib.inference.validation import (
    AGAIN,
    FILES,
    FORMAT,
    FORMAT_VERSION,
    SUMS,
    CheckedFiles,
    check_files,
    check_graph,
    check_number,
    read_json,
)
from ser_lib.paths import bundles_dirs
from ser_lib.shown import short

KINDS = ("network", "linear")
MAX_LABELS = 64

# Between which the numbers of a manifest must lie.
LIMITS = {
    "temperature": (0.01, 100.0),
    "threshold": (0.0, 1.0),
    "told_nats": (0.0, 10.0),
    "domain_limit": (0.0, 1e6),
    "sample_rate_hz": (1000, 192_000),
    "offset_s": (0, 60),
    "duration_s": (0.05, 60),
}
MAX_INPUT_VALUES = 10_000_000
PARAM_CHARACTERS = frozenset(string.ascii_letters + string.digits + "_-.,")
HEAD = ("head_mean", "head_scale", "head_weights", "head_bias")

# For a known voice: a head of its own, and how speakers differ (see `Predictor.enrolled`).
SPEAKER_HEAD = tuple(f"speaker_{name}" for name in HEAD)
SPEAKER_CLOUD = tuple(f"speaker_{one}" for one in "centre between noise within moods".split())
SPEAKER_NUMBERS = {"temperature", "threshold", "mixed_temperature", "mixed_threshold"}
# Else those of unlabelled clips hold, and the limit of `Predictor.in_room`.
ROOM_NUMBERS = {"room_temperature", "room_threshold", "room_told_nats"}
DOMAIN = ("domain_centre", "domain_whitening")
SCALING = ("input_mean", "input_scale")
ARRAYS = (*HEAD, *SPEAKER_HEAD, *SPEAKER_CLOUD, *DOMAIN, *SCALING)

# What a manifest holds as a bundle has it.
MANIFEST = (
    *("name", "title", "kind", "temperature", "threshold", "domain_limit", "labels"),
    *("input_shape", "probe", "encoder", "speaker", "card"),
)

# What was known when a bundle was tested on other corpora: keys of its card.
VOICES = ("new_voice", "known_voice", "mixed_known_voice", "known_room")

DEFAULT_BUNDLES = ("moonshine-strangers", "moonshine-ravdess", "cnn-ravdess")  # the best first


@short
@dataclass(frozen=True)
class Bundle:
    """A model with everything that decides its answers."""

    name: str
    title: str
    kind: str
    """network: features go through an ONNX network. linear: through a linear head."""
    labels: tuple[str, ...]
    """The classes, in the order of the outputs."""
    features: FeatureSpec
    input_shape: tuple[int, ...]
    """Of one row of features."""
    temperature: float
    """Divides the logits; see `ser_lib.evaluation.calibration`."""
    threshold: float
    """Confidence below which the answer is 'not sure'."""
    domain_limit: float
    """See `ser_lib.inference.out_of_domain.Domain`."""
    speaker: Mapping[str, float] = field(default_factory=dict)
    """`temperature` and `threshold` for a voice known by neutral clips, `mixed_temperature` and
    `mixed_threshold` for one known by unlabelled clips, `room_temperature` and `room_threshold` for
    a room where they differ, `room_told_nats` what its clips must tell; empty where the bundle
    cannot adapt."""
    probe: tuple[float, ...] = ()
    """Probabilities of `probe_signal`, before the temperature, which must not change from machine
    to machine."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """Facts about training and tests, for the model card; `elsewhere` bounds confidence, and every
    `answer_limit` answer sets."""
    encoder: Mapping[str, str] = field(default_factory=dict)
    """Name and sha256 of pretrained weights that the features need and the bundle does not hold."""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    graph: bytes = b""
    """The ONNX network."""
    folder: Path | None = None
    sha256: str = ""
    """Of the file of checksums that it was loaded with, which names the model."""

    @property
    def domain(self) -> Domain | None:
        """The cloud of the training clips, if the bundle holds it."""
        if not self.domain_limit:
            return None
        centre, whitening = (self.arrays[name] for name in DOMAIN)
        return Domain(centre, whitening, limit=self.domain_limit)

    def domain_values(self, values: np.ndarray) -> np.ndarray:
        """Reduce one row of unscaled features to what is compared with the training clips.

        These are means and spreads over time: of each band, or as the encoder's features have them,
        of the highest layer that is computed, at the first speed.
        """
        values = values.reshape(self.input_shape)
        if self.kind == "linear":
            return values[0, -1].ravel()
        return over_time(values.astype(np.float64), FEATURES[self.features.name].time_axes)

    def earned_share(self, voice: str) -> float:
        """Share of the confidence above chance that was justified on other corpora; 0 if untested.

        It lowers the mean confidence there to the accuracy, on the corpus where that takes most.
        `voice` is one of `VOICES`. All of it, where it was fitted on corpora left out of training.
        """
        if self.card.get("is_for_strangers"):
            return 1.0
        chance = 1 / len(self.labels)
        shares = [
            (one[voice]["accuracy_share"] - chance) / max(one[voice]["confidence"] - chance, 1e-3)
            for one in self.card.get("elsewhere", ())
            if voice in one
        ]
        return float(np.clip(min(shares, default=0.0), 0.0, 1.0))

    def answer_limit(self, voice: str) -> float:
        """Probability from which on an answer belongs to a set; 1 where none was found.

        See `ser_lib.evaluation.selective.answer_limit`. `voice` is one of `VOICES`.
        """
        known = self.card.get(voice) or self.card.get("mixed_known_voice", {})
        return float((self.card if voice == "new_voice" else known).get("answer_limit", 1.0))

    def manifest(self) -> dict[str, Any]:
        """Return all but arrays and weights as plain data."""
        plain = {name: getattr(self, name) for name in MANIFEST}
        own = {"format": FORMAT, "version": FORMAT_VERSION, "features": self.features.identity()}
        return own | plain


def probe_signal(sample_rate_hz: int) -> np.ndarray:
    """Make the sound that checks every bundle: harmonics that glide and swell, 4 s long."""
    time_s = np.arange(4 * sample_rate_hz) / sample_rate_hz
    phase = 2 * np.pi * (150 * time_s + 20 * np.sin(1.5 * time_s))
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * 2.5 * time_s)
    voice = sum(np.sin(n * phase) / n for n in range(1, 16))
    return (0.1 * swell * voice).astype(np.float32)


def check_replaceable(folder: Path, title: str = "") -> None:
    """Raise BundleError where a folder holds anything but a bundle, or one of another title."""
    held = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
    is_bundle = {"bundle.json", SUMS} <= held <= {*FILES, SUMS}
    if (folder.exists() and not folder.is_dir()) or (held and not is_bundle):
        raise BundleError(f"{folder}: holds other files than a bundle's; choose another folder")
    if held and title:
        path = folder / "bundle.json"
        other = read_json(path.read_bytes(), what=str(path)).get("title")
        if other != title:
            raise BundleError(
                f"{folder}: holds another model ({other}); choose another folder, or delete it"
            )


def write_bundle(bundle: Bundle, folder: str | Path, *, card: str, keras_file: bytes = b"") -> Path:
    """Write a bundle into a folder, all of it or nothing; a bundle that is there is replaced.

    BundleError where the folder holds other files, or where the bundle could not be loaded.
    """
    folder = Path(folder)
    check_replaceable(folder)
    packed = io.BytesIO()
    arrays: dict[str, Any] = dict(bundle.arrays)
    np.savez_compressed(packed, **arrays)
    manifest = json.dumps(bundle.manifest(), indent=1, sort_keys=True, ensure_ascii=False)
    contents = {
        "bundle.json": (manifest + "\n").encode(),
        "model.onnx": bundle.graph,
        "model.keras": keras_file,
        "arrays.npz": packed.getvalue(),
        "README.md": card.encode(),
    }
    contents = {name: raw for name, raw in contents.items() if raw}
    sums = [f"{hashlib.sha256(raw).hexdigest()}  {name}\n" for name, raw in contents.items()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bundle-") as temporary:
        fresh = Path(temporary) / "new"
        fresh.mkdir()
        for name, raw in contents.items():
            (fresh / name).write_bytes(raw)
        (fresh / SUMS).write_text("".join(sums), encoding="ascii")
        load_bundle(fresh)
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        fresh.rename(folder)
    return folder


def load_bundle(folder: str | Path) -> Bundle:
    """Read a bundle from its folder and check all of it.

    Raises
    ------
    BundleError
        If a file is missing, not listed, changed or of another kind than promised; if the bundle is
        of another version; if labels, feature spec, shapes and weights do not fit together.
    """
    folder = Path(folder)
    files = check_files(folder, array_names=ARRAYS)
    try:
        bundle = _parse(files, folder)
        for voice in VOICES:
            bundle.earned_share(voice), bundle.answer_limit(voice)
    except (KeyError, TypeError, ValueError, AttributeError, FeatureError) as error:
        detail = f"lacks {error}" if isinstance(error, KeyError) else error
        raise BundleError(f"{folder}: bundle.json {detail}; {AGAIN}") from error
    _check_axes(bundle)
    _check_arrays(bundle)
    if bundle.kind == "network":
        if not bundle.graph:
            raise BundleError(f"{folder}: lacks model.onnx")
        check_graph(
            bundle.graph,
            input_shape=bundle.input_shape,
            n_classes=len(bundle.labels),
            what=f"{folder}/model.onnx",
        )
    return bundle


def _parse(files: CheckedFiles, folder: Path) -> Bundle:
    """Build a Bundle from its files; wrong types raise what `load_bundle` translates."""
    manifest = files.manifest
    if manifest["kind"] not in KINDS:
        raise BundleError(f"{folder}: is of kind {manifest['kind']!r}; known are {KINDS}")
    labels = manifest["labels"]
    is_list = isinstance(labels, list) and 2 <= len(labels) <= MAX_LABELS
    are_words = is_list and all(
        isinstance(one, str) and one[:1].isalnum() and len(one) <= 40 and one.isprintable()
        for one in labels
    )
    if not are_words or len(set(labels)) < len(labels):
        raise BundleError(f"{folder}: its labels are not 2 to {MAX_LABELS} different plain words")
    shape = tuple(manifest["input_shape"])
    if not 1 <= len(shape) <= 4 or not all(type(n) is int and 0 < n <= 100_000 for n in shape):
        raise BundleError(f"{folder}: input_shape={shape} is no shape of features")
    speaker = dict(manifest["speaker"])
    if speaker and set(speaker) not in (SPEAKER_NUMBERS, SPEAKER_NUMBERS | ROOM_NUMBERS):
        raise BundleError(f"{folder}: its settings for a known voice are {sorted(speaker)}")
    return Bundle(
        name=str(manifest["name"]),
        title=str(manifest["title"]),
        kind=manifest["kind"],
        labels=tuple(labels),
        features=_parse_features(dict(manifest["features"]), folder),
        input_shape=shape,
        temperature=_number("temperature", manifest["temperature"], folder),
        threshold=_number("threshold", manifest["threshold"], folder),
        domain_limit=_number("domain_limit", manifest["domain_limit"], folder),
        probe=tuple(float(value) for value in manifest["probe"]),
        card=dict(manifest["card"]),
        encoder=dict(manifest["encoder"]),
        speaker={name: _number(name, value, folder) for name, value in speaker.items()},
        arrays=files.arrays,
        graph=files.graph,
        folder=folder,
        sha256=files.sha256,
    )


def _number(name: str, value: object, folder: Path) -> float:
    low, high = LIMITS[name.removeprefix("mixed_").removeprefix("room_")]
    return check_number(value, what=f"{folder}: {name}", low=low, high=high)


def _parse_features(plain: dict[str, Any], folder: Path) -> FeatureSpec:
    version = plain.pop("version")
    spec = FeatureSpec(**plain)
    ours = FEATURES[spec.name].version
    if version != ours:
        raise BundleError(
            f"{folder}: was made with version {version} of the feature '{spec.name}', which is at "
            f"{ours} here: train it again"
        )
    _check_params(spec, folder)
    _number("sample_rate_hz", spec.sample_rate_hz, folder)
    _number("offset_s", spec.offset_s, folder)
    if spec.duration_s is not None:
        _number("duration_s", spec.duration_s, folder)
    return spec


def _check_params(spec: FeatureSpec, folder: Path) -> None:
    """Refuse parameters that would read other files, or fill the memory."""
    for name, value in spec.params.items():
        if isinstance(value, str):
            if len(value) > 100 or not set(value) <= PARAM_CHARACTERS:
                raise BundleError(f"{folder}: the feature's {name} is {value[:40]!r}")
        else:
            check_number(value, what=f"{folder}: the feature's {name}", low=0, high=96_000)
    if spec.name == "encoder_views":
        # Registered weights only: `outputs` would make the name a path.
        if spec.params.get("encoder") not in ENCODERS or "outputs" in spec.params:
            raise BundleError(
                f"{folder}: needs the encoder {spec.params.get('encoder')!r}; known are "
                f"{', '.join(ENCODERS)}"
            )


def _check_axes(bundle: Bundle) -> None:
    """Raise where the input is larger than any feature, or lacks an axis that it must have."""
    shape, time_axes = bundle.input_shape, FEATURES[bundle.features.name].time_axes
    if math.prod(shape) > MAX_INPUT_VALUES:
        raise BundleError(f"{bundle.folder}: input_shape={shape} is no shape of features")
    is_linear = bundle.kind == "linear"
    needed = 4 if is_linear else 1 + max(time_axes, default=0)
    if len(shape) < needed or (is_linear and len(shape) > needed):
        raise BundleError(
            f"{bundle.folder}: input_shape={shape} does not fit the feature "
            f"'{bundle.features.name}', which has {needed} axes"
        )


def _check_arrays(bundle: Bundle) -> None:
    """Raise where an array lacks, or is not of the shape that labels and features ask for."""
    n_values, n_classes = int(np.prod(bundle.input_shape)), len(bundle.labels)
    head = ((n_values,), (n_values,), (n_values, n_classes), (n_classes,))
    n_compared = _n_compared(bundle)
    shapes = dict(zip((*HEAD, *SPEAKER_HEAD), head * 2, strict=True))
    shapes |= dict.fromkeys(SPEAKER_CLOUD, (n_values,)) | dict.fromkeys(SCALING, bundle.input_shape)
    # In as many directions as there are, but in one at least.
    n_directions = max([1, *bundle.arrays.get("domain_whitening", np.empty(0)).shape[1:2]])
    shapes |= dict(zip(DOMAIN, ((n_compared,), (n_compared, n_directions)), strict=True))
    needed = set(HEAD) if bundle.kind == "linear" else set()
    needed |= set(DOMAIN) if bundle.domain_limit else set()
    needed |= {*SPEAKER_HEAD, *SPEAKER_CLOUD} if bundle.speaker else set()
    needed |= set(SCALING) if set(SCALING) & set(bundle.arrays) else set()
    lacking = sorted(needed - set(bundle.arrays))
    wrong = [name for name, array in bundle.arrays.items() if array.shape != shapes[name]]
    if lacking or wrong:
        problem = f"lacks {lacking}" if lacking else f"{wrong[0]} has another shape than it should"
        raise BundleError(f"{bundle.folder}/arrays.npz: {problem}; {AGAIN}")
    above_0 = [n for n in bundle.arrays if n.endswith(("scale", "noise", "within"))]
    if any((bundle.arrays[name] <= 0).any() for name in above_0):
        raise BundleError(f"{bundle.folder}/arrays.npz: a scale is not above 0")
    if len(bundle.probe) not in (0, n_classes):
        raise BundleError(f"{bundle.folder}: its probe is not one number a class")


def _n_compared(bundle: Bundle) -> int:
    """Count the values of `Bundle.domain_values` without allocating them: the shape may be huge."""
    shape = bundle.input_shape
    if bundle.kind == "linear":
        return shape[2] * shape[3]
    time_axes = FEATURES[bundle.features.name].time_axes
    return 2 * math.prod(n for axis, n in enumerate(shape) if axis not in time_axes)


def find_bundle(name: str | Path) -> Path:
    """Return the folder of a bundle, by folder or by name; BundleError if there is none."""
    for folder in (Path(name), *(one / name for one in bundles_dirs())):
        if (folder / "bundle.json").is_file() or (folder / SUMS).is_file():
            return folder
    known = ", ".join(one.name for one in installed_bundles()) or "none"
    raise BundleError(f"{str(name)!r} is no bundle; installed are: {known}. `ser train` makes one")


def installed_bundles() -> list[Path]:
    """Return the folders that hold a bundle, by name; one's own before those of the package."""
    found = [one.parent for folder in bundles_dirs()[::-1] for one in folder.glob(f"*/{SUMS}")]
    return [one for _, one in sorted({one.name: one for one in found}.items())]


def default_bundle() -> Path:
    """Return the best installed bundle whose encoder is installed, too; BundleError if none is."""
    for folder in _preferred():
        if not _missing_encoder(folder):
            return folder
    places = " or ".join(map(str, bundles_dirs()))
    raise BundleError(
        f"no bundle is in {places}; make one with `ser train`, give --bundle FOLDER, or unset "
        "SER_BUNDLES"
    )


def better_bundle() -> tuple[str, str]:
    """Name the best installed bundle and its missing encoder; empty where none is missing."""
    for folder in _preferred()[:1]:
        if encoder := _missing_encoder(folder):
            return folder.name, encoder
    return "", ""


def _preferred() -> list[Path]:
    """Return those of the default bundles that are installed, the best first."""
    installed = {one.name: one for one in installed_bundles()}
    return [installed[name] for name in DEFAULT_BUNDLES if name in installed]


def _missing_encoder(folder: Path) -> str:
    """Name the encoder that a bundle needs and that is not installed; empty where none is."""
    manifest = read_json((folder / "bundle.json").read_bytes(), what=f"{folder}/bundle.json")
    needed = manifest.get("encoder") or {}
    name = str(needed.get("name", ""))
    is_here = not name or (name in ENCODERS and ENCODERS[name].file.is_file())
    return "" if is_here else name
