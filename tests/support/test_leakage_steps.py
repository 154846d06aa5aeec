"""The ladder as data: leaks are declared, have leak-free twins, and occur in no study."""

from __future__ import annotations

import pytest

from ser_lib.errors import StudyError
from ser_lib.studies import STUDIES
from support.leakage_steps import (
    CONTROL_OF,
    DECLARED_LEAKS,
    ENCODER_LEAKS,
    LADDER,
    STEPS,
    learning_steps,
    permuted,
)


def is_leak(step) -> bool:
    return step.selected_on == "test" or step.scaled_on == "all" or step.is_made_before


def test_every_step_has_a_name_of_its_own_and_a_title():
    assert len(STEPS) == len({one.title for one in STEPS.values()})
    assert all(one.n_seeds >= 3 for one in STEPS.values())


@pytest.mark.parametrize("step", [one for one in STEPS.values() if one.twin], ids=str)
def test_a_twin_exists_and_does_not_leak(step):
    assert not is_leak(STEPS[step.twin])


@pytest.mark.parametrize(
    "step", [one for one in (*DECLARED_LEAKS, *ENCODER_LEAKS) if is_leak(one)], ids=str
)
def test_a_leak_is_the_only_difference_from_its_twin(step):
    twin = STEPS[step.twin]
    assert (step.by, step.candidates, step.variants) == (twin.by, twin.candidates, twin.variants)
    assert step.leaks
    assert not twin.leaks


def test_controls_are_steps_of_their_own():
    assert set(CONTROL_OF) < {one.name for one in LADDER}
    assert set(CONTROL_OF.values()) < set(STEPS)


def test_no_study_names_a_step_as_its_protocol():
    names = {
        protocol.name
        for study in STUDIES.values()
        for protocol in (study.published_protocol, study.honest_protocol)
    }
    assert not names & set(STEPS)


def test_a_permuted_step_is_another_step():
    step = permuted(STEPS["twice"], n_seeds=3)
    assert (step.name, step.is_permuted, step.twin) == ("permuted_twice", True, "")


def test_a_learning_curve_has_no_more_speakers_than_there_are():
    assert [one.n_speakers for one in learning_steps(7)] == [2, 3, 4, 6]
    with pytest.raises(StudyError, match="not 1"):
        learning_steps(1)
