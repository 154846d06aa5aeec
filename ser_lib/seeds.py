"""Seeds: one number a run, and from it an independent stream for each purpose.

Functions that draw take a `numpy.random.Generator`; only `seed_everything` touches global
generators, because layers and shuffling inside Keras draw from them.
"""

from __future__ import annotations

import hashlib
import random
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def child_seed(*parts: object) -> int:
    """Turn words and numbers into a seed in [0, 2**32) that depends on all of them.

    It is the same number on every machine and in every Python.

    >>> child_seed("noise", 1) == child_seed("noise", 1), child_seed("noise", 1) == child_seed(1)
    (True, False)
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def generator(*parts: object) -> np.random.Generator:
    """Return a fresh generator seeded by `child_seed(*parts)`."""
    import numpy as np

    return np.random.default_rng(child_seed(*parts))


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy's global generator and, where it is loaded, Keras."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(seed)
