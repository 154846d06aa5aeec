"""Protocols: named rules that divide rows into train, validation and test.

A row is a clip or one of its variants (a copy, an augmentation); `rows_of` makes them and
`make_split` applies a rule of `PROTOCOLS` to them. To add a rule, write a function from rows and a
seed to folds and one line in `PROTOCOLS`. Whether a split leaks is checked in
`ser_lib.data.leakage`.
"""

from __future__ import annotations

import csv
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO

import numpy as np
import pandas as pd

from ser_lib.data.corpus import corpora_of
from ser_lib.data.enrolment import NORMALISATIONS, enrolled
from ser_lib.data.labels import LabelSet
from ser_lib.errors import SplitError
from ser_lib.seeds import generator
from ser_lib.shown import short

PARTS = ("train", "validation", "test")
ROW_COLUMNS = tuple("row_id clip_id variant label speaker gender statement audio_sha256".split())


@short
@dataclass(frozen=True)
class Fold:
    """Row ids of one division; each row is in one part at most."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@short
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
    """A key of `ser_lib.data.enrolment.NORMALISATIONS`: clips of the test speaker that are known
    beforehand, without their labels; empty where no clip of theirs is."""

    @property
    def full_name(self) -> str:
        """Name with the normalisation, as tables and folders have it."""
        return f"{self.name}_norm_{self.normalisation}" if self.normalisation else self.name


def plain_protocol(name: str) -> Protocol:
    """Return a protocol by its name alone, with default parameters and its inherent leaks.

    >>> plain_protocol("leave_emodb_out_norm_room30").params
    {'test': 'emodb'}
    """
    name, _, normalisation = name.partition("_norm_")
    if name not in PROTOCOLS and (match := re.fullmatch(r"leave_(\w+)_out", name)):
        params = {"test": match[1]}
        return Protocol("leave_corpus_out", params, normalisation=normalisation)
    return Protocol(name, leaks=INHERENT_LEAKS.get(name, ()), normalisation=normalisation)


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
        Columns `ROW_COLUMNS`, all variants of the first clip, then of the second, and so on.

    Raises
    ------
    SplitError
        If no clip belongs to the task.
    """
    labels = label_set.apply(clips["emotion"], clips["gender"])
    kept = clips.assign(label=labels).dropna(subset="label")
    if kept.empty:
        raise SplitError(
            f"no clip has an emotion of the label set '{label_set.name}' "
            f"({', '.join(label_set.labels)})"
        )
    rows = kept.loc[kept.index.repeat(len(variants))].reset_index(drop=True)
    rows["variant"] = list(variants) * len(kept)
    suffix = np.where(rows["variant"] == "original", "", "#" + rows["variant"])
    rows["row_id"] = rows["clip_id"] + suffix
    return rows[list(ROW_COLUMNS)]


def clips_of(clips: pd.DataFrame, protocol: Protocol, label_set: LabelSet) -> pd.DataFrame:
    """Choose the clips that a protocol is about.

    Corpora that it does not name change nothing, and of a corpus that is tested alone the classes
    count that training has as well.
    """
    named = [protocol.params[part] for part in ("train", "test") if part in protocol.params]
    if "train" in protocol.params:
        clips = clips[clips["corpus"].isin(named)]
    if not named:
        return clips
    classes = label_set.apply(clips["emotion"], clips["gender"])
    is_test = corpora_of(clips) == protocol.params["test"]
    shared = set(classes[is_test].dropna()) & set(classes[~is_test].dropna())
    return clips[classes.isin(shared)] if shared else clips


def each_left_out(names: Sequence[str], clips: pd.DataFrame) -> list[str]:
    """Replace the protocol "leave_corpus_out", with a normalisation or without, by one a corpus.

    >>> clips = pd.DataFrame({"speaker": ["tess-OAF", "emodb-03"]})
    >>> each_left_out(["loso", "leave_corpus_out"], clips)
    ['loso', 'leave_emodb_out', 'leave_tess_out']
    """
    corpora, found = sorted(set(corpora_of(clips))), []
    for name in names:
        is_each = name.partition("_norm_")[0] == "leave_corpus_out"
        found += [name.replace("corpus", one, 1) for one in corpora] if is_each else [name]
    return found


def csv_of_rows(rows: pd.DataFrame) -> str:
    """Write which rows there are, with their labels and sounds, as CSV: runs are named by it."""
    text = StringIO()
    columns = ["row_id", "label", "audio_sha256"]
    # As `DataFrame.to_csv` writes it, in a tenth of the time.
    lines = zip(*(rows[name].tolist() for name in columns), strict=True)
    csv.writer(text, lineterminator="\n").writerows([columns, *lines])
    return text.getvalue()


def variants_of(copies: int, augmentations: Sequence[str]) -> tuple[str, ...]:
    """Name the variants of one clip, for example `("original", "copy")`."""
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
        Its folds.

    Raises
    ------
    SplitError
        If the protocol is unknown or does not fit, if a part is empty, or if a class has no
        training row in some fold (a class that one speaker alone has, for example).
    """
    if protocol.name not in PROTOCOLS:
        raise SplitError(f"unknown protocol '{protocol.name}'; known are {', '.join(PROTOCOLS)}")
    if "row_id" not in rows:
        raise SplitError(
            "the table has no row_id: it is one of clips; rows_of(clips, label_set, ('original',)) "
            "makes the rows of a task, with study.labels_for(corpus) for example"
        )
    rule = PROTOCOLS[protocol.name]
    try:
        inspect.signature(rule).bind(rows, seed, **protocol.params)
    except TypeError as error:
        given = dict(protocol.params)
        raise SplitError(f"protocol '{protocol.name}' with parameters {given}: {error}") from error
    folds = rule(rows, seed, **protocol.params)
    if norm := protocol.normalisation:
        if norm not in NORMALISATIONS:
            known = ", ".join(NORMALISATIONS)
            raise SplitError(f"unknown normalisation '{norm}'; known are {known}")
        enrolment = set(rows.loc[enrolled(rows, NORMALISATIONS[norm]), "row_id"])
        folds = [
            replace(fold, test=tuple(one for one in fold.test if one not in enrolment))
            for fold in folds
        ]
    label_of = rows.set_index("row_id")["label"]
    for number, fold in enumerate(folds):
        _check_fold(fold, label_of, f"{protocol.name}, fold {number}")
    return Split(protocol.name, tuple(folds))


def _check_fold(fold: Fold, label_of: pd.Series, where: str) -> None:
    for part in PARTS:
        if not getattr(fold, part):
            raise SplitError(f"{where}: no row for {part}; the corpus has too few speakers")
    lacking = sorted(set(label_of.unique()) - set(label_of[list(fold.train)].unique()))
    if lacking:
        raise SplitError(
            f"{where}: no training row of {lacking}; a class needs several speakers, "
            "else it can only be learned from the speaker that it is tested on"
        )


def with_training_variants(fold: Fold, variants: Sequence[str]) -> Fold:
    """Augment inside a fold of original rows: each training row is followed by its variants."""
    train = tuple(
        row for clip in fold.train for row in (clip, *(f"{clip}#{name}" for name in variants))
    )
    return replace(fold, train=train)


def _random(
    rows: pd.DataFrame,
    seed: int,
    *,
    test_share: float = 0.2,
    validation_share: float = 0.2,
    is_stratified: bool = True,
    by: str = "row_id",
) -> list[Fold]:
    """Divide rows at random; `validation_share` is that of the rows left by the test.

    `by="clip_id"` keeps the versions of a clip together.
    """
    rest, test = _divide(
        rows.drop_duplicates(by), test_share, seed, "random", is_stratified=is_stratified
    )
    train, validation = _divide(rest, validation_share, seed, "random", is_stratified=is_stratified)
    row_ids = rows.set_index(by, drop=False)["row_id"]
    return [Fold(*(tuple(row_ids.loc[list(one[by])]) for one in (train, validation, test)))]


def _divide(
    rows: pd.DataFrame, size: float, seed: int, protocol: str, *, is_stratified: bool = True
) -> list[pd.DataFrame]:
    """Draw a share, or a number, of the rows; return the rest and those drawn."""
    from sklearn.model_selection import train_test_split

    labels = rows["label"] if is_stratified else None
    try:
        return train_test_split(rows, test_size=size, random_state=seed, stratify=labels)
    except ValueError as error:
        raise SplitError(f"{protocol}: {len(rows)} rows cannot be divided: {error}") from error


# Luna-Jiménez et al. (2021), Sensors 21(22):7665: five folds over RAVDESS's actors, balanced in
# gender. Validation actors as published with ResLSTM-SER.
LUNA5_TEST = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
LUNA5_VALIDATION = ((3, 6), (10, 11), (8, 17), (1, 14), (2, 5))


def _luna5(rows: pd.DataFrame, seed: int) -> list[Fold]:
    """Five published folds over the actors of RAVDESS (or of a corpus named like it)."""
    actor = _actors_of(rows, "luna5")
    pairs = zip(LUNA5_TEST, LUNA5_VALIDATION, strict=True)
    return [_fold_by(rows, actor.isin(test), actor.isin(validation)) for test, validation in pairs]


# Ma et al. (2024), EmoBox, Interspeech: six folds over RAVDESS's actors, not balanced in gender.
EMOBOX6_TEST = (
    (1, 11, 20, 21),
    (4, 10, 12, 14),
    (8, 9, 19, 23),
    (3, 5, 7, 24),
    (2, 15, 16, 18),
    (6, 13, 17, 22),
)


def _emobox6(rows: pd.DataFrame, seed: int) -> list[Fold]:
    """Six published folds over the actors of RAVDESS; two women and two men validate."""
    actor = _actors_of(rows, "emobox6")
    folds = []
    for number, test in enumerate(EMOBOX6_TEST):
        rng = generator("emobox6", seed, number)
        chosen: set[int] = set()
        for remainder in (0, 1):  # women have even numbers
            others = sorted(one for one in set(actor) - set(test) if one % 2 == remainder)
            chosen |= set(rng.choice(others, min(2, len(others)), replace=False).tolist())
        folds.append(_fold_by(rows, actor.isin(test), actor.isin(chosen)))
    return folds


def _actors_of(rows: pd.DataFrame, protocol: str) -> pd.Series:
    """Return the number of each row's actor, or raise where the corpus is not RAVDESS."""
    speakers = rows["speaker"].unique()
    found = {one: re.search(r"-(\d\d)$", one) for one in speakers}
    actors = {speaker: int(match[1]) if match else 0 for speaker, match in found.items()}
    corpora = {one.partition("-")[0] for one in speakers}
    # Other corpora number their speakers as well; only these are RAVDESS's, or stand for them.
    if not set(actors.values()) <= set(range(1, 25)) or corpora not in ({"ravdess"}, {"demo"}):
        raise SplitError(
            f"{protocol} names the 24 actors of RAVDESS by number, which these speakers are not "
            f"(first: {rows['speaker'].iloc[0]}); use the protocol 'loso'"
        )
    return rows["speaker"].map(actors)


def _loso(rows: pd.DataFrame, seed: int, *, n_validation: int = 2) -> list[Fold]:
    """Leave one speaker out in turn; validation speakers are drawn from the others."""
    speakers = sorted(rows["speaker"].unique())
    if len(speakers) < n_validation + 2:
        raise SplitError(
            f"loso with {n_validation} validation speakers needs at least {n_validation + 2} "
            f"speakers, there are {len(speakers)}"
        )
    folds = []
    for speaker in speakers:
        others = [one for one in speakers if one != speaker]
        chosen = generator("loso", seed, speaker).choice(others, n_validation, replace=False)
        folds.append(_fold_by(rows, rows["speaker"] == speaker, rows["speaker"].isin(chosen)))
    return folds


def _speaker_folds(rows: pd.DataFrame, seed: int, *, n_folds: int = 5) -> list[Fold]:
    """Assign the speakers of every corpus to folds; validation: one training speaker in six."""
    fold_of = _assign_speakers(rows, n_folds, "speaker_folds")
    folds = []
    for number in range(n_folds):
        test = {one for one, fold in fold_of.items() if fold == number}
        validation = _validation_speakers(rows, test, ("speaker_folds", seed, number))
        folds.append(_fold_by(rows, rows["speaker"].isin(test), rows["speaker"].isin(validation)))
    return folds


def _speakers_by_corpus(rows: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return the speakers of each corpus, women first; a speaker's name begins with the corpus."""
    speakers = rows.drop_duplicates("speaker").sort_values(["gender", "speaker"])
    by_corpus = speakers.groupby(corpora_of(speakers))
    return [(name, list(ours["speaker"])) for name, ours in by_corpus]


def _assign_speakers(rows: pd.DataFrame, n_folds: int, protocol: str) -> dict[str, int]:
    """Give each speaker the number of the fold that tests him or her.

    RAVDESS's actors keep the folds of `luna5`, where there are five. The others are assigned in
    turn, women first, so that folds are alike in gender.
    """
    fold_of: dict[str, int] = {}
    for _, ours in _speakers_by_corpus(rows):
        is_ravdess = all(re.fullmatch(r"(ravdess|demo)-(0\d|1\d|2[0-4])", one) for one in ours)
        if is_ravdess and n_folds == len(LUNA5_TEST):
            fold_of_actor = {one: n for n, actors in enumerate(LUNA5_TEST) for one in actors}
            fold_of |= {one: fold_of_actor[int(one[-2:])] for one in ours}
        else:
            fold_of |= {one: number % n_folds for number, one in enumerate(ours)}
    n_used = len(set(fold_of.values()))
    if n_used < n_folds:
        raise SplitError(
            f"{protocol}: {len(fold_of)} speakers fill {n_used} of {n_folds} folds; "
            "use the protocol 'loso'"
        )
    return fold_of


def _validation_speakers(rows: pd.DataFrame, test: set[str], draw: tuple[object, ...]) -> set[str]:
    """Draw one in six speakers of each corpus who are not tested; few speakers can spare none."""
    chosen: set[str] = set()
    for corpus, ours in _speakers_by_corpus(rows):
        others = [one for one in ours if one not in test]
        if len(ours) >= 4 and others:
            chosen |= set(
                generator(*draw, corpus).choice(others, max(1, len(ours) // 6), replace=False)
            )
    return chosen


def _loso_few(rows: pd.DataFrame, seed: int, *, validation_share: float = 0.15) -> list[Fold]:
    """Leave one of few speakers out; validation: a share of the others' statements.

    Validation speakers are seen in training, so validation scores are too high.
    """
    speakers = sorted(rows["speaker"].unique())
    statements = sorted(rows["statement"].unique())
    n_validation = round(validation_share * len(statements))
    if len(speakers) < 2 or not 0 < n_validation < len(statements):
        raise SplitError(
            f"loso_few needs two speakers or more and a share of {len(statements)} statements for "
            f"validation, not {len(speakers)} speakers and a share of {validation_share}"
        )
    folds = []
    for speaker in speakers:
        chosen = generator("loso_few", seed, speaker).choice(
            statements, n_validation, replace=False
        )
        folds.append(_fold_by(rows, rows["speaker"] == speaker, rows["statement"].isin(chosen)))
    return folds


def _last_speaker_out(
    rows: pd.DataFrame, seed: int, *, test_share: float, validation_share: float = 0.1
) -> list[Fold]:
    """Test on all rows of the last speaker and on random ones of the others, as penumajji2025."""
    is_last = rows["speaker"] == rows["speaker"].max()
    n_random = round(test_share * len(rows)) - int(is_last.sum())
    if n_random <= 0 or is_last.all():
        raise SplitError(
            f"last_speaker_out: {rows['speaker'].max()} alone has {int(is_last.sum())} of "
            f"{len(rows)} rows, a share of {test_share} or more; rows of others are needed too"
        )
    rest, drawn = _divide(rows[~is_last], n_random, seed, "last_speaker_out")
    train, validation = _divide(rest, validation_share, seed, "last_speaker_out")
    test = (*rows.loc[is_last, "row_id"], *drawn["row_id"])
    return [Fold(tuple(train["row_id"].tolist()), tuple(validation["row_id"].tolist()), test)]


def _cross_corpus(
    rows: pd.DataFrame, seed: int, *, train: str, test: str, n_validation: int = 4
) -> list[Fold]:
    """Train on one corpus, validate on some of its speakers, test on another corpus."""
    corpus_of = corpora_of(rows)
    ours = sorted(rows.loc[corpus_of == train, "speaker"].unique())
    if len(ours) <= n_validation or not (corpus_of == test).any():
        raise SplitError(
            f"cross_corpus: needs clips of '{test}' and more than {n_validation} speakers of "
            f"'{train}', there are {int((corpus_of == test).sum())} and {len(ours)}"
        )
    chosen = generator("cross_corpus", seed, train).choice(ours, n_validation, replace=False)
    used = rows[corpus_of.isin((train, test))]
    is_test = corpus_of[used.index] == test
    return [_fold_by(used, is_test, used["speaker"].isin(chosen))]


def _leave_corpus_out(
    rows: pd.DataFrame, seed: int, *, test: str, n_clips: int = 600
) -> list[Fold]:
    """Test on one corpus, validate on another one that is drawn, and train on all others.

    At most `n_clips` of each of these are drawn, in turn of each class, so that no corpus outweighs
    the others.
    """
    corpus = corpora_of(rows)
    names = sorted(set(corpus))
    if test not in names or len(names) < 3:
        raise SplitError(
            f"leave_corpus_out: needs clips of '{test}' and of two other corpora or more, there "
            f"are those of {', '.join(names)}; take several at once, such as `languages`"
        )
    rng = generator("leave_corpus_out", seed, test)
    used = rows[(corpus == test) | is_drawn_evenly(rows, rng, n_clips=n_clips)]
    corpus = corpus[used.index]
    # One without which the others still have all classes.
    n_classes = used["label"].nunique()
    spare = [
        one
        for one in names
        if one != test and used.loc[~corpus.isin((one, test)), "label"].nunique() == n_classes
    ]
    if not spare:
        raise SplitError(f"leave_corpus_out: without {test} some class is in one corpus alone")
    return [_fold_by(used, corpus == test, corpus == rng.choice(spare))]


def is_drawn_evenly(
    rows: pd.DataFrame, rng: np.random.Generator, *, n_clips: int = 600
) -> np.ndarray:
    """Draw at most `n_clips` of each corpus, in turn of each class; return which rows they are."""
    drawn = rows.assign(corpus=corpora_of(rows)).iloc[rng.permutation(len(rows))]
    # The first of each class, then the second of each class, and so on.
    turn = drawn.groupby(["corpus", "label"]).cumcount()
    drawn = drawn.loc[turn.sort_values(kind="stable").index].groupby("corpus").head(n_clips)
    return rows.index.isin(drawn.index)


def _corpus_folds(rows: pd.DataFrame, seed: int, *, n_clips: int = 600) -> list[Fold]:
    """Leave every corpus out in turn, which may be taken for all classes of the others."""
    corpora = sorted(set(corpora_of(rows)))
    return [_leave_corpus_out(rows, seed, test=one, n_clips=n_clips)[0] for one in corpora]


def _sentence(rows: pd.DataFrame, seed: int, *, n_folds: int = 10) -> list[Fold]:
    """Leave one statement out in turn; where there are more than `n_folds`, one share of them.

    All speakers say every statement: test speakers are seen in training, validation speakers not.
    """
    said = _assign_statements(rows, n_folds, "sentence")
    folds = []
    for number in sorted(said.unique()):
        validation = _validation_speakers(rows, set(), ("sentence", seed, number))
        folds.append(_fold_by(rows, said == number, rows["speaker"].isin(validation)))
    return folds


def _speaker_and_sentence(
    rows: pd.DataFrame, seed: int, *, n_folds: int = 5, n_statement_folds: int = 2
) -> list[Fold]:
    """Test on unseen speakers who say unseen statements: each pair of two shares is a fold.

    Rows that share only one of the two with the test rows are left out of the fold.
    """
    name = "speaker+sentence"
    fold_of = rows["speaker"].map(_assign_speakers(rows, n_folds, name))
    said = _assign_statements(rows, n_statement_folds, name)
    folds = []
    for number in range(n_folds):
        test = set(rows.loc[fold_of == number, "speaker"])
        for statement in sorted(said.unique()):
            is_new = (fold_of == number) & (said == statement)
            is_apart = (fold_of != number) & (said != statement)
            used = rows[is_new | is_apart]
            validation = _validation_speakers(rows, test, (name, seed, number, statement))
            folds.append(_fold_by(used, is_new[used.index], used["speaker"].isin(validation)))
    return folds


def _assign_statements(rows: pd.DataFrame, n_folds: int, protocol: str) -> pd.Series:
    """Give each row the number of the fold that tests its statement, at most `n_folds` of them."""
    statements = sorted(rows["statement"].unique())
    if len(statements) < 2 or n_folds < 2:
        raise SplitError(
            f"{protocol} needs two statements and two folds of them or more, there are "
            f"{len(statements)} statements ({', '.join(statements[:3])}) for {n_folds} folds; "
            "use the protocol 'loso'"
        )
    return rows["statement"].map({one: place % n_folds for place, one in enumerate(statements)})


def _fold_by(rows: pd.DataFrame, is_test: pd.Series, is_validation: pd.Series) -> Fold:
    # Arrays: a series of words is slow to walk through.
    ids, tested = rows["row_id"].to_numpy(dtype=object), is_test.to_numpy(dtype=bool)
    validates = is_validation.to_numpy(dtype=bool) & ~tested
    return Fold(*(tuple(ids[part]) for part in (~tested & ~validates, validates, tested)))


PROTOCOLS: dict[str, Callable[..., list[Fold]]] = {
    "random": _random,
    "luna5": _luna5,
    "loso": _loso,
    "loso_few": _loso_few,
    "speaker_folds": _speaker_folds,
    "last_speaker_out": _last_speaker_out,
    "cross_corpus": _cross_corpus,
    "leave_corpus_out": _leave_corpus_out,
    "corpus_folds": _corpus_folds,
    "emobox6": _emobox6,
    "sentence": _sentence,
    "speaker+sentence": _speaker_and_sentence,
}

# Protocols whose choices are made on corpora left out of training, not on its speakers.
BY_CORPUS = ("leave_corpus_out", "corpus_folds")

# Findings of the audit that a rule cannot avoid; `plain_protocol` declares them.
INHERENT_LEAKS: Mapping[str, tuple[str, ...]] = {
    "loso_few": ("same_speaker",),
    "sentence": ("same_speaker",),
}

# Observations of the audit that a rule is there to avoid between its test rows and all others.
PROMISES: Mapping[str, tuple[str, ...]] = {
    "sentence": ("same_statement",),
    "speaker+sentence": ("same_statement",),
}
