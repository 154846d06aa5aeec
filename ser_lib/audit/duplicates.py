"""Find the copies of recordings among many clips.

Three steps, each on fewer pairs than the one before. The vectors of fingerprints give each clip its
nearest neighbours, in blocks of one matrix product. The pictures of neighbours are compared on a
grid of lags, pitches and tempi: what agrees throughout is a copy. Of the rest, each clip's few
nearest are aligned exactly and, where the pictures agree well, compared by their texture, the fine
detail of the spectrum: it distinguishes a stretched or pitched copy from another take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import minimize

from ser_lib.audio.signal import resample
from ser_lib.audit.fingerprint import (
    FINGERPRINT_RATE_HZ,
    HALF_WIDTH,
    HIGHEST_HZ,
    LOWEST_HZ,
    N_BANDS,
    N_STEPS,
    TEMPI,
    THRESHOLD,
    WINDOW,
    AtTempi,
    Fingerprints,
    Moments,
    coarse_similarity,
    loudness_moments,
    power_spectrogram,
    unit,
    worst_part,
)
from ser_lib.runtime import progress

MIN_ALIGNED = 0.55
"""Similarity of aligned pictures from which the textures of two clips are compared."""
TEXTURE_THRESHOLD = 0.22
"""Similarity of textures from which they are copies; see `tools.evaluate_duplicates`."""
HOP = 80  # in samples: frames of 10 ms
BIN_HZ = FINGERPRINT_RATE_HZ / WINDOW
FIRST_BIN, LAST_BIN = round(LOWEST_HZ / BIN_HZ), round(HIGHEST_HZ / BIN_HZ)

# Bins over which the spectral envelope is smoothed away.
ENVELOPE_BINS = 5.0

# Levels below this, against a full-scale peak, count as silence.
FLOOR = 1e-7

# The alignment uses this many frames and every other bin; the final comparison all of them.
N_FRAMES, BIN_STEP = 48, 2
LAGS = np.linspace(-0.6, 0.6, 7)

# The alignment of pictures uses every other column.
COLUMN_STEP = 2

# Pieces of time that are compared, in standard deviations of the loudness over time.
REACH = 2.2

# Where harmonics are weakest: this share of the frames.
QUIET_SHARE = 0.4
MIN_FRAMES = 8

# Least mean square of the detail (natural logarithms) of a frame that is compared.
MIN_DETAIL = 0.02

# Textures are kept while their neighbours are compared: 0.2 MB for a second of sound.
N_KEPT = 256

# Of each clip so many nearest neighbours are compared, in so many principal dimensions.
N_NEIGHBOURS = 20
N_DIMENSIONS = 96

# From how many clips on not all are compared with all, and in how many cells each is sought then:
# of planted copies among 300,000 0.1 % are missed (`tools.scale`).
MANY_CLIPS, N_CELLS = 20_000, 8
BLOCK, MAX_PRODUCTS = 4_096, 2**21  # rows, and products, in memory at once

# A pair whose pictures agree less than this share of the threshold, without a search over tempi and
# on the whole, is not looked at closely.
COARSE_SHARE = 0.7

# Of how many neighbours of each clip the textures are compared, and how well they must agree.
N_LIKELY, MIN_COARSE = 2, 0.5

# From a clip's position to its signal and rate in Hz.
Loader = Callable[[int], tuple[np.ndarray, int]]


@dataclass(frozen=True)
class Texture:
    """The fine detail of a clip's spectrum."""

    detail: np.ndarray
    """Shape (n_bins, n_frames), float32: log levels less their envelope; frames of 10 ms."""
    moments: Moments
    """Centre and spread of the loudness over time, in frames."""


def texture(signal: np.ndarray, sample_rate_hz: int) -> Texture:
    """Compute the fine detail of a mono clip's spectrum; all zeros without sound."""
    signal = resample(signal, sample_rate_hz, FINGERPRINT_RATE_HZ)
    power = power_spectrogram(signal, hop=HOP, n_fft=WINDOW, n_after=WINDOW)
    levels = np.log(power[FIRST_BIN : LAST_BIN + 1] + FLOOR)
    detail = levels - gaussian_filter1d(levels, ENVELOPE_BINS, axis=0, truncate=3.0)
    return Texture(detail.astype(np.float32), loudness_moments(signal, hop=HOP))


def align(first: np.ndarray, second: np.ndarray) -> tuple[float, np.ndarray]:
    """Find where two pictures agree best, between the grid's points, and how well.

    How `second` is to be moved: logarithm of a factor on its time, bands up, steps later.
    """
    tempo, bands, steps = AtTempi(second).best_displacement(first)
    here, there = unit(first), second.astype(np.float32)
    rows, columns = np.arange(N_BANDS, dtype=np.float32), np.arange(N_STEPS, dtype=np.float32)
    middle = (N_STEPS - 1) / 2

    def moved(place: np.ndarray, every: int) -> np.ndarray:
        times = middle + (columns[::every] - middle - place[2]) * np.exp(place[0])
        return _sampled(there, rows - place[1], times)

    few = unit(here[:, ::COLUMN_STEP])
    place = _descend(
        lambda place: -float(_correlation(few, moved(place, COLUMN_STEP), axis=None)),
        np.array([np.log(TEMPI[tempo]), bands, steps]),
        np.array([0.02, 0.7, 0.7]),
        n_evaluations=50,
    )
    return worst_part(here, unit(moved(place, 1))), place


def texture_similarity(first: Texture, second: Texture, place: np.ndarray) -> float:
    """Compare the fine details of two clips where harmonics are weak, from `place` of `align` on.

    The correlation that three in four frames exceed: 0.3 to 0.5 for a stretched or pitched copy,
    at most 0.2 for two takes; 0 where too few frames have detail.
    """
    # A step of the pictures, in frames.
    step_a, step_b = (
        2 * HALF_WIDTH * one.moments.spread / (N_STEPS - 1) for one in (first, second)
    )
    times = np.arange(first.detail.shape[1], dtype=np.float32)
    reach = REACH * first.moments.spread
    times = times[np.abs(times - first.moments.centre) < reach]
    bins = np.arange(first.detail.shape[0], dtype=np.float32)
    band = np.log(HIGHEST_HZ / LOWEST_HZ) / (N_BANDS - 1)

    def moved(place: np.ndarray, times: np.ndarray, bins: np.ndarray) -> np.ndarray:
        units = (times - first.moments.centre) / step_a
        there = second.moments.centre + (units - place[2]) * np.exp(place[0]) * step_b
        return _sampled(
            second.detail, (bins + FIRST_BIN) * np.exp(-place[1] * band) - FIRST_BIN, there
        )

    few_times = times[:: max(1, round(len(times) / N_FRAMES))]
    few_bins = bins[::BIN_STEP]
    few = first.detail[np.ix_(few_bins.astype(int), few_times.astype(int))]

    def mismatch(place: np.ndarray) -> float:
        return -float(_correlation(few, moved(place, few_times, few_bins), axis=None))

    # The pictures' steps are long compared with the detail: neighbouring lags are tried first.
    start = min((place + np.array([0.0, 0.0, lag]) for lag in LAGS), key=mismatch)
    best = _descend(mismatch, start, np.array([0.01, 0.15, 0.2]), n_evaluations=60)
    here, there = first.detail[:, times.astype(int)], moved(best, times, bins)
    strength = (here**2).mean(axis=0)
    has_detail = (strength > MIN_DETAIL) & ((there**2).mean(axis=0) > MIN_DETAIL)
    if has_detail.sum() < MIN_FRAMES:
        return 0.0
    is_quiet = has_detail & (strength <= np.quantile(strength[has_detail], QUIET_SHARE))
    return float(np.quantile(_correlation(here, there, axis=0)[is_quiet], 0.25))


def confirm_copies(
    pictures: np.ndarray, pairs: np.ndarray, load: Loader, *, threshold: float
) -> pd.DataFrame:
    """Align pairs of clips, and compare the textures of those whose pictures agree.

    Returns `first, second, similarity` (aligned), `texture` (NaN where the similarity decides).
    """

    @lru_cache(maxsize=N_KEPT)
    def texture_of(position: int) -> Texture:
        return texture(*load(position))

    def compare(a: int, b: int) -> tuple[float, float]:
        score, place = align(pictures[a], pictures[b])
        if not MIN_ALIGNED <= score < threshold:
            return score, np.nan
        return score, texture_similarity(texture_of(a), texture_of(b), place)

    tasks = (delayed(compare)(int(a), int(b)) for a, b in pairs)
    compared = Parallel(n_jobs=-1, prefer="threads", return_as="generator")(tasks)
    scores = list(progress(compared, total=len(pairs), what="comparing fine detail"))
    table = pd.DataFrame(scores, columns=["similarity", "texture"], dtype=float)
    table.insert(0, "second", pairs[:, 1])
    table.insert(0, "first", pairs[:, 0])
    return table


def _sampled(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Interpolate an image on a grid of rows and columns, linearly; zero outside of it."""
    return _along(_along(image, columns, axis=1), rows, axis=0)


def _along(image: np.ndarray, positions: np.ndarray, *, axis: int) -> np.ndarray:
    # In place and by `take`: this is what an audit spends most of its time with.
    last = image.shape[axis] - 1
    whole = np.minimum(np.maximum(positions.astype(np.intp), 0), last - 1)
    share = np.minimum(np.maximum(positions - whole, 0), 1).astype(np.float32)
    inside = (positions >= 0) & (positions <= last)
    shape = (1, -1) if axis else (-1, 1)
    sampled, after = image.take(whole, axis), image.take(whole + 1, axis)
    sampled *= ((1 - share) * inside).reshape(shape)
    after *= (share * inside).reshape(shape)
    sampled += after
    return sampled


def _descend(
    cost: Callable[[np.ndarray], float], start: np.ndarray, size: np.ndarray, *, n_evaluations: int
) -> np.ndarray:
    """Minimise from `start` with a simplex of the given size."""
    simplex = np.vstack([start, start + np.diag(size)])
    options = {"initial_simplex": simplex, "maxfev": n_evaluations, "xatol": 5e-3, "fatol": 1e-3}
    return minimize(cost, start, method="Nelder-Mead", options=options).x


def _correlation(first: np.ndarray, second: np.ndarray, *, axis: int | None) -> np.ndarray:
    lengths = (first**2).sum(axis=axis) * (second**2).sum(axis=axis)
    return (first * second).sum(axis=axis) / np.sqrt(np.maximum(lengths, 1e-12))


def find_copies(
    prints: Fingerprints, *, threshold: float = THRESHOLD, load: Loader | None = None
) -> pd.DataFrame:
    """Find all pairs of copies, the best first: `first < second`, `similarity`, `texture`.

    Without `load` stretched and pitched copies are not looked for. A recording with more copies
    than neighbours are compared is still found whole, by way of its copies' copies.
    """
    pairs = nearest_pairs(prints.vectors, N_NEIGHBOURS)
    compared = compare_pairs(prints.pictures, pairs, threshold=threshold, load=load)
    is_copy = (compared["similarity"] >= threshold) | (compared["texture"] >= TEXTURE_THRESHOLD)
    return compared[is_copy].sort_values(
        ["similarity", "first", "second"], ascending=[False, True, True], ignore_index=True
    )


def compare_pairs(
    pictures: np.ndarray, pairs: np.ndarray, *, threshold: float, load: Loader | None = None
) -> pd.DataFrame:
    """Compare pairs of positions; return those that were looked at closely, one row a pair."""
    coarse = coarse_similarity(pictures, pairs)
    is_near = coarse >= COARSE_SHARE * threshold
    near, scores = np.flatnonzero(is_near), np.full(len(pairs), np.nan)
    at_tempi = lru_cache(maxsize=1)(lambda position: AtTempi(pictures[position]))
    for row in progress(near[np.argsort(pairs[near, 1])], total=len(near), what="comparing"):
        scores[row] = at_tempi(pairs[row, 1]).similarity(pictures[pairs[row, 0]])
    confirmed = []
    if load is not None:
        is_likely = likely_pairs(pairs, coarse) & ~(scores >= threshold)
        confirmed = [confirm_copies(pictures, pairs[is_likely], load, threshold=threshold)]
        # Of a pair that was compared twice the closer comparison counts.
        near = np.flatnonzero(is_near & ~is_likely)
    table = pd.DataFrame(pairs[near], columns=["first", "second"]).assign(
        similarity=scores[near], texture=np.nan
    )
    return pd.concat([*confirmed, table], ignore_index=True)


def likely_pairs(pairs: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Tell which pairs agree on the whole and are among the two best of either clip."""
    is_likely = np.zeros(len(pairs), dtype=bool)
    rows = np.flatnonzero(coarse >= MIN_COARSE)
    clips = pairs[rows].ravel()
    for start in range(0, clips.max(initial=-1) + 1, BLOCK):
        places = np.flatnonzero((clips >= start) & (clips < start + BLOCK))
        places = places[np.lexsort((-coarse[rows[places // 2]], clips[places]))]
        # What stands two places before is of another clip.
        is_best = np.ones(len(places), dtype=bool)
        is_best[N_LIKELY:] = clips[places[N_LIKELY:]] != clips[places[:-N_LIKELY]]
        is_likely[rows[places[is_best] // 2]] = True
    return is_likely


def nearest_pairs(vectors: np.ndarray, n_neighbours: int) -> np.ndarray:
    """Pair each clip that has sound with its nearest neighbours, the lower position first.

    Among more than `MANY_CLIPS` each is sought in the nearest of many cells.
    """
    blocks = [vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK)]
    loud = [np.abs(one).max(axis=1, initial=0.0) > 0 for one in blocks]
    has_sound = np.flatnonzero(np.concatenate(loud)) if loud else np.empty(0, dtype=int)
    n = len(has_sound)
    k = min(n_neighbours, n - 1)
    if k < 1:
        return np.empty((0, 2), dtype=int)
    points = _principal(lambda: (one[own] for one, own in zip(blocks, loud, strict=True)), n)
    nearest = _nearest(points, k)
    del points
    keys = np.empty(nearest.shape, dtype=np.int64)
    for start in range(0, n, BLOCK):
        second = nearest[start : start + BLOCK].astype(np.int64)
        first = np.arange(start, start + len(second))[:, None]
        lower, higher = np.minimum(first, second), np.maximum(first, second)
        keys[start : start + BLOCK] = np.where(second < 0, -1, lower * n + higher)
    # In place: of very many clips, this takes the most memory.
    in_order = keys.reshape(-1)
    in_order.sort()
    found = in_order[(in_order >= 0) & (np.diff(in_order, prepend=-1) > 0)]
    return np.stack([has_sound[found // n], has_sound[found % n]], axis=1, dtype=np.int32)


def _principal(blocks: Callable[[], Iterable[np.ndarray]], n: int) -> np.ndarray:
    """Return the directions of vectors from their mean, in few principal dimensions, float32."""
    mean = sum(one.sum(axis=0, dtype=np.float64) for one in blocks()) / n
    axes = np.eye(len(mean))
    if n > N_DIMENSIONS:
        products = sum((one - mean).T @ (one - mean) for one in blocks())
        axes = np.linalg.eigh(products)[1][:, -N_DIMENSIONS:]
    points, end = np.empty((n, axes.shape[1]), dtype=np.float32), 0
    for one in blocks():
        part = ((one - mean) @ axes).astype(np.float32)
        part /= np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9)
        end += len(part)
        points[end - len(part) : end] = part
    return points


def _nearest(points: np.ndarray, k: int) -> np.ndarray:
    """Return the nearest neighbours of each point, shape (n, k); -1 where too few were looked at.

    Cells lie around points that are drawn; a point belongs to the nearest and is compared with what
    belongs to the `N_CELLS` nearest. All are compared where points are few.
    """
    n = len(points)
    home_of, cells_of = np.zeros(n, dtype=np.int32), np.zeros((n, 1), dtype=np.int32)
    if n > MANY_CLIPS:
        cells_of = np.empty((n, N_CELLS), dtype=np.int32)
        drawn = np.random.default_rng(0).choice(n, round(2 * np.sqrt(n)), replace=False)
        centres = points[drawn].T
        for start in range(0, n, BLOCK):
            closeness = points[start : start + BLOCK] @ centres
            home_of[start : start + BLOCK] = closeness.argmax(axis=1)
            found = np.argpartition(-closeness, N_CELLS - 1, axis=1)[:, :N_CELLS]
            cells_of[start : start + BLOCK] = found
    best = np.full((n, k), -1, dtype=np.int32)
    scores = np.full((n, k), -np.inf, dtype=np.float32)
    members_of, askers_of = _groups(home_of), _groups(cells_of.ravel())
    for cell, members in members_of.items():
        askers = askers_of[cell] // cells_of.shape[1]
        there = points[members].T
        step = max(1, MAX_PRODUCTS // len(members))
        for rows in (askers[start : start + step] for start in range(0, len(askers), step)):
            closeness = points[rows] @ there
            closeness[rows[:, None] == members] = -np.inf
            known = np.concatenate([scores[rows], closeness], axis=1)
            chosen = np.argpartition(-known, k - 1, axis=1)[:, :k]
            ids = np.where(
                chosen < k,
                np.take_along_axis(best[rows], np.minimum(chosen, k - 1), axis=1),
                members[np.maximum(chosen - k, 0)],
            )
            scores[rows] = np.take_along_axis(known, chosen, axis=1)
            best[rows] = np.where(np.isfinite(scores[rows]), ids, -1)
    return best


def _groups(cells: np.ndarray) -> dict[int, np.ndarray]:
    """Return the positions of each cell."""
    order = np.argsort(cells, kind="stable")
    names, starts = np.unique(cells[order], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True))
