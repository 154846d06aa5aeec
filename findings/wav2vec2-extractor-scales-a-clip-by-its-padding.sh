#!/usr/bin/env bash
# transformers 5.24.0 (its feature extractors need no PyTorch), Python 3.11: what a network of speech is
# given for a clip depends on the longest clip of its batch.
#
# Guess: Wav2Vec2FeatureExtractor gives each clip mean 0 and variance 1, then fills up with its
#        padding value, 0; in a batch the clip's own samples are those that it has alone.
# Found: without an attention mask, the default and the setting of the base-size models, padding comes
#        first and counts for mean and variance: next to a clip four times as long, a clip is twice as
#        loud, and its padding is not 0. Predictions then depend on batch size and order. With
#        `return_attention_mask=True` the values are those of the clip alone.
# Seen:  standard deviation of a clip alone 1.00 | beside a clip of twice its length 1.41 | of four times
#        1.99, padding -0.05 | with a mask 1.00, padding 0.00
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.24.0 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys

import numpy as np
import transformers
from transformers import Wav2Vec2FeatureExtractor

RATE_HZ = 16_000
rng = np.random.default_rng(0)
# A little offset, as cheap microphones have it.
clip = (0.01 + 0.1 * rng.normal(size=RATE_HZ)).astype(np.float32)


def given(times: int, **options) -> tuple[float, float]:
    """Return the clip's deviation, and its padding, beside a clip of so many times its length."""
    extract = Wav2Vec2FeatureExtractor(**options)
    assert extract.do_normalize and extract.padding_value == 0
    batch = [clip, rng.normal(size=times * RATE_HZ).astype(np.float32)]
    values = extract(batch, sampling_rate=RATE_HZ, padding=True, return_tensors="np")["input_values"][0]
    return float(values[:RATE_HZ].std()), float(values[-1]) if times > 1 else 0.0


alone, twice, four = (given(times) for times in (1, 2, 4))
masked = given(4, return_attention_mask=True)
print("transformers", transformers.__version__)
print(f"standard deviation of a clip alone {alone[0]:.2f} | beside a clip of twice its length {twice[0]:.2f} | "
      f"of four times {four[0]:.2f}, padding {four[1]:.2f} | with a mask {masked[0]:.2f}, padding {masked[1]:.2f}")
seen = [alone[0], twice[0], four[0], masked[0], masked[1]]
sys.exit(not np.allclose(seen, [1, 2**0.5, 2, 1, 0], atol=0.05) or abs(four[1]) < 0.01)
PY
"$work/env/bin/python" "$work/run.py" 2>/dev/null
