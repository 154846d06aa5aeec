"""What notebooks show: self-contained HTML, numbered, described; nothing of a real clip leaks."""

from __future__ import annotations

import base64
import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ser_lib import data
from ser_lib.data.own import register
from ser_lib.errors import FeatureError, ReportError
from ser_lib.evaluation.metrics import Score
from ser_lib.features.registry import FeatureSpec
from ser_lib.plots import plot_confusion
from ser_lib.report import drawing, notebook, profiles
from ser_lib.studies import STUDIES


@pytest.fixture
def shown(monkeypatch):
    """Collect what would be displayed."""
    found = []
    monkeypatch.setattr(notebook, "display", lambda data, raw: found.append(data))
    return found


def test_a_figure_carries_caption_and_escaped_description(shown):
    notebook.show(Figure(figsize=(2, 1), dpi=100), caption="a < b", alt='says "x"')
    source = shown[0]["text/html"]
    assert 'alt="says &quot;x&quot;"' in source
    assert "a &lt; b" in source
    assert re.search(r'<span class="ser-number">Figure \d+\.</span>', source)


@pytest.mark.parametrize(("caption", "alt"), [("", "a"), ("c", " ")])
def test_a_figure_without_words_is_refused(shown, caption, alt):
    with pytest.raises(ReportError, match="caption"):
        notebook.show(Figure(), caption=caption, alt=alt)


def test_a_table_shows_a_named_index_and_says_when_it_is_empty(shown):
    frame = pd.DataFrame({"x": [1.23456]}, index=pd.Index(["a"], name="class"))
    notebook.table(frame, caption="c")
    notebook.table(frame.iloc[:0], caption="c")
    assert "<th>class</th>" in shown[0]["text/html"]
    assert "1.235" in shown[0]["text/html"]
    assert "None." in shown[1]["text/html"]


def test_the_run_of_a_row_is_in_the_csv_and_no_column(shown):
    notebook.table(pd.DataFrame({"UAR": ["61.0 %", "–"], "run": ["x-s42", None]}), caption="c")
    source = shown[0]["text/html"]
    assert 'data-runs="x-s42 "' in source
    assert "<th>run</th>" not in source
    numbers = base64.b64decode(re.search(r"data:text/csv;base64,([^\"]+)", source)[1]).decode()
    assert numbers.splitlines()[:2] == ['"UAR, %",run', "61.0,x-s42"]


def test_a_long_table_is_folded_and_says_how_long_it_is(shown):
    for n_rows in (notebook.LONG_TABLE, notebook.LONG_TABLE + 1):
        notebook.table(pd.DataFrame({"a": range(n_rows)}), caption="c")
    short, long = (one["text/html"] for one in shown)
    assert "<details" not in short
    assert f"<summary>Show all {notebook.LONG_TABLE + 1} rows</summary>" in long


def decoded(source: str, mime: str) -> str:
    """Return the content of the first data URI of a kind."""
    return base64.b64decode(
        re.search(rf"data:{re.escape(mime)};base64,([^\"]+)", source)[1]
    ).decode()


def test_a_figure_is_an_svg_for_both_colour_schemes_with_its_numbers(shown):
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([0, 1], [2, 3], label="line")
    left.set_title("first", loc="left")
    right.barh([0, 1], [5, 6])
    right.set_yticks([0, 1], ["happy", "sad"])
    notebook.show(figure, caption="c", alt="a", name="both")
    source = shown[0]["text/html"]
    assert '<figure class="ser-figure" id="both">' in source
    svg = decoded(source, "image/svg+xml")
    assert "prefers-color-scheme: dark" in svg
    assert ">happy</text>" in svg
    rows = decoded(source, "text/csv").splitlines()
    assert rows[0] == "panel,series,x,y"
    assert {"first,line,0,2", "first,line,1,3"} <= set(rows)
    assert [one.split(",")[2:] for one in rows[3:]] == [["5", "happy"], ["6", "sad"]]


def test_numbers_of_a_figure_are_named_by_its_legend():
    _, ax = plt.subplots()
    for x in (1, 2):
        ax.plot(x, 0, "s", color="red")
    ax.plot([0, 3], [0, 0], color="grey")
    ax.plot([], [], "s", color="red", label="squares")
    found = drawing.numbers_of(ax.figure)
    assert list(found["series"]) == ["squares", "squares", "", ""]


def test_an_interval_that_is_none_has_no_numbers():
    _, ax = plt.subplots()
    ax.vlines([0, 1], [np.nan, 0], [np.nan, 1])
    assert len(drawing.numbers_of(ax.figure)) == 2


def test_a_confusion_matrix_has_its_cells_as_numbers_and_a_picture_has_none():
    _, (left, right) = plt.subplots(1, 2)
    for ax in (left, right):
        plot_confusion(np.array([[3, 1], [0, 0]]), ["happy", "sad"], ax=ax)
    right.set_title("unseen", loc="left")
    found = drawing.numbers_of(left.figure)
    assert list(found.columns) == ["panel", "truth", "prediction", "count", "share"]
    assert list(found.iloc[1]) == ["1", "happy", "sad", 1, 0.25]
    assert list(found.iloc[6]) == ["unseen", "sad", "happy", 0, 0]
    _, ax = plt.subplots()
    ax.imshow(np.zeros((128, 128)))
    assert drawing.numbers_of(ax.figure).empty


def test_a_phone_gets_a_drawing_of_its_own(shown):
    desk, phone = Figure(figsize=(9, 4)), Figure(figsize=(3, 4))
    notebook.show(desk, caption="c", alt="a", narrow=phone)
    source = shown[0]["text/html"]
    assert re.search(r'<picture><source media="\(max-width: 40rem\)" width="\d+"', source)
    assert len(re.findall("data:image/svg", source)) == 2
    assert source.index("srcset=") < source.index("<img")


def test_numbers_of_a_table_have_columns_of_their_own_and_a_file(shown):
    words = {
        "who": ["a", "b"],
        "UAR [95 %]": ["61.0 % [55.1, 67.0]", "–"],
        "p": ["0.013", "–"],
    }
    notebook.table(pd.DataFrame(words), caption="c")
    source = shown[0]["text/html"]
    rows = decoded(source, "text/csv").splitlines()
    assert rows == ['who,"UAR, %",low,high,p', "a,61.0,55.1,67.0,0.013", "b,,,,"]
    assert "<td>61.0</td>" in source


def test_a_number_among_words_stays_as_it_is(shown):
    notebook.table(pd.DataFrame({"value": ["1,440", "here"], "share": ["1 %", "2"]}), caption="c")
    assert "<td>1 %</td>" in shown[0]["text/html"]


def test_what_text_refers_to_is_a_link_that_the_report_fills(shown):
    notebook.findings("see [](#pairs)")
    assert 'see <a href="#pairs"></a>' in shown[0]["text/html"]


def test_names_between_backticks_are_code(shown):
    notebook.findings("run `ser costs`, a < b")
    notebook.table(pd.DataFrame({"a": [1]}), caption="from `runs/`")
    assert "run <code>ser costs</code>, a &lt; b" in shown[0]["text/html"]
    assert "from <code>runs/</code>" in shown[1]["text/html"]


def test_findings_are_escaped_and_kept_as_data(shown):
    notebook.findings("a < b", "c")
    notebook.findings("d", claims=[{"first": "a"}])
    assert shown[0][notebook.FINDINGS_MIME]["sentences"] == ["a &lt; b", "c"]
    assert shown[1][notebook.FINDINGS_MIME]["claims"] == [{"first": "a"}]
    with pytest.raises(ReportError, match="at least one"):
        notebook.findings()


def test_a_demo_clip_plays_and_a_real_one_does_not_when_headless(shown, demo_clips, monkeypatch):
    monkeypatch.setenv("SER_HEADLESS", "1")
    clip = demo_clips.iloc[0]
    notebook.play(clip, caption="c")
    assert "audio/ogg" in shown[0]["text/html"]
    notebook.play(clip.replace("demo", "ravdess"), caption="c")
    assert len(shown) == 1


SCORE = Score(0.5, 0.4, 0.6, 0.7, 0.6, 0.8, 100, 10, 1, 0.0)


def test_scores_and_differences_are_written_with_units():
    assert notebook.score_text(SCORE, "wa") == "70.0 % [60.0, 80.0]"
    assert notebook.points(0.05) == "+5.0"
    assert notebook.pct(None) == "–"


def test_an_exhibit_of_a_real_corpus_is_kept_and_read_without_audio(demo_clips, monkeypatch):
    """The demo's clips stand in for those of a corpus that is not embedded."""
    spec = FeatureSpec("waveform_envelope", params={"duration_s": 2.0})
    clips = demo_clips.iloc[:2]
    card = data.get_corpus("ravdess")
    monkeypatch.setattr(notebook, "get_corpus", lambda name: card)
    live = notebook.exhibit(clips, spec)
    kept = notebook.exhibit(clips.assign(path=""), spec)
    # Half precision: eleven bits of mantissa.
    np.testing.assert_allclose(kept, live, atol=2**-11)
    with pytest.raises(FeatureError, match="ravdess"):
        notebook.exhibit(demo_clips.iloc[2:3].assign(path=""), spec)


def test_costs_are_written_in_words():
    costs = pd.DataFrame(
        {
            "name": ["a", "b"],
            "uar": [0.788, 0.5],
            "low": [0.743, 0.4],
            "high": [0.831, 0.6],
            "n_numbers": [20_587_956, 1200],
            "n_bytes": [20_812_651, 4800],
            "ms": [124.718, 0.0123],
            "is_on_front": [True, False],
        }
    )
    written = notebook.cost_text(costs)
    assert list(written.iloc[0]) == ["a", "78.8 % [74.3, 83.1]", "125", "20.8", "20,587,956", "–"]
    assert list(written.iloc[1][["ms a clip", "beaten in both"]]) == ["0.0123", "yes"]
    assert list(notebook.cost_text(costs.assign(task="x"))["task"]) == ["x", "x"]
    assert notebook.cost_text(costs.head(0)).empty


def test_a_chapter_that_needs_another_corpus_than_ones_own_says_so(
    shown, demo_clips, tmp_path, monkeypatch
):
    monkeypatch.setattr(profiles, "REPORTED", [])
    monkeypatch.setattr(notebook, "REPORTED", profiles.REPORTED)
    rows = demo_clips.iloc[:2][["path", "emotion", "speaker"]]
    rows.to_csv(tmp_path / "mine.csv", index=False)
    own = register(tmp_path / "mine.csv")
    assert notebook.as_reported(own.name, {"max_epochs": None}) == (8,)
    assert STUDIES["swart2025"].home(own.name) == "demo"
    assert data.single_corpus(own.name) == own.name
    assert data.single_corpus(own.name, has_statements=True) == "demo"
    for clips, is_said in ((demo_clips, True), (own.load(), False)):
        notebook.parameter_table(clips, {})
        assert ("requested corpus" in shown.pop()["text/html"]) == is_said


def test_a_limit_of_0_is_told_to_be_none(shown, demo_clips):
    notebook.parameter_table(demo_clips, {"n_seeds": 0, "max_epochs": 12, "example_speaker": 0})
    page = shown[0]["text/html"]
    assert "<td>n_seeds</td>\n      <td>0 (all, or as published)</td>" in page
    assert "<td>max_epochs</td>\n      <td>12</td>" in page
    assert "<td>example_speaker</td>\n      <td>0</td>" in page


def test_what_is_not_set_is_what_the_report_has_for_the_corpus():
    assert notebook.as_reported("demo", {"n_seeds": None, "max_epochs": 3}) == (1, 3)
    assert notebook.as_reported("ravdess", {"max_epochs": None, "n_seeds": 2}) == (0, 2)


@pytest.fixture
def cell(monkeypatch):
    """Stand in for a kernel; a function that says which cell runs now, by which request."""
    parent = {}
    shell = SimpleNamespace(kernel=object(), get_parent=lambda: parent)
    monkeypatch.setattr(notebook, "get_ipython", lambda: shell)
    monkeypatch.setattr(notebook, "_numbers", {"Figure": {}, "Table": {}})

    def run(cell_id: str, request: str) -> None:
        metadata = {"cellId": cell_id} if cell_id else {}
        parent.update(header={"msg_id": request}, metadata=metadata)

    return run


def test_a_cell_that_runs_again_keeps_the_numbers_of_what_it_shows(cell):
    numbers = []
    for name, request in (("a", "1"), ("b", "2"), ("a", "3"), ("b", "4"), ("c", "5")):
        cell(name, request)
        numbers.append([notebook._number("Figure"), notebook._number("Figure")])
    assert numbers == [[1, 2], [3, 4], [1, 2], [3, 4], [5, 6]]
    assert notebook._number("Table") == 1


def test_where_nobody_names_the_cell_numbers_go_on(cell, monkeypatch):
    cell("", "1")
    first = notebook._number("Table")
    cell("", "2")
    assert [first, notebook._number("Table")] == [1, 2]
    monkeypatch.setattr(notebook, "get_ipython", lambda: None)
    assert [notebook._number("Table") for _ in range(3)] == [3, 4, 5]


def test_columns_of_numbers_stand_to_the_right_and_texts_to_the_left():
    frame = pd.DataFrame({"model": ["CNN", "SVM"], "UAR": ["61.0 %", "−0.3"], "seeds": [1, 3]})
    assert notebook._classes(frame) == "ser-cells ser-right-2 ser-right-3"
    assert notebook._classes(frame.assign(UAR=["none", "1"])) == "ser-cells ser-right-3"


def test_a_table_that_a_cell_returns_is_aligned_and_sorted_with_its_index(monkeypatch):
    monkeypatch.setattr(notebook, "is_headless", lambda: False)
    clips = pd.DataFrame({"emotion": ["sad", "sad", "calm"], "gender": ["m", "f", "m"]})
    counts = clips.groupby(["emotion", "gender"]).size().unstack(fill_value=0)
    source = notebook._returned(counts)
    assert 'class="dataframe ser-cells ser-right-2 ser-right-3"' in source
    heads = re.findall(r'<th tabindex="0">(.*?)</th>', source)
    assert heads == ["emotion", "f", "m"]
    assert "serSorts" in source
    small = notebook._returned(pd.DataFrame({"p": [0.000488]}))
    assert "0.0005" in small
    assert "5,000" not in notebook._returned(pd.DataFrame({"n": range(5000)}))
    assert "5000 rows" in notebook._returned(pd.DataFrame({"n": range(5000)}))


def test_what_the_report_shows_has_no_script_of_its_own(shown, monkeypatch):
    """The page has one for all its tables."""
    monkeypatch.setenv("SER_HEADLESS", "1")
    notebook.table(pd.DataFrame({"n": [1]}), caption="c")
    assert "script" not in shown[0]["text/html"]
