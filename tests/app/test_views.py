"""What the app shows: all is named, described and escaped, and nothing comes from outside."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
from PIL import Image

from ser_lib.app import views
from ser_lib.inference.bundle import find_bundle, load_bundle
from ser_lib.inference.prediction import NOT_SURE, Prediction
from ser_lib.inference.streaming import timeline_table

NAN = float("nan")
EVIL = "<script>alert(1)</script>"
SURE = Prediction("a", "sad", 0.7, {"sad": 0.7, "angry": 0.3}, 2.0, ("noisy", EVIL))


def test_an_answer_names_every_class_with_its_share():
    page = views.answer_html(SURE)
    assert "Sounds sad" in page
    assert re.findall(r"(\d+ %)</span></li>", page) == ["70 %", "30 %"]
    assert 'aria-live="polite"' in page
    assert EVIL not in page
    assert "&lt;script&gt;" in page


def test_an_answer_that_is_not_sure_says_why():
    unsure = Prediction("a", NOT_SURE, NAN, {"sad": 0.6, "angry": 0.4}, 2.0, threshold=0.7)
    assert "No emotion reaches 70 %" in views.answer_html(unsure)
    nothing = views.answer_html(Prediction("a", NOT_SURE, NAN, {}, 0.2, ("no speech found",)))
    assert "no speech found" in nothing
    assert "%" not in nothing


def test_an_answer_set_and_what_is_known_are_said():
    one = replace(SURE, answers=("sad", "angry"))
    assert "One of: sad, angry" in views.answer_html(one)
    assert "One of" not in views.answer_html(SURE)
    assert "&lt;script&gt;" in views.answer_html(replace(SURE, warnings=()), known=EVIL)


def test_a_problem_is_an_alert():
    assert 'role="alert"' in views.problem_html(EVIL)
    assert EVIL not in views.problem_html(EVIL)


def test_a_figure_is_a_picture_with_a_description(speak):
    png, alt = views.listening_png(speak(), 16_000, (0.5, 2.0))
    assert Image.open(io.BytesIO(png)).size[0] > 800
    assert "listened from 0.5 to 2.0 s" in alt
    shown = views.image_html(png, alt=alt, caption=EVIL)
    assert f'alt="{alt}"' in shown
    assert EVIL not in shown


def test_a_timeline_is_described(speak, small_folder, tmp_path):
    import soundfile

    from ser_lib.inference.predictor import Predictor
    from ser_lib.inference.streaming import timeline

    soundfile.write(tmp_path / "a.wav", np.append(speak(duration_s=8.0), np.zeros(96_000)), 16_000)
    predictor = Predictor.load(small_folder)
    table = timeline_table(timeline(predictor, tmp_path / "a.wav"), predictor.labels)
    png, alt = views.timeline_png(table, predictor.labels, 0.5)
    assert png[:4] == b"\x89PNG"
    assert "no speech in" in alt


def test_the_history_is_a_table_with_the_newest_first():
    row = {"time": "10:00:00", "emotion": "sad", "confidence": 0.7, "bundle": "b"}
    page = views.history_html([row | {"recording": EVIL}, row | {"recording": "second"}])
    assert page.index("second") < page.index("&lt;script")
    assert page.count('scope="col"') == 5
    assert "Nothing yet" in views.history_html([])


def test_a_live_line_has_a_point_an_answer_and_gaps_where_nobody_speaks():
    smoothed = np.array([[0.8, 0.2], [np.nan, np.nan], [0.4, 0.6]])
    page = views.live_html([1.0, 2.0, 3.0], smoothed, ("sad", "angry"), headline="x", latency="y")
    points = re.findall(r'points="([^"]*)"', page)
    assert [len(one.split()) for one in points] == [2, 2]
    assert "angry 60 %" in page
    assert "<polyline" not in views.live_html(
        [], np.empty((0, 2)), ("sad", "angry"), headline="x", latency=""
    )


def test_what_it_is_not_is_said():
    page = views.about_html()
    assert "Acted speech" in page
    assert "no sound leaves it" in page


def test_a_bundle_says_how_good_it_is(small_bundle):
    from dataclasses import replace

    card = {"score": {"uar": 0.5}, "selection": {"accuracy_share": 0.75}}
    said = views.bundle_html(replace(small_bundle, card=card))
    assert "50 % of each emotion" in said
    assert "one in 4 by chance" in said
    assert "synthetic" in views.bundle_html(replace(small_bundle, card={"is_embedded": True}))


def test_nothing_refers_to_another_machine(small_bundle):
    for page in (views.about_html(), views.bundle_html(small_bundle), views.history_html([])):
        assert "http" not in page


def test_a_bundle_says_on_whom_it_was_tested():
    strangers, home = (
        views.bundle_html(load_bundle(find_bundle(f"moonshine-{one}")))
        for one in ("strangers", "ravdess")
    )
    assert "corpora that were left out of training" in strangers
    assert "30 clips of the room known" in strangers
    assert "are lower" not in strangers
    assert "unseen speakers" in home
    assert "unlike the training both are lower." in home
    assert "room" not in home
