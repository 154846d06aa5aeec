"""Checks of the files in a bundle before anything uses them: a bundle may come from a stranger.

Nothing is unpickled, executed or written to the disk here. Archives are read member by member
against a list of names; graphs may hold only plain operators, no outside data and no loops.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from ser_lib.errors import BundleError

# What a bundle may hold; see `ser_lib.inference.bundle`.
FILES = ("bundle.json", "model.onnx", "model.keras", "arrays.npz", "README.md")
SUMS = "SHA256SUMS"
MAX_FILE_BYTES = 128 * 2**20
MAX_SUMS_BYTES = 4096

# Ten times what the networks here need, and nothing for a machine.
MAX_UNPACKED_BYTES = 256 * 2**20
KERAS_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")

# What the families in `ser_lib.models` are built of, by module of Keras. No Lambda, which is code,
# and nothing that somebody registered.
LAYERS = (
    "BatchNormalization Bidirectional Conv1D Conv2D Conv3D Dense Dropout ELU Flatten GRU "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D InputLayer LSTM "
    "LayerNormalization MaxPooling1D MaxPooling2D MaxPooling3D MultiHeadAttention Permute ReLU "
    "Reshape Softmax"
)
KERAS_CLASSES: Mapping[str | None, frozenset[str]] = {
    None: frozenset({"__keras_tensor__"}),
    "keras": frozenset({"DTypePolicy"}),
    "keras.initializers": frozenset({"GlorotUniform", "HeNormal", "Ones", "Orthogonal", "Zeros"}),
    "keras.layers": frozenset(LAYERS.split()),
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras.src.ops.numpy": frozenset({"Add", "Mean", "Reshape"}),
}

# Operators that hold graphs of their own, or could run for ever.
FORBIDDEN_OPERATORS = frozenset({"If", "Loop", "Scan", "SequenceMap", "StringNormalizer"})
MAX_NODES = 20_000


def checked_contents(folder: Path) -> dict[str, bytes]:
    """Read the files that a bundle's checksums name, each once.

    Parameters
    ----------
    folder : Path
        Of the bundle.

    Returns
    -------
    dict of str to bytes
        By name.

    Raises
    ------
    BundleError
        If a file lacks, is too many, is no plain file, is too large, or was changed.
    """
    if not (folder / SUMS).is_file():
        raise BundleError(f"{folder}: no bundle is here ({SUMS} lacks)")
    sums = {}
    for line in _read(folder / SUMS, MAX_SUMS_BYTES).decode("ascii", "replace").splitlines():
        digest, _, name = line.partition("  ")
        if name not in FILES or name in sums or len(digest) != 64:
            raise BundleError(f"{folder}/{SUMS}: the line {line[:80]!r} belongs to no bundle")
        sums[name] = digest
    there = {one.name for one in os.scandir(folder)} - {SUMS}
    lacking = {"bundle.json", "arrays.npz", "README.md", *sums} - there
    for found, word in ((there - set(sums), "is not listed in " + SUMS), (lacking, "lacks")):
        if found:
            raise BundleError(f"{folder}: {sorted(found)[0]!r} {word}; get the bundle again")
    contents = {}
    for name, digest in sums.items():
        contents[name] = _read(folder / name, MAX_FILE_BYTES)
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise BundleError(
                f"{folder}: {name} was changed: its checksum is not that of {SUMS}; get the bundle "
                "again"
            )
    return contents


def _read(path: Path, max_bytes: int) -> bytes:
    """Read a plain file of limited size; links could lead anywhere."""
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path}: is no plain file")
    with path.open("rb") as file:
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise BundleError(f"{path}: is larger than {max_bytes:,} bytes, more than any bundle has")
    return raw


def read_json(raw: bytes, *, what: str) -> dict[str, object]:
    """Parse a JSON object without values that JSON does not know.

    Parameters
    ----------
    raw : bytes
        UTF-8.
    what : str
        Named in the message.

    Returns
    -------
    dict

    Raises
    ------
    BundleError
        If it is no JSON, no object, nested without end, or holds NaN or infinite numbers.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"it holds {name}")

    try:
        content = json.loads(raw.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{what}: cannot be read ({error}); get the bundle again") from error
    if not isinstance(content, dict):
        raise BundleError(f"{what}: holds a {type(content).__name__} where an object is needed")
    return content


def _members(raw: bytes, *, what: str, allowed: Collection[str]) -> dict[str, bytes]:
    """Unpack an archive in memory, refusing names, sizes and tricks that no bundle needs."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(raw))
        infos = archive.infolist()
        names = [one.filename for one in infos]
        foreign = sorted(set(names) - set(allowed))
        if foreign:
            raise BundleError(f"{what}: holds {foreign[0]!r}, which no bundle has")
        if len(set(names)) < len(names):
            raise BundleError(f"{what}: holds two files of one name")
        if any(one.flag_bits & 0x1 for one in infos):
            raise BundleError(f"{what}: is encrypted")
        size = sum(one.file_size for one in infos)
        if size > MAX_UNPACKED_BYTES:
            raise BundleError(
                f"{what}: would unpack to {size / 2**20:.0f} MB, more than "
                f"{MAX_UNPACKED_BYTES / 2**20:.0f} MB"
            )
        return {one.filename: _unpacked(archive, one, what) for one in infos}
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, ValueError) as error:
        raise BundleError(f"{what}: is no sound archive ({error}); get the bundle again") from error


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, what: str) -> bytes:
    # A header may understate what is packed: no more than it promises is read.
    with archive.open(info) as member:
        content = member.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise BundleError(f"{what}: {info.filename} is not as long as the archive says")
    return content


def read_arrays(raw: bytes, *, what: str, allowed: Collection[str]) -> dict[str, np.ndarray]:
    """Read plain arrays of numbers from an `.npz` archive; nothing is unpickled.

    Parameters
    ----------
    raw : bytes
        The archive.
    what : str
        Named in messages.
    allowed : collection of str
        Names that arrays may have.

    Returns
    -------
    dict of str to ndarray
        Finite, of float32 or float64.

    Raises
    ------
    BundleError
        If anything else is in it.
    """
    members = _members(raw, what=what, allowed=[f"{name}.npy" for name in allowed])
    arrays = {}
    for name, content in members.items():
        try:
            array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError, SyntaxError, TypeError, MemoryError) as error:
            raise BundleError(f"{what}: {name} is no plain array ({error})") from error
        if array.dtype not in (np.float32, np.float64):
            raise BundleError(f"{what}: {name} holds {array.dtype}, not plain floats")
        if not np.isfinite(array).all():
            raise BundleError(f"{what}: {name} holds NaN or infinite values")
        arrays[name.removesuffix(".npy")] = array
    return arrays


def _objects(config: object) -> Iterator[Mapping[str, object]]:
    """Walk through all objects that a Keras config describes."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def check_keras_archive(raw: bytes, *, what: str = "model.keras") -> None:
    """Refuse a `.keras` file that holds more than layers of the families used here.

    Parameters
    ----------
    raw : bytes
        The file.
    what : str
        Named in messages.

    Raises
    ------
    BundleError
        If a layer is unknown (Lambda, which is code, among them), if a class comes from elsewhere
        than Keras, or if the archive holds other files than Keras writes.
    """
    members = _members(raw, what=what, allowed=KERAS_MEMBERS)
    if set(members) != set(KERAS_MEMBERS):
        raise BundleError(f"{what}: lacks {sorted(set(KERAS_MEMBERS) - set(members))}")
    for one in _objects(read_json(members["config.json"], what=f"{what}, config.json")):
        module, name = one.get("module"), one.get("class_name")
        is_known = module is None or isinstance(module, str)
        if not is_known or name not in KERAS_CLASSES.get(module, ()):
            raise BundleError(
                f"{what}: is built of {name!r} of {module!r}, which none of the networks here has"
            )
        if one.get("registered_name") not in (None, name):
            raise BundleError(f"{what}: {name!r} is registered by somebody, not part of Keras")


def check_graph(
    raw: bytes, *, input_shape: Collection[int], n_classes: int, what: str = "model.onnx"
) -> None:
    """Refuse an ONNX graph that is not a plain network of the promised shape.

    Parameters
    ----------
    raw : bytes
        The file.
    input_shape : collection of int
        Of one row, without the batch.
    n_classes : int
        Number of outputs a row.
    what : str
        Named in messages.

    Raises
    ------
    BundleError
        If it cannot be read, refers to files outside, holds operators of others than ONNX's own,
        loops or functions, or has other inputs or outputs.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(raw)
    except Exception as error:  # protobuf's own exception has no public name
        raise BundleError(f"{what}: is no ONNX graph ({error}); get the bundle again") from error
    graph = model.graph
    tensors = [*graph.initializer, *(a.t for n in graph.node for a in n.attribute)]
    foreign = {node.domain for node in graph.node} - {"", "ai.onnx"}
    forbidden = {node.op_type for node in graph.node} & FORBIDDEN_OPERATORS
    has_graphs = any(a.HasField("g") or a.graphs for n in graph.node for a in n.attribute)
    faults = {
        "refers to data outside of itself": any(
            one.data_location == onnx.TensorProto.EXTERNAL or one.external_data for one in tensors
        )
        or bool(graph.sparse_initializer),
        f"has operators of {sorted(foreign)}": bool(foreign),
        f"has operators that loop or branch ({sorted(forbidden)})": bool(forbidden) or has_graphs,
        "brings functions of its own": bool(model.functions) or bool(model.training_info),
        f"has {len(graph.node):,} nodes": len(graph.node) > MAX_NODES,
    }
    found = [fault for fault, is_there in faults.items() if is_there]
    if found:
        raise BundleError(f"{what}: {'; '.join(found)}: it is refused")
    initial = {one.name for one in graph.initializer}
    inputs = [_shape(one) for one in graph.input if one.name not in initial]
    outputs = [_shape(one) for one in graph.output]
    if inputs != [tuple(input_shape)] or outputs != [(n_classes,)]:
        raise BundleError(
            f"{what}: takes {inputs} and gives {outputs} a row, where the bundle says "
            f"{[tuple(input_shape)]} and {[(n_classes,)]}: these weights are not its own"
        )


def _shape(value: object) -> tuple[int, ...]:
    """Return the shape of a graph's input or output without the batch; 0 for open dimensions."""
    dimensions = value.type.tensor_type.shape.dim
    return tuple(int(one.dim_value) for one in dimensions[1:])


def check_number(value: object, *, what: str, low: float, high: float) -> float:
    """Return a finite number within limits, or raise."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value <= high:
        raise BundleError(f"{what} is {value!r}, where a number from {low} to {high} is needed")
    return float(value)
