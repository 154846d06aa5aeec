"""Penumajji (2025): a four-block 2D CNN on log-mel spectrograms, gender × emotion, RAVDESS.

One actor is kept out of training and makes a third of the 180 test clips; the speakers of the other
two thirds were all trained on. The report gives 68.9 %, and a tool for people who do not program.
"""

from __future__ import annotations

from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import Protocol
from ser_lib.features.registry import FeatureSpec
from ser_lib.models.conv_blocks import ConvBlocksConfig
from ser_lib.studies.study import ModelSpec, PublishedFigure, Study
from ser_lib.training.settings import TrainingSettings

# 64 frames of 46 ms are 3.0 s; not printed in the report.
FEATURES = FeatureSpec(
    "mel_frames", offset_s=0.5, params={"n_frames": 64, "n_mels": 64, "hop_samples": 1024}
)
PENUMAJJI2025 = Study(
    name="penumajji2025",
    title="2D CNN with four ELU blocks",
    source=(
        "Penumajji N (2025). Deep Learning for Speech Emotion Recognition: A CNN Approach "
        "Utilizing Mel Spectrograms. arXiv:2503.19677."
    ),
    corpora=("ravdess",),
    label_set=LABEL_SETS["six_by_gender"],
    models=(
        ModelSpec(
            name="cnn",
            title="Four-block CNN",
            config=ConvBlocksConfig(
                n_filters=(16, 32, 64, 128),
                kernel_sizes=(3, 3, 3, 3),
                activation="elu",
                block_dropout_rate=0.1,
                dropout_rate=0.3,
            ),
            features=FEATURES,
            training=TrainingSettings(max_epochs=125, batch_size=16),
            honest_training=TrainingSettings(
                max_epochs=125,
                batch_size=16,
                stop_patience=20,
                stop_on="val_accuracy",
                keep="val_accuracy",
            ),
            max_seeds={"german": 1},
        ),
    ),
    published_protocol=Protocol(
        "last_speaker_out",
        params={"test_share": 0.125},  # 180 of 1,440 clips; the last speaker is actor 24
        # Same audio and parent: RAVDESS holds one recording under two names.
        leaks=("same_audio", "same_parent", "same_speaker"),
    ),
    honest_protocol=Protocol("luna5"),
    other_protocols={
        # Section V-E tries German speech; there on recordings of the author's circle.
        "german": Protocol("cross_corpus", params={"train": "ravdess", "test": "emodb"})
    },
    seeds=(42, 43, 44),
    published_figures=(PublishedFigure("cnn", "wa", 0.6888, "section V-E"),),
    departures=(
        "The report prints neither the size of its input nor the filters of its blocks: 64 frames "
        "of 64 mel bands (3 s from 0.5 s on) and 16, 32, 64, 128 filters are ours, as are the "
        "dropout rates and the dense layer of 128.",
        "It says that 180 clips were tested and that actor 24 was kept out, not how many of the "
        "180 are actor 24's: here all 60.",
        "125 epochs were the best of several tried, on what is not said. The honest runs keep the "
        "epoch with the highest accuracy on validation speakers, and stop 20 epochs after it.",
        "Its German clips are not published; EmoDB without boredom takes their place.",
    ),
)
