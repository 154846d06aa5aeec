"""What stored models predict: honest runs only, seeds averaged, damage named, a readable table."""

from __future__ import annotations

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from ser_lib.app.stored_models import StoredModel, models_table, stored_models

CLIP = "demo/a"


def rows_of(source: str) -> list[list[str]]:
    table = BeautifulSoup(source, "html.parser").table
    return [
        [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])]
        for row in table.find_all("tr")
    ]


def test_without_a_store_there_is_nothing_and_no_problem():
    assert stored_models("demo") == ([], [])


def test_seeds_of_a_model_are_averaged(store):
    store((0.2, 0.3, 0.5), seed=42)
    store((0.4, 0.5, 0.1), seed=43, rows_sha256="y", folds_sha256="z")
    (model,), problems = stored_models("demo")
    assert problems == []
    assert (model.study, model.title, model.protocol) == ("boucheta2025", "SVM", "luna5")
    assert len(model.runs) == 2
    assert model.probabilities.loc[CLIP].tolist() == pytest.approx([0.3, 0.4, 0.3])
    assert model.truth[CLIP] == "sad"


def test_rows_of_one_clip_are_averaged(store):
    """A row's id may have a variant or a part of the clip behind a hash sign."""
    store(clip_ids=(f"{CLIP}#0", f"{CLIP}#1", "demo/b"))
    (model,), _ = stored_models("demo")
    assert list(model.probabilities.index) == [CLIP, "demo/b"]


@pytest.mark.parametrize(
    "settings", [{"protocol": "random"}, {"leaks": ["same_speaker"]}, {"protocol": "luna5"}]
)
def test_only_honest_runs_count(store, settings):
    store(**settings)
    models, problems = stored_models("demo")
    assert len(models) == (settings == {"protocol": "luna5"})
    assert problems == []


def test_runs_with_other_settings_are_not_averaged_but_distinguished(store):
    store(training={"max_epochs": 2})
    store(training={"max_epochs": 50})
    models, _ = stored_models("demo")
    assert [one.title for one in models] == ["SVM, max_epochs = 2", "SVM, max_epochs = 50"]


def test_models_stand_in_the_order_of_their_studies(store):
    store(model="made_up", study="made_up")
    store(model="knn")
    store(model="cnn")
    store(model="cnn_array", study="swart2025")
    models, _ = stored_models("demo")
    assert [one.title for one in models] == ["2D CNN on arrays", "1D CNN", "KNN (k = 4)", "made_up"]


def break_json(folder):
    (folder / "spec.json").write_text("{", encoding="utf-8")


def break_column(folder):
    table = pd.read_csv(folder / "predictions.csv")
    table.drop(columns="p_sad").to_csv(folder / "predictions.csv", index=False)


def break_number(folder):
    table = pd.read_csv(folder / "predictions.csv", dtype=str).assign(p_sad="much")
    table.to_csv(folder / "predictions.csv", index=False)


def break_spec(folder):
    (folder / "spec.json").write_text("[]", encoding="utf-8")


@pytest.mark.parametrize("damage", [break_json, break_column, break_number, break_spec])
def test_a_damaged_run_is_named_and_the_others_are_read(store, damage):
    damage(broken := store(model="knn"))
    store(model="svm")
    models, problems = stored_models("demo")
    assert [one.title for one in models] == ["SVM"]
    assert len(problems) == 1
    assert str(broken) in problems[0]


def test_the_table_marks_what_was_acted_and_what_is_predicted(store):
    store((0.2, 0.7, 0.1))
    table = models_table(stored_models("demo")[0], CLIP)
    assert rows_of(table) == [
        ["Probability (%)", "", "neutral", "happy", "sad"],
        ["boucheta2025, protocol luna5"],
        ["SVM ×1", "✗", "20", "70", "10"],
    ]
    page = BeautifulSoup(table, "html.parser")
    assert page.select_one(".ser-acted").get_text() == "10"
    assert page.select_one(".ser-top").get_text() == "70"
    assert page.find(attrs={"aria-label": "wrong: predicted happy, acted sad"})
    assert "0 of 1 models" in page.get_text()


def test_the_table_says_when_a_model_is_right(store):
    store((0.2, 0.1, 0.7))
    page = BeautifulSoup(models_table(stored_models("demo")[0], CLIP), "html.parser")
    assert page.find(attrs={"aria-label": "right: predicted sad, acted sad"}).get_text() == "✓"
    assert "1 of 1 models" in page.get_text()


def test_a_model_without_a_class_has_a_dash_and_emotions_their_order(store):
    store(labels=("sad", "calm", "neutral"), model="knn")
    store()
    head, _, knn, svm = rows_of(models_table(stored_models("demo")[0], CLIP))
    assert head[2:] == ["neutral", "calm", "happy", "sad"]
    assert (knn[2:], svm[2:]) == (["50", "30", "–", "20"], ["20", "–", "30", "50"])


def test_classes_by_gender_share_a_column_but_not_the_verdict(store):
    store((0.3, 0.5, 0.2), labels=("female sad", "male sad", "male happy"), truth="female sad")
    table = models_table(stored_models("demo")[0], CLIP)
    assert rows_of(table)[0][2:] == ["happy", "sad"]
    assert rows_of(table)[2][1:] == ["✗", "20", "80"]
    assert "predicted male sad, acted female sad" in table
    assert "names the gender" in table


def test_a_clip_that_no_run_holds_has_no_table(store):
    store()
    assert models_table(stored_models("demo")[0], "demo/unknown") == ""


def test_words_in_the_table_are_escaped():
    shares = pd.DataFrame({"sad": [1.0]}, index=[CLIP])
    model = StoredModel("<i>", "a & b", "<b>", ("r<",), pd.Series({CLIP: "sad"}), shares)
    table = models_table([model], CLIP)
    assert "&lt;i&gt;, protocol &lt;b&gt;" in table
    assert "a &amp; b" in table
    assert "r&lt;" in table
