"""Studies: the published systems, each one file with one `Study` value; and our own, in `OURS`.

To add one, write a file here and one line in `STUDIES`; what nobody published goes into `OURS`.
"""

from __future__ import annotations

from ser_lib.errors import StudyError
from ser_lib.studies.boucheta2025 import BOUCHETA2025
from ser_lib.studies.compare2016 import COMPARE2016
from ser_lib.studies.fpt2025 import FPT2025
from ser_lib.studies.iemocap5 import IEMOCAP5
from ser_lib.studies.moonshine import HEADS, MOONSHINE, TUNED
from ser_lib.studies.penumajji2025 import PENUMAJJI2025
from ser_lib.studies.study import ModelSpec, PublishedFigure, Study
from ser_lib.studies.swart2025 import SWART2025
from ser_lib.studies.tdnn import SCRATCH, SCRATCH_ALONE
from ser_lib.studies.well_trained import OWN_WAY, WELL_TRAINED

__all__ = ["OURS", "STUDIES", "ModelSpec", "PublishedFigure", "Study", "get_study"]

STUDIES: dict[str, Study] = {
    one.name: one for one in (SWART2025, BOUCHETA2025, PENUMAJJI2025, FPT2025, IEMOCAP5)
}

# Systems of this project: they have no published figures to be held to.
OURS: dict[str, Study] = {
    one.name: one
    for one in (
        *(MOONSHINE, HEADS, TUNED, SCRATCH, SCRATCH_ALONE, COMPARE2016),
        *(WELL_TRAINED, OWN_WAY),
    )
}


def get_study(name: str) -> Study:
    """Return a study by name.

    Raises
    ------
    StudyError
        If there is none of that name.
    """
    known = STUDIES | OURS
    if name not in known:
        raise StudyError(f"unknown study '{name}'; known are {', '.join(known)}")
    return known[name]
