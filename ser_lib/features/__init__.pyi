from .acoustic import prosody as prosody
from .acoustic import speech_statistics as speech_statistics
from .extraction import compute as compute
from .extraction import extract as extract
from .registry import FEATURES as FEATURES
from .registry import FeatureSpec as FeatureSpec
from .spectral import log_mel as log_mel
from .spectral import mfcc_zcr_rms as mfcc_zcr_rms
