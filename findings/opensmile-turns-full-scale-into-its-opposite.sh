#!/usr/bin/env bash
# opensmile 2.6.0 from PyPI, ComParE_2016 functionals of a float array: a sample of exactly 1.0, which
# every decoder gives for a clipped recording, is taken for the lowest value there is.
#
# Guess: floats are read as floats; should they become 16 bits inside, 1.0 is kept at the highest one.
# Found: 1.0 becomes -1.0 without a word. A tone of 200 Hz that is clipped at 1.0 changes its sign twice
#        as often as the same tone clipped one step of 16 bits lower; clipped at -1.0 below it does not.
# Seen:  clipped at 1.0: 783 sign changes a second | one step lower: 383 | at -1.0 below: 383
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  opensmile==2.6.0 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import opensmile

smile = opensmile.Smile(
    feature_set=opensmile.FeatureSet.ComParE_2016, feature_level=opensmile.FeatureLevel.Functionals
)
tone = 1.2 * np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000).astype(np.float32)
step = 1 / 32_768
given = {
    "clipped at 1.0": tone.clip(-1 + step, 1),
    "one step lower": tone.clip(-1 + step, 1 - step),
    "at -1.0 below": tone.clip(-1, 1 - step),
}
found = {name: smile.process_signal(one, 16_000).iloc[0] for name, one in given.items()}
crossings = [round(16_000 * one["pcm_zcr_sma_amean"]) for one in found.values()]
print("opensmile", version("opensmile"))
print(" | ".join(f"{name}: {n} sign changes a second" for name, n in zip(found, crossings)))
full, lower, below = crossings
sys.exit(not (full > 1.5 * lower and abs(below - lower) < 5))
PY
"$work/env/bin/python" "$work/run.py"
