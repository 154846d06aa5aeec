"""The exceptions of the package: one base class, one class a subject; and lists of offenders.

Every message says what is wrong, which file or value, and what to do about it.
Where several things are wrong at once, `offenders` turns them into one message.
"""

from __future__ import annotations

from collections.abc import Iterable

# A message that lists hundreds of files hides its first line; the rest is counted.
MAX_LISTED = 8


class SerError(Exception):
    """Base class of all errors that the package raises on purpose."""


class AudioError(SerError):
    """A recording cannot be used: unreadable, truncated, empty, silent, or of a wrong form."""


class AuditError(SerError):
    """A folder, table or split cannot be audited as requested."""


class CorpusError(SerError):
    """A corpus is missing, incomplete, damaged or unknown."""


class DownloadError(CorpusError):
    """A corpus cannot be downloaded or unpacked; what was there before is untouched."""


class EncoderError(SerError):
    """An encoder's weights are missing, damaged or of another form, or do not fit the signal."""


class FeatureError(SerError):
    """A feature or an augmentation is unknown, or its parameters do not fit the signal."""


class SplitError(SerError):
    """A protocol is unknown or cannot be applied to these clips."""


class LeakError(SplitError):
    """A split lets training know the test rows, and its study does not declare it."""


class StudyError(SerError):
    """A study or one of its models is unknown, or does not fit the corpus."""


class RunError(SerError):
    """A stored run is missing, incomplete or contradicts its specification."""


class TrainingStoppedError(SerError):
    """The time that a training was given is over; a checkpoint is kept, from which it goes on."""


class MetricError(SerError):
    """Predictions cannot be scored: empty, of one class, of unknown labels, not finite."""


class BundleError(SerError):
    """A bundle is missing, damaged, of another version, or contradicts itself."""


class StorageError(SerError):
    """Storage elsewhere refuses, does not answer, or lacks what was named."""


class OutputError(SerError):
    """A file that is to be written holds something else, or is being written by another process."""


class ReportError(SerError):
    """A notebook failed, or the report cannot be rendered."""


def offenders(found: Iterable[object], *, limit: int = MAX_LISTED) -> str:
    """Join offending files or values into an indented list of at most `limit` lines.

    The rest is counted.

    >>> print("bad files:" + offenders(["a.wav", "b.wav", "c.wav"], limit=2))
    bad files:
      a.wav
      b.wav
      … and 1 more
    """
    lines = [str(one) for one in found]
    shown = lines[:limit]
    if len(lines) > limit:
        shown.append(f"… and {len(lines) - limit} more")
    return "".join(f"\n  {line}" for line in shown)


def numbered(steps: Iterable[str]) -> str:
    """List what a person can do under each other, numbered from 1."""
    return "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, start=1))
