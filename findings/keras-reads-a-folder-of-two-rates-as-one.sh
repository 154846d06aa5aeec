#!/usr/bin/env bash
# keras 3.15.1, tensorflow-cpu 2.21.0, Python 3.11: a folder of recordings of two rates is read as one.
#
# Guess: `audio_dataset_from_directory` brings all recordings to one rate, or refuses a folder where
#        rates differ, since the networks behind it count in samples; what it cannot read it names.
# Found: it looks at no rate: a second at 8 kHz is half a second of a voice an octave higher beside one
#        at 16 kHz, and where a class comes from a corpus of its own, its rate is what is learned.
#        Other recordings (FLAC) are left out without a word, while the message counts what is left.
# Seen:  a tone of 440 Hz in each file, heard at 16 kHz: a/1.wav 440 Hz | b/1.wav (8 kHz) 880 Hz
#        | files in the folders: 3, 'Found 2 files belonging to 2 classes.'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  keras==3.15.1 tensorflow-cpu==2.21.0 soundfile==0.14.0 2>/dev/null
cat > "$work/run.py" <<'PY'
import contextlib
import io
import os
import sys
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="")
import keras
import numpy as np
import soundfile

folder = Path(sys.argv[1]) / "corpus"
FILES = {"a/1.wav": 16_000, "b/1.wav": 8_000, "b/2.flac": 16_000}
for name, rate_hz in FILES.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / name, 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz), rate_hz)


def heard_hz(signal: np.ndarray) -> int:
    """Return the strongest frequency of samples that are taken for 16 kHz, to 10 Hz."""
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    return round(spectrum.argmax() * 16_000 / len(signal), -1)


said = io.StringIO()
with contextlib.redirect_stdout(said):
    data = keras.utils.audio_dataset_from_directory(
        folder, output_sequence_length=8_000, batch_size=None, shuffle=False
    )
heard = {int(label): int(heard_hz(np.ravel(clip))) for clip, label in data}
message = said.getvalue().strip().splitlines()[0]
print("keras", keras.__version__)
print(f"a tone of 440 Hz in each file, heard at 16 kHz: a/1.wav {heard[0]} Hz | b/1.wav (8 kHz) {heard[1]} Hz | "
      f"files in the folders: {len(FILES)}, {message!r}")
sys.exit(heard != {0: 440, 1: 880} or message != "Found 2 files belonging to 2 classes.")
PY
"$work/env/bin/python" "$work/run.py" "$work" 2>/dev/null
