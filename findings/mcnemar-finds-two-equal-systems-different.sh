#!/usr/bin/env bash
# statsmodels 0.15.0, Python 3.11: two systems that answer alike on every clip differ significantly.
#
# Guess: McNemar's test counts the clips that only one system gets right; with none of these there is
#        nothing to tell the systems apart, p is 1 (or NaN, or an error), exact or not.
# Found: with `exact=False`, the correction for continuity on (its default), p is 0, the strongest result
#        there is: the correction takes one from a difference of nothing and divides by no clips. A loop
#        that compares many systems, and meets two of the same answers, reports them as different.
#        The exact test says 1; without the correction it is NaN.
# Seen:  exact: p 1.0 | exact=False: statistic inf, p 0.0 | and correction=False: p nan
#        | one clip for either system, exact=False: p 0.48
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  statsmodels==0.15.0 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1 2>/dev/null
cat > "$work/run.py" <<'PY'
import math
import sys

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar

right = np.arange(200) % 3 > 0  # which clips a system gets right
table = pd.crosstab(right, right.copy()).to_numpy()
assert table.tolist() == [[67, 0], [0, 133]]
exact, large, plain = (
    mcnemar(table, **options) for options in ({}, {"exact": False}, {"exact": False, "correction": False})
)
one_each = mcnemar([[66, 1], [1, 132]], exact=False)
print(f"exact: p {exact.pvalue} | exact=False: statistic {large.statistic}, p {large.pvalue} | "
      f"and correction=False: p {plain.pvalue} | one clip for either system, exact=False: p {one_each.pvalue:.2f}")
sys.exit(not (exact.pvalue == 1 and large.pvalue == 0 and math.isnan(plain.pvalue) and one_each.pvalue > 0.4))
PY
"$work/env/bin/python" "$work/run.py" 2>/dev/null
