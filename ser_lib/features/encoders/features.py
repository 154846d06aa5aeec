"""Features of encoders: all layers pooled over time, or some layers as a sequence of frames.

Pooled layers are what linear heads learn from. Below a sequence of frames the encoder stays as it
is, in 8 bits, run by onnxruntime; the blocks above can be built in Keras from `block_weights` and
trained (`ser_lib.models.encoder_finetune`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ser_lib.audio.signal import resample
from ser_lib.errors import EncoderError
from ser_lib.features.encoders import registry
from ser_lib.features.encoders.runtime import STATISTICS, check_input, encode, pool_frames

# Quieter frames at both ends of a clip, beyond a margin, are pauses.
SPEECH_RANGE_DB = 35.0
MARGIN_FRAMES = 4

# Frames that are quieter by more, wherever they are, sound like the room.
LOUD_RANGE_DB = 25.0
LOUD = "loud_"
FRAME_S = 0.024

# Names inside a block of the published graph: matrices of 8 bits, and vectors of 32.
BLOCK_MATRICES = (
    *(f"self_attn/{name}" for name in ("q_proj", "k_proj", "v_proj", "dense")),
    *("mlp/fc1", "mlp/fc2"),
)
BLOCK_VECTORS = (
    *("input_layernorm.weight", "post_attention_layernorm.weight"),
    *("mlp.fc1.bias", "mlp.fc2.bias"),
)


def encoder_views(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    encoder: str,
    sha256: str,
    statistics: str = "mean,spread",
    speeds: str = "1",
    n_layers: int = 0,
    speech_rms: float = 0.0,
    outputs: str = "",
    n_values: int = 0,
    input_name: str = "input_values",
) -> np.ndarray:
    """Statistics over time of every layer of a pretrained encoder, at one speed or several.

    Parameters
    ----------
    signal, sample_rate_hz : ndarray of shape (n_samples,), int
        Mono, and its rate, which must be the encoder's.
    encoder, sha256 : str
        A key of `ENCODERS`, or the path of another ONNX file, and the hash of the weights.
    statistics : str
        Keys of `STATISTICS`, with commas; after `loud_`, of frames within `LOUD_RANGE_DB` of the
        loudest.
    speeds : str
        Numbers with commas; 1 is the signal as it is.
    n_layers : int
        Number of layers, lowest first; those above are not computed. 0 takes all.
    speech_rms : float
        Root mean square that loud frames are brought to before the encoder, once pauses at both
        ends are cut: neither room nor distance then shows in them. 0 leaves signals as they are.
    outputs, n_values, input_name : str, int, str
        Of another file: names of nodes or tensors, with commas; length of a frame's vector; its
        input.

    Returns
    -------
    ndarray of float16, shape (n_speeds, n_layers, n_statistics, n_values)
        Half precision: a thousandth of a value, far below what 8-bit weights leave of it.

    Raises
    ------
    EncoderError
        If the weights are missing, damaged or not those of `sha256`; if the rate is not the
        encoder's; if the signal is shorter than a frame.

    References
    ----------
    Jeffries et al. (2024), arXiv:2410.15608, for Moonshine.
    """
    chosen = _find_encoder(encoder, outputs, n_values, input_name, sample_rate_hz)
    chosen = _checked(chosen, sha256)
    if n_layers:
        chosen = _lowest_layers(chosen, n_layers)
    names = _statistics_of(statistics)
    views = []
    for speed in map(float, speeds.split(",")):
        # Declared to have `speed` times its rate, and resampled to the real one, it plays faster:
        # pitch and tempo are raised alike, as another voice might.
        played = signal
        if speed != 1:
            played = resample(signal, round(sample_rate_hz * speed), sample_rate_hz)
        if speech_rms:
            check_input(played, sample_rate_hz, chosen)
            n_frames = max(round(len(played) / sample_rate_hz / FRAME_S), 1)
            played = _levelled_speech(played, n_frames, speech_rms)
        layers = encode(played, sample_rate_hz, encoder=chosen)
        views.append(np.stack([_pooled(one, played, names) for one in layers]))
    return np.stack(views).astype(np.float16)


def encoder_shape(
    *,
    encoder: str,
    sha256: str,
    statistics: str = "mean,spread",
    speeds: str = "1",
    n_layers: int = 0,
    speech_rms: float = 0.0,
    outputs: str = "",
    n_values: int = 0,
    input_name: str = "input_values",
) -> tuple[int, ...]:
    """Return the shape of `encoder_views` from its parameters, without the weights."""
    known = registry.ENCODERS.get(encoder)
    n_layers = n_layers or (known.n_layers if known else len(outputs.split(",")))
    width = known.n_values if known else n_values
    return len(speeds.split(",")), n_layers, len(_statistics_of(statistics)), width


def _statistics_of(statistics: str) -> list[str]:
    names = statistics.split(",")
    unknown = sorted({one for one in names if one.removeprefix(LOUD) not in STATISTICS})
    if unknown:
        known = ", ".join(STATISTICS)
        raise EncoderError(f"unknown statistics {unknown}; known are {known}, also after '{LOUD}'")
    return names


def _find_encoder(
    encoder: str, outputs: str, n_values: int, input_name: str, sample_rate_hz: int
) -> registry.Encoder:
    if encoder in registry.ENCODERS:
        return registry.ENCODERS[encoder]
    if not outputs or n_values < 1:
        known = ", ".join(registry.ENCODERS)
        raise EncoderError(
            f"'{encoder}' is none of {known}; another file needs outputs and n_values"
        )
    return registry.encoder_from_file(
        encoder,
        outputs=outputs.split(","),
        n_values=n_values,
        sample_rate_hz=sample_rate_hz,
        input_name=input_name,
    )


def _checked(encoder: registry.Encoder, sha256: str) -> registry.Encoder:
    """Return the encoder if it is the one that a feature was made for; raise EncoderError else."""
    if encoder.sha256 != sha256:
        raise EncoderError(
            f"{encoder.name}: the weights have the sha256 {encoder.sha256[:12]}…, the feature was "
            f"made for {sha256[:12]}…; they are of another version"
        )
    return encoder


def _lowest_layers(encoder: registry.Encoder, n_layers: int) -> registry.Encoder:
    """Return the encoder without its upper layers, which are then not computed."""
    if not 0 < n_layers <= encoder.n_layers:
        raise EncoderError(
            f"{encoder.name} has {encoder.n_layers} layers to read; n_layers={n_layers} is not "
            f"between 1 and {encoder.n_layers}"
        )
    return replace(encoder, outputs=encoder.outputs[:n_layers])


def encoder_frames(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    encoder: str,
    sha256: str,
    layers: str,
    n_frames: int = 112,
) -> np.ndarray:
    """Frames of one layer of an encoder, or of several, without the pauses at both ends.

    Parameters
    ----------
    signal, sample_rate_hz, encoder, sha256
        As of `encoder_views`, for a registered encoder.
    layers : str
        Numbers with commas; 0 is the front end, 1 the first block of attention.
    n_frames : int
        Longer speech is cut at its end, shorter speech filled up with frames of zeros, which
        networks ignore. Moonshine has 41.7 frames a second.

    Returns
    -------
    ndarray of float16, shape (n_frames, n_layers * n_values)
        The layers' vectors joined.

    Raises
    ------
    EncoderError
        As `encoder_views`; or if the encoder has no such layer.
    """
    numbers = [int(one) for one in layers.split(",")]
    chosen = _checked(registry.get_encoder(encoder), sha256)
    chosen = _lowest_layers(chosen, max(numbers) + 1)
    outputs = encode(signal, sample_rate_hz, encoder=chosen)
    frames = np.stack([outputs[number] for number in numbers], axis=1)
    first, last = _speech(signal, len(frames))
    spoken = frames[first:last][:n_frames]
    filled = np.pad(spoken, ((0, n_frames - len(spoken)), (0, 0), (0, 0)))
    shape = frames_shape(encoder, layers=layers, n_frames=n_frames)
    return filled.reshape(shape).astype(np.float16)


def frames_shape(
    encoder: str, *, layers: str, n_frames: int = 112, sha256: str = ""
) -> tuple[int, int]:
    """Return the shape of `encoder_frames` from its parameters, without the weights."""
    return n_frames, (layers.count(",") + 1) * registry.get_encoder(encoder).n_values


def _pooled(frames: np.ndarray, signal: np.ndarray, statistics: Sequence[str]) -> np.ndarray:
    """Summarise a layer's frames by statistics of all of them, or of loud ones."""
    pooled = []
    for name in statistics:
        chosen = frames
        if name.startswith(LOUD):
            chosen = frames[_is_within(LOUD_RANGE_DB, _energy(signal, len(frames)))]
        pooled.append(pool_frames(chosen, [name.removeprefix(LOUD)]))
    return np.concatenate(pooled)


def _levelled_speech(signal: np.ndarray, n_frames: int, rms: float) -> np.ndarray:
    """Return a signal without the pauses at its ends, and its loud frames at one level."""
    first, last = (one * len(signal) // n_frames for one in _speech(signal, n_frames))
    speech = signal[first:last]
    energy = _energy(speech, len(speech) * n_frames // len(signal))
    power = energy[_is_within(LOUD_RANGE_DB, energy)].mean() * len(energy) / len(speech)
    return speech * np.float32(rms / np.sqrt(power)) if power else speech


def _speech(signal: np.ndarray, n_frames: int) -> tuple[int, int]:
    """Return the first frame of speech and the one after its last, with a margin."""
    loud = np.flatnonzero(_is_within(SPEECH_RANGE_DB, _energy(signal, n_frames)))
    return max(int(loud[0]) - MARGIN_FRAMES, 0), int(loud[-1]) + 1 + MARGIN_FRAMES


def _energy(signal: np.ndarray, n_frames: int) -> np.ndarray:
    """Return the sum of squares of each frame, which are equally long to a sample."""
    edges = np.linspace(0, len(signal), n_frames, endpoint=False).astype(int)
    return np.add.reduceat(signal.astype(np.float64) ** 2, edges)


def _is_within(range_db: float, energy: np.ndarray) -> np.ndarray:
    """Return for each frame whether it is within a range of the loudest one."""
    return energy >= energy.max() * 10 ** (-range_db / 10)


def block_weights(encoder: registry.Encoder, number: int) -> dict[str, np.ndarray]:
    """Read one block of attention of a Moonshine encoder, by `BLOCK_MATRICES` and `BLOCK_VECTORS`.

    Matrices have shape (n_in, n_out) and single precision, their 8 bits multiplied out. Blocks are
    counted from 0; an encoder of another form raises EncoderError.
    """
    import onnx

    graph = onnx.load(registry.check_weights(encoder)).graph
    arrays = {one.name: one for one in graph.initializer}

    def array(name: str) -> np.ndarray:
        return onnx.numpy_helper.to_array(arrays[name]).astype(np.float32)

    inputs = {node.name: node.input for node in graph.node if node.op_type == "MatMulInteger"}
    found = {}
    try:
        for name in BLOCK_MATRICES:
            _, matrix, _, zero_point = inputs[f"/layers.{number}/{name}/MatMul_quant"]
            scale = matrix.replace("_quantized", "_scale")
            found[name] = (array(matrix) - array(zero_point)) * array(scale)
        for name in BLOCK_VECTORS:
            found[name] = array(f"layers.{number}.{name}")
    except KeyError as error:
        known = ", ".join(registry.ENCODERS)
        raise EncoderError(
            f"{encoder.name} has no block {number} of the form that is known here ({error} "
            f"lacks); blocks can be read of {known}"
        ) from error
    return found
