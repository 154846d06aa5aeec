"""ComParE 2016: the 6,373 functionals of openSMILE, as classical studies use them.

openSMILE is not installed with this project: its licence allows research and private use only. With
it, its own program computes the functionals; here is only what a clip passes on its way there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ser_lib.errors import FeatureError
from ser_lib.functionals import check_signal

if TYPE_CHECKING:
    import opensmile

__all__ = ["compare_functionals", "compare_shape", "has_opensmile"]

N_FUNCTIONALS = 6373
# What the longest of its windows needs, with the neighbours that changes are computed from.
SHORTEST_S = 0.3


def compare_functionals(signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Functionals of the ComParE 2016 set over the whole clip.

    Parameters
    ----------
    signal : ndarray, shape (n_samples,)
        Mono; shorter than 0.3 s it is followed by silence.
    sample_rate_hz : int
        Its rate.

    Returns
    -------
    ndarray of float32, shape (6373,)
        In openSMILE's order and units.

    Raises
    ------
    FeatureError
        If openSMILE is not installed, or the signal is empty, not mono, or not finite.

    References
    ----------
    Schuller et al. (2016), Interspeech, for the set; Eyben et al. (2010), ACM Multimedia.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    check_signal(signal)
    missing = round(SHORTEST_S * sample_rate_hz) - len(signal)
    padded = np.pad(signal, (0, max(missing, 0))).astype(np.float32)
    return _extractor().process_signal(padded, sample_rate_hz).to_numpy(np.float32)[0]


def compare_shape() -> tuple[int]:
    """Tell the shape of a clip's `compare_functionals`, with openSMILE or without."""
    return (N_FUNCTIONALS,)


def has_opensmile() -> bool:
    """Tell whether openSMILE is installed."""
    try:
        _extractor()
    except FeatureError:
        return False
    return True


@lru_cache(maxsize=1)
def _extractor() -> opensmile.Smile:
    try:
        import opensmile
    except ImportError as error:
        raise FeatureError(
            "compare_functionals needs openSMILE, which is not installed: its licence allows "
            "research and private use only. To install it: "
            '.venv/bin/python -m pip install "opensmile>=2.6"'
        ) from error
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet.ComParE_2016,
        feature_level=opensmile.FeatureLevel.Functionals,
    )
