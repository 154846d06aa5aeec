"""How well fingerprints find copies: copies of real clips are made, and looked for.

`python -m tools.evaluate_duplicates [CORPUS...]` makes copies of clips of real corpora, compares
each with all originals as `ser audit` does, and writes `reports/audit/fingerprint.csv`. What must
not be called a copy is there as well: RAVDESS and EmoDB repeat sentences by the same actor in the
same emotion, and TESS says 200 words in the same carrier phrase. The threshold of textures for a
corpus is chosen on the other corpora: the least that calls none of their takes copies; that of
pictures is the shipped one throughout.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import soundfile

from ser_lib import data
from ser_lib.audio.augmentation import shift_pitch, shift_time, stretch_time
from ser_lib.audio.io import load_signal
from ser_lib.audio.signal import resample
from ser_lib.audit.duplicates import N_NEIGHBOURS, TEXTURE_THRESHOLD, compare_pairs, nearest_pairs
from ser_lib.audit.fingerprint import THRESHOLD, fingerprint, gather
from ser_lib.errors import AudioError, AuditError
from ser_lib.paths import atomic_path, duplicates_table_path
from ser_lib.runtime import progress
from ser_lib.seeds import generator

CORPORA = ("ravdess", "emodb", "tess")

# Thresholds are rounded up to this.
GRAIN = 0.01
Sound = tuple[np.ndarray, int]
Copy = Callable[[np.ndarray, int], Sound]


def _at_rate(signal: np.ndarray, rate_hz: int, *, to_hz: int) -> tuple[np.ndarray, int]:
    return resample(signal, rate_hz, to_hz), to_hz


def recode(
    signal: np.ndarray, sample_rate_hz: int, *, container: str, sample_format: str
) -> tuple[np.ndarray, int]:
    """Write a signal in memory in a format that libsndfile names, and read it back.

    Codecs may add a few milliseconds; Opus takes 8, 12, 16, 24 or 48 kHz only.
    """
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, signal, sample_rate_hz, format=container, subtype=sample_format)
    except (soundfile.LibsndfileError, ValueError) as error:
        raise AudioError(
            f"{sample_rate_hz} Hz cannot be written as {container}/{sample_format}: {error}"
        ) from error
    buffer.seek(0)
    return soundfile.read(buffer, dtype="float32")


def _coded(
    signal: np.ndarray, rate_hz: int, *, container: str, sample_format: str
) -> tuple[np.ndarray, int]:
    if sample_format == "OPUS":
        signal, rate_hz = resample(signal, rate_hz, 16_000), 16_000
    return recode(signal, rate_hz, container=container, sample_format=sample_format)


def _padded(signal: np.ndarray, rate_hz: int) -> tuple[np.ndarray, int]:
    return np.pad(signal, (rate_hz // 2, rate_hz // 3)), rate_hz


def _trimmed(signal: np.ndarray, rate_hz: int, *, share: float) -> tuple[np.ndarray, int]:
    n = round(share * len(signal))
    return signal[n : len(signal) - n], rate_hz


def _louder(signal: np.ndarray, rate_hz: int, *, gain_db: float) -> tuple[np.ndarray, int]:
    return signal * np.float32(10 ** (gain_db / 20)), rate_hz


def _clipped(signal: np.ndarray, rate_hz: int) -> tuple[np.ndarray, int]:
    return np.clip(signal, *(np.abs(signal).max() * np.array([-0.25, 0.25]))), rate_hz


def _noisy(signal: np.ndarray, rate_hz: int, *, snr_db: float) -> tuple[np.ndarray, int]:
    rng = generator("trial noise", snr_db, len(signal))
    noise = rng.standard_normal(len(signal)) * np.sqrt(np.mean(signal**2) / 10 ** (snr_db / 10))
    return (signal + noise).astype(np.float32), rate_hz


def _shifted(signal: np.ndarray, rate_hz: int) -> tuple[np.ndarray, int]:
    return shift_time(signal, rate_hz, shift_s=0.005), rate_hz


def _stretched(signal: np.ndarray, rate_hz: int, *, rate: float) -> tuple[np.ndarray, int]:
    return stretch_time(signal, rate_hz, rate=rate), rate_hz


def _pitched(signal: np.ndarray, rate_hz: int, *, semitones: float) -> tuple[np.ndarray, int]:
    return shift_pitch(signal, rate_hz, semitones=semitones), rate_hz


# Kind of copy -> how it is made.
COPIES: Mapping[str, Copy] = {
    **{f"resampled to {hz / 1000:g} kHz": partial(_at_rate, to_hz=hz)
       for hz in (8_000, 16_000, 22_050, 44_100)},
    "FLAC": partial(_coded, container="FLAC", sample_format="PCM_16"),
    "MP3": partial(_coded, container="MP3", sample_format="MPEG_LAYER_III"),
    "Opus": partial(_coded, container="OGG", sample_format="OPUS"),
    "padded": _padded,
    "trimmed by 2 % a side": partial(_trimmed, share=0.02),
    "trimmed by 5 % a side": partial(_trimmed, share=0.05),
    "gain -12 dB": partial(_louder, gain_db=-12.0),
    "gain +12 dB": partial(_louder, gain_db=12.0),
    "overdriven by 12 dB": _clipped,
    **{f"noise at {snr} dB": partial(_noisy, snr_db=float(snr)) for snr in (30, 20, 10, 5)},
    "shifted by 5 ms": _shifted,
    **{f"tempo {rate:g}": partial(_stretched, rate=rate) for rate in (0.8, 0.9, 1.1, 1.2)},
    **{f"pitch {step:+g} semitones": partial(_pitched, semitones=step)
       for step in (-2.0, -1.0, 1.0, 2.0)},
}  # fmt: skip


def run_trial(name: str, *, n_clips: int = 24, seed: int = 1) -> pd.DataFrame:
    """Copy some clips of a corpus in each way of `COPIES` and compare them with all of its clips.

    One row a comparison, of kind "takes" for two clips of the corpus; `texture` is NaN where no
    sound was compared. A copy and its original have a row in any case, of similarity 0 where the
    search did not compare them.
    """
    clips = data.load_corpus(name, strict=False)
    clips = clips.drop_duplicates("audio_sha256").reset_index(drop=True)
    if (clips["path"] == "").any():
        raise AuditError(f"{name}: its audio is not here; point SER_DATA at the corpora")
    ids = list(clips["clip_id"])
    paths = progress(clips["path"], total=len(clips), what=f"{name}, originals")
    prints = gather(fingerprint(*load_signal(path)) for path in paths)

    def load(position: int) -> Sound:
        return load_signal(clips["path"].iloc[position])

    takes = compare_pairs(
        prints.pictures,
        nearest_pairs(prints.vectors, N_NEIGHBOURS),
        threshold=THRESHOLD,
        load=load,
    )
    records = [
        (name, "takes", ids[one.first], ids[one.second], False, one.similarity, one.texture)
        for one in takes.itertuples()
    ]
    drawn = generator("trial", seed, name).choice(len(ids), min(n_clips, len(ids)), replace=False)
    nearest = _Nearest(prints.vectors)
    for number in progress(sorted(drawn), total=len(drawn), what=f"{name}, copies"):
        signal, rate_hz = load_signal(clips["path"].iloc[number])
        for kind, copy in COPIES.items():
            made = copy(signal, rate_hz)
            printed = gather([fingerprint(*made)])
            others = nearest(printed.vectors[0])

            def load_of(place: int, others: list[int] = others, made: Sound = made) -> Sound:
                return made if place == len(others) else load(others[place])

            compared = compare_pairs(
                np.concatenate([prints.pictures[others], printed.pictures]),
                np.array([(place, len(others)) for place in range(len(others))]),
                threshold=THRESHOLD,
                load=load_of,
            )
            found = {
                others[int(one.first)]: (one.similarity, one.texture)
                for one in compared.itertuples()
            }
            for other, scores in ({int(number): (0.0, np.nan)} | found).items():
                records.append((name, kind, ids[number], ids[other], other == number, *scores))
    columns = ["corpus", "kind", "copy", "original", "is_copy", "similarity", "texture"]
    return pd.DataFrame(records, columns=columns)


class _Nearest:
    """The nearest vectors of a corpus to any vector."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.mean = vectors.mean(axis=0)
        self.units = self._unit(vectors)

    def _unit(self, vectors: np.ndarray) -> np.ndarray:
        centred = vectors - self.mean
        return centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-9)

    def __call__(self, vector: np.ndarray) -> list[int]:
        closeness = self.units @ self._unit(vector)
        return [int(one) for one in np.argsort(-closeness)[:N_NEIGHBOURS]]


def score_trial(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Turn comparisons of several corpora into recall and precision, by corpus, kind and threshold.

    Each corpus is scored at the threshold chosen on the others and at the shipped one; `n_false`
    counts pairs of different recordings that are called copies.
    """
    takes = comparisons[comparisons["kind"] == "takes"]
    highest = takes.groupby("corpus")["texture"].max()
    records = []
    for corpus, ours in comparisons.groupby("corpus", sort=False):
        rest = highest.drop(corpus)
        held_out = (np.floor(rest.max() / GRAIN) + 1) * GRAIN
        for threshold, chosen in (
            (held_out, " and ".join(sorted(rest.index))),
            (TEXTURE_THRESHOLD, "shipped"),
        ):
            called = (ours["similarity"] >= THRESHOLD) | (ours["texture"] >= threshold)
            for kind, same in ours.assign(called=called).groupby("kind", sort=False):
                copies, others = same[same["is_copy"]], same[~same["is_copy"]]
                n_found, n_false = int(copies["called"].sum()), int(others["called"].sum())
                n_called = n_found + n_false
                records.append(
                    {
                        "corpus": corpus,
                        "kind": kind,
                        "threshold": round(float(threshold), 4),
                        "chosen_on": chosen,
                        "n_copies": len(copies),
                        "n_found": n_found,
                        "recall": n_found / len(copies) if len(copies) else np.nan,
                        "n_false": n_false,
                        "precision": n_found / n_called if n_called else np.nan,
                        "highest_similarity": float(others["similarity"].max()),
                        "highest_texture": float(others["texture"].max()),
                    }
                )
    return pd.DataFrame(records)


def main(names: Sequence[str] = ()) -> None:
    """Measure on the corpora named, or on all three, and write the table."""
    comparisons = pd.concat([run_trial(name) for name in names or CORPORA], ignore_index=True)
    table = score_trial(comparisons)
    with atomic_path(duplicates_table_path()) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    print(table.to_string())


if __name__ == "__main__":
    main(sys.argv[1:])
