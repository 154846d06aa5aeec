"""The fuzzer's readers take what is well, and let errors through."""

from __future__ import annotations

import pytest

from ser_lib.errors import AudioError, AuditError, BundleError
from tools.fuzz import TARGETS, seeds


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_well_is_read(target):
    for raw in seeds(target):
        TARGETS[target](raw)


@pytest.mark.parametrize(
    ("target", "raw", "error"),
    [
        ("audio", b"\0RIFF", AudioError),
        ("bundle", b"{}", BundleError),
        ("table", b"\0\0", AuditError),
        ("upload", b"host", KeyError),
    ],
)
def test_errors_reach_the_fuzzer(target, raw, error, monkeypatch):
    if target == "upload":
        monkeypatch.setattr("ser_lib.app.server.Headers", lambda scope: {}["x"])
    with pytest.raises(error):
        TARGETS[target](raw)
