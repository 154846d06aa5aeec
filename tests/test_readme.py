"""The README's own lines run as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace

from click.testing import CliRunner

from ser_lib.cli import main as command
from ser_lib.paths import PROJECT_DIR
from ser_lib.studies import STUDIES


def test_the_lines_of_python_run_as_they_stand(capsys, monkeypatch):
    # The committed runs are read; nothing is trained.
    monkeypatch.delenv("SER_REPORTS")
    text = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(code.strip().splitlines()) <= 12
    exec(compile(code, "README.md", "exec"), {})
    assert re.search(r"unseen speakers: \d+% UAR \[\d+%, \d+%\]", capsys.readouterr().out)


def test_a_corpus_of_ones_own_is_made_as_it_is_said(tmp_path, monkeypatch):
    text = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"## A corpus of one's own\n\n```sh\n(.*?)```", text, re.S)
    (tmp_path / "ser_lib").symlink_to(PROJECT_DIR / "ser_lib")
    monkeypatch.chdir(tmp_path)
    copying, _, rest = lines.partition(".venv/bin/ser")
    run, report = rest.strip().splitlines()
    subprocess.run(["bash", "-ec", copying], check=True)
    # Stretching and shifting clips takes a minute.
    plain = replace(STUDIES["boucheta2025"], augmentations=())
    monkeypatch.setitem(STUDIES, "boucheta2025", plain)
    result = CliRunner().invoke(command.app, shlex.split(run))
    assert result.exit_code == 0, result.output
    assert re.search(r"knn honest: UAR .* 36 rows of 6 speakers", result.output)
    dry = [*shlex.split(report), "-n", "-o", ".venv/.installed", "-C", str(PROJECT_DIR)]
    said = subprocess.run(dry, check=True, capture_output=True, text=True).stdout
    assert 'ser report --table "my"' in said
    assert "update_readme" not in said
