from .acoustic import compare_functionals as compare_functionals
from .acoustic import prosody as prosody
from .acoustic import speech_descriptors as speech_descriptors
from .acoustic import speech_statistics as speech_statistics
from .acoustic import waveform_envelope as waveform_envelope
from .encoders.features import encoder_frames as encoder_frames
from .encoders.features import encoder_views as encoder_views
from .extraction import compute as compute
from .extraction import extract as extract
from .extraction import feature_shape as feature_shape
from .extraction import seconds_per_clip as seconds_per_clip
from .registry import FEATURES as FEATURES
from .registry import FeatureSpec as FeatureSpec
from .spectral import log_mel as log_mel
from .spectral import mel_chunks as mel_chunks
from .spectral import mel_frames as mel_frames
from .spectral import mel_picture as mel_picture
from .spectral import mel_square as mel_square
from .spectral import mfcc_zcr_rms as mfcc_zcr_rms

__all__ = [
    "FEATURES",
    "FeatureSpec",
    "compare_functionals",
    "compute",
    "encoder_frames",
    "encoder_views",
    "extract",
    "feature_shape",
    "log_mel",
    "mel_chunks",
    "mel_frames",
    "mel_picture",
    "mel_square",
    "mfcc_zcr_rms",
    "prosody",
    "seconds_per_clip",
    "speech_descriptors",
    "speech_statistics",
    "waveform_envelope",
]
