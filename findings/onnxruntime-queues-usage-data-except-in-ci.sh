#!/usr/bin/env bash
# onnxruntime 1.31.1 from PyPI, on Linux: a program that runs one small network, and nothing else,
# leaves a device id and a database of queued usage events in the user's home.
#
# Guess: an inference library that is installed with pip writes nothing outside its own folder; a
#        setting after the import turns off whatever it reports.
# Found: one session writes ~/.cache/Microsoft/DeveloperTools/.onnxruntime/{deviceid,onnxruntime.db}.
#        With CI=true in the environment nothing is written, so a project's CI cannot see it.
#        onnxruntime.disable_telemetry_events() after the import comes too late: both files are there.
#        ORT_DISABLE_TELEMETRY=1 before the import leaves the home empty.
# Seen:  plain: 2 files | CI: 0 files | call after import: 2 files | variable: 0 files
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

if "disable" in sys.argv:
    onnxruntime.disable_telemetry_events()
x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString())
assert session.run(None, {"x": np.ones((1, 4), np.float32)})[0].sum() == 4
PY
left() {  # how many files one run leaves in an empty home
  local home
  home=$(mktemp -d -p "$work")
  env -u CI -u ORT_DISABLE_TELEMETRY -u XDG_CACHE_HOME HOME="$home" "$@" >/dev/null
  find "$home" -type f | wc -l
}
python="$work/env/bin/python"
plain=$(left "$python" "$work/run.py")
ci=$(left env CI=true "$python" "$work/run.py")
late=$(left "$python" "$work/run.py" disable)
early=$(left env ORT_DISABLE_TELEMETRY=1 "$python" "$work/run.py")
"$python" -c 'import onnxruntime, sys; print("onnxruntime", onnxruntime.__version__, "Python", sys.version.split()[0])'
echo "plain: $plain files | CI: $ci files | call after import: $late files | variable: $early files"
[ "$plain $ci $late $early" = "2 0 2 0" ]
