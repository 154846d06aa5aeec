#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.31.1, librosa 0.11.0, Python 3.11: ONNX's own mel filters are others.
#
# Guess: the operator MelWeightMatrix, which takes the arguments of TensorFlow's function and the mel
#        scale of HTK, gives the filters that librosa gives with `htk=True, norm=None`, but for rounding;
#        a front end that is moved into the graph keeps its features.
# Found: it sets the corners of the triangles on whole FFT bins, rounded down, and divides the range by one
#        part too many, so that the last filter ends below the upper frequency. With the 80 filters and
#        400 points of Whisper's front end nothing above 7,680 Hz of 8,000 counts, filters peak up to 6
#        bins lower, and five are the same single bin as another one. onnxruntime and onnx's reference
#        agree with each other: it is the operator.
# Seen:  80 filters, 400 points, 0 to 8000 Hz: last filter ends at 7680 Hz, librosa's at 7960 Hz; largest
#        distance of peaks 6 bins; equal filters: 5, librosa 0 | onnxruntime and reference: equal
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  onnx==1.23.2 onnxruntime==1.31.1 librosa==0.11.0 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys

import librosa
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

RATE_HZ, TOP_HZ, POINTS, FILTERS = 16_000, 8_000, 400, 80
NAMES = ["filters", "points", "rate", "low", "high"]
KINDS = [TensorProto.INT64] * 3 + [TensorProto.FLOAT] * 2
graph = helper.make_graph(
    [helper.make_node("MelWeightMatrix", NAMES, ["matrix"])],
    "mel",
    [helper.make_tensor_value_info(name, kind, []) for name, kind in zip(NAMES, KINDS)],
    [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, None)],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
values = [np.array(one, np.int64) for one in (FILTERS, POINTS, RATE_HZ)]
values += [np.array(one, np.float32) for one in (0, TOP_HZ)]
given = dict(zip(NAMES, values))
run = onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)[0]
reference = ReferenceEvaluator(model).run(None, given)[0]
usual = librosa.filters.mel(
    sr=RATE_HZ, n_fft=POINTS, n_mels=FILTERS, fmin=0, fmax=TOP_HZ, htk=True, norm=None
).T
assert run.shape == usual.shape == (POINTS // 2 + 1, FILTERS)


def end_hz(matrix: np.ndarray) -> int:
    """Return the frequency of the highest bin that any filter counts."""
    return int(np.flatnonzero(matrix.sum(axis=1) > 1e-3).max()) * RATE_HZ // POINTS


def n_equal(matrix: np.ndarray) -> int:
    """Return how many filters are the same as another one."""
    return FILTERS - len(np.unique(matrix, axis=1).T)


distance = int(np.abs(run.argmax(axis=0) - usual.argmax(axis=0)).max())
is_same = bool(np.allclose(run, reference))
print(f"{FILTERS} filters, {POINTS} points, 0 to {TOP_HZ} Hz: last filter ends at {end_hz(run)} Hz, librosa's at "
      f"{end_hz(usual)} Hz; largest distance of peaks {distance} bins; equal filters: {n_equal(run)}, librosa "
      f"{n_equal(usual)} | onnxruntime and reference: {'equal' if is_same else 'not equal'}")
sys.exit(not (end_hz(run) < 7_800 < end_hz(usual) and distance > 3 and n_equal(run) > n_equal(usual) and is_same))
PY
CI=true "$work/env/bin/python" "$work/run.py" 2>/dev/null
