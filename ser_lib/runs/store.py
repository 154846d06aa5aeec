"""Stored results: the files of runs, and other results that are kept by what decides them.

A run's folder holds `spec.json`, `predictions.csv`, `history.csv` and `environment.json`; while
it is trained, `folds/` holds one file a finished fold, and one that says how far the next one is.
All are written by rename.
`predictions.csv` comes last: where it is, the run is complete. Which run it is, its spec says.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser_lib.errors import RunError
from ser_lib.paths import IS_CHECKOUT, PROJECT_DIR, atomic_path, keep, reports_dir, runs_dir
from ser_lib.shown import short
from ser_lib.training.checkpoint import left_s
from ser_lib.training.fit import FitResult

# Libraries that decide a result; recorded with each run and shown in the report.
RECORDED_LIBRARIES = (
    *("numpy", "scipy", "librosa", "soxr", "soundfile"),
    *("scikit-learn", "keras", "tensorflow"),
)

# Parts of a spec that follow from the others by the code: known once the network has been built.
BUILT_PARTS = ("input_shape", "topology_sha256")

UNFINISHED_COLUMNS = (
    *("training", "epochs", "max_epochs"),
    *("hours", "core_hours", "core_hours_left", "command"),
)

# What this process has read of stored results, relative to the folder of all reports.
READ: set[str] = set()


@short
@dataclass(frozen=True)
class Run:
    """A stored run."""

    spec: dict[str, Any]
    predictions: pd.DataFrame
    """`clip_id, fold, truth, prediction, p_<label>...`, one row a test row; a variant's id is
    its clip's, a hash sign, and the variant's name."""
    history: pd.DataFrame
    """`fold` and the columns of `ser_lib.training.fit.FitResult.history`."""
    environment: dict[str, Any]
    folder: Path

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the probability columns."""
        return tuple(self.spec["labels"])


def missing_folds(folder: Path, n_folds: int) -> list[int]:
    """Return the numbers of the folds that are not stored yet."""
    return [number for number in range(n_folds) if not _fold_file(folder, number).is_file()]


def _fold_file(folder: Path, number: int) -> Path:
    return folder / "folds" / f"{number:02d}.json"


def record_file(folder: Path, number: int) -> Path:
    """Return the file that says how far the training of a fold is."""
    return folder / "folds" / f"{number:02d}.progress.json"


def unfinished_runs(corpus: str, study: str) -> pd.DataFrame:
    """Read how far each training of a study is that was stopped, or goes on elsewhere.

    Columns are `UNFINISHED_COLUMNS`: hours are those of the run's finished folds and of this one,
    core hours the processor time of this one; those left, with folds that have not begun, are the
    most there can be. `command` goes on with the run.
    """
    rows = []
    for path in sorted(runs_dir(corpus).glob(f"{study}-*/folds/*.progress.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        done = set(path.parent.glob("*.json")) - set(path.parent.glob("*.progress.json"))
        before = (json.loads(one.read_text(encoding="utf-8"))["duration_s"] for one in done)
        hours = (record["spent_s"] + sum(before)) / 3600
        core_hours = (record["core_s"] / 3600, left_s(record, of="core_s") / 3600)
        told = zip(UNFINISHED_COLUMNS[3:6], (hours, *core_hours), strict=True)
        rows.append({**record, "training": record["name"], **dict(told)})
        note_read(path)
    return pd.DataFrame(rows, columns=list(UNFINISHED_COLUMNS))


def store_fold(
    folder: Path, number: int, test: pd.Series, labels: Sequence[str], result: FitResult
) -> None:
    """Write one fold as one file, whose presence says that the fold is done.

    `test` holds the true classes of the test rows, indexed by row id.
    """
    record = {
        "clip_id": list(test.index),
        "truth": list(test),
        "prediction": [labels[index] for index in result.probabilities.argmax(axis=1)],
        "probabilities": np.round(result.probabilities, 4).tolist(),
        "history": result.history.to_dict(orient="records"),
        "n_parameters": result.n_parameters,
        "duration_s": round(result.duration_s, 1),
    }
    with atomic_path(_fold_file(folder, number)) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")


def finish_run(folder: Path, spec: dict[str, Any], labels: Sequence[str], n_folds: int) -> None:
    """Merge all folds into the run's four files; predictions come last and mark it complete."""
    folds = [
        json.loads(_fold_file(folder, number).read_text(encoding="utf-8"))
        for number in range(n_folds)
    ]
    predictions, history = [], []
    for number, fold in enumerate(folds):
        table = pd.DataFrame({"clip_id": fold["clip_id"], "fold": number})
        table["truth"], table["prediction"] = fold["truth"], fold["prediction"]
        names = [f"p_{label}" for label in labels]
        table[names] = np.array(fold["probabilities"]).reshape(len(table), len(names))
        predictions.append(table)
        history.append(pd.DataFrame(fold["history"]).assign(fold=number))
    environment = provenance() | {
        "n_parameters": folds[0]["n_parameters"],
        "duration_s": [fold["duration_s"] for fold in folds],
    }
    write_json(folder / "spec.json", spec, indent=1)
    write_json(folder / "environment.json", environment, indent=1)
    for name, tables in (("history", history), ("predictions", predictions)):
        with atomic_path(folder / f"{name}.csv") as temporary:
            table = pd.concat(tables)
            # Four decimals would leave nothing of a small rate.
            rates = [name for name in table if name == "learning_rate"]
            table[rates] = table[rates].map("{:.4g}".format)
            table.to_csv(temporary, index=False, float_format="%.4f")
    # A reader that sees the run complete deletes them as well.
    shutil.rmtree(folder / "folds", ignore_errors=True)


def read_run(folder: Path) -> Run:
    """Read a complete run.

    Raises
    ------
    RunError
        If a file is missing or cannot be parsed.
    """
    try:
        spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
        environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
        predictions = pd.read_csv(folder / "predictions.csv", keep_default_na=False)
        history = pd.read_csv(folder / "history.csv")
    except (OSError, ValueError) as error:
        raise RunError(
            f"{folder}: this stored run is damaged ({error}); delete the folder or set FRESH=1"
        ) from error
    note_read(folder / "predictions.csv")
    return Run(spec, predictions, history, environment, folder)


def note_read(path: Path) -> None:
    """Remember what was read below the folder of all reports, for `READ`."""
    if path.is_relative_to(reports_dir()):
        READ.add(path.relative_to(reports_dir()).as_posix())


def read_spec(folder: Path) -> dict[str, Any] | None:
    """Read a run's spec; None where it is missing, unreadable, or not that of the folder's name."""
    try:
        spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_own = isinstance(spec, dict) and folder.name.endswith(f"-{key_of(spec)}")
    return spec if is_own else None


def settings_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a spec to its settings, `training.max_epochs` for example; hashes are left out."""
    found: dict[str, Any] = {}
    for name, value in spec.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": one for key, one in settings_of(value).items()}
        elif not name.endswith("_sha256") and name not in BUILT_PARTS:
            found[name] = value
    return found


def differences(specs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return of each spec the settings that not all of them have; None: it has no such setting."""
    flat = [settings_of(one) for one in specs]
    names = list(dict.fromkeys(name for one in flat for name in one))
    told = [name for name in names if any(one.get(name) != flat[0].get(name) for one in flat)]
    return [{name: one.get(name) for name in told} for one in flat]


def settings_text(settings: Mapping[str, Any]) -> str:
    """Write settings as one types them: `max_epochs = 8, n_mels = 16`."""
    return ", ".join(f"{name.rsplit('.', 1)[-1]} = {one!r}" for name, one in settings.items())


def folders_like(folders: Iterable[Path], identity: Mapping[str, Any]) -> list[Path]:
    """Find the folders whose spec is this identity, whatever was built from it."""
    specs = {folder: read_spec(folder) or {} for folder in folders}
    return [
        folder
        for folder, spec in specs.items()
        if {key: value for key, value in spec.items() if key not in BUILT_PARTS} == identity
    ]


def provenance() -> dict[str, Any]:
    """Return version, commit, libraries and machine (without its name) as plain data."""
    commit = _git("rev-parse", "--short=12", "HEAD") or "unknown"
    is_dirty = bool(_git("status", "--porcelain", "--", "ser_lib", "requirements.lock"))
    return {
        "ser_lib": version("ser-lib"),
        "commit": commit + (" with changes" if is_dirty else ""),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "keras_backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "libraries": {name: version(name) for name in RECORDED_LIBRARIES},
        "date": datetime.now(UTC).date().isoformat(),
    }


def _git(*arguments: str) -> str:
    """Ask git about the project; nothing where there is no git or no checkout."""
    if not IS_CHECKOUT:  # the environment may lie in somebody else's repository
        return ""
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def key_of(identity: object) -> str:
    """Hash plain data that decides a result to 12 hex digits; text is hashed as it is."""
    text = identity if isinstance(identity, str) else json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def cached_result(
    folder: Path,
    identity: object,
    compute: Callable[[], Any],
    *,
    name: str = "",
    suffix: str = ".json",
) -> Any:
    """Read a result that is kept by what decides it, or compute and keep it.

    Parameters
    ----------
    folder : Path
        Below `report_dir(corpus)` what is committed, below `cache_dir()` what can be made again.
    identity : object
        All that decides the result, as plain data, or as JSON text, which is hashed as it is.
    compute : callable
        Gives the result where none is kept; it may raise `RunError` (`require_audio`).
    name, suffix : str
        The file's name begins and ends so: ".json" for plain data, ".npz" for a dict of arrays.

    Returns
    -------
    object
        As read from the file, whether or not it was there.
    """
    target = folder / f"{name}{'-' if name else ''}{key_of(identity)}{suffix}"
    note_read(target)
    if suffix == ".json":
        keep(target, lambda path: write_json(path, compute()))
        return json.loads(target.read_text(encoding="utf-8"))
    with np.load(keep(target, lambda path: np.savez_compressed(path, **compute()))) as stored:
        return dict(stored)


def write_json(path: Path, content: object, *, indent: int | None = None) -> None:
    """Write plain data by rename, keys sorted."""
    with atomic_path(path) as temporary:
        text = json.dumps(content, indent=indent, sort_keys=True) + "\n"
        temporary.write_text(text, encoding="utf-8")


def require_audio(clips: pd.DataFrame, what: str) -> None:
    """Raise `RunError` where something must be computed and the clips have no audio here."""
    if not clips["path"].all():
        corpora = ", ".join(dict.fromkeys(clips["corpus"]))
        raise RunError(
            f"{what}, and the audio of {corpora} is not here; point SER_DATA at the corpora"
        )
