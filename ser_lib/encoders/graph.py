"""An ONNX encoder with its inner layers as outputs, and the session that runs it.

A published file has one output, its last layer. `with_inner_outputs` names the tensors that inner
nodes write as outputs as well; not a weight is changed. onnxruntime needs nothing but the result,
which is kept in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ser_lib.encoders._base import Encoder
from ser_lib.encoders.download import check_weights
from ser_lib.errors import EncoderError
from ser_lib.paths import atomic_path, encoders_dir
from ser_lib.threads import THREADS

if TYPE_CHECKING:
    import onnx
    import onnxruntime

__all__ = ["graph_file", "open_session", "session_of", "with_inner_outputs"]

# Of `with_inner_outputs`: raised whenever what it writes changes.
GRAPH_VERSION = 2


def with_inner_outputs(
    model: onnx.ModelProto, outputs: Sequence[str], *, what: str = "encoder"
) -> onnx.ModelProto:
    """Return a copy of a model whose outputs are the chosen inner tensors.

    Parameters
    ----------
    model : onnx.ModelProto
        The published graph.
    outputs : sequence of str
        Names of nodes, whose first output is taken, or of tensors.
    what : str
        Its name, for messages.

    Returns
    -------
    onnx.ModelProto
        Nodes that none of these outputs needs are left out; weights too.

    Raises
    ------
    EncoderError
        If the graph has no node or tensor of a name.
    """
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
    chosen = onnx.ModelProto()
    chosen.CopyFrom(model)
    needed = _needed_nodes(graph, set(tensors))
    del chosen.graph.node[:], chosen.graph.output[:], chosen.graph.initializer[:]
    chosen.graph.node.extend(graph.node[number] for number in sorted(needed))
    read = {name for node in chosen.graph.node for name in node.input}
    chosen.graph.initializer.extend(one for one in graph.initializer if one.name in read)
    shape = ["batch", "n_frames", "n_values"]
    chosen.graph.output.extend(
        onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, shape)
        for tensor in tensors
    )
    return chosen


def _needed_nodes(graph: onnx.GraphProto, tensors: set[str]) -> set[int]:
    """Walk up from tensors to all nodes that they depend on; return the nodes' positions."""
    nodes = list(graph.node)
    writer = {name: number for number, node in enumerate(nodes) for name in node.output}
    needed: set[int] = set()
    waiting = [writer[name] for name in tensors]
    while waiting:
        number = waiting.pop()
        if number not in needed:
            needed.add(number)
            waiting += [writer[name] for name in nodes[number].input if name in writer]
    return needed


def graph_file(encoder: Encoder) -> Path:
    """Return the encoder's graph with its inner outputs; made once, kept in the cache.

    Raises
    ------
    EncoderError
        If the weights are missing or damaged, or if the graph is not the expected one.
    """
    identity = f"{encoder.sha256} {encoder.outputs} {GRAPH_VERSION}"
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
        model = with_inner_outputs(model, encoder.outputs, what=encoder.name)
        with atomic_path(target) as temporary:
            onnx.save(model, temporary)
    return target


def session_of(encoder: Encoder) -> onnxruntime.InferenceSession:
    """Open an encoder for running, once a process and number of threads.

    Parameters
    ----------
    encoder : Encoder
        Whose weights are here. `ser_lib.threads.THREADS` says how many threads work on one clip;
        clips side by side are faster than threads.

    Raises
    ------
    EncoderError
        As `graph_file`; or if the input has another name or shape than the encoder says.
    """
    return _cached_session(encoder, THREADS.get())


@lru_cache(maxsize=4)
def _cached_session(encoder: Encoder, n_threads: int) -> onnxruntime.InferenceSession:
    return open_session(graph_file(encoder), encoder.input_name, n_threads=n_threads)


def open_session(
    path: Path, input_name: str, *, n_threads: int = 1
) -> onnxruntime.InferenceSession:
    """Open a graph with onnxruntime, which is all that this needs.

    Raises
    ------
    EncoderError
        If the file cannot be read, or has another input.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    # Threads that wait by turning take the core from whoever else could work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only: it warns of what it leaves unfused
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    # onnxruntime raises a class a kind of failure, without a common base.
    except Exception as error:
        raise EncoderError(f"{path}: onnxruntime cannot run this graph ({error})") from error
    inputs = {one.name: one for one in session.get_inputs()}
    if set(inputs) != {input_name} or len(inputs[input_name].shape) != 2:
        found = ", ".join(f"{name} {one.shape}" for name, one in inputs.items())
        raise EncoderError(
            f"{path}: its inputs are {found}; expected is '{input_name}' of shape "
            "[1, n_samples]. Give its own input_name, or another encoder"
        )
    return session
