"""Running an encoder: its graph with inner outputs, the session, and statistics over frames.

Needs NumPy, soxr and onnxruntime only, so that prediction can do it without the rest. Each clip is
run alone: 8-bit weights quantise a batch by its largest value, so that in a batch the numbers of a
clip would depend on the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser_lib.errors import EncoderError
from ser_lib.features.encoders.registry import Encoder, check_weights
from ser_lib.paths import encoders_dir, keep
from ser_lib.runtime import THREADS

if TYPE_CHECKING:
    import onnx
    import onnxruntime

# Of `_graph_file`: raised whenever what it writes changes.
GRAPH_VERSION = 3


def _with_inner_outputs(
    model: onnx.ModelProto, outputs: Sequence[str], *, what: str = "encoder"
) -> onnx.ModelProto:
    """Return a copy of a model that gives the named nodes' first outputs, or named tensors."""
    import onnx

    graph = model.graph
    written = {name for node in graph.node for name in node.output}
    of_node = {node.name: node.output[0] for node in graph.node if node.name and node.output}
    tensors = [of_node.get(name, name if name in written else "") for name in outputs]
    lacking = [name for name, tensor in zip(outputs, tensors, strict=True) if not tensor]
    if lacking:
        raise EncoderError(
            f"{what}: its graph has no node or tensor {', '.join(lacking)}; it has "
            f"{', '.join(one.name for one in graph.output)} and {len(of_node)} named nodes. Is it "
            "of another version?"
        )
    # Nodes stand in an order in which each comes after those that it reads.
    needed, nodes = set(tensors), []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed |= set(node.input) - {""}
            nodes.append(node)
    chosen = onnx.ModelProto()
    chosen.CopyFrom(model)
    del chosen.graph.node[:], chosen.graph.output[:], chosen.graph.initializer[:]
    chosen.graph.node.extend(reversed(nodes))
    chosen.graph.initializer.extend(one for one in graph.initializer if one.name in needed)
    shape = ["batch", "n_frames", "n_values"]
    chosen.graph.output.extend(
        onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, shape)
        for tensor in tensors
    )
    return chosen


def _sign_weights(model: onnx.ModelProto) -> None:
    """Make constant weights of integer products signed: 128 less, and so are their zero points.

    Processors multiply unsigned bytes by signed ones in one step, by unsigned ones in several. The
    sums, of integers, stay the same.
    """
    from onnx import TensorProto, numpy_helper

    arrays = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        pair = [arrays.get(name) for name in node.input[1::2]]
        is_unsigned = [one is not None and one.data_type == TensorProto.UINT8 for one in pair]
        if node.op_type != "MatMulInteger" or is_unsigned != [True, True]:
            continue
        for place in (1, 3):
            name = node.input[place]
            node.input[place] = signed = f"{name}/signed"
            if signed not in arrays:
                values = numpy_helper.to_array(arrays[name]) ^ np.uint8(128)
                arrays[signed] = numpy_helper.from_array(np.asarray(values).view(np.int8), signed)
                model.graph.initializer.append(arrays[signed])


def _graph_file(encoder: Encoder) -> Path:
    """Return the file of the encoder's graph with its inner outputs, which is kept in the cache.

    As onnxruntime optimises it here: that takes longer than all else of opening it.
    """
    import onnxruntime

    made_by = f"{GRAPH_VERSION} {onnxruntime.__version__} {_has_vnni()}"
    identity = f"{encoder.sha256} {encoder.outputs} {made_by}"
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    target = encoders_dir() / "graphs" / f"{encoder.name}-{key}.onnx"
    if not target.is_file():
        import onnx

        source = check_weights(encoder)
        try:
            model = onnx.load(source)
        # protobuf raises its own class, which onnx does not name.
        except Exception as error:
            raise EncoderError(f"{source}: not an ONNX file ({error})") from error
        if _has_vnni():
            _sign_weights(model)
        model = _with_inner_outputs(model, encoder.outputs, what=encoder.name)
        options = onnxruntime.SessionOptions()
        # All that holds on other processors of the kind.
        level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.graph_optimization_level = level

        def write(path: Path) -> None:
            options.optimized_model_filepath = str(path)
            _session(model.SerializeToString(), options, source)

        keep(target, write)
    return target


def _session(
    graph: bytes | str, options: onnxruntime.SessionOptions, path: Path
) -> onnxruntime.InferenceSession:
    import onnxruntime

    options.log_severity_level = 3  # errors only: it warns of what it leaves unfused
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    # onnxruntime raises one class for each kind of failure, without a common base.
    except Exception as error:
        advice = "; delete the file, it is made again" if isinstance(graph, str) else ""
        raise EncoderError(
            f"{path}: onnxruntime cannot run this graph ({error}){advice}"
        ) from error


@cache
def _has_vnni() -> bool:
    """Whether the processor is known to sum products of signed bytes; others of x64 overflow."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "vnni" in text.partition("\nflags")[2].partition("\n")[0]


@lru_cache(maxsize=4)
def _open_session(encoder: Encoder, n_threads: int) -> onnxruntime.InferenceSession:
    """Open an encoder with onnxruntime, and check that it has the one expected input."""
    import onnxruntime

    path, input_name = _graph_file(encoder), encoder.input_name
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take the core from other work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = _session(str(path), options, path)
    inputs = {one.name: one for one in session.get_inputs()}
    if set(inputs) != {input_name} or len(inputs[input_name].shape) != 2:
        found = ", ".join(f"{name} {one.shape}" for name, one in inputs.items())
        raise EncoderError(
            f"{path}: its inputs are {found}; expected is '{input_name}' of shape "
            "[1, n_samples]. Give its own input_name, or another encoder"
        )
    return session


def encode(signal: np.ndarray, sample_rate_hz: int, *, encoder: Encoder) -> list[np.ndarray]:
    """Run an encoder on one signal, one array of frames a layer.

    Parameters
    ----------
    signal, sample_rate_hz : ndarray of shape (n_samples,), int
        Mono, and its rate, which must be the encoder's.
    encoder : Encoder
        Whose weights are here.

    Returns
    -------
    list of ndarray of float32, shape (n_frames, n_values)
        Lowest layer first.

    Raises
    ------
    EncoderError
        If the weights are missing or damaged; if the rate is not the encoder's; if the signal is
        shorter than a frame, not mono or not finite.
    """
    check_input(signal, sample_rate_hz, encoder)
    # Several clips at a time are faster than several threads for one.
    session = _open_session(encoder, THREADS.get())
    layers = session.run(None, {encoder.input_name: signal[np.newaxis].astype(np.float32)})
    shapes = {one.shape for one in layers}
    # A front end may give another length than the blocks after it: only the width is fixed.
    if any(len(one) != 3 or one[0] != 1 or one[2] != encoder.n_values for one in shapes):
        raise EncoderError(
            f"{encoder.name}: layers of shape {sorted(shapes)}, expected is "
            f"(1, n_frames, {encoder.n_values}); is it the encoder that was described?"
        )
    if min(one[1] for one in shapes) == 0:
        raise EncoderError(f"{encoder.name}: {len(signal)} samples give no frame; a clip is short")
    return [one[0] for one in layers]


def check_input(signal: np.ndarray, sample_rate_hz: int, encoder: Encoder) -> None:
    """Raise EncoderError where `encode` cannot take a signal."""
    if sample_rate_hz != encoder.sample_rate_hz:
        raise EncoderError(
            f"{encoder.name} was trained on {encoder.sample_rate_hz} Hz, the signal has "
            f"{sample_rate_hz} Hz; resample it (a FeatureSpec does, by its sample_rate_hz)"
        )
    if signal.ndim != 1:
        raise EncoderError(f"{encoder.name}: a signal must be mono, not of shape {signal.shape}")
    if len(signal) < encoder.min_samples:
        raise EncoderError(
            f"too short: {len(signal)} samples; {encoder.name} needs {encoder.min_samples} "
            f"({encoder.min_samples / encoder.sample_rate_hz:.3f} s)"
        )
    if not np.isfinite(signal).all():
        raise EncoderError(f"{encoder.name}: the signal holds NaN or infinite samples")


def _movement(frames: np.ndarray) -> np.ndarray:
    """Spread of the steps from frame to frame; 0 for one frame."""
    return np.diff(frames, axis=0).std(axis=0) if len(frames) > 1 else np.zeros(frames.shape[1])


STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda frames: frames.mean(axis=0),
    "spread": lambda frames: frames.std(axis=0),
    "highest": lambda frames: frames.max(axis=0),
    "lowest": lambda frames: frames.min(axis=0),
    "movement": _movement,
}


def pool_frames(frames: np.ndarray, statistics: Sequence[str]) -> np.ndarray:
    """Summarise frames, shape (n_frames, n_values), by statistics over time, keys of `STATISTICS`.

    >>> pool_frames(np.array([[0.0], [2.0], [4.0]]), ["mean", "highest"]).tolist()
    [[2.0], [4.0]]
    """
    return np.stack([STATISTICS[name](frames) for name in statistics]).astype(np.float32)
