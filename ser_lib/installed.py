"""Bundles that are here: found by name or folder, and the best one whose weights are here too.

Nothing is loaded or checked; that is `ser_lib.bundles`'.
"""

from __future__ import annotations

from pathlib import Path

from ser_lib.bundle_checks import SUMS, read_json
from ser_lib.errors import BundleError
from ser_lib.paths import bundles_dir

__all__ = ["better_bundle", "default_bundle", "find_bundle", "installed_bundles"]

# Best first; the first whose weights are all here is taken where no bundle is named.
DEFAULT_BUNDLES = ("moonshine-ravdess", "cnn-ravdess")


def find_bundle(name: str | Path) -> Path:
    """Return the folder of a bundle that is given by folder or by name.

    Raises
    ------
    BundleError
        If there is none.
    """
    for folder in (Path(name), bundles_dir() / name):
        if (folder / "bundle.json").is_file() or (folder / SUMS).is_file():
            return folder
    known = ", ".join(one.name for one in installed_bundles()) or "none"
    raise BundleError(f"{str(name)!r} is no bundle; installed are: {known}. `ser train` makes one")


def installed_bundles() -> list[Path]:
    """Return the folders under `bundles/` that hold a bundle, by name."""
    root = bundles_dir()
    return sorted(one.parent for one in root.glob(f"*/{SUMS}")) if root.is_dir() else []


def default_bundle() -> Path:
    """Return the best installed bundle whose weights are all here.

    Raises
    ------
    BundleError
        If none is.
    """
    installed = {one.name: one for one in installed_bundles()}
    for name in DEFAULT_BUNDLES:
        if name in installed and _has_weights(installed[name]):
            return installed[name]
    raise BundleError("no bundle is installed; make one with `ser train`, or give --bundle")


def better_bundle() -> tuple[str, str]:
    """Name the best installed bundle and the encoder that it lacks; empty where it lacks none."""
    installed = {one.name: one for one in installed_bundles()}
    name = next((one for one in DEFAULT_BUNDLES if one in installed), "")
    if not name or _has_weights(installed[name]):
        return "", ""
    return name, _encoder_of(installed[name])


def _encoder_of(folder: Path) -> str:
    """Name the encoder that a bundle does not hold itself; empty where it needs none."""
    raw = (folder / "bundle.json").read_bytes()
    needed = read_json(raw, what=f"{folder}/bundle.json").get("encoder") or {}
    return str(needed.get("name", ""))


def _has_weights(folder: Path) -> bool:
    """Tell whether what a bundle does not hold itself is here."""
    needed = _encoder_of(folder)
    if not needed:
        return True
    from ser_lib.encoders import ENCODERS

    encoder = ENCODERS.get(needed)
    return encoder is not None and encoder.file.is_file()
