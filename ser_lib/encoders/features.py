"""The encoder as a feature: a pure function of a signal, with parameters that a cache can name.

Lists are written as words with commas, because a `FeatureSpec` holds words and numbers. The hash of
the weights is a parameter: other weights are another feature.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ser_lib.encoders._base import ENCODERS, Encoder, encoder_from_file
from ser_lib.encoders.graph import session_of
from ser_lib.encoders.pooling import STATISTICS, pooled_views
from ser_lib.errors import EncoderError

__all__ = ["checked_encoder", "encoder_shape", "encoder_views", "lowest_layers"]


def encoder_views(
    signal: np.ndarray,
    sample_rate_hz: int,
    *,
    encoder: str,
    sha256: str,
    statistics: str = "mean,spread",
    speeds: str = "1",
    n_layers: int = 0,
    outputs: str = "",
    n_values: int = 0,
    input_name: str = "input_values",
) -> np.ndarray:
    """Statistics over time of every layer of a pretrained encoder, at one speed or several.

    Parameters
    ----------
    signal : ndarray of float32, shape (n_samples,)
        Mono.
    sample_rate_hz : int
        The encoder's rate.
    encoder : str
        A key of `ENCODERS`, or the path of another ONNX file.
    sha256 : str
        Of the weights.
    statistics : str
        Keys of `STATISTICS`, with commas.
    speeds : str
        Numbers with commas; 1 is the signal as it is.
    n_layers : int
        So many layers, lowest first; those above are not computed. 0 takes all.
    outputs : str
        Of another file: names of nodes or tensors, with commas.
    n_values : int
        Of another file: length of a frame's vector.
    input_name : str
        Of another file: its input.

    Returns
    -------
    ndarray of float16, shape (n_speeds, n_layers, n_statistics, n_values)
        Half precision: a thousandth of a value, far below what 8-bit weights leave of it.

    Raises
    ------
    EncoderError
        If the weights are missing, damaged or others than said; if the rate is not the encoder's;
        if the signal is shorter than a frame.

    References
    ----------
    Jeffries et al. (2024), arXiv:2410.15608, for Moonshine.

    Notes
    -----
    Notebook: 07_transfer.ipynb
    """
    chosen = _chosen(encoder, outputs, n_values, input_name, sample_rate_hz)
    chosen = checked_encoder(chosen, sha256, sample_rate_hz)
    if n_layers:
        chosen = lowest_layers(chosen, n_layers)
    views = pooled_views(
        signal,
        encoder=chosen,
        session=session_of(chosen),
        statistics=_words(statistics),
        speeds=[float(one) for one in speeds.split(",")],
    )
    return views.astype(np.float16)


def encoder_shape(
    *,
    encoder: str,
    sha256: str,
    statistics: str = "mean,spread",
    speeds: str = "1",
    n_layers: int = 0,
    outputs: str = "",
    n_values: int = 0,
    input_name: str = "input_values",
) -> tuple[int, ...]:
    """Tell the shape of `encoder_views` from its parameters, without the weights."""
    known = ENCODERS.get(encoder)
    n_layers = n_layers or (known.n_layers if known else len(outputs.split(",")))
    width = known.n_values if known else n_values
    return len(speeds.split(",")), n_layers, len(_words(statistics)), width


def _words(statistics: str) -> list[str]:
    names = statistics.split(",")
    unknown = sorted(set(names) - set(STATISTICS))
    if unknown:
        raise EncoderError(f"unknown statistics {unknown}; known are {', '.join(STATISTICS)}")
    return names


def _chosen(
    encoder: str, outputs: str, n_values: int, input_name: str, sample_rate_hz: int
) -> Encoder:
    if encoder in ENCODERS:
        return ENCODERS[encoder]
    if not outputs or n_values < 1:
        raise EncoderError(
            f"'{encoder}' is none of {', '.join(ENCODERS)}; another file needs outputs and n_values"
        )
    return encoder_from_file(
        encoder,
        outputs=outputs.split(","),
        n_values=n_values,
        sample_rate_hz=sample_rate_hz,
        input_name=input_name,
    )


def checked_encoder(encoder: Encoder, sha256: str, sample_rate_hz: int) -> Encoder:
    """Return the encoder if it is the one that a feature was made for; raise EncoderError else."""
    if encoder.sha256 != sha256:
        raise EncoderError(
            f"{encoder.name}: the weights have the sha256 {encoder.sha256[:12]}…, the feature was "
            f"made for {sha256[:12]}…; they are of another version"
        )
    if sample_rate_hz != encoder.sample_rate_hz:
        raise EncoderError(
            f"{encoder.name} was trained on {encoder.sample_rate_hz} Hz, the signal has "
            f"{sample_rate_hz} Hz; give the FeatureSpec the encoder's sample_rate_hz"
        )
    return encoder


def lowest_layers(encoder: Encoder, n_layers: int) -> Encoder:
    """Return the encoder without its upper layers; what is not asked for is cut off its graph."""
    if not 0 < n_layers <= encoder.n_layers:
        raise EncoderError(
            f"{encoder.name} has {encoder.n_layers} layers to read; n_layers={n_layers} is not "
            f"between 1 and {encoder.n_layers}"
        )
    return replace(encoder, outputs=encoder.outputs[:n_layers])
