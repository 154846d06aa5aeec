"""Published figures of others: compared only on the same corpus, classes and protocol."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ser_lib.data import CORPORA, listener_accuracy
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import PROTOCOLS
from support.literature import (
    field_table,
    field_text,
    figures_for,
    read_literature,
    read_sources,
)

EIGHT = LABEL_SETS["ravdess8"].labels
SEVEN = LABEL_SETS["seven"].labels


@pytest.mark.parametrize(
    "row", list(read_literature().itertuples()), ids=lambda one: f"{one.system}-{one.protocol}"
)
def test_a_figure_names_its_task_and_its_source_and_is_a_share(row):
    assert row.corpus in CORPORA
    assert row.label_set in LABEL_SETS
    assert row.protocol.partition("_norm_")[0] in PROTOCOLS
    assert row.source
    values = [one for one in (row.uar, row.wa) if not np.isnan(one)]
    assert values
    chance = 1 / len(LABEL_SETS[row.label_set].labels)
    assert all(chance < one < 1 for one in values)
    if not np.isnan(row.uar):
        assert row.low <= row.uar <= row.high


def test_no_figure_occurs_twice():
    keys = ["system", "corpus", "label_set", "protocol"]
    assert not read_literature().duplicated(keys).any()


def test_figures_of_a_task_are_found_whatever_the_order_of_its_classes():
    found = figures_for("ravdess", EIGHT[::-1], "luna5")
    assert "ComParE 2016 + linear SVM" in set(found["system"])
    assert set(found["protocol"]) == {"luna5"}


@pytest.mark.parametrize(
    ("corpus", "labels", "protocol"),
    [("emodb", EIGHT, "luna5"), ("ravdess", SEVEN, "luna5"), ("ravdess", EIGHT, "random")],
)
def test_figures_of_another_task_are_not_comparable(corpus, labels, protocol):
    assert figures_for(corpus, labels, protocol).empty


def test_people_are_drawn_only_beside_what_they_were_asked():
    assert listener_accuracy("ravdess", EIGHT) == CORPORA["ravdess"].listeners_wa
    assert listener_accuracy("ravdess", SEVEN) is not None
    by_gender = LABEL_SETS["six_by_gender"].labels
    assert listener_accuracy("ravdess", by_gender) is None
    assert listener_accuracy("demo", EIGHT) is None


def test_sources_have_a_title_and_a_place_and_are_all_cited():
    sources = read_sources()
    assert (sources[["key", "cited", "title", "place"]] != "").all().all()
    assert set(read_literature()["source"]) <= set(sources["cited"])


def test_the_field_is_ranked_by_accuracy_and_nobody_is_dropped():
    ours = pd.DataFrame(
        [
            ("luna5", "mine", "ours", "1 MB", 0.7, 0.6, 0.8, 0.69, 0.6, 0.78, "3 seeds", "a-s42"),
            ("other", "elsewhere", "ours", "1 MB", 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, "", ""),
        ],
        columns=[
            *("protocol", "system", "whose", "size", "wa", "wa_low", "wa_high"),
            *("uar", "low", "high", "note", "run"),
        ],
    )
    table = field_table("ravdess", EIGHT, ours)
    luna = table[table["protocol"] == "luna5"]
    theirs = figures_for("ravdess", EIGHT, "luna5")
    assert len(luna) == 1 + len(theirs)
    # The strongest printed no UAR; it leads all the same.
    assert luna["system"].iloc[0] == "XLSR wav2vec 2.0, fine-tuned"
    assert luna["wa"].dropna().is_monotonic_decreasing
    measured = luna.loc[luna["whose"].str.contains("measured"), "system"]
    assert set(measured) == set(theirs.loc[theirs["is_measured"], "system"])
    shown = field_text(table).set_index("system")
    assert shown.loc["XLSR wav2vec 2.0, fine-tuned", "UAR [95 %]"] == "–"
    assert shown.loc["mine", "UAR [95 %]"] == "69.0 % [60.0, 78.0]"
