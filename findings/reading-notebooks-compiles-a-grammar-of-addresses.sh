#!/usr/bin/env bash
# nbformat 5.11.1 with jupyter-events 0.12.1 (as every JupyterLab has it), Python 3.11: importing
# nbformat compiles a grammar of international addresses that no notebook is checked against.
#
# Guess: nbformat validates with fastjsonschema, and a format checker is built when a schema asks for
#        one; that Jupyter's event log is installed beside it costs an import of nbformat nothing.
# Found: jupyter-events needs jsonschema[format-nongpl], which brings rfc3987-syntax; jsonschema, which
#        nbformat imports in any case, imports it, and that one parses and compiles its grammar with
#        Lark when it is imported. Reading a notebook takes several times as long, about a second.
# Seen:  rfc3987_syntax imported by nbformat: True | share of the import that it takes: more than half
#        | with it out of reach the same notebook is read: True, rfc3987_syntax imported: False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  nbformat==5.11.1 jupyter-events==0.12.1 jsonschema==4.26.0 rfc3987-syntax==1.1.0 lark==1.3.1 2>/dev/null
cat > "$work/run.py" <<'PY'
import subprocess, sys

READ = """
import sys, time
if {is_hidden}:
    sys.modules["rfc3987_syntax"] = None
started = time.process_time()
import nbformat
duration = time.process_time() - started
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
nbformat.validate(nbformat.reads(nbformat.writes(notebook), as_version=4))
print(duration, sys.modules.get("rfc3987_syntax") is not None)
"""


def read(is_hidden: bool) -> tuple[float, bool]:
    """Import nbformat three times in processes of their own; the shortest counts."""
    answers = [
        subprocess.run(
            [sys.executable, "-c", READ.format(is_hidden=is_hidden)],
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for _ in range(3)
    ]
    return min(float(one[0]) for one in answers), answers[0][1] == "True"


(whole_s, is_there), (short_s, is_still_there) = read(False), read(True)
share = 1 - short_s / whole_s
print(f"rfc3987_syntax imported by nbformat: {is_there}, share of the import: {share:.2f}; "
      f"out of reach, imported: {is_still_there}")
sys.exit(not (is_there and share > 0.5 and not is_still_there))
PY
"$work/env/bin/python" "$work/run.py"
