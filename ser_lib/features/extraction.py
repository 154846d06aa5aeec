"""Extraction: features of all clips, kept in the cache, and the rows that are gathered from them.

`compute` is for one file, `extract` for a clip table. An array is stored under a key of all that
decides it, chunk by chunk, and is memory-mapped; each variant of the clips (an augmentation) has
its own array, and `Rows` gathers from several of them when rows are needed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from ser_lib.audio.augmentation import AUGMENTATIONS, augment
from ser_lib.audio.io import load_signal
from ser_lib.chunks import Arrays, Chunks, InChunks
from ser_lib.errors import FeatureError, SerError, StorageError, offenders
from ser_lib.features.encoders.registry import ENCODERS
from ser_lib.features.registry import FEATURES, FeatureSpec
from ser_lib.paths import cache_dir, keep, locked
from ser_lib.runtime import one_blas_thread, scheduler_address
from ser_lib.seeds import generator

# Values that are gathered at once where all rows are read: 4 MB.
PART_VALUES = 2**20


def compute(
    path: str,
    spec: FeatureSpec,
    *,
    variant: str = "original",
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Compute one feature of one file, after an augmentation if `variant` names one.

    Parameters
    ----------
    path : str
        The recording.
    spec : FeatureSpec
        What to compute.
    variant : str
        "original", or a key of `ser_lib.audio.augmentation.AUGMENTATIONS`, which needs `rng`.
    rng : numpy.random.Generator, optional
        Where an augmentation draws from.

    Returns
    -------
    ndarray
        As the feature's function.

    Raises
    ------
    AudioError, FeatureError
        If the file or the parameters are wrong.
    """
    signal, rate = load_signal(
        path, sample_rate_hz=spec.sample_rate_hz, offset_s=spec.offset_s, duration_s=spec.duration_s
    )
    if len(signal) == 0:
        raise FeatureError(
            f"{path}: nothing is left after {spec.offset_s} s (the clip is shorter), where the "
            f"feature '{spec.name}' begins"
        )
    if variant != "original":
        if rng is None:
            raise FeatureError(f"the augmentation '{variant}' needs rng, where its draws come from")
        signal = augment(signal, rate, variant, rng=rng)
    return FEATURES[spec.name].function(signal, rate, **spec.params)


def feature_shape(spec: FeatureSpec) -> tuple[int, ...]:
    """Return the shape that a feature of this spec gives every clip."""
    shape = FEATURES[spec.name].shape
    if shape:
        return shape(**spec.params)
    n_samples = round((spec.duration_s or 1.0) * spec.sample_rate_hz)
    signal = np.sin(np.arange(n_samples, dtype=np.float32))
    return FEATURES[spec.name].function(signal, spec.sample_rate_hz, **spec.params).shape


def extract(
    clips: pd.DataFrame, spec: FeatureSpec | str, *, variant: str = "original", n_jobs: int = -1
) -> np.memmap:
    """Compute a feature of every clip in parallel, or read it from the cache.

    Parameters
    ----------
    clips : pandas.DataFrame
        A clip table.
    spec : FeatureSpec or str
        What to compute, a name with its usual parameters; it must give every clip the same shape.
    variant : str
        "original", or an augmentation, whose draws depend on the clip's audio and on nothing else.
    n_jobs : int
        joblib's: -1 takes all cores.

    Returns
    -------
    ndarray, shape (n_clips, ...)
        Memory-mapped, read only, in the order of `clips`.

    Raises
    ------
    FeatureError
        If any clip cannot be computed (all are listed), if shapes differ, or if there is no audio.
    """
    spec = FeatureSpec(spec) if isinstance(spec, str) else spec
    key = feature_key(clips, spec, variant=variant)
    target = cache_dir() / "features" / f"{spec.name}-{key}.npy"
    if clips.empty:
        raise FeatureError(f"{spec.name}: there are no clips to extract from")
    if not target.is_file():
        if not clips["path"].all():
            raise FeatureError(
                f"{spec.name}: the clips' audio is not here, only their table. Point SER_DATA at "
                "the corpora (`make data` says where it looks)"
            )
        keep(target, lambda path: _write_all(path, clips, spec, variant, n_jobs))
    return cast(np.memmap, np.load(target, mmap_mode="r"))


def feature_key(clips: pd.DataFrame, spec: FeatureSpec, *, variant: str = "original") -> str:
    """Return the key of an extracted array: a hash of audio, order, spec and variant."""
    drawn = AUGMENTATIONS[variant].version if variant in AUGMENTATIONS else None
    identity = json.dumps([spec.identity(), variant, drawn], sort_keys=True)
    digest = hashlib.sha256(identity.encode())
    digest.update("".join(clips["audio_sha256"]).encode())
    return digest.hexdigest()[:24]


def compile_once(spec: FeatureSpec) -> None:
    """Let one process at a time compile what librosa compiles at a feature's first use.

    Several that do it at once can damage numba's cache, which crashes later processes.
    """
    signal = np.sin(np.arange(spec.sample_rate_hz, dtype=np.float32))
    try:
        with locked(Path(os.environ["NUMBA_CACHE_DIR"])):
            FEATURES[spec.name].function(signal, spec.sample_rate_hz, **spec.params)
    except (ValueError, ArithmeticError, MemoryError) as error:
        raise FeatureError(f"{spec.name} with {dict(spec.params)}: {error}") from error


def compute_each(
    clips: pd.DataFrame, spec: FeatureSpec, *, variant: str = "original", n_jobs: int = -1
) -> Chunks:
    """Compute a feature of every clip in parallel, of whatever shape; `results_of` unpacks it."""
    key = feature_key(clips, spec, variant=variant)
    is_far = bool(scheduler_address())
    if not is_far:
        compile_once(spec)
    chunks = Chunks(
        cache_dir() / "features" / f"{spec.name}-{key}.chunks",
        InChunks(clips[["path", "audio_sha256"]]),
        partial(_compute_chunk, spec, variant, is_far),
        needs=[clips["path"].iloc[0], *_weights(spec)],
    )
    chunks.make(what=f"{spec.name}, {variant}", n_jobs=n_jobs)
    return chunks


def _weights(spec: FeatureSpec) -> list[str]:
    encoder = ENCODERS.get(str(spec.params.get("encoder")))
    return [str(encoder.file)] if encoder else []


def results_of(chunk: Arrays) -> Iterator[np.ndarray | str]:
    """Yield the feature of each clip of a chunk; str: why there is none."""
    ends = np.cumsum(chunk["shapes"].prod(axis=1))
    arrays = (
        part.reshape(shape)
        for part, shape in zip(np.split(chunk["values"], ends), chunk["shapes"], strict=False)
    )
    yield from (str(problem) or next(arrays) for problem in chunk["problems"])


def _compute_chunk(
    spec: FeatureSpec, variant: str, compiles: bool, places: Sequence[tuple[str, str]]
) -> Arrays:
    if compiles and spec.name not in _compiled:
        compile_once(spec)
        _compiled.add(spec.name)
    results = [_compute_or_error(path, spec, variant, digest) for path, digest in places]
    arrays = [one for one in results if isinstance(one, np.ndarray)]
    return {
        "values": np.concatenate([one.ravel() for one in arrays] or [np.empty(0)]),
        "shapes": np.array([one.shape for one in arrays] or np.empty((0, 1)), dtype=int),
        "problems": np.array([one if isinstance(one, str) else "" for one in results]),
    }


# In this process.
_compiled: set[str] = set()


def _write_all(
    path: Path, clips: pd.DataFrame, spec: FeatureSpec, variant: str, n_jobs: int
) -> None:
    """Write what `numpy.save` would of all clips, without ever holding them."""
    chunks = compute_each(clips, spec, variant=variant, n_jobs=n_jobs)
    failed = []
    shapes: set[tuple[int, ...]] = set()
    with path.open("wb") as file:
        for chunk in chunks:
            failed += [one for one in chunk["problems"] if one]
            shapes |= set(map(tuple, chunk["shapes"].tolist()))
            if failed or len(shapes) > 1:
                continue
            if not file.tell():
                header = np.lib.format.header_data_from_array_1_0(chunk["values"])
                shape = (len(clips), *next(iter(shapes)))
                np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
            file.write(chunk["values"].tobytes())
    chunks.delete()
    if failed:
        raise FeatureError(f"{spec.name}: {len(failed)} clips failed:{offenders(failed)}")
    if len(shapes) > 1:
        raise FeatureError(
            f"{spec.name}: clips give {len(shapes)} different shapes (as {sorted(shapes)[:2]}); "
            "give the function parameters (`params`) that crop or pad all clips to one length"
        )


def _compute_or_error(
    path: str, spec: FeatureSpec, variant: str, audio_sha256: str
) -> np.ndarray | str:
    try:
        # As in workers: the last digits of products depend on the number of threads.
        with one_blas_thread():
            return compute(path, spec, variant=variant, rng=generator(variant, audio_sha256))
    except StorageError:  # that of many clips
        raise
    except SerError as error:
        return f"{path}: {str(error).removeprefix(f'{path}: ')}"
    except (ValueError, ArithmeticError) as error:
        raise FeatureError(f"{path}: {spec.name} with {dict(spec.params)}: {error}") from error


@dataclass(frozen=True)
class Rows:
    """Rows that are gathered when they are needed, from one array a variant."""

    sources: tuple[np.ndarray, ...]
    """Arrays of shape (n_clips, ...), in memory or memory-mapped."""
    source: np.ndarray
    """Which array each row is in, shape (n_rows,)."""
    position: np.ndarray
    """Where in that array, shape (n_rows,); rows of one clip have the same."""
    scaling: tuple[np.ndarray, np.ndarray] | None = None
    """What is subtracted from each value, and then divides it, whenever rows are gathered."""

    @classmethod
    def of(cls, array: np.ndarray | Rows) -> Rows:
        """Wrap an array whose rows are all wanted, in order; rows stay as they are."""
        if isinstance(array, Rows):
            return array
        return cls((array,), np.zeros(len(array), int), np.arange(len(array)))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.position)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return what the gathered array would have."""
        return (len(self), *self.sources[0].shape[1:])

    def joined(self, other: Rows) -> Rows:
        """Return these rows and then the other ones."""
        ours, theirs = ((*one.sources, one.scaling) for one in (self, other))
        if [*map(id, ours)] != [*map(id, theirs)]:
            return Rows.of(np.concatenate([self.gather(), other.gather()]))
        return replace(
            self,
            source=np.concatenate([self.source, other.source]),
            position=np.concatenate([self.position, other.position]),
        )

    def select(self, rows: np.ndarray | slice) -> Rows:
        """Return some of the rows, still without gathering them."""
        return replace(self, source=self.source[rows], position=self.position[rows])

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """Gather some rows into a new array, one copy an array that they come from."""
        source, position = self.source[rows], self.position[rows]
        if len(self.sources) == 1:
            gathered = self.sources[0][position]
        else:
            gathered = np.empty((len(position), *self.shape[1:]), dtype=self.sources[0].dtype)
            for number in np.unique(source):
                chosen = source == number
                gathered[chosen] = self.sources[number][position[chosen]]
        if self.scaling is None:
            return gathered
        centre, spread = self.scaling
        gathered = gathered.astype(centre.dtype, copy=False)
        gathered -= centre
        gathered /= spread
        return gathered.astype(np.float32, copy=False)

    def gather(self) -> np.ndarray:
        """Gather all rows."""
        return self.take(slice(None))

    def parts(self) -> Iterator[np.ndarray]:
        """Gather all rows, few at a time."""
        size = max(1, PART_VALUES // math.prod(self.shape[1:]))
        for start in range(0, len(self), size):
            yield self.take(slice(start, start + size))
