#!/usr/bin/env bash
# audformat 1.4.3 with pandas 3.1.1 and pyarrow 26.0.1, Python 3.11: a table's own data frame, written
# back as Parquet by pandas, makes the database unreadable; its index must be plain columns.
#
# Guess: audformat stores tables as Parquet, and pandas keeps an index in Parquet; somebody who reads
#        `db["table"].df`, corrects a label and writes the frame over `db.table.parquet` with
#        `to_parquet` can load the database again.
# Found: loading raises KeyError 'start': the reader takes file, start and end as plain columns and does
#        not look at pandas' note on the index, while pandas' own reader restores it. After
#        `reset_index()` and `index=False` the same values load.
# Seen:  saved by audformat: 2 rows | the frame as it is: KeyError 'start', pandas itself reads 2 rows
#        with the index file, start, end | index as columns: 2 rows
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  audformat==1.4.3 pandas==3.1.1 pyarrow==26.0.1 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys
from pathlib import Path

import audformat
import pandas as pd

folder = Path(sys.argv[1]) / "database"
path = folder / "db.emotion.parquet"

made = audformat.Database("mine")
made.schemes["emotion"] = audformat.Scheme("str")
index = audformat.segmented_index(["a.wav", "a.wav"], ["0s", "1s"], ["1s", "2s"])
table = made["emotion"] = audformat.Table(index)
table["emotion"] = audformat.Column(scheme_id="emotion")
table["emotion"].set(["happy", "sad"])
made.save(folder, storage_format="parquet")


def loaded() -> str:
    """Load the database anew and count the rows of its table."""
    try:
        return f"{len(audformat.Database.load(folder)['emotion'].df)} rows"
    except KeyError as error:
        return f"KeyError {error}"


frame = made["emotion"].df
saved = loaded()
frame.to_parquet(path)
as_it_is, by_pandas = loaded(), pd.read_parquet(path)
frame.reset_index().to_parquet(path, index=False)
plain = loaded()
names = ", ".join(by_pandas.index.names)
print(f"saved by audformat: {saved} | the frame as it is: {as_it_is}, pandas itself reads "
      f"{len(by_pandas)} rows with the index {names} | index as columns: {plain}")
sys.exit((saved, as_it_is, names, plain) != ("2 rows", "KeyError 'start'", "file, start, end", "2 rows"))
PY
"$work/env/bin/python" "$work/run.py" "$work" 2>/dev/null
