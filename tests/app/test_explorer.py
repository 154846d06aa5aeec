"""The explorer, driven from Python: what each choice changes, and what is said when things fail."""

from __future__ import annotations

import json
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path

import nbformat
import pytest

from ser_lib import data
from ser_lib.app.explorer import ALL, OWN, Explorer
from ser_lib.data.labels import EMOTIONS
from ser_lib.data.own import register
from ser_lib.errors import CorpusError
from ser_lib.inference.bundle import write_bundle
from ser_lib.inference.predictor import with_probe
from ser_lib.paths import NOTEBOOKS_DIR, runs_dir
from ser_lib.report.execution import Job, failures_of, read_executed, run_all

VIEW_MIME = "application/vnd.jupyter.widget-view+json"
STATE_MIME = "application/vnd.jupyter.widget-state+json"


@pytest.fixture(autouse=True)
def _shared_cache(tmp_path_factory, monkeypatch):
    """Decode the demo once for all tests here: what is cached is known by path and time."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path_factory.getbasetemp() / "explore-cache"))


@pytest.fixture
def explorer():
    return Explorer("demo")


def values_of(dropdown) -> list[str]:
    return [value for _, value in dropdown.options]


def chosen(explorer: Explorer) -> str:
    return explorer.clip.value


def is_seen(widget) -> bool:
    return widget.layout.display != "none"


@pytest.fixture
def store_run(store):
    """Return a function that stores a run on one neutral clip, which the model takes for sad."""

    def write(corpus: str, clip_id: str) -> None:
        store((0.25, 0.0, 0.75), clip_ids=(clip_id,), truth="neutral", corpus=corpus)

    return write


# --- choosing


def test_it_begins_with_the_first_clip_of_the_corpus_and_shows_all_of_it(explorer, demo_clips):
    assert chosen(explorer) == demo_clips["clip_id"][0]
    assert explorer.position.value == f"1 of {len(demo_clips)}"
    assert values_of(explorer.corpus) == [*data.CORPORA, OWN]
    assert explorer.notice.value == ""
    assert explorer.player.clip["rate_hz"] == 16_000
    assert "median pitch" in explorer.player.clip["caption"]
    assert "Kids are talking by the door." in explorer.headline.value


def test_emotions_stand_in_canonical_order(explorer, demo_clips):
    present = [one for one in EMOTIONS if one in set(demo_clips["emotion"])]
    assert values_of(explorer.emotion) == [ALL, *present]


def test_next_and_previous_go_round(explorer):
    first, second, *_, last = values_of(explorer.clip)
    shown = explorer.player.clip
    explorer.next.click()
    assert chosen(explorer) == second
    assert explorer.player.clip["samples"] != shown["samples"]
    assert explorer.position.value.startswith("2 of")
    explorer.previous.click()
    assert explorer.player.clip == shown
    explorer.previous.click()
    assert chosen(explorer) == last
    explorer.next.click()
    assert chosen(explorer) == first


def test_each_choice_narrows_the_next(explorer, demo_clips):
    explorer.speaker.value = "demo-03"
    of_speaker = demo_clips[demo_clips["speaker"] == "demo-03"]
    assert values_of(explorer.clip) == of_speaker["clip_id"].tolist()
    explorer.emotion.value = "angry"
    both = of_speaker[of_speaker["emotion"] == "angry"]
    assert values_of(explorer.clip) == both["clip_id"].tolist()
    explorer.speaker.value = ALL
    assert explorer.emotion.value == "angry"
    assert len(values_of(explorer.clip)) == (demo_clips["emotion"] == "angry").sum()


def test_another_emotion_or_voice_keeps_the_sentence(explorer, demo_clips):
    same = ["statement", "intensity", "repetition"]
    clips = demo_clips.set_index("clip_id")
    start = clips[(clips["speaker"] == "demo-05") & (clips["emotion"] == "sad")].index[-1]
    explorer.clip.value = start
    explorer.emotion.value = "angry"
    now = clips.loc[chosen(explorer)]
    assert (now["speaker"], now["emotion"]) == ("demo-05", "angry")
    assert now[same].tolist() == clips.loc[start, same].tolist()
    explorer.speaker.value = "demo-06"
    now = clips.loc[chosen(explorer)]
    assert (now["speaker"], now["emotion"]) == ("demo-06", "angry")
    assert now[same].tolist() == clips.loc[start, same].tolist()


def test_a_clip_is_named_by_what_is_left_open(explorer):
    assert explorer.clip.label == "demo-01 · neutral · normal · kids · take 1"
    explorer.speaker.value, explorer.emotion.value = "demo-02", "sad"
    assert explorer.clip.label == "normal · kids · take 1"


def test_clips_play_when_chosen_only_if_asked(explorer):
    assert not explorer.player.autoplay
    explorer.autoplay.value = True
    assert explorer.player.autoplay


# --- what stored models predict


def test_without_stored_runs_it_says_what_to_run(explorer):
    assert "demo" in explorer.predictions.value
    assert "<code>make report</code>" in explorer.predictions.value


def test_stored_probabilities_are_shown_for_the_clips_that_they_hold(store_run, demo_clips):
    store_run("demo", demo_clips["clip_id"][0])
    explorer = Explorer("demo")
    assert "boucheta2025, protocol luna5" in explorer.predictions.value
    assert "<span>75</span>" in explorer.predictions.value
    explorer.next.click()
    assert "<table>" not in explorer.predictions.value
    assert "make report" not in explorer.predictions.value


def test_runs_on_several_corpora_are_shown_as_well(store_run, demo_clips):
    store_run("pooled", demo_clips["clip_id"][0])
    assert "<span>75</span>" in Explorer("demo").predictions.value


def test_a_damaged_run_is_named_and_the_clip_shown_all_the_same(store_run, demo_clips):
    store_run("demo", demo_clips["clip_id"][0])
    next(runs_dir("demo").glob("*/spec.json")).write_text("{", encoding="utf-8")
    explorer = Explorer("demo")
    assert "boucheta2025-svm-luna5-42" in explorer.notice.value
    assert is_seen(explorer.player)


def test_a_cell_of_a_confusion_matrix_keeps_its_clips_only(store_run, demo_clips):
    clip_id = demo_clips["clip_id"][0]
    store_run("demo", clip_id)
    explorer = Explorer("demo")
    explorer.model.index = 1
    assert explorer.confusion.matrix["labels"] == ["neutral", "sad"]
    assert explorer.confusion.matrix["counts"] == [[0, 1], [0, 0]]
    explorer.confusion.cell = ["neutral", "sad"]
    assert values_of(explorer.clip) == [clip_id]
    explorer.confusion.cell = []
    assert len(values_of(explorer.clip)) == len(demo_clips)
    explorer.confusion.cell = ["neutral", "sad"]
    explorer.model.index = 0
    assert explorer.confusion.matrix == {}
    assert len(values_of(explorer.clip)) == len(demo_clips)


# --- side by side, marks, predictions along time


def test_a_clip_is_kept_beside_the_next_on_one_scale_of_time(explorer):
    first = explorer.player.clip
    explorer.keep_beside.value = True
    explorer.next.click()
    assert explorer.beside.clip == first
    assert explorer.player.clip != first
    longest_s = max(
        len(one.clip["samples"]) / 2 / 16_000 for one in (explorer.player, explorer.beside)
    )
    assert explorer.player.span_s == explorer.beside.span_s == longest_s
    explorer.keep_beside.value = False
    assert explorer.beside.clip == {}
    assert explorer.player.span_s == 0


def test_marks_are_there_again_when_their_clip_is(explorer):
    explorer.player.marks = [[0.1, 0.2, "ah"]]
    explorer.next.click()
    assert explorer.player.marks == []
    explorer.previous.click()
    assert explorer.player.marks == [[0.1, 0.2, "ah"]]


def test_what_is_marked_or_else_selected_is_written_as_a_textgrid(explorer):
    explorer.player.selection = [0.1, 0.2]
    assert 'text = "selection"' in explorer.textgrid()
    explorer.player.marks = [[0.3, 0.4, "ah"]]
    assert 'text = "selection"' not in explorer.textgrid()
    assert 'text = "ah"' in explorer.textgrid()


def test_predictions_along_time_are_drawn_and_written(small_folder, monkeypatch):
    monkeypatch.setenv("SER_BUNDLES", str(small_folder.parent))
    explorer = Explorer("demo")
    assert explorer.player.timeline == {}
    explorer.bundle.value = str(small_folder)
    assert explorer.windows
    drawn = explorer.player.timeline
    assert {one["text"] for one in drawn["classes"]} == {"neutral", "happy", "sad", "angry"}
    assert all(len(one["shares"]) == len(drawn["start_s"]) for one in drawn["classes"])
    assert 'name = "predicted by small"' in explorer.textgrid()
    explorer.bundle.value = ""
    assert explorer.player.timeline == {}


def test_it_is_said_where_a_bundle_was_trained_on_the_very_clips(
    small_bundle, tmp_path, monkeypatch
):
    facts = {"corpora": [{"title": one} for one in ("Another", data.CORPORA["demo"].title)]}
    bundle = replace(with_probe(small_bundle), card=facts)
    folder = write_bundle(bundle, tmp_path / "b" / "small", card="# A card")
    monkeypatch.setenv("SER_BUNDLES", str(folder.parent))
    explorer = Explorer("demo")
    assert explorer.notice.value == ""
    explorer.bundle.value = str(folder)
    assert "unseen speakers" in explorer.notice.value
    assert "Another" not in explorer.notice.value


# --- recordings of one's own


def test_a_recording_of_ones_own_is_shown_by_its_path(explorer, tmp_path, write_clip):
    path = write_clip(tmp_path / "my own.wav")
    explorer.path.value = str(path)
    assert (explorer.corpus.value, explorer.clip.label) == (OWN, "my own.wav")
    assert explorer.player.clip["rate_hz"] == 16_000
    assert "my own.wav" in explorer.headline.value
    explorer.open_file(write_clip(tmp_path / "b.wav"))
    assert [text for text, _ in explorer.clip.options] == ["my own.wav", "b.wav"]


def test_a_path_that_leads_nowhere_is_said_and_the_clip_stays(explorer, tmp_path):
    before = chosen(explorer)
    explorer.path.value = str(tmp_path / "gone.wav")
    assert "gone.wav" in explorer.notice.value
    assert chosen(explorer) == before


def test_an_uploaded_recording_comes_in_pieces(explorer, tmp_path, write_clip):
    whole = write_clip(tmp_path / "a.wav").read_bytes()
    for piece, is_first in ((whole[:1000], True), (whole[1000:], False)):
        content = {"name": "../a.wav", "is_first": is_first, "is_last": not is_first}
        explorer._receive(None, content, [memoryview(piece)])
    # Whatever the browser calls it, it stays in the explorer's folder.
    assert Path(chosen(explorer)) == Path(explorer._folder.name) / "a.wav"
    assert explorer.view.duration_s == pytest.approx(0.3)


def test_a_registered_corpus_of_ones_own_is_found_by_its_name(few_clips, tmp_path):
    few_clips[["path", "emotion", "speaker"]].to_csv(tmp_path / "my.csv", index=False)
    name = register(tmp_path / "my.csv").name
    explorer = Explorer(name)
    assert explorer.corpus.value == name
    assert len(explorer.speaker.options) == 6 + 1


def test_a_clip_table_of_ones_own_is_a_corpus(few_clips):
    explorer = Explorer(few_clips.assign(corpus="mine-few"))
    assert explorer.corpus.value == "mine-few"
    assert values_of(explorer.clip) == few_clips["clip_id"].tolist()


# --- what can go wrong


def test_an_unknown_corpus_is_an_error():
    with pytest.raises(CorpusError, match="'none'"):
        Explorer("none")


def test_a_corpus_that_is_not_here_is_said_and_another_goes_on(explorer, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA", str(tmp_path / "nowhere"))
    explorer.corpus.value = "ravdess"
    assert "ravdess: no folder" in explorer.notice.value
    assert not is_seen(explorer.player)
    assert explorer.clip.disabled
    explorer.next.click()
    assert explorer.headline.value == explorer.predictions.value == ""
    explorer.corpus.value = "demo"
    assert explorer.notice.value == ""
    assert is_seen(explorer.player)
    assert not explorer.clip.disabled


def test_menus_say_which_corpora_are_not_here(tmp_path, monkeypatch, ravdess_table):
    monkeypatch.setenv("SER_DATA", str(tmp_path / "nowhere"))
    assert "ravdess (not here)" in dict(Explorer("demo").corpus.options)
    data.write_committed_clips(ravdess_table, "ravdess")
    assert "ravdess (stored runs only)" in dict(Explorer("demo").corpus.options)


def test_without_recordings_the_stored_probabilities_are_still_shown(
    store_run, ravdess_table, tmp_path, monkeypatch
):
    monkeypatch.setenv("SER_DATA", str(tmp_path / "nowhere"))
    data.write_committed_clips(ravdess_table, "ravdess")
    store_run("ravdess", ravdess_table["clip_id"][0])
    explorer = Explorer("ravdess")
    assert "SER_DATA" in explorer.notice.value
    assert not is_seen(explorer.player)
    assert "<span>75</span>" in explorer.predictions.value
    explorer.next.click()
    assert chosen(explorer) == ravdess_table["clip_id"][1]


def test_a_pool_says_how_much_of_it_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "ravdess").mkdir(parents=True)
    assert "pooled (1 of 4 here)" in dict(Explorer("demo").corpus.options)


def test_clips_of_a_pool_show_the_predictions_of_models_of_their_own_corpus(
    store_run, ravdess_table, tmp_path, monkeypatch
):
    monkeypatch.setenv("SER_DATA", str(tmp_path / "nowhere"))
    data.write_committed_clips(ravdess_table, "pooled")
    store_run("ravdess", ravdess_table["clip_id"][0])
    explorer = Explorer("pooled")
    assert "<span>75</span>" in explorer.predictions.value
    assert "RAVDESS" in explorer.notice.value


@pytest.fixture
def files(tmp_path, monkeypatch, small_ravdess, make_ravdess):
    """A small RAVDESS on disk, where the explorer looks for it."""
    monkeypatch.setenv("SER_DATA", str(tmp_path / "data"))
    return make_ravdess(tmp_path / "data" / "ravdess")


def test_a_clip_that_breaks_is_said_the_next_is_shown_and_a_mended_one_too(files):
    explorer = Explorer("ravdess")
    path = files[values_of(explorer.clip)[1].removeprefix("ravdess/")]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    explorer.next.click()
    assert "truncated" in explorer.notice.value
    assert not is_seen(explorer.player)
    assert "2 of 16" in explorer.position.value
    explorer.next.click()
    assert explorer.notice.value == ""
    assert is_seen(explorer.player)
    path.write_bytes(whole)
    explorer.previous.click()
    assert explorer.notice.value == ""
    assert is_seen(explorer.player)


def test_clips_that_are_damaged_from_the_start_are_left_out_and_named(files):
    broken = list(files)[3]
    files[broken].write_bytes(b"")
    explorer = Explorer("ravdess")
    assert "left out" in explorer.notice.value
    assert broken in explorer.notice.value
    assert f"ravdess/{broken}" not in values_of(explorer.clip)
    assert is_seen(explorer.player)


def test_messages_are_escaped(explorer):
    explorer._say("a < b")
    assert "a &lt; b" in explorer.notice.value


# --- the notebook


def test_the_notebook_runs_and_shows_the_explorer(tmp_path):
    source = nbformat.read(NOTEBOOKS_DIR / "explore.ipynb", as_version=4)
    job = Job("explore", source, {"corpus": "demo"}, NOTEBOOKS_DIR, tmp_path / "explore.ipynb")
    order = TopologicalSorter({"explore": ()})
    order.prepare()
    run_all({"explore": job}, order, 1)
    executed = read_executed(job)
    assert failures_of("explore", executed) == []
    shown = [one for cell in executed.cells for one in cell.get("outputs", [])]
    views = [one.data[VIEW_MIME]["model_id"] for one in shown if VIEW_MIME in one.get("data", {})]
    state = executed.metadata["widgets"][STATE_MIME]["state"]
    (view,) = views
    assert "ser-explorer" in state[view]["state"]["_dom_classes"]
    # What stays in a saved cell is the widget's name, never a recording.
    assert all(len(json.dumps(one)) < 1000 for one in shown if VIEW_MIME in one.data)
