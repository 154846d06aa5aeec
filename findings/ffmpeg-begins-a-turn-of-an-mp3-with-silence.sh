#!/usr/bin/env bash
# PyAV 18.1.0 from PyPI (with its own FFmpeg), Python 3.11: a turn that is sought in a compressed
# recording does not begin as it does in the recording.
#
# Guess: `container.seek(time)` lands on a frame at or before the time, from which on decoding gives what
#        it gives from the beginning; throwing away what lies before the time leaves the turn.
# Found: it lands on the frame before, and the decoder has not seen what that one builds on. Each turn of
#        an MP3 begins with up to 75 ms of silence and some of other sound, 87 ms in all, as long as the
#        onset of a syllable; most turns of an M4A with up to 15 ms of other sound. Times are right, no error is
#        raised. Seeking 0.1 s earlier and throwing that away too gives the recording; FLAC needs none.
# Seen:  turns that begin otherwise, and for how long: MP3 40 of 40, 87 ms (silent 75 ms) | M4A 28 of 40,
#        15 ms | FLAC 0 of 40, 0 ms | sought 0.1 s earlier: MP3 0, M4A 0, FLAC 0
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

RATE_HZ, SECONDS, TURNS = 48_000, 20, 40
folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
time_s = np.arange(RATE_HZ * SECONDS) / RATE_HZ
phase = 2 * np.pi * np.cumsum(150 + 40 * np.sin(2 * np.pi * 0.7 * time_s)) / RATE_HZ
voice = 0.2 * sum(np.sin(k * phase) / k for k in range(1, 20)) * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time_s))
voice = (voice + 0.02 * rng.normal(size=len(voice))).astype(np.float32)


def write(path: Path, codec: str) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=RATE_HZ, layout="mono")
        convert = av.AudioResampler(format=stream.codec_context.format.name, layout="mono", rate=RATE_HZ)
        frame = av.AudioFrame.from_ndarray(voice[np.newaxis], format="flt", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, 0
        for one in [*convert.resample(frame), *convert.resample(None), None]:
            out.mux(stream.encode(one))


def read(path: Path, start_s: float | None, seconds: float, run_up_s: float = 0) -> tuple[np.ndarray, float]:
    """Decode from a time on (None: no seek); return the samples and when the first frame began."""
    with av.open(str(path)) as source:
        stream = source.streams.audio[0]
        if start_s is not None:
            source.seek(int((start_s - run_up_s) / stream.time_base), stream=stream)
        parts, begin_s = [], None
        for frame in source.decode(stream):
            parts.append(frame.to_ndarray().ravel().astype(float))
            begin_s = float(frame.pts * frame.time_base) if begin_s is None else begin_s
            if begin_s + sum(map(len, parts)) / RATE_HZ > (start_s or 0) + seconds:
                break
    skip = 0 if start_s is None else round((start_s - begin_s) * RATE_HZ)
    assert skip >= 0
    return np.concatenate(parts)[skip : skip + round(seconds * RATE_HZ)], begin_s


starts_s = np.random.default_rng(1).uniform(2, 18, TURNS).round(3)
seen, cured, silent_ms = {}, {}, 0.0
for name, codec in (("MP3", "libmp3lame"), ("M4A", "aac"), ("FLAC", "flac")):
    path = folder / f"a.{name.lower()}"
    write(path, codec)
    whole, first_s = read(path, None, SECONDS)
    far = 0.1 * np.abs(whole).max()
    for run_up_s, found in ((0, seen), (0.1, cured)):
        ends_ms = []
        for start_s in map(float, starts_s):
            turn = read(path, start_s, 0.4, run_up_s)[0]
            begin = round((start_s - first_s) * RATE_HZ)
            wrong = np.flatnonzero(np.abs(turn - whole[begin : begin + len(turn)]) > far)
            ends_ms.append(1_000 * (wrong.max() + 1) / RATE_HZ if len(wrong) else 0.0)
            if name == "MP3" and run_up_s == 0:
                silent_ms = max(silent_ms, 1_000 * np.flatnonzero(np.abs(turn) > 1e-4).min() / RATE_HZ)
        found[name] = (sum(one > 0 for one in ends_ms), max(ends_ms))
silence = f" (silent {silent_ms:.0f} ms)"
print("PyAV", av.__version__, "libavcodec", ".".join(map(str, av.library_versions["libavcodec"])))
print("turns that begin otherwise, and for how long: "
      + " | ".join(f"{name} {n} of {TURNS}, {ms:.0f} ms{silence * (name == 'MP3')}" for name, (n, ms) in seen.items())
      + f" | sought 0.1 s earlier: {', '.join(f'{name} {n}' for name, (n, _) in cured.items())}")
sys.exit(not (seen["MP3"][0] == TURNS and seen["MP3"][1] > 40 and silent_ms > 20 and seen["M4A"][0] > 10
              and seen["FLAC"][0] == 0 and all(n == 0 for n, _ in cured.values())))
PY
"$work/env/bin/python" "$work/run.py" "$work" 2>/dev/null
