"""Keras, loaded without the log lines that its backend writes at import.

TensorFlow writes to the process's error stream from C++ before any log level applies, so the stream
itself is redirected during the import. Whatever is written later is shown.
"""

from __future__ import annotations

import logging
import os
import sys
from types import ModuleType


def load_keras() -> ModuleType:
    """Return the `keras` module, importing it quietly the first time."""
    if "keras" in sys.modules:
        return sys.modules["keras"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        import keras
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(silence)
    # TensorFlow warns that many small networks are traced anew; a notebook trains many on purpose.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return keras
