#!/usr/bin/env bash
# soxr 1.1.0 (the Python package of libsoxr), Python 3.11: 16 bits in, 16 bits and noise out.
#
# Guess: resampling 16 bits gives what resampling floats gives, rounded; silence stays silence, equal
#        channels stay equal, and the same rate in and out gives the samples back.
# Found: for int16, and for no other type, libsoxr dithers, and the package has no switch for it. Digital
#        silence is no silence any more, so that padding and dead channels are not found; the two equal
#        channels of a mono recording differ; without any change of the rate one sample of four changes.
#        The noise is the same each time, but goes with the position: a clip that was cut out before
#        is not the clip that is cut out after. Floats have none of this.
# Seen:  changed samples, int16: silence 23%, left and right 45%, same rate 25%, cut before or after 44%
#        | float32: silence 0%, left and right 0%, same rate 0% | the same call twice: equal
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check soxr==1.1.0 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys

import numpy as np
import soxr

HIGH_HZ, LOW_HZ, MARGIN = 16_000, 8_000, 500
noise = np.random.default_rng(0).normal(size=2 * HIGH_HZ)
voice = 4_000 * np.sin(2 * np.pi * 200 * np.arange(2 * HIGH_HZ) / HIGH_HZ) + 500 * noise


def changed(one: np.ndarray, other: np.ndarray | int) -> float:
    """Return the share of samples that differ, the ends left out."""
    return float((one != other)[MARGIN:-MARGIN].mean())


def measure(kind: type) -> list[float]:
    """Return the changed shares of silence, of equal channels, and at the same rate."""
    clip = voice.astype(kind)
    silence = soxr.resample(np.zeros_like(clip), HIGH_HZ, LOW_HZ)
    both = soxr.resample(np.stack([clip, clip], axis=1), HIGH_HZ, LOW_HZ)
    same = soxr.resample(clip, HIGH_HZ, HIGH_HZ)
    return [changed(silence, 0), changed(both[:, 0], both[:, 1]), changed(same, clip)]


clip = voice.astype(np.int16)
whole, again = (soxr.resample(clip, HIGH_HZ, LOW_HZ) for _ in range(2))
cut = changed(soxr.resample(clip[HIGH_HZ:], HIGH_HZ, LOW_HZ), whole[LOW_HZ:])
integers, floats = measure(np.int16), measure(np.float32)
names = ("silence", "left and right", "same rate")
told = [", ".join(f"{name} {share:.0%}" for name, share in zip(names, one)) for one in (integers, floats)]
print("soxr", soxr.__version__)
print(f"changed samples, int16: {told[0]}, cut before or after {cut:.0%} | float32: {told[1]} | "
      f"the same call twice: {'equal' if (whole == again).all() else 'not equal'}")
sys.exit(not (min(*integers, cut) > 0.1 and max(floats) == 0 and (whole == again).all()))
PY
"$work/env/bin/python" "$work/run.py"
