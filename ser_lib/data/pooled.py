"""Several corpora as one clip table, or as many of them as are there.

The column `corpus` says which a clip is of. A member without audio on this machine takes part
through its rows of the committed table, the pool's or else its own, so that stored runs can be
read; one that has neither is left out, and `attrs["missing"]` names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ser_lib.data.corpora.ased import ASED
from ser_lib.data.corpora.crema_d import CREMA_D
from ser_lib.data.corpora.emodb import EMODB
from ser_lib.data.corpora.emospeech_in import EMOSPEECH_IN
from ser_lib.data.corpora.iemocap import IEMOCAP
from ser_lib.data.corpora.nemo import NEMO
from ser_lib.data.corpora.ravdess import RAVDESS
from ser_lib.data.corpora.savee import SAVEE
from ser_lib.data.corpora.tess import TESS
from ser_lib.data.corpora.turev import TUREV
from ser_lib.data.corpus import CLIP_COLUMNS, Corpus, read_clip_table
from ser_lib.errors import CorpusError
from ser_lib.paths import report_dir
from ser_lib.shown import short


@short
@dataclass(frozen=True)
class Pool:
    """Several corpora as one; it has what a report needs of a `Corpus`."""

    name: str
    title: str
    members: tuple[Corpus, ...]
    label_set: str
    quirks: tuple[str, ...] = ()
    is_embedded: bool = False
    listeners_wa: None = None
    listeners_source: str = ""

    @property
    def licence(self) -> str:
        """Licences of all members."""
        return "; ".join(f"{one.name}: {one.licence}" for one in self.members)

    @property
    def citation(self) -> str:
        """Citations of all members."""
        return " ".join(one.citation for one in self.members)

    def load(self, committed: Path, *, strict: bool = True) -> pd.DataFrame:
        """Read the members that are here, or their rows of the committed table; see `load_corpus`.

        Clips that a member lacks are listed in `attrs["left_out"]`, `strict` or not: a pool takes
        what is there. `attrs["missing"]` names members that are not in it.
        """
        stored = pd.DataFrame(columns=list(CLIP_COLUMNS))
        if committed.is_file():
            stored = read_clip_table(committed)
        tables, left_out, by_design, missing, n_copies = [], [], [], [], 0
        for member in self.members:
            table = stored[stored["corpus"] == member.name]
            own = report_dir(member.name) / committed.name
            if table.empty and own.is_file():
                table = read_clip_table(own)
            if member.root().is_dir():
                table = member.load(strict=strict, may_lack=True)
                left_out += [f"{member.name}: {one}" for one in table.attrs["left_out"]]
                by_design += [f"{member.name}: {one}" for one in table.attrs.get("by_design", [])]
                n_copies += table.attrs["n_copies"]
            if table.empty:
                missing.append(member.name)
            else:
                tables.append(table)
        if not tables:
            places = "".join(f"\n  {one.root()}: {one.download}" for one in self.members)
            raise CorpusError(f"{self.name}: none of its corpora is here:{places}")
        for table in tables:
            table.attrs = {}  # pandas compares them when it joins tables
        pool = pd.concat(tables, ignore_index=True)[list(CLIP_COLUMNS)]
        pool = pool.sort_values("clip_id", ignore_index=True)
        pool.attrs.update(left_out=left_out, n_copies=n_copies, missing=missing)
        if by_design:
            pool.attrs["by_design"] = by_design
        pool.attrs["has_audio"] = bool((pool["path"] != "").all())
        return pool


# That of fpt2025.
POOLED = Pool(
    name="pooled",
    title="The pool of RAVDESS, TESS, SAVEE and EmoDB",
    members=(RAVDESS, TESS, SAVEE, EMODB),
    label_set="seven",
    quirks=(
        "TESS is more than half of it: two women and one carrier phrase",
        "languages, sentences, microphones and levels differ from corpus to corpus",
    ),
)

# For models that must work on strangers: one is left out at a time. EmoDB 2.0 is no member, as it
# holds EmoDB.
LANGUAGES = Pool(
    name="languages",
    title="The pool of corpora of several languages",
    members=(RAVDESS, EMODB, TESS, SAVEE, CREMA_D, IEMOCAP, NEMO, ASED, EMOSPEECH_IN, TUREV),
    label_set="seven",
    quirks=(
        "languages, sentences, microphones and levels differ from corpus to corpus",
        "no emotion is in all corpora; calm, where there is no neutral, counts as neutral",
        "the stored runs of this project used parts of nEMO, ASED, EmoSpeech and TurEV, coded as "
        "Opus at 24 kbit/s",
    ),
)

# Of these, and no others, weights may be passed on: TESS forbids derivatives, the licences of TurEV
# contradict each other, ASED has none.
LANGUAGES_OPEN = Pool(
    name="languages_open",
    title="RAVDESS, EmoDB, nEMO and Indian EmoSpeech",
    members=(RAVDESS, EMODB, NEMO, EMOSPEECH_IN),
    label_set="seven",
    quirks=LANGUAGES.quirks,
)
