"""Pretrained encoders: speech networks of others, whose inner layers serve as features.

Weights are brought by `ser data NAME`, never on their own, and never committed. `ENCODERS` names
those that are pinned; `encoder_from_file` takes any other ONNX file.

    _base      what an encoder is, and the registry
    download   is it there, is it whole, how to get it
    graph      inner layers as outputs; the session
    pooling    frames of a signal, and statistics over them
    features   all layers, pooled: what linear heads see
    frames     one layer as a sequence, and the weights of the blocks above it: what is fine-tuned
"""

from __future__ import annotations

from ser_lib.features.encoders.features import (
    block_weights,
    encoder_frames,
    encoder_shape,
    encoder_views,
    frames_shape,
)
from ser_lib.features.encoders.registry import (
    ENCODERS,
    Encoder,
    EncoderState,
    Package,
    check_weights,
    download_encoder,
    encoder_from_file,
    get_encoder,
    import_weights,
    inspect_encoder,
)
from ser_lib.features.encoders.runtime import (
    STATISTICS,
    encode,
    encode_many,
    graph_file,
    open_session,
    pool_frames,
    pooled_views,
    run_session,
    session_of,
    with_inner_outputs,
)

__all__ = [
    "ENCODERS",
    "STATISTICS",
    "Encoder",
    "EncoderState",
    "Package",
    "block_weights",
    "check_weights",
    "download_encoder",
    "encode",
    "encode_many",
    "encoder_frames",
    "encoder_from_file",
    "encoder_shape",
    "encoder_views",
    "frames_shape",
    "get_encoder",
    "graph_file",
    "import_weights",
    "inspect_encoder",
    "open_session",
    "pool_frames",
    "pooled_views",
    "run_session",
    "session_of",
    "with_inner_outputs",
]
