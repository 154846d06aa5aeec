#!/usr/bin/env bash
# pysptk 1.0.1 (built from source by pip, with a C compiler), Python 3.11: one pitch tracker of a library
# has a level that it expects, the other has none.
#
# Guess: `rapt` wants float32, so that it takes floats of -1 to 1, as soundfile reads them; pitch does not
#        depend on the level, and no more than a few frames change when a signal is scaled.
# Found: a full-scale buzz between -1 and 1 has no voiced frame at all; the same values times 32,768 have
#        nearly all, and 40 dB below that still. `swipe`, beside it in the same library, finds the pitch
#        at any level. A float recording gives a column of zeros and no error.
# Seen:  share of voiced frames, rapt / swipe: floats of +-1: 0.00 / 1.00 | times 32768: 0.98 / 1.00
#        | 40 dB below that: 0.98 / 1.00
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check pysptk==1.0.1 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys

import numpy as np
import pysptk

RATE_HZ = 16_000
time_s = np.arange(2 * RATE_HZ) / RATE_HZ
phase = 2 * np.pi * np.cumsum(160 + 30 * np.sin(2 * np.pi * 0.7 * time_s)) / RATE_HZ
buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
buzz /= np.abs(buzz).max()


def voiced(scale: float) -> tuple[float, float]:
    """Return the shares of frames with a pitch, by RAPT and by SWIPE', of a scaled buzz."""
    options = {"fs": RATE_HZ, "hopsize": 80, "min": 60, "max": 400, "otype": "f0"}
    by_rapt = pysptk.rapt((scale * buzz).astype(np.float32), **options)
    by_swipe = pysptk.swipe((scale * buzz).astype(np.float64), **options)
    return float((by_rapt > 0).mean()), float((by_swipe > 0).mean())


scales = {"floats of +-1": 1, "times 32768": 32_767, "40 dB below that": 327.67}
seen = {name: voiced(scale) for name, scale in scales.items()}
print("share of voiced frames, rapt / swipe: "
      + " | ".join(f"{name}: {rapt:.2f} / {swipe:.2f}" for name, (rapt, swipe) in seen.items()))
(small, *others), swipes = zip(*seen.values())
sys.exit(not (small == 0 and min(others) > 0.9 and min(swipes) > 0.9))
PY
"$work/env/bin/python" "$work/run.py" 2>/dev/null
