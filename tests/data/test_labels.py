"""Canonical emotions, their colours, and the label sets."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from ser_lib.data.labels import COLOURS, EMOTIONS, LABEL_SETS, LabelSet, colour_of
from ser_lib.errors import StudyError

BY_NAME = pytest.mark.parametrize("name", LABEL_SETS)


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_emotion_has_one_colour_of_its_own():
    assert set(COLOURS) == set(EMOTIONS)
    assert len(set(COLOURS.values())) == len(EMOTIONS) == len(set(EMOTIONS))
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in COLOURS.values())


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_every_colour_can_be_seen_on_white(emotion):
    # 1.9 to 1 is what Okabe & Ito's lightest kept colour (orange) has; yellow itself has 1.3.
    assert 1.05 / (_luminance(COLOURS[emotion]) + 0.05) > 1.9


def test_a_word_without_a_colour_is_grey():
    assert colour_of("female") == "#777777"
    assert colour_of("sad female") == "#777777"
    assert colour_of("angry") == COLOURS["angry"]


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_class_by_gender_has_the_colour_of_its_emotion(emotion):
    assert colour_of(f"female {emotion}") == colour_of(f"male {emotion}") == COLOURS[emotion]


@BY_NAME
def test_a_label_set_names_its_classes_once_and_reaches_each(name):
    label_set = LABEL_SETS[name]
    assert label_set.name == name
    assert len(set(label_set.labels)) == len(label_set.labels) > 1
    emotions = {one.rsplit(" ", 1)[-1] for one in label_set.labels}
    assert set(label_set.from_emotion.values()) == emotions
    assert set(label_set.from_emotion) <= set(EMOTIONS)
    genders = {one.rsplit(" ", 1)[0] for one in label_set.labels if " " in one}
    assert genders == ({"female", "male"} if label_set.is_by_gender else set())


@BY_NAME
def test_classes_that_are_emotions_stand_in_canonical_order(name):
    positions = [EMOTIONS.index(one) for one in LABEL_SETS[name].labels if one in EMOTIONS]
    assert positions == sorted(positions)


def test_seven_folds_calm_into_neutral_and_keeps_the_other_six():
    applied = LABEL_SETS["seven"].apply(pd.Series(EMOTIONS[:8]))
    assert list(applied) == ["neutral", "neutral", *EMOTIONS[2:8]]


def test_emodb7_has_boredom_and_neither_calm_nor_surprise():
    applied = LABEL_SETS["emodb7"].apply(pd.Series(EMOTIONS[:9]))
    assert set(applied.dropna()) == set(EMOTIONS[:9]) - {"calm", "surprised"}
    assert list(applied[applied.isna()].index) == [EMOTIONS.index("calm"), 7]
    assert LABEL_SETS["emodb7"].apply(pd.Series(EMOTIONS[9:])).isna().all()


# --- classes by gender


def test_six_by_gender_folds_calm_and_surprise_and_names_the_gender():
    emotions = pd.Series([*EMOTIONS[:8], "boredom"], index=range(5, 14))
    genders = pd.Series(["female", "male"] * 4 + ["male"], index=emotions.index)
    applied = LABEL_SETS["six_by_gender"].apply(emotions, genders)
    assert list(applied.index) == list(emotions.index)
    assert list(applied[:8]) == [
        *("female neutral", "male neutral", "female happy", "male sad"),
        *("female angry", "male fearful", "female disgust", "male happy"),
    ]
    assert pd.isna(applied[13])


def test_six_by_gender_has_twelve_classes_women_first():
    labels = LABEL_SETS["six_by_gender"].labels
    assert len(labels) == 12
    assert [one.partition(" ")[0] for one in labels] == ["female"] * 6 + ["male"] * 6
    assert [one.partition(" ")[2] for one in labels[:6]] == [
        one.partition(" ")[2] for one in labels[6:]
    ]


def test_classes_by_gender_need_the_genders_and_others_ignore_them():
    emotions = pd.Series(["sad", "angry"])
    with pytest.raises(StudyError, match=r"'six_by_gender'.*genders"):
        LABEL_SETS["six_by_gender"].apply(emotions)
    plain = LABEL_SETS["seven"].apply(emotions, pd.Series(["female", "male"]))
    assert list(plain) == ["sad", "angry"]


def test_iemocap_keeps_nine_emotions_and_its_study_five():
    assert set(LABEL_SETS["iemocap9"].labels) == set(EMOTIONS) - {"calm", "boredom"}
    assert LABEL_SETS["iemocap5"].labels == ("neutral", "happy", "sad", "angry", "frustrated")


def test_an_emotion_that_the_task_leaves_out_is_missing():
    two = LabelSet("two", ("sad", "angry"), {"sad": "sad", "angry": "angry"})
    applied = two.apply(pd.Series(["sad", "happy"], index=[7, 3]))
    assert list(applied.index) == [7, 3]
    assert applied[7] == "sad"
    assert pd.isna(applied[3])


def test_a_word_that_is_no_emotion_is_refused_with_all_its_kin():
    with pytest.raises(StudyError, match=r"\['happiness', 'rage'\].*neutral"):
        LABEL_SETS["seven"].apply(pd.Series(["rage", "sad", "happiness"]))
