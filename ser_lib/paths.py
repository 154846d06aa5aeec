"""Every path that the package reads or writes, each with one environment variable.

`SER_DATA` holds the corpora (read only), `SER_CACHE` what can be made again, `SER_REPORTS` the
stored runs and reports, `SER_BUNDLES` trained models to predict with. Without the variables they
stand in the project's root. No other module composes a path outside these four folders; locks lie
among the temporary files.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ser_lib.errors import OutputError

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


def _user() -> str:
    """Name whoever runs this, also where the system knows no name for the number."""
    return str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()


def compile_lock_path() -> Path:
    """File that is locked while librosa's functions are compiled: one an environment and user.

    Compiled code may be kept inside the environment, whatever `SER_CACHE` says, so the lock must
    not move with `SER_CACHE` either.
    """
    environment = hashlib.sha256(f"{sys.prefix} {_user()}".encode()).hexdigest()[:12]
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


def _is_device(target: Path) -> bool:
    """Whether something is there that is neither a file nor a folder: a pipe, `/dev/stdout`."""
    return target.exists() and not target.is_file() and not target.is_dir()


def refuse_foreign(target: Path, is_ours: Callable[[str], bool]) -> None:
    """Raise where a user names a file that is there and, by its text, is not recognised as ours."""
    if target.is_dir():
        raise OutputError(f"{target}: is a directory; name a file")
    text = target.read_text(encoding="utf-8", errors="replace") if target.is_file() else ""
    if text and not is_ours(text):
        raise OutputError(
            f"{target}: exists, and is not recognised as written by ser in this form; choose "
            "another file, or delete it"
        )


@contextmanager
def only_writer(target: Path) -> Iterator[None]:
    """Keep other processes from writing a file; who comes second is told the first one's id.

    The lock lies among the temporary files and holds nobody when its process was killed.
    """
    # Imported here: whoever writes no file starts faster.
    from filelock import FileLock, Timeout

    if target.is_dir():
        raise OutputError(f"{target}: is a directory; name a file")
    if _is_device(target):
        yield
        return
    digest = hashlib.sha256(f"{target.resolve()} {_user()}".encode()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"ser-out-{digest}.lock"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        lock.acquire()
    except Timeout as error:
        holder = path.read_text() or "another"
        raise OutputError(
            f"{target}: process {holder} is writing it; wait for that, or choose another file"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise OutputError(f"{target}: cannot be written, or {path} not locked ({error})") from error
    try:
        path.write_text(str(os.getpid()))
        yield
    finally:
        lock.release()


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Give a path for what a user named: written whole or not at all, links and modes kept."""
    if _is_device(target):
        yield target
        return
    real = target.resolve()
    umask = os.umask(0)
    os.umask(umask)
    mode = real.stat().st_mode & 0o777 if real.exists() else 0o666 & ~umask
    try:
        with atomic_path(real, mode=mode) as temporary:
            yield temporary
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error})") from error


@contextmanager
def atomic_path(target: Path, *, mode: int = 0o644) -> Iterator[Path]:
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
        temporary.chmod(mode)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
