"""From a signal to one fixed array: run the encoder, and pool its frames over time.

Needs NumPy, soxr and onnxruntime only, so that prediction can do it without the rest. A clip is run
alone, whatever comes before or after: its numbers cannot depend on its neighbours, and nothing is
padded. (Weights of 8 bits quantise a whole batch by its largest value: a batch would mix clips.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser_lib.audio.signal import resample
from ser_lib.errors import EncoderError
from ser_lib.features.encoders.registry import Encoder, check_weights
from ser_lib.paths import atomic_path, encoders_dir
from ser_lib.runtime import THREADS

if TYPE_CHECKING:
    import onnx
    import onnxruntime


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
        Whose weights are here. `ser_lib.runtime.THREADS` says how many threads work on one clip;
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


def run_session(session: object, encoder: Encoder, signal: np.ndarray) -> list[np.ndarray]:
    """Run an open encoder on one signal.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        From `session_of` or `open_session`.
    encoder : Encoder
        What it expects.
    signal : ndarray of float32, shape (n_samples,)
        Mono, at the encoder's rate.

    Returns
    -------
    list of ndarray of float32, shape (n_frames, n_values)
        One a layer, lowest first.

    Raises
    ------
    EncoderError
        If the signal is shorter than a frame, not mono or not finite, or if the encoder gives
        another shape than it is said to.
    """
    _check_signal(signal, encoder)
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


def _check_signal(signal: np.ndarray, encoder: Encoder) -> None:
    if signal.ndim != 1:
        raise EncoderError(f"{encoder.name}: a signal must be mono, not of shape {signal.shape}")
    if len(signal) < encoder.min_samples:
        raise EncoderError(
            f"too short: {len(signal)} samples; {encoder.name} needs {encoder.min_samples} "
            f"({encoder.min_samples / encoder.sample_rate_hz:.3f} s)"
        )
    if not np.isfinite(signal).all():
        raise EncoderError(f"{encoder.name}: the signal holds NaN or infinite samples")


def encode(signal: np.ndarray, sample_rate_hz: int, *, encoder: Encoder) -> list[np.ndarray]:
    """Run an encoder on one signal, one array of frames a layer.

    Parameters
    ----------
    signal : ndarray of float32, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        Its rate; it must be the encoder's.
    encoder : Encoder
        Whose weights are here.

    Returns
    -------
    list of ndarray of float32, shape (n_frames, n_values)
        Lowest layer first.

    Raises
    ------
    EncoderError
        If the rate is another one, and as `session_of` and `run_session`.
    """
    _check_rate(sample_rate_hz, encoder)
    return run_session(session_of(encoder), encoder, signal)


def _check_rate(sample_rate_hz: int, encoder: Encoder) -> None:
    if sample_rate_hz != encoder.sample_rate_hz:
        raise EncoderError(
            f"{encoder.name} was trained on {encoder.sample_rate_hz} Hz, the signal has "
            f"{sample_rate_hz} Hz; resample it (a FeatureSpec does, by its sample_rate_hz)"
        )


def encode_many(
    signals: Sequence[np.ndarray],
    sample_rate_hz: int,
    *,
    encoder: Encoder,
    n_threads: int = 2,
) -> Iterator[list[np.ndarray]]:
    """Run an encoder on several signals side by side, each alone, of any lengths.

    Parameters
    ----------
    signals : sequence of ndarray
        As for `encode`.
    sample_rate_hz : int
        Of all.
    encoder : Encoder
        Whose weights are here.
    n_threads : int
        How many signals at once, one core each.

    Yields
    ------
    list of ndarray
        As `encode` gives, in the order of the signals; exactly the same numbers.
    """
    _check_rate(sample_rate_hz, encoder)
    session = session_of(encoder)  # onnxruntime lets threads share it
    with ThreadPoolExecutor(n_threads) as pool:
        yield from pool.map(lambda signal: run_session(session, encoder, signal), signals)


def _spread(frames: np.ndarray) -> np.ndarray:
    return frames.std(axis=0)


def _movement(frames: np.ndarray) -> np.ndarray:
    """Spread of the steps from frame to frame; 0 for one frame."""
    return np.diff(frames, axis=0).std(axis=0) if len(frames) > 1 else np.zeros(frames.shape[1])


STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda frames: frames.mean(axis=0),
    "spread": _spread,
    "highest": lambda frames: frames.max(axis=0),
    "lowest": lambda frames: frames.min(axis=0),
    "movement": _movement,
}


def pool_frames(frames: np.ndarray, statistics: Sequence[str]) -> np.ndarray:
    """Describe frames by statistics over time.

    Parameters
    ----------
    frames : ndarray, shape (n_frames, n_values)
        Of one layer; one frame or more.
    statistics : sequence of str
        Keys of `STATISTICS`.

    Returns
    -------
    ndarray of float32, shape (n_statistics, n_values)

    Examples
    --------
    >>> pool_frames(np.array([[0.0], [2.0], [4.0]]), ["mean", "highest"]).tolist()
    [[2.0], [4.0]]
    """
    return np.stack([STATISTICS[name](frames) for name in statistics]).astype(np.float32)


def pooled_views(
    signal: np.ndarray,
    *,
    encoder: Encoder,
    session: object,
    statistics: Sequence[str],
    speeds: Sequence[float],
) -> np.ndarray:
    """Pool all layers of a signal, played at several speeds.

    Playing faster raises pitch and tempo alike, as a tape does: a view of the clip that another
    voice might have given. Heads learn from all views of a training clip, and average over those of
    a test clip.

    Parameters
    ----------
    signal : ndarray of float32, shape (n_samples,)
        Mono, at the encoder's rate.
    encoder : Encoder
        What the session runs.
    session : onnxruntime.InferenceSession
        See `run_session`.
    statistics : sequence of str
        Keys of `STATISTICS`.
    speeds : sequence of float
        1 is the signal as it is.

    Returns
    -------
    ndarray of float32, shape (n_speeds, n_layers, n_statistics, n_values)
    """
    rate = encoder.sample_rate_hz
    views = []
    for speed in speeds:
        # A rate that is called slower than it is makes the signal faster, once it is resampled.
        played = signal if speed == 1 else resample(signal, round(rate * speed), rate)
        layers = run_session(session, encoder, played)
        views.append(np.stack([pool_frames(one, statistics) for one in layers]))
    return np.stack(views)
