"""What `ser features` does: features of anybody's clips as a table, with the settings inside.

One row a clip or, of a feature that has a time axis, one row a frame with its time.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from inspect import signature
from itertools import groupby, starmap
from pathlib import Path
from typing import Any, get_type_hints
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pandas as pd

from ser_lib import data
from ser_lib.chunks import Arrays
from ser_lib.cli.extras import require_extra
from ser_lib.cli.parquet import write_parquet
from ser_lib.data.own import own_corpus, read_as_given
from ser_lib.errors import FeatureError, OutputError, offenders
from ser_lib.features.encoders.registry import get_encoder
from ser_lib.features.extraction import compute_each, results_of
from ser_lib.features.registry import FEATURES, FeatureSpec
from ser_lib.paths import only_writer, refuse_foreign, whole_file
from ser_lib.storage import reached

MARK = "ser_features"
SUFFIXES = (".parquet", ".npz")
LIBRARIES = ("numpy", "librosa", "soxr")
# About a group of rows in Parquet. Beside few values, what else is known of the clip weighs more.
PIECE_VALUES, MIN_VALUES = 2**17, 64
BLOCK_BYTES, BLOCK_ROWS = 2**20, 2**13


def list_features() -> str:
    """Return all features with what each computes, one a line."""
    return "\n".join(f"{name:<20} {one!r}" for name, one in FEATURES.items())


def make_spec(name: str, settings: Sequence[str]) -> FeatureSpec:
    """Return a feature with settings as they are typed: `n_mels=40`, `sample_rate_hz=16000`."""
    function = FEATURES[FeatureSpec(name).name].function
    hints = {"sample_rate_hz": int, **get_type_hints(function)}
    given: dict[str, Any] = {}
    for one in settings:
        key, is_set, text = one.partition("=")
        try:
            given[key] = {str: str, int: int}.get(hints.get(key, float), float)(text)
        except ValueError:
            is_set = ""
        if not is_set:
            kind = "whole number" if hints.get(key) is int else "number"
            raise FeatureError(f"--set {one}: write --set n_mels=40; {key} is a {kind}")
    if name.startswith("encoder"):
        encoder = get_encoder(given.setdefault("encoder", "moonshine-base"))
        usual = {"sha256": encoder.sha256, "sample_rate_hz": encoder.sample_rate_hz}
        given = usual | given
    own = [one for one in ("sample_rate_hz", "offset_s") if one in given]
    spec = FeatureSpec(name, **{one: given.pop(one) for one in own}, params=given)
    known = list(signature(function).parameters.values())[2:]
    if lacking := [it.name for it in known if it.default is it.empty and it.name not in given]:
        raise FeatureError(f"{name} needs --set {lacking[0]}=VALUE")
    return spec


def write_features(spec: FeatureSpec, source: str, out: Path) -> list[str]:
    """Write a feature of all clips of a corpus, folder or table; return what failed.

    Raises
    ------
    FeatureError, OutputError, CorpusError
        If no clip has the feature, the file is not ours, or the source cannot be read.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise OutputError(f"--out {out}: name a file that ends in {' or '.join(SUFFIXES)}")
    if out.suffix.lower() == ".parquet":
        require_extra("parquet")
    if out.resolve() == Path(source).resolve():
        raise OutputError(f"--out {out}: is what is read; name another file")
    refuse_foreign(out, lambda text: MARK in text)
    with only_writer(out):
        clips = _clips_of(source)
        chunks = compute_each(clips, spec)
        failed = [str(one) for chunk in chunks for one in chunk["problems"] if one]
        if len(failed) == len(clips):
            chunks.delete()
            raise FeatureError(f"{spec.name}: all {len(failed)} clips failed:{offenders(failed)}")
        about = {
            "feature": spec.identity(),
            "source": source,
            "time_s": "from the start of the speech"
            if FEATURES[spec.name].is_trimmed
            else "from the start of the clip",
            "made_with": {one: version(one) for one in LIBRARIES if find_spec(one)},
        }
        write = _write_npz if out.suffix.lower() == ".npz" else _write_parquet
        with whole_file(out) as temporary:
            write(temporary, _pieces(clips, chunks, spec), spec, about)
        chunks.delete()
    return failed


def _pieces(
    clips: pd.DataFrame, chunks: Iterable[Arrays], spec: FeatureSpec
) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Yield rows and values of some megabytes of clips after the other, in order."""
    results = enumerate(one for chunk in chunks for one in results_of(chunk))
    there = ((place, one) for place, one in results if isinstance(one, np.ndarray))
    n_values = 0

    def number_of_piece(one: tuple[int, np.ndarray]) -> int:
        nonlocal n_values
        n_values += max(one[1].size, MIN_VALUES)
        return n_values // PIECE_VALUES

    for _, piece in groupby(there, number_of_piece):
        places, arrays = zip(*piece, strict=True)
        yield _frames(clips.iloc[list(places)], arrays, spec)


def _clips_of(source: str) -> pd.DataFrame:
    if source not in data.CORPORA and own_corpus(source) is None:
        return read_as_given(reached(source))
    clips = data.load_corpus(source, strict=False).rename(columns={"emotion": "label"})
    return clips.drop(columns=["corpus", "repetition", "intensity", "sample_rate_hz"])


def _frames(
    clips: pd.DataFrame, arrays: Sequence[np.ndarray], spec: FeatureSpec
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows, one a clip or a frame, and their values; time is the first axis of these."""
    feature = FEATURES[spec.name]
    clips = clips.drop(columns="audio_sha256")
    if "file" in clips:
        clips["path"] = clips.pop("file")
    if not feature.time_axes or feature.hop_s is None:
        return clips, np.stack(arrays)
    n_axes = len(feature.time_axes)
    moved = [np.moveaxis(one, feature.time_axes, range(n_axes)) for one in arrays]
    frames = [one.reshape(-1, *one.shape[n_axes:]) for one in moved]
    times = [
        np.arange(len(one)) * feature.hop_s(spec, len(one), duration_s - spec.offset_s)
        + spec.offset_s
        for one, duration_s in zip(frames, clips["duration_s"], strict=True)
    ]
    rows = clips.loc[clips.index.repeat([len(one) for one in frames])]
    return rows.assign(time_s=np.concatenate(times)), np.concatenate(frames)


def _write_parquet(
    path: Path,
    pieces: Iterator[tuple[pd.DataFrame, np.ndarray]],
    spec: FeatureSpec,
    about: dict[str, Any],
) -> None:
    named = FEATURES[spec.name].names

    def frame(rows: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
        flat = values.reshape(len(values), -1)
        width = len(str(flat.shape[1] - 1))
        numbered = (f"{spec.name}_{n:0{width}d}" for n in range(flat.shape[1]))
        columns = list(named(**spec.params) if named else numbered)
        return pd.concat([rows, pd.DataFrame(flat, rows.index, columns)], axis=1)

    write_parquet(path, starmap(frame, pieces), {MARK: about})


def _write_npz(
    path: Path,
    pieces: Iterator[tuple[pd.DataFrame, np.ndarray]],
    spec: FeatureSpec,
    about: dict[str, Any],
) -> None:
    with (
        tempfile.TemporaryFile(dir=path.parent) as file,
        ZipFile(path, "w", ZIP_DEFLATED) as target,
    ):

        def add(name: str, dtype: np.dtype, shape: tuple[int, ...], parts: Iterable[bytes]) -> None:
            head = {"descr": dtype.str, "fortran_order": False, "shape": shape}
            with target.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, head)
                member.writelines(parts)

        # Of how many rows the values are is known at the end: until then they lie on the disk.
        tables, sample = [], np.empty(0)
        for rows, sample in pieces:
            tables.append(rows)
            file.write(sample.tobytes())
        file.seek(0)
        table = pd.concat(tables)
        values = iter(lambda: file.read(BLOCK_BYTES), b"")
        add("features", sample.dtype, (len(table), *sample.shape[1:]), values)
        add(MARK, (mark := np.array(json.dumps(about))).dtype, (), [mark.tobytes()])
        for name, column in table.items():
            # Text as arrays of a fixed width: objects would be pickled.
            width = max(1, *map(len, map(str, column)))
            dtype = column.dtype if column.dtype.kind in "if" else np.dtype(f"U{width}")
            blocks = (column[at : at + BLOCK_ROWS] for at in range(0, len(column), BLOCK_ROWS))
            parts = (one.to_numpy(dtype=dtype).tobytes() for one in blocks)
            add(str(name), dtype, (len(column),), parts)
