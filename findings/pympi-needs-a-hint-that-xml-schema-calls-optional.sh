#!/usr/bin/env bash
# pympi-ling 1.71, Python 3.11: an ELAN file without `xsi:noNamespaceSchemaLocation` cannot be read.
#
# Guess: the attribute tells a validator where a schema may lie, and XML Schema calls it a hint; whoever
#        reads annotations has no use for it, so that a file without it is read like any other.
# Found: `Eaf(path)` looks the attribute up by its full name and raises KeyError; ElementTree reads the
#        file, and all annotations are there. Another root attribute that ELAN's schema does not ask for
#        either (FORMAT) may be left out.
# Seen:  with the hint: 2 annotations | without FORMAT: 2 annotations
#        | without the hint: KeyError '{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check pympi-ling==1.71 2>/dev/null
cat > "$work/run.py" <<'PY'
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

from pympi import Eaf

folder = Path(sys.argv[1])
HINT = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"

made = Eaf()
made.add_tier("emotion")
made.add_annotation("emotion", 0, 500, "happy")
made.add_annotation("emotion", 500, 900, "sad")
whole = folder / "whole.eaf"
made.to_file(whole)


def read_without(attribute: str) -> str:
    """Read the file again after one attribute of its root was left out."""
    tree = xml.parse(whole)
    if attribute:
        del tree.getroot().attrib[attribute]
    path = folder / "other.eaf"
    tree.write(path, encoding="UTF-8", xml_declaration=True)
    try:
        return f"{len(Eaf(path).get_annotation_data_for_tier('emotion'))} annotations"
    except KeyError as error:
        return f"KeyError {error}"


seen = [read_without(one) for one in ("", "FORMAT", HINT)]
print(f"with the hint: {seen[0]} | without FORMAT: {seen[1]} | without the hint: {seen[2]}")
sys.exit(seen != ["2 annotations", "2 annotations", f"KeyError {HINT!r}"])
PY
"$work/env/bin/python" "$work/run.py" "$work" 2>/dev/null
