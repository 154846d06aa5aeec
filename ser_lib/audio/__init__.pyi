from .augmentation import AUGMENTATIONS as AUGMENTATIONS
from .augmentation import augment as augment
from .corruptions import Condition as Condition
from .corruptions import corrupt as corrupt
from .io import load_signal as load_signal
from .io import read_facts as read_facts
from .signal import crop_or_pad as crop_or_pad
from .signal import resample as resample
from .voice_activity import inspect_voice as inspect_voice
from .voice_activity import speech_frames as speech_frames

__all__ = [
    "AUGMENTATIONS",
    "Condition",
    "augment",
    "corrupt",
    "crop_or_pad",
    "inspect_voice",
    "load_signal",
    "read_facts",
    "resample",
    "speech_frames",
]
