"""Published figures of others, each with its task, its protocol and its source.

A figure says something beside another one only where corpus, classes and protocol are the same.
`anchors_for` therefore asks for all three, and `check_comparable` refuses what differs. Left out:
figures of systems that normalise each test speaker by that speaker's own clips, which is another
task, and figures of a random division.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ser_lib.data.labels import LABEL_SETS
from ser_lib.errors import MetricError


@dataclass(frozen=True)
class Anchor:
    """A figure that somebody else printed, or that was measured with somebody else's system."""

    system: str
    corpus: str
    label_set: str
    """A name in `ser_lib.data.labels.LABEL_SETS`."""
    protocol: str
    """A name in `ser_lib.data.splits.PROTOCOLS`."""
    source: str
    uar: float | None = None
    wa: float | None = None
    uar_interval: tuple[float, float] | None = None
    """95 %, by speaker, where the source gives one."""
    note: str = ""
    """What is not as honest, or not as certain, as it looks."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes."""
        return LABEL_SETS[self.label_set].labels


MEASURED = "measured before this project on the same clips"
HSN = "hsn07pk/ravdess-speaker-independent-ser"
ANCHORS: tuple[Anchor, ...] = (
    Anchor(
        "ResLSTM-SA-h64 (MFCC + chroma)",
        "ravdess",
        "ravdess8",
        "luna5",
        "Mak-Sim/ResLSTM-SER",
        uar=0.623,
        note="± 1.2 points over ten runs; normalised on all clips and tuned on test folds",
    ),
    Anchor("eGeMAPS + RBF SVM", "ravdess", "ravdess8", "luna5", MEASURED, uar=0.482, wa=0.480),
    Anchor(
        "ComParE 2016 + linear SVM", "ravdess", "ravdess8", "luna5", MEASURED, uar=0.562, wa=0.569
    ),
    Anchor(
        "XLSR wav2vec 2.0, fine-tuned",
        "ravdess",
        "ravdess8",
        "luna5",
        "cristinalunaj/MMEmotionRecognition",
        wa=0.818,
        note="± 2.0 points",
    ),
    Anchor(
        "Moonshine-base, best layer, logistic probe",
        "ravdess",
        "ravdess8",
        "luna5",
        MEASURED,
        uar=0.742,
        wa=0.748,
        note="layer chosen on training speakers",
    ),
    Anchor(
        "Moonshine-base, layers 1 to 6, logistic probe",
        "ravdess",
        "ravdess8",
        "luna5",
        MEASURED,
        uar=0.777,
    ),
    Anchor(
        "ComParE 2016 + logistic probe", "ravdess", "ravdess8", "loso", HSN, uar=0.636, wa=0.634
    ),
    Anchor(
        "WavLM-large, frozen, logistic probe",
        "ravdess",
        "ravdess8",
        "loso",
        HSN,
        uar=0.813,
        wa=0.812,
    ),
    Anchor(
        "XLS-R 300M, frozen, logistic probe",
        "ravdess",
        "ravdess8",
        "loso",
        HSN,
        uar=0.819,
        wa=0.817,
        uar_interval=(0.778, 0.859),
    ),
    Anchor(
        "Whisper-large-v3, frozen",
        "ravdess",
        "ravdess8",
        "emobox6",
        "EmoBox, Table 4",
        uar=0.753,
        wa=0.759,
    ),
    Anchor("ComParE 2016 + SVM", "emodb", "emodb7", "loso", MEASURED, uar=0.746, wa=0.768),
    Anchor(
        "Moonshine-base, logistic probe", "emodb", "emodb7", "loso", MEASURED, uar=0.864, wa=0.875
    ),
    Anchor(
        "Moonshine-tiny, logistic probe", "emodb", "emodb7", "loso", MEASURED, uar=0.825, wa=0.832
    ),
)


def check_comparable(anchor: Anchor, corpus: str, labels: Sequence[str], protocol: str) -> None:
    """Raise where an anchor says nothing about results of a task.

    Parameters
    ----------
    anchor : Anchor
        What is to be drawn.
    corpus : str
        Whose clips the results are about.
    labels : sequence of str
        The classes of the results.
    protocol : str
        Name of the rule that divided the clips.

    Raises
    ------
    MetricError
        If corpus, classes or protocol differ.
    """
    differs = {
        "corpus": (anchor.corpus, corpus),
        "classes": (sorted(anchor.labels), sorted(labels)),
        "protocol": (anchor.protocol, protocol),
    }
    for what, (theirs, ours) in differs.items():
        if theirs != ours:
            raise MetricError(
                f"{anchor.system} cannot be set beside these results: its {what} is {theirs}, "
                f"theirs {ours}"
            )


def anchors_for(corpus: str, labels: Sequence[str], protocol: str) -> tuple[Anchor, ...]:
    """Return the anchors of a task: of the same corpus, classes and protocol.

    Parameters
    ----------
    corpus, labels, protocol
        As `check_comparable`.

    Returns
    -------
    tuple of Anchor
        Often none.

    Notes
    -----
    Notebook: 09_evaluation.ipynb
    """
    task = (corpus, sorted(labels), protocol)
    return tuple(one for one in ANCHORS if (one.corpus, sorted(one.labels), one.protocol) == task)
