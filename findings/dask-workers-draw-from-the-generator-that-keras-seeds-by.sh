#!/usr/bin/env bash
# distributed 2026.8.0, keras 3.15.1, tensorflow-cpu 2.21.0, Python 3.11: in a worker, a seed does not hold.
#
# Guess: a task that has a worker's only thread, and sets the seeds first (`keras.utils.set_random_seed`),
#        builds the same layers every time; what else runs in a worker has generators of its own.
# Found: threads that keep a worker in touch draw from Python's global `random` meanwhile. Keras takes the
#        seeds of layers and dropout from there when no seed is given, so that two runs of one task give
#        two networks. A process of the task's own has not this trouble.
# Seen:  a process: as seeded after 15 s | a worker: as seeded at once, another one after 15 s
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check distributed==2026.8.0 keras==3.15.1 tensorflow-cpu==2.21.0 2>/dev/null
cat > "$work/run.py" <<'PY'
import os
import sys
import time

WAIT_S = 15


def seed_after(seconds: float) -> int:
    """Set all seeds, wait, and return the seed that Keras then gives to a layer without one."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    keras.utils.set_random_seed(0)
    time.sleep(seconds)
    return int(keras.ops.convert_to_numpy(keras.random.SeedGenerator().state)[0])


if __name__ == "__main__":
    from distributed import Client, LocalCluster

    wanted = seed_after(0)
    alone = seed_after(WAIT_S)
    with (
        LocalCluster(1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        at_once, later = (client.submit(seed_after, one).result() for one in (0, WAIT_S))
    said = {True: "as seeded", False: "another one"}
    print(f"a process: {said[alone == wanted]} after {WAIT_S} s", end=" | ")
    print(f"a worker: {said[at_once == wanted]} at once, {said[later == wanted]} after {WAIT_S} s")
    sys.exit([alone == wanted, at_once == wanted, later == wanted] != [True, True, False])
PY
cd "$work"
"$work/env/bin/python" "$work/run.py" 2>/dev/null
