"""Nothing leaves this machine, and nothing is left in the user's home: every entry point.

Each runs with an empty HOME and without `CI`, which makes some libraries behave better than they do
for users. `strace` watches whom the processes try to reach.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import ser_lib

# What makes libraries quieter than they are for users, and what a user has not set.
HIDING = {"CI", "DO_NOT_TRACK", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", *ser_lib._QUIET}
SER = str(Path(sys.executable).with_name("ser"))
PREDICT = (
    "import ser_lib, sys; predictor = ser_lib.Predictor.load('cnn-ravdess'); "
    "assert predictor.predict_file(sys.argv[1])"
)
# Figures, and Keras under a user's own settings, which change nothing.
LIBRARIES = (
    "import ser_lib.report.notebook; "
    "from ser_lib.models.layers import load_keras; c = load_keras(); "
    "told = c.backend.backend(), c.config.floatx(), c.config.image_data_format(); "
    "assert told == ('tensorflow', 'float32', 'channels_last'), told"
)
# Two notebooks, so that their kernels are forked, which start workers.
REPORT = """
import pathlib, sys
from nbformat import v4, write
from ser_lib.report.build import build_report
cell = "from ser_lib import data; from ser_lib.features.extraction import extract; "
cell += "from ser_lib.features.registry import FeatureSpec as Spec; "
cell += "spec = Spec('mel_square', sample_rate_hz=16_000, params=dict(side_px=16)); "
cell += "extract(data.load_corpus('demo'), spec, n_jobs=2)"
root = pathlib.Path(sys.argv[1]) / "notebooks"
(root / "params").mkdir(parents=True)
(root / "params" / "quick.yml").touch()
for name in ("01_a", "02_b"):
    write(v4.new_notebook(cells=[v4.new_code_cell(cell)]), root / f"{name}.ipynb")
assert build_report("demo", notebooks_dir=root).is_complete
"""
# As a reader: the page, then the end (a shell that runs this in the background ignores Ctrl-C).
APP = """
import contextlib, os, signal, sys, threading, time, urllib.request
from ser_lib.app.server import run_app
port = int(sys.argv[1])
def visit():
    for _ in range(600):
        time.sleep(0.1)
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}").read()
        except OSError:
            continue
        os.kill(os.getpid(), signal.SIGTERM)
        return
threading.Thread(target=visit, daemon=True).start()
with contextlib.suppress(KeyboardInterrupt):  # where it is still starting
    run_app(port=port, opens_browser=False)
"""
ENTRIES = {
    "report": [sys.executable, "-c", REPORT, "{folder}"],
    "app": [sys.executable, "-c", APP, "{port}"],
    "command": [SER, "predict", "{clip}", "--bundle", "cnn-ravdess"],
    "audit": [SER, "audit", "{folder}"],
    "script": [sys.executable, "-c", PREDICT, "{clip}"],
    "libraries": [sys.executable, "-c", LIBRARIES],
}


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def as_a_user(home, tmp_path, tone, write_clip):
    """Return a function that runs a command as somebody who has just installed this."""
    clip = write_clip(tmp_path / "clips" / "a.wav", tone(200.0, duration_s=2.0))

    def run(*command: str, **variables: str) -> subprocess.CompletedProcess:
        environment = {name: value for name, value in os.environ.items() if name not in HIDING}
        environment |= {"HOME": str(home), **variables}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            named = {"{clip}": clip, "{folder}": clip.parent, "{port}": free.getsockname()[1]}
        filled = [str(named.get(one, one)) for one in command]
        return subprocess.run(
            filled, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
        )

    return run


def others_reached(trace: str) -> list[str]:
    """Addresses outside this machine that were to be connected to."""
    addresses = re.findall(r'inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]+)"', trace)
    return [one for one in addresses if not one.startswith("127.") and one != "::1"]


def watched(strace: str, log: Path) -> list[str]:
    # All other calls of the system go on at full speed.
    return [strace, "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect", "-o", str(log)]


@pytest.mark.parametrize("name", ENTRIES)
def test_nobody_is_reached_and_the_home_stays_empty(name, as_a_user, home, strace, tmp_path):
    log = tmp_path / "connects"
    (home / ".keras").mkdir()
    settings = home / ".keras" / "keras.json"
    settings.write_text(
        '{"floatx": "float16", "epsilon": 1e-3, "backend": "jax", "image_data_format": '
        '"channels_first"}'
    )
    done = as_a_user(*watched(strace, log), *ENTRIES[name])
    assert done.returncode == 0, done.stderr
    assert others_reached(log.read_text(encoding="utf-8")) == []
    assert [one for one in home.rglob("*") if one.is_file()] == [settings]


def test_the_watcher_sees_who_is_reached(as_a_user, strace, tmp_path):
    log = tmp_path / "connects"
    # A port of this machine where nobody listens, under another of its names.
    code = "import socket; socket.socket().connect_ex(('0.0.0.0', 9))"
    as_a_user(*watched(strace, log), sys.executable, "-c", code)
    assert others_reached(log.read_text(encoding="utf-8")) == ["0.0.0.0"]


def test_without_the_setting_something_would_be_queued(as_a_user, home):
    """The twin: the library does what the setting stops."""
    assert as_a_user(*ENTRIES["script"], ORT_DISABLE_TELEMETRY="0").returncode == 0
    assert any(one.is_file() for one in home.rglob("*"))


def test_where_the_cache_cannot_be_written_nothing_is_kept(as_a_user, tmp_path):
    code = (
        "import os, pathlib; os.access = lambda *_: False; import ser_lib; "
        "names = 'NUMBA_CACHE_DIR', 'MPLCONFIGDIR', 'KERAS_HOME'; "
        "print(*(os.environ[name] for name in names)); "
        "assert pathlib.Path(os.environ['NUMBA_CACHE_DIR']).parent.is_dir()"
    )
    done = as_a_user(sys.executable, "-c", code, SER_CACHE=str(tmp_path / "none"))
    folders = [Path(one) for one in done.stdout.split()]
    assert len(folders) == 3, done.stderr
    assert not (tmp_path / "none").exists()
    assert not any(one.parent.exists() for one in folders)
