#!/usr/bin/env bash
# keras 3.15.1, tensorflow-cpu 2.21.0, Python 3.11: what a network is given for a quiet clip depends on
# the loudest clip of its batch.
#
# Guess: `MelSpectrogram` is a preprocessing layer without weights; `top_db` cuts each clip at so many
#        decibels below its own maximum, and a clip has the same picture alone and in any batch.
# Found: the maximum is that of the whole batch. Beside a clip 40 dB louder most of a quiet clip's
#        picture is one flat value, up to 40 dB above what it was; in a batch of one, as at prediction,
#        the network meets another picture than in training. A `top_db` of 200 takes the cut away, and
#        the dependence with it.
# Seen:  alone and beside itself: 0.0 dB | beside a clip 40 dB louder: 40.0 dB, 67% of values changed
#        | the same with top_db=200: 0.0 dB
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  keras==3.15.1 tensorflow-cpu==2.21.0 2>/dev/null
cat > "$work/run.py" <<'PY'
import os
import sys

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="")
import keras
import numpy as np

RATE_HZ = 16_000
rng = np.random.default_rng(0)
time_s = np.arange(2 * RATE_HZ) / RATE_HZ
phase = 2 * np.pi * np.cumsum(160 + 30 * np.sin(2 * np.pi * 0.7 * time_s)) / RATE_HZ
buzz = sum(np.sin(k * phase) / k**2 for k in range(1, 24)) + 0.001 * rng.normal(size=len(time_s))
loud = (0.3 * buzz * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time_s))).astype(np.float32)
quiet = loud / 100


def change(other: np.ndarray, **options) -> tuple[float, float]:
    """Return how far the quiet clip's picture is from the one alone, and which share of it is."""
    layer = keras.layers.MelSpectrogram(
        fft_length=512, sequence_length=400, sequence_stride=160, sampling_rate=RATE_HZ,
        num_mel_bins=64, max_freq=8_000, **options,
    )
    alone, beside = (np.asarray(layer(np.stack(clips)))[0] for clips in ([quiet], [quiet, other]))
    difference_db = np.abs(beside - alone)
    return float(difference_db.max()), float((difference_db > 0.1).mean())


itself, louder, uncut = change(quiet), change(loud), change(loud, top_db=200)
print("keras", keras.__version__)
print(f"alone and beside itself: {itself[0]:.1f} dB | beside a clip 40 dB louder: {louder[0]:.1f} dB, "
      f"{louder[1]:.0%} of values changed | the same with top_db=200: {uncut[0]:.1f} dB")
sys.exit(not (itself[0] < 0.01 and louder[0] > 20 and louder[1] > 0.5 and uncut[0] < 0.01))
PY
"$work/env/bin/python" "$work/run.py" 2>/dev/null
