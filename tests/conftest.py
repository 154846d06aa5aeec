"""Fixtures for all tests: own folders, a seeded generator, the demo corpus, small made-up corpora.

Helpers are fixtures that return functions, because test files cannot import each other under
`--import-mode=importlib`. Session-scoped tables are shared: copy them before changing them.
"""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser_lib.audio.io import ClipFacts, load_signal
from ser_lib.audit.fingerprint import fingerprint
from ser_lib.paths import PROJECT_DIR

# Figures are drawn into memory, whatever the machine offers.
os.environ.setdefault("MPLBACKEND", "Agg")

# As the command does: else nbformat's jsonschema compiles a grammar of addresses for a second.
sys.modules.setdefault("rfc3987_syntax", None)

# Read when the tests are collected: the fixture `own_folders` hides it from the tests themselves.
REAL_CACHE = os.environ.get("SER_CACHE") or str(PROJECT_DIR / ".cache")

# Folders with files that take long, which are not divided: at the end the workers share short ones.
FIRST = ("lab", "training")

# What a test may not inherit from the shell that runs it.
FOREIGN_VARIABLES = ("SER_DATA", "SER_FRESH", "SER_JOBS", "STRICT", "FRESH")


def _program(name: str, what: str) -> str:
    """Return the path of a program, or say loudly what is not checked without it."""
    path = shutil.which(name)
    if path is None:
        reason = f"NOT CHECKED: {what}; run `apt-get install {name}`"
        # Where nobody reads what was skipped, a missing program is a failure.
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return path


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the browser's program."""
    return _program("chromium", "no page was opened")


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    """Return the program that makes files in the forms that people bring."""
    return _program("ffmpeg", "no file of a phone or browser was made and decoded")


@pytest.fixture(scope="session")
def strace() -> str:
    """Return the program that watches what processes do."""
    return _program("strace", "whom processes reach was not watched")


@pytest.fixture(scope="session")
def forked():
    """Return a function that calls one in another process, which has imported what this one has."""
    if not hasattr(os, "fork"):
        pytest.skip("NOT CHECKED: processes cannot be forked here")

    def start(function: Callable[[], object]) -> multiprocessing.Process:
        process = multiprocessing.get_context("fork").Process(target=function, daemon=True)
        process.start()
        return process

    return start


@pytest.fixture
def eager():
    """Run networks operation by operation: compiling takes longer than small arithmetic."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker one thread: they share the cores, and two of each would wait for others."""
    if not hasattr(config, "workerinput"):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long."""
    items.sort(key=lambda item: item.path.parent.name not in FIRST)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Compile librosa's functions while the workers collect, which would do it side by side."""
    if not hasattr(session.config, "workerinput"):
        from ser_lib.features.extraction import compile_once
        from ser_lib.features.registry import FeatureSpec

        for name in ("prosody", "mfcc_zcr_rms"):
            compile_once(FeatureSpec(name))


def ravdess_stem(
    speaker: int,
    emotion: int = 1,
    *,
    intensity: int = 1,
    statement: int = 1,
    repetition: int = 1,
    modality: int = 3,
    channel: int = 1,
) -> str:
    codes = (modality, channel, emotion, intensity, statement, repetition, speaker)
    return "-".join(f"{code:02d}" for code in codes)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test its own cache and reports, and no real corpora."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SER_REPORTS", str(tmp_path / "reports"))
    for name in FOREIGN_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def real_cache_dir() -> str:
    """Return the cache of the project, where encoders and facts of real corpora may lie."""
    return REAL_CACHE


@pytest.fixture(autouse=True, scope="session")
def settled() -> None:
    """Take what is there out of the garbage collection, which Keras asks for at every network."""
    gc.freeze()


@pytest.fixture
def real_cache(own_folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the cache of the project, where encoders may lie, instead of the test's own."""
    monkeypatch.setenv("SER_CACHE", REAL_CACHE)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_250_101)


@pytest.fixture(scope="session")
def tone():
    """Return a function that makes a sine: `tone(440.0, duration_s=1.0, rate_hz=16_000)`."""

    def make(
        frequency_hz: float,
        *,
        duration_s: float = 1.0,
        rate_hz: int = 16_000,
        amplitude: float = 0.5,
    ) -> np.ndarray:
        time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
        return (amplitude * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def on_disk(tmp_path_factory):
    """Return a function that makes a fake of `extract` give its arrays as that does: from files."""

    def wrap(fake):
        folder = tmp_path_factory.mktemp("extracted")

        def extract(*arguments: object, **options: object) -> np.memmap:
            path = folder / f"{len(list(folder.iterdir()))}.npy"
            np.save(path, fake(*arguments, **options))
            return np.load(path, mmap_mode="r")

        return extract

    return wrap


@pytest.fixture(scope="session")
def peak_frequency():
    """Return a function that finds the strongest frequency of a signal in Hz."""

    def find(signal: np.ndarray, rate_hz: int) -> float:
        spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
        return float(np.fft.rfftfreq(len(signal), 1 / rate_hz)[spectrum.argmax()])

    return find


@pytest.fixture(scope="session")
def write_clip():
    """Return a function that writes a short sound, by default noise that its stem decides."""

    def write(
        path: Path,
        signal: np.ndarray | None = None,
        *,
        rate_hz: int = 16_000,
        subtype: str = "PCM_16",
        duration_s: float = 0.3,
    ) -> Path:
        if signal is None:
            seed = int.from_bytes(hashlib.sha256(path.stem.encode()).digest()[:4], "big")
            noise = np.random.default_rng(seed).uniform(-0.3, 0.3, round(duration_s * rate_hz))
            # On the grid of 16 bits, so that every container holds the very same samples.
            signal = np.round(noise * 32768) / 32768
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, signal, rate_hz, subtype=subtype)
        return path

    return write


@pytest.fixture(scope="session")
def make_ravdess(write_clip):
    """Return a function that makes a small tree in RAVDESS's official layout.

    It returns the files' paths by clip name. Four speakers, two emotions, two statements: 16 clips.
    """

    def make(
        root: Path,
        *,
        speakers: tuple[int, ...] = (1, 2, 3, 4),
        emotions: tuple[int, ...] = (1, 5),
        suffix: str = ".wav",
        **sound: object,
    ) -> dict[str, Path]:
        files = {}
        for speaker, emotion, statement in product(speakers, emotions, (1, 2)):
            stem = ravdess_stem(speaker, emotion, statement=statement)
            files[stem] = write_clip(root / f"Actor_{speaker:02d}" / f"{stem}{suffix}", **sound)
        return files

    return make


@pytest.fixture(scope="session")
def stem_of():
    """Return the function that composes a RAVDESS name from its numbers."""
    return ravdess_stem


@pytest.fixture
def small_ravdess(monkeypatch: pytest.MonkeyPatch):
    """Pretend that RAVDESS was published with 16 clips of 4 speakers, as `make_ravdess` makes."""
    from ser_lib import data

    small = replace(data.CORPORA["ravdess"], n_clips=16, n_speakers=4)
    monkeypatch.setitem(data.CORPORA, "ravdess", small)
    return small


@pytest.fixture(autouse=True, scope="session")
def decoded_once() -> Iterator[None]:
    """Decode each clip of the embedded corpus once, though every test has a cache of its own."""
    from ser_lib.data import corpus
    from ser_lib.data.demo import CLIPS_DIR

    decode, remembered = corpus.read_facts, cache(corpus.read_facts)

    def read(path: Path) -> ClipFacts:
        return (remembered if CLIPS_DIR in Path(path).parents else decode)(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "read_facts", read)
        yield


@pytest.fixture(scope="session")
def demo_clips(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The embedded corpus, loaded once."""
    from ser_lib import data

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_CACHE", str(tmp_path_factory.mktemp("demo-cache")))
        patch.setenv("SER_REPORTS", str(tmp_path_factory.mktemp("demo-reports")))
        return data.load_corpus("demo")


@pytest.fixture(scope="session")
def few_clips(demo_clips: pd.DataFrame) -> pd.DataFrame:
    """24 demo clips: 6 speakers, neutral and angry, both statements; few enough for no workers."""
    is_kept = (
        demo_clips["speaker"].isin([f"demo-{number:02d}" for number in range(1, 7)])
        & demo_clips["emotion"].isin(["neutral", "angry"])
        & (demo_clips["repetition"] == 1)
    )
    return demo_clips[is_kept].reset_index(drop=True)


@pytest.fixture(scope="session")
def ravdess_table() -> pd.DataFrame:
    """The clip table of the whole published RAVDESS, from its grammar; there is no audio."""
    import re

    from ser_lib.data.corpora.ravdess import GRAMMAR, parse_ravdess
    from ser_lib.data.corpus import CLIP_COLUMNS

    rows = []
    for speaker, emotion, intensity, statement, repetition in product(
        range(1, 25), range(1, 9), (1, 2), (1, 2), (1, 2)
    ):
        if (emotion, intensity) == (1, 2):
            continue  # neutral has no strong intensity
        stem = ravdess_stem(
            speaker, emotion, intensity=intensity, statement=statement, repetition=repetition
        )
        fields = parse_ravdess(re.fullmatch(GRAMMAR, stem))
        rows.append(
            {
                "clip_id": f"ravdess/{stem}",
                "path": "",
                "corpus": "ravdess",
                **fields,
                "speaker": f"ravdess-{fields['speaker']}",
                "duration_s": 3.7,
                "sample_rate_hz": 48_000,
                "audio_sha256": hashlib.sha256(stem.encode()).hexdigest(),
            }
        )
    return pd.DataFrame(rows, columns=list(CLIP_COLUMNS)).sort_values("clip_id", ignore_index=True)


@pytest.fixture(scope="session")
def dense_graph():
    """Return a function that makes an ONNX network: flatten, one dense layer, softmax."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def make(input_shape: tuple[int, ...], n_classes: int, *, seed: int = 0) -> bytes:
        rng = np.random.default_rng(seed)
        n_values = int(np.prod(input_shape))
        weights = rng.normal(0, 3 / np.sqrt(n_values), (n_values, n_classes)).astype(np.float32)
        bias = rng.normal(0, 0.1, n_classes).astype(np.float32)
        graph = helper.make_graph(
            [
                helper.make_node("Flatten", ["x"], ["flat"]),
                helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"]),
                helper.make_node("Softmax", ["logits"], ["probabilities"]),
            ],
            "dense",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *input_shape])],
            [
                helper.make_tensor_value_info(
                    "probabilities", TensorProto.FLOAT, ["batch", n_classes]
                )
            ],
            [
                numpy_helper.from_array(weights, "weights"),
                numpy_helper.from_array(bias, "bias"),
            ],
        )
        operators = [helper.make_opsetid("", 17)]
        return onnx.helper.make_model(
            graph, opset_imports=operators, ir_version=8
        ).SerializeToString()

    return make


@pytest.fixture(scope="session")
def small_bundle(dense_graph):
    """A bundle that was never trained: what it says means nothing, but it says it always."""
    from ser_lib.features.registry import FeatureSpec
    from ser_lib.inference.bundle import Bundle

    features = FeatureSpec(
        "mel_chunks", sample_rate_hz=16_000, params={"n_chunks": 1, "n_frames": 60, "n_mels": 16}
    )
    labels = ("neutral", "happy", "sad", "angry")
    n_compared = 2 * 16
    return Bundle(
        name="small",
        title="A network that was never trained",
        kind="network",
        labels=labels,
        features=features,
        input_shape=(1, 16, 60, 1),
        temperature=1.5,
        threshold=0.3,
        domain_limit=1e5,
        arrays={"domain_centre": np.zeros(n_compared), "domain_whitening": np.eye(n_compared)},
        graph=dense_graph((1, 16, 60, 1), len(labels)),
    )


@pytest.fixture(scope="session")
def small_folder(small_bundle, tmp_path_factory):
    """The same, written down; copy the folder before changing a file in it."""
    from ser_lib.inference.bundle import write_bundle
    from ser_lib.inference.predictor import Predictor, with_probe

    bundle = with_probe(small_bundle)
    assert Predictor(bundle).labels == small_bundle.labels
    return write_bundle(bundle, tmp_path_factory.mktemp("bundles") / "small", card="# A card")


@pytest.fixture
def unlike(small_bundle, speak):
    """Return a function that gives the small bundle, tested elsewhere, to which speech is unlike.

    Answers there were right in 40 % at a confidence of 70 %, of a known voice in 60 %: above the
    chance of 25 % that is a third of the confidence, and seven ninths.
    """
    from ser_lib.inference.predictor import Predictor

    plain = Predictor(small_bundle)
    distance = plain.bundle.domain.distance(
        plain.bundle.domain_values(plain.features(speak(), 16_000))
    )
    tests = {"new_voice": 0.4, "known_voice": 0.6, "mixed_known_voice": 0.5}
    figures = {name: {"accuracy_share": one, "confidence": 0.7} for name, one in tests.items()}

    def make(*, times: float = 1.3, is_tested: bool = True, **changes: object):
        better = {name: one | {"accuracy_share": 0.69} for name, one in figures.items()}
        card = {"elsewhere": [better, figures] if is_tested else []}
        return replace(small_bundle, domain_limit=distance / times, card=card, **changes)

    return make


@pytest.fixture
def adaptable(small_bundle, rng):
    """A predictor with a head that can be told a voice; what it says means nothing."""
    from ser_lib.inference.predictor import Predictor

    n_values, n_classes = int(np.prod(small_bundle.input_shape)), len(small_bundle.labels)
    head = {
        "head_mean": np.zeros(n_values),
        "head_scale": np.ones(n_values),
        "head_weights": rng.normal(size=(n_values, n_classes)) / 30,
        "head_bias": np.zeros(n_classes),
    }
    cloud = {
        "speaker_centre": np.full(n_values, 0.4),
        "speaker_between": np.full(n_values, 0.01),
        "speaker_noise": np.full(n_values, 0.02),
        "speaker_within": np.full(n_values, 0.04),
        "speaker_moods": np.full(n_values, 0.1),
    }
    width = int(np.prod(small_bundle.input_shape[-2:]))
    domain = {"domain_centre": np.zeros(width), "domain_whitening": np.eye(width)}
    arrays = head | cloud | domain
    arrays |= {f"speaker_{name}": array for name, array in head.items()}
    speaker = {
        "temperature": 2.0,
        "threshold": 0.9,
        "mixed_temperature": 3.0,
        "mixed_threshold": 0.8,
    }
    return Predictor(
        replace(small_bundle, kind="linear", arrays=arrays, graph=b"", speaker=speaker)
    )


@pytest.fixture(scope="session")
def speak():
    """Return a function that makes something like speech: glides of harmonics, with pauses."""

    def make(*, duration_s: float = 3.0, rate_hz: int = 16_000, pitch_hz: float = 150.0):
        time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
        phase = 2 * np.pi * (pitch_hz * time_s + 15 * np.sin(2 * time_s))
        syllables = np.maximum(0, np.sin(2 * np.pi * 2 * time_s)) ** 0.5
        voice = sum(np.sin(n * phase) / n for n in range(1, 20))
        noise = np.random.default_rng(0).normal(0, 1e-3, len(time_s))
        return (0.1 * syllables * voice + noise).astype(np.float32)

    return make


@pytest.fixture
def vote():
    """Return a function that makes predictions of clips that are happy and sad in turn."""

    def make(is_right, confidence=0.8, ids=None) -> pd.DataFrame:
        is_right = np.asarray(is_right, dtype=bool)
        truth = np.where(np.arange(len(is_right)) % 2, "sad", "happy")
        said = np.where(is_right, truth, np.where(truth == "sad", "happy", "sad"))
        sure = np.broadcast_to(confidence, len(is_right))
        return pd.DataFrame(
            {
                "clip_id": ids or [f"emodb/c{number}" for number in range(len(is_right))],
                "speaker": [f"s{number % 7}" for number in range(len(is_right))],
                "truth": truth,
                "prediction": said,
                "p_happy": np.where(said == "happy", sure, 1 - sure),
                "p_sad": np.where(said == "sad", sure, 1 - sure),
            }
        )

    return make


@pytest.fixture(scope="session")
def signals(few_clips: pd.DataFrame) -> list:
    """Signal and rate of each of the few clips."""
    return [load_signal(path) for path in few_clips["path"]]


@pytest.fixture(scope="session")
def pictures(signals: list) -> list:
    """Fingerprint of each of the few clips."""
    return [fingerprint(*one) for one in signals]


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """Start a scheduler and two workers; return the address."""
    distributed = pytest.importorskip("distributed", reason="NOT CHECKED: needs ser-lib[scale]")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address
