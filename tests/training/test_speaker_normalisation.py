"""Normalisation by speaker: which clips are known, and what is subtracted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser_lib.data.enrolment import NORMALISATIONS, enrolled, known_clips
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.leakage import check_split
from ser_lib.data.splits import Fold, Protocol, make_split, rows_of
from ser_lib.errors import SplitError
from ser_lib.training.fit import normalise_fold
from ser_lib.training.speaker_normalisation import emotion_offsets, normalise

ALL = NORMALISATIONS["all"]


@pytest.fixture(scope="module")
def rows(ravdess_table):
    return rows_of(ravdess_table, LABEL_SETS["ravdess8"])


@pytest.mark.parametrize("name", sorted(set(NORMALISATIONS) - {"all"}))
def test_every_speaker_gives_k_clips_beforehand(rows, name):
    rule = NORMALISATIONS[name]
    known = rows[enrolled(rows, rule)]
    if rule.is_room:  # RAVDESS as a whole is the room
        assert len(known) == (rule.n_clips or 0)
        return
    assert set(known.groupby("speaker").size()) == {rule.n_clips}
    assert known["speaker"].nunique() == 24
    assert (set(known["label"]) == {"neutral"}) == rule.is_neutral


def test_which_clips_come_first_does_not_follow_file_names(rows):
    """RAVDESS's names are sorted by emotion: the first four of each speaker are neutral."""
    known = rows[enrolled(rows, NORMALISATIONS["any3"])]
    assert known["label"].nunique() == 8


def test_the_order_of_the_table_changes_nothing(rows):
    shuffled = rows.sample(frac=1, random_state=1)
    for name in ("any5", "neutral3"):
        one = enrolled(rows, NORMALISATIONS[name])
        other = enrolled(shuffled, NORMALISATIONS[name])
        pd.testing.assert_series_equal(one, other.loc[one.index], check_names=False)


def test_too_few_clips_are_refused(rows):
    few = replace(NORMALISATIONS["neutral3"], n_clips=5, describes="5 neutral clips")
    with pytest.raises(SplitError, match="5 neutral clips"):
        enrolled(rows, few)
    with pytest.raises(SplitError, match="any3"):
        enrolled(rows, replace(NORMALISATIONS["any3"], n_clips=60))


def test_of_a_speaker_with_few_clips_half_are_known_where_a_rule_may_lack(rows):
    first = rows["speaker"].iloc[0]
    few = rows[(rows["speaker"] != first) | (rows.groupby("speaker").cumcount() < 7)]
    known = few[enrolled(few, NORMALISATIONS["voice10"])].groupby("speaker").size()
    assert (known.pop(first), set(known)) == (3, {10})
    with pytest.raises(SplitError, match=first):
        enrolled(few, NORMALISATIONS["any10"])


def test_a_speaker_of_whom_nothing_is_known_stays_as_far_from_the_centre(rng):
    rule = replace(NORMALISATIONS["voice10"], n_clips=2)
    speakers = np.repeat(["a", "b", "c", "new"], 20)
    features = rng.standard_normal((80, 3)) + np.repeat([[0], [3], [6], [50]], 20, axis=0)
    is_known = np.tile(np.arange(20) < 2, 4) & (speakers != "new")
    every = np.ones(80, bool)
    about = {"normalisation": rule, "training_speakers": {"a", "b", "c"}}
    found = normalise(features, speakers, is_known, every, **about)
    assert abs(found[speakers == "c"].mean()) < 1
    assert found[speakers == "new"].mean() > 40


def test_a_room_is_all_of_a_corpus_and_taken_out_as_a_voice_is(rng):
    table = pd.DataFrame({"speaker": np.repeat(["a-1", "a-2", "b-1", "c-1"], 30)})
    table["clip_id"] = table["row_id"] = [f"clip{n}" for n in range(120)]
    table["audio_sha256"], table["label"] = table["clip_id"], "neutral"
    room = np.repeat([0, 0, 5, 9], 30)[:, np.newaxis]
    features = rng.standard_normal((120, 4)) + room
    fold = Fold(tuple(table["row_id"][:90]), (), tuple(table["row_id"][90:]))
    places = pd.Series(range(120), index=table["clip_id"])
    left = normalise_fold(features, "room10", table, fold, places)
    assert np.abs([left[room[:, 0] == one].mean() for one in (0, 5, 9)]).max() < 0.5
    # The twin: as it was.
    assert features[room[:, 0] == 9].mean() > 8
    # What is tested changes nothing for what is trained on.
    poisoned = features + 1000 * (room == 9) * rng.standard_normal((120, 4))
    again = normalise_fold(poisoned, "room10", table, fold, places)
    np.testing.assert_array_equal(again[:90], left[:90])


@pytest.mark.parametrize("name", sorted(NORMALISATIONS))
def test_what_was_recorded_beforehand_is_not_tested(rows, name):
    protocol = Protocol("luna5", normalisation=name)
    split = make_split(rows, protocol, seed=1)
    known = set(rows.loc[enrolled(rows, NORMALISATIONS[name]), "row_id"])
    tested = {one for fold in split.folds for one in fold.test}
    assert not tested & known
    assert len(tested) == 1440 - len(known)
    assert protocol.full_name == f"luna5_norm_{name}"
    assert check_split(rows, split, declared=()).empty


def test_without_normalisation_nothing_changes(rows):
    assert Protocol("luna5").full_name == "luna5"
    tested = [
        one for fold in make_split(rows, Protocol("luna5"), seed=1).folds for one in fold.test
    ]
    assert len(tested) == 1440


def test_an_unknown_normalisation_is_refused(rows):
    with pytest.raises(SplitError, match=r"'some'.*any1"):
        make_split(rows, Protocol("luna5", normalisation="some"), seed=1)


# --- what it does to features: planted speakers


@pytest.fixture
def planted(rng):
    """Twelve speakers, each with a level of their own; 40 clips each, level plus noise."""
    speakers = np.repeat([f"s{n:02d}" for n in range(12)], 40)
    levels = 10 * rng.standard_normal((12, 3))
    features = np.repeat(levels, 40, axis=0) + rng.standard_normal((480, 3))
    return features, speakers


def known_of(speakers, k):
    return np.concatenate([np.arange((speakers == one).sum()) < k for one in np.unique(speakers)])


def apply(features, speakers, name, *, training=None, is_eligible=None):
    rule = NORMALISATIONS[name]
    known = known_of(speakers, rule.n_clips or 0)
    training = set(np.unique(speakers)) if training is None else training
    kind = np.ones(len(speakers), bool) if is_eligible is None else is_eligible
    return normalise(
        features, speakers, known, kind, normalisation=rule, training_speakers=training
    )


def test_all_clips_give_each_speaker_mean_0_and_spread_1(planted):
    features, speakers = planted
    result = apply(features, speakers, "all")
    for one in np.unique(speakers):
        np.testing.assert_allclose(result[speakers == one].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(result[speakers == one].std(axis=0), 1, atol=1e-4)


def test_more_clips_beforehand_leave_less_of_the_speaker(planted):
    features, speakers = planted

    def left(name):
        result = apply(features, speakers, name)
        return np.var([result[speakers == one].mean(axis=0) for one in np.unique(speakers)])

    assert left("any10") < left("any3") < left("any1") < 2
    # What is left of k clips' mean is their noise: its variance is 1 / k.
    assert left("any10") == pytest.approx(0.1, rel=0.6)


def test_speakers_who_do_not_differ_are_not_changed(rng):
    """The mean of one clip is all noise there, and is shrunk away."""
    speakers = np.repeat([f"s{n:02d}" for n in range(30)], 20)
    features = rng.standard_normal((600, 2))
    result = apply(features, speakers, "any1")
    assert np.corrcoef(result[:, 0], features[:, 0])[0, 1] > 0.95


def test_test_speakers_do_not_change_how_speakers_are_estimated_to_differ(planted):
    """Poisoned clips of a test speaker change no other speaker."""
    features, speakers = planted
    training = set(np.unique(speakers)) - {"s11"}
    poisoned = features.copy()
    poisoned[speakers == "s11"] += 1e4
    for name in ("all", "any3"):
        clean = apply(features, speakers, name, training=training)
        after = apply(poisoned, speakers, name, training=training)
        np.testing.assert_array_equal(clean[speakers != "s11"], after[speakers != "s11"])


def test_only_eligible_clips_say_how_noisy_a_mean_is(planted, rng):
    """Means of neutral clips that hardly vary are trusted, however much the others vary."""
    features, speakers = planted
    is_neutral = np.tile(np.arange(40) < 4, 12)
    loud = features + 20 * rng.standard_normal(features.shape) * ~is_neutral[:, np.newaxis]
    neutral_only = apply(loud, speakers, "neutral1", is_eligible=is_neutral)
    all_clips = apply(loud, speakers, "neutral1")

    def left(result):
        rows = is_neutral
        return np.var(
            [result[rows & (speakers == one)].mean(axis=0) for one in np.unique(speakers)]
        )

    assert left(neutral_only) < left(all_clips) / 4


@pytest.fixture
def emotional(planted):
    """The twelve speakers, ten of whose 40 clips are neutral; the others' emotion adds 5."""
    features, speakers = planted
    is_neutral = np.tile(np.arange(40) < 10, 12)
    return features + 5 * ~is_neutral[:, np.newaxis], speakers, is_neutral


def levels_left(result, speakers, rows):
    """Return the mean that is left of each speaker's neutral clips."""
    return np.stack([result[rows & (speakers == one)].mean(axis=0) for one in np.unique(speakers)])


def test_what_emotions_add_is_separated_from_the_speakers_level(emotional):
    """Three training clips are neutral; of the test speaker, ten are known, two neutral."""
    features, speakers, is_neutral = emotional
    training = set(np.unique(speakers)) - {"s11"}
    is_test = speakers == "s11"
    mixed = np.flatnonzero(is_test)[[0, 1, 10, 11, 12, 13, 14, 15, 16, 17]]
    is_known = np.isin(np.arange(480), mixed) | (~is_test & known_of(speakers, 3))
    rule = NORMALISATIONS["mixed10"]
    result = normalise(
        features,
        speakers,
        is_known,
        is_neutral,
        normalisation=rule,
        training_speakers=training,
    )
    left = levels_left(result, speakers, is_neutral)
    # The emotions of three in four clips add 3.75 to a mean, of eight in ten 4.
    assert np.abs(left[-1] - left[:-1].mean(axis=0)).max() < 0.6
    naive = normalise(
        features,
        speakers,
        is_known,
        is_neutral,
        normalisation=replace(rule, learnt_on="", is_neutral=True),
        training_speakers=training,
    )
    left = levels_left(naive, speakers, is_neutral)
    assert np.abs(left[-1] - left[:-1].mean(axis=0)).min() > 1


def test_emotion_offsets_are_what_emotions_add(emotional):
    features, speakers, is_neutral = emotional
    np.testing.assert_allclose(emotion_offsets(features, speakers, is_neutral), 3.75, atol=0.3)


def test_training_speakers_are_known_by_the_rule_that_was_learnt_on(rows):
    rule = NORMALISATIONS["mixed10"]
    test_speaker = sorted(set(rows["speaker"]))[0]
    training = set(rows["speaker"]) - {test_speaker}
    known, is_eligible = known_clips(rows, rule, training)
    counts = rows[known].groupby("speaker").size()
    assert counts[test_speaker] == 10
    assert set(counts.drop(test_speaker)) == {3}
    assert (rows.loc[known & (rows["speaker"] != test_speaker), "label"] == "neutral").all()
    assert is_eligible.equals(rows["label"].eq("neutral"))
    plain, kind = known_clips(rows, NORMALISATIONS["any3"], training)
    assert set(rows[plain].groupby("speaker").size()) == {3}
    assert kind.all()


def test_a_value_that_never_varies_stays_finite(planted):
    features, speakers = planted
    features = np.column_stack([features, np.ones(len(features))])
    for name in NORMALISATIONS:
        assert np.isfinite(apply(features, speakers, name)).all()
