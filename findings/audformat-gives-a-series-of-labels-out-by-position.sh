#!/usr/bin/env bash
# audformat 1.4.3 with pandas 3.1.1, Python 3.11: labels that carry their recordings' names are given
# to other recordings.
#
# Guess: a column of a table is set from a pandas Series as a column of a data frame is: each label goes
#        to the recording that the Series names, and a Series of other recordings is refused.
# Found: `column.set(series)` and `table.set(...)` look at the values alone and hand them out in the
#        table's order. Sorted by another program, all labels are wrong, and a Series of recordings that
#        the table does not have is taken too. Passing the Series's own index beside it
#        (`set(series, index=series.index)`) sets what pandas sets.
# Seen:  pandas: a.wav happy, b.wav sad, c.wav calm | column.set: a.wav calm, b.wav sad, c.wav happy
#        | table.set of a frame: a.wav calm, b.wav sad, c.wav happy | recordings that are not there:
#        a.wav calm, b.wav sad, c.wav happy | with its index: a.wav happy, b.wav sad, c.wav calm
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check audformat==1.4.3 pandas==3.1.1 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys

import audformat
import pandas as pd

LABELS = {"c.wav": "calm", "b.wav": "sad", "a.wav": "happy"}  # as another program sorted them
index = audformat.filewise_index(sorted(LABELS))
labels = pd.Series(LABELS.values(), index=audformat.filewise_index(list(LABELS)))
strangers = pd.Series(LABELS.values(), index=audformat.filewise_index(["x.wav", "y.wav", "z.wav"]))


def told(table: audformat.Table) -> str:
    """Return what a table says of each recording."""
    return ", ".join(f"{file} {label}" for file, label in table.df["emotion"].items())


def new() -> audformat.Table:
    """Return an empty table of the three recordings, in a database of its own."""
    made = audformat.Database("mine")
    made.schemes["emotion"] = audformat.Scheme(labels=sorted(LABELS.values()))
    table = made["labels"] = audformat.Table(index)
    table["emotion"] = audformat.Column(scheme_id="emotion")
    return table


frame = pd.DataFrame(index=index)
frame["emotion"] = labels
right = ", ".join(f"{file} {label}" for file, label in frame["emotion"].items())
by_column, by_table, by_strangers, by_index = new(), new(), new(), new()
by_column["emotion"].set(labels)
by_table.set(labels.to_frame("emotion"))
by_strangers["emotion"].set(strangers)
by_index["emotion"].set(labels, index=labels.index)
seen = [told(one) for one in (by_column, by_table, by_strangers, by_index)]
print(f"pandas: {right} | column.set: {seen[0]} | table.set of a frame: {seen[1]} | "
      f"recordings that are not there: {seen[2]} | with its index: {seen[3]}")
turned = "a.wav calm, b.wav sad, c.wav happy"
sys.exit(right != "a.wav happy, b.wav sad, c.wav calm" or seen != [turned, turned, turned, right])
PY
"$work/env/bin/python" "$work/run.py" 2>/dev/null
