"""Protocols: named rules that divide rows into train, validation and test.

A row is a clip or one of its variants (a copy, an augmentation); `rows_of` makes them. Every
protocol returns a `Split` of folds of row ids and changes nothing else. The rules themselves are in
`ser_lib.protocols`; whether a split leaks is judged by `ser_lib.audit`, not here.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ser_lib.errors import SplitError
from ser_lib.labels import LabelSet
from ser_lib.normalisation import NORMALISATIONS, enrolled
from ser_lib.protocols import (
    INHERENT_LEAKS,
    LUNA5_TEST,
    LUNA5_VALIDATION,
    PROMISES,
    PROTOCOLS,
    Fold,
)

__all__ = [
    "LUNA5_TEST",
    "LUNA5_VALIDATION",
    "PROMISES",
    "PROTOCOLS",
    "Fold",
    "Protocol",
    "Split",
    "make_split",
    "plain_protocol",
    "rows_of",
    "variants_of",
    "with_training_variants",
]


@dataclass(frozen=True)
class Split:
    """The folds of one protocol."""

    protocol: str
    folds: tuple[Fold, ...]


@dataclass(frozen=True)
class Protocol:
    """A protocol with its parameters, as a study names it."""

    name: str
    params: Mapping[str, object] = field(default_factory=dict)
    leaks: tuple[str, ...] = ()
    """Findings of the audit that this protocol declares, because the published study has them."""
    is_published: bool = False
    """Whether copies and augmentations are made before the split, as the study did."""
    normalisation: str = ""
    """A key of `ser_lib.normalisation.NORMALISATIONS`: clips of the test speaker that are known
    beforehand, without their labels; nothing where the speaker is new altogether."""

    @property
    def full_name(self) -> str:
        """Name with the normalisation, which no table and no folder leaves out."""
        return f"{self.name}_norm_{self.normalisation}" if self.normalisation else self.name


def plain_protocol(name: str) -> Protocol:
    """Return a protocol by its name alone, with default parameters and the leaks it cannot avoid.

    Examples
    --------
    >>> plain_protocol("sentence").leaks, plain_protocol("loso").leaks
    (('same_speaker',), ())
    """
    return Protocol(name, leaks=INHERENT_LEAKS.get(name, ()))


def rows_of(
    clips: pd.DataFrame, label_set: LabelSet, variants: Sequence[str] = ("original",)
) -> pd.DataFrame:
    """Turn a clip table into rows: one a clip and variant, with the task's label.

    Parameters
    ----------
    clips : pandas.DataFrame
        A clip table.
    label_set : LabelSet
        Clips of emotions that it leaves out give no rows.
    variants : sequence of str
        "original", "copy" (the same clip once more) or the names of augmentations.

    Returns
    -------
    pandas.DataFrame, shape (n_clips * n_variants, 8)
        Columns `row_id, clip_id, variant, label, speaker, gender, statement, audio_sha256`, all
        variants of the first clip, then of the second, and so on.

    Raises
    ------
    SplitError
        If no clip belongs to the task.
    """
    columns = ["clip_id", "speaker", "gender", "statement", "audio_sha256"]
    labels = label_set.apply(clips["emotion"], clips["gender"])
    kept = clips[columns].assign(label=labels)
    kept = kept[kept["label"].notna()]
    if kept.empty:
        raise SplitError(
            f"no clip has an emotion of the label set '{label_set.name}' "
            f"({', '.join(label_set.labels)})"
        )
    rows = kept.loc[kept.index.repeat(len(variants))].reset_index(drop=True)
    rows["variant"] = list(variants) * len(kept)
    suffix = np.where(rows["variant"] == "original", "", "#" + rows["variant"])
    rows["row_id"] = rows["clip_id"] + suffix
    order = ["row_id", "clip_id", "variant", "label", "speaker", "gender", "statement"]
    return rows[[*order, "audio_sha256"]]


def variants_of(copies: int, augmentations: Sequence[str]) -> tuple[str, ...]:
    """Name the rows that one clip becomes, for example `("original", "copy")`."""
    extra = tuple(f"copy{n}" if n > 2 else "copy" for n in range(2, copies + 1))
    return ("original", *extra, *augmentations)


def make_split(rows: pd.DataFrame, protocol: Protocol, *, seed: int) -> Split:
    """Apply a protocol to rows.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `rows_of`.
    protocol : Protocol
        Which rule, with which parameters.
    seed : int
        Of whatever the rule draws.

    Returns
    -------
    Split
        Its folds. The test parts of `luna5` and `loso` cover every row once.

    Raises
    ------
    SplitError
        If the protocol is unknown or does not fit, if a part is empty, or if a class has no
        training row in some fold (a class that one speaker alone has, for example).

    Notes
    -----
    Notebook: 03_cnn_2d.ipynb
    """
    if protocol.name not in PROTOCOLS:
        raise SplitError(f"unknown protocol '{protocol.name}'; known are {', '.join(PROTOCOLS)}")
    rule = PROTOCOLS[protocol.name]
    known = inspect.signature(rule).parameters
    unknown = set(protocol.params) - set(known)
    if unknown:
        raise SplitError(f"protocol '{protocol.name}' has no parameters {sorted(unknown)}")
    lacking = [
        name
        for name, one in known.items()
        if one.kind is one.KEYWORD_ONLY and one.default is one.empty and name not in protocol.params
    ]
    if lacking:
        raise SplitError(f"protocol '{protocol.name}' needs {', '.join(lacking)}")
    folds = rule(rows, seed, **protocol.params)
    if protocol.normalisation:
        folds = _without_enrolled(folds, rows, protocol.normalisation)
    label_of = rows.set_index("row_id")["label"]
    for number, fold in enumerate(folds):
        _check_fold(fold, label_of, f"{protocol.name}, fold {number}")
    return Split(protocol.name, tuple(folds))


def _without_enrolled(folds: list[Fold], rows: pd.DataFrame, name: str) -> list[Fold]:
    """Take clips that were recorded beforehand out of the test rows."""
    if name not in NORMALISATIONS:
        raise SplitError(f"unknown normalisation '{name}'; known are {', '.join(NORMALISATIONS)}")
    known = set(rows.loc[enrolled(rows, NORMALISATIONS[name]), "row_id"])
    return [
        Fold(fold.train, fold.validation, tuple(one for one in fold.test if one not in known))
        for fold in folds
    ]


def _check_fold(fold: Fold, label_of: pd.Series, where: str) -> None:
    for part in ("train", "validation", "test"):
        if not getattr(fold, part):
            raise SplitError(f"{where}: no row for {part}; the corpus has too few speakers")
    needed = set(label_of)
    lacking = sorted(needed - set(label_of[list(fold.train)]))
    if lacking:
        raise SplitError(
            f"{where}: no training row of {lacking}; a class needs several speakers, "
            "else it can only be learned from the speaker that it is tested on"
        )


def with_training_variants(fold: Fold, variants: Sequence[str]) -> Fold:
    """Add variants of the training rows to a fold: augmentation inside the fold.

    Parameters
    ----------
    fold : Fold
        Of original rows.
    variants : sequence of str
        Augmentations, without "original".

    Returns
    -------
    Fold
        Validation and test as they were; each training clip followed by its variants.
    """
    train = tuple(
        row for clip in fold.train for row in (clip, *(f"{clip}#{name}" for name in variants))
    )
    return Fold(train, fold.validation, fold.test)
