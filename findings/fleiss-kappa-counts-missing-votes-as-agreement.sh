#!/usr/bin/env bash
# statsmodels 0.15.0, krippendorff 0.9.0, Python 3.11: a vote that was not given is a class of its own.
#
# Guess: `aggregate_raters` leaves NaN out, or refuses it; listeners who agree on every clip that they
#        heard have a kappa of 1, and those who vote at random one of 0, however votes are spread.
# Found: NaN becomes a category like `angry`, and `fleiss_kappa` takes two missing votes for agreement
#        and a missing beside a given one for disagreement. Where three of six listeners heard each clip,
#        and always agree, kappa is 0.13; of random votes it is 0.26 where half the clips had one listener
#        and half had all. Nothing is said. Krippendorff's alpha of the same tables is 1 and 0.
# Seen:  three of six heard each clip and agree: kappa 0.13, alpha 1.00, categories 0 1 2 3 nan
#        | all six: kappa 1.00 | the three votes alone: kappa 1.00
#        | random votes, half the clips heard by one, half by all: kappa 0.26, alpha -0.01
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  statsmodels==0.15.0 krippendorff==0.9.0 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys

import krippendorff
import numpy as np
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

CLIPS, LISTENERS, CLASSES = 400, 6, 4
rng = np.random.default_rng(0)
truth = rng.integers(0, CLASSES, CLIPS)[:, np.newaxis]


def kappa(votes: np.ndarray) -> float:
    """Return Fleiss' kappa of a table of clips and listeners, as statsmodels' own pair gives it."""
    return float(fleiss_kappa(aggregate_raters(votes)[0]))


def alpha(votes: np.ndarray) -> float:
    return float(krippendorff.alpha(votes.T, level_of_measurement="nominal"))


everyone = np.repeat(truth, LISTENERS, axis=1).astype(float)
halves = everyone.copy()
for row in halves:
    row[rng.permutation(LISTENERS)[:3]] = np.nan
alone = np.repeat(truth, 3, axis=1)
guessed = rng.integers(0, CLASSES, (CLIPS, LISTENERS)).astype(float)
guessed[::2, 1:] = np.nan
categories = " ".join(f"{one:g}" for one in aggregate_raters(halves)[1])
seen = [kappa(halves), alpha(halves), kappa(everyone), kappa(alone), kappa(guessed), alpha(guessed)]
print("three of six heard each clip and agree: kappa {:.2f}, alpha {:.2f}, categories {} | all six: kappa {:.2f} | "
      "the three votes alone: kappa {:.2f} | random votes, half the clips heard by one, half by all: kappa {:.2f}, "
      "alpha {:.2f}".format(*seen[:2], categories, *seen[2:]))
sys.exit(not (seen[0] < 0.3 and np.allclose(seen[1:4], 1) and seen[4] > 0.1 and abs(seen[5]) < 0.05
              and categories == "0 1 2 3 nan"))
PY
"$work/env/bin/python" "$work/run.py" 2>/dev/null
