"""The exceptions and the list of offenders."""

from __future__ import annotations

import pytest

from ser_lib import errors
from ser_lib.errors import SerError, offenders

SUBJECTS = [name for name in vars(errors) if name.endswith("Error") and name != "SerError"]


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_exception_is_a_ser_error_and_says_what_it_is_about(name):
    kind = getattr(errors, name)
    assert issubclass(kind, SerError)
    assert len(kind.__doc__) > 30


def test_a_leak_is_a_kind_of_split_error():
    assert issubclass(errors.LeakError, errors.SplitError)


def test_nothing_catches_an_exception_by_chance():
    assert not issubclass(SerError, ValueError | OSError | KeyError)


def test_no_offender_gives_no_line():
    assert offenders([]) == ""


@pytest.mark.parametrize("n_found", [1, 7, 8])
def test_up_to_the_limit_every_offender_has_its_line(n_found):
    found = [f"clip-{number}.wav" for number in range(n_found)]
    assert offenders(found).splitlines()[1:] == [f"  {one}" for one in found]


@pytest.mark.parametrize(("n_found", "limit"), [(9, 8), (1440, 8), (3, 1)])
def test_beyond_the_limit_the_rest_is_counted(n_found, limit):
    lines = offenders(range(n_found), limit=limit).splitlines()[1:]
    assert len(lines) == limit + 1
    assert lines[-1] == f"  … and {n_found - limit} more"


def test_offenders_may_come_from_a_generator():
    assert offenders(one for one in (1, 2)) == "\n  1\n  2"
