"""Corpora, labels, splits, and the guard against leaks.

`load_corpus("ravdess")` gives a clip table, `rows_of` the rows of a task, `make_split` the folds of
a protocol, and `check_split` refuses folds that leak. To add a corpus, write one file like
`corpora/ravdess.py` and one line in `CORPORA`; the contract test picks it up.

    corpus       what all corpora share: the card, the clip table and its checks
    labels       emotions, their colours, and the label sets of tasks
    corpora      one file a corpus; the embedded one is in `demo`
    pooled       several corpora as one
    own          a corpus of one's own: a table, a folder, an audformat database
    tables       tables that other people made
    annotations  segments in files of Praat, ELAN, Audacity, as subtitles and turns
    download     what is on this machine, and how to get the rest
    enrolment    which clips of a speaker are known before the test
    splits       protocols: rules that divide rows into train, validation and test
    leakage      what a fold lets a model know of its test rows
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ser_lib.data.corpora.ased import ASED
from ser_lib.data.corpora.crema_d import CREMA_D
from ser_lib.data.corpora.emodb import EMODB
from ser_lib.data.corpora.emodb2 import EMODB2
from ser_lib.data.corpora.emospeech_in import EMOSPEECH_IN
from ser_lib.data.corpora.iemocap import IEMOCAP
from ser_lib.data.corpora.nemo import NEMO
from ser_lib.data.corpora.ravdess import RAVDESS
from ser_lib.data.corpora.savee import SAVEE
from ser_lib.data.corpora.tess import TESS
from ser_lib.data.corpora.turev import TUREV
from ser_lib.data.corpus import CLIP_COLUMNS, Corpus, read_clip_table
from ser_lib.data.demo import CLIPS_DIR, DEMO
from ser_lib.data.labels import EMOTIONS, LABEL_SETS, LabelSet, colour_of
from ser_lib.data.leakage import audit_split, check_split
from ser_lib.data.own import OwnCorpus, own_corpus
from ser_lib.data.pooled import LANGUAGES, LANGUAGES_OPEN, POOLED, Pool
from ser_lib.data.splits import PROTOCOLS, Protocol, Split, make_split, rows_of
from ser_lib.errors import CorpusError
from ser_lib.paths import atomic_path, report_dir

__all__ = [
    "CLIP_COLUMNS",
    "CORPORA",
    "EMOTIONS",
    "LABEL_SETS",
    "PROTOCOLS",
    "Corpus",
    "LabelSet",
    "Pool",
    "Protocol",
    "Split",
    "audit_split",
    "check_split",
    "colour_of",
    "get_corpus",
    "load_corpus",
    "make_split",
    "rows_of",
]

CORPORA: dict[str, Corpus | Pool] = {
    one.name: one
    for one in (
        *(DEMO, RAVDESS, EMODB, TESS, SAVEE, CREMA_D, IEMOCAP),
        *(NEMO, ASED, EMOSPEECH_IN, TUREV, EMODB2, POOLED, LANGUAGES, LANGUAGES_OPEN),
    )
}

# The label sets that listeners chose from in the listening tests that a corpus's card cites.
LISTENER_CHOICES = {"ravdess": ("ravdess8", "seven"), "crema_d": ("crema_d6",)}


def get_corpus(name: str) -> Corpus | Pool:
    """Return the card of a corpus by its name, one's own too, or raise CorpusError."""
    if own := own_corpus(name):
        return own
    if name not in CORPORA:
        raise CorpusError(f"unknown corpus '{name}'; known are {', '.join(CORPORA)}")
    return CORPORA[name]


def corpus_of(clips: pd.DataFrame) -> str:
    """Name the corpus of a clip table, the pool where there are several; raise if it is empty."""
    names = clips["corpus"].unique()
    if not len(names):
        raise CorpusError("there are no clips, hence no corpus")
    if len(names) == 1:
        return str(names[0])
    if set(names) == {one.name for one in LANGUAGES_OPEN.members}:
        return LANGUAGES_OPEN.name
    pools = (POOLED, LANGUAGES)
    fits = (one for one in pools if {two.name for two in one.members}.issuperset(names))
    return next(fits, POOLED).name


def single_corpus(name: str, *, has_statements: bool = False) -> str:
    """Name the corpus itself or, for a pool, its first member.

    For one's own that does not tell what is said, where that is needed, the demo.
    """
    corpus = get_corpus(name)
    if isinstance(corpus, OwnCorpus) and has_statements and corpus.n_statements < 2:
        return DEMO.name
    return corpus.members[0].name if isinstance(corpus, Pool) else name


def load_corpus(name: str, *, root: Path | None = None, strict: bool = True) -> pd.DataFrame:
    """Load a corpus as a clip table, from its audio or, without audio, from the committed table.

    Parameters
    ----------
    name : str
        A key of `CORPORA`, or a corpus of one's own (`ser_lib.data.own.register`).
    root : Path, optional
        Folder of the corpus; None takes `SER_DATA/<name>`.
    strict : bool
        False leaves damaged, foreign and duplicate clips out and accepts missing ones, and lists
        what was left out in `attrs["left_out"]`.

    Returns
    -------
    pandas.DataFrame, shape (n_clips, 12)
        Columns `CLIP_COLUMNS`, sorted by `clip_id`. `attrs["has_audio"]` is False where only
        the committed table is there: stored runs can be read with it, clips cannot; `path` is then
        empty. `attrs["n_copies"]` counts second copies of the same file, `attrs["by_design"]` lists
        clips that are always left out.

    Raises
    ------
    CorpusError
        If the corpus is unknown or missing, or if `strict` and anything is wrong with any file; all
        offenders are listed.
    """
    corpus = get_corpus(name)
    committed = _committed_path(name)
    if isinstance(corpus, Pool):
        if root is not None:
            raise CorpusError(f"{name}: a pool has no folder of its own, so root={root} has no use")
        return corpus.load(committed, strict=strict)
    if corpus.is_embedded and root is None:
        root = CLIPS_DIR
    if root is None and not corpus.root().is_dir() and committed.is_file():
        return load_committed_clips(name)
    table = corpus.load(root, strict=strict)
    table.attrs["has_audio"] = True
    return table


def load_committed_clips(name: str) -> pd.DataFrame:
    """Read the committed table of a corpus, whether or not its audio is here; `path` is empty."""
    committed = _committed_path(name)
    if not committed.is_file():
        raise CorpusError(f"{name}: {committed} is not here; `ser report {name}` writes it")
    table = read_clip_table(committed)
    table.attrs.update(left_out=[], n_copies=0, has_audio=False)
    return table


def write_committed_clips(clips: pd.DataFrame, name: str) -> Path:
    """Write a clip table, without paths, to `reports/<name>/clips.csv`; return that file."""
    target = _committed_path(name)
    with atomic_path(target) as temporary:
        clips.drop(columns="path").to_csv(temporary, index=False, float_format="%.6f")
    return target


def _committed_path(name: str) -> Path:
    return report_dir(name) / "clips.csv"


def other_recordings(clips: pd.DataFrame, name: str) -> str:
    """Warn where recordings are not those of the committed table; empty where they are."""
    if isinstance(get_corpus(name), Pool) or not _committed_path(name).is_file():
        return ""
    committed = load_committed_clips(name)
    n_other = int((~clips["audio_sha256"].isin(committed["audio_sha256"])).sum())
    if not n_other:
        return ""
    theirs, ours = (
        ", ".join(f"{rate:,} Hz" for rate in sorted(table["sample_rate_hz"].astype(int).unique()))
        for table in (committed, clips)
    )
    return (
        f"{n_other:,} of {len(clips):,} recordings of {name} are other files than those of the "
        f"stored runs ({theirs} there, {ours} here): runs are trained again"
    )


def listener_accuracy(corpus: str, labels: Sequence[str]) -> tuple[float, float] | None:
    """Return the range of listeners' accuracy, in [0, 1], where they chose from these classes."""
    known = [LABEL_SETS[one].labels for one in LISTENER_CHOICES.get(corpus, ())]
    is_known = sorted(labels) in [sorted(one) for one in known]
    return get_corpus(corpus).listeners_wa if is_known else None
