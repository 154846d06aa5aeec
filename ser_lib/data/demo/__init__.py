"""The embedded corpus: synthetic voices, so that everything runs with no download.

`tools/make_demo_clips.py` makes the clips; they are named as RAVDESS names its own. No number made
from them says anything about people.
"""

from __future__ import annotations

from pathlib import Path

from ser_lib.data.corpora.ravdess import GRAMMAR, RAVDESS, parse_ravdess
from ser_lib.data.corpus import Corpus

CLIPS_DIR = Path(__file__).resolve().parent / "clips"

DEMO = Corpus(
    name="demo",
    title="The embedded demo (synthetic voices)",
    licence="CC0 1.0",
    citation="Made for this project with espeak-ng by tools/make_demo_clips.py.",
    doi="no DOI",
    download="this package, or tools/make_demo_clips.py",
    language="English (synthetic)",
    speech="synthetic",
    label_set="ravdess8",
    grammar=GRAMMAR,
    example="03-01-06-01-02-01-12.opus",
    parse=parse_ravdess,
    n_clips=384,
    n_speakers=12,
    is_embedded=True,
    quirks=(
        "synthetic: its numbers show that the pipeline works, nothing about people",
        "takes of a sentence by one voice come from one synthesiser that repeats itself, so "
        "`ser audit demo` calls some of them copies",
    ),
    statements=RAVDESS.statements,
)
