"""Features: from a signal to an array, and from a clip table to cached arrays.

registry       `FEATURES` by name, and `FeatureSpec`: a feature with its parameters
spectral       log-mel spectrograms in several forms, and MFCC
acoustic       prosody, statistics, descriptors of frames, openSMILE's functionals
phonetics      pitch, formants and intensity along time
encoders       layers of pretrained speech networks
speaker_level  a speaker's own level, estimated from a few clips
extraction     `compute` for one file, `extract` for all clips
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
