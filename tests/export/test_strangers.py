"""A bundle for strangers, from its runs to its answers, on features that need no encoder."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from ser_lib.data.corpus import CLIP_COLUMNS
from ser_lib.export.refit import fit_final_head, summarise_run
from ser_lib.models.corpus_head import CorpusHeadConfig
from ser_lib.runs import runner
from ser_lib.seeds import generator
from ser_lib.studies.moonshine import MOONSHINE

CORPORA = ("emodb", "emospeech_in", "nemo", "ravdess")
EMOTIONS = ("neutral", "happy", "sad")
SHAPE = (1, 9, 2, 4)
NAMES = ("strangers_speech_low", "strangers_speech_low_known")


@pytest.fixture(scope="module")
def clips() -> pd.DataFrame:
    """Three emotions of three speakers of four corpora."""
    rows = [
        {
            "clip_id": f"{corpus}/{speaker}-{emotion}-{take}",
            "path": "somewhere",
            "corpus": corpus,
            "speaker": f"{corpus}-{speaker}",
            "emotion": emotion,
            "audio_sha256": f"{(speaker * 7 + take * 5 + number) % 97:03d}{corpus}{emotion}",
        }
        for corpus, speaker, (number, emotion), take in product(
            CORPORA, range(3), enumerate(EMOTIONS), range(8)
        )
    ]
    return pd.DataFrame(rows).reindex(columns=list(CLIP_COLUMNS), fill_value="")


def extract(clips: pd.DataFrame, spec: object, **options: object) -> np.ndarray:
    """Emotions are directions, and every corpus has a place of its own."""
    found = generator("strangers", *clips["clip_id"].iloc[:1]).normal(0, 1, (len(clips), *SHAPE))
    for number, emotion in enumerate(EMOTIONS):
        found[clips["emotion"] == emotion, ..., number] += 0.6
    for number, corpus in enumerate(CORPORA):
        found[clips["corpus"] == corpus] += number
    return found.astype(np.float32)


@pytest.fixture(scope="module")
def fitted(clips, tmp_path_factory, on_disk):
    small = [
        replace(one, config=replace(one.config, n_components=8))
        if one.name in NAMES and isinstance(one.config, CorpusHeadConfig)
        else one
        for one in MOONSHINE.models
    ]
    study = replace(MOONSHINE, models=tuple(small))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_REPORTS", str(tmp_path_factory.mktemp("reports")))
        patch.setattr(runner, "extract", on_disk(extract))
        patch.setattr(runner, "feature_shape", lambda spec: SHAPE)
        patch.setattr("ser_lib.export.refit.extract", extract)
        protocol = study.protocol("honest", "languages_open")
        plan = runner.plan_run(study, NAMES[0], protocol, 42, clips)
        run = runner.run_or_load(plan, clips)
        parts = fit_final_head(plan, run, clips)
        return parts, summarise_run(run, clips, parts.left_out)


def test_every_corpus_is_left_out_and_shown_with_what_the_others_say(fitted, clips):
    parts, summary = fitted
    for facts in (summary, parts.facts["known_room"], parts.facts["mixed_known_voice"]):
        assert [one["corpus"] for one in facts["left_out"]] == list(CORPORA)
        assert 0 < facts["answer_limit"] < 1
    assert set(parts.facts) == {"known_room", "mixed_known_voice"}
    assert parts.facts["known_room"]["n_clips"] == 30
    # A voice that is known by neutral clips has no run of its own.
    assert parts.speaker["temperature"] == parts.speaker["mixed_temperature"]
    assert 0 < parts.speaker["room_told_nats"] < np.log(len(EMOTIONS))
    table = parts.left_out
    assert len(table) == len(clips)  # as there are fewer of each corpus than would be drawn
    np.testing.assert_allclose(table.filter(regex="^p_").sum(axis=1), 1)
    # The directions of emotions are the same everywhere.
    assert (table["truth"] == table["prediction"]).mean() > 0.6


def test_layers_that_no_head_reads_are_not_computed(fitted):
    parts, _ = fitted
    assert parts.input_shape == (1, 6, *SHAPE[2:])
    assert parts.features.params["n_layers"] == 6
    n_values = int(np.prod(parts.input_shape))
    for name in ("head_weights", "speaker_head_weights"):
        assert parts.arrays[name].shape == (n_values, len(EMOTIONS))
    # A known room or voice: the same clip, wherever it was recorded.
    assert parts.arrays["speaker_within"].shape == (n_values,)
