"""Corpora: from a folder of recordings to a clip table.

`load("ravdess")` is the only door. To add a corpus, write one file beside `ravdess.py` and one line
in `CORPORA`; the contract test picks it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ser_lib.data.corpus import CLIP_COLUMNS, Corpus
from ser_lib.data.crema_d import CREMA_D
from ser_lib.data.demo import CLIPS_DIR, DEMO
from ser_lib.data.emodb import EMODB
from ser_lib.data.iemocap import IEMOCAP
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.pooled import POOLED, Pool
from ser_lib.data.ravdess import RAVDESS
from ser_lib.data.savee import SAVEE
from ser_lib.data.tess import TESS
from ser_lib.errors import CorpusError
from ser_lib.paths import atomic_path, report_dir

__all__ = [
    "CLIP_COLUMNS",
    "CORPORA",
    "Corpus",
    "Pool",
    "corpus_of",
    "get_corpus",
    "load_committed",
    "load_corpus",
    "other_recordings",
    "single_corpus",
    "write_committed_clips",
]


CORPORA: dict[str, Corpus | Pool] = {
    one.name: one for one in (DEMO, RAVDESS, EMODB, TESS, SAVEE, CREMA_D, IEMOCAP, POOLED)
}


def get_corpus(name: str) -> Corpus | Pool:
    """Return a corpus's card by name.

    Raises
    ------
    CorpusError
        If there is none of that name.
    """
    if name not in CORPORA:
        raise CorpusError(f"unknown corpus '{name}'; known are {', '.join(CORPORA)}")
    return CORPORA[name]


def corpus_of(clips: pd.DataFrame) -> str:
    """Name the corpus of a clip table: that of all its clips, or the pool where there are several.

    Raises
    ------
    CorpusError
        If there are no clips.
    """
    names = clips["corpus"].unique()
    if not len(names):
        raise CorpusError("there are no clips, hence no corpus")
    return str(names[0]) if len(names) == 1 else POOLED.name


def single_corpus(name: str) -> str:
    """Name the corpus itself or, of a pool, its first member.

    What a division lets slip, and what a model listens to, is asked of one corpus at a time: in a
    pool, speakers, sentences and rooms would change together.

    Raises
    ------
    CorpusError
        If there is none of that name.
    """
    corpus = get_corpus(name)
    return corpus.members[0].name if isinstance(corpus, Pool) else name


def load_corpus(name: str, *, root: Path | None = None, strict: bool = True) -> pd.DataFrame:
    """Load a corpus as a clip table, from its audio or, without audio, from the committed table.

    Parameters
    ----------
    name : str
        A key of `CORPORA`.
    root : Path, optional
        Folder of the corpus; None takes `SER_DATA/<name>`.
    strict : bool
        See `Corpus.load`.

    Returns
    -------
    pandas.DataFrame, shape (n_clips, 12)
        Columns `CLIP_COLUMNS`. `attrs["has_audio"]` is False where only the committed table is
        there: stored runs can be read with it, clips cannot; `path` is then empty.

    Raises
    ------
    CorpusError
        If the corpus is unknown, missing or damaged.

    Notes
    -----
    Notebook: 01_eda.ipynb
    """
    corpus = get_corpus(name)
    committed = _committed_clips(name)
    if isinstance(corpus, Pool):
        if root is not None:
            raise CorpusError(f"{name}: a pool has no folder of its own, so root={root} has no use")
        return corpus.load(committed, strict=strict)
    if corpus.is_embedded and root is None:
        root = CLIPS_DIR
    if root is None and not corpus.root().is_dir() and committed.is_file():
        return load_committed(name)
    table = corpus.load(root, strict=strict)
    table.attrs["has_audio"] = True
    return table


def load_committed(name: str) -> pd.DataFrame:
    """Read the committed table of a corpus, whether or not its recordings are here.

    Returns
    -------
    pandas.DataFrame, shape (n_clips, 12)
        As `load` without audio: `path` is empty.

    Raises
    ------
    CorpusError
        If no table is committed.
    """
    committed = _committed_clips(name)
    if not committed.is_file():
        raise CorpusError(f"{name}: {committed} is not here; `ser report {name}` writes it")
    table = pd.read_csv(committed, keep_default_na=False)
    table.insert(1, "path", "")
    table.attrs.update(left_out=[], n_copies=0, has_audio=False)
    return table[list(CLIP_COLUMNS)]


def other_recordings(clips: pd.DataFrame, name: str) -> str:
    """Say that recordings are not those of the committed table, which the stored runs heard.

    Parameters
    ----------
    clips : pandas.DataFrame
        From `load`.
    name : str
        The corpus.

    Returns
    -------
    str
        A sentence; empty where they are the same, or nothing is known.
    """
    if isinstance(get_corpus(name), Pool) or not _committed_clips(name).is_file():
        return ""
    heard = load_committed(name)
    n_other = len(clips) - int(clips["audio_sha256"].isin(set(heard["audio_sha256"])).sum())
    if not n_other:
        return ""
    return (
        f"{n_other:,} of {len(clips):,} recordings of {name} are other files than those that the "
        f"stored runs heard ({_rates(heard)} there, {_rates(clips)} here): runs are trained anew"
    )


def _rates(clips: pd.DataFrame) -> str:
    return ", ".join(f"{one:,} Hz" for one in sorted(clips["sample_rate_hz"].astype(int).unique()))


def _committed_clips(name: str) -> Path:
    return report_dir(name) / "clips.csv"


def write_committed_clips(clips: pd.DataFrame, name: str) -> Path:
    """Write a clip table, without paths, beside a corpus's stored runs, which it explains.

    Returns
    -------
    Path
        The file: `reports/<name>/clips.csv`.
    """
    target = _committed_clips(name)
    with atomic_path(target) as temporary:
        clips.drop(columns="path").to_csv(temporary, index=False, float_format="%.6f")
    return target


# Between which answers people chose in the listening tests that a corpus's card cites.
ANSWERS_OF_PEOPLE = {"ravdess": ("ravdess8", "seven"), "crema_d": ("crema_d6",)}


def people_beside(corpus: str, labels: Sequence[str]) -> tuple[float, float] | None:
    """Return people's accuracy on a corpus, where they had the same classes to choose from.

    Parameters
    ----------
    corpus : str
        Its name.
    labels : sequence of str
        The classes of the results beside which it is to be drawn.

    Returns
    -------
    tuple of float or None
        Range, in [0, 1]; None where nobody asked people this.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    known = [LABEL_SETS[one].labels for one in ANSWERS_OF_PEOPLE.get(corpus, ())]
    is_known = sorted(labels) in [sorted(one) for one in known]
    return get_corpus(corpus).listeners_wa if is_known else None
