"""Checks of the files in a bundle before anything uses them: a bundle may come from a stranger.

Nothing is unpickled, executed or written to the disk. Archives are read member by member against a
list of names; graphs may hold only plain operators, no outside data and no loops. A `model.keras`
is held against its checksum and never opened.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ser_lib.errors import BundleError

FORMAT = "ser-bundle"

# Raised when the format changes so that older code would misread it.
FORMAT_VERSION = 3

FILES = ("bundle.json", "model.onnx", "model.keras", "arrays.npz", "README.md")
REQUIRED = frozenset({"bundle.json", "arrays.npz", "README.md"})
SUMS = "SHA256SUMS"
MAX_FILE_BYTES = 128 * 2**20
MAX_SUMS_BYTES = 4096

# Ten times what the networks here need, and nothing for a machine.
MAX_UNPACKED_BYTES = 256 * 2**20
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

# Operators that hold graphs of their own, or could run for ever.
FORBIDDEN_OPERATORS = frozenset({"If", "Loop", "Scan", "SequenceMap", "StringNormalizer"})
MAX_NODES = 20_000

AGAIN = "get the bundle again"


@dataclass(frozen=True)
class CheckedFiles:
    """What the files of a bundle hold; whether it fits together is for `load_bundle` to say."""

    manifest: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    graph: bytes
    """The ONNX network; empty where there is none."""
    sha256: str
    """Of the file of checksums."""


def check_files(folder: Path, *, array_names: Collection[str]) -> CheckedFiles:
    """Read and check the files of a bundle, each once; raise BundleError at the first fault."""
    if not (folder / SUMS).is_file():
        raise BundleError(f"{folder}: no bundle is here ({SUMS} is missing)")
    sums = _read(folder / SUMS, MAX_SUMS_BYTES)
    contents = _contents(folder, sums.decode("ascii", "replace"))
    manifest = read_json(contents["bundle.json"], what=f"{folder}/bundle.json")
    form, version = manifest.get("format"), manifest.get("version")
    if form != FORMAT or version != FORMAT_VERSION:
        raise BundleError(
            f"{folder}: is of format {form!r}, version {version!r}; this ser_lib reads version "
            f"{FORMAT_VERSION}: train it again, or use the ser_lib it was made with"
        )
    return CheckedFiles(
        manifest=manifest,
        arrays=_arrays(contents["arrays.npz"], f"{folder}/arrays.npz", array_names),
        graph=contents.get("model.onnx", b""),
        sha256=hashlib.sha256(sums).hexdigest(),
    )


def _contents(folder: Path, sums: str) -> dict[str, bytes]:
    """Read the files that the checksums name; these must be all, plain, and unchanged."""
    digests: dict[str, str] = {}
    for line in sums.splitlines():
        digest, _, name = line.partition("  ")
        if name not in FILES or name in digests or len(digest) != 64:
            raise BundleError(f"{folder}/{SUMS}: the line {line[:80]!r} belongs to no bundle")
        digests[name] = digest
    present = {one.name for one in os.scandir(folder)} - {SUMS}
    if unlisted := sorted(present - set(digests)):
        raise BundleError(f"{folder}: {unlisted[0]!r} is not listed in {SUMS}; {AGAIN}")
    if missing := sorted({*REQUIRED, *digests} - present):
        raise BundleError(f"{folder}: {missing[0]!r} is missing; {AGAIN}")
    contents = {name: _read(folder / name, MAX_FILE_BYTES) for name in digests}
    for name, raw in contents.items():
        if hashlib.sha256(raw).hexdigest() != digests[name]:
            raise BundleError(
                f"{folder}: {name} was changed: its checksum is not that of {SUMS}; {AGAIN}"
            )
    return contents


def _read(path: Path, max_bytes: int) -> bytes:
    """Read a plain file of limited size; links could lead anywhere."""
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path}: is no plain file")
    if path.stat().st_size > max_bytes:
        raise BundleError(f"{path}: is larger than {max_bytes:,} bytes, more than any bundle has")
    return path.read_bytes()


def read_json(raw: bytes, *, what: str) -> dict[str, Any]:
    """Parse a JSON object without NaN and infinite numbers, which JSON does not know."""

    def refuse(name: str) -> None:
        raise ValueError(f"it holds {name}")

    try:
        content = json.loads(raw.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{what}: cannot be read ({error}); {AGAIN}") from error
    if not isinstance(content, dict):
        raise BundleError(f"{what}: holds a {type(content).__name__} where an object is needed")
    return content


def _arrays(raw: bytes, what: str, names: Collection[str]) -> dict[str, np.ndarray]:
    """Read finite arrays of float32 or float64 from an `.npz` archive; nothing is unpickled."""
    arrays = {}
    for member, content in _members(raw, what, {f"{name}.npy" for name in names}).items():
        try:
            array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError, SyntaxError, TypeError, MemoryError) as error:
            raise BundleError(f"{what}: {member} is no plain array ({error})") from error
        if array.dtype not in (np.float32, np.float64):
            raise BundleError(f"{what}: {member} holds {array.dtype}, not plain floats")
        if not np.isfinite(array).all():
            raise BundleError(f"{what}: {member} holds NaN or infinite values")
        arrays[member.removesuffix(".npy")] = array
    return arrays


def _members(raw: bytes, what: str, allowed: Collection[str]) -> dict[str, bytes]:
    """Unpack an archive in memory, refusing names, sizes and methods that no bundle needs."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            infos = archive.infolist()
            names = [one.filename for one in infos]
            n_bytes = sum(one.file_size for one in infos)
            methods = {one.compress_type for one in infos} - METHODS
            if foreign := sorted(set(names) - set(allowed)):
                raise BundleError(f"{what}: holds {foreign[0]!r}, which no bundle has")
            if len(set(names)) < len(names):
                raise BundleError(f"{what}: holds two files of one name")
            if methods or n_bytes > MAX_UNPACKED_BYTES:
                raise BundleError(
                    f"{what}: unpacks to {n_bytes:,} bytes by methods {sorted(methods)}; at most "
                    f"{MAX_UNPACKED_BYTES:,} bytes, stored or deflated, are read"
                )
            return {one.filename: _unpacked(archive, one) for one in infos}
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError, ValueError) as error:
        raise BundleError(f"{what}: is no sound archive ({error}); {AGAIN}") from error


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    # `archive.read` would inflate all that is packed at once, whatever the header promises.
    with archive.open(info) as member:
        return member.read(info.file_size + 1)


def check_graph(
    raw: bytes, *, input_shape: Collection[int], n_classes: int, what: str = "model.onnx"
) -> None:
    """Refuse an ONNX graph that is more than a plain network, or not of the promised shape."""
    import onnx

    try:
        model = onnx.load_model_from_string(raw)
    except Exception as error:  # protobuf's own exception has no public name
        raise BundleError(f"{what}: is no ONNX graph ({error}); {AGAIN}") from error
    graph = model.graph
    tensors = [*graph.initializer, *(a.t for n in graph.node for a in n.attribute)]
    foreign = {node.domain for node in graph.node} - {"", "ai.onnx"}
    forbidden = {node.op_type for node in graph.node} & FORBIDDEN_OPERATORS
    has_graphs = any(a.HasField("g") or a.graphs for n in graph.node for a in n.attribute)
    faults = {
        "refers to external data": any(
            one.data_location == onnx.TensorProto.EXTERNAL or one.external_data for one in tensors
        )
        or bool(graph.sparse_initializer),
        f"has operators of {sorted(foreign)}": bool(foreign),
        f"has operators that loop or branch ({sorted(forbidden)})": bool(forbidden) or has_graphs,
        "brings functions of its own": bool(model.functions) or bool(model.training_info),
        f"has {len(graph.node):,} nodes": len(graph.node) > MAX_NODES,
    }
    if found := [fault for fault, is_there in faults.items() if is_there]:
        raise BundleError(f"{what}: {'; '.join(found)}: it is refused")
    initial = {one.name for one in graph.initializer}
    inputs = [_shape(one) for one in graph.input if one.name not in initial]
    outputs = [_shape(one) for one in graph.output]
    if inputs != [tuple(input_shape)] or outputs != [(n_classes,)]:
        raise BundleError(
            f"{what}: takes {inputs} and gives {outputs} a row, where the bundle says "
            f"{[tuple(input_shape)]} and {[(n_classes,)]}: these weights are not its own"
        )


def _shape(value: Any) -> tuple[int, ...]:
    """Return the shape of a graph's input or output without the batch; 0 for open dimensions."""
    dimensions = value.type.tensor_type.shape.dim
    return tuple(int(one.dim_value) for one in dimensions[1:])


def check_number(value: Any, *, what: str, low: float, high: float) -> float:
    """Return a finite number within limits, or raise."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value <= high:
        raise BundleError(f"{what} is {value!r}, where a number from {low} to {high} is needed")
    return float(value)
