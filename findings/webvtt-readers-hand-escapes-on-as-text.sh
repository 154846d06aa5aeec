#!/usr/bin/env bash
# webvtt-py 0.6.0, pysubs2 1.8.1, Python 3.11: a label in WebVTT comes back with its escapes.
#
# Guess: WebVTT lets a cue write `<` and `&` in no other way than `&lt;` and `&amp;`, so that a reader
#        gives the characters, as a browser shows them; what a library writes, it escapes.
# Found: both readers undo the markup (`<v Anna>`) and leave the escapes as they stand, so that a label
#        `F0 < 200 Hz` is another label after the reading. Both write `<` and `&` as they are, which
#        hides it in a round trip: there pysubs2 gives ` calm` for `<unsure> calm`, webvtt-py
#        nothing but ` calm`, too.
# Seen:  webvtt-py 'F0 &lt; 200 Hz &amp; calm' by 'Anna' | pysubs2 'F0 &lt; 200 Hz &amp; calm'
#        | written: True True | own round trip of '<unsure> calm': 'calm' 'calm'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check webvtt-py==0.6.0 pysubs2==1.8.1 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys
from pathlib import Path

import pysubs2
import webvtt

LABEL, MARKED = "F0 < 200 Hz & calm", "<unsure> calm"
path = Path(sys.argv[1]) / "labels.vtt"
cue = "<v Anna>F0 &lt; 200 Hz &amp; calm"
path.write_text(f"WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n{cue}\n")

one, other = webvtt.read(str(path))[0], pysubs2.load(str(path))[0]


def by_webvtt(text: str) -> str:
    """Write one cue with webvtt-py; return the file."""
    made = webvtt.WebVTT()
    made.captions.append(webvtt.Caption("00:00:00.000", "00:00:02.000", text))
    made.save(str(path))
    return path.read_text()


def by_pysubs2(text: str) -> str:
    """Write one cue with pysubs2; return the file."""
    made = pysubs2.SSAFile()
    made.append(pysubs2.SSAEvent(0, 2000, text=text))
    path.write_text(made.to_string("vtt"))
    return path.read_text()


written = [LABEL in by_webvtt(LABEL), LABEL in by_pysubs2(LABEL)]
by_webvtt(MARKED)
again = [webvtt.read(str(path))[0].text.strip()]
by_pysubs2(MARKED)
again.append(pysubs2.load(str(path))[0].plaintext.strip())

print(f"webvtt-py {one.text!r} by {one.voice!r} | pysubs2 {other.plaintext!r}")
print(f"| written: {written[0]} {written[1]} | own round trip of {MARKED!r}: {again[0]!r} {again[1]!r}")
escaped = "F0 &lt; 200 Hz &amp; calm"
sys.exit(
    [one.text, one.voice, other.plaintext] != [escaped, "Anna", escaped]
    or written != [True, True]
    or again != ["calm", "calm"]
)
PY
"$work/env/bin/python" "$work/run.py" "$work" 2>/dev/null
