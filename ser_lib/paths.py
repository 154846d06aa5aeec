"""Every path that the package reads or writes, each with one environment variable.

`SER_DATA` holds the corpora (read only), `SER_CACHE` what can be made again, `SER_REPORTS` the
stored runs and reports, `SER_BUNDLES` trained models to predict with. Without the variables they
stand in the project's root. No other module composes a path outside these four folders, except
for one lock among the temporary files.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent.parent
NOTEBOOKS_DIR = PROJECT_DIR / "notebooks"


def _from_environment(variable: str, default: Path) -> Path:
    value = os.environ.get(variable, "").strip()
    return Path(value).expanduser().resolve() if value else default


def data_dir() -> Path:
    """Folder of the real corpora, one subfolder each (`SER_DATA`, else `data/`)."""
    return _from_environment("SER_DATA", PROJECT_DIR / "data")


def cache_dir() -> Path:
    """Folder of features and clip tables that can be made again (`SER_CACHE`, else `.cache/`)."""
    return _from_environment("SER_CACHE", PROJECT_DIR / ".cache")


def compile_lock_path() -> Path:
    """File that is locked while librosa's functions are compiled: one an environment and user.

    Compiled code may be kept inside the environment, whatever `SER_CACHE` says, so the lock must
    not move with `SER_CACHE` either.
    """
    environment = hashlib.sha256(f"{sys.prefix} {getpass.getuser()}".encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"ser-compile-{environment}.lock"


def encoders_dir() -> Path:
    """Folder of the pretrained encoders' weights, in the cache: they can be fetched again."""
    return cache_dir() / "encoders"


def reports_dir() -> Path:
    """Folder of all reports and stored runs (`SER_REPORTS`, else `reports/`)."""
    return _from_environment("SER_REPORTS", PROJECT_DIR / "reports")


def bundles_dir() -> Path:
    """Folder of the models to predict with (`SER_BUNDLES`, else `bundles/`)."""
    return _from_environment("SER_BUNDLES", PROJECT_DIR / "bundles")


def report_dir(corpus: str) -> Path:
    """Folder of one corpus's report, results and runs."""
    return reports_dir() / corpus


def duplicates_table_path() -> Path:
    """Return the file that counts the copies of each kind that `ser audit` finds."""
    return reports_dir() / "audit" / "fingerprint.csv"


def runs_dir(corpus: str) -> Path:
    """Folder of one corpus's stored runs."""
    return report_dir(corpus) / "runs"


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path next to `target`; rename it to `target` when the block succeeds.

    A reader sees the old file or the whole new one, never a half; a block that raises leaves
    nothing behind. The folder is made, and the path has the suffix of `target`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; what lands in the tree gets the usual permissions.
        temporary.chmod(0o644)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
