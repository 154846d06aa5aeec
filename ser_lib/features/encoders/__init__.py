"""Pretrained encoders: published speech networks, whose inner layers serve as features.

Weights are fetched on request (`ser data NAME`) and never committed.

    registry   what an encoder is, which are known, and how their weights get here
    runtime    inner layers as outputs, the session, statistics over frames
    features   pooled layers and sequences of frames; the weights of blocks
"""

from __future__ import annotations

from ser_lib.features.encoders.features import encoder_frames, encoder_views
from ser_lib.features.encoders.registry import (
    ENCODERS,
    Encoder,
    download_encoder,
    encoder_from_file,
    get_encoder,
    import_weights,
    inspect_encoder,
)
from ser_lib.features.encoders.runtime import encode

__all__ = [
    "ENCODERS",
    "Encoder",
    "download_encoder",
    "encode",
    "encoder_frames",
    "encoder_from_file",
    "encoder_views",
    "get_encoder",
    "import_weights",
    "inspect_encoder",
]
