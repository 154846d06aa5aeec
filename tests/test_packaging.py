"""The wheel alone: what is in it, that it works beside no checkout, that it needs no extra."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from ser_lib.data.demo import CLIPS_DIR
from ser_lib.paths import PROJECT_DIR

needs_builder = pytest.mark.skipif(
    find_spec("hatchling") is None and "CI" not in os.environ,
    reason="NOT CHECKED: hatchling is not in this environment; make installs it",
)

# None of these may be loaded by what the core does.
HEAVY = (
    *("librosa", "numba", "tensorflow", "keras", "optuna", "statsmodels", "tf2onnx"),
    *("matplotlib", "seaborn", "PIL"),
    *("IPython", "ipykernel", "ipywidgets", "papermill", "nbconvert", "nbformat", "jinja2"),
    *("gradio", "starlette"),
)

# As `ser`, in an environment that has nothing of `HEAVY`.
CORE = f"""
import sys

class Nothing:
    def find_spec(name, *_):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Nothing)
from ser_lib.cli.main import main
main()
"""


def build(folder: Path, kind: str) -> Path:
    """Build a wheel or sdist of the working tree, as `make dist` does of the last commit."""
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    builder = WheelBuilder if kind == "wheel" else SdistBuilder
    return Path(next(builder(str(PROJECT_DIR)).build(directory=str(folder), versions=["standard"])))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory) -> Path:
    """The folder that an installation would make of it."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def ser(unpacked, tmp_path):
    """Return a function that calls `ser` from the wheel: nobody's variables, an empty home."""

    def call(*arguments: object, python: str = sys.executable, **variables: str):
        own = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), **variables}
        return subprocess.run(
            [python, "-c", CORE, *map(str, arguments)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(unpacked), **own},
            capture_output=True,
            text=True,
        )

    return call


@needs_builder
def test_the_wheel_holds_what_git_holds_of_the_package_its_notebooks_and_bundles(wheel):
    folders = ("ser_lib", "notebooks", "bundles")
    listed = subprocess.run(
        ["git", "ls-files", *folders], cwd=PROJECT_DIR, capture_output=True, text=True, check=True
    )
    expected = {one if one[:7] == "ser_lib" else f"ser_lib/{one}" for one in listed.stdout.split()}
    with zipfile.ZipFile(wheel) as archive:
        names = {one for one in archive.namelist() if ".dist-info/" not in one}
    new = {one for one in names - expected if not one.startswith("ser_lib/")}
    assert (expected - names, new) == (set(), set())
    assert not [one for one in names if "__pycache__" in one or "/mine/" in one]


@needs_builder
@pytest.mark.minutes
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_the_same_files_make_the_same_bytes(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first, second = (build(tmp_path / name, kind).read_bytes() for name in ("a", "b"))
    assert first == second
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    assert build(tmp_path / "c", kind).read_bytes() != first


@needs_builder
def test_the_wheel_predicts_without_an_extra_and_keeps_to_the_users_folders(
    ser, unpacked, tmp_path
):
    before = {one for one in unpacked.rglob("*") if "__pycache__" not in one.parts}
    clips = sorted(CLIPS_DIR.rglob("*.opus"))[:2]
    said = ser("predict", *clips, "--format", "csv", PYTHONDONTWRITEBYTECODE="1")
    assert said.returncode == 0, said.stderr
    assert len(said.stdout.splitlines()) == 3
    # The small network answers, and the better one is named with its encoder.
    assert "ser data moonshine-base" in said.stderr
    assert {one for one in unpacked.rglob("*") if "__pycache__" not in one.parts} == before
    assert {one.name for one in tmp_path.iterdir()} <= {"home"}


@needs_builder
def test_the_wheel_audits_and_lists_corpora_without_an_extra(ser, tmp_path):
    folder = tmp_path / "clips" / "train" / "angry"
    folder.mkdir(parents=True)
    for clip in sorted(CLIPS_DIR.rglob("*.opus"))[:3]:
        shutil.copy(clip, folder)
    audited = ser("audit", tmp_path / "clips")
    assert audited.returncode == 0, audited.stderr
    # What cannot be downloaded: told how to get it, and where it belongs.
    told = ser("data", "savee")
    assert told.returncode == 1
    assert str(tmp_path / "home") in told.stdout


@needs_builder
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("report",), "report"),
        (("predict", "x.wav", "--timeline", "--plot", "x.png"), "plot"),
    ],
)
def test_the_wheel_names_the_extra_of_a_command(ser, arguments, extra):
    said = ser(*arguments)
    assert said.returncode == 2
    assert f"ser-lib[{extra}]" in said.stderr
    assert "Traceback" not in said.stderr


@needs_builder
@pytest.mark.minutes
def test_a_release_installs_into_an_empty_environment_and_works_there(tmp_path):
    """As a user does it: built, checked, installed without an extra, called by name."""
    dist = tmp_path / "dist"
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, PROJECT_DIR]
    subprocess.run(command, check=True, capture_output=True)
    files = sorted(dist.iterdir())
    assert len(files) == 2
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True)
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    (wheel,) = dist.glob("*.whl")
    subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", wheel], check=True)

    def ser(*arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [programs / "ser", *map(str, arguments)],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
        )

    assert ser("predict", CLIPS_DIR).returncode == 0
    assert ser("audit", "demo").returncode == 0
    assert ser("data").returncode == 0
    for arguments, extra in (
        (("run", "fpt2025"), "train"),
        (("report",), "report"),
        (("app",), "app"),
    ):
        said = ser(*arguments)
        assert said.returncode == 2
        assert f"ser-lib[{extra}]" in said.stderr
