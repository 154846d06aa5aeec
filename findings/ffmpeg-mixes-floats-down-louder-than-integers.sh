#!/usr/bin/env bash
# PyAV 18.1.0 from PyPI (with its own FFmpeg), Python 3.11: the level of a mono mix depends on the sample
# format.
#
# Guess: FFmpeg's stereo to mono is the mean of both channels, whatever the samples are stored as; a
#        voice that is the same in both channels keeps its level.
# Found: for integers it is the mean. For floats, which is what AAC, MP3, Opus and Vorbis decode to, it is
#        the sum divided by 1.41: the same voice is 3 dB louder, and values pass 1.0, so that it clips
#        when it is written afterwards. Integers in, floats out mixes as floats; floats in, integers out
#        as integers. A recording as WAV and its M4A, mixed and then compared, differ by these 3 dB.
# Seen:  a tone of 0.8 in both channels: s16 to s16 0.80 | flt to flt 1.13 | s16 to flt 1.13 | flt to s16 0.80
#        | decoded and mixed: WAV 0.80, M4A 1.13
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys
from pathlib import Path

import av
import numpy as np

RATE_HZ, AMPLITUDE = 48_000, 0.8
folder = Path(sys.argv[1])
tone = AMPLITUDE * np.sin(2 * np.pi * 220 * np.arange(RATE_HZ) / RATE_HZ)
stereo = np.repeat(tone, 2)[np.newaxis]  # packed: left, right, left, right
SAMPLES = {"flt": stereo.astype(np.float32), "s16": (stereo * 32_768).astype(np.int16)}


def frame_of(form: str) -> av.AudioFrame:
    """Return the stereo tone as one frame of a sample format."""
    frame = av.AudioFrame.from_ndarray(SAMPLES[form], format=form, layout="stereo")
    frame.sample_rate = RATE_HZ
    return frame


def mono_amplitude(frames, form: str | None) -> float:
    """Mix frames down to mono in a format (None: the one they have); return the tone's amplitude."""
    mixer = av.AudioResampler(format=form, layout="mono", rate=RATE_HZ)
    mixed = [one for frame in [*frames, None] for one in mixer.resample(frame)]
    signal = np.concatenate([one.to_ndarray().ravel() for one in mixed])
    scale = 32_768 if signal.dtype == np.int16 else 1
    middle = signal[RATE_HZ // 4 : 3 * RATE_HZ // 4] / scale
    return float(np.sqrt(2 * np.mean(middle**2)))


def file_amplitude(name: str, codec: str) -> float:
    """Write the tone in stereo, decode it, and mix it down as it comes."""
    with av.open(str(folder / name), "w") as out:
        stream = out.add_stream(codec, rate=RATE_HZ, layout="stereo")
        for one in (frame_of("s16"), None):
            out.mux(stream.encode(one))
    with av.open(str(folder / name)) as source:
        return mono_amplitude(list(source.decode(audio=0)), None)


pairs = [("s16", "s16"), ("flt", "flt"), ("s16", "flt"), ("flt", "s16")]
seen = [mono_amplitude([frame_of(given)], wanted) for given, wanted in pairs]
files = [file_amplitude("a.wav", "pcm_s16le"), file_amplitude("a.m4a", "aac")]
print("PyAV", av.__version__, "libswresample", ".".join(map(str, av.library_versions["libswresample"])))
print(f"a tone of {AMPLITUDE} in both channels: "
      + " | ".join(f"{a} to {b} {value:.2f}" for (a, b), value in zip(pairs, seen))
      + f" | decoded and mixed: WAV {files[0]:.2f}, M4A {files[1]:.2f}")
sys.exit(not np.allclose([*seen, *files], [0.8, 1.131, 1.131, 0.8, 0.8, 1.131], atol=0.02))
PY
"$work/env/bin/python" "$work/run.py" "$work"
