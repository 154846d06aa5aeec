#!/usr/bin/env bash
# soundfile 0.14.0 from PyPI (with its own libsndfile), Python 3.11: a corpus that is made again from the
# same samples has other checksums, in some formats.
#
# Guess: the same samples, rate and format give the same bytes whenever they are written; none of these
#        formats needs a clock, and a checksum tells whether a corpus was made the same way.
# Found: WAV and AIFF of floats hold the second of their writing, in a PEAK chunk that libsndfile adds
#        unasked, and Ogg files begin with a number drawn anew. What is read is equal. WAV of integers,
#        W64 and RF64 of floats, FLAC and MP3 are the same bytes.
# Seen:  bytes that differ, written 2 s apart: WAV FLOAT 1, in PEAK | AIFF FLOAT 1, in PEAK | OGG VORBIS 24
#        | OGG OPUS 32 | WAV PCM_16, W64 FLOAT, RF64 FLOAT, FLAC PCM_16, MP3 MPEG_LAYER_III: 0
#        | samples read: equal
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

CHANGES = [("WAV", "FLOAT"), ("AIFF", "FLOAT"), ("OGG", "VORBIS"), ("OGG", "OPUS")]
STAYS = [
    ("WAV", "PCM_16"), ("W64", "FLOAT"), ("RF64", "FLOAT"), ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III")
]
folder = Path(sys.argv[1])
samples = (0.5 * np.sin(np.arange(48_000) / 30)).astype(np.float32)


def write(run: str) -> dict[tuple[str, str], Path]:
    """Write the samples once in each format."""
    paths = {one: folder / f"{run}-{'-'.join(one)}" for one in CHANGES + STAYS}
    for (form, subtype), path in paths.items():
        soundfile.write(path, samples, 48_000, format=form, subtype=subtype)
    return paths


first = write("first")
time.sleep(2)
second = write("second")
places, is_equal = {}, True
for one in CHANGES + STAYS:
    old, new = first[one].read_bytes(), second[one].read_bytes()
    assert len(old) == len(new)
    places[one] = np.flatnonzero(np.frombuffer(old, np.uint8) != np.frombuffer(new, np.uint8))
    is_equal &= bool((soundfile.read(first[one])[0] == soundfile.read(second[one])[0]).all())
peaks = {one: first[one].read_bytes().index(b"PEAK") for one in CHANGES[:2]}
in_peak = all(((places[one] >= start) & (places[one] < start + 16)).all() for one, start in peaks.items())
print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
print("bytes that differ, written 2 s apart: "
      + " | ".join(f"{' '.join(one)} {len(places[one])}{', in PEAK' * (one in peaks and in_peak)}" for one in CHANGES)
      + f" | {', '.join(' '.join(one) for one in STAYS)}: {max(len(places[one]) for one in STAYS)}"
      + f" | samples read: {'equal' if is_equal else 'not equal'}")
sys.exit(not (is_equal and in_peak and all(len(places[one]) > 0 for one in CHANGES)
              and all(len(places[one]) == 0 for one in STAYS)))
PY
"$work/env/bin/python" "$work/run.py" "$work"
