"""Our network from scratch on the clips of the tested corpus alone.

That is how the figures of others came about that it stands beside (`ser_lib.transfer.FIELD`).
"""

from __future__ import annotations

from dataclasses import replace

from ser_lib.studies._ours import CHOSEN_ONCE
from ser_lib.studies.scratch import SCRATCH

__all__ = ["SCRATCH_ALONE"]

SCRATCH_ALONE = replace(
    SCRATCH,
    name="scratch_alone",
    title="The same network, on the clips of one corpus alone",
    models=tuple(
        replace(one, name="tdnn_alone", title="TDNN from scratch") for one in SCRATCH.models
    ),
    auxiliary_corpora=(),
    departures=CHOSEN_ONCE,
)
