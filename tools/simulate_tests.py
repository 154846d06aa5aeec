"""Errors and power of rules that say which of several systems is better, by simulation.

`python -m tools.simulate_tests` writes `reports/simulation/tests.csv`, which chapter 09 shows. A
clip is recognised where a normal variable is positive: the sum of effects of speaker, speaker and
system, clip, clip and system, seed and system, and a rest. Their shares of the variance lie between
those of the stored runs on RAVDESS and EmoDB (`--shares` prints them, by the method of moments).
Eight systems: all equal; or five equal, two better by some 5 points of accuracy, one by 10.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import combinations, combinations_with_replacement

import numpy as np
import pandas as pd
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests

from ser_lib import data
from ser_lib.evaluation.bootstrap import resample_speakers, resampled
from ser_lib.evaluation.metrics import mean_recall, uar
from ser_lib.evaluation.significance import ERROR_RATE, compare_counts
from ser_lib.paths import atomic_path, simulated_tests_path
from ser_lib.runs.results import collect
from ser_lib.runtime import progress
from ser_lib.studies import OURS

# speakers: (clips a speaker, classes); TESS, SAVEE, a group below and at the limit, EmoDB, RAVDESS,
# CREMA-D
SIZES = {2: (300, 7), 4: (100, 7), 5: (60, 7), 6: (60, 7), 10: (53, 7), 24: (60, 8), 91: (80, 6)}

# Shares of the latent variance; what is left is that of one clip, system and seed.
SHARES = {"speaker": 0.045, "speaker, system": 0.009, "clip": 0.725, "clip, system": 0.205}
# Networks vary with their seeds, ridge regression hardly does.
SEED_SHARES = (0.0001, 0.0002, 0.001, 0.003) * 2
N_SEEDS = 3
LEVEL = 0.77  # accuracy 0.78
SKILLS = {"equal": (0.0,) * 8, "unequal": (0, 0, 0, 0, 0, 0.17, 0.17, 0.34)}


def simulate(n_speakers: int, skills: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Draw counts of shape (n_systems, n_seeds, n_speakers, n_classes, n_classes)."""
    n_clips, n_classes = SIZES[n_speakers]
    shape = {
        "speaker": (1, 1, n_speakers, 1),
        "speaker, system": (len(skills), 1, n_speakers, 1),
        "clip": (1, 1, n_speakers, n_clips),
        "clip, system": (len(skills), 1, n_speakers, n_clips),
    }
    latent = LEVEL + np.reshape(skills, (-1, 1, 1, 1))
    for name, share in SHARES.items():
        latent = latent + np.sqrt(share) * rng.standard_normal(shape[name])
    of_seed = np.sqrt(np.reshape(SEED_SHARES, (-1, 1, 1, 1)))
    latent = latent + of_seed * rng.standard_normal((len(skills), N_SEEDS, 1, 1))
    rest = rng.standard_normal((len(skills), N_SEEDS, n_speakers, n_clips))
    hits = latent + np.sqrt(1 - sum(SHARES.values())) * rest > 0
    classes = rng.integers(n_classes, size=(n_speakers, n_clips))
    member = np.eye(n_classes, dtype=np.float32)[classes]
    right = np.einsum("aksn,snc->aksc", hits.astype(np.float32), member, optimize=True)
    wrong = member.sum(axis=1) - right
    counts = np.zeros((*right.shape, n_classes))
    number = np.arange(n_classes)
    counts[..., number, number] = right
    counts[..., number, (number + 1) % n_classes] = wrong
    return counts


def by_this_report(counts: np.ndarray) -> np.ndarray:
    """Signs of the clear differences, by `compare_counts`."""
    tests = compare_counts(list(combinations(counts, 2)))
    return np.where(tests["verdict"].str.startswith("clearly"), np.sign(tests["difference"]), 0)


def by_interval(counts: np.ndarray) -> np.ndarray:
    """Signs of differences whose percentile interval excludes zero, not corrected."""
    weights = resample_speakers(counts.shape[2], 1000, 0)
    drawn = [resampled(one, weights, mean_recall) for one in counts]
    ends = np.array([np.percentile(a - b, [2.5, 97.5]) for a, b in combinations(drawn, 2)])
    return np.select([ends[:, 0] > 0, ends[:, 1] < 0], [1, -1], 0)


def by_wilcoxon(counts: np.ndarray) -> np.ndarray:
    """Signs of differences on which Wilcoxon's test, corrected by Holm, and the interval agree."""
    scores = uar(counts).mean(axis=1)
    differences = np.array([a - b for a, b in combinations(scores, 2)])
    # With ties SciPy would go through all signs: seconds, for much the same values.
    p = stats.wilcoxon(differences, axis=1, method="exact").pvalue
    is_clear = multipletests(p, alpha=ERROR_RATE, method="holm")[0]
    return np.where(is_clear, by_interval(counts), 0)


def by_t_test(counts: np.ndarray) -> np.ndarray:
    """Signs of differences by the paired t test over the speakers' UAR, corrected by Holm."""
    scores = uar(counts).mean(axis=1)
    differences = np.array([a - b for a, b in combinations(scores, 2)])
    test = stats.ttest_1samp(differences, 0, axis=1)
    is_clear = multipletests(test.pvalue, alpha=ERROR_RATE, method="holm")[0]
    return np.where(is_clear, np.sign(test.statistic), 0)


RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sign flips by speaker, maximum (this report)": by_this_report,
    "t test by speaker, Holm": by_t_test,
    "Wilcoxon by speaker, Holm, and interval": by_wilcoxon,
    "interval of the pair alone": by_interval,
}


def rates(n_speakers: int, n_rounds: int) -> list[dict[str, object]]:
    """Simulate one number of speakers: one row a rule; `coverage` is that of a score's interval."""
    rng = np.random.default_rng(n_speakers)
    weights = resample_speakers(n_speakers, 1000, 0)
    inside = []
    outcomes: dict[tuple[str, str], list[np.ndarray]] = {}
    for _ in range(n_rounds):
        for skill, values in SKILLS.items():
            counts = simulate(n_speakers, values, rng)
            ends = np.percentile(resampled(counts[0], weights, mean_recall), [2.5, 97.5])
            inside.append(ends[0] <= stats.norm.cdf(LEVEL) <= ends[1])
            for rule, decide in RULES.items():
                outcomes.setdefault((rule, skill), []).append(decide(counts))
    gaps = np.array([a - b for a, b in combinations(SKILLS["unequal"], 2)])
    size = np.abs(gaps).round(2)
    rows = []
    for rule in RULES:
        equal, unequal = (np.array(outcomes[rule, skill]) for skill in SKILLS)
        is_wrong = (unequal != 0) & (unequal != np.sign(gaps))
        is_found = unequal == np.sign(gaps)
        rows.append(
            {
                "n_speakers": n_speakers,
                "rule": rule,
                "error_equal": (equal != 0).any(axis=1).mean(),
                "error_unequal": is_wrong.any(axis=1).mean(),
                "power_5": is_found[:, size == 0.17].mean(),
                "power_10": is_found[:, size == 0.34].mean(),
                "coverage": np.mean(inside),
            }
        )
    return rows


def stored_shares(corpus: str) -> dict[str, float]:
    """Shares of the latent variance in the stored runs of our systems on a corpus.

    Latent correlations come from how often two predictions are right together: of one clip or of
    two clips of a speaker, by one system or by two.
    """
    clips = data.load_corpus(corpus, strict=False)
    found = [
        collect(one, clips, protocols=("honest",), stored_only=True)
        for one in OURS.values()
        if corpus in (*one.corpora, *one.label_sets)
    ]
    results = [one for each in found for one in each.all if len(one.runs) > 1]
    sorted_tables = [[t.sort_values("clip_id") for t in one.tables] for one in results]
    hits = [
        np.array([(t["truth"] == t["prediction"]).to_numpy(float) for t in tables])
        for tables in sorted_tables
    ]
    speakers = pd.get_dummies(sorted_tables[0][0]["speaker"]).to_numpy(float)
    n_pairs = (speakers.sum(axis=0) ** 2 - speakers.sum(axis=0)).sum()
    kinds: dict[str, list[float]] = {}
    for first, second in combinations_with_replacement(hits, 2):
        who = "one" if first is second else "two"
        # Of one system, two seeds: the next one of each.
        x, y = first, np.roll(second, 1, axis=0)[: len(first)]
        x = x[: len(y)]
        of_clip = (x * y).mean()
        by_speaker = ((x @ speakers) * (y @ speakers)).sum(axis=1) - (x * y).sum(axis=1)
        for what, share in (("clip", of_clip), ("speaker", by_speaker.mean() / n_pairs)):
            kinds.setdefault(f"{what}, {who}", []).append(_latent(share, x.mean(), y.mean()))
    mean = {name: float(np.mean(values)) for name, values in kinds.items()}
    speaker = mean["speaker, two"]
    own = mean["speaker, one"] - speaker
    clip = mean["clip, two"] - speaker
    parts = (speaker, own, clip, mean["clip, one"] - speaker - own - clip)
    return dict(zip(SHARES, parts, strict=True))


def _latent(share: float, first: float, second: float) -> float:
    """Correlation of two normal variables that are positive together in this share of cases."""
    at = stats.norm.ppf([first, second])

    def gap(r: float) -> float:
        return float(stats.multivariate_normal.cdf(at, cov=[[1, r], [r, 1]])) - share

    return 1.0 if gap(0.99) < 0 else float(optimize.brentq(gap, -0.9, 0.99, xtol=1e-4))


def main() -> None:
    """Simulate, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="of each number of speakers")
    parser.add_argument("--shares", action="store_true", help="print those of stored runs")
    options = parser.parse_args()
    if options.shares:
        table = pd.DataFrame({one: stored_shares(one) for one in ("ravdess", "emodb")})
        print(table.assign(simulated=SHARES).round(3).to_string())
        return
    sizes = progress(SIZES, total=len(SIZES), what="numbers of speakers")
    table = pd.DataFrame([row for size in sizes for row in rates(size, options.rounds)])
    path = simulated_tests_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part:
        table.assign(n_rounds=options.rounds).round(4).to_csv(part, index=False)
    print(table.to_string())


if __name__ == "__main__":
    main()
