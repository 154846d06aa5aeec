"""What says so where an extra is not installed."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from ser_lib.cli import main
from ser_lib.cli.extras import remedy_for, require_extra

# As a wheel's metadata have it: an extra that takes another along lists its packages, too.
METADATA = [
    "numpy>=2.0",
    "scipy<2,>=0.11",
    'beautifulsoup4>=4.12; python_version < "4" and extra == "all"',
    'keras-of-nowhere>=3.10; extra == "all"',
    'numpy>=2.0; extra == "all"',
    'matplotlib>=3.9; extra == "all"',
    'numpy>=2.0; extra == "plot"',
    'matplotlib>=3.9; extra == "plot"',
    'beautifulsoup4>=4.12; python_version < "4" and extra == "report"',
    'keras-of-nowhere>=3.10; extra == "report"',
    'matplotlib>=3.9; extra == "report"',
    'keras-of-nowhere>=3.10; extra == "train"',
    'matplotlib>=3.9; extra == "train"',
]


@pytest.fixture(autouse=True)
def _metadata(monkeypatch):
    monkeypatch.setattr("importlib.metadata.requires", lambda _: METADATA)


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("keras_of_nowhere.layers", "train"),
        ("bs4", "report"),
        ("matplotlib.figure", "plot"),  # the smallest that brings it
        ("scipy", None),
        ("somebody_elses", None),
        ("ser_lib.gone", None),
    ],
)
def test_a_missing_module_is_led_to_its_extra(module, extra):
    said = remedy_for(ModuleNotFoundError(name=module))
    assert (f"ser-lib[{extra}]" in said) if extra else said == ""


def test_an_extra_that_is_here_is_not_asked_for():
    require_extra("plot")
    with pytest.raises(ModuleNotFoundError, match=r"keras-of-nowhere.*ser-lib\[train\]") as caught:
        require_extra("train")
    assert remedy_for(caught.value) == str(caught.value)


@pytest.mark.parametrize(
    "arguments", ["run fpt2025", "tune", "costs", "train fpt2025 --out x", "report", "app"]
)
def test_a_command_without_its_extra_ends_before_it_begins(monkeypatch, capsys, arguments):
    command = arguments.split()
    extra = command[0] if command[0] in ("report", "app") else "train"
    monkeypatch.setattr(
        "importlib.metadata.requires", lambda _: [f'nowhere>=1; extra == "{extra}"']
    )
    monkeypatch.setattr(sys, "argv", ["ser", *command])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert f"ser-lib[{extra}]" in output.err
    assert output.out == ""
    assert output.err.count("\n") == 1


def test_help_needs_no_extra(monkeypatch):
    monkeypatch.setattr("importlib.metadata.requires", lambda _: ['nowhere>=1; extra == "report"'])
    assert CliRunner().invoke(main.app, ["report", "--help"]).exit_code == 0


def test_a_module_that_no_extra_brings_is_not_hidden(monkeypatch):
    def fail(**_: object) -> None:
        raise ModuleNotFoundError(name="somebody_elses")

    monkeypatch.setattr(main, "app", fail)
    monkeypatch.setattr(sys, "argv", ["ser"])
    with pytest.raises(ModuleNotFoundError):
        main.main()
