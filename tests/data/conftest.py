"""What tests of corpora share: how an error that lists many problems is read."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def lists_problem():
    """Return a function that says whether one line of an error has all of some words."""

    def find(error: object, *words: str) -> bool:
        text = getattr(error, "value", error)
        return any(all(word in line for word in words) for line in str(text).splitlines())

    return find
