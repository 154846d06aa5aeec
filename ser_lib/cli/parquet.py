"""Parquet files that are written piece by piece, with facts about the whole."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd


def write_parquet(path: Path, pieces: Iterable[pd.DataFrame], facts: dict[str, Any]) -> None:
    """Write tables of the same columns under each other; pandas reads the facts as `attrs`."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    with ExitStack() as stack:
        writer = None
        for piece in pieces:
            table = pyarrow.Table.from_pandas(piece, preserve_index=False)
            if writer is None:
                attributes = {"PANDAS_ATTRS": json.dumps(facts)}
                schema = table.schema.with_metadata({**table.schema.metadata, **attributes})
                writer = stack.enter_context(ParquetWriter(path, schema))
            writer.write_table(table.cast(writer.schema))
