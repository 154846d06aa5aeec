"""The README's own lines of Python run as they stand."""

from __future__ import annotations

import re

from ser_lib.paths import PROJECT_DIR


def test_the_lines_of_python_run_as_they_stand(capsys, monkeypatch):
    # The committed runs are read; nothing is trained.
    monkeypatch.delenv("SER_REPORTS")
    text = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(code.strip().splitlines()) <= 12
    exec(compile(code, "README.md", "exec"), {})
    assert re.search(r"unseen speakers: \d+% UAR \[\d+%, \d+%\]", capsys.readouterr().out)
