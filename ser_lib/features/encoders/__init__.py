"""Pretrained encoders: published speech networks, whose inner layers serve as features.

Weights are fetched on request (`ser data NAME`) and never committed.

    registry   what an encoder is, which are known, and how their weights get here
    runtime    inner layers as outputs, the session, statistics over frames
    features   pooled layers and sequences of frames; the weights of blocks
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
