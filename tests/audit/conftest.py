"""What the tests of the audit share: a clip is measured and aligned once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from ser_lib.audit import dataset, duplicates

# By path: every test writes its files to a folder of its own.
measure_once = cache(dataset.measure_clip)
align, aligned = duplicates.align, {}


def align_once(first: np.ndarray, second: np.ndarray) -> tuple[float, np.ndarray]:
    key = first.tobytes(), second.tobytes()
    if key not in aligned:
        aligned[key] = align(first, second)
    return aligned[key]


@pytest.fixture(scope="module", autouse=True)
def _measured_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "measure_clip", measure_once)
        patch.setattr(duplicates, "align", align_once)
        yield
