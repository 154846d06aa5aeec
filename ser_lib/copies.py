"""Find the copies of recordings among many clips.

Three steps, each on fewer pairs than the one before. The vectors of fingerprints give each clip its
nearest neighbours, in blocks of one matrix product. The pictures of neighbours are compared on a
grid of lags, pitches and tempi: what agrees throughout is a copy. Of the rest, each clip's few
nearest are aligned exactly and, where the pictures agree well, listened to (`ser_lib.textures`):
that tells a stretched or pitched copy from another take.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ser_lib.fingerprints import THRESHOLD, Fingerprints, coarse_similarity, similarity
from ser_lib.progress import progress
from ser_lib.textures import TEXTURE_THRESHOLD, Listen, confirm_copies

__all__ = ["compare_pairs", "find_copies", "likely_pairs", "nearest_pairs"]

N_NEIGHBOURS = 20
N_DIMENSIONS = 96
# A pair whose pictures agree less than this share of the threshold, without a search over tempi and
# on the whole, is not looked at closely.
COARSE_SHARE = 0.7
# How many neighbours of each clip are listened to, and how well they must agree on the whole.
N_LIKELY, MIN_COARSE = 2, 0.5


def find_copies(
    prints: Fingerprints, *, threshold: float = THRESHOLD, listen: Listen | None = None
) -> pd.DataFrame:
    """Find all pairs of clips that are copies of each other.

    Parameters
    ----------
    prints : Fingerprints
        Of all clips.
    threshold : float
        Least similarity of pictures of a copy.
    listen : callable, optional
        From a clip's position to its signal and rate in Hz; without it stretched and pitched copies
        are not looked for.

    Returns
    -------
    pandas.DataFrame
        Columns `first, second` (positions, first < second), `similarity` of the pictures and
        `texture`, the similarity of the sounds' fine detail (NaN where the pictures told enough);
        best first. A recording with more copies than neighbours are compared is still found whole,
        by way of its copies' copies.
    """
    pairs = nearest_pairs(prints.vectors, N_NEIGHBOURS)
    compared = compare_pairs(prints.pictures, pairs, threshold=threshold, listen=listen)
    is_copy = (compared["similarity"] >= threshold) | (compared["texture"] >= TEXTURE_THRESHOLD)
    return compared[is_copy].sort_values(
        ["similarity", "first", "second"], ascending=[False, True, True], ignore_index=True
    )


def compare_pairs(
    pictures: np.ndarray, pairs: np.ndarray, *, threshold: float, listen: Listen | None = None
) -> pd.DataFrame:
    """Compare neighbours, as closely as each pair deserves.

    Parameters
    ----------
    pictures : ndarray of int8, shape (n_clips, 96, 64)
        Of all clips.
    pairs : ndarray of int, shape (n_pairs, 2)
        Positions of neighbours.
    threshold, listen
        As `find_copies`.

    Returns
    -------
    pandas.DataFrame
        One row a pair that was looked at closely: `first, second, similarity, texture`.
    """
    coarse = coarse_similarity(pictures, pairs)
    near = pairs[coarse >= COARSE_SHARE * threshold]
    scores = [
        similarity(pictures[a], pictures[b])
        for a, b in progress(near, total=len(near), what="comparing")
    ]
    table = pd.DataFrame(near, columns=["first", "second"])
    table = table.assign(similarity=np.array(scores, dtype=float), texture=np.nan)
    if listen is None:
        return table
    sure = table[table["similarity"] >= threshold]
    known = set(zip(sure["first"], sure["second"], strict=True))
    likely = [pair for pair in likely_pairs(pairs, coarse) if tuple(pair) not in known]
    heard = confirm_copies(
        pictures, np.array(likely, dtype=int).reshape(-1, 2), listen, threshold=threshold
    )
    # Of a pair that was compared twice the closer look counts.
    return pd.concat([heard, table], ignore_index=True).drop_duplicates(["first", "second"])


def likely_pairs(pairs: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Choose each clip's nearest neighbours.

    Parameters
    ----------
    pairs : ndarray of int, shape (n_pairs, 2)
        Positions.
    coarse : ndarray, shape (n_pairs,)
        How alike they are.

    Returns
    -------
    ndarray of int, shape (n_likely, 2)
        Pairs that agree on the whole and are among the two best of either clip, in order.
    """
    rows = np.flatnonzero(coarse >= MIN_COARSE)
    both = pd.DataFrame(
        {
            "clip": pairs[rows].ravel(),
            "row": np.repeat(rows, 2),
            "coarse": np.repeat(coarse[rows], 2),
        }
    )
    best = both.sort_values("coarse", ascending=False, kind="stable").groupby("clip").head(N_LIKELY)
    return pairs[np.unique(best["row"].to_numpy(dtype=int))]


def nearest_pairs(vectors: np.ndarray, n_neighbours: int, *, block: int = 1_024) -> np.ndarray:
    """Give each clip its nearest neighbours, by blocks of a matrix product.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n_clips, n_values)
        Of `Fingerprints`; clips without sound have zeros and no neighbours.
    n_neighbours : int
        Of each clip.
    block : int
        How many clips are compared with all at once.

    Returns
    -------
    ndarray of int, shape (n_pairs, 2)
        Positions, each pair once, the lower one first.
    """
    has_sound = np.flatnonzero(np.abs(vectors).max(axis=1, initial=0.0) > 0)
    n = len(has_sound)
    k = min(n_neighbours, n - 1)
    if k < 1:
        return np.empty((0, 2), dtype=int)
    centred = vectors[has_sound] - vectors[has_sound].mean(axis=0)
    if n > N_DIMENSIONS:
        _, axes = np.linalg.eigh(centred.T @ centred)
        centred = centred @ axes[:, -N_DIMENSIONS:]
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    found = []
    for start in range(0, n, block):
        rows = np.arange(start, min(start + block, n))
        closeness = centred[rows] @ centred.T
        closeness[rows - start, rows] = -np.inf
        nearest = np.argpartition(-closeness, k - 1, axis=1)[:, :k]
        found.append(np.stack([np.repeat(rows, k), nearest.ravel()], axis=1))
    pairs = np.sort(np.concatenate(found), axis=1)
    return has_sound[np.unique(pairs, axis=0)]
