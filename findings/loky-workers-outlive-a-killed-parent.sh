#!/usr/bin/env bash
# joblib 1.6.0 from PyPI, processes by loky, on Linux: the parent is killed (-9) in the middle of a
# Parallel call whose workers end when they have been idle for five seconds.
#
# Guess: workers notice that nobody is there any more, at once or after those five seconds.
# Found: they do, after some time, where a task gives ten bytes. Where it gives a megabyte they stay, with all their
#        memory: who was handing over its result waits for a reader, and never learns that there is
#        none, for the workers themselves hold the other end of the pipe open.
# Seen:  results of 10 bytes: 0 of 2 workers left after 90 s | of 1,000,000 bytes: 2 of 2 left
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  joblib==1.6.0 psutil==7.2.2 2>/dev/null
cat > "$work/parent.py" <<'PY'
import sys
import time

from joblib import Parallel, delayed


def work(n_bytes):
    time.sleep(0.2)
    return bytes(n_bytes)


tasks = (delayed(work)(int(sys.argv[1])) for _ in range(10_000))
Parallel(n_jobs=2, backend="loky", idle_worker_timeout=5)(tasks)
PY
cat > "$work/run.py" <<'PY'
import subprocess, sys, time
from importlib.metadata import version

import psutil

left = {}
for n_bytes in (10, 1_000_000):
    parent = subprocess.Popen(
        [sys.executable, sys.argv[1], str(n_bytes)], stderr=subprocess.DEVNULL
    )
    workers = []
    while len(workers) < 2:
        time.sleep(1)
        workers = [
            one for one in psutil.Process(parent.pid).children(recursive=True)
            if "popen_loky_posix" in " ".join(one.cmdline())
        ]
    time.sleep(5)
    parent.kill()
    parent.wait()
    left[n_bytes] = len(psutil.wait_procs(workers, timeout=90)[1])
    for one in workers:
        if one.is_running():
            one.kill()
print("joblib", version("joblib"))
print(" | ".join(f"results of {n:,} bytes: {k} of 2 workers left after 90 s" for n, k in left.items()))
sys.exit(list(left.values()) != [0, 2])
PY
"$work/env/bin/python" "$work/run.py" "$work/parent.py"
