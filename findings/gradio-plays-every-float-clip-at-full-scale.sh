#!/usr/bin/env bash
# gradio 6.31.0, Python 3.11: what a page plays and lets one save is not as loud as the clip it was given.
#
# Guess: an Audio output of (rate, samples) keeps the level: floats are taken for -1 to 1, as soundfile
#        and browsers take them, and integers for their type's range.
# Found: floats are divided by their own largest value, so that a whisper and a shout come out equally
#        loud, and a comparison of clips on one page compares nothing of level. The same clip as int16
#        keeps its level. The only word is a warning that a conversion takes place.
# Seen:  peak given and peak of the file: float 0.010 to 1.000 | float 0.500 to 1.000
#        | int16 of 0.010 to 0.010 | int16 of 0.500 to 0.500
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  gradio==6.31.0 soundfile==0.14.0 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys

import gradio
import numpy as np
import soundfile

RATE_HZ = 16_000
tone = np.sin(2 * np.pi * 200 * np.arange(RATE_HZ) / RATE_HZ)
output = gradio.Audio(format="wav")


def peak_of_file(samples: np.ndarray) -> float:
    """Return the peak of the file that the page is given for these samples."""
    return float(np.abs(soundfile.read(output.postprocess((RATE_HZ, samples)).path)[0]).max())


peaks = (0.01, 0.5)
floats = [peak_of_file((peak * tone).astype(np.float32)) for peak in peaks]
integers = [peak_of_file((peak * 32_767 * tone).round().astype(np.int16)) for peak in peaks]
print("gradio", gradio.__version__)
print("peak given and peak of the file: "
      + " | ".join(f"float {peak:.3f} to {one:.3f}" for peak, one in zip(peaks, floats)) + " | "
      + " | ".join(f"int16 of {peak:.3f} to {one:.3f}" for peak, one in zip(peaks, integers)))
sys.exit(not (min(floats) > 0.99 and np.allclose(integers, peaks, atol=1e-3)))
PY
export GRADIO_ANALYTICS_ENABLED=False GRADIO_TEMP_DIR="$work/files"
"$work/env/bin/python" "$work/run.py" 2>/dev/null
