"""What very many clips cost: on this machine, and on hosts of a network of its own.

python -m tools.scale flat 1000 100000     memory and CPU of features, predict, audit by clips;
                                           names behind the numbers choose among the three
python -m tools.scale near 100000 1000000  search of near-duplicates: ours, hnswlib, FAISS
python -m tools.scale far 4000             joblib and Dask; workers killed, network cut, restarts
python -m tools.scale tasks                what the scheduler itself takes
python -m tools.scale draw                 the figures of docs/scale.md, from what was measured

Needs `ser-lib[scale,parquet]`; `far` makes network namespaces (`ip netns`), for which it must be
root, and takes addresses of 127/8 where that is refused. What was measured is added to
`docs/scale/measured.jsonl`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from ser_lib import data
from ser_lib.audio.io import load_signal
from ser_lib.audit import duplicates
from ser_lib.paths import PROJECT_DIR
from ser_lib.workers import map_tasks

FOLDER = PROJECT_DIR / "docs" / "scale"
MEASURED = FOLDER / "measured.jsonl"
RATE_HZ = 8_000
N_WORKERS = 3
CUT_S = 30
DASK = Path(sys.executable).with_name("dask")


def note(**facts: object) -> None:
    """Print what was measured, and keep it for the figures."""
    print("  ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
    FOLDER.mkdir(exist_ok=True)
    with MEASURED.open("a", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\n")


def make_clips(folder: Path, n: int) -> Path:
    """Write the demo's clips over and over with tiny changes, 1 s each, sixteen kB a clip."""
    clips = data.load_corpus("demo")
    signals = [load_signal(one, sample_rate_hz=RATE_HZ)[0][:RATE_HZ] for one in clips["path"]]
    rng = np.random.default_rng(0)
    for number in range(n):
        signal = np.pad(signals[number % len(signals)], (0, RATE_HZ))[:RATE_HZ]
        changed = np.roll(signal * rng.uniform(0.3, 0.9), rng.integers(RATE_HZ))
        path = folder / f"{number // 1000:05d}" / f"{number:08d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, changed + rng.normal(0, 1e-3, RATE_HZ), RATE_HZ, subtype="PCM_16")
    return folder


def memory_mb(pid: int) -> tuple[float, float]:
    """Return the memory of a process and all below it, in MB: with files' pages, and without.

    Pages that processes share are divided among them.
    """
    import psutil

    total = own = 0
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(OSError, psutil.Error):
                text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
                sizes = {one.split(":")[0]: int(one.split()[1]) for one in text.splitlines()[1:]}
                total, own = total + sizes["Pss"], own + sizes["Pss_Anon"]
    return total / 1024, own / 1024


def watched(*command: str, **variables: str) -> dict[str, float]:
    """Run `ser`; return seconds, CPU seconds, and the highest memory on the way."""
    before, started = os.times(), time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    process = subprocess.Popen([sys.executable, "-m", "ser_lib", *command], env=environment)
    peaks = [(0.0, 0.0)]
    while process.poll() is None:
        peaks.append(memory_mb(process.pid))
        time.sleep(0.1)
    if process.returncode > 1:
        raise SystemExit(f"{command}: exit code {process.returncode}")
    after = os.times()
    cpu_s = sum(after[2:4]) - sum(before[2:4])
    peak_mb, own_mb = np.max(peaks, axis=0)
    seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 1),
        "cpu_s": round(cpu_s, 2),
        "peak_mb": round(peak_mb, 1),
        "own_mb": round(own_mb, 1),
    }


def flat(sizes: list[int], chosen: list[str]) -> None:
    """Measure the commands, or those that are chosen, on corpora of several sizes."""
    with tempfile.TemporaryDirectory() as name:
        for n in sizes:
            clips = make_clips(Path(name, f"clips-{n}"), n)
            for what, command in (
                ("features", ("features", "waveform_envelope", "--out", f"{name}/f.parquet")),
                (
                    "predict",
                    ("predict", "--bundle", "cnn-ravdess", "--out", f"{name}/p-{n}.parquet"),
                ),
                ("audit", ("audit", "--out", f"{name}/a.json")),
            ):
                if chosen and what not in chosen:
                    continue
                shutil.rmtree(Path(name, "cache"), ignore_errors=True)
                place = 2 if what == "features" else 1
                line = (*command[:place], str(clips), *command[place:])
                found = watched(*line, SER_CACHE=f"{name}/cache")
                each = round(1000 * found["cpu_s"] / n, 2)
                note(what=what, n_clips=n, **found, cpu_ms_a_clip=each)


def made_up(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Make directions like those of fingerprints, a tenth of them near copies; and which."""
    rng = np.random.default_rng(0)
    width = duplicates.N_DIMENSIONS
    centres = rng.standard_normal((200, width), dtype=np.float32)
    points = 0.7 * centres[rng.integers(0, 200, n)]
    points += rng.standard_normal((n, width), dtype=np.float32)
    order = rng.permutation(n)
    copies, originals = order[: n // 10], order[n // 10 : 2 * (n // 10)]
    points[copies] = points[originals]
    points[copies] += 0.35 * rng.standard_normal((len(copies), width), dtype=np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points, np.stack([copies, originals], axis=1)


def by_hnswlib(points: np.ndarray, k: int) -> np.ndarray:
    """Search with hnswlib, on one thread: with more its answers change from run to run."""
    import hnswlib

    index = hnswlib.Index("ip", points.shape[1])
    index.init_index(len(points), ef_construction=60, M=16, random_seed=1)
    index.add_items(points, num_threads=1)
    index.set_ef(40)
    return index.knn_query(points, k + 1, num_threads=1)[0]


def by_faiss(points: np.ndarray, k: int) -> np.ndarray:
    """Search with cells of FAISS, as many as ours."""
    import faiss

    faiss.omp_set_num_threads(1)
    n_cells = round(2 * np.sqrt(len(points)))
    quantizer = faiss.IndexFlatIP(points.shape[1])
    index = faiss.IndexIVFFlat(quantizer, points.shape[1], n_cells, faiss.METRIC_INNER_PRODUCT)
    index.train(points[:: max(1, len(points) // (40 * n_cells))])
    index.add(points)
    index.nprobe = duplicates.N_CELLS
    return index.search(points, k + 1)[1]


def by_minhash(points: np.ndarray, k: int) -> np.ndarray:
    """Search with datasketch's MinHash-LSH, of each point's strongest signed dimensions."""
    from datasketch import MinHash, MinHashLSH

    strong = np.argsort(-np.abs(points), axis=1)[:, :32]
    signed = 2 * strong + (np.take_along_axis(points, strong, axis=1) > 0)
    hashes = MinHash.bulk([[b"%d" % one for one in row] for row in signed.tolist()], num_perm=128)
    index = MinHashLSH(threshold=0.5, num_perm=128)
    for number, one in enumerate(hashes):
        index.insert(number, one)
    found = np.full((len(points), k + 1), -1)
    for number, one in enumerate(hashes):
        there = np.array(index.query(one))
        best = there[np.argsort(-(points[there] @ points[number]))][: k + 1]
        found[number, : len(best)] = best
    return found


SEARCHES = {
    **{"ours": duplicates._nearest, "FAISS": by_faiss, "hnswlib": by_hnswlib},
    "MinHash": by_minhash,
}


def near(sizes: list[int], chosen: str = "") -> None:
    """Measure the search of near-duplicates, each in a process of its own."""
    import resource

    for n in sizes:
        for name in [chosen] if chosen else SEARCHES:
            if not chosen:
                subprocess.run([sys.executable, "-m", "tools.scale", "near", name, str(n)])
                continue
            points, planted = made_up(n)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            started = time.process_time()
            found = SEARCHES[name](points, duplicates.N_NEIGHBOURS)
            cpu_s = round(time.process_time() - started, 1)
            added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
            hits = [b in found[a] or a in found[b] for a, b in planted[:5_000]]
            note(
                what=f"near: {name}",
                n_clips=n,
                cpu_s=cpu_s,
                added_mb=round(added),
                recall=round(float(np.mean(hits)), 4),
            )


# --- hosts


@dataclass
class Network:
    """A scheduler and workers, each on a host of its own."""

    folder: Path
    is_real: bool = True
    running: dict[str, subprocess.Popen] = field(default_factory=dict)

    def address(self, host: str) -> str:
        """Return the address of a host."""
        number = ["scheduler", "client", *(f"w{n}" for n in range(9))].index(host) + 1
        return f"10.77.13.{number}" if self.is_real else f"127.77.13.{number}"

    def inside(self, host: str) -> list[str]:
        """Return what a command begins with that runs on a host."""
        return ["ip", "netns", "exec", f"ser-{host}"] if self.is_real else []

    @property
    def scheduler(self) -> str:
        """Return the address of the scheduler."""
        return f"tcp://{self.address('scheduler')}:8786"

    def start(self, host: str) -> None:
        """Start what runs on a host, again and again as a service would."""
        what = f"worker {self.scheduler} --nthreads 1 --nworkers 1"
        if host == "scheduler":
            what = "scheduler --port 8786"
        call = f"{DASK} {what} --host {self.address(host)} --no-dashboard"
        command = f"while :; do {call}; sleep 1; done"
        log = (self.folder / f"{host}.log").open("a")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "SER_CACHE": f"{self.folder}/other"}
        self.running[host] = subprocess.Popen(
            [*self.inside(host), "bash", "-c", command],
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            cwd=PROJECT_DIR,
        )

    def end(self, host: str) -> None:
        """End everything that was started on a host."""
        with suppress(ProcessLookupError):
            os.killpg(self.running.pop(host).pid, signal.SIGKILL)

    def kill_worker(self, host: str) -> None:
        """Kill -9 what computes on a host; what watches it goes on."""
        import psutil

        for one in psutil.Process(self.running[host].pid).children(recursive=True):
            if "spawn_main" in " ".join(one.cmdline()):
                one.kill()

    def cpu_s(self) -> float:
        """Return the CPU seconds of all that runs on the hosts, as far as it has not ended."""
        import psutil

        roots = [psutil.Process(one.pid) for one in self.running.values()]
        found = (one.cpu_times() for root in roots for one in root.children(recursive=True))
        return sum(one.user + one.system for one in found)

    def cut(self, host: str, *, is_cut: bool) -> None:
        """Cut a host off the network, or give it back."""
        state = "down" if is_cut else "up"
        subprocess.run(["ip", "-n", f"ser-{host}", "link", "set", "eth0", state], check=True)

    def bytes_moved(self, host: str) -> int:
        """Return how many bytes have reached or left a host."""
        if not self.is_real:
            return 0
        text = subprocess.run(
            [*self.inside(host), "cat", "/proc/net/dev"], capture_output=True, text=True
        ).stdout
        cells = next(one for one in text.splitlines() if "eth0" in one).split()
        return int(cells[1]) + int(cells[9])


def ip(*words: str) -> None:
    """Call `ip`; raise where the kernel refuses."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def network(folder: Path, n_workers: int) -> Iterator[Network]:
    """Make hosts with addresses of their own, and start scheduler and workers."""
    found = Network(folder)
    workers = [f"w{n}" for n in range(n_workers)]
    hosts = ["scheduler", "client", *workers]
    try:
        try:
            ip("link", "add", "ser-bridge", "type", "bridge")
            ip("link", "set", "ser-bridge", "up")
            for host in hosts:
                ip("netns", "add", f"ser-{host}")
                ip("link", "add", f"v-{host}", "type", "veth", "peer", "name", f"e-{host}")
                ip("link", "set", f"v-{host}", "master", "ser-bridge", "up")
                ip("link", "set", f"e-{host}", "netns", f"ser-{host}", "name", "eth0")
                ip("-n", f"ser-{host}", "addr", "add", f"{found.address(host)}/24", "dev", "eth0")
                ip("-n", f"ser-{host}", "link", "set", "eth0", "up")
                ip("-n", f"ser-{host}", "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"no network namespaces here ({error}): processes with addresses of 127/8")
            found.is_real = False
        for host in ("scheduler", *workers):
            found.start(host)
        yield found
    finally:
        for host in list(found.running):
            found.end(host)
        for host in hosts:
            subprocess.run(["ip", "netns", "del", f"ser-{host}"], capture_output=True)
        subprocess.run(["ip", "link", "del", "ser-bridge"], capture_output=True)


def troubles(net: Network) -> dict[str, object]:
    """Return what happens in the middle of the work, by name."""

    def kill() -> None:
        net.kill_worker("w0")

    def cut() -> None:
        net.cut("w1", is_cut=True)
        time.sleep(CUT_S)
        net.cut("w1", is_cut=False)

    def restart() -> None:
        net.end("scheduler")
        time.sleep(3)
        net.start("scheduler")

    found: dict[str, object] = {"nothing": lambda: None, "a worker killed with -9": kill}
    if net.is_real:
        found[f"the network of a worker cut for {CUT_S} s"] = cut
    return found | {"the scheduler restarted": restart}


def far(n: int, n_workers: int = N_WORKERS) -> None:
    """Compute features here and there, with troubles on the way: the same bytes every time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = make_clips(folder / "clips", n)
        command = ["features", "waveform_envelope", str(clips), "--out"]
        expected = None
        with network(folder, n_workers) as net:
            for what in ("joblib", *troubles(net)):
                cache, out = folder / "cache", folder / "f.parquet"
                shutil.rmtree(cache, ignore_errors=True)
                out.unlink(missing_ok=True)
                is_near = what == "joblib"
                host = [] if is_near else net.inside("client")
                environment = {**os.environ, "SER_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
                if not is_near:
                    environment["SER_SCHEDULER"] = net.scheduler
                moved = net.bytes_moved("client") if not is_near else 0
                started, before = time.perf_counter(), os.times()
                far_s = net.cpu_s()
                process = subprocess.Popen(
                    [*host, sys.executable, "-m", "ser_lib", *command, str(out)],
                    env=environment,
                )
                if what in troubles(net):
                    while process.poll() is None and len(list(cache.glob("*/*.chunks/*"))) < 20:
                        time.sleep(0.05)
                    troubles(net)[what]()  # type: ignore[operator]
                code = process.wait(timeout=900)
                cpu_s = sum(os.times()[2:4]) - sum(before[2:4])
                cpu_s += 0 if is_near else net.cpu_s() - far_s
                seconds = time.perf_counter() - started
                digest = hashlib.sha256(out.read_bytes()).hexdigest() if out.is_file() else "none"
                expected = expected or digest
                moved = net.bytes_moved("client") - moved if not is_near else 0
                note(
                    what=f"far: {what}",
                    n_clips=n,
                    workers=os.cpu_count() if is_near else n_workers,
                    seconds=round(seconds, 1),
                    cpu_ms_a_clip=round(1000 * cpu_s / n, 2),
                    bytes_moved_a_clip=round(moved / n),
                    exit_code=code,
                    is_same=digest == expected,
                    network="namespaces" if net.is_real else "127/8",
                )
                if digest != expected or code:
                    raise SystemExit(f"{what}: not what one machine computes (exit code {code})")


def tasks(n: int = 5_000) -> None:
    """Measure how many tasks a second a scheduler passes on, to workers with nothing to do."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        os.environ["SER_SCHEDULER"] = cluster.scheduler_address
        started, before = time.perf_counter(), time.process_time()
        assert list(map_tasks(abs, range(n))) == list(range(n))
        note(
            what="far: tasks",
            n_clips=n,
            tasks_a_second=round(n / (time.perf_counter() - started)),
            # Of scheduler and client together, which are in this process.
            cpu_ms_a_task=round(1000 * (time.process_time() - before) / n, 2),
        )


def draw() -> None:
    """Draw the curves of what was measured last."""
    from matplotlib.figure import Figure

    lines = [json.loads(one) for one in MEASURED.read_text(encoding="utf-8").splitlines()]
    table = pd.DataFrame(lines).drop_duplicates(["what", "n_clips"], keep="last")
    figures = {
        "flat": {"own_mb": "Peak memory (MB)", "cpu_ms_a_clip": "CPU time a clip (ms)"},
        "near": {"cpu_s": "CPU time (s)", "added_mb": "Memory beside the vectors (MB)"},
    }
    of_figure = table["what"].str.startswith("near").map({True: "near", False: "flat"})
    for name, chosen in table[~table["what"].str.startswith("far")].groupby(of_figure):
        figure = Figure(figsize=(8, 3), layout="constrained")
        for place, (column, label) in enumerate(figures[str(name)].items(), start=1):
            axes = figure.add_subplot(1, 2, place)
            for what, rows in chosen.sort_values("n_clips").groupby("what"):
                axes.plot(rows["n_clips"], rows[column], marker="o", label=what)
            axes.set(xscale="log", xlabel="Clips", ylabel=label)
            if name == "near":
                axes.set_yscale("symlog", linthresh=1)  # an index may add nothing
            axes.set_ylim(0, 1.5 * chosen[column].max() + 1)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend()
        figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})


def main(arguments: list[str]) -> None:
    """Run what the first argument names."""
    what, *rest = arguments or ["help"]
    numbers = [int(one) for one in rest if one.isdigit()]
    names = [one for one in rest if not one.isdigit()]
    if what == "flat":
        flat(numbers or [1_000, 100_000], names)
    elif what == "near":
        near(numbers or [20_000, 100_000, 1_000_000], *names)
    elif what == "far":
        far(*(numbers or [4_000]))
    elif what == "tasks":
        tasks(*numbers)
    elif what == "draw":
        draw()
    else:
        print(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
