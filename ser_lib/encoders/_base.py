"""What an encoder is: a file of weights in ONNX form, who made it, and which tensors are read.

The weights of registered encoders are pinned by their hash; any other ONNX file becomes an
`Encoder` by `encoder_from_file`. Nothing is fetched or run here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ser_lib.errors import EncoderError
from ser_lib.paths import encoders_dir

__all__ = ["ENCODERS", "Encoder", "Package", "encoder_from_file", "file_sha256", "get_encoder"]


@dataclass(frozen=True)
class Package:
    """Where a file of weights is published: a member of a pinned package on npm."""

    name: str
    version: str
    member: str
    """Path of the file inside the package's archive."""

    @property
    def pinned(self) -> str:
        """Name and version as npm takes them."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Encoder:
    """A pretrained network that turns a waveform into one vector a frame, layer by layer."""

    name: str
    title: str
    sha256: str
    """Of the file of weights."""
    n_bytes: int
    outputs: tuple[str, ...]
    """Nodes whose first output is read, lowest layer first; or names of tensors."""
    n_values: int
    """Length of a frame's vector."""
    sample_rate_hz: int = 16_000
    input_name: str = "input_values"
    min_samples: int = 1
    """Shorter signals do not fill one frame."""
    hop_samples: int = 1
    """Samples from frame to frame; 1 where it is not known."""
    licence: str = "not stated"
    origin: str = ""
    citation: str = ""
    package: Package | None = None
    path: Path | None = None
    """Of a file that is no registered encoder's."""

    @property
    def file(self) -> Path:
        """Where the weights are, or will be."""
        return self.path or encoders_dir() / f"{self.name}-{self.sha256[:12]}.onnx"

    @property
    def n_layers(self) -> int:
        """Number of tensors that are read."""
        return len(self.outputs)

    def facts(self) -> dict[str, object]:
        """Return origin, licence and hash as plain data, for model cards."""
        return {
            "name": self.name,
            "title": self.title,
            "sha256": self.sha256,
            "n_bytes": self.n_bytes,
            "sample_rate_hz": self.sample_rate_hz,
            "licence": self.licence,
            "origin": self.origin,
            "citation": self.citation,
            "package": self.package.pinned if self.package else None,
        }


def _moonshine(size: str, *, n_blocks: int, n_values: int, n_bytes: int, sha256: str) -> Encoder:
    return Encoder(
        name=f"moonshine-{size}",
        title=f"Moonshine {size}, encoder, 8-bit weights",
        sha256=sha256,
        n_bytes=n_bytes,
        # The front end of convolutions, then each block of attention.
        outputs=("/Transpose", *(f"/layers.{number}/Add_1" for number in range(n_blocks))),
        n_values=n_values,
        # Three convolutions: kernels 127, 7, 3 and strides 64, 3, 2.
        min_samples=127 + 64 * (7 - 1 + 3 * (3 - 1)),
        hop_samples=64 * 3 * 2,
        licence="MIT",
        origin="Useful Sensors, npm package @usefulsensors/moonshine-js",
        citation=(
            "Jeffries N, King E, Kudlur M, Nicholson G, Wang J, Warden P (2024). Moonshine: speech "
            "recognition for live transcription and voice commands. arXiv:2410.15608."
        ),
        package=Package(
            "@usefulsensors/moonshine-js",
            "0.1.14",
            f"package/dist/model/{size}/quantized/encoder_model.onnx",
        ),
    )


ENCODERS: dict[str, Encoder] = {
    one.name: one
    for one in (
        _moonshine(
            "base",
            n_blocks=8,
            n_values=416,
            n_bytes=20_513_063,
            sha256="1dd9ab0a7f987113d30affcba5a068d11c8f90fa0223caa3e491ade431ad9751",
        ),
        _moonshine(
            "tiny",
            n_blocks=6,
            n_values=288,
            n_bytes=7_937_661,
            sha256="c6fc4b7bc5af75c0591fd157a1f3829b533d18e9769a888fd95a62e470dd4f4a",
        ),
    )
}


def get_encoder(name: str) -> Encoder:
    """Return a registered encoder.

    Raises
    ------
    EncoderError
        If there is none of that name.
    """
    if name not in ENCODERS:
        raise EncoderError(f"unknown encoder '{name}'; known are {', '.join(ENCODERS)}")
    return ENCODERS[name]


def encoder_from_file(
    path: str | Path,
    *,
    outputs: Sequence[str],
    n_values: int,
    sample_rate_hz: int = 16_000,
    input_name: str = "input_values",
    min_samples: int = 1,
) -> Encoder:
    """Describe any other ONNX encoder that takes a waveform.

    Parameters
    ----------
    path : str or Path
        The file.
    outputs : sequence of str
        Names of nodes, whose first output is read, or of tensors of shape (1, n_frames, n_values).
    n_values : int
        Length of a frame's vector.
    sample_rate_hz : int
        Rate of the waveform that it was trained on.
    input_name : str
        Its input, of shape (1, n_samples).
    min_samples : int
        The shortest signal that fills a frame.

    Returns
    -------
    Encoder
        Named after the file; its hash is that of the file now.

    Raises
    ------
    EncoderError
        If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise EncoderError(f"{path}: no such file; give the path of an encoder in ONNX form")
    return Encoder(
        name=path.stem,
        title=path.name,
        sha256=file_sha256(path),
        n_bytes=path.stat().st_size,
        outputs=tuple(outputs),
        n_values=n_values,
        sample_rate_hz=sample_rate_hz,
        input_name=input_name,
        min_samples=min_samples,
        path=path,
    )


def file_sha256(path: Path) -> str:
    """Return the hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
