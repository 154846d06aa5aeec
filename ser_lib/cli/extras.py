"""Packages that are installed on demand: which extra of `ser-lib` brings one that is not here."""

from __future__ import annotations

import re

# Modules that are called otherwise than the package that brings them.
PACKAGES = {"PIL": "pillow", "bs4": "beautifulsoup4", "yaml": "pyyaml", "zmq": "pyzmq"}
PACKAGES |= {"upath": "universal-pathlib"}


def _extras() -> dict[str, list[str]]:
    """Return the packages of each extra, the smallest extra first."""
    # Imported here and below: `ser predict` starts faster without.
    from importlib.metadata import requires

    found: dict[str, list[str]] = {}
    for line in requires("ser-lib") or ():
        package = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra == ['\"](\w+)", line)
        if package and extra:
            found.setdefault(extra[1], []).append(package[0].lower().replace("_", "-"))
    return dict(sorted(found.items(), key=lambda one: len(one[1])))


def _sentence(package: str, extra: str) -> str:
    remedy = f"pip install 'ser-lib[{extra}]'"
    return f"this needs the extra [{extra}] ({package} is not installed): {remedy}"


def require_extra(extra: str) -> None:
    """Raise ModuleNotFoundError where a package of an extra is missing, before work starts."""
    from importlib.metadata import PackageNotFoundError, distribution

    for package in _extras().get(extra, ()):
        try:
            distribution(package)
        except PackageNotFoundError:
            raise ModuleNotFoundError(_sentence(package, extra)) from None


def remedy_for(error: ModuleNotFoundError) -> str:
    """Say which extra brings a missing module; empty where none does."""
    if error.name is None:  # raised above
        return str(error)
    module = error.name.split(".")[0]
    package = PACKAGES.get(module, module).lower().replace("_", "-")
    extra = next((one for one, packages in _extras().items() if package in packages), "")
    return _sentence(package, extra) if extra else ""
