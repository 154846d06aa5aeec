#!/usr/bin/env bash
# onnxruntime 1.31.1 with its own quantize_dynamic, onnx 1.23.2, Python 3.11: the answer for a clip
# depends on the other clips of its batch, and on what comes after it.
#
# Guess: quantising to 8 bits costs some accuracy once and for all; a network of convolutions, where no
#        clip and no far frame meets another, still gives a clip the same answer in any batch.
# Found: the scale of a layer's input is taken from the whole tensor while it runs. A clip that is 26 dB
#        quieter than its neighbour has a twentieth of the steps left: its outputs move by a third of
#        their largest value. The same happens to the frames of a pause before loud speech in one clip.
#        Two clips of one level move too. In float nothing moves.
# Seen:  largest change of a quiet clip's outputs, of their maximum: beside a loud clip float 0.00, int8 0.34
#        | before loud speech float 0.00, int8 0.34 | beside a clip of its level int8 0.02
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
SHAPES = {"w1": (32, 1, 10), "w2": (32, 32, 3), "w3": (32, 4)}
weights = [
    numpy_helper.from_array((rng.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32), name)
    for name, shape in SHAPES.items()
]
nodes = [
    helper.make_node("Conv", ["x", "w1"], ["a"], strides=[5]),
    helper.make_node("Relu", ["a"], ["b"]),
    helper.make_node("Conv", ["b", "w2"], ["c"], strides=[2]),
    helper.make_node("Relu", ["c"], ["d"]),
    helper.make_node("Transpose", ["d"], ["e"], perm=[0, 2, 1]),
    helper.make_node("MatMul", ["e", "w3"], ["y"]),
]
ends = [helper.make_tensor_value_info(*one) for one in (
    ("x", TensorProto.FLOAT, ["batch", 1, "samples"]), ("y", TensorProto.FLOAT, ["batch", "frames", 4])
)]
graph = helper.make_graph(nodes, "encoder", ends[:1], ends[1:], weights)
onnx.save(
    helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "float.onnx"
)
quantize_dynamic(folder / "float.onnx", folder / "int8.onnx", weight_type=QuantType.QUInt8)
loud, other = rng.normal(size=(2, 16_000)).astype(np.float32)
quiet = 0.05 * other[::-1]


def change(name: str, other: np.ndarray, is_after: bool = False) -> float:
    """Return how far the quiet clip's outputs are from those alone, over their largest."""
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
    alone = session.run(None, {"x": quiet[None, None]})[0][0]
    given = np.concatenate([quiet, other])[None] if is_after else np.stack([quiet, other])
    beside = session.run(None, {"x": given[:, None]})[0][0][: len(alone)]
    return float(np.abs(beside - alone).max() / np.abs(alone).max())


seen = [change("float", loud), change("int8", loud), change("float", loud, True), change("int8", loud, True)]
alike = change("int8", 0.05 * loud)
print("onnxruntime", onnxruntime.__version__)
print("largest change of a quiet clip's outputs, of their maximum: beside a loud clip float {:.2f}, int8 {:.2f} | "
      "before loud speech float {:.2f}, int8 {:.2f} | beside a clip of its level int8 {:.2f}".format(*seen, alike))
sys.exit(not (max(seen[0], seen[2]) < 1e-4 and min(seen[1], seen[3]) > 0.05))
PY
CI=true "$work/env/bin/python" "$work/run.py" "$work" 2>/dev/null
