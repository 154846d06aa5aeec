"""Published figures of others: set only beside results of the same corpus, classes and protocol."""

from __future__ import annotations

import pytest

from ser_lib.data import CORPORA, listener_accuracy
from ser_lib.data.labels import LABEL_SETS
from ser_lib.errors import MetricError
from support.literature import ANCHORS, anchors_for, check_comparable

EIGHT = LABEL_SETS["ravdess8"].labels
SEVEN = LABEL_SETS["seven"].labels


@pytest.mark.parametrize("anchor", ANCHORS, ids=lambda one: f"{one.system}-{one.protocol}")
def test_an_anchor_names_its_task_and_its_source_and_is_a_share(anchor):
    assert anchor.corpus in CORPORA
    assert anchor.label_set in LABEL_SETS
    assert anchor.source
    values = [one for one in (anchor.uar, anchor.wa) if one is not None]
    assert values
    assert all(1 / len(anchor.labels) < one < 1 for one in values)
    if anchor.uar_interval:
        assert anchor.uar_interval[0] < anchor.uar < anchor.uar_interval[1]


def test_no_anchor_stands_twice():
    keys = [(one.system, one.corpus, one.label_set, one.protocol) for one in ANCHORS]
    assert len(set(keys)) == len(keys)


def test_anchors_of_a_task_are_found_and_pass_the_guard():
    found = anchors_for("ravdess", EIGHT, "luna5")
    assert "ComParE 2016 + linear SVM" in {one.system for one in found}
    assert {one.protocol for one in found} == {"luna5"}
    for one in found:
        check_comparable(one, "ravdess", EIGHT[::-1], "luna5")


@pytest.mark.parametrize(
    ("corpus", "labels", "protocol", "message"),
    [
        ("emodb", EIGHT, "luna5", "its corpus is ravdess, theirs emodb"),
        ("ravdess", SEVEN, "luna5", "its classes is"),
        ("ravdess", EIGHT, "random", "its protocol is luna5, theirs random"),
    ],
)
def test_what_was_measured_otherwise_is_not_set_beside(corpus, labels, protocol, message):
    (one,) = [a for a in anchors_for("ravdess", EIGHT, "luna5") if a.system.startswith("ComParE")]
    with pytest.raises(MetricError, match=message):
        check_comparable(one, corpus, labels, protocol)
    assert one not in anchors_for(corpus, labels, protocol)


def test_people_are_drawn_only_beside_what_they_were_asked():
    assert listener_accuracy("ravdess", EIGHT) == CORPORA["ravdess"].listeners_wa
    assert listener_accuracy("ravdess", SEVEN) is not None
    by_gender = LABEL_SETS["six_by_gender"].labels
    assert listener_accuracy("ravdess", by_gender) is None
    assert listener_accuracy("demo", EIGHT) is None
