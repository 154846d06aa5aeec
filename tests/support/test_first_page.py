"""The first page: what it compares, in how many words, and what it says of other recordings."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ser_lib.data import get_corpus
from ser_lib.errors import ReportError
from ser_lib.report import notebook
from ser_lib.report.drawing import numbers_of
from support import first_page

STEPS = pd.DataFrame(
    {
        "study": ["x", "x"],
        "model": ["cnn", "cnn"],
        "name": ["CNN\nx", "CNN\nx, emodb"],
        "corpus": ["ravdess", "emodb"],
        "n_classes": [8, 7],
        "is_speaker_known": [True, False],
        "published": [0.9, np.nan],
        "leaking": [0.8, 0.7],
        "honest": [0.4, 0.5],
        "honest_low": [0.3, 0.4],
        "honest_high": [0.5, 0.6],
        "verdict": ["clearly below", "not distinguishable from"],
        "run": ["x-cnn-s42", "x-cnn-s43"],
    }
)


def result(title: str, wa: float) -> SimpleNamespace:
    score = SimpleNamespace(wa=wa, wa_low=wa - 0.1, wa_high=wa + 0.1, n_speakers=24)
    return SimpleNamespace(
        title=title, score=score, study=SimpleNamespace(name="moonshine"), run="a"
    )


@pytest.fixture
def task():
    """Return a task of RAVDESS with two systems, as far as the first page looks."""
    results = (result("best", 0.7), result("other", 0.6))
    first = SimpleNamespace(corpus="ravdess", protocol_name="luna5")
    labels = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    return SimpleNamespace(
        results=results,
        best=results[0],
        first=first,
        labels=labels,
        title="t",
        name_of=lambda one: one.title,
    )


def bundle(accuracy: float) -> SimpleNamespace:
    new = {"accuracy_share": accuracy}
    about = {"corpus": "emodb", "title": "EmoDB (x)", "n_clips": 1, "n_speakers": 1}
    elsewhere = [about | {"new_voice": new}]
    return SimpleNamespace(card={"score": {"wa": 0.7}, "elsewhere": elsewhere})


def test_rows_are_each_published_model_once_then_ours_others_and_listeners(task):
    rows = first_page.first_rows(STEPS, task)
    assert list(rows["kind"]) == ["published", "ours", "rival", "listeners"]
    assert rows["name"][0] == "CNN, x, 8 classes"
    assert rows["unseen"][1] == 0.7
    assert rows["printed"][2] > 0.8
    assert list(first_page.first_table(rows).iloc[0, 1:]) == [
        "90.0",
        "80.0",
        "40.0",
        "30.0",
        "50.0",
        "x-cnn-s42",
    ]


def test_a_row_of_another_corpus_names_it_and_the_caption_says_so(task):
    elsewhere = STEPS.iloc[1:].assign(model="rnn")
    for steps, is_named in ((STEPS.iloc[:1], False), (pd.concat([STEPS, elsewhere]), True)):
        rows = first_page.first_rows(steps, task)
        assert ("CNN, x (emodb), 7 classes" in list(rows["name"])) == is_named
        assert ("another corpus" in first_page.describe(rows, "RAVDESS")["caption"]) == is_named


def test_caption_and_description_are_of_the_rows_that_are_there(task):
    rows = first_page.first_rows(STEPS, task)
    whole = first_page.describe(rows, "RAVDESS")
    assert "listeners'" in whole["caption"]
    # Of a published rival nothing but the printed figure is drawn, and told.
    assert "XLSR wav2vec 2.0, fine-tuned, others, 8 classes 82 %" in whole["alt"]
    published = rows[rows["kind"] == "published"]
    assert "then" not in first_page.describe(published, "RAVDESS")["caption"]
    legend = first_page.plot_first_page(published).get_legend()
    assert "listeners" not in [one.get_text() for one in legend.get_texts()]
    # Where nothing was printed, no mark and no column stands for it.
    unprinted = published.assign(printed=np.nan)
    legend = first_page.plot_first_page(unprinted).get_legend()
    assert "printed" not in [one.get_text() for one in legend.get_texts()]
    assert "printed, %" not in first_page.first_table(unprinted)


def test_the_drawing_for_a_phone_has_the_same_numbers_and_is_no_wider(task):
    rows = first_page.first_rows(STEPS, task)
    desk, phone = (first_page.plot_first_page(rows, is_narrow=one) for one in (False, True))
    pd.testing.assert_series_equal(numbers_of(desk.figure)["x"], numbers_of(phone.figure)["x"])
    assert [one.get_text() for one in phone.texts if one.get_text() in set(rows["name"])] == list(
        rows["name"]
    )
    assert 100 * phone.figure.get_size_inches()[0] < 390


def test_the_figure_is_16_to_9_and_names_every_row(task):
    ax = first_page.plot_first_page(first_page.first_rows(STEPS, task))
    width, height = ax.figure.get_size_inches()
    assert width / height == pytest.approx(16 / 9, abs=0.01)
    assert len(ax.get_yticklabels()) == 4


@pytest.mark.parametrize(("accuracy", "is_ready"), [(0.4, False), (0.69, True)])
def test_the_last_answer_depends_on_other_corpora(task, accuracy, is_ready):
    pair = {"task": "t", "first": "best", "second": "other", "difference": 0.1, "low": 0, "high": 1}
    tests = pd.DataFrame([pair | {"verdict": "not distinguishable from"}])
    costs = pd.DataFrame({"task": "t", "name": ["best", "other"], "n_bytes": [2e6, 1e6]})
    found = first_page.answers(STEPS, task, tests, costs, bundle(accuracy))
    assert "2 of 2 systems are level, 60.0 % to 70.0 %" in found[0][1]
    assert "smallest: other" in found[0][1]
    assert "above 0 of 1 rival." in found[1][1]
    clear = tests.assign(verdict="clearly above")
    assert (
        "best is above its 1 rival here, 70.0 %"
        in (first_page.answers(STEPS, task, clear, costs, bundle(accuracy))[0][1])
    )
    assert "1 of 1 models knew test speakers" in found[2][1]
    assert "1 clearly fall" in found[2][1]
    # One figure may stand for two things: each says which.
    assert "80.0 % by their protocols, 40.0 % on unseen speakers" in found[2][1]
    assert "on acted speech of EmoDB" in found[3][1]
    unknown = first_page.answers(
        STEPS.assign(is_speaker_known=False), task, tests, costs, bundle(accuracy)
    )
    assert "0 of 1 models knew" in unknown[2][1]
    assert found[3][1].startswith("Yes") == is_ready
    # A bundle for strangers has no home, and the best system here stands for one.
    strangers = bundle(accuracy)
    strangers.card |= {"is_for_strangers": True, "score": {"wa": 0.1}}
    said = first_page.answers(STEPS, task, tests, costs, strangers)[3][1]
    assert "at home" in found[3][1]
    assert "at home" not in said
    assert said.startswith("Yes") == is_ready
    # A task that the chapter does not rank is not answered by the ranking of another one.
    apart = first_page.answers(STEPS, task, tests, costs, bundle(accuracy), is_main=False)
    assert {one[2] for one in found[:2]} & {one[2] for one in apart[:2]} == set()
    notebook.answers(found)


def test_an_answer_that_is_too_long_is_refused():
    with pytest.raises(ReportError, match="25 words"):
        notebook.answers([("Why?", "word " * 26, "table")])


def test_a_pool_is_named_with_what_it_lacks():
    pool, table = get_corpus("pooled"), pd.DataFrame()
    assert first_page.title_of(pool, table) == pool.title
    table.attrs["missing"] = ["savee", "tess"]
    assert first_page.title_of(pool, table).endswith(" (without SAVEE and TESS)")
