"""The API reference, from the docstrings of what the packages' fronts offer: `make docs`.

pdoc writes one page a package into `docs/api/`, without network. It shows what it finds in a
module, so names that load lazily are loaded first, and each front lists the packages below it.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from pathlib import Path

import pdoc

from ser_lib.models.layers import load_keras
from ser_lib.paths import PROJECT_DIR

API_DIR = PROJECT_DIR / "docs" / "api"


def show_front(name: str) -> None:
    """Make a package and all packages in it say what pdoc shall show of them."""
    package = importlib.import_module(name)
    public = list(getattr(package, "__all__", ()))
    for one in public:
        vars(package)[one] = getattr(package, one)
    inside = [one.name for one in pkgutil.iter_modules(package.__path__) if one.ispkg]
    for one in inside:
        show_front(f"{name}.{one}")
    package.__all__ = [*public, *inside]


def build(folder: Path) -> None:
    """Write the pages and their index; a name that cannot be shown is an error."""
    # pdoc imports what types name; this keeps TensorFlow's first words off the screen.
    load_keras()
    show_front("ser_lib")
    pdoc.render.configure(docformat="numpy")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="pdoc")
        pdoc.pdoc("ser_lib", output_directory=folder)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else API_DIR
    build(target)
    print(target / "index.html")
