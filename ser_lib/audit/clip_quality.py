"""Checks of single clips and of their formats: what is damaged, and what is unlike the rest.

`measure_clip` decodes one file and keeps a few numbers and its fingerprint; `check_clips` compares
the numbers of all clips. Leaks between clips are found by `ser_lib.audit.dataset`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ser_lib.audio.io import check_facts, read_recording
from ser_lib.audio.signal import without_offset
from ser_lib.audit.fingerprint import fingerprint
from ser_lib.errors import AudioError
from ser_lib.features.acoustic import opening_silence

# Kind -> level, description. A fault has to be corrected; an observation has to be known.
KINDS: dict[str, tuple[str, str]] = {
    "damaged": ("fault", "cannot be decoded, or holds NaN"),
    "truncated": ("fault", "shorter than its header promises"),
    "silent": ("fault", "nothing to hear"),
    "unfit": ("fault", "outside of what speech corpora hold"),
    "clipped": ("observation", "overdriven: runs of samples at the largest level"),
    "cut_off": ("observation", "begins or ends at the level of speech"),
    "zero_padded": ("observation", "begins or ends with digital silence"),
    "one_length": ("observation", "many clips of one length: cropped or padded"),
    "off_length": ("observation", "much shorter or longer than the others"),
    "odd_format": ("observation", "another format than most clips"),
}

# Runs of at least three samples within 1.5 steps of 16 bits below the peak; speech has none.
RUN_SAMPLES, STEP = 3, 1.5 / 32_768
MIN_RUNS = 3

# Below this peak, the steps of 16 bits are flat tops themselves.
MIN_CLIPPED_PEAK_DB = -30.0
EDGE_S = 0.02

# An edge this close to the level of the loudest twentieth of the clip is speech, not a pause.
MIN_EDGE_DB = -15.0
MIN_ZEROS_S = 0.05
MIN_SAME_LENGTH_SHARE, MIN_CLIPS = 0.5, 8

# Tukey's outer fences, on the logarithm of the duration.
FENCE = 3.0


@dataclass(frozen=True)
class ClipFinding:
    """One finding about some clips."""

    kind: str
    """A key of `KINDS`."""
    clips: tuple[str, ...]
    detail: str


def measure_clip(
    path: str | Path, start_s: float = 0.0, end_s: float = np.inf
) -> tuple[dict[str, object], np.ndarray | None]:
    """Decode a clip once; return its numbers and its fingerprint, None where it cannot be decoded.

    `problem` is empty where the clip can be used.
    """
    try:
        recording = read_recording(path, start_s, end_s)
    except AudioError as error:
        problem = str(error).removeprefix(f"{path}: ")
        return {"problem": problem, "audio_sha256": "", "opening": None}, None
    facts, signal = recording.facts, np.nan_to_num(recording.signal)
    row: dict[str, object] = {
        "problem": "; ".join(check_facts(facts)),
        "container": recording.container,
        "sample_format": facts.sample_format,
        "sample_rate_hz": facts.sample_rate_hz,
        "n_channels": facts.n_channels,
        "duration_s": facts.duration_s,
        "peak_db": facts.peak_db,
        "audio_sha256": facts.audio_sha256,
        "n_runs": _clipped_runs(signal, facts.peak_db),
        "edge_db": _edge_db(signal, facts.sample_rate_hz),
        "zeros_s": _zeros_at_edges(signal) / facts.sample_rate_hz,
        "opening": opening_silence(signal, facts.sample_rate_hz) if len(signal) else None,
    }
    return row, fingerprint(signal, facts.sample_rate_hz)


def _clipped_runs(signal: np.ndarray, peak_db: float) -> int:
    """Count runs of samples at the peak, of either sign."""
    if peak_db < MIN_CLIPPED_PEAK_DB:
        return 0
    peak = np.abs(signal).max()
    n_runs = 0
    for side in (signal, -signal):
        is_high = np.concatenate([[False], side >= peak - STEP, [False]])
        edges = np.flatnonzero(np.diff(is_high))
        n_runs += int((edges[1::2] - edges[::2] >= RUN_SAMPLES).sum())
    return n_runs


def _edge_db(signal: np.ndarray, sample_rate_hz: int) -> float:
    """Return the level of the louder edge relative to the loudest twentieth of the clip, in dB."""
    size = max(1, round(EDGE_S * sample_rate_hz))
    signal = without_offset(signal)
    frames = signal[: len(signal) // size * size].reshape(-1, size)
    if not len(frames):
        return 0.0
    powers = (frames.astype(np.float64) ** 2).mean(axis=1)
    # The last frame is that of the last samples, not of the last whole multiple.
    last = float((signal[-size:].astype(np.float64) ** 2).mean())
    loud = max(float(np.quantile(powers, 0.95)), 1e-12)
    return float(10 * np.log10(max(powers[0], last, 1e-12) / loud))


def _zeros_at_edges(signal: np.ndarray) -> int:
    """Count the zeros of the longer run at an edge; a clip of zeros alone has none."""
    sounding = np.flatnonzero(signal)
    if not len(sounding):
        return 0
    return max(int(sounding[0]), len(signal) - 1 - int(sounding[-1]))


def check_clips(clips: pd.DataFrame) -> list[ClipFinding]:
    """Find the clips that are damaged or unlike the others, in the order of `KINDS`.

    `clips` has `clip_id` and the numbers of `measure_clip`.
    """
    found = [*_problems(clips)]
    sound = clips[clips["problem"] == ""]
    if len(sound):
        found += _levels(sound)
    if len(sound) >= MIN_CLIPS:
        found += [*_lengths(sound), *_formats(sound)]
    kinds = list(KINDS)
    return sorted((one for one in found if one.clips), key=lambda one: kinds.index(one.kind))


def _problems(clips: pd.DataFrame) -> Iterator[ClipFinding]:
    """Group the files that cannot be used by what is wrong; details quote the first."""
    bad = clips[clips["problem"] != ""]
    problem = bad["problem"].astype(str)
    has_no_sound = bad.reindex(columns=["duration_s"])["duration_s"].isna()
    is_damaged = has_no_sound | problem.str.startswith("holds NaN")
    kinds = np.select(
        [problem.str.startswith("truncated"), problem.str.startswith("silent"), is_damaged],
        ["truncated", "silent", "damaged"],
        "unfit",
    )
    for kind, rows in bad.groupby(kinds):
        quoted = f"{rows['problem'].iloc[0]} ({rows['clip_id'].iloc[0]})"
        yield ClipFinding(kind, tuple(rows["clip_id"]), quoted)


def _levels(clips: pd.DataFrame) -> Iterator[ClipFinding]:
    """Find what the levels of samples show: clipping, cut-off speech, added silence."""
    runs = f"{MIN_RUNS} runs or more of {RUN_SAMPLES} samples or more"
    edge = f"an edge within {-MIN_EDGE_DB:.0f} dB of the loud parts"
    zeros = f"{1000 * MIN_ZEROS_S:.0f} ms or more of zeros at an edge"
    ids = clips["clip_id"]
    yield ClipFinding("clipped", tuple(ids[clips["n_runs"] >= MIN_RUNS]), runs)
    yield ClipFinding("cut_off", tuple(ids[clips["edge_db"] > MIN_EDGE_DB]), edge)
    yield ClipFinding("zero_padded", tuple(ids[clips["zeros_s"] >= MIN_ZEROS_S]), zeros)


def _lengths(clips: pd.DataFrame) -> Iterator[ClipFinding]:
    """Find clips of one length, and those much shorter or longer than the others."""
    durations = clips["duration_s"].round(4)
    counts = durations.value_counts()
    if counts.iloc[0] >= MIN_SAME_LENGTH_SHARE * len(clips):
        same = clips[durations == counts.index[0]]
        detail = f"{counts.iloc[0]} of {len(clips)} clips last exactly {counts.index[0]:.4g} s"
        yield ClipFinding("one_length", tuple(same["clip_id"]), detail)
    logs = np.log(clips["duration_s"])
    low, high = np.quantile(logs, [0.25, 0.75])
    margin = FENCE * (high - low)
    # Rounding alone is no difference, where all clips are of one length.
    off = clips[(logs < low - margin - 1e-6) | (logs > high + margin + 1e-6)]
    if len(off):
        low_s, high_s = np.exp([low - margin, high + margin])
        span = f"{off['duration_s'].min():.2f} to {off['duration_s'].max():.2f} s"
        usual = f"usual: {low_s:.2f} to {high_s:.2f} s"
        yield ClipFinding("off_length", tuple(off["clip_id"]), f"{span}; {usual}")


def _formats(clips: pd.DataFrame) -> Iterator[ClipFinding]:
    """Find the formats of a minority; a model may take a format for a sign of the class."""
    units = {"sample_rate_hz": " Hz", "n_channels": " channels"}
    for column in ("container", "sample_format", "sample_rate_hz", "n_channels"):
        unit = units.get(column, "")
        values = clips[column].map(
            lambda value: f"{value:g}" if isinstance(value, float) else value
        )
        counts = values.value_counts()
        if 2 * counts.iloc[0] <= len(clips) and len(counts) > 2:
            others = tuple(clips.loc[values != counts.index[0], "clip_id"])
            detail = (
                f"{column}: {len(counts)} kinds, none in most clips; {counts.index[0]}{unit} in "
                f"{counts.iloc[0]} of {len(clips)}"
            )
            yield ClipFinding("odd_format", others, detail)
            continue
        for value, count in counts.iloc[1:].items():
            detail = (
                f"{column}: {value}{unit} in {count} of {len(clips)}, where {counts.iloc[0]} have "
                f"{counts.index[0]}{unit}"
            )
            yield ClipFinding("odd_format", tuple(clips.loc[values == value, "clip_id"]), detail)
