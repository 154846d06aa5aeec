"""Lossy codecs: a signal encoded and decoded again, in memory.

Together with `ser_lib.audio` the only caller of soundfile; what a codec does to a score is measured
in `ser_lib.robustness`.
"""

from __future__ import annotations

import io

import numpy as np
import soundfile

from ser_lib.audio import crop_or_pad
from ser_lib.errors import AudioError

__all__ = ["CODECS", "through_codec"]

# libsndfile's names of format and coding, and the bit rates in kbit/s at its compression levels 1
# and 0, for mono at 16 to 24 kHz.
CODECS = {
    "mp3": ("MP3", "MPEG_LAYER_III", 8.0, 160.0),
    "opus": ("OGG", "OPUS", 6.0, 256.0),
}


def through_codec(
    signal: np.ndarray, sample_rate_hz: int, *, codec: str, bitrate_kbps: float
) -> tuple[np.ndarray, float]:
    """Encode a mono signal with a lossy codec in memory, and decode it again.

    Parameters
    ----------
    signal : ndarray of float32, shape (n_samples,)
        Mono, in [-1, 1].
    sample_rate_hz : int
        16,000 or 24,000, which both codecs take.
    codec : str
        "mp3" or "opus".
    bitrate_kbps : float
        Asked for, in kbit/s.

    Returns
    -------
    signal : ndarray of float32, shape (n_samples,)
        A codec's delay, where it has one, is left in.
    bitrate_kbps : float
        Of the encoded file, its header included.

    Raises
    ------
    AudioError
        If codec, rate or bit rate are not among these.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    if codec not in CODECS or sample_rate_hz not in (16_000, 24_000):
        raise AudioError(
            f"codec '{codec}' at {sample_rate_hz} Hz: known are {', '.join(CODECS)}, at 16000 or "
            "24000 Hz; resample first"
        )
    container, coding, lowest, highest = CODECS[codec]
    level = (highest - bitrate_kbps) / (highest - lowest)
    if not 0 <= level < 1:
        raise AudioError(
            f"{codec}: {bitrate_kbps} kbit/s is not above {lowest:.0f} and up to {highest:.0f}"
        )
    file = io.BytesIO()
    mode = {"bitrate_mode": "CONSTANT"} if codec == "mp3" else {}
    soundfile.write(
        *(file, signal, sample_rate_hz),
        **{"format": container, "subtype": coding, "compression_level": level, **mode},
    )
    n_bits = 8 * file.tell()
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return crop_or_pad(decoded, len(signal)), n_bits / (1000 * len(signal) / sample_rate_hz)
