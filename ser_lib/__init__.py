"""Speech emotion recognition, honestly.

The way of the data, and where each step lives:

    data         a corpus on disk -> a clip table; its labels, its split, the guard against leaks
    audio        files and arrays of sound; augmentation, corruptions, voice activity
    features     a signal -> an array, cached; pretrained encoders
    models       untrained models, one file a family
    training     one model on one fold -> probabilities
    studies      the published systems, as data
    runs         a study under a protocol with a seed -> predictions, stored and read again
    evaluation   tables of predictions -> scores, intervals, tests, calibration, fairness
    plots        numbers -> figures
    report       notebooks -> one HTML file
    audit        what anybody's recordings, table and split give away
    export       a study fitted on all speakers -> a bundle
    inference    a bundle and a recording -> an answer
    app, cli     the same in a browser, in JupyterLab, in a terminal

The names below are loaded at first use: importing the package loads none of its libraries.
"""

import os
import tempfile
from contextlib import suppress

import lazy_loader

from ser_lib.errors import OutputError
from ser_lib.paths import cache_dir

# What libraries keep is kept in the cache; where that cannot be written, until this process ends.
_kept = ""
with suppress(OutputError):  # said by whoever needs the cache
    _parent = next(one for one in (cache_dir(), *cache_dir().parents) if one.is_dir())
    _kept = str(cache_dir()) if os.access(_parent, os.W_OK) else ""
if not _kept:
    _temporary = tempfile.TemporaryDirectory(prefix="ser-")
    _kept = _temporary.name

# Set before any of these libraries is loaded, here and in every process that is started from here;
# what the user has set stays.
_QUIET = {
    # Nothing is sent, nor queued to be sent. onnxruntime asks for this before it is imported.
    "ORT_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Nothing is kept in the user's home, and no settings from there change results: another backend
    # in `~/.keras/keras.json`, another style in `matplotlibrc`.
    "KERAS_HOME": f"{_kept}/keras",
    "MPLCONFIGDIR": f"{_kept}/matplotlib",
    # librosa's compiled functions. Kept inside the environment, clones that share one could spoil
    # each other's: numba then crashes whoever reads them.
    "NUMBA_CACHE_DIR": f"{_kept}/numba",
}
for _variable, _value in _QUIET.items():
    os.environ.setdefault(_variable, _value)

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
