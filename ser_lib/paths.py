"""Every path that the package reads or writes, each with one environment variable.

`SER_DATA` holds the corpora (read only), `SER_CACHE` what can be made again, `SER_REPORTS` the
stored runs and reports, `SER_BUNDLES` trained models to predict with. Without the variables they
stand in the root of a checkout, and among the user's own folders where the package was installed.
No other module composes a path outside these four folders. A lock lies next to what is written,
while it is.
"""

from __future__ import annotations

import getpass
import glob
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ser_lib.errors import OutputError, StorageError

if TYPE_CHECKING:
    from filelock import BaseFileLock

logger = logging.getLogger(__name__)

PACKAGE_DIR = Path(__file__).resolve().parent
PROJECT_DIR = PACKAGE_DIR.parent
IS_CHECKOUT = not (PACKAGE_DIR / "notebooks").is_dir()
"""A wheel holds notebooks and bundles inside the package; in a checkout they lie beside it."""
SHIPPED_DIR = PROJECT_DIR if IS_CHECKOUT else PACKAGE_DIR
NOTEBOOKS_DIR = SHIPPED_DIR / "notebooks"


def is_address(name: str | Path) -> bool:
    """Whether a name is that of a file or folder on storage elsewhere, as s3://bucket/folder."""
    return "://" in str(name)


def place(name: str | Path) -> Path:
    """Return the path of a name; that of an address reads and writes there."""
    if not is_address(name):
        return Path(name)
    from upath import UPath

    if str(name).endswith("://"):
        raise StorageError(f"{name}: names no bucket or host; write s3://bucket/folder")
    try:
        return cast(Path, UPath(name))
    except ValueError as error:
        raise StorageError(f"{name}: {error}; known are s3://, http:// and others") from error


def _folder(variable: str, name: str) -> Path:
    """Return where a variable points, else the checkout's folder, else the user's own."""
    if value := os.environ.get(variable, "").strip():
        if is_address(value) and variable == "SER_DATA":
            return place(value)
        if is_address(value):
            raise OutputError(
                f"{variable}={value}: locks, and files that are mapped, need a folder; name one, "
                "which all machines mount where there are several"
            )
        # Unlike `Path.expanduser`, this leaves `~` as it is for a user without a home.
        return Path(os.path.expanduser(value)).resolve()
    if IS_CHECKOUT:
        return PROJECT_DIR / name
    # Imported here: a checkout has no use for it.
    from platformdirs import PlatformDirs

    own = PlatformDirs("ser-lib", appauthor=False)
    return own.user_cache_path if name == ".cache" else own.user_data_path / name


def data_dir() -> Path:
    """Folder of the real corpora, one subfolder each (`SER_DATA`, else `data/`)."""
    return _folder("SER_DATA", "data")


def cache_dir() -> Path:
    """Folder of features and clip tables that can be made again (`SER_CACHE`, else `.cache/`)."""
    return _folder("SER_CACHE", ".cache")


def encoders_dir() -> Path:
    """Folder of the pretrained encoders' weights, in the cache: they can be fetched again."""
    return cache_dir() / "encoders"


def reports_dir() -> Path:
    """Folder of all reports and stored runs (`SER_REPORTS`, else `reports/`)."""
    return _folder("SER_REPORTS", "reports")


def bundles_dir() -> Path:
    """Folder of one's own models to predict with (`SER_BUNDLES`, else `bundles/`)."""
    return _folder("SER_BUNDLES", "bundles")


def bundles_dirs() -> tuple[Path, ...]:
    """Folders of all models: that of `SER_BUNDLES` alone, else one's own and the package's."""
    own, shipped = bundles_dir(), SHIPPED_DIR / "bundles"
    is_alone = own == shipped or os.environ.get("SER_BUNDLES", "").strip()
    return (own,) if is_alone else (own, shipped)


def report_dir(corpus: str) -> Path:
    """Folder of one corpus's report, results and runs."""
    return reports_dir() / corpus


def duplicates_table_path() -> Path:
    """Return the file that counts the copies of each kind that `ser audit` finds."""
    return reports_dir() / "audit" / "fingerprint.csv"


def simulated_tests_path() -> Path:
    """Return the file with errors and power of tests, of `tools.simulate_tests`."""
    return reports_dir() / "simulation" / "tests.csv"


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


def _refusal(path: Path, error: Exception, variable: str = "") -> OutputError:
    """Say what cannot be written or locked, and what moves it elsewhere."""
    folders = {
        "SER_CACHE": cache_dir(),
        "SER_REPORTS": reports_dir(),
        "SER_DATA": data_dir(),
        "SER_BUNDLES": bundles_dir(),
    }
    found = (name for name, folder in folders.items() if path.is_relative_to(folder))
    variable = variable or next(found, "")
    remedy = (
        f"point {variable} to a folder that can be, and has room"
        if variable
        else "choose another place"
    )
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"{path}: cannot be written or locked ({reason}); {remedy}")


@contextmanager
def locked(target: Path, *, at: Path | None = None, waits: bool = True) -> Iterator[bool]:
    """Keep other processes from a file or folder; say whether one had to be waited for.

    The lock lies next to it, or `at` a place, and holds nobody when its process was killed. What
    that one left half written is deleted. Who waits, and who does not, is told the id of the other
    process.
    """
    # Imported here: whoever writes no file starts faster.
    from filelock import FileLock, Timeout

    path = at or target.with_name(f".{target.name}.lock")
    has_waited = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            has_waited, holder = True, "another process"
            with suppress(OSError, ValueError):
                holder = f"process {int(path.read_text())}"
            if not waits:
                raise OutputError(
                    f"{target}: {holder} is writing it; wait for that, or choose another place"
                ) from None
            from ser_lib.runtime import is_headless, progress

            what = f"waiting for {holder}, which is writing"
            if is_headless():
                # Kernels of a report are silent: what they print is part of it.
                level = logging.INFO if os.environ.get("SER_HEADLESS") == "1" else logging.WARNING
                logger.log(level, "%s %s", what, target)
            for _ in progress(_tries(lock), total=None, what=f"{what} {target.name}"):
                pass
    except (OSError, NotImplementedError) as error:
        raise _refusal(at or target, error, "TMPDIR" if at else "") from error
    try:
        with suppress(OSError):
            path.write_text(str(os.getpid()))
            own = f".{glob.escape(target.stem)}.ser-*{glob.escape(target.suffix)}"
            for one in target.glob(".*.ser-*") if target.is_dir() else target.parent.glob(own):
                one.unlink()
        yield has_waited
    finally:
        with suppress(OSError):
            path.unlink()
        lock.release()


def _tries(lock: BaseFileLock) -> Iterator[None]:
    """Take a lock when the other process gives it back; until then, yield twice a second."""
    from filelock import Timeout

    while not lock.is_locked:
        try:
            lock.acquire(timeout=0.5)
        except Timeout:
            yield


@contextmanager
def only_writer(target: Path | None) -> Iterator[None]:
    """Refuse what cannot be made, and keep other processes from what a user named.

    The lock lies among the temporary files: the folder is the user's.
    """
    if target is None or _is_device(target):
        yield
        return
    real, user = target.resolve(), os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        if not real.is_file():
            tempfile.TemporaryFile(dir=real.parent).close()
    except OSError as error:
        raise _refusal(target, error) from error
    digest = hashlib.sha256(f"{real} {user}".encode()).hexdigest()[:12]
    with locked(target, at=Path(tempfile.gettempdir()) / f"ser-{digest}.lock", waits=False):
        yield


def keep(target: Path, write: Callable[[Path], object]) -> Path:
    """Return a file that is written where it is not there yet, by one process for all."""
    if not target.is_file():
        with locked(target):
            if not target.is_file():
                with atomic_path(target) as temporary:
                    write(temporary)
    return target


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
    with atomic_path(real, mode=mode) as temporary:
        yield temporary


@contextmanager
def atomic_path(target: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Give a temporary path next to `target`; rename it to `target` when the block succeeds.

    A reader sees the old file or the whole new one, never a half; a block that raises leaves
    nothing behind. The folder is made, and the path has the suffix of `target`.
    """
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.stem}.ser-", suffix=target.suffix
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes private files; what lands in the tree gets the usual permissions.
        temporary.chmod(mode)
        os.replace(temporary, target)
    except OSError as error:
        raise _refusal(target, error) from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)
