"""Sound: files, signals, and what is done to them on purpose.

A signal is a float32 array of shape (n_samples,) in [-1, 1], mono. soundfile, soxr and PyAV are
called here only.

    io              decode files, inspect them, check clips of corpora
    containers      what the bytes of a file say before it is decoded
    pyav            decode what libsndfile does not
    signal          mix to mono, resample, cut, crop or pad
    augmentation    changes of training clips
    corruptions     changes of test clips
    voice_activity  where somebody speaks, how loud, how far above the noise
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
