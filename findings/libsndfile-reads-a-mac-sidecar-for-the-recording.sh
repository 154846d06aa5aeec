#!/usr/bin/env bash
# soundfile 0.14.0 from PyPI (with its own libsndfile), on Linux: a good MP3 cannot be opened by its
# path any more once the sidecar that a Mac leaves on a foreign disk (`._name`) lies beside it.
#
# Guess: `._a.mp3` is another file; nobody reads it who was asked for `a.mp3`, and on Linux least.
# Found: opened by path, a.mp3 fails as soon as ._a.mp3 is there; the sidecar is an AppleDouble file
#        of 82 bytes with Finder's information, as macOS writes it on FAT and exFAT. The same file
#        opened as a Python file object is read whole. A WAV beside such a sidecar is read either way.
# Seen:  alone: 8000 frames | beside ._a.mp3 by path: LibsndfileError | as a file object: 8000 frames
#        | a WAV beside ._a.wav by path: 8000 frames
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  soundfile==0.14.0 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import struct, sys
from pathlib import Path

import numpy as np
import soundfile

folder = Path(sys.argv[1])
path = folder / "a.mp3"
for name in ("a.mp3", "a.wav"):
    soundfile.write(folder / name, np.sin(np.arange(8000) / 10) / 2, 8000)


def frames(source) -> str:
    try:
        return f"{len(soundfile.read(source)[0])} frames"
    except soundfile.LibsndfileError as error:
        return type(error).__name__


alone = frames(path)
# AppleDouble 2: magic, version, filler, two entries (Finder's information, an empty resource fork).
head = struct.pack(">II16sH", 0x00051607, 0x00020000, b"Mac OS X        ", 2)
entries = struct.pack(">IIIIII", 9, 50, 32, 2, 82, 0)
for name in ("._a.mp3", "._a.wav"):
    (folder / name).write_bytes(head + entries + bytes(32))
by_path, wav = frames(path), frames(folder / "a.wav")
with path.open("rb") as file:
    by_object = frames(file)
print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
print(f"alone: {alone} | beside ._a.mp3 by path: {by_path} | as a file object: {by_object} | "
      f"a WAV beside ._a.wav by path: {wav}")
sys.exit([alone, by_path, by_object, wav] != ["8000 frames", "LibsndfileError"] + 2 * ["8000 frames"])
PY
"$work/env/bin/python" "$work/run.py" "$work"
